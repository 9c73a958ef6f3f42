//! Convolution layers.

use ndarray::{Array1, Dimension};

use super::init::{Rng, kaiming_uniform};
use super::optim::Parameter;
use crate::element::Element;
use crate::error::{Error, Result};
use crate::ops::{conv, conv_bias_grad, conv_input_grad, conv_weight_grad};
use crate::options::ConvOptions;
use crate::rank::{Rank, Shape, Tensor, TensorRef};

/// A convolution with parameters that can be learned, over `D` spatial axes.
#[derive(Debug, Clone, PartialEq)]
pub struct Conv<T: Element, const D: usize>
where
    [usize; D]: Rank,
{
    /// `[OC, C/g, *k]`.
    pub weight: Tensor<T, D>,
    /// `[OC]`, or nothing.
    pub bias: Option<Array1<T>>,
    /// Stride, padding and the rest.
    pub options: ConvOptions<D>,
}

/// A layer over sequences `[N, C, L]`.
pub type Conv1d<T> = Conv<T, 1>;
/// A layer over pictures `[N, C, H, W]`.
pub type Conv2d<T> = Conv<T, 2>;
/// A layer over volumes `[N, C, D, H, W]`.
pub type Conv3d<T> = Conv<T, 3>;

/// What [`Conv::backward`] gives: the gradient of the loss with respect to each argument of the layer.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Gradients<T: Element, const D: usize>
where
    [usize; D]: Rank,
{
    /// Of the input's shape: what goes on to the layer before.
    pub input: Tensor<T, D>,
    /// Of the weight's shape.
    pub weight: Tensor<T, D>,
    /// One value an output channel, if the layer has a bias.
    pub bias: Option<Array1<T>>,
}

impl<T: Element, const D: usize> Conv<T, D>
where
    [usize; D]: Rank,
{
    /// A layer from `channels = [in, out]` with PyTorch's default start: weight and bias uniform in ±1/√fan_in,
    /// where fan_in is `in/g · Π kernel`. The weight is drawn first, then the bias.
    ///
    /// # Errors
    /// A zero among the sizes, groups that do not divide both numbers of channels, a weight too large to
    /// address.
    ///
    /// ```
    /// use convgemm::ConvOptions;
    /// use convgemm::nn::{Conv1d, Rng};
    ///
    /// let layer = Conv1d::<f32>::new([4, 6], [3], ConvOptions::new().groups(2), &mut Rng::new(1))?;
    /// assert_eq!(layer.weight.dim(), (6, 2, 3));
    /// assert_eq!(layer.forward(&ndarray::Array3::zeros((5, 4, 10)))?.dim(), (5, 6, 8));
    /// # Ok::<(), convgemm::Error>(())
    /// ```
    pub fn new(channels: [usize; 2], kernel: [usize; D], options: ConvOptions<D>, rng: &mut Rng) -> Result<Self> {
        let ([inputs, outputs], groups) = (channels, options.groups);
        let sizes = [("input channels", inputs), ("output channels", outputs), ("groups", groups)];
        let sizes = sizes.into_iter().chain(kernel.iter().map(|&cells| ("a kernel length", cells)));
        if let Some((name, _)) = sizes.into_iter().find(|&(_, size)| size == 0) {
            return Err(Error::Zero { parameter: name.to_owned() });
        }
        if outputs % groups != 0 {
            return Err(Error::Groups { channels: outputs, groups });
        }
        if inputs % groups != 0 {
            return Err(Error::Argument(format!("{groups} groups do not divide {inputs} input channels")));
        }
        let shape = [&[outputs, inputs / groups], &kernel[..]].concat();
        // An input of the kernel's own size: what fits it is a possible weight.
        ConvOptions::<D>::new().groups(groups).geometry(&[&[1, inputs], &kernel[..]].concat(), &shape)?;
        let mut dimension = <[usize; D] as Rank>::Tensor::zeros(D + 2);
        dimension.slice_mut().copy_from_slice(&shape);
        let fan_in = shape[1..].iter().product();
        let weight = kaiming_uniform(dimension, fan_in, rng);
        let bias = Some(kaiming_uniform(outputs, fan_in, rng));
        Ok(Self { weight, bias, options })
    }

    /// The same layer with a bias of zeros.
    #[must_use]
    pub fn with_zero_bias(mut self) -> Self {
        self.bias = Some(Array1::zeros(self.weight.shape()[0]));
        self
    }

    /// The same layer without a bias.
    #[must_use]
    pub fn without_bias(mut self) -> Self {
        self.bias = None;
        self
    }

    /// The cross-correlation of `input` `[N, C, *k]` with the weight, plus the bias: [`conv`](crate::conv).
    ///
    /// # Errors
    /// As [`conv`](crate::conv).
    pub fn forward(&self, input: &TensorRef<T, D>) -> Result<Tensor<T, D>> {
        conv(input, &self.weight, self.bias.as_deref(), &self.options)
    }

    /// The gradients of a loss, from its gradient with respect to the output of [`forward`](Self::forward)
    /// and the same `input`.
    ///
    /// # Errors
    /// As [`conv_input_grad`](crate::conv_input_grad); an activation among the options is refused.
    ///
    /// ```
    /// use convgemm::ConvOptions;
    /// use convgemm::nn::{Conv1d, Rng};
    /// use ndarray::array;
    ///
    /// let mut layer = Conv1d::new([1, 1], [2], ConvOptions::new(), &mut Rng::new(1))?.with_zero_bias();
    /// layer.weight = array![[[1.0_f64, -1.0]]];
    /// let gradients = layer.backward(&array![[[1.0, 2.0, 4.0]]], &array![[[1.0, 10.0]]])?;
    /// assert_eq!(gradients.input, array![[[1.0, 9.0, -10.0]]]);
    /// assert_eq!(gradients.weight, array![[[21.0, 42.0]]]);
    /// assert_eq!(gradients.bias, Some(array![11.0]));
    /// # Ok::<(), convgemm::Error>(())
    /// ```
    pub fn backward(&self, input: &TensorRef<T, D>, grad_output: &TensorRef<T, D>) -> Result<Gradients<T, D>> {
        Ok(Gradients {
            input: conv_input_grad(shape_of::<T, D>(input), &self.weight, grad_output, &self.options)?,
            weight: conv_weight_grad(input, shape_of::<T, D>(&self.weight), grad_output, &self.options)?,
            bias: self.bias.as_ref().map(|_| conv_bias_grad::<T, D>(grad_output)),
        })
    }

    /// The parameters with their gradients, weight first: what [`Sgd::step`](super::Sgd::step) takes. Those of
    /// several layers can be chained.
    pub fn parameters<'a>(&'a mut self, gradients: &'a Gradients<T, D>) -> impl Iterator<Item = Parameter<'a, T>> {
        let weight = Parameter::new(self.weight.view_mut().into_dyn(), gradients.weight.view().into_dyn());
        let bias = self.bias.as_mut().zip(gradients.bias.as_ref());
        let bias =
            bias.map(|(value, gradient)| Parameter::new(value.view_mut().into_dyn(), gradient.view().into_dyn()));
        std::iter::once(weight).chain(bias)
    }
}

/// The shape of an array as an array of as many lengths.
fn shape_of<T: Element, const D: usize>(array: &TensorRef<T, D>) -> Shape<D>
where
    [usize; D]: Rank,
{
    let mut shape = Shape::<D>::default();
    shape.as_mut().copy_from_slice(array.shape());
    shape
}

#[cfg(test)]
mod tests {
    use ndarray::{Array, array};

    use super::super::{Reduction, Sgd, squared_error};
    use super::*;
    use crate::options::Padding;

    fn random<D: Dimension, Sh: ndarray::ShapeBuilder<Dim = D>>(shape: Sh, rng: &mut Rng) -> Array<f64, D> {
        Array::from_shape_simple_fn(shape, || rng.uniform(-1.0, 1.0))
    }

    #[test]
    fn all_three_gradients_are_the_slopes_of_the_loss() {
        let rng = &mut Rng::new(5);
        let options = ConvOptions::new().stride([2, 1]).padding(Padding::symmetric([1, 0])).groups(2);
        let layer = Conv2d::<f64>::new([4, 6], [3, 2], options, rng).unwrap();
        let (input, target) = (random((2, 4, 5, 4), rng), random((2, 6, 3, 3), rng));
        let loss = |layer: &Conv2d<f64>, input: &_| {
            squared_error(&layer.forward(input).unwrap(), &target, Reduction::Sum).unwrap()
        };
        let gradients = layer.backward(&input, &loss(&layer, &input).gradient).unwrap();
        // The loss is a parabola along every axis, so that central differences are exact but for rounding.
        let slope = |change: &dyn Fn(f64) -> f64| change(0.5) - change(-0.5);
        for (index, &found) in gradients.input.indexed_iter() {
            let expected = slope(&|step| {
                let mut moved = input.clone();
                moved[index] += step;
                loss(&layer, &moved).value
            });
            assert!((found - expected).abs() < 1e-10, "input {index:?}: {found} against {expected}");
        }
        for (index, &found) in gradients.weight.indexed_iter() {
            let expected = slope(&|step| {
                let mut moved = layer.clone();
                moved.weight[index] += step;
                loss(&moved, &input).value
            });
            assert!((found - expected).abs() < 1e-10, "weight {index:?}: {found} against {expected}");
        }
        for (index, &found) in gradients.bias.as_ref().unwrap().indexed_iter() {
            let expected = slope(&|step| {
                let mut moved = layer.clone();
                moved.bias.as_mut().unwrap()[index] += step;
                loss(&moved, &input).value
            });
            assert!((found - expected).abs() < 1e-10, "bias {index}: {found} against {expected}");
        }
    }

    #[test]
    fn a_layer_learns_what_another_does_in_one_two_and_three_dimensions() {
        fn learn<const D: usize>(side: usize, kernel: [usize; D])
        where
            [usize; D]: Rank,
        {
            let rng = &mut Rng::new(11);
            let teacher = Conv::<f64, D>::new([2, 3], kernel, ConvOptions::new(), rng).unwrap();
            let mut pupil = Conv::<f64, D>::new([2, 3], kernel, ConvOptions::new(), rng).unwrap();
            let mut dimension = <[usize; D] as Rank>::Tensor::zeros(D + 2);
            dimension.slice_mut().fill(side);
            dimension.slice_mut()[1] = 2;
            let input = random(dimension, rng);
            let target = teacher.forward(&input).unwrap();
            let mut descent = Sgd::new(0.3).unwrap().momentum(0.8).unwrap();
            for _ in 0..400 {
                let loss = squared_error(&pupil.forward(&input).unwrap(), &target, Reduction::Mean).unwrap();
                let gradients = pupil.backward(&input, &loss.gradient).unwrap();
                descent.step(pupil.parameters(&gradients)).unwrap();
            }
            let close = |a: &f64, b: &f64| (a - b).abs() < 1e-9;
            assert!(pupil.weight.iter().zip(&teacher.weight).all(|(a, b)| close(a, b)), "{D} axes");
            assert!(pupil.bias.iter().flatten().zip(teacher.bias.iter().flatten()).all(|(a, b)| close(a, b)));
        }
        learn(12, [3]);
        learn(8, [3, 2]);
        learn(5, [2, 1, 2]);
    }

    #[test]
    fn one_seed_gives_one_layer_and_its_weights_keep_to_pytorchs_interval() {
        let make = |seed| Conv3d::<f32>::new([4, 8], [3, 1, 3], ConvOptions::new(), &mut Rng::new(seed)).unwrap();
        assert_eq!(make(3), make(3));
        assert_ne!(make(3), make(4));
        let layer = make(3);
        assert_eq!(layer.weight.dim(), (8, 4, 3, 1, 3));
        let all = || layer.weight.iter().chain(layer.bias.iter().flatten());
        assert!(all().all(|w| w.abs() <= 1.0 / 6.0) && all().any(|w| w.abs() > 0.9 / 6.0));
        assert_eq!(layer.with_zero_bias().bias, Some(Array1::zeros(8)));
    }

    #[test]
    fn impossible_layers_are_refused_with_their_numbers() {
        let make = |channels, kernel, groups| {
            let made = Conv2d::<f32>::new(channels, kernel, ConvOptions::new().groups(groups), &mut Rng::new(0));
            made.unwrap_err().to_string()
        };
        assert_eq!(make([1, 0], [3, 3], 1), "output channels is 0, it must be at least 1");
        assert_eq!(make([1, 1], [3, 0], 1), "a kernel length is 0, it must be at least 1");
        assert_eq!(make([3, 4], [3, 3], 2), "2 groups do not divide 3 input channels");
        assert!(make([4, 3], [3, 3], 2).contains("which 2 groups do not divide"));
        assert!(make([1 << 40, 1 << 40], [3, 3], 1).contains("more elements than this machine can address"));
        let layer = Conv2d::<f32>::new([1, 1], [2, 2], ConvOptions::new(), &mut Rng::new(0)).unwrap();
        assert!(layer.forward(&Array::zeros((1, 2, 4, 4))).is_err());
        assert!(layer.backward(&Array::zeros((1, 1, 4, 4)), &array![[[[1.0]]]]).is_err());
    }
}
