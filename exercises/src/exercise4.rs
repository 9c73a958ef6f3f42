//! Exercise 4: the smallest kernel for a derivative of order d
//!
//! How few cells can a kernel for the d-th derivative have? The Taylor series of f about x turns Σ kᵢ f(x + xᵢ) into
//! Σ kᵢ xᵢʲ · f⁽ʲ⁾(x) / j!, summed over j. For f⁽ᵈ⁾ to remain, the moments Σ kᵢ xᵢʲ must be 0 for j < d and d! for j = d:
//! d + 1 equations.
//!
//! With d + 1 cells they have one solution. With d cells, the first d equations alone force k = 0 (their matrix is
//! Vandermonde's, which is regular), and then the last one says 0 = d!. So d + 1 cells is the least; symmetric about a cell,
//! an odd order takes d + 2.

use convgemm::stencil::FiniteDifference;
use convgemm::{ConvOptions, Error, Result, conv1d};
use ndarray::{Array1, Array2, Array3, array, s};
use ndarray_linalg::{Determinant, LeastSquaresSvd};

use crate::{Answer, Curve, Figure};

/// The largest error of a kernel on sin, sampled `step` apart.
fn error_on_sine(kernel: &FiniteDifference, step: f64) -> Result<f64> {
    let (first, cells) = (kernel.offsets[0], kernel.kernel.len());
    let signal = Array3::from_shape_fn((1, 1, 40), |(_, _, i)| (step * i as f64).sin());
    let weight = kernel.kernel.to_shape((1, 1, cells)).expect("one row").to_owned();
    let found = conv1d(&signal, &weight, None, &ConvOptions::new())?.slice(s![0, 0, ..]).to_owned();
    let order = kernel.derivative as i32;
    // The d-th derivative of sin is sin, a quarter turn further each time.
    let exact =
        |i: usize| (step * (i as f64 - f64::from(first)) + f64::from(order) * std::f64::consts::FRAC_PI_2).sin();
    let errors = found.iter().enumerate().map(|(i, y)| (y / step.powi(order) - exact(i)).abs());
    Ok(errors.fold(0.0, f64::max))
}

/// The power of the step with which the error shrinks, from two steps.
fn measured_order(kernel: &FiniteDifference) -> Result<f64> {
    Ok((error_on_sine(kernel, 0.1)? / error_on_sine(kernel, 0.05)?).log2())
}

pub fn answer() -> Result<Answer> {
    let mut answer = Answer::new();
    let pascal = [
        array![-1.0, 1.0],
        array![1.0, -2.0, 1.0],
        array![-1.0, 3.0, -3.0, 1.0],
        array![1.0, -4.0, 6.0, -4.0, 1.0],
        array![-1.0, 5.0, -10.0, 10.0, -5.0, 1.0],
        array![1.0, -6.0, 15.0, -20.0, 15.0, -6.0, 1.0],
    ];
    let mut curves = vec![];
    for (d, expected) in (1..=6).zip(&pascal) {
        let smallest = FiniteDifference::smallest(d)?;
        answer.array(&format!("d = {d}: the kernel of {} cells", d + 1), &smallest.kernel, expected);
        let factorial: f64 = (1..=d).map(|n| n as f64).product();
        let moments = Array1::from_shape_fn(d + 1, |j| smallest.moment(j));
        let wanted = Array1::from_shape_fn(d + 1, |j| if j == d { factorial } else { 0.0 });
        answer.array(&format!("d = {d}: its moments"), &moments, &wanted);

        // One cell fewer: the first d equations are regular, so k = 0, and the best that d cells can do leaves an error.
        let cells: Vec<f64> = smallest.offsets[..d].iter().map(|&x| f64::from(x)).collect();
        let equations = Array2::from_shape_fn((d + 1, d), |(j, i)| cells[i].powi(j as i32));
        let square = equations.slice(s![..d, ..]).to_owned();
        let regular = square.det().expect("a square matrix").abs() > 0.5;
        answer.holds(&format!("d = {d}: the first {d} equations of {d} cells are regular"), regular, true);
        let best = equations.least_squares(&wanted).expect("a regular system").solution;
        let error = (equations.dot(&best) - &wanted).mapv(|e| e * e).sum().sqrt();
        answer.holds(&format!("d = {d}: all {} have no solution, the best errs", d + 1), error > 0.1, true);
        let refused = FiniteDifference::at(d, &smallest.offsets[..d]);
        answer.holds("and the library says so", refused == Err(Error::TooFewCells { derivative: d, cells: d }), true);

        let order = measured_order(&smallest)?;
        answer.digits(
            &format!("d = {d}: order of accuracy, measured on sin"),
            order,
            if d % 2 == 1 { "1" } else { "2" },
        );
        let centred = FiniteDifference::centred(d, 2)?;
        let count = if d % 2 == 1 { d + 2 } else { d + 1 };
        answer.holds(&format!("d = {d}: cells of the centred kernel"), centred.kernel.len(), count);
        answer.digits(&format!("d = {d}: its order, measured on sin"), measured_order(&centred)?, "2");

        let steps = [0.4, 0.2, 0.1, 0.05];
        let points = steps.iter().map(|&step| Ok((step, error_on_sine(&smallest, step)?))).collect::<Result<_>>()?;
        curves.push(Curve { name: format!("d = {d}"), points });
    }
    answer.figure(Figure::Curves(
        "Error on sin against the step, for the smallest kernels. Odd orders coincide: each is half a cell off.",
        curves,
    ));
    let rows: Vec<_> = [("d = 1", 0), ("d = 2", 1), ("d = 3", 2), ("d = 4", 3), ("d = 5", 4), ("d = 6", 5)]
        .map(|(name, i)| (name, pascal[i].clone().insert_axis(ndarray::Axis(0))))
        .into();
    answer.figure(Figure::Matrices("The smallest kernels: Pascal's triangle with signs.", rows));
    Ok(answer)
}
