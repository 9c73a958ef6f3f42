//! What happens to a finished sum before it is left alone: bias, then activation.

use std::ops::Range;

use ndarray::{ArrayView1, ArrayViewMut, Axis, Dimension, RemoveAxis};
use pulp::{Simd, WithSimd};

use crate::element::Element;
use crate::error::{Error, Result};
use crate::simd::arch;

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

    /// Its bounds, of which the upper may be infinite.
    fn bounds(self) -> Option<[f64; 2]> {
        match self {
            Self::None => None,
            Self::Relu => Some([0.0, f64::INFINITY]),
            Self::Clamp { min, max } => Some([min, max]),
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
    pub const NONE: Self = Self { bias: None, activation: Activation::None };

    /// The biases of some channels, as the first terms of their sums.
    pub fn starts<const N: usize>(&self, channels: Range<usize>) -> Option<[T; N]> {
        let bias = self.bias?;
        let of = |channel: usize| if channels.contains(&channel) { bias[channel] } else { T::zero() };
        Some(std::array::from_fn(|offset| of(channels.start + offset)))
    }

    /// What values are kept between, after the bias.
    pub fn bounds(&self) -> Option<[T; 2]> {
        self.activation.bounds().map(|bounds| bounds.map(T::from_f64))
    }

    /// Finishes a piece of the output whose axis 0 is the channels from `first_channel` on.
    pub fn apply<D: Dimension + RemoveAxis>(&self, first_channel: usize, piece: ArrayViewMut<'_, T, D>) {
        if self.bias.is_some() || self.activation != Activation::None {
            arch().dispatch(Finishing { epilogue: *self, first_channel, piece });
        }
    }
}

struct Finishing<'a, 'o, T, D> {
    epilogue: Epilogue<'a, T>,
    first_channel: usize,
    piece: ArrayViewMut<'o, T, D>,
}

impl<T: Element, D: Dimension + RemoveAxis> WithSimd for Finishing<'_, '_, T, D> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, _: S) {
        let (bias, bounds) = (self.epilogue.bias, self.epilogue.bounds());
        for (offset, mut channel) in self.piece.axis_iter_mut(Axis(0)).enumerate() {
            let bias = bias.map_or(T::zero(), |bias| bias[self.first_channel + offset]);
            for mut row in channel.rows_mut() {
                match row.as_slice_mut() {
                    Some(row) => finish(row.iter_mut(), bias, bounds),
                    None => finish(row.iter_mut(), bias, bounds),
                }
            }
        }
    }
}

#[inline(always)]
fn finish<'a, T: Element>(values: impl Iterator<Item = &'a mut T>, bias: T, bounds: Option<[T; 2]>) {
    match bounds {
        None => values.for_each(|value| *value += bias),
        Some([min, max]) => values.for_each(|value| *value = clamp(*value + bias, min, max)),
    }
}

/// Both comparisons are false for not-a-number, which therefore stays.
#[inline(always)]
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
