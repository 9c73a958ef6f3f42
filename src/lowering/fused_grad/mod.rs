//! The weight gradient without a patch matrix: the microkernel reads it from the image, a few rows at a time.
//!
//! A task computes the sums `dW = dY · Cols(X)ᵀ` of a block of output channels and a block of input channels. It
//! copies the input channels, padded, into a slab; for some windows after the other it turns the output's gradient, so
//! that channels lie on the vector lanes, packs those windows of a few rows of the patch matrix, and lets the
//! microkernel add up their products. The sums stay in the cache, and are written to the gradient at the end.
//!
//! Where the image is its own patch matrix, nothing of it is copied at all.

mod layout;
mod turn;

use layout::WINDOWS;
pub(crate) use layout::{Layout, applies};

use std::ops::Range;

use ndarray::{ArrayView3, ArrayView5, ArrayViewMut2, Axis, s};

use self::turn::{turn_grad, turn_sums};
use super::image::Image;
use super::panel::{Chunks, MAX_LANES, Rows, pack_panel};
use super::patches::{Segment, segments};
use super::pieces::{blocks, kernel_blocks};
use super::scratch::aligned;
use super::slab::{Region, Slab, fill_slab};
use crate::element::Element;
use crate::gemm::{Kernel, Operands, Store};
use crate::geometry::ConvGeometry;
use crate::parallel;
use crate::simd::Input;

/// Panels that hold the windows whose products are added up at a time.
const PANELS: usize = WINDOWS.div_ceil(MAX_LANES);

/// `weight_grad [OC, C/g · taps] = grad_output · Cols(input)ᵀ`, summed over images and windows in order.
pub(super) fn weight_grad<T: Element>(
    (geometry, layout): (&ConvGeometry, &Layout),
    input: ArrayView5<'_, T>,
    grad_output: ArrayView3<'_, T>,
    (weight_grad, workspace): (ArrayViewMut2<'_, T>, &mut [T]),
) {
    let (g, taps) = (geometry, geometry.taps());
    let pieces = kernel_blocks(weight_grad, g, [layout.outs, layout.ins]);
    parallel::for_each(pieces, workspace, layout.slot_len(), |(group, [out, channel], mut piece), slot: &mut [T]| {
        let outs = piece.nrows();
        let channels = channel..channel + piece.ncols() / taps;
        let mut task = Task::new((g, layout), channels, Kernel::<T>::best().padded(outs), slot);
        let first = group * g.group_out_channels() + out;
        let grad_output = grad_output.slice(s![.., first..first + outs, ..]);
        let mut store = Store::Overwrite;
        let mut later = parts(g, layout).skip(1);
        for images in image_groups(g, layout) {
            for region in Region::all(g, layout.planes, layout.rows) {
                let source = task.source(input, (images.clone(), group), region);
                for windows in region.windows(g, layout.windows) {
                    for (place, image) in images.clone().enumerate() {
                        let grad = grad_output.slice(s![image, .., windows.clone()]);
                        turn_grad(grad, (place * windows.len(), images.len() * windows.len()), task.grads);
                    }
                    let next = later.next().map_or_else(Input::none, |part| next_grads(grad_output, part));
                    task.add((&source, region), (images.len(), windows), (store, next));
                    store = Store::Add;
                }
            }
        }
        match store {
            Store::Overwrite => piece.fill(T::zero()),
            Store::Add => turn_sums(task.sums, task.outs, piece),
        }
    });
}

/// Images that are taken together.
fn image_groups(geometry: &ConvGeometry, layout: &Layout) -> impl Iterator<Item = Range<usize>> {
    let (batch, length) = (geometry.batch, layout.images);
    (0..batch).step_by(length).map(move |image| image..batch.min(image + length))
}

/// The images and windows whose products are added up at a time, in order.
fn parts(geometry: &ConvGeometry, layout: &Layout) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
    image_groups(geometry, layout).flat_map(move |images| {
        Region::all(geometry, layout.planes, layout.rows).flat_map(move |region| {
            let images = images.clone();
            region.windows(geometry, layout.windows).map(move |windows| (images.clone(), windows))
        })
    })
}

/// The gradients of a part, which are read when it is turned.
fn next_grads<T>(grads: ArrayView3<'_, T>, (images, windows): (Range<usize>, Range<usize>)) -> Input<T> {
    let [image_step, channel_step, _] = [0, 1, 2].map(|axis| grads.strides()[axis].unsigned_abs());
    let start = grads.slice(s![images.start, 0, windows.start]).as_ptr();
    match images.len() {
        1 => Input::new(start, (grads.len_of(Axis(1)), channel_step), windows.len()),
        count => Input::new(start, (count, image_step), (grads.len_of(Axis(1)) - 1) * channel_step + windows.len()),
    }
}

/// One block of output channels and one of input channels.
struct Task<'a, T> {
    geometry: &'a ConvGeometry,
    layout: &'a Layout,
    /// Input channels within the group.
    channels: Range<usize>,
    /// Output channels, filled up to whole vectors.
    outs: usize,
    /// `[row of the patch matrix][output channel]`.
    sums: &'a mut [T],
    /// `[tile of output channels][window][output channel]`.
    grads: &'a mut [T],
    slab: &'a mut [T],
    packed: &'a mut [T],
}

impl<'a, T: Element> Task<'a, T> {
    fn new(
        (geometry, layout): (&'a ConvGeometry, &'a Layout),
        channels: Range<usize>,
        outs: usize,
        slot: &'a mut [T],
    ) -> Self {
        let [sums, grads, slab, packed] = layout.lens;
        let (sums, rest) = aligned(slot).split_at_mut(sums);
        let (grads, rest) = aligned(rest).split_at_mut(grads);
        let (slab, rest) = aligned(rest).split_at_mut(slab);
        let packed = &mut aligned(rest)[..packed];
        Self { geometry, layout, channels, outs, sums, grads, slab, packed }
    }

    /// Where windows of a group's images are read from: the input, if that is possible; else its cells of the region are
    /// copied to the slab.
    fn source<'i>(
        &mut self,
        input: ArrayView5<'i, T>,
        (images, group): (Range<usize>, usize),
        region: Region,
    ) -> Source<'a, 'i, T> {
        let (g, layout) = (self.geometry, self.layout);
        if let (Some(slab), Some(cells)) = (&layout.image, input.to_slice()) {
            let step = slab.channel_len * g.in_channels;
            let channel = group * g.group_in_channels() + self.channels.start;
            let first = images.start * step + channel * slab.channel_len;
            return Source { slab, cells: Some(&cells[first..]), step, origin: region.first };
        }
        let slab = &layout.slab;
        let step = self.channels.len() * slab.channel_len;
        for (place, image) in images.enumerate() {
            let out = &mut self.slab[place * step..];
            fill_slab(g, slab, Image::of(g, input, image, group), (self.channels.clone(), region), out);
        }
        Source { slab, cells: None, step, origin: [0, 0] }
    }

    /// Adds the products of some windows of a region of so many images, whose gradient has been turned.
    fn add(
        &mut self,
        (source, region): (&Source<'_, '_, T>, Region),
        (images, windows): (usize, Range<usize>),
        (store, next): (Store, Input<T>),
    ) {
        let (g, taps) = (self.geometry, self.geometry.taps());
        let &Source { slab, step, origin, .. } = source;
        let offsets = &slab.offsets[..self.channels.len() * taps];
        let sums = ArrayViewMut2::from_shape((offsets.len(), self.outs), &mut self.sums[..offsets.len() * self.outs])
            .expect("the sums of all rows");
        let kernel = Kernel::<T>::best();
        let calls = self.outs.div_ceil(kernel.lanes());
        let next = Ahead::new(next, calls * offsets.len().div_ceil(kernel.columns()));
        let windows_len = images * windows.len();
        let mut turned = Turned { grads: self.grads, windows: windows_len, store, next, next_rows: Ahead::none() };
        let cells = source.cells.unwrap_or(self.slab);
        if taps == 1 && images == 1 && slab.has_all_windows(g) {
            // The rows of the patch matrix are those of the image, or of its copy.
            let [_, height, width] = g.axes.map(|axis| axis.output);
            let [plane, row] = [0, 1].map(|axis| region.first[axis] - origin[axis]);
            let start = windows.start - (plane * height + row) * width;
            // The processor foresees the rows of long channels, which go on where the last windows ended.
            let is_unforeseen = source.cells.is_some() && slab.channel_len <= WINDOWS;
            for (first, sums) in blocks(sums, Axis(0), kernel.columns()) {
                let later = offsets.chunks(kernel.columns()).nth(first / kernel.columns() + 1);
                let next = later.filter(|_| is_unforeseen).map_or_else(Input::none, |rows| {
                    Input::new(cells[rows[0] + start..].as_ptr(), (rows.len(), slab.channel_len), windows.len())
                });
                turned.next_rows = Ahead::new(next, calls);
                turned.multiply((&cells[offsets[first] + start..], slab.channel_len), sums);
            }
            return;
        }
        let start = |segment: &Segment| {
            let (od, oh) = (segment.od - region.first[0] + origin[0], segment.oh - region.first[1] + origin[1]);
            slab.row_start(od, oh) + segment.windows.start
        };
        let chunks = Chunks::<PANELS>::of_panels::<T>(segments(g, windows.clone()), start, (MAX_LANES, MAX_LANES));
        let packed_step = self.layout.packed_step;
        for (first, sums) in blocks(sums, Axis(0), self.layout.packed_rows) {
            let rows = Rows::new(&offsets[first..first + sums.nrows()], 0);
            for image in 0..images {
                let packed = &mut self.packed[image * windows.len()..];
                pack_panel(packed, packed_step, &cells[image * step..], rows, &chunks);
            }
            for (first, sums) in blocks(sums, Axis(0), kernel.columns()) {
                turned.multiply((&self.packed[first * packed_step..], packed_step), sums);
            }
        }
    }
}

/// Where windows are read from.
struct Source<'l, 'i, T> {
    slab: &'l Slab,
    /// The input from the first image's first channel on; none where it is copied to the task's slab.
    cells: Option<&'i [T]>,
    /// Cells from one image to the next.
    step: usize,
    /// Which plane and row of the slab's windows the region begins with.
    origin: [usize; 2],
}

/// The turned gradient of some windows.
struct Turned<'a, T> {
    grads: &'a [T],
    windows: usize,
    store: Store,
    /// What is turned next, and the rows that come after these.
    next: Ahead<T>,
    next_rows: Ahead<T>,
}

impl<T: Element> Turned<'_, T> {
    /// Its products with rows of the patch matrix, which begin `step` elements apart, to `sums [rows, output channels]`.
    #[inline(always)]
    fn multiply(&mut self, (rows, step): (&[T], usize), sums: ArrayViewMut2<'_, T>) {
        let kernel = Kernel::<T>::best();
        let operands =
            Operands { k: self.windows, left: &[], left_step: 0, right: rows, right_step: 1, right_column: step };
        for (first, tile) in blocks(sums, Axis(1), kernel.lanes()) {
            let left = &self.grads[first * self.windows..];
            self.next_rows.ask();
            self.next.ask();
            kernel.run(Operands { left, left_step: tile.ncols(), ..operands }, self.store, tile);
        }
    }
}

/// What is read later, of which each call of the microkernel asks for some lines.
struct Ahead<T> {
    input: Input<T>,
    lines: usize,
}

impl<T> Ahead<T> {
    /// All of it in so many calls.
    fn new(input: Input<T>, calls: usize) -> Self {
        Self { lines: input.lines().div_ceil(calls.max(1)), input }
    }

    fn none() -> Self {
        Self::new(Input::none(), 0)
    }

    #[inline(always)]
    fn ask(&mut self) {
        self.input.ask(self.lines);
    }
}
