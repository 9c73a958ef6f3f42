//! Plans of weight gradients, which have two inputs and no weights to pack.

use super::{Engine, Explanation, caller_shape, check_shape, check_workspace};
use crate::element::Element;
use crate::error::Result;
use crate::lowering::{Algorithm, Pass};
use crate::options::ConvOptions;
use crate::rank::{Rank, Shape, Tensor, TensorRef};

/// The weight gradient of a convolution or transposed convolution of fixed shapes.
///
/// ```
/// use convgemm::{ConvOptions, WeightGradPlan};
/// use ndarray::Array4;
///
/// let plan = WeightGradPlan::<f64, 2>::conv([1, 1, 4, 4], [1, 1, 2, 2], &ConvOptions::new())?;
/// let grad = plan.run(&Array4::ones((1, 1, 4, 4)), &Array4::ones((1, 1, 3, 3)))?;
/// assert_eq!(grad, Array4::from_elem((1, 1, 2, 2), 9.0));
/// # Ok::<(), convgemm::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct WeightGradPlan<T, const D: usize> {
    engine: Engine,
    /// In a transposed convolution the input has the place of the output's gradient.
    is_transposed: bool,
    workspace_len: usize,
    element: std::marker::PhantomData<T>,
}

impl<T: Element, const D: usize> WeightGradPlan<T, D>
where
    [usize; D]: Rank,
{
    /// A plan of [`conv_weight_grad`](crate::conv_weight_grad).
    ///
    /// # Errors
    /// What makes the shapes and options impossible, or the algorithm that they name; an activation.
    pub fn conv(input_shape: Shape<D>, weight_shape: Shape<D>, options: &ConvOptions<D>) -> Result<Self> {
        Self::of_conv(input_shape.as_ref(), weight_shape.as_ref(), options)
    }

    /// A plan of [`conv_transpose_weight_grad`](crate::conv_transpose_weight_grad).
    ///
    /// # Errors
    /// What makes the shapes and options impossible, or the algorithm that they name; an activation.
    pub fn conv_transpose(input_shape: Shape<D>, weight_shape: Shape<D>, options: &ConvOptions<D>) -> Result<Self> {
        Self::of_conv_transpose(input_shape.as_ref(), weight_shape.as_ref(), options)
    }

    pub(crate) fn of_conv(input: &[usize], weight: &[usize], options: &ConvOptions<D>) -> Result<Self> {
        options.without_activation()?;
        Ok(Self::new(Engine::new::<T, D>(options.geometry(input, weight)?, Pass::WeightGrad, options)?, false))
    }

    pub(crate) fn of_conv_transpose(input: &[usize], weight: &[usize], options: &ConvOptions<D>) -> Result<Self> {
        options.without_activation()?;
        Ok(Self::new(
            Engine::new::<T, D>(options.transposed_geometry(input, weight)?, Pass::WeightGrad, options)?,
            true,
        ))
    }

    fn new(engine: Engine, is_transposed: bool) -> Self {
        let workspace_len = engine.workspace::<T>().len();
        Self { engine, is_transposed, workspace_len, element: std::marker::PhantomData }
    }

    /// The shape of the gradient: the weight's.
    pub fn output_shape(&self) -> Vec<usize> {
        caller_shape(D, self.engine.target_shape())
    }

    /// Elements of scratch memory that [`run_into`](Self::run_into) needs.
    pub fn workspace_len(&self) -> usize {
        self.workspace_len
    }

    /// The algorithm that was chosen.
    pub fn algorithm(&self) -> Algorithm {
        self.engine.algorithm()
    }

    /// What the plan does, why, and what it costs.
    pub fn explain(&self) -> Explanation {
        self.engine.explain::<T>()
    }

    /// The gradient for `input` and the gradient of its output, in a new array.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) if an argument has not the plan's shape.
    pub fn run(&self, input: &TensorRef<T, D>, grad_output: &TensorRef<T, D>) -> Result<Tensor<T, D>> {
        let mut output = <[usize; D]>::narrow(ndarray::Array5::zeros(self.engine.target_shape()));
        self.run_into(input, grad_output, &mut output, &mut vec![T::zero(); self.workspace_len])?;
        Ok(output)
    }

    /// The same, overwriting `output`, with scratch memory from `workspace`, of which neither is read. Views whose
    /// strides the algorithm cannot read are copied first, the only case in which memory is allocated here.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) or [`Error::WorkspaceLength`](crate::Error::WorkspaceLength)
    /// if an argument has the wrong size.
    pub fn run_into(
        &self,
        input: &TensorRef<T, D>,
        grad_output: &TensorRef<T, D>,
        output: &mut TensorRef<T, D>,
        workspace: &mut [T],
    ) -> Result<()> {
        let g = self.engine.geometry();
        let [input_shape, grad_shape] =
            if self.is_transposed { [g.output_shape(), g.input_shape()] } else { [g.input_shape(), g.output_shape()] };
        check_shape("input", D, input_shape, input.shape())?;
        check_shape("grad_output", D, grad_shape, grad_output.shape())?;
        check_shape("output", D, self.engine.target_shape(), output.shape())?;
        check_workspace(self.workspace_len, workspace)?;
        let (input, grad) = (<[usize; D]>::widen(input.view()), <[usize; D]>::widen(grad_output.view()));
        let (input, grad) = if self.is_transposed { (grad, input) } else { (input, grad) };
        self.engine.run_weight_grad(input, grad, <[usize; D]>::widen(output.view_mut()), workspace);
        Ok(())
    }
}
