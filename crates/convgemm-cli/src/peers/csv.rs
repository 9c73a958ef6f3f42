//! A line for each layer and engine, for spreadsheets and other programs.

use anyhow::Result;

use super::record::Record;

const HEADER: [&str; 21] = [
    "suite",
    "layer",
    "notation",
    "count",
    "op",
    "batch",
    "threads",
    "flops",
    "bytes",
    "roofline_ns",
    "engine",
    "status",
    "algorithm",
    "time_ns",
    "median_ns",
    "min_ns",
    "mad_ns",
    "samples",
    "error_max",
    "error_rms",
    "note",
];

/// # Errors
/// None that can be thought of: it is written to memory.
pub fn csv(record: &Record) -> Result<String> {
    let mut writer = csv_core_writer();
    writer.write_record(HEADER)?;
    let number = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
    for case in &record.cases {
        for result in &case.results {
            writer.write_record([
                case.suite.clone(),
                case.layer.clone(),
                case.notation.clone(),
                case.count.to_string(),
                case.op.to_string(),
                case.batch.to_string(),
                record.settings.threads.to_string(),
                case.flops.to_string(),
                case.bytes.to_string(),
                case.roofline_ns.to_string(),
                result.engine.clone(),
                serde_json::to_value(result.status)?.as_str().unwrap_or_default().to_owned(),
                result.algorithm.clone().unwrap_or_default(),
                number(result.time_ns),
                number(result.median_ns),
                number(result.min_ns),
                number(result.mad_ns),
                result.counted().flatten().count().to_string(),
                number(result.error_max),
                number(result.error_rms),
                result.note.clone().unwrap_or_default(),
            ])?;
        }
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}

fn csv_core_writer() -> csv::Writer<Vec<u8>> {
    csv::Writer::from_writer(Vec::new())
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::{record, timed};
    use super::super::record::{ResultRecord, Status};
    use super::*;

    #[test]
    fn a_line_has_a_field_for_each_of_the_header_whatever_the_note_contains() {
        let odd = ResultRecord::new("b", Status::Failed, Some("a \"quoted\", text\nof two lines".into()));
        let text = csv(&record(&[], vec![vec![timed("a", &[5]), odd]])).unwrap();
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let rows: Vec<_> = reader.records().collect::<Result<_, _>>().unwrap();
        assert_eq!(rows.len(), 2);
        assert_eq!((&rows[0][10], &rows[0][11], &rows[0][13]), ("a", "timed", "5"));
        assert_eq!((&rows[1][11], &rows[1][13], &rows[1][20]), ("failed", "", "a \"quoted\", text\nof two lines"));
    }
}
