//! Kernels by design: those with names, derivatives of any order and accuracy, and kernels as sums of a column
//! times a row.
//!
//! Numbers are those of cross-correlation, which does not flip the kernel. Positive x is to the right and
//! positive y down.
//!
//! ```
//! use convgemm::{ConvOptions, correlate2d, stencil};
//! use ndarray::{Array2, array};
//!
//! let slope = Array2::from_shape_fn((5, 5), |(_, x)| 3.0 * x as f64);
//! let edges = correlate2d(&slope, &stencil::named("sobel-x")?, &ConvOptions::new())?;
//! // Sobel's kernel smooths with 1 + 2 + 1 and takes the difference over two cells.
//! assert_eq!(edges, Array2::from_elem((3, 3), 3.0 * 2.0 * 4.0));
//! # Ok::<(), convgemm::Error>(())
//! ```

#[cfg(feature = "linalg")]
mod difference;
mod laplacian;
mod named;
mod separable;

#[cfg(feature = "linalg")]
pub use difference::FiniteDifference;
pub use laplacian::{Neighbours, laplacian};
pub use named::{NAMED, Named, named};
pub use separable::is_separable;
#[cfg(feature = "linalg")]
pub use separable::{Factor, separate};
