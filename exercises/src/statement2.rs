//! Statement 2: a convolution layer
//!
//! A layer has two parameters: a kernel, whose cells are drawn at random, and a scalar bias, which starts at zero.
//! Forward it cross-correlates its input with the kernel and adds the bias. A layer with a kernel of h × w is called an
//! h × w convolution.

use convgemm::nn::{Conv2d, Rng};
use convgemm::{ConvOptions, Result, correlate2d};
use ndarray::{Array2, s};

use crate::{Answer, Figure};

pub fn answer() -> Result<Answer> {
    let mut answer = Answer::new();
    let rng = &mut Rng::new(42);

    // One channel in, one out: a 3 × 2 convolution.
    let mut layer = Conv2d::<f64>::new([1, 1], [3, 2], ConvOptions::new(), rng)?.with_zero_bias();
    let kernel = layer.weight.slice(s![0, 0, .., ..]).to_owned();
    answer.holds("the kernel's shape", format!("{:?}", kernel.dim()), "(3, 2)");
    let (least, most) = kernel.iter().fold((1.0_f64, -1.0_f64), |(low, high), &k| (low.min(k), high.max(k)));
    answer.holds("its cells are drawn at random: they differ", least < most, true);
    answer.holds(
        "the bias at the start",
        format!("{:?}", layer.bias.as_ref().map(|bias| bias.to_vec())),
        "Some([0.0])",
    );

    let x = Array2::from_shape_simple_fn((6, 8), || rng.uniform(0.0, 1.0));
    let image = x.to_shape((1, 1, 6, 8)).expect("48 cells").to_owned();
    let plain = correlate2d(&x, &kernel, &ConvOptions::new())?;
    let y = layer.forward(&image)?.slice(s![0, 0, .., ..]).to_owned();
    answer.array("forward is the cross-correlation", &y, &plain);

    layer.bias = Some(ndarray::array![0.5]);
    let y = layer.forward(&image)?.slice(s![0, 0, .., ..]).to_owned();
    answer.array("plus the bias, once that is 0.5", &y, &(&plain + 0.5));

    let matrices = vec![("X", x), ("kernel", kernel), ("Y", y)];
    answer.figure(Figure::Matrices("A layer with a random kernel and a bias of 0.5.", matrices));
    Ok(answer)
}
