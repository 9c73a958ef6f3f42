//! Statistics that outliers do not move.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Level and spread of samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stats {
    /// A tenth of the samples is below it.
    pub decile: f64,
    pub median: f64,
    pub min: f64,
    /// Median of the absolute deviations from the median.
    pub mad: f64,
}

impl Stats {
    /// `None` of no samples.
    pub fn of(samples: &[f64]) -> Option<Self> {
        let median = median(samples)?;
        let deviations: Vec<f64> = samples.iter().map(|sample| (sample - median).abs()).collect();
        let min = samples.iter().copied().fold(f64::INFINITY, f64::min);
        Some(Self { decile: decile(samples)?, median, min, mad: self::median(&deviations)? })
    }
}

/// The middle of the samples, or the mean of the two in the middle.
fn median(samples: &[f64]) -> Option<f64> {
    quantile(samples, 0.5)
}

/// The first decile.
fn decile(samples: &[f64]) -> Option<f64> {
    quantile(samples, 0.1)
}

/// What a part of the samples is below, on a straight line between the two that are next to it.
fn quantile(samples: &[f64], part: f64) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = part * sorted.len().checked_sub(1)? as f64;
    let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    Some(low + (high - low) * place.fract())
}

/// The mean for ratios: of 2 and 1/2 it is 1.
pub fn geometric_mean(ratios: &[f64]) -> Option<f64> {
    let n = ratios.len() as f64;
    (!ratios.is_empty()).then(|| (ratios.iter().map(|ratio| ratio.ln()).sum::<f64>() / n).exp())
}

/// Draws for a standard error: it is known to 5 % then.
const DRAWS: usize = 200;

/// The standard error of the first decile of all samples: its deviation where as many rounds are drawn again and again
/// from those that there are (B. Efron, "Bootstrap methods", 1979). Rounds and not single runs are what is independent:
/// the runs of a round follow one another and share their luck.
pub fn decile_error(rounds: &[Vec<f64>]) -> Option<f64> {
    let mut random = ChaCha8Rng::seed_from_u64(0);
    let n = rounds.len();
    let mut draw = || {
        let drawn = (0..n).flat_map(|_| &rounds[(random.next_u64() % n as u64) as usize]);
        decile(&drawn.copied().collect::<Vec<_>>())
    };
    let found = (0..DRAWS).map(|_| draw()).collect::<Option<Vec<f64>>>()?;
    let mean = found.iter().sum::<f64>() / DRAWS as f64;
    let variance = found.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / DRAWS as f64;
    // Draws from few rounds differ by less than rounds do.
    Some((variance * n as f64 / (n as f64 - 1.0).max(1.0)).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_samples_have_known_statistics() {
        let found = Stats::of(&[5.0, 1.0, 4.0, 100.0, 3.0]).unwrap();
        assert_eq!(found, Stats { decile: 1.8, median: 4.0, min: 1.0, mad: 1.0 });
        let found = Stats::of(&[4.0, 1.0, 2.0, 3.0]).unwrap();
        assert_eq!(found, Stats { decile: 1.3, median: 2.5, min: 1.0, mad: 1.0 });
        assert_eq!(Stats::of(&[7.0]).unwrap(), Stats { decile: 7.0, median: 7.0, min: 7.0, mad: 0.0 });
        assert_eq!(Stats::of(&[]), None);
    }

    #[test]
    fn one_wild_sample_moves_neither_median_nor_spread_by_much() {
        let calm: Vec<f64> = (0..99).map(|i| 100.0 + f64::from(i % 5)).collect();
        let wild = [calm.as_slice(), &[1e9]].concat();
        let (calm, wild) = (Stats::of(&calm).unwrap(), Stats::of(&wild).unwrap());
        assert!((calm.median - wild.median).abs() <= 1.0 && (calm.mad - wild.mad).abs() <= 1.0);
    }

    #[test]
    fn a_ratio_and_its_inverse_have_the_geometric_mean_one() {
        assert!((geometric_mean(&[2.0, 0.5]).unwrap() - 1.0).abs() < 1e-12);
        assert!((geometric_mean(&[1.0, 10.0, 100.0]).unwrap() - 10.0).abs() < 1e-9);
        assert_eq!(geometric_mean(&[]), None);
    }

    #[test]
    fn a_decile_stays_where_most_runs_are_slow_but_not_all() {
        let mixed: Vec<f64> = (0..50).map(|i| if i % 5 == 0 { 77.0 } else { 93.0 }).collect();
        let found = Stats::of(&mixed).unwrap();
        assert_eq!((found.decile, found.median), (77.0, 93.0));
    }

    #[test]
    fn the_error_of_a_decile_is_that_of_the_rounds_and_falls_with_their_number() {
        assert_eq!(decile_error(&[vec![5.0, 5.0], vec![5.0]]), Some(0.0));
        assert_eq!(decile_error(&[]), None);
        // Of one sample each, evenly from 0 to 1: the variance of the lowest tenth is p (1 − p) / n.
        let rounds = |n: usize| (0..n).map(|i| vec![(i as f64 + 0.5) / n as f64]).collect::<Vec<_>>();
        for n in [40, 160] {
            let (found, expected) = (decile_error(&rounds(n)).unwrap(), (0.09 / n as f64).sqrt());
            assert!((found / expected - 1.0).abs() < 0.3, "{n} rounds: {found} is not {expected}");
        }
    }
}
