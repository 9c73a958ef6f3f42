//! Strassen's seven products of a pair of tiles of channels and a pair of tiles of windows, and the sums of them.
//!
//! Products follow each other, so that of each only what another one needs goes through memory, which stays in the L1: with
//! outputs `C` in quarters, `P₂ = A₁₂ B₂₁`, `P₃ = S₄ B₂₂` and `P₄ = A₂₂ T₄` (the others are in `lowering/strassen`),
//!
//! ```text
//! C₁₁ = P₁ + P₂   U₂ = P₁ + P₆   U₃ = U₂ + P₅   C₁₂ = U₃ + P₃   C₂₂ = U₃ + P₇   U₄ = U₂ + P₇   C₂₁ = U₄ + P₄
//! ```

#![allow(
    clippy::needless_range_loop,
    reason = "loops of constant length over arrays become registers, iterators do not"
)]

use pulp::{Simd, WithSimd};

use super::steps::{add_products, by_count};
use super::store::put_tile;
use super::{Kernel, Store};
use crate::element::Element;
use crate::simd::{Input, arch, ask_for_line};

/// How many products there are.
pub(crate) const PRODUCTS: usize = 7;

/// Windows of the widest tile, in registers.
pub(crate) const QUARTER_VECTORS: usize = 2;

/// Lines of outputs that are asked for in place of one of a tile.
const OUTPUTS_AT_ONCE: usize = 3;

/// The factors of a product: `weights [row][channel]`, and cells whose rows lie so far apart.
#[derive(Clone, Copy)]
pub(crate) struct Factors<'a, T> {
    pub weights: &'a [T],
    pub cells: &'a [T],
    pub row_step: usize,
}

/// The seven products of a pair of tiles each.
pub(crate) struct Quarters<'a, 'l, T> {
    /// Of `P₁`, `P₂`, `P₆`, `P₅`, `P₃`, `P₇` and `P₄`, in this order.
    pub products: [Factors<'a, T>; PRODUCTS],
    /// Products of each sum.
    pub rows: usize,
    pub store: Store,
    /// The lines of the upper and the lower channels, of which there are as many.
    pub lines: [&'a mut [&'l mut [T]]; 2],
    /// Where `C₁₁` and `C₂₁` begin, and how many windows later `C₁₂` and `C₂₂` do: one register or two.
    pub window: usize,
    pub half: usize,
    /// Room for two tiles.
    pub buffer: &'a mut [T],
    /// What is asked for in place of the lines, if these are near already.
    pub outputs: Option<&'a mut Input<T>>,
    /// What is read next.
    pub next: &'a mut Input<T>,
}

/// [`Quarters`] for one type of elements, compiled with this crate.
pub(super) type MultiplyQuarters<T> = fn(Quarters<'_, '_, T>);

impl<T: Element> Kernel<T> {
    /// Writes the sums of all quarters, or adds them to what is there.
    ///
    /// # Panics
    /// If a size does not fit, which is a mistake of this crate.
    pub fn multiply_quarters(&self, quarters: Quarters<'_, '_, T>) {
        (self.in_quarters)(quarters);
    }
}

pub(super) fn multiply<T: Element>(quarters: Quarters<'_, '_, T>) {
    arch().dispatch(quarters);
}

impl<T: Element> WithSimd for Quarters<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let (lanes, count) = (T::lanes::<S>(), self.lines[0].len());
        match self.half {
            half if half == lanes => by_count!(count, simd, self.multiply_one()),
            half if half == QUARTER_VECTORS * lanes => by_count!(count, simd, self.multiply_two()),
            half => unreachable!("{half} windows of a quarter"),
        }
    }
}

impl<T: Element> Quarters<'_, '_, T> {
    #[inline(always)]
    fn multiply_one<S: Simd, const COUNT: usize>(&mut self, simd: S) {
        self.multiply::<S, COUNT, 1>(simd);
    }

    #[inline(always)]
    fn multiply_two<S: Simd, const COUNT: usize>(&mut self, simd: S) {
        self.multiply::<S, COUNT, QUARTER_VECTORS>(simd);
    }

    #[inline(always)]
    fn multiply<S: Simd, const COUNT: usize, const VECTORS: usize>(&mut self, simd: S) {
        let Self { products, rows, store, lines: [upper, lower], window, half, buffer, outputs, next } = self;
        let (first, second) = buffer.split_at_mut(COUNT * VECTORS * T::lanes::<S>());
        let (left, right) = (*window, *window + *half);
        for (number, product) in products.iter().enumerate() {
            // A product or more before it is written.
            let asked: (&[&mut [T]], usize) = match number {
                0 => (upper, left),
                2 => (upper, right),
                3 => (lower, right),
                5 => (lower, left),
                _ => (&[], 0),
            };
            let sums = add_up::<T, S, COUNT, VECTORS>(simd, (*product, *rows), asked, (outputs, next));
            match number {
                0 => put(simd, sums, first),
                1 => put_tile(simd, plus(simd, sums, first), (upper, 0, left), (*store, None)),
                2 => put(simd, plus(simd, sums, first), first),
                3 => put(simd, plus(simd, sums, first), second),
                4 => put_tile(simd, plus(simd, sums, second), (upper, 0, right), (*store, None)),
                5 => {
                    put(simd, plus(simd, sums, first), first);
                    put_tile(simd, plus(simd, sums, second), (lower, 0, right), (*store, None));
                }
                _ => put_tile(simd, plus(simd, sums, first), (lower, 0, left), (*store, None)),
            }
        }
    }
}

/// The sums of a tile. Meanwhile some lines are asked for from a window on, and what is read next.
#[inline(always)]
fn add_up<T: Element, S: Simd, const COUNT: usize, const VECTORS: usize>(
    simd: S,
    (Factors { weights, cells, row_step }, rows): (Factors<'_, T>, usize),
    (lines, window): (&[&mut [T]], usize),
    (outputs, next): (&mut Option<&mut Input<T>>, &mut Input<T>),
) -> [[T::Vector<S>; VECTORS]; COUNT] {
    let lanes = T::lanes::<S>();
    let mut sums = [[T::splat(simd, T::zero()); VECTORS]; COUNT];
    let mut place = 0;
    for (row, weights) in weights[..rows * COUNT].chunks_exact(COUNT).enumerate() {
        let cells = &cells[place..][..VECTORS * lanes];
        place += row_step;
        match (lines.get(row), &mut *outputs) {
            (Some(_), Some(outputs)) => outputs.ask(OUTPUTS_AT_ONCE),
            (Some(line), None) => {
                for vector in 0..VECTORS {
                    ask_for_line::<T, true>(line.as_ptr().wrapping_add(window + vector * lanes));
                }
            }
            (None, _) => next.ask_one(),
        }
        add_products(simd, (cells, weights), &mut sums);
    }
    sums
}

#[inline(always)]
fn plus<T: Element, S: Simd, const COUNT: usize, const VECTORS: usize>(
    simd: S,
    mut sums: [[T::Vector<S>; VECTORS]; COUNT],
    others: &[T],
) -> [[T::Vector<S>; VECTORS]; COUNT] {
    let lanes = T::lanes::<S>();
    let others = &others[..COUNT * VECTORS * lanes];
    for i in 0..COUNT {
        for vector in 0..VECTORS {
            let other = T::load(simd, &others[(i * VECTORS + vector) * lanes..]);
            sums[i][vector] = T::plus(simd, sums[i][vector], other);
        }
    }
    sums
}

#[inline(always)]
fn put<T: Element, S: Simd, const COUNT: usize, const VECTORS: usize>(
    simd: S,
    sums: [[T::Vector<S>; VECTORS]; COUNT],
    to: &mut [T],
) {
    let lanes = T::lanes::<S>();
    let to = &mut to[..COUNT * VECTORS * lanes];
    for i in 0..COUNT {
        for vector in 0..VECTORS {
            T::put(simd, sums[i][vector], &mut to[(i * VECTORS + vector) * lanes..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gemm::row_channels;

    #[test]
    fn quarters_of_every_size_are_the_sums_of_their_products_and_nothing_else_is_written() {
        let kernel = Kernel::<f32>::best();
        let (rows, row_step) = (9, 2 * kernel.vector + 5);
        let cells: Vec<f32> = (0..PRODUCTS * rows * row_step).map(|i| (i % 11) as f32 - 5.0).collect();
        let weights: Vec<f32> = (0..PRODUCTS * rows * 14).map(|i| (i % 7) as f32 - 3.0).collect();
        for (count, vectors) in (1..=row_channels::<f32>()).flat_map(|count| [1, 2].map(|vectors| (count, vectors))) {
            let (half, line) = (vectors * kernel.vector, 2 * vectors * kernel.vector + 7);
            let products: [Factors<'_, f32>; PRODUCTS] = std::array::from_fn(|i| Factors {
                weights: &weights[i * rows * count..],
                cells: &cells[i * rows * row_step..],
                row_step,
            });
            let mut sums = vec![f32::NAN; 2 * count * line];
            let mut buffer = vec![f32::NAN; 2 * count * half];
            for store in [Store::Overwrite, Store::Add] {
                let mut lines: Vec<&mut [f32]> = sums.chunks_exact_mut(line).collect();
                let (upper, lower) = lines.split_at_mut(count);
                let (lines, buffer, next) = ([upper, lower], &mut buffer[..], &mut Input::none());
                let quarters = Quarters { products, rows, store, lines, window: 4, half, buffer, outputs: None, next };
                kernel.multiply_quarters(quarters);
            }
            let product = |number: usize, channel: usize, window: usize| -> f32 {
                let Factors { weights, cells, .. } = products[number];
                2.0 * (0..rows).map(|k| weights[k * count + channel] * cells[k * row_step + window]).sum::<f32>()
            };
            for (channel, line) in sums.chunks_exact(line).enumerate() {
                let terms = match channel < count {
                    true => [&[0, 1][..], &[0, 2, 3, 4]],
                    false => [&[0, 2, 5, 6][..], &[0, 2, 3, 5]],
                };
                for (window, &sum) in line[4..4 + 2 * half].iter().enumerate() {
                    let terms = terms[window / half].iter();
                    let expected: f32 = terms.map(|&term| product(term, channel % count, window % half)).sum();
                    assert_eq!(sum, expected, "window {window}, channel {channel} of 2 times {count}");
                }
                assert!(line[..4].iter().chain(&line[4 + 2 * half..]).all(|sum| sum.is_nan()));
            }
        }
    }
}
