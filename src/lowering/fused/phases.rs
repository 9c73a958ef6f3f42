//! Input gradients of any stride: each phase of the input's cells is a convolution of stride 1 of its own.
//!
//! A task computes a block of channels of some rows of one plane. For each phase of rows it computes the phases of
//! columns one after the other, and then puts their cells side by side. Long rows are cut into strips of all phases, row by row.

use std::ops::Range;

use ndarray::{ArrayView2, ArrayView5, ArrayViewMut2, ArrayViewMut3, Axis, s};

use super::Task;
use super::line::{Part, first_or_last, part_lengths};
use super::phase_cut::PhaseCut;
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
    /// Cells of one task: rows of all phases, or a strip of a row that is too long to be copied as a whole.
    band: usize,
    is_strip: bool,
    /// By plane, row and column; `None` where no tap reads a phase.
    parts: Vec<Option<PhasePart>>,
    /// Elements of all phases of columns.
    columns_len: usize,
    slot_len: usize,
    /// Whether the batch's gradients are so many that they go to memory: the next channel's cells are asked for.
    is_far: bool,
}

/// The convolution of one phase.
#[derive(Debug, Clone)]
struct PhasePart {
    phase: Phase,
    /// All of it, or its strips one after the other.
    strips: Vec<Part>,
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
        let geometries: Vec<_> = phases.iter().map(|phase| &phase.geometry).collect();
        let cuts = std::iter::once(None).chain(strip_lengths(&geometries).map(Some)).map(|windows| {
            let cut = PhaseCut::fitting((geometry, &geometries), windows, vector, workspace_bytes);
            (windows, cut)
        });
        let (windows, cut) = first_or_last(cuts, |(_, cut)| cut.bytes(vector) <= workspace_bytes)?;
        let (columns_len, task_len, channels) = (cut.columns_len(), cut.task_len(vector), cut.channels);
        let [_, rows, columns] = counts;
        let band = windows.map_or(cut.rows * rows * input[2], |windows| windows * columns);
        let mut end = 0;
        let parts = phases.into_iter().zip(cut.parts).map(|(phase, part)| {
            let (whole, (_, cut)) = (&phase.geometry, part?);
            let strips = match windows {
                Some(windows) => Part::all(whole, windows, vector, &cut),
                None => vec![Part::whole(whole.clone(), vector, cut)],
            };
            let start = end;
            end += weights_len(whole, &strips.first()?.layout, vector);
            Some(PhasePart { phase, strips, weights: start..end })
        });
        let parts = parts.collect();
        let slack = 3 * ALIGNMENT_BYTES / vector.size;
        let slot_len = task_len.saturating_add(columns_len).saturating_add(slack);
        let bytes = geometry.input_shape().into_iter().fold(vector.size, usize::saturating_mul);
        let is_strip = windows.is_some();
        Some(Self { counts, input, channels, band, is_strip, parts, columns_len, slot_len, is_far: bytes > FAR_BYTES })
    }

    /// Elements of the scratch memory of one lane.
    pub fn slot_len(&self) -> usize {
        self.slot_len
    }

    /// The kernels `[OC, C/g · taps]` of the convolution, packed for each phase.
    pub fn pack_weights<T: Element>(&self, kernels: ArrayView2<'_, T>, geometry: &ConvGeometry) -> Vec<T> {
        let mut packed = vec![];
        for PhasePart { phase, strips, .. } in self.parts.iter().flatten() {
            // Strips have the same kernels, in the same order.
            let layout = &strips.first().expect("a strip or more").layout;
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
        let rows = if self.is_strip { width } else { self.band };
        let pieces = channel_blocks(output, group, |all| full_blocks(all, self.channels)).flat_map(
            move |(image, channel, cells)| {
                blocks(cells, Axis(1), height * width).flat_map(move |(start, plane)| {
                    let plane_number = start / (height * width);
                    blocks(plane, Axis(1), rows).flat_map(move |(first, rows)| {
                        let place = [plane_number, first / width];
                        blocks(rows, Axis(1), self.band)
                            .map(move |(cell, piece)| (image, channel, (place, cell / self.band), piece))
                    })
                })
            },
        );
        parallel::for_each(
            pieces,
            workspace,
            self.slot_len,
            |(image, channel, (place, strip), mut piece), slot: &mut [T]| {
                let (columns, slot) = aligned(slot).split_at_mut(self.columns_len);
                let width = if self.is_strip { piece.ncols() } else { width };
                for row in 0..self.counts[1].min(piece.ncols() / width) {
                    let (first, are_finite) = (channel % group, *are_finite);
                    let band = Band { phases: self, weights, are_finite, groups, first, place, row, strip, width };
                    band.run((grad_output, image, channel / group), piece.view_mut(), (columns, slot));
                }
                epilogue.apply(channel, piece);
            },
        );
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
    /// Number of the strip, or 0.
    strip: usize,
    /// Cells of a row, or of the strip.
    width: usize,
}

impl<T: Element> Band<'_, T> {
    fn run(
        &self,
        (grad_output, image, group): (ArrayView5<'_, T>, usize, usize),
        mut piece: ArrayViewMut2<'_, T>,
        (columns, slot): (&mut [T], &mut [T]),
    ) {
        let (&Phases { counts: [planes, rows, step], columns_len, .. }, width) = (self.phases, self.width);
        let (channels, lines) = (piece.nrows(), (piece.ncols() / width - self.row).div_ceil(rows));
        let parts = (self.place[0] % planes * rows + (self.place[1] + self.row) % rows) * step;
        let parts = &self.phases.parts[parts..parts + step];
        let area = columns_len / step;
        let span = |column: usize| width.saturating_sub(column).div_ceil(step);
        for (column, (part, cells)) in parts.iter().zip(columns.chunks_exact_mut(area)).enumerate() {
            let Some(PhasePart { strips, weights, .. }) = part else { continue };
            let Some(Part { geometry: g, layout, columns: read }) = strips.get(self.strip) else { continue };
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
            task.run(Image::of(g, grad_output, image, group).columns(read.clone()), slot);
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

/// Columns of windows of a phase in a strip, if all phases may be cut so.
fn strip_lengths(phases: &[&ConvGeometry]) -> impl Iterator<Item = usize> {
    let read = phases.iter().copied().filter(|phase| phase.taps() > 0);
    let are_possible = read.clone().all(|phase| part_lengths(phase).next().is_some());
    read.take(usize::from(are_possible)).flat_map(part_lengths)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ConvOptions;

    #[test]
    fn a_gradient_needs_no_more_memory_than_it_may_have() {
        let line = |stride: usize| ConvOptions::<1>::new().stride([stride]).padding(crate::Padding::symmetric([4]));
        let planes = ConvOptions::<2>::new().stride([2, 2]);
        for geometry in [
            line(4).geometry(&[2, 64, 16000], &[128, 64, 9]).unwrap(),
            line(3).geometry(&[2, 64, 16001], &[128, 64, 10]).unwrap(),
            // Windows of rows are on the lanes.
            planes.geometry(&[2, 32, 161, 700], &[1, 32, 5, 20]).unwrap(),
            planes.geometry(&[2, 3, 224, 1000], &[256, 3, 7, 7]).unwrap(),
            planes.geometry(&[1, 128, 9, 20000], &[256, 128, 3, 5]).unwrap(),
        ] {
            for (bytes, vector) in [2 << 20, 256 << 10]
                .into_iter()
                .flat_map(|bytes| [Vector::of::<f32>(), Vector::of::<f64>()].map(|vector| (bytes, vector)))
            {
                let phases = Phases::new(&geometry, vector, bytes).unwrap();
                assert!(
                    phases.slot_len() * vector.size <= bytes + 512,
                    "{} bytes: {geometry:?}",
                    phases.slot_len() * vector.size
                );
            }
        }
    }
}
