//! A tile of the output by the microkernel, wherever its windows lie.

use ndarray::{ArrayView2, ArrayViewMut2};

use super::runs::copy_short;
use crate::element::Element;
use crate::gemm::{Kernel, Operands, Store};

/// One tile of the output, of channels × windows.
#[inline(always)]
pub(super) fn multiply_tile<T: Element>(
    operands: Operands<'_, T>,
    store: Store,
    (tile, is_contiguous): (ArrayViewMut2<'_, T>, bool),
    buffer: &mut [T],
) {
    let kernel = Kernel::<T>::best();
    let lanes = kernel.padded(tile.ncols());
    if lanes == 0 {
        return;
    }
    if is_contiguous && lanes == tile.ncols() {
        return kernel.run(operands, store, tile);
    }
    let columns = tile.nrows();
    let mut sums = ArrayViewMut2::from_shape((columns, lanes), &mut buffer[..columns * lanes])
        .expect("the buffer holds the largest tile");
    kernel.run(operands, Store::Overwrite, sums.view_mut());
    store_tile(sums.view(), store, tile);
}

/// Writes the first columns of `sums` to the output, or adds them to it.
#[inline(never)]
pub(super) fn store_tile<T: Element>(sums: ArrayView2<'_, T>, store: Store, mut tile: ArrayViewMut2<'_, T>) {
    for (mut to, from) in tile.rows_mut().into_iter().zip(sums.rows()) {
        match (store, to.as_slice_mut(), from.as_slice()) {
            (Store::Overwrite, Some(to), Some(from)) => copy_short(to, &from[..to.len()]),
            (Store::Add, Some(to), Some(from)) => to.iter_mut().zip(from).for_each(|(to, &sum)| *to += sum),
            (Store::Overwrite, ..) => to.iter_mut().zip(from).for_each(|(to, &sum)| *to = sum),
            (Store::Add, ..) => to.iter_mut().zip(from).for_each(|(to, &sum)| *to += sum),
        }
    }
}
