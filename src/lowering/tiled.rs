//! The patch matrix by tiles that fit a bounded workspace, with a dense product on each.

use ndarray::{ArrayView2, ArrayView3, ArrayView5, ArrayViewMut2, ArrayViewMut3, ArrayViewMut5, Axis, s};

use super::patches::{PatchSink, PatchSource};
use super::pieces::{MIN_PIECES, block_length, blocks, channel_blocks, full_blocks};
use super::{Epilogue, Job, Pass, group_image, group_rows};
use crate::element::Element;
use crate::gemm::{Store, matmul};
use crate::parallel;

/// A tile of the patch matrix, and the output channels that one task computes from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tile {
    pub rows: usize,
    pub columns: usize,
    pub out_channels: usize,
}

impl Tile {
    pub fn len(self) -> usize {
        self.rows * self.columns
    }
}

/// A tile larger than this falls out of the L2 of common machines, between being written and read.
pub(super) const CACHED_BYTES: usize = 512 << 10;

/// Columns under which a dense product spends more on packing the kernels than it gains.
const MIN_COLUMNS: usize = 128;

/// Products of each sum in a tile, at least, however small the workspace: sums of fewer, added one after the other, would
/// lose more digits than the textbook's.
const MIN_PRODUCTS: usize = 64;

/// The tile of `job` for elements of `size` bytes: within the workspace and the L2, and cut so that even
/// one image gives every thread something to do.
pub(super) fn tile(job: &Job, size: usize, bytes: usize) -> Tile {
    let g = &job.geometry;
    let budget = (bytes / size).max(1);
    let (rows, windows) = (g.patch_rows().max(1), g.windows().max(1));
    let narrow = windows.min(MIN_COLUMNS);
    let within = |wanted: usize, unit: usize| (wanted.min((budget / narrow).max(MIN_PRODUCTS)) / unit * unit).max(unit);
    let tasks = g.batch * g.groups;
    match job.pass {
        Pass::Forward => {
            let rows = within(rows, 1);
            let columns = (budget / rows).min(block_length(windows, MIN_PIECES.div_ceil(tasks.max(1)), 64)).max(1);
            let missing = MIN_PIECES.div_ceil((tasks * windows.div_ceil(columns)).max(1));
            Tile { rows, columns, out_channels: block_length(g.group_out_channels(), missing, 32) }
        }
        Pass::InputGrad => {
            let taps = g.taps();
            let channels = block_length(g.group_in_channels(), MIN_PIECES.div_ceil(tasks.max(1)), 1);
            let rows = within(channels * taps, taps);
            Tile { rows, columns: (budget / rows).clamp(1, windows), out_channels: usize::MAX }
        }
        Pass::WeightGrad => {
            let rows = block_length(rows, MIN_PIECES.div_ceil(g.groups), 16).min((budget / narrow).max(1));
            let columns = (budget / rows).clamp(windows.min(MIN_PRODUCTS), windows);
            Tile { rows, columns, out_channels: usize::MAX }
        }
    }
}

/// One task a block of windows (and of output channels, where there would be too few tasks): it reads
/// its tiles of the patch matrix one above the other and adds their products.
pub(super) fn forward<T: Element>(
    job: &Job,
    tile: Tile,
    weight: ArrayView2<'_, T>,
    input: ArrayView5<'_, T>,
    epilogue: Epilogue<'_, T>,
    (output, workspace): (ArrayViewMut3<'_, T>, &mut [T]),
) {
    let g = &job.geometry;
    let blocks_of_channels = channel_blocks(output, g.group_out_channels(), |all| full_blocks(all, tile.out_channels));
    let pieces = blocks_of_channels.flat_map(move |(image, channel, rows)| {
        blocks(rows, Axis(1), tile.columns).map(move |(column, piece)| (image, channel, column, piece))
    });
    parallel::for_each(pieces, workspace, tile.len(), |(image, channel, column, mut piece), slot: &mut [T]| {
        let source = PatchSource::new(g, group_image(g, input, image, channel / g.group_out_channels()));
        let (m, n) = piece.dim();
        let kernels = group_rows(weight, channel, m);
        let mut store = Store::Overwrite;
        for row in (0..g.patch_rows()).step_by(tile.rows.max(1)) {
            let rows = row..(row + tile.rows).min(g.patch_rows());
            let block = &mut slot[..rows.len() * n];
            source.write(rows.clone(), column..column + n, block);
            let patches = matrix(rows.len(), n, block);
            matmul(job.dense, kernels.slice(s![.., rows]), patches, store, piece.view_mut());
            store = Store::Add;
        }
        if store == Store::Overwrite {
            piece.fill(T::zero());
        }
        epilogue.apply(channel, piece);
    });
}

/// One task a block of input channels of an image: `Wᵀ · dY` by tiles, each added back to the cells that
/// its rows were read from (col2im).
pub(super) fn input_grad<T: Element>(
    job: &Job,
    tile: Tile,
    weight: ArrayView2<'_, T>,
    grad_output: ArrayView3<'_, T>,
    epilogue: Epilogue<'_, T>,
    (input_grad, workspace): (ArrayViewMut5<'_, T>, &mut [T]),
) {
    let g = &job.geometry;
    let (taps, ins, outs) = (g.taps(), g.group_in_channels(), g.group_out_channels());
    let pieces = channel_blocks(input_grad, ins, |all| full_blocks(all, tile.rows / taps));
    parallel::for_each(pieces, workspace, tile.len(), |(image, channel, mut piece), slot: &mut [T]| {
        piece.fill(T::zero());
        let (group, first_row, rows) = (channel / ins, channel % ins * taps, piece.dim().0 * taps);
        let kernels = group_rows(weight, group * outs, outs);
        let kernels = kernels.slice(s![.., first_row..first_row + rows]).reversed_axes();
        let mut sink = PatchSink::new(g, piece);
        for column in (0..g.windows()).step_by(tile.columns) {
            let columns = column..(column + tile.columns).min(g.windows());
            let block = &mut slot[..rows * columns.len()];
            let grad = grad_output.slice(s![image, group * outs..(group + 1) * outs, columns.clone()]);
            let product =
                ndarray::ArrayViewMut2::from_shape((rows, columns.len()), &mut *block).expect("cut to this size");
            matmul(job.dense, kernels, grad, Store::Overwrite, product);
            sink.scatter(columns, block);
        }
        epilogue.apply(channel, sink.into_image());
    });
}

/// One task a block of rows of the patch matrix, which are columns of the gradient: `dY · Colsᵀ`, summed
/// over images and tiles in order.
pub(super) fn weight_grad<T: Element>(
    job: &Job,
    tile: Tile,
    input: ArrayView5<'_, T>,
    grad_output: ArrayView3<'_, T>,
    (weight_grad, workspace): (ArrayViewMut2<'_, T>, &mut [T]),
) {
    let g = &job.geometry;
    let outs = g.group_out_channels();
    let pieces = blocks(weight_grad, Axis(0), outs).flat_map(move |(channel, kernels)| {
        blocks(kernels, Axis(1), tile.rows).map(move |(row, piece)| (channel, row, piece))
    });
    parallel::for_each(pieces, workspace, tile.len(), |(channel, row, mut piece), slot: &mut [T]| {
        piece.fill(T::zero());
        let rows = piece.ncols();
        for image in 0..g.batch {
            let source = PatchSource::new(g, group_image(g, input, image, channel / outs.max(1)));
            for column in (0..g.windows()).step_by(tile.columns) {
                let columns = column..(column + tile.columns).min(g.windows());
                let block = &mut slot[..rows * columns.len()];
                source.write(row..row + rows, columns.clone(), block);
                let patches = matrix(rows, columns.len(), block);
                let grad = grad_output.slice(s![image, channel..channel + outs, columns]);
                matmul(job.dense, grad, patches.reversed_axes(), Store::Add, piece.view_mut());
            }
        }
    });
}

fn matrix<T>(rows: usize, columns: usize, block: &[T]) -> ArrayView2<'_, T> {
    ArrayView2::from_shape((rows, columns), block).expect("the block was cut to this size")
}
