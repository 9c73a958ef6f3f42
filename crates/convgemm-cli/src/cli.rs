//! The command line as a whole, its completions and its manual.

use anyhow::Result;
use clap::{Arg, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
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

/// The command line, in which `-1` is a value and no option: what is wrong about it is then said of the value.
fn command() -> clap::Command {
    fn with_numbers(command: clap::Command) -> clap::Command {
        let numbers = |arg: Arg| {
            let takes_values = arg.get_action().takes_values();
            arg.allow_negative_numbers(takes_values)
        };
        command.mut_args(numbers).mut_subcommands(with_numbers)
    }
    with_numbers(Cli::command())
}

impl Cli {
    /// What was asked for.
    ///
    /// # Errors
    /// Wrong arguments, and help or the version, which end the program too.
    pub fn read() -> Result<Self, clap::Error> {
        let matches = command().try_get_matches()?;
        Self::from_arg_matches(&matches).map_err(|error| error.format(&mut command()))
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
        clap_complete::generate(self.shell, &mut command(), "convgemm", &mut script);
        print_bytes(&script)
    }
}

impl ManArgs {
    fn run(self) -> Result<()> {
        let mut whole = command();
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
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }
}
