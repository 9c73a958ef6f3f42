//! Exercise 2: convolution as a matrix multiplication
//!
//! Two ways. The windows of X become the columns of a patch matrix (im2col), and the kernel a row vector that multiplies it.
//! Or X becomes one long vector, and the kernel a large matrix that multiplies it: doubly blocked Toeplitz, since it repeats
//! along the diagonals of its blocks, and the blocks along its diagonals. The transpose of that matrix takes gradients back
//! to the input: it is the transposed convolution.
//!
//! Why is it worth it? A matrix product is what machines do best. One layer of a network, three ways, timed.

use std::time::Instant;

use convgemm::{Algorithm, ConvOptions, ConvPlan, Padding, Result, conv_transpose2d, conv2d_input_grad, correlate2d};
use convgemm::{nn::Rng, toeplitz, unfold2d};
use ndarray::{Array1, Array4, array, s};

use crate::{Answer, Figure, Timing};

pub fn answer() -> Result<Answer> {
    let mut answer = Answer::new();
    let options = ConvOptions::new();
    let x = array![[[[0.0, 1.0, 2.0], [3.0, 4.0, 5.0], [6.0, 7.0, 8.0]]]];
    let k = array![[[[0.0, 1.0], [2.0, 3.0]]]];
    let loops =
        correlate2d(&x.slice(s![0, 0, .., ..]), &k.slice(s![0, 0, .., ..]), &options.algorithm(Algorithm::Direct))?;
    let y: Array1<f64> = loops.iter().copied().collect();

    let patches = unfold2d(&x, [2, 2], &options)?.slice(s![0, .., ..]).to_owned();
    let expected = array![[0.0, 1.0, 3.0, 4.0], [1.0, 2.0, 4.0, 5.0], [3.0, 4.0, 6.0, 7.0], [4.0, 5.0, 7.0, 8.0]];
    answer.array("the patch matrix", &patches, &expected);
    let row: Array1<f64> = k.iter().copied().collect();
    answer.array("the kernel as a row", &row, &array![0.0, 1.0, 2.0, 3.0]);
    answer.array("row · patches = the loop's Y", &row.dot(&patches), &y);

    let matrix = toeplitz([3, 3], &k, &options)?;
    let vec: Array1<f64> = x.iter().copied().collect();
    answer.holds("shape of the Toeplitz matrix", format!("{:?}", matrix.dim()), "(4, 9)");
    answer.array("Toeplitz · vec(X) = the loop's Y", &matrix.dot(&vec), &y);
    let gradient = array![[[[1.0, -2.0], [0.5, 3.0]]]];
    let back: Array1<f64> = conv2d_input_grad([1, 1, 3, 3], &k, &gradient, &options)?.iter().copied().collect();
    let upward: Array1<f64> = gradient.iter().copied().collect();
    answer.array("its transpose is the input gradient", &matrix.t().dot(&upward), &back);
    let transposed: Array1<f64> = conv_transpose2d(&gradient, &k, None, &options)?.iter().copied().collect();
    answer.array("and the transposed convolution", &transposed, &back);
    answer.figure(Figure::Matrices(
        "The kernel as a row times the patch matrix.",
        vec![("row", row.insert_axis(ndarray::Axis(0))), ("patch matrix", patches), ("Y", loops)],
    ));
    answer.figure(Figure::Blocks { caption: "The same as one matrix on vec(X).", matrix, block: (2, 3) });
    let large = toeplitz([6, 6], &array![[[[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]]], &options)?;
    answer.figure(Figure::Blocks { caption: "A 3 × 3 kernel on 6 × 6.", matrix: large, block: (4, 6) });

    let (timings, error) = race()?;
    answer.at_most("the three ways differ by, as a share of the largest", error, 1e-5);
    let caption = "64 kernels of 64 × 3 × 3 on a map of 56 × 56, one image, on all threads.".to_owned();
    answer.figure(Figure::Timings(caption, timings));
    Ok(answer)
}

/// The loop, im2col with one product, and the engine that the library chooses: times, memory, largest difference.
fn race() -> Result<(Vec<Timing>, f64)> {
    let rng = &mut Rng::new(1);
    let x = Array4::from_shape_simple_fn((1, 64, 56, 56), || rng.uniform(-1.0, 1.0) as f32);
    let w = Array4::from_shape_simple_fn((64, 64, 3, 3), || rng.uniform(-0.1, 0.1) as f32);
    let mut outputs = vec![];
    let mut timings = vec![];
    for (algorithm, runs) in [(Algorithm::Direct, 1), (Algorithm::Im2col, 5), (Algorithm::Auto, 5)] {
        let options = ConvOptions::new().padding(Padding::symmetric([1, 1])).algorithm(algorithm);
        let plan = ConvPlan::conv([1, 64, 56, 56], &w, None, &options)?;
        let mut output = Array4::zeros((1, 64, 56, 56));
        let mut workspace = vec![0.0; plan.workspace_len()];
        let mut seconds = f64::INFINITY;
        for _ in 0..runs {
            let start = Instant::now();
            plan.run_into(&x, &mut output, &mut workspace)?;
            seconds = seconds.min(start.elapsed().as_secs_f64());
        }
        let name = match algorithm {
            Algorithm::Direct => "the loop".to_owned(),
            Algorithm::Im2col => "im2col, one product".to_owned(),
            _ => format!("best engine: {}", plan.algorithm()),
        };
        timings.push(Timing { name, seconds, bytes: 4 * plan.workspace_len() });
        outputs.push(output);
    }
    let largest = outputs[0].iter().fold(0.0_f32, |largest, y| largest.max(y.abs()));
    let differences = outputs[1..].iter().flat_map(|output| output.iter().zip(&outputs[0]).map(|(a, b)| (a - b).abs()));
    Ok((timings, f64::from(differences.fold(0.0, f32::max) / largest)))
}
