//! Exercise 1: diagonal edges
//!
//! Z is white with a black diagonal. What does [1, −1] find on it? What on Zᵀ? What does the transposed kernel find?
//!
//! A diagonal edge is vertical and horizontal at once, so both kernels find it; and Z is its own transpose.

use convgemm::{ConvOptions, Result, correlate2d};
use ndarray::{Array2, array};

use crate::{Answer, Figure};

pub fn answer() -> Result<Answer> {
    let mut answer = Answer::new();
    let options = ConvOptions::new();
    let z = Array2::from_shape_fn((8, 8), |(i, j)| if i == j { 0.0 } else { 1.0 });
    let k = array![[1.0, -1.0]];

    let across = correlate2d(&z, &k, &options)?;
    let below = Array2::from_shape_fn((8, 7), |(i, j)| match i as isize - j as isize {
        0 => -1.0,
        1 => 1.0,
        _ => 0.0,
    });
    answer.array("K on Z: −1 on the diagonal, +1 just below", &across, &below);
    answer.array("K on Zᵀ: the same", &correlate2d(&z.t(), &k, &options)?, &across);

    let down = correlate2d(&z, &k.t(), &options)?;
    answer.holds("shape of Kᵀ on Z", format!("{:?}", down.dim()), "(7, 8)");
    let above = Array2::from_shape_fn((7, 8), |(i, j)| match j as isize - i as isize {
        0 => -1.0,
        1 => 1.0,
        _ => 0.0,
    });
    answer.array("Kᵀ on Z: −1 on the diagonal, +1 just above", &down, &above);

    let matrices = vec![("Z", z), ("K on Z", across), ("Kᵀ on Z", down)];
    answer.figure(Figure::Matrices("A diagonal line has two edges.", matrices));
    Ok(answer)
}
