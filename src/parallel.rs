//! Who owns the threads: the caller's rayon pool, and nobody else.
//!
//! Work is cut by shape alone, so results have the same bits whatever the number of threads. The pieces
//! are handed out one by one to *lanes*: a lane owns a slot of the workspace and takes the next piece
//! when it is done with the last. A lane never waits for another, so calls may be nested in tasks of
//! the same pool.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a lane that is done stays awake for the others.
const AWAKE: Duration = Duration::from_micros(100);

/// Threads that this call may use.
pub(crate) fn threads() -> usize {
    #[cfg(feature = "rayon")]
    return rayon::current_num_threads();
    #[cfg(not(feature = "rayon"))]
    return 1;
}

/// Runs `work` on every piece, in as many lanes as there are threads and whole slots of `slot_len`
/// elements in `workspace`; one lane where there is not even one slot.
pub(crate) fn for_each<T, I, F>(pieces: I, workspace: &mut [T], slot_len: usize, work: F)
where
    T: Send,
    I: Iterator + Send,
    F: Fn(I::Item, &mut [T]) + Sync,
{
    let slots = workspace.len().checked_div(slot_len).unwrap_or(usize::MAX);
    let lanes = threads().min(slots);
    if lanes <= 1 {
        let slot = &mut workspace[..slot_len];
        pieces.for_each(|piece| work(piece, slot));
        return;
    }
    let queue = Mutex::new(pieces);
    let at_work = AtomicUsize::new(lanes);
    let drain = |slot: &mut [T]| {
        let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
        while let Some(piece) = next() {
            work(piece, slot);
        }
        at_work.fetch_sub(1, Ordering::Relaxed);
        stay_awake(&at_work);
    };
    fan_out(lanes, workspace, slot_len, &drain);
}

/// Waits for the other lanes, but not long: a thread that falls asleep meanwhile takes as long to wake up for the next call as a
/// small layer's work does. Other tasks of the pool are run instead, if there are any.
fn stay_awake(at_work: &AtomicUsize) {
    let start = Instant::now();
    while at_work.load(Ordering::Relaxed) > 0 && start.elapsed() < AWAKE {
        #[cfg(feature = "rayon")]
        rayon::yield_now();
        std::hint::spin_loop();
    }
}

/// Runs `lane` in `lanes` rayon tasks, each with its slot, by halving.
fn fan_out<T: Send>(lanes: usize, workspace: &mut [T], slot_len: usize, lane: &(impl Fn(&mut [T]) + Sync)) {
    if lanes == 1 {
        return lane(&mut workspace[..slot_len]);
    }
    let left = lanes / 2;
    let (near, far) = workspace.split_at_mut(left * slot_len);
    join(|| fan_out(left, near, slot_len, lane), || fan_out(lanes - left, far, slot_len, lane));
}

#[cfg(feature = "rayon")]
fn join(a: impl FnOnce() + Send, b: impl FnOnce() + Send) {
    rayon::join(a, b);
}

#[cfg(not(feature = "rayon"))]
fn join(a: impl FnOnce(), b: impl FnOnce()) {
    a();
    b();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_piece_is_done_once_with_a_slot_of_its_own() {
        for (slots, slot_len) in [(1, 4), (3, 4), (7, 1), (1, 0)] {
            let mut workspace = vec![0_usize; slots * slot_len];
            let done: Vec<AtomicUsize> = (0..100).map(|_| AtomicUsize::new(0)).collect();
            for_each(0..100, &mut workspace, slot_len, |piece, slot: &mut [usize]| {
                assert_eq!(slot.len(), slot_len);
                slot.fill(piece);
                std::thread::yield_now();
                assert!(slot.iter().all(|&seen| seen == piece));
                done[piece].fetch_add(1, Ordering::Relaxed);
            });
            assert!(done.iter().all(|count| count.load(Ordering::Relaxed) == 1));
        }
    }

    #[test]
    fn a_lane_that_is_done_stays_awake_while_others_work_but_not_for_ever() {
        let start = Instant::now();
        stay_awake(&AtomicUsize::new(1));
        assert!(start.elapsed() >= AWAKE);
        let start = Instant::now();
        (0..1000).for_each(|_| stay_awake(&AtomicUsize::new(0)));
        assert!(start.elapsed() < 1000 * AWAKE);
    }
}
