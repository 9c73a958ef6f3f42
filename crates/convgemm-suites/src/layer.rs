//! A layer: its sizes, and what follows from them.

use std::fmt;
use std::str::FromStr;

/// A convolution over one to three axes, without its batch.
///
/// # Notation
/// `C-OCxKERNEL@SIZE` and letters for what differs from the default; one length serves all axes:
///
/// | | | default |
/// |---|---|---|
/// | `3-64x7x7@224` | 3 channels to 64, kernel 7×7, input 224×224 | |
/// | `64x3@56x28` … `64x3x3@56x28` | as many channels as before; one to three axes by the kernel | |
/// | `s2`, `s2x1` | stride | 1 |
/// | `p1`, `p1x0`, `p2:0` | padding; before and after if they differ | half of an odd kernel, else 0 |
/// | `d4` | dilation | 1 |
/// | `g32` | groups | 1 |
/// | `b` | with a bias | without |
///
/// ```
/// let layer: convgemm_suites::Layer = "3-64x7x7@224s2b".parse()?;
/// assert_eq!(layer.weight_shape(), [64, 3, 7, 7]);
/// assert_eq!((layer.stride.as_slice(), layer.padding[0], layer.bias), ([2, 2].as_slice(), [3, 3], true));
/// assert!("3-64x7x7@224t2".parse::<convgemm_suites::Layer>().is_err());
/// # Ok::<(), convgemm_suites::NotationError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Layer {
    /// Channels that it reads.
    pub in_channels: usize,
    /// Channels that it writes.
    pub out_channels: usize,
    /// Taps of the kernel along each axis.
    pub kernel: Vec<usize>,
    /// Cells of the input along each axis.
    pub size: Vec<usize>,
    /// Cells between two windows.
    pub stride: Vec<usize>,
    /// Cells added before and after each axis.
    pub padding: Vec<[usize; 2]>,
    /// Cells between two taps.
    pub dilation: Vec<usize>,
    /// Groups of channels that do not see each other.
    pub groups: usize,
    /// Whether it adds a bias.
    pub bias: bool,
}

impl Layer {
    /// `[N, C, *k]`.
    pub fn input_shape(&self, batch: usize) -> Vec<usize> {
        [&[batch, self.in_channels], self.size.as_slice()].concat()
    }

    /// `[OC, C/g, *k]`.
    pub fn weight_shape(&self) -> Vec<usize> {
        [&[self.out_channels, self.in_channels / self.groups], self.kernel.as_slice()].concat()
    }

    /// `[N, OC, *k]`.
    pub fn output_shape(&self, batch: usize) -> Vec<usize> {
        [&[batch, self.out_channels], self.output_size().as_slice()].concat()
    }

    /// Windows along each axis.
    pub fn output_size(&self) -> Vec<usize> {
        (0..self.size.len()).map(|axis| self.output_len(axis).unwrap_or(0)).collect()
    }

    /// Windows along one axis, if there is one at least.
    pub(crate) fn output_len(&self, axis: usize) -> Option<usize> {
        let [before, after] = self.padding[axis];
        let padded = self.size[axis].checked_add(before)?.checked_add(after)?;
        let reach = (self.kernel[axis] - 1).checked_mul(self.dilation[axis])?.checked_add(1)?;
        Some(padded.checked_sub(reach)? / self.stride[axis] + 1)
    }

    /// The shape of what an operation computes.
    pub fn result_shape(&self, op: Op, batch: usize) -> Vec<usize> {
        match op {
            Op::Conv => self.output_shape(batch),
            Op::InputGrad => self.input_shape(batch),
            Op::WeightGrad => self.weight_shape(),
        }
    }

    /// Floating-point operations of the definition: a multiplication and an addition for each tap of each window.
    /// The gradients have as many. Padding counts, as everyone counts it.
    pub fn flops(&self, batch: usize) -> f64 {
        2.0 * elements(&self.output_shape(batch)) * elements(&self.weight_shape()[1..])
    }

    /// Floating-point operations with the fewest products that an engine of this accuracy is known to take: those of
    /// Winograd's schemes along axes of neighbouring taps. Of three taps that move by one, F(4, 3) computes four outputs of
    /// six products, not twelve; of three that move by two, four outputs take nine, forward; of five, F(2, 5) computes two of
    /// six, not ten. Their transforms are not counted, and gradients of weights are as defined.
    pub fn fewest_flops(&self, op: Op, batch: usize) -> f64 {
        let windows = self.output_size();
        let outputs = match op {
            Op::Conv => &windows,
            Op::InputGrad => &self.size,
            Op::WeightGrad => return self.flops(batch),
        };
        let share = |axis: usize| {
            let (products, tile) = match (self.kernel[axis], self.stride[axis], self.dilation[axis]) {
                (3, 1, 1) => (6.0, 4),
                (5, 1, 1) => (6.0, 2),
                (3, 2, 1) if op == Op::Conv => (9.0, 4),
                _ => return 1.0,
            };
            let all = (self.kernel[axis] * windows[axis].max(1)) as f64;
            (products * outputs[axis].div_ceil(tile) as f64 / all).min(1.0)
        };
        self.flops(batch) * (0..self.size.len()).map(share).product::<f64>()
    }

    /// Bytes in f32 that must be read and written at least: each array of the forward pass once. The gradients
    /// read two of the three and write the other.
    pub fn bytes(&self, batch: usize) -> f64 {
        4.0 * (elements(&self.input_shape(batch))
            + elements(&self.weight_shape())
            + elements(&self.output_shape(batch)))
    }
}

/// Number of elements; in floating point, where nothing overflows.
fn elements(shape: &[usize]) -> f64 {
    shape.iter().map(|&n| n as f64).product()
}

/// What is computed of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Op {
    /// The layer itself.
    #[default]
    Conv,
    /// The gradient with respect to its input.
    InputGrad,
    /// The gradient with respect to its weight.
    WeightGrad,
}

impl Op {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Conv, Self::InputGrad, Self::WeightGrad];

    /// `conv`, `input_grad` or `weight_grad`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Conv => "conv",
            Self::InputGrad => "input_grad",
            Self::WeightGrad => "weight_grad",
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Op {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|op| op.name() == text);
        found.ok_or_else(|| format!("'{text}' is no operation; conv, input_grad or weight_grad"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fewest_products_are_those_of_whole_tiles_where_tiles_apply() {
        let share = |layer: &str, op| {
            let layer: Layer = layer.parse().unwrap();
            layer.fewest_flops(op, 2) / layer.flops(2)
        };
        assert_eq!(share("8x3x3@16", Op::Conv), 0.25);
        // Two tiles along seven outputs.
        assert!((share("8x3x3@7", Op::Conv) - 0.25 * (8.0_f64 / 7.0).powi(2)).abs() < 1e-12);
        // The input has two cells more.
        assert_eq!(share("8x3x3@6p0", Op::Conv), 0.25);
        assert_eq!(share("8x3x3@6p0", Op::InputGrad), 1.0);
        assert_eq!(share("8x1x3@16", Op::Conv), 0.5);
        assert_eq!(share("8x3x3@16s2", Op::Conv), 81.0 / 144.0);
        assert_eq!(share("8x5x5@16", Op::Conv), 0.36);
        for (layer, op) in [
            ("8x3x3@16s2", Op::InputGrad),
            ("8x3x3@16", Op::WeightGrad),
            ("8x5x5@16d2", Op::Conv),
            ("8x7x7@16", Op::Conv),
        ] {
            assert_eq!(share(layer, op), 1.0, "{layer}");
        }
        // Longer tiles than outputs are of no use.
        assert_eq!(share("8x3@3p0", Op::Conv), 1.0);
    }
}
