//! The transforms of the schemes, each for as many channels at a time as a register has lanes.
//!
//! They pack the operands of the products, and unpack their sums. What they read and write is compared with the slices once
//! a tile and register: comparing each of its cells and values, 36 and 36 of F(4×4, 3×3), took 1.75 times as long.

#![allow(unsafe_code)]
#![allow(
    clippy::needless_range_loop,
    reason = "loops of constant length over arrays become registers, iterators do not"
)]

use std::marker::PhantomData;

use pulp::{Simd, WithSimd};

use super::axis::{Sums, grad_axis, input_axis, kernel_axis, output_axis, short_input_axis, short_output_axis};
use super::scheme::{MAX_SIDE, Tile};
use crate::element::Element;
use crate::simd::arch;

/// Which of the transforms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// `Bᵀ d B`: from a tile's inputs to its transformed values.
    Input,
    /// `Aᵀ m A`: from its products to its outputs.
    Output,
    /// `A e Aᵀ`: from the gradient of its outputs to values.
    Grad,
    /// `Gᵀ m G`: from sums of products to the gradient of a kernel.
    Kernel,
}

impl Direction {
    const ALL: [Self; 4] = [Self::Input, Self::Output, Self::Grad, Self::Kernel];

    /// Whether cells become values, or else values cells.
    const fn is_to_values(self) -> bool {
        matches!(self, Self::Input | Self::Grad)
    }

    /// Rows and columns of the cells.
    const fn cells(self, tile: Tile) -> [usize; 2] {
        match self {
            Self::Input => tile.inputs(),
            Self::Output | Self::Grad => tile.outputs(),
            Self::Kernel => tile.kernel(),
        }
    }
}

/// Transforms channels that lie side by side, as many as a register has lanes or several times as many, of some tiles.
pub(super) struct Transform<'a, T> {
    pub tile: Tile,
    pub direction: Direction,
    /// Channels.
    pub channels: usize,
    /// Where the cells of each tile begin, inputs or outputs, and elements from one row and one column of them to the next.
    pub places: &'a [usize],
    pub cell_steps: [usize; 2],
    /// Elements from the values, inputs' or products', of one tile to those of the next, and from one value of a tile to the
    /// next.
    pub tile_step: usize,
    pub value_step: usize,
    /// Elements that the values of column 0 of tiles with short rows lie before where these steps put them: the tiles before
    /// them that have none are left out there.
    pub gap: usize,
    pub from: &'a [T],
    pub to: &'a mut [T],
}

impl<T: Element> Transform<'_, T> {
    pub fn run(self) {
        match Tile::ALL.iter().position(|&tile| tile == self.tile) {
            Some(0) => self.of_tile::<0>(),
            Some(1) => self.of_tile::<1>(),
            Some(2) => self.of_tile::<2>(),
            Some(3) => self.of_tile::<3>(),
            Some(4) => self.of_tile::<4>(),
            Some(5) => self.of_tile::<5>(),
            Some(6) => self.of_tile::<6>(),
            Some(7) => self.of_tile::<7>(),
            Some(8) => self.of_tile::<8>(),
            Some(9) => self.of_tile::<9>(),
            Some(10) => self.of_tile::<10>(),
            Some(11) => self.of_tile::<11>(),
            Some(12) => self.of_tile::<12>(),
            _ => unreachable!("Tile::of makes no others"),
        }
    }

    fn of_tile<const TILE: usize>(self) {
        match self.direction {
            Direction::Input => arch().dispatch(Constant::<T, TILE, { Direction::Input as usize }>(self)),
            Direction::Output => arch().dispatch(Constant::<T, TILE, { Direction::Output as usize }>(self)),
            Direction::Grad => arch().dispatch(Constant::<T, TILE, { Direction::Grad as usize }>(self)),
            Direction::Kernel => arch().dispatch(Constant::<T, TILE, { Direction::Kernel as usize }>(self)),
        }
    }
}

/// The transform of one tile, by its number among all, and one direction: constants, without which the loops would not be
/// unrolled. Each is a function of its own, since all in one would not find room on the stack where nothing is optimised.
struct Constant<'a, T, const TILE: usize, const DIRECTION: usize>(Transform<'a, T>);

impl<T: Element, const TILE: usize, const DIRECTION: usize> WithSimd for Constant<'_, T, TILE, DIRECTION> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        self.0.run_as::<S, TILE, DIRECTION>(simd);
    }
}

impl<T: Element> Transform<'_, T> {
    #[inline(always)]
    fn run_as<S: Simd, const TILE: usize, const DIRECTION: usize>(self, simd: S) {
        let by = Sums { simd, element: PhantomData::<T> };
        let is_to_values = const { Direction::ALL[DIRECTION].is_to_values() };
        let cells = const { Direction::ALL[DIRECTION].cells(Tile::ALL[TILE]) };
        let sides = const { Tile::ALL[TILE].sides() };
        let first_values = const { Tile::ALL[TILE].first_values() };
        // From and to which row and column it reads, and writes.
        let ([from, to], [kept_from, kept_to]) = if is_to_values {
            ([[0; 2], cells], [first_values, sides])
        } else {
            ([first_values, sides], [[0; 2], cells])
        };
        let cell = |i: usize, j: usize| i * self.cell_steps[0] + j * self.cell_steps[1];
        let has_gap = const { Tile::ALL[TILE].first_values()[0] > 0 && Tile::ALL[TILE].first_values()[1] == 0 };
        let value = |i: usize, j: usize| {
            let place = (i * sides[1] + j) * self.value_step;
            if has_gap && j == 0 { place - self.gap } else { place }
        };
        let lanes = T::lanes::<S>();
        // Where the last of a tile's cells and values end; no step or value is negative, which a gap might make one.
        let cells_end = cell(cells[0] - 1, cells[1] - 1) + lanes;
        let values_end = value(sides[0] - 1, sides[1] - 1) + lanes;
        assert!(!has_gap || first_values[0] * sides[1] * self.value_step >= self.gap, "a gap that ends in the values");
        let mut half = [[by.zero(); MAX_SIDE]; MAX_SIDE];
        for (number, &place) in self.places.iter().enumerate() {
            for first in (0..self.channels).step_by(lanes) {
                let (cells, values) = (place + first, number * self.tile_step + first);
                let source = |i, j| if is_to_values { cells + cell(i, j) } else { values + value(i, j) };
                let target = |i, j| if is_to_values { values + value(i, j) } else { cells + cell(i, j) };
                let (from_len, to_len) = (self.from.len(), self.to.len());
                let (cells_len, values_len) = if is_to_values { (from_len, to_len) } else { (to_len, from_len) };
                assert!(cells + cells_end <= cells_len && values + values_end <= values_len, "a tile in its slices");
                for j in from[1]..to[1] {
                    let mut column = [by.zero(); MAX_SIDE];
                    for i in from[0]..to[0] {
                        let at = source(i, j);
                        // SAFETY: the tile's cells, or its values, end within the slice, as was asserted.
                        column[i] = T::load(simd, unsafe { self.from.get_unchecked(at..at + lanes) });
                    }
                    let column = one_axis::<T, S, TILE, DIRECTION, 0>(by, column);
                    for i in kept_from[0]..kept_to[0] {
                        if sides[1] == 1 {
                            let at = target(i, 0);
                            // SAFETY: the tile's values, or its cells, end within the slice, as was asserted.
                            T::put(simd, column[i], unsafe { self.to.get_unchecked_mut(at..at + lanes) });
                        } else {
                            half[i][j] = column[i];
                        }
                    }
                }
                for i in kept_from[0]..if sides[1] > 1 { kept_to[0] } else { 0 } {
                    let row = one_axis::<T, S, TILE, DIRECTION, 1>(by, half[i]);
                    for j in kept_from[1]..kept_to[1] {
                        let at = target(i, j);
                        // SAFETY: the tile's values, or its cells, end within the slice, as was asserted.
                        T::put(simd, row[j], unsafe { self.to.get_unchecked_mut(at..at + lanes) });
                    }
                }
            }
        }
    }
}

/// No closure, which the compiler may call: then each instruction is a call.
#[inline(always)]
fn one_axis<T: Element, S: Simd, const TILE: usize, const DIRECTION: usize, const AXIS: usize>(
    by: Sums<T, S>,
    values: [T::Vector<S>; MAX_SIDE],
) -> [T::Vector<S>; MAX_SIDE] {
    let tile = const { Tile::ALL[TILE] };
    match const { (Direction::ALL[DIRECTION], Tile::ALL[TILE].short[AXIS]) } {
        (Direction::Input, false) => input_axis(by, tile, values),
        (Direction::Input, true) => short_input_axis(by, values),
        (Direction::Output, false) => output_axis(by, tile, values),
        (Direction::Output, true) => short_output_axis(by, values),
        (Direction::Grad, _) => grad_axis(by, tile, values),
        (Direction::Kernel, _) => kernel_axis(by, tile, values),
    }
}

#[cfg(test)]
mod tests {
    use super::super::scheme::Filter;
    use super::*;
    use crate::simd::SIDE;

    /// Transforms all lanes of one tile.
    fn transform(tile: Tile, direction: Direction, width: usize, from: &[f64], to: &mut [f64]) {
        let (channels, places, tile_step, value_step) = (SIDE, &[0][..], 0, SIDE);
        let cell_steps = [width * SIDE, SIDE];
        let gap = 0;
        Transform { tile, direction, channels, places, cell_steps, tile_step, value_step, gap, from, to }.run();
    }

    /// A value for each channel and number.
    fn values(count: usize, value: impl Fn(usize, usize) -> usize) -> Vec<f64> {
        (0..count * SIDE).map(|i| (value(i % SIDE, i / SIDE) % 11) as f64 - 5.0).collect()
    }

    /// Calls `add` with each output, tap and the input that they share, of one channel, in all places of a tile.
    fn for_each_product(tile: Tile, mut add: impl FnMut(usize, usize, usize)) {
        let ([_, width], [high, wide], [rows, columns]) = (tile.inputs(), tile.outputs(), tile.kernel());
        let cell = |output: usize, tap: usize| match tile.filter {
            Filter::Three | Filter::Four | Filter::Five => Some(output + tap),
            Filter::Halving => Some(2 * output + tap),
            Filter::Doubling => (output + tap).checked_sub(1).filter(|twice| twice % 2 == 0).map(|twice| twice / 2),
        };
        for (i, j) in (0..high).flat_map(|i| (0..wide).map(move |j| (i, j))) {
            for (r, c) in (0..rows).flat_map(|r| (0..columns).map(move |c| (r, c))) {
                if let (Some(row), Some(column)) = (cell(i, r), cell(j, c)) {
                    add(i * wide + j, r * columns + c, row * width + column);
                }
            }
        }
    }

    fn assert_near(tile: Tile, found: &[f64], expected: &[f64]) {
        for (i, (&found, &expected)) in found.iter().zip(expected).enumerate() {
            assert!((found - expected).abs() < 1e-9, "{tile:?} {i}: {found} is not {expected}");
        }
    }

    #[test]
    fn a_transformed_tile_gives_the_convolution_of_its_cells() {
        for tile in Tile::ALL {
            let [rows, columns] = tile.inputs();
            let d = values(rows * columns, |channel, cell| channel * 13 + cell * 7);
            let tap = |i: usize| (i * i) as f64 - 20.0;
            let [mut v, mut y] = [tile.products(), tile.cells()].map(|count| vec![f64::NAN; count * SIDE]);
            transform(tile, Direction::Input, columns, &d, &mut v);
            tile.transform_kernel(tap, |i, u| v[i * SIDE..(i + 1) * SIDE].iter_mut().for_each(|v| *v *= u));
            transform(tile, Direction::Output, tile.outputs()[1], &v, &mut y);
            let mut expected = vec![0.0; y.len()];
            for_each_product(tile, |output, t, cell| {
                (0..SIDE).for_each(|i| expected[output * SIDE + i] += tap(t) * d[cell * SIDE + i]);
            });
            assert_near(tile, &y, &expected);
        }
    }

    #[test]
    fn a_transformed_gradient_gives_that_of_the_kernel() {
        let has_gradient = |tile: &Tile| {
            !matches!(tile.filter, Filter::Four | Filter::Five | Filter::Doubling) && tile.short == [false; 2]
        };
        for tile in Tile::ALL.into_iter().filter(has_gradient) {
            let d = values(tile.products(), |channel, cell| channel * 13 + cell * 7);
            let e = values(tile.cells(), |channel, cell| channel * 5 + cell * cell * 3);
            let [mut v, mut u] = [0, 1].map(|_| vec![f64::NAN; d.len()]);
            transform(tile, Direction::Input, tile.inputs()[1], &d, &mut v);
            transform(tile, Direction::Grad, tile.outputs()[1], &e, &mut u);
            v.iter_mut().zip(&u).for_each(|(v, u)| *v *= u);
            let mut kernel = vec![f64::NAN; tile.taps() * SIDE];
            transform(tile, Direction::Kernel, tile.kernel()[1], &v, &mut kernel);
            let mut expected = vec![0.0; kernel.len()];
            for_each_product(tile, |output, t, cell| {
                (0..SIDE).for_each(|i| expected[t * SIDE + i] += e[output * SIDE + i] * d[cell * SIDE + i]);
            });
            assert_near(tile, &kernel, &expected);
        }
    }
}
