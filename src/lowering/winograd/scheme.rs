//! The schemes F(2,3) and F(4,3), and the tiles that they compute.

use std::f64::consts::{FRAC_1_SQRT_2, SQRT_2};

use crate::geometry::{Axis, ConvGeometry};

/// Taps of the kernels that these schemes are for.
pub(super) const TAPS: usize = 3;

/// The longest side of a transformed tile.
pub(super) const MAX_SIDE: usize = 6;

/// Which of the two: how many outputs a tile gives along an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Scheme {
    /// F(2, 3).
    F2,
    /// F(4, 3).
    F4,
}

impl Scheme {
    /// Outputs of a tile along an axis.
    pub const fn outputs(self) -> usize {
        match self {
            Self::F2 => 2,
            Self::F4 => 4,
        }
    }

    /// Inputs of a tile along an axis, and the side of a transformed tile.
    pub const fn side(self) -> usize {
        self.outputs() + TAPS - 1
    }

    /// `G`: a kernel of 3 taps, transformed, in f64.
    fn kernel(self, [g0, g1, g2]: [f64; TAPS]) -> [f64; MAX_SIDE] {
        match self {
            Self::F2 => [g0, (g0 + g1 + g2) / 2.0, (g0 - g1 + g2) / 2.0, g2, 0.0, 0.0],
            Self::F4 => {
                let (a, b) = (FRAC_1_SQRT_2 * g1, SQRT_2 * g1);
                let (near, far) = (g0 + g2 / 2.0, g0 + 2.0 * g2);
                [g0, (near + a) / -1.5, (near - a) / -1.5, (far + b) / 6.0, (far - b) / 6.0, g2]
            }
        }
    }
}

/// What a scheme is applied to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Axes {
    /// Height and width: 3×3 kernels.
    Plane,
    /// The width alone: kernels of one row.
    Width,
}

/// A scheme with what it is applied to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tile {
    pub scheme: Scheme,
    pub axes: Axes,
}

impl Tile {
    /// The tile of a geometry that [`applies`].
    pub fn of(geometry: &ConvGeometry, scheme: Scheme) -> Self {
        Self { scheme, axes: if geometry.axes[1].kernel == TAPS { Axes::Plane } else { Axes::Width } }
    }

    /// The same number along each axis that the scheme is applied to, and 1 along the others.
    const fn each(self, count: usize) -> [usize; 2] {
        match self.axes {
            Axes::Plane => [count, count],
            Axes::Width => [1, count],
        }
    }

    /// Rows and columns of its outputs.
    pub const fn outputs(self) -> [usize; 2] {
        self.each(self.scheme.outputs())
    }

    /// Rows and columns of its inputs, and of the transformed tile.
    pub const fn sides(self) -> [usize; 2] {
        self.each(self.scheme.side())
    }

    /// Taps of a kernel.
    pub const fn taps(self) -> usize {
        let [rows, columns] = self.each(TAPS);
        rows * columns
    }

    /// Products of one tile.
    pub const fn products(self) -> usize {
        let [rows, columns] = self.sides();
        rows * columns
    }

    /// Outputs of one tile.
    pub const fn cells(self) -> usize {
        let [rows, columns] = self.outputs();
        rows * columns
    }

    /// Rows and columns of the tiles that cover an output plane.
    pub fn counts(self, geometry: &ConvGeometry) -> [usize; 2] {
        let [_, height, width] = geometry.axes;
        [height.output.div_ceil(self.outputs()[0]), self.columns(width.dilation, width.output)]
    }

    /// Tiles that cover `cells` outputs of a row, the first of which begins a block.
    ///
    /// With taps `d` cells apart, a block of `d` tiles covers neighbouring outputs, and tile `p` of it those
    /// that are `p`, `p + d`, … cells from its start.
    pub fn columns(self, dilation: usize, cells: usize) -> usize {
        let block = self.scheme.outputs() * dilation;
        cells / block * dilation + (cells % block).min(dilation)
    }

    /// A kernel, transformed, value by value: `G g Gᵀ` or, of one row, `G g`.
    pub fn transform_kernel(self, tap: impl Fn(usize) -> f64, mut write: impl FnMut(usize, f64)) {
        let (scheme, side) = (self.scheme, self.scheme.side());
        if self.axes == Axes::Width {
            let values = scheme.kernel(std::array::from_fn(tap));
            return values[..side].iter().enumerate().for_each(|(j, &value)| write(j, value));
        }
        let columns: [[f64; MAX_SIDE]; TAPS] =
            std::array::from_fn(|j| scheme.kernel(std::array::from_fn(|i| tap(i * TAPS + j))));
        (0..side).for_each(|i| {
            let row = scheme.kernel(std::array::from_fn(|j| columns[j][i]));
            row[..side].iter().enumerate().for_each(|(j, &value)| write(i * side + j, value));
        });
    }
}

/// Whether a geometry is one that these schemes compute, of stride 1 and without taps along the depth: 3×3 without
/// dilation, or 1×3 of which a row has as many outputs as there are cells from one tap to the next.
pub(crate) fn applies(geometry: &ConvGeometry) -> bool {
    let [depth, height, width] = &geometry.axes;
    let is_plain = |axis: &Axis, kernel: usize| axis.kernel == kernel && axis.stride == 1;
    let has_tiles = match height.kernel {
        1 => height.stride == 1 && width.dilation <= width.output,
        _ => is_plain(height, TAPS) && height.dilation == 1 && width.dilation == 1,
    };
    depth.is_pointwise() && is_plain(width, TAPS) && has_tiles && geometry.windows() > 0
}
