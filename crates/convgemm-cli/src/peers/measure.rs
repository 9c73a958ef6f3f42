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
use super::pace::{Pace, VERY_LONG};
use super::probe::Probe;
use super::record::{CaseRecord, ResultRecord, Settings, Status};
use super::worker::Failure;

/// A turn was disturbed if the engine waited for a processor longer than this part of it, and than a moment.
const WAITED: f64 = 0.05;
const MOMENT: Duration = Duration::from_micros(500);
/// An engine's time is certain when its relative standard error is below this.
const CERTAIN: f64 = 0.01;
/// Where that matters: an engine is among the fast ones if it takes at most so many times as long as the fastest.
const AMONG_THE_FAST: f64 = 1.1;
/// How an engine's error begins when it says that it cannot do a case.
const UNSUPPORTED: &str = "unsupported";

/// The user wants to stop.
pub struct Interrupted;

/// An engine in a case.
struct Entry {
    result: ResultRecord,
    turns: Turns,
    pace: Pace,
}

/// What a worker says of some runs, and how long it took.
struct Timed {
    seconds: Vec<f64>,
    wall: Duration,
    /// Of that, for how long each of its threads was kept from computing.
    waited: Duration,
}

impl Timed {
    fn is_disturbed(&self) -> bool {
        self.waited > self.wall.mul_f64(WAITED).max(MOMENT)
    }
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
        let rounds = entries.iter().map(|entry| entry.pace.rounds).max().unwrap_or(0);
        for round in 0..rounds {
            let order = shuffled(entries.len(), &mut random);
            self.round((&mut entries, contestants), &order, |entry| entry.pace.has_turn(round, rounds))?;
        }
        for _ in 0..self.settings.rounds {
            let best = entries.iter().filter_map(Entry::fastest).fold(f64::INFINITY, f64::min);
            // Together, since the clock of the processor is not the same in all rounds.
            let limit = Duration::from_millis(self.settings.limit_ms);
            let may_go_on = |entry: &Entry| entry.is_fast(best) && entry.turns.told() < limit;
            let is_open = entries.iter().any(|entry| may_go_on(entry) && !entry.is_certain());
            let order = shuffled(entries.len(), &mut random);
            self.round((&mut entries, contestants), &order, |entry| {
                entry.lacks_turns() || is_open && may_go_on(entry)
            })?;
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

    /// A turn for each engine that is still in the case and that `has_turn` names.
    fn round(
        &self,
        (entries, contestants): (&mut [Entry], &mut [Contestant]),
        order: &[usize],
        has_turn: impl Fn(&Entry) -> bool,
    ) -> Result<(), Interrupted> {
        for &i in order {
            let (entry, contestant) = (&mut entries[i], &mut contestants[i]);
            if entry.result.status == Status::Timed && has_turn(entry) {
                let turn = self.turn(entry, contestant);
                entry.settle(turn)?;
                contestant.sleep();
            }
        }
        Ok(())
    }

    /// Has an engine prepare the case, verifies its result, and finds out how long it takes.
    fn enter(&self, contestant: &mut Contestant) -> Result<Entry, Interrupted> {
        let result = ResultRecord::new(&contestant.spec.label, Status::Timed, None);
        let mut entry = Entry { result, turns: Turns::default(), pace: Pace::ONCE };
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
        let first = self.time(contestant, 1)?;
        let long = VERY_LONG.as_secs_f64();
        if first.seconds.iter().any(|&run| run >= long) {
            entry.add(&first)?;
        } else {
            // The first run may be slow in its own way, the second says how long one takes.
            let runs = [first, self.time(contestant, 1)?];
            let one = runs.iter().flat_map(|timed| &timed.seconds).fold(long, |least, &run| least.min(run));
            entry.pace = Pace::of(one.max(1e-9), self.settings);
        }
        self.verify(entry, contestant)
    }

    fn turn(&self, entry: &mut Entry, contestant: &mut Contestant) -> Result<(), Trouble> {
        let timed = self.time(contestant, entry.pace.warm_ups + entry.pace.runs)?;
        entry.add(&timed)
    }

    fn time(&self, contestant: &mut Contestant, runs: usize) -> Result<Timed, Trouble> {
        // A question that asks for nothing: the worker is awake when the clock starts.
        contestant.ask(&Request::Hello {})?;
        let (before, start) = (contestant.waited(), Instant::now());
        match contestant.ask(&Request::Time { case: NAME.into(), runs })? {
            Answer::Timed { seconds, .. } => {
                let wall = start.elapsed();
                let waited = contestant.waited().saturating_sub(before).div_f64(self.settings.threads as f64);
                Ok(Timed { seconds, wall, waited })
            }
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
    /// Whether turns are to be made up for: disturbed ones, unless they are the rule, and would be again.
    fn lacks_turns(&self) -> bool {
        let (quiet, disturbed) = (self.result.rounds_ns.len(), self.result.disturbed_ns.len());
        quiet < self.pace.rounds && disturbed <= quiet
    }

    /// Whether it is among the fast ones, the fastest of which takes `best` nanoseconds.
    fn is_fast(&self, best: f64) -> bool {
        self.pace.rounds > 0 && self.fastest().is_some_and(|time| time < best * AMONG_THE_FAST)
    }

    fn is_certain(&self) -> bool {
        self.result.error().is_some_and(|error| error < CERTAIN)
    }

    /// The fastest run in nanoseconds.
    fn fastest(&self) -> Option<f64> {
        self.result.rounds_ns.iter().flatten().min().map(|&ns| ns as f64)
    }

    /// Adds the samples of a turn.
    fn add(&mut self, timed: &Timed) -> Result<(), Trouble> {
        let Pace { warm_ups, runs, .. } = self.pace;
        let believed = self.turns.add(&timed.seconds, warm_ups + runs, timed.wall);
        believed.map_err(|note| Trouble::is(Status::Suspect, note))?;
        self.result.add_round(&timed.seconds[warm_ups..], timed.is_disturbed());
        Ok(())
    }

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
