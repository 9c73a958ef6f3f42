//! Convolution as matrix multiplication.
//!
//! Inputs become patch matrices (im2col), kernels become row vectors, and cross-correlation, its gradients and
//! its transpose become dense products, run in parallel over the batch:
//!
//! ```text
//! public op ─► options ─► ConvGeometry ─► ConvPlan ─► lowering ─► gemm
//!  (views)     (as asked)  (validated     (algorithm,  (patch       (the `gemm` crate
//!                           once)          packed       matrix,      or OpenBLAS)
//!                                          weights)     tiles)
//! ```
//!
//! Shapes and semantics are PyTorch's: input `[N, C, *k]`, weight `[OC, C/g, *k]`, transposed weight
//! `[C, OC/g, *k]`, bias `[OC]`; `conv` means cross-correlation, as in deep learning. Arrays are [`ndarray`]
//! views of any strides, f32 or f64.
//!
//! | | 1-D, 2-D and 3-D |
//! |---|---|
//! | operations | [`conv`], [`conv_transpose`], [`unfold`], [`fold`], [`correlate2d`], [`convolve2d`] |
//! | gradients | [`conv_input_grad`], [`conv_weight_grad`], [`conv_bias_grad`], and those of the transposed convolution |
//! | for repeated calls | [`ConvPlan`], [`WeightGradPlan`]; every function also as `…_into` |
//! | the fastest algorithm by measurement | [`Tuning`] |
//! | layers and training | [`nn`]; a kernel from examples: [`learn`] |
//! | kernels | [`stencil`]: by name, derivatives of any order, separable; [`toeplitz`]: as one matrix |
//! | options | [`ConvOptions`]: stride, [`Padding`], [`PadMode`], dilation, groups, [`Activation`], [`Algorithm`] |
//!
//! | feature | what it brings |
//! |---|---|
//! | `rayon` (default) | threads: the caller's current rayon pool |
//! | `openblas` | dense products through the system's OpenBLAS, see [`Backend`] |
//! | `openblas-static` | the same, with OpenBLAS built from source |
//! | `linalg` | LAPACK through ndarray-linalg: least squares, finite differences, separable split |
//! | `serde` | options that can be written to and read from files |
//!
//! ```
//! use convgemm::{ConvOptions, Padding, conv2d};
//! use ndarray::{Array1, Array4};
//!
//! let pictures = Array4::<f32>::ones((2, 3, 32, 32));
//! let kernels = Array4::<f32>::ones((16, 3, 3, 3));
//! let bias = Array1::<f32>::zeros(16);
//! let options = ConvOptions::new().stride([2, 2]).padding(Padding::Same);
//! let features = conv2d(&pictures, &kernels, Some(&bias), &options)?;
//! assert_eq!(features.dim(), (2, 16, 16, 16));
//! # Ok::<(), convgemm::Error>(())
//! ```
//!
//! Large new outputs cost page faults: for repeated calls, [`ConvPlan::run_into`] with an output and a workspace
//! that are kept is the fast way.

// Not `forbid`, which ndarray's `s![]` cannot live with. The files that may opt out are listed in tests/suite/layering.rs.
#![deny(unsafe_code)]
#![warn(missing_docs)]

mod element;
mod error;
mod gemm;
mod geometry;
pub mod learn;
mod lowering;
pub mod nn;
mod ops;
mod options;
mod parallel;
mod plan;
mod rank;
mod simd;
pub mod stencil;
mod toeplitz;
mod tune;

pub use element::Element;
pub use error::{Error, Result};
pub use gemm::{DenseCalls, dense_calls, isa};
pub use geometry::{Axis, AxisPadding, AxisRequest, ConvGeometry, GeometryRequest};
pub use ops::*;
pub use options::{Activation, Algorithm, Backend, ConvOptions, Numerics, PadMode, Padding};
pub use plan::{ConvPlan, Explanation, WeightGradPlan};
pub use rank::{Rank, Shape, Tensor, TensorRef};
pub use toeplitz::{TOEPLITZ_LIMIT, toeplitz};
pub use tune::{Timing, Tuning};

/// The examples of the README are compiled and run as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
