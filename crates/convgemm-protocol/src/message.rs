//! Requests and answers. Names of algorithms, numerics and pad modes are text, which each engine understands or
//! answers with [`Answer::Error`].

use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a coordinator asks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Who are you?
    Hello {},
    /// Make a case ready: data, plan, packed weights. A case of the same name is forgotten first.
    Prepare(Box<Prepare>),
    /// Run a case `runs` times, warm, into outputs that are reused.
    Time {
        /// Name of the case.
        case: String,
        /// How often.
        runs: usize,
    },
    /// Write a case's output as a NumPy file.
    Save {
        /// Name of the case.
        case: String,
        /// Where to.
        file: PathBuf,
    },
    /// Forget a case and free its memory.
    Drop {
        /// Name of the case.
        case: String,
    },
    /// End.
    Quit {},
}

/// A case: an operation, its shapes and options, and where its data comes from.
///
/// Lists of options have one entry a spatial axis, or a single one for all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prepare {
    /// Name by which later requests call it.
    pub case: String,
    /// What is computed.
    #[serde(default)]
    pub op: Op,
    /// Shape `[N, C, *k]` of the forward pass's input.
    pub input: Vec<usize>,
    /// Shape of the weight: `[OC, C/g, *k]`, or `[C, OC/g, *k]` if transposed.
    pub weight: Vec<usize>,
    /// Whether the forward pass adds a bias. Gradients do not depend on it.
    #[serde(default)]
    pub bias: bool,
    /// Cells between two windows.
    #[serde(default = "one")]
    pub stride: Vec<usize>,
    /// Cells before and after the input.
    #[serde(default)]
    pub padding: Padding,
    /// Cells between two taps of the kernel.
    #[serde(default = "one")]
    pub dilation: Vec<usize>,
    /// Groups of channels.
    #[serde(default = "one_group")]
    pub groups: usize,
    /// Cells added at the end of a transposed convolution's output.
    #[serde(default = "zero")]
    pub output_padding: Vec<usize>,
    /// `zeros`, `reflect`, `replicate` or `circular`.
    #[serde(default = "zeros")]
    pub pad_mode: String,
    /// `none`, `relu` or `clamp:MIN:MAX`, after the bias.
    #[serde(default = "none")]
    pub activation: String,
    /// Type of every array.
    #[serde(default)]
    pub dtype: Dtype,
    /// Memory order of inputs and outputs. Weights stay in the order of their axes.
    #[serde(default)]
    pub layout: Layout,
    /// `auto`, or an algorithm of the engine's.
    #[serde(default = "auto")]
    pub algorithm: String,
    /// `fast` or `strict`.
    #[serde(default = "fast")]
    pub numerics: String,
    /// `auto`, or a library of dense products that the engine has.
    #[serde(default = "auto")]
    pub backend: String,
    /// Bytes of scratch memory that a thread may use, where the engine can be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace_bytes: Option<usize>,
    /// Seed of the data that no file gives.
    #[serde(default)]
    pub seed: u64,
    /// Data instead of the seeded kind.
    #[serde(default)]
    pub files: Files,
}

fn one() -> Vec<usize> {
    vec![1]
}

fn one_group() -> usize {
    1
}

fn zero() -> Vec<usize> {
    vec![0]
}

fn zeros() -> String {
    "zeros".into()
}

fn none() -> String {
    "none".into()
}

fn auto() -> String {
    "auto".into()
}

fn fast() -> String {
    "fast".into()
}

/// What is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// The convolution.
    #[default]
    Conv,
    /// The transposed convolution.
    ConvTranspose,
    /// Gradient of the convolution with respect to its input.
    InputGrad,
    /// Gradient of the convolution with respect to its weight.
    WeightGrad,
}

/// Type of every array of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// Single precision.
    #[default]
    F32,
    /// Double precision.
    F64,
}

impl Dtype {
    /// Its name in the protocol and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F64 => "f64",
        }
    }
}

/// Memory order of inputs and outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// Channels before the spatial axes.
    #[default]
    #[serde(alias = "ncw", alias = "ncdhw")]
    Nchw,
    /// Channels last in memory; shapes are still written `[N, C, *k]`.
    #[serde(alias = "nwc", alias = "ndhwc")]
    Nhwc,
}

/// Cells added around the input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Padding {
    /// A rule.
    Rule(PaddingRule),
    /// Before and after each axis.
    Cells(Vec<[usize; 2]>),
}

impl Default for Padding {
    fn default() -> Self {
        Self::Cells(vec![[0, 0]])
    }
}

impl FromStr for Padding {
    type Err = String;

    /// `same`, `same-lower`, `valid`, or an entry an axis: `3` for both sides, `1:2` for before and after.
    fn from_str(text: &str) -> Result<Self, String> {
        let rule = match text {
            "valid" => Some(PaddingRule::Valid),
            "same" => Some(PaddingRule::Same),
            "same-lower" => Some(PaddingRule::SameLower),
            _ => None,
        };
        if let Some(rule) = rule {
            return Ok(Self::Rule(rule));
        }
        let cells = |part: &str| -> Option<[usize; 2]> {
            let (before, after) = part.split_once(':').unwrap_or((part, part));
            Some([before.trim().parse().ok()?, after.trim().parse().ok()?])
        };
        let axes: Option<Vec<_>> = text.split(',').map(cells).collect();
        axes.map(Self::Cells).ok_or_else(|| {
            "valid, same, same-lower, or cells for each axis, 0 or more, such as 1,1 or 1:2,0:1 are needed".to_owned()
        })
    }
}

/// Padding that follows from the other sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PaddingRule {
    /// None.
    Valid,
    /// `⌈input / stride⌉` windows, an odd cell after the input.
    Same,
    /// The same with the odd cell before.
    SameLower,
}

/// NumPy files that replace the seeded data.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Files {
    /// The input, of the shape that the request names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<PathBuf>,
    /// The weight, of the shape that the request names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<PathBuf>,
    /// The bias, one value an output channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bias: Option<PathBuf>,
    /// The gradient of the output, of the output's shape.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grad_output: Option<PathBuf>,
}

/// What an engine answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Answer {
    /// The request could not be served; the engine lives on.
    Error {
        /// Why.
        error: String,
    },
    /// To [`Request::Hello`].
    Hello(Hello),
    /// To [`Request::Prepare`].
    Prepared {
        /// Name of the case.
        case: String,
        /// The algorithm that will run.
        algorithm: String,
        /// Scratch memory of all threads.
        workspace_bytes: usize,
        /// Memory of the packed weights.
        packed_bytes: usize,
    },
    /// To [`Request::Time`].
    Timed {
        /// Name of the case.
        case: String,
        /// Wall-clock time of each run.
        seconds: Vec<f64>,
    },
    /// To [`Request::Save`].
    Saved {
        /// Name of the case.
        case: String,
        /// Shape of what was written.
        shape: Vec<usize>,
    },
    /// To [`Request::Drop`].
    Dropped {
        /// Name of the case.
        case: String,
        /// Always true.
        dropped: bool,
    },
    /// To [`Request::Quit`].
    Quit {
        /// Always true.
        quit: bool,
    },
}

/// Who an engine is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Its name.
    pub engine: String,
    /// Its version.
    pub version: String,
    /// Widest vector instructions that it finds on this machine.
    pub isa: String,
    /// Threads that it computes with.
    pub threads: usize,
    /// What it was built with.
    pub features: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_is_a_rule_or_cells_for_each_axis() {
        let cells = |text: &str| text.parse::<Padding>();
        assert_eq!(cells("same-lower"), Ok(Padding::Rule(PaddingRule::SameLower)));
        assert_eq!(cells("3"), Ok(Padding::Cells(vec![[3, 3]])));
        assert_eq!(cells("1:2,0:1"), Ok(Padding::Cells(vec![[1, 2], [0, 1]])));
        assert_eq!(cells("1, 2"), Ok(Padding::Cells(vec![[1, 1], [2, 2]])));
        for wrong in ["", "full", "1:", "1:2:3", "-1", "1,", "1.5"] {
            assert!(cells(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_example_of_the_design_is_understood_and_says_the_same_when_written_again() {
        let line = r#"{"do":"prepare","case":"a","op":"conv","input":[1,64,56,56],"weight":[64,64,3,3],"bias":false,
            "stride":[1,1],"padding":[[1,1],[1,1]],"dilation":[1,1],"groups":1,"output_padding":[0,0],
            "pad_mode":"zeros","dtype":"f32","layout":"nchw","algorithm":"auto","numerics":"fast","seed":7,
            "files":{"input":"x.npy","weight":"w.npy","bias":"b.npy","grad_output":"g.npy"}}"#;
        let request: Request = serde_json::from_str(line).unwrap();
        let again = serde_json::to_string(&request).unwrap();
        assert_eq!(serde_json::from_str::<Request>(&again).unwrap(), request);
        let Request::Prepare(prepare) = request else { panic!("{request:?}") };
        assert_eq!(prepare.padding, Padding::Cells(vec![[1, 1], [1, 1]]));
        assert_eq!(prepare.files.grad_output, Some("g.npy".into()));
    }

    #[test]
    fn only_the_shapes_are_required() {
        let line = r#"{"do":"prepare","case":"a","input":[1,1,5],"weight":[1,1,3]}"#;
        let Request::Prepare(prepare) = serde_json::from_str(line).unwrap() else { panic!() };
        assert_eq!((prepare.op, prepare.dtype, prepare.groups), (Op::Conv, Dtype::F32, 1));
        assert!(serde_json::from_str::<Request>(r#"{"do":"prepare","case":"a","input":[1,1,5]}"#).is_err());
    }

    #[test]
    fn a_misspelt_option_is_an_error_and_not_another_measurement() {
        for line in [
            r#"{"do":"prepare","case":"a","input":[1,1,5],"weight":[1,1,3],"strides":[2]}"#,
            r#"{"do":"prepare","case":"a","input":[1,1,5],"weight":[1,1,3],"files":{"inptu":"x.npy"}}"#,
            r#"{"do":"time","case":"a","runs":1,"warm":true}"#,
            r#"{"do":"hello","you":1}"#,
            r#"{"do":"prepare","case":"a","input":[1,1,5],"weight":[1,1,3],"padding":"full"}"#,
        ] {
            assert!(serde_json::from_str::<Request>(line).is_err(), "{line}");
        }
    }

    #[test]
    fn every_answer_is_read_back_as_what_it_was() {
        let hello = Hello {
            engine: "e".into(),
            version: "1".into(),
            isa: "avx2+fma".into(),
            threads: 1,
            features: vec!["openblas".into()],
        };
        let case = || "a".to_owned();
        for answer in [
            Answer::Error { error: "no".into() },
            Answer::Hello(hello),
            Answer::Prepared { case: case(), algorithm: "im2col".into(), workspace_bytes: 1, packed_bytes: 2 },
            Answer::Timed { case: case(), seconds: vec![0.5] },
            Answer::Saved { case: case(), shape: vec![1, 2] },
            Answer::Dropped { case: case(), dropped: true },
            Answer::Quit { quit: true },
        ] {
            let line = serde_json::to_string(&answer).unwrap();
            assert_eq!(serde_json::from_str::<Answer>(&line).unwrap(), answer, "{line}");
        }
    }
}
