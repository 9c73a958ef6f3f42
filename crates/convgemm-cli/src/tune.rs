//! `convgemm explain --tune`: every algorithm that can do a case, with its predicted and its measured time.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::Result;
use convgemm::{Timing, Tuning};
use convgemm_protocol::Op;
use indicatif::ProgressBar;
use serde::Serialize;

use crate::case::{Axes, Case, Visitor, dispatch, shape};
use crate::npy::Scalar;
use crate::output::seconds;

/// The candidates, the fastest first.
#[derive(Debug, Serialize)]
pub struct Measured {
    fastest: String,
    candidates: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    algorithm: String,
    /// Of a run on one thread.
    predicted_seconds: f64,
    /// Of a run on all threads; `null` if it was not tried, since it would take far longer.
    measured_seconds: Option<f64>,
}

/// Measures `case`, and shows on a terminal that something is going on.
///
/// # Errors
/// An impossible case, or one whose arrays the memory does not hold.
pub fn tune(case: &Case) -> Result<Measured> {
    let spinner = ProgressBar::new_spinner().with_message("measuring");
    spinner.enable_steady_tick(Duration::from_millis(100));
    let timings = dispatch(case.dtype, case.input.len(), Tune(case));
    spinner.finish_and_clear();
    let row = |timing: Timing| Row {
        algorithm: timing.algorithm.to_string(),
        predicted_seconds: timing.predicted_seconds,
        measured_seconds: timing.measured.map(|time| time.as_secs_f64()),
    };
    let candidates: Vec<Row> = timings?.into_iter().map(row).collect();
    Ok(Measured { fastest: candidates.first().map(|row| row.algorithm.clone()).unwrap_or_default(), candidates })
}

struct Tune<'a>(&'a Case);

impl Visitor for Tune<'_> {
    type Output = Vec<Timing>;

    fn visit<T: Scalar, const D: usize>(self) -> Result<Vec<Timing>>
    where
        [usize; D]: Axes,
    {
        let case = self.0;
        let options = case.settings.options::<D>()?;
        let (input, weight) = (shape::<D>("the input", &case.input)?, shape::<D>("the weight", &case.weight)?);
        let tuning = match case.op {
            Op::Conv => Tuning::conv::<T>(input, weight, &options),
            Op::ConvTranspose => Tuning::conv_transpose::<T>(input, weight, &options),
            Op::InputGrad => Tuning::input_grad::<T>(input, weight, &options),
            Op::WeightGrad => Tuning::weight_grad::<T>(input, weight, &options),
        };
        Ok(tuning?.timings)
    }
}

impl Measured {
    /// A table for people.
    pub fn text(&self, threads: usize) -> String {
        let threads = if threads == 1 { "1 thread".to_owned() } else { format!("{threads} threads") };
        let mut out =
            format!("\n{:<14}{:>22}{:>24}\n", "candidate", "predicted (1 thread)", format!("measured ({threads})"));
        for Row { algorithm, predicted_seconds, measured_seconds } in &self.candidates {
            let measured = measured_seconds.map_or_else(|| "not tried".to_owned(), seconds);
            let _ = writeln!(out, "{algorithm:<14}{:>22}{measured:>24}", seconds(*predicted_seconds));
        }
        out
    }
}
