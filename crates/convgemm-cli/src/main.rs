//! The `convgemm` program: pictures and NumPy files convolved by matrix multiplication.
//!
//! Each subcommand is a file. [`case`] says what is asked, [`engine`] makes it ready to run; the worker speaks the
//! language of `convgemm_protocol`, as other engines do.

#![forbid(unsafe_code)]

/// Large arrays begin with a cache line and lie in huge pages, as those of other engines do.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod args;
mod atomic;
mod case;
mod cli;
mod compare;
mod engine;
mod exercises;
mod explain;
mod filter;
mod jobs;
mod jpeg;
mod kernels;
mod learn;
mod memory;
mod names;
mod npy;
mod output;
mod peers;
mod picture;
mod pipeline;
mod run;
mod stale;
mod tune;
mod worker;

use std::io::{Write, stderr};
use std::process::ExitCode;

use clap::error::ErrorKind;

use cli::Cli;
use output::ReaderGone;

/// The exit code for every input that is wrong.
const WRONG_INPUT: u8 = 2;

fn main() -> ExitCode {
    let error = match Cli::read() {
        Ok(cli) => match cli.run() {
            Ok(()) => return ExitCode::SUCCESS,
            Err(error) if error.is::<ReaderGone>() => return ExitCode::SUCCESS,
            Err(error) if error.is::<exercises::DoesNotHold>() => return ExitCode::FAILURE,
            Err(error) => format!("error: {error:#}"),
        },
        Err(error) => match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                let _ = error.print();
                return ExitCode::SUCCESS;
            }
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
                let _ = error.print();
                return ExitCode::from(WRONG_INPUT);
            }
            _ => usage(&error),
        },
    };
    let line: Vec<&str> = error.split_whitespace().collect();
    let _ = writeln!(stderr(), "{}", line.join(" "));
    ExitCode::from(WRONG_INPUT)
}

/// What clap says in several lines, less the reminder of the usage.
fn usage(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let end = ["\nUsage:", "\nFor more information"].iter().filter_map(|part| text.find(part)).min();
    text[..end.unwrap_or(text.len())].to_owned()
}
