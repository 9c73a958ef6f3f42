//! A case made ready to run: its plan, its data, and the memory for its result.

use anyhow::{Context, Result};
use convgemm::{ConvPlan, Explanation, Shape, Tensor, TensorRef, WeightGradPlan};
use convgemm_protocol::{Layout, Op};
use ndarray::{Array1, ArrayD, Ix1, IxDyn};

use crate::atomic::Output;
use crate::case::{Axes, Case, Visitor, dispatch, shape};
use crate::memory::filled;
use crate::npy::{self, Scalar};

/// An array that an operation reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operand {
    Input,
    Weight,
    Bias,
    GradOutput,
}

impl Operand {
    /// Its name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Weight => "weight",
            Self::Bias => "bias",
            Self::GradOutput => "grad_output",
        }
    }
}

/// Where arrays come from. Only those are asked for that the operation reads.
pub trait Source {
    /// The array that should have this shape.
    ///
    /// # Errors
    /// An array that cannot be had.
    fn load<T: Scalar>(&mut self, operand: Operand, shape: &[usize]) -> Result<ArrayD<T>>;
}

/// An operation that can be run any number of times, always on the same data and into the same memory.
pub trait Operation: Send {
    /// What the plan does.
    fn explain(&self) -> Explanation;
    /// Scratch memory of all threads.
    fn workspace_bytes(&self) -> usize;
    /// Memory of the packed weights.
    fn packed_bytes(&self) -> usize;
    /// Computes the result, allocating nothing.
    ///
    /// # Errors
    /// Arrays that do not fit the plan.
    fn run(&mut self) -> Result<()>;
    /// Shape of the result.
    fn output_shape(&self) -> &[usize];
    /// Writes the result as a NumPy file.
    ///
    /// # Errors
    /// What the file system says.
    fn write(&self, file: Output) -> Result<()>;
}

/// Makes `case` ready with data from `source`.
///
/// # Errors
/// An impossible case, or data that does not fit it.
pub fn prepare(case: &Case, source: impl Source) -> Result<Box<dyn Operation>> {
    dispatch(case.dtype, case.input.len(), Preparation { case, source })
}

struct Preparation<'a, S> {
    case: &'a Case,
    source: S,
}

impl<S: Source> Visitor for Preparation<'_, S> {
    type Output = Box<dyn Operation>;

    fn visit<T: Scalar, const D: usize>(mut self) -> Result<Box<dyn Operation>>
    where
        [usize; D]: Axes,
    {
        let case = self.case;
        let options = case.settings.options::<D>()?;
        let (input, weight) = (&case.input, &case.weight);
        let input_shape = shape::<D>("the input", input)?;
        // Validated before data is made for it.
        let (geometry, output) = match case.op {
            Op::ConvTranspose => {
                let geometry = options.transposed_geometry(input, weight)?;
                let output = spatial::<D>(geometry.input_shape());
                (geometry, output)
            }
            Op::Conv | Op::InputGrad | Op::WeightGrad => {
                let geometry = options.geometry(input, weight)?;
                let output = spatial::<D>(geometry.output_shape());
                (geometry, output)
            }
        };
        Ok(match case.op {
            Op::Conv | Op::ConvTranspose => {
                let kernels = self.tensor::<T, D>(Operand::Weight, weight)?;
                let channels = if case.op == Op::Conv { geometry.out_channels } else { geometry.in_channels };
                let bias = if case.bias { Some(self.bias::<T>(channels)?) } else { None };
                let make = if case.op == Op::Conv { ConvPlan::conv } else { ConvPlan::conv_transpose };
                let plan = make(input_shape, &kernels, bias.as_deref(), &options)?;
                Planned::boxed(plan, self.tensor::<T, D>(Operand::Input, input)?, case.layout)?
            }
            Op::InputGrad => {
                let kernels = self.tensor::<T, D>(Operand::Weight, weight)?;
                let plan = ConvPlan::input_grad(input_shape, &kernels, &options)?;
                Planned::boxed(plan, self.tensor::<T, D>(Operand::GradOutput, &output)?, case.layout)?
            }
            Op::WeightGrad => {
                let plan = WeightGradPlan::conv(input_shape, shape::<D>("the weight", weight)?, &options)?;
                let input = self.tensor::<T, D>(Operand::Input, input)?;
                let grad = self.tensor::<T, D>(Operand::GradOutput, &output)?;
                let sources = Both { input: ordered(input, case.layout)?, grad: ordered(grad, case.layout)? };
                // The gradient of a weight lies in memory as weights do.
                Planned::boxed_with(plan, sources, Layout::Nchw)?
            }
        })
    }
}

impl<S: Source> Preparation<'_, S> {
    fn tensor<T: Scalar, const D: usize>(&mut self, operand: Operand, lengths: &[usize]) -> Result<Tensor<T, D>>
    where
        [usize; D]: Axes,
    {
        let array = self.source.load::<T>(operand, lengths)?;
        let found = array.ndim();
        array
            .into_dimensionality()
            .ok()
            .with_context(|| format!("{} has {found} axes, this operation needs {}", operand.name(), D + 2))
    }

    fn bias<T: Scalar>(&mut self, channels: usize) -> Result<Array1<T>> {
        let array = self.source.load::<T>(Operand::Bias, &[channels])?;
        let found = array.ndim();
        array.into_dimensionality::<Ix1>().ok().with_context(|| format!("bias has {found} axes, it needs 1"))
    }
}

/// A shape of five lengths without the axes that a convolution over `D` axes does not have.
pub fn spatial<const D: usize>(lengths: [usize; 5]) -> Vec<usize> {
    [&lengths[..2], &lengths[5 - D..]].concat()
}

/// What a plan of either kind does for [`Planned`].
trait Plan<T: Scalar, const D: usize>: Send
where
    [usize; D]: Axes,
{
    type Sources: Send;
    fn explain(&self) -> Explanation;
    fn output_shape(&self) -> Vec<usize>;
    fn workspace_len(&self) -> usize;
    fn packed_len(&self) -> usize;
    fn run(&self, sources: &Self::Sources, output: &mut TensorRef<T, D>, workspace: &mut [T]) -> convgemm::Result<()>;
}

impl<T: Scalar, const D: usize> Plan<T, D> for ConvPlan<T, D>
where
    [usize; D]: Axes,
{
    type Sources = Tensor<T, D>;

    fn explain(&self) -> Explanation {
        self.explain()
    }

    fn output_shape(&self) -> Vec<usize> {
        self.output_shape()
    }

    fn workspace_len(&self) -> usize {
        self.workspace_len()
    }

    fn packed_len(&self) -> usize {
        self.packed_len()
    }

    fn run(&self, source: &Tensor<T, D>, output: &mut TensorRef<T, D>, workspace: &mut [T]) -> convgemm::Result<()> {
        self.run_into(source, output, workspace)
    }
}

/// What a weight gradient reads.
struct Both<A> {
    input: A,
    grad: A,
}

impl<T: Scalar, const D: usize> Plan<T, D> for WeightGradPlan<T, D>
where
    [usize; D]: Axes,
{
    type Sources = Both<Tensor<T, D>>;

    fn explain(&self) -> Explanation {
        self.explain()
    }

    fn output_shape(&self) -> Vec<usize> {
        self.output_shape()
    }

    fn workspace_len(&self) -> usize {
        self.workspace_len()
    }

    fn packed_len(&self) -> usize {
        0
    }

    fn run(&self, both: &Self::Sources, output: &mut TensorRef<T, D>, workspace: &mut [T]) -> convgemm::Result<()> {
        self.run_into(&both.input, &both.grad, output, workspace)
    }
}

struct Planned<T: Scalar, P: Plan<T, D>, const D: usize>
where
    [usize; D]: Axes,
{
    plan: P,
    sources: P::Sources,
    output: Tensor<T, D>,
    workspace: Vec<T>,
}

impl<T: Scalar, const D: usize> Planned<T, ConvPlan<T, D>, D>
where
    [usize; D]: Axes,
{
    fn boxed(plan: ConvPlan<T, D>, source: Tensor<T, D>, layout: Layout) -> Result<Box<dyn Operation>> {
        let source = ordered(source, layout)?;
        Self::boxed_with(plan, source, layout)
    }
}

impl<T: Scalar, P: Plan<T, D> + 'static, const D: usize> Planned<T, P, D>
where
    [usize; D]: Axes,
{
    fn boxed_with(plan: P, sources: P::Sources, layout: Layout) -> Result<Box<dyn Operation>> {
        let output = empty::<T, D>(&plan.output_shape(), layout)?;
        let workspace = filled("the workspace", plan.workspace_len(), T::zero())?;
        Ok(Box::new(Self { plan, sources, output, workspace }))
    }
}

impl<T: Scalar, P: Plan<T, D>, const D: usize> Operation for Planned<T, P, D>
where
    [usize; D]: Axes,
{
    fn explain(&self) -> Explanation {
        self.plan.explain()
    }

    fn workspace_bytes(&self) -> usize {
        size_of_val(self.workspace.as_slice())
    }

    fn packed_bytes(&self) -> usize {
        self.plan.packed_len() * size_of::<T>()
    }

    fn run(&mut self) -> Result<()> {
        Ok(self.plan.run(&self.sources, &mut self.output, &mut self.workspace)?)
    }

    fn output_shape(&self) -> &[usize] {
        self.output.shape()
    }

    fn write(&self, file: Output) -> Result<()> {
        npy::write(file, &self.output)
    }
}

/// Zeros of a shape `[N, C, *k]`, in a memory order.
fn empty<T: Scalar, const D: usize>(lengths: &[usize], layout: Layout) -> Result<Tensor<T, D>>
where
    [usize; D]: Axes,
{
    let mut in_memory = lengths.to_vec();
    if layout == Layout::Nhwc {
        in_memory[1..].rotate_left(1);
    }
    let cells = filled("the output", in_memory.iter().product(), T::zero())?;
    let mut array = ArrayD::from_shape_vec(IxDyn(&in_memory), cells)?;
    if layout == Layout::Nhwc {
        for axis in (1..array.ndim() - 1).rev() {
            array.swap_axes(axis, axis + 1);
        }
    }
    Ok(array.into_dimensionality()?)
}

/// The array in a memory order.
fn ordered<T: Scalar, const D: usize>(array: Tensor<T, D>, layout: Layout) -> Result<Tensor<T, D>>
where
    [usize; D]: Axes,
{
    if layout == Layout::Nchw && array.is_standard_layout() {
        return Ok(array);
    }
    let mut copy = empty::<T, D>(array.shape(), layout)?;
    copy.assign(&array);
    Ok(copy)
}

/// A plan's explanation for shapes alone, without data.
///
/// # Errors
/// An impossible case.
pub fn explain(case: &Case) -> Result<(Explanation, Vec<usize>)> {
    dispatch(case.dtype, case.input.len(), ShapesOnly(case))
}

struct ShapesOnly<'a>(&'a Case);

impl Visitor for ShapesOnly<'_> {
    type Output = (Explanation, Vec<usize>);

    fn visit<T: Scalar, const D: usize>(self) -> Result<Self::Output>
    where
        [usize; D]: Axes,
    {
        let case = self.0;
        let options = case.settings.options::<D>()?;
        let input: Shape<D> = shape::<D>("the input", &case.input)?;
        if case.op == Op::WeightGrad {
            let plan = WeightGradPlan::<T, D>::conv(input, shape::<D>("the weight", &case.weight)?, &options)?;
            return Ok((plan.explain(), plan.output_shape()));
        }
        // Plans keep a copy of their weights, which must be to be had.
        let len =
            case.weight.iter().try_fold(1_usize, |len, &n| len.checked_mul(n)).context("the weight is too large")?;
        let kernels = ArrayD::from_shape_vec(IxDyn(&case.weight), filled("the weight", len, T::zero())?)?;
        let kernels: Tensor<T, D> =
            kernels.into_dimensionality().ok().context("input and weight differ in their axes")?;
        let plan = match case.op {
            Op::Conv => ConvPlan::conv(input, &kernels, None, &options)?,
            Op::ConvTranspose => ConvPlan::conv_transpose(input, &kernels, None, &options)?,
            Op::InputGrad | Op::WeightGrad => ConvPlan::input_grad(input, &kernels, &options)?,
        };
        Ok((plan.explain(), plan.output_shape()))
    }
}
