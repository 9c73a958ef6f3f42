//! What happens to a finished sum before it is left alone: bias, then activation.

use ndarray::{ArrayView1, ArrayViewMut, Axis, Dimension, RemoveAxis};

use crate::element::Element;
use crate::error::{Error, Result};

/// What is applied to each output value after the bias. Not-a-number stays so.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum Activation {
    /// Nothing.
    #[default]
    None,
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, min), max)`; ReLU6 is `Clamp { min: 0.0, max: 6.0 }`.
    Clamp {
        /// Lower bound.
        min: f64,
        /// Upper bound.
        max: f64,
    },
}

impl Activation {
    pub(crate) fn check(self) -> Result<()> {
        match self {
            Self::Clamp { min, max } if min > max || min.is_nan() || max.is_nan() => {
                Err(Error::Clamp { min: min.to_string(), max: max.to_string() })
            }
            _ => Ok(()),
        }
    }

    /// Its bounds, either of which may be infinite.
    fn bounds(self) -> (f64, f64) {
        match self {
            Self::None => (f64::NEG_INFINITY, f64::INFINITY),
            Self::Relu => (0.0, f64::INFINITY),
            Self::Clamp { min, max } => (min, max),
        }
    }
}

/// Bias of each channel and activation, applied while the values are still in the cache.
#[derive(Clone, Copy)]
pub(crate) struct Epilogue<'a, T> {
    pub bias: Option<ArrayView1<'a, T>>,
    pub activation: Activation,
}

impl<T: Element> Epilogue<'_, T> {
    /// Finishes a piece of the output whose axis 0 is the channels from `first_channel` on.
    pub fn apply<D: Dimension + RemoveAxis>(&self, first_channel: usize, mut piece: ArrayViewMut<'_, T, D>) {
        if self.bias.is_none() && self.activation == Activation::None {
            return;
        }
        let (min, max) = self.activation.bounds();
        let (min, max) = (T::from_f64(min), T::from_f64(max));
        for (offset, mut channel) in piece.axis_iter_mut(Axis(0)).enumerate() {
            let bias = self.bias.map_or(T::zero(), |bias| bias[first_channel + offset]);
            channel.mapv_inplace(|value| clamp(value + bias, min, max));
        }
    }
}

/// Both comparisons are false for not-a-number, which therefore stays.
fn clamp<T: Element>(value: T, min: T, max: T) -> T {
    let value = if value < min { min } else { value };
    if value > max { max } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{arr1, arr2};

    #[test]
    fn bias_comes_before_the_activation_and_nan_stays() {
        let mut piece = arr2(&[[-3.0, 1.0, f64::NAN], [5.0, 7.0, 9.0]]);
        let bias = arr1(&[100.0, 2.0, -1.0]);
        let epilogue = Epilogue { bias: Some(bias.view()), activation: Activation::Clamp { min: 0.0, max: 6.0 } };
        epilogue.apply(1, piece.view_mut());
        assert_eq!(piece.row(0).as_slice().map(|row| &row[..2]), Some(&[0.0, 3.0][..]));
        assert!(piece[[0, 2]].is_nan());
        assert_eq!(piece.row(1), arr1(&[4.0, 6.0, 6.0]));
    }

    #[test]
    fn bounds_out_of_order_are_refused() {
        assert!(Activation::Clamp { min: 1.0, max: 0.0 }.check().is_err());
        assert!(Activation::Clamp { min: f64::NAN, max: 0.0 }.check().is_err());
        assert!(Activation::Clamp { min: 0.0, max: 0.0 }.check().is_ok());
    }
}
