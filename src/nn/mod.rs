//! Enough of a neural network to train a convolution by hand: layers, losses and a descent.
//!
//! A layer holds its parameters in plain arrays. `forward` and `backward` keep nothing between calls: the
//! caller hands `backward` the input again, so one layer can serve several threads.
//!
//! ```
//! use convgemm::ConvOptions;
//! use convgemm::nn::{Conv2d, Reduction, Rng, Sgd, squared_error};
//! use ndarray::array;
//!
//! let x = array![[[[1.0_f64, 1.0, 0.0, 0.0, 1.0, 1.0]]]];
//! let y = array![[[[0.0, 1.0, 0.0, -1.0, 0.0]]]];
//! let mut layer = Conv2d::new([1, 1], [1, 2], ConvOptions::new(), &mut Rng::new(7))?.without_bias();
//! let mut descent = Sgd::new(0.1)?;
//! for _ in 0..60 {
//!     let loss = squared_error(&layer.forward(&x)?, &y, Reduction::Sum)?;
//!     let gradients = layer.backward(&x, &loss.gradient)?;
//!     descent.step(layer.parameters(&gradients))?;
//! }
//! assert!((&layer.weight - &array![[[[1.0, -1.0]]]]).iter().all(|error| error.abs() < 1e-3));
//! # Ok::<(), convgemm::Error>(())
//! ```

mod init;
mod layer;
mod loss;
mod optim;

pub use init::{Rng, kaiming_uniform};
pub use layer::{Conv, Conv1d, Conv2d, Conv3d, Gradients};
pub use loss::{Loss, Reduction, squared_error};
pub use optim::{Parameter, Sgd};
