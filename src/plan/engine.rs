//! A job with all that is known before the arrays come, and the checks of those arrays.

use ndarray::{Array2, Array5, ArrayView2, ArrayView5, ArrayViewMut5, Axis, CowArray, Ix2};

use super::choose::{Choice, Request, choose};
use super::explain::Explanation;
use crate::element::Element;
use crate::error::{Error, Result};
use crate::gemm::Kernel;
use crate::geometry::ConvGeometry;
use crate::lowering::{self, Activation, Algorithm, Epilogue, Job, Pass, Weights, Workspace};
use crate::options::ConvOptions;

/// One pass over one geometry, ready to run on arrays `[N, C, D, H, W]`.
#[derive(Debug, Clone)]
pub(crate) struct Engine {
    job: Job,
    choice: Choice,
    activation: Activation,
}

impl Engine {
    pub fn new<T: Element, const D: usize>(
        geometry: ConvGeometry,
        pass: Pass,
        options: &ConvOptions<D>,
    ) -> Result<Self> {
        let ConvOptions { algorithm, backend, numerics, .. } = *options;
        let widths = Kernel::<T>::best().widths();
        let choice = choose(&geometry, Request { pass, algorithm, backend, numerics, widths })?;
        let dense = options.backend.resolve()?;
        let job = Job::new::<T>(geometry, (pass, choice.algorithm), dense, options.workspace_bytes);
        Ok(Self { job, choice, activation: options.activation })
    }

    pub fn geometry(&self) -> &ConvGeometry {
        &self.job.geometry
    }

    /// The weight `[OC, C/g, *k]` as the algorithm reads it: packed, or a row a kernel.
    pub fn weights<'a, T: Element>(&self, weight: ArrayView5<'a, T>) -> Weights<'a, T> {
        self.job.weights(kernel_rows(weight))
    }

    pub fn workspace<T>(&self) -> Workspace {
        self.job.workspace(size_of::<T>())
    }

    pub fn algorithm(&self) -> Algorithm {
        self.choice.algorithm
    }

    pub fn explain<T: Element>(&self) -> Explanation {
        Explanation::new::<T>(&self.job, self.choice)
    }

    /// Channels that a bias is added to: the output's, of whichever pass.
    fn bias_len(&self) -> usize {
        match self.job.pass {
            Pass::InputGrad => self.geometry().in_channels,
            Pass::Forward | Pass::WeightGrad => self.geometry().out_channels,
        }
    }

    pub fn check_bias(&self, found: Option<usize>) -> Result<()> {
        let expected = self.bias_len();
        match found {
            Some(found) if found != expected => Err(Error::BiasLength { expected, found }),
            _ => Ok(()),
        }
    }

    /// The shape of what the pass reads: the convolution's input, or its output's gradient.
    pub fn source_shape(&self) -> [usize; 5] {
        match self.job.pass {
            Pass::Forward | Pass::WeightGrad => self.geometry().input_shape(),
            Pass::InputGrad => self.geometry().output_shape(),
        }
    }

    /// The shape of what the pass writes.
    pub fn target_shape(&self) -> [usize; 5] {
        match self.job.pass {
            Pass::Forward => self.geometry().output_shape(),
            Pass::InputGrad => self.geometry().input_shape(),
            Pass::WeightGrad => self.geometry().weight_shape(),
        }
    }

    /// Forward or input gradient: `target = pass(weight, source)`, then bias and activation.
    pub fn run<T: Element>(
        &self,
        weights: &Weights<'_, T>,
        bias: Option<&ndarray::ArrayRef1<T>>,
        source: ArrayView5<'_, T>,
        target: ArrayViewMut5<'_, T>,
        workspace: &mut [T],
    ) {
        let job = &self.job;
        let epilogue = Epilogue { bias: bias.map(|bias| bias.view()), activation: self.activation };
        match job.pass {
            Pass::InputGrad => lowering::input_grad(job, weights, source, epilogue, (target, workspace)),
            Pass::Forward | Pass::WeightGrad => lowering::with_merged_mut(target, |target| {
                lowering::forward(job, weights, source, epilogue, (target, workspace));
            }),
        }
    }

    /// Weight gradient.
    pub fn run_weight_grad<T: Element>(
        &self,
        input: ArrayView5<'_, T>,
        grad_output: ArrayView5<'_, T>,
        mut target: ArrayViewMut5<'_, T>,
        workspace: &mut [T],
    ) {
        let (g, shape) = (self.geometry(), target.dim());
        let rows = (g.out_channels, g.patch_rows());
        if target.is_standard_layout() {
            let target = target.into_shape_with_order(rows).expect("a contiguous weight");
            return lowering::weight_grad(&self.job, input, grad_output, (target, workspace));
        }
        let mut copy = Array2::zeros(rows);
        lowering::weight_grad(&self.job, input, grad_output, (copy.view_mut(), workspace));
        target.assign(&copy.into_shape_with_order(shape).expect("as many elements as the weight has"));
    }
}

/// Kernels as row vectors, copied only where the weight is not contiguous.
fn kernel_rows<'a, T: Element>(weight: ArrayView5<'a, T>) -> CowArray<'a, T, Ix2> {
    let (outer, c, d, h, w) = weight.dim();
    let shape = (outer, c * d * h * w);
    match weight.to_slice() {
        Some(slice) => ArrayView2::from_shape(shape, slice).expect("the same elements").into(),
        None => Array2::from_shape_vec(shape, weight.iter().copied().collect()).expect("the same elements").into(),
    }
}

/// Zeros of `shape`, in the memory order of `like`: channels last where it is, else in the order of the axes.
pub(crate) fn zeros_like_order<T: Element>(shape: [usize; 5], like: ArrayView5<'_, T>) -> Array5<T> {
    if !is_channels_last(like) {
        return Array5::zeros(shape);
    }
    let [n, c, d, h, w] = shape;
    let mut last = Array5::zeros([n, d, h, w, c]);
    for (a, b) in [(3, 4), (2, 3), (1, 2)] {
        last.swap_axes(a, b);
    }
    last
}

/// Whether an array `[N, C, D, H, W]` lies in memory as `[N, D, H, W, C]`, and in no other way.
fn is_channels_last<T>(array: ArrayView5<'_, T>) -> bool {
    let mut moved = array;
    for (a, b) in [(1, 2), (2, 3), (3, 4)] {
        moved.swap_axes(a, b);
    }
    array.len_of(Axis(1)) > 1 && !array.is_standard_layout() && moved.is_standard_layout()
}

/// Checks an array against the shape that the geometry gives it. Shapes in errors have the caller's axes.
pub(crate) fn check_shape(what: &'static str, axes: usize, expected: [usize; 5], found: &[usize]) -> Result<()> {
    let missing = 3 - axes;
    // Compared without allocating, for plans that run often.
    if found.len() == axes + 2 && found[..2] == expected[..2] && found[2..] == expected[2 + missing..] {
        return Ok(());
    }
    Err(Error::Shape { what, expected: caller_shape(axes, expected), found: found.to_vec() })
}

/// Checks an array whose shape has no more axes than it seems.
pub(crate) fn check_dims(what: &'static str, expected: &[usize], found: &[usize]) -> Result<()> {
    if expected == found {
        return Ok(());
    }
    Err(Error::Shape { what, expected: expected.to_vec(), found: found.to_vec() })
}

/// `[N, C, D, H, W]` without the axes that a caller with `axes` spatial axes does not have.
pub(crate) fn caller_shape(axes: usize, shape: [usize; 5]) -> Vec<usize> {
    let missing = 3 - axes;
    [&shape[..2], &shape[2 + missing..]].concat()
}
