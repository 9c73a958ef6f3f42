//! Statement 1: cross-correlation
//!
//! A window of the kernel's size slides over X, from left to right and from top to bottom. At each place the cells
//! under the window are multiplied with those of K and added up: that is one cell of Y.
//!
//! With an input of H × W and a kernel of h × w there are (H − h + 1) × (W − w + 1) places, and so many cells in Y.

use convgemm::{ConvOptions, Result, correlate2d, unfold2d};
use ndarray::{Array2, array, s};

use crate::{Answer, Figure};

/// The definition, as two loops over the places and two over the kernel.
fn by_hand(x: &Array2<f64>, k: &Array2<f64>) -> Array2<f64> {
    let ((height, width), (h, w)) = (x.dim(), k.dim());
    Array2::from_shape_fn((height - h + 1, width - w + 1), |(i, j)| (&x.slice(s![i..i + h, j..j + w]) * k).sum())
}

pub fn answer() -> Result<Answer> {
    let mut answer = Answer::new();
    let x = array![[0.0, 1.0, 2.0], [3.0, 4.0, 5.0], [6.0, 7.0, 8.0]];
    let k = array![[0.0, 1.0], [2.0, 3.0]];

    let y = correlate2d(&x, &k, &ConvOptions::new())?;
    answer.array("Y", &y, &array![[19.0, 25.0], [37.0, 43.0]]);
    answer.array("Y by the definition", &by_hand(&x, &k), &y);
    answer.digits("0·0 + 1·1 + 3·2 + 4·3, the first cell", 0.0 * 0.0 + 1.0 * 1.0 + 3.0 * 2.0 + 4.0 * 3.0, "19");

    // The shape, for an input and a kernel that are not square.
    let (large, small) = (Array2::<f64>::zeros((7, 10)), Array2::zeros((3, 2)));
    let shape = correlate2d(&large, &small, &ConvOptions::new())?.dim();
    answer.holds("shape of 7 × 10 under 3 × 2", format!("{shape:?}"), format!("{:?}", (7 - 3 + 1, 10 - 2 + 1)));

    let image = x.to_shape((1, 1, 3, 3)).expect("nine cells").to_owned();
    let patches = unfold2d(&image, [2, 2], &ConvOptions::new())?.slice(s![0, .., ..]).to_owned();
    answer.figure(Figure::Sliding { input: x, kernel: k, output: y, patches });
    Ok(answer)
}
