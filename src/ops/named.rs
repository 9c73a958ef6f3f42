//! The names that PyTorch's users know: each is a generic function with its number of axes fixed.

use ndarray::{Array1, Array3, ArrayRef1, ArrayRef3};

use crate::element::Element;
use crate::error::Result;
use crate::options::ConvOptions;
use crate::rank::{Shape, Tensor, TensorRef};

/// Names the functions for one number of axes. The signatures and doc links stand here once; all bodies
/// are in the generic functions.
macro_rules! named {
    ($module:ident, $axes:literal, $text:literal: $($name:ident)*) => {
        mod $module {
            use super::*;
            const D: usize = $axes;
            named!(@functions $text: $($name)*);
        }
        pub use $module::*;
    };
    (@functions $text:literal:
        $conv:ident $conv_into:ident $conv_transpose:ident
        $conv_transpose_into:ident $conv_input_grad:ident $conv_input_grad_into:ident
        $conv_weight_grad:ident $conv_weight_grad_into:ident $conv_bias_grad:ident
        $conv_bias_grad_into:ident $conv_transpose_input_grad:ident $conv_transpose_input_grad_into:ident
        $conv_transpose_weight_grad:ident $conv_transpose_weight_grad_into:ident $unfold:ident
        $unfold_into:ident $fold:ident $fold_into:ident
    ) => {
        #[doc = concat!("[`conv`](crate::conv) for ", $text, ".")]
        ///
        /// # Errors
        /// Those of the generic function.
        pub fn $conv<T: Element>(
            input: &TensorRef<T, D>, weight: &TensorRef<T, D>, bias: Option<&ArrayRef1<T>>, options: &ConvOptions<D>,
        ) -> Result<Tensor<T, D>> {
            crate::ops::conv::<T, D>(input, weight, bias, options)
        }

        #[doc = concat!("[`conv_into`](crate::conv_into) for ", $text, ".")]
        ///
        /// # Errors
        /// Those of the generic function.
        pub fn $conv_into<T: Element>(
            input: &TensorRef<T, D>, weight: &TensorRef<T, D>, bias: Option<&ArrayRef1<T>>, options: &ConvOptions<D>, output: &mut TensorRef<T, D>,
        ) -> Result<()> {
            crate::ops::conv_into::<T, D>(input, weight, bias, options, output)
        }

        #[doc = concat!("[`conv_transpose`](crate::conv_transpose) for ", $text, ".")]
        ///
        /// # Errors
        /// Those of the generic function.
        pub fn $conv_transpose<T: Element>(
            input: &TensorRef<T, D>, weight: &TensorRef<T, D>, bias: Option<&ArrayRef1<T>>, options: &ConvOptions<D>,
        ) -> Result<Tensor<T, D>> {
            crate::ops::conv_transpose::<T, D>(input, weight, bias, options)
        }

        #[doc = concat!("[`conv_transpose_into`](crate::conv_transpose_into) for ", $text, ".")]
        ///
        /// # Errors
        /// Those of the generic function.
        pub fn $conv_transpose_into<T: Element>(
            input: &TensorRef<T, D>, weight: &TensorRef<T, D>, bias: Option<&ArrayRef1<T>>, options: &ConvOptions<D>, output: &mut TensorRef<T, D>,
        ) -> Result<()> {
            crate::ops::conv_transpose_into::<T, D>(input, weight, bias, options, output)
        }

        #[doc = concat!("[`conv_input_grad`](crate::conv_input_grad) for ", $text, ".")]
        ///
        /// # Errors
        /// Those of the generic function.
        pub fn $conv_input_grad<T: Element>(
            input_shape: Shape<D>, weight: &TensorRef<T, D>, grad_output: &TensorRef<T, D>, options: &ConvOptions<D>,
        ) -> Result<Tensor<T, D>> {
            crate::ops::conv_input_grad::<T, D>(input_shape, weight, grad_output, options)
        }

        #[doc = concat!("[`conv_input_grad_into`](crate::conv_input_grad_into) for ", $text, ".")]
        ///
        /// # Errors
        /// Those of the generic function.
        pub fn $conv_input_grad_into<T: Element>(
            input_shape: Shape<D>, weight: &TensorRef<T, D>, grad_output: &TensorRef<T, D>, options: &ConvOptions<D>, output: &mut TensorRef<T, D>,
        ) -> Result<()> {
            crate::ops::conv_input_grad_into::<T, D>(input_shape, weight, grad_output, options, output)
        }

        #[doc = concat!("[`conv_weight_grad`](crate::conv_weight_grad) for ", $text, ".")]
        ///
        /// # Errors
        /// Those of the generic function.
        pub fn $conv_weight_grad<T: Element>(
            input: &TensorRef<T, D>, weight_shape: Shape<D>, grad_output: &TensorRef<T, D>, options: &ConvOptions<D>,
        ) -> Result<Tensor<T, D>> {
            crate::ops::conv_weight_grad::<T, D>(input, weight_shape, grad_output, options)
        }

        #[doc = concat!("[`conv_weight_grad_into`](crate::conv_weight_grad_into) for ", $text, ".")]
        ///
        /// # Errors
        /// Those of the generic function.
        pub fn $conv_weight_grad_into<T: Element>(
            input: &TensorRef<T, D>, weight_shape: Shape<D>, grad_output: &TensorRef<T, D>, options: &ConvOptions<D>, output: &mut TensorRef<T, D>,
        ) -> Result<()> {
            crate::ops::conv_weight_grad_into::<T, D>(input, weight_shape, grad_output, options, output)
        }

        #[doc = concat!("[`conv_bias_grad`](crate::conv_bias_grad) for ", $text, ".")]
        pub fn $conv_bias_grad<T: Element>(
            grad_output: &TensorRef<T, D>,
        ) -> Array1<T> {
            crate::ops::conv_bias_grad::<T, D>(grad_output)
        }

        #[doc = concat!("[`conv_bias_grad_into`](crate::conv_bias_grad_into) for ", $text, ".")]
        ///
        /// # Errors
        /// Those of the generic function.
        pub fn $conv_bias_grad_into<T: Element>(
            grad_output: &TensorRef<T, D>, output: &mut ArrayRef1<T>,
        ) -> Result<()> {
            crate::ops::conv_bias_grad_into::<T, D>(grad_output, output)
        }

        #[doc = concat!("[`conv_transpose_input_grad`](crate::conv_transpose_input_grad) for ", $text, ".")]
        ///
        /// # Errors
        /// Those of the generic function.
        pub fn $conv_transpose_input_grad<T: Element>(
            input_shape: Shape<D>, weight: &TensorRef<T, D>, grad_output: &TensorRef<T, D>, options: &ConvOptions<D>,
        ) -> Result<Tensor<T, D>> {
            crate::ops::conv_transpose_input_grad::<T, D>(input_shape, weight, grad_output, options)
        }

        #[doc = concat!("[`conv_transpose_input_grad_into`](crate::conv_transpose_input_grad_into) for ", $text, ".")]
        ///
        /// # Errors
        /// Those of the generic function.
        pub fn $conv_transpose_input_grad_into<T: Element>(
            input_shape: Shape<D>, weight: &TensorRef<T, D>, grad_output: &TensorRef<T, D>, options: &ConvOptions<D>, output: &mut TensorRef<T, D>,
        ) -> Result<()> {
            crate::ops::conv_transpose_input_grad_into::<T, D>(input_shape, weight, grad_output, options, output)
        }

        #[doc = concat!("[`conv_transpose_weight_grad`](crate::conv_transpose_weight_grad) for ", $text, ".")]
        ///
        /// # Errors
        /// Those of the generic function.
        pub fn $conv_transpose_weight_grad<T: Element>(
            input: &TensorRef<T, D>, weight_shape: Shape<D>, grad_output: &TensorRef<T, D>, options: &ConvOptions<D>,
        ) -> Result<Tensor<T, D>> {
            crate::ops::conv_transpose_weight_grad::<T, D>(input, weight_shape, grad_output, options)
        }

        #[doc = concat!("[`conv_transpose_weight_grad_into`](crate::conv_transpose_weight_grad_into) for ", $text, ".")]
        ///
        /// # Errors
        /// Those of the generic function.
        pub fn $conv_transpose_weight_grad_into<T: Element>(
            input: &TensorRef<T, D>, weight_shape: Shape<D>, grad_output: &TensorRef<T, D>, options: &ConvOptions<D>, output: &mut TensorRef<T, D>,
        ) -> Result<()> {
            crate::ops::conv_transpose_weight_grad_into::<T, D>(input, weight_shape, grad_output, options, output)
        }

        #[doc = concat!("[`unfold`](crate::unfold) for ", $text, ".")]
        ///
        /// # Errors
        /// Those of the generic function.
        pub fn $unfold<T: Element>(
            input: &TensorRef<T, D>, kernel: [usize; D], options: &ConvOptions<D>,
        ) -> Result<Array3<T>> {
            crate::ops::unfold::<T, D>(input, kernel, options)
        }

        #[doc = concat!("[`unfold_into`](crate::unfold_into) for ", $text, ".")]
        ///
        /// # Errors
        /// Those of the generic function.
        pub fn $unfold_into<T: Element>(
            input: &TensorRef<T, D>, kernel: [usize; D], options: &ConvOptions<D>, output: &mut ArrayRef3<T>,
        ) -> Result<()> {
            crate::ops::unfold_into::<T, D>(input, kernel, options, output)
        }

        #[doc = concat!("[`fold`](crate::fold) for ", $text, ".")]
        ///
        /// # Errors
        /// Those of the generic function.
        pub fn $fold<T: Element>(
            columns: &ArrayRef3<T>, output_size: [usize; D], kernel: [usize; D], options: &ConvOptions<D>,
        ) -> Result<Tensor<T, D>> {
            crate::ops::fold::<T, D>(columns, output_size, kernel, options)
        }

        #[doc = concat!("[`fold_into`](crate::fold_into) for ", $text, ".")]
        ///
        /// # Errors
        /// Those of the generic function.
        pub fn $fold_into<T: Element>(
            columns: &ArrayRef3<T>, kernel: [usize; D], options: &ConvOptions<D>, output: &mut TensorRef<T, D>,
        ) -> Result<()> {
            crate::ops::fold_into::<T, D>(columns, kernel, options, output)
        }
    };
}

named!(one, 1, "one spatial axis":
    conv1d conv1d_into conv_transpose1d
    conv_transpose1d_into conv1d_input_grad conv1d_input_grad_into
    conv1d_weight_grad conv1d_weight_grad_into conv1d_bias_grad
    conv1d_bias_grad_into conv_transpose1d_input_grad conv_transpose1d_input_grad_into
    conv_transpose1d_weight_grad conv_transpose1d_weight_grad_into unfold1d
    unfold1d_into fold1d fold1d_into);
named!(two, 2, "two spatial axes":
    conv2d conv2d_into conv_transpose2d
    conv_transpose2d_into conv2d_input_grad conv2d_input_grad_into
    conv2d_weight_grad conv2d_weight_grad_into conv2d_bias_grad
    conv2d_bias_grad_into conv_transpose2d_input_grad conv_transpose2d_input_grad_into
    conv_transpose2d_weight_grad conv_transpose2d_weight_grad_into unfold2d
    unfold2d_into fold2d fold2d_into);
named!(three, 3, "three spatial axes":
    conv3d conv3d_into conv_transpose3d
    conv_transpose3d_into conv3d_input_grad conv3d_input_grad_into
    conv3d_weight_grad conv3d_weight_grad_into conv3d_bias_grad
    conv3d_bias_grad_into conv_transpose3d_input_grad conv_transpose3d_input_grad_into
    conv_transpose3d_weight_grad conv_transpose3d_weight_grad_into unfold3d
    unfold3d_into fold3d fold3d_into);
