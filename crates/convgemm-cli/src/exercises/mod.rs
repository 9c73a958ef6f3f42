//! `convgemm exercises`: the chapter's statements and exercises, run and checked, in the terminal or as a page.

use std::fmt;
use std::path::PathBuf;

#[cfg(feature = "linalg")]
mod answers;
pub mod chart;
#[cfg(feature = "linalg")]
mod figures;
#[cfg(feature = "linalg")]
mod page;
mod train;

use anyhow::Result;
use clap::{Args, Subcommand};

use train::TrainArgs;

/// Answer every statement and exercise of the chapter by running code
///
/// Each number that holds gets a ✓. The exit code is 1 if one does not.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:
  convgemm exercises
  convgemm exercises statement-4 exercise-2
  convgemm exercises --html exercises.html
  convgemm exercises learn --init '[[0.25,-0.5]]' --rate 0.03 --steps 10 --json"
)]
pub struct ExercisesArgs {
    #[command(subcommand)]
    train: Option<Train>,
    /// Only these: statement-1 to statement-5, exercise-1 to exercise-4
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Write a page with sources, results and figures; it needs no network
    #[arg(long, value_name = "FILE.html")]
    html: Option<PathBuf>,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Train {
    Learn(TrainArgs),
}

/// A number is not what the chapter says. It has been printed; only the exit code remains.
#[derive(Debug)]
pub struct DoesNotHold;

impl fmt::Display for DoesNotHold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number does not hold")
    }
}

impl std::error::Error for DoesNotHold {}

impl ExercisesArgs {
    /// # Errors
    /// A name that is none, a page that cannot be written, [`DoesNotHold`].
    pub fn run(self) -> Result<()> {
        match self.train {
            Some(Train::Learn(args)) => args.run(),
            None => self.answer(),
        }
    }

    #[cfg(not(feature = "linalg"))]
    fn answer(self) -> Result<()> {
        drop((self.names, self.html, self.json));
        anyhow::bail!("the answers solve equations, which this build cannot; build with --features openblas,linalg")
    }

    #[cfg(feature = "linalg")]
    fn answer(self) -> Result<()> {
        use crate::output::{report, report_json};
        // Before the work, so that a place that cannot be written is known early.
        let output = self.html.as_deref().map(crate::atomic::Output::create).transpose()?;
        let answers = answers::run(&self.names)?;
        if let Some(output) = output {
            let page = page::render(&answers)?;
            output.write(|writer| Ok(writer.write_all(page.as_bytes())?))?;
        }
        if self.json {
            report_json(&answers::summary(&answers), self.html.as_deref())?;
        } else {
            report(&answers::text(&answers), self.html.as_deref())?;
        }
        if answers.iter().all(|(_, answer)| answer.all_hold()) { Ok(()) } else { Err(DoesNotHold.into()) }
    }
}
