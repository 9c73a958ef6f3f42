//! Kernels of 3×3 cells that move by one: loops over rows of outputs with all sums in registers.

#![allow(
    clippy::needless_range_loop,
    reason = "loops of constant length over arrays become registers, iterators do not"
)]

use pulp::{Simd, WithSimd};

use super::tiles::Source;
use crate::element::Element;
use crate::geometry::{Axis, ConvGeometry};
use crate::simd::{arch, narrow_arch};

/// The side of the kernels that have loops of their own: of larger ones, whose sums and cells do not fit the
/// registers, tiles are faster.
const K: usize = 3;

/// Whether a geometry is one that these loops compute.
pub(crate) fn is_square(geometry: &ConvGeometry) -> bool {
    let [depth, height, width] = geometry.axes;
    let fits = |axis: Axis| axis.kernel == K && axis.dilation == 1 && axis.stride == 1;
    depth.kernel == 1 && fits(height) && fits(width)
}

/// Computes the outputs `[rows, width]` of one channel.
pub(super) fn convolve<T: Element>(source: Source<'_, T>, output: &mut [T], width: usize) {
    let arch = if width * size_of::<T>() <= NARROW_BYTES { narrow_arch() } else { arch() };
    arch.dispatch(Plane { source, output, width });
}

/// Rows of outputs no longer than this fit the registers of half the width.
const NARROW_BYTES: usize = 32;

struct Plane<'a, T> {
    source: Source<'a, T>,
    output: &'a mut [T],
    width: usize,
}

impl<T: Element> WithSimd for Plane<'_, T> {
    type Output = ();

    /// Two registers of outputs side by side, since each addition to one sum waits for the last.
    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let weights = self.weights(simd);
        let lanes = T::lanes::<S>();
        let mut column = 0;
        while column < self.width {
            column += match self.width - column > lanes {
                true => self.rolling::<S, 2>(simd, &weights, column),
                false => self.rolling::<S, 1>(simd, &weights, column),
            };
        }
    }
}

impl<T: Element> Plane<'_, T> {
    /// All rows of `BLOCKS` registers of columns, from `column` on; returns how many columns they have. Each row of
    /// cells is read once, and added to the sums of all rows of outputs that it belongs to.
    #[inline(always)]
    fn rolling<S: Simd, const BLOCKS: usize>(
        &mut self,
        simd: S,
        weights: &[[T::Vector<S>; K]; K],
        column: usize,
    ) -> usize {
        let Source { cells, offsets, pitch, .. } = self.source;
        let lanes = T::lanes::<S>();
        let columns = column..(column + BLOCKS * lanes).min(self.width);
        let places: [usize; K] = std::array::from_fn(|j| offsets[j] + column);
        // Entry `i` has the first `i` rows of the kernel.
        let mut sums = [[T::splat(simd, T::zero()); BLOCKS]; K];
        for row in 0..K - 1 {
            add_line(simd, weights, &cells[row * pitch..], places, &mut sums);
        }
        for (row, output) in self.output.chunks_exact_mut(self.width).enumerate() {
            let done = add_line(simd, weights, &cells[(row + K - 1) * pitch..], places, &mut sums);
            let output = &mut output[columns.clone()];
            match BLOCKS {
                1 => T::store(simd, done[0], output),
                _ => {
                    let (first, rest) = output.split_at_mut(lanes);
                    T::store(simd, done[0], first);
                    T::store(simd, done[BLOCKS - 1], rest);
                }
            }
        }
        BLOCKS * lanes
    }

    #[inline(always)]
    fn weights<S: Simd>(&self, simd: S) -> [[T::Vector<S>; K]; K] {
        let weights = &self.source.weights[..K * K];
        std::array::from_fn(|i| std::array::from_fn(|j| T::splat(simd, weights[i * K + j])))
    }
}

/// Adds a row of cells to the sums of the rows of outputs that it belongs to, and returns the sums that are complete.
#[inline(always)]
fn add_line<S: Simd, T: Element, const BLOCKS: usize>(
    simd: S,
    weights: &[[T::Vector<S>; K]; K],
    line: &[T],
    places: [usize; K],
    sums: &mut [[T::Vector<S>; BLOCKS]; K],
) -> [T::Vector<S>; BLOCKS] {
    let zero = [T::splat(simd, T::zero()); BLOCKS];
    let cells = load_line::<S, T, BLOCKS>(simd, line, places);
    let mut next = [zero; K];
    let mut done = zero;
    for i in 0..K {
        let mut sum = sums[i];
        for j in 0..K {
            for block in 0..BLOCKS {
                sum[block] = T::fused(simd, weights[i][j], cells[j][block], sum[block]);
            }
        }
        if i + 1 < K {
            next[i + 1] = sum;
        } else {
            done = sum;
        }
    }
    *sums = next;
    done
}

/// `BLOCKS` registers of a row of cells for each column of the kernel.
#[inline(always)]
fn load_line<S: Simd, T: Element, const BLOCKS: usize>(
    simd: S,
    line: &[T],
    places: [usize; K],
) -> [[T::Vector<S>; BLOCKS]; K] {
    let lanes = T::lanes::<S>();
    std::array::from_fn(|j| {
        let line = &line[places[j]..][..BLOCKS * lanes];
        std::array::from_fn(|block| T::load(simd, &line[block * lanes..]))
    })
}
