//! Values that were computed with channels on the vector lanes, on their way to rows of an output.

use std::ops::Range;

use ndarray::{ArrayViewMut1, ArrayViewMut2};

use super::runs::copy_short;
use crate::element::Element;
use crate::gemm::Store;
use crate::simd::{Blocks, Lines, Places, SIDE};

/// Cells beyond whole blocks that are moved one by one: a block for them costs as much as for sixteen.
const FEW: usize = 2;

/// `lines[i][range.start + r] = cells[r · step + i]` for at most [`SIDE`] lines.
pub(super) fn turn_back<T: Element>(cells: (&[T], usize), lines: ArrayViewMut2<'_, T>, range: Range<usize>) {
    Side::of(lines).store(cells, range, Store::Overwrite);
}

/// At most [`SIDE`] lines of an output.
pub(super) enum Side<'o, T> {
    /// As many, each of cells that lie side by side.
    Whole([&'o mut [T]; SIDE]),
    Some([Option<ArrayViewMut1<'o, T>>; SIDE]),
}

impl<'o, T: Element> Side<'o, T> {
    pub fn of(lines: ArrayViewMut2<'o, T>) -> Self {
        let (is_whole, len) = (lines.nrows() == SIDE && lines.strides()[1] == 1, lines.ncols().max(1));
        if is_whole && lines.is_standard_layout() {
            // One after the other: a view of each costs 3 % of 1×1 layers with 7×7 outputs.
            let mut lines = lines.into_slice().unwrap_or_default().chunks_exact_mut(len);
            return Self::Whole(std::array::from_fn(|_| lines.next().unwrap_or_default()));
        }
        let mut lines = lines.into_outer_iter_mut();
        match is_whole {
            true => Self::Whole(std::array::from_fn(|_| {
                lines.next().and_then(ArrayViewMut1::into_slice).unwrap_or_default()
            })),
            false => Self::Some(std::array::from_fn(|_| lines.next())),
        }
    }

    /// `lines[i][range.start + r] = cells[r · step + i]`, or what is there and that.
    pub fn store(&mut self, (cells, step): (&[T], usize), range: Range<usize>, store: Store) {
        match self {
            Self::Whole(lines) if store == Store::Overwrite && range.len() >= SIDE => {
                let rest = Some(range.len() % SIDE).filter(|&rest| rest <= FEW).unwrap_or(0);
                let whole = range.len() - rest;
                let blocks = Blocks::new(cells, step, [whole, SIDE]);
                T::turn_all(blocks, Lines { lines: &mut *lines, start: range.start });
                for place in whole..range.len() {
                    for (line, &cell) in lines.iter_mut().zip(&cells[place * step..][..SIDE]) {
                        line[range.start + place] = cell;
                    }
                }
            }
            Self::Whole(lines) => store_blocks((cells, step), range, SIDE, |line, place, cells| {
                store_cells(&mut lines[line][place], cells, store);
            }),
            Self::Some(lines) => {
                let count = lines.iter().flatten().count();
                store_blocks((cells, step), range, count, |line, place, cells| {
                    let Some(line) = &mut lines[line] else { return };
                    match line.as_slice_mut() {
                        Some(line) => store_cells(&mut line[place], cells, store),
                        None => place.zip(cells).for_each(|(place, &cell)| store.put(&mut line[place], cell)),
                    }
                });
            }
        }
    }
}

#[inline(always)]
fn store_cells<T: Element>(to: &mut [T], cells: &[T], store: Store) {
    match store {
        Store::Overwrite => copy_short(to, cells),
        Store::Add => to.iter_mut().zip(cells).for_each(|(to, &cell)| *to += cell),
    }
}

/// Calls `put` with a line's number, a range of its places and the cells for them, for so many lines.
#[inline(always)]
fn store_blocks<T: Element>(
    (cells, step): (&[T], usize),
    range: Range<usize>,
    count: usize,
    mut put: impl FnMut(usize, Range<usize>, &[T]),
) {
    let mut block = [[T::zero(); SIDE]; SIDE];
    for start in (0..range.len()).step_by(SIDE) {
        let rows = SIDE.min(range.len() - start);
        let row = |i: usize| &cells[(start + i.min(rows - 1)) * step..][..count];
        let to = Places { cells: block.as_flattened_mut(), place: |line| line * SIDE };
        T::turn(std::array::from_fn(row), to);
        let place = range.start + start..range.start + start + rows;
        for (line, cells) in block[..count].iter().enumerate() {
            put(line, place.clone(), &cells[..rows]);
        }
    }
}
