//! Input gradients of which one phase alone is not zero, as that of a 1×1 kernel with a stride: its cells are computed side by
//! side into the beginning of each channel, and then put where they belong.

use ndarray::{ArrayViewMut1, ArrayViewMut3, Axis, s};

use super::Epilogue;
use super::pieces::{channel_blocks, full_blocks};
use crate::element::Element;
use crate::geometry::{ConvGeometry, OnlyPhase};
use crate::parallel;
use crate::simd::arch;

/// Channels of one task.
const CHANNELS: usize = 16;

/// Where the cells of the phase lie on each axis: `first`, `first + stride`, …
#[derive(Debug, Clone)]
pub(super) struct Spread {
    lengths: [usize; 3],
    firsts: [usize; 3],
    strides: [usize; 3],
    /// Cells of the phase.
    cells: [usize; 3],
}

impl Spread {
    /// `None` where the phase is all of the input.
    pub fn new(geometry: &ConvGeometry, OnlyPhase { firsts, phase }: &OnlyPhase) -> Option<Self> {
        let [lengths, strides] = [geometry.axes.map(|axis| axis.input), geometry.axes.map(|axis| axis.stride)];
        let cells = phase.geometry.axes.map(|axis| axis.output);
        (cells != lengths).then_some(Self { lengths, firsts: *firsts, strides, cells })
    }

    /// Elements of the scratch memory of one lane: a row of the phase.
    pub fn slot_len(&self) -> usize {
        self.cells[2]
    }

    /// The part of `output [N, C, cells]` that the phase is computed into.
    pub fn narrow<'a, T>(&self, output: ArrayViewMut3<'a, T>) -> ArrayViewMut3<'a, T> {
        output.slice_move(s![.., .., ..self.cells.iter().product::<usize>()])
    }

    /// Puts the cells of each channel where they belong, with zeros between them, and finishes all.
    pub fn run<T: Element>(
        &self,
        epilogue: Epilogue<'_, T>,
        (output, workspace): (ArrayViewMut3<'_, T>, &mut [T]),
        slot_len: usize,
    ) {
        let all = output.len_of(Axis(1));
        let pieces = channel_blocks(output, all, |all| full_blocks(all, CHANNELS));
        parallel::for_each(pieces, workspace, slot_len, |(_, channel, mut piece), slot: &mut [T]| {
            for mut cells in piece.rows_mut() {
                match cells.as_slice_mut() {
                    Some(cells) => arch().dispatch(|| self.by_rows(cells, &mut slot[..self.cells[2]])),
                    None => self.one_by_one(cells),
                }
            }
            epilogue.apply(channel, piece);
        });
    }

    /// Where the phase's cell of a place lies on an axis.
    fn source(&self, axis: usize, place: usize) -> Option<usize> {
        let behind = place.checked_sub(self.firsts[axis])?;
        behind.is_multiple_of(self.strides[axis]).then_some(behind / self.strides[axis])
    }

    /// From the last row on, so that none is written before it is read.
    #[inline(always)]
    fn by_rows<T: Element>(&self, cells: &mut [T], row: &mut [T]) {
        let [planes, height, width] = self.lengths;
        for (plane, line) in (0..planes).rev().flat_map(|plane| (0..height).rev().map(move |line| (plane, line))) {
            let source = self.source(0, plane).zip(self.source(1, line));
            if let Some((plane, line)) = source {
                row.copy_from_slice(&cells[(plane * self.cells[1] + line) * row.len()..][..row.len()]);
            }
            let to = &mut cells[(plane * height + line) * width..][..width];
            to.fill(T::zero());
            if source.is_some() {
                let places = to[self.firsts[2]..].iter_mut().step_by(self.strides[2]);
                places.zip(&*row).for_each(|(to, &cell)| *to = cell);
            }
        }
    }

    /// From the last cell on.
    fn one_by_one<T: Element>(&self, mut cells: ArrayViewMut1<'_, T>) {
        let [_, height, width] = self.lengths;
        for place in (0..cells.len()).rev() {
            let places = [place / width / height, place / width % height, place % width];
            let [plane, line, column] = std::array::from_fn(|axis| self.source(axis, places[axis]));
            let source = plane.zip(line).zip(column);
            cells[place] = source.map_or(T::zero(), |((plane, line), column)| {
                cells[(plane * self.cells[1] + line) * self.cells[2] + column]
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array1;

    use super::*;

    #[test]
    fn cells_are_put_where_they_belong_with_zeros_between_them() {
        for (lengths, firsts, strides) in [
            ([1, 5, 7], [0, 0, 0], [1, 2, 2]),
            ([1, 6, 8], [0, 1, 2], [1, 4, 3]),
            ([4, 3, 5], [1, 0, 1], [2, 1, 2]),
            ([2, 3, 1], [0, 2, 0], [2, 3, 5]),
        ] {
            let cells: [usize; 3] =
                std::array::from_fn(|axis| (firsts[axis]..lengths[axis]).step_by(strides[axis]).count());
            let spread = Spread { lengths, firsts, strides, cells };
            let count = cells.iter().product::<usize>();
            let given = |place: usize| if place < count { 1.0 + place as f64 } else { f64::NAN };
            let all = Array1::from_shape_fn(lengths.iter().product::<usize>(), given);
            let mut expected = vec![0.0; all.len()];
            for place in 0..count {
                let places = [place / cells[2] / cells[1], place / cells[2] % cells[1], place % cells[2]];
                let [plane, row, column]: [usize; 3] =
                    std::array::from_fn(|axis| firsts[axis] + places[axis] * strides[axis]);
                expected[(plane * lengths[1] + row) * lengths[2] + column] = given(place);
            }
            let (mut rows, mut ones) = (all.to_vec(), all);
            spread.by_rows(&mut rows, &mut vec![f64::NAN; cells[2]]);
            spread.one_by_one(ones.view_mut());
            assert_eq!((&rows, &ones.to_vec()), (&expected, &expected), "{lengths:?} {firsts:?} {strides:?}");
        }
    }
}
