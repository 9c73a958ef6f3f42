//! What is computed of square kernels at a time, and what the ways of doing so share.

#![allow(
    clippy::needless_range_loop,
    reason = "loops of constant length over arrays become registers, iterators do not"
)]

use std::ops::Range;

use pulp::Simd;

use super::planes::{Inside, Planes};
use crate::element::Element;

/// Some rows of outputs of some channels.
pub(super) struct Part<'a, T> {
    pub planes: Planes<'a, T>,
    pub side: usize,
    pub stride: usize,
    /// `[channels, side, side]`.
    pub weights: &'a [T],
    /// Channels of the output that read one of the input.
    pub outs: usize,
    pub rows: Range<usize>,
    /// Outputs of a row.
    pub width: usize,
    /// `[channels, rows, width]`, or more rows, of which the others are left as they are.
    pub output: &'a mut [T],
    pub output_len: usize,
}

impl<T: Element> Part<'_, T> {
    #[inline(always)]
    pub fn channels<const K: usize>(&mut self) -> Outputs<'_, T, K> {
        let rows_len = self.rows.len() * self.width;
        Outputs {
            planes: self.planes,
            outs: self.outs,
            left: self.outs,
            kernels: self.weights.as_chunks::<K>().0.as_chunks::<K>().0,
            // Rows that are left as they are begin where the others end.
            most: if rows_len == self.output_len { usize::MAX } else { rows_len },
            output: self.output,
            output_len: self.output_len,
            start: 0,
        }
    }

    /// The lanes, from the first of these on to before the second, that read columns inside the image, where the first lane
    /// reads the given column of the padded one.
    #[inline(always)]
    pub fn lanes_inside<const STRIDE: usize>(&self, column: usize) -> [usize; 2] {
        let Inside { start, end } = self.planes.inside[1];
        [start, end].map(|bound| bound.saturating_sub(column).div_ceil(STRIDE))
    }
}

/// Cells, kernel and outputs of a channel.
type Channel<'a, T, const K: usize> = (Planes<'a, T>, &'a [[T; K]; K], &'a mut [T]);

/// Channels of the output, one after the other.
pub(super) struct Outputs<'a, T, const K: usize> {
    planes: Planes<'a, T>,
    /// Channels that read one of the input, and how many of them are left.
    outs: usize,
    left: usize,
    kernels: &'a [[[T; K]; K]],
    output: &'a mut [T],
    output_len: usize,
    /// Where the next channel's begin, and how many are handed out at most.
    start: usize,
    most: usize,
}

impl<T: Element, const K: usize> Outputs<'_, T, K> {
    /// The next channel; whole registers may be written beyond its outputs. (Not an iterator's, since what is handed out
    /// overlaps.)
    #[inline(always)]
    pub fn next(&mut self) -> Option<Channel<'_, T, K>> {
        let (kernel, kernels) = self.kernels.split_first()?;
        if self.left == 0 {
            self.planes.origin = self.planes.origin.wrapping_add(self.planes.channel_len);
            self.left = self.outs;
        }
        self.left -= 1;
        self.kernels = kernels;
        let start = self.start.min(self.output.len());
        self.start += self.output_len;
        let output = &mut self.output[start..];
        let end = self.most.min(output.len());
        Some((self.planes, kernel, &mut output[..end]))
    }
}

/// Each weight in all lanes of a register.
#[inline(always)]
pub(super) fn kernel<S: Simd, T: Element, const K: usize>(simd: S, weights: &[[T; K]; K]) -> [[T::Vector<S>; K]; K] {
    let mut kernel = [[T::splat(simd, T::zero()); K]; K];
    for i in 0..K {
        for j in 0..K {
            kernel[i][j] = T::splat(simd, weights[i][j]);
        }
    }
    kernel
}
