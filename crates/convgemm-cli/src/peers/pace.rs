//! How an engine in a case is timed: how many runs a turn has, and in which rounds it has one.

use std::time::Duration;

use super::record::{FEWEST_ROUNDS, Settings};

/// Runs of a turn that count: more only make the file larger.
pub const MOST_RUNS: usize = 10;
/// Runs before them, in caches that another engine filled: for so long, and at most so many. In ResNet-50's layers of a
/// millisecond the second run still takes 4 % longer than the tenth, the third 1 %.
const WARM_UP: Duration = Duration::from_millis(4);
const MOST_WARM_UPS: usize = 3;
/// A run of this length fills the caches within its first hundredths.
const LONG: Duration = Duration::from_millis(100);
/// A run of this length is longer than all turns of most engines: the one that tells how long it takes is enough.
pub const VERY_LONG: Duration = Duration::from_secs(1);
/// Times the rounds that were asked for, where turns are shorter than they might be: the median of 9 rounds of a
/// millisecond's layer deviates by half as much as that of 5.
const MOST_MORE_ROUNDS: f64 = 2.0;

/// How an engine is timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Runs at the beginning of a turn that do not count.
    pub warm_ups: usize,
    /// Runs that do.
    pub runs: usize,
    /// Turns.
    pub rounds: usize,
}

impl Pace {
    /// The one run that tells how long it takes, and no turn after it.
    pub const ONCE: Self = Self { warm_ups: 0, runs: 1, rounds: 0 };

    /// For an engine that needs `one` second for a run, fewer than [`VERY_LONG`].
    pub fn of(one: f64, settings: &Settings) -> Self {
        let turn = Duration::from_millis(settings.turn_ms).as_secs_f64();
        let limit = Duration::from_millis(settings.limit_ms).as_secs_f64();
        let warm_ups = match one < LONG.as_secs_f64() {
            true => ((WARM_UP.as_secs_f64() / one).ceil() as usize).clamp(1, MOST_WARM_UPS),
            false => 0,
        };
        let runs = ((turn / one) as usize).clamp(1, MOST_RUNS);
        let length = one * (warm_ups + runs) as f64;
        let most = (settings.rounds as f64 * (turn / length).clamp(1.0, MOST_MORE_ROUNDS)) as usize;
        let rounds = ((limit / length) as usize).clamp(FEWEST_ROUNDS.min(settings.rounds), most);
        Self { warm_ups, runs, rounds }
    }

    /// Whether the engine has a turn in a round of so many. One that has fewer turns has them all along.
    pub fn has_turn(&self, round: usize, of: usize) -> bool {
        round * self.rounds / of != (round + 1) * self.rounds / of
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: Settings = Settings { threads: 1, rounds: 5, turn_ms: 30, limit_ms: 300, seed: 7 };

    #[test]
    fn a_short_run_has_more_warm_ups_and_rounds_and_a_long_one_fewer() {
        let pace = |one: f64| {
            let Pace { warm_ups, runs, rounds } = Pace::of(one, &SETTINGS);
            (warm_ups, runs, rounds)
        };
        assert_eq!(pace(1e-6), (3, 10, 10));
        assert_eq!(pace(0.001), (3, 10, 10));
        assert_eq!(pace(0.002), (2, 10, 6));
        assert_eq!(pace(0.005), (1, 6, 5));
        assert_eq!(pace(0.040), (1, 1, 3));
        assert_eq!(pace(0.500), (0, 1, 3));
        let one_round = Settings { rounds: 1, ..SETTINGS };
        assert!(Pace::of(0.5, &one_round).has_turn(0, 1));
        assert!((0..9).all(|round| !Pace::ONCE.has_turn(round, 9)));
    }

    #[test]
    fn an_engine_with_fewer_turns_has_them_all_along() {
        let rounds = |n: usize, of: usize| {
            let pace = Pace { warm_ups: 1, runs: 1, rounds: n };
            (0..of).filter(|&round| pace.has_turn(round, of)).collect::<Vec<_>>()
        };
        assert_eq!(rounds(3, 9), [2, 5, 8]);
        assert_eq!(rounds(10, 10), (0..10).collect::<Vec<_>>());
        for n in 1..=10 {
            assert_eq!(rounds(n, 10).len(), n);
        }
    }
}
