//! The kernels, packed for the microkernel.

use ndarray::{Array2, ArrayView2};

use super::Layout;
use crate::element::Element;
use crate::gemm::{TAIL_SLACK, channel_lanes};
use crate::geometry::{ConvGeometry, Phase};
use crate::lowering::lanes::{Lanes, Vector};

/// Packs the kernels `[OC, C/g · taps]` in the order in which the microkernel reads them: by group, block
/// of rows and tile of channels, and in a tile by row. Behind them lies what the microkernel may read too far.
pub(crate) fn pack_weights<T: Element>(kernels: ArrayView2<'_, T>, groups: usize, layout: &Layout) -> Vec<T> {
    let (channels, depth) = (kernels.nrows() / groups, kernels.ncols());
    let Tiles { unit, most } = Tiles::of::<T>(layout);
    let padded = channels.next_multiple_of(unit);
    let mut packed = Vec::with_capacity(groups * padded * depth + TAIL_SLACK);
    for group in 0..groups {
        for row in (0..depth).step_by(layout.block_rows) {
            let rows = row..(row + layout.block_rows).min(depth);
            for first in (0..padded).step_by(most) {
                let tile = first..(first + most).min(padded);
                for k in rows.clone() {
                    packed.extend(tile.clone().map(|channel| match channel < channels {
                        true => kernels[[group * channels + channel, k]],
                        false => T::zero(),
                    }));
                }
            }
        }
    }
    packed.extend([T::zero(); TAIL_SLACK]);
    packed
}

/// How the output channels of a group are cut for the microkernel.
#[derive(Clone, Copy)]
pub(super) struct Tiles {
    /// Channels are filled up to a multiple of this.
    pub unit: usize,
    /// Channels of one tile; the last may have fewer.
    pub most: usize,
}

impl Tiles {
    pub fn of<T: Element>(layout: &Layout) -> Self {
        let [register, _] = channel_lanes::<T>();
        Self { unit: if layout.lanes == Lanes::Channels { register } else { 1 }, most: layout.channel_unit }
    }
}

/// Elements of the packed kernels.
pub(super) fn weights_len(geometry: &ConvGeometry, layout: &Layout, vector: Vector) -> usize {
    let unit = if layout.lanes == Lanes::Channels { vector.channels[0] } else { 1 };
    let channels = geometry.group_out_channels().next_multiple_of(unit);
    geometry.groups * channels * geometry.patch_rows() + TAIL_SLACK
}

/// The kernels of the convolution that computes a phase of an input gradient: channels swapped within each group, taps
/// reversed.
pub(crate) fn phase_kernels<T: Element>(
    kernels: ArrayView2<'_, T>,
    geometry: &ConvGeometry,
    phase: &Phase,
) -> Array2<T> {
    let (ins, outs) = (geometry.group_in_channels(), geometry.group_out_channels());
    let [_, height, width] = geometry.axes.map(|axis| axis.kernel);
    let [planes, rows, columns] = phase.taps;
    let taps: Vec<usize> = planes
        .numbers()
        .flat_map(|plane| {
            rows.numbers()
                .flat_map(move |row| columns.numbers().map(move |column| (plane * height + row) * width + column))
        })
        .collect();
    Array2::from_shape_fn((geometry.in_channels, outs * taps.len()), |(channel, row)| {
        let (group, out, tap) = (channel / ins, row / taps.len(), taps[row % taps.len()]);
        kernels[[group * outs + out, channel % ins * geometry.taps() + tap]]
    })
}
