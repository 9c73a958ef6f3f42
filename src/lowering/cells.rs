//! What the windows of a region are read from: the image as it lies, or a padded copy of some of its channels.

use std::ops::Range;

use super::image::Image;
use super::panel::{Chunks, Rows, pack_panel};
use super::patches::{Segment, segments};
use super::slab::{Region, Slab, fill_slab};
use crate::element::Element;
use crate::gemm::Kernel;
use crate::geometry::ConvGeometry;

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

    /// Packs rows of the patch matrix into as many panels as some windows need, `panel_len` elements apart. Those of an image,
    /// which may lie in memory, are read in the order in which they lie there; copies are near, and panels packed one by one.
    pub fn pack(&self, rows: Rows<'_>, windows: Range<usize>, panels: (&mut [T], usize)) {
        match self.is_copy {
            true => self.pack_side_by_side::<1>(rows, windows, panels),
            false => self.pack_side_by_side::<4>(rows.far(), windows, panels),
        }
    }

    fn pack_side_by_side<const PANELS: usize>(
        &self,
        rows: Rows<'_>,
        windows: Range<usize>,
        (panels, panel_len): (&mut [T], usize),
    ) {
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
