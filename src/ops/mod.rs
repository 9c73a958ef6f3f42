//! The public functions: thin, each a geometry, a pass and a run.

mod conv;
mod grad;
mod named;
mod transpose;
mod unfold;

pub use conv::{conv, conv_into, convolve2d, convolve2d_into, correlate2d, correlate2d_into};
pub use grad::{
    conv_bias_grad, conv_bias_grad_into, conv_input_grad, conv_input_grad_into, conv_weight_grad, conv_weight_grad_into,
};
pub use named::*;
pub use transpose::{
    conv_transpose, conv_transpose_input_grad, conv_transpose_input_grad_into, conv_transpose_into,
    conv_transpose_weight_grad, conv_transpose_weight_grad_into,
};
pub use unfold::{fold, fold_into, unfold, unfold_into};

use ndarray::ArrayRef1;

use crate::element::Element;
use crate::error::Result;
use crate::plan::{Engine, check_shape, zeros_like_order};
use crate::rank::{Rank, Tensor, TensorRef};

/// Runs a forward pass or input gradient on `source`, which errors call by its name, into a new array.
fn apply<T: Element, const D: usize>(
    engine: &Engine,
    weight: &TensorRef<T, D>,
    bias: Option<&ArrayRef1<T>>,
    source: (&'static str, &TensorRef<T, D>),
) -> Result<Tensor<T, D>>
where
    [usize; D]: Rank,
{
    let order = <[usize; D]>::widen(source.1.view());
    let mut output = <[usize; D]>::narrow(zeros_like_order(engine.target_shape(), order));
    apply_into(engine, weight, bias, source, &mut output)?;
    Ok(output)
}

/// The same into an array of the caller.
fn apply_into<T: Element, const D: usize>(
    engine: &Engine,
    weight: &TensorRef<T, D>,
    bias: Option<&ArrayRef1<T>>,
    (name, source): (&'static str, &TensorRef<T, D>),
    output: &mut TensorRef<T, D>,
) -> Result<()>
where
    [usize; D]: Rank,
{
    engine.check_bias(bias.map(|bias| bias.len()))?;
    check_shape(name, D, engine.source_shape(), source.shape())?;
    check_shape("output", D, engine.target_shape(), output.shape())?;
    let weights = engine.weights(<[usize; D]>::widen(weight.view()));
    let (source, target) = (<[usize; D]>::widen(source.view()), <[usize; D]>::widen(output.view_mut()));
    let mut workspace = vec![T::zero(); engine.workspace::<T>().len()];
    engine.run(&weights, bias, source, target, &mut workspace);
    Ok(())
}
