//! Summaries for people: in the terminal, as Markdown, and as CSV for other programs.

use std::fmt::Write as _;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use super::choice::choice;
use super::noise::{ERRORS, FLOOR};
use super::record::{Record, Status};
use super::summary::{Cell, Row, Summary, summaries};
use super::wording::{BOUNDS, threads};
use crate::output::seconds;

/// How a record is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For the terminal
    Table,
    /// The same for documents
    Markdown,
    /// Networks only, as Markdown: engines down, operations and batches across
    Overview,
    /// A line for each layer and engine
    Csv,
}

/// The record in a format.
///
/// # Errors
/// CSV that cannot be written.
pub fn show(record: &Record, format: Format) -> anyhow::Result<String> {
    Ok(match format {
        Format::Table => tables(record, false),
        Format::Markdown => tables(record, true),
        Format::Overview => super::overview::overview(record),
        Format::Csv => super::csv::csv(record)?,
    })
}

fn tables(record: &Record, markdown: bool) -> String {
    let mut text = String::new();
    for summary in summaries(record) {
        let title = format!("{}, {}, batch {}, {}", summary.suite, summary.op, summary.batch, threads(record));
        let heading = if markdown { "### " } else { "" };
        let table = table(&summary, markdown);
        let _ = writeln!(text, "{heading}{title}\n\n{table}\n\n{}\n", closing(&summary));
    }
    if let Some(choice) = choice(record) {
        // A list of lines of its own, also in Markdown.
        let choice = if markdown { choice.replace("\n  ", "\n- ").replacen('\n', "\n\n", 1) } else { choice };
        let _ = writeln!(text, "{choice}\n");
    }
    text.push_str(&notes(record, markdown));
    text
}

fn table(summary: &Summary, markdown: bool) -> String {
    let mut table = Table::new();
    table.load_preset(if markdown { presets::ASCII_MARKDOWN } else { presets::UTF8_BORDERS_ONLY });
    table.set_content_arrangement(ContentArrangement::Disabled);
    // Long names are broken at their hyphens, where the format lets a cell have lines.
    let name = |title: &String| if markdown { title.clone() } else { title.replace('-', "-\n").replace(' ', "\n") };
    let header = ["layer", "×", "time"].map(str::to_owned).into_iter();
    let header = header.chain(summary.engines.iter().map(name));
    table.set_header(header.chain(["best peer", "ratio", "% peak", "% roof"].map(str::to_owned)));
    for row in &summary.rows {
        table.add_row(cells(summary, row));
    }
    let columns = summary.engines.len() + 7;
    for column in (1..columns).filter(|&column| column != columns - 4) {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.to_string()
}

fn cells(summary: &Summary, row: &Row) -> Vec<String> {
    let time = row.cells.first().and_then(|cell| cell.seconds()).map_or_else(String::new, seconds);
    let speeds = row.cells.iter().map(|&cell| speed(cell, row.flops));
    let best = row.best.map_or_else(String::new, |(engine, _)| summary.engines[engine].clone());
    let percent = |share: Option<f64>| share.map_or_else(String::new, |share| format!("{:.0}", share * 100.0));
    let about = if row.is_noise { "~" } else { "" };
    let ratio = row.ratio.map_or_else(String::new, |ratio| format!("{about}{ratio:.2}"));
    let layer = if row.layer == row.notation { row.layer.clone() } else { format!("{} {}", row.layer, row.notation) };
    let first = [layer, row.count.to_string(), time].into_iter();
    first.chain(speeds).chain([best, ratio, percent(row.of_peak), percent(row.of_roofline)]).collect()
}

/// GFLOP/s, or why there is no number.
fn speed(cell: Cell, flops: f64) -> String {
    match cell {
        Cell::Time(seconds) => {
            let gflops = flops / seconds / 1e9;
            if gflops < 9.95 { format!("{gflops:.1}") } else { format!("{gflops:.0}") }
        }
        Cell::No(Status::Unsupported) => "–".to_owned(),
        Cell::No(Status::Wrong) => "wrong".to_owned(),
        Cell::No(Status::Suspect) => "suspect".to_owned(),
        Cell::No(_) => "failed".to_owned(),
    }
}

/// Lines below a table: the network as a whole.
fn closing(summary: &Summary) -> String {
    let ours = summary.engines.first().map_or("", String::as_str);
    let mut lines = vec![
        "Numbers are GFLOP/s by the definition, times the first decile of the runs. Ratio: the best peer's time over ours."
            .to_owned(),
    ];
    let within = summary.rows.iter().filter(|row| row.is_noise).count();
    if within > 0 {
        let (layers, floor) = (summary.rows.len(), FLOOR * 100.0);
        lines.push(format!(
            "~ is a ratio that noise explains, {within} of {layers}: not {ERRORS} standard errors of its rounds from 1, or not {floor} %."
        ));
    }
    if summary.bounds {
        lines.push(BOUNDS.trim_end().to_owned());
    }
    if let Some(mean) = summary.best_mean {
        lines.push(format!("Geometric mean of the ratios to the best peer of each layer: {mean:.3}."));
    }
    let engine = |i: usize| {
        let mean = summary.means[i].map(|mean| format!("× {mean:.2} of {ours}'s time"));
        let total = summary.totals[i].map(|total| format!("{} for the network", seconds(total)));
        let parts: Vec<String> = [total, mean.filter(|_| i > 0)].into_iter().flatten().collect();
        (!parts.is_empty()).then(|| format!("{}: {}", summary.engines[i], parts.join(", ")))
    };
    lines.extend((0..summary.engines.len()).filter_map(engine));
    if let Some(total) = summary.best_total {
        lines.push(format!("best peer of each layer: {} for the network", seconds(total)));
    }
    if let Some((mean, total)) = summary.limit {
        lines.push(format!(
            "limit, multiply-adds at their peak, with the products of Winograd's schemes: {} for the network, geometric mean {mean:.3}",
            seconds(total)
        ));
    }
    lines.join("\n")
}

/// What is to be known to judge the numbers: machine, engines, how quiet it was, and what went wrong.
fn notes(record: &Record, markdown: bool) -> String {
    let machine = &record.machine;
    let mut lines = vec![
        format!(
            "{}, {} cores, {}; {}; {}",
            machine.cpu,
            machine.cores,
            machine.isa.join(" "),
            machine.system,
            record.started
        ),
        quiet(record),
    ];
    for engine in &record.engines {
        let who = engine.hello.as_ref().map_or_else(String::new, |hello| {
            format!(" {}, {}, {}", hello.version, hello.isa, hello.features.join(" "))
        });
        let note = engine.note.as_ref().map_or_else(String::new, |note| format!(" ({note})"));
        lines.push(format!("{}:{who}{note}", engine.label));
    }
    for case in &record.cases {
        for result in &case.results {
            let note = result.note.as_deref().unwrap_or("");
            if !matches!(result.status, Status::Timed | Status::Unsupported) {
                lines.push(format!("{}, {}: {:?}: {note}", case.id, result.engine, result.status));
            }
        }
    }
    if !record.complete {
        lines.push("Not complete: it was stopped before the last case.".to_owned());
    }
    let mark = if markdown { "- " } else { "" };
    lines.iter().map(|line| format!("{mark}{line}\n")).collect()
}

/// Below this share of the best probe, something else was running.
const QUIET: f64 = 0.9;
/// Processes beside the engine's threads above which something else was running: a short probe may find a gap
/// between the others' turns, the load of a minute does not.
const OTHERS: f64 = 1.0;

fn quiet(record: &Record) -> String {
    let (peaks, copies, loads): (Vec<f64>, Vec<f64>, Vec<f64>) = {
        let probes = || record.probes.iter();
        let peaks = probes().map(super::probe::Probe::peak).collect();
        (peaks, probes().map(|probe| probe.copy_gb_per_second).collect(), probes().map(|probe| probe.load).collect())
    };
    let range = |values: &[f64]| {
        (values.iter().copied().fold(f64::INFINITY, f64::min), values.iter().copied().fold(0.0, f64::max))
    };
    let ((low, high), (slow, fast), (least, most)) = (range(&peaks), range(&copies), range(&loads));
    let busy = record.settings.threads as f64 + OTHERS;
    let waits = waits(record);
    let disturbed = peaks.iter().zip(&loads).filter(|&(&peak, &load)| peak < QUIET * high || load > busy).count();
    let verdict = match disturbed {
        0 => "the machine was quiet".to_owned(),
        n => format!("the machine was disturbed at {n} of {}", peaks.len()),
    };
    format!(
        "Probes: multiply-adds {low:.0} to {high:.0} GFLOP/s, copies {slow:.0} to {fast:.0} GB/s, load {least:.1} to {most:.1}; \
         {waits}{verdict}."
    )
}

/// Of the turns that were disturbed, which a short probe between two cases may not see.
fn waits(record: &Record) -> String {
    let results = || record.cases.iter().flat_map(|case| &case.results);
    let disturbed: usize = results().map(|result| result.disturbed_ns.len()).sum();
    if disturbed == 0 {
        return String::new();
    }
    let turns = disturbed + results().map(|result| result.rounds_ns.len()).sum::<usize>();
    let counting = match results().filter(|result| result.counts_disturbed()).count() {
        0 => "do not count".to_owned(),
        n => format!("do not count but for their fastest run in {n} results, which have too few others"),
    };
    format!("{disturbed} of {turns} turns, in which an engine had to wait for its processor, {counting}; ")
}

#[cfg(test)]
mod tests {
    use super::super::record::ResultRecord;
    use super::super::record::tests::{record, timed};
    use super::*;

    fn two_engines() -> Record {
        let both = vec![timed("convgemm", &[1000]), timed("torch-x", &[2000])];
        let one = vec![timed("convgemm", &[3000]), ResultRecord::new("torch-x", Status::Wrong, Some("by far".into()))];
        record(&[("convgemm", false), ("torch-x", true)], vec![both, one])
    }

    #[test]
    fn the_table_has_a_row_for_each_layer_and_says_what_went_wrong() {
        let text = show(&two_engines(), Format::Table).unwrap();
        assert!(text.contains("own, conv, batch 1, 1 thread"));
        let row = text.lines().find(|line| line.contains("layer0 8x3x3@8")).unwrap();
        assert!(row.contains("torch-x") && row.contains("2.00"), "{row}");
        assert!(text.contains("layer1 conv n1, torch-x: Wrong: by far"), "{text}");
        assert!(text.contains("mean of the ratios to the best peer of each layer: 2.000"));
        // A quarter of 73728 operations at 100 GFLOP/s take 184 ns; the second layer counts twice.
        assert!(
            text.contains("the products of Winograd's schemes: 553 ns for the network, geometric mean 10.851"),
            "{text}"
        );
        assert!(text.contains("convgemm: 7 µs for the network"), "{text}");
    }

    #[test]
    fn markdown_has_one_line_for_each_row() {
        let text = show(&two_engines(), Format::Markdown).unwrap();
        let rows: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
        assert_eq!(rows.len(), 4, "{text}");
        assert!(rows.iter().all(|row| row.matches('|').count() == rows[0].matches('|').count()));
        assert!(text.starts_with("### own, conv, batch 1"));
    }

    #[test]
    fn a_disturbed_machine_is_told() {
        let mut record = two_engines();
        assert!(show(&record, Format::Table).unwrap().contains("the machine was quiet"));
        let mut probe = record.probes[0].clone();
        probe.gflops.insert("avx2+fma".into(), 50.0);
        record.probes.push(probe);
        assert!(show(&record, Format::Table).unwrap().contains("disturbed at 1 of 2"));
        record.probes[0].load = 4.0;
        assert!(show(&record, Format::Table).unwrap().contains("disturbed at 2 of 2"));
    }

    #[test]
    fn turns_that_had_to_wait_are_told_and_ratios_within_noise_are_marked() {
        let mut record =
            record(&[("a", false), ("b", false)], vec![vec![timed("a", &[1000; 3]), timed("b", &[1010; 3])]]);
        let text = show(&record, Format::Markdown).unwrap();
        assert!(
            text.contains("~1.01") && text.contains("noise explains, 1 of 1:") && !text.contains("turns"),
            "{text}"
        );
        record.cases[0].results[0].disturbed_ns = vec![vec![9000]; 2];
        assert!(show(&record, Format::Table).unwrap().contains("2 of 8 turns, in which"));
        record.cases[0].results[0].rounds_ns.pop();
        assert!(show(&record, Format::Table).unwrap().contains("fastest run in 1 results, which"));
    }
}
