//! How good the first engine's own choice of an algorithm is, where it takes part with other algorithms too.

use std::fmt::Write as _;

use super::record::{CaseRecord, EngineRecord, Record, ResultRecord, Status};
use super::stats::geometric_mean;

/// What a choice should not cost more than, as a ratio to the best.
const TOLERATED: f64 = 1.05;

/// A case in which the choice is not the best algorithm.
#[derive(Debug, Clone, PartialEq)]
struct Missed {
    case: String,
    chosen: String,
    best: String,
    /// The time of the choice over the best algorithm's.
    ratio: f64,
}

/// A few lines on the choice, or `None` where no other algorithm of the first engine takes part.
///
/// Times are the shortest of all samples: what comes on top of it is not the algorithm's. Where the best algorithm is the one
/// that was chosen, the ratio is 1, whatever the two measurements of it were.
pub fn choice(record: &Record) -> Option<String> {
    let (first, others) = record.engines.split_first()?;
    let forced: Vec<&EngineRecord> =
        others.iter().filter(|engine| engine.label.starts_with(&format!("{}:", first.label))).collect();
    if forced.is_empty() {
        return None;
    }
    let found = record.cases.iter().filter_map(|case| missed(case, first, &forced));
    let mut found: Vec<Missed> = found.collect();
    found.sort_by(|a, b| b.ratio.total_cmp(&a.ratio));
    let worst = found.first()?;
    let ratios: Vec<f64> = found.iter().map(|missed| missed.ratio).collect();
    let beyond: Vec<&Missed> = found.iter().filter(|missed| missed.ratio > TOLERATED).collect();
    let mut text = format!(
        "{} is at most {} slower than the best of its own algorithms; geometric mean over {} layers {:.3}; layers beyond {}: {}",
        first.label,
        percent(worst.ratio),
        ratios.len(),
        geometric_mean(&ratios)?,
        percent(TOLERATED),
        if beyond.is_empty() { "none".to_owned() } else { beyond.len().to_string() },
    );
    for Missed { case, chosen, best, ratio } in beyond {
        let _ = write!(text, "\n  {case}: {chosen} is {} slower than {best}", percent(*ratio));
    }
    Some(text)
}

fn percent(ratio: f64) -> String {
    format!("{:.0} %", (ratio - 1.0) * 100.0)
}

fn missed(case: &CaseRecord, first: &EngineRecord, forced: &[&EngineRecord]) -> Option<Missed> {
    let timed = |engine: &EngineRecord| case.result(&engine.label).filter(|result| result.status == Status::Timed);
    let ours = timed(first)?;
    let time = |result: &ResultRecord| result.min_ns.unwrap_or(f64::INFINITY);
    let best = forced.iter().filter_map(|engine| timed(engine)).min_by(|a, b| time(a).total_cmp(&time(b)));
    let best = best.filter(|best| best.algorithm != ours.algorithm && time(best) < time(ours)).unwrap_or(ours);
    let name = |result: &ResultRecord| result.algorithm.clone().unwrap_or_else(|| result.engine.clone());
    // A layer of one's own has its notation for a name.
    let notation = if case.layer == case.notation { String::new() } else { format!(" {}", case.notation) };
    let case = format!("{}{notation}", case.id);
    Some(Missed { case, chosen: name(ours), best: name(best), ratio: time(ours) / time(best) })
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::{record, timed};
    use super::*;

    fn by(engine: &str, algorithm: &str, nanoseconds: u64) -> ResultRecord {
        ResultRecord { algorithm: Some(algorithm.into()), ..timed(engine, &[nanoseconds]) }
    }

    #[test]
    fn what_a_wrong_choice_costs_is_told_and_a_right_one_costs_nothing() {
        let engines = [("convgemm", false), ("convgemm:a", false), ("convgemm:b", false), ("other", true)];
        let case = |chosen: &str, ours, a, b| {
            vec![by("convgemm", chosen, ours), by("convgemm:a", "a", a), by("convgemm:b", "b", b), by("other", "c", 1)]
        };
        // Right; right and measured to be slower than itself; wrong.
        let cases = vec![case("a", 1000, 1000, 3000), case("a", 1200, 1000, 3000), case("a", 3000, 3010, 2000)];
        let text = choice(&record(&engines, cases)).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(lines[0].starts_with("convgemm is at most 50 % slower than the best of its own algorithms"), "{text}");
        assert!(lines[0].ends_with("over 3 layers 1.145; layers beyond 5 %: 1"), "{text}");
        assert!(
            lines[1].starts_with("  own/layer2 conv n1 8x3x3@8: ") && lines[1].ends_with("a is 50 % slower than b"),
            "{text}"
        );
    }

    #[test]
    fn an_algorithm_that_cannot_do_a_layer_has_no_part_and_others_have_no_algorithms_of_ours() {
        let engines = [("convgemm", false), ("convgemm:a", false)];
        let unsupported = ResultRecord::new("convgemm:a", Status::Unsupported, None);
        let text = choice(&record(&engines, vec![vec![by("convgemm", "b", 1000), unsupported]])).unwrap();
        assert!(text.contains("at most 0 % slower") && text.ends_with("layers beyond 5 %: none"), "{text}");
        let engines = [("convgemm", false), ("convgemm#2", false), ("other", true)];
        assert_eq!(choice(&record(&engines, vec![vec![by("convgemm", "b", 1000)]])), None);
    }
}
