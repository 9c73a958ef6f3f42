//! The weight gradient with channels on the vector lanes: each kernel cell is a sum over windows of its own.

#![allow(
    clippy::needless_range_loop,
    reason = "loops of constant length over arrays become registers, iterators do not"
)]

use ndarray::{ArrayView2, ArrayView3, ArrayView5, ArrayViewMut2, Axis, s};
use pulp::{Simd, WithSimd};

use super::cells::Cells;
use super::regions;
use crate::element::Element;
use crate::geometry::ConvGeometry;
use crate::lowering::pieces::blocks;
use crate::lowering::scratch::{ALIGNMENT_BYTES, aligned};
use crate::lowering::turned::turn_back;
use crate::parallel;
use crate::simd::{Places, SIDE, arch};

/// Kernel cells whose sums stay in registers together.
const TAPS: usize = 9;

/// Windows, about, whose sum joins that of the others: long sums of single terms would lose digits.
const TERMS: usize = 256;

/// How a weight gradient is cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GradLayout {
    lanes: Cells,
    /// Where each kernel cell lies in a window.
    offsets: Vec<usize>,
    slack: usize,
}

/// Whether there are as many channels, each read by kernels of its own, that this pays.
pub(crate) fn has_grad(geometry: &ConvGeometry) -> bool {
    super::applies(geometry) && Cells::applies(geometry)
}

impl GradLayout {
    /// `None` if another way is better, or must be taken.
    pub fn new(geometry: &ConvGeometry, size: usize, workspace_bytes: usize) -> Option<Self> {
        if !has_grad(geometry) {
            return None;
        }
        let lanes = Cells::new(geometry, geometry.axes[2].output, size, workspace_bytes)?;
        Some(Self { offsets: lanes.window_offsets(geometry), lanes, slack: 3 * ALIGNMENT_BYTES / size })
    }

    /// Elements of the turned cells, the turned gradient and the sums.
    fn lens(&self, geometry: &ConvGeometry) -> [usize; 3] {
        let outputs = self.lanes.rows * geometry.axes[2].output * SIDE;
        [self.lanes.len(geometry), outputs, geometry.group_out_channels() * geometry.taps() * SIDE]
    }

    /// Elements of the scratch memory of one lane, with room to align its parts.
    pub fn slot_len(&self, geometry: &ConvGeometry) -> usize {
        self.lens(geometry).iter().sum::<usize>() + self.slack
    }
}

/// `weight_grad [OC, taps]`, summed over images and windows in order.
pub(in crate::lowering) fn weight_grad<T: Element>(
    (geometry, layout): (&ConvGeometry, &GradLayout),
    input: ArrayView5<'_, T>,
    grad_output: ArrayView3<'_, T>,
    (weight_grad, workspace): (ArrayViewMut2<'_, T>, &mut [T]),
) {
    let grad_output = grad_output.as_standard_layout();
    let (g, lanes, outs) = (geometry, &layout.lanes, geometry.group_out_channels());
    let pieces = blocks(weight_grad, Axis(0), SIDE * outs);
    parallel::for_each(pieces, workspace, layout.slot_len(g), |(first, piece), slot: &mut [T]| {
        let [turned, grads, sums] = layout.lens(g);
        let (turned, rest) = aligned(slot).split_at_mut(turned);
        let (grads, rest) = aligned(rest).split_at_mut(grads);
        let sums = &mut aligned(rest)[..sums];
        turned.fill(T::zero());
        sums.fill(T::zero());
        let groups = first / outs..(first + piece.nrows()) / outs;
        for image in 0..g.batch {
            let input = input.slice(s![image, groups.clone(), .., .., ..]);
            for region in regions(g, lanes.rows) {
                let [plane, row] = region.first;
                lanes.turn(g, input, (plane, row), turned);
                let [_, height, width] = g.axes.map(|axis| axis.output);
                let start = (plane * height + row) * width;
                let windows = start..start + region.count[1] * width;
                for (number, sums) in sums.chunks_exact_mut(g.taps() * SIDE).enumerate() {
                    let channels = s![image, first + number..first + piece.nrows(); outs, windows.clone()];
                    turn_grad(grad_output.slice(channels), grads);
                    let grads = &grads[..windows.len() * SIDE];
                    arch().dispatch(Sums { g, layout, turned, grads, sums });
                }
            }
        }
        let mut piece = piece;
        for (number, sums) in sums.chunks_exact(g.taps() * SIDE).enumerate() {
            let lines = piece.slice_mut(s![number..;outs, ..]);
            turn_back((sums, SIDE), lines, 0..g.taps());
        }
    });
}

/// Turns the gradient of some windows of at most [`SIDE`] channels.
fn turn_grad<T: Element>(grad: ArrayView2<'_, T>, out: &mut [T]) {
    let line = |i: usize| {
        let channel = i.min(grad.nrows() - 1);
        grad.index_axis_move(Axis(0), channel).to_slice().expect("windows side by side")
    };
    T::turn(std::array::from_fn(line), Places { cells: out, place: |window| window * SIDE });
}

struct Sums<'a, T> {
    g: &'a ConvGeometry,
    layout: &'a GradLayout,
    turned: &'a [T],
    grads: &'a [T],
    /// `[tap][channel]`.
    sums: &'a mut [T],
}

impl<T: Element> WithSimd for Sums<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { g, layout: GradLayout { lanes, offsets, .. }, turned, grads, sums } = self;
        let [_, h, w] = g.axes;
        let (width, step) = (w.output * SIDE, w.stride * SIDE);
        let row_step = h.stride * lanes.pitch * SIDE;
        let rows = (TERMS / w.output.max(1)).max(1);
        for (number, grads) in grads.chunks(rows * width).enumerate() {
            let cells = &turned[number * rows * row_step..];
            let terms = Terms { grads, width, cells, row_step, step };
            let mut tap = 0;
            while tap < offsets.len() {
                let (offsets, sums) = (&offsets[tap..], &mut sums[tap * SIDE..]);
                tap += match offsets.len() {
                    TAPS.. => terms.add::<S, TAPS>(simd, offsets, sums),
                    4.. => terms.add::<S, 4>(simd, offsets, sums),
                    _ => terms.add::<S, 1>(simd, offsets, sums),
                };
            }
        }
    }
}

/// Rows of windows: their gradient, and the cells that they read.
struct Terms<'a, T> {
    grads: &'a [T],
    /// Elements of a row of the gradient.
    width: usize,
    cells: &'a [T],
    row_step: usize,
    /// Elements from the cells of one window to those of the next.
    step: usize,
}

impl<T: Element> Terms<'_, T> {
    /// Adds the products of all windows with their cells at the first `N` offsets.
    #[inline(always)]
    fn add<S: Simd, const N: usize>(&self, simd: S, offsets: &[usize], sums: &mut [T]) -> usize {
        let lanes = T::lanes::<S>().min(SIDE);
        for lane in (0..SIDE).step_by(lanes) {
            let mut added = [T::splat(simd, T::zero()); N];
            for (row, grads) in self.grads.chunks_exact(self.width).enumerate() {
                let cells: [&[T]; N] = std::array::from_fn(|i| &self.cells[row * self.row_step + offsets[i] + lane..]);
                for (window, grads) in grads.chunks_exact(SIDE).enumerate() {
                    let grad = T::load(simd, &grads[lane..]);
                    for i in 0..N {
                        let cell = T::load(simd, &cells[i][window * self.step..]);
                        added[i] = T::fused(simd, cell, grad, added[i]);
                    }
                }
            }
            for i in 0..N {
                let sums = &mut sums[i * SIDE + lane..][..lanes];
                let all = T::fused(simd, T::load(simd, sums), T::splat(simd, T::one()), added[i]);
                T::put(simd, all, sums);
            }
        }
        N
    }
}
