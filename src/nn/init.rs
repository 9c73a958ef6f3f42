//! Random starts that are the same on every machine.

use ndarray::{Array, Dimension, ShapeBuilder};

use crate::element::Element;

/// A stream of random numbers fixed by its seed: splitmix64 of Steele, Lea and Flood (OOPSLA 2014).
///
/// Good for initial weights and for tests, not for secrets.
///
/// ```
/// use convgemm::nn::Rng;
///
/// let mut rng = Rng::new(7);
/// let first = rng.uniform(-1.0, 1.0);
/// assert!((-1.0..1.0).contains(&first));
/// assert_eq!(first, Rng::new(7).uniform(-1.0, 1.0));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rng {
    state: u64,
}

impl Rng {
    /// The stream of `seed`; every seed is as good as another.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from `low` up to but not including `high`, all equally likely.
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        // The upper 53 bits are as many as a double can hold.
        let unit = (self.next_u64() >> 11) as f64 * (0.5_f64).powi(53);
        low + (high - low) * unit
    }
}

/// PyTorch's default for the weights and biases of a convolution: uniform in ±1/√`fan_in`, which is He's rule
/// for a leaky rectifier of slope √5. `fan_in` counts the products in one output: `C/g · Π kernel`.
///
/// ```
/// use convgemm::nn::{Rng, kaiming_uniform};
///
/// let weight = kaiming_uniform::<f32, _, _>((8, 4, 3, 3), 4 * 9, &mut Rng::new(1));
/// assert_eq!(weight.dim(), (8, 4, 3, 3));
/// assert!(weight.iter().all(|w| w.abs() <= 1.0 / 6.0));
/// ```
pub fn kaiming_uniform<T: Element, D: Dimension, Sh: ShapeBuilder<Dim = D>>(
    shape: Sh,
    fan_in: usize,
    rng: &mut Rng,
) -> Array<T, D> {
    let bound = 1.0 / (fan_in.max(1) as f64).sqrt();
    Array::from_shape_simple_fn(shape, || T::from_f64(rng.uniform(-bound, bound)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_the_published_one() {
        let mut rng = Rng::new(1_234_567);
        let expected = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!(expected.map(|_| rng.next_u64()), expected);
    }

    #[test]
    fn weights_fill_the_interval_of_pytorch_evenly() {
        let weight = kaiming_uniform::<f64, _, _>(60_000, 25, &mut Rng::new(3));
        let (low, high) = weight.iter().fold((1.0_f64, -1.0_f64), |(low, high), &w| (low.min(w), high.max(w)));
        assert!(low >= -0.2 && high < 0.2, "{low} to {high}");
        assert!(low < -0.1999 && high > 0.1999, "{low} to {high}");
        // A uniform variable has variance (high - low)² / 12; four of its standard errors are allowed.
        assert!(weight.mean().is_some_and(|mean| mean.abs() < 4.0 * 0.1155 / 60_000_f64.sqrt()));
        assert!((weight.mapv(|w| w * w).sum() / 60_000.0 - 0.16 / 12.0).abs() < 2e-4);
    }
}
