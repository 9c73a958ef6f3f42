//! What lies on the vector lanes of a pair of tiles, and the pairs that windows make.

use crate::gemm::QUARTER_VECTORS;
use crate::geometry::ConvGeometry;
use crate::lowering::lanes::Vector;
use crate::lowering::pieces::block_length;

/// The share of a plane's windows that may be left without a pair of whole registers of windows.
const MOST_UNPAIRED: f64 = 0.1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tiles {
    /// Windows, of one register or two in each half, and weights one by one.
    Windows { register: usize },
    /// Output channels, and cells one by one: the halves of small maps have any number of windows. With kernels in the place of
    /// cells and cells in that of kernels, the products and the sums of `Cᵀ = Bᵀ Aᵀ` are those of `C = A B`.
    Channels { register: usize },
}

impl Tiles {
    pub fn of(geometry: &ConvGeometry, vector: Vector) -> Self {
        let [_, height, width] = geometry.axes.map(|axis| axis.output);
        let (windows, tiles) = (height * width, Self::Windows { register: vector.len });
        let paired: usize = tiles.halves(windows, tiles.half_windows(vector)).map(|half| 2 * half).sum();
        match (windows - paired) as f64 > MOST_UNPAIRED * windows as f64 {
            true => Self::Channels { register: vector.channels[0] },
            false => tiles,
        }
    }

    /// Windows of the widest half.
    pub fn half_windows(self, vector: Vector) -> usize {
        match self {
            Self::Windows { register } => QUARTER_VECTORS * register,
            Self::Channels { .. } => vector.row_channels,
        }
    }

    /// Output channels of a pair of tiles; the last one of a group may have fewer.
    pub fn pair_channels(self, outs: usize, vector: Vector) -> usize {
        match self {
            Self::Windows { .. } => block_length(outs, outs.div_ceil(2 * vector.row_channels), 2),
            Self::Channels { register } => 2 * QUARTER_VECTORS * register,
        }
    }

    /// The lanes, or columns, that one of a pair of tiles fills with so many channels.
    pub fn filled(self, channels: usize) -> usize {
        match self {
            Self::Windows { .. } => channels,
            Self::Channels { register } => channels.next_multiple_of(register),
        }
    }

    /// The windows of each half of the pairs that so many windows make, in the order of the windows, if the widest has `most`. With
    /// windows on the lanes: whole panels, and one pair of a register each; what is left is less than two registers.
    /// With channels: about as many in each; the last half may have one that is none.
    pub fn halves(self, windows: usize, most: usize) -> impl Iterator<Item = usize> {
        let (whole, last, even) = match self {
            Self::Windows { register } => {
                (windows / (2 * most), windows % (2 * most) / (2 * register) * register, [0, 0])
            }
            Self::Channels { .. } => {
                let units = windows.div_ceil(2);
                (0, 0, [units, units.div_ceil(most)])
            }
        };
        let [units, count] = even;
        let whole = std::iter::repeat_n(most, whole).chain((last > 0).then_some(last));
        whole.chain((0..count).map(move |i| (units + i) / count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_of_whole_vectors_and_leave_less_than_two() {
        for (most, register) in [(16, 8), (64, 16), (2, 1), (12, 4)] {
            for windows in 0..5 * most {
                let found: Vec<usize> = Tiles::Windows { register }.halves(windows, most).collect();
                let paired: usize = found.iter().map(|half| 2 * half).sum();
                assert!(paired <= windows && windows - paired < 2 * register, "{windows} windows: {found:?}");
                assert!(found.iter().all(|&half| half > 0 && half <= most && half % register == 0), "{found:?}");
                assert!(found.iter().rev().skip(1).all(|&half| half == most), "{found:?}");
            }
        }
    }

    #[test]
    fn pairs_beside_channels_are_even_and_have_all_windows() {
        for windows in 0..200 {
            let found: Vec<usize> = Tiles::Channels { register: 16 }.halves(windows, 14).collect();
            assert_eq!(2 * found.iter().sum::<usize>(), windows.next_multiple_of(2), "{windows} windows: {found:?}");
            let (least, most) = (found.iter().min().unwrap_or(&1), found.iter().max().unwrap_or(&1));
            assert!(*least > 0 && *most <= 14 && most - least <= 1, "{windows} windows: {found:?}");
        }
    }

    #[test]
    fn channels_are_on_the_lanes_where_windows_make_no_pairs() {
        let vector = Vector { channels: [16, 32], row_channels: 14, len: 16, ..Vector::of::<f32>() };
        let tiles = |side| {
            let geometry = crate::ConvOptions::<2>::new().geometry(&[1, 8, side, side], &[8, 8, 1, 1]).unwrap();
            Tiles::of(&geometry, vector)
        };
        let (windows, channels) = (Tiles::Windows { register: 16 }, Tiles::Channels { register: 16 });
        assert_eq!([14, 8, 7, 5, 1].map(tiles), [windows, windows, channels, channels, channels]);
    }
}
