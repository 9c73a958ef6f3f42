//! Winograd's minimal filtering: 3×3 kernels with 4 (F(4×4)) or 2.25 (F(2×2)) times fewer products, 1.8 or 1.4 times where
//! windows move by two; 4×4 (F(3×3)) and 5×5 kernels (F(2×2)) with 4 and 2.8 times fewer; kernels of one row of 3 with 2 (F(4)) or 1.5
//! (F(2)); and larger kernels whose windows move by two or four as one of these over the phases of their cells (`polyphase.rs`).
//!
//! Overlapping tiles of the input and the kernels are transformed; for each of the values of a transformed tile (36 of
//! F(4×4)), kernels times inputs is a dense product over the channels; the products are transformed back. A task
//! takes a block of tiles from its input to its output while all of it stays in the L2. Channels lie on the vector lanes: inputs
//! are turned on their way in, outputs on their way back, and whatever the size of a map no lane is empty.
//! Sums are not those of the definition: see `Numerics`. Weight gradients are in `grad.rs`.

mod axis;
mod cells;
mod grad;
mod grad_layout;
mod layout;
mod part;
mod places;
mod polyphase;
mod scheme;
mod shares;
mod transform;
mod weights;

pub(crate) use grad::weight_grad;
pub(crate) use grad_layout::GradLayout;
pub(crate) use layout::{Layout, is_folded};
pub(crate) use polyphase::Polyphase;
pub(crate) use scheme::{Scheme, Tile};
pub(crate) use shares::{VALUE, WEIGHT_BYTE};
pub(crate) use weights::pack_weights;

use std::ops::Range;

use ndarray::{ArrayView5, ArrayViewMut3, Axis, s};

use self::cells::Cells;
use self::part::Part;
use self::places::{Kind, TilePlaces};
use self::scheme::Filter;
use self::transform::{Direction, Transform};
use super::Epilogue;
use super::fold::{fold_input, fold_output};
use super::image::Image;
use super::pieces::{blocks, cut_up, entries};
use super::scratch::aligned_parts;
use super::turned::Side;
use crate::element::Element;
use crate::gemm::{Kernel, Store, Turned, channel_lanes};
use crate::geometry::ConvGeometry;
use crate::parallel;
use crate::simd::SIDE;

/// Input channels, or tiles in a weight gradient, whose products are added up before their sum joins the others: the
/// transforms enlarge roundings, so that sums must be shorter than elsewhere to stay within the accuracy that is promised.
const DEPTH: usize = 64;

/// The same for five taps, whose transforms enlarge them more, and for outputs of which some are sums over few taps.
const SHORT_DEPTH: usize = 32;

/// Products that are added up one to the next.
fn chain(tile: Tile) -> usize {
    match (tile.filter, tile.scheme) {
        (Filter::Five, _) | (Filter::Doubling, Scheme::F4) => SHORT_DEPTH,
        _ => DEPTH,
    }
}

/// `output [N, OC, windows] = W · Cols(input)`, with the weights as [`pack_weights`] left them.
pub(super) fn forward<T: Element>(
    (geometry, layout): (&ConvGeometry, &Layout),
    weights: &[T],
    input: ArrayView5<'_, T>,
    epilogue: Epilogue<'_, T>,
    (output, workspace): (ArrayViewMut3<'_, T>, &mut [T]),
) {
    let (g, input) = match &layout.folded {
        Some(folded) => (folded, fold_input(input)),
        None => (geometry, input),
    };
    let output = fold_output(output, layout.folded.is_some());
    let (grid, outs) = (&layout.grid, g.group_out_channels());
    let [all_lines, all_rows, _] = grid.counts;
    let [task_lines, task_rows] = layout.task;
    let all_cells = grid.cells(&(0..all_lines), &(0..all_rows)).len();
    let task_line = task_lines * grid.line;
    let regions = entries(output).flat_map(move |(image, channels)| {
        blocks(channels, Axis(0), outs).flat_map(move |(channel, cells)| {
            blocks(cells, Axis(1), task_lines).flat_map(move |(first, images)| {
                blocks(images, Axis(2), all_cells).enumerate().flat_map(move |(depth, (_, plane))| {
                    blocks(plane, Axis(2), task_line).enumerate().flat_map(move |(line, (_, cells))| {
                        // The lines of a folded batch are its images, others those of one plane.
                        let first = first + line * task_lines;
                        let lines = first..(first + task_lines).min(all_lines);
                        let rows =
                            (0..all_rows).step_by(task_rows).map(move |row| row..(row + task_rows).min(all_rows));
                        let cut = rows.map(move |rows| (grid.cells(&(0..task_lines), &rows).len(), rows));
                        cut_up(cells, Axis(2), cut)
                            .map(move |(rows, region)| (image, channel, (depth, lines.clone(), rows), region))
                    })
                })
            })
        })
    });
    let pieces = layout.shares.cut_up(regions);
    parallel::for_each(pieces, workspace, layout.slot_len(), |(image, channel, place, piece), slot: &mut [T]| {
        let group = channel / outs;
        let weights = &weights[group * weights.len() / g.groups..];
        let (depth, lines, rows) = place;
        let mut task = Task { geometry: g, layout, weights, first: channel % outs, depth, lines, rows, piece };
        let read = layout.phases.as_ref().map_or(g, |phases| &phases.read);
        task.run(Image::of(read, input, image, group), Parts::new(slot, layout));
        epilogue.apply(channel, task.piece);
    });
}

/// The scratch memory of a task.
struct Parts<'s, T> {
    /// Rows of an image with their border.
    edges: &'s mut [T],
    /// The inputs of sixteen channels of a block of tiles, turned.
    cells: &'s mut [T],
    /// Transformed inputs `[products, sixteen channels of a pass, tiles, channels]`.
    transformed: &'s mut [T],
    /// Products `[products, tile of output channels, tiles, output channels]`.
    products: &'s mut [T],
    /// Outputs `[cells, channel]` of sixteen channels.
    outputs: &'s mut [T],
}

impl<'s, T> Parts<'s, T> {
    fn new(slot: &'s mut [T], layout: &Layout) -> Self {
        let [edges, cells, transformed, products, outputs] = aligned_parts(slot, layout.parts);
        Self { edges, cells, transformed, products, outputs }
    }
}

/// A block of output channels, from `first` of its group on, for some lines of an output plane or rows of tiles of one.
struct Task<'a, 'o, T> {
    geometry: &'a ConvGeometry,
    layout: &'a Layout,
    /// Packed weights from this group on.
    weights: &'a [T],
    first: usize,
    depth: usize,
    lines: Range<usize>,
    rows: Range<usize>,
    /// `[channels, images, cells]`, of several images in a folded batch only.
    piece: ArrayViewMut3<'o, T>,
}

impl<T: Element> Task<'_, '_, T> {
    fn run(&mut self, image: Image<'_, T>, mut parts: Parts<'_, T>) {
        let (g, layout) = (self.geometry, self.layout);
        let ins = g.group_in_channels();
        if ins == 0 {
            return self.piece.fill(T::zero());
        }
        for part in Part::all(self.lines.clone(), self.rows.clone(), layout.grid.counts[2], layout.block) {
            let places = TilePlaces::of(part.kind_counts(&layout.grid), part.places(&layout.grid));
            let area = part.read_area(&layout.grid);
            let cells = Cells::new((g, layout.tile), image, (self.depth, &part, area), &layout.places)
                .by_phases(layout.phases.as_ref());
            parts.cells[..cells.len()].fill(T::zero());
            for first in (0..ins).step_by(layout.pass) {
                let inputs = first..(first + layout.pass).min(ins);
                self.transform_inputs(&cells, (&places, inputs.clone()), &mut parts);
                self.multiply(&part, (&places, inputs), &mut parts);
            }
        }
    }

    /// Fills `parts.transformed` with the transformed inputs of each channel of a block of tiles.
    fn transform_inputs(
        &self,
        cells: &Cells<'_, '_, T>,
        (places, inputs): (&TilePlaces, Range<usize>),
        parts: &mut Parts<'_, T>,
    ) {
        let layout = self.layout;
        for first in inputs.clone().step_by(SIDE) {
            cells.turn(first..(first + SIDE).min(inputs.end), parts.edges, parts.cells);
            let side = (first - inputs.start) / SIDE * layout.side_step;
            for Kind { tile, range, gap } in places.kinds(layout.tile) {
                Transform {
                    tile,
                    direction: Direction::Input,
                    channels: SIDE,
                    places: &places.inputs()[range.clone()],
                    cell_steps: cells.steps(),
                    tile_step: SIDE,
                    value_step: layout.value_step,
                    gap: gap * SIDE,
                    from: parts.cells,
                    to: &mut parts.transformed[side + range.start * SIDE..],
                }
                .run();
            }
        }
    }

    /// Multiplies the transformed inputs by the weights of some output channels after the other, and transforms
    /// their products back.
    fn multiply(&mut self, part: &Part, (places, inputs): (&TilePlaces, Range<usize>), parts: &mut Parts<'_, T>) {
        let (layout, kernel, [unit, most]) = (self.layout, Kernel::<T>::best(), channel_lanes::<T>());
        let channels = self.piece.len_of(Axis(0));
        for group in (0..channels).step_by(layout.group) {
            let width = layout.group.min(channels - group).next_multiple_of(unit);
            for value in 0..layout.tile.products() {
                let cells = &parts.transformed[value * layout.value_step..][..layout.value_step];
                let turned = Turned { cells, step: layout.side_step, chain: chain(layout.tile) };
                let products = &mut parts.products[value * layout.kept..][..places.count * width];
                let columns = places.having(layout.tile, value);
                for first in (0..width).step_by(most) {
                    let lanes = most.min(width - first);
                    let weights = self.weights((group + first, lanes), value, &inputs);
                    let sums = &mut products[first * places.count..][..columns * lanes];
                    kernel.multiply_turned(turned, weights, lanes, sums);
                }
            }
            for first in (0..width).step_by(SIDE) {
                self.store(part, (places, width), (group, first), (Store::after(inputs.start), parts));
            }
        }
    }

    /// The weights of a value for some channels of the task, and those that are read after them about then.
    fn weights(&self, (first, lanes): (usize, usize), value: usize, inputs: &Range<usize>) -> (&[T], &[T]) {
        let (ins, products) = (self.geometry.group_in_channels(), self.layout.tile.products());
        let value = &self.weights[((self.first + first) * products + value * lanes) * ins..];
        let next = value.get((ins + inputs.start) * lanes..).unwrap_or_default();
        (&value[inputs.start * lanes..inputs.end * lanes], &next[..next.len().min(inputs.len() * lanes)])
    }

    /// Transforms the products of sixteen channels, from `first` of a group of `width` on, and writes their outputs or adds
    /// them to what is there.
    fn store(
        &mut self,
        part: &Part,
        (places, width): (&TilePlaces, usize),
        (group, first): (usize, usize),
        (store, parts): (Store, &mut Parts<'_, T>),
    ) {
        let Layout { grid, kept, .. } = self.layout;
        let [_, most] = channel_lanes::<T>();
        for channel in (first..width.min(first + SIDE)).step_by(most.min(SIDE)) {
            let block = channel / most * most;
            let lanes = most.min(width - block);
            for Kind { tile, range, gap } in places.kinds(grid.tile) {
                Transform {
                    tile,
                    direction: Direction::Output,
                    channels: lanes.min(SIDE),
                    places: &places.outputs()[range.clone()],
                    cell_steps: [part.width(grid) * SIDE, SIDE],
                    tile_step: lanes,
                    value_step: *kept,
                    gap: gap * lanes,
                    from: &parts.products[block * places.count + range.start * lanes + channel - block..],
                    to: &mut parts.outputs[channel - first..],
                }
                .run();
            }
        }
        let start = grid.cells(&self.lines, &self.rows).start;
        let (all, _, len) = self.piece.dim();
        let channels = (group + first).min(all)..(group + first + SIDE).min(all);
        for (mut place, cells) in part.runs(grid) {
            let mut cells = cells.start - start..cells.end - start;
            while !cells.is_empty() {
                let (image, cell) = (cells.start / len, cells.start % len);
                let count = cells.len().min(len - cell);
                let lines = self.piece.slice_mut(s![channels.clone(), image, cell..cell + count]);
                let outputs = (&parts.outputs[place * SIDE..], SIDE);
                Side::of(lines).store(outputs, 0..count, store);
                (place, cells.start) = (place + count, cells.start + count);
            }
        }
    }
}
