//! One input channel a group: each output is a short sum over one channel, taken along rows.
//!
//! There is nothing to multiply as matrices. A few channels are copied, padded, into a slab in which
//! neighbouring windows read neighbouring cells; then a tile of some rows by some columns of outputs stays in
//! registers while all kernel cells are added to it.

#![allow(unsafe_code)]
#![allow(
    clippy::needless_range_loop,
    reason = "loops of constant length over arrays become registers, iterators do not"
)]

use ndarray::{ArrayView2, ArrayView5, ArrayViewMut2, ArrayViewMut3, Axis, s};

use super::Epilogue;
use super::pieces::{MIN_PIECES, blocks, entries};
use super::runs::copy_short;
use super::scratch::{ALIGNMENT_BYTES, aligned};
use super::slab::{Region, Slab, fill_slab, slab_dims};
use crate::element::Element;
use crate::geometry::ConvGeometry;
use crate::parallel;

/// A slab must stay in the L1 beside the outputs that are computed from it.
const SLAB_BYTES: usize = 16 << 10;

/// Outputs of a task, about: enough that handing them out costs nothing.
const TASK_OUTPUTS: usize = 32 << 10;

/// Columns of the widest tile; the slab has so many cells after its last, since tiles are read whole.
const MAX_COLUMNS: usize = 32;

/// Everything that is known before the arrays come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    /// All channels as if they were of one group, which is how a slab is filled.
    whole: ConvGeometry,
    slab: Slab,
    /// Channels of one slab.
    channels: usize,
    /// Output rows of one slab.
    rows: usize,
    /// Groups of one task.
    groups: usize,
    slab_len: usize,
    line_len: usize,
    slack: usize,
}

/// Whether every group has one input channel, and there is something to compute.
pub(crate) fn applies(geometry: &ConvGeometry) -> bool {
    geometry.group_in_channels() == 1 && geometry.group_out_channels() > 0 && geometry.windows() > 0
}

impl Layout {
    pub fn new(g: &ConvGeometry, size: usize, workspace_bytes: usize) -> Self {
        let [_, oh, ow] = g.axes.map(|axis| axis.output);
        let cells = |rows: usize| slab_dims(g, 1, rows).into_iter().fold(1, usize::saturating_mul);
        let most = (SLAB_BYTES.min(workspace_bytes) / size).max(1);
        let mut rows = oh;
        while rows > 1 && cells(rows) > most {
            rows = rows.div_ceil(2);
        }
        let outputs = (g.group_out_channels() * g.windows()).max(1);
        let groups = g.groups.div_ceil(MIN_PIECES.div_ceil(g.batch.max(1))).min((TASK_OUTPUTS / outputs).max(1));
        let channels = (most / cells(rows).max(1)).clamp(1, groups);
        let slab = Slab::new(g, slab_dims(g, 1, rows));
        let whole = ConvGeometry { groups: 1, ..g.clone() };
        let slab_len = channels * slab.channel_len() + MAX_COLUMNS;
        Self { whole, slab, channels, rows, groups, slab_len, line_len: rows * ow, slack: 2 * ALIGNMENT_BYTES / size }
    }

    /// Elements of the scratch memory of one lane, with room to align its parts.
    pub fn slot_len(&self) -> usize {
        self.slab_len + self.line_len + self.slack
    }
}

/// The kernels as they are: one row each.
pub(crate) fn pack_weights<T: Element>(kernels: ArrayView2<'_, T>) -> Vec<T> {
    kernels.iter().copied().collect()
}

/// `output [N, OC, windows]`, with the weights as [`pack_weights`] left them.
pub(super) fn forward<T: Element>(
    (geometry, layout): (&ConvGeometry, &Layout),
    weights: &[T],
    input: ArrayView5<'_, T>,
    epilogue: Epilogue<'_, T>,
    (output, workspace): (ArrayViewMut3<'_, T>, &mut [T]),
) {
    let outs = geometry.group_out_channels();
    let pieces = entries(output).flat_map(move |(image, channels)| {
        blocks(channels, Axis(0), layout.groups * outs).map(move |(first, piece)| (image, first, piece))
    });
    parallel::for_each(pieces, workspace, layout.slot_len(), |(image, first, mut piece), slot: &mut [T]| {
        let (slab, rest) = aligned(slot).split_at_mut(layout.slab_len);
        let line = &mut aligned(rest)[..layout.line_len];
        let groups = first / outs..(first + piece.nrows()) / outs;
        let image = input.slice(s![image, .., .., .., ..]);
        // Tiles read beyond the last cell, and use nothing of what they read there.
        slab[layout.slab_len - MAX_COLUMNS..].fill(T::zero());
        for start in groups.clone().step_by(layout.channels) {
            let channels = start..(start + layout.channels).min(groups.end);
            let (_, rows) = piece.view_mut().split_at(Axis(0), (start - groups.start) * outs);
            let (mut rows, _) = rows.split_at(Axis(0), channels.len() * outs);
            for region in regions(geometry, layout.rows) {
                fill_slab(&layout.whole, &layout.slab, image, (channels.clone(), region), slab);
                let weights = &weights[start * outs * geometry.taps()..];
                convolve((geometry, layout), weights, slab, region, (rows.view_mut(), line));
            }
        }
        epilogue.apply(first, piece);
    });
}

/// The output by whole planes, and each of these by so many rows.
fn regions(geometry: &ConvGeometry, rows: usize) -> impl Iterator<Item = Region> {
    let [od, oh, _] = geometry.axes.map(|axis| axis.output);
    (0..od).flat_map(move |plane| {
        (0..oh).step_by(rows).map(move |row| Region { first: [plane, row], count: [1, rows.min(oh - row)] })
    })
}

/// All channels of a slab for one region of windows.
fn convolve<T: Element>(
    (geometry, layout): (&ConvGeometry, &Layout),
    weights: &[T],
    slab: &[T],
    region: Region,
    (mut output, line): (ArrayViewMut2<'_, T>, &mut [T]),
) {
    let ([_, oh, ow], taps) = (geometry.axes.map(|axis| axis.output), geometry.taps());
    let outs = geometry.group_out_channels();
    let windows = (region.first[0] * oh + region.first[1]) * ow..;
    let windows = windows.start..windows.start + region.count[1] * ow;
    for (number, mut channel) in output.rows_mut().into_iter().enumerate() {
        let source = Source {
            cells: &slab[number / outs * layout.slab.channel_len()..],
            offsets: &layout.slab.offsets[..taps],
            pitch: layout.slab.row_start(geometry, 0, 1),
            weights: &weights[number * taps..(number + 1) * taps],
        };
        let mut part = channel.slice_mut(s![windows.clone()]);
        match part.as_slice_mut() {
            Some(part) => plane(source, part, ow),
            None => {
                let line = &mut line[..windows.len()];
                plane(source, line, ow);
                part.iter_mut().zip(&*line).for_each(|(to, &sum)| *to = sum);
            }
        }
    }
}

/// Outputs that are computed side by side: one register of f32 with AVX2.
const LANE: usize = 8;

#[derive(Clone, Copy)]
struct Lane<T>([T; LANE]);

impl<T: Element> Lane<T> {
    /// `self + weight · cells`.
    #[inline(always)]
    fn plus(self, weight: T, cells: [T; LANE], fma: &impl Fn(T, T, T) -> T) -> Self {
        let mut sums = [T::zero(); LANE];
        for i in 0..LANE {
            sums[i] = fma(weight, cells[i], self.0[i]);
        }
        Self(sums)
    }
}

/// What the outputs of one channel are computed from.
#[derive(Clone, Copy)]
struct Source<'a, T> {
    /// The channel's slab, and all that follows it.
    cells: &'a [T],
    /// Where each kernel cell is read from, counted from a window's start.
    offsets: &'a [usize],
    /// Cells between the starts of the windows of two rows.
    pitch: usize,
    weights: &'a [T],
}

/// Computes `output [rows, width]` with the widest instructions that the processor has.
fn plane<T: Element>(source: Source<'_, T>, output: &mut [T], width: usize) {
    let rows = output.len() / width.max(1);
    let last = source.offsets.iter().max().map_or(0, |offset| offset + rows.saturating_sub(1) * source.pitch);
    assert!(last + width.next_multiple_of(8) + MAX_COLUMNS - 8 <= source.cells.len(), "a slab with its slack");
    assert_eq!(source.offsets.len(), source.weights.len(), "a weight for each kernel cell");
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    {
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the processor has been found to have the feature, and the cells have just been checked.
            return unsafe { plane_avx512(source, output, width) };
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            // SAFETY: the same.
            return unsafe { plane_fma(source, output, width) };
        }
    }
    // SAFETY: the cells have just been checked.
    unsafe { tiles(source, output, width, |a, b, sum| a * b + sum) }
}

/// # Safety
/// As [`tiles`], and the processor must have the feature.
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
#[target_feature(enable = "avx512f")]
unsafe fn plane_avx512<T: Element>(source: Source<'_, T>, output: &mut [T], width: usize) {
    // SAFETY: the caller's obligations are the same.
    unsafe { tiles(source, output, width, |a, b, sum| a.mul_add(b, sum)) }
}

/// # Safety
/// As [`tiles`], and the processor must have the features.
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
#[target_feature(enable = "avx2,fma")]
unsafe fn plane_fma<T: Element>(source: Source<'_, T>, output: &mut [T], width: usize) {
    // SAFETY: the caller's obligations are the same.
    unsafe { tiles(source, output, width, |a, b, sum| a.mul_add(b, sum)) }
}

/// Covers the output with tiles: as many columns as are left of 32, 16 or 8, and as many rows as fill eight
/// registers of eight.
///
/// # Safety
/// A window's cells, from each row's start on and rounded up to the tiles' columns, must be inside the slab.
#[inline(always)]
unsafe fn tiles<T: Element>(source: Source<'_, T>, output: &mut [T], width: usize, fma: impl Fn(T, T, T) -> T + Copy) {
    let rows = output.len() / width;
    let mut column = 0;
    while column < width {
        let left = width - column;
        // SAFETY: the caller's obligation; the tile begins inside the output.
        unsafe {
            column += match left {
                24.. => strip::<T, 4, 2>(source, (output, width, rows), column, fma),
                9.. => strip::<T, 2, 4>(source, (output, width, rows), column, fma),
                _ => strip::<T, 1, 8>(source, (output, width, rows), column, fma),
            };
        }
    }
}

/// All rows of the columns from `column` on, `LANES` of them or as many as there are; returns how many.
///
/// # Safety
/// As [`tiles`].
#[inline(always)]
unsafe fn strip<T: Element, const LANES: usize, const ROWS: usize>(
    source: Source<'_, T>,
    (output, width, rows): (&mut [T], usize, usize),
    column: usize,
    fma: impl Fn(T, T, T) -> T + Copy,
) -> usize {
    let mut row = 0;
    while row < rows {
        let place = (row, column, width);
        // SAFETY: the caller's obligation; there are as many rows left as each tile has.
        unsafe {
            row += match rows - row {
                left if left >= ROWS => tile::<T, LANES, ROWS>(source, output, place, fma),
                4.. if ROWS > 4 => tile::<T, LANES, 4>(source, output, place, fma),
                2.. if ROWS > 2 => tile::<T, LANES, 2>(source, output, place, fma),
                _ => tile::<T, LANES, 1>(source, output, place, fma),
            };
        }
    }
    (LANES * LANE).min(width - column)
}

/// One tile of outputs, from `(row, column)` on; returns its rows.
///
/// # Safety
/// As [`tiles`].
#[inline(always)]
unsafe fn tile<T: Element, const LANES: usize, const ROWS: usize>(
    source: Source<'_, T>,
    output: &mut [T],
    (row, column, width): (usize, usize, usize),
    fma: impl Fn(T, T, T) -> T,
) -> usize {
    let mut sums = [[Lane([T::zero(); LANE]); LANES]; ROWS];
    let start = row * source.pitch + column;
    for (&offset, &weight) in source.offsets.iter().zip(source.weights) {
        for r in 0..ROWS {
            for v in 0..LANES {
                // SAFETY: these columns of this row are inside the slab, by the caller's obligation, and an
                // array is aligned as its elements are.
                let cells = unsafe {
                    *source.cells.as_ptr().add(start + offset + r * source.pitch + v * LANE).cast::<[T; LANE]>()
                };
                sums[r][v] = sums[r][v].plus(weight, cells, &fma);
            }
        }
    }
    let columns = (LANES * LANE).min(width - column);
    for r in 0..ROWS {
        let line = &mut output[(row + r) * width + column..][..columns];
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
