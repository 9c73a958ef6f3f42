//! Derivatives as sums over a few cells.

use std::ops::RangeInclusive;

use ndarray::{Array1, Array2};
use ndarray_linalg::Solve;

use crate::error::{Error, Result};

/// The highest derivative plus accuracy: beyond it the moment equations are worse conditioned than doubles can bear.
const HIGHEST: usize = 16;

/// A kernel for the derivative of order `d` on cells one apart: the sum `Σ kᵢ f(x + xᵢ)` is `f⁽ᵈ⁾(x)` up to an error
/// that shrinks with a power of the cells' distance.
///
/// The kernel solves the moment equations `Σ kᵢ xᵢʲ = d!·[j = d]` for as many `j` from 0 as there are cells: the
/// Taylor series of `f` at `x`, term by term. For cells `h` apart, divide by `hᵈ`.
///
/// ```
/// use convgemm::stencil::FiniteDifference;
/// use ndarray::array;
///
/// let second = FiniteDifference::centred(2, 2)?;
/// assert_eq!(second.offsets, [-1, 0, 1]);
/// assert!((second.kernel - array![1.0, -2.0, 1.0]).iter().all(|error| error.abs() < 1e-12));
/// # Ok::<(), convgemm::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct FiniteDifference {
    /// Order `d` of the derivative.
    pub derivative: usize,
    /// Where the cells are, counted from the cell whose derivative it is.
    pub offsets: Vec<i32>,
    /// One number a cell, in the order of `offsets`: a kernel for cross-correlation.
    pub kernel: Array1<f64>,
}

impl FiniteDifference {
    /// The kernel on the cells at `offsets`, in any order.
    ///
    /// # Errors
    /// [`Error::TooFewCells`] with `derivative` cells or fewer: their equations for `j < d` alone have the only solution
    /// zero, which the one for `j = d` contradicts. [`Error::Argument`] for a cell named twice, or far too many.
    pub fn at(derivative: usize, offsets: &[i32]) -> Result<Self> {
        if offsets.len() <= derivative {
            return Err(Error::TooFewCells { derivative, cells: offsets.len() });
        }
        if offsets.len() > HIGHEST + 1 {
            return Err(Error::Argument(format!("{} cells; at most {} are possible", offsets.len(), HIGHEST + 1)));
        }
        let mut sorted = offsets.to_vec();
        sorted.sort_unstable();
        if sorted.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(Error::Argument(format!("a cell stands twice in {offsets:?}")));
        }
        let (matrix, right) = moment_equations(derivative, offsets, offsets.len());
        let solve = |right: &Array1<f64>| matrix.solve(right).map_err(|error| Error::Linalg(error.to_string()));
        let mut kernel = solve(&right)?;
        // One correction gives back the digits that the powers of the offsets cost.
        kernel += &solve(&(&right - &matrix.dot(&kernel)))?;
        Ok(Self { derivative, offsets: offsets.to_vec(), kernel })
    }

    /// The kernel symmetric about its cell with an error of order `hᵃ`, where `a` is `accuracy`, an even number:
    /// `2⌊(d+1)/2⌋ − 1 + a` cells.
    ///
    /// # Errors
    /// [`Error::Argument`] for an accuracy that is odd or zero, or with more cells than doubles can bear.
    pub fn centred(derivative: usize, accuracy: usize) -> Result<Self> {
        if accuracy == 0 || accuracy % 2 == 1 {
            return Err(Error::Argument(format!("a centred kernel of accuracy {accuracy}; 2, 4, 6, … are possible")));
        }
        check(derivative, accuracy)?;
        let reach = (derivative.div_ceil(2) + accuracy / 2 - 1) as i32;
        Self::over(derivative, -reach..=reach)
    }

    /// The kernel that looks only forward, at the cells `0 … d + a − 1`, with an error of order `hᵃ`.
    ///
    /// # Errors
    /// [`Error::Argument`] for an accuracy of zero, or with more cells than doubles can bear.
    pub fn forward(derivative: usize, accuracy: usize) -> Result<Self> {
        if accuracy == 0 {
            return Err(Error::Argument("a kernel of accuracy 0; 1 or more is possible".into()));
        }
        check(derivative, accuracy)?;
        Self::over(derivative, 0..=(derivative + accuracy - 1) as i32)
    }

    /// The kernel of the fewest cells, `d + 1`, as near to the middle as whole cells allow.
    ///
    /// # Errors
    /// [`Error::Argument`] with more cells than doubles can bear.
    pub fn smallest(derivative: usize) -> Result<Self> {
        check(derivative, 1)?;
        let before = (derivative / 2) as i32;
        Self::over(derivative, -before..=derivative as i32 - before)
    }

    fn over(derivative: usize, cells: RangeInclusive<i32>) -> Result<Self> {
        Self::at(derivative, &cells.collect::<Vec<_>>())
    }

    /// The left side of moment equation `j`: `Σ kᵢ xᵢʲ`.
    pub fn moment(&self, j: usize) -> f64 {
        self.offsets.iter().zip(&self.kernel).map(|(&x, &k)| k * power(x, j)).sum()
    }

    /// The power of the cells' distance with which the error shrinks: how many moments after that of the derivative are
    /// zero before the first that is not.
    pub fn accuracy(&self) -> usize {
        let size = |j| self.offsets.iter().zip(&self.kernel).map(|(&x, &k)| (k * power(x, j)).abs()).sum::<f64>();
        let is_zero = |j: &usize| self.moment(*j).abs() <= 1e-9 * size(*j);
        1 + (self.derivative + 1..).take_while(is_zero).take(self.offsets.len()).count()
    }
}

/// Matrix and right side of the first `count` moment equations for cells at `offsets`: row `j` is `xᵢʲ`.
fn moment_equations(derivative: usize, offsets: &[i32], count: usize) -> (Array2<f64>, Array1<f64>) {
    let matrix = Array2::from_shape_fn((count, offsets.len()), |(j, i)| power(offsets[i], j));
    let factorial: f64 = (1..=derivative).map(|n| n as f64).product();
    let right = Array1::from_shape_fn(count, |j| if j == derivative { factorial } else { 0.0 });
    (matrix, right)
}

fn power(x: i32, exponent: usize) -> f64 {
    f64::from(x).powi(exponent as i32)
}

fn check(derivative: usize, accuracy: usize) -> Result<()> {
    let fits = derivative.checked_add(accuracy).is_some_and(|sum| sum <= HIGHEST);
    if fits {
        return Ok(());
    }
    Err(Error::Argument(format!(
        "derivative {derivative} with accuracy {accuracy}; together at most {HIGHEST} are possible"
    )))
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[track_caller]
    fn assert_close(found: &Array1<f64>, expected: &Array1<f64>) {
        assert_eq!(found.len(), expected.len());
        assert!((found - expected).iter().all(|error| error.abs() < 1e-11), "{found} for {expected}");
    }

    #[test]
    fn centred_kernels_have_their_textbook_numbers() {
        let kernel = |d, a| FiniteDifference::centred(d, a).unwrap().kernel;
        assert_close(&kernel(1, 2), &array![-0.5, 0.0, 0.5]);
        assert_close(&kernel(1, 4), &(array![1.0, -8.0, 0.0, 8.0, -1.0] / 12.0));
        assert_close(&kernel(2, 4), &(array![-1.0, 16.0, -30.0, 16.0, -1.0] / 12.0));
        assert_close(&kernel(3, 2), &array![-0.5, 1.0, 0.0, -1.0, 0.5]);
        assert_close(&kernel(4, 2), &array![1.0, -4.0, 6.0, -4.0, 1.0]);
        assert_close(&kernel(0, 2), &array![1.0]);
    }

    #[test]
    fn one_sided_kernels_have_theirs() {
        assert_close(&FiniteDifference::forward(1, 1).unwrap().kernel, &array![-1.0, 1.0]);
        assert_close(&FiniteDifference::forward(1, 2).unwrap().kernel, &array![-1.5, 2.0, -0.5]);
        assert_close(&FiniteDifference::at(2, &[0, -1, -2]).unwrap().kernel, &array![1.0, -2.0, 1.0]);
    }

    #[test]
    fn accuracy_is_what_was_asked_and_symmetry_gives_one_more() {
        for derivative in 1..=6 {
            for accuracy in [2, 4, 6] {
                let kernel = FiniteDifference::centred(derivative, accuracy).unwrap();
                assert_eq!(kernel.accuracy(), accuracy, "derivative {derivative}");
            }
            let smallest = FiniteDifference::smallest(derivative).unwrap();
            assert_eq!(smallest.kernel.len(), derivative + 1);
            assert_eq!(smallest.accuracy(), 2 - derivative % 2, "derivative {derivative}");
            assert_eq!(FiniteDifference::forward(derivative, 3).unwrap().accuracy(), 3);
        }
    }

    #[test]
    fn the_largest_that_is_taken_still_solves_its_equations() {
        for kernel in [FiniteDifference::centred(2, 14).unwrap(), FiniteDifference::forward(6, 10).unwrap()] {
            let factorial = [2.0, 720.0][usize::from(kernel.derivative == 6)];
            for j in 0..kernel.offsets.len() {
                let expected = if j == kernel.derivative { factorial } else { 0.0 };
                let size: f64 = kernel.offsets.iter().zip(&kernel.kernel).map(|(&x, k)| (k * power(x, j)).abs()).sum();
                assert!((kernel.moment(j) - expected).abs() < 1e-9 * size.max(1.0), "moment {j}");
            }
        }
    }

    #[test]
    fn what_has_no_kernel_is_refused_with_the_reason() {
        let error = FiniteDifference::at(2, &[0, 1]).unwrap_err();
        assert_eq!(error, Error::TooFewCells { derivative: 2, cells: 2 });
        assert!(error.to_string().contains("at least 3"), "{error}");
        assert!(FiniteDifference::at(1, &[0, 1, 0]).unwrap_err().to_string().contains("twice"));
        for accuracy in [0, 3] {
            assert!(FiniteDifference::centred(1, accuracy).is_err());
        }
        assert!(FiniteDifference::forward(1, 0).is_err());
        assert!(FiniteDifference::smallest(usize::MAX).is_err());
        assert!(FiniteDifference::forward(usize::MAX, 1).is_err());
    }
}
