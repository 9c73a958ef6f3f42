//! Statistics that outliers do not move.

/// Median, minimum and spread of samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stats {
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
        Some(Self { median, min, mad: self::median(&deviations)? })
    }
}

/// The middle of the samples, or the mean of the two in the middle.
pub fn median(samples: &[f64]) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        n if n % 2 == 1 => Some(sorted[middle]),
        _ => Some((sorted[middle - 1] + sorted[middle]) / 2.0),
    }
}

/// The mean for ratios: of 2 and 1/2 it is 1.
pub fn geometric_mean(ratios: &[f64]) -> Option<f64> {
    let n = ratios.len() as f64;
    (!ratios.is_empty()).then(|| (ratios.iter().map(|ratio| ratio.ln()).sum::<f64>() / n).exp())
}

/// Times the MAD of normal samples, their standard deviation.
const MAD_TO_DEVIATION: f64 = 1.4826;
/// Times the deviation of one value, that of the median of many is this over the root of their number.
const MEDIAN_EFFICIENCY: f64 = 1.2533;

/// The standard error of the median of `rounds`, from their spread. Rounds and not single runs are what is
/// independent: the runs of a round follow one another and share their luck.
pub fn median_error(rounds: &[f64]) -> Option<f64> {
    let stats = Stats::of(rounds)?;
    Some(MEDIAN_EFFICIENCY * MAD_TO_DEVIATION * stats.mad / (rounds.len() as f64).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_samples_have_known_statistics() {
        let found = Stats::of(&[5.0, 1.0, 4.0, 100.0, 3.0]).unwrap();
        assert_eq!(found, Stats { median: 4.0, min: 1.0, mad: 1.0 });
        let found = Stats::of(&[4.0, 1.0, 2.0, 3.0]).unwrap();
        assert_eq!(found, Stats { median: 2.5, min: 1.0, mad: 1.0 });
        assert_eq!(Stats::of(&[7.0]).unwrap(), Stats { median: 7.0, min: 7.0, mad: 0.0 });
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
    fn the_error_of_a_median_falls_with_the_root_of_the_number_of_rounds() {
        let rounds = |n: usize| (0..n).map(|i| (i % 3) as f64).collect::<Vec<_>>();
        let (few, many) = (median_error(&rounds(9)).unwrap(), median_error(&rounds(36)).unwrap());
        assert!((few - 1.2533 * 1.4826 / 3.0).abs() < 1e-12 && (few / many - 2.0).abs() < 1e-12);
    }
}
