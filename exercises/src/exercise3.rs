//! Exercise 3: kernels by hand
//!
//! Design kernels for the second derivative, the Laplacian, the integral and the blur. Each is tried on a function whose answer
//! is known: the second derivative of x² is 2, that of sin is −sin, and the sum over the first n numbers is n (n + 1) / 2.

use convgemm::stencil::{Neighbours, laplacian};
use convgemm::{ConvOptions, Padding, Result, conv1d, conv3d, correlate2d};
use ndarray::{Array1, Array2, Array3, Ix2, Ix3, array, s};

use crate::{Answer, Curve, Figure, Tone, photograph};

/// A signal under a kernel.
fn along(signal: &Array1<f64>, kernel: &Array1<f64>, padding: (usize, usize)) -> Result<Array1<f64>> {
    let input = signal.to_shape((1, 1, signal.len())).expect("one row").to_owned();
    let weight = kernel.to_shape((1, 1, kernel.len())).expect("one row").to_owned();
    let options = ConvOptions::new().padding(Padding::Explicit([padding]));
    Ok(conv1d(&input, &weight, None, &options)?.slice(s![0, 0, ..]).to_owned())
}

pub fn answer() -> Result<Answer> {
    let mut answer = Answer::new();
    let options = ConvOptions::new();
    let largest = |errors: &mut dyn Iterator<Item = f64>| errors.fold(0.0, f64::max);

    // The difference of two differences.
    let second = array![1.0, -2.0, 1.0];
    let squares = Array1::from_shape_fn(9, |x| (x * x) as f64);
    answer.array("[1, −2, 1] on x²", &along(&squares, &second, (0, 0))?, &Array1::from_elem(7, 2.0));
    let step = 0.01;
    let sine = Array1::from_shape_fn(629, |x| (step * x as f64).sin());
    let curvature = along(&sine, &second, (0, 0))? / (step * step);
    let error = largest(&mut curvature.iter().zip(sine.slice(s![1..628])).map(|(y, s)| (y + s).abs()));
    answer.at_most("on sin, divided by h²: away from −sin by", error, 1e-5);

    // The sum of the second derivatives along the axes.
    let flat = laplacian(2, Neighbours::Sides)?.into_dimensionality::<Ix2>().expect("two axes");
    answer.array("the Laplacian", &flat, &array![[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]]);
    let bowl = Array2::from_shape_fn((6, 7), |(y, x)| (x * x + 3 * y * y) as f64);
    answer.array("on x² + 3y²", &correlate2d(&bowl, &flat, &options)?, &Array2::from_elem((4, 5), 8.0));
    let eight = laplacian(2, Neighbours::All)?.into_dimensionality::<Ix2>().expect("two axes");
    answer.array("with eight neighbours", &eight, &array![[1.0, 1.0, 1.0], [1.0, -8.0, 1.0], [1.0, 1.0, 1.0]]);
    answer.array(
        "on x² + 3y², three times as large",
        &correlate2d(&bowl, &eight, &options)?,
        &Array2::from_elem((4, 5), 24.0),
    );
    let solid = laplacian(3, Neighbours::Sides)?.into_dimensionality::<Ix3>().expect("three axes");
    answer.digits("in three dimensions, the centre", solid[[1, 1, 1]], "-6");
    let bowl = Array3::from_shape_fn((4, 4, 4), |(z, y, x)| (x * x + 2 * y * y + 3 * z * z) as f64);
    let volume = |array: Array3<f64>| array.insert_axis(ndarray::Axis(0)).insert_axis(ndarray::Axis(0));
    let y = conv3d(&volume(bowl), &volume(solid), None, &ConvOptions::new())?.slice(s![0, 0, .., .., ..]).to_owned();
    answer.array("on x² + 2y² + 3z²", &y, &Array3::from_elem((2, 2, 2), 12.0));

    // An integral is a sum: ones over the window. Over the whole axis, with zeros before it, it is the cumulative sum.
    let numbers = Array1::from_shape_fn(8, |x| (x + 1) as f64);
    let running = along(&numbers, &Array1::ones(3), (0, 0))?;
    answer.array("three ones on 1, 2, 3, …", &running, &array![6.0, 9.0, 12.0, 15.0, 18.0, 21.0]);
    let cumulative = along(&numbers, &Array1::ones(8), (7, 0))?;
    answer.array("eight ones: n (n + 1) / 2", &cumulative, &array![1.0, 3.0, 6.0, 10.0, 15.0, 21.0, 28.0, 36.0]);
    let integral = along(&sine, &Array1::ones(629), (628, 0))? * step;
    let exact = |x: usize| 1.0 - (step * x as f64).cos();
    let error = largest(&mut integral.iter().enumerate().map(|(x, y)| (y - exact(x)).abs()));
    answer.at_most("of sin, times h: away from 1 − cos by", error, 0.01);

    // A blur is the mean: the integral over the window, divided by its size.
    let blur = Array2::from_elem((9, 9), 1.0 / 81.0);
    answer.array(
        "a blur leaves a slope as it is",
        &along(&numbers, &(Array1::ones(3) / 3.0), (0, 0))?,
        &numbers.slice(s![1..7]),
    );
    let picture = photograph()?;
    let (soft, lines) = (correlate2d(&picture, &blur, &options)?, correlate2d(&picture, &flat, &options)? * 3.0);
    answer.figure(Figure::Matrices(
        "The Laplacian with four and with eight neighbours.",
        vec![("sides", flat), ("all", eight)],
    ));
    let points = |values: &Array1<f64>| values.iter().enumerate().map(|(x, &y)| (step * x as f64, y)).collect();
    answer.figure(Figure::Curves(
        "sin, its integral by ones, and its second derivative by [1, −2, 1].",
        vec![
            Curve { name: "sin".into(), points: points(&sine) },
            Curve { name: "integral".into(), points: points(&integral) },
            Curve { name: "second derivative".into(), points: points(&curvature) },
        ],
    ));
    let pictures = vec![
        ("photograph", picture, Tone::Plain),
        ("mean of 9 × 9", soft, Tone::Plain),
        ("Laplacian, three times as strong", lines, Tone::Signed),
    ];
    answer.figure(Figure::Pictures("The same kernels on a picture.", pictures));
    Ok(answer)
}
