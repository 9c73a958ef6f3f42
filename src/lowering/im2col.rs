//! The textbook: the whole patch matrix of an image, and one dense product with the kernels as rows.
//!
//! Its gradients are those of the tiled algorithm with one tile.

use ndarray::{ArrayView2, ArrayView5, ArrayViewMut3, Axis};

use super::patches::PatchSource;
use super::pieces::{MIN_PIECES, block_length, blocks, entries};
use super::tiled::{self, Tile};
use super::{Epilogue, Job, group_image, group_rows};
use crate::element::Element;
use crate::gemm::{Store, matmul};
use crate::parallel;

/// The tile that is the whole matrix.
pub(super) fn tile(job: &Job) -> Tile {
    Tile { rows: job.geometry.patch_rows(), columns: job.geometry.windows(), out_channels: usize::MAX }
}

/// Whether there are images and groups enough to give each a task of its own.
pub(super) fn by_image(job: &Job) -> bool {
    job.geometry.batch * job.geometry.groups >= MIN_PIECES
}

/// With many images, one task an image and group. With few, the threads share each patch matrix: first
/// all write its rows, then all multiply, each a block of the output.
pub(super) fn forward<T: Element>(
    job: &Job,
    weight: ArrayView2<'_, T>,
    input: ArrayView5<'_, T>,
    epilogue: Epilogue<'_, T>,
    (output, workspace): (ArrayViewMut3<'_, T>, &mut [T]),
) {
    if by_image(job) {
        return tiled::forward(job, tile(job), weight, input, epilogue, (output, workspace));
    }
    let g = &job.geometry;
    let Tile { rows, columns, .. } = tile(job);
    let matrix = &mut workspace[..rows * columns];
    for (image, channels) in entries(output) {
        for (first_channel, block) in blocks(channels, Axis(0), g.group_out_channels()) {
            let source = PatchSource::new(g, group_image(g, input, image, first_channel / g.group_out_channels()));
            let height = block_length(rows, MIN_PIECES, 1);
            let strips = matrix.chunks_mut((height * columns).max(1)).enumerate();
            parallel::for_each(strips, &mut [], 0, |(index, strip), _: &mut [T]| {
                let first = index * height;
                source.write(first..(first + height).min(rows), 0..columns, strip);
            });
            let patches = ArrayView2::from_shape((rows, columns), &*matrix).expect("the matrix was cut to this size");
            let kernels = group_rows(weight, first_channel, block.nrows());
            // Cut the longer side: the other operand is then packed once a block.
            let axis = if block.nrows() > columns { Axis(0) } else { Axis(1) };
            let length = block_length(block.len_of(axis), MIN_PIECES, 64);
            parallel::for_each(blocks(block, axis, length), &mut [], 0, |(start, mut part), _: &mut [T]| {
                let (row, column) = if axis == Axis(0) { (start, 0) } else { (0, start) };
                let (m, n) = part.dim();
                let left = kernels.slice(ndarray::s![row..row + m, ..]);
                let right = patches.slice(ndarray::s![.., column..column + n]);
                matmul(job.dense, left, right, Store::Overwrite, part.view_mut());
                epilogue.apply(first_channel + row, part);
            });
        }
    }
}
