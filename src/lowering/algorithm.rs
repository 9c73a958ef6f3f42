//! The algorithms by name.

use super::winograd::Scheme;

/// How a convolution is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum Algorithm {
    /// The plan chooses, and [`explain`](crate::ConvPlan::explain) says why.
    #[default]
    Auto,
    /// Nested loops: tiny problems.
    Direct,
    /// The textbook: the whole patch matrix of each image, and one dense product with it.
    Im2col,
    /// The patch matrix by tiles that fit [`workspace_bytes`](crate::ConvOptions::workspace_bytes).
    Im2colTiled,
    /// 1×1 kernels without stride or padding: the input is the patch matrix, nothing is copied.
    Pointwise,
    /// The patch matrix is never stored: the microkernel, or packing for it, reads windows from the image.
    Fused,
    /// The same with Strassen's seven products of quarters instead of eight, which are other sums: even numbers of output
    /// channels a group and of rows of the patch matrix. Input gradients with a stride where all taps read the same phase, as the
    /// one of a 1×1 kernel does.
    Strassen,
    /// One input channel a group, without dense products: outputs stay in registers, along rows or with channels on
    /// the vector lanes. Input gradients of one output channel a group, of any stride.
    Depthwise,
    /// 3×3 kernels of stride 1 by Winograd's F(2×2, 3×3): 2.25 times fewer products, other sums. Kernels of 3 in one
    /// dimension and 1×3 kernels by F(2, 3), 1.5 times fewer, whatever the dilation; 5×5 kernels by F(2×2, 5×5), 2.8
    /// times fewer, but not their weight gradients; and 3×3 kernels of stride 2, 1.4 times fewer, their input gradients only
    /// with one row and one column of padding before the input. Forward passes of other kernels of stride 2 or 4, phase by phase, if they
    /// have three or five such steps a side: 5×5 and 9×9 with stride 2.
    WinogradF2,
    /// The same by F(4×4, 3×3), 4 times fewer products, and F(4, 3), 2 times fewer; with stride 2 1.8 times fewer. Not for
    /// 5×5 kernels but for 4×4, by F(3×3, 4×4), 4 times fewer; with stride 2 or 4 those of three or four steps a side: 11×11 of stride 4 3.4
    /// times fewer, 7×7 of stride 2 3.1. Planes that tiles of four outputs do not fill have some of three, forward and in input gradients.
    WinogradF4,
}

impl Algorithm {
    /// Every algorithm, `Auto` first.
    pub const ALL: [Self; 10] = [
        Self::Auto,
        Self::Direct,
        Self::Im2col,
        Self::Im2colTiled,
        Self::Pointwise,
        Self::Fused,
        Self::Strassen,
        Self::Depthwise,
        Self::WinogradF2,
        Self::WinogradF4,
    ];

    /// Whether it adds up the products of the definition, in whatever order: those that
    /// [`Numerics::Strict`](crate::Numerics::Strict) allows.
    pub fn is_strict(self) -> bool {
        !matches!(self, Self::Strassen | Self::WinogradF2 | Self::WinogradF4)
    }

    /// The transforms of a Winograd algorithm.
    pub(crate) fn scheme(self) -> Option<Scheme> {
        match self {
            Self::WinogradF2 => Some(Scheme::F2),
            Self::WinogradF4 => Some(Scheme::F4),
            _ => None,
        }
    }

    /// Its name in lower case, words joined by hyphens.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Direct => "direct",
            Self::Im2col => "im2col",
            Self::Im2colTiled => "im2col-tiled",
            Self::Pointwise => "pointwise",
            Self::Fused => "fused",
            Self::Strassen => "strassen",
            Self::Depthwise => "depthwise",
            Self::WinogradF2 => "winograd-f2",
            Self::WinogradF4 => "winograd-f4",
        }
    }
}

impl std::fmt::Display for Algorithm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

impl std::str::FromStr for Algorithm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.name() == text)
            .ok_or_else(|| format!("'{text}' is no algorithm; {}", Self::ALL.map(Self::name).join(", ")))
    }
}
