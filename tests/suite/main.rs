//! The library's tests, in one program because one is linked faster than twelve.

#[path = "../common/mod.rs"]
mod common;

mod accuracy;
mod adjoint;
mod buffers;
mod concurrency;
mod determinism;
mod differential;
mod errors;
mod golden;
mod layering;
mod nonfinite;
mod nonsense;
mod properties;
mod semantics;
mod tuning;
