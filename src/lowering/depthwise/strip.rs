//! Registers of outputs that lie below each other, of one channel: the innermost loop, without bounds checks.
//!
//! What it reads and writes is compared with the slices once a channel. A loop that compared each row, with the same
//! arithmetic, took 1.3 to 2 times as long: of a row of outputs nine multiply-adds take five cycles.

#![allow(unsafe_code)]
#![allow(
    clippy::needless_range_loop,
    reason = "loops of constant length over arrays become registers, iterators do not"
)]

use std::ops::Range;
use std::slice;

use pulp::{Simd, WithSimd};

use super::part::{Part, kernel};
use super::planes::{Inside, Planes};
use crate::element::Element;
use crate::simd::{MOST_LANES, ask_for_line};

/// Which columns of the kernel read cells outside the image for some lanes, which are masked: none of them, those left of its
/// middle, or all.
pub(super) const NONE: u8 = 0;
pub(super) const LEFT: u8 = 1;
pub(super) const ALL: u8 = 2;

/// The registers that begin with the given columns, of all channels.
pub(super) struct Strips<
    's,
    'a,
    T,
    const K: usize,
    const STRIDE: usize,
    const BLOCKS: usize,
    const MOVES: bool,
    const EDGES: u8,
    const IS_FAR: bool,
> {
    pub part: &'s mut Part<'a, T>,
    /// From left to right.
    pub columns: [usize; BLOCKS],
}

impl<
    T: Element,
    const K: usize,
    const STRIDE: usize,
    const BLOCKS: usize,
    const MOVES: bool,
    const EDGES: u8,
    const IS_FAR: bool,
> WithSimd for Strips<'_, '_, T, K, STRIDE, BLOCKS, MOVES, EDGES, IS_FAR>
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { part, columns } = self;
        let mut masks = [[T::between(simd, 0, 0); K]; BLOCKS];
        for block in 0..BLOCKS {
            for j in 0..K {
                let [start, end] = part.lanes_inside::<STRIDE>(columns[block] * STRIDE + j);
                masks[block][j] = T::between(simd, start, end);
            }
        }
        let (rows, width, output_len) = (part.rows.clone(), part.width, part.output_len);
        let mut channels = part.channels();
        while let Some((planes, weights, output)) = channels.next() {
            let strip = Strip { planes, columns, output_len, weights: kernel(simd, weights), masks };
            strip.compute::<STRIDE, MOVES, EDGES, IS_FAR>(simd, (rows.clone(), width), output);
        }
    }
}

/// Those of one channel.
struct Strip<'a, T: Element, S: Simd, const K: usize, const BLOCKS: usize> {
    /// With the origin of this channel.
    planes: Planes<'a, T>,
    columns: [usize; BLOCKS],
    /// Outputs from this channel to the next.
    output_len: usize,
    weights: [[T::Vector<S>; K]; K],
    /// The lanes of each column of the kernel that are inside the image.
    masks: [[T::Mask<S>; K]; BLOCKS],
}

/// Outputs of a register that are good where the columns of the kernel beyond the second are moved lanes, with a stride of
/// two: what the last lanes would need lies in the next register.
pub(super) fn lanes_with_moves(lanes: usize, side: usize) -> usize {
    lanes.saturating_sub((side - 1) / 2)
}

impl<T: Element, S: Simd, const K: usize, const BLOCKS: usize> Strip<'_, T, S, K, BLOCKS> {
    /// Some rows of outputs. A row of cells is read once, and added to the sums of all rows of outputs that it belongs
    /// to. Whole registers are written, so that what follows a row must be written later.
    ///
    /// `MOVES`, with a stride of two: the columns of the kernel beyond the second are lanes of the first two, moved,
    /// instead of read again; of the last lanes ([`lanes_with_moves`]) nothing can be used.
    #[inline(always)]
    fn compute<const STRIDE: usize, const MOVES: bool, const EDGES: u8, const IS_FAR: bool>(
        &self,
        simd: S,
        (rows, width): (Range<usize>, usize),
        output: &mut [T],
    ) {
        // Rows of outputs that a row of cells belongs to; entry `i` of the sums has the first `i` steps of them.
        let active = K.div_ceil(STRIDE);
        let mut sums = [[T::splat(simd, T::zero()); BLOCKS]; K];
        let (first, steps, pitch) = (rows.start * STRIDE, rows.len() + active - 1, self.planes.pitch);
        // Rows of cells inside the image, counted from the first window's.
        let Inside { start, end } = self.planes.inside[0];
        let lines = start.saturating_sub(first)..end.saturating_sub(first).min(steps * STRIDE);
        let cells = self.cells::<STRIDE, MOVES>(first, &lines);
        let mut line = cells.as_ptr().wrapping_sub(lines.start * pitch);
        // Steps all of whose rows of cells are inside, and whose outputs have room for whole registers.
        let head = active - 1;
        let inner = (lines.end / STRIDE).min(head + self.whole_rows((rows.len(), width), output.len())).min(steps);
        let inner = if lines.start > head * STRIDE { head } else { inner.max(head) };

        for step in 0..head {
            // SAFETY: the rows of cells are those of `lines`, which begin at `line` counted from the first.
            unsafe { self.add_inside::<STRIDE, MOVES, EDGES>(simd, (line, step), &lines, &mut sums) };
            // With a stride of one this made layers of 56 and 112 columns slower (docs/performance.md).
            if IS_FAR && STRIDE == 2 {
                self.ask::<STRIDE>(first + step * STRIDE, output.as_ptr().wrapping_add(step * width));
            }
            line = line.wrapping_add(STRIDE * pitch);
            Self::advance::<STRIDE>(simd, &mut sums);
        }
        let mut to = output.as_mut_ptr();
        for step in head..inner {
            // SAFETY: `lines` begins before step `head` and ends after the last of these steps.
            unsafe { self.add::<STRIDE, 0, MOVES, EDGES>(simd, line, &mut sums) };
            if STRIDE > 1 {
                // SAFETY: as above.
                unsafe { self.add::<STRIDE, 1, MOVES, EDGES>(simd, line.wrapping_add(pitch), &mut sums) };
            }
            if IS_FAR {
                self.ask::<STRIDE>(first + step * STRIDE, to.wrapping_add(head * width));
            }
            line = line.wrapping_add(STRIDE * pitch);
            for block in 0..BLOCKS {
                // SAFETY: this is row `step - head` of the output, one of those with room for whole registers.
                let to = unsafe { slice::from_raw_parts_mut(to.add(self.columns[block]), T::lanes::<S>()) };
                T::put(simd, sums[active - 1][block], to);
            }
            to = to.wrapping_add(width);
            Self::advance::<STRIDE>(simd, &mut sums);
        }
        for step in inner..steps {
            // SAFETY: as in the first loop.
            unsafe { self.add_inside::<STRIDE, MOVES, EDGES>(simd, (line, step), &lines, &mut sums) };
            line = line.wrapping_add(STRIDE * pitch);
            let output = &mut output[(step - head) * width..];
            if IS_FAR {
                self.ask::<STRIDE>(first + step * STRIDE, output.as_ptr().wrapping_add(head * width));
            }
            for block in 0..BLOCKS {
                put::<S, T>(simd, sums[active - 1][block], &mut output[self.columns[block]..]);
            }
            Self::advance::<STRIDE>(simd, &mut sums);
        }
    }

    /// All cells that are read of some rows, counted from the first window's, from the first column on.
    #[inline(always)]
    fn cells<const STRIDE: usize, const MOVES: bool>(&self, first: usize, lines: &Range<usize>) -> &[T] {
        let Planes { cells, origin, pitch, .. } = self.planes;
        if lines.is_empty() {
            return &[];
        }
        assert!(self.columns.is_sorted(), "columns from left to right");
        let width = (self.columns[BLOCKS - 1] - self.columns[0]) * STRIDE
            + if MOVES { STRIDE * T::lanes::<S>() } else { STRIDE * T::lanes::<S>() + K - 1 };
        let start = origin.wrapping_add((first + lines.start) * pitch + self.columns[0] * STRIDE);
        &cells[start..][..(lines.len() - 1) * pitch + width]
    }

    /// Rows of outputs after each of which there is room for what whole registers write beyond it.
    #[inline(always)]
    fn whole_rows(&self, (rows, width): (usize, usize), output_len: usize) -> usize {
        let end = self.columns[BLOCKS - 1] + T::lanes::<S>();
        // There is room after all of them but in the last channel: a division less for each of the others.
        if rows.saturating_sub(1) * width + end <= output_len {
            return rows;
        }
        output_len.checked_sub(end).map_or(0, |beyond| beyond / width + 1)
    }

    #[inline(always)]
    fn advance<const STRIDE: usize>(simd: S, sums: &mut [[T::Vector<S>; BLOCKS]; K]) {
        for i in (1..K.div_ceil(STRIDE)).rev() {
            sums[i] = sums[i - 1];
        }
        sums[0] = [T::splat(simd, T::zero()); BLOCKS];
    }

    /// Asks for the next channel's cells of the rows of a step, and for a row of its outputs.
    #[inline(always)]
    fn ask<const STRIDE: usize>(&self, row: usize, output: *const T) {
        let Planes { cells, origin, pitch, channel_len, .. } = self.planes;
        for block in 0..BLOCKS {
            let column = self.columns[block];
            for step in 0..STRIDE {
                let start = origin.wrapping_add((row + step) * pitch + channel_len + column * STRIDE);
                // With a stride of two the last register's cells end in a line of which no other asks for the beginning.
                let more = usize::from(STRIDE == 2 && block + 1 == BLOCKS);
                for part in 0..STRIDE + more {
                    ask_for_line::<T, true>(cells.as_ptr().wrapping_add(start.wrapping_add(part * T::lanes::<S>())));
                }
            }
            ask_for_line::<T, true>(output.wrapping_add(self.output_len + column));
        }
    }

    /// Adds the rows of cells of a step, the first of which begins at `line`, that are among `lines`.
    ///
    /// # Safety
    /// As [`add`](Self::add), for those rows.
    #[inline(always)]
    unsafe fn add_inside<const STRIDE: usize, const MOVES: bool, const EDGES: u8>(
        &self,
        simd: S,
        (line, step): (*const T, usize),
        lines: &Range<usize>,
        sums: &mut [[T::Vector<S>; BLOCKS]; K],
    ) {
        if lines.contains(&(step * STRIDE)) {
            // SAFETY: the caller's.
            unsafe { self.add::<STRIDE, 0, MOVES, EDGES>(simd, line, sums) };
        }
        if STRIDE > 1 && lines.contains(&(step * STRIDE + 1)) {
            // SAFETY: the caller's.
            unsafe { self.add::<STRIDE, 1, MOVES, EDGES>(simd, line.wrapping_add(self.planes.pitch), sums) };
        }
    }

    /// Adds a row of cells as row `STEP` of the kernel, and every `STRIDE`-th after that.
    ///
    /// # Safety
    /// `line` is where, in the slice of [`cells`](Self::cells), the row's cells from the first column on begin.
    #[inline(always)]
    unsafe fn add<const STRIDE: usize, const STEP: usize, const MOVES: bool, const EDGES: u8>(
        &self,
        simd: S,
        line: *const T,
        sums: &mut [[T::Vector<S>; BLOCKS]; K],
    ) {
        let mut parts = [[T::splat(simd, T::zero()); BLOCKS]; 2];
        for j in 0..K {
            // What neighbouring windows read for this column of the kernel.
            let mut taps = parts[1];
            for block in 0..BLOCKS {
                let start = (self.columns[block] - self.columns[0]) * STRIDE + j;
                if MOVES && j > 1 {
                    taps[block] = T::moved(simd, parts[j % 2][block], j / 2);
                } else if STRIDE == 1 {
                    // SAFETY: `j < K`, and the slice has `lanes + K - 1` cells from each column on.
                    taps[block] = T::load(simd, unsafe { slice::from_raw_parts(line.add(start), T::lanes::<S>()) });
                } else if j % 2 == 0 {
                    // SAFETY: the slice has twice as many cells as there are lanes from each column on, and `K - 1`
                    // more if `j` may be more than 0.
                    let pairs = unsafe { slice::from_raw_parts(line.add(start), 2 * T::lanes::<S>()) };
                    [parts[0][block], parts[1][block]] = T::split(simd, pairs);
                    taps[block] = parts[0][block];
                }
                if EDGES == ALL || EDGES == LEFT && j < K / 2 {
                    taps[block] = T::keep(simd, self.masks[block][j], taps[block]);
                }
            }
            for i in 0..K {
                if i % STRIDE == STEP {
                    for block in 0..BLOCKS {
                        let sum = &mut sums[i / STRIDE][block];
                        *sum = T::fused(simd, self.weights[i][j], taps[block], *sum);
                    }
                }
            }
        }
    }
}

/// Writes a register, or as much of it as there is room for.
#[inline(always)]
fn put<S: Simd, T: Element>(simd: S, vector: T::Vector<S>, output: &mut [T]) {
    if output.len() >= T::lanes::<S>() {
        return T::put(simd, vector, output);
    }
    let mut lanes = [T::zero(); MOST_LANES];
    T::put(simd, vector, &mut lanes);
    put_first(&lanes, output);
}

/// Writes as many as there is room for: at the end of the last channels alone. (Where the compiler does not know that it is seldom,
/// it keeps registers in memory for the sake of the call.)
#[cold]
#[inline(never)]
pub(super) fn put_first<T: Element>(lanes: &[T], output: &mut [T]) {
    let count = output.len();
    output.copy_from_slice(&lanes[..count]);
}
