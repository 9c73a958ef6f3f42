//! Square kernels of a few cells that move by one or two: loops over rows of cells with all sums in registers.
//!
//! Rows are read where they are, in the image itself: what a register holds beyond the ends of a row is masked.

#![allow(
    clippy::needless_range_loop,
    reason = "loops of constant length over arrays become registers, iterators do not"
)]

use pulp::{Simd, WithSimd};

use super::planes::{Inside, Planes};
use super::strip::{Strip, lanes_with_moves};
use crate::element::Element;
use crate::geometry::{Axis, ConvGeometry};
use crate::simd::{MOST_LANES, arch, narrow_arch};

/// Cells that are read at once, from the first of a window on, at most.
pub(super) const MOST_READ: usize = 2 * MOST_LANES + 7;

/// Rows of outputs no longer than this fit the registers of half the width; with a stride of two their cells do not.
const NARROW_BYTES: usize = 32;

/// Whether a geometry is one that these loops compute.
pub(crate) fn is_square(geometry: &ConvGeometry) -> bool {
    let [depth, height, width] = geometry.axes;
    let fits = |axis: Axis| {
        axis.kernel == height.kernel
            && axis.stride == height.stride
            && axis.dilation == 1
            && axis.pad_before < axis.kernel
    };
    let is_known = matches!((height.kernel, height.stride), (3 | 5 | 7, 1) | (3 | 5 | 7, 2));
    depth.kernel == 1 && is_known && fits(height) && fits(width)
}

/// Some rows of outputs of some channels.
pub(super) struct Square<'a, T> {
    pub planes: Planes<'a, T>,
    pub side: usize,
    pub stride: usize,
    /// `[channels, side, side]`.
    pub weights: &'a [T],
    /// Channels of the output that read one of the input.
    pub outs: usize,
    /// The first of the rows, how many there are, and outputs of each.
    pub row: usize,
    pub rows: usize,
    pub width: usize,
    /// `[channels, rows, width]`, or more rows, of which the others are left as they are.
    pub output: &'a mut [T],
    pub output_len: usize,
}

impl<T: Element> Square<'_, T> {
    pub fn compute(self) {
        let is_narrow = self.stride == 1 && self.width * size_of::<T>() <= NARROW_BYTES;
        let arch = if is_narrow { narrow_arch() } else { arch() };
        arch.dispatch(self);
    }
}

impl<T: Element> WithSimd for Square<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match (self.side, self.stride) {
            (3, 1) => self.all::<S, 3, 1>(simd),
            (3, _) => self.all::<S, 3, 2>(simd),
            (5, 1) => self.all::<S, 5, 1>(simd),
            (5, _) => self.all::<S, 5, 2>(simd),
            (_, 1) => self.all::<S, 7, 1>(simd),
            (_, _) => self.all::<S, 7, 2>(simd),
        }
    }
}

impl<T: Element> Square<'_, T> {
    #[inline(always)]
    fn all<S: Simd, const K: usize, const STRIDE: usize>(self, simd: S) {
        match self.planes.is_far {
            true => self.columns::<S, K, STRIDE, true>(simd),
            false => self.columns::<S, K, STRIDE, false>(simd),
        }
    }

    /// All columns, two registers of them side by side, which share what there is to do for a row beside its sums. The
    /// last register begins so early that its outputs end with the row; if the row is shorter than a register, what is
    /// written beyond it belongs to the next row or channel, which is written later.
    #[inline(always)]
    fn columns<S: Simd, const K: usize, const STRIDE: usize, const IS_FAR: bool>(mut self, simd: S) {
        let lanes = T::lanes::<S>();
        // What the last lanes then hold is written over by the next register, or by the next row.
        let moved = lanes_with_moves::<T, S, K>();
        if STRIDE == 2 && self.width <= moved {
            return self.strip::<S, K, STRIDE, 1, true, true, IS_FAR>(simd, [0]);
        } else if STRIDE == 2 && self.width <= 2 * moved {
            return self.strip::<S, K, STRIDE, 2, true, true, IS_FAR>(simd, [0, self.width - moved]);
        }
        let last = self.width.saturating_sub(lanes);
        let mut column = 0;
        while column < self.width {
            let columns = [column.min(last), (column + lanes).min(last)];
            if columns[0] == columns[1] {
                self.strip::<S, K, STRIDE, 1, false, true, IS_FAR>(simd, [columns[0]]);
            } else if self.is_inside::<S, K, STRIDE>(columns) {
                self.strip::<S, K, STRIDE, 2, false, false, IS_FAR>(simd, columns);
            } else {
                self.strip::<S, K, STRIDE, 2, false, true, IS_FAR>(simd, columns);
            }
            column += 2 * lanes;
        }
    }

    /// Whether windows from these columns on read no columns outside the image.
    #[inline(always)]
    fn is_inside<S: Simd, const K: usize, const STRIDE: usize>(&self, [first, last]: [usize; 2]) -> bool {
        let Inside { start, end } = self.planes.inside[1];
        first * STRIDE >= start && (last + T::lanes::<S>() - 1) * STRIDE + K <= end
    }

    /// The registers that begin with the given columns, of all channels.
    #[inline(always)]
    fn strip<
        S: Simd,
        const K: usize,
        const STRIDE: usize,
        const BLOCKS: usize,
        const MOVES: bool,
        const IS_EDGE: bool,
        const IS_FAR: bool,
    >(
        &mut self,
        simd: S,
        columns: [usize; BLOCKS],
    ) {
        let masks = self.masks::<S, K, STRIDE, BLOCKS>(simd, columns);
        let rows = self.row..self.row + self.rows;
        let rows_len = self.rows * self.width;
        let mut planes = self.planes;
        let mut output = &mut *self.output;
        for kernels in self.weights.chunks(self.outs * K * K) {
            for weights in kernels.as_chunks::<K>().0.as_chunks::<K>().0 {
                let weights = kernel(simd, weights);
                // Rows that are left as they are begin where the others end.
                let end = if rows_len == self.output_len { output.len() } else { rows_len };
                let strip = Strip { planes, columns, output_len: self.output_len, weights, masks };
                strip.compute::<STRIDE, MOVES, IS_EDGE, IS_FAR>(simd, (rows.clone(), self.width), &mut output[..end]);
                let next = self.output_len.min(output.len());
                output = &mut output[next..];
            }
            planes.origin = planes.origin.wrapping_add(planes.channel_len);
        }
    }

    /// The lanes of each column of the kernel that are inside the image.
    #[inline(always)]
    fn masks<S: Simd, const K: usize, const STRIDE: usize, const BLOCKS: usize>(
        &self,
        simd: S,
        columns: [usize; BLOCKS],
    ) -> [[T::Mask<S>; K]; BLOCKS] {
        let Inside { start, end } = self.planes.inside[1];
        let mut masks = [[T::between(simd, 0, 0); K]; BLOCKS];
        for block in 0..BLOCKS {
            for j in 0..K {
                let first = columns[block] * STRIDE + j;
                let lane = |end: usize| end.saturating_sub(first).div_ceil(STRIDE);
                masks[block][j] = T::between(simd, lane(start), lane(end));
            }
        }
        masks
    }
}

#[inline(always)]
fn kernel<S: Simd, T: Element, const K: usize>(simd: S, weights: &[[T; K]; K]) -> [[T::Vector<S>; K]; K] {
    let mut kernel = [[T::splat(simd, T::zero()); K]; K];
    for i in 0..K {
        for j in 0..K {
            kernel[i][j] = T::splat(simd, weights[i][j]);
        }
    }
    kernel
}

#[cfg(test)]
mod tests {
    use super::*;
    use pulp::Arch;

    const CHANNELS: usize = 3;
    const MARGIN: usize = 64;
    const BEYOND: f32 = 12_345.0;

    /// Whole numbers, so that sums are exact; what lies between and around the channels is not one.
    fn check(arch: Arch, (side, stride): (usize, usize), [height, input]: [usize; 2], first: usize) {
        let pad = side / 2;
        let [rows, width] = [height, input].map(|n| (n + 2 * pad - side) / stride + 1);
        let channel_len = height * input + 5;
        let mut cells = vec![f32::NAN; MARGIN + CHANNELS * channel_len + MARGIN];
        let cell = |c: usize, y: usize, x: usize| ((c * 31 + y * 17 + x * 7) % 13) as f32 - 6.0;
        for (c, y, x) in ndarray::indices((CHANNELS, height, input)) {
            cells[MARGIN + c * channel_len + y * input + x] = cell(c, y, x);
        }
        let weights: Vec<f32> = (0..CHANNELS * side * side).map(|i| (i * i % 11) as f32 - 5.0).collect();
        // What lies beyond the outputs must stay as it is: registers are written whole.
        let output_len = CHANNELS * rows * width;
        let mut output = [vec![f32::NAN; output_len], vec![BEYOND; MARGIN]].concat();
        arch.dispatch(Square {
            planes: Planes {
                cells: &cells,
                origin: MARGIN.wrapping_sub(pad * input + pad),
                channel_len,
                pitch: input,
                inside: [height, input].map(|n| Inside { start: pad, end: pad + n }),
                is_far: first > 0,
            },
            side,
            stride,
            weights: &weights,
            outs: 1,
            row: first,
            rows: rows - first,
            width,
            output: &mut output[first * width..output_len],
            output_len: rows * width,
        });
        assert!(output[output_len..].iter().all(|&cell| cell == BEYOND), "{side} by {stride}, {height}×{input}");
        for (c, y, x) in ndarray::indices((CHANNELS, rows, width)) {
            let found = output[(c * rows + y) * width + x];
            let taps = ndarray::indices((side, side)).into_iter().filter_map(|(i, j)| {
                let (y, x) = ((y * stride + i).checked_sub(pad)?, (x * stride + j).checked_sub(pad)?);
                (y < height && x < input).then(|| weights[(c * side + i) * side + j] * cell(c, y, x))
            });
            let expected: f32 = taps.sum();
            let is_left = y < first;
            let is_right = if is_left { found.is_nan() } else { found == expected };
            assert!(is_right, "{side} by {stride}, {height}×{input}, at {c} {y} {x}: {found}, not {expected}");
        }
    }

    #[test]
    fn every_side_and_stride_is_right_in_registers_of_every_width() {
        for arch in [arch(), narrow_arch(), Arch::Scalar] {
            for (side, stride) in [3_usize, 5, 7].into_iter().flat_map(|side| [(side, 1), (side, 2)]) {
                for width in [1, 4, 7, 8, 9, 15, 16, 17, 28, 31, 33, 48, 57, 59, 61, 70] {
                    for (height, first) in [(8, 0), (8, 1), (side.div_ceil(2), 0), (1, 0)] {
                        check(arch, (side, stride), [height, width], first);
                    }
                }
            }
        }
    }
}
