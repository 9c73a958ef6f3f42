//! What a record says: per layer and per network, our engine beside the others. Computed here, written elsewhere.

use convgemm_suites::{Layer, Op};

use super::noise::Ratio;
use super::record::{CaseRecord, EngineRecord, Record, ResultRecord, Status};
use super::stats::geometric_mean;

/// The layers of one suite for one operation and batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    pub suite: String,
    pub op: Op,
    pub batch: usize,
    /// Titles, ours first: the first engine that was asked for is the one that the others are held against.
    pub engines: Vec<String>,
    /// Whether bounds are among them.
    pub bounds: bool,
    pub rows: Vec<Row>,
    /// For each engine, the time of the whole network: each layer as often as the network has it. Only if the
    /// engine was timed in all of them.
    pub totals: Vec<Option<f64>>,
    /// For each engine, the geometric mean over layers of its time over ours.
    pub means: Vec<Option<f64>>,
    /// The geometric mean over layers of the best peer's time over ours.
    pub best_mean: Option<f64>,
    /// What `best_mean` and our total would be if multiply-adds took all of the time, at their peak, and layers of three and
    /// five taps had the products of Winograd's schemes: without Strassen's multiplication, which saves an eighth, more is out of reach.
    pub limit: Option<(f64, f64)>,
    /// The sum over layers of the best peer of each, as often as the network has it.
    pub best_total: Option<f64>,
}

/// A layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub layer: String,
    pub notation: String,
    pub count: usize,
    pub flops: f64,
    /// For each engine.
    pub cells: Vec<Cell>,
    /// The fastest peer, by its place among the engines, and its time in seconds.
    pub best: Option<(usize, f64)>,
    /// The best peer's time over ours: above 1 we are faster.
    pub ratio: Option<f64>,
    /// Whether that is no further from 1 than noise explains.
    pub is_noise: bool,
    /// Our speed over the peak of multiply-adds; Winograd, which needs fewer, may be above 1.
    pub of_peak: Option<f64>,
    /// The roofline's time over ours.
    pub of_roofline: Option<f64>,
}

/// An engine in a layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell {
    /// Seconds.
    Time(f64),
    /// Why there is no time.
    No(Status),
}

impl Cell {
    fn of(result: Option<&ResultRecord>) -> Self {
        let status = result.map_or(Status::Failed, |result| result.status);
        result.and_then(ResultRecord::seconds).map_or(Self::No(status), Self::Time)
    }

    pub fn seconds(self) -> Option<f64> {
        match self {
            Self::Time(seconds) => Some(seconds),
            Self::No(_) => None,
        }
    }
}

/// The summaries of a record, in the order of its cases.
pub fn summaries(record: &Record) -> Vec<Summary> {
    let mut groups: Vec<Vec<&CaseRecord>> = Vec::new();
    for case in &record.cases {
        let key = |case: &CaseRecord| (case.suite.clone(), case.op, case.batch);
        match groups.iter_mut().find(|group| key(group[0]) == key(case)) {
            Some(group) => group.push(case),
            None => groups.push(vec![case]),
        }
    }
    groups.into_iter().map(|group| summary(record, &group)).collect()
}

fn summary(record: &Record, cases: &[&CaseRecord]) -> Summary {
    let peers = peers(record);
    let peak = record.peak_gflops() * 1e9;
    let row = |case: &&CaseRecord| {
        let cells: Vec<Cell> = record.engines.iter().map(|engine| Cell::of(case.result(&engine.label))).collect();
        let ours = cells.first().and_then(|cell| cell.seconds());
        let timed = peers.iter().filter_map(|&i| Some((i, cells[i].seconds()?)));
        let best = timed.min_by(|a, b| a.1.total_cmp(&b.1));
        let of_engine = |i: usize| case.result(&record.engines.get(i)?.label);
        let against_best = best.and_then(|(i, _)| Ratio::of(of_engine(i)?, of_engine(0)?));
        Row {
            layer: case.layer.clone(),
            notation: case.notation.clone(),
            count: case.count,
            flops: case.flops,
            best,
            ratio: best.zip(ours).map(|((_, best), ours)| best / ours),
            is_noise: against_best.is_some_and(|ratio| !ratio.is_real()),
            of_peak: ours.map(|ours| case.flops / ours / peak),
            of_roofline: ours.map(|ours| case.roofline_ns as f64 / 1e9 / ours),
            cells,
        }
    };
    let rows: Vec<Row> = cases.iter().map(row).collect();
    let engines = 0..record.engines.len();
    let mean = |engine: usize| {
        let ratios = rows.iter().filter_map(|row| Some(row.cells[engine].seconds()? / row.cells[0].seconds()?));
        geometric_mean(&ratios.collect::<Vec<_>>())
    };
    let total = |engine: usize| rows.iter().map(|row| Some(row.cells[engine].seconds()? * row.count as f64)).sum();
    Summary {
        suite: cases[0].suite.clone(),
        op: cases[0].op,
        batch: cases[0].batch,
        engines: record.engines.iter().map(EngineRecord::title).collect(),
        bounds: record.engines.iter().any(|engine| engine.is_bound),
        totals: engines.clone().map(total).collect(),
        means: engines.map(mean).collect(),
        best_mean: geometric_mean(&rows.iter().filter_map(|row| row.ratio).collect::<Vec<_>>()),
        limit: limit(cases, &rows, peak),
        best_total: rows.iter().map(|row| Some(row.best?.1 * row.count as f64)).sum(),
        rows,
    }
}

/// [`Summary::limit`], with the peak in FLOP/s.
fn limit(cases: &[&CaseRecord], rows: &[Row], peak: f64) -> Option<(f64, f64)> {
    let least = |case: &CaseRecord| {
        let layer: Layer = case.notation.parse().ok()?;
        Some(layer.fewest_flops(case.op, case.batch) / peak)
    };
    let ratios = cases.iter().zip(rows).filter_map(|(case, row)| Some(row.best?.1 / least(case)?));
    let mean = geometric_mean(&ratios.collect::<Vec<_>>())?;
    Some((mean, cases.iter().map(|case| Some(least(case)? * case.count as f64)).sum::<Option<f64>>()?))
}

/// The engines of which the best is taken: the peers; if there are none, all but the first and the bounds.
fn peers(record: &Record) -> Vec<usize> {
    let those = |wanted: fn(&EngineRecord) -> bool| {
        (1..record.engines.len()).filter(|&i| wanted(&record.engines[i])).collect::<Vec<usize>>()
    };
    let peers = those(|engine| engine.is_peer);
    if peers.is_empty() { those(|engine| !engine.is_bound) } else { peers }
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::{record, timed};
    use super::*;

    #[test]
    fn the_best_peer_is_neither_a_bound_nor_our_own_nor_one_that_was_caught_lying() {
        let engines = [("convgemm", false), ("a", true), ("b", true), ("gemm", false)];
        let mut liar = timed("b", &[10]);
        liar.status = Status::Suspect;
        let results = vec![timed("convgemm", &[1000]), timed("a", &[1500]), liar, timed("gemm", &[500])];
        let found = &summaries(&record(&engines, vec![results]))[0];
        let row = &found.rows[0];
        assert_eq!((row.best, row.is_noise), (Some((1, 1.5e-6)), false));
        assert!((row.ratio.unwrap() - 1.5).abs() < 1e-9);
        assert_eq!(row.cells[2], Cell::No(Status::Suspect));
    }

    #[test]
    fn totals_count_each_layer_as_often_as_the_network_has_it_and_need_all_of_them() {
        let both = vec![timed("convgemm", &[1000]), timed("a", &[2000])];
        let ours = vec![timed("convgemm", &[3000]), ResultRecord::new("a", Status::Unsupported, None)];
        let found = &summaries(&record(&[("convgemm", false), ("a", true)], vec![both, ours]))[0];
        // The second layer counts twice.
        assert!((found.totals[0].unwrap() - 7e-6).abs() < 1e-12);
        assert_eq!((found.totals[1], found.best_total), (None, None));
        assert!((found.means[1].unwrap() - 2.0).abs() < 1e-9, "{:?}", found.means);
        assert!((found.best_mean.unwrap() - 2.0).abs() < 1e-9);
    }

    #[test]
    fn without_peers_the_others_are_held_against_the_first() {
        let results = vec![timed("convgemm", &[1000]), timed("convgemm#2", &[1010])];
        let found = &summaries(&record(&[("convgemm", false), ("convgemm#2", false)], vec![results]))[0];
        assert!((found.best_mean.unwrap() - 1.01).abs() < 1e-9 && found.rows[0].is_noise);
    }

    #[test]
    fn a_bound_is_no_peer_even_where_there_is_no_other_and_is_named_as_such() {
        let results = vec![timed("convgemm", &[1000]), timed("gemm", &[500])];
        let mut record = record(&[("convgemm", false), ("gemm", false)], vec![results]);
        record.engines[1].is_bound = true;
        let found = &summaries(&record)[0];
        assert_eq!((found.rows[0].best, found.best_mean), (None, None));
        assert_eq!((found.engines[1].as_str(), found.means[1]), ("gemm (bound)", Some(0.5)));
    }

    #[test]
    fn the_share_of_the_peak_is_that_of_the_best_probe() {
        let mut one = record(&[("convgemm", false)], vec![vec![timed("convgemm", &[1_000])]]);
        let mut disturbed = one.probes[0].clone();
        disturbed.gflops.insert("avx2+fma".into(), 10.0);
        one.probes.push(disturbed);
        let flops = one.cases[0].flops;
        let row = &summaries(&one)[0].rows[0];
        assert!((row.of_peak.unwrap() - flops / 1e-6 / 100e9).abs() < 1e-9);
        assert_eq!(row.best, None);
    }
}
