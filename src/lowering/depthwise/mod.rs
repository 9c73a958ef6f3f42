//! One input channel a group: each output is a short sum over one channel, taken along rows.
//!
//! There is nothing to multiply as matrices. Square kernels read rows of the image where they are. For others a few
//! channels are copied, padded, into a slab in which neighbouring windows read neighbouring cells; then a tile of some
//! rows by some columns of outputs stays in registers while all kernel cells are added to it.

mod cells;
mod channels;
mod grad;
mod part;
mod planes;
mod rows;
mod square;
mod strip;
mod sums;
mod tiles;
mod whole;

pub(crate) use channels::{Channels, has_input_grad};
pub(super) use grad::weight_grad;
pub(crate) use grad::{GradLayout, has_grad};
pub(crate) use rows::Rows;

use std::ops::Range;

use ndarray::{ArrayView2, ArrayView5, ArrayViewMut1, ArrayViewMut2, ArrayViewMut3, Axis, s};

use self::cells::Cells;
pub(crate) use self::square::is_square;
use self::tiles::Source;
use super::Epilogue;
use super::image::Image;
use super::pieces::{MIN_PIECES, channel_blocks, full_blocks};
use super::scratch::{ALIGNMENT_BYTES, aligned};
use super::slab::{NEIGHBOURS, Region, Slab, fill_slab, slab_dims};
use crate::element::Element;
use crate::geometry::ConvGeometry;
use crate::parallel;

/// A slab must stay in the L1 beside the outputs that are computed from it.
const SLAB_BYTES: usize = 16 << 10;

/// Outputs of a task, about: they are still in the L2 when the epilogue finishes them, and handing them out costs next to nothing.
const TASK_OUTPUTS: usize = 64 << 10;

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

/// Whether channels lie on the vector lanes: where there are enough of them, and rows are not faster.
pub(crate) fn has_lanes(geometry: &ConvGeometry) -> bool {
    Cells::applies(geometry) && !is_square(geometry)
}

impl Layout {
    pub fn new(g: &ConvGeometry, size: usize, workspace_bytes: usize) -> Self {
        let [_, oh, ow] = g.axes.map(|axis| axis.output);
        let cells = |rows: usize| slab_dims(g, NEIGHBOURS, 1, rows).into_iter().fold(1, usize::saturating_mul);
        let most = (SLAB_BYTES.min(workspace_bytes) / size).max(1);
        let rows = rows_that_fit(oh, |rows| cells(rows) <= most);
        let groups = task_groups(g, g.windows());
        let channels = (most / cells(rows).max(1)).clamp(1, groups);
        let slab = Slab::new(g, NEIGHBOURS, [1, rows], 1);
        let whole = ConvGeometry { groups: 1, ..g.clone() };
        let slab_len = channels * slab.channel_len + MAX_COLUMNS;
        let slack = 2 * ALIGNMENT_BYTES / size;
        Self { whole, slab, channels, rows, groups, slab_len, line_len: rows * ow, slack }
    }

    /// Elements of the scratch memory of one lane, with room to align its parts.
    pub fn slot_len(&self) -> usize {
        self.slab_len + self.line_len + self.slack
    }
}

/// All rows, or these halved until they fit, or one.
fn rows_that_fit(all: usize, fits: impl Fn(usize) -> bool) -> usize {
    let mut rows = all;
    while rows > 1 && !fits(rows) {
        rows = rows.div_ceil(2);
    }
    rows
}

/// The groups of one task, with so many outputs each channel.
fn task_groups(g: &ConvGeometry, outputs: usize) -> usize {
    let outputs = (g.group_out_channels() * outputs).max(1);
    let pieces = if parallel::threads() == 1 { 1 } else { MIN_PIECES.div_ceil(g.batch.max(1)) };
    g.groups.div_ceil(pieces).min((TASK_OUTPUTS / outputs).max(1))
}

/// The kernels as they are, one row each.
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
    let pieces = channel_blocks(output, geometry.out_channels, |all| full_blocks(all, layout.groups * outs));
    parallel::for_each(pieces, workspace, layout.slot_len(), |(image, first, mut piece), slot: &mut [T]| {
        let (slab, rest) = aligned(slot).split_at_mut(layout.slab_len);
        let line = &mut aligned(rest)[..layout.line_len];
        let groups = first / outs..(first + piece.nrows()) / outs;
        let image = Image::of(&layout.whole, input, image, 0);
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
    let pitch = layout.slab.row_start(0, 1);
    for (number, channel) in output.rows_mut().into_iter().enumerate() {
        let source = Source {
            cells: &slab[number / outs * layout.slab.channel_len..],
            offsets: &layout.slab.offsets[..taps],
            pitch,
            weights: &weights[number * taps..(number + 1) * taps],
        };
        write_windows(channel, windows.clone(), line, |output| tiles::convolve(source, output, ow));
    }
}

/// Lets `compute` write some windows of a channel, through `line` if they do not lie side by side.
fn write_windows<T: Element>(
    mut channel: ArrayViewMut1<'_, T>,
    windows: Range<usize>,
    line: &mut [T],
    compute: impl FnOnce(&mut [T]),
) {
    if let Some(channel) = channel.as_slice_mut() {
        return compute(&mut channel[windows]);
    }
    let line = &mut line[..windows.len()];
    compute(line);
    channel.slice_mut(s![windows]).iter_mut().zip(&*line).for_each(|(to, &sum)| *to = sum);
}
