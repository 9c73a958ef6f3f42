//! The chapter "convolution for images": what it states and asks, answered by running code.
//!
//! Each statement and each exercise is one short file on the public API of `convgemm`. Its head is the question,
//! its function the answer: it computes, shows, and checks its numbers as it goes. [`ITEMS`] lists them.
//!
//! Several answers solve equations, so all of it needs the feature `linalg`.

// Not `forbid`, which ndarray's `s![]` cannot live with.
#![deny(unsafe_code)]
#![cfg(feature = "linalg")]

mod answer;
mod photograph;

mod exercise1;
mod exercise2;
mod exercise3;
mod exercise4;
mod statement1;
mod statement2;
mod statement3;
mod statement4;
mod statement5;

pub use answer::{Answer, Curve, Figure, Finding, Timing, Tone};
pub use photograph::photograph;

/// A statement or an exercise.
#[derive(Debug, Clone, Copy)]
pub struct Item {
    /// What it is called on the command line.
    pub name: &'static str,
    /// The file that answers it, as it was compiled.
    pub source: &'static str,
    answer: fn() -> convgemm::Result<Answer>,
}

macro_rules! items {
    ($($name:literal $module:ident)*) => {
        /// All of them, in the order of the chapter.
        pub const ITEMS: &[Item] = &[$(Item {
            name: $name,
            source: include_str!(concat!(stringify!($module), ".rs")),
            answer: $module::answer,
        }),*];
    };
}

items! {
    "statement-1" statement1
    "statement-2" statement2
    "statement-3" statement3
    "statement-4" statement4
    "statement-5" statement5
    "exercise-1" exercise1
    "exercise-2" exercise2
    "exercise-3" exercise3
    "exercise-4" exercise4
}

impl Item {
    /// The item of this name.
    pub fn find(name: &str) -> Option<&'static Self> {
        ITEMS.iter().find(|item| item.name == name)
    }

    /// Runs the code.
    ///
    /// # Errors
    /// Those of the operations: none is expected.
    pub fn answer(&self) -> convgemm::Result<Answer> {
        (self.answer)()
    }

    /// The first line of the file's head.
    pub fn title(&self) -> &'static str {
        self.source.lines().next().unwrap_or_default().trim_start_matches("//!").trim()
    }

    /// The rest of the file's head, a string a paragraph.
    pub fn question(&self) -> Vec<String> {
        let head = self.source.lines().take_while(|line| line.starts_with("//!")).skip(1);
        let text: Vec<&str> = head.map(|line| line.trim_start_matches("//!").trim()).collect();
        let paragraphs = text.split(|line| line.is_empty()).map(|lines| lines.join(" "));
        paragraphs.filter(|paragraph| !paragraph.is_empty()).collect()
    }

    /// The file without its head.
    pub fn code(&self) -> String {
        let lines: Vec<&str> = self.source.lines().skip_while(|line| line.starts_with("//!")).collect();
        lines.join("\n").trim().to_owned()
    }
}
