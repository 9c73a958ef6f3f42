//! The sums of cells before the products, and of products after them.

use ndarray::ArrayViewMut2;
use pulp::{Simd, WithSimd};

use crate::element::Element;
use crate::gemm::Store;
use crate::simd::arch;

/// `T₁ = B₁₂ − B₁₁`, `T₂ = B₂₂ − T₁`, `T₃ = B₂₂ − B₁₂`, which takes the place of `B₁₂`, and `T₄ = B₂₁ − T₂`.
pub(super) fn differences<T: Element>([b11, b21, b12, b22]: [&mut [T]; 4], [t1, t2, t4]: [&mut [T]; 3]) {
    arch().dispatch(Differences { quarters: [b11, b21, b22], b12, sums: [t1, t2, t4] });
}

struct Differences<'a, T> {
    quarters: [&'a [T]; 3],
    b12: &'a mut [T],
    sums: [&'a mut [T]; 3],
}

impl<T: Element> WithSimd for Differences<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let lanes = T::lanes::<S>();
        let ([b11, b21, b22], b12, [t1, t2, t4]) = (self.quarters, self.b12, self.sums);
        let whole = b12.len() / lanes * lanes;
        for i in (0..whole).step_by(lanes) {
            let at = i..i + lanes;
            let load = |from: &[T]| T::load(simd, &from[at.clone()]);
            let (x11, x12, x21, x22) = (load(b11), load(b12), load(b21), load(b22));
            let first = T::minus(simd, x12, x11);
            let second = T::minus(simd, x22, first);
            T::put(simd, first, &mut t1[at.clone()]);
            T::put(simd, second, &mut t2[at.clone()]);
            T::put(simd, T::minus(simd, x22, x12), &mut b12[at.clone()]);
            T::put(simd, T::minus(simd, x21, second), &mut t4[at]);
        }
        for i in whole..b12.len() {
            t1[i] = b12[i] - b11[i];
            t2[i] = b22[i] - t1[i];
            t4[i] = b21[i] - t2[i];
            b12[i] = b22[i] - b12[i];
        }
    }
}

/// The sums of the products that more than one quarter of the outputs has.
pub(super) struct Combine<'a, 'o, T> {
    /// `P₁`, `P₆`, `P₅` and `P₇`, row by row.
    pub products: [&'a [T]; 4],
    /// What becomes of `C₂₂`, which no product was written to.
    pub store: Store,
    /// The quarters, whose windows lie side by side.
    pub outputs: [ArrayViewMut2<'o, T>; 4],
}

impl<T: Element> Combine<'_, '_, T> {
    pub fn run(self) {
        arch().dispatch(self);
    }
}

impl<T: Element> WithSimd for Combine<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let [mut c11, mut c12, mut c21, mut c22] = self.outputs;
        let [p1, p6, p5, p7] = self.products.map(|product| product.chunks_exact(c11.ncols()));
        let products = p1.zip(p6).zip(p5.zip(p7));
        let outputs = lines(&mut c11).zip(lines(&mut c12)).zip(lines(&mut c21).zip(lines(&mut c22)));
        for (((p1, p6), (p5, p7)), ((c11, c12), (c21, c22))) in products.zip(outputs) {
            combine(simd, [p1, p6, p5, p7], [c11, c12, c21, c22], self.store);
        }
    }
}

#[inline(always)]
fn lines<'a, T>(outputs: &'a mut ArrayViewMut2<'_, T>) -> impl Iterator<Item = &'a mut [T]> {
    outputs.rows_mut().into_iter().map(|row| row.into_slice().expect("windows lie side by side"))
}

/// The outputs of one channel of either tile.
#[inline(always)]
fn combine<T: Element, S: Simd>(simd: S, products: [&[T]; 4], outputs: [&mut [T]; 4], store: Store) {
    let lanes = T::lanes::<S>();
    let [p1, p6, p5, p7] = products.map(|product| product.chunks_exact(lanes));
    let whole = p1.len() * lanes;
    let [c11, c12, c21, c22] = outputs;
    for i in whole..c11.len() {
        let [p1, p6, p5, p7] = products.map(|product| product[i]);
        c11[i] += p1;
        c12[i] += p1 + p6 + p5;
        c21[i] += p1 + p6 + p7;
        store.put(&mut c22[i], p1 + p6 + p5 + p7);
    }
    let [c11, c12, c21, c22] = [c11, c12, c21, c22].map(|outputs| outputs.chunks_exact_mut(lanes));
    let products = p1.zip(p6).zip(p5.zip(p7));
    for (((p1, p6), (p5, p7)), ((c11, c12), (c21, c22))) in products.zip(c11.zip(c12).zip(c21.zip(c22))) {
        let [p1, p6, p5, p7] = [p1, p6, p5, p7].map(|product| T::load(simd, product));
        let both = T::plus(simd, p1, p6);
        let (upper, lower) = (T::plus(simd, both, p5), T::plus(simd, both, p7));
        let last = T::plus(simd, upper, p7);
        let last = match store {
            Store::Overwrite => last,
            Store::Add => T::plus(simd, T::load(simd, c22), last),
        };
        T::put(simd, T::plus(simd, T::load(simd, c11), p1), c11);
        T::put(simd, T::plus(simd, T::load(simd, c12), upper), c12);
        T::put(simd, T::plus(simd, T::load(simd, c21), lower), c21);
        T::put(simd, last, c22);
    }
}
