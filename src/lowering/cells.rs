//! What the windows of a region are read from: the image as it lies, or a padded copy of some of its channels.

use std::ops::Range;

use super::image::Image;
use super::panel::{Chunks, Rows};
use super::patches::segments;
use super::slab::{Region, Slab, fill_slab};
use crate::element::Element;
use crate::geometry::ConvGeometry;

#[derive(Clone, Copy)]
pub(super) struct Cells<'a, T> {
    geometry: &'a ConvGeometry,
    pub values: &'a [T],
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
            return Self { geometry, values: image.cells, slab, first: [0, 0], base: 0 };
        }
        let channels = rows.start / geometry.taps()..rows.end.div_ceil(geometry.taps());
        let base = channels.start * slab.channel_len;
        fill_slab(geometry, slab, image, (channels, region), copy);
        Self { geometry, values: copy, slab, first: region.first, base }
    }

    /// Where the kernel cells of some rows of the patch matrix lie.
    pub fn rows(&self, rows: Range<usize>) -> Rows<'a> {
        Rows::new(&self.slab.offsets[rows], self.base)
    }

    /// Where some windows of the image lie.
    pub fn chunks(&self, windows: Range<usize>) -> Chunks {
        let [depth, height] = self.first;
        Chunks::new::<T>(segments(self.geometry, windows), |segment| {
            self.slab.row_start(segment.od - depth, segment.oh - height) + segment.windows.start
        })
    }
}
