//! One axis of a convolution, in integers only.

use std::ops::Range;

use super::PadMode;
use crate::error::{Error, Result};

/// One spatial axis: window `o` reads, at tap `t`, the padded input's cell `o · stride + t · dilation`.
///
/// All lengths are in cells. An axis that the caller does not have (the depth of a picture) is
/// [`Axis::UNIT`], so one engine serves one to three dimensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Axis {
    /// Length of the input.
    pub input: usize,
    /// Number of taps.
    pub kernel: usize,
    /// Number of windows. Never more than fit, but a transposed convolution can use fewer.
    pub output: usize,
    /// Cells between two windows.
    pub stride: usize,
    /// Cells between two taps; 1 for a dense kernel.
    pub dilation: usize,
    /// Cells of padding before the first.
    pub pad_before: usize,
    /// Cells of padding after the last.
    pub pad_after: usize,
}

/// How much padding an axis gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AxisPadding {
    /// As many windows as `⌈input / stride⌉`, the odd cell after the input.
    SameUpper,
    /// As many windows as `⌈input / stride⌉`, the odd cell before the input.
    SameLower,
    /// Cells before and after.
    Explicit(usize, usize),
}

/// What is asked of an axis, before the input's length is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AxisRequest {
    /// Cells between two windows.
    pub stride: usize,
    /// Cells between two taps.
    pub dilation: usize,
    /// Padding.
    pub padding: AxisPadding,
    /// Cells added at the end of a transposed convolution's output.
    pub output_padding: usize,
}

impl AxisRequest {
    /// The request of an axis that the caller does not have.
    pub const UNIT: Self = Self { stride: 1, dilation: 1, padding: AxisPadding::Explicit(0, 0), output_padding: 0 };
}

impl Axis {
    /// An axis of length 1 with a kernel of length 1.
    pub const UNIT: Self = Self { input: 1, kernel: 1, output: 1, stride: 1, dilation: 1, pad_before: 0, pad_after: 0 };

    /// The axis of a convolution over `input` cells. `number` names the axis in errors.
    ///
    /// # Errors
    /// A zero kernel, stride or dilation; a kernel longer than the padded input; an overflow.
    pub fn new(number: usize, input: usize, kernel: usize, request: AxisRequest) -> Result<Self> {
        let AxisRequest { stride, dilation, .. } = request;
        let extent = extent(number, kernel, request)?;
        let (pad_before, pad_after) = match request.padding {
            AxisPadding::Explicit(before, after) => (before, after),
            same => same_padding(same, input, input.div_ceil(stride), stride, extent),
        };
        let padded = sum([input, pad_before, pad_after])?;
        if extent > padded {
            return Err(Error::KernelTooLarge { axis: number, extent, padded });
        }
        let output = (padded - extent) / stride + 1;
        Ok(Self { input, kernel, output, stride, dilation, pad_before, pad_after })
    }

    /// The axis of the convolution whose input gradient is the transposed convolution of `input` cells.
    ///
    /// The transposed output has `(input − 1)·stride − before − after + dilation·(kernel − 1) +
    /// output_padding + 1` cells, as in PyTorch; with `Same` it has `input · stride`.
    ///
    /// # Errors
    /// As [`Axis::new`]; output padding that is not smaller than stride or dilation; padding that
    /// leaves no output.
    pub fn transposed(number: usize, input: usize, kernel: usize, request: AxisRequest) -> Result<Self> {
        let AxisRequest { stride, dilation, output_padding, .. } = request;
        let extent = extent(number, kernel, request)?;
        let product = |a: usize, b: usize| a.checked_mul(b).ok_or(Error::Overflow { what: "an axis" });
        let (output, pad_before, pad_after) = match request.padding {
            AxisPadding::Explicit(before, after) => {
                let limit = stride.max(dilation);
                if output_padding >= limit {
                    return Err(Error::OutputPadding { axis: number, found: output_padding, limit });
                }
                let full = match input.checked_sub(1) {
                    Some(steps) => sum([product(steps, stride)?, extent, output_padding])?,
                    None => 0,
                };
                let padding = sum([before, after, 0])?;
                if full <= padding {
                    return Err(Error::TransposedPadding { axis: number, padding, full });
                }
                (full - padding, before, after)
            }
            _ if output_padding > 0 => return Err(Error::OutputPaddingUnused),
            same => {
                let output = product(input, stride)?;
                let (before, after) = same_padding(same, output, input, stride, extent);
                (output, before, after)
            }
        };
        Ok(Self { input: output, kernel, output: input, stride, dilation, pad_before, pad_after })
    }

    /// Cells that a window spans: `dilation · (kernel − 1) + 1`.
    pub fn extent(&self) -> usize {
        self.dilation * (self.kernel - 1) + 1
    }

    /// Whether the windows are the cells: one tap, no stride, no padding.
    pub fn is_pointwise(&self) -> bool {
        self.kernel == 1 && self.stride == 1 && self.pad_before == 0 && self.output == self.input
    }

    /// Where window `output` reads at `tap`, counted from the first input cell; negative in the padding.
    pub fn position(&self, output: usize, tap: usize) -> isize {
        (output * self.stride + tap * self.dilation) as isize - self.pad_before as isize
    }

    /// The input cell that window `output` reads at `tap`, or `None` where it reads a zero.
    pub fn source(&self, output: usize, tap: usize, mode: PadMode) -> Option<usize> {
        mode.source(self.position(output, tap), self.input)
    }

    /// The windows that read inside the input at `tap`; windows before and after read padding.
    pub fn interior(&self, tap: usize) -> Range<usize> {
        let offset = tap * self.dilation;
        let start = self.pad_before.saturating_sub(offset).div_ceil(self.stride);
        let end = (self.pad_before + self.input).saturating_sub(offset).div_ceil(self.stride);
        let end = end.min(self.output);
        start.min(end)..end
    }
}

fn extent(number: usize, kernel: usize, request: AxisRequest) -> Result<usize> {
    for (name, value) in [("kernel", kernel), ("stride", request.stride), ("dilation", request.dilation)] {
        if value == 0 {
            return Err(Error::Zero { parameter: format!("{name} of axis {number}") });
        }
    }
    (kernel - 1)
        .checked_mul(request.dilation)
        .and_then(|span| span.checked_add(1))
        .ok_or(Error::Overflow { what: "a dilated kernel" })
}

/// The padding that makes `output` windows fit `input` cells.
fn same_padding(side: AxisPadding, input: usize, output: usize, stride: usize, extent: usize) -> (usize, usize) {
    let Some(steps) = output.checked_sub(1) else { return (0, 0) };
    // A sum that does not fit is refused by the caller, as any padding too large is.
    let total = (steps * stride).saturating_add(extent).saturating_sub(input);
    let (small, large) = (total / 2, total - total / 2);
    match side {
        AxisPadding::SameLower => (large, small),
        _ => (small, large),
    }
}

fn sum(parts: [usize; 3]) -> Result<usize> {
    parts
        .into_iter()
        .try_fold(0_usize, usize::checked_add)
        .filter(|&total| isize::try_from(total).is_ok())
        .ok_or(Error::Overflow { what: "an axis" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(stride: usize, dilation: usize, padding: AxisPadding) -> AxisRequest {
        AxisRequest { stride, dilation, padding, output_padding: 0 }
    }

    #[test]
    fn the_interior_is_exactly_where_a_window_reads_the_input() {
        for (input, kernel, stride, dilation, pad) in
            [(7, 3, 1, 1, 1), (1, 3, 2, 1, 1), (5, 2, 3, 2, 4), (9, 5, 2, 3, 6), (4, 1, 7, 1, 0)]
        {
            let axis = Axis::new(2, input, kernel, request(stride, dilation, AxisPadding::Explicit(pad, pad))).unwrap();
            for tap in 0..kernel {
                let inside: Vec<usize> =
                    (0..axis.output).filter(|&o| (0..input as isize).contains(&axis.position(o, tap))).collect();
                assert_eq!(axis.interior(tap).collect::<Vec<_>>(), inside, "{axis:?} tap {tap}");
            }
        }
    }

    #[test]
    fn same_gives_one_window_a_stride_and_puts_the_odd_cell_where_asked() {
        let upper = Axis::new(2, 6, 2, request(1, 1, AxisPadding::SameUpper)).unwrap();
        assert_eq!((upper.output, upper.pad_before, upper.pad_after), (6, 0, 1));
        let lower = Axis::new(2, 6, 2, request(1, 1, AxisPadding::SameLower)).unwrap();
        assert_eq!((lower.output, lower.pad_before, lower.pad_after), (6, 1, 0));
        let strided = Axis::new(2, 7, 3, request(2, 3, AxisPadding::SameUpper)).unwrap();
        assert_eq!(strided.output, 4);
    }

    #[test]
    fn a_transposed_axis_is_the_axis_it_undoes() {
        let forward = Axis::new(2, 11, 3, request(2, 1, AxisPadding::Explicit(1, 1))).unwrap();
        let back = Axis::transposed(2, forward.output, 3, request(2, 1, AxisPadding::Explicit(1, 1))).unwrap();
        assert_eq!(back, forward);
        let same = Axis::transposed(2, 5, 4, request(3, 1, AxisPadding::SameUpper)).unwrap();
        assert_eq!((same.input, same.output), (15, 5));
    }

    #[test]
    fn lengths_that_overflow_are_refused() {
        let huge = request(1, usize::MAX / 2, AxisPadding::Explicit(0, 0));
        assert!(matches!(Axis::new(2, 5, 4, huge), Err(Error::Overflow { .. })));
        let wide = request(1, 1, AxisPadding::Explicit(usize::MAX - 1, 3));
        assert!(matches!(Axis::new(2, 5, 4, wide), Err(Error::Overflow { .. })));
    }
}
