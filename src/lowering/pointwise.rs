//! A 1×1 kernel without stride or padding: the input *is* the patch matrix, and nothing is copied.

use ndarray::{ArrayView2, ArrayView3, ArrayViewMut2, ArrayViewMut3, Axis, s};

use super::pieces::{MIN_PIECES, block_length, blocks, entries};
use super::{Epilogue, Job, group_rows};
use crate::element::Element;
use crate::gemm::{Store, matmul};
use crate::parallel;

/// `W · X`, one task a block of cells of an image and group.
pub(super) fn forward<T: Element>(
    job: &Job,
    weight: ArrayView2<'_, T>,
    input: ArrayView3<'_, T>,
    epilogue: Epilogue<'_, T>,
    output: ArrayViewMut3<'_, T>,
) {
    let g = &job.geometry;
    let (ins, outs) = (g.group_in_channels(), g.group_out_channels());
    multiply(job, (ins, outs), input, epilogue, output, |group| group_rows(weight, group * outs, outs));
}

/// `Wᵀ · dY`, the same with the roles of the channels exchanged.
pub(super) fn input_grad<T: Element>(
    job: &Job,
    weight: ArrayView2<'_, T>,
    grad_output: ArrayView3<'_, T>,
    epilogue: Epilogue<'_, T>,
    input_grad: ArrayViewMut3<'_, T>,
) {
    let g = &job.geometry;
    let (ins, outs) = (g.group_in_channels(), g.group_out_channels());
    let kernels = |group| group_rows(weight, group * outs, outs).reversed_axes();
    multiply(job, (outs, ins), grad_output, epilogue, input_grad, kernels);
}

/// `to[group] = matrix(group) · from[group]` for every image and group, whose channels are `(from, to)`.
fn multiply<'w, T: Element>(
    job: &Job,
    (from_channels, to_channels): (usize, usize),
    from: ArrayView3<'_, T>,
    epilogue: Epilogue<'_, T>,
    to: ArrayViewMut3<'_, T>,
    matrix: impl Fn(usize) -> ArrayView2<'w, T> + Sync,
) {
    let tasks = (job.geometry.batch * job.geometry.groups).max(1);
    let cells = from.len_of(Axis(2));
    // Cut the longer side of a small batch's product.
    let axis = if to_channels > cells { Axis(0) } else { Axis(1) };
    let length = block_length(if axis == Axis(0) { to_channels } else { cells }, MIN_PIECES.div_ceil(tasks), 64);
    let pieces = entries(to).flat_map(move |(image, channels)| {
        blocks(channels, Axis(0), to_channels).enumerate().flat_map(move |(group, (_, block))| {
            blocks(block, axis, length).map(move |(start, piece)| (image, group, start, piece))
        })
    });
    parallel::for_each(pieces, &mut [], 0, |(image, group, start, mut piece), _: &mut [T]| {
        let (row, column) = if axis == Axis(0) { (start, 0) } else { (0, start) };
        let (m, n) = piece.dim();
        let matrix = matrix(group);
        let from = from.slice(s![image, group * from_channels..(group + 1) * from_channels, column..column + n]);
        matmul(job.dense, matrix.slice(s![row..row + m, ..]), from, Store::Overwrite, piece.view_mut());
        epilogue.apply(group * to_channels + row, piece);
    });
}

/// `dY · Xᵀ`, summed over the images in order, one task a block of input channels.
pub(super) fn weight_grad<T: Element>(
    job: &Job,
    input: ArrayView3<'_, T>,
    grad_output: ArrayView3<'_, T>,
    weight_grad: ArrayViewMut2<'_, T>,
) {
    let g = &job.geometry;
    let (ins, outs) = (g.group_in_channels(), g.group_out_channels());
    let length = block_length(ins, MIN_PIECES.div_ceil(g.groups), 16);
    let pieces = blocks(weight_grad, Axis(0), outs).enumerate().flat_map(move |(group, (_, kernels))| {
        blocks(kernels, Axis(1), length).map(move |(channel, piece)| (group, channel, piece))
    });
    parallel::for_each(pieces, &mut [], 0, |(group, channel, mut piece), _: &mut [T]| {
        piece.fill(T::zero());
        let first = group * ins + channel;
        for image in 0..g.batch {
            let grad = grad_output.slice(s![image, group * outs..(group + 1) * outs, ..]);
            let cells = input.slice(s![image, first..first + piece.ncols(), ..]);
            matmul(job.dense, grad, cells.reversed_axes(), Store::Add, piece.view_mut());
        }
    });
}
