//! The transforms of F(2,3) and F(4,3), and their vectorised application to many tiles.
//!
//! `y = Aᵀ [(G g) ⊙ (Bᵀ d)]` by Toom and Cook, with the points {0, ±1} and {0, ±1/√2, ±√2} and infinity.
//! (A. Lavin, S. Gray, "Fast algorithms for convolutional neural networks", 2016; the points of F(4,3) as in
//! B. Barabasz et al., "Error analysis and improving the accuracy of Winograd convolution", 2020: the
//! usual {0, ±1, ±2} have about twice their error.)

#![allow(
    clippy::needless_range_loop,
    reason = "loops of constant length over arrays become registers, iterators do not"
)]

use std::f64::consts::{FRAC_1_SQRT_2, SQRT_2};

use pulp::{Simd, WithSimd};

use super::scheme::{Axes, MAX_SIDE, Scheme, Tile};
use crate::element::Element;
use crate::simd::arch;

/// Tiles that are transformed side by side: one register of f32 on the widest machines.
pub(super) const WIDTH: usize = 16;

/// One value of each of `WIDTH` tiles.
#[derive(Clone, Copy)]
struct Lane<T>([T; WIDTH]);

impl<T: Element> Lane<T> {
    #[inline(always)]
    fn load(from: &[T]) -> Self {
        let mut lane = [T::zero(); WIDTH];
        lane.copy_from_slice(&from[..WIDTH]);
        Self(lane)
    }

    #[inline(always)]
    fn store(self, to: &mut [T]) {
        to[..WIDTH].copy_from_slice(&self.0);
    }

    #[inline(always)]
    fn map2(self, other: Self, f: impl Fn(T, T) -> T) -> Self {
        let mut out = [T::zero(); WIDTH];
        for i in 0..WIDTH {
            out[i] = f(self.0[i], other.0[i]);
        }
        Self(out)
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        self.map2(other, |a, b| a + b)
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        self.map2(other, |a, b| a - b)
    }

    #[inline(always)]
    fn times(self, factor: f64) -> Self {
        let factor = T::from_f64(factor);
        self.map2(self, |a, _| a * factor)
    }

    /// `self + factor · other`, in one instruction where the processor has it.
    #[inline(always)]
    fn plus_times<S: Simd>(self, factor: f64, other: Self) -> Self {
        let factor = T::from_f64(factor);
        match S::IS_SCALAR {
            true => self.map2(other, |a, b| a + factor * b),
            false => self.map2(other, |a, b| factor.mul_add(b, a)),
        }
    }

    const ZERO: fn() -> Self = || Self([T::zero(); WIDTH]);
}

/// `Bᵀ` along one axis. Entries beyond the scheme's side are not read or meant.
#[inline(always)]
fn input_axis<S: Simd, T: Element>(scheme: Scheme, d: [Lane<T>; MAX_SIDE]) -> [Lane<T>; MAX_SIDE] {
    match scheme {
        Scheme::F2 => {
            [d[0].minus(d[2]), d[1].plus(d[2]), d[2].minus(d[1]), d[3].minus(d[1]), Lane::ZERO(), Lane::ZERO()]
        }
        Scheme::F4 => {
            let (near, near_odd) = (d[4].plus_times::<S>(-2.0, d[2]), d[3].plus_times::<S>(-2.0, d[1]));
            let (far, far_odd) = (d[4].plus_times::<S>(-0.5, d[2]), d[3].plus_times::<S>(-0.5, d[1]));
            [
                d[0].plus(d[4]).plus_times::<S>(-2.5, d[2]),
                near.plus_times::<S>(FRAC_1_SQRT_2, near_odd),
                near.plus_times::<S>(-FRAC_1_SQRT_2, near_odd),
                far.plus_times::<S>(SQRT_2, far_odd),
                far.plus_times::<S>(-SQRT_2, far_odd),
                d[1].plus(d[5]).plus_times::<S>(-2.5, d[3]),
            ]
        }
    }
}

/// `Aᵀ` along one axis: as many values as a tile has outputs, then zeros.
#[inline(always)]
fn output_axis<S: Simd, T: Element>(scheme: Scheme, m: [Lane<T>; MAX_SIDE]) -> [Lane<T>; MAX_SIDE] {
    let zero = Lane::ZERO();
    let (near, near_odd) = (m[1].plus(m[2]), m[1].minus(m[2]));
    match scheme {
        // The row of infinity has its sign from the last row of `Bᵀ` above.
        Scheme::F2 => [m[0].plus(near), near_odd.plus(m[3]), zero, zero, zero, zero],
        Scheme::F4 => {
            let (far, far_odd) = (m[3].plus(m[4]), m[3].minus(m[4]));
            [
                m[0].plus(near).plus(far),
                near_odd.times(FRAC_1_SQRT_2).plus_times::<S>(SQRT_2, far_odd),
                near.times(0.5).plus_times::<S>(2.0, far),
                m[5].plus_times::<S>(FRAC_1_SQRT_2 / 2.0, near_odd).plus_times::<S>(2.0 * SQRT_2, far_odd),
                zero,
                zero,
            ]
        }
    }
}

/// Where the values of a tile lie: value `i` of all tiles starts at `i · step`.
#[derive(Clone, Copy)]
pub(super) struct Planes {
    pub step: usize,
    /// Tiles, in whole lanes of [`WIDTH`].
    pub tiles: usize,
}

/// Which of the two transforms.
#[derive(Clone, Copy)]
pub(super) enum Direction {
    /// `Bᵀ d B`, of one row `d B`: from a tile's inputs to its transformed values.
    Input,
    /// `Aᵀ m A`, of one row `m A`: from its products to its outputs, row by row.
    Output,
}

impl Direction {
    /// Values that the transform gives along an axis.
    #[inline(always)]
    const fn kept(self, scheme: Scheme) -> usize {
        match self {
            Self::Input => scheme.side(),
            Self::Output => scheme.outputs(),
        }
    }
}

/// The transform along one axis.
#[inline(always)]
fn one_axis<S: Simd, T: Element>(
    scheme: Scheme,
    direction: Direction,
    values: [Lane<T>; MAX_SIDE],
) -> [Lane<T>; MAX_SIDE] {
    match direction {
        Direction::Input => input_axis::<S, T>(scheme, values),
        Direction::Output => output_axis::<S, T>(scheme, values),
    }
}

/// Transforms the columns of each tile of `from`, then its rows.
#[inline(always)]
fn both_axes<S: Simd, T: Element>(
    scheme: Scheme,
    direction: Direction,
    (from, source): (&[T], Planes),
    (to, target): (&mut [T], Planes),
) {
    let (side, kept) = (scheme.side(), direction.kept(scheme));
    let mut half = [[Lane::ZERO(); MAX_SIDE]; MAX_SIDE];
    for tile in (0..source.tiles).step_by(WIDTH) {
        for j in 0..side {
            let mut column = [Lane::ZERO(); MAX_SIDE];
            for (i, value) in column[..side].iter_mut().enumerate() {
                *value = Lane::load(&from[(i * side + j) * source.step + tile..]);
            }
            half[j] = one_axis::<S, T>(scheme, direction, column);
        }
        for i in 0..kept {
            let row = [half[0][i], half[1][i], half[2][i], half[3][i], half[4][i], half[5][i]];
            let row = one_axis::<S, T>(scheme, direction, row);
            for (j, value) in row[..kept].iter().enumerate() {
                value.store(&mut to[(i * kept + j) * target.step + tile..]);
            }
        }
    }
}

/// Transforms the row of each tile of `from`.
#[inline(always)]
fn width_axis<S: Simd, T: Element>(
    scheme: Scheme,
    direction: Direction,
    (from, source): (&[T], Planes),
    (to, target): (&mut [T], Planes),
) {
    let mut row = [Lane::ZERO(); MAX_SIDE];
    for tile in (0..source.tiles).step_by(WIDTH) {
        for j in 0..scheme.side() {
            row[j] = Lane::load(&from[j * source.step + tile..]);
        }
        let values = one_axis::<S, T>(scheme, direction, row);
        for j in 0..direction.kept(scheme) {
            values[j].store(&mut to[j * target.step + tile..]);
        }
    }
}

/// Transforms all tiles of `from` into `to`, with the widest instructions that the processor has.
pub(super) fn transform<T: Element>(tile: Tile, direction: Direction, from: (&[T], Planes), to: (&mut [T], Planes)) {
    arch().dispatch(Transform { tile, direction, from, to });
}

struct Transform<'a, T> {
    tile: Tile,
    direction: Direction,
    from: (&'a [T], Planes),
    to: (&'a mut [T], Planes),
}

impl<T: Element> Transform<'_, T> {
    /// The arguments, which are constants where it is called, are the tile's and the direction.
    #[inline(always)]
    fn run<S: Simd>(self, scheme: Scheme, direction: Direction) {
        match self.tile.axes {
            Axes::Plane => both_axes::<S, T>(scheme, direction, self.from, self.to),
            Axes::Width => width_axis::<S, T>(scheme, direction, self.from, self.to),
        }
    }
}

impl<T: Element> WithSimd for Transform<'_, T> {
    type Output = ();

    /// One call for each case, so that each has its loops unrolled.
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        match (self.tile.scheme, self.direction) {
            (Scheme::F2, Direction::Input) => self.run::<S>(Scheme::F2, Direction::Input),
            (Scheme::F4, Direction::Input) => self.run::<S>(Scheme::F4, Direction::Input),
            (Scheme::F2, Direction::Output) => self.run::<S>(Scheme::F2, Direction::Output),
            (Scheme::F4, Direction::Output) => self.run::<S>(Scheme::F4, Direction::Output),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transformed_tile_gives_the_convolution_of_its_cells() {
        let schemes = [Scheme::F2, Scheme::F4];
        for tile in schemes.into_iter().flat_map(|scheme| [Axes::Plane, Axes::Width].map(|axes| Tile { scheme, axes }))
        {
            let ([rows, side], [high, wide]) = (tile.sides(), tile.outputs());
            let planes = Planes { step: WIDTH, tiles: WIDTH };
            let cell = |tile: usize, i: usize, j: usize| ((tile * 13 + i * 7 + j * 5) % 11) as f64 - 5.0;
            let tap = |i: usize| (i * i) as f64 - 20.0;
            let mut d = vec![0.0; tile.products() * WIDTH];
            for (i, j) in (0..rows).flat_map(|i| (0..side).map(move |j| (i, j))) {
                (0..WIDTH).for_each(|tile| d[(i * side + j) * WIDTH + tile] = cell(tile, i, j));
            }
            let (mut v, mut y) = (vec![f64::NAN; d.len()], vec![f64::NAN; tile.cells() * WIDTH]);
            transform(tile, Direction::Input, (&d, planes), (&mut v, planes));
            tile.transform_kernel(tap, |i, u| v[i * WIDTH..(i + 1) * WIDTH].iter_mut().for_each(|v| *v *= u));
            transform(tile, Direction::Output, (&v, planes), (&mut y, planes));
            for n in 0..WIDTH {
                for (i, j) in (0..high).flat_map(|i| (0..wide).map(move |j| (i, j))) {
                    let expected: f64 = (0..tile.taps()).map(|t| tap(t) * cell(n, i + t / 3, j + t % 3)).sum();
                    let found = y[(i * wide + j) * WIDTH + n];
                    assert!((found - expected).abs() < 1e-10, "{tile:?} {i} {j}: {found} is not {expected}");
                }
            }
        }
    }
}
