//! Statement 4: learning the kernel
//!
//! Given only X and Y of statement 3, find the kernel. Start anywhere, take the sum of squared errors as the loss, and walk
//! down its gradient.
//!
//! Why does it take so many steps? Y = W · Cols(X) is linear in W, so a step multiplies the error of W by
//! 1 − 2 · rate · λ along each eigenvector of Cols · Colsᵀ. Least squares needs no steps: it solves for W.

use convgemm::learn::{Descent, Learned, LeastSquares, descend, least_squares};
use convgemm::nn::{Conv2d, Rng};
use convgemm::{ConvOptions, Result, correlate2d, stencil, unfold2d};
use ndarray::{Array2, Array4, Axis, array, s};
use ndarray_linalg::{EigValsh, UPLO};

use crate::{Answer, Curve, Figure, Tone, photograph};

fn image(matrix: &Array2<f64>) -> Array4<f64> {
    matrix.clone().insert_axis(Axis(0)).insert_axis(Axis(0))
}

pub fn answer() -> Result<Answer> {
    let mut answer = Answer::new();
    let options = ConvOptions::new();
    let mut x = Array2::ones((6, 8));
    x.slice_mut(s![.., 2..6]).fill(0.0);
    let (x, y) = (image(&x), image(&correlate2d(&x, &array![[1.0, -1.0]], &options)?));

    let walk = |start: [f64; 2], bias: bool, rate, steps| -> Result<Learned<f64, 2>> {
        let layer = Conv2d::new([1, 1], [1, 2], options, &mut Rng::new(0))?;
        let mut layer = if bias { layer.with_zero_bias() } else { layer.without_bias() };
        layer.weight = image(&array![start]);
        descend(layer, &x, &y, &Descent::new(rate, steps))
    };
    let mut check = |name: &str, run: &Learned<f64, 2>, every: usize, losses: &[&str], ends: &[&str]| {
        for (i, digits) in losses.iter().enumerate() {
            let step = (i + 1) * every;
            answer.digits(&format!("{name}: loss at step {step}"), run.losses[step - 1], digits);
        }
        let found = run.layer.weight.iter().chain(run.layer.bias.iter().flatten());
        for ((digits, &value), what) in ends.iter().zip(found).zip(["W[0]", "W[1]", "b"]) {
            answer.digits(&format!("{name}: {what} at the end"), value, digits);
        }
    };

    let plain = walk([0.25, -0.5], false, 0.03, 10)?;
    let losses = ["2.52", "0.567883", "0.154706", "0.050299", "0.01841"];
    check("no bias", &plain, 2, &losses, &["0.97937", "-1.00622"]);
    let biased = walk([0.25, -0.5], true, 0.01, 20)?;
    let losses = ["1.718517", "0.473144", "0.131162", "0.036461"];
    check("with bias", &biased, 5, &losses, &["0.95057", "-0.95248", "0.00107"]);
    // The chapter does not say where its own random runs began. A step is an affine map that can be undone: these starts lead
    // to where they ended, and the losses on the way must then be the chapter's.
    let other = walk([0.784200, 0.830153], true, 0.01, 20)?;
    check("chapter, bias", &other, 5, &["5.881", "1.410", "0.367", "0.099"], &["0.9268", "-0.9145", "-0.0069"]);
    let own = walk([0.307491, 0.111604], false, 0.03, 10)?;
    check("chapter, no bias", &own, 10, &[], &["1.0121", "-0.9671"]);
    // Its loss of 0.008 is the mean over the six rows: the sum is 0.051.
    answer.digits("chapter, no bias: loss a row at step 10", own.losses[9] / 6.0, "0.008");

    let patches = unfold2d(&x, [1, 2], &options)?.index_axis_move(Axis(0), 0);
    let values = patches.dot(&patches.t()).eigvalsh(UPLO::Lower).expect("a symmetric matrix");
    answer.array("eigenvalues of Cols·Colsᵀ", &values, &array![6.0, 30.0]);
    answer.array("the error's factors at rate 0.03", &values.mapv(|λ| 1.0 - 2.0 * 0.03 * λ), &array![0.64, -0.8]);
    let exact = least_squares(&x, &y, [1, 2], &options, &LeastSquares::new())?;
    answer.array("least squares, in one step", &exact.layer.weight, &array![[[[1.0, -1.0]]]]);
    let curves = vec![Curve::steps("no bias", &plain.losses), Curve::steps("with bias", &biased.losses)];
    answer.figure(Figure::Curves("Loss before each step.", curves));

    // A pair of real pictures: what was done to the first to get the second?
    let (before, secret) = (photograph()?, stencil::named("emboss")?);
    let after = correlate2d(&before, &secret, &options)?;
    let found = least_squares(&image(&before), &image(&after), [3, 3], &options, &LeastSquares::new())?;
    let kernel = found.layer.weight.slice(s![0, 0, .., ..]).to_owned();
    answer.array("the kernel between two photographs", &kernel, &secret);
    let pictures = vec![("before", before, Tone::Plain), ("after", after, Tone::Plain)];
    answer.figure(Figure::Pictures("From this pair alone the kernel is found again.", pictures));
    answer.figure(Figure::Matrices(
        "What turned the first into the second.",
        vec![("found", kernel), ("secret", secret)],
    ));
    Ok(answer)
}
