//! A tile of the output by the microkernel, wherever its windows lie.

use ndarray::{ArrayView2, ArrayViewMut1, ArrayViewMut2, Axis};

use super::pieces::blocks;
use super::runs::copy_short;
use crate::element::Element;
use crate::gemm::{Finish, Kernel, Panels, Store};
use crate::simd::Input;

/// Channels of the widest tile.
pub(super) const MOST_CHANNELS: usize = 14;

/// A tile of channels for some windows, with weights that begin with its own.
pub(super) fn multiply_tile<T: Element>(
    panels: Panels<'_, T>,
    weights: &[T],
    (store, finish, to): (Store, Finish<'_, T>, ArrayViewMut2<'_, T>),
    buffer: &mut [T],
    next: &mut Input<T>,
) {
    let kernel = Kernel::<T>::best();
    let (channels, windows) = to.dim();
    let straight = match to.strides()[1] {
        1 if panels.last(windows, kernel.vector).is_some() => windows,
        1 => windows & !(kernel.vector - 1),
        _ => 0,
    };
    let (whole, rest) = to.split_at(Axis(1), straight);
    if straight > 0 {
        kernel.multiply_panels(panels, weights, (store, finish, &mut lines(whole)[..channels]), next);
    }
    let starting = Finish { bounds: None, ..finish };
    for (start, mut tile) in blocks(rest, Axis(1), panels.lanes) {
        let padded = kernel.padded(tile.ncols());
        let sums = &mut buffer[..channels * padded];
        let mut rest = sums.chunks_exact_mut(padded);
        let mut lines: [&mut [T]; MOST_CHANNELS] = std::array::from_fn(|_| rest.next().unwrap_or_default());
        let panels = Panels { cells: panels.from(straight + start), ..panels };
        kernel.multiply_panels(panels, weights, (Store::Overwrite, starting, &mut lines[..channels]), next);
        let sums = ArrayView2::from_shape((channels, padded), sums).expect("the sums of a tile");
        store_tile(sums, store, tile.view_mut());
        if finish.bounds.is_some() {
            tile.map_inplace(|to| *to = finish.bound(*to));
        }
    }
}

/// The lines of a tile, each side by side, and empty ones.
pub(super) fn lines<T>(tile: ArrayViewMut2<'_, T>) -> [&mut [T]; MOST_CHANNELS] {
    let mut lines = tile.into_outer_iter_mut();
    std::array::from_fn(|_| lines.next().and_then(ArrayViewMut1::into_slice).unwrap_or_default())
}

/// Writes the first columns of `sums` to the output, or adds them to it.
#[inline(never)]
fn store_tile<T: Element>(sums: ArrayView2<'_, T>, store: Store, mut tile: ArrayViewMut2<'_, T>) {
    for (mut to, from) in tile.rows_mut().into_iter().zip(sums.rows()) {
        match (store, to.as_slice_mut(), from.as_slice()) {
            (Store::Overwrite, Some(to), Some(from)) => copy_short(to, &from[..to.len()]),
            (Store::Add, Some(to), Some(from)) => to.iter_mut().zip(from).for_each(|(to, &sum)| *to += sum),
            (Store::Overwrite, ..) => to.iter_mut().zip(from).for_each(|(to, &sum)| *to = sum),
            (Store::Add, ..) => to.iter_mut().zip(from).for_each(|(to, &sum)| *to += sum),
        }
    }
}
