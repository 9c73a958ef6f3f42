//! Where windows are read from.

use std::ops::Range;

use ndarray::ArrayView5;

use super::Layout;
use crate::element::Element;
use crate::geometry::ConvGeometry;
use crate::lowering::image::Image;
use crate::lowering::slab::{Region, Slab, fill_slab, rows_read};
use crate::simd::Input;

/// The images of a group that a region of windows is read from: the input itself, if that is possible; else the task's slab, to
/// which channels are copied a few at a time, before they are read first.
pub(super) struct Source<'l, 'i, T> {
    geometry: &'l ConvGeometry,
    input: ArrayView5<'i, T>,
    images: Range<usize>,
    group: usize,
    /// The task's input channels within the group.
    channels: Range<usize>,
    region: Region,
    pub slab: &'l Slab,
    /// The input from the first image's first channel on; none where it is copied.
    pub cells: Option<&'i [T]>,
    /// Cells from one image to the next.
    pub step: usize,
    /// Which plane and row of windows of the slab the region begins with.
    pub origin: [usize; 2],
    /// Of the task's channels, those that have been copied.
    copied: usize,
}

impl<'l, 'i, T: Element> Source<'l, 'i, T> {
    pub fn of(
        (geometry, layout): (&'l ConvGeometry, &'l Layout),
        input: ArrayView5<'i, T>,
        (images, group): (Range<usize>, usize),
        (channels, region): (Range<usize>, Region),
    ) -> Self {
        let g = geometry;
        let (slab, cells, step, origin) = match (&layout.image, input.to_slice()) {
            (Some(slab), Some(cells)) => {
                let step = slab.channel_len * g.in_channels;
                let channel = group * g.group_in_channels() + channels.start;
                let first = images.start * step + channel * slab.channel_len;
                (slab, Some(&cells[first..]), step, region.first)
            }
            _ => (&layout.slab, None, channels.len() * layout.slab.channel_len, [0, 0]),
        };
        Self { geometry, input, images, group, channels, region, slab, cells, step, origin, copied: 0 }
    }

    /// Has the task's channels before `end` in the slab, and says what is read next: as many `more`.
    pub fn prepare(&mut self, end: usize, more: usize, windows: usize, slab: &mut [T]) -> Input<T> {
        static ASK: std::sync::LazyLock<usize> = std::sync::LazyLock::new(|| std::env::var("CG_ASK").map_or(0, |v| v.parse().unwrap()));
        let end = if *ASK < 2 && self.cells.is_none() { self.channels.len() } else { end };
        let next = end..self.channels.len().min(end + more);
        if self.cells.is_some() {
            // The processor foresees the parts of long channels.
            let is_short = *ASK > 0 && (self.images.len() > 1 || windows == self.geometry.windows());
            return if is_short { self.ahead(next) } else { Input::none() };
        }
        if end <= self.copied {
            return Input::none();
        }
        let channels = self.channels.start + self.copied..self.channels.start + end;
        for (place, image) in self.images.clone().enumerate() {
            let image = Image::of(self.geometry, self.input, image, self.group);
            let out = &mut slab[place * self.step + self.copied * self.slab.channel_len..];
            fill_slab(self.geometry, self.slab, image, (channels.clone(), self.region), out);
        }
        self.copied = end;
        if *ASK < 2 { return Input::none(); }
        self.ahead(next)
    }

    /// What is read of some of the task's channels.
    fn ahead(&self, channels: Range<usize>) -> Input<T> {
        let g = self.geometry;
        let Some(image) = Image::of(g, self.input, self.images.start, self.group).flat else { return Input::none() };
        let first = (self.channels.start + channels.start) * image.channel_len;
        let cells = image.cells.as_ptr().wrapping_add(first);
        if self.images.len() > 1 {
            let step = self.input.strides()[0].unsigned_abs();
            return Input::new(cells, (self.images.len(), step), channels.len() * image.channel_len);
        }
        let rows = rows_read(g, self.region);
        let [start, end] = [rows.start, rows.end].map(|row| row * g.axes[2].input);
        Input::new(cells.wrapping_add(start), (channels.len(), image.channel_len), end - start)
    }
}
