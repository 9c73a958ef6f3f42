//! The loops with output channels on the lanes: for maps so small that their windows would leave registers empty.

use std::ops::Range;

use ndarray::{Axis, s};

use super::pair::ROWS_AT_ONCE;
use super::sums::{Source, factors_of_windows};
use super::{Block, Layout, Task};
use crate::element::Element;
use crate::gemm::{Factors, Kernel, PRODUCTS, Quarters, Store, chain_length};
use crate::lowering::cells::Cells;
use crate::lowering::panel::pack_panel;
use crate::lowering::pieces::blocks;
use crate::lowering::tile::MOST_CHANNELS;
use crate::lowering::turned::turn_back;
use crate::simd::{Input, SIDE};

/// Cells of a row that is packed for [`factors_of_windows`]: any half of a pair, and the rest of its last register.
const ROW: usize = 32;

/// Products that are added up one to the next. (With all 256 of a half the largest errors of 1×1 kernels of 512 channels would be 3.8
/// times the textbook's, with half of them 2.1 times.)
const CHAIN: usize = 144;

/// Elements of the buffer of [`pack`].
pub(super) const PACKED_LEN: usize = 2 * PART_LEN;
/// The rows of one of both halves, behind which there is room for what is copied too far.
const PART_LEN: usize = (ROWS_AT_ONCE + 1) * ROW;

/// What products take of the cells of some windows and rows of the patch matrix, of all pairs.
pub(super) fn pack<T: Element>(
    cells: Cells<'_, T>,
    (rows, windows): (&Range<usize>, Range<usize>),
    (panels, buffer): (&mut [T], &mut [T]),
    layout: &Layout,
) {
    let mut start = windows.start;
    for (half, panels) in layout.halves(windows.len()).zip(panels.chunks_exact_mut(layout.pair_len())) {
        let end = windows.end.min(start + 2 * half);
        pack_pair(cells, (rows, start..end, half), (panels, &mut *buffer), layout.panel_len);
        start = end;
    }
}

/// The same of a pair of so many windows in each half, of which the last need not be there.
fn pack_pair<T: Element>(
    cells: Cells<'_, T>,
    (rows, windows, half): (&Range<usize>, Range<usize>, usize),
    (panels, buffer): (&mut [T], &mut [T]),
    panel_len: usize,
) {
    let below = rows.len() / 2;
    let mut panels = panels.chunks_exact_mut(panel_len);
    let mut factors = std::array::from_fn(|_| panels.next().unwrap_or_default());
    let chunks = cells.chunks(windows.clone());
    let read = windows.start..windows.start + half + Kernel::<T>::best().padded(half);
    for row in (0..below).step_by(ROWS_AT_ONCE) {
        let count = ROWS_AT_ONCE.min(below - row);
        let halves = [rows.start + row, rows.start + below + row].map(|start| start..start + count);
        let whole = halves.clone().map(|rows| cells.in_place(rows, read.clone()));
        let quarters = match whole {
            [Some((upper, step)), Some((lower, _))] => quarters([upper, lower], half, step),
            _ => {
                let (upper, lower) = buffer.split_at_mut(PART_LEN);
                for (part, rows) in [&mut *upper, &mut *lower].into_iter().zip(halves) {
                    pack_panel(part, ROW, cells.values, cells.rows(rows), &chunks);
                }
                quarters([upper, lower], half, ROW)
            }
        };
        factors_of_windows(quarters, (count, half, windows.len() - half), (&mut factors, row * half));
    }
}

/// `A₁₁`, `A₁₂`, `A₂₁` and `A₂₂` of the upper and the lower rows, with so many windows in each.
fn quarters<'a, T>([upper, lower]: [&'a [T]; 2], half: usize, row_step: usize) -> [Source<'a, T>; 4] {
    [upper, lower, &upper[half..], &lower[half..]].map(|cells| Source { cells, row_step })
}

impl<T: Element> Task<'_, '_, '_, T> {
    /// Adds the products of one block of rows for some windows. Until all blocks are added sums are kept as
    /// `[pair of tiles][window][channel]`; those of the last one go on to the output while they are in the L1.
    pub(super) fn multiply_by_channels(
        &mut self,
        (rows, block): (&Range<usize>, Block),
        (start, count): (usize, usize),
        (panels, sums, buffer): (&[T], &mut [T], &mut [T]),
        next: &mut Input<T>,
    ) {
        let layout = self.layout;
        let depth = self.geometry.patch_rows();
        let (is_last, is_only) = (rows.end == depth, rows.len() == depth);
        let mut weights = self.weights(rows);
        let all = self.piece.ncols().next_multiple_of(2);
        let piece = self.piece.slice_mut(s![.., start..start + count]);
        for (first, mut channels) in blocks(piece, Axis(0), layout.pair_channels) {
            let channel_count = channels.nrows();
            let lanes = layout.tiles.filled(channel_count / 2);
            let (these, others) = weights.split_at(layout.weights_len(channel_count, rows.len()));
            weights = others;
            next.put_first(&others[..these.len().min(others.len())]);
            let place = if is_only { 0 } else { first * all + start * 2 * lanes };
            let sums = &mut sums[place..];
            let mut outputs = if is_last { Input::of(channels.view()) } else { Input::none() };
            let chain = chain_length(block.half, CHAIN);
            for row in (0..block.half).step_by(chain) {
                let store = if row == 0 { block.store } else { Store::Add };
                let mut lines = sums.chunks_exact_mut(2 * lanes);
                for (half, panels) in layout.halves(count).zip(panels.chunks_exact(layout.pair_len())) {
                    let products: [Factors<'_, T>; PRODUCTS] = std::array::from_fn(|i| Factors {
                        weights: &panels[i * layout.panel_len + row * half..],
                        cells: &these[(i * block.half + row) * lanes..],
                        row_step: lanes,
                    });
                    let mut side = || -> [&mut [T]; MOST_CHANNELS] {
                        std::array::from_fn(|i| {
                            if i < half { lines.next().unwrap_or_default() } else { Default::default() }
                        })
                    };
                    let [mut left, mut right] = [side(), side()];
                    let lines = [&mut left[..half], &mut right[..half]];
                    let (rows, outputs) = (chain.min(block.half - row), Some(&mut outputs));
                    let quarters =
                        Quarters { products, rows, store, lines, window: 0, half: lanes, buffer, outputs, next };
                    Kernel::<T>::best().multiply_quarters(quarters);
                }
            }
            if is_last {
                let (upper, lower) = channels.view_mut().split_at(Axis(0), channel_count / 2);
                for (side, tile) in [(0, upper), (lanes, lower)] {
                    for (channel, lines) in blocks(tile, Axis(0), SIDE) {
                        turn_back((&sums[side + channel..], 2 * lanes), lines, 0..count);
                    }
                }
                self.epilogue.apply(self.channel + first, channels);
            }
        }
    }
}
