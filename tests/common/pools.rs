//! Rayon pools of several sizes, made once.

use std::sync::OnceLock;

use rayon::{ThreadPool, ThreadPoolBuilder};

/// Numbers of threads that are tried; more than this machine may have, and not only powers of two.
pub const THREADS: [usize; 4] = [1, 2, 3, 7];

/// One pool for each of [`THREADS`].
pub fn all() -> &'static [ThreadPool] {
    static POOLS: OnceLock<Vec<ThreadPool>> = OnceLock::new();
    POOLS.get_or_init(|| {
        let pool = |threads| ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool of threads");
        THREADS.into_iter().map(pool).collect()
    })
}

/// Runs `work` in the pool of `threads`.
pub fn with<R: Send>(threads: usize, work: impl FnOnce() -> R + Send) -> R {
    all().iter().find(|pool| pool.current_num_threads() == threads).expect("one of THREADS").install(work)
}
