//! The definition of each operation as nested loops, with the innermost one along a row.
//!
//! It needs next to no memory and no dense product: right for tiny problems and for kernels that see
//! few channels, and slow for all others.

use ndarray::{ArrayView2, ArrayView3, ArrayView5, ArrayViewMut2, ArrayViewMut3, ArrayViewMut5, Axis, s};

use super::patches::{PatchSink, PatchSource, segments};
use super::pieces::{MIN_PIECES, block_length, blocks, channel_blocks, full_blocks};
use super::{Epilogue, Job, group_image};
use crate::element::Element;
use crate::geometry::ConvGeometry;
use crate::parallel;

/// Products that are added up before their sum joins the others: long sums lose fewer digits this way.
const BLOCK_ROWS: usize = 64;

/// Elements of scratch memory a lane: two rows of windows.
pub(super) fn slot_len(geometry: &ConvGeometry) -> usize {
    2 * geometry.axes[2].output
}

/// One task an output channel of an image.
pub(super) fn forward<T: Element>(
    job: &Job,
    weight: ArrayView2<'_, T>,
    input: ArrayView5<'_, T>,
    epilogue: Epilogue<'_, T>,
    (output, workspace): (ArrayViewMut3<'_, T>, &mut [T]),
) {
    let g = &job.geometry;
    let planes = channel_blocks(output, g.out_channels, |all| full_blocks(all, 1));
    parallel::for_each(planes, workspace, slot_len(g), |(image, channel, mut plane), slot: &mut [T]| {
        let (sums, block) = slot.split_at_mut(g.axes[2].output);
        let kernel = weight.row(channel);
        let source = PatchSource::new(g, group_image(g, input, image, channel / g.group_out_channels()));
        for segment in segments(g, 0..g.windows()) {
            sums.fill(T::zero());
            for start in (0..kernel.len()).step_by(BLOCK_ROWS) {
                block.fill(T::zero());
                for row in start..(start + BLOCK_ROWS).min(kernel.len()) {
                    let factor = kernel[row];
                    match source.line(row, &segment) {
                        Some((cells, tap)) => tap.gather_scaled(cells, factor, segment.windows.clone(), block),
                        // A zero times a weight that is not finite is not a zero.
                        None => block.iter_mut().for_each(|sum| *sum += factor * T::zero()),
                    }
                }
                sums.iter_mut().zip(&*block).for_each(|(sum, &part)| *sum += part);
            }
            plane.slice_mut(s![0, segment.place]).iter_mut().zip(&*sums).for_each(|(out, &sum)| *out = sum);
        }
        epilogue.apply(channel, plane);
    });
}

/// One task an input channel of an image: every output row is spread over the cells it was read from.
pub(super) fn input_grad<T: Element>(
    job: &Job,
    weight: ArrayView2<'_, T>,
    grad_output: ArrayView3<'_, T>,
    epilogue: Epilogue<'_, T>,
    (input_grad, workspace): (ArrayViewMut5<'_, T>, &mut [T]),
) {
    let g = &job.geometry;
    let planes = channel_blocks(input_grad, g.in_channels, |all| full_blocks(all, 1));
    let (ins, outs, taps) = (g.group_in_channels(), g.group_out_channels(), g.taps());
    parallel::for_each(planes, workspace, slot_len(g), |(image, channel, mut plane), slot: &mut [T]| {
        let line = &mut slot[..g.axes[2].output];
        plane.fill(T::zero());
        let mut sink = PatchSink::new(g, plane);
        let (group, first_row) = (channel / ins, channel % ins * taps);
        for out in group * outs..(group + 1) * outs {
            for segment in segments(g, 0..g.windows()) {
                load(line, grad_output.slice(s![image, out, segment.place.clone()]).iter());
                for tap in 0..taps {
                    sink.scatter_row(tap, &segment, line, weight[[out, first_row + tap]]);
                }
            }
        }
        epilogue.apply(channel, sink.into_image());
    });
}

/// One task a part of a kernel; each weight is summed over images and rows in order.
pub(super) fn weight_grad<T: Element>(
    job: &Job,
    input: ArrayView5<'_, T>,
    grad_output: ArrayView3<'_, T>,
    (weight_grad, workspace): (ArrayViewMut2<'_, T>, &mut [T]),
) {
    let g = &job.geometry;
    let rows = block_length(g.patch_rows(), MIN_PIECES.div_ceil(g.out_channels.max(1)), 1);
    let parts = blocks(weight_grad, Axis(0), 1)
        .flat_map(move |(channel, kernel)| blocks(kernel, Axis(1), rows).map(move |(row, part)| (channel, row, part)));
    parallel::for_each(parts, workspace, slot_len(g), |(channel, first_row, mut part), slot: &mut [T]| {
        let line = &mut slot[..g.axes[2].output];
        part.fill(T::zero());
        for image in 0..g.batch {
            let source = PatchSource::new(g, group_image(g, input, image, channel / g.group_out_channels()));
            for segment in segments(g, 0..g.windows()) {
                load(line, grad_output.slice(s![image, channel, segment.place.clone()]).iter());
                for (offset, sum) in part.iter_mut().enumerate() {
                    *sum += match source.line(first_row + offset, &segment) {
                        Some((cells, tap)) => tap.dot(cells, line, segment.windows.clone()),
                        None => line.iter().map(|&grad| grad * T::zero()).sum(),
                    };
                }
            }
        }
    });
}

fn load<'a, T: Element>(line: &mut [T], values: impl Iterator<Item = &'a T>) {
    line.iter_mut().zip(values).for_each(|(cell, &value)| *cell = value);
}
