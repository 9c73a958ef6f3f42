//! `convgemm compare`: this engine and others, each in a process of its own, verified and then timed in turns.
//!
//! [`cases`] says what is measured and [`registry`] by whom; [`session`] goes through the cases, [`measure`]
//! through one of them. A [`record`] keeps what was found, [`summary`] and [`diff`] compute what it says, [`show`]
//! writes it.

mod cases;
mod check;
mod choice;
mod contestant;
mod csv;
mod diff;
mod interrupt;
mod machine;
mod measure;
mod noise;
mod overview;
mod pace;
mod probe;
mod record;
mod registry;
mod session;
mod show;
mod stats;
mod summary;
mod waiting;
mod wording;
mod worker;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Args;
use convgemm_suites::{Layer, Op};

use crate::output::print;
use cases::Choice;
use diff::Diff;
use interrupt::Interrupt;
use record::{Record, Settings};
use registry::Registry;
use session::Session;
use show::Format;

/// Measure this engine beside others, layer by layer
///
/// Each engine runs in a process of its own (see peers/engines.json). Results are first verified against an
/// oracle in double precision, then timed in rounds in which every engine has a turn, in an order of chance.
/// With `convgemm,convgemm:algorithm=all` it tells how far the choice of an algorithm is from the best.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  convgemm compare --suite resnet50 --engines all --batch 1,8 --op all -o result.json
  convgemm compare --layer 3-64x7x7@224s2 --engines convgemm,convgemm:algorithm=im2col
  convgemm compare --suite all --engines convgemm,convgemm:algorithm=all --rounds 5 --limit 300
  convgemm compare --show result.json --format markdown
  convgemm compare --diff old.json new.json")]
pub struct CompareArgs {
    /// Networks whose layers are measured, or all
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    suite: Vec<String>,
    /// Only layers of suites whose name contains this
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// A layer of your own: C-OCxKERNEL@SIZE and s(tride) p(adding) d(ilation) g(roups) b(ias)
    #[arg(long, value_name = "LAYER", value_delimiter = ',')]
    layer: Vec<Layer>,
    /// Engines: all, or names with options; the first is the one that the others are held against
    #[arg(long, value_name = "NAME[:KEY=VALUE]", value_delimiter = ',', default_value = "all")]
    engines: Vec<String>,
    /// Folder with engines.json
    #[arg(long, value_name = "FOLDER", default_value = "peers")]
    peers: PathBuf,
    /// conv, input_grad, weight_grad, or all
    #[arg(long, value_name = "OP", value_delimiter = ',', default_value = "conv")]
    op: Vec<String>,
    /// Images at a time
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "1")]
    batch: Vec<usize>,
    /// Threads of each engine
    #[arg(long, value_name = "N", default_value_t = 1)]
    threads: usize,
    /// Rounds in which every engine has a turn; up to twice as many where turns are short
    #[arg(long, value_name = "N", default_value_t = 9)]
    rounds: usize,
    /// Milliseconds of a turn, of one run at least
    #[arg(long, value_name = "MS", default_value_t = 30)]
    turn: u64,
    /// Milliseconds of an engine in a case; one that needs more has fewer rounds, but 3
    #[arg(long, value_name = "MS", default_value_t = 1000)]
    limit: u64,
    /// Seconds after which a worker that does not answer is ended
    #[arg(long, value_name = "S", default_value_t = 120)]
    timeout: u64,
    /// Seed of the data and of the order
    #[arg(long, value_name = "N", default_value_t = 7)]
    seed: u64,
    /// Where the result goes, after each case
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Keep the cases that the output has already
    #[arg(long, requires = "output")]
    resume: bool,
    /// Show a result instead of measuring
    #[arg(long, value_name = "FILE", conflicts_with_all = ["suite", "layer", "output", "diff"])]
    show: Option<PathBuf>,
    /// Say what changed beyond noise between two results
    #[arg(long, num_args = 2, value_names = ["OLD", "NEW"], conflicts_with_all = ["suite", "layer", "output"])]
    diff: Option<Vec<PathBuf>>,
    /// How it is shown
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Put it into a document, between its lines <!-- convgemm compare: begin --> and <!-- … end -->
    #[arg(long, value_name = "FILE")]
    into: Option<PathBuf>,
    /// Which lines of that document, if it has several tables: <!-- convgemm compare NAME: begin -->
    #[arg(long, value_name = "NAME", requires = "into")]
    section: Option<String>,
}

impl CompareArgs {
    /// # Errors
    /// Wrong arguments, files that cannot be read or written. Engines that fail are in the result.
    pub fn run(self) -> Result<()> {
        if let Some([old, new]) = self.diff.as_deref() {
            return print(&Diff::new(&Record::read(old)?, &Record::read(new)?).text());
        }
        let record = match &self.show {
            Some(path) => Record::read(path)?,
            None => self.measure()?,
        };
        let text = show::show(&record, self.format)?;
        match &self.into {
            Some(path) => overview::put_into(path, self.section.as_deref(), &text),
            None => print(&text),
        }
    }

    fn measure(&self) -> Result<Record> {
        for (name, n) in [("threads", self.threads), ("rounds", self.rounds)] {
            ensure!(n > 0, "--{name} is 0, it must be at least 1");
        }
        ensure!(!self.batch.contains(&0), "--batch is 0, it must be at least 1");
        let choice = Choice {
            suites: self.suite.clone(),
            layers: self.layer.clone(),
            only: self.only.clone(),
            ops: self.ops()?,
            batches: self.batch.clone(),
        };
        let cases = choice.cases()?;
        let (specs, absent) = Registry::read(&self.peers)?.select(&self.engines)?;
        if !absent.is_empty() {
            eprintln!("not built, and left out: {}", absent.join(", "));
        }
        let settings = Settings {
            threads: self.threads,
            rounds: self.rounds,
            turn_ms: self.turn,
            limit_ms: self.limit,
            seed: self.seed,
        };
        let limit = Duration::from_secs(self.timeout);
        let session = Session { cases, specs, settings, limit, output: self.output.clone(), resume: self.resume };
        session.run(&Interrupt::listen()?)
    }

    fn ops(&self) -> Result<Vec<Op>> {
        let mut ops = Vec::new();
        for name in &self.op {
            match name.as_str() {
                "all" => ops.extend(Op::ALL),
                name => ops.push(name.parse().map_err(anyhow::Error::msg)?),
            }
        }
        Ok(ops)
    }
}
