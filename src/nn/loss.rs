//! How far a prediction is from its target, and which way is downhill.

use ndarray::{Array, ArrayRef, Dimension, Zip};

use crate::element::Element;
use crate::error::{Error, Result};

/// What becomes of the squared errors of all cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reduction {
    /// They are added.
    Sum,
    /// They are averaged: PyTorch's default. The mean of no cells at all is not a number.
    #[default]
    Mean,
}

/// A loss and its gradient with respect to the prediction.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Loss<T: Element, D: Dimension> {
    /// The loss, summed in double precision.
    pub value: f64,
    /// Its gradient, of the prediction's shape.
    pub gradient: Array<T, D>,
}

/// The squared error of `prediction` against `target`, both of one shape: Σ (p − t)² or its mean, with
/// gradient 2 (p − t) or that over the number of cells.
///
/// # Errors
/// [`Error::Shape`] if the shapes differ: nothing is broadcast.
///
/// ```
/// use convgemm::nn::{Reduction, squared_error};
/// use ndarray::array;
///
/// let loss = squared_error(&array![3.0_f32, 1.0], &array![1.0, 1.0], Reduction::Mean)?;
/// assert_eq!((loss.value, loss.gradient), (2.0, array![2.0, 0.0]));
/// # Ok::<(), convgemm::Error>(())
/// ```
pub fn squared_error<T: Element, D: Dimension>(
    prediction: &ArrayRef<T, D>,
    target: &ArrayRef<T, D>,
    reduction: Reduction,
) -> Result<Loss<T, D>> {
    if prediction.shape() != target.shape() {
        let (expected, found) = (prediction.shape().to_vec(), target.shape().to_vec());
        return Err(Error::Shape { what: "target", expected, found });
    }
    let scale = match reduction {
        Reduction::Sum => 1.0,
        Reduction::Mean => 1.0 / prediction.len() as f64,
    };
    let (mut sum, slope) = (0.0, T::from_f64(2.0 * scale));
    let gradient = Zip::from(prediction).and(target).map_collect(|&p, &t| {
        let error = p - t;
        sum += error.to_f64() * error.to_f64();
        slope * error
    });
    Ok(Loss { value: sum * scale, gradient })
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn the_gradient_is_the_slope_of_the_loss() {
        let (p, t) = (array![[0.5, -2.0, 3.0]], array![[1.0, 0.25, -1.5]]);
        for reduction in [Reduction::Sum, Reduction::Mean] {
            let loss = squared_error(&p, &t, reduction).unwrap();
            for i in 0..3 {
                let at = |step: f64| {
                    let mut moved = p.clone();
                    moved[[0, i]] += step;
                    squared_error(&moved, &t, reduction).unwrap().value
                };
                // Exact for a parabola but for rounding.
                assert!(((at(0.5) - at(-0.5)) - loss.gradient[[0, i]]).abs() < 1e-12, "{reduction:?}");
            }
        }
    }

    #[test]
    fn other_shapes_are_refused_even_where_they_could_be_broadcast() {
        let error = squared_error(&array![[1.0, 2.0]], &array![[1.0], [2.0]], Reduction::Sum).unwrap_err();
        assert_eq!(error.to_string(), "target has shape [2, 1], expected [1, 2]");
    }

    #[test]
    fn nothing_sums_to_zero_and_has_no_mean() {
        let nothing = ndarray::Array2::<f32>::zeros((0, 3));
        assert_eq!(squared_error(&nothing, &nothing, Reduction::Sum).unwrap().value, 0.0);
        assert!(squared_error(&nothing, &nothing, Reduction::Mean).unwrap().value.is_nan());
    }
}
