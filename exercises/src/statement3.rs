//! Statement 3: edges
//!
//! X is white (1) with a black (0) stripe in its middle. The kernel [1, −1] is the difference of two neighbours: zero where
//! the picture is flat, +1 from white to black, −1 from black to white.
//!
//! It sees vertical edges only: on Xᵀ, whose stripe lies flat, it finds nothing, and the kernel must be transposed too.
//! The same on a photograph.

use convgemm::{ConvOptions, Result, correlate2d};
use ndarray::{Array2, array, s};

use crate::{Answer, Figure, Tone, photograph};

pub fn answer() -> Result<Answer> {
    let mut answer = Answer::new();
    let options = ConvOptions::new();
    let mut x = Array2::ones((6, 8));
    x.slice_mut(s![.., 2..6]).fill(0.0);
    let k = array![[1.0, -1.0]];

    let y = correlate2d(&x, &k, &options)?;
    let row = array![0.0, 1.0, 0.0, 0.0, 0.0, -1.0, 0.0];
    answer.array("Y, six times the same row", &y, &row.broadcast((6, 7)).expect("a row repeats"));
    let flat = correlate2d(&x.t(), &k, &options)?;
    answer.array("K on Xᵀ", &flat, &Array2::zeros((8, 5)));
    let turned = correlate2d(&x.t(), &k.t(), &options)?;
    let mut expected = Array2::zeros((7, 6));
    expected.row_mut(1).fill(1.0);
    expected.row_mut(5).fill(-1.0);
    answer.array("Kᵀ on Xᵀ", &turned, &expected);
    let matrices = vec![("X", x.clone()), ("Y = K on X", y), ("K on Xᵀ", flat), ("Kᵀ on Xᵀ", turned)];
    answer.figure(Figure::Matrices("A stripe, and where its edges are.", matrices));

    // A photograph, 600 × 512.
    let picture = photograph()?;
    let vertical = correlate2d(&picture, &k, &options)?;
    let horizontal = correlate2d(&picture, &k.t(), &options)?;
    answer.holds("vertical edges of the photograph", format!("{:?}", vertical.dim()), "(600, 511)");
    answer.holds("horizontal edges", format!("{:?}", horizontal.dim()), "(599, 512)");
    let differences = Array2::from_shape_fn((600, 511), |(i, j)| picture[[i, j]] - picture[[i, j + 1]]);
    answer.array("they are the differences of neighbours", &vertical, &differences);
    let strong = |edges: Array2<f64>| edges * 4.0;
    let pictures = vec![
        ("photograph", picture, Tone::Plain),
        ("[1, −1]", strong(vertical), Tone::Signed),
        ("[1, −1]ᵀ", strong(horizontal), Tone::Signed),
    ];
    answer.figure(Figure::Pictures("Mid gray is zero; differences are shown four times as strong.", pictures));
    Ok(answer)
}
