//! Kernels from examples: what convolution turned these inputs into those outputs?
//!
//! The output of a convolution is linear in its kernel, so the squared error is a bowl with one floor.
//! [`descend`] walks down it as a network in training does and keeps the losses; `least_squares` (feature `linalg`)
//! goes there in one step, by solving `weight · Cols(input) = output` for the weight. [`steepest`] says how fast a descent may go.
//!
//! ```
//! use convgemm::learn::{Descent, descend};
//! use convgemm::nn::{Conv1d, Rng};
//! use convgemm::ConvOptions;
//! use ndarray::array;
//!
//! let (before, after) = (array![[[1.0_f64, 1.0, 0.0, 0.0, 1.0, 1.0]]], array![[[0.0, 1.0, 0.0, -1.0, 0.0]]]);
//! let start = Conv1d::new([1, 1], [2], ConvOptions::new(), &mut Rng::new(7))?.without_bias();
//! let learned = descend(start, &before, &after, &Descent::new(0.1, 60))?;
//! assert!(learned.losses.len() == 60 && learned.losses[59] < 1e-4);
//! assert!((learned.layer.weight - array![[[1.0, -1.0]]]).iter().all(|error| error.abs() < 1e-3));
//! # Ok::<(), convgemm::Error>(())
//! ```

mod descent;
#[cfg(feature = "linalg")]
mod exact;

pub use descent::{Descent, Learned, descend, steepest};
#[cfg(feature = "linalg")]
pub use exact::{Fit, LeastSquares, least_squares};
