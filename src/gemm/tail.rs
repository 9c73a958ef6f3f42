//! The lanes of a tile that fill no vector: there the columns are put on the lanes instead.

#![allow(
    clippy::needless_range_loop,
    reason = "loops of constant length over arrays become registers, iterators do not"
)]

use ndarray::ArrayViewMut2;
use pulp::{Simd, WithSimd};

use super::{Operands, Store};
use crate::element::Element;
use crate::simd::narrow_arch;

/// Columns that are computed at a time, whether they are all there or not.
const WIDTH: usize = 8;

/// The most lanes that are taken so.
pub(super) const MAX_TAIL: usize = 4;

/// Elements of the right operand that may be read from each step's start on, those beyond its columns for nothing.
pub(crate) const TAIL_SLACK: usize = WIDTH;

/// Computes a few lanes of one wide tile or of two narrow ones at once, or adds to them: the tile of `operands` has the first
/// columns of `c [columns, lanes]`, others are those of a tile whose right operand follows it.
///
/// Each sum is taken in the order in which the microkernel takes it, so that it does not matter which of them
/// computes a lane. Two tiles, since each addition to one sum waits for the last.
///
/// # Panics
/// If a size does not fit, which is a mistake of this crate.
pub(crate) fn multiply_tail<T: Element>(operands: Operands<'_, T>, store: Store, mut c: ArrayViewMut2<'_, T>) {
    let (columns, lanes) = (operands.right_step, c.ncols());
    let (first, others) = (columns.min(WIDTH), c.nrows().saturating_sub(columns));
    assert!(columns <= WIDTH * if others > 0 { 1 } else { 2 } && others <= WIDTH && lanes <= MAX_TAIL, "a tail");
    let next = match others {
        0 => (&operands.right[first..], columns),
        others => (&operands.right[operands.k * columns..], others),
    };
    let mut sums = [[[T::zero(); WIDTH]; 2]; MAX_TAIL];
    // Registers of eight: the widest would be half empty.
    narrow_arch().dispatch(Tail { operands, next, lanes, sums: &mut sums });
    for ((column, lane), to) in c.indexed_iter_mut() {
        store.put(to, sums[lane][usize::from(column >= first)][column % first]);
    }
}

/// The sums of both tiles for each lane.
type Sums<T> = [[T; WIDTH]; 2];

struct Tail<'a, T> {
    operands: Operands<'a, T>,
    /// The other tile's right operand and its step.
    next: (&'a [T], usize),
    lanes: usize,
    sums: &'a mut [Sums<T>; MAX_TAIL],
}

impl<T: Element> WithSimd for Tail<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match self.lanes {
            1 => self.add_up::<S, 1>(simd),
            2 => self.add_up::<S, 2>(simd),
            _ => self.add_up::<S, 4>(simd),
        }
    }
}

impl<T: Element> Tail<'_, T> {
    #[inline(always)]
    fn add_up<S: Simd, const LANES: usize>(self, simd: S) {
        let Operands { k, left, left_step, right, right_step, .. } = self.operands;
        let (next, next_step) = self.next;
        let vector = T::lanes::<S>();
        let vectors = WIDTH / vector;
        let mut sums = [[[T::splat(simd, T::zero()); WIDTH]; 2]; LANES];
        for step in 0..k {
            let cells = &left[step * left_step..][..LANES];
            let tiles = [&right[step * right_step..][..WIDTH], &next[step * next_step..][..WIDTH]];
            for tile in 0..2 {
                for i in 0..vectors {
                    let columns = T::load(simd, &tiles[tile][i * vector..]);
                    for lane in 0..LANES {
                        let sum = &mut sums[lane][tile][i];
                        *sum = T::fused(simd, T::splat(simd, cells[lane]), columns, *sum);
                    }
                }
            }
        }
        for lane in 0..LANES {
            for tile in 0..2 {
                for i in 0..vectors {
                    T::store(simd, sums[lane][tile][i], &mut self.sums[lane][tile][i * vector..][..vector]);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gemm::{Kernel, Panels, row_channels};
    use crate::simd::Input;
    use ndarray::{Array2, s};

    /// Sums of two tiles of so many columns, by one of the products and as a tail.
    fn check([columns, others]: [usize; 2], product: impl Fn(Operands<'_, f32>, Store, ArrayViewMut2<'_, f32>)) {
        let kernel = Kernel::<f32>::best();
        let (k, vector) = (37, kernel.vector);
        let value = |i: usize| ((i * 7919) % 1009) as f32 / 1009.0 - 0.5;
        let left: Vec<f32> = (0..k * vector).map(value).collect();
        let right: Vec<f32> = (0..k * (columns + others) + TAIL_SLACK).map(value).collect();
        for lanes in 1..=kernel.most_tail() {
            let mut expected = Array2::from_elem((columns + others, vector), 0.25);
            let mut found = expected.slice(s![.., ..lanes]).to_owned();
            let (left, right) = (&left[..], &right[..]);
            let operands = Operands { k, left, left_step: vector, right, right_step: columns, right_column: 1 };
            for store in [Store::Add, Store::Overwrite, Store::Add] {
                let (first, second) = expected.view_mut().split_at(ndarray::Axis(0), columns);
                product(operands, store, first);
                if others > 0 {
                    let right = &right[k * columns..];
                    product(Operands { right, right_step: others, ..operands }, store, second);
                }
                multiply_tail(operands, store, found.view_mut());
                assert_eq!(found, expected.slice(s![.., ..lanes]), "{lanes} lanes, {columns} and {others} columns");
            }
        }
    }

    #[test]
    fn tails_are_the_bits_of_the_microkernel() {
        let kernel = Kernel::<f32>::best();
        let columns = kernel.columns();
        for others in 0..=columns {
            check([columns, others], |operands, store, to| kernel.run(operands, store, to));
        }
    }

    #[test]
    fn tails_are_the_bits_of_panels() {
        let kernel = Kernel::<f32>::best();
        for columns in 1..=row_channels::<f32>() {
            check([columns, 0], |operands, store, mut to| {
                let Operands { k, left: cells, left_step: row_step, right, .. } = operands;
                let panels = Panels { cells, lanes: row_step, step: row_step, row_step };
                let mut lines: Vec<&mut [f32]> =
                    to.rows_mut().into_iter().filter_map(ndarray::ArrayViewMut1::into_slice).collect();
                let weights = &right[..k * columns];
                kernel.multiply_panels(panels, weights, (store, &mut lines), &mut Input::none());
            });
        }
    }
}
