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
        match (self, row) {
            (Self::Register { before }, row) => {
                let cells = row.map_or(T::splat(simd, T::zero()), |row| load_first(simd, row, count));
                T::put(simd, cells, &mut out[before..]);
            }
            (_, None) => out[..len].fill(T::zero()),
            (Self::Whole { before }, Some(row)) => {
                place_row(&mut out[..len], before, count, |inside| copy_row(inside, &row[..inside.len()]));
            }
            (Self::Half, Some(row)) => {
                place_row(&mut out[..len], 0, count.div_ceil(2), |inside| T::halve(simd, &row[..count], inside));
            }
            (Self::Halves { columns, is_swapped, before }, Some(row)) => {
                let (even, odd) = out[..len].split_at_mut(columns);
                let (even, odd) = if is_swapped { (odd, even) } else { (even, odd) };
                place_row(even, before[0], count.div_ceil(2), |inside| T::halve(simd, &row[..count], inside));
                place_row(odd, before[1], count / 2, |inside| T::halve(simd, &row[1..count], inside));
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

#[cfg(test)]
mod tests {
    use pulp::WithSimd;

    use super::*;
    use crate::simd::arch;

    fn lanes<T: Element, S: Simd>() -> usize {
        T::lanes::<S>()
    }

    /// Rows of `count` cells, every third of them of zeros, within a border on both sides.
    struct Rows {
        before: usize,
        count: usize,
        columns: usize,
    }

    impl WithSimd for Rows {
        type Output = ();

        fn with_simd<S: Simd>(self, simd: S) {
            let Self { before, count, columns } = self;
            let lanes = lanes::<f32, S>();
            let width = Axis { input: count, pad_before: before, ..Axis::UNIT };
            let found = Place::of::<f32, S>(width, [1, columns, 1], lanes);
            assert_eq!(matches!(found, Place::Register { .. }), columns <= lanes);
            assert!(matches!(Place::of::<f32, S>(width, [1, columns, 1], lanes - 1), Place::Whole { .. }));
            let image: Vec<f32> = (1..=5 * count).map(|cell| cell as f32).collect();
            let filled = |place: Place| {
                let mut out = vec![f32::NAN; 5 * columns + lanes];
                zero_short(&mut out[..before]);
                for line in 0..5 {
                    let row = (line % 3 < 2).then(|| &image[line * count..]);
                    place.fill(simd, row, count, &mut out[line * columns..], columns);
                }
                out.truncate(5 * columns);
                out
            };
            assert_eq!(filled(found), filled(Place::Whole { before }), "{count} of {columns} cells behind {before}");
        }
    }

    #[test]
    fn rows_that_are_one_register_are_those_that_are_copied() {
        for (before, count) in (0..3).flat_map(|before| (1..MOST_LANES).map(move |count| (before, count))) {
            for columns in before + count..before + count + 3 {
                arch().dispatch(Rows { before, count, columns });
            }
        }
    }
}
