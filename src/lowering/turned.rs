//! Values that were computed with channels on the vector lanes, on their way to rows of an output.

use std::ops::Range;

use ndarray::ArrayViewMut1;

use super::runs::copy_short;
use crate::element::Element;
use crate::gemm::Store;
use crate::simd::{Lines, Places, SIDE};

/// `lines[i][range.start + r] = cells[r · step + i]` for at most [`SIDE`] lines.
pub(super) fn turn_back<'o, T: Element>(
    cells: (&[T], usize),
    lines: impl Iterator<Item = ArrayViewMut1<'o, T>>,
    range: Range<usize>,
) {
    store_back(cells, lines, range, Store::Overwrite);
}

/// The same, or what is there and that.
pub(super) fn store_back<'o, T: Element>(
    (cells, step): (&[T], usize),
    mut lines: impl Iterator<Item = ArrayViewMut1<'o, T>>,
    range: Range<usize>,
    store: Store,
) {
    let mut lines: [Option<ArrayViewMut1<'o, T>>; SIDE] = std::array::from_fn(|_| lines.next());
    let count = lines.iter().flatten().count();
    let slices = lines.each_mut().map(|line| line.as_mut().and_then(|line| line.as_slice_mut()));
    if store == Store::Overwrite && range.len() >= SIDE && slices.iter().all(Option::is_some) {
        let mut lines = slices.map(Option::unwrap_or_default);
        for start in (0..range.len()).step_by(SIDE) {
            // The last block overlaps the one before it.
            let start = start.min(range.len() - SIDE);
            let rows = std::array::from_fn(|i| &cells[(start + i) * step..][..SIDE]);
            T::turn(rows, Lines { lines: &mut lines, start: range.start + start });
        }
        return;
    }
    let mut block = [[T::zero(); SIDE]; SIDE];
    for start in (0..range.len()).step_by(SIDE) {
        let rows = SIDE.min(range.len() - start);
        let row = |i: usize| &cells[(start + i.min(rows - 1)) * step..][..count];
        let to = Places { cells: block.as_flattened_mut(), place: |line| line * SIDE };
        T::turn(std::array::from_fn(row), to);
        let place = range.start + start..range.start + start + rows;
        for (line, cells) in lines.iter_mut().flatten().zip(&block) {
            match (line.as_slice_mut(), store) {
                (Some(line), Store::Overwrite) => copy_short(&mut line[place.clone()], &cells[..rows]),
                (Some(line), Store::Add) => {
                    line[place.clone()].iter_mut().zip(cells).for_each(|(to, &cell)| *to += cell)
                }
                (None, _) => place.clone().zip(cells).for_each(|(place, &cell)| store.put(&mut line[place], cell)),
            }
        }
    }
}
