//! Square kernels along rows: of the image itself where these can be read, of a padded copy of a channel elsewhere.

use std::ops::Range;

use ndarray::{ArrayView5, ArrayViewMut2, ArrayViewMut3, Axis as Dimension};

use super::part::Part;
use super::planes::{Inside, Planes};
use super::square::{MOST_READ, compute, is_square, strip_bytes};
use super::{SLAB_BYTES, rows_that_fit, task_groups, write_windows};
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
    /// Output rows of one region, and of one that is neither copied on its way in nor on its way out, and channels that are
    /// computed together.
    rows: [usize; 2],
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
            rows: [rows, if is_one_strip { h.output } else { rows }],
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
            let (whole, end) = (self.whole(image), first + piece.nrows());
            let (mut group, mut rest) = (first / outs, piece.view_mut());
            while group * outs < end {
                let is_whole = whole.contains(&group);
                let count = if is_whole { self.channels.min(whole.end - group).min(end / outs - group) } else { 1 };
                let direct = if is_whole { 0..g.axes[1].output } else { self.direct(image, group) };
                let (block, after) = rest.split_at(Dimension(0), count * outs);
                self.block((image, group, direct), weights, (block, line), slab);
                (group, rest) = (group + count, after);
            }
            epilogue.apply(first, piece);
        });
    }

    /// The groups from no row of which a register reaches out of the image's slice.
    fn whole<T: Element>(&self, image: Image<'_, T>) -> Range<usize> {
        let [_, h, w] = self.geometry.axes;
        let Some(flat) = image.flat.filter(|_| self.is_direct) else { return 0..0 };
        let read = self.reach(flat) + (h.input.max(1) - 1) * w.input;
        let step = flat.channel_len.max(1);
        let first = w.pad_before.div_ceil(step);
        let end = flat.cells.len().checked_sub(read).map_or(0, |last| last / step + 1);
        first..end.min(self.geometry.groups)
    }

    /// The rows of outputs of another group that no register reaches out of the slice for: all but some of the first or last.
    fn direct<T: Element>(&self, image: Image<'_, T>, group: usize) -> Range<usize> {
        let [_, h, w] = self.geometry.axes;
        let Some(flat) = image.flat.filter(|_| self.is_direct && w.input > 0) else { return 0..0 };
        let start = group * flat.channel_len;
        let first = w.pad_before.saturating_sub(start).div_ceil(w.input);
        let end = flat.cells.len().checked_sub(start + self.reach(flat)).map_or(0, |last| last / w.input + 1);
        let top = if first == 0 { 0 } else { (h.pad_before + first).div_ceil(h.stride) };
        let bottom = match (h.pad_before + end).checked_sub(h.kernel) {
            _ if end >= h.input => h.output,
            last => last.map_or(0, |last| last / h.stride + 1).min(h.output),
        };
        if top < bottom { top..bottom } else { 0..0 }
    }

    /// Cells from the first of a channel to the last that a register may read for the first row of the last plane.
    fn reach<T: Element>(&self, flat: Flat<'_, T>) -> usize {
        let [d, _, w] = self.geometry.axes;
        (d.input.max(1) - 1) * flat.plane_len + w.output * w.stride + MOST_READ
    }

    /// Regions of the rows before those that are read directly, of these, by so many, and of those after them, of each plane.
    fn regions(&self, direct: &Range<usize>, most: usize) -> impl Iterator<Item = (Region, bool)> + use<> {
        let [od, oh, _] = self.geometry.axes.map(|axis| axis.output);
        let copied = self.rows[0];
        let parts = [(0..direct.start, copied, false), (direct.clone(), most, true), (direct.end..oh, copied, false)];
        (0..od).flat_map(move |plane| {
            parts.clone().into_iter().flat_map(move |(rows, most, is_direct)| {
                let end = rows.end;
                rows.step_by(most).map(move |row| {
                    let region = Region { first: [plane, row], count: [1, most.min(end - row)] };
                    (region, is_direct)
                })
            })
        })
    }

    /// All outputs `[channels, windows]` of some groups from `group` on, or of one, if some of its rows must be copied.
    fn block<T: Element>(
        &self,
        (image, group, direct): (Image<'_, T>, usize, Range<usize>),
        weights: &[T],
        (mut output, line): (ArrayViewMut2<'_, T>, &mut [T]),
        slab: &mut [T],
    ) {
        let g = &self.geometry;
        let ([_, oh, ow], outs, taps) = (g.axes.map(|axis| axis.output), g.group_out_channels(), g.taps());
        let weights = &weights[group * outs * taps..][..output.nrows() * taps];
        let output_len = output.ncols();
        let most = self.rows[usize::from(output.as_slice_mut().is_some())];
        for (region, is_direct) in self.regions(&direct, most) {
            let planes = match image.flat {
                Some(flat) if is_direct => self.planes(flat, group, region),
                _ => self.copy(image, (group, region), slab),
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
        let [rows, columns] = [h, w].map(|axis| Inside { start: axis.pad_before, end: axis.pad_before + axis.input });
        // Others might lie outside the slice.
        let read = region.first[1] * h.stride..(region.first[1] + region.count[1] - 1) * h.stride + h.kernel;
        Planes {
            cells: flat.cells,
            origin: start.wrapping_sub(h.pad_before * w.input + w.pad_before),
            channel_len: flat.channel_len,
            pitch: w.input,
            inside: [Inside { start: rows.start.max(read.start), end: rows.end.min(read.end) }, columns],
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ConvOptions, Padding};
    use ndarray::Array5;

    /// The groups that are read as a whole, and the rows of the first and the last group that are.
    fn found(side: usize, (kernel, stride): (usize, usize)) -> [Range<usize>; 3] {
        let options =
            ConvOptions::<2>::new().groups(4).stride([stride; 2]).padding(Padding::symmetric([kernel / 2; 2]));
        let geometry = options.geometry(&[1, 4, side, side], &[4, 1, kernel, kernel]).unwrap();
        let rows = Rows::new(&geometry, size_of::<f32>(), 2 << 20).unwrap();
        let input = Array5::<f32>::zeros([1, 4, 1, side, side]);
        let image = Image::of(&rows.copied, input.view(), 0, 0);
        [rows.whole(image), rows.direct(image, 0), rows.direct(image, 3)]
    }

    #[test]
    fn a_few_rows_at_the_ends_of_an_image_are_copied() {
        assert_eq!(found(112, (3, 1)), [1..3, 2..112, 0..110]);
        assert_eq!(found(112, (3, 2)), [1..3, 1..56, 0..55]);
        assert_eq!(found(28, (7, 1)), [1..3, 4..28, 0..23]);
        assert_eq!(found(7, (3, 1)), [1..3, 2..7, 0..0]);
    }

    #[test]
    fn every_row_of_an_image_is_in_one_region() {
        let options = ConvOptions::<3>::new().groups(2).padding(Padding::symmetric([0, 1, 1]));
        let geometry = options.geometry(&[1, 2, 2, 40, 300], &[2, 1, 1, 3, 3]).unwrap();
        let rows = Rows::new(&geometry, size_of::<f32>(), 2 << 20).unwrap();
        for direct in [0..0, 0..40, 2..40, 0..37, 3..5] {
            let mut seen = [[0; 40]; 2];
            for (Region { first: [plane, row], count }, is_direct) in rows.regions(&direct, 9) {
                assert_eq!((count[0], is_direct), (1, direct.contains(&row)));
                seen[plane][row..row + count[1]].iter_mut().for_each(|count| *count += 1);
            }
            assert_eq!(seen, [[1; 40]; 2], "{direct:?}");
        }
    }
}
