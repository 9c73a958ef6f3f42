//! `convgemm filter --compare`: the same job by different algorithms, verified and then timed.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use convgemm::Algorithm;
use ndarray::{Array4, Zip};
use serde::Serialize;

use crate::memory::filled;
use crate::output;
use crate::picture::Picture;
use crate::pipeline::{Filter, planes};

/// The first is what the others are held against.
const ALGORITHMS: [Algorithm; 3] = [Algorithm::Direct, Algorithm::Im2col, Algorithm::Im2colTiled];

/// How far two orders of the same sum may lie apart, as a fraction of the largest that it can be: single
/// precision has 6e-8, and rounding grows with the number of cells, of which a kernel has up to a million.
const TOLERANCE: f64 = 1e-4;

/// Runs are repeated for so long, and at least and at most so often.
const ENOUGH: Duration = Duration::from_millis(400);
const FEWEST: usize = 3;
const MOST: usize = 100;

/// The comparison of one job.
#[derive(Debug, Serialize)]
pub struct Comparison {
    picture: String,
    width: usize,
    height: usize,
    channels: usize,
    // The report of the job has these two.
    #[serde(skip)]
    kernel: String,
    #[serde(skip)]
    threads: usize,
    backend: String,
    flops: f64,
    algorithms: Vec<Row>,
}

/// One algorithm: its measurement, or why there is none.
#[derive(Debug, Serialize)]
struct Row {
    algorithm: String,
    #[serde(flatten)]
    outcome: Outcome,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Outcome {
    Measured(Measured),
    Skipped { skipped: String },
}

#[derive(Debug, Serialize)]
struct Measured {
    /// Median of the runs, for all channels of the picture.
    seconds: f64,
    runs: usize,
    gflops: f64,
    workspace_bytes: usize,
    /// Largest difference from the first algorithm, for a picture of values 0 to 1.
    max_difference: f64,
}

impl Comparison {
    /// Measures `filter` on `picture`.
    ///
    /// # Errors
    /// A job that cannot be done, or algorithms that do not agree.
    pub fn measure(name: String, picture: &Picture, filter: &Filter) -> Result<Self> {
        let colors = if filter.gray { 1 } else { picture.colors };
        let batch = filter.batch(picture);
        let explanation = filter.plan(picture, batch, ALGORITHMS[0])?.explain();
        let mut comparison = Self {
            picture: name,
            width: picture.width,
            height: picture.height,
            channels: colors,
            kernel: filter.kernel.name.clone(),
            threads: rayon::current_num_threads(),
            backend: explanation.backend.to_string(),
            flops: explanation.flops * (colors / batch) as f64,
            algorithms: Vec::new(),
        };
        let mut reference = None;
        for algorithm in ALGORITHMS {
            let outcome = comparison.row(algorithm, picture, filter, &mut reference)?;
            comparison.algorithms.push(Row { algorithm: algorithm.to_string(), outcome });
        }
        Ok(comparison)
    }

    /// Verifies the first channels against `reference`, then times all channels.
    fn row(
        &self,
        algorithm: Algorithm,
        picture: &Picture,
        filter: &Filter,
        reference: &mut Option<Array4<f32>>,
    ) -> Result<Outcome> {
        let batch = filter.batch(picture);
        let plan = filter.plan(picture, batch, algorithm)?;
        let mut input = planes(&plan.input_shape())?;
        let mut result = planes(&plan.output_shape())?;
        let mut workspace = match filled("the workspace", plan.workspace_len(), 0.0) {
            Ok(workspace) => workspace,
            Err(error) => return Ok(Outcome::Skipped { skipped: error.to_string() }),
        };
        filter.read(picture, 0, &mut input);
        plan.run_into(&input, &mut result, &mut workspace)?;
        let max_difference = reference.as_ref().map_or(0.0, |reference| max_difference(reference, &result));
        let bound = TOLERANCE * filter.kernel.cells.iter().map(|cell| cell.abs()).sum::<f64>();
        ensure!(
            max_difference <= bound,
            "{algorithm} differs from {} by {max_difference:e}, more than {bound:e}: please report this",
            ALGORITHMS[0]
        );
        if reference.is_none() {
            *reference = Some(result.clone());
        }
        let (mut times, begin) = (Vec::new(), Instant::now());
        while times.len() < FEWEST || (begin.elapsed() < ENOUGH && times.len() < MOST) {
            let start = Instant::now();
            plan.run_into(&input, &mut result, &mut workspace)?;
            times.push(start.elapsed());
        }
        times.sort_unstable();
        let seconds = times[times.len() / 2].as_secs_f64() * (self.channels / batch) as f64;
        Ok(Outcome::Measured(Measured {
            seconds,
            runs: times.len(),
            gflops: self.flops / seconds / 1e9,
            workspace_bytes: size_of_val(workspace.as_slice()),
            max_difference,
        }))
    }

    /// A table for people.
    pub fn text(&self) -> String {
        let Self { picture, width, height, channels, kernel, threads, backend, .. } = self;
        let mut out = format!(
            "{picture}: {width} × {height} pixels, {channels} channel{}, kernel {kernel}, {threads} thread{}, backend {backend}\n",
            if *channels == 1 { "" } else { "s" },
            if *threads == 1 { "" } else { "s" },
        );
        let _ = writeln!(out, "{:<14}{:>10}{:>10}{:>12}   max difference", "algorithm", "time", "GFLOP/s", "workspace");
        for Row { algorithm, outcome } in &self.algorithms {
            let _ = match outcome {
                Outcome::Skipped { skipped } => writeln!(out, "{algorithm:<14}{skipped}"),
                Outcome::Measured(Measured { seconds, gflops, workspace_bytes, max_difference, .. }) => writeln!(
                    out,
                    "{algorithm:<14}{:>10}{gflops:>10.2}{:>12}   {max_difference:.1e}",
                    output::seconds(*seconds),
                    output::bytes(*workspace_bytes as f64),
                ),
            };
        }
        out
    }
}

fn max_difference(a: &Array4<f32>, b: &Array4<f32>) -> f64 {
    // A NaN on one side only must not pass as no difference.
    Zip::from(a).and(b).fold(0.0, |largest: f64, &a, &b| {
        let difference = (f64::from(a) - f64::from(b)).abs();
        if difference.is_nan() { f64::INFINITY } else { largest.max(difference) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nan_is_a_difference_without_end() {
        let a = Array4::<f32>::zeros((1, 1, 1, 3));
        let mut b = a.clone();
        b[[0, 0, 0, 1]] = 0.25;
        assert_eq!(max_difference(&a, &b), 0.25);
        b[[0, 0, 0, 0]] = f32::NAN;
        assert_eq!(max_difference(&a, &b), f64::INFINITY);
    }
}
