//! The sums of cells before the products.

use pulp::{Simd, WithSimd};

use crate::element::Element;
use crate::gemm::PRODUCTS;
use crate::simd::arch;

/// A quarter of the patch matrix, whose rows lie so far apart.
#[derive(Clone, Copy)]
pub(super) struct Source<'a, T> {
    pub cells: &'a [T],
    pub row_step: usize,
}

impl<'a, T> Source<'a, T> {
    #[inline(always)]
    fn row(&self, row: usize, windows: usize) -> &'a [T] {
        &self.cells[row * self.row_step..][..windows]
    }
}

/// `T₁ = B₁₂ − B₁₁`, `T₂ = B₂₂ − T₁`, `T₃ = B₂₂ − B₁₂` and `T₄ = B₂₁ − T₂` of `B₁₁`, `B₂₁`, `B₁₂` and `B₂₂`, of so many rows and
/// windows, which fill whole registers. Rows of the sums follow each other.
pub(super) fn differences<T: Element>(
    quarters: [Source<'_, T>; 4],
    (rows, windows): (usize, usize),
    sums: [&mut [T]; 4],
) {
    arch().dispatch(Differences { quarters, rows, windows, sums });
}

struct Differences<'a, T> {
    quarters: [Source<'a, T>; 4],
    rows: usize,
    windows: usize,
    sums: [&'a mut [T]; 4],
}

impl<T: Element> WithSimd for Differences<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { quarters, rows, windows, sums } = self;
        let lanes = T::lanes::<S>();
        debug_assert!(windows.is_multiple_of(lanes), "{windows} windows fill no registers");
        let [t1, t2, t3, t4] = sums.map(|sum| &mut sum[..rows * windows]);
        let [b11, b21, b12, b22] = quarters;
        for row in 0..rows {
            let (b11, b21) = (b11.row(row, windows), b21.row(row, windows));
            let (b12, b22) = (b12.row(row, windows), b22.row(row, windows));
            for i in (0..windows).step_by(lanes) {
                let load = |cells: &[T]| T::load(simd, &cells[i..]);
                let (x11, x21, x12, x22) = (load(b11), load(b21), load(b12), load(b22));
                let first = T::minus(simd, x12, x11);
                let second = T::minus(simd, x22, first);
                let at = row * windows + i;
                T::put(simd, first, &mut t1[at..]);
                T::put(simd, second, &mut t2[at..]);
                T::put(simd, T::minus(simd, x22, x12), &mut t3[at..]);
                T::put(simd, T::minus(simd, x21, second), &mut t4[at..]);
            }
        }
    }
}

/// `A₁₁`, `A₁₂`, `S₂`, `S₁`, `S₄`, `S₃` and `A₂₂` of `A₁₁`, `A₁₂`, `A₂₁` and `A₂₂`, which have so many rows and windows, in the order
/// of the products where windows take the place of channels. They are written from `start` on, row by row. Registers are read and
/// written whole, so that there is room for one behind the last of them. Only so many of the `right` windows, those of `A₂₁` and `A₂₂`,
/// are there, others are zeros, since each window of a pair is a term of sums of the other.
pub(super) fn factors_of_windows<T: Element>(
    quarters: [Source<'_, T>; 4],
    (rows, windows, right): (usize, usize, usize),
    (factors, start): (&mut [&mut [T]; PRODUCTS], usize),
) {
    arch().dispatch(WindowFactors { quarters, rows, windows, right, factors, start });
}

struct WindowFactors<'a, 'f, T> {
    quarters: [Source<'a, T>; 4],
    rows: usize,
    windows: usize,
    right: usize,
    factors: &'a mut [&'f mut [T]; PRODUCTS],
    start: usize,
}

impl<T: Element> WithSimd for WindowFactors<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { quarters, rows, windows, right, factors, start } = self;
        let lanes = T::lanes::<S>();
        let (whole, stop) = (windows.next_multiple_of(lanes), start + rows * windows + lanes);
        let [p1, p2, p6, p5, p3, p7, p4] = factors.each_mut().map(|factor| &mut factor[start..stop]);
        let [a11, a12, a21, a22] = quarters;
        for row in 0..rows {
            let (a11, a12) = (a11.row(row, whole), a12.row(row, whole));
            let (a21, a22) = (a21.row(row, whole), a22.row(row, whole));
            for i in (0..windows).step_by(lanes) {
                let load = |cells: &[T]| T::load(simd, &cells[i..]);
                let there = T::between(simd, 0, right.saturating_sub(i));
                let (x11, x12) = (load(a11), load(a12));
                let (x21, x22) = (T::keep(simd, there, load(a21)), T::keep(simd, there, load(a22)));
                let s1 = T::plus(simd, x21, x22);
                let s2 = T::minus(simd, s1, x11);
                let at = row * windows + i;
                T::put(simd, x11, &mut p1[at..]);
                T::put(simd, x12, &mut p2[at..]);
                T::put(simd, s2, &mut p6[at..]);
                T::put(simd, s1, &mut p5[at..]);
                T::put(simd, T::minus(simd, x12, s2), &mut p3[at..]);
                T::put(simd, T::minus(simd, x11, x21), &mut p7[at..]);
                T::put(simd, x22, &mut p4[at..]);
            }
        }
    }
}
