//! Tests that count what a whole process does: allocations and dense products. One at a time.

mod allocations;
mod backend;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Whoever holds this is alone.
fn alone() -> MutexGuard<'static, ()> {
    static LOCK: Mutex<()> = Mutex::new(());
    LOCK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A pool of one thread, so that all work is done where it is counted.
fn in_one_thread<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool of one thread").install(work)
}
