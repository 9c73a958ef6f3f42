//! The rules of the source tree, read from the source.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// From left to right: a module uses only what stands to its right.
const ORDER: [&str; 15] = [
    "learn", "tune", "nn", "stencil", "toeplitz", "ops", "plan", "options", "lowering", "geometry", "gemm", "parallel",
    "rank", "element", "simd",
];

/// At the very right, used by all.
const SHARED: &str = "error";

/// Where unsafe code may be: packing (of which Winograd's transforms are a kind), the calls of other libraries' kernels, the
/// innermost loop of depthwise layers, and nothing else.
const UNSAFE_ALLOWED: [&str; 6] = [
    "gemm/kernels.rs",
    "gemm/openblas.rs",
    "gemm/pure.rs",
    "lowering/depthwise/strip.rs",
    "lowering/panel.rs",
    "lowering/winograd/transform.rs",
];

const MOST_LINES: usize = 450;

struct Source {
    /// Relative to `src/`, with forward slashes.
    path: String,
    text: String,
}

fn sources() -> Vec<Source> {
    fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory).expect("a directory of the source tree") {
            let path = entry.expect("a readable entry").path();
            if path.is_dir() {
                collect(&path, files);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = vec![];
    collect(&root, &mut files);
    files.sort();
    let read = |file: PathBuf| {
        let parts = file.strip_prefix(&root).expect("a file under src").components();
        let path = parts.map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/");
        Source { path, text: fs::read_to_string(&file).expect("readable source") }
    };
    files.into_iter().map(read).collect()
}

/// Code without comments, without what is in quotes and, since a unit test may use what it likes, without the
/// `tests` module.
fn code(text: &str) -> String {
    let mut rest = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let mut code = String::new();
    while let Some(c) = rest.chars().next() {
        // How much of the text is no code.
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("'\"'") {
            3
        } else if c == '"' {
            let mut escaped = false;
            let end = rest[1..].find(|c| {
                let ends = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                ends
            });
            end.map_or(rest.len(), |end| end + 2)
        } else {
            code.push(c);
            c.len_utf8()
        };
        rest = &rest[skipped..];
    }
    code
}

/// The first names after `crate::`, those in braces included.
fn used(code: &str) -> BTreeSet<String> {
    let name =
        |text: &str| text.trim_start().chars().take_while(|&c| c.is_alphanumeric() || c == '_').collect::<String>();
    let mut names = BTreeSet::new();
    for (at, found) in code.match_indices("crate::") {
        let rest = &code[at + found.len()..];
        // `$crate::` and `convgemm_crate::` are other words.
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let Some(group) = rest.strip_prefix('{') else {
            names.insert(name(rest));
            continue;
        };
        let mut depth = 1;
        let mut starts = vec![0];
        for (i, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 1 => starts.push(i + 1),
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
        names.extend(starts.into_iter().map(|start| name(&group[start..])).filter(|name| !name.is_empty()));
    }
    names
}

/// The module of the first level that a file belongs to.
fn module(path: &str) -> &str {
    path.split('/').next().unwrap_or_default().trim_end_matches(".rs")
}

fn rank(module: &str) -> Option<usize> {
    ORDER.iter().chain([&SHARED]).position(|&name| name == module)
}

/// What `code` of `module` uses against the order.
fn violations(module: &str, code: &str) -> Vec<String> {
    let Some(own) = rank(module) else { return vec![format!("module `{module}` has no place in the order")] };
    let mut wrong = vec![];
    for name in used(code) {
        // What lib.rs re-exports would hide where it comes from, and so is not used inside.
        match rank(&name) {
            Some(other) if other >= own => {}
            Some(_) => wrong.push(format!("`{module}` uses `{name}`, which stands to its left")),
            None => wrong.push(format!("`{module}` uses `crate::{name}`, which is no module of the order")),
        }
    }
    wrong
}

#[test]
fn every_module_uses_only_what_stands_to_its_right() {
    let sources = sources();
    assert!(sources.len() > 20, "{} files found", sources.len());
    let mut wrong = vec![];
    for Source { path, text } in sources.iter().filter(|source| source.path != "lib.rs") {
        wrong.extend(violations(module(path), &code(text)).into_iter().map(|what| format!("src/{path}: {what}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_check_of_the_order_sees_what_it_should() {
    let wrong = |code: &str| violations("geometry", &super::layering::code(code)).len();
    assert_eq!(wrong("use crate::error::{Error, Result};\nuse super::PadMode; // crate::plan"), 0);
    assert_eq!(wrong("use crate::plan::Engine;"), 1);
    assert_eq!(wrong("use crate::{error::Error, lowering::{Job, Pass}, ops};"), 2);
    assert_eq!(wrong("fn f() { crate::options::g() }"), 1);
    assert_eq!(wrong("use crate::ConvOptions;"), 1);
    assert_eq!(wrong("#[doc = \"[`conv`](crate::conv) \\\" crate::plan\"] fn f(c: char) { c == '\"' }"), 0);
    assert_eq!(wrong("const C: char = '\"'; use crate::plan; const D: char = '\"';"), 1);
    assert_eq!(wrong("fn f() {}\n#[cfg(test)]\nmod tests { use crate::ConvOptions; }"), 0);
    assert_eq!(violations("other", "").len(), 1);
}

#[test]
fn unsafe_code_is_where_it_may_be_and_nowhere_else() {
    for Source { path, text } in sources() {
        let code = code(&text);
        let words: Vec<&str> = code.split(|c: char| !(c.is_alphanumeric() || c == '_')).collect();
        let is_unsafe = words.contains(&"unsafe");
        let opts_out = code.contains("allow(unsafe_code)") || code.contains("expect(unsafe_code");
        if UNSAFE_ALLOWED.contains(&path.as_str()) {
            assert!(is_unsafe, "src/{path} has no unsafe code any more: take it from the list");
            let blocks = code.matches("unsafe {").count();
            let reasons = text.matches("// SAFETY:").count();
            assert!(reasons >= blocks, "src/{path}: {blocks} unsafe blocks, {reasons} reasons");
        } else {
            assert!(!is_unsafe && !opts_out, "src/{path} has unsafe code or allows it");
        }
    }
    let root = sources().into_iter().find(|source| source.path == "lib.rs").expect("lib.rs");
    assert!(["#![deny(unsafe_code)]", "#![forbid(unsafe_code)]"].iter().any(|lint| root.text.contains(lint)));
}

#[test]
fn no_file_is_so_long_that_nobody_reads_it() {
    for Source { path, text } in sources() {
        let lines = text.lines().count();
        assert!(lines <= MOST_LINES, "src/{path} has {lines} lines, at most {MOST_LINES}");
    }
}

#[test]
fn the_library_cannot_panic_by_plain_carelessness() {
    for Source { path, text } in sources() {
        let code = code(&text);
        for word in [".unwrap()", "todo!(", "unimplemented!(", "panic!(", "dbg!(", "println!("] {
            assert!(!code.contains(word), "src/{path} has {word}");
        }
    }
}
