//! The loops with output channels on the lanes: windows are read where they lie, and sums turned on their way out.

use std::ops::Range;

use ndarray::Axis;

use super::Task;
use super::weights::Tiles;
use crate::element::Element;
use crate::gemm::{CHAIN, Kernel, Store, Sums, Windows};
use crate::lowering::pieces::{blocks, entries};
use crate::lowering::turned::turn_back;
use crate::simd::{Output, SIDE};

/// Windows whose sums stay in the L1 from the last product until they are turned, at the most, about.
pub(super) const PART_WINDOWS: usize = 128;

impl<T: Element> Task<'_, '_, '_, T> {
    /// Adds the products of one block of rows for all windows. Until all blocks are added sums are kept as `[tile of
    /// channels][window][channel]`; those of the last one go on to the output while they are in the L1.
    pub(super) fn multiply_by_channels(
        &mut self,
        windows: Windows<'_, T>,
        (rows, store): (Range<usize>, Store),
        sums: &mut [T],
    ) {
        let (all, depth) = (self.windows(), self.geometry.patch_rows());
        let (is_last, is_only) = (rows.end == depth, rows.len() == depth);
        let [_, images, image_windows] = self.dims();
        let kernel = Kernel::<T>::best();
        let tiles = Tiles::of::<T>(self.layout);
        let mut weights = self.weights(&rows, tiles);
        // After the last block of rows follows the first, of another task.
        let next_start = if is_last { 0 } else { rows.end };
        let next_block = self.weights(&(next_start..depth.min(next_start + self.layout.block_rows)), tiles);
        let channels = self.piece.len_of(Axis(0));
        for (first, tile) in blocks(self.piece.view_mut(), Axis(0), tiles.most) {
            // The first tile of channels brings them.
            let windows = Windows { are_far: windows.are_far && first == 0, ..windows };
            let lanes = tile.len_of(Axis(0)).next_multiple_of(tiles.unit);
            let (these, others) = weights.split_at(rows.len() * lanes);
            let next = if first + tiles.most < channels { others } else { next_block };
            let next = &next[..these.len().min(next.len())];
            weights = others;
            for (image, mut lines) in entries(tile.permuted_axes([1, 0, 2])) {
                let windows = if images == 1 { windows } else { windows.plane(image) };
                let output = if is_last { Output::of(lines.view()) } else { Output::none() };
                for (start, part) in windows.parts(PART_WINDOWS) {
                    let range = start..start + part.count();
                    let place = image * image_windows + start;
                    let next = &next[next.len() * place / all..next.len() * (place + range.len()) / all];
                    let place = if is_only { 0 } else { first * all + place * lanes };
                    let sums = &mut sums[place..place + range.len() * lanes];
                    let tile = Sums { sums: &mut *sums, step: lanes, chain: CHAIN };
                    kernel.multiply_windows(part, (these, next), (store, tile), output.from(start));
                    for (first, lines) in blocks(lines.view_mut(), Axis(0), SIDE).filter(|_| is_last) {
                        turn_back((&sums[first..], lanes), lines, range.clone());
                    }
                }
                if is_last {
                    self.epilogue.apply(self.channel + first, lines);
                }
            }
        }
    }
}
