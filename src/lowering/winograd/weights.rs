//! The kernels, transformed and packed for products with channels on the lanes.

use ndarray::ArrayView2;

use super::Layout;
use crate::element::Element;

/// Packs the kernels `[OC, C/g · taps]`: by group and tile of channels, then by value of the transformed tile, then by input
/// channel.
pub(crate) fn pack_weights<T: Element>(kernels: ArrayView2<'_, T>, groups: usize, layout: &Layout) -> Vec<T> {
    let (outs, tile, [unit, most]) = (kernels.nrows() / groups, layout.tile, crate::gemm::channel_lanes::<T>());
    let (products, taps) = (tile.products(), tile.taps());
    let ins = kernels.ncols() / taps;
    let padded = outs.next_multiple_of(unit);
    let mut packed = vec![T::zero(); groups * padded * ins * products];
    for group in 0..groups {
        for first in (0..padded).step_by(most) {
            let width = most.min(padded - first);
            let start = (group * padded + first) * ins * products;
            for channel in first..(first + width).min(outs) {
                let row = kernels.row(group * outs + channel);
                for input in 0..ins {
                    let write = |value, u| {
                        packed[start + (value * ins + input) * width + channel - first] = T::from_f64(u);
                    };
                    tile.transform_kernel(|tap| row[input * taps + tap].to_f64(), write);
                }
            }
        }
    }
    packed
}
