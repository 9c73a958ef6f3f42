//! One row of an image, as a row of a padded copy.

use pulp::Simd;

use super::runs::{copy_row, zero_short};
use crate::element::Element;
use crate::geometry::Axis;
use crate::simd::MOST_LANES;

/// How a row of an image becomes a row of a slab.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// As one register, which writes over the border before the next row, too.
    Register {
        before: usize,
    },
    Whole {
        before: usize,
    },
    /// One phase of two, without a border before it.
    Half,
    /// Both phases. Cells of even number are in the phase of their place in the padded row.
    Halves {
        columns: usize,
        is_swapped: bool,
        before: [usize; 2],
    },
}

impl Place {
    /// That of rows of `phases` phases of `columns` cells each, which are `apart` cells of the image from one to the next, if so
    /// much memory is left behind the last row.
    #[inline(always)]
    pub fn of<T: Element, S: Simd>(width: Axis, [phases, columns, apart]: [usize; 3], left: usize) -> Self {
        let (before, lanes) = (width.pad_before, T::lanes::<S>());
        match (phases, apart) {
            (1, 1) if before + width.input <= columns && columns <= lanes && lanes <= left => Self::Register { before },
            (1, 1) => Self::Whole { before },
            (1, _) => Self::Half,
            _ => Self::Halves {
                columns,
                is_swapped: !before.is_multiple_of(2),
                before: [before / 2, before.div_ceil(2)],
            },
        }
    }

    /// Puts the first `count` cells of `row`, or zeros, into the first `len` of `out`.
    #[inline(always)]
    pub fn fill<T: Element, S: Simd>(self, simd: S, row: Option<&[T]>, count: usize, out: &mut [T], len: usize) {
        let row = row.map(|row| (row, &row[..count]));
        match (self, row) {
            (Self::Register { before }, row) => {
                let cells = row.map_or(T::splat(simd, T::zero()), |(row, _)| load_first(simd, row, count));
                T::put(simd, cells, &mut out[before..]);
            }
            (_, None) => out[..len].fill(T::zero()),
            (Self::Whole { before }, Some((_, row))) => {
                place_row(&mut out[..len], before, count, |inside| copy_row(inside, &row[..inside.len()]));
            }
            (Self::Half, Some((_, row))) => {
                place_row(&mut out[..len], 0, count.div_ceil(2), |inside| T::halve(simd, row, inside));
            }
            (Self::Halves { columns, is_swapped, before }, Some((_, row))) => {
                let (even, odd) = out[..len].split_at_mut(columns);
                let (even, odd) = if is_swapped { (odd, even) } else { (even, odd) };
                place_row(even, before[0], count.div_ceil(2), |inside| T::halve(simd, row, inside));
                place_row(odd, before[1], count / 2, |inside| T::halve(simd, &row[1..], inside));
            }
        }
    }
}

/// The first `count` cells, which may be all that there are, before zeros.
#[inline(always)]
fn load_first<T: Element, S: Simd>(simd: S, cells: &[T], count: usize) -> T::Vector<S> {
    if cells.len() < T::lanes::<S>() {
        let mut all = [T::zero(); MOST_LANES];
        all[..count].copy_from_slice(&cells[..count]);
        return T::load(simd, &all);
    }
    T::keep(simd, T::between(simd, 0, count), T::load(simd, cells))
}

/// Lets `fill` write the `count` cells after the first `before`, as far as the row has them, and zeros the others.
#[inline(always)]
fn place_row<T: Element>(row: &mut [T], before: usize, count: usize, fill: impl FnOnce(&mut [T])) {
    let before = before.min(row.len());
    let (left, rest) = row.split_at_mut(before);
    let (inside, right) = rest.split_at_mut(count.min(rest.len()));
    zero_short(left);
    if !inside.is_empty() {
        fill(inside);
    }
    zero_short(right);
}
