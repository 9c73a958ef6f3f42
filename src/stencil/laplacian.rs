//! The Laplacian in one to three dimensions.

use ndarray::{ArrayD, Dimension, IxDyn};

use crate::error::{Error, Result};

/// Which cells the Laplacian compares with their centre.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Neighbours {
    /// Those that share a side: the sum of the second derivatives along the axes.
    #[default]
    Sides,
    /// Those that share a side, an edge or a corner: more nearly the same in every direction.
    All,
}

/// The Laplacian over `axes` axes, `3 × 3 × …`: one for each neighbour, and at the centre what makes the sum zero.
///
/// # Errors
/// [`Error::Argument`] unless there are one to three axes.
///
/// ```
/// use convgemm::stencil::{Neighbours, laplacian};
/// use ndarray::array;
///
/// let sides = laplacian(2, Neighbours::Sides)?;
/// assert_eq!(sides, array![[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]].into_dyn());
/// assert_eq!(laplacian(3, Neighbours::Sides)?[[1, 1, 1]], -6.0);
/// assert_eq!(laplacian(3, Neighbours::All)?[[1, 1, 1]], -26.0);
/// # Ok::<(), convgemm::Error>(())
/// ```
pub fn laplacian(axes: usize, neighbours: Neighbours) -> Result<ArrayD<f64>> {
    if !(1..=3).contains(&axes) {
        return Err(Error::Argument(format!("a Laplacian over {axes} axes; 1, 2 or 3 are possible")));
    }
    let mut kernel = ArrayD::from_shape_fn(IxDyn(&vec![3; axes]), |cell| {
        let steps = cell.slice().iter().filter(|&&at| at != 1).count();
        if steps == 1 || (steps > 1 && neighbours == Neighbours::All) { 1.0 } else { 0.0 }
    });
    let sum = kernel.sum();
    kernel[IxDyn(&vec![1; axes])] = -sum;
    Ok(kernel)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_two_neighbours_of_either_kind() {
        let line = ndarray::array![1.0, -2.0, 1.0].into_dyn();
        assert_eq!(laplacian(1, Neighbours::Sides).unwrap(), line);
        assert_eq!(laplacian(1, Neighbours::All).unwrap(), line);
    }

    #[test]
    fn the_square_has_eight_neighbours() {
        let kernel = laplacian(2, Neighbours::All).unwrap();
        assert_eq!(kernel, ndarray::array![[1.0, 1.0, 1.0], [1.0, -8.0, 1.0], [1.0, 1.0, 1.0]].into_dyn());
    }

    #[test]
    fn no_axes_and_four_are_refused() {
        for axes in [0, 4] {
            assert!(laplacian(axes, Neighbours::Sides).is_err());
        }
    }
}
