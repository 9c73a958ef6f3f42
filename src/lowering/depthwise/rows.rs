//! Square kernels along rows: of the image itself where these can be read, of a padded copy of a channel elsewhere.

use std::ops::Range;

use ndarray::{ArrayView5, ArrayViewMut2, ArrayViewMut3, Axis as Dimension};

use super::part::Part;
use super::planes::{Inside, Planes};
use super::square::{MOST_READ, compute, is_square, strip_bytes};
use super::{SLAB_BYTES, regions, rows_that_fit, task_groups, write_windows};
use crate::element::Element;
use crate::geometry::{Axis, ConvGeometry, PadMode};
use crate::lowering::Epilogue;
use crate::lowering::image::{Flat, Image};
use crate::lowering::pieces::{channel_blocks, full_blocks};
use crate::lowering::scratch::{ALIGNMENT_BYTES, aligned};
use crate::lowering::slab::{NEIGHBOURS, Region, Slab, fill_slab, slab_dims};
use crate::parallel;

/// Images and outputs of more bytes are asked for ahead: a step from row to row is not one that the processor foresees. Set on the
/// layers of MobileNetV1 at batch 1 and 8: where they are in the L2 or the L3, asking costs 2 to 8 %.
const FAR_BYTES: usize = 4 << 20;

/// Everything that is known before the arrays come.
#[derive(Debug, Clone)]
pub(crate) struct Rows {
    geometry: ConvGeometry,
    /// What is copied: all channels as if they were of one group, and windows that move by one row and column.
    copied: ConvGeometry,
    slab: Slab,
    /// Whether windows can be read from the image itself.
    is_direct: bool,
    /// Whether the images and outputs of all of the batch lie beyond the caches that are near.
    is_far: bool,
    /// Output rows of one region, and channels that are computed together.
    rows: usize,
    channels: usize,
    /// Groups of one task.
    groups: usize,
    /// Elements of a slab and of a region of outputs.
    lens: [usize; 2],
    slack: usize,
}

impl Rows {
    /// `None` if another way must be taken.
    pub fn new(geometry: &ConvGeometry, size: usize, workspace_bytes: usize) -> Option<Self> {
        if !is_square(geometry) {
            return None;
        }
        let [d, h, w] = geometry.axes;
        let every = |axis: Axis, windows: usize| Axis { output: steps(axis, windows), stride: 1, ..axis };
        let copied = ConvGeometry { groups: 1, axes: [d, every(h, h.output), every(w, w.output)], ..geometry.clone() };
        let cells =
            |rows: usize| slab_dims(&copied, NEIGHBOURS, 1, steps(h, rows)).into_iter().fold(1, usize::saturating_mul);
        let most = (SLAB_BYTES.min(workspace_bytes) / size).max(1);
        let rows = rows_that_fit(h.output, |rows| cells(rows) <= most);
        // Where rows take more registers, channels are read again for the next ones.
        let is_one_strip = w.output * size <= strip_bytes(geometry);
        let slab = Slab::new(&copied, NEIGHBOURS, [1, steps(h, rows)], 1);
        Some(Self {
            channels: if is_one_strip { geometry.groups } else { (most / cells(rows).max(1)).max(1) },
            is_direct: geometry.pad_mode == PadMode::Zeros && (d.stride, d.pad_before) == (1, 0),
            is_far: cells_of_batch(geometry).saturating_mul(size) > FAR_BYTES,
            groups: task_groups(geometry, geometry.windows()),
            lens: [slab.channel_len + MOST_READ, rows * w.output],
            slack: 2 * ALIGNMENT_BYTES / size,
            geometry: geometry.clone(),
            copied,
            slab,
            rows,
        })
    }

    /// Elements of the scratch memory of one lane, with room to align its parts.
    pub fn slot_len(&self) -> usize {
        self.lens.iter().sum::<usize>() + self.slack
    }

    /// `output [N, OC, windows]`, with the kernels as they are, one row each, and finished by the epilogue.
    pub fn run<T: Element>(
        &self,
        weights: &[T],
        input: ArrayView5<'_, T>,
        epilogue: Epilogue<'_, T>,
        (output, workspace): (ArrayViewMut3<'_, T>, &mut [T]),
    ) {
        let (g, outs) = (&self.geometry, self.geometry.group_out_channels());
        let pieces = channel_blocks(output, g.out_channels, |all| full_blocks(all, self.groups * outs));
        parallel::for_each(pieces, workspace, self.slot_len(), |(image, first, mut piece), slot: &mut [T]| {
            let (slab, rest) = aligned(slot).split_at_mut(self.lens[0]);
            let line = &mut aligned(rest)[..self.lens[1]];
            // Registers reach beyond the last cell, and nothing is used of what they hold there.
            slab[self.slab.channel_len..].fill(T::zero());
            let image = Image::of(&self.copied, input, image, 0);
            let (direct, end) = (self.direct(image), first + piece.nrows());
            let (mut group, mut rest) = (first / outs, piece.view_mut());
            while group * outs < end {
                let flat = image.flat.filter(|_| direct.contains(&group));
                let count = flat.map_or(1, |_| self.channels.min(direct.end - group).min(end / outs - group));
                let (block, after) = rest.split_at(Dimension(0), count * outs);
                self.block((image, flat, group), weights, (block, line), slab);
                (group, rest) = (group + count, after);
            }
            epilogue.apply(first, piece);
        });
    }

    /// The groups whose cells no register reaches out of the image's slice from.
    fn direct<T: Element>(&self, image: Image<'_, T>) -> Range<usize> {
        let [_, h, w] = self.geometry.axes;
        let Some(flat) = image.flat.filter(|_| self.is_direct) else { return 0..0 };
        let planes = (self.geometry.axes[0].input.max(1) - 1) * flat.plane_len;
        let read = planes + (h.input.max(1) - 1) * w.input + w.output * w.stride + MOST_READ;
        let step = flat.channel_len.max(1);
        let first = w.pad_before.div_ceil(step);
        let end = flat.cells.len().checked_sub(read).map_or(0, |last| last / step + 1);
        first..end.min(self.geometry.groups)
    }

    /// All outputs `[channels, windows]` of some groups from `group` on, or of one, if they cannot be read from a slice.
    fn block<T: Element>(
        &self,
        (image, flat, group): (Image<'_, T>, Option<Flat<'_, T>>, usize),
        weights: &[T],
        (mut output, line): (ArrayViewMut2<'_, T>, &mut [T]),
        slab: &mut [T],
    ) {
        let g = &self.geometry;
        let ([_, oh, ow], outs, taps) = (g.axes.map(|axis| axis.output), g.group_out_channels(), g.taps());
        let weights = &weights[group * outs * taps..][..output.nrows() * taps];
        let output_len = output.ncols();
        for region in regions(g, self.rows) {
            let planes = match flat {
                Some(flat) => self.planes(flat, group, region),
                None => self.copy(image, (group, region), slab),
            };
            let start = (region.first[0] * oh + region.first[1]) * ow;
            if let Some(output) = output.as_slice_mut() {
                compute(self.part((planes, weights), region, &mut output[start..], output_len));
                continue;
            }
            for (channel, output) in output.rows_mut().into_iter().enumerate() {
                let origin = planes.origin.wrapping_add(channel / outs * planes.channel_len);
                let source = (Planes { origin, ..planes }, &weights[channel * taps..][..taps]);
                write_windows(output, start..start + region.count[1] * ow, line, |output| {
                    let len = output.len();
                    compute(self.part(source, region, output, len));
                });
            }
        }
    }

    fn part<'a, T>(
        &self,
        (planes, weights): (Planes<'a, T>, &'a [T]),
        region: Region,
        output: &'a mut [T],
        output_len: usize,
    ) -> Part<'a, T> {
        let [_, h, w] = self.geometry.axes;
        Part {
            planes,
            side: h.kernel,
            stride: h.stride,
            weights,
            outs: self.geometry.group_out_channels(),
            rows: region.first[1]..region.first[1] + region.count[1],
            width: w.output,
            output,
            output_len,
        }
    }

    /// Channels from `group` on, where they are.
    fn planes<'a, T>(&self, flat: Flat<'a, T>, group: usize, region: Region) -> Planes<'a, T> {
        let [_, h, w] = self.geometry.axes;
        let start = group * flat.channel_len + region.first[0] * flat.plane_len;
        Planes {
            cells: flat.cells,
            origin: start.wrapping_sub(h.pad_before * w.input + w.pad_before),
            channel_len: flat.channel_len,
            pitch: w.input,
            inside: [h, w].map(|axis| Inside { start: axis.pad_before, end: axis.pad_before + axis.input }),
            is_far: self.is_far,
        }
    }

    /// The rows of one channel that a region reads, copied with all that is around them.
    fn copy<'a, T: Element>(
        &self,
        image: Image<'_, T>,
        (group, region): (usize, Region),
        slab: &'a mut [T],
    ) -> Planes<'a, T> {
        let h = self.geometry.axes[1];
        let ([plane, row], [planes, rows]) = (region.first, region.count);
        let (first, pitch) = (row * h.stride, self.slab.columns);
        let copied = Region { first: [plane, first], count: [planes, steps(h, rows)] };
        fill_slab(&self.copied, &self.slab, image, (group..group + 1, copied), slab);
        let inside = [Inside { start: first, end: first + self.slab.height }, Inside { start: 0, end: pitch }];
        let origin = 0_usize.wrapping_sub(first * pitch);
        Planes { cells: slab, origin, channel_len: self.slab.channel_len, pitch, inside, is_far: false }
    }
}

/// Cells of all images of a batch and of their outputs.
fn cells_of_batch(g: &ConvGeometry) -> usize {
    let cells = |channels: usize, each: usize| g.batch.saturating_mul(channels).saturating_mul(each);
    cells(g.in_channels, g.input_cells()).saturating_add(cells(g.out_channels, g.windows()))
}

/// Rows or columns from the first to the last of so many windows.
fn steps(axis: Axis, windows: usize) -> usize {
    (windows.max(1) - 1).saturating_mul(axis.stride).saturating_add(1)
}
