//! Dense products `C = A · B`: the one seam between this crate and the libraries that multiply matrices.

mod backend;
mod dense;
mod in_panels;
mod in_place;
mod in_quarters;
mod in_rows;
mod in_turned;
mod kernels;
#[cfg(feature = "_openblas")]
mod openblas;
mod pure;
mod rate;
mod steps;
mod store;
mod tail;
mod windows;

pub(crate) use backend::Dense;
pub use backend::{Backend, DenseCalls, dense_calls};
pub(crate) use dense::matmul;
pub(crate) use in_panels::Panels;
pub(crate) use in_place::{CHAIN, SHORT_ROW_VECTORS, Sums, chain_length, channel_lanes, is_step};
pub(crate) use in_quarters::{Factors, PRODUCTS, QUARTER_VECTORS, Quarters};
pub(crate) use in_rows::row_channels;
pub(crate) use in_turned::Turned;
pub use kernels::isa;
pub(crate) use kernels::{Kernel, Operands, Widths};
pub(crate) use store::{Finish, Store};
pub(crate) use tail::{TAIL_SLACK, TAIL_STARTS, multiply_tail, tail_tiles};
pub(crate) use windows::{Border, MOST_TAPS, Windows};
