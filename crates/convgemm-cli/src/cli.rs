//! The command line as a whole, its completions and its manual.

use std::ffi::OsString;

use anyhow::Result;
use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use crate::exercises::ExercisesArgs;
use crate::explain::ExplainArgs;
use crate::filter::FilterArgs;
use crate::learn::LearnArgs;
use crate::names::KernelsArgs;
use crate::output::print_bytes;
use crate::peers::CompareArgs;
use crate::run::RunArgs;
use crate::worker::WorkerArgs;

/// Convolution as matrix multiplication: filter pictures, run and explain convolutions
///
/// Wrong input ends with exit code 2 and one line on standard error.
#[derive(Debug, Parser)]
#[command(name = "convgemm", version, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Filter(FilterArgs),
    Kernels(KernelsArgs),
    Run(RunArgs),
    Explain(ExplainArgs),
    Learn(LearnArgs),
    Exercises(ExercisesArgs),
    Worker(WorkerArgs),
    Compare(CompareArgs),
    Completions(CompletionsArgs),
    Man(ManArgs),
}

/// Print completions for a shell
#[derive(Debug, Args)]
#[command(after_help = "Example:
  convgemm completions bash > ~/.local/share/bash-completion/completions/convgemm")]
struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Print the manual page, or that of a command
#[derive(Debug, Args)]
#[command(after_help = "Example:
  convgemm man filter | man -l -")]
struct ManArgs {
    /// Name of a command
    #[arg(value_name = "COMMAND")]
    of: Option<String>,
}

/// The arguments, in which what begins like a negative number is the value of the option before it and no option:
/// what is wrong about `--stride -1,2` is then said of the stride. Clap itself knows only `-1` alone for a number.
fn with_values(args: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut found: Vec<OsString> = Vec::new();
    let mut are_options_over = false;
    for arg in args {
        are_options_over |= arg == "--";
        let is_value = matches!(arg.as_encoded_bytes(), [b'-', b'0'..=b'9' | b'.', ..]) && !are_options_over;
        match found.last_mut() {
            Some(option) if is_value && is_option_alone(option.as_encoded_bytes()) => {
                option.push("=");
                option.push(arg);
            }
            _ => found.push(arg),
        }
    }
    found
}

/// Whether it is an option without a value.
fn is_option_alone(arg: &[u8]) -> bool {
    arg.len() > 1 && arg.starts_with(b"-") && !arg.contains(&b'=')
}

impl Cli {
    /// What was asked for.
    ///
    /// # Errors
    /// Wrong arguments, and help or the version, which end the program too.
    pub fn read() -> Result<Self, clap::Error> {
        Self::try_parse_from(with_values(std::env::args_os()))
    }

    /// # Errors
    /// Those of the command.
    pub fn run(self) -> Result<()> {
        match self.command {
            Command::Filter(args) => args.run(),
            Command::Kernels(args) => args.run(),
            Command::Run(args) => args.run(),
            Command::Explain(args) => args.run(),
            Command::Learn(args) => args.run(),
            Command::Exercises(args) => args.run(),
            Command::Worker(args) => args.run(),
            Command::Compare(args) => args.run(),
            Command::Completions(args) => args.run(),
            Command::Man(args) => args.run(),
        }
    }
}

impl CompletionsArgs {
    fn run(self) -> Result<()> {
        // To memory first: clap_complete panics where writing fails.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "convgemm", &mut script);
        print_bytes(&script)
    }
}

impl ManArgs {
    fn run(self) -> Result<()> {
        let mut whole = Cli::command();
        whole.build();
        let command = match &self.of {
            None => whole,
            Some(name) => {
                let found = whole.find_subcommand(name).cloned();
                found.ok_or_else(|| anyhow::anyhow!("there is no command '{name}'"))?
            }
        };
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page)?;
        print_bytes(&page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn negative_numbers_are_values_of_the_option_before_them() {
        let joined = |args: &[&str]| {
            let args = with_values(args.iter().map(OsString::from));
            args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(joined(&["filter", "--stride", "-1,2", "-k", "-1"]), "filter --stride=-1,2 -k=-1");
        assert_eq!(joined(&["--gain", "-.5", "-o", "y.png"]), "--gain=-.5 -o y.png");
        assert_eq!(joined(&["--gain=1", "-2", "x", "-3"]), "--gain=1 -2 x -3");
        assert_eq!(joined(&["-o", "-", "-1", "--", "--gray", "-1"]), "-o - -1 -- --gray -1");
        assert_eq!(joined(&["--gray", "--stride", "2", "-o"]), "--gray --stride 2 -o");
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
