//! `convgemm run`: one operation on NumPy files.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};
use convgemm::{Activation, Algorithm};
use convgemm_protocol::{Dtype, Layout, Op};
use ndarray::{ArrayD, Ix3};
use serde::Serialize;

use crate::args::{ConvArgs, Sizes, ThreadArgs};
use crate::atomic::Output;
use crate::case::{Axes, Case, Settings, Visitor, dispatch, for_axes};
use crate::engine::{Operand, Source, prepare};
use crate::memory::check;
use crate::npy::{AnyArray, Scalar, write};
use crate::output::{self, lossy};

/// Compute one operation on NumPy files
///
/// Arrays are f32 or f64 and have PyTorch's shapes: input [N, C, *k] with 1 to 3 spatial axes, weight
/// [OC, C/groups, *k] (transposed: [C, OC/groups, *k]), bias [OC]. A convolution is a cross-correlation,
/// as in deep learning.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  convgemm run --input x.npy --weight w.npy --bias b.npy --stride 2 --padding same -o y.npy
  convgemm run --op input-grad --input-shape 1,3,8,8 --weight w.npy --grad-output g.npy -o dx.npy
  convgemm run --op unfold --input x.npy --kernel 3,3 --padding 1 -o columns.npy
  convgemm run --op fold --input columns.npy --kernel 3,3 --output-size 8,8 --padding 1 -o x.npy")]
pub struct RunArgs {
    /// What to compute
    #[arg(long, value_enum, value_name = "OP", default_value = "conv")]
    op: RunOp,

    /// The input [N, C, *k]; the columns [N, C·kernel, L] for fold
    #[arg(long, value_name = "FILE.npy")]
    input: Option<PathBuf>,

    /// Shape of the forward pass's input, for input-grad
    #[arg(long, value_name = "N,C,…", conflicts_with = "input")]
    input_shape: Option<Sizes>,

    /// The kernels
    #[arg(long, value_name = "FILE.npy")]
    weight: Option<PathBuf>,

    /// Shape of the forward pass's weight, for weight-grad
    #[arg(long, value_name = "OC,C,…", conflicts_with = "weight")]
    weight_shape: Option<Sizes>,

    /// A value for each output channel
    #[arg(long, value_name = "FILE.npy")]
    bias: Option<PathBuf>,

    /// Gradient of the forward pass's output, for the gradients
    #[arg(long, value_name = "FILE.npy")]
    grad_output: Option<PathBuf>,

    /// Lengths of the kernel, for unfold and fold
    #[arg(long, value_name = "N[,N…]")]
    kernel: Option<Sizes>,

    /// Spatial lengths of the output, for fold
    #[arg(long, value_name = "N[,N…]")]
    output_size: Option<Sizes>,

    /// Where the result is written, as a NumPy file
    #[arg(long, short, value_name = "FILE.npy")]
    output: PathBuf,

    /// Print what was done as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    threads: ThreadArgs,

    #[command(flatten)]
    conv: ConvArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RunOp {
    /// Cross-correlation
    Conv,
    /// Transposed convolution
    ConvTranspose,
    /// Gradient of conv with respect to its input
    InputGrad,
    /// Gradient of conv with respect to its weight
    WeightGrad,
    /// Patches of the input as columns (im2col)
    Unfold,
    /// Columns added back to where they came from (col2im)
    Fold,
}

/// What was done.
#[derive(Debug, Serialize)]
struct Report {
    op: String,
    #[serde(serialize_with = "lossy")]
    output: PathBuf,
    shape: Vec<usize>,
    dtype: Dtype,
    #[serde(skip_serializing_if = "Option::is_none")]
    algorithm: Option<String>,
    workspace_bytes: usize,
    seconds: f64,
}

impl RunArgs {
    /// # Errors
    /// Files that cannot be read or written, arrays and options that do not fit each other.
    pub fn run(self) -> Result<()> {
        let report = self.threads.clone().install(|| self.compute())?;
        if self.json {
            return output::report_json(&report, [self.output.as_path()]);
        }
        let Report { output, shape, dtype, algorithm, seconds, .. } = &report;
        let by = algorithm.as_ref().map_or_else(String::new, |name| format!(" by {name}"));
        let time = output::seconds(*seconds);
        let line = format!("{}: {} {shape:?}{by} in {time}\n", output.display(), dtype.name());
        output::report(&line, [self.output.as_path()])
    }

    fn compute(&self) -> Result<Report> {
        self.refuse_unused()?;
        let mut files = Files {
            input: read(self.input.as_ref())?,
            weight: read(self.weight.as_ref())?,
            bias: read(self.bias.as_ref())?,
            grad_output: read(self.grad_output.as_ref())?,
        };
        let dtype = files.dtype()?;
        let output = Output::create(&self.output)?;
        let op = match self.op {
            RunOp::Conv => Op::Conv,
            RunOp::ConvTranspose => Op::ConvTranspose,
            RunOp::InputGrad => Op::InputGrad,
            RunOp::WeightGrad => Op::WeightGrad,
            RunOp::Unfold | RunOp::Fold => return self.patches(files, dtype, output),
        };
        let shape_of = |file: &Option<AnyArray>, given: &Option<Sizes>, needed: &'static str| {
            let shape =
                file.as_ref().map(|array| array.shape().to_vec()).or_else(|| given.clone().map(|sizes| sizes.0));
            shape.context(needed)
        };
        let case = Case {
            op,
            dtype,
            layout: Layout::Nchw,
            input: shape_of(&files.input, &self.input_shape, "--input is missing")?,
            weight: shape_of(&files.weight, &self.weight_shape, "--weight is missing")?,
            bias: files.bias.is_some(),
            settings: self.conv.settings(),
        };
        let mut operation = prepare(&case, &mut files)?;
        let start = Instant::now();
        operation.run()?;
        let seconds = start.elapsed().as_secs_f64();
        let shape = operation.output_shape().to_vec();
        operation.write(output)?;
        let algorithm = Some(operation.explain().algorithm.to_string());
        Ok(Report { algorithm, workspace_bytes: operation.workspace_bytes(), ..self.report(shape, dtype, seconds) })
    }

    fn report(&self, shape: Vec<usize>, dtype: Dtype, seconds: f64) -> Report {
        let op = self.op.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned());
        Report { op, output: self.output.clone(), shape, dtype, algorithm: None, workspace_bytes: 0, seconds }
    }

    /// What was given but would not be read is a mistake that should be heard of.
    fn refuse_unused(&self) -> Result<()> {
        use RunOp::{Conv, ConvTranspose, Fold, InputGrad, Unfold, WeightGrad};
        let op = self.op;
        let forward = matches!(op, Conv | ConvTranspose);
        let gradient = matches!(op, InputGrad | WeightGrad);
        let patches = matches!(op, Unfold | Fold);
        let settings = self.conv.settings();
        for (name, given, used) in [
            ("--bias", self.bias.is_some(), forward),
            ("--grad-output", self.grad_output.is_some(), gradient),
            ("--input-shape", self.input_shape.is_some(), op == InputGrad),
            ("--weight-shape", self.weight_shape.is_some(), op == WeightGrad),
            ("--kernel", self.kernel.is_some(), patches),
            ("--output-size", self.output_size.is_some(), op == Fold),
            ("--groups", settings.groups != 1, !patches),
            ("--activation", settings.activation != Activation::None, !patches),
            ("--algorithm", settings.algorithm != Algorithm::Auto, !patches),
        ] {
            let op = self.report(Vec::new(), Dtype::F32, 0.0).op;
            ensure!(used || !given, "{name} is of no use to --op {op}");
        }
        ensure!(!gradient || self.grad_output.is_some(), "--grad-output is missing");
        Ok(())
    }

    fn patches(&self, files: Files, dtype: Dtype, output: Output) -> Result<Report> {
        let input = files.input.context("--input is missing")?;
        let kernel = match (&self.kernel, files.weight) {
            (Some(kernel), None) => kernel.0.clone(),
            (None, Some(weight)) => weight.shape().get(2..).unwrap_or_default().to_vec(),
            (Some(_), Some(_)) => bail!("--kernel and --weight both give the kernel's lengths"),
            (None, None) => bail!("--kernel is missing"),
        };
        let settings = self.conv.settings();
        let axes = match (self.op, &self.output_size) {
            (RunOp::Fold, None) => bail!("--output-size is missing"),
            (RunOp::Fold, Some(size)) => 2 + size.0.len().max(kernel.len()),
            _ => input.shape().len(),
        };
        let output_size = self.output_size.as_ref().map(|size| size.0.clone());
        let patches = Patches { input, kernel, output_size, settings, output };
        let (shape, seconds) = dispatch(dtype, axes, patches)?;
        Ok(self.report(shape, dtype, seconds))
    }
}

fn read(path: Option<&PathBuf>) -> Result<Option<AnyArray>> {
    path.map(|path| AnyArray::read(path)).transpose()
}

/// The arrays that were given.
struct Files {
    input: Option<AnyArray>,
    weight: Option<AnyArray>,
    bias: Option<AnyArray>,
    grad_output: Option<AnyArray>,
}

impl Files {
    fn slot(&mut self, operand: Operand) -> &mut Option<AnyArray> {
        match operand {
            Operand::Input => &mut self.input,
            Operand::Weight => &mut self.weight,
            Operand::Bias => &mut self.bias,
            Operand::GradOutput => &mut self.grad_output,
        }
    }

    /// The type that all arrays have.
    fn dtype(&self) -> Result<Dtype> {
        let named = [
            ("input", &self.input),
            ("weight", &self.weight),
            ("bias", &self.bias),
            ("grad_output", &self.grad_output),
        ];
        let mut types = named.iter().filter_map(|(name, array)| array.as_ref().map(|array| (name, array.dtype())));
        let (first, dtype) = types.next().context("--input is missing")?;
        if let Some((other, _)) = types.find(|(_, found)| *found != dtype) {
            bail!("{first} and {other} are of different types; f32 or f64 must be the type of all");
        }
        Ok(dtype)
    }
}

impl Source for &mut Files {
    fn load<T: Scalar>(&mut self, operand: Operand, _: &[usize]) -> Result<ArrayD<T>> {
        let missing = || format!("--{} is missing", operand.name().replace('_', "-"));
        self.slot(operand).take().and_then(T::unwrap).with_context(missing)
    }
}

/// `unfold`, or `fold` where there is an output size.
struct Patches {
    input: AnyArray,
    kernel: Vec<usize>,
    output_size: Option<Vec<usize>>,
    settings: Settings,
    output: Output,
}

impl Visitor for Patches {
    type Output = (Vec<usize>, f64);

    fn visit<T: Scalar, const D: usize>(self) -> Result<Self::Output>
    where
        [usize; D]: Axes,
    {
        let options = self.settings.options::<D>()?;
        let kernel: [usize; D] = for_axes("kernel", &self.kernel)?;
        let input = T::unwrap(self.input).context("--input is missing")?;
        let axes = input.ndim();
        let start = Instant::now();
        let (shape, seconds);
        if let Some(size) = &self.output_size {
            let size: [usize; D] = for_axes("output size", size)?;
            let columns = input.into_dimensionality::<Ix3>().ok();
            let columns =
                columns.with_context(|| format!("the columns have {axes} axes, fold needs [N, C·kernel, L]"))?;
            let (batch, rows, _) = columns.dim();
            let channels = rows / kernel.iter().product::<usize>().max(1);
            check_size::<T>("the images", &[&[batch, channels][..], &size].concat())?;
            let images = convgemm::fold::<T, D>(&columns, size, kernel, &options)?;
            (shape, seconds) = (images.shape().to_vec(), start.elapsed().as_secs_f64());
            write(self.output, &images)?;
        } else {
            let images = input.into_dimensionality::<<[usize; D] as convgemm::Rank>::Tensor>()?;
            // What makes the geometry impossible is said by unfold itself.
            let channel = [&[1, 1][..], &kernel].concat();
            let one_channel = [&[1, 1], &images.shape()[2..]].concat();
            if let Ok(geometry) = options.groups(1).geometry(&one_channel, &channel) {
                let shape = [images.shape()[0], images.shape()[1], geometry.patch_rows(), geometry.windows()];
                check_size::<T>("the columns", &shape)?;
            }
            let columns = convgemm::unfold::<T, D>(&images, kernel, &options)?;
            (shape, seconds) = (columns.shape().to_vec(), start.elapsed().as_secs_f64());
            write(self.output, &columns)?;
        }
        Ok((shape, seconds))
    }
}

/// Whether an array that the library makes can be had.
fn check_size<T>(what: &str, shape: &[usize]) -> Result<()> {
    check(what, shape.iter().fold(size_of::<T>(), |size, &n| size.saturating_mul(n)))
}
