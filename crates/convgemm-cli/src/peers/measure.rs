//! A case measured: every engine verified, then timed in rounds of turns, then verified again.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use convgemm_protocol::{Answer, Prepare, Request};
use convgemm_suites::data::Data;
use convgemm_suites::oracle::Expected;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::cases::{Case, NAME};
use super::check::{self, Turns};
use super::contestant::Contestant;
use super::probe::Probe;
use super::record::{CaseRecord, ResultRecord, Settings, Status};
use super::worker::Failure;

/// Runs of a turn that count: more only make the file larger.
pub const MOST_RUNS: usize = 10;
/// Rounds that even the slowest engine has.
const FEWEST_ROUNDS: usize = 3;
/// How an engine's error begins when it says that it cannot do a case.
const UNSUPPORTED: &str = "unsupported";

/// The user wants to stop.
pub struct Interrupted;

/// An engine in a case.
struct Entry {
    result: ResultRecord,
    turns: Turns,
    /// Runs of a turn that count, and rounds that it takes part in.
    runs: usize,
    rounds: usize,
}

/// Measures a case with all contestants. Files are made in `folder`.
///
/// # Errors
/// What the file system says; `Ok(Err(Interrupted))` if the user wants to stop.
pub fn case(
    case: &Case,
    contestants: &mut [Contestant],
    settings: &Settings,
    probe: &Probe,
    folder: &Path,
) -> Result<Result<CaseRecord, Interrupted>> {
    let data = Data::seeded(&case.layer, case.batch, settings.seed);
    let expected = Expected::sampled(&case.layer, case.op, case.batch, &data, settings.seed);
    let request = case.request(&data, folder)?;
    drop(data);
    let bench = Bench { case, settings, probe, folder, request, expected };
    Ok(bench.measure(contestants).map(|results| {
        let peak = probe.peak() * 1e9;
        let bandwidth = probe.copy_gb_per_second * 1e9;
        let roofline = (case.layer.flops(case.batch) / peak).max(case.layer.bytes(case.batch) / bandwidth);
        CaseRecord::new(case, roofline, results)
    }))
}

struct Bench<'a> {
    case: &'a Case,
    settings: &'a Settings,
    probe: &'a Probe,
    folder: &'a Path,
    request: Prepare,
    expected: Expected,
}

impl Bench<'_> {
    fn measure(&self, contestants: &mut [Contestant]) -> Result<Vec<ResultRecord>, Interrupted> {
        let mut entries = Vec::new();
        for contestant in contestants.iter_mut() {
            entries.push(self.enter(contestant)?);
            contestant.sleep();
        }
        let mut random = ChaCha8Rng::seed_from_u64(self.settings.seed);
        for round in 0..self.settings.rounds {
            for i in shuffled(entries.len(), &mut random) {
                let (entry, contestant) = (&mut entries[i], &mut contestants[i]);
                if entry.result.status == Status::Timed && round < entry.rounds {
                    let turn = self.turn(entry, contestant);
                    entry.settle(turn)?;
                    contestant.sleep();
                }
            }
        }
        for (entry, contestant) in entries.iter_mut().zip(contestants) {
            if entry.result.status == Status::Timed {
                let end = self.finish(entry, contestant);
                entry.settle(end)?;
            }
            if matches!(contestant.ask(&Request::Drop { case: NAME.into() }), Err(Failure::Interrupted)) {
                return Err(Interrupted);
            }
            contestant.sleep();
        }
        Ok(entries.into_iter().map(|entry| entry.result).collect())
    }

    /// Has an engine prepare the case, verifies its result, and finds out how long it takes.
    fn enter(&self, contestant: &mut Contestant) -> Result<Entry, Interrupted> {
        let result = ResultRecord::new(&contestant.spec.label, Status::Timed, None);
        let mut entry = Entry { result, turns: Turns::default(), runs: 1, rounds: self.settings.rounds };
        let entered = self.prepare(&mut entry, contestant);
        entry.settle(entered)?;
        Ok(entry)
    }

    fn prepare(&self, entry: &mut Entry, contestant: &mut Contestant) -> Result<(), Trouble> {
        let mut request = self.request.clone();
        contestant.spec.apply(&mut request).map_err(|error| Trouble::is(Status::Failed, format!("{error:#}")))?;
        match contestant.ask(&Request::Prepare(Box::new(request)))? {
            Answer::Prepared { algorithm, workspace_bytes, packed_bytes, .. } => {
                entry.result.algorithm = Some(algorithm);
                entry.result.workspace_bytes = workspace_bytes;
                entry.result.packed_bytes = packed_bytes;
            }
            other => return Err(Trouble::unexpected(&other)),
        }
        // The first run may be slow in its own way, the second says how long one takes.
        let (seconds, _) = self.time(contestant, 2)?;
        let one = seconds.iter().copied().fold(f64::INFINITY, f64::min).max(1e-9);
        self.verify(entry, contestant)?;
        let turn = Duration::from_millis(self.settings.turn_ms).as_secs_f64();
        entry.runs = ((turn / one) as usize).clamp(1, MOST_RUNS);
        let limit = Duration::from_millis(self.settings.limit_ms).as_secs_f64();
        let rounds = limit / (one * (entry.runs + 1) as f64);
        entry.rounds = (rounds as usize).clamp(FEWEST_ROUNDS.min(self.settings.rounds), self.settings.rounds);
        Ok(())
    }

    /// One turn. Its first run, in caches that another engine filled, does not count.
    fn turn(&self, entry: &mut Entry, contestant: &mut Contestant) -> Result<(), Trouble> {
        let runs = entry.runs + 1;
        let (seconds, wall) = self.time(contestant, runs)?;
        entry.turns.add(&seconds, runs, wall).map_err(|note| Trouble::is(Status::Suspect, note))?;
        entry.result.add_round(&seconds[1..]);
        Ok(())
    }

    fn time(&self, contestant: &mut Contestant, runs: usize) -> Result<(Vec<f64>, Duration), Trouble> {
        // A question that asks for nothing: the worker is awake when the clock starts.
        contestant.ask(&Request::Hello {})?;
        let start = Instant::now();
        match contestant.ask(&Request::Time { case: NAME.into(), runs })? {
            Answer::Timed { seconds, .. } => Ok((seconds, start.elapsed())),
            other => Err(Trouble::unexpected(&other)),
        }
    }

    /// Compares what the last run computed with the oracle. A bound does not compute the case.
    fn verify(&self, entry: &mut Entry, contestant: &mut Contestant) -> Result<(), Trouble> {
        if contestant.spec.entry.bound {
            return Ok(());
        }
        let file = self.folder.join("result.npy");
        // A result of another engine must not be taken for this one's.
        let _ = std::fs::remove_file(&file);
        match contestant.ask(&Request::Save { case: NAME.into(), file: file.clone() })? {
            Answer::Saved { .. } => {}
            other => return Err(Trouble::unexpected(&other)),
        }
        let shape = self.case.layer.result_shape(self.case.op, self.case.batch);
        let found = check::result(&file, &shape, &self.expected).map_err(|note| Trouble::is(Status::Wrong, note))?;
        entry.result.error_max = Some(found.max.max(entry.result.error_max.unwrap_or(0.0)));
        entry.result.error_rms = Some(found.rms.max(entry.result.error_rms.unwrap_or(0.0)));
        Ok(())
    }

    /// Verifies once more, and judges the times.
    fn finish(&self, entry: &mut Entry, contestant: &mut Contestant) -> Result<(), Trouble> {
        self.verify(entry, contestant)?;
        entry.result.summarise();
        let best = entry.result.min_ns.unwrap_or(f64::INFINITY) / 1e9;
        let judged = entry.turns.judge(self.case.layer.flops(self.case.batch), best, self.probe.peak());
        judged.map_err(|note| Trouble::is(Status::Suspect, note))
    }
}

/// Why an engine is out of a case.
enum Trouble {
    Out(Status, String),
    Interrupted,
}

impl Trouble {
    fn is(status: Status, note: String) -> Self {
        Self::Out(status, note)
    }

    fn unexpected(answer: &Answer) -> Self {
        Self::Out(Status::Failed, format!("an answer to another question: {answer:?}"))
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Interrupted => Self::Interrupted,
            Failure::Refused(why) => match why.strip_prefix(UNSUPPORTED) {
                Some(what) => Self::Out(Status::Unsupported, what.trim_start_matches([':', ' ']).to_owned()),
                None => Self::Out(Status::Failed, why),
            },
            other => Self::Out(Status::Failed, other.to_string()),
        }
    }
}

impl Entry {
    fn settle(&mut self, outcome: Result<(), Trouble>) -> Result<(), Interrupted> {
        match outcome {
            Ok(()) => Ok(()),
            Err(Trouble::Interrupted) => Err(Interrupted),
            Err(Trouble::Out(status, note)) => {
                (self.result.status, self.result.note) = (status, Some(note));
                Ok(())
            }
        }
    }
}

/// The numbers below `n` in an order of chance.
fn shuffled(n: usize, random: &mut ChaCha8Rng) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    for i in (1..n).rev() {
        order.swap(i, (random.next_u64() % (i as u64 + 1)) as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shuffled_order_has_everyone_once_and_depends_on_the_seed() {
        let order = |seed| shuffled(13, &mut ChaCha8Rng::seed_from_u64(seed));
        let mut sorted = order(1);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..13).collect::<Vec<_>>());
        assert_eq!(order(1), order(1));
        assert_ne!(order(1), order(2));
    }
}
