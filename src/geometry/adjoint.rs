//! The input gradient of a convolution as convolutions of stride 1 over its output's gradient.
//!
//! With stride `s`, the input's cells fall into `s` phases on each axis: those of one phase are read by the same taps,
//! `s` taps apart, in windows that are neighbours. So the gradient of a phase is a convolution of stride 1 with some
//! of the taps, reversed; no zeros are put between the cells. (The sub-pixel view of a transposed convolution: W. Shi
//! et al., "Is the deconvolution layer the same as a convolutional layer?", 2016.)

use super::{Axis, ConvGeometry, PadMode};

/// Phases of all axes together: each is a convolution of its own.
const MAX_PHASES: usize = 256;

/// The cells `first`, `first + stride`, … on each axis of an input, and what computes their gradient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Phase {
    /// The convolution, with channels swapped.
    pub geometry: ConvGeometry,
    /// Which taps of the kernel it reads.
    pub taps: [AxisTaps; 3],
}

/// Taps of one axis, from the last that is read to the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AxisTaps {
    last: usize,
    step: usize,
    pub count: usize,
}

/// The phase of an input gradient beside which all others are zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OnlyPhase {
    /// Its first cell on each axis.
    pub firsts: [usize; 3],
    pub phase: Phase,
}

impl AxisTaps {
    /// Their numbers, in the order in which the phase reads them.
    pub fn numbers(self) -> impl Iterator<Item = usize> {
        (0..self.count).map(move |j| self.last - j * self.step)
    }
}

impl ConvGeometry {
    /// The convolution that computes this one's input gradient from its output's, with channels swapped
    /// and taps reversed: for stride 1, zeros for padding and no more of it than a window has cells.
    pub(crate) fn adjoint(&self) -> Option<Phase> {
        let is_dense = self.axes.iter().all(|axis| axis.stride == 1);
        is_dense.then(|| self.phase([0; 3])).flatten()
    }

    /// The arrays of the input gradient of 3×3 windows that move by two, within a border of one cell, as those of a
    /// convolution, with channels swapped and taps reversed. Its axes have an output for each cell of the input, twice as
    /// many as windows: of even number, they meet the middle one of the taps, of odd number the others.
    pub(crate) fn doubled(&self) -> Option<Phase> {
        let [depth, height, width] = &self.axes;
        let is_halving = |axis: &Axis| [axis.kernel, axis.stride, axis.dilation, axis.pad_before] == [3, 2, 1, 1];
        let is_possible =
            depth.is_pointwise() && is_halving(height) && is_halving(width) && self.pad_mode == PadMode::Zeros;
        let dense = |axis: &Axis| Axis { input: axis.output, kernel: 3, output: axis.input, ..Axis::UNIT };
        let taps = |last: usize| AxisTaps { last, step: 1, count: last + 1 };
        is_possible.then(|| Phase {
            geometry: Self {
                in_channels: self.out_channels,
                out_channels: self.in_channels,
                axes: [*depth, dense(height), dense(width)],
                ..self.clone()
            },
            taps: [taps(0), taps(2), taps(2)],
        })
    }

    /// On each axis, the phases that have a cell.
    pub(crate) fn phase_counts(&self) -> [usize; 3] {
        self.axes.map(|axis| axis.stride.min(axis.input.max(1)))
    }

    /// The phase that all taps are read by, as those of a kernel of one cell are; with stride 1 that is [`adjoint`](Self::adjoint).
    pub(crate) fn only_phase(&self) -> Option<OnlyPhase> {
        let [_, rows, columns] = self.phase_counts();
        let mut read = self.phases()?.into_iter().enumerate().filter(|(_, phase)| phase.geometry.taps() > 0);
        let (number, phase) = read.next()?;
        let firsts = [number / columns / rows, number / columns % rows, number % columns];
        read.next().is_none().then_some(OnlyPhase { firsts, phase })
    }

    /// The phases by plane, row and column. `None` if one cannot be computed so, or if there are as many that no run
    /// of neighbours is left.
    pub(crate) fn phases(&self) -> Option<Vec<Phase>> {
        let [planes, rows, columns] = self.phase_counts();
        if planes.checked_mul(rows)?.checked_mul(columns)? > MAX_PHASES {
            return None;
        }
        let firsts = (0..planes * rows * columns).map(|i| [i / columns / rows, i / columns % rows, i % columns]);
        firsts.map(|first| self.phase(first)).collect()
    }

    /// What computes the gradient of the input's cells `first`, `first + stride`, … on each axis, of which `first` is
    /// less than the stride and the length. A phase that no tap reads has a gradient of zeros and a kernel without cells.
    ///
    /// `None` if a border is not of zeros, or wider than the taps of a phase reach.
    pub(crate) fn phase(&self, first: [usize; 3]) -> Option<Phase> {
        if self.pad_mode != PadMode::Zeros {
            return None;
        }
        let mut phase = Phase {
            geometry: Self { in_channels: self.out_channels, out_channels: self.in_channels, ..self.clone() },
            taps: [AxisTaps { last: 0, step: 1, count: 0 }; 3],
        };
        for (number, axis) in self.axes.iter().enumerate() {
            (phase.geometry.axes[number], phase.taps[number]) = axis_phase(*axis, first[number])?;
        }
        Some(phase)
    }
}

fn axis_phase(axis: Axis, first: usize) -> Option<(Axis, AxisTaps)> {
    let Axis { stride, dilation, kernel, .. } = axis;
    let place = first + axis.pad_before;
    let cells = axis.input.saturating_sub(first).div_ceil(stride);
    // Tap `t` is read where `place − t · dilation` is a multiple of the stride: by every `step`-th tap.
    let common = gcd(stride, dilation);
    let step = stride / common;
    let mut readers = (0..kernel.min(step)).filter(|tap| (tap * dilation) % stride == place % stride);
    let Some(tap) = readers.next() else {
        let none = Axis { input: axis.output, kernel: 0, output: cells, ..Axis::UNIT };
        return Some((none, AxisTaps { last: 0, step, count: 0 }));
    };
    let count = (kernel - tap).div_ceil(step);
    let last = tap + (count - 1) * step;
    // The first cell reads the last tap's window there, which is in the border where that tap lies behind it.
    let pad_before = (last * dilation).checked_sub(place)? / stride;
    let dilation = dilation / common;
    let reach = (count - 1) * dilation;
    // Windows that read nothing but padding have no share in the gradient.
    let pad_after = (cells + reach).saturating_sub(pad_before + axis.output);
    let dense = Axis { input: axis.output, kernel: count, output: cells, stride: 1, dilation, pad_before, pad_after };
    Some((dense, AxisTaps { last, step, count }))
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which cells of the output's gradient, and which taps, are terms of an input cell's gradient.
    fn terms(axis: Axis, cell: usize) -> Vec<(usize, usize)> {
        let is_read = |&(window, tap): &(usize, usize)| axis.position(window, tap) == cell as isize;
        (0..axis.output).flat_map(|window| (0..axis.kernel).map(move |tap| (window, tap))).filter(is_read).collect()
    }

    #[test]
    fn the_phases_of_an_axis_read_each_term_once() {
        let mut seen = 0;
        for (stride, dilation, kernel, pad_before) in
            quadruples(&[1, 2, 3, 4], &[1, 2, 3, 4], &[1, 2, 3, 5], &[0, 1, 2, 4])
        {
            let axis = Axis { input: 9, kernel, output: 5, stride, dilation, pad_before, pad_after: 3 };
            for first in 0..stride.min(axis.input) {
                let Some((dense, taps)) = axis_phase(axis, first) else { continue };
                seen += 1;
                assert_eq!(dense.output, (first..axis.input).step_by(stride).count());
                for (window, cell) in (first..axis.input).step_by(stride).enumerate() {
                    let mut read: Vec<(usize, usize)> = (0..dense.kernel)
                        .zip(taps.numbers())
                        .filter_map(|(j, tap)| Some((dense.source(window, j, PadMode::Zeros)?, tap)))
                        .collect();
                    read.sort_unstable();
                    assert_eq!(read, terms(axis, cell), "{axis:?}, cell {cell}");
                }
            }
        }
        assert!(seen > 300, "{seen} phases");
    }

    #[test]
    fn the_only_phase_is_that_which_all_taps_read() {
        let options = crate::ConvOptions::<2>::new().stride([2, 3]);
        let only = |kernel: usize, options: crate::ConvOptions<2>| {
            options.geometry(&[1, 2, 9, 11], &[4, 2, kernel, kernel]).unwrap().only_phase()
        };
        let OnlyPhase { firsts, phase } = only(1, options).unwrap();
        assert_eq!((firsts, phase.geometry.axes.map(|axis| axis.output)), ([0; 3], [1, 5, 4]));
        let OnlyPhase { firsts, phase } =
            only(3, options.dilation([2, 3]).padding(crate::Padding::symmetric([1, 2]))).unwrap();
        assert_eq!((firsts, phase.geometry.axes.map(|axis| axis.output)), ([0, 1, 1], [1, 4, 4]));
        assert_eq!(only(2, options), None);
        let dense = crate::ConvOptions::<2>::new();
        let adjoint = dense.geometry(&[1, 2, 9, 11], &[4, 2, 3, 3]).unwrap().adjoint();
        assert_eq!(only(3, dense).map(|only| only.phase), adjoint);
    }

    #[test]
    fn strides_and_dilations_of_any_size_do_not_overflow() {
        let huge = usize::MAX / 2;
        for (stride, dilation) in [(huge, huge / 3), (huge, 5), (3, huge), (huge - 1, huge / 2)] {
            let axis = Axis { input: 9, kernel: 2, output: 1, stride, dilation, pad_before: 1, pad_after: huge };
            for first in 0..9 {
                let phase = axis_phase(axis, first);
                assert!(phase.is_none_or(|(dense, _)| dense.output <= 9));
            }
        }
    }

    fn quadruples<'a>(
        a: &'a [usize],
        b: &'a [usize],
        c: &'a [usize],
        d: &'a [usize],
    ) -> impl Iterator<Item = (usize, usize, usize, usize)> + 'a {
        a.iter().flat_map(move |&a| {
            b.iter().flat_map(move |&b| c.iter().flat_map(move |&c| d.iter().map(move |&d| (a, b, c, d))))
        })
    }
}
