//! Gradients of a convolution with respect to its input, weight and bias.

use ndarray::{Array1, ArrayRef1, Axis};

use super::{apply, apply_into};
use crate::element::Element;
use crate::error::Result;
use crate::lowering::Pass;
use crate::options::ConvOptions;
use crate::plan::{Engine, WeightGradPlan, check_dims};
use crate::rank::{Rank, Shape, Tensor, TensorRef};

/// Gradient of [`conv`](crate::conv) with respect to its input `[N, C, *k]`, whose shape the caller names:
/// with a stride, several inputs give the same output shape.
///
/// # Errors
/// As [`conv`](crate::conv), an activation, and a `grad_output` of another shape than the output.
///
/// ```
/// use convgemm::{ConvOptions, conv_input_grad};
/// use ndarray::array;
///
/// let k = array![[[1.0_f64, -1.0]]];
/// let grad = conv_input_grad([1, 1, 3], &k, &array![[[1.0, 10.0]]], &ConvOptions::<1>::new())?;
/// assert_eq!(grad, array![[[1.0, 9.0, -10.0]]]);
/// # Ok::<(), convgemm::Error>(())
/// ```
pub fn conv_input_grad<T: Element, const D: usize>(
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

/// [`conv_input_grad`] into an output that the caller owns.
///
/// # Errors
/// As [`conv_input_grad`], and an output of another shape.
pub fn conv_input_grad_into<T: Element, const D: usize>(
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

fn adjoint<T: Element, const D: usize>(
    input_shape: Shape<D>,
    weight: &[usize],
    options: &ConvOptions<D>,
) -> Result<Engine>
where
    [usize; D]: Rank,
{
    options.without_activation()?;
    Engine::new::<T, D>(options.geometry(input_shape.as_ref(), weight)?, Pass::InputGrad, options)
}

/// Gradient of [`conv`](crate::conv) with respect to its weight `[OC, C/g, *k]`, summed over the batch; exactly
/// zero for an empty batch.
///
/// # Errors
/// As [`conv`](crate::conv), an activation, and a `grad_output` of another shape than the output.
///
/// ```
/// use convgemm::{ConvOptions, conv_weight_grad};
/// use ndarray::array;
///
/// let x = array![[[1.0_f64, 2.0, 4.0]]];
/// let grad = conv_weight_grad(&x, [1, 1, 2], &array![[[1.0, 10.0]]], &ConvOptions::<1>::new())?;
/// assert_eq!(grad, array![[[21.0, 42.0]]]);
/// # Ok::<(), convgemm::Error>(())
/// ```
pub fn conv_weight_grad<T: Element, const D: usize>(
    input: &TensorRef<T, D>,
    weight_shape: Shape<D>,
    grad_output: &TensorRef<T, D>,
    options: &ConvOptions<D>,
) -> Result<Tensor<T, D>>
where
    [usize; D]: Rank,
{
    WeightGradPlan::of_conv(input.shape(), weight_shape.as_ref(), options)?.run(input, grad_output)
}

/// [`conv_weight_grad`] into an output that the caller owns.
///
/// # Errors
/// As [`conv_weight_grad`], and an output of another shape.
pub fn conv_weight_grad_into<T: Element, const D: usize>(
    input: &TensorRef<T, D>,
    weight_shape: Shape<D>,
    grad_output: &TensorRef<T, D>,
    options: &ConvOptions<D>,
    output: &mut TensorRef<T, D>,
) -> Result<()>
where
    [usize; D]: Rank,
{
    let plan = WeightGradPlan::of_conv(input.shape(), weight_shape.as_ref(), options)?;
    plan.run_into(input, grad_output, output, &mut vec![T::zero(); plan.workspace_len()])
}

/// Gradient of any of these operations with respect to its bias: the sum of `grad_output` `[N, OC, *k]`
/// over everything but the channels.
///
/// ```
/// let grad = convgemm::conv_bias_grad::<f32, 1>(&ndarray::array![[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]]]);
/// assert_eq!(grad, ndarray::array![14.0, 22.0]);
/// ```
pub fn conv_bias_grad<T: Element, const D: usize>(grad_output: &TensorRef<T, D>) -> Array1<T>
where
    [usize; D]: Rank,
{
    let grad = <[usize; D]>::widen(grad_output.view());
    grad.axis_iter(Axis(1))
        .map(|channel| {
            // Rows are summed in their own type, whose rounding is small there, and rows together in f64.
            let rows = channel.rows().into_iter().map(|row| row.sum().to_f64());
            T::from_f64(rows.sum())
        })
        .collect()
}

/// [`conv_bias_grad`] into an output that the caller owns.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) if the output has not one value a channel.
pub fn conv_bias_grad_into<T: Element, const D: usize>(
    grad_output: &TensorRef<T, D>,
    output: &mut ArrayRef1<T>,
) -> Result<()>
where
    [usize; D]: Rank,
{
    check_dims("output", &[grad_output.shape()[1]], output.shape())?;
    output.assign(&conv_bias_grad::<T, D>(grad_output));
    Ok(())
}
