//! The patch matrix of one image and group: one row a kernel cell, one column a window.
//!
//! Row `(channel, td, th, tw)`, in this order, holds what that kernel cell sees in each window
//! `(od, oh, ow)`; multiplied from the left by the kernels as row vectors it gives the output. This is
//! im2col, and its transpose, col2im, is [`PatchSink::scatter`]. (K. Chellapilla, S. Puri, P. Simard,
//! "High performance convolutional neural networks for document processing", 2006.)

use std::ops::Range;

use ndarray::{ArrayView4, ArrayViewMut4, s};

use super::runs::{Row, RowMut, TapRow};
use crate::element::Element;
use crate::geometry::ConvGeometry;

/// A kernel cell: channel within the group, and tap along each axis.
#[derive(Clone, Copy)]
struct KernelCell {
    channel: usize,
    taps: [usize; 3],
}

impl KernelCell {
    fn of(row: usize, geometry: &ConvGeometry) -> Self {
        let [_, height, width] = geometry.axes.map(|axis| axis.kernel);
        let (row, tw) = (row / width, row % width);
        let (row, th) = (row / height, row % height);
        let depth = geometry.axes[0].kernel;
        Self { channel: row / depth, taps: [row % depth, th, tw] }
    }
}

/// Windows of one output row, and where they stand in a range of columns.
pub(crate) struct Segment {
    pub od: usize,
    pub oh: usize,
    pub windows: Range<usize>,
    pub place: Range<usize>,
}

/// Cuts a range of columns, which are windows in row-major order, at the ends of output rows.
pub(crate) fn segments(geometry: &ConvGeometry, columns: Range<usize>) -> impl Iterator<Item = Segment> {
    let [_, height, width] = geometry.axes.map(|axis| axis.output);
    let (line, mut ow) = (columns.start / width.max(1), columns.start % width.max(1));
    let (mut od, mut oh) = (line / height.max(1), line % height.max(1));
    let mut place = 0;
    std::iter::from_fn(move || {
        let remaining = columns.len() - place;
        if remaining == 0 {
            return None;
        }
        let count = remaining.min(width - ow);
        let segment = Segment { od, oh, windows: ow..ow + count, place: place..place + count };
        place += count;
        (ow, oh) = (0, oh + 1);
        if oh == height {
            (oh, od) = (0, od + 1);
        }
        Some(segment)
    })
}

/// The image `[C/g, D, H, W]` that a patch matrix is read from.
pub(crate) struct PatchSource<'a, T> {
    geometry: &'a ConvGeometry,
    image: ArrayView4<'a, T>,
    /// The same where it is contiguous, in the order of its axes.
    flat: Option<&'a [T]>,
}

impl<'a, T: Element> PatchSource<'a, T> {
    pub fn new(geometry: &'a ConvGeometry, image: ArrayView4<'a, T>) -> Self {
        Self { geometry, image, flat: image.to_slice() }
    }

    pub fn row(&self, channel: usize, depth: usize, height: usize) -> Row<'a, T> {
        match self.flat {
            Some(flat) => {
                let (_, depths, heights, width) = self.image.dim();
                let start = ((channel * depths + depth) * heights + height) * width;
                Row::Slice(&flat[start..start + width])
            }
            None => Row::View(self.image.slice_move(s![channel, depth, height, ..])),
        }
    }

    /// What kernel cell `row` reads in the windows of one output row: an input row and how the windows
    /// map to its cells, or `None` where all of it is a border of zeros.
    pub fn line(&self, row: usize, segment: &Segment) -> Option<(Row<'a, T>, TapRow)> {
        let KernelCell { channel, taps: [td, th, tw] } = KernelCell::of(row, self.geometry);
        let ([depth, height, width], mode) = (self.geometry.axes, self.geometry.pad_mode);
        let (d, h) = (depth.source(segment.od, td, mode)?, height.source(segment.oh, th, mode)?);
        Some((self.row(channel, d, h), TapRow::new(width, tw, mode)))
    }

    /// Writes the block `rows` × `columns` of the patch matrix, row-major, into `out`.
    pub fn write(&self, rows: Range<usize>, columns: Range<usize>, out: &mut [T]) {
        let [depth, height, width] = self.geometry.axes;
        let mode = self.geometry.pad_mode;
        for (row, line) in rows.zip(out.chunks_exact_mut(columns.len().max(1))) {
            let KernelCell { channel, taps: [td, th, tw] } = KernelCell::of(row, self.geometry);
            let tap = TapRow::new(width, tw, mode);
            for Segment { od, oh, windows, place } in segments(self.geometry, columns.clone()) {
                match (depth.source(od, td, mode), height.source(oh, th, mode)) {
                    (Some(d), Some(h)) => tap.gather(self.row(channel, d, h), windows, &mut line[place]),
                    _ => line[place].fill(T::zero()),
                }
            }
        }
    }
}

/// The image `[channels, D, H, W]` that the transpose of a patch matrix is added to (col2im). Its
/// channels may be a part of a group's.
pub(crate) struct PatchSink<'a, T> {
    geometry: &'a ConvGeometry,
    image: ArrayViewMut4<'a, T>,
    is_flat: bool,
}

impl<'a, T: Element> PatchSink<'a, T> {
    pub fn new(geometry: &'a ConvGeometry, image: ArrayViewMut4<'a, T>) -> Self {
        let is_flat = image.is_standard_layout();
        Self { geometry, image, is_flat }
    }

    fn row(&mut self, channel: usize, depth: usize, height: usize) -> RowMut<'_, T> {
        let (_, depths, heights, width) = self.image.dim();
        if self.is_flat {
            let flat = self.image.as_slice_mut().expect("an image in the order of its axes");
            let start = ((channel * depths + depth) * heights + height) * width;
            return RowMut::Slice(&mut flat[start..start + width]);
        }
        RowMut::View(self.image.slice_mut(s![channel, depth, height, ..]))
    }

    /// Adds the block of all rows × `columns`, row-major in `block`, to the cells that it was read from.
    pub fn scatter(&mut self, columns: Range<usize>, block: &[T]) {
        let rows = self.image.dim().0 * self.geometry.taps();
        for (row, line) in (0..rows).zip(block.chunks_exact(columns.len().max(1))) {
            for segment in segments(self.geometry, columns.clone()) {
                let values = &line[segment.place.clone()];
                self.scatter_row(row, &segment, values, T::one());
            }
        }
    }

    /// Adds `factor · values` to the cells that the windows of `segment` read at kernel cell `row`.
    pub fn scatter_row(&mut self, row: usize, segment: &Segment, values: &[T], factor: T) {
        let KernelCell { channel, taps: [td, th, tw] } = KernelCell::of(row, self.geometry);
        let ([depth, height, width], mode) = (self.geometry.axes, self.geometry.pad_mode);
        if let (Some(d), Some(h)) = (depth.source(segment.od, td, mode), height.source(segment.oh, th, mode)) {
            let tap = TapRow::new(width, tw, mode);
            tap.scatter(values, factor, segment.windows.clone(), &mut self.row(channel, d, h));
        }
    }

    /// The image, once all has been added.
    pub fn into_image(self) -> ArrayViewMut4<'a, T> {
        self.image
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::{AxisPadding, AxisRequest, GeometryRequest, PadMode};
    use ndarray::Array4;

    fn geometry(padding: usize, stride: usize) -> ConvGeometry {
        let axis = AxisRequest { stride, padding: AxisPadding::Explicit(padding, padding), ..AxisRequest::UNIT };
        let request = GeometryRequest { axes: &[axis; 2], groups: 1, pad_mode: PadMode::Zeros };
        ConvGeometry::new(&[1, 1, 3, 3], &[1, 1, 2, 2], request).unwrap()
    }

    fn image() -> Array4<f32> {
        Array4::from_shape_fn((1, 1, 3, 3), |(_, _, i, j)| (3 * i + j) as f32)
    }

    #[test]
    fn the_patch_matrix_of_the_chapter_has_a_row_a_kernel_cell_and_a_column_a_window() {
        let (g, x) = (geometry(0, 1), image());
        let mut out = [f32::NAN; 16];
        PatchSource::new(&g, x.view()).write(0..4, 0..4, &mut out);
        assert_eq!(out, [0., 1., 3., 4., 1., 2., 4., 5., 3., 4., 6., 7., 4., 5., 7., 8.]);
    }

    #[test]
    fn any_block_equals_the_same_part_of_the_whole() {
        let (g, x) = (geometry(1, 2), image());
        let n = g.windows();
        let source = PatchSource::new(&g, x.view());
        let mut whole = vec![f32::NAN; 4 * n];
        source.write(0..4, 0..n, &mut whole);
        for (r0, r1, c0, c1) in [(1, 3, 0, n), (0, 4, 1, n - 1), (2, 3, 2, 3), (0, 0, 0, 1)] {
            let mut block = vec![f32::NAN; (r1 - r0) * (c1 - c0)];
            source.write(r0..r1, c0..c1, &mut block);
            let part: Vec<f32> = (r0..r1).flat_map(|r| whole[r * n + c0..r * n + c1].to_vec()).collect();
            assert_eq!(block, part);
        }
    }

    #[test]
    fn scattering_ones_counts_the_windows_that_read_each_cell() {
        let g = geometry(0, 1);
        let mut counts = Array4::<f32>::zeros((1, 1, 3, 3));
        PatchSink::new(&g, counts.view_mut()).scatter(0..4, &[1.0; 16]);
        assert_eq!(counts.as_slice().unwrap(), [1., 2., 1., 2., 4., 2., 1., 2., 1.]);
    }
}
