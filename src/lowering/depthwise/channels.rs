//! Channels on the vector lanes: the rule, where there are enough of them.
//!
//! Sixteen channels at a time are turned, so that a vector holds the same cell of all of them, into a copy with zeros
//! around it. Then each output is a short sum of vectors whatever the kernel, stride or width, and is turned back.
//! An input gradient is that of its output's gradient, with other kernel cells for each phase of the input's cells.

use ndarray::{ArrayView2, ArrayView4, ArrayView5, ArrayViewMut2, ArrayViewMut3, Axis, s};

use super::cells::Cells;
use super::sums::{Outputs, Sums};
use super::{applies, has_lanes, regions, task_groups};
use crate::element::Element;
use crate::geometry::{ConvGeometry, Phase};
use crate::lowering::Epilogue;
use crate::lowering::fused::phase_kernels;
use crate::lowering::pieces::{blocks, channel_blocks, full_blocks};
use crate::lowering::scratch::{ALIGNMENT_BYTES, aligned};
use crate::lowering::turned::turn_back;
use crate::parallel;
use crate::simd::{SIDE, arch};

/// Everything that is known before the arrays come.
#[derive(Debug, Clone)]
pub(crate) struct Channels {
    /// What is turned: its windows are all that the phases read.
    read: ConvGeometry,
    cells: Cells,
    /// Cells of each axis of the output.
    output: [usize; 3],
    /// Phases on each axis of the output, and all of them by plane, row and column.
    phases: [usize; 3],
    parts: Vec<Part>,
    /// Groups of one task.
    groups: usize,
    /// Elements of the turned cells and outputs.
    lens: [usize; 2],
    slack: usize,
}

/// The outputs of one phase.
#[derive(Debug, Clone)]
struct Part {
    /// Which of the kernel's cells it reads; all of them in a forward pass.
    phase: Option<Phase>,
    /// Where the cells that they read lie in a window.
    offsets: Vec<usize>,
    /// Where its packed weights begin.
    weights: usize,
}

/// Whether an input gradient can be computed so, whatever its stride.
pub(crate) fn has_input_grad(geometry: &ConvGeometry) -> bool {
    let is_possible = |phase: &Phase| applies(&phase.geometry) && Cells::applies(&phase.geometry);
    geometry.phases().is_some_and(|phases| phases.iter().all(is_possible))
}

impl Channels {
    /// `None` if another way is better, or must be taken.
    pub fn forward(geometry: &ConvGeometry, size: usize, workspace_bytes: usize) -> Option<Self> {
        if !has_lanes(geometry) {
            return None;
        }
        let output = geometry.axes.map(|axis| axis.output);
        let cells = Cells::new(geometry, output[2], size, workspace_bytes)?;
        let part = Part { phase: None, offsets: cells.window_offsets(geometry), weights: 0 };
        Some(Self::new((geometry.clone(), cells), (output, [1; 3]), vec![part], size))
    }

    /// The same for the input gradient of `geometry`.
    pub fn input_grad(geometry: &ConvGeometry, size: usize, workspace_bytes: usize) -> Option<Self> {
        if !has_input_grad(geometry) {
            return None;
        }
        let (phases, output) = (geometry.phases()?, geometry.axes.map(|axis| axis.input));
        let counts = geometry.phase_counts();
        let read = all_windows(&phases);
        let cells = Cells::new(&read, counts[1].saturating_mul(output[2]), size, workspace_bytes)?;
        let mut weights = 0;
        let parts = phases.into_iter().map(|phase| {
            let axes = phase.geometry.axes;
            let first = std::array::from_fn(|axis| read.axes[axis].pad_before - axes[axis].pad_before);
            let start = weights;
            weights += geometry.groups.next_multiple_of(SIDE) * geometry.group_in_channels() * phase.geometry.taps();
            Part { offsets: cells.offsets(axes, first), phase: Some(phase), weights: start }
        });
        let parts = parts.collect();
        Some(Self::new((read, cells), (output, counts), parts, size))
    }

    fn new(
        (read, cells): (ConvGeometry, Cells),
        (output, phases): ([usize; 3], [usize; 3]),
        parts: Vec<Part>,
        size: usize,
    ) -> Self {
        let groups = task_groups(&read, output.iter().product()).next_multiple_of(SIDE);
        let lens = [cells.len(&read), cells.rows * phases[1] * output[2] * SIDE];
        Self { read, cells, output, phases, parts, groups, lens, slack: 2 * ALIGNMENT_BYTES / size }
    }

    /// Elements of the scratch memory of one lane, with room to align its parts.
    pub fn slot_len(&self) -> usize {
        self.lens.iter().sum::<usize>() + self.slack
    }

    /// The kernels `[OC, C/g · taps]` of the convolution, packed for each phase.
    pub fn pack_weights<T: Element>(&self, kernels: ArrayView2<'_, T>, geometry: &ConvGeometry) -> Vec<T> {
        let mut packed = vec![];
        for Part { phase, .. } in &self.parts {
            match phase {
                Some(phase) => pack(phase_kernels(kernels, geometry, phase).view(), geometry.groups, &mut packed),
                None => pack(kernels, geometry.groups, &mut packed),
            }
        }
        packed
    }

    /// `output [N, channels, cells]`, finished by the epilogue.
    pub fn run<T: Element>(
        &self,
        weights: &[T],
        input: ArrayView5<'_, T>,
        epilogue: Epilogue<'_, T>,
        (output, workspace): (ArrayViewMut3<'_, T>, &mut [T]),
    ) {
        let outs = self.read.group_out_channels();
        let pieces = channel_blocks(output, self.read.out_channels, |all| full_blocks(all, self.groups * outs));
        parallel::for_each(pieces, workspace, self.slot_len(), |(image, first, mut piece), slot: &mut [T]| {
            let (turned, rest) = aligned(slot).split_at_mut(self.lens[0]);
            let outputs = &mut aligned(rest)[..self.lens[1]];
            // Nothing writes to the columns around the image.
            turned.fill(T::zero());
            for (start, output) in blocks(piece.view_mut(), Axis(0), SIDE * outs) {
                let groups = (first + start) / outs..(first + start + output.nrows()) / outs;
                let input = input.slice(s![image, groups.clone(), .., .., ..]);
                self.block((weights, groups.start), input, output, [&mut *turned, &mut *outputs]);
            }
            epilogue.apply(first, piece);
        });
    }

    /// The outputs `[channels, cells]` of at most sixteen groups from `group` on, whose images are given.
    fn block<T: Element>(
        &self,
        (weights, group): (&[T], usize),
        input: ArrayView4<'_, T>,
        mut output: ArrayViewMut2<'_, T>,
        [turned, outputs]: [&mut [T]; 2],
    ) {
        let outs = self.read.group_out_channels();
        let ([depth, height, width], [planes, rows, _]) = (self.output, self.phases);
        for region in regions(&self.read, self.cells.rows) {
            let [plane, row] = region.first;
            self.cells.turn(&self.read, input, (plane, row), turned);
            let lines = row * rows..((row + region.count[1]) * rows).min(height);
            let all_planes = plane * planes..((plane + 1) * planes).min(depth);
            for (phase, plane) in all_planes.enumerate() {
                let cells = (plane * height + lines.start) * width..(plane * height + lines.end) * width;
                let outputs = &mut outputs[..cells.len() * SIDE];
                for number in 0..outs {
                    self.plane((weights, group * outs, number), phase, turned, outputs);
                    let lines = output.slice_mut(s![number..;outs, ..]);
                    turn_back((outputs, SIDE), lines, cells.clone());
                }
            }
        }
    }

    /// Rows of outputs of one plane, which is in the given phase of planes.
    fn plane<T: Element>(
        &self,
        (weights, first, number): (&[T], usize, usize),
        phase: usize,
        turned: &[T],
        outputs: &mut [T],
    ) {
        let ([_, h, w], [_, rows, columns], width) = (self.read.axes, self.phases, self.output[2]);
        for (i, part) in self.parts[phase * rows * columns..][..rows * columns].iter().enumerate() {
            let (row, column) = (i / columns, i % columns);
            let taps = part.offsets.len();
            let weights = &weights[part.weights + (first + number * SIDE) * taps..][..taps * SIDE];
            // The last rows need not have all phases.
            let Some(outputs) = outputs.get_mut((row * width + column) * SIDE..) else { break };
            arch().dispatch(Sums {
                offsets: &part.offsets,
                weights,
                turned,
                steps: [h.stride * self.cells.pitch, w.stride],
                outputs: Outputs {
                    cells: outputs,
                    steps: [rows * width, columns],
                    columns: (width - column).div_ceil(columns),
                },
            });
        }
    }
}

/// A convolution of stride 1 with all windows of all phases, which read one source.
fn all_windows(phases: &[Phase]) -> ConvGeometry {
    let mut all = phases[0].geometry.clone();
    for (number, all) in all.axes.iter_mut().enumerate() {
        let axes = || phases.iter().map(|phase| phase.geometry.axes[number]);
        let before = axes().map(|axis| axis.pad_before).max().unwrap_or_default();
        let ends = axes().filter(|axis| axis.kernel > 0).map(|axis| before - axis.pad_before + axis.extent());
        (all.kernel, all.dilation, all.pad_before) = (ends.max().unwrap_or(1), 1, before);
    }
    all
}

/// Kernels `[channels, taps]`, in blocks of channels that lie side by side: `[block][multiplier][tap][channel]`.
fn pack<T: Element>(kernels: ArrayView2<'_, T>, groups: usize, packed: &mut Vec<T>) {
    let multiplier = kernels.nrows() / groups;
    packed.reserve(groups.next_multiple_of(SIDE) * multiplier * kernels.ncols());
    for first in (0..groups).step_by(SIDE) {
        for number in 0..multiplier {
            for tap in 0..kernels.ncols() {
                packed.extend((first..first + SIDE).map(|group| match group < groups {
                    true => kernels[[group * multiplier + number, tap]],
                    false => T::zero(),
                }));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ConvOptions;

    #[test]
    fn scratch_memory_is_bounded_where_there_is_enough_for_a_row() {
        let options = ConvOptions::<2>::new().groups(16).stride([2, 2]).padding(crate::Padding::symmetric([1, 1]));
        let geometry = options.geometry(&[1, 16, 40, 33], &[16, 1, 3, 3]).unwrap();
        let mut rows = vec![];
        for bytes in [1, 700, 9_000, 20_000, 60_000, 2 << 20] {
            let Some(channels) = Channels::input_grad(&geometry, 4, bytes) else { continue };
            assert!(channels.lens.iter().sum::<usize>() * 4 <= bytes, "{bytes} bytes");
            rows.push(channels.cells.rows);
        }
        assert!(rows.is_sorted() && rows[0] < rows[rows.len() - 1], "{rows:?}");
    }
}
