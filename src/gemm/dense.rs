//! The dense product of two matrices of any strides.

use ndarray::{ArrayView2, ArrayViewMut2};

use super::backend::{Dense, GEMM_CALLS, count};
use super::pure;
use super::store::Store;
use crate::element::Element;

/// Computes `c = a · b` or `c = c + a · b` in the calling thread. An empty sum is zero.
///
/// # Panics
/// If the shapes do not fit, which is a mistake of this crate.
pub(crate) fn matmul<T: Element>(
    dense: Dense,
    a: ArrayView2<'_, T>,
    b: ArrayView2<'_, T>,
    store: Store,
    mut c: ArrayViewMut2<'_, T>,
) {
    assert_eq!((a.nrows(), b.ncols()), c.dim(), "output of a dense product");
    assert_eq!(a.ncols(), b.nrows(), "depth of a dense product");
    if c.is_empty() {
        return;
    }
    if a.ncols() == 0 {
        if store == Store::Overwrite {
            c.fill(T::zero());
        }
        return;
    }
    match dense {
        Dense::Gemm => {}
        #[cfg(feature = "_openblas")]
        Dense::OpenBlas => match super::openblas::matmul(a, b, store, c.view_mut()) {
            Ok(()) => return,
            Err(super::openblas::Inexpressible) => count(&super::backend::REDIRECTED_CALLS),
        },
    }
    count(&GEMM_CALLS);
    pure::matmul(a, b, store, c);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gemm::{Backend, dense_calls};
    use ndarray::{Array2, Axis, ShapeBuilder, s};

    fn filled(rows: usize, cols: usize, seed: usize) -> Array2<f64> {
        Array2::from_shape_fn((rows, cols), |(i, j)| ((i * 31 + j * 17 + seed * 7) % 23) as f64 - 11.0)
    }

    fn reference(a: ArrayView2<'_, f64>, b: ArrayView2<'_, f64>) -> Array2<f64> {
        Array2::from_shape_fn((a.nrows(), b.ncols()), |(i, j)| (0..a.ncols()).map(|k| a[[i, k]] * b[[k, j]]).sum())
    }

    fn backends() -> impl Iterator<Item = Dense> {
        Backend::ALL.into_iter().filter_map(|backend| backend.resolve().ok())
    }

    #[test]
    fn every_edge_size_is_right_in_every_backend_with_poisoned_output() {
        let sizes = [0, 1, 7, 8, 9, 15, 16, 17];
        for dense in backends() {
            for m in sizes {
                for n in sizes {
                    for k in sizes {
                        let (a, b) = (filled(m, k, 1), filled(k, n, 2));
                        let mut c = Array2::from_elem((m, n), f64::NAN);
                        matmul(dense, a.view(), b.view(), Store::Overwrite, c.view_mut());
                        assert_eq!(c, reference(a.view(), b.view()), "{dense:?} {m} {n} {k}");
                        matmul(dense, a.view(), b.view(), Store::Add, c.view_mut());
                        assert_eq!(c, reference(a.view(), b.view()) * 2.0, "{dense:?} {m} {n} {k} added");
                    }
                }
            }
        }
    }

    #[test]
    fn every_layout_of_every_operand_is_right() {
        fn layouts(big: &Array2<f64>) -> [ArrayView2<'_, f64>; 5] {
            [
                big.slice(s![..6, ..6]),
                big.slice(s![..6, ..6]).reversed_axes(),
                big.slice(s![..12;2, ..18;3]),
                big.slice(s![..6;-1, ..6;-1]),
                ArrayView2::from_shape((6, 6).strides((0, 1)), big.as_slice().unwrap()).unwrap(),
            ]
        }
        let (big_a, big_b) = (filled(20, 20, 3), filled(20, 20, 4));
        for dense in backends() {
            for a in layouts(&big_a) {
                for b in layouts(&big_b) {
                    let expected = reference(a, b);
                    let mut plain = Array2::from_elem((6, 6), f64::NAN);
                    matmul(dense, a, b, Store::Overwrite, plain.view_mut());
                    assert_eq!(plain, expected, "{dense:?}");
                    let mut turned = Array2::from_elem((6, 6), f64::NAN);
                    matmul(dense, a, b, Store::Overwrite, turned.view_mut().reversed_axes());
                    assert_eq!(turned.t(), expected, "{dense:?} column-major output");
                    let mut sparse = Array2::from_elem((12, 18), f64::NAN);
                    matmul(dense, a, b, Store::Overwrite, sparse.slice_mut(s![..;2, ..;3]));
                    assert_eq!(sparse.slice(s![..;2, ..;3]), expected, "{dense:?} stepped output");
                    assert!(sparse.index_axis(Axis(0), 1).iter().all(|x| x.is_nan()), "wrote between the steps");
                }
            }
        }
    }

    #[cfg(feature = "_openblas")]
    #[test]
    fn openblas_is_reached_and_what_it_cannot_express_is_counted_as_redirected() {
        let (a, b) = (filled(24, 24, 1), filled(24, 24, 2));
        let mut c = Array2::zeros((24, 24));
        let before = dense_calls();
        matmul(Dense::OpenBlas, a.view(), b.t(), Store::Overwrite, c.view_mut());
        let between = dense_calls();
        assert!(between.openblas > before.openblas);
        let (wide_a, wide_b) = (filled(24, 48, 1), filled(48, 24, 2));
        matmul(Dense::OpenBlas, wide_a.slice(s![.., ..;2]), wide_b.slice(s![..;2, ..]), Store::Overwrite, c.view_mut());
        assert!(dense_calls().redirected > between.redirected);
    }

    #[test]
    fn the_pure_backend_counts_its_products() {
        let before = dense_calls().gemm;
        let a = filled(3, 3, 1);
        let mut c = Array2::zeros((3, 3));
        matmul(Dense::Gemm, a.view(), a.view(), Store::Overwrite, c.view_mut());
        assert!(dense_calls().gemm > before);
    }
}
