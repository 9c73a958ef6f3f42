//! The patch matrix is never stored: it is read from the image.
//!
//! A task computes a block of output channels for a region of windows. It takes the patch matrix by blocks of rows, which
//! are a few input channels. Those it copies, padded, into a slab that stays in the L2. What is not padded it reads where it
//! lies, and so with channels on the lanes what is padded, if products with the zeros can be left out.
//!
//! With channels on the lanes, a tile of channels goes through all windows of the region: their cells are read one by one,
//! and nothing is packed but weights (`channels.rs`). With windows on the lanes, panels of them are packed from the slab, by
//! runs of neighbouring cells, and multiplied tile by tile; where all windows of a row are neighbours, as those of a 1×1
//! kernel are, they are multiplied where they lie. Few weights stay in the L2 for one panel after the other; many are read
//! once for as many panels as the L2 holds. What comes from memory and what goes there is asked for while the tiles before
//! it are multiplied. In a batch of small maps a task has the windows of several images, and its sums are kept apart from
//! the output until they are complete. (The loops are those of K. Goto, R. van de Geijn, "Anatomy of high-performance matrix
//! multiplication", 2008, with the packing of B replaced.)

mod channels;
mod choose_lanes;
mod cut;
mod layout;
mod line;
mod phase_cut;
mod phases;
mod rows;
mod shares;
mod weights;
mod windows;

pub(crate) use layout::Layout;
pub(crate) use phases::{Phases, has_phases};
pub(crate) use weights::{pack_weights, phase_kernels};

use std::ops::Range;

use ndarray::{ArrayView5, ArrayViewMut3, Axis};

use self::weights::Tiles;
use super::Epilogue;
use super::cells::Cells;
use super::fold::{fold_input, fold_output};
use super::image::Image;
use super::lanes::Lanes;
use super::pieces::{blocks, channel_blocks, even_blocks};
use super::scratch::aligned;
use super::slab::Region;
use super::weights::PackedWeights;
use crate::element::Element;
use crate::gemm::{Store, TAIL_SLACK};
use crate::geometry::ConvGeometry;
use crate::parallel;

/// `output [N, OC, windows] = W · Cols(input)`, with the weights as [`pack_weights`] left them.
pub(super) fn forward<T: Element>(
    (geometry, layout): (&ConvGeometry, &Layout),
    weights: &PackedWeights<T>,
    input: ArrayView5<'_, T>,
    epilogue: Epilogue<'_, T>,
    (output, workspace): (ArrayViewMut3<'_, T>, &mut [T]),
) {
    if !layout.parts.is_empty() {
        return line::forward((geometry, layout), weights, input, epilogue, (output, workspace));
    }
    let (g, input) = match &layout.folded {
        Some(folded) => (folded, fold_input(input)),
        None => (geometry, input),
    };
    let output = fold_output(output, layout.folded.is_some());
    let [od, oh, ow] = g.axes.map(|axis| axis.output);
    let outs = g.group_out_channels();
    // Regions of several planes are cut along whole planes only, others within a plane.
    let (plane, region) = match layout.planes {
        1 => (oh * ow, layout.rows * ow),
        planes => (planes * oh * ow, planes * oh * ow),
    };
    debug_assert!(od > 0 || output.is_empty());
    let cut = |all| even_blocks(all, layout.channels, layout.channel_unit);
    let pieces = channel_blocks(output, outs, cut).flat_map(move |(image, channel, rows)| {
        blocks(rows, Axis(1), layout.planes).flat_map(move |(first, images)| {
            blocks(images, Axis(2), plane).flat_map(move |(start, planes)| {
                let start = first * oh * ow + start;
                blocks(planes, Axis(2), region).map(move |(window, piece)| (image, channel, start + window, piece))
            })
        })
    });
    parallel::for_each(pieces, workspace, layout.slot_len(), |(image, channel, window, piece), slot: &mut [T]| {
        let mut task = Task::new((g, layout), weights, epilogue, (channel, window, piece));
        task.run(Image::of(g, input, image, channel / outs), slot);
    });
}

/// One block of output channels, from `first` of its group on, for the windows from `window` on.
struct Task<'a, 'e, 'o, T> {
    geometry: &'a ConvGeometry,
    layout: &'a Layout,
    /// Packed weights from this group on.
    weights: &'a [T],
    are_finite: bool,
    first: usize,
    /// What finishes the output, whose channels begin with this one.
    epilogue: Epilogue<'e, T>,
    channel: usize,
    window: usize,
    /// `[channels, images, windows]`, of several images in a folded batch only.
    piece: ArrayViewMut3<'o, T>,
}

impl<'a, 'e, 'o, T: Element> Task<'a, 'e, 'o, T> {
    fn new(
        (geometry, layout): (&'a ConvGeometry, &'a Layout),
        PackedWeights { values: weights, are_finite }: &'a PackedWeights<T>,
        epilogue: Epilogue<'e, T>,
        (channel, window, piece): (usize, usize, ArrayViewMut3<'o, T>),
    ) -> Self {
        let outs = geometry.group_out_channels();
        let weights = &weights[channel / outs * (weights.len() - TAIL_SLACK) / geometry.groups..];
        let (are_finite, first) = (*are_finite, channel % outs);
        Self { geometry, layout, weights, are_finite, first, epilogue, channel, window, piece }
    }

    /// Channels, images, and windows of each image.
    fn dims(&self) -> [usize; 3] {
        self.piece.dim().into()
    }

    fn windows(&self) -> usize {
        let [_, images, windows] = self.dims();
        images * windows
    }

    fn run(&mut self, image: Image<'_, T>, slot: &mut [T]) {
        let (g, layout) = (self.geometry, self.layout);
        let (slab, rest) = aligned(slot).split_at_mut(layout.slab_len);
        let (panels, sums) = aligned(rest).split_at_mut(layout.panels * layout.panel_len);
        let depth = g.patch_rows();
        let region = Region::of(g, self.window, self.windows());
        for row in (0..depth).step_by(layout.block_rows) {
            let rows = row..(row + layout.block_rows).min(depth);
            let store = Store::after(row);
            // What is not finite must meet the zeros around the image.
            let image_slab = layout.image.as_ref().filter(|slab| self.are_finite || !slab.is_bare);
            let slabs = (image_slab, &layout.slab);
            let cells = Cells::of(g, slabs, image, (rows.clone(), region), slab);
            match layout.lanes {
                Lanes::Windows => self.block(cells, (rows, store), (panels, sums)),
                Lanes::Rows => self.multiply_by_rows(cells.windows(rows, region, false), sums),
                Lanes::Channels => {
                    let windows = cells.windows(rows.clone(), region, self.are_finite).in_long_rows();
                    self.multiply_by_channels(windows, (rows, store), sums);
                }
            }
        }
        // Sums are finished tile by tile, or part by part.
        if depth == 0 {
            self.piece.fill(T::zero());
            self.epilogue.apply(self.channel, self.piece.view_mut());
        } else if layout.lanes == Lanes::Windows && self.dims()[1] > 1 {
            self.store_rows(sums);
        }
    }

    /// The packed weights of a block of rows from this task's first channel on, with the padded channels
    /// of the group.
    fn weights(&self, rows: &Range<usize>, tiles: Tiles) -> &'a [T] {
        let padded = self.geometry.group_out_channels().next_multiple_of(tiles.unit);
        &self.weights[rows.start * padded + self.first * rows.len()..]
    }
}
