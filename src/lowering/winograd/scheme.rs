//! The schemes: how many outputs a tile has, for which kernels, and the tiles that they compute.

use std::f64::consts::{FRAC_1_SQRT_2, SQRT_2};

use crate::geometry::{Axis, ConvGeometry};

/// The longest side of a transformed tile.
pub(super) const MAX_SIDE: usize = 9;

/// The most taps along an axis.
const MAX_TAPS: usize = 5;

/// Points of four outputs of two taps, with either sign, and what the kernel is divided by at each.
pub(super) const NEAR: f64 = 0.5;
pub(super) const FAR: f64 = 1.25;
pub(super) const NEAR_SCALE: f64 = 2.0 * NEAR * (NEAR * NEAR - FAR * FAR);
pub(super) const FAR_SCALE: f64 = 2.0 * FAR * (FAR * FAR - NEAR * NEAR);

/// How many outputs a tile has along an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Scheme {
    /// Two.
    F2,
    /// Four.
    F4,
}

/// What a scheme computes along an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Filter {
    /// Three taps.
    Three,
    /// Four taps, only with three outputs.
    Four,
    /// Five taps, only with two outputs: four would lose too many digits.
    Five,
    /// Three taps, windows that move by two: cells of even number meet two of the taps, those of odd number one, so that
    /// only the former need a transform.
    Halving,
    /// The input gradient of the same, whose border is one cell wide, with its taps reversed: twice as many outputs as inputs, of
    /// which those of odd number meet two of the taps.
    Doubling,
}

impl Filter {
    fn of(axis: &Axis) -> Option<Self> {
        match (axis.kernel, axis.stride) {
            (3, 1) => Some(Self::Three),
            (4, 1) => Some(Self::Four),
            (5, 1) => Some(Self::Five),
            (3, 2) => Some(Self::Halving),
            _ => None,
        }
    }

    const fn taps(self) -> usize {
        match self {
            Self::Three | Self::Halving | Self::Doubling => 3,
            Self::Four => 4,
            Self::Five => 5,
        }
    }
}

/// What a scheme is applied to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Axes {
    /// Height and width.
    Plane,
    /// The width alone, for kernels of one row.
    Width,
}

/// A scheme with what it is applied to.
///
/// Tiles lie in rows and columns. Where the scheme is applied to the width alone and taps are `d` cells apart, a row of an
/// image is looked at as rows of `d` cells each, so that a tile is a column of neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tile {
    pub scheme: Scheme,
    pub filter: Filter,
    pub axes: Axes,
    /// Whether it has a row or a column of outputs less than the scheme: F(3, 3) has the points of F(4, 3) without 0, and the
    /// kernels of it are those of F(4, 3) without value 0.
    pub short: [bool; 2],
}

impl Tile {
    pub(super) const F2: Self = Self::plane(Scheme::F2, Filter::Three);
    pub(super) const F4: Self = Self::plane(Scheme::F4, Filter::Three);
    pub(super) const F4_FOUR: Self = Self::plane(Scheme::F4, Filter::Four);
    pub(super) const F2_FIVE: Self = Self::plane(Scheme::F2, Filter::Five);
    pub(super) const F2_HALVING: Self = Self::plane(Scheme::F2, Filter::Halving);
    pub(super) const F4_HALVING: Self = Self::plane(Scheme::F4, Filter::Halving);
    pub(super) const F2_DOUBLING: Self = Self::plane(Scheme::F2, Filter::Doubling);
    pub(super) const F4_DOUBLING: Self = Self::plane(Scheme::F4, Filter::Doubling);
    pub(super) const F2_WIDTH: Self = Self { axes: Axes::Width, ..Self::F2 };
    pub(super) const F4_WIDTH: Self = Self { axes: Axes::Width, ..Self::F4 };

    /// All that there are.
    pub(super) const ALL: [Self; 13] = [
        Self::F2,
        Self::F4,
        Self::F2_FIVE,
        Self::F2_HALVING,
        Self::F4_HALVING,
        Self::F2_DOUBLING,
        Self::F4_DOUBLING,
        Self::F2_WIDTH,
        Self::F4_WIDTH,
        Self::F4.with_short([false, true]),
        Self::F4.with_short([true, false]),
        Self::F4.with_short([true, true]),
        Self::F4_FOUR,
    ];

    const fn plane(scheme: Scheme, filter: Filter) -> Self {
        Self { scheme, filter, axes: Axes::Plane, short: [false; 2] }
    }

    /// The same with a row or a column of outputs less.
    pub const fn with_short(self, short: [bool; 2]) -> Self {
        Self { short, ..self }
    }

    /// `None` if the scheme does not compute the geometry: 3×3 kernels of stride 1 or 2, and 4×4 and 5×5 kernels of stride 1, without
    /// dilation; and kernels of one row of 3, of which a row has as many outputs as there are cells from one tap to
    /// the next. There must be no taps along the depth.
    pub fn of(geometry: &ConvGeometry, scheme: Scheme) -> Option<Self> {
        let [depth, height, width] = &geometry.axes;
        let filter = Filter::of(width)?;
        let axes = match height.kernel {
            1 if filter == Filter::Three && height.stride == 1 && width.dilation <= width.output => Axes::Width,
            _ if Filter::of(height) == Some(filter) && height.dilation == 1 && width.dilation == 1 => Axes::Plane,
            _ => return None,
        };
        let tile = Self { scheme, filter, axes, short: [false; 2] };
        let is_possible = depth.is_pointwise() && geometry.windows() > 0;
        (is_possible && Self::ALL.contains(&tile)).then_some(tile)
    }

    /// The same for the weight gradient, which four or five taps would lose too many digits of.
    pub fn of_grad(geometry: &ConvGeometry, scheme: Scheme) -> Option<Self> {
        Self::of(geometry, scheme).filter(|tile| !matches!(tile.filter, Filter::Four | Filter::Five))
    }

    /// The tile of an input gradient that reads and writes what [`ConvGeometry::doubled`] has.
    pub const fn doubling(scheme: Scheme) -> Self {
        Self::plane(scheme, Filter::Doubling)
    }

    /// What the scheme is named after: outputs of two or more taps along an axis.
    const fn length(self) -> usize {
        match (self.scheme, self.filter) {
            (Scheme::F2, _) => 2,
            (Scheme::F4, Filter::Four) => 3,
            (Scheme::F4, _) => 4,
        }
    }

    /// Values of the transformed tile along an axis.
    pub(super) const fn side(self) -> usize {
        match self.filter {
            Filter::Three => self.length() + 2,
            Filter::Four => self.length() + 3,
            Filter::Five => self.length() + 4,
            Filter::Halving | Filter::Doubling => 2 * self.length() + 1,
        }
    }

    /// The same number along each axis that the scheme is applied to, and 1 along the other.
    const fn each(self, count: usize) -> [usize; 2] {
        match self.axes {
            Axes::Plane => [count, count],
            Axes::Width => [count, 1],
        }
    }

    /// So many, and one less where it is short.
    const fn less(self, [rows, columns]: [usize; 2]) -> [usize; 2] {
        let [first_row, first_column] = self.first_values();
        [rows - first_row, columns - first_column]
    }

    /// Rows and columns of its outputs.
    pub const fn outputs(self) -> [usize; 2] {
        match self.filter {
            Filter::Three | Filter::Four | Filter::Five | Filter::Halving => self.less(self.each(self.length())),
            Filter::Doubling => self.each(2 * self.length()),
        }
    }

    /// Rows and columns of its inputs.
    pub const fn inputs(self) -> [usize; 2] {
        match self.filter {
            Filter::Three | Filter::Four | Filter::Five | Filter::Halving => self.less(self.sides()),
            Filter::Doubling => self.each(self.length() + 1),
        }
    }

    /// The first row and column of the transformed tile that it has.
    pub const fn first_values(self) -> [usize; 2] {
        [self.short[0] as usize, self.short[1] as usize]
    }

    /// Rows and columns of the transformed tile.
    pub const fn sides(self) -> [usize; 2] {
        self.each(self.side())
    }

    /// Rows and columns of inputs from one tile to the next.
    pub const fn steps(self) -> [usize; 2] {
        match self.filter {
            Filter::Three | Filter::Four | Filter::Five | Filter::Doubling => self.each(self.length()),
            Filter::Halving => self.each(2 * self.length()),
        }
    }

    /// Rows and columns of a kernel.
    pub const fn kernel(self) -> [usize; 2] {
        self.each(self.filter.taps())
    }

    /// Taps of a kernel.
    pub const fn taps(self) -> usize {
        let [rows, columns] = self.kernel();
        rows * columns
    }

    /// Products of one tile.
    pub const fn products(self) -> usize {
        let [rows, columns] = self.sides();
        rows * columns
    }

    /// Of the rows and columns of tiles that cover the outputs of `geometry`, those that are not short: all of them, or as many as
    /// let the tiles cover them exactly, for which there are short ones of F(4×4).
    pub fn whole(self, geometry: &ConvGeometry) -> [usize; 2] {
        let ([_, height, width], [_, rows, columns]) = (&geometry.axes, self.counts(geometry));
        if self != Self::F4 {
            return [rows, columns];
        }
        let missing = [rows * self.length() - height.output, columns * self.length() - width.output];
        match missing[0] <= rows && missing[1] <= columns {
            true => [rows - missing[0], columns - missing[1]],
            false => [rows, columns],
        }
    }

    /// Products of the tiles that cover the outputs of a plane of `geometry`, of one channel with one.
    pub fn plane_products(self, geometry: &ConvGeometry) -> usize {
        let ([lines, rows, columns], whole, [high, wide]) = (self.counts(geometry), self.whole(geometry), self.sides());
        lines * (rows * high - (rows - whole[0])) * (columns * wide - (columns - whole[1]))
    }

    /// Outputs of one tile.
    pub const fn cells(self) -> usize {
        let [rows, columns] = self.outputs();
        rows * columns
    }

    /// Lines of an output plane that have tiles of their own, and the rows and columns of tiles of each.
    pub fn counts(self, geometry: &ConvGeometry) -> [usize; 3] {
        let ([_, height, width], [rows, columns]) = (&geometry.axes, self.outputs());
        match self.axes {
            Axes::Plane => [1, height.output.div_ceil(rows), width.output.div_ceil(columns)],
            Axes::Width => [height.output, width.output.div_ceil(rows * width.dilation), width.dilation],
        }
    }

    /// A kernel, transformed, value by value: `G g Gᵀ` or, of one row, `G g`.
    pub fn transform_kernel(self, tap: impl Fn(usize) -> f64, mut write: impl FnMut(usize, f64)) {
        let (side, taps) = (self.side(), self.filter.taps());
        if self.axes == Axes::Width {
            return (0..side).for_each(|i| write(i, self.kernel_value(i, &tap)));
        }
        let rows: [[f64; MAX_SIDE]; MAX_TAPS] = std::array::from_fn(|row| match row < taps {
            true => std::array::from_fn(|j| if j < side { self.kernel_value(j, |t| tap(row * taps + t)) } else { 0.0 }),
            false => [0.0; MAX_SIDE],
        });
        for (i, j) in (0..side).flat_map(|i| (0..side).map(move |j| (i, j))) {
            write(i * side + j, self.kernel_value(i, |row| rows[row][j]));
        }
    }

    /// Value `i` of `G g`, for the taps `g` along an axis.
    fn kernel_value(self, i: usize, g: impl Fn(usize) -> f64) -> f64 {
        let at = |x: f64| (0..self.filter.taps()).rev().fold(0.0, |sum, tap| sum * x + g(tap));
        match (self.filter, self.scheme, i) {
            (Filter::Three, Scheme::F2, _) => [g(0), at(1.0) / 2.0, at(-1.0) / 2.0, g(2)][i],
            // The kernel as a polynomial at each of the points, which are those of F(4, 3) for F(3, 4) and F(2, 5), too.
            (Filter::Three | Filter::Four | Filter::Five, _, 0) => g(0),
            (Filter::Three | Filter::Four | Filter::Five, _, 1) => at(FRAC_1_SQRT_2) / -1.5,
            (Filter::Three | Filter::Four | Filter::Five, _, 2) => at(-FRAC_1_SQRT_2) / -1.5,
            (Filter::Three | Filter::Four | Filter::Five, _, 3) => at(SQRT_2) / 6.0,
            (Filter::Three | Filter::Four | Filter::Five, _, 4) => at(-SQRT_2) / 6.0,
            (Filter::Three | Filter::Four | Filter::Five, ..) => g(self.filter.taps() - 1),
            (Filter::Halving | Filter::Doubling, Scheme::F2, _) => [g(0), g(0) + g(2), g(2), g(1), g(1)][i],
            (Filter::Halving | Filter::Doubling, Scheme::F4, 0) => (g(0) + NEAR * g(2)) / NEAR_SCALE,
            (Filter::Halving | Filter::Doubling, Scheme::F4, 1) => (g(0) - NEAR * g(2)) / -NEAR_SCALE,
            (Filter::Halving | Filter::Doubling, Scheme::F4, 2) => (g(0) + FAR * g(2)) / FAR_SCALE,
            (Filter::Halving | Filter::Doubling, Scheme::F4, 3) => (g(0) - FAR * g(2)) / -FAR_SCALE,
            (Filter::Halving | Filter::Doubling, Scheme::F4, 4) => g(2),
            (Filter::Halving | Filter::Doubling, Scheme::F4, _) => g(1),
        }
    }
}
