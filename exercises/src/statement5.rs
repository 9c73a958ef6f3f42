//! Statement 5: convolution and cross-correlation
//!
//! A true convolution flips the kernel, both ways, before it slides. Networks use cross-correlation and call it convolution:
//! since the kernel is learned, a network that convolves learns the flipped kernel, and its output is the same.

use convgemm::learn::{Descent, descend};
use convgemm::nn::{Conv2d, Rng};
use convgemm::{ConvOptions, Result, convolve2d, correlate2d};
use ndarray::{Array2, Axis, array, s};

use crate::{Answer, Curve, Figure};

pub fn answer() -> Result<Answer> {
    let mut answer = Answer::new();
    let options = ConvOptions::new();
    let x = array![[0.0, 1.0, 2.0], [3.0, 4.0, 5.0], [6.0, 7.0, 8.0]];
    let k = array![[0.0, 1.0], [2.0, 3.0]];
    let flip = |kernel: &Array2<f64>| kernel.slice(s![..;-1, ..;-1]).to_owned();

    let y = convolve2d(&x, &k, &options)?;
    answer.array("convolution of X and K", &y, &array![[5.0, 11.0], [23.0, 29.0]]);
    answer.array("cross-correlation with the flipped K", &correlate2d(&x, &flip(&k), &options)?, &y);

    // Two networks see the same pictures and the same targets, and start at the same point. One correlates. The other convolves: to
    // correlate the picture turned by half, and turn the result, is to flip the kernel.
    let rng = &mut Rng::new(5);
    let pictures = Array2::from_shape_simple_fn((12, 12), || rng.uniform(-1.0, 1.0));
    let wanted = correlate2d(&pictures, &k, &options)?;
    let start = Conv2d::new([1, 1], [2, 2], options, rng)?.without_bias();
    let image = |matrix: &Array2<f64>| matrix.clone().insert_axis(Axis(0)).insert_axis(Axis(0));
    let how = Descent::new(0.004, 150);
    let correlates = descend(start.clone(), &image(&pictures), &image(&wanted), &how)?;
    let convolves = descend(start, &image(&flip(&pictures)), &image(&flip(&wanted)), &how)?;

    let kernel = |weight: &ndarray::Array4<f64>| weight.slice(s![0, 0, .., ..]).to_owned();
    let (first, second) = (kernel(&correlates.layer.weight), kernel(&convolves.layer.weight));
    answer.array("the network that correlates learns K", &first, &k);
    answer.array("the one that convolves learns K flipped", &second, &flip(&k));
    let outputs = (correlate2d(&x, &first, &options)?, convolve2d(&x, &second, &options)?);
    answer.array("and their outputs are the same", &outputs.1, &outputs.0);

    let matrices = vec![("K", k), ("learned, correlating", first), ("learned, convolving", second)];
    answer.figure(Figure::Matrices("Two networks, one function.", matrices));
    let curves = vec![Curve::steps("correlates", &correlates.losses), Curve::steps("convolves", &convolves.losses)];
    answer.figure(Figure::Curves("Loss before each step.", curves));
    Ok(answer)
}
