//! What the tests share: an oracle, a judgement of results, cases, and arrays in any memory.

pub mod cases;
pub mod library;
pub mod named;
pub mod oracle;
pub mod pools;
pub mod random;
pub mod tolerance;
pub mod views;
