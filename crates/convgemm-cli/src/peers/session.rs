//! A comparison from its first case to its last, or to the point where the user stops it; and on from there.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use indicatif::{ProgressBar, ProgressStyle};

use super::cases::Case;
use super::contestant::Contestant;
use super::interrupt::Interrupt;
use super::machine::Machine;
use super::measure;
use super::probe::Probe;
use super::record::{CaseRecord, FORMAT, Record, Settings};
use super::registry::Spec;
use crate::atomic::Output;

/// Of a probe before the first case, and of those between cases, for each thing that is probed.
const FIRST_PROBE: Duration = Duration::from_millis(300);
const PROBE: Duration = Duration::from_millis(25);

/// All that a comparison needs to know.
pub struct Session {
    pub cases: Vec<Case>,
    pub specs: Vec<Spec>,
    pub settings: Settings,
    /// For every answer of a worker.
    pub limit: Duration,
    /// Where the record is written after every case.
    pub output: Option<PathBuf>,
    /// Whether cases that the output has already are kept.
    pub resume: bool,
}

impl Session {
    /// Measures, and tells on standard error how far it is.
    ///
    /// # Errors
    /// Files that cannot be written; a record that cannot be continued. Engines that fail are in the record.
    pub fn run(self, interrupt: &Interrupt) -> Result<Record> {
        let folder = tempfile::Builder::new().prefix("convgemm-compare-").tempdir()?;
        let mut record = self.begin()?;
        if let Some(path) = &self.output {
            // Opened and left as it is: a place that cannot be written is known early.
            drop(Output::create(path)?);
        }
        let (began, before) = (Instant::now(), record.elapsed_seconds);
        let mut contestants = self.contestants(interrupt, folder.path());
        let done: HashSet<String> = record.cases.iter().map(|case| case.id.clone()).collect();
        let left: Vec<&Case> = self.cases.iter().filter(|case| !done.contains(&case.id())).collect();
        let progress = Progress::new(&left, &self.settings);
        let mut probe = Probe::take(self.settings.threads, began, FIRST_PROBE);
        record.probes.push(probe.clone());
        for case in left {
            progress.show(case);
            match measure::case(case, &mut contestants, &self.settings, &probe, folder.path())? {
                Ok(found) => record.cases.push(found),
                Err(measure::Interrupted) => break,
            }
            let best = probe.peak();
            probe = Probe::take(self.settings.threads, began, PROBE);
            record.probes.push(probe.clone());
            if probe.peak() < best {
                // The machine can do what it could before; a short probe may have been disturbed.
                probe = record.probes.iter().max_by(|a, b| a.peak().total_cmp(&b.peak())).cloned().unwrap_or(probe);
            }
            record.elapsed_seconds = before + began.elapsed().as_secs_f64();
            self.update(&mut record, &contestants);
            self.save(&record)?;
            progress.advance(case);
        }
        record.elapsed_seconds = before + began.elapsed().as_secs_f64();
        record.complete = self.cases.len() == record.cases.len();
        self.update(&mut record, &contestants);
        self.save(&record)?;
        progress.finish();
        Ok(record)
    }

    /// A new record, or the one to be continued.
    fn begin(&self) -> Result<Record> {
        let empty = Record {
            format: FORMAT,
            started: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            elapsed_seconds: 0.0,
            complete: false,
            machine: Machine::this(),
            settings: self.settings.clone(),
            engines: Vec::new(),
            probes: Vec::new(),
            cases: Vec::new(),
        };
        let Some(path) = self.output.as_ref().filter(|path| self.resume && path.exists()) else { return Ok(empty) };
        let mut record = Record::read(path)?;
        if record.cases.is_empty() {
            return Ok(empty);
        }
        ensure!(record.machine == empty.machine, "{} was measured on another machine", path.display());
        ensure!(record.settings == self.settings, "{} was measured with other settings", path.display());
        let labels: Vec<&str> = record.engines.iter().map(|engine| engine.label.as_str()).collect();
        let asked: Vec<&str> = self.specs.iter().map(|spec| spec.label.as_str()).collect();
        ensure!(labels == asked, "{} was measured with other engines: {}", path.display(), labels.join(","));
        let wanted: HashSet<String> = self.cases.iter().map(Case::id).collect();
        record.cases.retain(|case: &CaseRecord| wanted.contains(&case.id));
        Ok(record)
    }

    /// The engines, started. One that does not start takes part all the same: its cases say why it has no times.
    fn contestants(&self, interrupt: &Interrupt, folder: &std::path::Path) -> Vec<Contestant> {
        let make = |spec: &Spec| {
            let (threads, limit) = (self.settings.threads, self.limit);
            let mut contestant = Contestant::new(spec.clone(), threads, limit, interrupt.clone(), folder);
            if let Err(failure) = contestant.start() {
                eprintln!("{}: {failure}", spec.label);
            }
            contestant.sleep();
            contestant
        };
        self.specs.iter().map(make).collect()
    }

    fn update(&self, record: &mut Record, contestants: &[Contestant]) {
        record.engines = contestants.iter().map(Contestant::record).collect();
    }

    fn save(&self, record: &Record) -> Result<()> {
        self.output.as_ref().map_or(Ok(()), |path| record.write(path))
    }
}

/// How far a comparison is, by the work that is left rather than by the number of cases.
struct Progress {
    bar: ProgressBar,
    milliseconds: Box<dyn Fn(&Case) -> u64>,
}

/// What a middling engine does, for guessing how long cases take.
const GUESSED_FLOPS: f64 = 3e10;

impl Progress {
    fn new(cases: &[&Case], settings: &Settings) -> Self {
        let (turn, rounds) = (settings.turn_ms as f64, settings.rounds as f64);
        let milliseconds = move |case: &Case| {
            let run = case.layer.flops(case.batch) / GUESSED_FLOPS * 1e3;
            (rounds * run.max(turn) + 4.0 * run + 50.0) as u64
        };
        let bar = ProgressBar::new(cases.iter().map(|case| milliseconds(case)).sum());
        let style = ProgressStyle::with_template("{bar:30} {percent:>3} %, {eta} left, {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.enable_steady_tick(Duration::from_secs(1));
        Self { bar, milliseconds: Box::new(milliseconds) }
    }

    fn show(&self, case: &Case) {
        self.bar.set_message(case.id());
        if self.bar.is_hidden() {
            eprintln!("{}", case.id());
        }
    }

    fn advance(&self, case: &Case) {
        self.bar.inc((self.milliseconds)(case));
    }

    fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
