//! Along one row: which input cell each window reads at one tap, in runs that loops can stream over.

use std::ops::Range;

use ndarray::{ArrayView1, ArrayViewMut1};

use crate::element::Element;
use crate::geometry::{Axis, PadMode};

/// A row of an input: contiguous memory, or a view of any stride.
#[derive(Clone, Copy)]
pub(crate) enum Row<'a, T> {
    Slice(&'a [T]),
    View(ArrayView1<'a, T>),
}

/// The same, to be written.
pub(crate) enum RowMut<'a, T> {
    Slice(&'a mut [T]),
    View(ArrayViewMut1<'a, T>),
}

/// Windows that read cells a fixed step apart, or zeros.
struct Run {
    /// Windows, counted from the start of the range that was asked for.
    windows: Range<usize>,
    /// Cell that the first one reads; `None` where all read zeros.
    source: Option<usize>,
}

/// Every `STEP`-th cell. The loop over chunks becomes vector shuffles, a step in an iterator does not.
#[inline(always)]
pub(super) fn gather_every<T: Element, const STEP: usize>(row: &[T], out: &mut [T]) {
    let (chunks, _) = row.as_chunks::<STEP>();
    let whole = out.len().min(chunks.len());
    out[..whole].iter_mut().zip(chunks).for_each(|(o, chunk)| *o = chunk[0]);
    if whole < out.len() {
        out[whole] = row[STEP * whole];
    }
}

/// `out[o] = row[step · o]`.
#[inline]
pub(super) fn gather_row<T: Element>(row: &[T], step: usize, out: &mut [T]) {
    match step {
        1 => copy_short(out, &row[..out.len()]),
        2 => gather_every::<T, 2>(row, out),
        4 => gather_every::<T, 4>(row, out),
        _ => out.iter_mut().zip(row.iter().step_by(step)).for_each(|(o, &x)| *o = x),
    }
}

/// Copies the first and the last `N` of a slice that is no shorter, and no longer than both together.
#[inline(always)]
fn copy_ends<T: Copy, const N: usize>(to: &mut [T], from: &[T]) {
    let end = to.len() - N;
    let (first, last): ([T; N], [T; N]) = (*from.first_chunk().expect("N"), *from.last_chunk().expect("N"));
    to[..N].copy_from_slice(&first);
    to[end..].copy_from_slice(&last);
}

/// Copies a slice. Short ones, which rows of small maps are, cost no call: two fixed moves cover each length.
#[inline]
pub(super) fn copy_short<T: Element>(to: &mut [T], from: &[T]) {
    match to.len() {
        0 => {}
        1 => to[0] = from[0],
        2..=3 => copy_ends::<T, 2>(to, &from[..to.len()]),
        4..=7 => copy_ends::<T, 4>(to, &from[..to.len()]),
        8..=15 => copy_ends::<T, 8>(to, &from[..to.len()]),
        16..=32 => copy_ends::<T, 16>(to, &from[..to.len()]),
        33..=64 => copy_ends::<T, 32>(to, &from[..to.len()]),
        _ => to.copy_from_slice(from),
    }
}

/// Copies a slice without a call, in moves of 16 elements; for code that has the widest instructions.
#[inline(always)]
pub(super) fn copy_row<T: Element>(to: &mut [T], from: &[T]) {
    let from = &from[..to.len()];
    if to.len() < 16 {
        return copy_short(to, from);
    }
    if let (Some(to), Some(from)) = (to.last_chunk_mut::<16>(), from.last_chunk::<16>()) {
        *to = *from;
    }
    for (to, from) in to.as_chunks_mut::<16>().0.iter_mut().zip(from.as_chunks::<16>().0) {
        *to = *from;
    }
}

/// Zeros, without a call for the few cells of a usual border.
#[inline]
pub(super) fn zero_short<T: Element>(out: &mut [T]) {
    match out {
        [] => {}
        [a] => *a = T::zero(),
        [a, b] => (*a, *b) = (T::zero(), T::zero()),
        [a, b, c] => (*a, *b, *c) = (T::zero(), T::zero(), T::zero()),
        _ => out.fill(T::zero()),
    }
}

/// One tap of the width axis: maps windows to cells of a row.
#[derive(Clone)]
pub(crate) struct TapRow {
    axis: Axis,
    tap: usize,
    mode: PadMode,
    /// Windows that read inside the row: `axis.interior(tap)`.
    interior: Range<usize>,
}

impl TapRow {
    pub fn new(axis: Axis, tap: usize, mode: PadMode) -> Self {
        Self { axis, tap, mode, interior: axis.interior(tap) }
    }

    /// Splits `windows` into its left border, its interior and its right border. The interior is one
    /// run; so is a border of zeros, while each cell of a mirrored border is a run of its own.
    #[inline]
    fn for_each_run(&self, windows: Range<usize>, mut visit: impl FnMut(Run)) {
        let start = self.interior.start.clamp(windows.start, windows.end);
        let end = self.interior.end.clamp(start, windows.end);
        self.border(windows.start, windows.start..start, &mut visit);
        if start < end {
            let first = start * self.axis.stride + self.tap * self.axis.dilation - self.axis.pad_before;
            visit(Run { windows: start - windows.start..end - windows.start, source: Some(first) });
        }
        self.border(windows.start, end..windows.end, &mut visit);
    }

    #[inline]
    fn border(&self, origin: usize, windows: Range<usize>, visit: &mut impl FnMut(Run)) {
        if windows.is_empty() {
            return;
        }
        if self.mode == PadMode::Zeros {
            return visit(Run { windows: windows.start - origin..windows.end - origin, source: None });
        }
        for window in windows {
            let place = window - origin;
            visit(Run { windows: place..place + 1, source: self.axis.source(window, self.tap, self.mode) });
        }
    }

    /// `out[o] = row[cell of window o]`, with zeros for the padding.
    #[inline]
    pub fn gather<T: Element>(&self, row: Row<'_, T>, windows: Range<usize>, out: &mut [T]) {
        let step = self.axis.stride;
        if let (Row::Slice(row), PadMode::Zeros) = (row, self.mode) {
            let start = self.interior.start.clamp(windows.start, windows.end);
            let end = self.interior.end.clamp(start, windows.end);
            let (before, rest) = out.split_at_mut(start - windows.start);
            let (inside, after) = rest.split_at_mut(end - start);
            zero_short(before);
            zero_short(after);
            if start < end {
                let row = &row[start * step + self.tap * self.axis.dilation - self.axis.pad_before..];
                gather_row(row, step, inside);
            }
            return;
        }
        self.for_each_run(windows, |run| {
            let out = &mut out[run.windows];
            let Some(source) = run.source else { return out.fill(T::zero()) };
            match row {
                Row::Slice(row) => gather_row(&row[source..], step, out),
                Row::View(row) => out.iter_mut().enumerate().for_each(|(i, o)| *o = row[source + i * step]),
            }
        });
    }

    /// `acc[o] += factor · row[cell of window o]`.
    pub fn gather_scaled<T: Element>(&self, row: Row<'_, T>, factor: T, windows: Range<usize>, acc: &mut [T]) {
        let step = self.axis.stride;
        self.for_each_run(windows, |run| {
            let acc = &mut acc[run.windows];
            match (run.source, row) {
                // A zero times a weight that is not finite is not a zero.
                (None, _) => acc.iter_mut().for_each(|o| *o += factor * T::zero()),
                (Some(source), Row::Slice(row)) if step == 1 => {
                    let row = &row[source..source + acc.len()];
                    acc.iter_mut().zip(row).for_each(|(o, &x)| *o += factor * x);
                }
                (Some(source), Row::Slice(row)) => {
                    let row = row[source..].iter().step_by(step);
                    acc.iter_mut().zip(row).for_each(|(o, &x)| *o += factor * x);
                }
                (Some(source), Row::View(row)) => {
                    acc.iter_mut().enumerate().for_each(|(i, o)| *o += factor * row[source + i * step]);
                }
            }
        });
    }

    /// `Σ grad[o] · row[cell of window o]`.
    pub fn dot<T: Element>(&self, row: Row<'_, T>, grad: &[T], windows: Range<usize>) -> T {
        let step = self.axis.stride;
        let mut sum = T::zero();
        self.for_each_run(windows, |run| {
            let grad = &grad[run.windows];
            sum += match (run.source, row) {
                (None, _) => grad.iter().map(|&g| g * T::zero()).sum(),
                (Some(source), Row::Slice(row)) => {
                    grad.iter().zip(row[source..].iter().step_by(step)).map(|(&g, &x)| g * x).sum()
                }
                (Some(source), Row::View(row)) => {
                    grad.iter().enumerate().map(|(i, &g)| g * row[source + i * step]).sum()
                }
            };
        });
        sum
    }

    /// `row[cell of window o] += factor · values[o]`; what falls on the padding is dropped.
    pub fn scatter<T: Element>(&self, values: &[T], factor: T, windows: Range<usize>, row: &mut RowMut<'_, T>) {
        let step = self.axis.stride;
        self.for_each_run(windows, |run| {
            let values = &values[run.windows];
            let Some(source) = run.source else { return };
            match row {
                RowMut::Slice(row) if step == 1 => {
                    let row = &mut row[source..source + values.len()];
                    row.iter_mut().zip(values).for_each(|(x, &v)| *x += factor * v);
                }
                RowMut::Slice(row) => {
                    let row = row[source..].iter_mut().step_by(step);
                    row.zip(values).for_each(|(x, &v)| *x += factor * v);
                }
                RowMut::View(row) => values.iter().enumerate().for_each(|(i, &v)| row[source + i * step] += factor * v),
            }
        });
    }
}
