//! The library under test, called on a [`Case`] of any rank.

use convgemm::{
    Algorithm, Backend, ConvOptions, ConvPlan, Element, Numerics, Rank, Result, WeightGradPlan, conv, conv_bias_grad,
    conv_input_grad, conv_input_grad_into, conv_into, conv_transpose, conv_transpose_input_grad,
    conv_transpose_input_grad_into, conv_transpose_into, conv_transpose_weight_grad, conv_transpose_weight_grad_into,
    conv_weight_grad, conv_weight_grad_into, fold, unfold,
};
use ndarray::{Array1, ArrayD, ArrayView, ArrayViewD, ArrayViewMut, ArrayViewMutD, Ix3};

use super::cases::Case;
use super::oracle::{Border, Expected, Line};

/// What is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Forward,
    InputGrad,
    WeightGrad,
}

/// Everything that must not change a result by more than roundings. Where the algorithm cannot do an
/// operation, the library chooses another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct How {
    pub algorithm: Algorithm,
    pub backend: Backend,
    pub workspace_bytes: usize,
}

/// The library's own default.
pub const DEFAULT_WORKSPACE: usize = 2 << 20;

/// Workspaces so small that every case has more than one tile.
const TINY_WORKSPACES: [usize; 2] = [1, 700];

impl How {
    pub fn new(algorithm: Algorithm) -> Self {
        Self { algorithm, backend: Backend::Auto, workspace_bytes: DEFAULT_WORKSPACE }
    }

    /// Every algorithm that can do any operation of `case`, with every backend of this build.
    pub fn all(case: &Case) -> Vec<Self> {
        let operations = [Operation::Forward, Operation::InputGrad, Operation::WeightGrad];
        let mut hows = vec![];
        for algorithm in Algorithm::ALL {
            if !operations.into_iter().any(|operation| can(algorithm, operation, case)) {
                continue;
            }
            let one = [DEFAULT_WORKSPACE];
            let tiled = [DEFAULT_WORKSPACE, TINY_WORKSPACES[0], TINY_WORKSPACES[1]];
            let has_tiles =
                !matches!(algorithm, Algorithm::Auto | Algorithm::Direct | Algorithm::Im2col | Algorithm::Pointwise);
            let sizes = if has_tiles { &tiled[..] } else { &one[..] };
            let multiplies = matches!(
                algorithm,
                Algorithm::Auto | Algorithm::Im2col | Algorithm::Im2colTiled | Algorithm::Pointwise
            );
            for backend in backends().filter(|&backend| multiplies || backend == Backend::Gemm) {
                hows.extend(sizes.iter().map(|&workspace_bytes| Self { algorithm, backend, workspace_bytes }));
            }
        }
        hows
    }

    /// The same without those that compute other sums than the definition's.
    pub fn strict(case: &Case) -> Vec<Self> {
        Self::all(case).into_iter().filter(|how| how.algorithm.is_strict()).collect()
    }

    /// What to judge a result by: where other sums are computed, whose terms are larger than the definition's,
    /// 8 times the largest sum of absolute terms that there could be. (`accuracy` holds their error as a whole.)
    pub fn judged(self, expected: &Expected) -> Expected {
        let mut judged = expected.clone();
        if !self.algorithm.is_strict() {
            judged.magnitude.fill(8.0 * expected.ceiling);
        }
        judged
    }

    /// The options of an operation of `case`. Algorithms that are not named are strict ones.
    pub fn options<const D: usize>(self, case: &Case, operation: Operation) -> ConvOptions<D> {
        let algorithm = if can(self.algorithm, operation, case) { self.algorithm } else { Algorithm::Auto };
        case.options::<D>()
            .algorithm(algorithm)
            .numerics(Numerics::Strict)
            .backend(self.backend)
            .workspace_bytes(self.workspace_bytes)
    }
}

/// The backends that this build has by name.
pub fn backends() -> impl Iterator<Item = Backend> {
    [Backend::Gemm, Backend::OpenBlas].into_iter().filter(|backend| backend.is_available())
}

/// Whether an operation adds up cells of the output for each cell of the convolution's input.
fn is_adjoint(operation: Operation, case: &Case) -> bool {
    matches!((operation, case.transposed), (Operation::InputGrad, false) | (Operation::Forward, true))
}

/// The taps that read the cells `first`, `first + stride`, … of an axis, for each first cell that there is.
fn phases(line: &Line, case: &Case) -> impl Iterator<Item = Vec<usize>> {
    let &Line { kernel, stride, dilation, before, .. } = line;
    let cells = if case.transposed { line.output } else { line.input };
    (0..stride.min(cells.max(1)))
        .map(move |first| (0..kernel).filter(|tap| tap * dilation % stride == (first + before) % stride).collect())
}

/// Whether an algorithm can do an operation, by what its documentation says.
pub fn can(algorithm: Algorithm, operation: Operation, case: &Case) -> bool {
    let definition = case.definition();
    let mut lines = definition.lines.iter();
    match algorithm {
        Algorithm::Auto | Algorithm::Direct | Algorithm::Im2col | Algorithm::Im2colTiled => true,
        // The window of an output is the cell at the same place.
        Algorithm::Pointwise => {
            lines.all(|line| line.kernel == 1 && line.stride == 1 && line.before == 0 && line.output == line.input)
        }
        Algorithm::Fused => match (operation, case.transposed) {
            (Operation::WeightGrad, _) => true,
            (Operation::Forward, false) | (Operation::InputGrad, true) => true,
            (Operation::InputGrad, false) | (Operation::Forward, true) => {
                // The gradient of each phase begins with the last tap that reads it, which reaches into the border.
                let is_reversible = |line: &Line| {
                    phases(line, case).enumerate().all(|(first, readers)| {
                        readers.last().is_none_or(|tap| tap * line.dilation >= first + line.before)
                    })
                };
                case.border == Border::Zeros && lines.all(is_reversible)
            }
        },
        // Halves of output channels, and of what each of them adds up.
        Algorithm::Strassen => {
            let (outs, ins) = (case.weight[0] / case.groups, case.weight[1]);
            let (outs, ins) = if is_adjoint(operation, case) { (ins, outs) } else { (outs, ins) };
            // Of an input gradient's phases one alone is not zero.
            let taps_of = |line: &Line| {
                if !is_adjoint(operation, case) {
                    return line.kernel;
                }
                let mut read = phases(line, case).map(|readers| readers.len()).filter(|&taps| taps > 0);
                read.next().filter(|_| read.next().is_none()).unwrap_or(0)
            };
            let taps: usize = definition.lines.iter().map(taps_of).product();
            outs > 0
                && outs.is_multiple_of(2)
                && ins * taps > 0
                && (ins * taps).is_multiple_of(2)
                && operation != Operation::WeightGrad
                && can(Algorithm::Fused, operation, case)
        }
        Algorithm::WinogradF2 | Algorithm::WinogradF4 => {
            let [depth, height, width] = &definition.lines;
            // Input gradients of stride 2 are those of windows that begin in a border of one cell.
            let is_doubled = |line: &Line| !is_adjoint(operation, case) || line.before == 1;
            let steps = |line: &Line| (line.kernel, line.stride);
            let is_three = |line: &Line| steps(line) == (3, 1) && line.output > 0;
            // Four taps by F(3×3) and five by F(2×2) only.
            let is_more = |taps: usize| match algorithm {
                Algorithm::WinogradF2 => taps == 5,
                _ => taps == 4,
            };
            // As many taps of each phase, in windows that move by two or four.
            let is_by_phases = || {
                let [rows, columns] = [height, width].map(|line| line.kernel.div_ceil(line.stride));
                height.stride == width.stride
                    && [2, 4].contains(&width.stride)
                    && rows == columns
                    && (rows == 3 || is_more(rows))
                    && case.border == Border::Zeros
                    && operation != Operation::WeightGrad
                    && !is_adjoint(operation, case)
            };
            let is_plane = steps(height) == steps(width)
                && (is_three(width)
                    || steps(width) == (3, 2) && is_doubled(height) && is_doubled(width)
                    || width.stride == 1 && is_more(width.kernel) && operation != Operation::WeightGrad)
                || is_by_phases();
            let is_plane =
                is_plane && height.output.min(width.output) > 0 && height.dilation == 1 && width.dilation == 1;
            // Along the width alone, where two outputs share a cell.
            let found = match operation {
                Operation::Forward => width.output,
                Operation::WeightGrad if !case.transposed => width.output,
                Operation::InputGrad | Operation::WeightGrad => width.input,
            };
            let is_row = is_three(width) && steps(height) == (1, 1) && height.output > 0 && width.dilation <= found;
            depth.kernel == 1
                && depth.stride == 1
                && depth.before == 0
                && depth.output == depth.input
                && (is_plane || is_row)
                && can(Algorithm::Fused, operation, case)
        }
        Algorithm::Depthwise => {
            let side = if is_adjoint(operation, case) { case.weight[0] / case.groups } else { case.weight[1] };
            side == 1
                && (operation != Operation::WeightGrad || case.groups >= 8 && case.border == Border::Zeros)
                && case.weight[0].min(case.weight[1]) > 0
                && lines.all(|line| line.output > 0)
                && (case.groups >= 8
                    || !is_adjoint(operation, case)
                    || definition.lines.iter().all(|line| line.stride == 1))
                && can(Algorithm::Fused, operation, case)
        }
        // A new algorithm says here what it can do.
        _ => false,
    }
}

/// Evaluates `$body` with the constants `$rank` and `$axes = $rank + 2` of `$case`.
macro_rules! at_rank {
    ($case:expr, $rank:ident, $axes:ident, $body:block) => {
        match $case.rank() {
            1 => {
                const $rank: usize = 1;
                const $axes: usize = 3;
                $body
            }
            2 => {
                const $rank: usize = 2;
                const $axes: usize = 4;
                $body
            }
            _ => {
                const $rank: usize = 3;
                const $axes: usize = 5;
                $body
            }
        }
    };
}

fn read<T, const D: usize>(view: ArrayViewD<'_, T>) -> ArrayView<'_, T, <[usize; D] as Rank>::Tensor>
where
    [usize; D]: Rank,
{
    view.into_dimensionality().expect("an array of the case's rank")
}

fn write<T, const D: usize>(view: ArrayViewMutD<'_, T>) -> ArrayViewMut<'_, T, <[usize; D] as Rank>::Tensor>
where
    [usize; D]: Rank,
{
    view.into_dimensionality().expect("an array of the case's rank")
}

fn array<const N: usize>(shape: &[usize]) -> [usize; N] {
    shape.try_into().expect("a shape of the case's rank")
}

type View<'a, T> = ArrayViewD<'a, T>;
type ViewMut<'a, T> = ArrayViewMutD<'a, T>;

pub fn forward<T: Element>(
    case: &Case,
    how: How,
    x: View<'_, T>,
    w: View<'_, T>,
    bias: Option<&Array1<T>>,
) -> Result<ArrayD<T>> {
    let bias = bias.map(|bias| &**bias);
    at_rank!(case, D, S, {
        let (x, w, options) = (read::<T, D>(x), read::<T, D>(w), how.options::<D>(case, Operation::Forward));
        let y = if case.transposed { conv_transpose(&x, &w, bias, &options) } else { conv(&x, &w, bias, &options) };
        const { assert!(S == D + 2) };
        y.map(|y| y.into_dyn())
    })
}

pub fn input_grad<T: Element>(case: &Case, how: How, w: View<'_, T>, dy: View<'_, T>) -> Result<ArrayD<T>> {
    at_rank!(case, D, S, {
        let (w, dy, options) = (read::<T, D>(w), read::<T, D>(dy), how.options::<D>(case, Operation::InputGrad));
        let shape = array::<S>(&case.input);
        let dx = if case.transposed {
            conv_transpose_input_grad(shape, &w, &dy, &options)
        } else {
            conv_input_grad(shape, &w, &dy, &options)
        };
        dx.map(|dx| dx.into_dyn())
    })
}

pub fn weight_grad<T: Element>(case: &Case, how: How, x: View<'_, T>, dy: View<'_, T>) -> Result<ArrayD<T>> {
    at_rank!(case, D, S, {
        let (x, dy, options) = (read::<T, D>(x), read::<T, D>(dy), how.options::<D>(case, Operation::WeightGrad));
        let shape = array::<S>(&case.weight);
        let dw = if case.transposed {
            conv_transpose_weight_grad(&x, shape, &dy, &options)
        } else {
            conv_weight_grad(&x, shape, &dy, &options)
        };
        dw.map(|dw| dw.into_dyn())
    })
}

pub fn bias_grad<T: Element>(case: &Case, dy: View<'_, T>) -> ArrayD<T> {
    at_rank!(case, D, S, {
        const { assert!(S == D + 2) };
        conv_bias_grad::<T, D>(&read::<T, D>(dy)).into_dyn()
    })
}

pub fn forward_into<T: Element>(
    case: &Case,
    how: How,
    (x, w, bias): (View<'_, T>, View<'_, T>, Option<&Array1<T>>),
    y: ViewMut<'_, T>,
) -> Result<()> {
    let bias = bias.map(|bias| &**bias);
    at_rank!(case, D, S, {
        const { assert!(S == D + 2) };
        let (x, w, options) = (read::<T, D>(x), read::<T, D>(w), how.options::<D>(case, Operation::Forward));
        let mut y = write::<T, D>(y);
        if case.transposed {
            conv_transpose_into(&x, &w, bias, &options, &mut y)
        } else {
            conv_into(&x, &w, bias, &options, &mut y)
        }
    })
}

pub fn input_grad_into<T: Element>(
    case: &Case,
    how: How,
    (w, dy): (View<'_, T>, View<'_, T>),
    dx: ViewMut<'_, T>,
) -> Result<()> {
    at_rank!(case, D, S, {
        let (w, dy, options) = (read::<T, D>(w), read::<T, D>(dy), how.options::<D>(case, Operation::InputGrad));
        let (shape, mut dx) = (array::<S>(&case.input), write::<T, D>(dx));
        if case.transposed {
            conv_transpose_input_grad_into(shape, &w, &dy, &options, &mut dx)
        } else {
            conv_input_grad_into(shape, &w, &dy, &options, &mut dx)
        }
    })
}

pub fn weight_grad_into<T: Element>(
    case: &Case,
    how: How,
    (x, dy): (View<'_, T>, View<'_, T>),
    dw: ViewMut<'_, T>,
) -> Result<()> {
    at_rank!(case, D, S, {
        let (x, dy, options) = (read::<T, D>(x), read::<T, D>(dy), how.options::<D>(case, Operation::WeightGrad));
        let (shape, mut dw) = (array::<S>(&case.weight), write::<T, D>(dw));
        if case.transposed {
            conv_transpose_weight_grad_into(&x, shape, &dy, &options, &mut dw)
        } else {
            conv_weight_grad_into(&x, shape, &dy, &options, &mut dw)
        }
    })
}

/// The plan's way, with a scratch memory that is full of NaN and as long as any plan so far needed.
pub fn forward_planned<T: Element>(
    case: &Case,
    how: How,
    (x, w, bias): (View<'_, T>, View<'_, T>, Option<&Array1<T>>),
    (y, scratch): (ViewMut<'_, T>, &mut Vec<T>),
) -> Result<()> {
    let bias = bias.map(|bias| &**bias);
    at_rank!(case, D, S, {
        let (x, w, options) = (read::<T, D>(x), read::<T, D>(w), how.options::<D>(case, Operation::Forward));
        let shape = array::<S>(&case.input);
        let plan = if case.transposed {
            ConvPlan::conv_transpose(shape, &w, bias, &options)
        } else {
            ConvPlan::conv(shape, &w, bias, &options)
        }?;
        poison(scratch, plan.workspace_len());
        plan.run_into(&x, &mut write::<T, D>(y), scratch)
    })
}

/// The same for the input gradient of a convolution that is not transposed.
pub fn input_grad_planned<T: Element>(
    case: &Case,
    how: How,
    (w, dy): (View<'_, T>, View<'_, T>),
    (dx, scratch): (ViewMut<'_, T>, &mut Vec<T>),
) -> Result<()> {
    assert!(!case.transposed);
    at_rank!(case, D, S, {
        let (w, dy, options) = (read::<T, D>(w), read::<T, D>(dy), how.options::<D>(case, Operation::InputGrad));
        let plan = ConvPlan::input_grad(array::<S>(&case.input), &w, &options)?;
        poison(scratch, plan.workspace_len());
        plan.run_into(&dy, &mut write::<T, D>(dx), scratch)
    })
}

pub fn weight_grad_planned<T: Element>(
    case: &Case,
    how: How,
    (x, dy): (View<'_, T>, View<'_, T>),
    (dw, scratch): (ViewMut<'_, T>, &mut Vec<T>),
) -> Result<()> {
    at_rank!(case, D, S, {
        let (x, dy, options) = (read::<T, D>(x), read::<T, D>(dy), how.options::<D>(case, Operation::WeightGrad));
        let (input, weight) = (array::<S>(&case.input), array::<S>(&case.weight));
        let plan = if case.transposed {
            WeightGradPlan::conv_transpose(input, weight, &options)
        } else {
            WeightGradPlan::conv(input, weight, &options)
        }?;
        poison(scratch, plan.workspace_len());
        plan.run_into(&x, &dy, &mut write::<T, D>(dw), scratch)
    })
}

fn poison<T: Element>(scratch: &mut Vec<T>, least: usize) {
    let len = scratch.len().max(least);
    scratch.clear();
    scratch.resize(len, T::nan());
}

/// Patch matrices of all images; groups play no part in them.
pub fn unfold_case<T: Element>(case: &Case, x: View<'_, T>) -> Result<ArrayD<T>> {
    at_rank!(case, D, S, {
        const { assert!(S == D + 2) };
        let options = case.options::<D>().groups(1);
        unfold(&read::<T, D>(x), array::<D>(&case.weight[2..]), &options).map(|columns| columns.into_dyn())
    })
}

pub fn fold_case<T: Element>(case: &Case, columns: View<'_, T>) -> Result<ArrayD<T>> {
    let columns = columns.into_dimensionality::<Ix3>().expect("[N, rows, windows]");
    at_rank!(case, D, S, {
        const { assert!(S == D + 2) };
        let options = case.options::<D>().groups(1);
        let (size, kernel) = (array::<D>(&case.input[2..]), array::<D>(&case.weight[2..]));
        fold(&columns, size, kernel, &options).map(|image| image.into_dyn())
    })
}
