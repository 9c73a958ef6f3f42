//! Command-line values that several commands take.

use std::str::FromStr;

use anyhow::{Context, Result};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use convgemm::{Activation, Algorithm, Backend, Numerics, PadMode};
use convgemm_protocol::{Dtype, Padding};

use crate::case::{Settings, parse_activation, parse_numerics};

/// Lengths, one an axis, separated by commas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sizes(pub Vec<usize>);

impl FromStr for Sizes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.split(',').map(size).collect::<Result<_, _>>().map(Self)
    }
}

fn size(text: &str) -> Result<usize, String> {
    let text = text.trim();
    text.parse().map_err(|_| {
        let negative = if is_negative(text) { format!("{text} is negative; ") } else { String::new() };
        format!("{negative}whole numbers separated by commas are needed, such as 1,3,224,224")
    })
}

/// Whether the text is a whole number below 0.
fn is_negative(text: &str) -> bool {
    text.parse().is_ok_and(|number: i128| number < 0)
}

/// Parses distances between cells. That 0 is none, too, is said where the option is used.
pub fn distances(text: &str) -> Result<Sizes, String> {
    match text.split(',').map(str::trim).find(|part| is_negative(part)) {
        Some(negative) => Err(format!("it must be positive, and {negative} is not")),
        None => text.parse(),
    }
}

/// Parses a number of things.
pub fn whole(text: &str) -> Result<usize, String> {
    text.trim().parse().map_err(|_| "a whole number is needed, 0 or more".to_owned())
}

/// A parser of names that shows them in the help, in completions and in errors.
fn names<V>(all: impl IntoIterator<Item = &'static str>) -> impl TypedValueParser<Value = V>
where
    V: FromStr<Err = String> + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(all).try_map(|name| name.parse::<V>())
}

/// Parses the name of an algorithm.
pub fn algorithm() -> impl TypedValueParser<Value = Algorithm> {
    names(Algorithm::ALL.map(Algorithm::name))
}

/// Parses the name of a library of dense products.
pub fn backend() -> impl TypedValueParser<Value = Backend> {
    names(Backend::ALL.map(Backend::name))
}

fn pad_mode() -> impl TypedValueParser<Value = PadMode> {
    names(PadMode::ALL.map(PadMode::name))
}

/// Parses the name of a type.
pub fn dtype() -> impl TypedValueParser<Value = Dtype> {
    PossibleValuesParser::new(["f32", "f64"]).map(|name| if name == "f64" { Dtype::F64 } else { Dtype::F32 })
}

/// Options of a convolution.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of the convolution")]
pub struct ConvArgs {
    /// Cells between two windows, one number for all axes or one for each
    #[arg(long, value_name = "N[,N…]", default_value = "1", value_parser = distances)]
    stride: Sizes,

    /// Cells added around the input: valid, same, same-lower, or for each axis a number or BEFORE:AFTER
    #[arg(long, value_name = "P[,P…]", default_value = "valid")]
    padding: Padding,

    /// How the padding is filled
    #[arg(long, value_name = "MODE", default_value = "zeros", value_parser = pad_mode())]
    pad_mode: PadMode,

    /// Cells between two taps of the kernel
    #[arg(long, value_name = "N[,N…]", default_value = "1", value_parser = distances)]
    dilation: Sizes,

    /// Groups of channels that do not see each other
    #[arg(long, value_name = "N", default_value = "1", value_parser = whole)]
    groups: usize,

    /// Cells added at the end of a transposed convolution's output
    #[arg(long, value_name = "N[,N…]", default_value = "0")]
    output_padding: Sizes,

    /// Applied after the bias: none, relu or clamp:MIN:MAX
    #[arg(long, value_name = "NAME", default_value = "none", value_parser = parse_activation)]
    activation: Activation,

    /// How it is computed
    #[arg(long, value_name = "NAME", default_value = "auto", value_parser = algorithm())]
    algorithm: Algorithm,

    /// Whether algorithms that change more than the order of the sums may be chosen: fast or strict
    #[arg(long, value_name = "NAME", default_value = "fast", value_parser = parse_numerics)]
    numerics: Numerics,

    /// Library of the dense products
    #[arg(long, value_name = "NAME", default_value = "auto", value_parser = backend())]
    backend: Backend,

    /// Bytes of scratch memory that a thread may use, outside im2col
    #[arg(long, value_name = "BYTES", value_parser = whole)]
    workspace_bytes: Option<usize>,
}

impl ConvArgs {
    /// The same without the command line.
    pub fn settings(&self) -> Settings {
        Settings {
            stride: self.stride.0.clone(),
            padding: self.padding.clone(),
            pad_mode: self.pad_mode,
            dilation: self.dilation.0.clone(),
            groups: self.groups,
            output_padding: self.output_padding.0.clone(),
            activation: self.activation,
            algorithm: self.algorithm,
            numerics: self.numerics,
            backend: self.backend,
            workspace_bytes: self.workspace_bytes,
        }
    }
}

/// Threads to compute with.
#[derive(Debug, Clone, Args)]
pub struct ThreadArgs {
    /// Threads to compute with; all that the machine has if not given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

impl ThreadArgs {
    /// Runs `work` in a pool of so many threads.
    ///
    /// # Errors
    /// Those of `work`, and threads that the system does not give.
    pub fn install<R: Send>(&self, work: impl FnOnce() -> Result<R> + Send) -> Result<R> {
        let threads = self.threads.map_or(0, usize::from);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().context("cannot start the threads")?;
        pool.install(work)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_whole_numbers() {
        assert_eq!("1,3, 224".parse(), Ok(Sizes(vec![1, 3, 224])));
        for wrong in ["", "1,,2", "-1", "x", "99999999999999999999999"] {
            assert!(wrong.parse::<Sizes>().is_err(), "{wrong}");
        }
    }
}
