//! Products with windows on the lanes, whose cells lie side by side: an image that is its own patch matrix, or packed panels.
//!
//! A step takes a register or two of windows and a weight of each channel of a tile. With each of the first steps lines of a
//! channel's output are asked for, with others what is read next: many at once would wait for each other, and the loads of
//! the tile for them.

#![allow(
    clippy::needless_range_loop,
    reason = "loops of constant length over arrays become registers, iterators do not"
)]

use pulp::{Simd, WithSimd};

use super::in_place::has_many_registers;
use super::in_rows::by_count;
use super::store::put_sums;
use super::{Kernel, Store};
use crate::element::Element;
use crate::simd::{Input, arch, ask_for_line};

/// Rows of the patch matrix, as panels of windows side by side.
#[derive(Clone, Copy)]
pub(crate) struct Panels<'a, T> {
    pub cells: &'a [T],
    /// Windows of a panel.
    pub lanes: usize,
    /// Elements from a panel to the next, and from a row of it to the next.
    pub step: usize,
    pub row_step: usize,
}

impl<'a, T> Panels<'a, T> {
    /// From a window on.
    pub fn from(&self, window: usize) -> &'a [T] {
        &self.cells[window / self.lanes * self.step + window % self.lanes..]
    }
}

/// [`multiply`] for one type of elements, compiled with this crate.
pub(super) type MultiplyPanels<T> = fn(Panels<'_, T>, &[T], (Store, &mut [&mut [T]]), &mut Input<T>);

impl<T: Element> Kernel<T> {
    /// Writes the sums of windows, which fill whole registers, to the lines of some channels, or adds them; `weights` are
    /// `[row of the patch matrix][channel]`.
    ///
    /// # Panics
    /// If a size does not fit, which is a mistake of this crate.
    pub fn multiply_panels(
        &self,
        panels: Panels<'_, T>,
        weights: &[T],
        (store, lines): (Store, &mut [&mut [T]]),
        next: &mut Input<T>,
    ) {
        (self.in_panels)(panels, weights, (store, lines), next);
    }
}

pub(super) fn multiply<T: Element>(
    panels: Panels<'_, T>,
    weights: &[T],
    (store, lines): (Store, &mut [&mut [T]]),
    next: &mut Input<T>,
) {
    arch().dispatch(Tile { panels, weights, store, lines, next });
}

struct Tile<'a, 'l, T> {
    panels: Panels<'a, T>,
    weights: &'a [T],
    store: Store,
    lines: &'a mut [&'l mut [T]],
    next: &'a mut Input<T>,
}

impl<T: Element> WithSimd for Tile<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let count = self.lines.len();
        assert!(self.weights.len().is_multiple_of(count.max(1)), "weights of a tile");
        by_count!(count, simd, self.windows());
    }
}

impl<T: Element> Tile<'_, '_, T> {
    #[inline(always)]
    fn windows<S: Simd, const COUNT: usize>(&mut self, simd: S) {
        let (lanes, all) = (T::lanes::<S>(), self.lines[0].len());
        assert!(all.is_multiple_of(lanes), "{all} windows fill no registers");
        let mut window = 0;
        while window < all {
            let cells = self.panels.from(window);
            if all - window >= 2 * lanes {
                self.add::<S, COUNT, 2>(simd, cells, window);
                window += 2 * lanes;
            } else {
                self.add::<S, COUNT, 1>(simd, cells, window);
                window += lanes;
            }
        }
    }

    /// The sums of so many channels and registers of windows.
    #[inline(always)]
    fn add<S: Simd, const COUNT: usize, const VECTORS: usize>(&mut self, simd: S, cells: &[T], window: usize) {
        let lanes = T::lanes::<S>();
        let mut sums = [[T::splat(simd, T::zero()); VECTORS]; COUNT];
        let mut place = 0;
        for (row, weights) in self.weights.chunks_exact(COUNT).enumerate() {
            let cells = &cells[place..][..VECTORS * lanes];
            place += self.panels.row_step;
            if row < COUNT {
                for vector in 0..VECTORS {
                    ask_for_line::<T, true>(self.lines[row].as_ptr().wrapping_add(window + vector * lanes));
                }
            } else {
                self.next.ask_one();
            }
            let mut windows = [T::splat(simd, T::zero()); VECTORS];
            for vector in 0..VECTORS {
                windows[vector] = T::load(simd, &cells[vector * lanes..]);
            }
            for i in 0..COUNT {
                let weight = T::splat(simd, weights[i]);
                for vector in 0..VECTORS {
                    sums[i][vector] = T::fused(simd, windows[vector], weight, sums[i][vector]);
                }
            }
        }
        for i in 0..COUNT {
            put_sums(simd, sums[i], (&mut self.lines[i][window..], self.store));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gemm::row_channels;

    #[test]
    fn every_number_of_windows_and_channels_is_right_and_writes_nothing_else() {
        let kernel = Kernel::<f32>::best();
        let (vector, lanes) = (kernel.vector, kernel.lanes());
        let cells: Vec<f32> = (0..40 * 3 * lanes).map(|i| (i % 11) as f32 - 5.0).collect();
        for (count, rows) in (1..=row_channels::<f32>()).flat_map(|count| [1, 7, 30].map(|rows| (count, rows))) {
            let weights: Vec<f32> = (0..rows * count).map(|i| (i % 7) as f32 - 3.0).collect();
            for windows in (1..=2 * lanes / vector + 1).map(|vectors| vectors * vector) {
                // Side by side in each row, and panel after panel.
                for (step, row_step) in [(lanes, 3 * lanes), (rows * lanes, lanes)] {
                    let panels = Panels { cells: &cells, lanes, step, row_step };
                    let mut sums = vec![f32::NAN; count * (windows + 3)];
                    let mut lines: Vec<&mut [f32]> =
                        sums.chunks_exact_mut(windows + 3).map(|line| &mut line[..windows]).collect();
                    for store in [Store::Overwrite, Store::Add] {
                        kernel.multiply_panels(panels, &weights, (store, &mut lines), &mut Input::none());
                    }
                    for (channel, line) in sums.chunks_exact(windows + 3).enumerate() {
                        for (window, &sum) in line[..windows].iter().enumerate() {
                            let start = window / lanes * step + window % lanes;
                            let products =
                                (0..rows).map(|k| cells[start + k * row_step] * weights[k * count + channel]);
                            let expected = 2.0 * products.sum::<f32>();
                            assert_eq!(sum, expected, "window {window} of {windows}, channel {channel} of {count}");
                        }
                        assert!(line[windows..].iter().all(|sum| sum.is_nan()));
                    }
                }
            }
        }
    }
}
