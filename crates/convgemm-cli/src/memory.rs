//! Memory asked for with an answer: where there is none, the program would end without a word of its own.

use anyhow::{Result, ensure};

use crate::output::bytes;

/// Requests below this are not worth a look at what the system has.
const LARGE: usize = 256 << 20;

/// `len` times `value`, or an error.
///
/// # Errors
/// More memory than there is, with the name of what it was for.
pub fn filled<T: Clone>(what: &str, len: usize, value: T) -> Result<Vec<T>> {
    check(what, len.saturating_mul(size_of::<T>()))?;
    let mut vector = Vec::new();
    ensure!(vector.try_reserve_exact(len).is_ok(), refusal(what, len.saturating_mul(size_of::<T>())));
    vector.resize(len, value);
    Ok(vector)
}

/// Whether so many bytes can be had, for memory that a library asks for itself.
///
/// # Errors
/// They cannot.
pub fn check(what: &str, size: usize) -> Result<()> {
    let reserved = Vec::<u8>::new().try_reserve_exact(size).is_ok();
    // Systems promise more than they have, and end a program that believes them. An eighth is left for
    // others.
    let is_there = size < LARGE || available().is_none_or(|available| size <= available / 8 * 7);
    ensure!(reserved && is_there, refusal(what, size));
    Ok(())
}

fn refusal(what: &str, size: usize) -> String {
    format!("no memory for {what}: {}", bytes(size as f64))
}

/// Bytes that could be used now without driving others out, where the system tells.
fn available() -> Option<usize> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: usize = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_not_there_is_an_error() {
        for len in [1 << 58, usize::MAX, 1 << 43] {
            let error = filled("a picture", len, 0_f32).unwrap_err().to_string();
            assert!(error.starts_with("no memory for a picture: "), "{error}");
        }
        assert_eq!(filled("a picture", 2, 1.5).unwrap(), [1.5, 1.5]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_system_tells_what_it_has() {
        assert!(available().is_some_and(|bytes| bytes > 1 << 20));
    }
}
