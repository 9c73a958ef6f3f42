//! The version of an engine.

/// The version of a package with which this program was built.
pub fn locked(package: &str) -> String {
    let lock = include_str!("../../Cargo.lock");
    let entry = lock.split("[[package]]").find(|entry| field(entry, "name") == Some(package));
    entry.and_then(|entry| field(entry, "version")).unwrap_or("unknown").to_owned()
}

fn field<'a>(entry: &'a str, name: &str) -> Option<&'a str> {
    let line = entry.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = \""))?;
    line.strip_suffix('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_those_of_the_lock_file() {
        assert!(locked("candle-core").starts_with("0."));
        assert_eq!(locked("candle"), "unknown");
    }
}
