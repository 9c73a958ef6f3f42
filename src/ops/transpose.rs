//! Transposed convolution: the input gradient of a convolution, as an operation of its own.

use ndarray::ArrayRef1;

use super::{apply, apply_into};
use crate::element::Element;
use crate::error::Result;
use crate::lowering::Pass;
use crate::options::ConvOptions;
use crate::plan::{Engine, WeightGradPlan};
use crate::rank::{Rank, Shape, Tensor, TensorRef};

/// Transposed convolution of `input` `[N, C, *k]` with `weight` `[C, OC/g, *k]`, plus `bias` `[OC]`.
///
/// Returns `[N, OC, *out]` with `out = (in − 1) · stride − padding + dilation · (k − 1) + output_padding
/// + 1` on each axis, as PyTorch does; with [`Padding::Same`](crate::Padding::Same) it is `in · stride`.
///
/// # Errors
/// Shapes and options that do not fit each other, a pad mode other than zeros; see
/// [`Error`](crate::Error).
///
/// ```
/// use convgemm::{ConvOptions, conv_transpose};
/// use ndarray::array;
///
/// let x = array![[[1.0_f64, 2.0]]];
/// let k = array![[[1.0, 10.0, 100.0]]];
/// let y = conv_transpose(&x, &k, None, &ConvOptions::<1>::new().stride([2]))?;
/// assert_eq!(y, array![[[1.0, 10.0, 102.0, 20.0, 200.0]]]);
/// # Ok::<(), convgemm::Error>(())
/// ```
pub fn conv_transpose<T: Element, const D: usize>(
    input: &TensorRef<T, D>,
    weight: &TensorRef<T, D>,
    bias: Option<&ArrayRef1<T>>,
    options: &ConvOptions<D>,
) -> Result<Tensor<T, D>>
where
    [usize; D]: Rank,
{
    let geometry = options.transposed_geometry(input.shape(), weight.shape())?;
    apply(&Engine::new::<T, D>(geometry, Pass::InputGrad, options)?, weight, bias, ("input", input))
}

/// [`conv_transpose`] into an output that the caller owns, of any strides. What it held is not read.
///
/// # Errors
/// As [`conv_transpose`], and an output of another shape.
pub fn conv_transpose_into<T: Element, const D: usize>(
    input: &TensorRef<T, D>,
    weight: &TensorRef<T, D>,
    bias: Option<&ArrayRef1<T>>,
    options: &ConvOptions<D>,
    output: &mut TensorRef<T, D>,
) -> Result<()>
where
    [usize; D]: Rank,
{
    let geometry = options.transposed_geometry(input.shape(), weight.shape())?;
    apply_into(&Engine::new::<T, D>(geometry, Pass::InputGrad, options)?, weight, bias, ("input", input), output)
}

/// Gradient of [`conv_transpose`] with respect to its input: the convolution of `grad_output`
/// `[N, OC, *out]` with the same weight `[C, OC/g, *k]`.
///
/// # Errors
/// As [`conv_transpose`], an activation, and a `grad_output` of another shape than the output.
pub fn conv_transpose_input_grad<T: Element, const D: usize>(
    input_shape: Shape<D>,
    weight: &TensorRef<T, D>,
    grad_output: &TensorRef<T, D>,
    options: &ConvOptions<D>,
) -> Result<Tensor<T, D>>
where
    [usize; D]: Rank,
{
    apply(&adjoint::<T, D>(input_shape, weight.shape(), options)?, weight, None, ("grad_output", grad_output))
}

/// [`conv_transpose_input_grad`] into an output that the caller owns.
///
/// # Errors
/// As [`conv_transpose_input_grad`], and an output of another shape.
pub fn conv_transpose_input_grad_into<T: Element, const D: usize>(
    input_shape: Shape<D>,
    weight: &TensorRef<T, D>,
    grad_output: &TensorRef<T, D>,
    options: &ConvOptions<D>,
    output: &mut TensorRef<T, D>,
) -> Result<()>
where
    [usize; D]: Rank,
{
    apply_into(
        &adjoint::<T, D>(input_shape, weight.shape(), options)?,
        weight,
        None,
        ("grad_output", grad_output),
        output,
    )
}

/// The forward pass of the convolution that the transposed convolution is the input gradient of.
fn adjoint<T: Element, const D: usize>(
    input_shape: Shape<D>,
    weight: &[usize],
    options: &ConvOptions<D>,
) -> Result<Engine>
where
    [usize; D]: Rank,
{
    options.without_activation()?;
    Engine::new::<T, D>(options.transposed_geometry(input_shape.as_ref(), weight)?, Pass::Forward, options)
}

/// Gradient of [`conv_transpose`] with respect to its weight `[C, OC/g, *k]`, summed over the batch.
///
/// # Errors
/// As [`conv_transpose`], an activation, and a `grad_output` of another shape than the output.
pub fn conv_transpose_weight_grad<T: Element, const D: usize>(
    input: &TensorRef<T, D>,
    weight_shape: Shape<D>,
    grad_output: &TensorRef<T, D>,
    options: &ConvOptions<D>,
) -> Result<Tensor<T, D>>
where
    [usize; D]: Rank,
{
    WeightGradPlan::of_conv_transpose(input.shape(), weight_shape.as_ref(), options)?.run(input, grad_output)
}

/// [`conv_transpose_weight_grad`] into an output that the caller owns.
///
/// # Errors
/// As [`conv_transpose_weight_grad`], and an output of another shape.
pub fn conv_transpose_weight_grad_into<T: Element, const D: usize>(
    input: &TensorRef<T, D>,
    weight_shape: Shape<D>,
    grad_output: &TensorRef<T, D>,
    options: &ConvOptions<D>,
    output: &mut TensorRef<T, D>,
) -> Result<()>
where
    [usize; D]: Rank,
{
    let plan = WeightGradPlan::of_conv_transpose(input.shape(), weight_shape.as_ref(), options)?;
    plan.run_into(input, grad_output, output, &mut vec![T::zero(); plan.workspace_len()])
}
