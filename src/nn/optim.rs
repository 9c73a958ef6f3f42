//! Stochastic gradient descent.

use ndarray::{ArrayD, ArrayViewD, ArrayViewMutD, Zip};

use crate::element::Element;
use crate::error::{Error, Result};

/// A parameter to be changed, and the loss's gradient with respect to it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Parameter<'a, T> {
    /// What is learned.
    pub value: ArrayViewMutD<'a, T>,
    /// The way uphill, of the same shape.
    pub gradient: ArrayViewD<'a, T>,
}

impl<'a, T> Parameter<'a, T> {
    /// A parameter with its gradient; [`Sgd::step`] checks that their shapes agree.
    pub fn new(value: ArrayViewMutD<'a, T>, gradient: ArrayViewD<'a, T>) -> Self {
        Self { value, gradient }
    }
}

/// Gradient descent with momentum, as PyTorch has it: `v ← momentum · v + gradient`, `w ← w − rate · v`.
///
/// ```
/// use convgemm::nn::{Parameter, Sgd};
/// use ndarray::array;
///
/// let mut w = array![1.0_f64, 2.0].into_dyn();
/// let uphill = array![10.0, 0.0].into_dyn();
/// let mut descent = Sgd::new(0.01)?.momentum(0.9)?;
/// descent.step([Parameter::new(w.view_mut(), uphill.view())])?;
/// descent.step([Parameter::new(w.view_mut(), uphill.view())])?;
/// assert!((w[0] - 0.71).abs() < 1e-12);
/// # Ok::<(), convgemm::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Sgd<T> {
    rate: f64,
    momentum: f64,
    velocities: Vec<ArrayD<T>>,
}

impl<T: Element> Sgd<T> {
    /// Descent at a learning rate, without momentum.
    ///
    /// # Errors
    /// [`Error::Argument`] if the rate is negative or not finite.
    pub fn new(rate: f64) -> Result<Self> {
        if rate >= 0.0 && rate.is_finite() {
            return Ok(Self { rate, momentum: 0.0, velocities: vec![] });
        }
        Err(Error::Argument(format!("a learning rate of {rate}; 0 or more is possible")))
    }

    /// Sets the part of the last step that the next one keeps.
    ///
    /// # Errors
    /// [`Error::Argument`] if it is not in 0 ≤ momentum < 1.
    pub fn momentum(mut self, momentum: f64) -> Result<Self> {
        if (0.0..1.0).contains(&momentum) {
            self.momentum = momentum;
            return Ok(self);
        }
        Err(Error::Argument(format!("a momentum of {momentum}; 0 or more and less than 1 is possible")))
    }

    /// Moves every parameter one step downhill. A call must name the same parameters in the same order as the
    /// first, since each has its own velocity.
    ///
    /// # Errors
    /// Another number of parameters than the first time, or a shape that differs from its gradient's or its
    /// velocity's; nothing has been moved then.
    pub fn step<'a>(&mut self, parameters: impl IntoIterator<Item = Parameter<'a, T>>) -> Result<()> {
        let mut parameters: Vec<_> = parameters.into_iter().collect();
        self.check(&parameters)?;
        if self.velocities.is_empty() {
            self.velocities = parameters.iter().map(|parameter| ArrayD::zeros(parameter.value.shape())).collect();
        }
        let (rate, momentum) = (T::from_f64(self.rate), T::from_f64(self.momentum));
        for (parameter, velocity) in parameters.iter_mut().zip(&mut self.velocities) {
            Zip::from(&mut parameter.value).and(&parameter.gradient).and(velocity).for_each(|w, &g, v| {
                *v = momentum * *v + g;
                *w -= rate * *v;
            });
        }
        Ok(())
    }

    fn check(&self, parameters: &[Parameter<'_, T>]) -> Result<()> {
        let mismatch = |what, expected: &[usize], found: &[usize]| Error::Shape {
            what,
            expected: expected.to_vec(),
            found: found.to_vec(),
        };
        if !self.velocities.is_empty() && parameters.len() != self.velocities.len() {
            let (found, expected) = (parameters.len(), self.velocities.len());
            return Err(Error::Argument(format!("{found} parameters, the steps before had {expected}")));
        }
        for Parameter { value, gradient } in parameters {
            if gradient.shape() != value.shape() {
                return Err(mismatch("the gradient", value.shape(), gradient.shape()));
            }
        }
        for (Parameter { value, .. }, velocity) in parameters.iter().zip(&self.velocities) {
            if value.shape() != velocity.shape() {
                return Err(mismatch("the parameter", velocity.shape(), value.shape()));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn momentum_reaches_the_floor_of_a_narrow_valley_sooner() {
        // f = (x² + 100 y²) / 2, with rates near the best for each method.
        let steps = |mut descent: Sgd<f64>| {
            let mut w = array![1.0, 1.0].into_dyn();
            (1..2000).find(|_| {
                let gradient = array![w[0], 100.0 * w[1]].into_dyn();
                descent.step([Parameter::new(w.view_mut(), gradient.view())]).unwrap();
                w.iter().all(|w| w.abs() < 1e-6)
            })
        };
        let plain = steps(Sgd::new(0.0198).unwrap()).unwrap();
        let heavy = steps(Sgd::new(0.033).unwrap().momentum(0.67).unwrap()).unwrap();
        assert!(heavy * 4 < plain, "{heavy} against {plain} steps");
    }

    #[test]
    fn rates_and_momenta_outside_their_domain_are_refused() {
        for rate in [-0.1, f64::NAN, f64::INFINITY] {
            assert!(Sgd::<f32>::new(rate).is_err(), "{rate}");
        }
        for momentum in [-0.1, 1.0, f64::NAN] {
            assert!(Sgd::<f32>::new(0.1).unwrap().momentum(momentum).is_err(), "{momentum}");
        }
    }

    #[test]
    fn a_step_with_other_parameters_moves_nothing() {
        let (mut w, g) = (array![1.0_f32, 2.0].into_dyn(), array![1.0, 1.0].into_dyn());
        let mut descent = Sgd::new(0.5).unwrap();
        descent.step([Parameter::new(w.view_mut(), g.view())]).unwrap();
        assert_eq!(w, array![0.5, 1.5].into_dyn());
        let (mut other, short) = (array![1.0].into_dyn(), array![1.0].into_dyn());
        let wrong = descent.step([Parameter::new(w.view_mut(), short.view())]).unwrap_err();
        assert_eq!(wrong.to_string(), "the gradient has shape [1], expected [2]");
        let wrong = descent.step([Parameter::new(other.view_mut(), short.view())]).unwrap_err();
        assert_eq!(wrong.to_string(), "the parameter has shape [1], expected [2]");
        let both = [Parameter::new(w.view_mut(), g.view()), Parameter::new(other.view_mut(), short.view())];
        assert_eq!(descent.step(both).unwrap_err().to_string(), "2 parameters, the steps before had 1");
        assert_eq!((w, other), (array![0.5, 1.5].into_dyn(), array![1.0].into_dyn()));
    }
}
