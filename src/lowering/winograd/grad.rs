//! The weight gradient by Winograd's minimal filtering: `Gᵀ [Σ (A e Aᵀ) ⊙ (Bᵀ d B)] G` over all tiles of all images.
//!
//! For each of the values of a transformed tile, transformed gradients of the output times transformed inputs is a dense
//! product over the tiles: as many times fewer products as in the forward pass. A task computes the gradients of a block of
//! kernels: it takes some tiles after the other, and transforms its sums back only once, at the end. Channels lie on the vector
//! lanes, so that whatever the size of a map no lane is empty.

use std::ops::Range;

use ndarray::{ArrayView5, ArrayViewMut2, Axis};

use super::DEPTH;
use super::cells::Cells;
use super::grad_layout::{GradLayout, KERNELS};
use super::part::Part;
use super::places::TilePlaces;
use super::transform::{Direction, Transform};
use crate::element::Element;
use crate::gemm::{Kernel, Store, Sums, Windows};
use crate::geometry::ConvGeometry;
use crate::lowering::image::Image;
use crate::lowering::lanes::Vector;
use crate::lowering::pieces::{blocks, kernel_blocks};
use crate::lowering::scratch::aligned_parts;
use crate::lowering::turned::turn_back;
use crate::parallel;
use crate::simd::{Output, SIDE};

/// `weight_grad [OC, C/g · taps] = grad_output · Cols(input)ᵀ`, summed over images and tiles in order.
pub(crate) fn weight_grad<T: Element>(
    (geometry, layout): (&ConvGeometry, &GradLayout),
    input: ArrayView5<'_, T>,
    grad_output: ArrayView5<'_, T>,
    (weight_grad, workspace): (ArrayViewMut2<'_, T>, &mut [T]),
) {
    let taps = layout.tile.taps();
    let pieces = kernel_blocks(weight_grad, geometry, [layout.outs, layout.ins]);
    parallel::for_each(pieces, workspace, layout.slot_len(), |(group, [out, channel], piece), slot: &mut [T]| {
        let task = Task {
            geometry,
            layout,
            group,
            outs: out..out + piece.nrows(),
            ins: channel..channel + piece.ncols() / taps,
            tiles: Tiles::of::<T>(piece.nrows()),
        };
        task.run(input, grad_output, Parts::new(slot, layout), piece);
    });
}

/// Tiles of output channels: as many as the product kernel has lanes, the last one perhaps fewer.
#[derive(Clone, Copy)]
struct Tiles {
    most: usize,
    padded: usize,
}

impl Tiles {
    fn of<T: Element>(outs: usize) -> Self {
        let [unit, most] = Vector::of::<T>().channels;
        Self { most, padded: outs.next_multiple_of(unit) }
    }

    /// The first channel and the lanes of each.
    fn all(self) -> impl Iterator<Item = (usize, usize)> {
        (0..self.padded).step_by(self.most).map(move |first| (first, self.lanes(first)))
    }

    fn lanes(self, first: usize) -> usize {
        self.most.min(self.padded - first)
    }
}

/// The scratch memory of a task.
struct Parts<'s, T> {
    /// Rows of an image with their border.
    edges: &'s mut [T],
    /// The cells of sixteen channels of a part, turned.
    cells: &'s mut [T],
    /// Transformed inputs `[values, tiles, input channels]`.
    inputs: &'s mut [T],
    /// Transformed gradients `[values, tile of output channels, tiles, output channels]`.
    grads: &'s mut [T],
    /// Sums of their products `[values, tile of output channels, input channels, output channels]`.
    sums: &'s mut [T],
    /// Gradients of kernels `[input channel, tap, output channel]` of a tile of output channels.
    kernels: &'s mut [T],
}

impl<'s, T> Parts<'s, T> {
    fn new(slot: &'s mut [T], layout: &GradLayout) -> Self {
        let [edges, cells, inputs, grads, sums, kernels] = aligned_parts(slot, layout.parts);
        Self { edges, cells, inputs, grads, sums, kernels }
    }
}

/// Sixteen channels at a time, each time with the number of the first among them.
fn sides(channels: &Range<usize>) -> impl Iterator<Item = (usize, Range<usize>)> + use<> {
    let Range { start, end } = *channels;
    (start..end).step_by(SIDE).map(move |channel| (channel - start, channel..end.min(channel + SIDE)))
}

/// A block of output channels and one of input channels of a group.
struct Task<'a> {
    geometry: &'a ConvGeometry,
    layout: &'a GradLayout,
    group: usize,
    outs: Range<usize>,
    ins: Range<usize>,
    tiles: Tiles,
}

impl Task<'_> {
    fn run<T: Element>(
        &self,
        input: ArrayView5<'_, T>,
        grad_output: ArrayView5<'_, T>,
        mut parts: Parts<'_, T>,
        mut piece: ArrayViewMut2<'_, T>,
    ) {
        let (g, layout, depth) = (self.geometry, self.layout, self.geometry.axes[0].output);
        let planes = g.batch * depth;
        if planes == 0 {
            return piece.fill(T::zero());
        }
        let [lines, rows, columns] = layout.grid.counts;
        let mut store = Store::Overwrite;
        for part in Part::all(0..lines, 0..rows, columns, layout.block) {
            let tiles = part.tiles();
            let (inputs, outputs) = (part.input_places(&layout.grid), part.output_places(&layout.grid));
            let places = inputs.zip(outputs).map(|(input, output)| [input, output]);
            let places = TilePlaces::of(part.kind_counts(&layout.grid), places);
            for first in (0..planes).step_by(layout.planes) {
                let some = first..planes.min(first + layout.planes);
                parts.cells.fill(T::zero());
                for (number, plane) in some.clone().enumerate() {
                    let image = Image::of(g, input, plane / depth, self.group);
                    let place = (plane % depth, &part, part.read_area(&layout.grid));
                    let cells = Cells::new((g, layout.tile), image, place, &layout.input_places);
                    self.transform_inputs(&cells, (places.inputs(), number * tiles), &mut parts);
                }
                parts.cells.fill(T::zero());
                for (number, plane) in some.clone().enumerate() {
                    let image = Image::of(&layout.output, grad_output, plane / depth, self.group);
                    let place = (plane % depth, &part, part.output_area(&layout.grid));
                    let cells = Cells::new((&layout.output, layout.tile), image, place, &layout.output_places);
                    self.transform_grads(&cells, (places.outputs(), number * tiles), &mut parts);
                }
                self.multiply(some.len() * tiles, store, &mut parts);
                store = Store::Add;
            }
        }
        self.store(&mut parts, piece);
    }

    /// Fills `parts.inputs` from tile `first` on.
    fn transform_inputs<T: Element>(
        &self,
        cells: &Cells<'_, '_, T>,
        (places, first): (&[usize], usize),
        parts: &mut Parts<'_, T>,
    ) {
        let held = self.layout.held;
        for (start, channels) in sides(&self.ins) {
            cells.turn(channels, parts.edges, parts.cells);
            let to = &mut parts.inputs[first * held + start..];
            self.transform(Direction::Input, (cells, places), (SIDE, held), (parts.cells, to));
        }
    }

    /// Fills `parts.grads` from tile `first` on.
    fn transform_grads<T: Element>(
        &self,
        cells: &Cells<'_, '_, T>,
        (places, first): (&[usize], usize),
        parts: &mut Parts<'_, T>,
    ) {
        let Tiles { most, padded } = self.tiles;
        for (start, channels) in sides(&self.outs) {
            cells.turn(channels, parts.edges, parts.cells);
            for out in (start..padded.min(start + SIDE)).step_by(most.min(SIDE)) {
                let tile = out / most * most;
                let lanes = self.tiles.lanes(tile);
                let to = &mut parts.grads[tile * self.layout.tiles + first * lanes + out - tile..];
                let from = &parts.cells[out - start..];
                self.transform(Direction::Grad, (cells, places), (lanes.min(SIDE), lanes), (from, to));
            }
        }
    }

    /// From turned cells to the values of so many channels, `tile_step` elements from one tile to the next.
    fn transform<T: Element>(
        &self,
        direction: Direction,
        (cells, places): (&Cells<'_, '_, T>, &[usize]),
        (channels, tile_step): (usize, usize),
        (from, to): (&[T], &mut [T]),
    ) {
        let [inputs, grads, _] = self.layout.value_steps;
        let value_step = if direction == Direction::Input { inputs } else { grads };
        let (tile, cell_steps, gap) = (self.layout.tile, cells.steps(), 0);
        Transform { tile, direction, channels, places, cell_steps, tile_step, value_step, gap, from, to }.run();
    }

    /// Adds the products of so many tiles to `parts.sums`.
    fn multiply<T: Element>(&self, tiles: usize, store: Store, parts: &mut Parts<'_, T>) {
        let (layout, kernel, ins) = (self.layout, Kernel::<T>::best(), self.ins.len());
        let [inputs_step, grads_step, sums_step] = layout.value_steps;
        for value in 0..layout.tile.products() {
            let windows = Windows {
                cells: &parts.inputs[value * inputs_step..(value + 1) * inputs_step],
                offsets: &layout.offsets[..tiles],
                start: 0,
                counts: [1, 1, ins],
                steps: [0, 0, 1],
                border: None,
                is_bare: false,
                are_far: false,
            };
            for (first, lanes) in self.tiles.all() {
                let grads = &parts.grads[value * grads_step + first * layout.tiles..][..tiles * lanes];
                let sums = &mut parts.sums[value * sums_step + first * ins..][..ins * lanes];
                let sums = Sums { sums, step: lanes, chain: DEPTH };
                kernel.multiply_windows(windows, (grads, &[]), (store, sums), Output::none());
            }
        }
    }

    /// Transforms the sums back.
    fn store<T: Element>(&self, parts: &mut Parts<'_, T>, piece: ArrayViewMut2<'_, T>) {
        let (tile, ins) = (self.layout.tile, self.ins.len());
        let taps = tile.taps();
        for (first, mut lines) in blocks(piece, Axis(0), self.tiles.most) {
            let lanes = self.tiles.lanes(first);
            let places: [usize; KERNELS] = std::array::from_fn(|kernel| kernel * taps * lanes);
            for channel in (0..ins).step_by(KERNELS) {
                let count = KERNELS.min(ins - channel);
                Transform {
                    tile,
                    direction: Direction::Kernel,
                    channels: lanes,
                    places: &places[..count],
                    cell_steps: [tile.kernel()[1] * lanes, lanes],
                    tile_step: lanes,
                    value_step: self.layout.value_steps[2],
                    gap: 0,
                    from: &parts.sums[first * ins + channel * lanes..],
                    to: parts.kernels,
                }
                .run();
                for (side, lines) in blocks(lines.view_mut(), Axis(0), SIDE) {
                    let range = channel * taps..(channel + count) * taps;
                    turn_back((&parts.kernels[side..], lanes), lines, range);
                }
            }
        }
    }
}
