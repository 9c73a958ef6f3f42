//! What the machine can do at the moment: multiply-adds and copied bytes a second, on as many threads as the
//! engines get. Taken again and again during a comparison, it also says how quiet the machine was.

mod copy;
mod fma;

use std::collections::BTreeMap;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// What was found at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// Seconds since the comparison began.
    pub at_seconds: f64,
    /// Peak of multiply-adds in f32, counted as two operations, for each set of vector instructions.
    pub gflops: BTreeMap<String, f64>,
    /// Bytes read and written by copies that no cache holds.
    pub copy_gb_per_second: f64,
    /// Processes that were running or waiting in the last minute, where the system tells.
    pub load: f64,
}

impl Probe {
    /// Measures for about `2 · time`.
    pub fn take(threads: usize, began: Instant, time: Duration) -> Self {
        Self {
            at_seconds: began.elapsed().as_secs_f64(),
            gflops: fma::peaks(threads, time),
            copy_gb_per_second: copy::bandwidth(threads, time),
            load: sysinfo::System::load_average().one,
        }
    }

    /// The peak with the best instructions that there are.
    pub fn peak(&self) -> f64 {
        self.gflops.values().copied().fold(0.0, f64::max)
    }
}

/// Runs `work` on each of `threads` threads over and over for `time`, and returns its best rate: `amount` of all
/// threads over the time that the slowest of them took.
fn best_rate(threads: usize, time: Duration, amount: f64, work: impl Fn(usize) + Sync) -> f64 {
    let (start, mut best) = (Instant::now(), 0.0_f64);
    let (barrier, finished) = (Barrier::new(threads), AtomicBool::new(false));
    let (barrier, finished, work) = (&barrier, &finished, &work);
    // A thread for each but one, which is this one.
    std::thread::scope(|scope| {
        for thread in 1..threads {
            scope.spawn(move || {
                loop {
                    barrier.wait();
                    if finished.load(Ordering::Acquire) {
                        return;
                    }
                    work(thread);
                    barrier.wait();
                }
            });
        }
        loop {
            let last = best > 0.0 && start.elapsed() >= time;
            finished.store(last, Ordering::Release);
            barrier.wait();
            if last {
                return;
            }
            let begin = Instant::now();
            work(0);
            barrier.wait();
            best = best.max(threads as f64 * amount / begin.elapsed().as_secs_f64());
        }
    });
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probes_find_positive_rates_on_one_thread_and_on_two() {
        for threads in [1, 2] {
            let probe = Probe::take(threads, Instant::now(), Duration::from_millis(20));
            assert!(probe.peak() > 0.1 && probe.copy_gb_per_second > 0.1, "{probe:?}");
            assert!(!probe.gflops.is_empty());
        }
    }
}
