//! When two times differ by more than noise.

use super::record::{ResultRecord, Status};

/// A ratio must be so many times its standard error away from 1: with a thousand comparisons, one in some hundreds is by
/// chance.
pub const ERRORS: f64 = 3.0;
/// And so far: below that, where code and data lie in memory moves times as much.
pub const FLOOR: f64 = 0.02;

/// The time of one result over that of another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ratio {
    pub value: f64,
    /// The standard error of that, from how the rounds differ.
    pub error: f64,
}

impl Ratio {
    /// `None` unless both were verified and timed.
    pub fn of(time: &ResultRecord, over: &ResultRecord) -> Option<Self> {
        let ((time, time_error), (over, over_error)) = (level(time)?, level(over)?);
        Some(Self { value: time / over, error: time_error.hypot(over_error) })
    }

    /// Whether the two differ by more than noise.
    pub fn is_real(&self) -> bool {
        (self.value - 1.0).abs() > (ERRORS * self.error).max(FLOOR)
    }
}

/// A result's time in nanoseconds, and the relative standard error of that.
fn level(result: &ResultRecord) -> Option<(f64, f64)> {
    let time = result.time_ns.filter(|_| result.status == Status::Timed)?;
    Some((time, result.error()?))
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::timed;
    use super::*;

    #[test]
    fn a_ratio_is_real_beyond_the_spread_of_the_rounds_and_beyond_the_floor() {
        let ratio = |time: &[u64], over: &[u64]| Ratio::of(&timed("a", time), &timed("b", over)).unwrap();
        assert!(!ratio(&[1019; 5], &[1000; 5]).is_real());
        assert!(ratio(&[1021; 5], &[1000; 5]).is_real());
        let found = ratio(&[1150, 1100, 1200, 1050, 1250], &[1000; 5]);
        assert!((found.value - 1.07).abs() < 1e-12 && found.error > 0.025 && !found.is_real(), "{found:?}");
        assert_eq!(Ratio::of(&ResultRecord::new("a", Status::Failed, None), &timed("b", &[1])), None);
    }
}
