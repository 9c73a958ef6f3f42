//! What goes to standard output, and numbers as people read them.

use std::fmt::{self, Write as _};
use std::io::{self, Write};
use std::path::Path;

use anyhow::Result;
use ndarray::ArrayView2;
use serde::{Serialize, Serializer};

/// The reader of standard output has gone, as in `convgemm kernels | head -1`: no error of the user's.
#[derive(Debug)]
pub struct ReaderGone;

impl fmt::Display for ReaderGone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("standard output was closed")
    }
}

impl std::error::Error for ReaderGone {}

/// Writes `text` to standard output, all of it or an error.
///
/// # Errors
/// [`ReaderGone`] if nobody reads any more, else what the system says.
pub fn print(text: &str) -> Result<()> {
    print_bytes(text.as_bytes())
}

/// [`print`] for what may not be text.
pub fn print_bytes(bytes: &[u8]) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(ReaderGone.into()),
        result => Ok(result?),
    }
}

/// `value` as a line of JSON.
pub fn print_json(value: &impl Serialize) -> Result<()> {
    report_json(value, [])
}

/// Says what was done: to standard output, or to standard error where one of the `files` is standard output, whose
/// content it would spoil.
///
/// # Errors
/// [`ReaderGone`] if nobody reads any more, else what the system says.
pub fn report<'a>(text: &str, files: impl IntoIterator<Item = &'a Path>) -> Result<()> {
    if files.into_iter().any(is_standard_output) {
        return Ok(io::stderr().lock().write_all(text.as_bytes())?);
    }
    print(text)
}

/// [`report`] as a line of JSON.
pub fn report_json<'a>(value: &impl Serialize, files: impl IntoIterator<Item = &'a Path>) -> Result<()> {
    report(&(serde_json::to_string(value)? + "\n"), files)
}

/// Whatever its name: `/dev/stdout`, `/dev/fd/1`, or that of the pipe or terminal. Nothing is opened, which could wait
/// for the other end of a pipe.
#[cfg(unix)]
fn is_standard_output(path: &Path) -> bool {
    use std::os::fd::AsFd;
    use std::os::unix::fs::MetadataExt;
    let file = io::stdout().as_fd().try_clone_to_owned().map(std::fs::File::from);
    let identity = |found: std::fs::Metadata| (found.dev(), found.ino());
    let ours = file.and_then(|file| file.metadata()).map(identity);
    ours.is_ok_and(|ours| std::fs::metadata(path).is_ok_and(|found| identity(found) == ours))
}

/// Elsewhere standard output has no name among the files.
#[cfg(not(unix))]
fn is_standard_output(_: &Path) -> bool {
    false
}

/// Serializes a path of which some bytes may be no text, which serde refuses: they are replaced.
pub fn lossy<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}

/// Bytes in the unit that a person would use.
pub fn bytes(count: f64) -> String {
    scaled(count, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB"])
}

/// A time in the unit that a person would use.
pub fn seconds(seconds: f64) -> String {
    if seconds >= 1.0 {
        return format!("{} s", three_digits(seconds));
    }
    scaled(seconds * 1e9, 1000.0, &["ns", "µs", "ms"])
}

/// Floating-point operations.
pub fn flops(count: f64) -> String {
    scaled(count, 1000.0, &["FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP", "PFLOP"])
}

/// Lengths as `3 × 4 × 5`.
pub fn lengths(lengths: &[usize]) -> String {
    lengths.iter().map(usize::to_string).collect::<Vec<_>>().join(" × ")
}

fn scaled(mut value: f64, step: f64, units: &[&str]) -> String {
    let mut units = units.iter().peekable();
    let mut unit = "";
    while let Some(next) = units.next() {
        unit = next;
        if value < step || units.peek().is_none() {
            break;
        }
        value /= step;
    }
    format!("{} {unit}", three_digits(value))
}

fn three_digits(value: f64) -> String {
    let decimals = match value {
        v if v.fract() == 0.0 || v >= 99.95 => 0,
        v if v >= 9.995 => 1,
        _ => 2,
    };
    format!("{value:.decimals$}")
}

/// A number with at most four decimals and no zeros at its end.
pub fn short(value: f64) -> String {
    let text = format!("{value:.4}");
    match text.trim_end_matches('0').trim_end_matches('.') {
        "-0" => "0".to_owned(),
        trimmed => trimmed.to_owned(),
    }
}

/// A matrix with its columns aligned, each line indented.
pub fn matrix(cells: ArrayView2<'_, f64>, indent: usize) -> String {
    let texts = cells.mapv(short);
    let width = texts.iter().map(String::len).max().unwrap_or(0);
    let mut out = String::new();
    for row in texts.rows() {
        let _ = write!(out, "{:indent$}", "");
        for (i, text) in row.iter().enumerate() {
            let gap = if i == 0 { "" } else { "  " };
            let _ = write!(out, "{gap}{text:>width$}");
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_in_a_sensible_unit() {
        assert_eq!(bytes(0.0), "0 B");
        assert_eq!(bytes(1023.0), "1023 B");
        assert_eq!(bytes((2 << 20) as f64), "2 MiB");
        assert_eq!(bytes(14.4e9), "13.4 GiB");
        assert_eq!(bytes(1.5e18), "1364242 TiB");
        assert_eq!(seconds(0.001234), "1.23 ms");
        assert_eq!(seconds(75.25), "75.2 s");
        assert_eq!(flops(236_027_904.0), "236 MFLOP");
        assert_eq!((short(-0.00001), short(0.25), short(-1.0)), ("0".into(), "0.25".into(), "-1".into()));
    }

    #[test]
    fn a_matrix_has_aligned_columns() {
        let cells = ndarray::arr2(&[[1.0, -10.5], [0.0, 2.0]]);
        assert_eq!(matrix(cells.view(), 2), "      1  -10.5\n      0      2\n");
    }
}
