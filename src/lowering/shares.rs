//! How long threads take for tasks that are handed out one by one: what a cut for several threads is chosen by.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Tasks a thread from which on it does not matter which of them come last.
pub(super) const MANY_TASKS: usize = 8;

/// When the last of `threads` is done with these tasks, `times` over, if each takes the next one as soon as it is done with
/// its last. In the unit of the tasks' costs.
pub(super) fn time_of_all(tasks: &[f64], times: usize, threads: usize) -> f64 {
    let longest = tasks.iter().copied().fold(0.0, f64::max);
    let sum = times as f64 * tasks.iter().sum::<f64>();
    if times.saturating_mul(tasks.len()) > MANY_TASKS.saturating_mul(threads) {
        return sum / threads as f64 + longest / 2.0;
    }
    // Positive numbers have the order of their bits.
    let mut ends = BinaryHeap::from(vec![Reverse(0_u64); threads]);
    for task in (0..times).flat_map(|_| tasks) {
        if let Some(mut end) = ends.peek_mut() {
            end.0 = (f64::from_bits(end.0) + task).to_bits();
        }
    }
    ends.into_iter().map(|Reverse(end)| f64::from_bits(end)).fold(0.0, f64::max)
}

/// Parts for each thread that something is cut into, at the most.
pub(super) const PARTS_A_THREAD: usize = 4;

/// The first of the cuts with which all is done soonest.
pub(super) fn soonest<C>(cuts: impl Iterator<Item = C>, time: impl Fn(&C) -> f64) -> Option<C> {
    let times = cuts.map(|cut| (time(&cut), cut));
    times.min_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(_, cut)| cut)
}

/// The longest of `count` even blocks of `total`, for all counts up to `most`, as long as they differ.
pub(super) fn block_lengths(total: usize, most: usize) -> impl Iterator<Item = usize> {
    let mut last = 0;
    (1..=most.min(total)).map(move |count| total.div_ceil(count)).filter(move |&length| {
        let differs = length != last;
        last = length;
        differs
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_thread_counts() {
        assert_eq!(time_of_all(&[3.0, 3.0, 3.0, 1.0], 1, 1), 10.0);
        assert_eq!(time_of_all(&[3.0, 3.0, 3.0, 1.0], 1, 2), 6.0);
        assert_eq!(time_of_all(&[3.0, 3.0, 1.0], 1, 2), 4.0);
        assert_eq!(time_of_all(&[3.0, 2.0], 2, 4), 3.0);
        assert_eq!(time_of_all(&[3.0], 1, 4), 3.0);
        assert_eq!(time_of_all(&[2.0, 1.0], 1000, 2), 1501.0);
    }

    #[test]
    fn lengths_are_those_of_different_cuts() {
        assert_eq!(block_lengths(7, 100).collect::<Vec<_>>(), [7, 4, 3, 2, 1]);
        assert_eq!(block_lengths(56, 4).collect::<Vec<_>>(), [56, 28, 19, 14]);
        assert_eq!(block_lengths(0, 4).count(), 0);
    }
}
