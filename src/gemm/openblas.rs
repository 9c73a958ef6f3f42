//! The only calls of OpenBLAS.

#![allow(unsafe_code)]

use std::any::TypeId;
use std::sync::Once;

use cblas_sys::{CBLAS_LAYOUT, CBLAS_TRANSPOSE, cblas_dgemm, cblas_sgemm};
use ndarray::{ArrayView2, ArrayViewMut2, Axis};
// Links the library.
use openblas_src as _;

use super::backend::{OPENBLAS_CALLS, count};
use super::store::Store;
use crate::element::Element;

unsafe extern "C" {
    fn openblas_set_num_threads(threads: i32);
}

/// A matrix has no axis of stride 1, or a size or stride beyond BLAS's 32-bit integers.
#[derive(Debug)]
pub(super) struct Inexpressible;

/// How BLAS sees a matrix: row-major, or the transpose of a row-major one.
#[derive(Clone, Copy)]
struct Layout {
    transpose: CBLAS_TRANSPOSE,
    leading: i32,
}

/// Terms of the sums that OpenBLAS is asked for at a time. Its AVX-512 kernels add all of them up one by one, and
/// would lose more digits than the textbook's product.
const DEPTH: usize = 384;

/// `c = a · b` or `c = c + a · b` in the calling thread.
pub(super) fn matmul<T: Element>(
    a: ArrayView2<'_, T>,
    b: ArrayView2<'_, T>,
    store: Store,
    mut c: ArrayViewMut2<'_, T>,
) -> Result<(), Inexpressible> {
    let mut store = store;
    for (a, b) in a.axis_chunks_iter(Axis(1), DEPTH).zip(b.axis_chunks_iter(Axis(0), DEPTH)) {
        multiply(a, b, store, c.view_mut())?;
        store = Store::Add;
    }
    Ok(())
}

fn multiply<T: Element>(
    a: ArrayView2<'_, T>,
    b: ArrayView2<'_, T>,
    store: Store,
    mut c: ArrayViewMut2<'_, T>,
) -> Result<(), Inexpressible> {
    let out = layout(c.view())?;
    if let CBLAS_TRANSPOSE::CblasTrans = out.transpose {
        // C is column-major: Cᵀ = Bᵀ · Aᵀ is row-major.
        return multiply(b.reversed_axes(), a.reversed_axes(), store, c.reversed_axes());
    }
    let (left, right) = (layout(a)?, layout(b)?);
    let int = |n: usize| i32::try_from(n).map_err(|_| Inexpressible);
    let (m, n, k) = (int(c.nrows())?, int(c.ncols())?, int(a.ncols())?);
    use_one_thread();
    count(&OPENBLAS_CALLS);
    let (a, b, c) = (a.as_ptr(), b.as_ptr(), c.as_mut_ptr());
    let beta = if store == Store::Add { 1.0 } else { 0.0 };
    let row_major = CBLAS_LAYOUT::CblasRowMajor;
    // SAFETY: `layout` has checked that each view, borrowed for the whole call, is exactly the matrix
    // that its transpose flag and leading dimension describe, with the sizes that are passed; `c` is
    // borrowed mutably and aliases nothing; the casts keep the element type, since `Element` is only
    // implemented for f32 and f64.
    unsafe {
        if TypeId::of::<T>() == TypeId::of::<f32>() {
            cblas_sgemm(
                row_major,
                left.transpose,
                right.transpose,
                m,
                n,
                k,
                1.0,
                a.cast(),
                left.leading,
                b.cast(),
                right.leading,
                beta as f32,
                c.cast(),
                out.leading,
            );
        } else {
            cblas_dgemm(
                row_major,
                left.transpose,
                right.transpose,
                m,
                n,
                k,
                1.0,
                a.cast(),
                left.leading,
                b.cast(),
                right.leading,
                beta,
                c.cast(),
                out.leading,
            );
        }
    }
    Ok(())
}

/// How BLAS can read `matrix` without a copy, if it can.
fn layout<T>(matrix: ArrayView2<'_, T>) -> Result<Layout, Inexpressible> {
    let (rows, cols) = matrix.dim();
    let leading = |lines: usize, len: usize, line_stride: isize, stride: isize| -> Option<i32> {
        if len > 1 && stride != 1 {
            return None;
        }
        // The stride of a single line is never used, so any legal one will do.
        let leading = if lines > 1 { usize::try_from(line_stride).ok()? } else { len.max(1) };
        (leading >= len.max(1)).then(|| i32::try_from(leading).ok()).flatten()
    };
    let [row_stride, col_stride] = [matrix.strides()[0], matrix.strides()[1]];
    if let Some(leading) = leading(rows, cols, row_stride, col_stride) {
        return Ok(Layout { transpose: CBLAS_TRANSPOSE::CblasNoTrans, leading });
    }
    leading(cols, rows, col_stride, row_stride)
        .map(|leading| Layout { transpose: CBLAS_TRANSPOSE::CblasTrans, leading })
        .ok_or(Inexpressible)
}

/// Threads belong to the caller's pool: OpenBLAS gets one. This holds for the whole process.
fn use_one_thread() {
    static ONCE: Once = Once::new();
    // SAFETY: the function takes any number of threads, and `Once` keeps calls from racing.
    ONCE.call_once(|| unsafe { openblas_set_num_threads(1) });
}
