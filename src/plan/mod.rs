//! Plans: a convolution validated once, with its algorithm chosen and its weights packed, for many runs.

mod choose;
mod cost;
mod engine;
mod explain;
mod predict;
mod weight_grad;

pub use explain::Explanation;
pub use weight_grad::WeightGradPlan;

use engine::caller_shape;
pub(crate) use engine::{Engine, check_dims, check_shape, zeros_like_order};

use ndarray::{Array1, ArrayRef1};

use crate::element::Element;
use crate::error::{Error, Result};
use crate::lowering::{Algorithm, Pass, Weights};
use crate::options::ConvOptions;
use crate::rank::{Rank, Shape, Tensor, TensorRef};

/// A convolution, transposed convolution or input gradient of fixed shapes and weights.
///
/// Shapes are checked, the algorithm is chosen and the weights are packed when the plan is made.
/// [`run_into`](Self::run_into) then writes to memory that the caller owns and allocates nothing itself
/// (the `gemm` crate packs its operands in buffers of its own, OpenBLAS in memory it keeps). A plan can
/// be shared by threads.
///
/// ```
/// use convgemm::{ConvOptions, ConvPlan, Padding};
/// use ndarray::Array4;
///
/// let kernels = Array4::<f32>::ones((8, 3, 3, 3));
/// let options = ConvOptions::new().padding(Padding::symmetric([1, 1]));
/// let plan = ConvPlan::conv([2, 3, 16, 16], &kernels, None, &options)?;
/// let mut output = Array4::zeros((2, 8, 16, 16));
/// let mut workspace = vec![0.0; plan.workspace_len()];
/// for _ in 0..3 {
///     plan.run_into(&Array4::ones((2, 3, 16, 16)), &mut output, &mut workspace)?;
/// }
/// assert_eq!(output[[1, 7, 8, 8]], 27.0);
/// # Ok::<(), convgemm::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct ConvPlan<T: Element, const D: usize> {
    engine: Engine,
    /// What callers call that which the plan is run on.
    source: &'static str,
    weights: Weights<'static, T>,
    bias: Option<Array1<T>>,
    workspace_len: usize,
}

impl<T: Element, const D: usize> ConvPlan<T, D>
where
    [usize; D]: Rank,
{
    /// A plan of [`conv`](crate::conv): `weight` is `[OC, C/g, *k]`, `bias` `[OC]`.
    ///
    /// # Errors
    /// What makes the shapes and options impossible, or the algorithm that they name.
    pub fn conv(
        input_shape: Shape<D>,
        weight: &TensorRef<T, D>,
        bias: Option<&ArrayRef1<T>>,
        options: &ConvOptions<D>,
    ) -> Result<Self> {
        let geometry = options.geometry(input_shape.as_ref(), weight.shape())?;
        Self::new(Engine::new::<T, D>(geometry, Pass::Forward, options)?, "input", weight, bias)
    }

    /// A plan of [`conv_transpose`](crate::conv_transpose): `weight` is `[C, OC/g, *k]`, `bias` `[OC]`.
    ///
    /// # Errors
    /// What makes the shapes and options impossible, or the algorithm that they name.
    pub fn conv_transpose(
        input_shape: Shape<D>,
        weight: &TensorRef<T, D>,
        bias: Option<&ArrayRef1<T>>,
        options: &ConvOptions<D>,
    ) -> Result<Self> {
        let geometry = options.transposed_geometry(input_shape.as_ref(), weight.shape())?;
        Self::new(Engine::new::<T, D>(geometry, Pass::InputGrad, options)?, "input", weight, bias)
    }

    /// A plan of [`conv_input_grad`](crate::conv_input_grad): it is run on the output's gradient.
    /// `input_shape` and `weight` are those of the forward pass.
    ///
    /// # Errors
    /// What makes the shapes and options impossible, or the algorithm that they name; an activation.
    pub fn input_grad(input_shape: Shape<D>, weight: &TensorRef<T, D>, options: &ConvOptions<D>) -> Result<Self> {
        options.without_activation()?;
        let geometry = options.geometry(input_shape.as_ref(), weight.shape())?;
        Self::new(Engine::new::<T, D>(geometry, Pass::InputGrad, options)?, "grad_output", weight, None)
    }

    fn new(
        engine: Engine,
        source: &'static str,
        weight: &TensorRef<T, D>,
        bias: Option<&ArrayRef1<T>>,
    ) -> Result<Self> {
        engine.check_bias(bias.map(|bias| bias.len()))?;
        let weights = engine.weights(<[usize; D]>::widen(weight.view())).into_owned();
        let workspace_len = engine.workspace::<T>().len();
        Ok(Self { engine, source, weights, bias: bias.map(|bias| bias.to_owned()), workspace_len })
    }

    /// The shape of what [`run`](Self::run) takes.
    pub fn input_shape(&self) -> Vec<usize> {
        caller_shape(D, self.engine.source_shape())
    }

    /// The shape of what [`run`](Self::run) gives.
    pub fn output_shape(&self) -> Vec<usize> {
        caller_shape(D, self.engine.target_shape())
    }

    /// Elements of scratch memory that [`run_into`](Self::run_into) needs, for as many threads as the
    /// current pool had when the plan was made.
    pub fn workspace_len(&self) -> usize {
        self.workspace_len
    }

    /// Elements of the packed weights that the plan keeps.
    pub fn packed_len(&self) -> usize {
        self.weights.len()
    }

    /// The algorithm that was chosen.
    pub fn algorithm(&self) -> Algorithm {
        self.engine.algorithm()
    }

    /// What the plan does, why, and what it costs.
    pub fn explain(&self) -> Explanation {
        self.engine.explain::<T>()
    }

    /// Runs the plan on `input` and returns a new array, in the memory order of `input`.
    ///
    /// # Errors
    /// [`Error::Shape`] if `input` has not the plan's shape.
    pub fn run(&self, input: &TensorRef<T, D>) -> Result<Tensor<T, D>> {
        let source = <[usize; D]>::widen(input.view());
        let mut output = <[usize; D]>::narrow(zeros_like_order(self.engine.target_shape(), source));
        self.run_into(input, &mut output, &mut vec![T::zero(); self.workspace_len])?;
        Ok(output)
    }

    /// Runs the plan on `input` and overwrites `output`, with scratch memory from `workspace`, of which
    /// neither is read. Views of any strides will do; those whose spatial axes cannot be merged into one
    /// are copied first where the algorithm needs it, the only case in which memory is allocated here.
    ///
    /// # Errors
    /// [`Error::Shape`] or [`Error::WorkspaceLength`] if an argument has the wrong size.
    pub fn run_into(&self, input: &TensorRef<T, D>, output: &mut TensorRef<T, D>, workspace: &mut [T]) -> Result<()> {
        check_shape(self.source, D, self.engine.source_shape(), input.shape())?;
        check_shape("output", D, self.engine.target_shape(), output.shape())?;
        check_workspace(self.workspace_len, workspace)?;
        let (source, target) = (<[usize; D]>::widen(input.view()), <[usize; D]>::widen(output.view_mut()));
        self.engine.run(&self.weights, self.bias.as_deref(), source, target, workspace);
        Ok(())
    }
}

fn check_workspace<T>(needed: usize, workspace: &[T]) -> Result<()> {
    let found = workspace.len();
    if found < needed { Err(Error::WorkspaceLength { needed, found }) } else { Ok(()) }
}
