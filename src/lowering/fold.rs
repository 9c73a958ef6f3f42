//! The images of a batch as the planes of one image, so that their windows are columns of one patch matrix.

use ndarray::{ArrayView5, ArrayViewMut3, ArrayViewMut4, Axis};

use crate::geometry::{Axis as Spatial, ConvGeometry};

/// The convolution over a single image whose planes are the images of `geometry`; `None` if there is one image, or if
/// images have planes of their own.
pub(super) fn folded(geometry: &ConvGeometry) -> Option<ConvGeometry> {
    let [depth, height, width] = geometry.axes;
    let images = Spatial { input: geometry.batch, output: geometry.batch, ..Spatial::UNIT };
    let is_possible = geometry.batch > 1 && depth == Spatial::UNIT;
    is_possible.then(|| ConvGeometry { batch: 1, axes: [images, height, width], ..geometry.clone() })
}

/// `[N, C, 1, H, W]` as `[1, C, N, H, W]`.
pub(super) fn fold_input<T>(input: ArrayView5<'_, T>) -> ArrayView5<'_, T> {
    input.permuted_axes([2, 1, 0, 3, 4])
}

/// `[N, OC, windows]` as `[1, OC, N, windows]` of a folded batch, or else as `[N, OC, 1, windows]`: the windows of an image of
/// the output may lie apart from those of the next.
pub(super) fn fold_output<T>(output: ArrayViewMut3<'_, T>, is_folded: bool) -> ArrayViewMut4<'_, T> {
    match is_folded {
        true => output.insert_axis(Axis(0)).permuted_axes([0, 2, 1, 3]),
        false => output.insert_axis(Axis(2)),
    }
}
