//! Seeded data of sensible scale: inputs and gradients N(0, 1), weights as He and others initialise them.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, StandardNormal};

use crate::layer::Layer;

/// The arrays of a layer for a batch, in the order of their axes.
#[derive(Debug, Clone, PartialEq)]
pub struct Data {
    /// `[N, C, *k]`, N(0, 1).
    pub input: Vec<f32>,
    /// `[OC, C/g, *k]`, N(0, 2 / fan-in).
    pub weight: Vec<f32>,
    /// `[OC]`, N(0, 1); there also where the layer has none.
    pub bias: Vec<f32>,
    /// The gradient of the output, `[N, OC, *k]`, N(0, 1).
    pub grad_output: Vec<f32>,
}

impl Data {
    /// The data of a seed: each array from a stream of its own, so that one does not move another.
    pub fn seeded(layer: &Layer, batch: usize, seed: u64) -> Self {
        let weight = layer.weight_shape();
        let fan_in: usize = weight[1..].iter().product();
        Self {
            input: normal(&layer.input_shape(batch), 1.0, seed, 0),
            weight: normal(&weight, (2.0 / fan_in as f64).sqrt(), seed, 1),
            bias: normal(&[layer.out_channels], 1.0, seed, 2),
            grad_output: normal(&layer.output_shape(batch), 1.0, seed, 3),
        }
    }
}

/// N(0, deviation²) in a shape; seeds and streams give independent numbers.
pub fn normal(shape: &[usize], deviation: f64, seed: u64, stream: u64) -> Vec<f32> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(stream);
    let cells = shape.iter().product();
    StandardNormal.sample_iter(&mut random).take(cells).map(|value: f64| (value * deviation) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_have_the_scale_that_they_promise() {
        let layer: Layer = "64x3x3@24".parse().unwrap();
        let data = Data::seeded(&layer, 2, 7);
        for (values, deviation) in
            [(&data.input, 1.0), (&data.weight, (2.0_f64 / 576.0).sqrt()), (&data.grad_output, 1.0)]
        {
            let n = values.len() as f64;
            let mean = values.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
            let square = values.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / n;
            assert!(mean.abs() < 4.0 * deviation / n.sqrt(), "mean {mean}");
            assert!((square.sqrt() / deviation - 1.0).abs() < 4.0 / n.sqrt(), "deviation {}", square.sqrt());
        }
    }

    #[test]
    fn a_seed_gives_the_same_data_and_another_seed_others() {
        let layer: Layer = "2x3@9".parse().unwrap();
        assert_eq!(Data::seeded(&layer, 1, 1), Data::seeded(&layer, 1, 1));
        assert_ne!(Data::seeded(&layer, 1, 1), Data::seeded(&layer, 1, 2));
    }
}
