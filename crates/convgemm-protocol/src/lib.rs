//! The line protocol that one coordinator speaks with every engine: a JSON object a line each way.
//!
//! The messages, and a loop that [`serve`]s them for any [`Engine`], so that all engines in Rust are timed alike.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod isa;
mod message;
mod serve;

pub use isa::isa;
pub use message::{Answer, Dtype, Files, Hello, Layout, Op, Padding, PaddingRule, Prepare, Request};
pub use serve::{Engine, Prepared, serve};
