//! The kernels in quarters and their sums, packed for the microkernel.

use ndarray::ArrayView2;

use super::Layout;
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

/// How many there are.
const PARTS: usize = 8;

/// Elements of the packed weights of so many channels and rows: eight quarters in the place of four.
pub(super) fn len(channels: usize, rows: usize) -> usize {
    PARTS / 4 * channels * rows
}

/// Packs the kernels `[OC, C/g · taps]` in the order in which they are read: by group, block of rows, pair of tiles of
/// channels and part, and in a part by row. Behind them lies what may be read too far.
pub(crate) fn pack_weights<T: Element>(kernels: ArrayView2<'_, T>, groups: usize, layout: &Layout) -> Vec<T> {
    let (channels, depth) = (kernels.nrows() / groups, kernels.ncols());
    let mut packed = Vec::with_capacity(groups * len(channels, depth) + TAIL_SLACK);
    for group in 0..groups {
        for row in (0..depth).step_by(layout.block_rows) {
            let half = layout.block_rows.min(depth - row) / 2;
            for first in (0..channels).step_by(layout.pair_channels) {
                let columns = layout.pair_channels.min(channels - first) / 2;
                let quarter = |down, right, k, column| {
                    kernels[[group * channels + first + down * columns + column, row + right * half + k]].to_f64()
                };
                for part in [Part::A11, Part::A21, Part::A12, Part::A22, Part::S1, Part::S2, Part::S3, Part::S4] {
                    for k in 0..half {
                        packed.extend((0..columns).map(|column| {
                            let a = |down, right| quarter(down, right, k, column);
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
        }
    }
    packed.extend([T::zero(); TAIL_SLACK]);
    packed
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
