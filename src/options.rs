//! What is asked of a convolution beside its arrays: named, never positional.

use crate::error::{Error, Result};
pub use crate::gemm::Backend;
pub use crate::geometry::PadMode;
use crate::geometry::{AxisPadding, AxisRequest, ConvGeometry, GeometryRequest};
pub use crate::lowering::{Activation, Algorithm};

/// Cells added around the input before the kernel slides over it, one entry a spatial axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(
        rename_all = "kebab-case",
        bound(
            serialize = "[(usize, usize); D]: serde::Serialize",
            deserialize = "[(usize, usize); D]: serde::Deserialize<'de>"
        )
    )
)]
#[non_exhaustive]
pub enum Padding<const D: usize> {
    /// None: only windows that lie inside the input.
    #[default]
    Valid,
    /// As many windows as `⌈input / stride⌉`; an odd cell goes after the input (TensorFlow, PyTorch).
    Same,
    /// The same with the odd cell before the input (ONNX `SAME_LOWER`).
    SameLower,
    /// Cells before and after, for each axis.
    Explicit([(usize, usize); D]),
}

impl<const D: usize> Padding<D> {
    /// The same number of cells on both sides of each axis: PyTorch's `padding=[…]`.
    pub fn symmetric(cells: [usize; D]) -> Self {
        Self::Explicit(cells.map(|n| (n, n)))
    }
}

/// How exact the result must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum Numerics {
    /// Strassen's and Winograd's algorithms may be chosen, which compute other sums with the same value: their error is
    /// within four times that of the textbook's, and a value that is not finite spreads to the whole tile (with Winograd up
    /// to 3 cells further, times the dilation, and in a weight gradient to all taps of a kernel, with Strassen to other
    /// windows and channels) instead of its windows alone.
    #[default]
    Fast,
    /// Only the sums of the definition, in whatever order.
    Strict,
}

/// Options of a convolution over `D` spatial axes. The defaults are PyTorch's: stride 1, no padding,
/// dilation 1, one group.
///
/// ```
/// use convgemm::{ConvOptions, PadMode, Padding};
///
/// let options = ConvOptions::<2>::new().stride([2, 2]).padding(Padding::Same).pad_mode(PadMode::Reflect);
/// assert_eq!(options.stride, [2, 2]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(
        default,
        bound(
            serialize = "[usize; D]: serde::Serialize, [(usize, usize); D]: serde::Serialize",
            deserialize = "[usize; D]: serde::Deserialize<'de>, [(usize, usize); D]: serde::Deserialize<'de>"
        )
    )
)]
#[non_exhaustive]
pub struct ConvOptions<const D: usize> {
    /// Cells between two windows.
    pub stride: [usize; D],
    /// Cells added around the input.
    pub padding: Padding<D>,
    /// How those cells are filled.
    pub pad_mode: PadMode,
    /// Cells between two taps of the kernel; 1 for a dense kernel.
    pub dilation: [usize; D],
    /// Groups of channels that do not see each other.
    pub groups: usize,
    /// Cells added at the end of a transposed convolution's output.
    pub output_padding: [usize; D],
    /// What is applied to each output after the bias.
    pub activation: Activation,
    /// Which algorithm computes it.
    pub algorithm: Algorithm,
    /// How exact the result must be.
    pub numerics: Numerics,
    /// Which library computes the dense products.
    pub backend: Backend,
    /// Bytes of scratch memory that one thread may use, outside [`Algorithm::Im2col`].
    pub workspace_bytes: usize,
}

impl<const D: usize> Default for ConvOptions<D> {
    fn default() -> Self {
        Self {
            stride: [1; D],
            padding: Padding::Valid,
            pad_mode: PadMode::Zeros,
            dilation: [1; D],
            groups: 1,
            output_padding: [0; D],
            activation: Activation::None,
            algorithm: Algorithm::Auto,
            numerics: Numerics::Fast,
            backend: Backend::Auto,
            workspace_bytes: 2 << 20,
        }
    }
}

impl<const D: usize> ConvOptions<D> {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the cells between two windows.
    pub fn stride(mut self, stride: [usize; D]) -> Self {
        self.stride = stride;
        self
    }

    /// Sets the cells added around the input.
    pub fn padding(mut self, padding: Padding<D>) -> Self {
        self.padding = padding;
        self
    }

    /// Sets how the padding is filled.
    pub fn pad_mode(mut self, pad_mode: PadMode) -> Self {
        self.pad_mode = pad_mode;
        self
    }

    /// Sets the cells between two taps.
    pub fn dilation(mut self, dilation: [usize; D]) -> Self {
        self.dilation = dilation;
        self
    }

    /// Sets the number of groups.
    pub fn groups(mut self, groups: usize) -> Self {
        self.groups = groups;
        self
    }

    /// Sets the cells added at the end of a transposed convolution's output.
    pub fn output_padding(mut self, output_padding: [usize; D]) -> Self {
        self.output_padding = output_padding;
        self
    }

    /// Sets what is applied to each output after the bias.
    pub fn activation(mut self, activation: Activation) -> Self {
        self.activation = activation;
        self
    }

    /// Names the algorithm.
    pub fn algorithm(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = algorithm;
        self
    }

    /// Sets how exact the result must be.
    pub fn numerics(mut self, numerics: Numerics) -> Self {
        self.numerics = numerics;
        self
    }

    /// Names the library that computes the dense products.
    pub fn backend(mut self, backend: Backend) -> Self {
        self.backend = backend;
        self
    }

    /// Sets the bytes of scratch memory that one thread may use.
    pub fn workspace_bytes(mut self, bytes: usize) -> Self {
        self.workspace_bytes = bytes;
        self
    }

    /// The geometry of the convolution of `input` `[N, C, *k]` with `weight` `[OC, C/g, *k]`.
    ///
    /// # Errors
    /// What makes the shapes and these options impossible.
    pub fn geometry(&self, input: &[usize], weight: &[usize]) -> Result<ConvGeometry> {
        self.with_request(|request| ConvGeometry::new(input, weight, request))
    }

    /// The geometry of the convolution whose input gradient is the transposed convolution of `input`
    /// `[N, C, *k]` with `weight` `[C, OC/g, *k]`.
    ///
    /// # Errors
    /// What makes the shapes and these options impossible.
    pub fn transposed_geometry(&self, input: &[usize], weight: &[usize]) -> Result<ConvGeometry> {
        self.with_request(|request| ConvGeometry::transposed(input, weight, request))
    }

    /// Refuses an activation, which has no place in a gradient.
    pub(crate) fn without_activation(&self) -> Result<()> {
        if self.activation == Activation::None { Ok(()) } else { Err(Error::ActivationInGradient) }
    }

    fn with_request<R>(&self, make: impl FnOnce(GeometryRequest<'_>) -> Result<R>) -> Result<R> {
        if !(1..=3).contains(&D) {
            return Err(Error::Argument(format!("{D} spatial axes; 1, 2 or 3 are possible")));
        }
        self.activation.check()?;
        let mut axes = [AxisRequest::UNIT; 3];
        for (i, axis) in axes[..D].iter_mut().enumerate() {
            *axis = AxisRequest {
                stride: self.stride[i],
                dilation: self.dilation[i],
                padding: match self.padding {
                    Padding::Valid => AxisPadding::Explicit(0, 0),
                    Padding::Same => AxisPadding::SameUpper,
                    Padding::SameLower => AxisPadding::SameLower,
                    Padding::Explicit(cells) => AxisPadding::Explicit(cells[i].0, cells[i].1),
                },
                output_padding: self.output_padding[i],
            };
        }
        make(GeometryRequest { axes: &axes[..D], groups: self.groups, pad_mode: self.pad_mode })
    }
}
