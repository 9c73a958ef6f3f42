//! Convolution as deep learning means it: cross-correlation.

use ndarray::{Array2, ArrayRef1, ArrayRef2, Axis, s};

use super::{apply, apply_into};
use crate::element::Element;
use crate::error::Result;
use crate::lowering::Pass;
use crate::options::ConvOptions;
use crate::plan::Engine;
use crate::rank::{Rank, Tensor, TensorRef};

/// Cross-correlation of `input` `[N, C, *k]` with `weight` `[OC, C/g, *k]`, plus `bias` `[OC]`:
/// `Y[n, o, x] = b[o] + Σ_{c, t} W[o, c, t] · X[n, c, stride · x + dilation · t − padding]`.
///
/// Returns `[N, OC, *out]` with `out = (in + padding − dilation · (k − 1) − 1) / stride + 1` on each axis,
/// in the memory order of `input` (channels-last stays so). Views of any strides will do. The number `D`
/// of spatial axes is that of `options`; see also [`conv1d`](crate::conv1d), [`conv2d`](crate::conv2d)
/// and [`conv3d`](crate::conv3d).
///
/// # Errors
/// Shapes and options that do not fit each other, an algorithm that cannot do the case; see
/// [`Error`](crate::Error).
///
/// ```
/// use convgemm::{ConvOptions, conv};
/// use ndarray::array;
///
/// let x = array![[[0.0_f32, 1.0, 2.0, 3.0]]];
/// let k = array![[[1.0, -1.0]]];
/// assert_eq!(conv(&x, &k, None, &ConvOptions::<1>::new())?, array![[[-1.0, -1.0, -1.0]]]);
/// # Ok::<(), convgemm::Error>(())
/// ```
pub fn conv<T: Element, const D: usize>(
    input: &TensorRef<T, D>,
    weight: &TensorRef<T, D>,
    bias: Option<&ArrayRef1<T>>,
    options: &ConvOptions<D>,
) -> Result<Tensor<T, D>>
where
    [usize; D]: Rank,
{
    let engine = Engine::new::<T, D>(options.geometry(input.shape(), weight.shape())?, Pass::Forward, options)?;
    apply(&engine, weight, bias, ("input", input))
}

/// [`conv`] into an output that the caller owns, of any strides. What it held is not read.
///
/// # Errors
/// As [`conv`], and an output of another shape.
pub fn conv_into<T: Element, const D: usize>(
    input: &TensorRef<T, D>,
    weight: &TensorRef<T, D>,
    bias: Option<&ArrayRef1<T>>,
    options: &ConvOptions<D>,
    output: &mut TensorRef<T, D>,
) -> Result<()>
where
    [usize; D]: Rank,
{
    let engine = Engine::new::<T, D>(options.geometry(input.shape(), weight.shape())?, Pass::Forward, options)?;
    apply_into(&engine, weight, bias, ("input", input), output)
}

/// Cross-correlation of a plain picture `[H, W]` with a kernel `[h, w]`.
///
/// Without padding the result has `(H − h + 1) × (W − w + 1)` cells.
///
/// # Errors
/// As [`conv`].
///
/// ```
/// use convgemm::{ConvOptions, correlate2d};
/// use ndarray::array;
///
/// let x = array![[0.0_f32, 1.0, 2.0], [3.0, 4.0, 5.0], [6.0, 7.0, 8.0]];
/// let k = array![[0.0, 1.0], [2.0, 3.0]];
/// assert_eq!(correlate2d(&x, &k, &ConvOptions::new())?, array![[19.0, 25.0], [37.0, 43.0]]);
/// # Ok::<(), convgemm::Error>(())
/// ```
pub fn correlate2d<T: Element>(
    image: &ArrayRef2<T>,
    kernel: &ArrayRef2<T>,
    options: &ConvOptions<2>,
) -> Result<Array2<T>> {
    let image = image.view().insert_axis(Axis(0)).insert_axis(Axis(0));
    let kernel = kernel.view().insert_axis(Axis(0)).insert_axis(Axis(0));
    let output = conv(&image, &kernel, None, options)?;
    Ok(output.index_axis_move(Axis(0), 0).index_axis_move(Axis(0), 0))
}

/// [`correlate2d`] into an output that the caller owns.
///
/// # Errors
/// As [`correlate2d`], and an output of another shape.
pub fn correlate2d_into<T: Element>(
    image: &ArrayRef2<T>,
    kernel: &ArrayRef2<T>,
    options: &ConvOptions<2>,
    output: &mut ArrayRef2<T>,
) -> Result<()> {
    let image = image.view().insert_axis(Axis(0)).insert_axis(Axis(0));
    let kernel = kernel.view().insert_axis(Axis(0)).insert_axis(Axis(0));
    let mut output = output.view_mut().insert_axis(Axis(0)).insert_axis(Axis(0));
    conv_into(&image, &kernel, None, options, &mut output)
}

/// Convolution in the sense of mathematics: cross-correlation with the kernel flipped both ways.
///
/// # Errors
/// As [`conv`].
///
/// ```
/// use convgemm::{ConvOptions, convolve2d};
/// use ndarray::array;
///
/// let x = array![[0.0_f32, 1.0, 2.0], [3.0, 4.0, 5.0], [6.0, 7.0, 8.0]];
/// let k = array![[0.0, 1.0], [2.0, 3.0]];
/// assert_eq!(convolve2d(&x, &k, &ConvOptions::new())?, array![[5.0, 11.0], [23.0, 29.0]]);
/// # Ok::<(), convgemm::Error>(())
/// ```
pub fn convolve2d<T: Element>(
    image: &ArrayRef2<T>,
    kernel: &ArrayRef2<T>,
    options: &ConvOptions<2>,
) -> Result<Array2<T>> {
    correlate2d(image, &kernel.slice(s![..;-1, ..;-1]), options)
}

/// [`convolve2d`] into an output that the caller owns.
///
/// # Errors
/// As [`convolve2d`], and an output of another shape.
pub fn convolve2d_into<T: Element>(
    image: &ArrayRef2<T>,
    kernel: &ArrayRef2<T>,
    options: &ConvOptions<2>,
    output: &mut ArrayRef2<T>,
) -> Result<()> {
    correlate2d_into(image, &kernel.slice(s![..;-1, ..;-1]), options, output)
}
