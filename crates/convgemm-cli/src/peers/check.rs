//! Whether an engine is to be believed: its result against the oracle, its times against the clock on the wall
//! and against what the machine can do.

use std::path::Path;
use std::time::Duration;

use convgemm_suites::oracle::{Deviation, Expected};

use crate::npy::AnyArray;

/// Largest difference that is accepted, scaled by the largest value. Single precision gives 1e-7 to 1e-5, with
/// the largest tiles of Winograd's algorithm too; storage in half precision 2e-4 and more, in bfloat16 1e-3.
pub const TOLERANCE: f64 = 1e-4;
/// Times the peak of multiply-adds, counted by the definition. Winograd with the largest tiles in use, F(6, 3),
/// saves a factor of 5.06; nothing that works in f32 saves more.
const FASTEST: f64 = 6.0;
/// Wall-clock time beside that of the runs which an honest worker may need in a turn: for the message, for waking
/// up, for a first run that may take as long as a few.
const SLACK: Duration = Duration::from_millis(5);
const FIRST_RUNS: f64 = 4.0;
/// An honest worker's time on the wall is its own plus the slack; a scheduler may add to it.
const WALL_RATIO: f64 = 1.5;

/// Reads a result and compares it.
///
/// # Errors
/// Why it is wrong.
pub fn result(file: &Path, shape: &[usize], expected: &Expected) -> Result<Deviation, String> {
    let array = match AnyArray::read(file) {
        Ok(AnyArray::F32(array)) => array,
        Ok(AnyArray::F64(_)) => return Err("the result is in f64, the case is in f32".into()),
        Err(error) => return Err(format!("{error:#}")),
    };
    if array.shape() != shape {
        return Err(format!("the result has shape {:?}, expected {shape:?}", array.shape()));
    }
    let standard = array.as_standard_layout();
    let found = expected.deviation(standard.as_slice().unwrap_or_default())?;
    if found.max > TOLERANCE {
        return Err(format!("a difference of {:.1e} to the oracle; {TOLERANCE:.0e} is accepted", found.max));
    }
    Ok(found)
}

/// The turns of an engine in a case: what it said and what the clock on the wall said.
#[derive(Debug, Default)]
pub struct Turns {
    turns: f64,
    told: f64,
    longest: f64,
    wall: f64,
}

impl Turns {
    /// Adds a turn: the times of all its runs, the first included, and how long the answer took.
    ///
    /// # Errors
    /// Times that cannot be true.
    pub fn add(&mut self, seconds: &[f64], runs: usize, wall: Duration) -> Result<(), String> {
        if seconds.len() != runs {
            return Err(format!("{} times for {runs} runs", seconds.len()));
        }
        if let Some(wrong) = seconds.iter().find(|seconds| !(seconds.is_finite() && **seconds > 0.0)) {
            return Err(format!("a run of {wrong} s"));
        }
        let told: f64 = seconds.iter().sum();
        if told > wall.as_secs_f64() * 1.001 + 1e-4 {
            return Err(format!("runs of {told:.6} s in {:.6} s", wall.as_secs_f64()));
        }
        self.turns += 1.0;
        self.told += told;
        self.longest += seconds.iter().copied().fold(0.0, f64::max);
        self.wall += wall.as_secs_f64();
        Ok(())
    }

    /// The time of all runs so far, as the engine told it.
    pub fn told(&self) -> Duration {
        Duration::from_secs_f64(self.told)
    }

    /// Judges all turns together, `best` being the fastest run.
    ///
    /// # Errors
    /// Times that cannot be true.
    pub fn judge(&self, flops: f64, best: f64, peak_gflops: f64) -> Result<(), String> {
        let honest = WALL_RATIO * self.told + FIRST_RUNS * self.longest + self.turns * SLACK.as_secs_f64();
        if self.wall > honest {
            return Err(format!("it told of {:.4} s and took {:.4} s", self.told, self.wall));
        }
        let gflops = flops / best / 1e9;
        if gflops > FASTEST * peak_gflops {
            return Err(format!("{gflops:.0} GFLOP/s, where multiply-adds end at {peak_gflops:.0}"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(seconds: &[f64], wall: f64) -> Turns {
        let mut turns = Turns::default();
        for _ in 0..9 {
            turns.add(seconds, seconds.len(), Duration::from_secs_f64(wall)).unwrap();
        }
        turns
    }

    #[test]
    fn honest_times_are_believed_even_with_a_slow_first_run() {
        let turns = turns(&[0.03, 0.01, 0.01, 0.01], 0.062);
        assert_eq!(turns.judge(1e9, 0.01, 100.0), Ok(()));
    }

    #[test]
    fn times_far_below_those_on_the_wall_are_not_believed() {
        let turns = turns(&[0.001; 10], 0.1);
        assert!(turns.judge(1e7, 0.001, 100.0).unwrap_err().contains("told of 0.0900 s and took 0.9000 s"));
    }

    #[test]
    fn a_speed_that_no_machine_has_is_not_believed() {
        let turns = turns(&[0.001; 10], 0.0101);
        assert!(turns.judge(1e9, 0.001, 100.0).unwrap_err().contains("1000 GFLOP/s"));
        assert_eq!(turns.judge(5e8, 0.001, 100.0), Ok(()));
    }

    #[test]
    fn times_that_are_no_times_are_not_believed() {
        let mut turns = Turns::default();
        let second = Duration::from_secs(1);
        assert!(turns.add(&[0.1], 2, second).is_err());
        assert!(turns.add(&[0.1, 0.0], 2, second).is_err());
        assert!(turns.add(&[0.1, f64::NAN], 2, second).is_err());
        assert!(turns.add(&[0.6, 0.6], 2, second).is_err());
        assert!(turns.add(&[0.4, 0.4], 2, second).is_ok());
    }
}
