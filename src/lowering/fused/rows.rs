//! The loops with the windows of a row on the lanes, read where they lie, for few rows of the patch matrix.

use ndarray::{ArrayViewMut2, Axis};

use super::Task;
use super::weights::Tiles;
use crate::element::Element;
use crate::gemm::{Finish, Kernel, Windows};
use crate::lowering::pieces::{blocks, entries};
use crate::lowering::tile::{MOST_CHANNELS, lines};

impl<T: Element> Task<'_, '_, '_, T> {
    /// All products of all windows, of which each row fills a register.
    pub(super) fn multiply_by_rows(&mut self, windows: Windows<'_, T>, buffer: &mut [T]) {
        let depth = self.geometry.patch_rows();
        let images = self.piece.len_of(Axis(1));
        let tiles = Tiles::of::<T>(self.layout);
        let mut weights = self.weights(&(0..depth), tiles);
        for (first, tile) in blocks(self.piece.view_mut(), Axis(0), tiles.most) {
            let (these, others) = weights.split_at(depth * tile.len_of(Axis(0)));
            weights = others;
            for (image, lines) in entries(tile.permuted_axes([1, 0, 2])) {
                let windows = if images == 1 { windows } else { windows.plane(image) };
                let channels = self.channel + first..self.channel + first + lines.nrows();
                let starts = self.epilogue.starts::<MOST_CHANNELS>(channels);
                let start = starts.as_ref().map(|starts| &starts[..]);
                let finish = Finish { start, bounds: self.epilogue.bounds() };
                multiply(windows, (these, finish), lines, buffer);
            }
        }
    }
}

/// A tile of channels: straight to its lines, if the cells of each lie side by side, else row by row through a buffer.
fn multiply<T: Element>(
    windows: Windows<'_, T>,
    (weights, finish): (&[T], Finish<'_, T>),
    mut to: ArrayViewMut2<'_, T>,
    buffer: &mut [T],
) {
    let kernel = Kernel::<T>::best();
    let channels = to.nrows();
    if to.strides()[1] == 1 {
        let mut lines = lines(to);
        return kernel.multiply_rows(windows, weights, finish, &mut lines[..channels]);
    }
    let [planes, rows, width] = windows.counts;
    let rows = (0..planes).flat_map(|plane| {
        windows.plane(plane).parts(width).map(move |(start, row)| (plane * rows * width + start, row))
    });
    for (start, row) in rows {
        let mut rest = buffer.chunks_exact_mut(width);
        let mut lines: [&mut [T]; MOST_CHANNELS] = std::array::from_fn(|_| rest.next().unwrap_or_default());
        kernel.multiply_rows(row, weights, finish, &mut lines[..channels]);
        for (mut to, line) in to.rows_mut().into_iter().zip(&lines) {
            to.iter_mut().skip(start).zip(line.iter()).for_each(|(to, &sum)| *to = sum);
        }
    }
}
