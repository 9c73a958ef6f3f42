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
//! Sums are not those of the definition: see `Numerics`.

mod layout;
mod sums;
mod weights;

pub(crate) use layout::{BLOCK_BYTES, Layout, applies};
pub(crate) use weights::pack_weights;

use std::ops::Range;

use ndarray::{ArrayView5, ArrayViewMut2, ArrayViewMut3, Axis, s};

use self::layout::halves;
use self::sums::{Combine, differences};
use self::weights::{Part, Parts};
use super::Epilogue;
use super::cells::Cells;
use super::image::Image;
use super::panel::pack_panel;
use super::pieces::{blocks, channel_blocks, full_blocks};
use super::scratch::aligned;
use super::slab::Region;
use super::tile::{multiply_tile, store_tile};
use crate::element::Element;
use crate::gemm::{Finish, Kernel, Operands, Store, multiply_tail};
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
    let pieces = channel_blocks(output, outs, |all| full_blocks(all, layout.channels)).flat_map(
        move |(image, channel, rows)| {
            blocks(rows, Axis(1), oh * ow).flat_map(move |(start, plane)| {
                blocks(plane, Axis(1), layout.rows * ow)
                    .map(move |(window, piece)| (image, channel, start + window, piece))
            })
        },
    );
    parallel::for_each(pieces, workspace, layout.slot_len(), |(image, channel, window, piece), slot: &mut [T]| {
        let group = channel / outs;
        let weights = &weights[group * weights::len(outs, depth)..];
        let mut task = Task { geometry: g, layout, weights, first: channel % outs, window, piece };
        task.run(Image::of(g, input, image, group), slot);
        epilogue.apply(channel, task.piece);
    });
}

/// One block of output channels, from `first` of its group on, for the windows from `window` on.
struct Task<'a, 'o, T> {
    geometry: &'a ConvGeometry,
    layout: &'a Layout,
    /// Packed weights from this group on.
    weights: &'a [T],
    first: usize,
    window: usize,
    piece: ArrayViewMut2<'o, T>,
}

/// The rows of a block that are in each half, and what becomes of the outputs.
#[derive(Clone, Copy)]
struct Block {
    half: usize,
    store: Store,
}

impl<T: Element> Task<'_, '_, T> {
    fn run(&mut self, image: Image<'_, T>, slot: &mut [T]) {
        let (g, layout) = (self.geometry, self.layout);
        let (copy, rest) = aligned(slot).split_at_mut(layout.slab_len);
        let (panels, buffer) = aligned(rest).split_at_mut(layout.panels_len());
        let (depth, region) = (g.patch_rows(), Region::of(g, self.window, self.piece.ncols()));
        for row in (0..depth).step_by(layout.block_rows) {
            let rows = row..(row + layout.block_rows).min(depth);
            let slabs = (layout.image.as_ref(), &layout.slab);
            let cells = Cells::of(g, slabs, image, (rows.clone(), region), copy);
            self.block(rows, cells, Store::after(row), (panels, buffer));
        }
    }

    /// Adds the products of one block of rows of the patch matrix.
    fn block(&mut self, rows: Range<usize>, cells: Cells<'_, T>, store: Store, (panels, buffer): (&mut [T], &mut [T])) {
        let (kernel, layout) = (Kernel::<T>::best(), self.layout);
        let block = Block { half: rows.len() / 2, store };
        let middle = rows.start + block.half;
        let upper_and_lower = [cells.rows(rows.start..middle), cells.rows(middle..rows.end)];
        let (first, windows, step) = (self.window, self.piece.ncols(), 2 * kernel.lanes() * layout.pairs);
        // Both halves of the rows for some windows of the task.
        let pack = |panels: &mut [&mut [T]], lanes, windows: Range<usize>| {
            let chunks = cells.chunks(first + windows.start..first + windows.end);
            for (panel, half) in panels.iter_mut().zip(upper_and_lower) {
                pack_panel(panel, lanes, cells.values, half, &chunks);
            }
        };
        for start in (0..windows).step_by(step) {
            let count = step.min(windows - start);
            let mut paired = 0;
            let mut pairs = panels.chunks_exact_mut(layout.pair_len());
            for (half, panels) in halves(count, (kernel.lanes(), kernel.vector)).zip(pairs.by_ref()) {
                let mut panels = panels.chunks_exact_mut(layout.panel_len);
                let mut next = || panels.next().expect("a panel for each");
                let mut quarters = [next(), next(), next(), next()];
                for (side, panels) in quarters.chunks_exact_mut(2).enumerate() {
                    let first = start + paired + side * half;
                    pack(panels, half, first..first + half);
                }
                let len = block.half * half;
                differences(quarters.map(|panel| &mut panel[..len]), [next(), next(), next()].map(|to| &mut to[..len]));
                paired += 2 * half;
            }
            let rest = pairs.next().unwrap_or_default();
            if paired < count {
                let (upper, lower) = rest.split_at_mut(layout.panel_len);
                pack(&mut [upper, lower], kernel.lanes(), start + paired..start + count);
            }
            self.multiply(&rows, block, (start, count), (panels, buffer));
        }
    }

    /// Multiplies the panels of some windows by the weights of all channels. Each tile of weights meets all panels.
    fn multiply(
        &mut self,
        rows: &Range<usize>,
        block: Block,
        (start, count): (usize, usize),
        (panels, buffer): (&[T], &mut [T]),
    ) {
        let (kernel, layout) = (Kernel::<T>::best(), self.layout);
        let before = weights::len(self.geometry.group_out_channels(), rows.start);
        let mut weights = &self.weights[before + weights::len(self.first, rows.len())..];
        let is_contiguous = self.piece.strides()[1] == 1;
        let piece = self.piece.slice_mut(s![.., start..start + count]);
        for (_, channels) in blocks(piece, Axis(0), 2 * kernel.columns()) {
            let parts = Parts::new(weights, block.half, channels.nrows() / 2);
            weights = &weights[weights::len(channels.nrows(), rows.len())..];
            let (mut windows, mut pairs) = (channels, panels.chunks_exact(layout.pair_len()));
            for half in halves(count, (kernel.lanes(), kernel.vector)) {
                let (tile, rest) = windows.split_at(Axis(1), 2 * half);
                let panels = pairs.next().expect("panels for each pair");
                if is_contiguous {
                    multiply_pair(parts, (panels, layout.panel_len), block, tile, buffer);
                } else {
                    let (sums, buffer) = buffer.split_at_mut(tile.len());
                    let mut sums = ArrayViewMut2::from_shape(tile.dim(), sums).expect("sums of this tile");
                    let overwrite = Block { store: Store::Overwrite, ..block };
                    multiply_pair(parts, (panels, layout.panel_len), overwrite, sums.view_mut(), buffer);
                    store_tile(sums.view(), block.store, tile);
                }
                windows = rest;
            }
            if !windows.is_empty() {
                let panels = pairs.next().expect("panels for what is left").split_at(layout.panel_len);
                multiply_rest(parts, panels, block, (windows, is_contiguous), buffer);
            }
        }
    }
}

/// A pair of tiles of channels for a pair of panels of windows, whose windows lie side by side in `c`.
#[inline(always)]
fn multiply_pair<T: Element>(
    parts: Parts<'_, T>,
    (panels, panel_len): (&[T], usize),
    Block { half: k, store }: Block,
    c: ArrayViewMut2<'_, T>,
    buffer: &mut [T],
) {
    let (columns, lanes) = (c.nrows() / 2, c.ncols() / 2);
    let multiply = |part, panel: usize, store, to: ArrayViewMut2<'_, T>| {
        let (left, right) = (&panels[panel * panel_len..], parts.get(part));
        let operands = Operands { k, left, left_step: lanes, right, right_step: columns, right_column: 1 };
        Kernel::<T>::best().run(operands, store, to);
    };
    let (upper, lower) = c.split_at(Axis(0), columns);
    let ((mut c11, mut c12), (mut c21, c22)) = (upper.split_at(Axis(1), lanes), lower.split_at(Axis(1), lanes));
    let mut products = buffer.chunks_exact_mut(columns * lanes);
    let mut product = |part, panel| -> &[T] {
        let product = products.next().expect("room for each product");
        let to = ArrayViewMut2::from_shape((columns, lanes), &mut *product).expect("the product of a tile");
        multiply(part, panel, Store::Overwrite, to);
        product
    };
    let (p1, p6) = (product(Part::A11, layout::B11), product(Part::S2, layout::T2));
    let (p5, p7) = (product(Part::S1, layout::T1), product(Part::S3, layout::T3));
    multiply(Part::A12, layout::B21, store, c11.view_mut());
    multiply(Part::S4, layout::B22, store, c12.view_mut());
    multiply(Part::A22, layout::T4, store, c21.view_mut());
    Combine { products: [p1, p6, p5, p7], store, outputs: [c11, c12, c21, c22] }.run();
}

/// The same for a few windows that make no pair: eight products.
fn multiply_rest<T: Element>(
    parts: Parts<'_, T>,
    (upper, lower): (&[T], &[T]),
    Block { half: k, store }: Block,
    (c, is_contiguous): (ArrayViewMut2<'_, T>, bool),
    buffer: &mut [T],
) {
    let kernel = Kernel::<T>::best();
    let (channels, count) = c.dim();
    let columns = channels / 2;
    let tail = count % kernel.vector;
    let whole = if tail <= kernel.most_tail() { count - tail } else { count };
    let operands = |part, left| {
        let (left_step, right) = (kernel.lanes(), parts.get(part));
        Operands { k, left, left_step, right, right_step: columns, right_column: 1 }
    };
    let (mut vectors, mut rest) = c.split_at(Axis(1), whole);
    for (both, left, store) in [([Part::A11, Part::A21], upper, store), ([Part::A12, Part::A22], lower, Store::Add)] {
        if !rest.is_empty() {
            multiply_tail(operands(both[0], &left[whole..]), (store, Finish::NONE), rest.view_mut());
        }
        for (part, (_, tile)) in both.into_iter().zip(blocks(vectors.view_mut(), Axis(0), columns)) {
            multiply_tile(operands(part, left), store, (tile, is_contiguous), buffer);
        }
    }
}
