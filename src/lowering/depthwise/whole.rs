//! Rows of outputs that lie in registers as a whole, of 3×3 kernels.
//!
//! What there is to do for a row beside its sums is shared by more registers so than in [strips](super::strip), and rows are read
//! from the first cell to the last. With a stride of two the left column of the kernel is what the right one of the register before
//! has, moved by a lane, instead of read and split again. With a stride of one all columns are read: moving costs more there, since
//! the compiler takes an instruction for it that takes the turn of a multiply-add.

#![allow(
    clippy::needless_range_loop,
    reason = "loops of constant length over arrays become registers, iterators do not"
)]

use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::part::{Part, kernel};
use super::planes::Lines;
use super::strip::put_first;
use crate::element::Element;
use crate::simd::MOST_LANES;

/// Rows and columns of the kernel.
pub(super) const SIDE: usize = 3;

/// Registers of a row that are computed together: with two sums in each and the kernel they are 23 of 32.
pub(super) const MOST_BLOCKS: usize = 7;

/// Rows of more registers are faster so than in strips.
pub(super) const FEW_BLOCKS: usize = 1;

/// Bytes of registers that are so many, and so long that reads often reach into another line.
pub(super) const WHOLE_BYTES: usize = 64;

/// The registers of all rows before the given one, of all channels. All registers of a row but the last read cells inside the
/// image, where rows begin outside it by one column at most.
pub(super) struct Whole<'s, 'a, T, const STRIDE: usize, const BLOCKS: usize> {
    pub part: &'s mut Part<'a, T>,
    pub end: usize,
}

impl<T: Element, const STRIDE: usize, const BLOCKS: usize> WithSimd for Whole<'_, '_, T, STRIDE, BLOCKS> {
    /// How many these are.
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> usize {
        let (part, lanes) = (self.part, T::lanes::<S>());
        let (rows, width, column) = (part.rows.clone(), part.width, (self.end - BLOCKS) * lanes);
        let mask = |part: &Part<'_, T>, column: usize| {
            let [start, end] = part.lanes_inside::<STRIDE>(column);
            T::between(simd, start, end)
        };
        let first = mask(part, column * STRIDE);
        let mut last = [first; SIDE];
        for j in 0..SIDE {
            last[j] = mask(part, (self.end - 1) * lanes * STRIDE + j);
        }
        let mut channels = part.channels();
        while let Some((planes, weights, output)) = channels.next() {
            let lines = planes.lines(column * STRIDE, BLOCKS * lanes * STRIDE + SIDE - STRIDE);
            let channel = Channel::<T, S, STRIDE, BLOCKS> { lines, weights: kernel(simd, weights), first, last };
            channel.compute(simd, (rows.clone(), width), &mut output[column..]);
        }
        BLOCKS
    }
}

/// Those of one channel.
struct Channel<'a, T: Element, S: Simd, const STRIDE: usize, const BLOCKS: usize> {
    lines: Lines<'a, T>,
    weights: [[T::Vector<S>; SIDE]; SIDE],
    /// The lanes inside the image: of the first register for the left column of the kernel, of the last for each.
    first: T::Mask<S>,
    last: [T::Mask<S>; SIDE],
}

impl<T: Element, S: Simd, const STRIDE: usize, const BLOCKS: usize> Channel<'_, T, S, STRIDE, BLOCKS> {
    /// Some rows of outputs, which begin by `width` after each other. Whole registers are written, so that what follows a row
    /// must be written later.
    #[inline(always)]
    fn compute(&self, simd: S, (rows, width): (Range<usize>, usize), output: &mut [T]) {
        let mut line = [T::zero(); MOST_BLOCKS * MOST_LANES];
        let line = &mut line[..BLOCKS * T::lanes::<S>()];
        // Of the next row of outputs, and of the one after it.
        let mut sums = [[T::splat(simd, T::zero()); BLOCKS]; 2];
        let first = rows.start * STRIDE;
        self.add::<0>(simd, first, &mut sums);
        if STRIDE == 1 {
            self.add::<1>(simd, first + 1, &mut sums);
        }
        for row in 0..rows.len() {
            let cells = first + row * STRIDE;
            if STRIDE == 2 {
                self.add::<1>(simd, cells + 1, &mut sums);
            }
            let output = &mut output[row * width..];
            let has_room = output.len() >= line.len();
            self.finish(simd, cells + 2, &mut sums, if has_room { output } else { line });
            if !has_room {
                put_first(line, output);
            }
        }
    }

    /// Adds a row of cells to the sums: as row `ROW` of the kernel to the first, and as an earlier one to the other.
    #[inline(always)]
    fn add<const ROW: usize>(&self, simd: S, row: usize, sums: &mut [[T::Vector<S>; BLOCKS]; 2]) {
        let Some(cells) = self.lines.line(row) else { return };
        let mut before = T::splat(simd, cells[0]);
        for block in 0..BLOCKS {
            let taps = self.taps(simd, (cells, block), &mut before);
            for slot in 0..2 {
                if slot * STRIDE <= ROW {
                    sums[slot][block] = self.plus(simd, sums[slot][block], ROW - slot * STRIDE, taps);
                }
            }
        }
    }

    /// Adds a row of cells as the last row of the kernel, and writes these sums, of whose registers each is free then.
    #[inline(always)]
    fn finish(&self, simd: S, row: usize, sums: &mut [[T::Vector<S>; BLOCKS]; 2], output: &mut [T]) {
        let cells = self.lines.line(row);
        let mut before = T::splat(simd, cells.map_or(T::zero(), |cells| cells[0]));
        for block in 0..BLOCKS {
            let mut slots = [sums[0][block], sums[1][block], T::splat(simd, T::zero())];
            if let Some(cells) = cells {
                let taps = self.taps(simd, (cells, block), &mut before);
                for slot in 0..SIDE {
                    if slot * STRIDE < SIDE {
                        slots[slot] = self.plus(simd, slots[slot], SIDE - 1 - slot * STRIDE, taps);
                    }
                }
            }
            let start = block * T::lanes::<S>();
            T::put(simd, slots[0], &mut output[start..]);
            [sums[0][block], sums[1][block]] = [slots[1], slots[2]];
        }
    }

    #[inline(always)]
    fn plus(&self, simd: S, mut sum: T::Vector<S>, row: usize, taps: [T::Vector<S>; SIDE]) -> T::Vector<S> {
        for j in 0..SIDE {
            sum = T::fused(simd, self.weights[row][j], taps[j], sum);
        }
        sum
    }

    /// What the columns of the kernel read for a register; the one before it ends with the cell before these.
    #[inline(always)]
    fn taps(&self, simd: S, (cells, block): (&[T], usize), before: &mut T::Vector<S>) -> [T::Vector<S>; SIDE] {
        let lanes = T::lanes::<S>();
        let cells = &cells[..BLOCKS * lanes * STRIDE + SIDE - STRIDE][block * lanes * STRIDE..];
        let mut taps = if STRIDE == 1 {
            [T::load(simd, cells), T::load(simd, &cells[1..]), T::load(simd, &cells[2..])]
        } else {
            let [middle, right] = T::split(simd, &cells[1..]);
            let left = T::preceding(simd, *before, right);
            *before = right;
            [left, middle, right]
        };
        if block == 0 {
            taps[0] = T::keep(simd, self.first, taps[0]);
        }
        if block + 1 == BLOCKS {
            for j in 0..SIDE {
                taps[j] = T::keep(simd, self.last[j], taps[j]);
            }
        }
        taps
    }
}
