//! What the windows of a region are read from: the image as it lies, or a padded copy of some of its channels.

use std::ops::Range;

use super::image::Image;
use super::panel::{Chunks, Rows, pack_panel};
use super::patches::{Segment, segments};
use super::slab::{Region, Slab, fill_slab, is_padded};
use crate::element::Element;
use crate::gemm::{Border, Kernel, MOST_TAPS, Panels, Windows};
use crate::geometry::{Axis, ConvGeometry, PadMode};
use crate::simd::Input;

/// Rows so many bytes apart share their few places in the L1, and push each other out of it: they are packed.
const SAME_SET_BYTES: usize = 2048;

#[derive(Clone, Copy)]
pub(super) struct Cells<'a, T> {
    geometry: &'a ConvGeometry,
    pub values: &'a [T],
    is_copy: bool,
    /// How they lie.
    slab: &'a Slab,
    /// The output plane and row whose windows begin where the slab does.
    first: [usize; 2],
    /// Where the channels begin whose cells there are.
    base: usize,
}

impl<'a, T: Element> Cells<'a, T> {
    /// For a region and some rows of the patch matrix: `image` itself if it is contiguous and the `whole` of it is a slab,
    /// else a copy.
    pub fn of<'i: 'a>(
        geometry: &'a ConvGeometry,
        (whole, slab): (Option<&'a Slab>, &'a Slab),
        image: Image<'i, T>,
        (rows, region): (Range<usize>, Region),
        copy: &'a mut [T],
    ) -> Self {
        if let (Some(slab), Some(image)) = (whole, image.flat)
            && slab.is_of(image)
        {
            return Self { geometry, values: image.cells, is_copy: false, slab, first: [0, 0], base: 0 };
        }
        let channels = rows.start / geometry.taps()..rows.end.div_ceil(geometry.taps());
        let base = channels.start * slab.channel_len;
        fill_slab(geometry, slab, image, (channels, region), copy);
        Self { geometry, values: copy, is_copy: true, slab, first: region.first, base }
    }

    /// Where the kernel cells of some rows of the patch matrix lie.
    pub fn rows(&self, rows: Range<usize>) -> Rows<'a> {
        Rows::new(&self.slab.offsets[rows], self.base)
    }

    /// Where some windows of the image lie, which are those of a panel.
    pub fn chunks(&self, windows: Range<usize>) -> Chunks {
        Chunks::new::<T>(segments(self.geometry, windows), |segment| self.start(segment))
    }

    /// Where the first window of a segment reads its first kernel cell.
    fn start(&self, segment: &Segment) -> usize {
        let [depth, height] = self.first;
        self.slab.row_start(segment.od - depth, segment.oh - height) + segment.windows.start
    }

    /// All windows of the region, for some rows of the patch matrix. Products with the zeros around the image may be left out if
    /// weights are finite.
    pub fn windows(&self, rows: Range<usize>, region: Region, are_finite: bool) -> Windows<'_, T> {
        let [depth, height] = [0, 1].map(|axis| region.first[axis] - self.first[axis]);
        let [planes, lines] = region.count;
        let border = border(self.geometry, region).filter(|_| {
            are_finite && [rows.start, rows.end].iter().all(|row| row.is_multiple_of(self.geometry.taps()))
        });
        debug_assert!(!self.slab.is_bare || border.is_some(), "cells around an image without a copy are known zeros");
        Windows {
            border,
            cells: self.values,
            offsets: &self.slab.offsets[rows],
            is_bare: self.slab.is_bare,
            are_far: !self.is_copy,
            start: self.slab.row_start(depth, height).wrapping_sub(self.slab.before + self.base),
            counts: [planes, lines, self.geometry.axes[2].output],
            steps: self.slab.window_steps(),
        }
    }

    /// Some rows of the patch matrix, whose kernel cells lie at `places`, in as many panels as some windows need: where the
    /// cells lie, if those of a row's windows are neighbours there, else packed into `panels`, `panel_len` elements apart.
    /// Cells of an image, which may lie in memory, are packed in the order in which they lie there; copies are near, and
    /// panels packed one by one.
    pub fn panels<'p>(
        &self,
        (rows, places): (Range<usize>, Rows<'_>),
        windows: Range<usize>,
        (panels, panel_len): (&'p mut [T], usize),
    ) -> Panels<'p, T>
    where
        'a: 'p,
    {
        let lanes = Kernel::<T>::best().lanes();
        let count = rows.len();
        if let Some((cells, row_step)) = self.in_place(rows, windows.clone()) {
            return Panels { cells, rows: count, lanes, step: lanes, row_step };
        }
        match self.is_copy {
            true => self.pack::<1>(places, windows, (panels, panel_len)),
            false => self.pack::<4>(places.far(), windows, (panels, panel_len)),
        }
        Panels { cells: panels, rows: count, lanes, step: panel_len, row_step: lanes }
    }

    /// Whether windows lie in each channel one after the other.
    fn is_flat(&self) -> bool {
        let (g, slab) = (self.geometry, self.slab);
        let are_planes_neighbours = slab.depth == 1 || slab.depth * slab.plane_len == slab.channel_len;
        g.taps() == 1 && slab.has_all_windows(g) && are_planes_neighbours
    }

    /// Where some rows of the patch matrix lie from a window on, and how far apart, if the windows after it follow, and vectors may
    /// read beyond the last.
    pub fn in_place(&self, rows: Range<usize>, windows: Range<usize>) -> Option<(&'a [T], usize)> {
        let step = self.slab.channel_len;
        if !self.is_flat() || (step * size_of::<T>()).is_multiple_of(SAME_SET_BYTES) {
            return None;
        }
        let [_, height, width] = self.geometry.axes.map(|axis| axis.output);
        let place = windows.start - (self.first[0] * height + self.first[1]) * width;
        let start = rows.start * step - self.base + place;
        let end = start + (rows.len() - 1) * step + Kernel::<T>::best().padded(windows.len());
        Some((self.values.get(start..end)?, step))
    }

    /// What is read after the windows before `end` of a block of rows: the next `count` windows of the task's, which are `all` from
    /// `first` on, else the next block's first ones, else perhaps those of the next task.
    pub fn next(
        &self,
        (rows, block_rows): (Range<usize>, usize),
        (first, all): (usize, usize),
        (end, count): (usize, usize),
    ) -> Input<T> {
        let (depth, last) = (self.geometry.patch_rows(), first + all);
        if end < last {
            self.ahead(rows, end..last.min(end + count))
        } else if rows.end < depth {
            self.ahead(rows.end..depth.min(rows.end + block_rows), first..first + all.min(count))
        } else {
            self.ahead(0..depth.min(block_rows), last..last + all.min(count))
        }
    }

    /// What the panels of other windows are made of, where that lies in an image; windows beyond it are those of the next.
    fn ahead(&self, rows: Range<usize>, windows: Range<usize>) -> Input<T> {
        let image_len = self.slab.channel_len * self.geometry.in_channels;
        let rows = if self.is_copy || !self.is_flat() { 0..0 } else { rows };
        let start = match windows.start.checked_sub(self.slab.channel_len) {
            Some(beyond) => image_len + beyond,
            None => windows.start,
        };
        let start = self.values.as_ptr().wrapping_add(rows.start * self.slab.channel_len + start);
        Input::new(start, (rows.len(), self.slab.channel_len), windows.len())
    }

    fn pack<const PANELS: usize>(&self, rows: Rows<'_>, windows: Range<usize>, (panels, panel_len): (&mut [T], usize)) {
        let lanes = Kernel::<T>::best().lanes();
        let starts = windows.clone().step_by(PANELS * lanes);
        for (start, panels) in starts.zip(panels.chunks_mut(PANELS * panel_len)) {
            let segments = segments(self.geometry, start..windows.end.min(start + PANELS * lanes));
            let start = |segment: &Segment| self.start(segment);
            let chunks = Chunks::<PANELS>::of_panels::<T>(segments, start, (lanes, panel_len));
            pack_panel(panels, lanes, self.values, rows, &chunks);
        }
    }
}

/// Where the windows of a region meet zeros, if taps have rows and columns alone.
fn border(geometry: &ConvGeometry, region: Region) -> Option<[Border; 2]> {
    let g = geometry;
    let [depth, height, width] = g.axes;
    let is_known = depth.kernel == 1 && g.taps() <= MOST_TAPS && g.pad_mode == PadMode::Zeros && is_padded(g);
    let border = |axis: Axis, first: usize| Border {
        first,
        taps: axis.kernel,
        stride: axis.stride,
        dilation: axis.dilation,
        before: axis.pad_before,
        cells: axis.input,
    };
    is_known.then(|| [border(height, region.first[1]), border(width, 0)])
}

/// Whether all products with the zeros around an image can be left out, so that windows can be read from it without a copy.
pub(super) fn may_be_bare(geometry: &ConvGeometry) -> bool {
    let [depth, _, width] = geometry.axes;
    let all = Region { first: [0, 0], count: [0, 0] };
    let is_flat = depth.pad_before + depth.pad_after == 0;
    is_flat && border(geometry, all).is_some_and(|[_, columns]| columns.is_at_ends(width.output))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ConvOptions;
    use crate::lowering::slab::NEIGHBOURS;
    use ndarray::Array5;

    /// Every window of every row, by panels, and how many of these are where the cells lie.
    fn check([channels, height, width]: [usize; 3], stride: usize) -> [usize; 2] {
        let geometry = ConvOptions::<2>::new().stride([1, stride]);
        let geometry = geometry.geometry(&[1, channels, height, width], &[2, channels, 1, 1]).unwrap();
        let cell = |(_, c, _, h, w): (usize, usize, usize, usize, usize)| ((c * height + h) * width + w) as f32;
        let input = Array5::from_shape_fn([1, channels, 1, height, width], cell);
        let image = Image::of(&geometry, input.view(), 0, 0);
        let (whole, slab) =
            (Slab::whole(&geometry, NEIGHBOURS, channels), Slab::new(&geometry, NEIGHBOURS, [1, height], channels));
        let region = Region { first: [0, 0], count: [1, height] };
        let mut copy = vec![f32::NAN; channels * slab.channel_len];
        let (rows, all) = (1..channels, geometry.windows());
        let cells = Cells::of(&geometry, (whole.as_ref(), &slab), image, (rows.clone(), region), &mut copy);
        let lanes = Kernel::<f32>::best().lanes();
        let panel_len = channels * lanes + 64;
        let mut found = [0; 2];
        for windows in (0..all).step_by(2 * lanes).map(|start| start..all.min(start + 2 * lanes)) {
            let mut buffer = vec![f32::NAN; 2 * panel_len];
            let places = cells.rows(rows.clone());
            let panels = cells.panels((rows.clone(), places), windows.clone(), (&mut buffer, panel_len));
            found[usize::from(panels.row_step != lanes)] += 1;
            for (row, window) in ndarray::indices((rows.len(), windows.len())) {
                let place = windows.start + window;
                let [oh, ow] = [place / geometry.axes[2].output, place % geometry.axes[2].output];
                let expected = input[[0, rows.start + row, 0, oh, ow * stride]];
                assert_eq!(panels.from(window)[row * panels.row_step], expected, "row {row}, window {place}");
            }
        }
        found
    }

    #[test]
    fn windows_are_read_where_they_lie_unless_vectors_would_reach_beyond_the_last_cell() {
        let lanes = Kernel::<f32>::best().lanes();
        let [packed, in_place] = check([5, 13, 37], 1);
        assert!(packed <= 1 && in_place > 0, "{packed} packed");
        // A copy of every other cell.
        let [packed, in_place] = check([5, 13, 74], 2);
        assert!(packed <= 1 && in_place > 0, "{packed} packed");
        // The last vector is whole.
        assert_eq!(check([3, 3, lanes], 1)[0], 0);
        // Rows that would push each other out of the cache.
        assert_eq!(check([5, 32, 32], 1)[1], 0);
    }
}
