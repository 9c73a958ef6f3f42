//! Strassen's multiplication, one level of it: seven products of quarters instead of eight.
//!
//! Tasks and the way of the patch matrix are those of [`fused`](super::fused). A block of its rows is cut into an upper and a
//! lower half, and panels of windows are taken in pairs; kernels are cut into the same halves of rows, and tiles of channels
//! are taken in pairs. With weights `A`, cells `B` and outputs `C` in quarters,
//!
//! ```text
//! S₁ = A₂₁ + A₂₂   S₂ = S₁ − A₁₁   S₃ = A₁₁ − A₂₁   S₄ = A₁₂ − S₂
//! T₁ = B₁₂ − B₁₁   T₂ = B₂₂ − T₁   T₃ = B₂₂ − B₁₂   T₄ = B₂₁ − T₂
//! P₁ = A₁₁ B₁₁     P₅ = S₁ T₁      C₁₁ = P₁ + A₁₂ B₂₁
//! P₆ = S₂ T₂       P₇ = S₃ T₃      C₁₂ = P₁ + P₆ + P₅ + S₄ B₂₂
//!                                  C₂₁ = P₁ + P₆ + P₇ + A₂₂ T₄
//!                                  C₂₂ = P₁ + P₆ + P₅ + P₇
//! ```
//!
//! (V. Strassen, "Gaussian elimination is not optimal", 1969, in the form of S. Winograd with 15 additions; to do it on the
//! registers of the microkernel instead of whole matrices is the idea of J. Huang et al., "Strassen's algorithm reloaded",
//! 2016.) The sums `S` are part of the packed weights. Windows that make no pair are multiplied as usual.
//! Where too many of a map would make none, output channels are on the lanes: `A` is then the patch matrix transposed, so that the
//! sums `S` are those of its cells, `B` the weights, with the sums `T`, and `C` the output transposed (`channels.rs`).
//! Sums are not those of the definition: see `Numerics`.

mod channels;
mod layout;
mod pair;
mod sums;
mod tiles;
mod weights;
mod windows;

pub(crate) use layout::{BLOCK_BYTES, Layout, applies};
pub(crate) use weights::pack_weights;

use std::ops::Range;

use ndarray::{ArrayView5, ArrayViewMut2, ArrayViewMut3, Axis};

use self::tiles::Tiles;
use super::Epilogue;
use super::cells::Cells;
use super::image::Image;
use super::pieces::{blocks, entries};
use super::scratch::aligned;
use super::slab::Region;
use crate::element::Element;
use crate::gemm::Store;
use crate::geometry::ConvGeometry;
use crate::parallel;

/// `output [N, OC, windows] = W · Cols(input)`, with the weights as [`pack_weights`] left them.
pub(super) fn forward<T: Element>(
    (geometry, layout): (&ConvGeometry, &Layout),
    weights: &[T],
    input: ArrayView5<'_, T>,
    epilogue: Epilogue<'_, T>,
    (output, workspace): (ArrayViewMut3<'_, T>, &mut [T]),
) {
    let g = geometry;
    let [_, oh, ow] = g.axes.map(|axis| axis.output);
    let (outs, depth) = (g.group_out_channels(), g.patch_rows());
    let regions = entries(output).flat_map(move |(image, channels)| {
        blocks(channels, Axis(0), outs).flat_map(move |(channel, windows)| {
            blocks(windows, Axis(1), oh * ow).flat_map(move |(start, plane)| {
                blocks(plane, Axis(1), layout.rows * ow)
                    .map(move |(window, region)| (image, channel, start + window, region))
            })
        })
    });
    let pieces = layout.shares.cut_up(regions);
    parallel::for_each(pieces, workspace, layout.slot_len(), |(image, channel, window, piece), slot: &mut [T]| {
        let group = channel / outs;
        let weights = &weights[group * layout.weights_len(outs, depth)..];
        let mut task = Task { geometry: g, layout, weights, first: channel % outs, epilogue, channel, window, piece };
        task.run(Image::of(g, input, image, group), slot);
    });
}

/// One block of output channels, from `first` of its group on, for the windows from `window` on.
struct Task<'w, 'e, 'o, T> {
    geometry: &'w ConvGeometry,
    layout: &'w Layout,
    /// Packed weights from this group on.
    weights: &'w [T],
    first: usize,
    /// What finishes the output, whose channels begin with this one.
    epilogue: Epilogue<'e, T>,
    channel: usize,
    window: usize,
    piece: ArrayViewMut2<'o, T>,
}

/// The rows of a block that are in each half, and what becomes of the outputs.
#[derive(Clone, Copy)]
struct Block {
    half: usize,
    store: Store,
}

impl<'w, T: Element> Task<'w, '_, '_, T> {
    fn run(&mut self, image: Image<'_, T>, slot: &mut [T]) {
        let (g, layout) = (self.geometry, self.layout);
        let (copy, rest) = aligned(slot).split_at_mut(layout.slab_len);
        let (panels, rest) = aligned(rest).split_at_mut(layout.panels_len());
        let (sums, buffer) = aligned(rest).split_at_mut(layout.sums_len);
        let (depth, region) = (g.patch_rows(), Region::of(g, self.window, self.piece.ncols()));
        for row in (0..depth).step_by(layout.block_rows) {
            let rows = row..(row + layout.block_rows).min(depth);
            let slabs = (layout.image.as_ref(), &layout.slab);
            let cells = Cells::of(g, slabs, image, (rows.clone(), region), copy);
            self.block(rows, cells, Store::after(row), (panels, sums, buffer));
        }
    }

    /// Adds the products of one block of rows of the patch matrix.
    fn block(
        &mut self,
        rows: Range<usize>,
        cells: Cells<'_, T>,
        store: Store,
        (panels, sums, buffer): (&mut [T], &mut [T], &mut [T]),
    ) {
        let layout = self.layout;
        let block = Block { half: rows.len() / 2, store };
        let (windows, step) = (self.piece.ncols(), 2 * layout.half_windows * layout.pairs);
        let mut start = 0;
        while start < windows {
            // The last ones that make no whole pair come with those before them, since weights are read anew for each part.
            let left = windows - start;
            let count = if left < step + 2 * layout.half_windows { left } else { step };
            let windows = self.window + start..self.window + start + count;
            let next = (windows.end, step);
            let mut next = cells.next((rows.clone(), layout.block_rows), (self.window, self.piece.ncols()), next);
            match layout.tiles {
                Tiles::Windows { .. } => {
                    let whole = windows::pack(cells, (&rows, windows), (&mut *panels, &mut *buffer), layout);
                    self.multiply_by_windows((&rows, block), (start, count), (whole, panels, buffer), &mut next);
                }
                Tiles::Channels { .. } => {
                    channels::pack(cells, (&rows, windows), (&mut *panels, &mut *buffer), layout);
                    self.multiply_by_channels((&rows, block), (start, count), (panels, sums, buffer), &mut next);
                }
            }
            start += count;
        }
    }

    /// The packed weights of this task's channels for a block of rows, and those behind them.
    fn weights(&self, rows: &Range<usize>) -> &'w [T] {
        let (layout, outs) = (self.layout, self.geometry.group_out_channels());
        &self.weights[layout.weights_len(outs, rows.start) + layout.weights_len(self.first, rows.len())..]
    }
}
