//! Square kernels of a few cells that move by one or two: which way of keeping outputs in registers is taken.
//!
//! Rows are read where they are, in the image itself: what a register holds beyond the ends of a row is masked.

use pulp::Arch;

use super::part::Part;
use super::planes::Inside;
use super::strip::{ALL, LEFT, NONE, Strips, lanes_with_moves};
use super::whole::{self, FEW_BLOCKS, MOST_BLOCKS, WHOLE_BYTES, Whole};
use crate::element::Element;
use crate::geometry::{Axis, ConvGeometry};
use crate::simd::{MOST_LANES, arch, narrow_arch, register_bytes};

/// Cells that are read at once, from the first of a window on, at most.
pub(super) const MOST_READ: usize = 2 * MOST_LANES + 7;

/// Rows of outputs no longer than this fit the registers of half the width.
const NARROW_BYTES: usize = 32;

/// Whether a geometry is one that these loops compute.
pub(crate) fn is_square(geometry: &ConvGeometry) -> bool {
    let [depth, height, width] = geometry.axes;
    let fits = |axis: Axis| {
        axis.kernel == height.kernel
            && axis.stride == height.stride
            && axis.dilation == 1
            && axis.pad_before < axis.kernel
    };
    let is_known = matches!((height.kernel, height.stride), (3 | 5 | 7, 1) | (3 | 5 | 7, 2));
    depth.kernel == 1 && is_known && fits(height) && fits(width)
}

/// Bytes of a row of outputs that are computed together at most, for a geometry that [is one](is_square) of these loops'.
pub(super) fn strip_bytes(geometry: &ConvGeometry) -> usize {
    let bytes = register_bytes(arch());
    let is_whole = geometry.axes[1].kernel == whole::SIDE && bytes == WHOLE_BYTES;
    bytes * if is_whole { MOST_BLOCKS } else { 2 }
}

/// All outputs of a part, all sums of which are in registers. Each way is a function of its own: in one for all of them the
/// compiler ran out of registers for addresses.
pub(super) fn compute<T: Element>(part: Part<'_, T>) {
    let lanes = NARROW_BYTES / size_of::<T>();
    let is_narrow = part.width <= if part.stride == 1 { lanes } else { lanes_with_moves(lanes, part.side) };
    compute_with(if is_narrow { narrow_arch() } else { arch() }, part);
}

fn compute_with<T: Element>(arch: Arch, part: Part<'_, T>) {
    let loops = Loops { arch, lanes: register_bytes(arch) / size_of::<T>(), part };
    match (loops.part.side, loops.part.stride) {
        (3, 1) => loops.all::<3, 1>(),
        (3, _) => loops.all::<3, 2>(),
        (5, 1) => loops.all::<5, 1>(),
        (5, _) => loops.all::<5, 2>(),
        (_, 1) => loops.all::<7, 1>(),
        (_, _) => loops.all::<7, 2>(),
    }
}

struct Loops<'a, T> {
    arch: Arch,
    lanes: usize,
    part: Part<'a, T>,
}

impl<T: Element> Loops<'_, T> {
    fn all<const K: usize, const STRIDE: usize>(self) {
        if K == whole::SIDE && self.lanes * size_of::<T>() == WHOLE_BYTES && self.is_in_whole_rows() {
            self.whole_rows::<STRIDE>();
        } else if self.part.planes.is_far {
            self.columns::<K, STRIDE, true>();
        } else {
            self.columns::<K, STRIDE, false>();
        }
    }

    /// Whether all registers but the last read cells inside the image, with a kernel of three columns, and there are
    /// enough of them.
    fn is_in_whole_rows(&self) -> bool {
        let (Inside { start, end }, stride) = (self.part.planes.inside[1], self.part.stride);
        let blocks = self.part.width.div_ceil(self.lanes);
        // The last column that the others read.
        let last = blocks.saturating_sub(1) * self.lanes * stride + whole::SIDE - 1 - stride;
        start <= 1 && last < end && blocks > FEW_BLOCKS
    }

    /// All columns, from right to left, since what a register writes beyond a row belongs to the next.
    fn whole_rows<const STRIDE: usize>(mut self) {
        let mut end = self.part.width.div_ceil(self.lanes);
        while end > 0 {
            let (arch, part) = (self.arch, &mut self.part);
            end -= match end % MOST_BLOCKS {
                0 => arch.dispatch(Whole::<T, STRIDE, MOST_BLOCKS> { part, end }),
                4 => arch.dispatch(Whole::<T, STRIDE, 4> { part, end }),
                2 | 6 => arch.dispatch(Whole::<T, STRIDE, 2> { part, end }),
                _ => arch.dispatch(Whole::<T, STRIDE, 1> { part, end }),
            };
        }
    }

    /// All columns, two registers of them side by side, which share what there is to do for a row beside its sums. The
    /// last register begins so early that its outputs end with the row; if the row is shorter than a register, what is
    /// written beyond it belongs to the next row or channel, which is written later.
    fn columns<const K: usize, const STRIDE: usize, const IS_FAR: bool>(mut self) {
        let (arch, lanes, width) = (self.arch, self.lanes, self.part.width);
        let part = &mut self.part;
        // What the last lanes then hold is written over by the next register, or by the next row.
        let moved = lanes_with_moves(lanes, K);
        let Inside { start, end } = part.planes.inside[1];
        let is_inside_but_left = start <= K / 2 && width.saturating_sub(1) * STRIDE + K <= end;
        if STRIDE == 2 && width <= moved {
            let columns = [0];
            return match is_inside_but_left {
                true => arch.dispatch(Strips::<T, K, STRIDE, 1, true, LEFT, IS_FAR> { part, columns }),
                false => arch.dispatch(Strips::<T, K, STRIDE, 1, true, ALL, IS_FAR> { part, columns }),
            };
        } else if STRIDE == 2 && width <= 2 * moved {
            let columns = [0, width - moved];
            return match is_inside_but_left {
                true => arch.dispatch(Strips::<T, K, STRIDE, 2, true, LEFT, IS_FAR> { part, columns }),
                false => arch.dispatch(Strips::<T, K, STRIDE, 2, true, ALL, IS_FAR> { part, columns }),
            };
        }
        let last = width.saturating_sub(lanes);
        let mut column = 0;
        while column < width {
            let columns = [column.min(last), (column + lanes).min(last)];
            let is_inside = self.is_inside::<K, STRIDE>(columns);
            let part = &mut self.part;
            if columns[0] == columns[1] {
                let columns = [columns[0]];
                arch.dispatch(Strips::<T, K, STRIDE, 1, false, ALL, IS_FAR> { part, columns });
            } else if is_inside {
                arch.dispatch(Strips::<T, K, STRIDE, 2, false, NONE, IS_FAR> { part, columns });
            } else {
                arch.dispatch(Strips::<T, K, STRIDE, 2, false, ALL, IS_FAR> { part, columns });
            }
            column += 2 * lanes;
        }
    }

    /// Whether windows from these columns on read no columns outside the image.
    fn is_inside<const K: usize, const STRIDE: usize>(&self, [first, last]: [usize; 2]) -> bool {
        let Inside { start, end } = self.part.planes.inside[1];
        first * STRIDE >= start && (last + self.lanes - 1) * STRIDE + K <= end
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lowering::depthwise::planes::Planes;

    const CHANNELS: usize = 3;
    const MARGIN: usize = 64;
    const BEYOND: f32 = 12_345.0;

    /// Whole numbers, so that sums are exact; what lies between and around the channels is not one.
    fn check(arch: Arch, (side, stride): (usize, usize), pads: [usize; 2], [height, input]: [usize; 2], first: usize) {
        let pad = side / 2;
        let rows = (height + 2 * pad - side) / stride + 1;
        let Some(steps) = (input + pads[0] + pads[1]).checked_sub(side) else { return };
        let width = steps / stride + 1;
        let channel_len = height * input + 5;
        let mut cells = vec![f32::NAN; MARGIN + CHANNELS * channel_len + MARGIN];
        let cell = |c: usize, y: usize, x: usize| ((c * 31 + y * 17 + x * 7) % 13) as f32 - 6.0;
        for (c, y, x) in ndarray::indices((CHANNELS, height, input)) {
            cells[MARGIN + c * channel_len + y * input + x] = cell(c, y, x);
        }
        let weights: Vec<f32> = (0..CHANNELS * side * side).map(|i| (i * i % 11) as f32 - 5.0).collect();
        // What lies beyond the outputs must stay as it is: registers are written whole.
        let output_len = CHANNELS * rows * width;
        let mut output = [vec![f32::NAN; output_len], vec![BEYOND; MARGIN]].concat();
        let part = Part {
            planes: Planes {
                cells: &cells,
                origin: MARGIN.wrapping_sub(pad * input + pads[0]),
                channel_len,
                pitch: input,
                inside: [(pad, height), (pads[0], input)].map(|(start, n)| Inside { start, end: start + n }),
                is_far: first > 0,
            },
            side,
            stride,
            weights: &weights,
            outs: 1,
            rows: first..rows,
            width,
            output: &mut output[first * width..output_len],
            output_len: rows * width,
        };
        compute_with(arch, part);
        assert!(output[output_len..].iter().all(|&cell| cell == BEYOND), "{side} by {stride}, {height}×{input}");
        for (c, y, x) in ndarray::indices((CHANNELS, rows, width)) {
            let found = output[(c * rows + y) * width + x];
            let taps = ndarray::indices((side, side)).into_iter().filter_map(|(i, j)| {
                let (y, x) = ((y * stride + i).checked_sub(pad)?, (x * stride + j).checked_sub(pads[0])?);
                (y < height && x < input).then(|| weights[(c * side + i) * side + j] * cell(c, y, x))
            });
            let expected: f32 = taps.sum();
            let is_left = y < first;
            let is_right = if is_left { found.is_nan() } else { found == expected };
            assert!(is_right, "{side} by {stride}, {height}×{input}, at {c} {y} {x}: {found}, not {expected}");
        }
    }

    #[test]
    fn every_side_and_stride_is_right_in_registers_of_every_width() {
        for arch in [arch(), narrow_arch(), Arch::Scalar] {
            for (side, stride) in [3_usize, 5, 7].into_iter().flat_map(|side| [(side, 1), (side, 2)]) {
                for width in [1, 4, 7, 8, 9, 15, 16, 17, 28, 31, 33, 48, 57, 59, 61, 70, 90, 112, 113, 129, 200] {
                    for (height, first) in [(8, 0), (8, 1), (side.div_ceil(2), 0), (1, 0)] {
                        for pads in [[side / 2, side / 2], [1, side - 1], [0, 0], [side - 1, 1]] {
                            check(arch, (side, stride), pads, [height, width], first);
                        }
                    }
                }
            }
        }
    }
}
