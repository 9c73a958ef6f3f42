//! The geometry of a convolution, validated once and trusted from then on.
//!
//! Everything is seen as three-dimensional: arrays are `[N, C, D, H, W]`, and an axis that the caller
//! does not have is [`Axis::UNIT`]. A transposed convolution is described by the convolution whose
//! input gradient it is.

mod adjoint;
mod axis;
mod padding;

pub(crate) use adjoint::{OnlyPhase, Phase};
pub use axis::{Axis, AxisPadding, AxisRequest};
pub use padding::PadMode;

use crate::error::{Error, Result};

/// A validated convolution: shapes, axes, groups and border. Only its constructors check shapes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConvGeometry {
    /// Images in the batch.
    pub batch: usize,
    /// Groups of channels that do not see each other.
    pub groups: usize,
    /// Channels of the convolution's input, all groups together.
    pub in_channels: usize,
    /// Channels of the convolution's output, all groups together.
    pub out_channels: usize,
    /// Depth, height and width.
    pub axes: [Axis; 3],
    /// What stands in the border.
    pub pad_mode: PadMode,
}

/// What is asked beside the shapes.
#[derive(Debug, Clone, Copy)]
pub struct GeometryRequest<'a> {
    /// One for each spatial axis, one to three.
    pub axes: &'a [AxisRequest],
    /// Number of groups.
    pub groups: usize,
    /// What stands in the border.
    pub pad_mode: PadMode,
}

impl ConvGeometry {
    /// The convolution of `input` `[N, C, *k]` with `weight` `[OC, C/g, *k]`.
    ///
    /// # Errors
    /// Whatever makes the shapes and the request impossible; see [`Error`].
    pub fn new(input: &[usize], weight: &[usize], request: GeometryRequest<'_>) -> Result<Self> {
        let (input, weight) = split(input, weight, request)?;
        let groups = request.groups;
        if input.channels != weight.inner.checked_mul(groups).ok_or(Error::Overflow { what: "the input" })? {
            return Err(Error::InputChannels { input: input.channels, weight: weight.inner, groups });
        }
        if request.axes.iter().any(|axis| axis.output_padding > 0) {
            return Err(Error::OutputPaddingUnused);
        }
        let axes = axes(&input, &weight, request.axes, Axis::new)?;
        for (number, axis) in spatial(&axes, request.axes.len()) {
            request.pad_mode.check(number, axis.input, axis.pad_before, axis.pad_after)?;
        }
        Self {
            batch: input.batch,
            groups,
            in_channels: input.channels,
            out_channels: weight.outer,
            axes,
            pad_mode: request.pad_mode,
        }
        .checked()
    }

    /// The convolution whose input gradient is the transposed convolution of `input` `[N, C, *k]` with
    /// `weight` `[C, OC/g, *k]`: its [`output_shape`](Self::output_shape) is the shape of `input`, its
    /// [`input_shape`](Self::input_shape) the shape of the transposed convolution's output.
    ///
    /// # Errors
    /// As [`ConvGeometry::new`], and any pad mode but zeros.
    pub fn transposed(input: &[usize], weight: &[usize], request: GeometryRequest<'_>) -> Result<Self> {
        if request.pad_mode != PadMode::Zeros {
            return Err(Error::TransposedPadMode(request.pad_mode.name()));
        }
        let (input, weight) = split(input, weight, request)?;
        if input.channels != weight.outer {
            return Err(Error::TransposedChannels { input: input.channels, weight: weight.outer });
        }
        let in_channels = weight.inner.checked_mul(request.groups).ok_or(Error::Overflow { what: "the output" })?;
        let axes = axes(&input, &weight, request.axes, Axis::transposed)?;
        Self {
            batch: input.batch,
            groups: request.groups,
            in_channels,
            out_channels: weight.outer,
            axes,
            pad_mode: request.pad_mode,
        }
        .checked()
    }

    /// Refuses what does not fit the address space.
    fn checked(self) -> Result<Self> {
        let volume = |what, shape: &[usize]| {
            // Zero-sized arrays must fit as well once their empty axes are left out: ndarray checks the same.
            let size = shape.iter().filter(|&&n| n > 0).try_fold(8_usize, |size, &n| size.checked_mul(n));
            size.filter(|&bytes| isize::try_from(bytes).is_ok()).map(|_| ()).ok_or(Error::Overflow { what })
        };
        volume("the input", &self.input_shape())?;
        volume("the weight", &self.weight_shape())?;
        volume("the output", &self.output_shape())?;
        let [_, inner, depth, height, width] = self.weight_shape();
        let [.., od, oh, ow] = self.output_shape();
        volume("the patch matrix", &[inner, depth, height, width, od, oh, ow])?;
        // Padded copies, phases apart and those of an input gradient included.
        let channels = self.in_channels.max(self.out_channels);
        let [d, h, w] = self.axes.map(|axis| {
            [axis.input, axis.pad_before, axis.pad_after, axis.extent()].into_iter().fold(0, usize::saturating_add)
        });
        volume("the padded input", &[channels, d, h, w])?;
        Ok(self)
    }

    /// `[N, C, D, H, W]` of the convolution's input.
    pub fn input_shape(&self) -> [usize; 5] {
        let [d, h, w] = self.axes.map(|axis| axis.input);
        [self.batch, self.in_channels, d, h, w]
    }

    /// `[OC, C/g, KD, KH, KW]`.
    pub fn weight_shape(&self) -> [usize; 5] {
        let [d, h, w] = self.axes.map(|axis| axis.kernel);
        [self.out_channels, self.group_in_channels(), d, h, w]
    }

    /// `[N, OC, OD, OH, OW]` of the convolution's output.
    pub fn output_shape(&self) -> [usize; 5] {
        let [d, h, w] = self.axes.map(|axis| axis.output);
        [self.batch, self.out_channels, d, h, w]
    }

    /// Input channels of one group.
    pub fn group_in_channels(&self) -> usize {
        self.in_channels / self.groups
    }

    /// Output channels of one group: the rows `m` of its GEMM.
    pub fn group_out_channels(&self) -> usize {
        self.out_channels / self.groups
    }

    /// Cells of one kernel in one channel.
    pub fn taps(&self) -> usize {
        self.axes.iter().map(|axis| axis.kernel).product()
    }

    /// Rows of a group's patch matrix, the depth `k` of its GEMM.
    pub fn patch_rows(&self) -> usize {
        self.group_in_channels() * self.taps()
    }

    /// Windows of one image: the columns of its patch matrix, `n` of its GEMM.
    pub fn windows(&self) -> usize {
        self.axes.iter().map(|axis| axis.output).product()
    }

    /// Cells of one input channel.
    pub fn input_cells(&self) -> usize {
        self.axes.iter().map(|axis| axis.input).product()
    }

    /// Whether the input is the patch matrix: a 1×1 kernel, no stride, no padding.
    pub fn is_pointwise(&self) -> bool {
        self.axes.iter().all(Axis::is_pointwise)
    }

    /// Multiplications and additions of the direct method, padding counted as if it were data.
    pub fn flops(&self) -> f64 {
        [self.batch, self.out_channels, self.patch_rows(), self.windows()].iter().fold(2.0, |all, &n| all * n as f64)
    }
}

struct InputShape<'a> {
    batch: usize,
    channels: usize,
    lengths: &'a [usize],
}

struct WeightShape<'a> {
    outer: usize,
    inner: usize,
    lengths: &'a [usize],
}

fn split<'a>(
    input: &'a [usize],
    weight: &'a [usize],
    request: GeometryRequest<'_>,
) -> Result<(InputShape<'a>, WeightShape<'a>)> {
    if request.groups == 0 {
        return Err(Error::Zero { parameter: "groups".into() });
    }
    let expected = request.axes.len() + 2;
    let [batch, channels, lengths @ ..] = input else {
        return Err(Error::Rank { what: "input", expected, found: input.len() });
    };
    let [outer, inner, kernel @ ..] = weight else {
        return Err(Error::Rank { what: "weight", expected, found: weight.len() });
    };
    for (what, found) in [("input", input.len()), ("weight", weight.len())] {
        if found != expected {
            return Err(Error::Rank { what, expected, found });
        }
    }
    if outer % request.groups != 0 {
        return Err(Error::Groups { channels: *outer, groups: request.groups });
    }
    let input = InputShape { batch: *batch, channels: *channels, lengths };
    Ok((input, WeightShape { outer: *outer, inner: *inner, lengths: kernel }))
}

/// Puts the caller's axes last and [`Axis::UNIT`] before them.
fn axes(
    input: &InputShape<'_>,
    weight: &WeightShape<'_>,
    requests: &[AxisRequest],
    make: impl Fn(usize, usize, usize, AxisRequest) -> Result<Axis>,
) -> Result<[Axis; 3]> {
    let mut axes = [Axis::UNIT; 3];
    let missing = 3 - requests.len();
    for (i, &request) in requests.iter().enumerate() {
        axes[missing + i] = make(i + 2, input.lengths[i], weight.lengths[i], request)?;
    }
    Ok(axes)
}

/// The caller's own axes with their numbers in its shapes.
fn spatial(axes: &[Axis; 3], count: usize) -> impl Iterator<Item = (usize, &Axis)> {
    (2..).zip(&axes[3 - count..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(axes: &[AxisRequest]) -> GeometryRequest<'_> {
        GeometryRequest { axes, groups: 1, pad_mode: PadMode::Zeros }
    }

    #[test]
    fn a_picture_is_a_volume_of_depth_one() {
        let axes = [AxisRequest { padding: AxisPadding::Explicit(1, 1), ..AxisRequest::UNIT }; 2];
        let g = ConvGeometry::new(&[2, 3, 5, 7], &[4, 3, 3, 3], request(&axes)).unwrap();
        assert_eq!(g.input_shape(), [2, 3, 1, 5, 7]);
        assert_eq!(g.output_shape(), [2, 4, 1, 5, 7]);
        assert_eq!((g.patch_rows(), g.windows()), (27, 35));
        assert_eq!(g.flops(), (2 * 2 * 4 * 27 * 35) as f64);
    }

    #[test]
    fn channel_errors_carry_the_numbers() {
        let axes = [AxisRequest::UNIT; 2];
        let asked = GeometryRequest { groups: 2, ..request(&axes) };
        let error = ConvGeometry::new(&[1, 5, 4, 4], &[4, 3, 1, 1], asked).unwrap_err();
        assert!(error.to_string().starts_with("input has 5 channels, weight expects 3 × 2 groups = 6"), "{error}");
    }

    #[test]
    fn shapes_whose_product_overflows_are_refused() {
        let axes = [AxisRequest::UNIT; 2];
        let huge = 1 << 31;
        let result = ConvGeometry::new(&[0, 1, huge, huge], &[1, 1, 1, 1], request(&axes));
        assert_eq!(result, Err(Error::Overflow { what: "the input" }));
    }
}
