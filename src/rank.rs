//! One to three spatial axes, seen as three.

use ndarray::{Array, ArrayBase, ArrayRef, Axis, Dimension, Ix3, Ix4, Ix5, RawData};

/// The numbers of spatial axes that an operation can have; implemented by `[usize; 1]` to `[usize; 3]`.
///
/// It ties the `D` of `ConvOptions<D>` to the arrays `[N, C, *k]` of an operation.
pub trait Rank {
    /// Dimension of an input, weight or output: `Ix3`, `Ix4` or `Ix5`.
    type Tensor: Dimension;

    /// Its shape: an array of as many lengths.
    type Shape: AsRef<[usize]> + AsMut<[usize]> + Default + Copy;

    /// Puts axes of length 1 between the channels and the spatial axes that are there.
    #[doc(hidden)]
    fn widen<S: RawData>(array: ArrayBase<S, Self::Tensor>) -> ArrayBase<S, Ix5>;

    /// Undoes [`widen`](Self::widen).
    #[doc(hidden)]
    fn narrow<S: RawData>(array: ArrayBase<S, Ix5>) -> ArrayBase<S, Self::Tensor>;
}

/// An array `[N, C, *k]` with `D` spatial axes: `Array3`, `Array4` or `Array5`.
pub type Tensor<T, const D: usize> = Array<T, <[usize; D] as Rank>::Tensor>;

/// A reference to such an array or view, of any strides.
pub type TensorRef<T, const D: usize> = ArrayRef<T, <[usize; D] as Rank>::Tensor>;

/// The shape of such an array: `D + 2` lengths.
pub type Shape<const D: usize> = <[usize; D] as Rank>::Shape;

impl Rank for [usize; 1] {
    type Tensor = Ix3;
    type Shape = [usize; 3];

    fn widen<S: RawData>(array: ArrayBase<S, Ix3>) -> ArrayBase<S, Ix5> {
        array.insert_axis(Axis(2)).insert_axis(Axis(2))
    }

    fn narrow<S: RawData>(array: ArrayBase<S, Ix5>) -> ArrayBase<S, Ix3> {
        array.index_axis_move(Axis(2), 0).index_axis_move(Axis(2), 0)
    }
}

impl Rank for [usize; 2] {
    type Tensor = Ix4;
    type Shape = [usize; 4];

    fn widen<S: RawData>(array: ArrayBase<S, Ix4>) -> ArrayBase<S, Ix5> {
        array.insert_axis(Axis(2))
    }

    fn narrow<S: RawData>(array: ArrayBase<S, Ix5>) -> ArrayBase<S, Ix4> {
        array.index_axis_move(Axis(2), 0)
    }
}

impl Rank for [usize; 3] {
    type Tensor = Ix5;
    type Shape = [usize; 5];

    fn widen<S: RawData>(array: ArrayBase<S, Ix5>) -> ArrayBase<S, Ix5> {
        array
    }

    fn narrow<S: RawData>(array: ArrayBase<S, Ix5>) -> ArrayBase<S, Ix5> {
        array
    }
}
