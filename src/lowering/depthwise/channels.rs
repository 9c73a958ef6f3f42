//! Channels on the vector lanes: the rule, where there are enough of them.
//!
//! Sixteen channels at a time are turned, so that a vector holds the same cell of all of them, into a copy with zeros
//! around it. Then each output is a short sum of vectors whatever the kernel, stride or width, and is turned back.

#![allow(
    clippy::needless_range_loop,
    reason = "loops of constant length over arrays become registers, iterators do not"
)]

use std::ops::Range;

use ndarray::{ArrayView2, ArrayViewMut2, Axis};
use pulp::{Simd, WithSimd};

use crate::element::Element;
use crate::geometry::{Axis as Line, ConvGeometry, PadMode};
use crate::lowering::slab::Region;
use crate::lowering::turned::turn_back;
use crate::simd::{Places, SIDE, arch};

/// The turned cells of one region, and as much for its outputs, should stay in the L2 with room to spare.
const CELL_BYTES: usize = 128 << 10;

/// Groups from which this pays: fewer leave most lanes empty.
const MIN_GROUPS: usize = 8;

/// Outputs of a row that are computed together: the rows of usual maps are multiples of it.
const BLOCK: usize = 7;

/// How the turned cells of a region lie: `[plane][row][column][channel]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    /// Output rows of one region.
    pub rows: usize,
    /// Padded rows and columns of the region.
    height: usize,
    pub pitch: usize,
    /// Where each kernel cell lies in a window.
    pub offsets: Vec<usize>,
    /// Where the cells of as many rows of the image as there may be go.
    places: Vec<usize>,
}

impl Layout {
    /// Whether there are enough channels, and nothing but zeros around them.
    pub fn applies(g: &ConvGeometry) -> bool {
        g.groups >= MIN_GROUPS && g.pad_mode == PadMode::Zeros
    }

    /// `None` if another way is better, or must be taken.
    pub fn new(g: &ConvGeometry, size: usize, workspace_bytes: usize) -> Option<Self> {
        let [d, h, w] = g.axes;
        if !Self::applies(g) {
            return None;
        }
        let pitch = padded(w);
        let row_bytes = d.kernel.checked_mul(pitch)?.checked_mul(SIDE * size)?;
        let height = |rows: usize| (rows - 1) * h.stride + h.extent();
        let most = CELL_BYTES.min(workspace_bytes / 2);
        let mut rows = h.output;
        while rows > 1 && height(rows).saturating_mul(row_bytes) > most {
            rows = rows.div_ceil(2);
        }
        if height(rows).saturating_mul(row_bytes) > workspace_bytes {
            return None;
        }
        let height = height(rows);
        let mut offsets = Vec::with_capacity(g.taps());
        for td in 0..d.kernel {
            for th in 0..h.kernel {
                offsets
                    .extend((0..w.kernel).map(|tw| ((td * height + th * h.dilation) * pitch + tw * w.dilation) * SIDE));
            }
        }
        let cells = height.min(h.input) * w.input;
        let places = (0..cells).map(|cell| (cell / w.input * pitch + cell % w.input + w.pad_before) * SIDE);
        Some(Self { rows, height, pitch, offsets, places: places.collect() })
    }

    /// Elements of the turned cells, and of the outputs.
    pub fn lens(&self, g: &ConvGeometry) -> [usize; 2] {
        [g.axes[0].kernel * self.height * self.pitch * SIDE, self.rows * g.axes[2].output * SIDE]
    }
}

/// Columns that windows may read, and those of the image beyond.
fn padded(axis: Line) -> usize {
    let read = (axis.output.max(1) - 1) * axis.stride + axis.extent();
    read.max(axis.pad_before + axis.input)
}

/// The kernels `[channels, taps]`, in blocks of channels that lie side by side: `[block][multiplier][tap][channel]`.
pub(super) fn pack_weights<T: Element>(kernels: ArrayView2<'_, T>, groups: usize) -> Vec<T> {
    let multiplier = kernels.nrows() / groups;
    let mut packed = Vec::with_capacity(groups.next_multiple_of(SIDE) * multiplier * kernels.ncols());
    for first in (0..groups).step_by(SIDE) {
        for number in 0..multiplier {
            for tap in 0..kernels.ncols() {
                packed.extend((first..first + SIDE).map(|group| match group < groups {
                    true => kernels[[group * multiplier + number, tap]],
                    false => T::zero(),
                }));
            }
        }
    }
    packed
}

/// Computes the outputs `[channels, windows]` of at most sixteen groups, whose images lie one after the other in `cells`.
pub(super) fn convolve<T: Element>(
    (g, layout): (&ConvGeometry, &Layout),
    (weights, cells): (&[T], &[T]),
    regions: impl Iterator<Item = Region>,
    (mut output, groups): (ArrayViewMut2<'_, T>, usize),
    [turned, outputs]: [&mut [T]; 2],
) {
    let multiplier = output.nrows() / groups;
    let [_, height, width] = g.axes.map(|axis| axis.output);
    for region in regions {
        let [plane, row] = region.first;
        turn_region((g, layout), (cells, groups), (plane, row), turned);
        let start = (plane * height + row) * width;
        let windows = start..start + region.count[1] * width;
        let taps = layout.offsets.len();
        for number in 0..multiplier {
            let weights = &weights[number * taps * SIDE..][..taps * SIDE];
            let outputs = &mut outputs[..windows.len() * SIDE];
            arch().dispatch(Sums { g, layout, weights, turned, outputs: &mut *outputs });
            let lines = output.axis_iter_mut(Axis(0)).skip(number).step_by(multiplier);
            turn_back((outputs, SIDE), lines, windows.clone());
        }
    }
}

/// Copies all rows that the windows of a region may read; those outside the image are zeros. Columns outside it are
/// not written.
pub(super) fn turn_region<T: Element>(
    (g, layout): (&ConvGeometry, &Layout),
    (cells, groups): (&[T], usize),
    (plane, row): (usize, usize),
    turned: &mut [T],
) {
    let [d, h, w] = g.axes;
    let line = layout.pitch * SIDE;
    let rows = inside(h, row * h.stride, layout.height);
    for (tap, turned) in turned.chunks_exact_mut(layout.height * line).enumerate() {
        let depth = (plane * d.stride + tap * d.dilation).wrapping_sub(d.pad_before);
        if depth >= d.input {
            turned.fill(T::zero());
            continue;
        }
        turned[..rows.start * line].fill(T::zero());
        turned[rows.end * line..].fill(T::zero());
        if rows.is_empty() {
            continue;
        }
        let first = (depth * h.input + row * h.stride + rows.start - h.pad_before) * w.input;
        let count = rows.len() * w.input;
        let channel = |i: usize| &cells[i.min(groups - 1) * g.input_cells() + first..][..count];
        let start = rows.start * line;
        let to = Places { cells: &mut turned[start..], place: |cell: usize| layout.places[cell] };
        T::turn(std::array::from_fn(channel), to);
    }
}

/// The rows of a region, of `count` from `start` of the padded axis on, that are in the image.
fn inside(axis: Line, start: usize, count: usize) -> Range<usize> {
    let first = axis.pad_before.saturating_sub(start).min(count);
    let end = (axis.pad_before + axis.input).saturating_sub(start).clamp(first, count);
    first..end
}

struct Sums<'a, T> {
    g: &'a ConvGeometry,
    layout: &'a Layout,
    weights: &'a [T],
    turned: &'a [T],
    outputs: &'a mut [T],
}

impl<T: Element> WithSimd for Sums<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match self.g.axes[2].stride {
            1 => self.rows::<S, 1>(simd),
            2 => self.rows::<S, 2>(simd),
            _ => self.rows::<S, 0>(simd),
        }
    }
}

impl<T: Element> Sums<'_, T> {
    /// `STRIDE` is that of columns, 0 for any.
    #[inline(always)]
    fn rows<S: Simd, const STRIDE: usize>(self, simd: S) {
        let Self { g, layout, weights, turned, outputs } = self;
        let [_, h, w] = g.axes;
        let row =
            Row { offsets: &layout.offsets, weights, step: if STRIDE > 0 { STRIDE * SIDE } else { w.stride * SIDE } };
        for (number, outputs) in outputs.chunks_exact_mut(w.output * SIDE).enumerate() {
            let cells = &turned[number * h.stride * layout.pitch * SIDE..];
            let mut column = 0;
            while column < w.output {
                let left = w.output - column;
                let (cells, outputs) = (&cells[column * row.step..], &mut outputs[column * SIDE..]);
                column += match left {
                    BLOCK.. => row.block::<S, BLOCK>(simd, cells, outputs),
                    4.. => row.block::<S, 4>(simd, cells, outputs),
                    2.. => row.block::<S, 2>(simd, cells, outputs),
                    _ => row.block::<S, 1>(simd, cells, outputs),
                };
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Row<'a, T> {
    offsets: &'a [usize],
    weights: &'a [T],
    /// Elements from one window to the next.
    step: usize,
}

impl<T: Element> Row<'_, T> {
    /// The first `N` outputs, all lanes.
    #[inline(always)]
    fn block<S: Simd, const N: usize>(self, simd: S, cells: &[T], outputs: &mut [T]) -> usize {
        let lanes = T::lanes::<S>().min(SIDE);
        let span = (N - 1) * self.step + lanes;
        for lane in (0..SIDE).step_by(lanes) {
            let mut sums = [T::splat(simd, T::zero()); N];
            for (&offset, weights) in self.offsets.iter().zip(self.weights.chunks_exact(SIDE)) {
                let weight = T::load(simd, &weights[lane..]);
                let cells = &cells[offset + lane..][..span];
                for i in 0..N {
                    sums[i] = T::fused(simd, T::load(simd, &cells[i * self.step..]), weight, sums[i]);
                }
            }
            for i in 0..N {
                T::store(simd, sums[i], &mut outputs[i * SIDE + lane..][..lanes]);
            }
        }
        N
    }
}
