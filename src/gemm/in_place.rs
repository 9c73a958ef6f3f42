//! Products with windows that are read where they lie: output channels on the lanes, cells one by one.
//!
//! A step takes one to three registers of weights and the cells of a few neighbouring windows, which are a constant step
//! apart from wherever the patch matrix's row begins. So nothing is packed for it but weights.

#![allow(
    clippy::needless_range_loop,
    reason = "loops of constant length over arrays become registers, iterators do not"
)]

use pulp::{Simd, WithSimd};

use super::steps::has_many_registers;
use super::windows::{Readers, Windows, Zeros};
use super::{Kernel, Store};
use crate::element::Element;
use crate::simd::{Column, LINE_BYTES, Output, arch, ask_for_line};

/// Registers of channels in a tile.
pub(super) const MOST_VECTORS: usize = 2;

/// More in one of rows of at most half as many windows: a step has as many products for its checks and hints then as it has room
/// for. (By twos, rows would share a step's weights, too, but not which of its products are with zeros.)
pub(crate) const SHORT_ROW_VECTORS: usize = 3;

/// Windows of a tile, or channels where windows lie on the lanes. Their sums, the weights and a cell fill 31 of 32
/// registers, or 15 of 16.
pub(super) const MANY: usize = 14;
pub(super) const FEW: usize = 6;

/// Products of a sum that are added up one to the next: longer sums are taken in parts of about so many, since each addition
/// rounds what is there already.
pub(crate) const CHAIN: usize = 288;

/// Cells from the first of a step to one whose line is asked for, if cells lie in memory: two lines after those of its tile. The
/// processor foresees the lines of a few rows, not those of all channels' rows at once.
const fn cells_ahead<T>() -> usize {
    MANY + 2 * LINE_BYTES / size_of::<T>()
}

/// Products of each of parts of at most so many, of about the same length.
pub(crate) fn chain_length(products: usize, most: usize) -> usize {
    products.div_ceil(products.div_ceil(most).max(1)).max(1)
}

/// Whether windows of a row may lie so many cells apart.
pub(crate) fn is_step(step: usize) -> bool {
    matches!(step, 1 | 2 | 4)
}

/// Channels of one register and of a whole tile.
pub(crate) fn channel_lanes<T: Element>() -> [usize; 2] {
    let lanes = arch().dispatch(Lanes(std::marker::PhantomData::<T>));
    [lanes, MOST_VECTORS * lanes]
}

struct Lanes<T>(std::marker::PhantomData<T>);

impl<T: Element> WithSimd for Lanes<T> {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> usize {
        T::lanes::<S>()
    }
}

/// Sums `[window][channel]`, of which a tile takes some channels.
pub(crate) struct Sums<'a, T> {
    pub sums: &'a mut [T],
    /// Elements from one window to the next.
    pub step: usize,
    /// Products of each that are added up one to the next, at the most.
    pub chain: usize,
}

/// [`multiply`] for one type of elements. Kernels hold it, so that it is compiled with this crate and not with each that
/// uses it.
pub(super) type Multiply<T> = fn(Windows<'_, T>, (&[T], &[T]), (Store, Sums<'_, T>), Output<T>);

impl<T: Element> Kernel<T> {
    /// Multiplies windows by the weights `[kernel cell][channel]` of one to three registers of channels. The weights that are
    /// read after these are asked for meanwhile, and the lines of the output that these windows' sums will go to.
    ///
    /// # Panics
    /// If a size does not fit, which is a mistake of this crate.
    pub fn multiply_windows(
        &self,
        windows: Windows<'_, T>,
        (weights, next): (&[T], &[T]),
        (store, sums): (Store, Sums<'_, T>),
        output: Output<T>,
    ) {
        (self.in_place)(windows, (weights, next), (store, sums), output);
    }
}

pub(super) fn multiply<T: Element>(
    windows: Windows<'_, T>,
    (weights, next): (&[T], &[T]),
    (store, sums): (Store, Sums<'_, T>),
    output: Output<T>,
) {
    let vectors = weights.len() / (windows.offsets.len() * channel_lanes::<T>()[0]).max(1);
    match (vectors, windows.steps[2]) {
        (1, 1) => arch().dispatch(Tile::<T, 1, 1> { windows, weights, next, store, sums, output }),
        (1, 2) => arch().dispatch(Tile::<T, 1, 2> { windows, weights, next, store, sums, output }),
        (1, 4) => arch().dispatch(Tile::<T, 1, 4> { windows, weights, next, store, sums, output }),
        (3, 1) => arch().dispatch(Tile::<T, 3, 1> { windows, weights, next, store, sums, output }),
        (3, 2) => arch().dispatch(Tile::<T, 3, 2> { windows, weights, next, store, sums, output }),
        (3, 4) => arch().dispatch(Tile::<T, 3, 4> { windows, weights, next, store, sums, output }),
        (_, 1) => arch().dispatch(Tile::<T, 2, 1> { windows, weights, next, store, sums, output }),
        (_, 2) => arch().dispatch(Tile::<T, 2, 2> { windows, weights, next, store, sums, output }),
        (_, 4) => arch().dispatch(Tile::<T, 2, 4> { windows, weights, next, store, sums, output }),
        (_, step) => unreachable!("windows {step} cells apart"),
    }
}

/// Calls [`Tile::add`] with the number of windows as a constant: one of those that there may be.
macro_rules! add_row {
    ($([$may_be:expr; $($number:literal)*])*, $tile:ident, $simd:ident, $count:expr, $place:expr, ($zeros:expr, $hints:expr)) => {
        match ($count, &$zeros) {
            $($(
                ($number, None) if $may_be => $tile.add::<S, $number, false>($simd, $place, (&Zeros::NONE, $hints)),
                ($number, Some(zeros)) if $may_be => $tile.add::<S, $number, true>($simd, $place, (zeros, $hints)),
            )*)*
            (count, _) => unreachable!("{count} windows of a tile's row"),
        }
    };
}

struct Tile<'a, T, const VECTORS: usize, const STEP: usize> {
    windows: Windows<'a, T>,
    weights: &'a [T],
    next: &'a [T],
    store: Store,
    sums: Sums<'a, T>,
    output: Output<T>,
}

impl<T: Element, const VECTORS: usize, const STEP: usize> WithSimd for Tile<'_, T, VECTORS, STEP> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let Windows { offsets, counts: [planes, rows, width], border, is_bare, .. } = self.windows;
        assert_eq!(self.weights.len(), offsets.len() * VECTORS * T::lanes::<S>(), "weights of a tile");
        let (has_many, are_long) = (has_many_registers::<T, S>(), VECTORS <= MOST_VECTORS);
        let most = if has_many { MANY } else { FEW };
        let most = if are_long { most } else { most / 2 };
        let (lines, pieces) = (planes * rows, width.div_ceil(most));
        let tiles = (lines * pieces).max(1);
        let share = self.next.len().div_ceil(tiles);
        // What is near already, if nothing is to be asked for.
        let mut next = if self.next.is_empty() { self.weights.as_ptr() } else { self.next.as_ptr() };
        let mut window = 0;
        for row in 0..lines {
            let mut column = 0;
            for piece in 0..pieces {
                let count = (width + piece) / pieces;
                let start = self.windows.row_start(row).wrapping_add(column * STEP);
                let step = share.div_ceil(offsets.len().max(1));
                let hints = Hints { next, step, output: self.output.column(window + count - 1, self.weights.as_ptr()) };
                next = next.wrapping_add(share);
                // What is left of short rows has too few products a step to decide for each.
                let known = border.filter(|_| is_bare || 2 * count > most);
                let zeros = known.and_then(|border| Zeros::of(border, row % rows, column..column + count));
                add_row!(
                    [true; 1 2 3] [has_many || are_long; 4 5 6] [has_many; 7] [has_many && are_long; 8 9 10 11 12 13 14],
                    self, simd, count, (start, window), (zeros, hints)
                );
                column += count;
                window += count;
            }
        }
    }
}

impl<T: Element, const VECTORS: usize, const STEP: usize> Tile<'_, T, VECTORS, STEP> {
    /// The sums of so many neighbouring windows from `start` on.
    #[inline(always)]
    fn add<S: Simd, const COUNT: usize, const IS_EDGE: bool>(
        &mut self,
        simd: S,
        (start, window): (usize, usize),
        (zeros, mut hints): (&Zeros, Hints<T>),
    ) {
        let (cells, offsets, lanes) = (self.windows.cells, self.windows.offsets, T::lanes::<S>());
        let (to, to_step) = (&mut self.sums.sums[window * self.sums.step..], self.sums.step);
        let mut store = self.store;
        let length = chain_length(offsets.len(), self.sums.chain);
        let mut readers = zeros.readers();
        let ahead = if self.windows.are_far { cells_ahead::<T>() * STEP } else { 0 };
        for (weights, offsets) in self.weights.chunks(length * VECTORS * lanes).zip(offsets.chunks(length)) {
            let mut sums = [[T::splat(simd, T::zero()); VECTORS]; COUNT];
            for (weights, &offset) in weights.chunks_exact(VECTORS * lanes).zip(offsets) {
                let place = offset.wrapping_add(start);
                let mut channels = [T::splat(simd, T::zero()); VECTORS];
                for vector in 0..VECTORS {
                    channels[vector] = T::load(simd, &weights[vector * lanes..]);
                }
                hints.give();
                ask_for_line::<T, false>(cells.as_ptr().wrapping_add(place.wrapping_add(ahead)));
                let (step, sums) = ((cells, place, channels), &mut sums);
                match if IS_EDGE { readers.next() } else { None } {
                    None | Some(Readers::All) => add_step::<T, S, COUNT, VECTORS, STEP, 0, 0>(simd, step, sums),
                    Some(Readers::AllButFirst) => add_step::<T, S, COUNT, VECTORS, STEP, 1, 0>(simd, step, sums),
                    Some(Readers::AllButLast) => add_step::<T, S, COUNT, VECTORS, STEP, 0, 1>(simd, step, sums),
                    Some(Readers::None) => {}
                }
            }
            // A loop for each, since only short ones are unrolled, and arrays that others read are kept in memory.
            match store {
                Store::Overwrite => {
                    for i in 0..COUNT {
                        let to = &mut to[i * to_step..][..VECTORS * lanes];
                        for vector in 0..VECTORS {
                            T::put(simd, sums[i][vector], &mut to[vector * lanes..]);
                        }
                    }
                }
                Store::Add => {
                    for i in 0..COUNT {
                        let to = &mut to[i * to_step..][..VECTORS * lanes];
                        for vector in 0..VECTORS {
                            let to = &mut to[vector * lanes..];
                            T::put(simd, T::plus(simd, T::load(simd, to), sums[i][vector]), to);
                        }
                    }
                }
            }
            store = Store::Add;
        }
    }
}

/// What is asked for with each step of a tile of windows: all of it at once would wait for each other, and the tile's loads for
/// them.
#[derive(Clone, Copy)]
struct Hints<T> {
    /// What is read next, and elements from one step to the next.
    next: *const T,
    step: usize,
    /// The lines of the tile's last window; those of others were asked for with the tiles before.
    output: Column<T>,
}

impl<T> Hints<T> {
    #[inline(always)]
    fn give(&mut self) {
        ask_for_line::<T, false>(self.next);
        self.next = self.next.wrapping_add(self.step);
        self.output.ask_one();
    }
}

/// Adds the products of a step to the sums of all windows but so many of the first and the last.
#[inline(always)]
fn add_step<
    T: Element,
    S: Simd,
    const COUNT: usize,
    const VECTORS: usize,
    const STEP: usize,
    const FIRST: usize,
    const LAST: usize,
>(
    simd: S,
    (cells, place, channels): (&[T], usize, [T::Vector<S>; VECTORS]),
    sums: &mut [[T::Vector<S>; VECTORS]; COUNT],
) {
    if FIRST + LAST >= COUNT {
        return;
    }
    // Cells of windows that are left out need not be there.
    let line = &cells[place.wrapping_add(FIRST * STEP)..][..(COUNT - FIRST - LAST - 1) * STEP + 1];
    for i in FIRST..COUNT - LAST {
        let cell = T::splat(simd, line[(i - FIRST) * STEP]);
        for vector in 0..VECTORS {
            sums[i][vector] = T::fused(simd, channels[vector], cell, sums[i][vector]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gemm::Border;

    /// Sums that an f32 holds exactly, so that their order does not matter.
    fn check(counts: [usize; 3], step: usize, vectors: usize) {
        let [lanes, _] = channel_lanes::<f32>();
        let channels = vectors * lanes;
        let cells: Vec<f32> = (0..4000).map(|i| (i % 11) as f32 - 5.0).collect();
        let offsets = [103, 100, 250, 111, 104];
        let weights: Vec<f32> = (0..offsets.len() * channels).map(|i| (i % 7) as f32 - 3.0).collect();
        let steps = [900, 70, step];
        let windows = Windows {
            cells: &cells,
            offsets: &offsets,
            start: 10_usize.wrapping_sub(97),
            counts,
            steps,
            border: None,
            is_bare: false,
            are_far: false,
        };
        let all = counts.iter().product::<usize>();
        let row = channels + 3;
        let mut sums = vec![f32::NAN; all * row];
        multiply(
            windows,
            (&weights, &[]),
            (Store::Overwrite, Sums { sums: &mut sums, step: row, chain: 3 }),
            Output::none(),
        );
        multiply(windows, (&weights, &[]), (Store::Add, Sums { sums: &mut sums, step: row, chain: 3 }), Output::none());
        for (window, sums) in sums.chunks_exact(row).enumerate() {
            let [_, rows, width] = counts;
            let start = window / width / rows * steps[0] + window / width % rows * steps[1] + window % width * step;
            for (channel, &sum) in sums[..channels].iter().enumerate() {
                let terms = offsets.iter().enumerate();
                let expected: f32 = terms.map(|(k, o)| cells[o + start - 87] * weights[k * channels + channel]).sum();
                assert_eq!(sum, 2.0 * expected, "window {window}, channel {channel}");
            }
            assert!(sums[channels..].iter().all(|sum| sum.is_nan()));
        }
    }

    #[test]
    fn every_width_and_step_is_right_and_writes_nothing_else() {
        for (vectors, step) in ndarray::indices((3, 3)).into_iter().map(|(vectors, step)| (vectors + 1, 1 << step)) {
            (1..=16).for_each(|width| check([2, 3, width], step, vectors));
        }
    }

    /// A single channel of an image with nothing around it, and the same sums by the definition.
    fn check_bare([height, width]: [usize; 2], stride: usize, vectors: usize) {
        let lanes = vectors * channel_lanes::<f32>()[0];
        let image: Vec<f32> = (0..height * width).map(|i| (i % 11) as f32 - 5.0).collect();
        let weights: Vec<f32> = (0..9 * lanes).map(|i| (i % 7) as f32 - 3.0).collect();
        let axis = |cells| Border { first: 0, taps: 3, stride, dilation: 1, before: 1, cells };
        let [rows, columns] = [height, width].map(|cells| (cells - 1) / stride + 1);
        assert!(axis(width).is_at_ends(columns), "{columns} windows over {width} cells");
        let offsets: Vec<usize> = (0..9).map(|tap| tap / 3 * width + tap % 3).collect();
        let windows = Windows {
            cells: &image,
            offsets: &offsets,
            start: 0_usize.wrapping_sub(width + 1),
            counts: [1, rows, columns],
            steps: [0, stride * width, stride],
            border: Some([axis(height), axis(width)]),
            is_bare: true,
            are_far: true,
        };
        let mut sums = vec![f32::NAN; rows * columns * lanes];
        let to = Sums { sums: &mut sums, step: lanes, chain: CHAIN };
        multiply(windows, (&weights, &[]), (Store::Overwrite, to), Output::none());
        for (i, &sum) in sums.iter().enumerate() {
            let (window, channel) = (i / lanes, i % lanes);
            let cell = |tap: usize| {
                let row = (window / columns * stride + tap / 3).checked_sub(1).filter(|&row| row < height);
                let column = (window % columns * stride + tap % 3).checked_sub(1).filter(|&column| column < width);
                row.zip(column).map_or(0.0, |(row, column)| image[row * width + column])
            };
            let expected: f32 = (0..9).map(|tap| cell(tap) * weights[tap * lanes + channel]).sum();
            assert_eq!(sum, expected, "window {window} of {rows}×{columns}, channel {channel}, stride {stride}");
        }
    }

    #[test]
    fn an_image_without_zeros_around_it_is_read_as_if_they_were_there() {
        for (vectors, stride, height) in [(1, 1, 1), (2, 1, 2), (1, 2, 5), (2, 1, 7), (2, 2, 8), (3, 1, 3), (3, 2, 7)] {
            (2 * stride..8 * stride + 34).for_each(|width| check_bare([height, width], stride, vectors));
        }
    }

    #[test]
    #[should_panic(expected = "out of range")]
    fn windows_beyond_the_cells_are_not_read() {
        let [lanes, _] = channel_lanes::<f32>();
        let (weights, cells, mut sums) = (vec![0.0; lanes], [0.0; 12], vec![0.0; 9 * lanes]);
        let windows = Windows {
            cells: &cells,
            offsets: &[4],
            start: 0,
            counts: [1, 1, 9],
            steps: [1, 1, 1],
            border: None,
            is_bare: false,
            are_far: false,
        };
        multiply(
            windows,
            (&weights, &[]),
            (Store::Overwrite, Sums { sums: &mut sums, step: lanes, chain: CHAIN }),
            Output::none(),
        );
    }
}
