//! The transforms of the schemes, each for as many channels at a time as a register has lanes.
//!
//! `y = Aᵀ [(G g) ⊙ (Bᵀ d)]` by Toom and Cook. F(2, 3) has the points {0, ±1} and infinity, F(4, 3) and F(2, 5) have
//! {0, ±1/√2, ±√2} and infinity; of windows that move by two, cells of even number have {0, 1} or {±1/2, ±1}, and infinity.
//! (A. Lavin, S. Gray, "Fast algorithms for convolutional neural networks", 2016; the points of F(4, 3) as in
//! B. Barabasz et al., "Error analysis and improving the accuracy of Winograd convolution", 2020: the
//! usual {0, ±1, ±2} have about twice their error.)

#![allow(
    clippy::needless_range_loop,
    reason = "loops of constant length over arrays become registers, iterators do not"
)]

use std::f64::consts::{FRAC_1_SQRT_2, SQRT_2};
use std::marker::PhantomData;

use pulp::{Simd, WithSimd};

use super::scheme::{Filter, MAX_SIDE, Scheme, Tile};
use crate::element::Element;

/// The sums that transforms are made of.
#[derive(Clone, Copy)]
struct Sums<T, S> {
    simd: S,
    element: PhantomData<T>,
}

impl<T: Element, S: Simd> Sums<T, S> {
    #[inline(always)]
    fn zero(self) -> T::Vector<S> {
        T::splat(self.simd, T::zero())
    }

    #[inline(always)]
    fn plus(self, a: T::Vector<S>, b: T::Vector<S>) -> T::Vector<S> {
        T::plus(self.simd, a, b)
    }

    #[inline(always)]
    fn minus(self, a: T::Vector<S>, b: T::Vector<S>) -> T::Vector<S> {
        T::minus(self.simd, a, b)
    }

    /// `a + factor · b`.
    #[inline(always)]
    fn plus_times(self, a: T::Vector<S>, factor: f64, b: T::Vector<S>) -> T::Vector<S> {
        T::fused(self.simd, T::splat(self.simd, T::from_f64(factor)), b, a)
    }
}

/// `Bᵀ` along one axis. Values beyond the tile's side are neither read nor meant, here and below.
#[inline(always)]
fn input_axis<T: Element, S: Simd>(
    by: Sums<T, S>,
    tile: Tile,
    d: [T::Vector<S>; MAX_SIDE],
) -> [T::Vector<S>; MAX_SIDE] {
    let mut values = d;
    match (tile.filter, tile.scheme) {
        (Filter::Three, Scheme::F2) => {
            values[0] = by.minus(d[0], d[2]);
            values[1] = by.plus(d[1], d[2]);
            values[2] = by.minus(d[2], d[1]);
            values[3] = by.minus(d[3], d[1]);
        }
        (Filter::Three | Filter::Five, _) => {
            let (near, near_odd) = (by.plus_times(d[4], -2.0, d[2]), by.plus_times(d[3], -2.0, d[1]));
            let (far, far_odd) = (by.plus_times(d[4], -0.5, d[2]), by.plus_times(d[3], -0.5, d[1]));
            values[0] = by.plus_times(by.plus(d[0], d[4]), -2.5, d[2]);
            values[1] = by.plus_times(near, FRAC_1_SQRT_2, near_odd);
            values[2] = by.plus_times(near, -FRAC_1_SQRT_2, near_odd);
            values[3] = by.plus_times(far, SQRT_2, far_odd);
            values[4] = by.plus_times(far, -SQRT_2, far_odd);
            values[5] = by.plus_times(by.plus(d[1], d[5]), -2.5, d[3]);
        }
        (Filter::Halving, Scheme::F2) => {
            values[0] = by.minus(d[0], d[2]);
            values[1] = d[2];
            values[2] = by.minus(d[4], d[2]);
            (values[3], values[4]) = (d[1], d[3]);
        }
        (Filter::Halving, Scheme::F4) => {
            let (one, one_odd) = (by.plus_times(d[4], -0.25, d[0]), by.plus_times(d[6], -0.25, d[2]));
            let (half, half_odd) = (by.minus(d[4], d[0]), by.minus(d[6], d[2]));
            values[0] = by.plus(one_odd, one);
            values[1] = by.minus(one_odd, one);
            values[2] = by.plus_times(half_odd, 0.5, half);
            values[3] = by.plus_times(half_odd, -0.5, half);
            values[4] = by.plus_times(by.plus_times(d[8], -1.25, d[4]), 0.25, d[0]);
            (values[5], values[6], values[7], values[8]) = (d[1], d[3], d[5], d[7]);
        }
    }
    values
}

/// `Aᵀ` along one axis: as many values as a tile has outputs.
#[inline(always)]
fn output_axis<T: Element, S: Simd>(
    by: Sums<T, S>,
    tile: Tile,
    m: [T::Vector<S>; MAX_SIDE],
) -> [T::Vector<S>; MAX_SIDE] {
    let mut values = m;
    let (near, near_odd) = (by.plus(m[1], m[2]), by.minus(m[1], m[2]));
    let (far, far_odd) = (by.plus(m[3], m[4]), by.minus(m[3], m[4]));
    match (tile.filter, tile.scheme) {
        // The row of infinity has its sign from the last row of `Bᵀ` above.
        (Filter::Three, Scheme::F2) => {
            values[0] = by.plus(m[0], near);
            values[1] = by.plus(near_odd, m[3]);
        }
        (Filter::Three, Scheme::F4) => {
            let none = by.zero();
            values[0] = by.plus(by.plus(m[0], near), far);
            values[1] = by.plus_times(by.plus_times(none, FRAC_1_SQRT_2, near_odd), SQRT_2, far_odd);
            values[2] = by.plus_times(by.plus_times(none, 0.5, near), 2.0, far);
            values[3] = by.plus_times(by.plus_times(m[5], FRAC_1_SQRT_2 / 2.0, near_odd), 2.0 * SQRT_2, far_odd);
        }
        (Filter::Five, _) => {
            values[0] = by.plus(by.plus(m[0], near), far);
            values[1] = by.plus_times(by.plus_times(m[5], FRAC_1_SQRT_2, near_odd), SQRT_2, far_odd);
        }
        (Filter::Halving, Scheme::F2) => {
            values[0] = by.plus(by.plus(m[0], m[1]), m[3]);
            values[1] = by.plus(near, m[4]);
        }
        (Filter::Halving, Scheme::F4) => {
            let (one, one_odd) = (by.plus(m[0], m[1]), by.minus(m[0], m[1]));
            let (half, half_odd) = (by.plus(m[2], m[3]), by.minus(m[2], m[3]));
            values[0] = by.plus(by.plus(one, half), m[5]);
            values[1] = by.plus(by.plus_times(one_odd, 0.5, half_odd), m[6]);
            values[2] = by.plus(by.plus_times(one, 0.25, half), m[7]);
            values[3] = by.plus(by.plus_times(one_odd, 0.125, half_odd), by.plus(m[4], m[8]));
        }
    }
    values
}

/// Which of the two transforms.
#[derive(Clone, Copy)]
pub(super) enum Direction {
    /// `Bᵀ d B`: from a tile's inputs to its transformed values.
    Input,
    /// `Aᵀ m A`: from its products to its outputs.
    Output,
}

/// Transforms channels that lie side by side, as many as a register has lanes or several times as many, of some tiles.
pub(super) struct Transform<'a, T> {
    pub tile: Tile,
    pub direction: Direction,
    /// Channels.
    pub channels: usize,
    /// Where the cells of each tile begin, inputs or outputs, and elements from one row and one column of them to the next.
    pub places: &'a [usize],
    pub cell_steps: [usize; 2],
    /// Elements from the values, inputs' or products', of one tile to those of the next, and from one value of a tile to the
    /// next.
    pub tile_step: usize,
    pub value_step: usize,
    pub from: &'a [T],
    pub to: &'a mut [T],
}

impl<T: Element> Transform<'_, T> {
    /// For the tile with the number `TILE` of all, a constant: with any other the loops would not be unrolled.
    #[inline(always)]
    fn both<S: Simd, const TILE: usize>(self, simd: S) {
        match self.direction {
            Direction::Input => self.run::<S, TILE, true>(simd),
            Direction::Output => self.run::<S, TILE, false>(simd),
        }
    }

    #[inline(always)]
    fn run<S: Simd, const TILE: usize, const IS_INPUT: bool>(self, simd: S) {
        let by = Sums { simd, element: PhantomData::<T> };
        let tile = const { Tile::ALL[TILE] };
        let direction = if IS_INPUT { Direction::Input } else { Direction::Output };
        let [rows, columns] = const { Tile::ALL[TILE].sides() };
        let cell = |i: usize, j: usize| i * self.cell_steps[0] + j * self.cell_steps[1];
        let value = |i: usize, j: usize| (i * columns + j) * self.value_step;
        let source = |cells: usize, values: usize, i, j| match direction {
            Direction::Input => cells + cell(i, j),
            Direction::Output => values + value(i, j),
        };
        let target = |cells: usize, values: usize, i, j| match direction {
            Direction::Input => values + value(i, j),
            Direction::Output => cells + cell(i, j),
        };
        let one_axis = |values| match direction {
            Direction::Input => input_axis(by, tile, values),
            Direction::Output => output_axis(by, tile, values),
        };
        let [kept_rows, kept_columns] =
            const { if IS_INPUT { Tile::ALL[TILE].sides() } else { Tile::ALL[TILE].outputs() } };
        let mut half = [[by.zero(); MAX_SIDE]; MAX_SIDE];
        for (number, &place) in self.places.iter().enumerate() {
            for first in (0..self.channels).step_by(T::lanes::<S>()) {
                let (cells, values) = (place + first, number * self.tile_step + first);
                for j in 0..columns {
                    let mut column = [by.zero(); MAX_SIDE];
                    for i in 0..rows {
                        column[i] = T::load(simd, &self.from[source(cells, values, i, j)..]);
                    }
                    let column = one_axis(column);
                    for i in 0..kept_rows {
                        if columns == 1 {
                            T::put(simd, column[i], &mut self.to[target(cells, values, i, 0)..]);
                        } else {
                            half[i][j] = column[i];
                        }
                    }
                }
                for i in 0..if columns > 1 { kept_rows } else { 0 } {
                    let row = one_axis(half[i]);
                    for j in 0..kept_columns {
                        T::put(simd, row[j], &mut self.to[target(cells, values, i, j)..]);
                    }
                }
            }
        }
    }
}

impl<T: Element> WithSimd for Transform<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match Tile::ALL.iter().position(|&tile| tile == self.tile) {
            Some(0) => self.both::<S, 0>(simd),
            Some(1) => self.both::<S, 1>(simd),
            Some(2) => self.both::<S, 2>(simd),
            Some(3) => self.both::<S, 3>(simd),
            Some(4) => self.both::<S, 4>(simd),
            Some(5) => self.both::<S, 5>(simd),
            Some(6) => self.both::<S, 6>(simd),
            _ => unreachable!("Tile::of makes no others"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{SIDE, arch};

    #[test]
    fn a_transformed_tile_gives_the_convolution_of_its_cells() {
        for tile in Tile::ALL {
            let ([height, width], [high, wide], products) = (tile.sides(), tile.outputs(), tile.products());
            let kernel_width = if width > 1 { tile.taps().isqrt() } else { 1 };
            let stride = tile.steps()[0] / high;
            let cell = |channel: usize, i: usize, j: usize| ((channel * 13 + i * 7 + j * 5) % 11) as f64 - 5.0;
            let tap = |i: usize| (i * i) as f64 - 20.0;
            let mut d = vec![f64::NAN; products * SIDE];
            for (i, j) in (0..height).flat_map(|i| (0..width).map(move |j| (i, j))) {
                (0..SIDE).for_each(|channel| d[(i * width + j) * SIDE + channel] = cell(channel, i, j));
            }
            let (mut v, mut y) = (vec![f64::NAN; d.len()], vec![f64::NAN; tile.cells() * SIDE]);
            let steps = |width: usize| [width * SIDE, SIDE];
            let transform = |direction, cell_steps, from: &[f64], to: &mut [f64]| {
                let (channels, places, tile_step, value_step) = (SIDE, &[0][..], 0, SIDE);
                arch().dispatch(Transform {
                    tile,
                    direction,
                    channels,
                    places,
                    cell_steps,
                    tile_step,
                    value_step,
                    from,
                    to,
                });
            };
            transform(Direction::Input, steps(width), &d, &mut v);
            tile.transform_kernel(tap, |i, u| v[i * SIDE..(i + 1) * SIDE].iter_mut().for_each(|v| *v *= u));
            transform(Direction::Output, steps(wide), &v, &mut y);
            for channel in 0..SIDE {
                for (i, j) in (0..high).flat_map(|i| (0..wide).map(move |j| (i, j))) {
                    let read = |t: usize| cell(channel, i * stride + t / kernel_width, j * stride + t % kernel_width);
                    let expected: f64 = (0..tile.taps()).map(|t| tap(t) * read(t)).sum();
                    let found = y[(i * wide + j) * SIDE + channel];
                    assert!((found - expected).abs() < 1e-9, "{tile:?} {i} {j}: {found} is not {expected}");
                }
            }
        }
    }
}
