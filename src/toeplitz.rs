//! A convolution as one matrix: the doubly blocked Toeplitz matrix of its kernels.

use ndarray::Array2;

use crate::element::Element;
use crate::error::{Error, Result};
use crate::options::ConvOptions;
use crate::rank::{Rank, TensorRef};

/// The most elements that [`toeplitz`] will make: 128 MiB of doubles. A picture of 600 × 512 with a 3 × 3 kernel would
/// take 94 billion.
pub const TOEPLITZ_LIMIT: usize = 1 << 24;

/// The matrix `M` with which `vec(Y) = M · vec(X)` for one image `X` of `input_size` cells a channel, where `weight` is
/// `[OC, C/g, *k]` and `vec` reads an array in row-major order: `[OC · Π output, C · Π input]`.
///
/// A row holds the kernel's numbers at the cells of one window, so most elements are zero; the patch matrix of
/// [`unfold`](crate::unfold) is the small way to say the same. Its transpose is the input gradient, also called the
/// transposed convolution. Stride, padding, pad mode, dilation and groups are those of `options`: a border cell that
/// repeats an input cell adds to that cell's column.
///
/// # Errors
/// As [`conv`](crate::conv), and [`Error::TooLarge`] beyond [`TOEPLITZ_LIMIT`]. An activation is refused, since it is not
/// linear.
///
/// ```
/// use convgemm::{ConvOptions, toeplitz};
/// use ndarray::array;
///
/// let kernel = array![[[1.0, -1.0]]];
/// let matrix = toeplitz([4], &kernel, &ConvOptions::new())?;
/// assert_eq!(matrix, array![[1.0, -1.0, 0.0, 0.0], [0.0, 1.0, -1.0, 0.0], [0.0, 0.0, 1.0, -1.0]]);
/// # Ok::<(), convgemm::Error>(())
/// ```
pub fn toeplitz<T: Element, const D: usize>(
    input_size: [usize; D],
    weight: &TensorRef<T, D>,
    options: &ConvOptions<D>,
) -> Result<Array2<T>>
where
    [usize; D]: Rank,
{
    options.without_activation()?;
    let channels = weight.shape()[1].checked_mul(options.groups).ok_or(Error::Overflow { what: "the input" })?;
    let geometry = options.geometry(&[&[1, channels], &input_size[..]].concat(), weight.shape())?;
    let (windows, cells) = (geometry.windows(), geometry.input_cells());
    let (rows, columns) = (geometry.out_channels * windows, channels * cells);
    let elements = rows.checked_mul(columns).ok_or(Error::Overflow { what: "the Toeplitz matrix" })?;
    if elements > TOEPLITZ_LIMIT {
        return Err(Error::TooLarge { what: "the Toeplitz matrix", elements, limit: TOEPLITZ_LIMIT });
    }
    let weight = <[usize; D]>::widen(weight.view());
    let mut matrix = Array2::zeros((rows, columns));
    let (inner, outer) = (geometry.group_in_channels(), geometry.group_out_channels());
    for (index, &value) in weight.indexed_iter() {
        let (out, channel, taps) = (index.0, index.1, [index.2, index.3, index.4]);
        let channel = out / outer * inner + channel;
        let outputs = ndarray::Dim(geometry.axes.map(|axis| axis.output));
        for (window, output) in ndarray::indices(outputs).into_iter().enumerate() {
            let output = [output.0, output.1, output.2];
            let mut cell = Some(0);
            for ((axis, output), tap) in geometry.axes.iter().zip(output).zip(taps) {
                let source = axis.source(output, tap, geometry.pad_mode);
                cell = cell.zip(source).map(|(cell, source)| cell * axis.input + source);
            }
            if let Some(cell) = cell {
                matrix[[out * windows + window, channel * cells + cell]] += value;
            }
        }
    }
    Ok(matrix)
}

#[cfg(test)]
mod tests {
    use ndarray::{Array, Array1, Array4, Dimension, array};

    use super::*;
    use crate::nn::Rng;
    use crate::ops::{conv, conv_input_grad};
    use crate::options::{Activation, PadMode, Padding};

    fn random<D: Dimension, Sh: ndarray::ShapeBuilder<Dim = D>>(shape: Sh, rng: &mut Rng) -> Array<f64, D> {
        Array::from_shape_simple_fn(shape, || rng.uniform(-1.0, 1.0))
    }

    fn vec<D: Dimension>(array: &Array<f64, D>) -> Array1<f64> {
        array.iter().copied().collect()
    }

    #[track_caller]
    fn assert_close(found: &Array1<f64>, expected: &Array1<f64>) {
        assert!((found - expected).iter().all(|error| error.abs() < 1e-12), "{found} for {expected}");
    }

    /// Both directions of a 2-D case against the operations.
    fn check(input: [usize; 4], weight: [usize; 4], options: ConvOptions<2>) {
        let rng = &mut Rng::new(3);
        let (x, w) = (random(input, rng), random(weight, rng));
        let matrix = toeplitz([input[2], input[3]], &w, &options).unwrap();
        let y = conv(&x, &w, None, &options).unwrap();
        assert_close(&matrix.dot(&vec(&x)), &vec(&y));
        let gradient = random(y.dim(), rng);
        let expected = conv_input_grad(input, &w, &gradient, &options).unwrap();
        assert_close(&matrix.t().dot(&vec(&gradient)), &vec(&expected));
    }

    #[test]
    fn the_matrix_and_its_transpose_are_the_convolution_and_its_input_gradient() {
        let base = ConvOptions::new();
        check([1, 1, 3, 3], [1, 1, 2, 2], base);
        check([1, 2, 5, 4], [3, 2, 2, 3], base.stride([2, 1]).padding(Padding::Explicit([(1, 0), (2, 1)])));
        check([1, 4, 6, 7], [6, 2, 3, 2], base.groups(2).dilation([2, 3]));
        check([1, 3, 5, 5], [6, 1, 3, 3], base.groups(3).padding(Padding::Same).stride([2, 3]));
        for mode in [PadMode::Reflect, PadMode::Replicate, PadMode::Circular] {
            check([1, 2, 4, 5], [2, 2, 3, 4], base.padding(Padding::symmetric([2, 3])).pad_mode(mode));
        }
    }

    #[test]
    fn sequences_and_volumes_have_one_too() {
        let rng = &mut Rng::new(4);
        let (x, w) = (random([1, 2, 7], rng), random([3, 2, 3], rng));
        let options = ConvOptions::new().stride([2]);
        let y = conv::<_, 1>(&x, &w, None, &options).unwrap();
        assert_close(&toeplitz([7], &w, &options).unwrap().dot(&vec(&x)), &vec(&y));
        let (x, w) = (random([1, 2, 3, 4, 3], rng), random([2, 2, 2, 1, 3], rng));
        let options = ConvOptions::new().padding(Padding::symmetric([1, 0, 1]));
        let y = conv::<_, 3>(&x, &w, None, &options).unwrap();
        assert_close(&toeplitz([3, 4, 3], &w, &options).unwrap().dot(&vec(&x)), &vec(&y));
    }

    #[test]
    fn blocks_of_the_chapters_matrix_repeat_along_the_diagonal() {
        let matrix = toeplitz([3, 3], &array![[[[0.0, 1.0], [2.0, 3.0]]]], &ConvOptions::new()).unwrap();
        let expected = array![
            [0.0, 1.0, 0.0, 2.0, 3.0, 0.0, 0.0, 0.0, 0.0],
            [0.0, 0.0, 1.0, 0.0, 2.0, 3.0, 0.0, 0.0, 0.0],
            [0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 2.0, 3.0, 0.0],
            [0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 2.0, 3.0]
        ];
        assert_eq!(matrix, expected);
    }

    #[test]
    fn what_would_not_fit_and_what_is_not_linear_is_refused() {
        let weight = Array4::<f32>::zeros((1, 1, 3, 3));
        let error = toeplitz([600, 512], &weight, &ConvOptions::new()).unwrap_err();
        assert!(matches!(error, Error::TooLarge { elements: 93_689_856_000, .. }), "{error}");
        let relu = ConvOptions::new().activation(Activation::Relu);
        assert_eq!(toeplitz([4, 4], &weight, &relu), Err(Error::ActivationInGradient));
        assert!(toeplitz([2, 2], &weight, &ConvOptions::new()).is_err());
        assert!(toeplitz([4, 4], &weight, &ConvOptions::new().groups(usize::MAX)).is_err());
    }
}
