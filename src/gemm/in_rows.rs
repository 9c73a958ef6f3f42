//! Products with the windows of a row on the lanes, read where they lie: for sums of few products, which are too short to
//! be turned on their way out, and for few channels, which would leave lanes empty.
//!
//! A step takes a register or two of neighbouring cells from wherever the patch matrix's row begins, and a weight of each
//! of a few channels. What is left of a row is computed with windows before it once more.

#![allow(
    clippy::needless_range_loop,
    reason = "loops of constant length over arrays become registers, iterators do not"
)]

use pulp::{Simd, WithSimd};

use super::in_place::{CHAIN, FEW, MANY, chain_length};
use super::steps::{add_products, by_count, has_many_registers};
use super::store::{Finish, put_tile};
use super::{Kernel, Store, Windows};
use crate::element::Element;
use crate::simd::{arch, ask_for_line};

/// Bytes from what is written to what is asked for then: large outputs go to memory.
const AHEAD_BYTES: usize = 512;

/// [`multiply`] for one type of elements, compiled with this crate.
pub(super) type MultiplyRows<T> = fn(Windows<'_, T>, &[T], Finish<'_, T>, &mut [&mut [T]]);

impl<T: Element> Kernel<T> {
    /// Writes the sums of windows, which read neighbouring cells and of which a row fills a register, to the lines of some
    /// channels; `weights` are `[kernel cell][channel]`.
    ///
    /// # Panics
    /// If a size does not fit, which is a mistake of this crate.
    pub fn multiply_rows(&self, windows: Windows<'_, T>, weights: &[T], finish: Finish<'_, T>, lines: &mut [&mut [T]]) {
        (self.in_rows)(windows, weights, finish, lines);
    }
}

/// Channels of a tile.
pub(crate) fn row_channels<T: Element>() -> usize {
    arch().dispatch(Channels(std::marker::PhantomData::<T>))
}

struct Channels<T>(std::marker::PhantomData<T>);

impl<T: Element> WithSimd for Channels<T> {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> usize {
        if has_many_registers::<T, S>() { MANY } else { FEW }
    }
}

pub(super) fn multiply<T: Element>(
    windows: Windows<'_, T>,
    weights: &[T],
    finish: Finish<'_, T>,
    lines: &mut [&mut [T]],
) {
    assert_eq!(windows.steps[2], 1, "neighbouring cells");
    arch().dispatch(Tile { windows, weights, finish, lines });
}

struct Tile<'a, 'l, T> {
    windows: Windows<'a, T>,
    weights: &'a [T],
    finish: Finish<'a, T>,
    lines: &'a mut [&'l mut [T]],
}

impl<T: Element> WithSimd for Tile<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let count = self.lines.len();
        assert_eq!(self.weights.len(), self.windows.offsets.len() * count, "weights of a tile");
        by_count!(count, simd, self.rows());
    }
}

impl<T: Element> Tile<'_, '_, T> {
    #[inline(always)]
    fn rows<S: Simd, const COUNT: usize>(&mut self, simd: S) {
        let lanes = T::lanes::<S>();
        let [planes, rows, width] = self.windows.counts;
        for row in 0..planes * rows {
            let start = self.windows.row_start(row);
            let pairs = width / (2 * lanes) * (2 * lanes);
            for window in (0..pairs).step_by(2 * lanes) {
                self.add::<S, COUNT, 2>(simd, start.wrapping_add(window), row * width + window);
            }
            let rest = width - pairs;
            if rest > lanes && width >= 2 * lanes {
                let window = width - 2 * lanes;
                self.add::<S, COUNT, 2>(simd, start.wrapping_add(window), row * width + window);
            } else {
                for window in (pairs..width).step_by(lanes) {
                    let window = window.min(width - lanes);
                    self.add::<S, COUNT, 1>(simd, start.wrapping_add(window), row * width + window);
                }
            }
        }
    }

    /// The sums of so many channels and registers of windows.
    #[inline(always)]
    fn add<S: Simd, const COUNT: usize, const VECTORS: usize>(&mut self, simd: S, start: usize, window: usize) {
        let (cells, lanes, ahead) = (self.windows.cells, T::lanes::<S>(), AHEAD_BYTES / size_of::<T>());
        for i in 0..COUNT {
            for vector in 0..VECTORS {
                ask_for_line::<T, true>(self.lines[i].as_ptr().wrapping_add(window + ahead + vector * lanes));
            }
        }
        let Finish { start: terms, bounds } = self.finish;
        let terms = terms.map(|terms| &terms[..COUNT]);
        let length = chain_length(self.windows.offsets.len(), CHAIN);
        let parts = self.weights.chunks(length * COUNT).zip(self.windows.offsets.chunks(length));
        for (part, (weights, offsets)) in parts.enumerate() {
            let mut sums = [[T::splat(simd, T::zero()); VECTORS]; COUNT];
            if let Some(terms) = terms.filter(|_| part == 0) {
                for i in 0..COUNT {
                    sums[i] = [T::splat(simd, terms[i]); VECTORS];
                }
            }
            for (weights, &offset) in weights.chunks_exact(COUNT).zip(offsets) {
                let cells = &cells[offset.wrapping_add(start)..][..VECTORS * lanes];
                add_products(simd, (cells, weights), &mut sums);
            }
            let is_last = (part + 1) * length >= self.windows.offsets.len();
            put_tile(simd, sums, (self.lines, 0, window), (Store::after(part), bounds.filter(|_| is_last)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gemm::channel_lanes;

    #[test]
    fn every_width_and_number_of_channels_is_right_and_writes_nothing_else() {
        let [lanes, _] = channel_lanes::<f32>();
        let cells: Vec<f32> = (0..9000).map(|i| (i % 11) as f32 - 5.0).collect();
        let offsets = [103, 100, 2500, 111, 104].repeat(CHAIN / 4);
        for count in 1..=row_channels::<f32>() {
            let weights: Vec<f32> = (0..offsets.len() * count).map(|i| (i % 7) as f32 - 3.0).collect();
            for width in (lanes..=5 * lanes).step_by(2) {
                let (counts, steps) = ([2, 3, width], [900, 170, 1]);
                let start = 10_usize.wrapping_sub(97);
                let windows = Windows {
                    cells: &cells,
                    offsets: &offsets,
                    start,
                    counts,
                    steps,
                    border: None,
                    is_bare: false,
                    are_far: false,
                };
                let mut sums = vec![f32::NAN; count * (6 * width + 3)];
                let mut lines: Vec<&mut [f32]> = sums.chunks_exact_mut(6 * width + 3).collect();
                let bias: Vec<f32> = (0..count).map(|channel| channel as f32 - 2.0).collect();
                let bounds = (width % 4 == 0).then_some([-50.0, 60.0]);
                let finish = Finish { start: Some(&bias), bounds };
                multiply(windows, &weights, finish, &mut lines);
                for (channel, line) in lines.iter().enumerate() {
                    for (window, &sum) in line[..6 * width].iter().enumerate() {
                        let start = window / width / 3 * 900 + window / width % 3 * 170 + window % width;
                        let terms = offsets.iter().enumerate();
                        let expected: f32 =
                            terms.map(|(k, o)| cells[o + start - 87] * weights[k * count + channel]).sum();
                        let expected = finish.bound(expected + bias[channel]);
                        assert_eq!(sum, expected, "width {width}, window {window}, channel {channel} of {count}");
                    }
                    assert!(line[6 * width..].iter().all(|sum| sum.is_nan()));
                }
            }
        }
    }
}
