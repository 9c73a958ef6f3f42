//! The networks at a glance, as Markdown: engines down, what was computed across; and its place in a document.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::record::Record;
use super::summary::{Summary, summaries};
use super::wording::{BOUNDS, threads};
use crate::atomic::Output;
use crate::output::seconds;

/// A table of networks: the time of all layers, and its ratio to ours. Where an engine does not do all layers,
/// only the geometric mean of the ratios of those that it does.
pub fn overview(record: &Record) -> String {
    let summaries = summaries(record);
    let mut text = String::from("| |");
    for summary in &summaries {
        let _ = write!(text, " {} {}, batch {} |", summary.suite, summary.op, summary.batch);
    }
    let _ = write!(text, "\n|---|{}\n", "---:|".repeat(summaries.len()));
    let line = |i: usize| {
        let engine = &record.engines[i];
        let version = engine.hello.as_ref().map_or("", |hello| hello.version.as_str());
        let cells: String = summaries.iter().map(|summary| format!(" {} |", cell(summary, i))).collect();
        format!("| {} {version} |{cells}\n", engine.title())
    };
    let (bounds, engines): (Vec<usize>, Vec<usize>) =
        (0..record.engines.len()).partition(|&i| record.engines[i].is_bound);
    text.extend(engines.into_iter().map(line));
    let _ = write!(text, "| best peer of each layer |");
    for summary in &summaries {
        let ratio = summary.best_total.zip(summary.totals[0]).map(|(best, ours)| (best, best / ours));
        let _ = write!(text, " {} |", ratio.map_or_else(|| "–".to_owned(), |(best, ratio)| time(best, ratio)));
    }
    text.push('\n');
    text.extend(bounds.into_iter().map(line));
    let machine = &record.machine;
    let _ = write!(
        text,
        "\nTime of all layers, each as often as the network has it, and in brackets its ratio to the first line; \
         `≈` the geometric mean of the ratios where an engine does not do all layers, `–` where it does none. \
         {}{}, {}, {}, {}, f32.\n",
        if summaries.iter().any(|summary| summary.bounds) { BOUNDS } else { "" },
        machine.cpu,
        machine.isa.join(" "),
        threads(record),
        record.started.split('T').next().unwrap_or_default(),
    );
    text
}

fn cell(summary: &Summary, engine: usize) -> String {
    match (summary.totals[engine], summary.totals[0], summary.means[engine]) {
        (Some(total), Some(ours), _) => time(total, total / ours),
        (_, _, Some(mean)) => format!("(≈ {mean:.2})"),
        _ => "–".to_owned(),
    }
}

fn time(total: f64, ratio: f64) -> String {
    format!("{} ({ratio:.2})", seconds(total))
}

/// Puts `text` into a document, between the lines that are there for it: those of a section, if it has a name.
///
/// # Errors
/// A document without these lines, or that cannot be read or written.
pub fn put_into(path: &Path, section: Option<&str>, text: &str) -> Result<()> {
    let document = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let [begin, end] = marks(section);
    let document = replaced(&document, [&begin, &end], text)
        .with_context(|| format!("{} has no lines {begin} and {end}", path.display()))?;
    Output::create(path)?.write(|writer| Ok(writer.write_all(document.as_bytes())?))
}

/// The lines of a document between which the text is replaced.
fn marks(section: Option<&str>) -> [String; 2] {
    let name = section.map(|name| format!(" {name}")).unwrap_or_default();
    ["begin", "end"].map(|which| format!("<!-- convgemm compare{name}: {which} -->"))
}

fn replaced(document: &str, [begin, end]: [&str; 2], text: &str) -> Result<String> {
    let start = document.find(begin).context("no beginning")? + begin.len();
    let end = document.find(end).context("no end")?;
    ensure!(start <= end, "the end is before the beginning");
    Ok(format!("{}\n\n{}\n\n{}", &document[..start], text.trim_end(), &document[end..]))
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::{record, timed};
    use super::super::record::{ResultRecord, Status};
    use super::*;

    #[test]
    fn the_overview_has_totals_where_there_are_and_means_where_not() {
        let engines = [("convgemm", false), ("a", true), ("b", true), ("c", true)];
        let none = || ResultRecord::new("c", Status::Unsupported, None);
        let both = vec![timed("convgemm", &[1000]), timed("a", &[2000]), timed("b", &[3000]), none()];
        let some = vec![timed("convgemm", &[3000]), timed("a", &[6000]), none(), none()];
        let text = overview(&record(&engines, vec![both, some]));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[2], "| convgemm  | 7 µs (1.00) |");
        assert_eq!(lines[3], "| a  | 14 µs (2.00) |");
        assert_eq!(lines[4], "| b  | (≈ 3.00) |");
        assert_eq!(lines[5], "| c  | – |");
        assert_eq!(lines[6], "| best peer of each layer | 14 µs (2.00) |");
        assert!(!text.contains("bound"));
    }

    #[test]
    fn a_bound_stands_below_the_engines_and_is_explained() {
        let results = vec![timed("convgemm", &[1000]), timed("gemm", &[500]), timed("a", &[2000])];
        let mut record = record(&[("convgemm", false), ("gemm", false), ("a", true)], vec![results]);
        record.engines[1].is_bound = true;
        let text = overview(&record);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[3..6],
            ["| a  | 2 µs (2.00) |", "| best peer of each layer | 2 µs (2.00) |", "| gemm (bound)  | 500 ns (0.50) |"]
        );
        assert!(text.contains("A bound is the dense products"));
    }

    #[test]
    fn only_what_is_between_the_lines_of_a_document_is_replaced() {
        for section in [None, Some("other")] {
            let [begin, end] = marks(section);
            let put = |document: &str| replaced(document, [&begin, &end], "new\n");
            let [first, last] = marks(Some("first"));
            let document = format!("# Title\n{first}\nold\n{last}\n{begin}\nold\n{end}\nlast");
            let once = put(&document).unwrap();
            assert_eq!(once, format!("# Title\n{first}\nold\n{last}\n{begin}\n\nnew\n\n{end}\nlast"));
            assert_eq!(put(&once).unwrap(), once);
            assert!(put("no lines").is_err());
            assert!(put(&format!("{end}{begin}")).is_err());
        }
    }
}
