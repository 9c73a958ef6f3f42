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
mod pair;
mod sums;
mod weights;

pub(crate) use layout::{BLOCK_BYTES, Layout, applies};
pub(crate) use weights::pack_weights;

use std::ops::Range;

use ndarray::{ArrayView5, ArrayViewMut2, ArrayViewMut3, Axis, s};

use self::layout::halves;
use self::pair::Pair;
use self::sums::Source;
use self::weights::{Part, Parts};
use super::Epilogue;
use super::cells::Cells;
use super::image::Image;
use super::panel::pack_panel;
use super::pieces::{blocks, entries};
use super::scratch::aligned;
use super::slab::Region;
use super::tile::{lines, multiply_tile};
use crate::element::Element;
use crate::gemm::{Factors, Finish, Kernel, Operands, Panels, Quarters, Store, multiply_tail};
use crate::geometry::ConvGeometry;
use crate::parallel;
use crate::simd::Input;

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
        let weights = &weights[group * weights::len(outs, depth)..];
        let mut task = Task { geometry: g, layout, weights, first: channel % outs, epilogue, channel, window, piece };
        task.run(Image::of(g, input, image, group), slot);
    });
}

/// One block of output channels, from `first` of its group on, for the windows from `window` on.
struct Task<'a, 'e, 'o, T> {
    geometry: &'a ConvGeometry,
    layout: &'a Layout,
    /// Packed weights from this group on.
    weights: &'a [T],
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

impl<T: Element> Task<'_, '_, '_, T> {
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
        let layout = self.layout;
        let block = Block { half: rows.len() / 2, store };
        let (windows, step) = (self.piece.ncols(), 2 * layout.lanes * layout.pairs);
        let mut start = 0;
        while start < windows {
            // The last ones that make no whole pair come with those before them, since weights are read anew for each part.
            let left = windows - start;
            let count = if left < step + 2 * layout.lanes { left } else { step };
            let windows = self.window + start..self.window + start + count;
            let whole =
                cells.in_place(rows.clone(), windows.clone()).map(|(cells, row_step)| Source { cells, row_step });
            let mut paired = 0;
            let mut pairs = panels.chunks_exact_mut(layout.pair_len());
            for half in halves(count, layout) {
                let pair = Pair { windows: [paired, paired + half], half, rows: block.half };
                let panels = pairs.next().expect("panels for each pair");
                match whole {
                    Some(whole) => pair.add_up(whole, panels, layout),
                    None => pair.pack(cells, (rows.start, windows.start), (panels, buffer), layout),
                }
                paired += 2 * half;
            }
            if paired < count {
                let (upper, lower) = pairs.next().expect("panels for what is left").split_at_mut(layout.panel_len);
                let chunks = cells.chunks(windows.start + paired..windows.end);
                let middle = rows.start + block.half;
                for (panel, rows) in [(upper, rows.start..middle), (lower, middle..rows.end)] {
                    pack_panel(panel, layout.lanes, cells.values, cells.rows(rows), &chunks);
                }
            }
            let next = (windows.end, step);
            let mut next = cells.next((rows.clone(), layout.block_rows), (self.window, self.piece.ncols()), next);
            self.multiply(&rows, block, (start, count), (whole, panels, buffer), &mut next);
            start += count;
        }
    }

    /// Multiplies the panels of some windows by the weights of all channels. Each tile of weights meets all panels.
    fn multiply(
        &mut self,
        rows: &Range<usize>,
        block: Block,
        (start, count): (usize, usize),
        (whole, panels, buffer): (Option<Source<'_, T>>, &[T], &mut [T]),
        next: &mut Input<T>,
    ) {
        let layout = self.layout;
        let before = weights::len(self.geometry.group_out_channels(), rows.start);
        let mut weights = &self.weights[before + weights::len(self.first, rows.len())..];
        let piece = self.piece.slice_mut(s![.., start..start + count]);
        let is_last = rows.end == self.geometry.patch_rows();
        for (first, mut channels) in blocks(piece, Axis(0), layout.pair_channels) {
            let parts = Parts::new(weights, block.half, channels.nrows() / 2);
            weights = &weights[weights::len(channels.nrows(), rows.len())..];
            next.put_first(&weights[..weights.len().min(weights::len(layout.pair_channels, rows.len()))]);
            let paired = halves(count, layout).map(|half| 2 * half).sum();
            let (paired, rest) = channels.view_mut().split_at(Axis(1), paired);
            multiply_pairs(layout, (parts, block), paired, (whole, panels, buffer), next);
            if !rest.is_empty() {
                let panels = panels.chunks_exact(layout.pair_len()).nth(halves(count, layout).count());
                let panels = panels.expect("panels for what is left").split_at(layout.panel_len);
                multiply_rest((parts, block), (panels, layout.lanes), rest, buffer);
            }
            if is_last {
                self.epilogue.apply(self.channel + first, channels);
            }
        }
    }
}

/// A pair of tiles of channels for all pairs of tiles of windows.
fn multiply_pairs<T: Element>(
    layout: &Layout,
    (parts, Block { half: rows, store }): (Parts<'_, T>, Block),
    mut c: ArrayViewMut2<'_, T>,
    (whole, panels, buffer): (Option<Source<'_, T>>, &[T], &mut [T]),
    next: &mut Input<T>,
) {
    let mut first = 0;
    let pairs = halves(c.ncols(), layout).zip(panels.chunks_exact(layout.pair_len())).map(|(half, panels)| {
        let pair = Pair { windows: [first, first + half], half, rows };
        first += 2 * half;
        (pair, panels)
    });
    let channels = c.nrows() / 2;
    let mut multiply = |(pair, panels): (Pair, &[T]), lines: [&mut [&mut [T]]; 2], window, buffer: &mut [T]| {
        let cells = pair.factors(whole, panels, layout);
        let products = std::array::from_fn(|i| {
            let Source { cells, row_step } = cells[i];
            Factors { weights: parts.get(Part::OF_PRODUCTS[i]), cells, row_step }
        });
        let lines = lines.map(|lines| &mut lines[..channels]);
        let quarters = Quarters { products, rows, store, lines, window, half: pair.half, buffer, next };
        Kernel::<T>::best().multiply_quarters(quarters);
    };
    if c.strides()[1] == 1 {
        let (upper, lower) = c.split_at(Axis(0), channels);
        let [mut upper, mut lower] = [lines(upper), lines(lower)];
        pairs.for_each(|(pair, panels)| {
            multiply((pair, panels), [&mut upper, &mut lower], pair.windows[0], &mut *buffer);
        });
    } else {
        for (pair, panels) in pairs {
            let mut tile = c.slice_mut(s![.., pair.windows[0]..pair.windows[0] + 2 * pair.half]);
            let (sums, buffer) = buffer.split_at_mut(tile.len());
            let mut sums = ArrayViewMut2::from_shape(tile.dim(), sums).expect("sums of this tile");
            sums.assign(&tile);
            let (upper, lower) = sums.view_mut().split_at(Axis(0), channels);
            multiply((pair, panels), [&mut lines(upper), &mut lines(lower)], 0, buffer);
            tile.assign(&sums);
        }
    }
}

/// A pair of tiles of channels for a few windows that make no pair: eight products.
fn multiply_rest<T: Element>(
    (parts, Block { half: k, store }): (Parts<'_, T>, Block),
    ((upper, lower), lanes): ((&[T], &[T]), usize),
    c: ArrayViewMut2<'_, T>,
    buffer: &mut [T],
) {
    let kernel = Kernel::<T>::best();
    let (channels, count) = c.dim();
    let columns = channels / 2;
    let tail = count % kernel.vector;
    let whole = if tail <= kernel.most_tail() { count - tail } else { count };
    let (mut vectors, mut rest) = c.split_at(Axis(1), whole);
    for (both, cells, store) in [([Part::A11, Part::A21], upper, store), ([Part::A12, Part::A22], lower, Store::Add)] {
        if !rest.is_empty() {
            let (left, right) = (&cells[whole..], parts.get(both[0]));
            let operands = Operands { k, left, left_step: lanes, right, right_step: columns, right_column: 1 };
            multiply_tail(operands, (store, Finish::NONE), rest.view_mut());
        }
        let panels = Panels { cells, rows: k, lanes, step: lanes, row_step: lanes };
        for (part, (_, tile)) in both.into_iter().zip(blocks(vectors.view_mut(), Axis(0), columns)) {
            multiply_tile(panels, parts.get(part), (store, Finish::NONE, tile), buffer, &mut Input::none());
        }
    }
}
