//! The bandwidth of copies that no cache holds.

use std::hint::black_box;
use std::sync::Mutex;
use std::time::Duration;

/// Bytes of each of the two arrays, all threads together: more than the caches of most machines.
const BYTES: usize = 64 << 20;

/// GB/s, bytes read and bytes written together, as an engine would see them.
pub fn bandwidth(threads: usize, time: Duration) -> f64 {
    let words = BYTES / threads / size_of::<u64>();
    let arrays: Vec<_> = (0..threads).map(|_| Mutex::new((vec![1_u64; words], vec![2_u64; words]))).collect();
    let bytes = 2.0 * (words * size_of::<u64>()) as f64;
    super::best_rate(threads, time, bytes, |thread| {
        // Each thread has its own pair; a lock is how that is said without unsafe code.
        let Ok(mut pair) = arrays[thread].lock() else { return };
        let (from, to) = &mut *pair;
        to.copy_from_slice(black_box(from));
        black_box(to);
    }) / 1e9
}
