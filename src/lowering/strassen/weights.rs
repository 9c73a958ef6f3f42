//! The kernels in quarters and their sums, packed for the microkernel.

use ndarray::ArrayView2;

use super::layout::Layout;
use super::tiles::Tiles;
use crate::element::Element;
use crate::gemm::{PRODUCTS, TAIL_SLACK};

/// The quarters of a pair of tiles and their sums, in the order in which they are packed: what both tiles multiply
/// the same cells by lies side by side.
#[derive(Clone, Copy)]
pub(super) enum Part {
    A11,
    A21,
    A12,
    A22,
    S1,
    S2,
    S3,
    S4,
}

impl Part {
    /// Those of the products, in the order of the microkernel.
    pub const OF_PRODUCTS: [Self; PRODUCTS] = [Self::A11, Self::A12, Self::S2, Self::S1, Self::S4, Self::S3, Self::A22];
}

/// Packs the kernels `[OC, C/g · taps]` in the order in which they are read: by group, block of rows, pair of tiles of
/// channels and part, and in a part by row. Behind them lies what may be read too far.
pub(crate) fn pack_weights<T: Element>(kernels: ArrayView2<'_, T>, groups: usize, layout: &Layout) -> Vec<T> {
    let (channels, depth) = (kernels.nrows() / groups, kernels.ncols());
    let mut packed = Vec::with_capacity(groups * layout.weights_len(channels, depth) + TAIL_SLACK);
    for group in 0..groups {
        for row in (0..depth).step_by(layout.block_rows) {
            let half = layout.block_rows.min(depth - row) / 2;
            for first in (0..channels).step_by(layout.pair_channels) {
                let columns = layout.pair_channels.min(channels - first) / 2;
                let quarter = |[side, down]: [usize; 2], [column, k]: [usize; 2]| {
                    kernels[[group * channels + first + side * columns + column, row + down * half + k]].to_f64()
                };
                match layout.tiles {
                    Tiles::Windows { .. } => pack_quarters(&mut packed, [columns, half], quarter),
                    Tiles::Channels { .. } => {
                        pack_lanes(&mut packed, ([columns, half], layout.tiles.filled(columns)), quarter);
                    }
                }
            }
        }
    }
    packed.extend([T::zero(); TAIL_SLACK]);
    packed
}

/// All parts of a pair of tiles of so many channels and rows each, whose windows are on the lanes.
fn pack_quarters<T: Element>(
    packed: &mut Vec<T>,
    [columns, rows]: [usize; 2],
    quarter: impl Fn([usize; 2], [usize; 2]) -> f64,
) {
    for part in [Part::A11, Part::A21, Part::A12, Part::A22, Part::S1, Part::S2, Part::S3, Part::S4] {
        for k in 0..rows {
            packed.extend((0..columns).map(|column| {
                let a = |side, down| quarter([side, down], [column, k]);
                T::from_f64(match part {
                    Part::A11 => a(0, 0),
                    Part::A12 => a(0, 1),
                    Part::A21 => a(1, 0),
                    Part::A22 => a(1, 1),
                    Part::S1 => a(1, 0) + a(1, 1),
                    Part::S2 => a(1, 0) + a(1, 1) - a(0, 0),
                    Part::S3 => a(0, 0) - a(1, 0),
                    Part::S4 => a(0, 1) - (a(1, 0) + a(1, 1) - a(0, 0)),
                })
            }));
        }
    }
}

/// `B₁₁`, `B₂₁`, `T₂`, `T₁`, `B₂₂`, `T₃` and `T₄`, in the order of the products, of a pair of tiles whose channels are on so many
/// lanes each: kernels take the place of cells there.
fn pack_lanes<T: Element>(
    packed: &mut Vec<T>,
    ([columns, rows], lanes): ([usize; 2], usize),
    quarter: impl Fn([usize; 2], [usize; 2]) -> f64,
) {
    let (start, part_len) = (packed.len(), rows * lanes);
    packed.resize(start + PRODUCTS * part_len, T::zero());
    let parts = &mut packed[start..];
    for place in (0..rows).flat_map(|k| (0..columns).map(move |column| [column, k])) {
        let [column, k] = place;
        let [b11, b21, b12, b22] = [[0, 0], [0, 1], [1, 0], [1, 1]].map(|which| quarter(which, place));
        let t1 = b12 - b11;
        let t2 = b22 - t1;
        for (part, value) in [b11, b21, t2, t1, b22, b22 - b12, b21 - t2].into_iter().enumerate() {
            parts[part * part_len + k * lanes + column] = T::from_f64(value);
        }
    }
}

/// The packed weights of a pair of tiles for a block of rows.
#[derive(Clone, Copy)]
pub(super) struct Parts<'a, T> {
    weights: &'a [T],
    part_len: usize,
}

impl<'a, T> Parts<'a, T> {
    /// Of tiles of so many channels each, at the beginning of `weights`.
    pub fn new(weights: &'a [T], half: usize, columns: usize) -> Self {
        Self { weights, part_len: half * columns }
    }

    /// From the beginning of a part to the end of all weights.
    pub fn get(&self, part: Part) -> &'a [T] {
        &self.weights[part as usize * self.part_len..]
    }
}
