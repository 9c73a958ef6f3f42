//! Any kernel: tiles of some rows by some columns of outputs, each of which stays in registers while all kernel
//! cells are added to it.

#![allow(
    clippy::needless_range_loop,
    reason = "loops of constant length over arrays become registers, iterators do not"
)]

use pulp::{Simd, WithSimd};

use crate::element::Element;
use crate::lowering::runs::copy_short;
use crate::simd::arch;

/// Outputs that are computed side by side: one register of f32 with AVX2.
const LANE: usize = 8;

#[derive(Clone, Copy)]
struct Lane<T>([T; LANE]);

impl<T: Element> Lane<T> {
    /// `self + weight · cells`, in one instruction where the processor has it.
    #[inline(always)]
    fn plus<S: Simd>(self, weight: T, cells: &[T]) -> Self {
        let mut sums = [T::zero(); LANE];
        for i in 0..LANE {
            sums[i] = if S::IS_SCALAR { weight * cells[i] + self.0[i] } else { weight.mul_add(cells[i], self.0[i]) };
        }
        Self(sums)
    }
}

/// What the outputs of one channel are computed from.
#[derive(Clone, Copy)]
pub(super) struct Source<'a, T> {
    /// The channel's slab, and all that follows it.
    pub cells: &'a [T],
    /// Where each kernel cell is read from, counted from a window's start.
    pub offsets: &'a [usize],
    /// Cells between the starts of the windows of two rows.
    pub pitch: usize,
    pub weights: &'a [T],
}

/// Computes the outputs `[rows, width]` of one channel.
pub(super) fn convolve<T: Element>(source: Source<'_, T>, output: &mut [T], width: usize) {
    arch().dispatch(Plane { source, output, width });
}

struct Plane<'a, T> {
    source: Source<'a, T>,
    output: &'a mut [T],
    width: usize,
}

impl<T: Element> WithSimd for Plane<'_, T> {
    type Output = ();

    /// Covers the output with tiles: as many columns as are left of 32, 16 or 8, and as many rows as fill eight
    /// registers of eight.
    #[inline(always)]
    fn with_simd<S: Simd>(mut self, _: S) {
        let mut column = 0;
        while column < self.width {
            column += match self.width - column {
                24.. => self.strip::<S, 4, 2>(column),
                9.. => self.strip::<S, 2, 4>(column),
                _ => self.strip::<S, 1, 8>(column),
            };
        }
    }
}

impl<T: Element> Plane<'_, T> {
    /// All rows of the columns from `column` on, of `LANES` lanes or as many as there are; returns how many.
    #[inline(always)]
    fn strip<S: Simd, const LANES: usize, const ROWS: usize>(&mut self, column: usize) -> usize {
        let (mut row, rows) = (0, self.output.len() / self.width);
        while row < rows {
            row += match rows - row {
                left if left >= ROWS => self.tile::<S, LANES, ROWS>(row, column),
                4.. if ROWS > 4 => self.tile::<S, LANES, 4>(row, column),
                2.. if ROWS > 2 => self.tile::<S, LANES, 2>(row, column),
                _ => self.tile::<S, LANES, 1>(row, column),
            };
        }
        (LANES * LANE).min(self.width - column)
    }

    /// One tile of outputs, from `(row, column)` on; returns its rows.
    #[inline(always)]
    fn tile<S: Simd, const LANES: usize, const ROWS: usize>(&mut self, row: usize, column: usize) -> usize {
        let Source { cells, offsets, pitch, weights } = self.source;
        let mut sums = [[Lane([T::zero(); LANE]); LANES]; ROWS];
        let start = row * pitch + column;
        for (&offset, &weight) in offsets.iter().zip(weights) {
            for r in 0..ROWS {
                let cells = &cells[start + offset + r * pitch..][..LANES * LANE];
                for v in 0..LANES {
                    sums[r][v] = sums[r][v].plus::<S>(weight, &cells[v * LANE..(v + 1) * LANE]);
                }
            }
        }
        let columns = (LANES * LANE).min(self.width - column);
        for r in 0..ROWS {
            let line = &mut self.output[(row + r) * self.width + column..][..columns];
            for v in 0..LANES {
                let sums = &sums[r][v].0;
                match line.get_mut(v * LANE..(v + 1) * LANE) {
                    Some(whole) => whole.copy_from_slice(sums),
                    None if v * LANE < columns => copy_short(&mut line[v * LANE..], &sums[..columns - v * LANE]),
                    None => {}
                }
            }
        }
        ROWS
    }
}
