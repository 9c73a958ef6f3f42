//! What the workers of all engines in Rust have in common: the conversation with the coordinator, a case with its
//! data, and the memory of the last result. An engine adds one function, which makes a case ready.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod case;
mod lock;
mod ready;
mod worker;

pub use case::Case;
pub use convgemm_protocol::Op;
pub use convgemm_suites::Layer;
pub use lock::locked;
pub use ready::Ready;
pub use worker::{Peer, run};
