//! A kernel by gradient descent.

use ndarray::{Array1, Dimension, Zip};

use crate::element::Element;
use crate::error::{Error, Result};
use crate::nn::{Conv, Parameter, Reduction, Rng, Sgd, squared_error};
use crate::ops::{conv, conv_bias_grad, conv_weight_grad};
use crate::options::ConvOptions;
use crate::rank::{Rank, Shape, Tensor, TensorRef};

/// How to walk downhill.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Descent {
    /// The part of the gradient that a step takes away from the parameters.
    pub rate: f64,
    /// How many steps.
    pub steps: usize,
    /// The part of the last step that the next one keeps: 0 or more and less than 1.
    pub momentum: f64,
    /// Whether squared errors are added or averaged.
    pub reduction: Reduction,
}

impl Descent {
    /// Plain descent on the sum of squared errors.
    pub fn new(rate: f64, steps: usize) -> Self {
        Self { rate, steps, momentum: 0.0, reduction: Reduction::Sum }
    }

    /// Sets the part of the last step that the next one keeps.
    #[must_use]
    pub fn momentum(mut self, momentum: f64) -> Self {
        self.momentum = momentum;
        self
    }

    /// Sets whether squared errors are added or averaged.
    #[must_use]
    pub fn reduction(mut self, reduction: Reduction) -> Self {
        self.reduction = reduction;
        self
    }
}

/// What a descent found, and how.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Learned<T: Element, const D: usize>
where
    [usize; D]: Rank,
{
    /// The layer after the last step.
    pub layer: Conv<T, D>,
    /// The loss before each step.
    pub losses: Vec<f64>,
}

/// Moves the parameters of `start` so that it turns `input` `[N, C, *k]` into `target` `[N, OC, *k]`: its weight, and its bias
/// if it has one.
///
/// # Errors
/// As [`Conv::forward`], a target of another shape than the layer's output, a rate or momentum out of range, and
/// [`Error::Diverged`] as soon as the loss is not finite.
pub fn descend<T: Element, const D: usize>(
    start: Conv<T, D>,
    input: &TensorRef<T, D>,
    target: &TensorRef<T, D>,
    how: &Descent,
) -> Result<Learned<T, D>>
where
    [usize; D]: Rank,
{
    start.options.without_activation()?;
    let mut layer = start;
    let mut descent = Sgd::new(how.rate)?.momentum(how.momentum)?;
    let mut losses = Vec::new();
    for step in 1..=how.steps {
        let loss = squared_error(&layer.forward(input)?, target, how.reduction)?;
        if !loss.value.is_finite() {
            return Err(Error::Diverged { step });
        }
        losses.push(loss.value);
        // Not `Conv::backward`, whose gradient of the input nobody wants here.
        let mut shape = Shape::<D>::default();
        shape.as_mut().copy_from_slice(layer.weight.shape());
        let weight = conv_weight_grad(input, shape, &loss.gradient, &layer.options)?.into_dyn();
        let bias = conv_bias_grad::<T, D>(&loss.gradient).into_dyn();
        let weight = Parameter::new(layer.weight.view_mut().into_dyn(), weight.view());
        let bias = layer.bias.as_mut().map(|value| Parameter::new(value.view_mut().into_dyn(), bias.view()));
        descent.step(std::iter::once(weight).chain(bias))?;
    }
    Ok(Learned { layer, losses })
}

/// How often [`steepest`] applies the curvature: its error shrinks with every time.
const ROUNDS: usize = 60;

/// The largest curvature of the *sum* of squared errors over the kernels of `kernel` cells: twice the largest eigenvalue of
/// `Cols·Colsᵀ`, where a bias adds a row of ones to the patch matrix. A descent without momentum converges for rates below 2 over it;
/// 1 over it is safe. For the mean of squared errors, divide it by the cells of the output.
///
/// It is found by power iteration with the operations themselves, without the patch matrix: from below, by a few percent
/// at most where the largest eigenvalues are close.
///
/// # Errors
/// As [`conv`].
pub fn steepest<T: Element, const D: usize>(
    input: &TensorRef<T, D>,
    kernel: [usize; D],
    options: &ConvOptions<D>,
    with_bias: bool,
) -> Result<f64>
where
    [usize; D]: Rank,
{
    options.without_activation()?;
    let groups = options.groups;
    if groups == 0 {
        return Err(Error::Zero { parameter: "groups".into() });
    }
    // One kernel for each group: all kernels of a group see the same patches.
    let lengths = [&[groups, input.shape()[1] / groups], &kernel[..]].concat();
    let mut shape = Shape::<D>::default();
    shape.as_mut().copy_from_slice(&lengths);
    let mut dimension = <[usize; D] as Rank>::Tensor::zeros(D + 2);
    dimension.slice_mut().copy_from_slice(&lengths);
    options.geometry(input.shape(), &lengths)?;
    let rng = &mut Rng::new(1);
    let mut weight = Tensor::<T, D>::from_shape_simple_fn(dimension, || T::from_f64(rng.uniform(0.5, 1.5)));
    let mut bias = Array1::from_elem(groups, if with_bias { T::one() } else { T::zero() });
    let mut largest = 0.0;
    for _ in 0..ROUNDS {
        let squares: f64 = weight.iter().chain(&bias).map(|&value| Element::to_f64(value).powi(2)).sum();
        if squares == 0.0 || !squares.is_finite() {
            break;
        }
        let scale = T::from_f64(squares.sqrt().recip());
        weight.mapv_inplace(|value| value * scale);
        bias.mapv_inplace(|value| value * scale);
        let output = conv(input, &weight, Some(&bias), options)?;
        let next = conv_weight_grad(input, shape, &output, options)?;
        // Rayleigh's quotient of the unit vector.
        let mut quotient = 0.0;
        Zip::from(&weight).and(&next).for_each(|&a, &b| quotient += a.to_f64() * b.to_f64());
        weight = next;
        if with_bias {
            let next = conv_bias_grad::<T, D>(&output);
            Zip::from(&bias).and(&next).for_each(|&a, &b| quotient += a.to_f64() * b.to_f64());
            bias = next;
        }
        largest = quotient;
    }
    Ok(2.0 * largest)
}

#[cfg(test)]
mod tests {
    use ndarray::{Array4, array};

    use super::*;
    use crate::nn::Conv2d;
    use crate::ops::unfold;

    fn example(seed: u64) -> (Conv2d<f64>, Array4<f64>, Array4<f64>) {
        let rng = &mut Rng::new(seed);
        let teacher = Conv2d::new([2, 3], [2, 2], ConvOptions::new(), rng).unwrap();
        let input = Array4::from_shape_simple_fn((2, 2, 7, 6), || rng.uniform(-1.0, 1.0));
        let target = teacher.forward(&input).unwrap();
        (teacher, input, target)
    }

    fn start(seed: u64) -> Conv2d<f64> {
        Conv2d::new([2, 3], [2, 2], ConvOptions::new(), &mut Rng::new(seed)).unwrap()
    }

    #[test]
    fn several_channels_and_their_biases_are_found() {
        let (teacher, input, target) = example(1);
        let rate = steepest(&input, [2, 2], &ConvOptions::new(), true).unwrap().recip();
        let learned = descend(start(2), &input, &target, &Descent::new(rate, 3000)).unwrap();
        assert!((learned.layer.weight - teacher.weight).iter().all(|error| error.abs() < 1e-6));
        assert!(learned.losses.windows(2).all(|pair| pair[1] <= pair[0] || pair[1] < 1e-20), "every step goes down");
    }

    #[test]
    fn a_mean_takes_a_rate_larger_by_the_number_of_cells() {
        let (_, input, target) = example(3);
        let cells = target.len() as f64;
        let sum = descend(start(2), &input, &target, &Descent::new(0.001, 5)).unwrap();
        let how = Descent::new(0.001 * cells, 5).reduction(Reduction::Mean);
        let mean = descend(start(2), &input, &target, &how).unwrap();
        assert!((&sum.layer.weight - &mean.layer.weight).iter().all(|error| error.abs() < 1e-12));
        assert!((sum.losses[4] - cells * mean.losses[4]).abs() < 1e-10);
    }

    #[test]
    fn the_steepest_curvature_is_twice_the_largest_eigenvalue() {
        // The patch matrix of a single window has one eigenvalue that is not zero: its sum of squares.
        let input = array![[[[1.0, 2.0], [3.0, 4.0]]]];
        let options = ConvOptions::new();
        assert!((steepest(&input, [2, 2], &options, false).unwrap() - 60.0).abs() < 1e-9);
        assert!((steepest(&input, [2, 2], &options, true).unwrap() - 62.0).abs() < 1e-9);
        let (_, input, _) = example(4);
        let patches = unfold(&input, [2, 2], &options).unwrap();
        let gram = patches.outer_iter().fold(ndarray::Array2::zeros((8, 8)), |sum, image| sum + image.dot(&image.t()));
        let found = steepest(&input, [2, 2], &options, false).unwrap() / 2.0;
        // No quotient of Rayleigh is larger than the largest eigenvalue, and the trace is larger than that.
        assert!(found < gram.diag().sum() && found > gram.diag().sum() / 8.0);
        assert!(gram.diag().iter().all(|&entry| found >= entry * 0.99));
    }

    #[test]
    fn a_rate_beyond_two_over_the_curvature_diverges_and_one_below_does_not() {
        let (_, input, target) = example(5);
        let curvature = steepest(&input, [2, 2], &ConvOptions::new(), true).unwrap();
        let walk = |factor: f64| descend(start(2), &input, &target, &Descent::new(factor / curvature, 4000));
        assert!(matches!(walk(2.5), Err(Error::Diverged { step: 100..4000 })), "{:?}", walk(2.5).map(|l| l.losses));
        assert!(walk(1.9).unwrap().losses[3999] < 1e-12);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let (_, input, _) = example(6);
        let how = Descent::new(0.1, 1);
        assert!(matches!(descend(start(1), &input, &input, &how), Err(Error::Shape { what: "target", .. })));
        assert!(descend(start(1), &input, &input, &how.momentum(1.0)).is_err());
        assert!(steepest(&input, [9, 9], &ConvOptions::new(), false).is_err());
        assert!(steepest(&input, [1, 1], &ConvOptions::new().groups(0), false).is_err());
        assert_eq!(descend(start(1), &input, &input, &Descent::new(0.1, 0)).unwrap().losses, []);
    }
}
