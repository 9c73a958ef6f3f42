//! Winograd's minimal filtering: 3×3 kernels with 4 (F(4×4)) or 2.25 (F(2×2)) times fewer products, and kernels of one
//! row of 3 with 2 (F(4)) or 1.5 (F(2)) times fewer.
//!
//! Overlapping tiles of the input and the kernels are transformed; for each of the 36 or 16 values of a
//! transformed tile (6 or 4 of one row), kernels times inputs is a dense product over the channels; the products are
//! transformed back. A task takes a batch of tiles from its input to its output while all of it stays
//! in the L2. Sums are not those of the definition: see `Numerics`.

mod layout;
mod rows;
mod scheme;
mod tiles;
mod transform;

pub(crate) use layout::Layout;
pub(crate) use rows::has_moves;
pub(crate) use scheme::{Axes, Scheme, Tile, applies};

use std::ops::Range;

use ndarray::{ArrayView2, ArrayView5, ArrayViewMut1, ArrayViewMut2, ArrayViewMut3, Axis, s};

use self::rows::{Rows, covered, spread};
use self::tiles::{TURNED, interleave, split, turn};
use self::transform::{Direction, Planes, WIDTH, transform};
use super::Epilogue;
use super::image::Image;
use super::lanes::Lanes;
use super::patches::{Segment, segments};
use super::pieces::{blocks, channel_blocks};
use super::scratch::aligned;
use super::slab::{Region, fill_slab};
use crate::element::Element;
use crate::gemm::{Kernel, Operands, Store};
use crate::geometry::ConvGeometry;
use crate::parallel;

/// Input channels whose products are added up before their sum joins the others: the transforms enlarge
/// roundings, so that sums must be shorter than elsewhere to stay within the accuracy that is promised.
const DEPTH: usize = 64;

/// Ranges of so many input channels, of about the same length.
fn depth_blocks(channels: usize) -> impl Iterator<Item = (Range<usize>, Store)> {
    let length = channels.div_ceil(channels.div_ceil(DEPTH).max(1)).max(1);
    (0..channels).step_by(length).map(move |start| (start..(start + length).min(channels), Store::after(start)))
}

/// The kernels `[OC, C/g · taps]`, transformed and packed: by group and tile of channels, then by value of the
/// transformed tile, then by input channel.
pub(crate) fn pack_weights<T: Element>(kernels: ArrayView2<'_, T>, groups: usize, layout: &Layout) -> Vec<T> {
    let (outs, tile) = (kernels.nrows() / groups, layout.tile);
    let (products, taps) = (tile.products(), tile.taps());
    let ins = kernels.ncols() / taps;
    let (unit, most) = channel_tiles::<T>(layout.lanes);
    let padded = outs.next_multiple_of(unit);
    let mut packed = vec![T::zero(); groups * padded * ins * products];
    for group in 0..groups {
        for first in (0..padded).step_by(most) {
            let width = most.min(padded - first);
            let start = (group * padded + first) * ins * products;
            for channel in first..(first + width).min(outs) {
                let row = kernels.row(group * outs + channel);
                for input in 0..ins {
                    let write = |value, u| {
                        packed[start + (value * ins + input) * width + channel - first] = T::from_f64(u);
                    };
                    tile.transform_kernel(|tap| row[input * taps + tap].to_f64(), write);
                }
            }
        }
    }
    packed
}

/// Output channels are padded to the first and cut into the second.
fn channel_tiles<T: Element>(lanes: Lanes) -> (usize, usize) {
    let kernel = Kernel::<T>::best();
    match lanes {
        Lanes::Windows => (1, kernel.columns()),
        Lanes::Channels => (kernel.vector, kernel.lanes()),
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
    let g = geometry;
    let [_, height, width] = g.axes.map(|axis| axis.output);
    let outs = g.group_out_channels();
    let pieces = channel_blocks(output, outs, layout.channels).flat_map(move |(image, channel, rows)| {
        blocks(rows, Axis(1), height * width).enumerate().flat_map(move |(plane, (_, windows))| {
            let pieces = blocks(windows, Axis(1), layout.region);
            pieces.map(move |(start, piece)| (image, channel, [plane, start / width, start % width], piece))
        })
    });
    parallel::for_each(pieces, workspace, layout.slot_len(), |(image, channel, place, piece), slot: &mut [T]| {
        let group = channel / outs;
        let weights = &weights[group * weights.len() / g.groups..];
        let mut task = Task::new((g, layout), weights, channel % outs, (place, piece));
        task.run(Image::of(g, input, image, group), Parts::new(slot, layout));
        epilogue.apply(channel, task.piece);
    });
}

/// The scratch memory of a task.
struct Parts<'s, T> {
    slab: &'s mut [T],
    /// The inputs of one channel's tiles.
    cells: &'s mut [T],
    /// Transformed inputs `[products, C/g, tiles]`.
    transformed: &'s mut [T],
    /// Products `[products, channels, tiles]`, or `[products, tiles, channels]` with channels on the lanes.
    products: &'s mut [T],
    /// Outputs `[outputs of a tile, channels, tiles]`, or with the last two exchanged.
    outputs: &'s mut [T],
}

impl<'s, T> Parts<'s, T> {
    fn new(slot: &'s mut [T], layout: &Layout) -> Self {
        let mut rest = slot;
        let [slab, cells, transformed, products, outputs] = layout.parts.map(|len| {
            let (part, tail) = aligned(std::mem::take(&mut rest)).split_at_mut(len);
            rest = tail;
            part
        });
        Self { slab, cells, transformed, products, outputs }
    }
}

/// A block of output channels, from `first` of its group on, for rows of an output plane or a part of its only row.
struct Task<'a, 'o, T> {
    geometry: &'a ConvGeometry,
    layout: &'a Layout,
    /// Packed weights from this group on.
    weights: &'a [T],
    first: usize,
    /// Plane, row of tiles and column of tiles of the first tile.
    place: [usize; 3],
    piece: ArrayViewMut2<'o, T>,
    /// Cells of a row of the piece, and tiles that cover them.
    width: usize,
    columns: usize,
}

impl<'a, 'o, T: Element> Task<'a, 'o, T> {
    /// The piece begins with the cell `[plane, row, column]`.
    fn new(
        (geometry, layout): (&'a ConvGeometry, &'a Layout),
        weights: &'a [T],
        first: usize,
        ([plane, row, column], piece): ([usize; 3], ArrayViewMut2<'o, T>),
    ) -> Self {
        let (tile, axis) = (layout.tile, geometry.axes[2]);
        let width = axis.output.min(piece.ncols());
        let place = [plane, row / tile.outputs()[0], tile.columns(axis.dilation, column)];
        Self { geometry, layout, weights, first, place, piece, width, columns: tile.columns(axis.dilation, width) }
    }

    fn run(&mut self, image: Image<'_, T>, mut parts: Parts<'_, T>) {
        let layout = self.layout;
        let rows = (self.piece.ncols() / self.width).div_ceil(layout.tile.outputs()[0]);
        let all = rows * self.columns;
        for start in (0..all).step_by(layout.batch) {
            let tiles = start..(start + layout.batch).min(all);
            let ins = self.geometry.group_in_channels();
            for first in (0..ins).step_by(layout.pass) {
                let inputs = first..(first + layout.pass).min(ins);
                self.transform_input(image, tiles.clone(), inputs.clone(), &mut parts);
                match layout.lanes {
                    Lanes::Windows => self.multiply_by_tiles(tiles.clone(), inputs, &mut parts),
                    Lanes::Channels => self.multiply_by_channels(tiles.clone(), inputs, &mut parts),
                }
            }
        }
    }

    /// Fills `parts.transformed` with the transformed inputs of each channel of these tiles, which are counted from
    /// the task's first on.
    fn transform_input(
        &self,
        image: Image<'_, T>,
        tiles: Range<usize>,
        inputs: Range<usize>,
        parts: &mut Parts<'_, T>,
    ) {
        let layout = self.layout;
        let (g, scheme, [plane, first_row, first_column]) = (&layout.tiles, layout.tile.scheme, self.place);
        let [_, tile_rows, columns] = g.axes.map(|axis| axis.output);
        let (top, bottom) = (tiles.start / self.columns, (tiles.end - 1) / self.columns + 1);
        let region = Region { first: [plane, first_row + top], count: [1, bottom - top] };
        let first_tile = (plane * tile_rows + first_row) * columns + first_column;
        // Rows of tiles in this batch.
        let segments = || segments(g, first_tile + tiles.start..first_tile + tiles.end);
        let (held, lanes) = (layout.held, tiles.len().next_multiple_of(WIDTH));
        let [height, side] = layout.tile.sides();
        let rows = Rows::new(&layout.rows_of_tiles, image.view);
        for first in inputs.clone().step_by(layout.slab_channels) {
            let channels = first..(first + layout.slab_channels).min(inputs.end);
            if let Some(slab) = &layout.slab {
                fill_slab(&layout.rows_of_tiles, slab, image, (channels.clone(), region), parts.slab);
            }
            for (place, channel) in channels.enumerate() {
                for Segment { od, oh, windows, place: tiles } in segments() {
                    let Some(slab) = &layout.slab else {
                        let planes = (&mut parts.cells[tiles.start..], lanes);
                        rows.cut((channel, [od, oh]), (scheme, windows), parts.slab, planes);
                        continue;
                    };
                    let (row, step) = (oh - region.first[1], scheme.outputs());
                    for i in 0..height {
                        let line = place * slab.channel_len + (row * step + i) * slab.columns;
                        let cells = &parts.slab[line + windows.start * step..];
                        let planes = &mut parts.cells[i * side * lanes + tiles.start..];
                        match scheme {
                            Scheme::F2 => split::<T, 2>(cells, tiles.len(), planes, lanes),
                            Scheme::F4 => split::<T, 4>(cells, tiles.len(), planes, lanes),
                        }
                    }
                }
                let from = Planes { step: lanes, tiles: lanes };
                // Of fewer tiles than a lane has, the rest is overwritten by the next channel.
                let to = Planes { step: layout.value_step, tiles: lanes };
                let transformed = &mut parts.transformed[(channel - inputs.start) * held..];
                transform(layout.tile, Direction::Input, (&*parts.cells, from), (transformed, to));
            }
        }
    }

    /// Tiles on the lanes.
    fn multiply_by_tiles(&mut self, tiles: Range<usize>, inputs: Range<usize>, parts: &mut Parts<'_, T>) {
        let (layout, kernel) = (self.layout, Kernel::<T>::best());
        let (ins, products) = (self.geometry.group_in_channels(), layout.tile.products());
        let held = layout.held;
        let lanes = tiles.len().next_multiple_of(kernel.vector);
        let channels = self.piece.nrows();
        for group in (0..channels).step_by(layout.group) {
            let count = layout.group.min(channels - group);
            for start in (0..count).step_by(kernel.columns()) {
                let columns = kernel.columns().min(count - start);
                let weights = &self.weights[(self.first + group + start) * ins * products..];
                for value in 0..products {
                    let sums = &mut parts.products[value * layout.kept + start * held..][..columns * held];
                    let sums = ArrayViewMut2::from_shape((columns, held), sums).expect("the products of these tiles");
                    for (tile, mut part) in blocks(sums.slice_move(s![.., ..lanes]), Axis(1), kernel.lanes()) {
                        for (range, store) in depth_blocks(inputs.len()) {
                            let operands = Operands {
                                k: range.len(),
                                left: &parts.transformed[value * layout.value_step + range.start * held + tile..],
                                left_step: held,
                                right: &weights[(value * ins + inputs.start + range.start) * columns..],
                                right_step: columns,
                                right_column: 1,
                            };
                            kernel.run(operands, store, part.view_mut());
                        }
                    }
                }
            }
            let planes = Planes { step: layout.kept, tiles: count * held };
            transform(layout.tile, Direction::Output, (&*parts.products, planes), (&mut *parts.outputs, planes));
            for channel in 0..count {
                let outputs = &parts.outputs[channel * held..];
                self.store_tiles(
                    group + channel,
                    tiles.clone(),
                    outputs,
                    ((planes.step, 1), Store::after(inputs.start)),
                );
            }
        }
    }

    /// Channels on the lanes.
    fn multiply_by_channels(&mut self, tiles: Range<usize>, inputs: Range<usize>, parts: &mut Parts<'_, T>) {
        let (layout, kernel) = (self.layout, Kernel::<T>::best());
        let (ins, products) = (self.geometry.group_in_channels(), layout.tile.products());
        let channels = self.piece.nrows();
        for group in (0..channels).step_by(layout.group) {
            let count = layout.group.min(channels - group);
            let width = count.next_multiple_of(kernel.vector);
            for value in 0..products {
                let sums = &mut parts.products[value * layout.kept..][..tiles.len() * width];
                let sums =
                    ArrayViewMut2::from_shape((tiles.len(), width), sums).expect("the products of these channels");
                for (first, mut sums) in blocks(sums, Axis(1), kernel.lanes()) {
                    let lanes = sums.ncols();
                    let left = &self.weights[(self.first + group + first) * ins * products + value * ins * lanes..];
                    for (range, store) in depth_blocks(inputs.len()) {
                        let left = &left[(inputs.start + range.start) * lanes..];
                        let transformed = &parts.transformed[value * layout.value_step + range.start * layout.held..];
                        for (start, tile) in blocks(sums.view_mut(), Axis(0), kernel.columns()) {
                            let operands = Operands {
                                k: range.len(),
                                left,
                                left_step: lanes,
                                right: &transformed[start..],
                                right_step: layout.held,
                                right_column: 1,
                            };
                            kernel.run(operands, store, tile);
                        }
                    }
                }
            }
            let planes = Planes { step: layout.kept, tiles: tiles.len() * width };
            transform(layout.tile, Direction::Output, (&*parts.products, planes), (&mut *parts.outputs, planes));
            let store = Store::after(inputs.start);
            for first in (0..count).step_by(TURNED) {
                let channels = group + first..group + count.min(first + TURNED);
                self.store_turned(channels, tiles.clone(), &parts.outputs[first..], ((planes.step, width), store));
            }
        }
    }

    /// Writes the outputs of one channel's tiles, or adds to what is there; those beyond the edge are dropped.
    /// Output `i` of tile `t` is at `i · steps.0 + t · steps.1`.
    fn store_tiles(
        &mut self,
        channel: usize,
        tiles: Range<usize>,
        outputs: &[T],
        (steps, store): ((usize, usize), Store),
    ) {
        let ([high, side], dilation) = (self.layout.tile.outputs(), self.geometry.axes[2].dilation);
        let (columns, width) = (self.columns, self.width);
        let mut channel = self.piece.row_mut(channel);
        let rows = channel.len() / width;
        let mut start = tiles.start;
        while start < tiles.end {
            let (row, column) = (start / columns, start % columns);
            let count = (columns - column).min(tiles.end - start);
            for i in 0..high.min(rows - row * high) {
                let place = (row * high + i) * width;
                let from = &outputs[i * side * steps.0 + (start - tiles.start) * steps.1..];
                match channel.as_slice_mut().map(|line| &mut line[place..place + width]) {
                    Some(line) if dilation > 1 => {
                        spread(line, (side, dilation), column..column + count, from, (steps, store));
                    }
                    Some(line) => {
                        let line = &mut line[column * side..width.min((column + count) * side)];
                        match side {
                            4 => interleave::<T, 4>(line, from, steps, store),
                            _ => interleave::<T, 2>(line, from, steps, store),
                        }
                    }
                    None => {
                        for tile in 0..count {
                            let cells = covered(column + tile, dilation, side).take_while(|&cell| cell < width);
                            cells.enumerate().for_each(|(j, cell)| {
                                store.put(&mut channel[place + cell], from[j * steps.0 + tile * steps.1]);
                            });
                        }
                    }
                }
            }
            start += count;
        }
    }

    /// The same for some channels at once, at most [`TURNED`], which lie side by side in `outputs`.
    fn store_turned(
        &mut self,
        channels: Range<usize>,
        tiles: Range<usize>,
        outputs: &[T],
        (steps, store): ((usize, usize), Store),
    ) {
        if self.piece.strides()[1] != 1 {
            for (offset, channel) in channels.enumerate() {
                self.store_tiles(channel, tiles.clone(), &outputs[offset..], (steps, store));
            }
            return;
        }
        let ([high, side], dilation) = (self.layout.tile.outputs(), self.geometry.axes[2].dilation);
        let (columns, width) = (self.columns, self.width);
        let rows = self.piece.ncols() / width;
        let count = channels.len();
        let mut piece = self.piece.slice_mut(s![channels, ..]);
        let mut rest = piece.axis_iter_mut(Axis(0));
        let mut lines: [&mut [T]; TURNED] =
            std::array::from_fn(|_| rest.next().and_then(ArrayViewMut1::into_slice).unwrap_or_default());
        for (place, tile) in tiles.enumerate() {
            let (row, column) = (tile / columns * high, tile % columns);
            for i in 0..high.min(rows - row) {
                let start = (row + i) * width;
                let from = &outputs[i * side * steps.0 + place * steps.1..];
                let lines = &mut lines[..count];
                if dilation > 1 {
                    let cells = covered(column, dilation, side).take_while(|&cell| cell < width);
                    cells.enumerate().for_each(|(j, cell)| {
                        turn::<T, 1>(lines, start + cell..start + cell + 1, &from[j * steps.0..], (steps.0, store));
                    });
                    continue;
                }
                let cells = start + column * side..start + width.min((column + 1) * side);
                match side {
                    4 => turn::<T, 4>(lines, cells, from, (steps.0, store)),
                    _ => turn::<T, 2>(lines, cells, from, (steps.0, store)),
                }
            }
        }
    }
}
