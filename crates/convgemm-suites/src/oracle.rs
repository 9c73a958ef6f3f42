//! Single outputs in f64 by plain loops over the definition, for checking engines on layers of any size.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::data::Data;
use crate::layer::{Layer, Op};

/// Products that may be spent on a check; below that, every output is checked.
const PRODUCTS: f64 = 3e7;
/// Outputs that are checked where not all can be.
const SAMPLES: usize = 512;

/// What some outputs of an operation must be.
#[derive(Debug, Clone, PartialEq)]
pub struct Expected {
    /// The number of outputs that there are.
    pub len: usize,
    /// Places in the flattened result, ascending, and the values there.
    pub samples: Vec<(usize, f64)>,
}

/// How far a result is from what was expected.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Deviation {
    /// The largest difference.
    pub max: f64,
    /// The root of the mean square of the differences.
    pub rms: f64,
}

impl Expected {
    /// The outputs of `op` that are checked: all of a small problem; of a large one the corners, which are where
    /// padding goes wrong, and others at random.
    pub fn sampled(layer: &Layer, op: Op, batch: usize, data: &Data, seed: u64) -> Self {
        let shape = layer.result_shape(op, batch);
        let len: usize = shape.iter().product();
        let places: Vec<usize> =
            if layer.flops(batch) / 2.0 <= PRODUCTS { (0..len).collect() } else { sample(&shape, seed) };
        let problem = Problem::new(layer, batch, data);
        let samples = places.into_iter().map(|place| (place, problem.at(op, &unravel(&shape, place)))).collect();
        Self { len, samples }
    }

    /// The deviation of a result in the order of its axes, both scaled by the largest expected value.
    ///
    /// # Errors
    /// What cannot be a result: another length, or a value that is not finite, wherever it is.
    pub fn deviation(&self, result: &[f32]) -> Result<Deviation, String> {
        if result.len() != self.len {
            return Err(format!("{} values where {} were expected", result.len(), self.len));
        }
        if let Some(place) = result.iter().position(|value| !value.is_finite()) {
            return Err(format!("the value at {place} is {}", result[place]));
        }
        let scale = self.samples.iter().map(|(_, value)| value.abs()).fold(f64::MIN_POSITIVE, f64::max);
        let difference = |&(place, value): &(usize, f64)| (f64::from(result[place]) - value).abs() / scale;
        let squares: f64 = self.samples.iter().map(|sample| difference(sample).powi(2)).sum();
        Ok(Deviation {
            max: self.samples.iter().map(difference).fold(0.0, f64::max),
            rms: (squares / self.samples.len().max(1) as f64).sqrt(),
        })
    }
}

/// The corners of a shape and random places.
fn sample(shape: &[usize], seed: u64) -> Vec<usize> {
    let corner = |bits: usize| {
        let place = |(axis, &len): (usize, &usize)| if bits >> axis & 1 == 1 { len - 1 } else { 0 };
        ravel(shape, &shape.iter().enumerate().map(place).collect::<Vec<_>>())
    };
    let len: usize = shape.iter().product();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut places: Vec<usize> = (0..1 << shape.len()).map(corner).collect();
    places.extend((0..SAMPLES).map(|_| (random.next_u64() % len as u64) as usize));
    places.sort_unstable();
    places.dedup();
    places
}

fn ravel(shape: &[usize], index: &[usize]) -> usize {
    shape.iter().zip(index).fold(0, |place, (&len, &i)| place * len + i)
}

fn unravel(shape: &[usize], mut place: usize) -> Vec<usize> {
    let mut index = vec![0; shape.len()];
    for (i, &len) in index.iter_mut().zip(shape).rev() {
        *i = place % len;
        place /= len;
    }
    index
}

struct Problem<'a> {
    layer: &'a Layer,
    batch: usize,
    data: &'a Data,
    /// Windows along each axis.
    windows: Vec<usize>,
}

impl<'a> Problem<'a> {
    fn new(layer: &'a Layer, batch: usize, data: &'a Data) -> Self {
        Self { layer, batch, data, windows: layer.output_size() }
    }

    fn at(&self, op: Op, index: &[usize]) -> f64 {
        match op {
            Op::Conv => self.output(index),
            Op::InputGrad => self.input_grad(index),
            Op::WeightGrad => self.weight_grad(index),
        }
    }

    fn output(&self, index: &[usize]) -> f64 {
        let (image, oc, window) = (index[0], index[1], &index[2..]);
        let (inputs, outputs) = self.group_channels();
        let first = oc / outputs * inputs;
        let mut sum = if self.layer.bias { f64::from(self.data.bias[oc]) } else { 0.0 };
        for (place, tap) in indices(&self.layer.kernel).enumerate() {
            let Some(cell) = self.cell(window, &tap) else { continue };
            sum += (0..inputs).map(|c| self.input(image, first + c, cell) * self.weight(oc, c, place)).sum::<f64>();
        }
        sum
    }

    fn input_grad(&self, index: &[usize]) -> f64 {
        let (image, channel, cell) = (index[0], index[1], &index[2..]);
        let (inputs, outputs) = self.group_channels();
        let (group, c) = (channel / inputs, channel % inputs);
        let mut sum = 0.0;
        for (place, tap) in indices(&self.layer.kernel).enumerate() {
            let Some(window) = self.window(cell, &tap) else { continue };
            let channels = group * outputs..(group + 1) * outputs;
            sum += channels.map(|oc| self.grad(image, oc, window) * self.weight(oc, c, place)).sum::<f64>();
        }
        sum
    }

    fn weight_grad(&self, index: &[usize]) -> f64 {
        let (oc, c, tap) = (index[0], index[1], &index[2..]);
        let (inputs, outputs) = self.group_channels();
        let channel = oc / outputs * inputs + c;
        let mut sum = 0.0;
        for (place, window) in indices(&self.windows).enumerate() {
            let Some(cell) = self.cell(&window, tap) else { continue };
            let images = 0..self.batch;
            sum += images.map(|image| self.input(image, channel, cell) * self.grad(image, oc, place)).sum::<f64>();
        }
        sum
    }

    /// Channels that a group reads and writes.
    fn group_channels(&self) -> (usize, usize) {
        let Layer { in_channels, out_channels, groups, .. } = *self.layer;
        (in_channels / groups, out_channels / groups)
    }

    /// The cell that a tap of a window reads, if it is none of the padding.
    fn cell(&self, window: &[usize], tap: &[usize]) -> Option<usize> {
        let layer = self.layer;
        (0..window.len()).try_fold(0, |place, axis| {
            let padded = window[axis] * layer.stride[axis] + tap[axis] * layer.dilation[axis];
            let cell = padded.checked_sub(layer.padding[axis][0]).filter(|&cell| cell < layer.size[axis])?;
            Some(place * layer.size[axis] + cell)
        })
    }

    /// The window of which a tap reads a cell, if there is one.
    fn window(&self, cell: &[usize], tap: &[usize]) -> Option<usize> {
        let layer = self.layer;
        (0..cell.len()).try_fold(0, |place, axis| {
            let start = (cell[axis] + layer.padding[axis][0]).checked_sub(tap[axis] * layer.dilation[axis])?;
            let window = start / layer.stride[axis];
            let exists = start % layer.stride[axis] == 0 && window < self.windows[axis];
            exists.then_some(place * self.windows[axis] + window)
        })
    }

    fn input(&self, image: usize, channel: usize, cell: usize) -> f64 {
        let cells: usize = self.layer.size.iter().product();
        f64::from(self.data.input[(image * self.layer.in_channels + channel) * cells + cell])
    }

    fn weight(&self, oc: usize, c: usize, tap: usize) -> f64 {
        let (taps, inputs) = (self.layer.kernel.iter().product::<usize>(), self.group_channels().0);
        f64::from(self.data.weight[(oc * inputs + c) * taps + tap])
    }

    fn grad(&self, image: usize, oc: usize, window: usize) -> f64 {
        let windows: usize = self.windows.iter().product();
        f64::from(self.data.grad_output[(image * self.layer.out_channels + oc) * windows + window])
    }
}

/// Every index of a shape.
fn indices(shape: &[usize]) -> impl Iterator<Item = Vec<usize>> {
    (0..shape.iter().product()).map(move |place| unravel(shape, place))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(text: &str) -> Layer {
        text.parse().unwrap()
    }

    /// All outputs of an operation.
    fn all(layer: &Layer, op: Op, data: &Data) -> Vec<f64> {
        let expected = Expected::sampled(layer, op, 2, data, 0);
        assert_eq!(expected.samples.len(), expected.len);
        expected.samples.into_iter().map(|(_, value)| value).collect()
    }

    fn dot(a: &[f64], b: &[f32]) -> f64 {
        a.iter().zip(b).map(|(a, &b)| a * f64::from(b)).sum()
    }

    #[test]
    fn a_convolution_worked_out_by_hand() {
        let data = Data {
            input: vec![1.0, 2.0, 3.0, 4.0],
            weight: vec![1.0, 10.0],
            bias: vec![0.5],
            grad_output: vec![1.0, 1.0, 1.0],
        };
        let expected = Expected::sampled(&layer("1x2@4p1:0s2b"), Op::Conv, 1, &data, 0);
        assert_eq!(expected.samples, [(0, 10.5), (1, 32.5)]);
    }

    #[test]
    fn gradients_are_adjoint_to_the_convolution() {
        for text in ["4-6x3x2@7x6s2x1p1:0g2", "3-2x3@11d2s3", "2x2x3x1@4x5x3s1x2x1"] {
            let layer = layer(text);
            let data = Data::seeded(&layer, 2, 5);
            let forward = dot(&all(&layer, Op::Conv, &data), &data.grad_output);
            let input = dot(&all(&layer, Op::InputGrad, &data), &data.input);
            let weight = dot(&all(&layer, Op::WeightGrad, &data), &data.weight);
            assert!((forward - input).abs() < 1e-9 * forward.abs().max(1.0), "{text}: {forward} {input}");
            assert!((forward - weight).abs() < 1e-9 * forward.abs().max(1.0), "{text}: {forward} {weight}");
        }
    }

    #[test]
    fn of_a_large_problem_the_corners_and_some_others_are_taken() {
        let layer = layer("64x3x3@56");
        let data = Data::seeded(&layer, 1, 5);
        let expected = Expected::sampled(&layer, Op::Conv, 1, &data, 3);
        assert!((SAMPLES / 2..SAMPLES + 17).contains(&expected.samples.len()));
        let places = || expected.samples.iter().map(|&(place, _)| place);
        assert!(places().next() == Some(0) && places().next_back() == Some(expected.len - 1));
        assert!(places().zip(places().skip(1)).all(|(a, b)| a < b), "ascending and distinct");
    }

    #[test]
    fn a_deviation_is_scaled_by_the_largest_value_and_nothing_but_a_result_is_accepted() {
        let expected = Expected { len: 3, samples: vec![(0, 2.0), (2, -4.0)] };
        let found = expected.deviation(&[2.0, 99.0, -3.0]).unwrap();
        assert_eq!((found.max, found.rms), (0.25, (0.0625_f64 / 2.0).sqrt()));
        assert!(expected.deviation(&[2.0, -4.0]).is_err());
        assert!(expected.deviation(&[2.0, f32::NAN, -4.0]).unwrap_err().contains("at 1 is NaN"));
    }
}
