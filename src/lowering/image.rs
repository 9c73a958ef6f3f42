//! The channels of one group of an image, and the slice that its rows lie in.

use std::ops::Range;

use ndarray::{ArrayView4, ArrayView5, s};

use super::group_image;
use crate::geometry::ConvGeometry;

/// `[C/g, D, H, W]`, where planes may be the images of a batch.
#[derive(Clone, Copy)]
pub(super) struct Image<'a, T> {
    pub view: ArrayView4<'a, T>,
    /// The same, if the rows of a plane lie one after the other.
    pub flat: Option<Flat<'a, T>>,
}

/// Cell `[c, d, h, w]` is at `c · channel_len + d · plane_len + h · W + w`.
#[derive(Clone, Copy)]
pub(super) struct Flat<'a, T> {
    pub cells: &'a [T],
    pub channel_len: usize,
    pub plane_len: usize,
}

impl<'a, T> Image<'a, T> {
    pub fn of(geometry: &ConvGeometry, input: ArrayView5<'a, T>, image: usize, group: usize) -> Self {
        let view = group_image(geometry, input, image, group);
        let (_, depth, height, width) = view.dim();
        let flat = match view.to_slice() {
            Some(cells) => {
                let plane_len = height * width;
                Some(Flat { cells, channel_len: depth * plane_len, plane_len })
            }
            None => Self::permuted(input, [image, group * geometry.group_in_channels()]),
        };
        Self { view, flat }
    }

    /// Some columns.
    pub fn columns(self, columns: Range<usize>) -> Self {
        let [.., height, width] = *self.view.shape() else { unreachable!("four axes") };
        let follow = height == 1 || columns == (0..width);
        let flat = self
            .flat
            .filter(|_| follow)
            .and_then(|flat| Some(Flat { cells: flat.cells.get(columns.start..)?, ..flat }));
        Self { view: self.view.slice_move(s![.., .., .., columns]), flat }
    }

    /// From channel `first` of an image on, where the axes of a contiguous array have changed places.
    fn permuted(input: ArrayView5<'a, T>, [image, first]: [usize; 2]) -> Option<Flat<'a, T>> {
        let step = |axis: usize| match input.shape()[axis] {
            0 | 1 => Some(0),
            _ => usize::try_from(input.strides()[axis]).ok(),
        };
        let [image_len, channel_len, plane_len] = [step(0)?, step(1)?, step(2)?];
        let [height, width] = [3, 4].map(|axis| input.shape()[axis]);
        let are_rows = (height <= 1 || step(3)? == width) && (width <= 1 || step(4)? == 1);
        let cells = input.to_slice_memory_order()?.get(image * image_len + first * channel_len..)?;
        are_rows.then_some(Flat { cells, channel_len, plane_len })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ConvOptions;
    use ndarray::{Array5, Axis};

    #[test]
    fn a_cell_of_the_slice_is_that_of_the_view_wherever_there_is_one() {
        let all =
            Array5::from_shape_fn([3, 4, 2, 5, 6], |(n, c, d, h, w)| ((((n * 4 + c) * 2 + d) * 5 + h) * 6 + w) as f32);
        let geometry = |view: &ArrayView5<f32>| {
            let shape: [usize; 5] = view.shape().try_into().unwrap();
            let weight = [2, shape[1] / 2, 1, 1, 1];
            ConvOptions::<3>::new().groups(2).geometry(&shape, &weight).unwrap()
        };
        let whole = all.view();
        let planes = all.view().permuted_axes([2, 1, 0, 3, 4]);
        let mut mirrored = planes;
        mirrored.invert_axis(Axis(2));
        let turned = all.view().permuted_axes([0, 1, 2, 4, 3]);
        let stepped = all.slice(s![.., .., .., .., ..;2]);
        let narrow = all.slice(s![.., .., .., .., 2..3]);
        let images = all.slice(s![..;2, .., .., .., ..]);
        for (view, is_flat) in [
            (whole, true),
            (planes, true),
            (images, true),
            (mirrored, false),
            (turned, false),
            (stepped, false),
            (narrow, false),
        ] {
            let g = geometry(&view);
            let image = Image::of(&g, view, view.len_of(Axis(0)) - 1, 1);
            assert_eq!(image.flat.is_some(), is_flat, "{:?} {:?}", view.shape(), view.strides());
            let Some(Flat { cells, channel_len, plane_len }) = image.flat else { continue };
            for ((c, d, h, w), &cell) in image.view.indexed_iter() {
                assert_eq!(cells[c * channel_len + d * plane_len + h * image.view.len_of(Axis(3)) + w], cell);
            }
        }
    }
}
