//! Two records: what changed beyond noise.

use std::fmt::Write as _;

use super::noise::Ratio;
use super::record::{CaseRecord, Record, ResultRecord, Status};
use super::stats::geometric_mean;

/// A case and an engine that both records have.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    pub case: String,
    pub engine: String,
    pub what: What,
}

/// How a result changed.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// The new time over the old.
    Time(Ratio),
    /// It is no longer, or was not, verified and timed.
    Status { old: Status, new: Status },
}

/// The comparison of two records.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Diff {
    pub changes: Vec<Change>,
    /// Results that both have and that did not change beyond noise.
    pub unchanged: usize,
    /// Results that only one of them has.
    pub only_old: usize,
    pub only_new: usize,
    /// For each engine, the geometric mean of all its changes.
    pub means: Vec<(String, f64)>,
    /// Settings and machines that make the two hard to compare.
    pub warnings: Vec<String>,
}

impl What {
    /// Whether it is more than noise.
    fn is_real(&self) -> bool {
        match *self {
            Self::Status { old, new } => old != new,
            Self::Time(ratio) => ratio.is_real(),
        }
    }
}

impl Diff {
    pub fn new(old: &Record, new: &Record) -> Self {
        let mut diff = Self { warnings: warnings(old, new), ..Self::default() };
        let mut ratios: Vec<(String, Vec<f64>)> = Vec::new();
        for (case, before, after) in pairs(old, new) {
            let what = compare(before, after);
            if let What::Time(ratio) = what {
                match ratios.iter_mut().find(|(engine, _)| *engine == after.engine) {
                    Some((_, list)) => list.push(ratio.value),
                    None => ratios.push((after.engine.clone(), vec![ratio.value])),
                }
            }
            if what.is_real() {
                diff.changes.push(Change { case: case.id.clone(), engine: after.engine.clone(), what });
            } else {
                diff.unchanged += 1;
            }
        }
        let results = |record: &Record| record.cases.iter().map(|case| case.results.len()).sum::<usize>();
        let both = diff.unchanged + diff.changes.len();
        (diff.only_old, diff.only_new) = (results(old) - both, results(new) - both);
        diff.means = ratios.into_iter().filter_map(|(engine, list)| Some((engine, geometric_mean(&list)?))).collect();
        diff.changes.sort_by(|a, b| size(&b.what).total_cmp(&size(&a.what)));
        diff
    }

    /// For the terminal: the largest changes first.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for warning in &self.warnings {
            let _ = writeln!(text, "warning: {warning}");
        }
        for Change { case, engine, what } in &self.changes {
            let _ = match what {
                What::Time(Ratio { value, error }) => {
                    let word = if *value < 1.0 { "faster" } else { "slower" };
                    let percent = (value - 1.0) * 100.0;
                    writeln!(text, "{word}  {percent:+6.1} % ± {:.1}  {engine}  {case}", error * 100.0)
                }
                What::Status { old, new } => writeln!(text, "{old:?} → {new:?}  {engine}  {case}"),
            };
        }
        let _ = writeln!(text, "{} changed beyond noise, {} did not.", self.changes.len(), self.unchanged);
        if self.only_old + self.only_new > 0 {
            let _ = writeln!(text, "Only in the old: {}; only in the new: {}.", self.only_old, self.only_new);
        }
        for (engine, mean) in &self.means {
            let _ = writeln!(text, "{engine}: {:+.1} % in the geometric mean", (mean - 1.0) * 100.0);
        }
        text
    }
}

fn size(what: &What) -> f64 {
    match what {
        What::Time(ratio) => ratio.value.ln().abs(),
        What::Status { .. } => f64::INFINITY,
    }
}

fn pairs<'a>(
    old: &'a Record,
    new: &'a Record,
) -> impl Iterator<Item = (&'a CaseRecord, &'a ResultRecord, &'a ResultRecord)> {
    new.cases.iter().flat_map(move |case| {
        let before = old.cases.iter().find(|before| before.id == case.id);
        case.results.iter().filter_map(move |after| Some((case, before?.result(&after.engine)?, after)))
    })
}

fn compare(old: &ResultRecord, new: &ResultRecord) -> What {
    Ratio::of(new, old).map_or(What::Status { old: old.status, new: new.status }, What::Time)
}

fn warnings(old: &Record, new: &Record) -> Vec<String> {
    let mut found = Vec::new();
    if old.machine != new.machine {
        found.push(format!("other machines: {}, {}", old.machine.cpu, new.machine.cpu));
    }
    if old.settings.threads != new.settings.threads {
        found.push(format!("other threads: {}, {}", old.settings.threads, new.settings.threads));
    }
    let ratio = new.peak_gflops() / old.peak_gflops();
    if (ratio - 1.0).abs() > 0.05 {
        found.push(format!("the peak of multiply-adds changed by {:+.0} %", (ratio - 1.0) * 100.0));
    }
    for engine in &new.engines {
        let version = |record: &Record| {
            let engine = record.engines.iter().find(|found| found.label == engine.label)?;
            Some(engine.hello.as_ref()?.version.clone())
        };
        if let (Some(before), Some(after)) = (version(old), version(new))
            && before != after
        {
            found.push(format!("{}: version {before}, now {after}", engine.label));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::{record, timed};
    use super::*;

    const ENGINES: [(&str, bool); 2] = [("convgemm", false), ("a", true)];

    fn one_case(ours: &[u64], peer: ResultRecord) -> Record {
        record(&ENGINES, vec![vec![timed("convgemm", ours), peer]])
    }

    #[test]
    fn a_change_within_the_spread_of_the_rounds_is_noise() {
        let old = one_case(&[1000, 900, 1100, 950, 1050], timed("a", &[500; 5]));
        let new = one_case(&[1060, 960, 1160, 1010, 1110], timed("a", &[507; 5]));
        let diff = Diff::new(&old, &new);
        assert_eq!((diff.changes.len(), diff.unchanged), (0, 2), "{diff:?}");
    }

    #[test]
    fn a_change_beyond_the_spread_is_told_with_its_direction() {
        let old = one_case(&[1000, 1001, 999, 1000, 1002], timed("a", &[500; 5]));
        let new = one_case(&[800, 801, 799, 800, 802], timed("a", &[550; 5]));
        let text = Diff::new(&old, &new).text();
        assert!(text.contains("faster   -20.0 %"), "{text}");
        assert!(text.contains("slower   +10.0 %"), "{text}");
        assert!(text.contains("convgemm: -20.0 % in the geometric mean"), "{text}");
    }

    #[test]
    fn a_result_that_is_no_longer_right_is_the_first_that_is_told() {
        let old = one_case(&[1000; 5], timed("a", &[500; 5]));
        let new = one_case(&[100; 5], ResultRecord::new("a", Status::Wrong, None));
        let diff = Diff::new(&old, &new);
        assert_eq!(diff.changes[0].what, What::Status { old: Status::Timed, new: Status::Wrong });
        assert!(diff.text().starts_with("Timed → Wrong  a"));
    }

    #[test]
    fn what_only_one_of_them_has_is_counted_and_other_machines_are_warned_of() {
        let old = one_case(&[1000; 5], timed("a", &[500; 5]));
        let mut new = record(&ENGINES, vec![vec![timed("convgemm", &[1000; 5])], vec![timed("convgemm", &[9; 5])]]);
        new.machine.cpu = "another".into();
        let diff = Diff::new(&old, &new);
        assert_eq!((diff.only_old, diff.only_new, diff.unchanged), (1, 1, 1));
        assert!(diff.text().contains("warning: other machines: a processor, another"));
    }
}
