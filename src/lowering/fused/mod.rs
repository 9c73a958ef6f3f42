//! The patch matrix is never stored: packing for the microkernel reads it from the image.
//!
//! A task computes a block of output channels for a region of windows. It takes the patch matrix by
//! blocks of rows, which are a few input channels: it copies those, padded, into a slab that stays in
//! the L2; packs one panel of windows after the other from it, by runs of neighbouring cells; and
//! multiplies each panel by the packed weights while it is in the L1. (The loops are those of K. Goto,
//! R. van de Geijn, "Anatomy of high-performance matrix multiplication", 2008, with the packing of B
//! replaced.)

mod layout;
mod weights;

pub(crate) use layout::Layout;
pub(crate) use weights::{adjoint_kernels, pack_weights};

use std::ops::Range;

use ndarray::{ArrayView5, ArrayViewMut2, ArrayViewMut3, Axis};

use self::weights::Tiles;
use super::lanes::Lanes;
use super::panel::{Chunks, Rows, pack_panel};
use super::patches::segments;
use super::pieces::{blocks, channel_blocks};
use super::scratch::aligned;
use super::slab::{Region, Slab, fill_slab};
use super::{Epilogue, group_image};
use crate::element::Element;
use crate::gemm::{Kernel, Operands, Store};
use crate::geometry::ConvGeometry;
use crate::parallel;

/// `output [N, OC, windows] = W · Cols(input)`, with the weights as [`pack_weights`] left them.
pub(super) fn forward<T: Element>(
    (geometry, layout): (&ConvGeometry, &Layout),
    weights: &[T],
    input: ArrayView5<'_, T>,
    epilogue: Epilogue<'_, T>,
    (output, workspace): (ArrayViewMut3<'_, T>, &mut [T]),
) {
    let g = geometry;
    let [od, oh, ow] = g.axes.map(|axis| axis.output);
    let outs = g.group_out_channels();
    // Regions of several planes are cut along whole planes only, others within a plane.
    let (plane, region) = match layout.planes {
        1 => (oh * ow, layout.rows * ow),
        planes => (planes * oh * ow, planes * oh * ow),
    };
    debug_assert!(od > 0 || output.is_empty());
    let pieces = channel_blocks(output, outs, layout.channels).flat_map(move |(image, channel, rows)| {
        blocks(rows, Axis(1), plane).flat_map(move |(start, planes)| {
            blocks(planes, Axis(1), region).map(move |(window, piece)| (image, channel, start + window, piece))
        })
    });
    parallel::for_each(pieces, workspace, layout.slot_len(), |(image, channel, window, piece), slot: &mut [T]| {
        let group = channel / outs;
        let (weights, first) = (&weights[group * weights.len() / g.groups..], channel % outs);
        let mut task = Task { geometry: g, layout, weights, first, window, piece };
        task.run(group_image(g, input, image, group), slot);
        epilogue.apply(channel, task.piece);
    });
}

/// One block of output channels, from `first` of its group on, for the windows from `window` on.
struct Task<'a, 'o, T> {
    geometry: &'a ConvGeometry,
    layout: &'a Layout,
    /// Packed weights from this group on.
    weights: &'a [T],
    first: usize,
    window: usize,
    piece: ArrayViewMut2<'o, T>,
}

impl<'a, T: Element> Task<'a, '_, T> {
    fn run(&mut self, image: ndarray::ArrayView4<'_, T>, slot: &mut [T]) {
        let (g, layout) = (self.geometry, self.layout);
        let (slab_len, panel_len) = (layout.slab_len, layout.panel_len);
        let (slab, rest) = aligned(slot).split_at_mut(slab_len);
        let (panel, sums) = aligned(rest).split_at_mut(panel_len);
        let depth = g.patch_rows();
        let flat = image.to_slice();
        for row in (0..depth).step_by(layout.block_rows) {
            let rows = row..(row + layout.block_rows).min(depth);
            let store = if row == 0 { Store::Overwrite } else { Store::Add };
            match (&layout.image, flat) {
                (Some(whole), Some(flat)) => {
                    let origin = self.region().first;
                    self.block((whole, origin), (flat, 0), (rows, store), (panel, sums));
                }
                _ => {
                    let channels = rows.start / g.taps()..rows.end.div_ceil(g.taps());
                    let base = channels.start * layout.slab.channel_len();
                    fill_slab(g, &layout.slab, image, (channels, self.region()), slab);
                    self.block((&layout.slab, [0, 0]), (slab, base), (rows, store), (panel, sums));
                }
            }
        }
        if depth == 0 {
            self.piece.fill(T::zero());
        } else if layout.lanes == Lanes::Channels {
            self.store_sums(sums);
        }
    }

    /// The output planes and rows that this task's windows are in.
    fn region(&self) -> Region {
        let [_, oh, ow] = self.geometry.axes.map(|axis| axis.output);
        let (line, lines) = (self.window / ow, self.piece.ncols() / ow);
        let count = if lines > oh { [lines / oh, oh] } else { [1, lines] };
        Region { first: [line / oh, line % oh], count }
    }

    /// Adds the products of one block of rows of the patch matrix.
    fn block(
        &mut self,
        (slab, origin): (&Slab, [usize; 2]),
        (source, base): (&[T], usize),
        (rows, store): (Range<usize>, Store),
        (panel, sums): (&mut [T], &mut [T]),
    ) {
        let (g, kernel) = (self.geometry, Kernel::<T>::best());
        let region = self.region();
        let windows = self.piece.ncols();
        let cells = Rows::new(&slab.offsets[rows.clone()], base);
        for start in (0..windows).step_by(kernel.lanes()) {
            let count = kernel.lanes().min(windows - start);
            let first = self.window + start;
            let chunks = Chunks::new::<T>(segments(g, first..first + count), |segment| {
                let (od, oh) = (segment.od - region.first[0] + origin[0], segment.oh - region.first[1] + origin[1]);
                slab.row_start(g, od, oh) + segment.windows.start
            });
            pack_panel(panel, kernel.lanes(), source, cells, &chunks);
            match self.layout.lanes {
                Lanes::Windows => self.multiply_by_windows(panel, (start, count), (rows.clone(), store), sums),
                Lanes::Channels => self.multiply_by_channels(panel, (start, count), (rows.clone(), store), sums),
            }
        }
    }

    /// The packed weights of a block of rows from this task's first channel on, with the padded channels
    /// of the group.
    fn weights(&self, rows: &Range<usize>, tiles: Tiles) -> &'a [T] {
        let padded = self.geometry.group_out_channels().next_multiple_of(tiles.unit);
        &self.weights[rows.start * padded + self.first * rows.len()..]
    }

    /// Windows on the lanes: tiles of channels × windows go straight to the output, where its windows lie
    /// side by side and fill whole vectors, else through a small buffer.
    fn multiply_by_windows(
        &mut self,
        panel: &[T],
        (start, count): (usize, usize),
        (rows, store): (Range<usize>, Store),
        buffer: &mut [T],
    ) {
        let kernel = Kernel::<T>::best();
        let tiles = Tiles::of::<T>(Lanes::Windows);
        let mut weights = self.weights(&rows, tiles);
        let lanes = count.next_multiple_of(kernel.vector);
        let is_direct = lanes == count && self.piece.strides()[1] == 1;
        let channels = self.piece.nrows();
        let (_, panel_columns) = self.piece.view_mut().split_at(Axis(1), start);
        let (panel_columns, _) = panel_columns.split_at(Axis(1), count);
        for (first, mut tile) in blocks(panel_columns, Axis(0), tiles.most) {
            let columns = tiles.most.min(channels - first);
            let k = rows.len();
            let operands = Operands {
                k,
                left: panel,
                left_step: kernel.lanes(),
                right: &weights[..k * columns],
                right_step: columns,
            };
            if is_direct {
                kernel.run(operands, store, tile);
            } else {
                let mut sums = ArrayViewMut2::from_shape((columns, lanes), &mut buffer[..columns * lanes])
                    .expect("the buffer holds the largest tile");
                kernel.run(operands, Store::Overwrite, sums.view_mut());
                for (mut to, from) in tile.rows_mut().into_iter().zip(sums.rows()) {
                    match store {
                        Store::Overwrite => to.iter_mut().zip(from).for_each(|(to, &sum)| *to = sum),
                        Store::Add => to.iter_mut().zip(from).for_each(|(to, &sum)| *to += sum),
                    }
                }
            }
            weights = &weights[k * columns..];
        }
    }

    /// Channels on the lanes: sums are kept as `[windows, channels]` until all blocks are added.
    fn multiply_by_channels(
        &self,
        panel: &[T],
        (start, count): (usize, usize),
        (rows, store): (Range<usize>, Store),
        sums: &mut [T],
    ) {
        let kernel = Kernel::<T>::best();
        let tiles = Tiles::of::<T>(Lanes::Channels);
        let mut weights = self.weights(&rows, tiles);
        let channels = self.piece.nrows().next_multiple_of(tiles.unit);
        let sums = &mut sums[start * channels..(start + count) * channels];
        let sums = ArrayViewMut2::from_shape((count, channels), sums).expect("the sums of all windows");
        for (first, tile) in blocks(sums, Axis(1), tiles.most) {
            let lanes = tiles.most.min(channels - first);
            let (k, left) = (rows.len(), &weights[..rows.len() * lanes]);
            for (window, part) in blocks(tile, Axis(0), kernel.columns()) {
                let right = &panel[window..];
                let operands = Operands { k, left, left_step: lanes, right, right_step: kernel.lanes() };
                kernel.run(operands, store, part);
            }
            weights = &weights[k * lanes..];
        }
    }

    fn store_sums(&mut self, sums: &[T]) {
        let channels = self.piece.nrows().next_multiple_of(Tiles::of::<T>(Lanes::Channels).unit);
        for (mut column, sums) in self.piece.columns_mut().into_iter().zip(sums.chunks_exact(channels)) {
            column.iter_mut().zip(sums).for_each(|(to, &sum)| *to = sum);
        }
    }
}
