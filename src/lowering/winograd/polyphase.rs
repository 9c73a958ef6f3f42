//! Windows that move by two or four cells, as windows that move by one: cells that lie alike in the steps are a channel of their own.
//!
//! Window `o` reads, at tap `s · t + p`, the padded cell `s · (o + t) + p`, which is cell `o + t` of phase `p`. So kernels of `K` taps
//! along an axis that move by `s` are kernels of `⌈K / s⌉` taps of `s · s` times as many channels; what the last taps have beyond the
//! kernel is 0. (The polyphase decomposition of P. P. Vaidyanathan, "Multirate systems and filter banks", 1993.)

use std::ops::Range;

use ndarray::{Array2, ArrayView2, indices, s};

use super::cells::inside;
use super::part::Area;
use crate::element::Element;
use crate::geometry::{Axis, ConvGeometry, PadMode};
use crate::lowering::image::Image;
use crate::simd::SIDE;

/// A convolution that is computed by phases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Polyphase {
    /// Whose image is read.
    pub(super) read: ConvGeometry,
}

impl Polyphase {
    /// With the convolution of the phases. `None` unless rows and columns of windows move by the same two or four cells, without
    /// dilation, over an image with zeros around it.
    pub fn of(geometry: &ConvGeometry) -> Option<(Self, ConvGeometry)> {
        let [depth, height, width] = geometry.axes;
        let is_known = matches!((height.stride, width.stride), (2, 2) | (4, 4)) && geometry.pad_mode == PadMode::Zeros;
        if !is_known || !depth.is_pointwise() || height.dilation * width.dilation > 1 || geometry.windows() == 0 {
            return None;
        }
        let axis = |axis: Axis| {
            let kernel = axis.kernel.div_ceil(axis.stride);
            let input = axis.output + kernel - 1;
            Axis { input, kernel, output: axis.output, stride: 1, dilation: 1, pad_before: 0, pad_after: 0 }
        };
        let phases = ConvGeometry {
            in_channels: geometry.in_channels.checked_mul(height.stride * width.stride)?,
            axes: [depth, axis(height), axis(width)],
            ..geometry.clone()
        };
        Some((Self { read: geometry.clone() }, phases))
    }

    fn stride(&self) -> usize {
        self.read.axes[1].stride
    }

    /// The kernels `[OC, C/g · taps]` as those of the phases.
    pub fn kernels<T: Element>(&self, kernels: ArrayView2<'_, T>) -> Array2<T> {
        let ([_, height, width], stride) = (self.read.axes, self.stride());
        let [rows, columns] = [height, width].map(|axis| axis.kernel.div_ceil(stride));
        let inputs = self.read.group_in_channels();
        let mut phased = Array2::zeros((kernels.nrows(), inputs * stride * stride * rows * columns));
        for (kernel, mut phased) in kernels.rows().into_iter().zip(phased.rows_mut()) {
            for (number, (input, row, column)) in indices((inputs, height.kernel, width.kernel)).into_iter().enumerate()
            {
                let channel = (input * stride + row % stride) * stride + column % stride;
                phased[(channel * rows + row / stride) * columns + column / stride] = kernel[number];
            }
        }
        phased
    }

    /// Puts the cells of at most sixteen phases, from the first of a channel on, to `turned`, sixteen for each cell of an area of
    /// the phases' plane. Those outside the image are left as they are.
    pub(super) fn turn<T: Element>(
        &self,
        image: Image<'_, T>,
        (plane, area): (usize, Area),
        phases: Range<usize>,
        (row, turned): (&mut [T], &mut [T]),
    ) {
        match self.stride() {
            2 => self.turn_by::<T, 2>(image, (plane, area), phases, (row, turned)),
            _ => self.turn_by::<T, 4>(image, (plane, area), phases, (row, turned)),
        }
    }

    fn turn_by<T: Element, const STRIDE: usize>(
        &self,
        image: Image<'_, T>,
        (plane, area): (usize, Area),
        phases: Range<usize>,
        (row, turned): (&mut [T], &mut [T]),
    ) {
        let ([_, height, width], [rows, columns]) = (self.read.axes, area.count);
        let [first_row, first_column] = area.first.map(|first| first * STRIDE);
        let wide = inside(&width, first_column, columns * STRIDE);
        if wide.is_empty() {
            return;
        }
        let column = first_column + wide.start - width.pad_before;
        for first in phases.clone().step_by(STRIDE * STRIDE) {
            let channel = first / (STRIDE * STRIDE);
            for number in inside(&height, first_row, rows * STRIDE) {
                let y = first_row + number - height.pad_before;
                let cells = match image.flat {
                    Some(flat) => {
                        let start = channel * flat.channel_len + plane * flat.plane_len + y * width.input + column;
                        &flat.cells[start..][..wide.len()]
                    }
                    None => {
                        let cells = image.view.slice_move(s![channel, plane, y, column..column + wide.len()]);
                        let row = &mut row[..wide.len()];
                        row.iter_mut().zip(cells).for_each(|(to, &cell)| *to = cell);
                        row
                    }
                };
                let lane = first - phases.start + number % STRIDE * STRIDE;
                spread::<T, STRIDE>(cells, wide.start, &mut turned[number / STRIDE * columns * SIDE + lane..]);
            }
        }
    }
}

/// Puts neighbouring cells, of which the first is number `start`, so many to each sixteen places.
#[inline(always)]
fn spread<T: Copy, const STRIDE: usize>(cells: &[T], start: usize, to: &mut [T]) {
    let place = |number: usize| number / STRIDE * SIDE + number % STRIDE;
    let head = (start.next_multiple_of(STRIDE) - start).min(cells.len());
    let (first, rest) = cells.split_at(head);
    let (steps, last) = rest.as_chunks::<STRIDE>();
    let whole = start + head;
    for (i, &cell) in first.iter().enumerate() {
        to[place(start + i)] = cell;
    }
    let bulk = place(whole).min(to.len());
    for (step, to) in steps.iter().zip(to[bulk..].chunks_mut(SIDE)) {
        to[..STRIDE].copy_from_slice(step);
    }
    for (i, &cell) in last.iter().enumerate() {
        to[place(whole + steps.len() * STRIDE + i)] = cell;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ConvOptions;
    use crate::Padding;
    use ndarray::{Array, Array4, Array5};

    /// The convolution of the phases of an image, or of one whose rows do not lie one after the other, is that of the image.
    fn check([kernel, stride]: [usize; 2], pads: [(usize, usize); 2], size: [usize; 2], is_flat: bool) {
        let [height, width] = size;
        let options = ConvOptions::<2>::new().stride([stride; 2]).padding(Padding::Explicit(pads));
        let geometry = options.geometry(&[1, 2, height, width], &[3, 2, kernel, kernel]).unwrap();
        let (polyphase, phases) = Polyphase::of(&geometry).unwrap();
        let cell = |i: usize| (i * 7 % 11) as f64 - 5.0;
        let image: Array5<f64> =
            Array::from_shape_fn([1, 2, 1, height, width + 3], |(_, c, _, y, x)| cell(c * 5 + y * 3 + x));
        let image = image.slice_move(s![.., .., .., .., ..width]);
        let image = if is_flat { image.as_standard_layout().to_owned() } else { image };
        let kernels = Array4::from_shape_fn([3, 2, kernel, kernel], |(o, c, r, q)| cell(o + c * 2 + r * r + q));
        let rows = kernels.to_shape((3, 2 * kernel * kernel)).unwrap();
        let phased = polyphase.kernels(rows.view());

        let [_, high, wide] = phases.axes;
        let area = Area { first: [0, 1], count: [high.input, wide.input - 1] };
        let turn = |first: usize| {
            let mut turned = vec![0.0; area.count[0] * area.count[1] * SIDE];
            let channels = first..(first + SIDE).min(phases.in_channels);
            let image = Image::of(&geometry, image.view(), 0, 0);
            assert_eq!(image.flat.is_some(), is_flat);
            let mut row = vec![f64::NAN; area.count[1] * SIDE];
            polyphase.turn(image, (0, area), channels, (&mut row, &mut turned));
            turned
        };
        let turned: Vec<_> = (0..phases.in_channels).step_by(SIDE).map(turn).collect();
        // The area begins with the second column.
        for (out, y, x) in indices([3, high.output, wide.output - 1]) {
            let taps = indices([2, kernel, kernel]).into_iter().filter_map(|(c, r, q)| {
                let row = (y * stride + r).checked_sub(pads[0].0).filter(|&row| row < height)?;
                let column = ((x + 1) * stride + q).checked_sub(pads[1].0).filter(|&column| column < width)?;
                Some(image[[0, c, 0, row, column]] * kernels[[out, c, r, q]])
            });
            let found = indices([phases.in_channels, high.kernel, wide.kernel]).into_iter().map(|(p, r, q)| {
                let cell = turned[p / SIDE][((y + r) * area.count[1] + x + q) * SIDE + p % SIDE];
                cell * phased[[out, (p * high.kernel + r) * wide.kernel + q]]
            });
            assert_eq!(found.sum::<f64>(), taps.sum::<f64>(), "{kernel} by {stride}, {pads:?} {size:?}: {out} {y} {x}");
        }
    }

    #[test]
    fn the_convolution_of_the_phases_is_that_of_the_image() {
        for (kernel, stride) in [(5, 2), (7, 2), (8, 2), (9, 4), (11, 4), (13, 4)] {
            for pads in [[(0, 0), (0, 0)], [(3, 2), (2, 3)], [(1, 5), (4, 1)]] {
                for (size, is_flat) in [([13, 22], true), ([16, 17], false), ([21, 32], true)] {
                    check([kernel, stride], pads, size, is_flat);
                }
            }
        }
    }

    #[test]
    fn other_windows_are_not_taken_by_phases() {
        let of = |options: ConvOptions<2>| Polyphase::of(&options.geometry(&[1, 2, 30, 30], &[3, 2, 7, 7]).unwrap());
        assert!(of(ConvOptions::new().stride([2, 2])).is_some());
        assert!(of(ConvOptions::new().stride([3, 3])).is_none());
        assert!(of(ConvOptions::new().stride([2, 4])).is_none());
        assert!(of(ConvOptions::new().stride([2, 2]).dilation([1, 2])).is_none());
        let mirrored = ConvOptions::new().stride([2, 2]).padding(Padding::Same).pad_mode(PadMode::Reflect);
        assert!(of(mirrored).is_none());
    }
}
