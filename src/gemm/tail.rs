//! The lanes of tiles that fill no vector: there the columns are put on the lanes instead.

#![allow(
    clippy::needless_range_loop,
    reason = "loops of constant length over arrays become registers, iterators do not"
)]

use ndarray::{ArrayViewMut2, Axis};
use pulp::{Simd, WithSimd};

use super::steps::has_many_registers;
use super::{Finish, Operands, Store};
use crate::element::Element;
use crate::simd::arch;

/// The most columns of a tile, which are computed whether they are all there or not.
const MAX_COLUMNS: usize = 16;

/// The most lanes that are taken so.
pub(super) const MAX_TAIL: usize = 4;

/// The most tiles that are taken at a time, and those that are taken at least, since each addition to a sum waits for the last one.
const MAX_TILES: usize = 4;
const FEW_TILES: usize = 2;

/// Elements of the right operand that may be read from each step's start on, those beyond its columns for nothing.
pub(crate) const TAIL_SLACK: usize = MAX_COLUMNS;

/// Starts of all columns of the most tiles, with those that are read for nothing.
pub(crate) const TAIL_STARTS: usize = MAX_TILES * MAX_COLUMNS + TAIL_SLACK;

/// Tiles that may be taken at a time.
pub(crate) fn tail_tiles<T: Element>() -> usize {
    arch().dispatch(Tiles(std::marker::PhantomData::<T>))
}

struct Tiles<T>(std::marker::PhantomData<T>);

impl<T: Element> WithSimd for Tiles<T> {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> usize {
        tiles::<T, S>()
    }
}

/// Columns of a tile that are loaded with each step.
#[inline(always)]
fn width<T: Element, S: Simd>() -> usize {
    if has_many_registers::<T, S>() { MAX_COLUMNS } else { MAX_COLUMNS / 2 }
}

#[inline(always)]
fn tiles<T: Element, S: Simd>() -> usize {
    let registers = if has_many_registers::<T, S>() { 16 } else { 8 };
    if registers * T::lanes::<S>() >= MAX_TAIL * width::<T, S>() * MAX_TILES { MAX_TILES } else { FEW_TILES }
}

/// Computes a few lanes of some tiles, at most [`tail_tiles`], or adds to them: each has as many columns of
/// `c [columns, lanes]` as `operands` has in a step, the last one perhaps fewer, and its right operand follows the one before.
///
/// Sums begin with the `start` of their column and end within the bounds. Each is taken in the order in which the microkernel takes it, so that it does not matter which of them
/// computes a lane.
///
/// # Panics
/// If a size does not fit, which is a mistake of this crate.
pub(crate) fn multiply_tail<T: Element>(
    operands: Operands<'_, T>,
    (store, finish): (Store, Finish<'_, T>),
    mut c: ArrayViewMut2<'_, T>,
) {
    let (rows, lanes) = c.dim();
    let columns = operands.right_step;
    assert!(columns <= MAX_COLUMNS && rows <= columns * tail_tiles::<T>() && lanes <= MAX_TAIL, "a tail");
    let mut sums = [[[T::zero(); MAX_COLUMNS]; MAX_TILES]; MAX_TAIL];
    arch().dispatch(Tail { operands, start: finish.start, rows, lanes, sums: &mut sums });
    for (number, mut tile) in c.axis_chunks_iter_mut(Axis(0), columns).enumerate() {
        for (column, mut cells) in tile.outer_iter_mut().enumerate() {
            for (lane, to) in cells.iter_mut().enumerate() {
                store.put(to, sums[lane][number][column]);
                *to = finish.bound(*to);
            }
        }
    }
}

struct Tail<'a, T> {
    operands: Operands<'a, T>,
    /// Of all columns, with those that are loaded for nothing.
    start: Option<&'a [T]>,
    /// Columns of all tiles.
    rows: usize,
    lanes: usize,
    /// Of each lane, tile and column.
    sums: &'a mut [[[T; MAX_COLUMNS]; MAX_TILES]; MAX_TAIL],
}

impl<T: Element> WithSimd for Tail<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let are_few = self.rows <= FEW_TILES * self.operands.right_step;
        match (self.lanes, are_few || tiles::<T, S>() == FEW_TILES) {
            (1, true) => self.add_up::<S, 1, FEW_TILES>(simd),
            (2, true) => self.add_up::<S, 2, FEW_TILES>(simd),
            (_, true) => self.add_up::<S, 4, FEW_TILES>(simd),
            (1, false) => self.add_up::<S, 1, MAX_TILES>(simd),
            (2, false) => self.add_up::<S, 2, MAX_TILES>(simd),
            (_, false) => self.add_up::<S, 4, MAX_TILES>(simd),
        }
    }
}

impl<T: Element> Tail<'_, T> {
    #[inline(always)]
    fn add_up<S: Simd, const LANES: usize, const TILES: usize>(self, simd: S) {
        let Operands { k, left, left_step, right, right_step, .. } = self.operands;
        let (vector, width) = (T::lanes::<S>(), width::<T, S>());
        let last = self.rows.div_ceil(right_step).max(1) - 1;
        // The last one again instead of those that are not there.
        let right: [(&[T], usize); TILES] = std::array::from_fn(|tile| match tile < last {
            true => (&right[tile * k * right_step..], right_step),
            false => (&right[last * k * right_step..], self.rows - last * right_step),
        });
        let mut sums = [[[T::splat(simd, T::zero()); MAX_COLUMNS]; TILES]; LANES];
        if let Some(start) = self.start {
            for tile in 0..TILES {
                for i in 0..width / vector {
                    let start = T::load(simd, &start[tile.min(last) * right_step + i * vector..]);
                    for lane in 0..LANES {
                        sums[lane][tile][i] = start;
                    }
                }
            }
        }
        for step in 0..k {
            let cells = &left[step * left_step..][..LANES];
            for tile in 0..TILES {
                let (right, right_step) = right[tile];
                let columns = &right[step * right_step..][..width];
                for i in 0..width / vector {
                    let columns = T::load(simd, &columns[i * vector..]);
                    for lane in 0..LANES {
                        let sum = &mut sums[lane][tile][i];
                        *sum = T::fused(simd, T::splat(simd, cells[lane]), columns, *sum);
                    }
                }
            }
        }
        for lane in 0..LANES {
            for tile in 0..TILES {
                for i in 0..width / vector {
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

    /// Sums of whole tiles of so many columns and one of others, by one of the products and as a tail.
    fn check(
        (whole, columns, others): (usize, usize, usize),
        product: impl Fn(Operands<'_, f32>, Store, ArrayViewMut2<'_, f32>),
    ) {
        let kernel = Kernel::<f32>::best();
        let (k, vector, all) = (37, kernel.vector, whole * columns + others);
        let value = |i: usize| ((i * 7919) % 1009) as f32 / 1009.0 - 0.5;
        let left: Vec<f32> = (0..k * vector).map(value).collect();
        let right: Vec<f32> = (0..k * all + TAIL_SLACK).map(value).collect();
        for lanes in 1..=kernel.most_tail() {
            let mut expected = Array2::from_elem((all, vector), 0.25);
            let mut found = expected.slice(s![.., ..lanes]).to_owned();
            let operands =
                Operands { k, left: &left, left_step: vector, right: &right, right_step: columns, right_column: 1 };
            for store in [Store::Add, Store::Overwrite, Store::Add] {
                for (tile, to) in expected.axis_chunks_iter_mut(Axis(0), columns).enumerate() {
                    let (right, right_step) = (&right[k * tile * columns..], to.nrows());
                    product(Operands { right, right_step, ..operands }, store, to);
                }
                multiply_tail(operands, (store, Finish::NONE), found.view_mut());
                assert_eq!(found, expected.slice(s![.., ..lanes]), "{lanes} lanes, {whole} × {columns} + {others}");
            }
        }
    }

    /// Every number of tiles, the last one of every number of columns.
    fn check_all(columns: usize, product: impl Fn(Operands<'_, f32>, Store, ArrayViewMut2<'_, f32>)) {
        for (whole, others) in (0..tail_tiles::<f32>()).flat_map(|whole| (1..=columns).map(move |n| (whole, n))) {
            let columns = if whole > 0 { columns } else { others };
            check((whole, columns, others), &product);
        }
    }

    #[test]
    fn tails_are_the_bits_of_the_microkernel() {
        let kernel = Kernel::<f32>::best();
        check_all(kernel.columns(), |operands, store, to| kernel.run(operands, store, to));
    }

    #[test]
    fn tails_are_the_bits_of_panels() {
        let kernel = Kernel::<f32>::best();
        check_all(row_channels::<f32>(), |operands, store, mut to| {
            let Operands { k, left: cells, left_step: row_step, right, .. } = operands;
            let panels = Panels { cells, rows: k, lanes: row_step, step: row_step, row_step };
            let mut lines: Vec<&mut [f32]> =
                to.rows_mut().into_iter().filter_map(ndarray::ArrayViewMut1::into_slice).collect();
            kernel.multiply_panels(panels, right, (store, Finish::NONE, &mut lines), &mut Input::none());
        });
    }
}
