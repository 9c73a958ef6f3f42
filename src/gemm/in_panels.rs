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

use super::steps::{add_products, by_count, has_many_registers};
use super::store::{Finish, put_tile};
use super::tail::{MAX_TAIL, TAIL_SLACK};
use super::{Kernel, Store};
use crate::element::Element;
use crate::simd::{Input, arch, ask_for_line};

/// Registers that are taken last, where their number is odd.
const LAST: usize = 3;

/// Registers that few channels take at once, so that rows far apart are read by longer pieces, and how many channels their sums
/// leave room for among 32 registers, or 16.
const WIDE: usize = 4;
const WIDE_CHANNELS: [usize; 2] = [4, 2];

/// Rows of the patch matrix, as panels of windows side by side.
#[derive(Clone, Copy)]
pub(crate) struct Panels<'a, T> {
    pub cells: &'a [T],
    pub rows: usize,
    /// Windows of a panel.
    pub lanes: usize,
    /// Elements from a panel to the next, and from a row of it to the next.
    pub step: usize,
    pub row_step: usize,
}

impl<'a, T> Panels<'a, T> {
    /// Whether so many windows lie side by side from one on.
    fn are_neighbours(&self, window: usize, count: usize) -> bool {
        self.step == self.lanes || window % self.lanes + count <= self.lanes
    }

    /// Where the [`LAST`] registers of windows begin, if their number is odd, which are taken with what fills no register.
    pub fn last(&self, windows: usize, vector: usize) -> Option<usize> {
        let (registers, tail) = (windows / vector, windows % vector);
        let last = registers.checked_sub(LAST)? * vector;
        (registers % 2 == 1 && tail <= MAX_TAIL && self.are_neighbours(last, windows - last)).then_some(last)
    }

    /// From a window on.
    pub fn from(&self, window: usize) -> &'a [T] {
        &self.cells[window / self.lanes * self.step + window % self.lanes..]
    }
}

/// [`multiply`] for one type of elements, compiled with this crate.
pub(super) type MultiplyPanels<T> = fn(Panels<'_, T>, &[T], (Store, Finish<'_, T>, &mut [&mut [T]]), &mut Input<T>);

impl<T: Element> Kernel<T> {
    /// Writes the sums of windows, which fill whole registers or have a [`last`](Panels::last) place, to the lines of some
    /// channels, or adds them; `weights` are `[row of the patch matrix][channel]`, of which [`TAIL_SLACK`] more may be read.
    ///
    /// # Panics
    /// If a size does not fit, which is a mistake of this crate.
    pub fn multiply_panels(
        &self,
        panels: Panels<'_, T>,
        weights: &[T],
        (store, finish, lines): (Store, Finish<'_, T>, &mut [&mut [T]]),
        next: &mut Input<T>,
    ) {
        (self.in_panels)(panels, weights, (store, finish, lines), next);
    }
}

pub(super) fn multiply<T: Element>(
    panels: Panels<'_, T>,
    weights: &[T],
    (store, finish, lines): (Store, Finish<'_, T>, &mut [&mut [T]]),
    next: &mut Input<T>,
) {
    arch().dispatch(Tile { panels, weights, store, finish, lines, next });
}

struct Tile<'a, 'l, T> {
    panels: Panels<'a, T>,
    weights: &'a [T],
    store: Store,
    finish: Finish<'a, T>,
    lines: &'a mut [&'l mut [T]],
    next: &'a mut Input<T>,
}

impl<T: Element> WithSimd for Tile<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let (lanes, count, all) = (T::lanes::<S>(), self.lines.len(), self.lines.first().map_or(0, |line| line.len()));
        let last = self.panels.last(all, lanes);
        assert!(last.is_some() || all.is_multiple_of(lanes), "{all} windows fill no registers");
        let end = last.unwrap_or(all);
        by_count!(count, simd, self.registers(end));
        // Half of the channels, since there are three registers for each.
        let half = count.div_ceil(2);
        for channels in [0..half, half..count].into_iter().filter(|channels| !channels.is_empty() && last.is_some()) {
            let place = (channels.start, end);
            by_count!(channels.len(), simd, self.last(place), [1 2 3], [4 5 6 7]);
        }
    }
}

impl<T: Element> Tile<'_, '_, T> {
    /// The windows before `end`, which fill whole registers, by two of these, or more for few channels.
    #[inline(always)]
    fn registers<S: Simd, const COUNT: usize>(&mut self, simd: S, end: usize) {
        let lanes = T::lanes::<S>();
        let is_wide = COUNT <= WIDE_CHANNELS[usize::from(!has_many_registers::<T, S>())];
        let mut window = 0;
        while window < end {
            if is_wide && end - window >= WIDE * lanes && self.panels.are_neighbours(window, WIDE * lanes) {
                self.add::<S, COUNT, WIDE, 0>(simd, (0, window));
                window += WIDE * lanes;
            } else if end - window >= 2 * lanes {
                self.add::<S, COUNT, 2, 0>(simd, (0, window));
                window += 2 * lanes;
            } else {
                self.add::<S, COUNT, 1, 0>(simd, (0, window));
                window += lanes;
            }
        }
    }

    #[inline(always)]
    fn last<S: Simd, const COUNT: usize>(&mut self, simd: S, place: (usize, usize)) {
        match self.lines[0].len() % T::lanes::<S>() {
            0 => self.add::<S, COUNT, LAST, 0>(simd, place),
            1 => self.add::<S, COUNT, LAST, 1>(simd, place),
            2 => self.add::<S, COUNT, LAST, 2>(simd, place),
            3 => self.add::<S, COUNT, LAST, 3>(simd, place),
            _ => self.add::<S, COUNT, LAST, MAX_TAIL>(simd, place),
        }
    }

    /// The sums of so many channels, from one on, and registers of windows, and of a few windows more, which the weights of
    /// these channels are taken as a register for.
    #[inline(always)]
    fn add<S: Simd, const COUNT: usize, const VECTORS: usize, const TAIL: usize>(
        &mut self,
        simd: S,
        (channel, window): (usize, usize),
    ) {
        let lanes = T::lanes::<S>();
        let all_channels = if VECTORS < LAST { COUNT } else { self.lines.len() };
        let Panels { rows, row_step, .. } = self.panels;
        let cells = self.panels.from(window);
        let mut place = 0;
        let mut sums = [[T::splat(simd, T::zero()); VECTORS]; COUNT];
        let mut tail = [[T::splat(simd, T::zero()); TAIL]; COUNT];
        let parts = COUNT.div_ceil(lanes);
        if let Some(start) = self.finish.from(channel).start {
            let starts = &start[..COUNT];
            for i in 0..COUNT {
                sums[i] = [T::splat(simd, starts[i]); VECTORS];
            }
            for part in (0..parts).filter(|_| TAIL > 0) {
                tail[part] = [T::load(simd, &start[part * lanes..]); TAIL];
            }
        }
        for (row, weights) in self.weights[..rows * all_channels].chunks_exact(all_channels).enumerate() {
            let cells = &cells[place..][..VECTORS * lanes + TAIL];
            let weights = &weights[channel..][..COUNT];
            place += row_step;
            if row < COUNT {
                for vector in 0..VECTORS {
                    ask_for_line::<T, true>(self.lines[channel + row].as_ptr().wrapping_add(window + vector * lanes));
                }
            } else {
                self.next.ask_one();
            }
            add_products(simd, (cells, weights), &mut sums);
            for part in (0..parts).filter(|_| TAIL > 0) {
                let first = row * all_channels + channel + part * lanes;
                let weights = T::load(simd, &self.weights[first..][..lanes]);
                for i in 0..TAIL {
                    let cell = T::splat(simd, cells[VECTORS * lanes + i]);
                    tail[part][i] = T::fused(simd, cell, weights, tail[part][i]);
                }
            }
        }
        put_tile(simd, sums, (self.lines, channel, window), (self.store, self.finish.bounds));
        for (part, i) in (0..parts).flat_map(|part| (0..TAIL).map(move |i| (part, i))) {
            let mut sums = [T::zero(); TAIL_SLACK];
            T::store(simd, tail[part][i], &mut sums[..lanes]);
            let channels = channel + part * lanes..channel + COUNT;
            for (channel, &sum) in channels.zip(&sums[..lanes]) {
                let to = &mut self.lines[channel][window + VECTORS * lanes + i];
                self.store.put(to, sum);
                *to = self.finish.bound(*to);
            }
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
            let weights: Vec<f32> = (0..rows * count + TAIL_SLACK).map(|i| (i % 7) as f32 - 3.0).collect();
            let bias: Vec<f32> = (0..count + TAIL_SLACK).map(|channel| channel as f32 - 2.0).collect();
            for windows in 1..=2 * lanes + vector + MAX_TAIL {
                // Side by side in each row, and panel after panel.
                for (step, row_step) in [(lanes, 3 * lanes), (rows * lanes, lanes)] {
                    let panels = Panels { cells: &cells, rows, lanes, step, row_step };
                    if !windows.is_multiple_of(vector) && panels.last(windows, vector).is_none() {
                        continue;
                    }
                    let mut sums = vec![f32::NAN; count * (windows + 3)];
                    let mut lines: Vec<&mut [f32]> =
                        sums.chunks_exact_mut(windows + 3).map(|line| &mut line[..windows]).collect();
                    let bounds = (windows % 3 == 0).then_some([-60.0, 70.0]);
                    for (store, start, bounds) in
                        [(Store::Overwrite, Some(&bias[..]), None), (Store::Add, None, bounds)]
                    {
                        let finish = Finish { start, bounds };
                        kernel.multiply_panels(panels, &weights, (store, finish, &mut lines), &mut Input::none());
                    }
                    for (channel, line) in sums.chunks_exact(windows + 3).enumerate() {
                        for (window, &sum) in line[..windows].iter().enumerate() {
                            let start = window / lanes * step + window % lanes;
                            let products =
                                (0..rows).map(|k| cells[start + k * row_step] * weights[k * count + channel]);
                            let expected = 2.0 * products.sum::<f32>() + bias[channel];
                            let expected = bounds.map_or(expected, |[min, max]| expected.clamp(min, max));
                            assert_eq!(sum, expected, "window {window} of {windows}, channel {channel} of {count}");
                        }
                        assert!(line[windows..].iter().all(|sum| sum.is_nan()));
                    }
                }
            }
        }
    }

    #[test]
    fn three_registers_are_taken_together_where_their_number_is_odd() {
        let last = |step: usize, windows: usize| {
            Panels::<f32> { cells: &[], rows: 1, lanes: 64, step, row_step: 64 }.last(windows, 16)
        };
        assert_eq!((last(64, 49), last(64, 48 + MAX_TAIL + 1), last(64, 33)), (Some(0), None, None));
        assert_eq!((last(64, 784), last(64, 768), last(64, 16)), (Some(736), None, None));
        // Not across panels.
        assert_eq!((last(640, 784), last(640, 64 + 48)), (None, Some(64)));
    }
}
