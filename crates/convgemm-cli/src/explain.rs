//! `convgemm explain`: what a convolution is as a matrix multiplication, and what it costs.

use std::fmt::Write as _;
use std::path::Path;
use std::str::FromStr;

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::{Args, ValueEnum};
use convgemm::{Element, Explanation};
use convgemm_protocol::{Dtype, Layout, Op};
use ndarray::{Array2, ArrayD, Axis, IxDyn};
use serde::Serialize;

use crate::args::{ConvArgs, Sizes, ThreadArgs, dtype};
use crate::case::{Axes, Case, Visitor, dispatch, for_axes};
use crate::engine;
use crate::npy::{AnyArray, Scalar, is_array};
use crate::output::{self, bytes, flops, matrix, print, print_json};
use crate::tune::{Measured, tune};

/// Show what a convolution is as a matrix multiplication, and what it costs
///
/// Give shapes, or NumPy files of which the shapes are taken. With --matrix, small convolutions are
/// written out: the kernels as row vectors, the patch matrix of the first image (one row a kernel cell,
/// one column a window) and their product. Where only a shape is given, the cells count 0, 1, 2, ….
/// With --tune, the algorithms that can do it are timed on random numbers, in a third of a second or a
/// little more; `--algorithm` then names the fastest to other commands.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  convgemm explain --input 1,3,224,224 --weight 64,3,7,7 --stride 2 --padding 3
  convgemm explain --input 1,1,3,3 --weight 1,1,2,2 --matrix
  convgemm explain --input 1,64,56,56 --weight 64,64,3,3 --padding same --threads 1 --tune")]
pub struct ExplainArgs {
    /// What is computed
    #[arg(long, value_enum, value_name = "OP", default_value = "conv")]
    op: ExplainOp,

    /// The input [N, C, *k]
    #[arg(long, value_name = "N,C,…|FILE.npy")]
    input: Given,

    /// The kernels [OC, C/groups, *k] (transposed: [C, OC/groups, *k])
    #[arg(long, value_name = "OC,C,…|FILE.npy")]
    weight: Given,

    /// Type of the elements; that of the files if there are any
    #[arg(long, value_name = "TYPE", value_parser = dtype())]
    dtype: Option<Dtype>,

    /// Write out the matrices of a small convolution
    #[arg(long)]
    matrix: bool,

    /// Measure the algorithms that can do it
    #[arg(long)]
    tune: bool,

    /// Print as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    threads: ThreadArgs,

    #[command(flatten)]
    conv: ConvArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ExplainOp {
    /// Cross-correlation
    Conv,
    /// Transposed convolution
    ConvTranspose,
    /// Gradient of conv with respect to its input
    InputGrad,
    /// Gradient of conv with respect to its weight
    WeightGrad,
}

/// A shape, or a file that has one.
#[derive(Debug, Clone)]
enum Given {
    Shape(Vec<usize>),
    File(AnyArray),
}

impl FromStr for Given {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let path = Path::new(text);
        if is_array(path) {
            return AnyArray::read(path).map(Self::File).map_err(|error| format!("{error:#}"));
        }
        Sizes::from_str(text).map(|sizes| Self::Shape(sizes.0)).map_err(|error| format!("{error}, or a file.npy"))
    }
}

impl Given {
    fn shape(&self) -> &[usize] {
        match self {
            Self::Shape(shape) => shape,
            Self::File(array) => array.shape(),
        }
    }

    fn dtype(&self) -> Option<Dtype> {
        match self {
            Self::Shape(_) => None,
            Self::File(array) => Some(array.dtype()),
        }
    }

    /// Its cells, or 0, 1, 2, … where there is only a shape.
    fn cells(self) -> Result<ArrayD<f64>> {
        match self {
            Self::File(array) => Ok(array.into_f64()),
            Self::Shape(shape) => {
                let count: usize = shape.iter().product();
                Ok(ArrayD::from_shape_vec(IxDyn(&shape), (0..count).map(|cell| cell as f64).collect())?)
            }
        }
    }
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Report {
    op: Op,
    dtype: Dtype,
    input: Vec<usize>,
    weight: Vec<usize>,
    output: Vec<usize>,
    algorithm: String,
    reason: String,
    backend: String,
    products: usize,
    m: usize,
    k: usize,
    n: usize,
    flops: f64,
    tensor_bytes: f64,
    patch_matrix_bytes: f64,
    workspace_bytes_per_thread: usize,
    workspace_bytes: usize,
    /// Of a run on one thread.
    predicted_seconds: f64,
    threads: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    tuning: Option<Measured>,
    #[serde(skip_serializing_if = "Option::is_none")]
    matrices: Option<Vec<Matrices>>,
}

/// One group of the first image: `kernels · patches = product`.
#[derive(Debug, Serialize)]
struct Matrices {
    #[serde(serialize_with = "rows")]
    kernels: Array2<f64>,
    #[serde(serialize_with = "rows")]
    patches: Array2<f64>,
    #[serde(serialize_with = "rows")]
    product: Array2<f64>,
}

fn rows<S: serde::Serializer>(array: &Array2<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(array.rows().into_iter().map(|row| row.to_vec()))
}

impl ExplainArgs {
    /// # Errors
    /// An impossible convolution, files that cannot be read, matrices too large to be shown.
    pub fn run(self) -> Result<()> {
        let (threads, json) = (self.threads.clone(), self.json);
        let report = threads.install(|| self.report())?;
        if json { print_json(&report) } else { print(&report.text()) }
    }

    fn report(self) -> Result<Report> {
        let dtypes = [self.dtype, self.input.dtype(), self.weight.dtype()];
        let dtype = dtypes.into_iter().flatten().next().unwrap_or_default();
        if dtypes.into_iter().flatten().any(|other| other != dtype) {
            bail!("input, weight and --dtype are of different types");
        }
        let op = match self.op {
            ExplainOp::Conv => Op::Conv,
            ExplainOp::ConvTranspose => Op::ConvTranspose,
            ExplainOp::InputGrad => Op::InputGrad,
            ExplainOp::WeightGrad => Op::WeightGrad,
        };
        let (input, weight) = (self.input.shape().to_vec(), self.weight.shape().to_vec());
        let settings = self.conv.settings();
        let case = Case { op, dtype, layout: Layout::Nchw, input, weight, bias: false, settings };
        let (explanation, shape) = engine::explain(&case)?;
        let matrices = if self.matrix {
            ensure!(op == Op::Conv, "--matrix shows the matrices of --op conv only");
            small_enough(&explanation)?;
            let axes = case.input.len();
            let visitor = WriteOut { case: &case, input: self.input.cells()?, weight: self.weight.cells()? };
            Some(dispatch(Dtype::F64, axes, visitor)?)
        } else {
            None
        };
        let tuning = self.tune.then(|| tune(&case)).transpose()?;
        let e = explanation;
        Ok(Report {
            op,
            dtype,
            input: case.input,
            weight: case.weight,
            output: shape,
            algorithm: e.algorithm.to_string(),
            reason: e.reason.to_string(),
            backend: e.backend.to_string(),
            products: e.products,
            m: e.m,
            k: e.k,
            n: e.n,
            flops: e.flops,
            tensor_bytes: e.tensor_bytes,
            patch_matrix_bytes: e.patch_matrix_bytes,
            workspace_bytes_per_thread: e.workspace_bytes_per_thread,
            workspace_bytes: e.workspace_bytes,
            predicted_seconds: e.predicted_seconds,
            threads: rayon::current_num_threads(),
            tuning,
            matrices,
        })
    }
}

/// Columns of a patch matrix that fit a wide terminal.
const MOST_COLUMNS: usize = 64;
/// Rows of the matrices that can be read at once.
const MOST_ROWS: usize = 128;
/// Bytes of the arrays: a small matrix can come from a huge batch.
const MOST_BYTES: f64 = (64 << 20) as f64;

fn small_enough(e: &Explanation) -> Result<()> {
    ensure!(
        e.n <= MOST_COLUMNS && e.k <= MOST_ROWS && e.m <= MOST_ROWS,
        "--matrix is for small cases, up to {MOST_ROWS} × {MOST_COLUMNS}: here the patch matrix is {} × {} \
         and there are {} kernels",
        e.k,
        e.n,
        e.m
    );
    ensure!(e.tensor_bytes <= MOST_BYTES, "--matrix is for small cases; these arrays take {}", bytes(e.tensor_bytes));
    Ok(())
}

/// Makes the matrices of the first image.
struct WriteOut<'a> {
    case: &'a Case,
    input: ArrayD<f64>,
    weight: ArrayD<f64>,
}

impl Visitor for WriteOut<'_> {
    type Output = Vec<Matrices>;

    fn visit<T: Scalar, const D: usize>(self) -> Result<Vec<Matrices>>
    where
        [usize; D]: Axes,
    {
        let options = self.case.settings.options::<D>()?;
        let kernel: [usize; D] = for_axes("kernel", &self.case.weight[2..])?;
        let groups = options.groups;
        ensure!(self.case.input[0] > 0, "the batch is empty: there is no image whose matrix could be shown");
        let images = self.input.mapv(T::from_f64).into_dimensionality::<<[usize; D] as convgemm::Rank>::Tensor>()?;
        // The channels of all groups in one patch matrix, cut into groups below.
        let columns = convgemm::unfold::<T, D>(&images, kernel, &options.groups(1))?;
        let patches = columns.index_axis(Axis(0), 0).mapv(|cell| Element::to_f64(cell));
        let outputs = self.weight.len_of(Axis(0));
        let depth = self.weight.len() / outputs.max(1);
        let kernels = self.weight.to_shape((outputs, depth)).map_err(|error| anyhow!("{error}"))?;
        let part = |array: ndarray::ArrayView2<'_, f64>, group: usize| -> Option<Array2<f64>> {
            let rows = array.nrows() / groups;
            array.axis_chunks_iter(Axis(0), rows.max(1)).nth(group).map(|part| part.to_owned())
        };
        let all = (0..groups).map(|group| {
            let (kernels, patches) = (part(kernels.view(), group)?, part(patches.view(), group)?);
            let product = kernels.dot(&patches);
            Some(Matrices { kernels, patches, product })
        });
        all.collect::<Option<_>>().context("there is nothing to be shown: an axis is empty")
    }
}

impl Report {
    fn text(&self) -> String {
        let dtype = self.dtype.name();
        let op = match self.op {
            Op::Conv => "convolution (cross-correlation)",
            Op::ConvTranspose => "transposed convolution",
            Op::InputGrad => "input gradient",
            Op::WeightGrad => "weight gradient",
        };
        let Self { input, weight, output, m, k, n, products, .. } = self;
        let factors = match self.op {
            Op::Conv => format!("[{m} × {k}] · [{k} × {n}]   kernel rows · patch matrix"),
            Op::ConvTranspose | Op::InputGrad => {
                format!("[{k} × {m}] · [{m} × {n}]   transposed kernel rows · gradient, then col2im")
            }
            Op::WeightGrad => format!("[{m} × {n}] · [{n} × {k}]   gradient · transposed patch matrix"),
        };
        let times = if *products == 1 { String::new() } else { format!("{products} times ") };
        let per_thread = bytes(self.workspace_bytes_per_thread as f64);
        let mut out = format!(
            "{op}, {dtype}\n\
             input         {input:?}\n\
             weight        {weight:?}\n\
             output        {output:?}\n\
             GEMM          {times}{factors}\n\
             m k n         {m} {k} {n}\n\
             work          {}\n\
             arrays        {}\n\
             patch matrix  {} an image, if it were stored whole\n\
             workspace     {per_thread} a thread, {} in all ({} threads)\n\
             algorithm     {}: {}\n\
             time          about {} on one thread\n\
             backend       {}\n",
            flops(self.flops),
            bytes(self.tensor_bytes),
            bytes(self.patch_matrix_bytes),
            bytes(self.workspace_bytes as f64),
            self.threads,
            self.algorithm,
            self.reason,
            output::seconds(self.predicted_seconds),
            self.backend,
        );
        if let Some(tuning) = &self.tuning {
            out += &tuning.text(self.threads);
        }
        let groups = self.matrices.as_deref().unwrap_or_default();
        for (number, group) in groups.iter().enumerate() {
            let of = if groups.len() > 1 { format!(" of group {number}") } else { String::new() };
            let kernels = if group.kernels.nrows() == 1 { "kernel as a row vector" } else { "kernels as row vectors" };
            for (title, array) in [
                (format!("{kernels}{of}"), &group.kernels),
                (format!("patch matrix{of}: a row a kernel cell, a column a window"), &group.patches),
                ("their product".to_owned(), &group.product),
            ] {
                let shape = output::lengths(array.shape());
                let _ = write!(out, "\n{title} ({shape})\n{}", matrix(array.view(), 2));
            }
        }
        out
    }
}
