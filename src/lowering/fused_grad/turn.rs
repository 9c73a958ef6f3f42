//! Turning the output's gradient, and the sums back.

use ndarray::{ArrayView2, ArrayViewMut2, Axis};

use crate::element::Element;
use crate::gemm::Kernel;
use crate::lowering::pieces::blocks;
use crate::lowering::turned::turn_back;
use crate::simd::{Places, SIDE};

/// Writes `grad [output channels, windows]` to `[tile of channels][window][channel]` for the windows from `first` of
/// `count` on, with zeros where a tile has more lanes than channels.
pub(super) fn turn_grad<T: Element>(grad: ArrayView2<'_, T>, (first, count): (usize, usize), mut out: &mut [T]) {
    let kernel = Kernel::<T>::best();
    for channels in grad.axis_chunks_iter(Axis(0), kernel.lanes()) {
        let lanes = kernel.padded(channels.nrows());
        let (tile, rest) = std::mem::take(&mut out).split_at_mut(count * lanes);
        out = rest;
        turn(channels, lanes, &mut tile[first * lanes..][..channels.ncols() * lanes]);
    }
}

/// `to[column · step + row] = from[row, column]`, with zeros from the last row to `step`.
fn turn<T: Element>(from: ArrayView2<'_, T>, step: usize, to: &mut [T]) {
    let rows = from.nrows();
    let Some(lines) = slices(from).filter(|_| rows >= SIDE) else {
        for (column, to) in from.columns().into_iter().zip(to.chunks_exact_mut(step)) {
            to.iter_mut().zip(column).for_each(|(to, &cell)| *to = cell);
            to[rows..].fill(T::zero());
        }
        return;
    };
    for first in (0..rows).step_by(SIDE) {
        // The last block overlaps the one before it.
        let first = first.min(rows - SIDE);
        let to = Places { cells: &mut to[first..], place: |column| column * step };
        T::turn(std::array::from_fn(|i| lines(first + i)), to);
    }
    if rows < step {
        to.chunks_exact_mut(step).for_each(|to| to[rows..].fill(T::zero()));
    }
}

/// The rows of a matrix, if the cells of each lie side by side.
fn slices<'a, T>(matrix: ArrayView2<'a, T>) -> Option<impl Fn(usize) -> &'a [T]> {
    let is_sliced = matrix.ncols() <= 1 || matrix.strides()[1] == 1;
    is_sliced.then_some(move |row| matrix.index_axis_move(Axis(0), row).to_slice().expect("cells side by side"))
}

/// Writes `sums [rows of the patch matrix, output channels]`, in rows of `step`, to the gradient `[output channels, rows
/// of the patch matrix]`.
pub(super) fn turn_sums<T: Element>(sums: &[T], step: usize, to: ArrayViewMut2<'_, T>) {
    let rows = to.ncols();
    for (first, lines) in blocks(to, Axis(0), SIDE) {
        turn_back((&sums[first..rows * step], step), lines, 0..rows);
    }
}
