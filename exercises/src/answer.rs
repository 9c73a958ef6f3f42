//! What an answer consists of: numbers that hold or not, and figures.

use ndarray::{Array2, ArrayD, ArrayRef, Dimension};

/// The largest difference that is put down to rounding.
const ROUNDING: f64 = 1e-9;

/// The result of running a statement or an exercise.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// What was checked, in order.
    pub findings: Vec<Finding>,
    /// What is to be seen.
    pub figures: Vec<Figure>,
}

/// Something that was computed and compared with what it should be.
#[derive(Debug, Clone)]
pub struct Finding {
    /// What it is.
    pub what: String,
    /// What was found.
    pub found: String,
    /// What it should be.
    pub expected: String,
    /// Whether they agree.
    pub holds: bool,
}

/// A picture of data; how it is drawn is for others to say.
#[derive(Debug, Clone)]
pub enum Figure {
    /// Matrices side by side, each with its name.
    Matrices(&'static str, Vec<(&'static str, Array2<f64>)>),
    /// The kernel sliding over the input, with its output and its patch matrix, one column a window.
    Sliding { input: Array2<f64>, kernel: Array2<f64>, output: Array2<f64>, patches: Array2<f64> },
    /// Lines over steps, on a logarithmic scale.
    Curves(&'static str, Vec<Curve>),
    /// A matrix made of blocks of these sizes.
    Blocks { caption: &'static str, matrix: Array2<f64>, block: (usize, usize) },
    /// Pictures side by side.
    Pictures(&'static str, Vec<(&'static str, Array2<f64>, Tone)>),
    /// Times and memory of several ways to do one thing.
    Timings(String, Vec<Timing>),
}

/// A line: points over their positions.
#[derive(Debug, Clone)]
pub struct Curve {
    /// What it shows.
    pub name: String,
    /// Position and value, both more than 0 where they are drawn on logarithmic scales.
    pub points: Vec<(f64, f64)>,
}

/// One way to do something.
#[derive(Debug, Clone)]
pub struct Timing {
    /// Its name.
    pub name: String,
    /// How long it takes.
    pub seconds: f64,
    /// Memory beside input, weights and output.
    pub bytes: usize,
}

/// How numbers become shades.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// 0 is black, 1 is white.
    Plain,
    /// 0 is mid gray, −1 black, 1 white.
    Signed,
}

impl Answer {
    /// An answer without numbers or figures yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Checks an array, cell by cell.
    pub fn array<D: Dimension>(&mut self, what: &str, found: &ArrayRef<f64, D>, expected: &ArrayRef<f64, D>) {
        let close = |(a, b): (&f64, &f64)| (a - b).abs() <= ROUNDING;
        let holds = found.shape() == expected.shape() && found.iter().zip(expected).all(close);
        let text = |array: &ArrayRef<f64, D>| matrix(&array.to_owned().into_dyn());
        self.add(what, text(found), text(expected), holds);
    }

    /// Checks a number against the digits that are given: it must round to them.
    pub fn digits(&mut self, what: &str, found: f64, expected: &str) {
        let decimals = expected.split_once('.').map_or(0, |(_, decimals)| decimals.len());
        let text = format!("{found:.decimals$}");
        let holds = text == expected;
        self.add(what, text, expected.to_owned(), holds);
    }

    /// Checks that a size, such as an error, is no more than `most`.
    pub fn at_most(&mut self, what: &str, found: f64, most: f64) {
        self.add(what, format!("{found:.1e}"), format!("at most {most:.0e}"), found <= most);
    }

    /// Checks what is not a single number.
    pub fn holds(&mut self, what: &str, found: impl ToString, expected: impl ToString) {
        let (found, expected) = (found.to_string(), expected.to_string());
        let holds = found == expected;
        self.add(what, found, expected, holds);
    }

    /// Adds a figure.
    pub fn figure(&mut self, figure: Figure) {
        self.figures.push(figure);
    }

    fn add(&mut self, what: &str, found: String, expected: String, holds: bool) {
        self.findings.push(Finding { what: what.to_owned(), found, expected, holds });
    }

    /// Whether every number holds.
    pub fn all_hold(&self) -> bool {
        self.findings.iter().all(|finding| finding.holds)
    }
}

impl Curve {
    /// A value for each step from 1.
    pub fn steps(name: &str, values: &[f64]) -> Self {
        Self {
            name: name.to_owned(),
            points: (1..).zip(values).map(|(step, &value)| (f64::from(step), value)).collect(),
        }
    }
}

/// `[[1, 2], [3, 4]]`; of what is too large to print, the shape and the range.
fn matrix(array: &ArrayD<f64>) -> String {
    if array.len() > 72 {
        let sum = array.sum();
        return format!("{:?} cells, sum {}", array.shape(), number(sum));
    }
    match array.ndim() {
        0 => array.iter().map(|&value| number(value)).collect(),
        _ => {
            let parts: Vec<String> = array.outer_iter().map(|part| matrix(&part.to_owned())).collect();
            format!("[{}]", parts.join(", "))
        }
    }
}

/// At most five decimals, and no zeros at the end.
fn number(value: f64) -> String {
    let text = format!("{value:.5}");
    match text.trim_end_matches('0').trim_end_matches('.') {
        "-0" => "0".to_owned(),
        short => short.to_owned(),
    }
}
