//! Views with their spatial axes merged into one: windows, or cells, in a row.

use ndarray::{ArrayView3, ArrayView5, ArrayViewMut3, ArrayViewMut5, Axis};

use crate::element::Element;

/// The view with its spatial axes merged into one, `[N, C, D·H·W]`, where its strides allow it.
pub(crate) fn merged<T>(mut view: ArrayView5<'_, T>) -> Option<ArrayView3<'_, T>> {
    if view.is_empty() {
        return ArrayView3::from_shape(merged_dim(view.dim()), &[]).ok();
    }
    let is_merged = view.merge_axes(Axis(3), Axis(4)) && view.merge_axes(Axis(2), Axis(4));
    is_merged.then(|| view.index_axis_move(Axis(2), 0).index_axis_move(Axis(2), 0))
}

/// The same for a view that is written; `Err` gives it back.
pub(crate) fn merged_mut<T>(mut view: ArrayViewMut5<'_, T>) -> Result<ArrayViewMut3<'_, T>, ArrayViewMut5<'_, T>> {
    if merged(view.view()).is_none() {
        return Err(view);
    }
    if view.is_empty() {
        return ArrayViewMut3::from_shape(merged_dim(view.dim()), &mut []).map_err(|_| view);
    }
    let is_merged = view.merge_axes(Axis(3), Axis(4)) && view.merge_axes(Axis(2), Axis(4));
    debug_assert!(is_merged);
    Ok(view.index_axis_move(Axis(2), 0).index_axis_move(Axis(2), 0))
}

fn merged_dim((n, c, d, h, w): (usize, usize, usize, usize, usize)) -> [usize; 3] {
    [n, c, d * h * w]
}

/// Calls `work` with the merged view, or with that of a contiguous copy.
pub(crate) fn with_merged<T: Element, R>(view: ArrayView5<'_, T>, work: impl FnOnce(ArrayView3<'_, T>) -> R) -> R {
    match merged(view) {
        Some(view) => work(view),
        None => work(contiguous(view).view()),
    }
}

/// Calls `work` with the merged view, or with a contiguous array that is then assigned to the view.
pub(crate) fn with_merged_mut<T: Element>(view: ArrayViewMut5<'_, T>, work: impl FnOnce(ArrayViewMut3<'_, T>)) {
    match merged_mut(view) {
        Ok(view) => work(view),
        Err(mut view) => {
            let mut copy = ndarray::Array5::zeros(view.dim());
            if let Ok(merged) = merged_mut(copy.view_mut()) {
                work(merged);
            }
            view.assign(&copy);
        }
    }
}

fn contiguous<T: Element>(view: ArrayView5<'_, T>) -> ndarray::Array3<T> {
    let (n, c, d, h, w) = view.dim();
    ndarray::Array3::from_shape_vec((n, c, d * h * w), view.iter().copied().collect())
        .expect("as many elements as the view has")
}
