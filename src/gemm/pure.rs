//! The only call of the `gemm` crate.

#![allow(unsafe_code)]

use ndarray::{ArrayView2, ArrayViewMut2};

use super::store::Store;
use crate::element::Element;

/// `c = a · b` or `c = c + a · b`, in the calling thread, for any strides.
pub(super) fn matmul<T: Element>(
    a: ArrayView2<'_, T>,
    b: ArrayView2<'_, T>,
    store: Store,
    mut c: ArrayViewMut2<'_, T>,
) {
    let (m, n) = c.dim();
    let k = a.ncols();
    debug_assert!(a.nrows() == m && b.dim() == (k, n));
    // SAFETY: the pointers, lengths and strides of each matrix come from one view, which stays borrowed
    // for the whole call, so every element that they address is valid; `c` is borrowed mutably, so it
    // aliases neither `a` nor `b`; `Element` is f32 or f64 only, types that `gemm` knows.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c.as_mut_ptr(),
            c.strides()[1],
            c.strides()[0],
            store == Store::Add,
            a.as_ptr(),
            a.strides()[1],
            a.strides()[0],
            b.as_ptr(),
            b.strides()[1],
            b.strides()[0],
            T::one(),
            T::one(),
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}
