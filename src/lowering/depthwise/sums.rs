//! Outputs with channels on the vector lanes, from turned cells: sums of vectors.

#![allow(
    clippy::needless_range_loop,
    reason = "loops of constant length over arrays become registers, iterators do not"
)]

use pulp::{Simd, WithSimd};

use crate::element::Element;
use crate::simd::SIDE;

/// Outputs of a row that are computed together: the rows of usual maps are multiples of it.
const BLOCK: usize = 7;

pub(super) struct Sums<'a, T> {
    /// Where each kernel cell lies in a window.
    pub offsets: &'a [usize],
    /// `[tap][channel]`.
    pub weights: &'a [T],
    pub turned: &'a [T],
    /// Turned cells from one window to that in the next row and column.
    pub steps: [usize; 2],
    pub outputs: Outputs<'a, T>,
}

/// Where outputs go: from the first on, to the end.
pub(super) struct Outputs<'a, T> {
    pub cells: &'a mut [T],
    /// Cells from one output to that in the next row and column.
    pub steps: [usize; 2],
    /// Outputs of a row.
    pub columns: usize,
}

impl<T: Element> WithSimd for Sums<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match (self.steps[1], self.outputs.steps[1]) {
            (1, 1) => self.rows::<S, 1, 1>(simd),
            (1, 2) => self.rows::<S, 1, 2>(simd),
            (2, 1) => self.rows::<S, 2, 1>(simd),
            _ => self.rows::<S, 0, 0>(simd),
        }
    }
}

impl<T: Element> Sums<'_, T> {
    /// `STEP` and `OUT` are the steps of columns, 0 for any.
    #[inline(always)]
    fn rows<S: Simd, const STEP: usize, const OUT: usize>(self, simd: S) {
        let Self { offsets, weights, turned, steps, outputs: Outputs { cells: outputs, steps: out, columns } } = self;
        let step = if STEP > 0 { STEP } else { steps[1] };
        let out_step = if OUT > 0 { OUT } else { out[1] };
        let row = Row { offsets, weights, step: step * SIDE, out: out_step * SIDE };
        for (number, outputs) in outputs.chunks_mut(out[0] * SIDE).enumerate() {
            let cells = &turned[number * steps[0] * SIDE..];
            let mut column = 0;
            while column < columns {
                let left = columns - column;
                let (cells, outputs) = (&cells[column * row.step..], &mut outputs[column * row.out..]);
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
    /// Elements from one window to the next, and from its output to the next.
    step: usize,
    out: usize,
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
                T::put(simd, sums[i], &mut outputs[i * self.out + lane..]);
            }
        }
        N
    }
}
