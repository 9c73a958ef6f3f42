//! Products with turned cells: output channels on the lanes, and sixteen input channels of each of some columns side by side.
//!
//! A step takes a register or two of weights and a cell of each of some columns, which are a constant step apart. Steps come
//! by sixteen, so that what must be checked is checked once for all of them, and the processor can tell where such a short
//! loop ends.

#![allow(
    clippy::needless_range_loop,
    reason = "loops of constant length over arrays become registers, iterators do not"
)]

use pulp::{Simd, WithSimd};

use super::in_place::{FEW, MANY, channel_lanes};
use super::steps::{by_count, has_many_registers};
use super::store::put_sums;
use super::{Kernel, Store};
use crate::element::Element;
use crate::simd::{LINE_BYTES, SIDE, arch, ask_for_line};

/// Cells `[sixteen input channels][column][channel]`.
#[derive(Clone, Copy)]
pub(crate) struct Turned<'a, T> {
    pub cells: &'a [T],
    /// Elements from sixteen channels to the next.
    pub step: usize,
    /// Input channels that are added up one to the next, a multiple of sixteen: longer sums are taken in parts.
    pub chain: usize,
}

/// [`multiply`] for one type of elements, compiled with this crate.
pub(super) type MultiplyTurned<T> = fn(Turned<'_, T>, (&[T], &[T]), &mut [T]);

impl<T: Element> Kernel<T> {
    /// Multiplies columns by the weights `[input channel][channel]` of one or two registers of channels, to `sums`
    /// `[column][channel]`. The weights `next` that are read after these are asked for meanwhile.
    ///
    /// # Panics
    /// If a size does not fit, which is a mistake of this crate.
    pub fn multiply_turned(&self, turned: Turned<'_, T>, (weights, next): (&[T], &[T]), lanes: usize, sums: &mut [T]) {
        debug_assert_eq!(weights.len() % lanes, 0);
        match lanes == channel_lanes::<T>()[0] {
            true => (self.in_turned[0])(turned, (weights, next), sums),
            false => (self.in_turned[1])(turned, (weights, next), sums),
        }
    }
}

pub(super) fn multiply<T: Element, const VECTORS: usize>(
    turned: Turned<'_, T>,
    (weights, next): (&[T], &[T]),
    sums: &mut [T],
) {
    assert!(turned.chain.is_multiple_of(SIDE), "whole blocks of channels");
    arch().dispatch(Tile::<T, VECTORS> { turned, weights, next, sums });
}

struct Tile<'a, T, const VECTORS: usize> {
    turned: Turned<'a, T>,
    weights: &'a [T],
    next: &'a [T],
    sums: &'a mut [T],
}

impl<T: Element, const VECTORS: usize> WithSimd for Tile<'_, T, VECTORS> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let lanes = VECTORS * T::lanes::<S>();
        let most = if has_many_registers::<T, S>() { MANY } else { FEW };
        let (columns, steps) = (self.sums.len() / lanes, self.weights.len() / lanes);
        let pieces = columns.div_ceil(most);
        let mut ahead = (self.next.as_ptr(), self.next.len().div_ceil((pieces * steps).max(1)));
        let mut column = 0;
        for piece in 0..pieces {
            let count = (columns + piece) / pieces;
            by_count!(count, simd, self.add((column, &mut ahead)));
            column += count;
        }
    }
}

impl<T: Element, const VECTORS: usize> Tile<'_, T, VECTORS> {
    /// The sums of so many columns from one on. With each step what is read next is asked for, a line or two.
    #[inline(always)]
    fn add<S: Simd, const COUNT: usize>(
        &mut self,
        simd: S,
        (column, (next, next_step)): (usize, &mut (*const T, usize)),
    ) {
        let (lanes, Turned { cells, step, chain }) = (T::lanes::<S>(), self.turned);
        let to = &mut self.sums[column * VECTORS * lanes..][..COUNT * VECTORS * lanes];
        let mut place = column * SIDE;
        for (part, weights) in self.weights.chunks(chain * VECTORS * lanes).enumerate() {
            let mut sums = [[T::splat(simd, T::zero()); VECTORS]; COUNT];
            for weights in weights.chunks(SIDE * VECTORS * lanes) {
                let (cells, _) = cells[place..][..COUNT * SIDE].as_chunks::<SIDE>();
                place += step;
                for (weights, channel) in weights.chunks_exact(VECTORS * lanes).zip(0..SIDE) {
                    for line in 0..VECTORS {
                        let cells = line * (LINE_BYTES / size_of::<T>());
                        if cells < *next_step {
                            ask_for_line::<T, false>(next.wrapping_add(cells));
                        }
                    }
                    *next = next.wrapping_add(*next_step);
                    let mut channels = [T::splat(simd, T::zero()); VECTORS];
                    for vector in 0..VECTORS {
                        channels[vector] = T::load(simd, &weights[vector * lanes..]);
                    }
                    for i in 0..COUNT {
                        let cell = T::splat(simd, cells[i][channel]);
                        for vector in 0..VECTORS {
                            sums[i][vector] = T::fused(simd, channels[vector], cell, sums[i][vector]);
                        }
                    }
                }
            }
            for i in 0..COUNT {
                put_sums(simd, sums[i], (&mut to[i * VECTORS * lanes..], Store::after(part)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sums that an f32 holds exactly, so that their order does not matter.
    #[test]
    fn every_number_of_columns_and_channels_is_right_and_writes_nothing_else() {
        let [unit, most] = channel_lanes::<f32>();
        let kernel = Kernel::<f32>::best();
        for (columns, ins) in (1..=30).flat_map(|columns| [1_usize, 15, 16, 17, 50].map(|ins| (columns, ins))) {
            let step = (columns + 1) * SIDE;
            let cells: Vec<f32> = (0..ins.div_ceil(SIDE) * step).map(|i| (i % 11) as f32 - 5.0).collect();
            let turned = Turned { cells: &cells, step, chain: 2 * SIDE };
            for lanes in [unit, most] {
                let weights: Vec<f32> = (0..ins * lanes).map(|i| (i % 7) as f32 - 3.0).collect();
                let mut sums = vec![f32::NAN; (columns + 1) * lanes];
                kernel.multiply_turned(turned, (&weights, &weights[..lanes]), lanes, &mut sums[..columns * lanes]);
                for (i, &sum) in sums[..columns * lanes].iter().enumerate() {
                    let (column, channel) = (i / lanes, i % lanes);
                    let cell = |k: usize| cells[k / SIDE * step + column * SIDE + k % SIDE];
                    let expected: f32 = (0..ins).map(|k| cell(k) * weights[k * lanes + channel]).sum();
                    assert_eq!(sum, expected, "column {column} of {columns}, channel {channel}, {ins} input channels");
                }
                assert!(sums[columns * lanes..].iter().all(|sum| sum.is_nan()));
            }
        }
    }
}
