//! The loops with windows on the lanes, in panels.

use std::ops::Range;

use ndarray::{ArrayViewMut2, Axis, s};

use super::Task;
use super::weights::Tiles;
use crate::element::Element;
use crate::gemm::{Finish, Kernel, Operands, Panels, Store, TAIL_STARTS, multiply_tail, tail_tiles};
use crate::lowering::Epilogue;
use crate::lowering::cells::Cells;
use crate::lowering::pieces::blocks;
use crate::lowering::runs::copy_short;
use crate::lowering::tile::multiply_tile;
use crate::simd::Input;

impl<T: Element> Task<'_, '_, '_, T> {
    /// Adds the products of one block of rows of the patch matrix, with windows on the lanes.
    pub(super) fn block(
        &mut self,
        cells: Cells<'_, T>,
        (rows, store): (Range<usize>, Store),
        (panels, sums): (&mut [T], &mut [T]),
    ) {
        let kernel = Kernel::<T>::best();
        let windows = self.windows();
        let places = cells.rows(rows.clone());
        let (lanes, panel_len) = (kernel.lanes(), self.layout.panel_len);
        for start in (0..windows).step_by(lanes * self.layout.panels) {
            let count = (lanes * self.layout.panels).min(windows - start);
            let first = self.window + start;
            let panels = cells.panels((rows.clone(), places), first..first + count, (&mut *panels, panel_len));
            let next = (self.window + start + count, lanes * self.layout.panels);
            let ahead = cells.next((rows.clone(), self.layout.block_rows), (self.window, windows), next);
            self.multiply_by_windows(panels, (start, count), (rows.clone(), store), (sums, ahead));
        }
    }

    /// Tiles of channels × windows go straight to the output of an image, where its windows lie side by side and fill whole
    /// vectors, else through a small buffer. Sums of several images are kept as `[channels, windows]` until all blocks are
    /// added. Each tile of weights meets all panels while it is in the L1. A few windows that fill no register are computed with
    /// the last ones, or by channels.
    fn multiply_by_windows(
        &mut self,
        panels: Panels<'_, T>,
        (start, count): (usize, usize),
        (rows, store): (Range<usize>, Store),
        (sums, mut next): (&mut [T], Input<T>),
    ) {
        let kernel = Kernel::<T>::best();
        let tiles = Tiles::of::<T>(self.layout);
        let k = rows.len();
        let [channels, images, windows] = self.dims();
        let is_last = rows.end == self.geometry.patch_rows();
        let begin = if store == Store::Overwrite { self.epilogue } else { Epilogue::NONE };
        let bounds = self.epilogue.bounds().filter(|_| is_last);
        let mut weights = self.weights(&rows, tiles);
        let is_straight = images > 1 || self.piece.strides()[2] == 1;
        let with_last = is_straight && panels.last(count, kernel.vector).is_some();
        let is_tail = |&tail: &usize| !with_last && tail <= kernel.most_tail();
        let tail = Some(count % kernel.vector).filter(is_tail).unwrap_or(0);
        let (piece, buffer) = if images == 1 {
            (self.piece.slice_mut(s![.., 0, start..start + count]), sums)
        } else {
            let (step, width) =
                (kernel.padded(images * windows), if with_last { count } else { kernel.padded(count - tail) + tail });
            let (sums, buffer) = sums.split_at_mut(channels * step);
            let sums = ArrayViewMut2::from_shape((channels, step), sums).expect("the sums of all channels");
            (sums.slice_move(s![.., start..start + width]), buffer)
        };
        let whole = piece.ncols() - tail;
        let together = if tail > 0 { tail_tiles::<T>() } else { 1 };
        for (first, channels) in blocks(piece, Axis(0), together * tiles.most) {
            let right_step = tiles.most.min(channels.nrows());
            let (left, left_step) = (panels.from(whole), panels.row_step);
            let operands = Operands { k, left, left_step, right: weights, right_step, right_column: 1 };
            let (vectors, tail) = channels.split_at(Axis(1), whole);
            let starts = begin.starts::<TAIL_STARTS>(self.channel + first..self.channel + first + vectors.nrows());
            let finish = Finish { start: starts.as_ref().map(|starts| &starts[..]), bounds };
            for (offset, tile) in blocks(vectors, Axis(0), tiles.most) {
                let others = &weights[k * tile.nrows()..];
                next.put_first(&others[..others.len().min(k * tiles.most)]);
                multiply_tile(panels, weights, (store, finish.from(offset), tile), buffer, &mut next);
                weights = others;
            }
            // Last, since it has too little to do while it waits for weights.
            if !tail.is_empty() {
                multiply_tail(operands, (store, finish), tail);
            }
        }
    }

    pub(super) fn store_rows(&mut self, sums: &[T]) {
        let [_, images, windows] = self.dims();
        let step = Kernel::<T>::best().padded(images * windows);
        for (mut lines, sums) in self.piece.outer_iter_mut().zip(sums.chunks_exact(step)) {
            for (mut line, sums) in lines.outer_iter_mut().zip(sums.chunks_exact(windows)) {
                match line.as_slice_mut() {
                    Some(line) => copy_short(line, sums),
                    None => line.iter_mut().zip(sums).for_each(|(to, &sum)| *to = sum),
                }
            }
        }
    }
}
