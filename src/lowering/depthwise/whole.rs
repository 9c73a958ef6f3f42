//! Rows of outputs that lie in registers as a whole, of 3×3 kernels.
//!
//! A row of cells is read once, from where its registers begin with a line of memory if rows do; what the columns of the
//! kernel beside the middle one need are lanes of neighbouring registers. (Where each column is read by itself, two of
//! three reads reach into another line, which takes two turns each.)

#![allow(
    clippy::needless_range_loop,
    reason = "loops of constant length over arrays become registers, iterators do not"
)]

use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::part::{Part, kernel};
use super::planes::{Inside, Lines};
use super::strip::put;
use crate::element::Element;

/// Rows and columns of the kernel.
pub(super) const SIDE: usize = 3;

/// Registers of a row that are computed together: with two sums in each and the kernel they are 23 of 32.
pub(super) const MOST_BLOCKS: usize = 7;

/// Rows of more registers are faster so than in [strips](super::strip), with a stride of one only where images are far. (On Zen 4, rows of
/// two registers with a stride of one 0.87 times as fast, of seven 0.92 to 0.96 times where images are near and 1.1 to 1.5 times where
/// they are far; of one register with a stride of two 0.95 times, of four 1.5 times.)
pub(super) const FEW_BLOCKS: [usize; 2] = [2, 1];

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
        let mut masks = [T::between(simd, 0, 0); 2];
        for (place, mask) in masks.iter_mut().enumerate() {
            let [start, end] = part.lanes_inside::<STRIDE>((self.end - 1) * lanes * STRIDE + 1 + place % STRIDE);
            *mask = T::between(simd, start, end);
        }
        let (rows, width, column) = (part.rows.clone(), part.width, (self.end - BLOCKS) * lanes);
        let Inside { start, end } = part.planes.inside[1];
        let are_inside = [start <= column * STRIDE, column * STRIDE + BLOCKS * lanes + 1 < end];
        let mut channels = part.channels();
        while let Some((planes, weights, output)) = channels.next() {
            let lines = planes.lines(column * STRIDE, BLOCKS * lanes * STRIDE + 2);
            let channel = Channel::<T, S, STRIDE, BLOCKS> { lines, weights: kernel(simd, weights), masks, are_inside };
            channel.compute(simd, (rows.clone(), width), &mut output[column..]);
        }
        BLOCKS
    }
}

/// Those of one channel.
struct Channel<'a, T: Element, S: Simd, const STRIDE: usize, const BLOCKS: usize> {
    /// From the cell before the registers' first to the one after their last.
    lines: Lines<'a, T>,
    weights: [[T::Vector<S>; SIDE]; SIDE],
    /// The lanes of the last register's cells inside the image, for the middle column of the kernel and for the one after
    /// it; these are other cells with a stride of two.
    masks: [T::Mask<S>; 2],
    /// Whether the first and the last cell of a line are.
    are_inside: [bool; 2],
}

impl<T: Element, S: Simd, const STRIDE: usize, const BLOCKS: usize> Channel<'_, T, S, STRIDE, BLOCKS> {
    /// Some rows of outputs, which begin by `width` after each other. Whole registers are written, so that what follows a row
    /// must be written later.
    #[inline(always)]
    fn compute(&self, simd: S, (rows, width): (Range<usize>, usize), output: &mut [T]) {
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
            match output.len() >= BLOCKS * T::lanes::<S>() {
                true => self.finish::<true>(simd, cells + 2, &mut sums, output),
                false => self.finish::<false>(simd, cells + 2, &mut sums, output),
            }
        }
    }

    /// Adds a row of cells to the sums: as row `ROW` of the kernel to the first, and as an earlier one to the other.
    #[inline(always)]
    fn add<const ROW: usize>(&self, simd: S, row: usize, sums: &mut [[T::Vector<S>; BLOCKS]; 2]) {
        let Some(mut taps) = self.taps(simd, row) else { return };
        for block in 0..BLOCKS {
            let taps = taps.next(self, simd, block);
            for slot in 0..2 {
                if slot * STRIDE <= ROW {
                    sums[slot][block] = self.plus(simd, sums[slot][block], ROW - slot * STRIDE, taps);
                }
            }
        }
    }

    /// Adds a row of cells as the last row of the kernel, and writes these sums, of whose registers each is free then.
    #[inline(always)]
    fn finish<const HAS_ROOM: bool>(
        &self,
        simd: S,
        row: usize,
        sums: &mut [[T::Vector<S>; BLOCKS]; 2],
        output: &mut [T],
    ) {
        let mut taps = self.taps(simd, row);
        for block in 0..BLOCKS {
            let mut slots = [sums[0][block], sums[1][block], T::splat(simd, T::zero())];
            if let Some(taps) = &mut taps {
                let taps = taps.next(self, simd, block);
                for slot in 0..SIDE {
                    if slot * STRIDE < SIDE {
                        slots[slot] = self.plus(simd, slots[slot], SIDE - 1 - slot * STRIDE, taps);
                    }
                }
            }
            let start = block * T::lanes::<S>();
            if HAS_ROOM {
                T::put(simd, slots[0], &mut output[start..]);
            } else if let Some(output) = output.get_mut(start..) {
                put::<S, T>(simd, slots[0], output);
            }
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

    #[inline(always)]
    fn taps(&self, simd: S, row: usize) -> Option<Taps<'_, T, S>> {
        let lanes = T::lanes::<S>();
        let cells = &self.lines.line(row)?[..BLOCKS * lanes * STRIDE + 2];
        let edge = |end: usize, place: usize| if self.are_inside[end] { cells[place] } else { T::zero() };
        Some(Taps {
            cells,
            before: T::splat(simd, edge(0, 0)),
            next: self.read(simd, cells, 0),
            after: T::splat(simd, edge(1, BLOCKS * lanes + 1)),
        })
    }

    /// What a register reads for the kernel's middle column and, with a stride of two, for the one after it.
    #[inline(always)]
    fn read(&self, simd: S, cells: &[T], block: usize) -> [T::Vector<S>; 2] {
        let lanes = T::lanes::<S>();
        let cells = &cells[1 + block * lanes * STRIDE..];
        let [middle, right] = if STRIDE == 1 { [T::load(simd, cells); 2] } else { T::split(simd, cells) };
        match block + 1 < BLOCKS {
            true => [middle, right],
            false => [T::keep(simd, self.masks[0], middle), T::keep(simd, self.masks[1], right)],
        }
    }
}

/// What the columns of the kernel read of a row, register after register.
struct Taps<'a, T: Element, S: Simd> {
    cells: &'a [T],
    /// The register before the next, of which the last lane counts; what was read for the next; and the first lane after the last.
    before: T::Vector<S>,
    next: [T::Vector<S>; 2],
    after: T::Vector<S>,
}

impl<T: Element, S: Simd> Taps<'_, T, S> {
    #[inline(always)]
    fn next<const STRIDE: usize, const BLOCKS: usize>(
        &mut self,
        channel: &Channel<'_, T, S, STRIDE, BLOCKS>,
        simd: S,
        block: usize,
    ) -> [T::Vector<S>; SIDE] {
        let [middle, right] = self.next;
        self.next = match block + 1 < BLOCKS {
            true => channel.read(simd, self.cells, block + 1),
            false => [self.after; 2],
        };
        let left = T::preceding(simd, self.before, right);
        self.before = right;
        [left, middle, if STRIDE == 1 { T::following(simd, middle, self.next[0]) } else { right }]
    }
}
