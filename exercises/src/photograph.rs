//! A real picture.

use convgemm::{Error, Result};
use ndarray::Array2;

/// The portrait of Grace Hopper (public domain) in shades from 0, black, to 1, white: 600 × 512.
///
/// # Errors
/// None is expected: the picture is part of the program.
pub fn photograph() -> Result<Array2<f64>> {
    let bytes = include_bytes!("../../assets/grace_hopper.jpg");
    let picture = image::load_from_memory(bytes).map_err(|error| Error::Argument(error.to_string()))?.into_luma8();
    let (width, height) = picture.dimensions();
    let shades = picture.into_raw().into_iter().map(|shade| f64::from(shade) / 255.0).collect();
    Array2::from_shape_vec((height as usize, width as usize), shades)
        .map_err(|error| Error::Argument(error.to_string()))
}
