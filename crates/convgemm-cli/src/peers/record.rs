//! What a comparison found, as it is kept in a file: all samples, and what is needed to judge them.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use convgemm_protocol::Hello;
use convgemm_suites::Op;
use serde::{Deserialize, Serialize};

use super::cases::{Case, op_as_text};
use super::machine::Machine;
use super::probe::Probe;
use super::stats::{Stats, decile_error};
use crate::atomic::Output;

/// Changes when older files can no longer be read.
pub const FORMAT: u32 = 1;

/// Rounds that an engine has unless a single run takes very long, and that count even if they were disturbed.
pub const FEWEST_ROUNDS: usize = 3;

/// A comparison, whole or as far as it came.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub format: u32,
    /// Date and time in UTC.
    pub started: String,
    pub elapsed_seconds: f64,
    /// Whether all cases are there.
    pub complete: bool,
    pub machine: Machine,
    pub settings: Settings,
    pub engines: Vec<EngineRecord>,
    pub probes: Vec<Probe>,
    pub cases: Vec<CaseRecord>,
}

/// How it was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    pub threads: usize,
    /// Rounds in which every engine has a turn, more where turns are short.
    pub rounds: usize,
    /// A turn has as many runs as fit into this time, at least one, at most [`super::pace::MOST_RUNS`].
    pub turn_ms: u64,
    /// An engine for which all rounds would take longer has fewer of them.
    pub limit_ms: u64,
    pub seed: u64,
}

/// An engine that took part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EngineRecord {
    pub label: String,
    /// Whether it is an engine other than ours and no bound.
    pub is_peer: bool,
    /// Whether it computes something smaller than the convolution, so that its time is a bound.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_bound: bool,
    /// What it said of itself, if it could be started.
    pub hello: Option<Hello>,
    /// Why it could not, or what is to be known about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A layer, an operation and a batch, and what every engine made of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CaseRecord {
    pub id: String,
    pub suite: String,
    pub layer: String,
    /// The layer in short notation.
    pub notation: String,
    /// How often the network has it.
    pub count: usize,
    #[serde(with = "op_as_text")]
    pub op: Op,
    pub batch: usize,
    /// By the definition, whatever an engine really computes.
    pub flops: f64,
    /// That must be read and written at least.
    pub bytes: f64,
    /// The shortest time that the probes allow to the definition: arithmetic or memory, whichever is longer.
    pub roofline_ns: u64,
    pub results: Vec<ResultRecord>,
}

/// What became of an engine in a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Verified and timed.
    Timed,
    /// The engine cannot do it.
    Unsupported,
    /// Its result is not that of the oracle; it is not timed.
    Wrong,
    /// Its times cannot be true.
    Suspect,
    /// It refused, died, hung or wrote nonsense.
    Failed,
}

/// An engine's result in a case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResultRecord {
    pub engine: String,
    pub status: Status,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<String>,
    #[serde(default)]
    pub workspace_bytes: usize,
    #[serde(default)]
    pub packed_bytes: usize,
    /// Largest difference to the oracle, scaled by its largest value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_max: Option<f64>,
    /// Root of the mean square of the differences, scaled alike.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_rms: Option<f64>,
    /// What is compared: a tenth of the runs took less. What makes runs slower comes from outside, and whole rounds are slow
    /// or not; where half of them are, the median is either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_ns: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub median_ns: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_ns: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mad_ns: Option<f64>,
    /// Every sample, a list for each round.
    #[serde(default)]
    pub rounds_ns: Vec<Vec<u64>>,
    /// The same of rounds in which something else had the engine's processor.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disturbed_ns: Vec<Vec<u64>>,
}

impl ResultRecord {
    /// Of an engine of which nothing is known yet.
    pub fn new(engine: &str, status: Status, note: Option<String>) -> Self {
        Self {
            engine: engine.to_owned(),
            status,
            note,
            algorithm: None,
            workspace_bytes: 0,
            packed_bytes: 0,
            error_max: None,
            error_rms: None,
            time_ns: None,
            median_ns: None,
            min_ns: None,
            mad_ns: None,
            rounds_ns: Vec::new(),
            disturbed_ns: Vec::new(),
        }
    }

    /// Adds the samples of a round, in seconds.
    pub fn add_round(&mut self, seconds: &[f64], is_disturbed: bool) {
        let rounds = if is_disturbed { &mut self.disturbed_ns } else { &mut self.rounds_ns };
        rounds.push(seconds.iter().map(|seconds| (seconds * 1e9).round() as u64).collect());
    }

    /// Whether so few rounds were quiet that the others have to count, too.
    pub fn counts_disturbed(&self) -> bool {
        self.rounds_ns.len() < FEWEST_ROUNDS && !self.disturbed_ns.is_empty()
    }

    /// The samples that count, a list for each round. Of a disturbed one that is the fastest: where another process has
    /// the processor every other 4 ms, a run of 2 ms takes 2 ms or 6, and which of them more often is luck.
    pub fn counted(&self) -> impl Iterator<Item = Vec<f64>> {
        let disturbed = if self.counts_disturbed() { self.disturbed_ns.as_slice() } else { &[] };
        let quiet = self.rounds_ns.iter().map(|round| round.iter().map(|&ns| ns as f64).collect());
        quiet.chain(disturbed.iter().map(|round| round.iter().min().map(|&ns| ns as f64).into_iter().collect()))
    }

    /// The relative standard error of the time that the samples tell so far.
    pub fn error(&self) -> Option<f64> {
        let rounds: Vec<Vec<f64>> = self.counted().collect();
        Some(decile_error(&rounds)? / Stats::of(&rounds.concat())?.decile)
    }

    /// Computes the statistics of all samples that count.
    pub fn summarise(&mut self) {
        let samples: Vec<f64> = self.counted().flatten().collect();
        let stats = Stats::of(&samples);
        self.time_ns = stats.map(|stats| stats.decile);
        self.median_ns = stats.map(|stats| stats.median);
        self.min_ns = stats.map(|stats| stats.min);
        self.mad_ns = stats.map(|stats| stats.mad);
    }

    /// The time in seconds of an engine that was verified and timed.
    pub fn seconds(&self) -> Option<f64> {
        self.time_ns.filter(|_| self.status == Status::Timed).map(|ns| ns / 1e9)
    }
}

impl EngineRecord {
    /// Its label in tables, where a bound must not be taken for an engine.
    pub fn title(&self) -> String {
        if self.is_bound { format!("{} (bound)", self.label) } else { self.label.clone() }
    }
}

impl CaseRecord {
    pub fn new(case: &Case, roofline_seconds: f64, results: Vec<ResultRecord>) -> Self {
        Self {
            id: case.id(),
            suite: case.suite.clone(),
            layer: case.name.clone(),
            notation: case.layer.to_string(),
            count: case.count,
            op: case.op,
            batch: case.batch,
            flops: case.layer.flops(case.batch),
            bytes: case.layer.bytes(case.batch),
            roofline_ns: (roofline_seconds * 1e9) as u64,
            results,
        }
    }

    pub fn result(&self, engine: &str) -> Option<&ResultRecord> {
        self.results.iter().find(|result| result.engine == engine)
    }
}

impl Record {
    /// # Errors
    /// A file that cannot be read or is no record.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut record: Self = serde_json::from_slice(&text)
            .with_context(|| format!("{} is no result of a comparison", path.display()))?;
        let found = record.format;
        ensure!(found == FORMAT, "{} has format {found}, this program reads {FORMAT}", path.display());
        // Samples are what was measured. An older program may have made other statistics of them.
        let results = record.cases.iter_mut().flat_map(|case| &mut case.results);
        results.filter(|result| result.median_ns.is_some()).for_each(ResultRecord::summarise);
        Ok(record)
    }

    /// Writes it whole or not at all, with a line for each engine, probe and case.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = self.text()?;
        Output::create(path)?.write(|writer| Ok(writer.write_all(text.as_bytes())?))
    }

    fn text(&self) -> Result<String> {
        let fields = [
            ("format", serde_json::to_string(&self.format)?),
            ("started", serde_json::to_string(&self.started)?),
            ("elapsed_seconds", serde_json::to_string(&self.elapsed_seconds)?),
            ("complete", serde_json::to_string(&self.complete)?),
            ("machine", serde_json::to_string(&self.machine)?),
            ("settings", serde_json::to_string(&self.settings)?),
            ("engines", list(&self.engines)?),
            ("probes", list(&self.probes)?),
            ("cases", list(&self.cases)?),
        ];
        let lines: Vec<String> = fields.iter().map(|(name, value)| format!("\"{name}\": {value}")).collect();
        Ok(format!("{{\n{}\n}}\n", lines.join(",\n")))
    }

    /// The best peak of multiply-adds that any probe found: what the machine can do when nobody disturbs it.
    pub fn peak_gflops(&self) -> f64 {
        self.probes.iter().map(Probe::peak).fold(0.0, f64::max)
    }
}

fn list<V: Serialize>(values: &[V]) -> Result<String> {
    let lines = values.iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>()?;
    Ok(if lines.is_empty() { "[]".to_owned() } else { format!("[\n{}\n]", lines.join(",\n")) })
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A result with one sample a round.
    pub fn timed(engine: &str, rounds_ns: &[u64]) -> ResultRecord {
        let mut result = ResultRecord::new(engine, Status::Timed, None);
        result.rounds_ns = rounds_ns.iter().map(|&ns| vec![ns]).collect();
        result.summarise();
        result
    }

    /// A record of one suite with a case for each list of results.
    pub fn record(engines: &[(&str, bool)], cases: Vec<Vec<ResultRecord>>) -> Record {
        let engine = |&(label, is_peer): &(&str, bool)| EngineRecord {
            label: label.into(),
            is_peer,
            is_bound: false,
            hello: None,
            note: None,
        };
        let probe = Probe {
            at_seconds: 0.0,
            gflops: [("avx2+fma".to_owned(), 100.0)].into(),
            copy_gb_per_second: 20.0,
            load: 0.0,
        };
        let case = |(i, results): (usize, Vec<ResultRecord>)| {
            let case = Case {
                suite: "own".into(),
                name: format!("layer{i}"),
                count: i + 1,
                layer: "8x3x3@8".parse().unwrap(),
                op: Op::Conv,
                batch: 1,
            };
            CaseRecord::new(&case, 1e-6, results)
        };
        Record {
            format: FORMAT,
            started: "2026-01-01T00:00:00Z".into(),
            elapsed_seconds: 1.0,
            complete: true,
            machine: Machine {
                cpu: "a processor".into(),
                cores: 2,
                isa: vec!["avx2".into()],
                memory_bytes: 1 << 30,
                system: "a system".into(),
            },
            settings: Settings { threads: 1, rounds: 3, turn_ms: 40, limit_ms: 1000, seed: 7 },
            engines: engines.iter().map(engine).collect(),
            probes: vec![probe],
            cases: cases.into_iter().enumerate().map(case).collect(),
        }
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("result.json");
        let results =
            vec![timed("convgemm", &[3, 1, 2]), ResultRecord::new("b", Status::Unsupported, Some("f64".into()))];
        let record = record(&[("convgemm", false), ("b", true)], vec![results]);
        record.write(&path).unwrap();
        assert_eq!(Record::read(&path).unwrap(), record);
    }

    #[test]
    fn another_format_and_another_file_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("result.json");
        let mut record = record(&[], vec![]);
        record.format = FORMAT + 1;
        record.write(&path).unwrap();
        assert!(Record::read(&path).unwrap_err().to_string().contains("has format 2"));
        std::fs::write(&path, "[1,2]").unwrap();
        assert!(Record::read(&path).unwrap_err().to_string().contains("is no result of a comparison"));
    }

    #[test]
    fn statistics_are_those_of_all_rounds_and_only_a_verified_result_has_a_time() {
        let mut result = ResultRecord::new("a", Status::Timed, None);
        result.add_round(&[1e-6, 3e-6], false);
        result.add_round(&[2e-6], false);
        result.summarise();
        assert_eq!((result.median_ns, result.min_ns, result.mad_ns), (Some(2000.0), Some(1000.0), Some(1000.0)));
        // A fifth of the way from the first to the second.
        assert_eq!(result.seconds(), Some(1.2e-6));
        result.status = Status::Suspect;
        assert_eq!(result.seconds(), None);
    }

    #[test]
    fn disturbed_rounds_count_only_where_there_are_too_few_others() {
        let mut result = timed("a", &[1000, 1002]);
        result.add_round(&[9e-6, 1.003e-6, 7e-6], true);
        result.summarise();
        assert_eq!((result.counts_disturbed(), result.median_ns), (true, Some(1002.0)));
        result.add_round(&[1.001e-6], false);
        result.summarise();
        assert_eq!((result.counts_disturbed(), result.median_ns), (false, Some(1001.0)));
    }
}
