//! Kernels that are a column times a row, and others as sums of such.

use ndarray::ArrayRef2;
#[cfg(feature = "linalg")]
use ndarray::{Array1, Array2};
#[cfg(feature = "linalg")]
use ndarray_linalg::SVD;

#[cfg(feature = "linalg")]
use crate::error::{Error, Result};

/// Whether the kernel is a column times a row, so that two short passes do for a long one: every cell is then
/// the product of those in the row and the column of the largest, over the largest. `tolerance` is what a cell
/// may differ, as a share of the largest.
///
/// ```
/// use convgemm::stencil::{is_separable, named};
///
/// assert!(is_separable(&named("gaussian:2")?, 1e-12));
/// assert!(is_separable(&named("sobel-x")?, 0.0));
/// assert!(!is_separable(&named("laplacian")?, 1e-3));
/// # Ok::<(), convgemm::Error>(())
/// ```
pub fn is_separable(kernel: &ArrayRef2<f64>, tolerance: f64) -> bool {
    // `total_cmp` puts what is not a number above all numbers.
    let Some(((y, x), &largest)) = kernel.indexed_iter().max_by(|a, b| a.1.abs().total_cmp(&b.1.abs())) else {
        return true;
    };
    if largest == 0.0 {
        return true;
    }
    let differs = |((i, j), &cell): ((usize, usize), &f64)| {
        let product = kernel[[i, x]] * (kernel[[y, j]] / largest);
        let error = (cell - product).abs();
        error.is_nan() || error > tolerance * largest.abs()
    };
    !kernel.indexed_iter().any(differs)
}

/// A column times a row, a term of a kernel.
#[cfg(feature = "linalg")]
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Factor {
    /// The singular value: how much of the kernel this is. Column and row each carry its square root.
    pub strength: f64,
    /// Along the kernel's height.
    pub column: Array1<f64>,
    /// Along its width.
    pub row: Array1<f64>,
}

#[cfg(feature = "linalg")]
impl Factor {
    /// Column times row, of the kernel's shape.
    pub fn product(&self) -> Array2<f64> {
        let (column, row) = (&self.column, &self.row);
        Array2::from_shape_fn((column.len(), row.len()), |(y, x)| column[y] * row[x])
    }
}

/// The kernel as a sum of columns times rows, the strongest first, by singular value decomposition. A separable
/// kernel has one term. The first `n` are the best approximation with `n` (Eckart and Young); terms weaker than
/// `tolerance` times the strongest are left out.
///
/// # Errors
/// [`Error::Argument`] for a kernel without cells or with cells that are not finite, [`Error::Linalg`] if the decomposition does not
/// converge.
///
/// ```
/// use convgemm::stencil::{named, separate};
///
/// let terms = separate(&named("sobel-x")?, 1e-12)?;
/// assert_eq!(terms.len(), 1);
/// assert!((terms[0].product() - named("sobel-x")?).iter().all(|error| error.abs() < 1e-12));
/// assert_eq!(separate(&named("laplacian")?, 1e-12)?.len(), 2);
/// # Ok::<(), convgemm::Error>(())
/// ```
#[cfg(feature = "linalg")]
pub fn separate(kernel: &ArrayRef2<f64>, tolerance: f64) -> Result<Vec<Factor>> {
    if kernel.is_empty() || !kernel.iter().all(|cell| cell.is_finite()) {
        return Err(Error::Argument("a kernel to be split needs cells, all of them finite".into()));
    }
    // LAPACK reads whole arrays, not views of any strides.
    let decomposed = kernel.to_owned().svd(true, true).map_err(|error| Error::Linalg(error.to_string()))?;
    let (Some(columns), strengths, Some(rows)) = decomposed else {
        return Err(Error::Linalg("the decomposition came without its vectors".into()));
    };
    let least = tolerance * strengths.first().copied().unwrap_or(0.0);
    let kept = strengths.iter().enumerate().take_while(|&(i, &strength)| i == 0 || strength > least);
    Ok(kept
        .map(|(i, &strength)| {
            let (column, row) = (columns.column(i), rows.row(i));
            // The sign of a pair of vectors is free: the column is the one that is mostly positive.
            let scale = strength.sqrt() * if column.sum() < 0.0 { -1.0 } else { 1.0 };
            Factor { strength, column: column.mapv(|cell| cell * scale), row: row.mapv(|cell| cell * scale) }
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, arr2};

    use super::*;
    use crate::stencil::named;

    #[test]
    fn the_named_kernels_are_separable_or_not_as_is_known() {
        for name in ["edge", "sobel-y", "scharr-x", "prewitt-y", "gaussian:1.3", "box:5", "identity"] {
            assert!(is_separable(&named(name).unwrap(), 1e-14), "{name}");
        }
        for name in ["laplacian", "sharpen", "emboss"] {
            assert!(!is_separable(&named(name).unwrap(), 0.03), "{name}");
        }
    }

    #[test]
    fn nothing_and_zeros_are_separable_and_nan_is_not() {
        assert!(is_separable(&Array2::zeros((0, 3)), 0.0));
        assert!(is_separable(&Array2::zeros((2, 3)), 0.0));
        assert!(!is_separable(&arr2(&[[1.0, f64::NAN], [1.0, 1.0]]), 1.0));
    }

    #[cfg(feature = "linalg")]
    #[test]
    fn the_terms_add_up_to_the_kernel_and_the_first_is_the_best() {
        let kernel = arr2(&[[3.0, -1.0, 0.5, 2.0], [0.0, 4.0, 1.0, -2.0], [1.0, 1.0, -3.0, 0.25]]);
        let terms = separate(&kernel.t(), 1e-12).unwrap();
        assert_eq!(terms.len(), 3);
        assert!(terms.windows(2).all(|pair| pair[0].strength >= pair[1].strength));
        let sum = terms.iter().fold(Array2::<f64>::zeros((4, 3)), |sum, term| sum + term.product());
        assert!((sum - kernel.t()).iter().all(|error| error.abs() < 1e-12));
        // What the first leaves has the strength of the others.
        let rest = &kernel.t() - &terms[0].product();
        let left: f64 = terms[1..].iter().map(|term| term.strength * term.strength).sum();
        assert!((rest.mapv(|cell| cell * cell).sum() - left).abs() < 1e-10);
    }

    #[cfg(feature = "linalg")]
    #[test]
    fn kernels_that_cannot_be_split_are_refused() {
        assert!(separate(&Array2::zeros((0, 3)), 0.0).is_err());
        assert!(separate(&arr2(&[[f64::INFINITY]]), 0.0).is_err());
        assert_eq!(separate(&Array2::zeros((2, 2)), 1e-12).unwrap().len(), 1);
    }
}
