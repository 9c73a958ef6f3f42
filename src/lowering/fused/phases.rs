//! Input gradients of any stride: each phase of the input's cells is a convolution of stride 1 of its own.
//!
//! A task computes a block of channels of some rows of one plane. For each phase of rows it computes the phases of
//! columns one after the other, and then puts their cells side by side.

use std::ops::Range;

use ndarray::{ArrayView2, ArrayView5, ArrayViewMut2, ArrayViewMut3, Axis, s};

use super::Task;
use super::choose_lanes::choose_lanes;
use super::cut::{Cut, channel_unit, fill_lanes};
use super::layout::Layout;
use super::weights::{pack_weights, phase_kernels, weights_len};
use crate::element::Element;
use crate::gemm::TAIL_SLACK;
use crate::geometry::{ConvGeometry, Phase};
use crate::lowering::Epilogue;
use crate::lowering::image::Image;
use crate::lowering::lanes::Vector;
use crate::lowering::pieces::{blocks, channel_blocks, full_blocks};
use crate::lowering::runs::copy_short;
use crate::lowering::scratch::{ALIGNMENT_BYTES, aligned};
use crate::lowering::weights::PackedWeights;
use crate::parallel;
use crate::simd::{Output, arch};

/// A task's phases of columns, which are written, put side by side and then not needed any more.
const COLUMN_BYTES: usize = 512 << 10;

/// Gradients of more bytes go to memory.
const FAR_BYTES: usize = 8 << 20;

/// How an input gradient is cut, and each phase of it.
#[derive(Debug, Clone)]
pub(crate) struct Phases {
    /// Phases on each axis.
    counts: [usize; 3],
    /// Cells of each axis.
    input: [usize; 3],
    /// Channels of one task.
    channels: usize,
    /// Rows of each phase of one task.
    rows: usize,
    /// By plane, row and column; `None` where no tap reads a phase.
    parts: Vec<Option<Part>>,
    /// Elements of all phases of columns.
    columns_len: usize,
    slot_len: usize,
    /// Whether the batch's gradients are so many that they go to memory: the next channel's cells are asked for.
    is_far: bool,
}

/// The convolution of one phase.
#[derive(Debug, Clone)]
struct Part {
    phase: Phase,
    layout: Layout,
    /// Where its packed weights lie.
    weights: Range<usize>,
}

/// Whether an input gradient can be computed so.
pub(crate) fn has_phases(geometry: &ConvGeometry) -> bool {
    geometry.phases().is_some()
}

impl Phases {
    pub fn new(geometry: &ConvGeometry, vector: Vector, workspace_bytes: usize) -> Option<Self> {
        let (counts, input) = (geometry.phase_counts(), geometry.axes.map(|axis| axis.input));
        let phases = geometry.phases()?;
        let mut cut = Shared::wanted(geometry, &phases, vector);
        while cut.bytes(vector) > workspace_bytes && cut.shrink() {}
        let (columns_len, task_len) = (cut.columns_len(), cut.task_len(vector));
        let (channels, rows) = (cut.channels, cut.rows);
        let mut end = 0;
        let parts = phases.into_iter().zip(cut.parts).map(|(phase, part)| {
            let layout = Layout::of(&phase.geometry, vector, part?.1);
            let start = end;
            end += weights_len(&phase.geometry, &layout, vector);
            Some(Part { phase, layout, weights: start..end })
        });
        let parts = parts.collect();
        let slack = 3 * ALIGNMENT_BYTES / vector.size;
        let slot_len = task_len.saturating_add(columns_len).saturating_add(slack);
        let bytes = geometry.input_shape().into_iter().fold(vector.size, usize::saturating_mul);
        Some(Self { counts, input, channels, rows, parts, columns_len, slot_len, is_far: bytes > FAR_BYTES })
    }

    /// Elements of the scratch memory of one lane.
    pub fn slot_len(&self) -> usize {
        self.slot_len
    }

    /// The kernels `[OC, C/g · taps]` of the convolution, packed for each phase.
    pub fn pack_weights<T: Element>(&self, kernels: ArrayView2<'_, T>, geometry: &ConvGeometry) -> Vec<T> {
        let mut packed = vec![];
        for Part { phase, layout, .. } in self.parts.iter().flatten() {
            packed.extend(pack_weights(phase_kernels(kernels, geometry, phase).view(), geometry.groups, layout));
        }
        packed
    }

    /// `output [N, C, cells]`, the gradient of the input, from that of the output, finished by the epilogue.
    pub fn run<T: Element>(
        &self,
        PackedWeights { values: weights, are_finite }: &PackedWeights<T>,
        grad_output: ArrayView5<'_, T>,
        (epilogue, groups): (Epilogue<'_, T>, usize),
        (output, workspace): (ArrayViewMut3<'_, T>, &mut [T]),
    ) {
        let [_, height, width] = self.input;
        let group = (output.len_of(Axis(1)) / groups).max(1);
        let band = self.rows * self.counts[1] * width;
        let pieces = channel_blocks(output, group, |all| full_blocks(all, self.channels)).flat_map(
            move |(image, channel, cells)| {
                blocks(cells, Axis(1), height * width).flat_map(move |(start, plane)| {
                    let plane_number = start / (height * width);
                    blocks(plane, Axis(1), band)
                        .map(move |(cell, piece)| (image, channel, [plane_number, cell / width], piece))
                })
            },
        );
        parallel::for_each(pieces, workspace, self.slot_len, |(image, channel, place, mut piece), slot: &mut [T]| {
            let (columns, slot) = aligned(slot).split_at_mut(self.columns_len);
            for row in 0..self.counts[1].min(piece.ncols() / width) {
                let (first, are_finite) = (channel % group, *are_finite);
                let band = Band { phases: self, weights, are_finite, groups, first, place, row };
                band.run((grad_output, image, channel / group), piece.view_mut(), (columns, slot));
            }
            epilogue.apply(channel, piece);
        });
    }
}

/// The rows of one phase, of a block of channels from `first` of its group on, from a place `[plane, row]` on.
struct Band<'a, T> {
    phases: &'a Phases,
    weights: &'a [T],
    are_finite: bool,
    groups: usize,
    first: usize,
    place: [usize; 2],
    row: usize,
}

impl<T: Element> Band<'_, T> {
    fn run(
        &self,
        (grad_output, image, group): (ArrayView5<'_, T>, usize, usize),
        mut piece: ArrayViewMut2<'_, T>,
        (columns, slot): (&mut [T], &mut [T]),
    ) {
        let &Phases { counts: [planes, rows, step], input: [.., width], columns_len, .. } = self.phases;
        let (channels, lines) = (piece.nrows(), (piece.ncols() / width - self.row).div_ceil(rows));
        let parts = (self.place[0] % planes * rows + self.row) * step;
        let parts = &self.phases.parts[parts..parts + step];
        let area = columns_len / step;
        let span = |column: usize| (width - column).div_ceil(step);
        for (column, (part, cells)) in parts.iter().zip(columns.chunks_exact_mut(area)).enumerate() {
            let Some(Part { phase, layout, weights }) = part else { continue };
            let g = &phase.geometry;
            let line = self.place[0] / planes * g.axes[1].output + self.place[1] / rows;
            let weights = &self.weights[weights.clone()];
            let windows = lines * span(column);
            let piece = (channels, 1, windows);
            let mut task = Task {
                geometry: g,
                layout,
                weights: &weights[group * (weights.len() - TAIL_SLACK) / self.groups..],
                are_finite: self.are_finite,
                first: self.first,
                // Of sums that are phases of an output, which is finished as a whole.
                epilogue: Epilogue::NONE,
                channel: self.first,
                window: line * span(column),
                piece: ArrayViewMut3::from_shape(piece, &mut cells[..channels * windows]).expect("cut to this size"),
            };
            task.run(Image::of(g, grad_output, image, group), slot);
        }
        let first = self.row * width;
        let output = Output::of(piece.view());
        for (channel, mut cells) in piece.rows_mut().into_iter().enumerate() {
            for line in 0..if self.phases.is_far { lines } else { 0 } {
                output.ask((channel + 1, 1), (first + line * rows * width, width));
            }
            let source = |column: usize| {
                let start = column * area + channel * lines * span(column);
                parts[column].as_ref().map(|_| &columns[start..start + lines * span(column)])
            };
            match (cells.as_slice_mut(), step) {
                (Some(cells), 2) => {
                    let band = cells[first..].chunks_mut(rows * width);
                    arch().dispatch(|| interleave(band.map(|line| &mut line[..width]), [source(0), source(1)]));
                }
                (Some(cells), 1) => {
                    let band = cells[first..].chunks_mut(rows * width).enumerate();
                    band.for_each(|(line, to)| match source(0) {
                        Some(source) => copy_short(&mut to[..width], &source[line * width..][..width]),
                        None => to[..width].fill(T::zero()),
                    });
                }
                _ => {
                    for line in 0..lines {
                        let start = first + line * rows * width;
                        for column in 0..step {
                            let mut to = cells.slice_mut(s![start + column..start + width; step]);
                            match source(column) {
                                Some(source) => {
                                    to.iter_mut()
                                        .zip(&source[line * span(column)..])
                                        .for_each(|(to, &cell)| *to = cell);
                                }
                                None => to.fill(T::zero()),
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Fills rows from cells of even number and those of odd number, zeros where there are none.
#[inline(always)]
fn interleave<'r, T: Element>(rows: impl Iterator<Item = &'r mut [T]>, [even, odd]: [Option<&[T]>; 2]) {
    for (line, row) in rows.enumerate() {
        let width = row.len();
        let even = even.map(|cells| &cells[line * width.div_ceil(2)..][..width.div_ceil(2)]);
        let odd = odd.map(|cells| &cells[line * (width / 2)..][..width / 2]);
        let (pairs, last) = row.as_chunks_mut::<2>();
        match (even, odd) {
            (Some(even), Some(odd)) => {
                pairs.iter_mut().zip(even.iter().zip(odd)).for_each(|(pair, (&a, &b))| *pair = [a, b]);
            }
            (Some(even), None) => pairs.iter_mut().zip(even).for_each(|(pair, &a)| *pair = [a, T::zero()]),
            (None, Some(odd)) => pairs.iter_mut().zip(odd).for_each(|(pair, &b)| *pair = [T::zero(), b]),
            (None, None) => pairs.fill([T::zero(); 2]),
        }
        last.iter_mut().for_each(|last| *last = even.map_or(T::zero(), |even| even[width / 2]));
    }
}

/// A cut of all phases: they have blocks of rows of their own, but channels and rows in common.
struct Shared {
    parts: Vec<Option<(ConvGeometry, Cut)>>,
    channels: usize,
    rows: usize,
    /// Elements of a row of all phases of columns.
    width: usize,
    /// What a block of channels is a multiple of.
    unit: usize,
}

impl Shared {
    fn wanted(geometry: &ConvGeometry, phases: &[Phase], vector: Vector) -> Self {
        let parts: Vec<&ConvGeometry> = phases.iter().map(|phase| &phase.geometry).collect();
        // Channels are cut alike, and so must lie alike.
        let lanes = choose_lanes(parts.iter().copied().filter(|part| part.taps() > 0), vector);
        let (threads, unit) = (parallel::threads(), channel_unit(lanes, vector));
        let cut = |part: &ConvGeometry| {
            (part.taps() > 0).then(|| (part.clone(), Cut::wanted(part, (vector, lanes, unit), threads)))
        };
        let parts: Vec<_> = parts.into_iter().map(cut).collect();
        let least = |value: fn(&Cut) -> usize| parts.iter().flatten().map(|(_, cut)| value(cut)).min();
        let channels = least(|cut| cut.channels).unwrap_or(geometry.group_in_channels()).max(1);
        let rows = least(|cut| cut.rows).unwrap_or(1);
        let [_, row_step, step] = geometry.phase_counts();
        let width = step * geometry.axes[2].input.div_ceil(step);
        let most = COLUMN_BYTES / width.saturating_mul(channels).saturating_mul(vector.size).max(1);
        let (all_rows, phase_width) = (geometry.axes[1].input.div_ceil(row_step).max(1), width / step);
        let rows = fill_lanes(rows.min(most.max(1)), all_rows, phase_width.max(1), vector);
        let mut shared = Self { parts, channels, rows, width, unit };
        shared.set(channels, rows);
        shared
    }

    fn set(&mut self, channels: usize, rows: usize) {
        (self.channels, self.rows) = (channels, rows);
        for (_, cut) in self.parts.iter_mut().flatten() {
            (cut.planes, cut.rows, cut.channels) = (1, rows, channels);
        }
    }

    fn columns_len(&self) -> usize {
        self.channels.saturating_mul(self.rows).saturating_mul(self.width)
    }

    /// Elements that the task with the largest phase needs.
    fn task_len(&self, vector: Vector) -> usize {
        self.parts.iter().flatten().map(|(part, cut)| cut.len(part, vector)).max().unwrap_or(0)
    }

    fn bytes(&self, vector: Vector) -> usize {
        self.task_len(vector).saturating_add(self.columns_len()).saturating_mul(vector.size)
    }

    /// Makes the cut smaller; false if it cannot be.
    fn shrink(&mut self) -> bool {
        if self.rows > 1 {
            self.set(self.channels, self.rows.div_ceil(2));
        } else if self.channels > self.unit {
            self.set(self.channels.div_ceil(2).next_multiple_of(self.unit), 1);
        } else {
            return self.parts.iter_mut().flatten().fold(false, |any, (_, cut)| cut.shrink() || any);
        }
        true
    }
}
