//! A padded copy of a few channels of an image, that windows of any stride read as runs of neighbours.

use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::image::{Flat, Image};
use super::patches::PatchSource;
use super::place::Place;
use super::runs::{TapRow, zero_short};
use crate::element::Element;
use crate::geometry::{Axis, ConvGeometry, PadMode};
use crate::simd::{LINE_BYTES, arch, ask_for_line};

/// The step of windows that read neighbouring cells.
pub(super) const NEIGHBOURS: usize = 1;

/// How a slab of padded input lies in memory: `[channel][depth][height][phase][column]`, where phase
/// `p` holds the columns `p`, `p + phases`, …: as many as let windows read neighbouring cells, or one only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Slab {
    pub depth: usize,
    pub height: usize,
    pub phases: usize,
    pub columns: usize,
    /// Columns of a phase from one window to the next.
    pub step: usize,
    /// Elements from one channel, and from one plane, to the next.
    pub channel_len: usize,
    pub plane_len: usize,
    /// Planes and rows from one window to the next.
    steps: [usize; 2],
    /// Cells from where the first window would begin to the first one that there is.
    pub before: usize,
    /// Whether windows reach beyond what there is: products with what is not there must be left out.
    pub is_bare: bool,
    /// Where each kernel cell of some channels is read from, counted from the first one's start.
    pub offsets: Vec<usize>,
}

impl Slab {
    /// A copy for so many output planes and rows, with the kernel cells of so many channels, and windows `step` columns
    /// apart: 1 or their stride.
    pub fn new(geometry: &ConvGeometry, step: usize, [planes, rows]: [usize; 2], channels: usize) -> Self {
        let [d, h, _] = geometry.axes;
        let dims @ [depth, height, phases, columns] = slab_dims(geometry, step, planes, rows);
        let plane_len = height * phases * columns;
        let steps = [line_step(d), line_step(h), step];
        Self::of(geometry, dims, [depth * plane_len, plane_len], steps, channels)
    }

    /// The image itself, if windows `step` columns apart can be read from it and nothing is padded.
    pub fn whole(geometry: &ConvGeometry, step: usize, channels: usize) -> Option<Self> {
        let [depth, height, width] = geometry.axes.map(|axis| axis.input);
        Self::as_it_lies(geometry, step, [depth * height * width, height * width], channels)
    }

    /// The same of some columns of an image of one row, which has `line_len`.
    pub fn columns(geometry: &ConvGeometry, step: usize, line_len: usize, channels: usize) -> Option<Self> {
        Self::as_it_lies(geometry, step, [line_len; 2], channels)
    }

    /// The same for the images of a batch, which are the planes of `geometry`.
    pub fn whole_batch(geometry: &ConvGeometry, step: usize, channels: usize) -> Option<Self> {
        let [_, height, width] = geometry.axes.map(|axis| axis.input);
        Self::as_it_lies(geometry, step, [height * width, geometry.in_channels * height * width], channels)
    }

    /// The image itself, whether or not windows reach beyond it.
    pub fn bare(geometry: &ConvGeometry, step: usize, channels: usize) -> Option<Self> {
        let [d, h, w] = geometry.axes;
        let plane_len = h.input * w.input;
        let slab = Self::at_stride(geometry, step, [d.input * plane_len, plane_len], channels)?;
        let before = d.pad_before * plane_len + h.pad_before * w.input + w.pad_before;
        Some(Self { before, is_bare: is_padded(geometry), ..slab })
    }

    fn as_it_lies(geometry: &ConvGeometry, step: usize, lens: [usize; 2], channels: usize) -> Option<Self> {
        if is_padded(geometry) { None } else { Self::at_stride(geometry, step, lens, channels) }
    }

    fn at_stride(geometry: &ConvGeometry, step: usize, lens: [usize; 2], channels: usize) -> Option<Self> {
        let [d, h, w] = geometry.axes;
        let dims = [d.input, h.input, 1, w.input];
        (step == w.stride).then(|| Self::of(geometry, dims, lens, [d.stride, h.stride, step], channels))
    }

    fn of(
        geometry: &ConvGeometry,
        [depth, height, phases, columns]: [usize; 4],
        [channel_len, plane_len]: [usize; 2],
        [plane_step, row_step, step]: [usize; 3],
        channels: usize,
    ) -> Self {
        let row = phases * columns;
        let [d, h, w] = geometry.axes;
        let apart = w.stride / step;
        let mut offsets = Vec::with_capacity(channels * geometry.taps());
        for channel in 0..channels {
            for td in 0..d.kernel {
                for th in 0..h.kernel {
                    let line = channel * channel_len + td * d.dilation * plane_len + th * h.dilation * row;
                    for tw in 0..w.kernel {
                        let column = tw * w.dilation;
                        offsets.push(line + column % apart * columns + column / apart);
                    }
                }
            }
        }
        let steps = [plane_step, row_step];
        Self { depth, height, phases, columns, step, channel_len, plane_len, steps, before: 0, is_bare: false, offsets }
    }

    /// Whether the first kernel cells of its windows are all that it holds, one after the other.
    pub fn has_all_windows(&self, geometry: &ConvGeometry) -> bool {
        let [_, height, width] = geometry.axes.map(|axis| axis.output);
        let has_all_rows = self.steps == [1, 1] && (self.depth == 1 || self.height == height);
        has_all_rows && !self.is_bare && (self.phases, self.step, self.columns) == (1, 1, width)
    }

    /// Whether an image lies so.
    pub(super) fn is_of<T>(&self, image: Flat<'_, T>) -> bool {
        (self.channel_len, self.plane_len) == (image.channel_len, image.plane_len)
    }

    /// Where the first window of an output row reads its first kernel cell.
    pub fn row_start(&self, od: usize, oh: usize) -> usize {
        let [plane, row, _] = self.window_steps();
        od * plane + oh * row
    }

    /// Cells from one plane, row and column of windows to the next.
    pub fn window_steps(&self) -> [usize; 3] {
        [self.steps[0] * self.plane_len, self.steps[1] * self.phases * self.columns, self.step]
    }
}

/// Whether windows reach beyond the image.
pub(super) fn is_padded(geometry: &ConvGeometry) -> bool {
    geometry.axes.iter().any(|axis| axis.pad_before > 0 || axis.pad_after > 0)
}

/// `[depth, height, phases, columns]` of a slab for so many output planes and rows, and windows `step` columns apart.
pub(super) fn slab_dims(geometry: &ConvGeometry, step: usize, planes: usize, rows: usize) -> [usize; 4] {
    let [d, h, w] = geometry.axes;
    let span = |axis: Axis, windows: usize| (windows.max(1) - 1) * line_step(axis) + axis.extent();
    let apart = w.stride / step;
    let columns = (w.output.max(1) - 1).saturating_mul(step).saturating_add(w.extent().div_ceil(apart));
    [span(d, planes), span(h, rows), apart.min(w.extent()), columns]
}

/// Elements that one more output row adds to a slab's channel.
pub(super) fn slab_line_len(geometry: &ConvGeometry, step: usize) -> usize {
    let [depth, _, phases, columns] = slab_dims(geometry, step, 1, 1);
    [line_step(geometry.axes[1]), phases, columns].into_iter().fold(depth, usize::saturating_mul)
}

/// Output planes and rows of a task: `[first plane, first row]` and how many of each.
#[derive(Clone, Copy)]
pub(super) struct Region {
    pub first: [usize; 2],
    pub count: [usize; 2],
}

impl Region {
    /// Regions of so many planes or, of one plane, rows, in order.
    pub fn all(geometry: &ConvGeometry, planes: usize, rows: usize) -> impl Iterator<Item = Self> {
        let [depth, height, width] = geometry.axes.map(|axis| axis.output);
        let depth = if width > 0 { depth } else { 0 };
        (0..depth).step_by(planes).flat_map(move |plane| {
            (0..height).step_by(rows).map(move |row| Self {
                first: [plane, row],
                count: [planes.min(depth - plane), rows.min(height - row)],
            })
        })
    }

    /// The one of so many windows from `window` on, which are whole rows of one plane or whole planes.
    pub fn of(geometry: &ConvGeometry, window: usize, windows: usize) -> Self {
        let [_, height, width] = geometry.axes.map(|axis| axis.output);
        let (line, lines) = (window / width, windows / width);
        let count = if lines > height { [lines / height, height] } else { [1, lines] };
        Self { first: [line / height, line % height], count }
    }

    /// Its windows, at most `length` at a time.
    pub fn windows(self, geometry: &ConvGeometry, length: usize) -> impl Iterator<Item = Range<usize>> {
        let [_, height, width] = geometry.axes.map(|axis| axis.output);
        let first = (self.first[0] * height + self.first[1]) * width;
        let end = first + self.count[0] * self.count[1] * width;
        (first..end).step_by(length).map(move |start| start..end.min(start + length))
    }
}

/// Copies `channels` of `image`, padded, into a slab: all that the windows of `region` read.
pub(super) fn fill_slab<T: Element>(
    geometry: &ConvGeometry,
    slab: &Slab,
    image: Image<'_, T>,
    (channels, region): (Range<usize>, Region),
    out: &mut [T],
) {
    let ([d, h, w], mode) = (geometry.axes, geometry.pad_mode);
    let is_usual = match (w.stride / slab.step, slab.phases) {
        (1, 1) | (2, 2) => true,
        (2, 1) => w.pad_before == 0,
        _ => false,
    };
    if let Some(image) = image.flat
        && mode == PadMode::Zeros
        && is_usual
    {
        return arch().dispatch(FromSlice { geometry, slab, image, channels, region, out });
    }
    let source = PatchSource::new(geometry, image.view);
    // Phase `p` of a padded row is what the windows of an axis with as many taps as phases read at tap `p`.
    let stride = w.stride / slab.step;
    let columns = Axis { kernel: slab.phases, output: slab.columns, dilation: 1, stride, ..w };
    let row_len = slab.phases * slab.columns;
    let cell = |axis: Axis, first: usize, place: usize| {
        let position = (first * axis.stride + offset(axis, place)) as isize - axis.pad_before as isize;
        mode.source(position, axis.input)
    };
    for phase in 0..slab.phases {
        let tap = TapRow::new(columns, phase, mode);
        for depth in (0..slab.depth).filter(|&place| is_read(d, place, region.count[0])) {
            for height in (0..slab.height).filter(|&place| is_read(h, place, region.count[1])) {
                let row = cell(d, region.first[0], depth).zip(cell(h, region.first[1], height));
                let start = (depth * slab.height + height) * row_len + phase * slab.columns;
                for (place, channel) in channels.clone().enumerate() {
                    let start = start + place * slab.channel_len;
                    let line = &mut out[start..start + slab.columns];
                    match row {
                        Some((depth, height)) => {
                            tap.gather(source.row(channel, depth, height), 0..slab.columns, line);
                        }
                        None => line.fill(T::zero()),
                    }
                }
            }
        }
    }
}

/// Bytes of the image after which a row is read that is asked for now, and at least so many rows, where some are left out: the
/// processor does not foresee it.
const BYTES_AHEAD: usize = 2 << 10;
const ROWS_AHEAD: usize = 4;

/// Cells from a row of the image to that one: of the same plane, or, if a part of each plane is read, of a later one.
fn cells_ahead<T>(geometry: &ConvGeometry, slab: &Slab, image: Flat<'_, T>) -> Option<usize> {
    let [_, h, w] = geometry.axes;
    let (step, row_bytes) = (line_step(h), w.input * size_of::<T>());
    if slab.height.div_ceil(step) * h.stride < h.input {
        let plane = if slab.depth > 1 { image.plane_len } else { image.channel_len };
        Some(BYTES_AHEAD.div_ceil((slab.height * row_bytes).max(1)) * plane)
    } else if step < h.stride {
        Some(BYTES_AHEAD.div_ceil((h.stride * row_bytes).max(1)).max(ROWS_AHEAD) * h.stride * w.input)
    } else {
        None
    }
}

/// Asks for so many cells from a place of the image on, or behind it.
#[inline(always)]
fn ask_for_row<T>(image: Flat<'_, T>, start: usize, cells: usize) {
    let row = image.cells.as_ptr().wrapping_add(start);
    let lines = (0..cells).step_by(LINE_BYTES / size_of::<T>());
    lines.for_each(|cell| ask_for_line::<T, false>(row.wrapping_add(cell)));
}

/// The same for a contiguous image with zeros around it and one or two phases: the usual case, without a decision for
/// each row and phase.
struct FromSlice<'a, T> {
    geometry: &'a ConvGeometry,
    slab: &'a Slab,
    image: Flat<'a, T>,
    channels: Range<usize>,
    region: Region,
    out: &'a mut [T],
}

impl<T: Element> WithSimd for FromSlice<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { geometry, slab, image, channels, region, out } = self;
        let [d, h, w] = geometry.axes;
        let row_len = slab.phases * slab.columns;
        let rows = channels.len() * slab.depth * slab.height;
        let left = out.len().saturating_sub(rows * row_len);
        let place_of_row = Place::of::<T, S>(w, [slab.phases, slab.columns, w.stride / slab.step], left);
        let step = line_step(h);
        let gap = h.stride - step;
        let ahead = cells_ahead(geometry, slab, image);
        let mut at = 0;
        let before = w.pad_before.min(out.len());
        zero_short(&mut out[..before]);
        for channel in channels {
            for depth in 0..slab.depth {
                let depth = cell_at(d, region.first[0], depth);
                // The image's row that the next one of the slab holds, or, since rows before the first are taken
                // as very large numbers, none.
                let mut height = (region.first[1] * h.stride).wrapping_sub(h.pad_before);
                for place in 0..slab.height {
                    let row = depth.filter(|_| height < h.input).map(|depth| {
                        let start = channel * image.channel_len + depth * image.plane_len + height * w.input;
                        if let Some(ahead) = ahead {
                            ask_for_row(image, start + ahead, w.input);
                        }
                        &image.cells[start..]
                    });
                    place_of_row.fill(simd, row, w.input, &mut out[at..], row_len);
                    at += row_len;
                    let is_last = gap > 0 && (place + 1).is_multiple_of(step);
                    height = height.wrapping_add(if is_last { 1 + gap } else { 1 });
                }
            }
        }
    }
}

/// The cell of an axis at a place of the slab that begins with window `first`, if it is not in the border.
fn cell_at(axis: Axis, first: usize, place: usize) -> Option<usize> {
    (first * axis.stride + offset(axis, place)).checked_sub(axis.pad_before).filter(|&cell| cell < axis.input)
}

/// Planes or rows of a slab from one window to the next: what lies between windows is left out.
fn line_step(axis: Axis) -> usize {
    axis.stride.min(axis.extent())
}

/// Cells of the padded axis from the first window's start to a place of the slab.
fn offset(axis: Axis, place: usize) -> usize {
    let step = line_step(axis);
    if step < axis.stride { place / step * axis.stride + place % step } else { place }
}

/// Whether any of the first `windows` windows reads that place of the slab.
fn is_read(axis: Axis, place: usize, windows: usize) -> bool {
    if axis.dilation == 1 {
        return true;
    }
    let offset = offset(axis, place);
    (0..axis.kernel).any(|tap| {
        let tap = tap * axis.dilation;
        offset >= tap && (offset - tap).is_multiple_of(axis.stride) && (offset - tap) / axis.stride < windows
    })
}
