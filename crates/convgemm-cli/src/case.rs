//! What is asked of a convolution, before its rank and type are known to the compiler.

use anyhow::{Result, anyhow, bail};
use convgemm::{Activation, Algorithm, Backend, ConvOptions, Numerics, PadMode, Rank, Shape};
use convgemm_protocol::{Dtype, Layout, Op, Padding, PaddingRule, Prepare};

use crate::npy::Scalar;

/// Options of a convolution for a number of axes that is known only at run time. Lists have an entry for
/// each axis, or one for all.
#[derive(Debug, Clone)]
pub struct Settings {
    pub stride: Vec<usize>,
    pub padding: Padding,
    pub pad_mode: PadMode,
    pub dilation: Vec<usize>,
    pub groups: usize,
    pub output_padding: Vec<usize>,
    pub activation: Activation,
    pub algorithm: Algorithm,
    pub numerics: Numerics,
    pub backend: Backend,
    pub workspace_bytes: Option<usize>,
}

/// An operation with its shapes: those of the forward pass, also for gradients.
#[derive(Debug, Clone)]
pub struct Case {
    pub op: Op,
    pub dtype: Dtype,
    pub layout: Layout,
    /// `[N, C, *k]`.
    pub input: Vec<usize>,
    /// `[OC, C/g, *k]`, or `[C, OC/g, *k]` if transposed.
    pub weight: Vec<usize>,
    pub bias: bool,
    pub settings: Settings,
}

impl Settings {
    /// The library's options, for `D` axes.
    ///
    /// # Errors
    /// A list of another length.
    pub fn options<const D: usize>(&self) -> Result<ConvOptions<D>> {
        let mut options = ConvOptions::new()
            .stride(for_axes("stride", &self.stride)?)
            .padding(self.padding::<D>()?)
            .pad_mode(self.pad_mode)
            .dilation(for_axes("dilation", &self.dilation)?)
            .groups(self.groups)
            .output_padding(for_axes("output padding", &self.output_padding)?)
            .activation(self.activation)
            .algorithm(self.algorithm)
            .numerics(self.numerics)
            .backend(self.backend);
        if let Some(bytes) = self.workspace_bytes {
            options = options.workspace_bytes(bytes);
        }
        Ok(options)
    }

    fn padding<const D: usize>(&self) -> Result<convgemm::Padding<D>> {
        Ok(match &self.padding {
            Padding::Rule(PaddingRule::Valid) => convgemm::Padding::Valid,
            Padding::Rule(PaddingRule::Same) => convgemm::Padding::Same,
            Padding::Rule(PaddingRule::SameLower) => convgemm::Padding::SameLower,
            Padding::Cells(cells) => convgemm::Padding::Explicit(for_axes("padding", cells)?.map(|[b, a]| (b, a))),
        })
    }
}

/// One entry for each of `D` axes, from as many or from one.
pub fn for_axes<V: Copy, const D: usize>(what: &str, list: &[V]) -> Result<[V; D]> {
    if let &[one] = list {
        return Ok([one; D]);
    }
    let found = list.len();
    list.try_into()
        .map_err(|_| anyhow!("{what} has {found} entries, the input has {D} spatial axes; give {D}, or 1 for all"))
}

impl TryFrom<&Prepare> for Case {
    type Error = anyhow::Error;

    fn try_from(asked: &Prepare) -> Result<Self> {
        Ok(Self {
            op: asked.op,
            dtype: asked.dtype,
            layout: asked.layout,
            input: asked.input.clone(),
            weight: asked.weight.clone(),
            bias: asked.bias || asked.files.bias.is_some(),
            settings: Settings {
                stride: asked.stride.clone(),
                padding: asked.padding.clone(),
                pad_mode: parse(&asked.pad_mode)?,
                dilation: asked.dilation.clone(),
                groups: asked.groups,
                output_padding: asked.output_padding.clone(),
                activation: parse_activation(&asked.activation).map_err(anyhow::Error::msg)?,
                algorithm: parse(&asked.algorithm)?,
                numerics: parse_numerics(&asked.numerics).map_err(anyhow::Error::msg)?,
                backend: parse(&asked.backend)?,
                workspace_bytes: asked.workspace_bytes,
            },
        })
    }
}

fn parse<V: std::str::FromStr<Err = String>>(text: &str) -> Result<V> {
    text.parse().map_err(anyhow::Error::msg)
}

/// `none`, `relu` or `clamp:MIN:MAX`.
pub fn parse_activation(text: &str) -> Result<Activation, String> {
    let wrong = || format!("'{text}' is no activation; none, relu or clamp:MIN:MAX");
    match text {
        "none" => Ok(Activation::None),
        "relu" => Ok(Activation::Relu),
        _ => {
            let bounds = text.strip_prefix("clamp:").and_then(|bounds| bounds.split_once(':')).ok_or_else(wrong)?;
            let bound = |text: &str| text.parse::<f64>().map_err(|_| wrong());
            Ok(Activation::Clamp { min: bound(bounds.0)?, max: bound(bounds.1)? })
        }
    }
}

/// `fast` or `strict`.
pub fn parse_numerics(text: &str) -> Result<Numerics, String> {
    match text {
        "fast" => Ok(Numerics::Fast),
        "strict" => Ok(Numerics::Strict),
        _ => Err(format!("'{text}' is no numerics; fast or strict")),
    }
}

/// One to three spatial axes, whose shapes can be made from lists.
pub trait Axes: Rank<Shape: TryFrom<Vec<usize>>, Tensor: Send + Sync> {}

impl<const D: usize> Axes for [usize; D] where [usize; D]: Rank<Shape: TryFrom<Vec<usize>>, Tensor: Send + Sync> {}

/// `lengths` as a shape for `D` spatial axes.
///
/// # Errors
/// Another number of lengths.
pub fn shape<const D: usize>(what: &str, lengths: &[usize]) -> Result<Shape<D>>
where
    [usize; D]: Axes,
{
    let found = lengths.len();
    lengths.to_vec().try_into().map_err(|_| anyhow!("{what} has {found} axes, this operation needs {}", D + 2))
}

/// Something to be done for a type and a number of spatial axes that are known only at run time.
pub trait Visitor {
    type Output;

    fn visit<T: Scalar, const D: usize>(self) -> Result<Self::Output>
    where
        [usize; D]: Axes;
}

/// Calls `visitor` for `dtype` and the spatial axes of an input `[N, C, *k]` with `axes` axes.
///
/// # Errors
/// Those of the visitor, and a number of axes that no operation has.
pub fn dispatch<V: Visitor>(dtype: Dtype, axes: usize, visitor: V) -> Result<V::Output> {
    match dtype {
        Dtype::F32 => dispatch_axes::<f32, V>(axes, visitor),
        Dtype::F64 => dispatch_axes::<f64, V>(axes, visitor),
    }
}

fn dispatch_axes<T: Scalar, V: Visitor>(axes: usize, visitor: V) -> Result<V::Output> {
    match axes {
        3 => visitor.visit::<T, 1>(),
        4 => visitor.visit::<T, 2>(),
        5 => visitor.visit::<T, 3>(),
        _ => bail!("the input has {axes} axes; batch, channels and 1 to 3 spatial axes are possible"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_entry_serves_all_axes_and_any_other_number_must_fit() {
        assert_eq!(for_axes::<_, 3>("stride", &[2]).unwrap(), [2, 2, 2]);
        assert_eq!(for_axes::<_, 2>("stride", &[2, 3]).unwrap(), [2, 3]);
        let error = for_axes::<_, 3>("stride", &[2, 3]).unwrap_err().to_string();
        assert_eq!(error, "stride has 2 entries, the input has 3 spatial axes; give 3, or 1 for all");
        assert!(for_axes::<usize, 2>("stride", &[]).is_err());
    }

    #[test]
    fn activations_are_read_with_their_bounds() {
        assert_eq!(parse_activation("clamp:-1:6.5"), Ok(Activation::Clamp { min: -1.0, max: 6.5 }));
        assert_eq!(parse_activation("relu"), Ok(Activation::Relu));
        for wrong in ["", "relu6", "clamp", "clamp:1", "clamp:a:b"] {
            assert!(parse_activation(wrong).is_err(), "{wrong}");
        }
    }
}
