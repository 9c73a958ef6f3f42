//! What can be wrong with a request, with the numbers that show it.

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why an operation was refused. Nothing has been computed or written when one of these is returned.
///
/// Axes are numbered as in the shape that the caller gave: in `[N, C, H, W]`, axis 2 is `H`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A stride, dilation, kernel length or number of groups is zero.
    #[error("{parameter} is 0, it must be at least 1")]
    Zero {
        /// Its name, with the axis where there are several.
        parameter: String,
    },
    /// An array has another number of axes than the operation.
    #[error("{what} has {found} axes, this operation needs {expected}")]
    Rank {
        /// Which array.
        what: &'static str,
        /// How many axes the operation needs.
        expected: usize,
        /// How many it has.
        found: usize,
    },
    /// The input's channels are not what the weight expects.
    #[error(
        "input has {input} channels, weight expects {weight} × {groups} groups = {}; give an input of \
         as many channels, or other groups",
        weight * groups
    )]
    InputChannels {
        /// Channels of the input.
        input: usize,
        /// Channels that one kernel reads.
        weight: usize,
        /// Number of groups.
        groups: usize,
    },
    /// The input of a transposed convolution has other channels than the weight's first axis.
    #[error("input has {input} channels, the transposed weight's first axis has {weight}")]
    TransposedChannels {
        /// Channels of the input.
        input: usize,
        /// Length of the weight's first axis.
        weight: usize,
    },
    /// The groups do not divide the weight's first axis.
    #[error("the weight's first axis has {channels} channels, which {groups} groups do not divide")]
    Groups {
        /// Length of the weight's first axis.
        channels: usize,
        /// Number of groups.
        groups: usize,
    },
    /// The bias has not one value an output channel.
    #[error("bias has {found} values, the output has {expected} channels")]
    BiasLength {
        /// Channels of the output.
        expected: usize,
        /// Values in the bias.
        found: usize,
    },
    /// The dilated kernel is longer than the padded input.
    #[error(
        "axis {axis}: the kernel spans {extent} cells, the padded input has {padded}; \
         pad more, or use a smaller kernel or dilation"
    )]
    KernelTooLarge {
        /// Which axis of the input.
        axis: usize,
        /// `dilation · (kernel − 1) + 1`.
        extent: usize,
        /// Input and padding together.
        padded: usize,
    },
    /// The border is wider than the pad mode can fill from the input.
    #[error(
        "axis {axis}: {mode} padding of {padding} needs an axis of at least {needed} cells, the input has {length}"
    )]
    PaddingTooWide {
        /// Which axis of the input.
        axis: usize,
        /// How the border is filled.
        mode: &'static str,
        /// Cells of padding on the wider side.
        padding: usize,
        /// The shortest axis that would do.
        needed: usize,
        /// Length of the axis.
        length: usize,
    },
    /// A transposed convolution takes zeros only for its padding.
    #[error("a transposed convolution cannot have {0} padding, only zeros")]
    TransposedPadMode(&'static str),
    /// Output padding must be smaller than the stride or the dilation.
    #[error("axis {axis}: output padding {found} must be smaller than the larger of stride and dilation, {limit}")]
    OutputPadding {
        /// Which axis of the input.
        axis: usize,
        /// What was asked.
        found: usize,
        /// The larger of stride and dilation.
        limit: usize,
    },
    /// Output padding together with `Same` or with a convolution that is not transposed.
    #[error("output padding belongs to a transposed convolution with explicit padding")]
    OutputPaddingUnused,
    /// The padding of a transposed convolution removes the whole output.
    #[error(
        "axis {axis}: padding of {padding} cells leaves nothing of the {full} that the transposed convolution gives"
    )]
    TransposedPadding {
        /// Which axis of the input.
        axis: usize,
        /// Both sides together.
        padding: usize,
        /// Output length without padding.
        full: usize,
    },
    /// A size does not fit the address space.
    #[error("{what} has more elements than this machine can address")]
    Overflow {
        /// Which array or number.
        what: &'static str,
    },
    /// An array's shape is not the one that the geometry gives.
    #[error("{what} has shape {found:?}, expected {expected:?}")]
    Shape {
        /// Which array.
        what: &'static str,
        /// The shape that fits.
        expected: Vec<usize>,
        /// The shape it has.
        found: Vec<usize>,
    },
    /// The workspace is shorter than the plan needs.
    #[error("workspace has {found} elements, the plan needs {needed} (ConvPlan::workspace_len)")]
    WorkspaceLength {
        /// Elements needed.
        needed: usize,
        /// Elements given.
        found: usize,
    },
    /// The algorithm that was named cannot do this case.
    #[error("algorithm {algorithm} cannot do this: {reason}; Algorithm::Auto chooses one that can")]
    Unsupported {
        /// The algorithm that was named.
        algorithm: &'static str,
        /// What it lacks.
        reason: &'static str,
    },
    /// A backend was named that this build does not have.
    #[error("this build has no OpenBLAS; build with the feature `openblas`, or use Backend::Gemm")]
    NoOpenBlas,
    /// Gradients take no activation.
    #[error("a gradient has no activation: apply the activation's own derivative to grad_output first")]
    ActivationInGradient,
    /// A clamp whose bounds are out of order or not numbers.
    #[error("clamp needs min ≤ max, got {min} and {max}")]
    Clamp {
        /// Lower bound, as text.
        min: String,
        /// Upper bound, as text.
        max: String,
    },
    /// A system of equations that does not determine its unknowns.
    #[error(
        "{what} is singular: the data determine {rank} of {unknowns} unknowns; \
         give data with more variety, a smaller kernel, or a ridge"
    )]
    Singular {
        /// Which system.
        what: &'static str,
        /// How many unknowns the data determine.
        rank: usize,
        /// How many there are.
        unknowns: usize,
    },
    /// A derivative asked of a kernel with too few cells.
    #[error("no kernel of {cells} cells gives the derivative of order {derivative}: it takes at least {}", derivative + 1)]
    TooFewCells {
        /// Order of the derivative.
        derivative: usize,
        /// Cells of the kernel.
        cells: usize,
    },
    /// An array that is possible but larger than is sensible.
    #[error("{what} would have {elements} elements, the limit is {limit}")]
    TooLarge {
        /// Which array.
        what: &'static str,
        /// How many it would have.
        elements: usize,
        /// How many are allowed.
        limit: usize,
    },
    /// A descent whose loss is no longer a finite number.
    #[error("the descent diverged at step {step}: take a smaller rate")]
    Diverged {
        /// The step, counted from 1.
        step: usize,
    },
    /// A routine of LAPACK failed.
    #[error("linear algebra: {0}")]
    Linalg(String),
    /// An argument outside its domain, such as a learning rate or a file's content.
    #[error("{0}")]
    Argument(String),
}
