//! Which library multiplies, and how often each has.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Result};

/// Which library computes the dense products.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum Backend {
    /// OpenBLAS where this build has it (feature `openblas`), else `gemm`.
    #[default]
    Auto,
    /// The `gemm` crate: pure Rust, always there.
    Gemm,
    /// OpenBLAS, called with one thread from this crate's tasks.
    #[cfg_attr(feature = "serde", serde(rename = "openblas"))]
    OpenBlas,
}

/// A backend that this build has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dense {
    Gemm,
    #[cfg(feature = "_openblas")]
    OpenBlas,
}

#[cfg(feature = "_openblas")]
const OPENBLAS: Option<Dense> = Some(Dense::OpenBlas);
#[cfg(not(feature = "_openblas"))]
const OPENBLAS: Option<Dense> = None;

impl Backend {
    /// Every choice.
    pub const ALL: [Self; 3] = [Self::Auto, Self::Gemm, Self::OpenBlas];

    /// Its name in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Gemm => "gemm",
            Self::OpenBlas => "openblas",
        }
    }

    /// Whether this build can multiply with it.
    pub fn is_available(self) -> bool {
        self.resolve().is_ok()
    }

    pub(crate) fn resolve(self) -> Result<Dense> {
        match self {
            Self::Auto => Ok(OPENBLAS.unwrap_or(Dense::Gemm)),
            Self::Gemm => Ok(Dense::Gemm),
            Self::OpenBlas => OPENBLAS.ok_or(Error::NoOpenBlas),
        }
    }
}

impl std::fmt::Display for Backend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Backend {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|backend| backend.name() == text)
            .ok_or_else(|| format!("'{text}' is no backend; auto, gemm or openblas"))
    }
}

impl Dense {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Gemm => "gemm",
            #[cfg(feature = "_openblas")]
            Self::OpenBlas => "openblas",
        }
    }
}

pub(super) static GEMM_CALLS: AtomicU64 = AtomicU64::new(0);
pub(super) static OPENBLAS_CALLS: AtomicU64 = AtomicU64::new(0);
pub(super) static REDIRECTED_CALLS: AtomicU64 = AtomicU64::new(0);

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// How many dense products this process has computed with each library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct DenseCalls {
    /// With the `gemm` crate, redirected ones included.
    pub gemm: u64,
    /// With OpenBLAS.
    pub openblas: u64,
    /// Meant for OpenBLAS, but of a layout that BLAS cannot express, and so sent to `gemm`.
    pub redirected: u64,
}

/// The counters of [`DenseCalls`]: a program that relies on OpenBLAS can see that it is really reached.
///
/// ```
/// let before = convgemm::dense_calls();
/// let image = ndarray::Array4::<f32>::ones((1, 8, 9, 9));
/// let kernels = ndarray::Array4::<f32>::ones((8, 8, 3, 3));
/// let options = convgemm::ConvOptions::new().algorithm(convgemm::Algorithm::Im2col);
/// convgemm::conv2d(&image, &kernels, None, &options)?;
/// let after = convgemm::dense_calls();
/// assert!(after.gemm + after.openblas > before.gemm + before.openblas);
/// # Ok::<(), convgemm::Error>(())
/// ```
pub fn dense_calls() -> DenseCalls {
    DenseCalls {
        gemm: GEMM_CALLS.load(Ordering::Relaxed),
        openblas: OPENBLAS_CALLS.load(Ordering::Relaxed),
        redirected: REDIRECTED_CALLS.load(Ordering::Relaxed),
    }
}
