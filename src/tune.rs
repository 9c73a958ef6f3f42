//! The algorithm that is fastest on this machine, found by trying all of them.
//!
//! A plan chooses by shapes alone, so that it chooses the same everywhere and always. Where a convolution runs often
//! enough to be worth a third of a second, [`Tuning`] measures instead, and what it finds is options like any other:
//! they can be kept, and written to a file with the feature `serde`.

use std::time::{Duration, Instant};

use ndarray::{ArrayD, IxDyn};

use crate::element::Element;
use crate::error::{Error, Result};
use crate::nn::Rng;
use crate::options::{Algorithm, Backend, ConvOptions, Numerics};
use crate::plan::{ConvPlan, Explanation, WeightGradPlan};
use crate::rank::{Rank, Shape, Tensor, TensorRef};

/// Rounds in which every candidate has a turn.
const ROUNDS: usize = 10;

/// A turn has as many runs as fit into this time, at least one.
const TURN: Duration = Duration::from_millis(3);

/// No further round begins after this time, apart from the first.
const ENOUGH: Duration = Duration::from_millis(300);

/// A candidate is not tried whose predicted time is so many times the best predicted one: predictions are not
/// that wrong.
const HOPELESS: f64 = 5.0;

/// Nor is one with more scratch memory, which would be written to for the first time here.
const MOST_WORKSPACE_BYTES: usize = 1 << 30;

/// What was measured, and the options that follow from it.
///
/// The algorithms that are tried are those that a plan may choose from: none of Winograd's under
/// [`Numerics::Strict`], none without dense products where the options name a [`Backend`]. An algorithm that the
/// options name is the only candidate, and is kept. The arrays are random numbers of variance 1. Each candidate runs
/// once to warm up and then in rounds in which all have a turn, and its shortest run counts. This takes a third of a
/// second, or two runs of each candidate where these take longer, and memory for the arrays. Another measurement may
/// find another algorithm, whose results differ by roundings.
///
/// ```
/// use convgemm::{Algorithm, ConvOptions, ConvPlan, Padding, Tuning};
/// use ndarray::Array4;
///
/// let options = ConvOptions::<2>::new().padding(Padding::Same);
/// let tuning = Tuning::conv::<f32>([1, 16, 14, 14], [16, 16, 3, 3], &options)?;
/// assert_ne!(tuning.options.algorithm, Algorithm::Auto);
/// // From now on they serve for every plan of these shapes.
/// let kernels = Array4::<f32>::ones((16, 16, 3, 3));
/// let plan = ConvPlan::conv([1, 16, 14, 14], &kernels, None, &tuning.options)?;
/// assert_eq!(plan.algorithm(), tuning.options.algorithm);
/// # Ok::<(), convgemm::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Tuning<const D: usize> {
    /// The options that were asked with, but for the algorithm, which is the fastest one.
    pub options: ConvOptions<D>,
    /// Every algorithm that can do it, the fastest first and those that were not tried last.
    pub timings: Vec<Timing>,
}

/// A candidate.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Timing {
    /// The algorithm; never [`Algorithm::Auto`].
    pub algorithm: Algorithm,
    /// Seconds of a run on one thread, as [`Explanation::predicted_seconds`].
    pub predicted_seconds: f64,
    /// The shortest run on the current pool's threads. `None` if it was not tried, since its predicted time is more
    /// than five times the best, or its scratch memory more than a gibibyte.
    pub measured: Option<Duration>,
}

impl<const D: usize> Tuning<D>
where
    [usize; D]: Rank,
{
    /// For [`conv`](crate::conv) of `[N, C, *k]` with `[OC, C/g, *k]`.
    ///
    /// # Errors
    /// What makes the shapes and options impossible, or the algorithm that they name; memory that is not to be had.
    pub fn conv<T: Element>(input_shape: Shape<D>, weight_shape: Shape<D>, options: &ConvOptions<D>) -> Result<Self> {
        options.geometry(input_shape.as_ref(), weight_shape.as_ref())?;
        Self::of_plan(weight_shape, options, |weight: &TensorRef<T, D>, options| {
            ConvPlan::conv(input_shape, weight, None, options)
        })
    }

    /// For [`conv_transpose`](crate::conv_transpose) of `[N, C, *k]` with `[C, OC/g, *k]`.
    ///
    /// # Errors
    /// What makes the shapes and options impossible, or the algorithm that they name; memory that is not to be had.
    pub fn conv_transpose<T: Element>(
        input_shape: Shape<D>,
        weight_shape: Shape<D>,
        options: &ConvOptions<D>,
    ) -> Result<Self> {
        options.transposed_geometry(input_shape.as_ref(), weight_shape.as_ref())?;
        Self::of_plan(weight_shape, options, |weight: &TensorRef<T, D>, options| {
            ConvPlan::conv_transpose(input_shape, weight, None, options)
        })
    }

    /// For [`conv_input_grad`](crate::conv_input_grad); the shapes are those of the forward pass.
    ///
    /// # Errors
    /// What makes the shapes and options impossible, or the algorithm that they name; memory that is not to be had.
    pub fn input_grad<T: Element>(
        input_shape: Shape<D>,
        weight_shape: Shape<D>,
        options: &ConvOptions<D>,
    ) -> Result<Self> {
        options.geometry(input_shape.as_ref(), weight_shape.as_ref())?;
        Self::of_plan(weight_shape, options, |weight: &TensorRef<T, D>, options| {
            ConvPlan::input_grad(input_shape, weight, options)
        })
    }

    /// For [`conv_weight_grad`](crate::conv_weight_grad).
    ///
    /// # Errors
    /// What makes the shapes and options impossible, or the algorithm that they name; memory that is not to be had.
    pub fn weight_grad<T: Element>(
        input_shape: Shape<D>,
        weight_shape: Shape<D>,
        options: &ConvOptions<D>,
    ) -> Result<Self> {
        let geometry = options.geometry(input_shape.as_ref(), weight_shape.as_ref())?;
        Self::of_weight_grad(input_shape, geometry.output_shape(), weight_shape, options, |options| {
            WeightGradPlan::<T, D>::conv(input_shape, weight_shape, options)
        })
    }

    /// For [`conv_transpose_weight_grad`](crate::conv_transpose_weight_grad).
    ///
    /// # Errors
    /// What makes the shapes and options impossible, or the algorithm that they name; memory that is not to be had.
    pub fn transpose_weight_grad<T: Element>(
        input_shape: Shape<D>,
        weight_shape: Shape<D>,
        options: &ConvOptions<D>,
    ) -> Result<Self> {
        let geometry = options.transposed_geometry(input_shape.as_ref(), weight_shape.as_ref())?;
        Self::of_weight_grad(input_shape, geometry.input_shape(), weight_shape, options, |options| {
            WeightGradPlan::<T, D>::conv_transpose(input_shape, weight_shape, options)
        })
    }

    /// For plans without a weight; `grad` is the shape of the output's gradient with all three axes.
    fn of_weight_grad<T: Element>(
        input_shape: Shape<D>,
        grad: [usize; 5],
        weight_shape: Shape<D>,
        options: &ConvOptions<D>,
        make: impl Fn(&ConvOptions<D>) -> Result<WeightGradPlan<T, D>>,
    ) -> Result<Self> {
        let grad_shape = [&grad[..2], &grad[5 - D..]].concat();
        let (input, grad) = (random::<T, D>(input_shape.as_ref(), 1)?, random::<T, D>(&grad_shape, 2)?);
        let mut output = random::<T, D>(weight_shape.as_ref(), 3)?;
        Self::measure(options, make, |plan, workspace| plan.run_into(&input, &grad, &mut output, workspace))
    }

    /// For plans with a weight.
    fn of_plan<T: Element>(
        weight_shape: Shape<D>,
        options: &ConvOptions<D>,
        make: impl Fn(&TensorRef<T, D>, &ConvOptions<D>) -> Result<ConvPlan<T, D>>,
    ) -> Result<Self> {
        let weight = random::<T, D>(weight_shape.as_ref(), 1)?;
        let make = |options: &ConvOptions<D>| make(&weight, options);
        let plan = make(options)?;
        let (source, mut output) = (random(&plan.input_shape(), 2)?, random(&plan.output_shape(), 3)?);
        Self::measure(options, make, |plan, workspace| plan.run_into(&source, &mut output, workspace))
    }

    /// Tries all candidates, with `run` on arrays that they share.
    fn measure<T: Element, P: Plan>(
        options: &ConvOptions<D>,
        make: impl Fn(&ConvOptions<D>) -> Result<P>,
        mut run: impl FnMut(&P, &mut [T]) -> Result<()>,
    ) -> Result<Self> {
        // What would be chosen without a measurement is always tried, and what is refused of it is refused here.
        let chosen = make(options)?.explain().algorithm;
        let mut candidates: Vec<Candidate<P>> = candidates(options)
            .filter_map(|algorithm| Some(Candidate::new(algorithm, make(&options.algorithm(algorithm)).ok()?)))
            .collect();
        let best = candidates.iter().map(|candidate| candidate.timing.predicted_seconds).fold(f64::INFINITY, f64::min);
        let is_tried = |candidate: &Candidate<P>| {
            let bytes = candidate.plan.workspace_len().saturating_mul(size_of::<T>());
            let is_hopeful = candidate.timing.predicted_seconds <= HOPELESS * best && bytes <= MOST_WORKSPACE_BYTES;
            is_hopeful || candidate.timing.algorithm == chosen
        };
        let (mut tried, skipped): (Vec<_>, Vec<_>) = candidates.drain(..).partition(is_tried);
        let longest = tried.iter().map(|candidate| candidate.plan.workspace_len()).max().unwrap_or(0);
        let mut workspace = vec![T::zero(); longest];
        let begin = Instant::now();
        for candidate in &mut tried {
            let warm = timed(|| run(&candidate.plan, &mut workspace))?;
            candidate.runs = (TURN.as_nanos() / warm.as_nanos().max(1)).clamp(1, 1000) as usize;
        }
        for round in 0..ROUNDS {
            if round > 0 && begin.elapsed() > ENOUGH {
                break;
            }
            for candidate in &mut tried {
                for _ in 0..candidate.runs {
                    let time = timed(|| run(&candidate.plan, &mut workspace))?;
                    let shortest = &mut candidate.timing.measured;
                    *shortest = Some(shortest.map_or(time, |shortest| shortest.min(time)));
                }
            }
        }
        tried.sort_by_key(|candidate| candidate.timing.measured);
        let timings: Vec<Timing> = tried.iter().chain(&skipped).map(|candidate| candidate.timing).collect();
        let fastest = timings.first().map_or(chosen, |timing| timing.algorithm);
        Ok(Self { options: options.algorithm(fastest), timings })
    }
}

/// The algorithms that a plan with these options may choose from, whether they can do its shapes or not.
fn candidates<const D: usize>(options: &ConvOptions<D>) -> impl Iterator<Item = Algorithm> {
    let ConvOptions { algorithm: asked, numerics, backend, .. } = *options;
    Algorithm::ALL.into_iter().filter(move |&algorithm| {
        if asked != Algorithm::Auto {
            return algorithm == asked;
        }
        match algorithm {
            Algorithm::Auto => false,
            Algorithm::Direct | Algorithm::Im2col | Algorithm::Im2colTiled | Algorithm::Pointwise => true,
            Algorithm::Fused | Algorithm::Depthwise => backend == Backend::Auto,
            Algorithm::Strassen | Algorithm::WinogradF2 | Algorithm::WinogradF4 => {
                backend == Backend::Auto && numerics == Numerics::Fast
            }
        }
    })
}

/// A plan of either kind.
trait Plan {
    fn explain(&self) -> Explanation;
    fn workspace_len(&self) -> usize;
}

impl<T: Element, const D: usize> Plan for ConvPlan<T, D>
where
    [usize; D]: Rank,
{
    fn explain(&self) -> Explanation {
        self.explain()
    }

    fn workspace_len(&self) -> usize {
        self.workspace_len()
    }
}

impl<T: Element, const D: usize> Plan for WeightGradPlan<T, D>
where
    [usize; D]: Rank,
{
    fn explain(&self) -> Explanation {
        self.explain()
    }

    fn workspace_len(&self) -> usize {
        self.workspace_len()
    }
}

struct Candidate<P> {
    plan: P,
    timing: Timing,
    /// Of one turn.
    runs: usize,
}

impl<P: Plan> Candidate<P> {
    fn new(algorithm: Algorithm, plan: P) -> Self {
        let predicted_seconds = plan.explain().predicted_seconds;
        Self { plan, timing: Timing { algorithm, predicted_seconds, measured: None }, runs: 1 }
    }
}

fn timed(work: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed())
}

/// Random numbers of variance 1: on zeros some processors are faster.
fn random<T: Element, const D: usize>(shape: &[usize], seed: u64) -> Result<Tensor<T, D>>
where
    [usize; D]: Rank,
{
    let (len, limit) = (shape.iter().product(), 3.0_f64.sqrt());
    let mut values = Vec::new();
    values.try_reserve_exact(len).map_err(|_| Error::Overflow { what: "an array of the measurement" })?;
    let mut rng = Rng::new(seed);
    values.extend(std::iter::repeat_with(|| T::from_f64(rng.uniform(-limit, limit))).take(len));
    let array = ArrayD::from_shape_vec(IxDyn(shape), values).expect("as many values as the shape has cells");
    Ok(array.into_dimensionality().expect("a shape of this rank"))
}
