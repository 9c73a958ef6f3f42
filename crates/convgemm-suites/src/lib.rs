//! The convolution layers of well-known networks as data, in one place for benchmarks, tests and the program.
//!
//! A layer is written in a short [notation](Layer#notation); a [`Suite`] is a list of them with counts. Beside
//! them: seeded [`data`] of sensible scale and an [`oracle`] that computes single outputs in f64 by plain loops.
//!
//! ```
//! use convgemm_suites::{Layer, Suite};
//!
//! let resnet = Suite::named("resnet50").unwrap();
//! let stem: &Layer = &resnet.layers[0].layer;
//! assert_eq!(stem.to_string(), "3-64x7x7@224s2");
//! assert_eq!(stem.output_shape(8), [8, 64, 112, 112]);
//! ```

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod data;
mod layer;
mod notation;
pub mod oracle;
mod suite;

pub use layer::{Layer, Op};
pub use notation::NotationError;
pub use suite::{Suite, SuiteLayer};
