//! How long a process was kept from computing.

use std::time::Duration;

/// How long the threads of a process were ready to run while something else had their processor, since they began. Linux
/// counts that; elsewhere it is 0.
pub fn waited(process: u32) -> Duration {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{process}/task")) else { return Duration::ZERO };
    // Nanoseconds of running, nanoseconds of waiting, and how often.
    let one = |thread: std::fs::DirEntry| {
        let text = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    Duration::from_nanos(threads.flatten().filter_map(one).sum())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_waited_and_one_that_is_not_there_has_not() {
        let (before, after) = (waited(std::process::id()), waited(std::process::id()));
        assert!(before <= after + Duration::from_secs(1));
        assert_eq!(waited(u32::MAX), Duration::ZERO);
    }
}
