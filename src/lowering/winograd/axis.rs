//! The transforms of the schemes along one axis.
//!
//! `y = Aᵀ [(G g) ⊙ (Bᵀ d)]` by Toom and Cook. F(2, 3) has the points {0, ±1} and infinity, F(4, 3), F(3, 4) and F(2, 5) have
//! {0, ±1/√2, ±√2} and infinity, and F(3, 3) the same without 0 (which is the most exact to leave out); of windows that move by two, cells of even number have {0, 1} or {±1/2, ±5/4}, and infinity, as
//! have the outputs of their input gradient that meet two taps. (Of sixty such pairs from 0.35 to 1.6, these are exact in few
//! digits and close to the most exact; ±1 instead of ±5/4 has 1.4 times the error.)
//! (A. Lavin, S. Gray, "Fast algorithms for convolutional neural networks", 2016; the points of F(4, 3) as in
//! B. Barabasz et al., "Error analysis and improving the accuracy of Winograd convolution", 2020: the
//! usual {0, ±1, ±2} have about twice their error.)
//!
//! `y` is linear in `g`, so that the gradient of its product with any `e` is the transpose: `Gᵀ [(A e) ⊙ (Bᵀ d)]`.

use std::f64::consts::{FRAC_1_SQRT_2, SQRT_2};
use std::marker::PhantomData;

use pulp::Simd;

use super::scheme::{FAR, FAR_SCALE, Filter, MAX_SIDE, NEAR, NEAR_SCALE, Scheme, Tile};
use crate::element::Element;

const NO_GRADIENT: &str = "Tile::of_grad makes no such tile";

/// The sums that transforms are made of.
#[derive(Clone, Copy)]
pub(super) struct Sums<T, S> {
    pub simd: S,
    pub element: PhantomData<T>,
}

impl<T: Element, S: Simd> Sums<T, S> {
    #[inline(always)]
    pub fn zero(self) -> T::Vector<S> {
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

    #[inline(always)]
    fn times(self, factor: f64, a: T::Vector<S>) -> T::Vector<S> {
        self.plus_times(self.zero(), factor, a)
    }

    /// Sums and differences of what belongs to the near points and to the far ones.
    #[inline(always)]
    fn pairs(self, m: &[T::Vector<S>; MAX_SIDE]) -> [T::Vector<S>; 4] {
        [self.plus(m[1], m[2]), self.minus(m[1], m[2]), self.plus(m[3], m[4]), self.minus(m[3], m[4])]
    }

    /// `a + factor · b`.
    #[inline(always)]
    fn plus_times(self, a: T::Vector<S>, factor: f64, b: T::Vector<S>) -> T::Vector<S> {
        T::fused(self.simd, T::splat(self.simd, T::from_f64(factor)), b, a)
    }
}

/// `Bᵀ` along one axis. Values beyond the tile's side are neither read nor meant, here and below.
#[inline(always)]
pub(super) fn input_axis<T: Element, S: Simd>(
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
        (Filter::Three | Filter::Four | Filter::Five, _) => {
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
            [values[0], values[1], values[2]] = pair_input(by, [d[0], d[2], d[4]]);
            (values[3], values[4]) = (d[1], d[3]);
        }
        (Filter::Halving, Scheme::F4) => {
            [values[0], values[1], values[2], values[3], values[4]] = four_input(by, [d[0], d[2], d[4], d[6], d[8]]);
            (values[5], values[6], values[7], values[8]) = (d[1], d[3], d[5], d[7]);
        }
        (Filter::Doubling, Scheme::F2) => {
            [values[0], values[1], values[2]] = pair_input(by, [d[0], d[1], d[2]]);
            (values[3], values[4]) = (d[0], d[1]);
        }
        (Filter::Doubling, Scheme::F4) => {
            [values[0], values[1], values[2], values[3], values[4]] = four_input(by, [d[0], d[1], d[2], d[3], d[4]]);
            (values[5], values[6], values[7], values[8]) = (d[0], d[1], d[2], d[3]);
        }
    }
    values
}

/// `Bᵀ` of F(3, 3), for kernels of F(4, 3): values 1 to 5 of 5 cells.
#[inline(always)]
pub(super) fn short_input_axis<T: Element, S: Simd>(
    by: Sums<T, S>,
    d: [T::Vector<S>; MAX_SIDE],
) -> [T::Vector<S>; MAX_SIDE] {
    let mut values = d;
    let (near, near_odd) = (by.plus_times(by.times(0.5, d[2]), -1.0, d[0]), by.plus_times(d[3], -2.0, d[1]));
    let (far, far_odd) = (by.plus_times(by.times(2.0, d[2]), -1.0, d[0]), by.plus_times(d[3], -0.5, d[1]));
    values[1] = by.plus_times(near, FRAC_1_SQRT_2, near_odd);
    values[2] = by.plus_times(near, -FRAC_1_SQRT_2, near_odd);
    values[3] = by.plus_times(far, SQRT_2, far_odd);
    values[4] = by.plus_times(far, -SQRT_2, far_odd);
    values[5] = by.plus_times(by.plus(d[0], d[4]), -2.5, d[2]);
    values
}

/// `Bᵀ` of F(2, 2).
#[inline(always)]
fn pair_input<T: Element, S: Simd>(by: Sums<T, S>, d: [T::Vector<S>; 3]) -> [T::Vector<S>; 3] {
    [by.minus(d[0], d[1]), d[1], by.minus(d[2], d[1])]
}

/// `Bᵀ` of F(4, 2).
#[inline(always)]
fn four_input<T: Element, S: Simd>(by: Sums<T, S>, d: [T::Vector<S>; 5]) -> [T::Vector<S>; 5] {
    let (near, near_odd) = (by.plus_times(d[2], -FAR * FAR, d[0]), by.plus_times(d[3], -FAR * FAR, d[1]));
    let (far, far_odd) = (by.plus_times(d[2], -NEAR * NEAR, d[0]), by.plus_times(d[3], -NEAR * NEAR, d[1]));
    [
        by.plus_times(near_odd, NEAR, near),
        by.plus_times(near_odd, -NEAR, near),
        by.plus_times(far_odd, FAR, far),
        by.plus_times(far_odd, -FAR, far),
        by.plus_times(by.plus_times(d[4], -(NEAR * NEAR + FAR * FAR), d[2]), NEAR * NEAR * FAR * FAR, d[0]),
    ]
}

/// `Aᵀ` along one axis: as many values as a tile has outputs.
#[inline(always)]
pub(super) fn output_axis<T: Element, S: Simd>(
    by: Sums<T, S>,
    tile: Tile,
    m: [T::Vector<S>; MAX_SIDE],
) -> [T::Vector<S>; MAX_SIDE] {
    let mut values = m;
    let [near, near_odd, far, far_odd] = by.pairs(&m);
    match (tile.filter, tile.scheme) {
        // The row of infinity has its sign from the last row of `Bᵀ` above.
        (Filter::Three, Scheme::F2) => {
            values[0] = by.plus(m[0], near);
            values[1] = by.plus(near_odd, m[3]);
        }
        (Filter::Three, Scheme::F4) => {
            values[0] = by.plus(by.plus(m[0], near), far);
            values[1] = by.plus_times(by.times(FRAC_1_SQRT_2, near_odd), SQRT_2, far_odd);
            values[2] = by.plus_times(by.times(0.5, near), 2.0, far);
            values[3] = by.plus_times(by.plus_times(m[5], FRAC_1_SQRT_2 / 2.0, near_odd), 2.0 * SQRT_2, far_odd);
        }
        (Filter::Four, _) => {
            values[0] = by.plus(by.plus(m[0], near), far);
            values[1] = by.plus_times(by.times(FRAC_1_SQRT_2, near_odd), SQRT_2, far_odd);
            values[2] = by.plus_times(by.plus_times(m[5], 0.5, near), 2.0, far);
        }
        (Filter::Five, _) => {
            values[0] = by.plus(by.plus(m[0], near), far);
            values[1] = by.plus_times(by.plus_times(m[5], FRAC_1_SQRT_2, near_odd), SQRT_2, far_odd);
        }
        (Filter::Halving, Scheme::F2) => {
            let y = pair_output(by, &m);
            (values[0], values[1]) = (by.plus(y[0], m[3]), by.plus(y[1], m[4]));
        }
        (Filter::Halving, Scheme::F4) => {
            let y = four_output(by, &m);
            for i in 0..4 {
                values[i] = by.plus(y[i], m[5 + i]);
            }
        }
        (Filter::Doubling, Scheme::F2) => {
            let y = pair_output(by, &m);
            (values[0], values[1], values[2], values[3]) = (m[3], y[0], m[4], y[1]);
        }
        (Filter::Doubling, Scheme::F4) => {
            let y = four_output(by, &m);
            for i in 0..4 {
                (values[2 * i], values[2 * i + 1]) = (m[5 + i], y[i]);
            }
        }
    }
    values
}

/// `Aᵀ` of F(3, 3): 3 outputs from values 1 to 5.
#[inline(always)]
pub(super) fn short_output_axis<T: Element, S: Simd>(
    by: Sums<T, S>,
    m: [T::Vector<S>; MAX_SIDE],
) -> [T::Vector<S>; MAX_SIDE] {
    let mut values = m;
    let [near, near_odd, far, far_odd] = by.pairs(&m);
    values[0] = by.plus(near, far);
    values[1] = by.plus_times(by.times(FRAC_1_SQRT_2, near_odd), SQRT_2, far_odd);
    values[2] = by.plus_times(by.plus_times(m[5], 0.5, near), 2.0, far);
    values
}

/// `Aᵀ` of F(2, 2).
#[inline(always)]
fn pair_output<T: Element, S: Simd>(by: Sums<T, S>, m: &[T::Vector<S>; MAX_SIDE]) -> [T::Vector<S>; 2] {
    [by.plus(m[0], m[1]), by.plus(m[1], m[2])]
}

/// `Aᵀ` of F(4, 2).
#[inline(always)]
fn four_output<T: Element, S: Simd>(by: Sums<T, S>, m: &[T::Vector<S>; MAX_SIDE]) -> [T::Vector<S>; 4] {
    let (near, near_odd) = (by.plus(m[0], m[1]), by.minus(m[0], m[1]));
    let (far, far_odd) = (by.plus(m[2], m[3]), by.minus(m[2], m[3]));
    [
        by.plus(near, far),
        by.plus_times(by.times(NEAR, near_odd), FAR, far_odd),
        by.plus_times(by.times(NEAR * NEAR, near), FAR * FAR, far),
        by.plus_times(by.plus_times(m[4], NEAR * NEAR * NEAR, near_odd), FAR * FAR * FAR, far_odd),
    ]
}

/// `A` along one axis: from a gradient of a tile's outputs to as many values as it has products.
#[inline(always)]
pub(super) fn grad_axis<T: Element, S: Simd>(
    by: Sums<T, S>,
    tile: Tile,
    y: [T::Vector<S>; MAX_SIDE],
) -> [T::Vector<S>; MAX_SIDE] {
    let mut values = y;
    match (tile.filter, tile.scheme) {
        (Filter::Three, Scheme::F2) => {
            values[1] = by.plus(y[0], y[1]);
            values[2] = by.minus(y[0], y[1]);
            values[3] = y[1];
        }
        (Filter::Three, Scheme::F4) => {
            let (near, near_odd) = (by.plus_times(y[0], 0.5, y[2]), by.plus_times(y[1], 0.5, y[3]));
            let (far, far_odd) = (by.plus_times(y[0], 2.0, y[2]), by.plus_times(y[1], 2.0, y[3]));
            values[1] = by.plus_times(near, FRAC_1_SQRT_2, near_odd);
            values[2] = by.plus_times(near, -FRAC_1_SQRT_2, near_odd);
            values[3] = by.plus_times(far, SQRT_2, far_odd);
            values[4] = by.plus_times(far, -SQRT_2, far_odd);
            values[5] = y[3];
        }
        (Filter::Four | Filter::Five | Filter::Doubling, _) => unreachable!("{NO_GRADIENT}"),
        (Filter::Halving, Scheme::F2) => {
            values[1] = by.plus(y[0], y[1]);
            values[2] = y[1];
            (values[3], values[4]) = (y[0], y[1]);
        }
        (Filter::Halving, Scheme::F4) => {
            let (near, near_odd) = (by.plus_times(y[0], NEAR * NEAR, y[2]), by.plus_times(y[1], NEAR * NEAR, y[3]));
            let (far, far_odd) = (by.plus_times(y[0], FAR * FAR, y[2]), by.plus_times(y[1], FAR * FAR, y[3]));
            values[0] = by.plus_times(near, NEAR, near_odd);
            values[1] = by.plus_times(near, -NEAR, near_odd);
            values[2] = by.plus_times(far, FAR, far_odd);
            values[3] = by.plus_times(far, -FAR, far_odd);
            values[4] = y[3];
            (values[5], values[6], values[7], values[8]) = (y[0], y[1], y[2], y[3]);
        }
    }
    values
}

/// `Gᵀ` along one axis: from sums of products to a gradient of as many taps as the kernel has.
#[inline(always)]
pub(super) fn kernel_axis<T: Element, S: Simd>(
    by: Sums<T, S>,
    tile: Tile,
    m: [T::Vector<S>; MAX_SIDE],
) -> [T::Vector<S>; MAX_SIDE] {
    let mut values = m;
    let [near, near_odd, far, far_odd] = by.pairs(&m);
    match (tile.filter, tile.scheme) {
        (Filter::Three, Scheme::F2) => {
            values[0] = by.plus_times(m[0], 0.5, near);
            values[1] = by.times(0.5, near_odd);
            values[2] = by.plus_times(m[3], 0.5, near);
        }
        (Filter::Three, Scheme::F4) => {
            values[0] = by.plus_times(by.plus_times(m[0], 1.0 / -1.5, near), 1.0 / 6.0, far);
            values[1] = by.plus_times(by.times(FRAC_1_SQRT_2 / -1.5, near_odd), SQRT_2 / 6.0, far_odd);
            values[2] = by.plus_times(by.plus_times(m[5], 0.5 / -1.5, near), 2.0 / 6.0, far);
        }
        (Filter::Four | Filter::Five | Filter::Doubling, _) => unreachable!("{NO_GRADIENT}"),
        (Filter::Halving, Scheme::F2) => {
            values[0] = by.plus(m[0], m[1]);
            values[1] = by.plus(m[3], m[4]);
            values[2] = near;
        }
        (Filter::Halving, Scheme::F4) => {
            let (near, near_odd) = (by.plus(m[0], m[1]), by.minus(m[0], m[1]));
            let (far, far_odd) = (by.plus(m[2], m[3]), by.minus(m[2], m[3]));
            values[0] = by.plus_times(by.times(1.0 / NEAR_SCALE, near_odd), 1.0 / FAR_SCALE, far_odd);
            values[1] = by.plus(by.plus(m[5], m[6]), by.plus(m[7], m[8]));
            values[2] = by.plus_times(by.plus_times(m[4], NEAR / NEAR_SCALE, near), FAR / FAR_SCALE, far);
        }
    }
    values
}
