//! Kernels of 3×3 cells that move by one or two: loops over rows of outputs with all sums in registers.

#![allow(
    clippy::needless_range_loop,
    reason = "loops of constant length over arrays become registers, iterators do not"
)]

use pulp::{Simd, WithSimd};

use super::tiles::Source;
use crate::element::Element;
use crate::geometry::{Axis, ConvGeometry};
use crate::lowering::runs::gather_every;
use crate::simd::{arch, narrow_arch};

/// The side of the kernels that have loops of their own: of larger ones, whose sums and cells do not fit the
/// registers, tiles are faster.
const K: usize = 3;

/// Such a kernel, and by how many cells it moves.
#[derive(Clone, Copy)]
pub(super) struct Square {
    stride: usize,
}

impl Square {
    pub fn of(geometry: &ConvGeometry) -> Option<Self> {
        let [depth, height, width] = geometry.axes;
        let is_square =
            |axis: Axis| axis.kernel == K && axis.dilation == 1 && axis.stride == height.stride && axis.stride <= 2;
        let fits = depth.kernel == 1 && is_square(height) && is_square(width);
        fits.then_some(Self { stride: height.stride })
    }

    /// The convolution whose slab these loops read: they need every column of cells.
    pub fn dense(geometry: &ConvGeometry) -> ConvGeometry {
        let mut dense = geometry.clone();
        if Self::of(geometry).is_some() {
            let width = &mut dense.axes[2];
            (width.output, width.stride) = ((width.output.max(1) - 1) * width.stride + 1, 1);
        }
        dense
    }

    /// Computes the outputs `[rows, width]` of one channel.
    pub fn convolve<T: Element>(self, source: Source<'_, T>, output: &mut [T], width: usize) {
        let arch = if width * size_of::<T>() <= NARROW_BYTES { narrow_arch() } else { arch() };
        arch.dispatch(Plane { square: self, source, output, width });
    }
}

/// Rows of outputs no longer than this fit the registers of half the width.
const NARROW_BYTES: usize = 32;

struct Plane<'a, T> {
    square: Square,
    source: Source<'a, T>,
    output: &'a mut [T],
    width: usize,
}

impl<T: Element> WithSimd for Plane<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match self.square.stride {
            1 => self.by_one(simd),
            _ => self.by_two(simd),
        }
    }
}

impl<T: Element> Plane<'_, T> {
    /// Windows that move by one row. Two registers of outputs side by side, since each addition to one sum waits
    /// for the last.
    #[inline(always)]
    fn by_one<S: Simd>(mut self, simd: S) {
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

    /// Windows that move by two rows and columns. The sums are those of windows that move by one column, of which
    /// every other is kept: that costs less than to read every other cell.
    #[inline(always)]
    fn by_two<S: Simd>(mut self, simd: S) {
        let weights = self.weights(simd);
        let lanes = T::lanes::<S>();
        match 2 * self.width > lanes + 1 {
            true => (0..self.width).step_by(lanes).for_each(|column| self.halved::<S, 2>(simd, &weights, column)),
            false => self.halved::<S, 1>(simd, &weights, 0),
        }
    }

    /// All rows of the columns from `column` on that `BLOCKS` registers of sums have.
    #[inline(always)]
    fn halved<S: Simd, const BLOCKS: usize>(&mut self, simd: S, weights: &[[T::Vector<S>; K]; K], column: usize) {
        let Source { cells, offsets, pitch, .. } = self.source;
        let lanes = T::lanes::<S>();
        let columns = column..(column + BLOCKS * lanes / 2).max(column + 1).min(self.width);
        let places: [usize; K] = std::array::from_fn(|j| offsets[j] + 2 * column);
        let load = |row: usize| load_line::<S, T, BLOCKS>(simd, &cells[row * pitch / 2..], places);
        // The last row of one window is the first of the next.
        let mut first = load(0);
        for (row, output) in self.output.chunks_exact_mut(self.width).enumerate() {
            let lines = [first, load(2 * row + 1), load(2 * row + 2)];
            let mut sums = [T::splat(simd, T::zero()); BLOCKS];
            for i in 0..K {
                for j in 0..K {
                    for block in 0..BLOCKS {
                        sums[block] = T::fused(simd, weights[i][j], lines[i][j][block], sums[block]);
                    }
                }
            }
            first = lines[K - 1];
            let mut all = [T::zero(); MAX_SUMS];
            for block in 0..BLOCKS {
                T::store(simd, sums[block], &mut all[block * lanes..(block + 1) * lanes]);
            }
            gather_every::<T, 2>(&all, &mut output[columns.clone()]);
        }
    }
}

/// Lanes of two of the widest registers.
const MAX_SUMS: usize = 32;

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
