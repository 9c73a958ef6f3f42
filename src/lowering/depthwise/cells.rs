//! A turned copy of some rows of at most sixteen channels, with zeros around them: a vector holds the same cell of all.

use std::ops::Range;

use ndarray::{ArrayView4, Axis as Dimension, s};

use super::rows_that_fit;
use crate::element::Element;
use crate::geometry::{Axis, ConvGeometry, PadMode};
use crate::simd::{Places, SIDE};

/// The turned cells of one region, and as much for its outputs, should stay in the L2 with room to spare.
const CELL_BYTES: usize = 128 << 10;

/// Groups from which this pays: fewer leave most lanes empty.
const MIN_GROUPS: usize = 8;

/// How the turned cells of a region lie: `[plane][row][column][channel]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cells {
    /// Rows of windows of one region.
    pub rows: usize,
    /// Padded rows and columns of the region.
    height: usize,
    pub pitch: usize,
    /// Where the cells of as many rows of the image as there may be go.
    places: Vec<usize>,
}

impl Cells {
    /// Whether there are enough channels, and nothing but zeros around them.
    pub fn applies(g: &ConvGeometry) -> bool {
        g.groups >= MIN_GROUPS && g.pad_mode == PadMode::Zeros
    }

    /// What the windows of `g` read, cut so that the outputs, of which a row of windows has `row_outputs`, find room
    /// beside it. `None` if they find none.
    pub fn new(g: &ConvGeometry, row_outputs: usize, size: usize, workspace_bytes: usize) -> Option<Self> {
        let [d, h, w] = g.axes;
        let pitch = padded(w);
        let row_bytes = d.kernel.checked_mul(pitch)?.checked_mul(SIDE * size)?;
        let output_bytes = row_outputs.checked_mul(SIDE * size)?;
        let height = |rows: usize| (rows - 1) * h.stride + h.extent();
        let bytes = |rows: usize| [height(rows).saturating_mul(row_bytes), rows.saturating_mul(output_bytes)];
        let most = CELL_BYTES.min(workspace_bytes / 2);
        let rows = rows_that_fit(h.output, |rows| bytes(rows).into_iter().all(|bytes| bytes <= most));
        if bytes(rows).into_iter().fold(0, usize::saturating_add) > workspace_bytes {
            return None;
        }
        let height = height(rows);
        let cells = height.min(h.input) * w.input;
        let places = (0..cells).map(|cell| (cell / w.input * pitch + cell % w.input + w.pad_before) * SIDE);
        Some(Self { rows, height, pitch, places: places.collect() })
    }

    /// Elements of the turned cells.
    pub fn len(&self, g: &ConvGeometry) -> usize {
        g.axes[0].kernel * self.height * self.pitch * SIDE
    }

    /// Where each kernel cell lies in a window that begins with the cell `first`.
    pub fn offsets(&self, [d, h, w]: [Axis; 3], first: [usize; 3]) -> Vec<usize> {
        let places = |axis: Axis, first: usize| (0..axis.kernel).map(move |tap| first + tap * axis.dilation);
        let mut offsets = Vec::with_capacity(d.kernel * h.kernel * w.kernel);
        for plane in places(d, first[0]) {
            for row in places(h, first[1]) {
                let line = (plane * self.height + row) * self.pitch;
                offsets.extend(places(w, first[2]).map(|column| (line + column) * SIDE));
            }
        }
        offsets
    }

    /// The same for the windows of `g` itself, of which only the planes that they read are turned.
    pub fn window_offsets(&self, g: &ConvGeometry) -> Vec<usize> {
        let [d, h, w] = g.axes;
        self.offsets([Axis { dilation: 1, ..d }, h, w], [0; 3])
    }

    /// Copies all rows of `[channel, depth, height, width]` that the windows of a region may read; those outside the
    /// image are zeros. Columns outside it are not written.
    pub fn turn<T: Element>(
        &self,
        g: &ConvGeometry,
        image: ArrayView4<'_, T>,
        (plane, row): (usize, usize),
        turned: &mut [T],
    ) {
        let [d, h, w] = g.axes;
        let line = self.pitch * SIDE;
        let rows = inside(h, row * h.stride, self.height);
        for (tap, turned) in turned.chunks_exact_mut(self.height * line).enumerate() {
            let depth = (plane * d.stride + tap * d.dilation).wrapping_sub(d.pad_before);
            if depth >= d.input {
                turned.fill(T::zero());
                continue;
            }
            turned[..rows.start * line].fill(T::zero());
            turned[rows.end * line..].fill(T::zero());
            if rows.is_empty() {
                continue;
            }
            let first = row * h.stride + rows.start - h.pad_before;
            let turned = &mut turned[rows.start * line..];
            let Some(cells) = image.to_slice() else {
                for (lane, channel) in image.outer_iter().enumerate() {
                    let cells = channel.slice_move(s![depth, first..first + rows.len(), ..]);
                    cells.iter().zip(&self.places).for_each(|(&cell, &place)| turned[place + lane] = cell);
                }
                continue;
            };
            let first = (depth * h.input + first) * w.input;
            let last = image.len_of(Dimension(0)) - 1;
            let channel = |i: usize| &cells[i.min(last) * g.input_cells() + first..][..rows.len() * w.input];
            T::turn(std::array::from_fn(channel), Places { cells: turned, place: |cell: usize| self.places[cell] });
        }
    }
}

/// Columns that windows may read, and those of the image beyond.
fn padded(axis: Axis) -> usize {
    let read = (axis.output.max(1) - 1) * axis.stride + axis.extent();
    read.max(axis.pad_before + axis.input)
}

/// The rows of a region, of `count` from `start` of the padded axis on, that are in the image.
fn inside(axis: Axis, start: usize, count: usize) -> Range<usize> {
    let first = axis.pad_before.saturating_sub(start).min(count);
    let end = (axis.pad_before + axis.input).saturating_sub(start).clamp(first, count);
    first..end
}
