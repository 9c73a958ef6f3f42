//! Words that every summary uses.

use super::record::Record;

/// What a bound is.
pub const BOUNDS: &str = "A bound is the dense products of the layers' sizes alone, on matrices that are there already; \
    Winograd, which needs fewer of them, may be faster. ";

/// How many threads each engine had.
pub fn threads(record: &Record) -> String {
    match record.settings.threads {
        1 => "1 thread".to_owned(),
        n => format!("{n} threads"),
    }
}
