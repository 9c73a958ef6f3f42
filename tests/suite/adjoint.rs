//! The library against itself: every gradient is the transpose of the operation that it belongs to.
//!
//! ⟨A(x, w), dy⟩ = ⟨x, Aₓᵀ(w, dy)⟩ = ⟨w, A_wᵀ(x, dy)⟩. It shares nothing with the oracle, and would show a
//! mistake that both had made.

use ndarray::ArrayD;
use proptest::prelude::*;

use crate::common::cases::{Case, Data, any_case};
use crate::common::library::{self, How};
use crate::common::named;
use crate::common::random::Random;
use crate::common::views::Layout;
use crate::properties::{GEOMETRIES, explore};

const STANDARD: [Layout; 3] = [Layout::Standard; 3];

fn dot(a: &ArrayD<f64>, b: &ArrayD<f64>) -> f64 {
    assert_eq!(a.shape(), b.shape());
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Both sides are the same sum of `terms` products, whose absolute values sum to `magnitude`.
fn equal(left: f64, right: f64, magnitude: f64, terms: f64) -> bool {
    (left - right).abs() <= f64::EPSILON / 2.0 * (4.0 + terms.sqrt()) * magnitude
}

fn check_gradients(case: &Case, how: How) {
    let plain = Case { bias: false, ..case.clone() };
    let data = Data::<f64>::new(&plain, STANDARD);
    let (x, w, dy) = (data.x.view(), data.w.view(), data.dy.view());
    let unwrap = |result: convgemm::Result<ArrayD<f64>>| result.unwrap_or_else(|error| panic!("{error}\n  {case}"));
    let y = unwrap(library::forward(&plain, how, x.view(), w.view(), None));
    let dx = unwrap(library::input_grad(&plain, how, w.view(), dy.view()));
    let dw = unwrap(library::weight_grad(&plain, how, x.view(), dy.view()));
    let [exact_x, exact_w, _] = data.contents();
    let magnitude = how.judged(&plain.definition().forward(&exact_x, &exact_w, None)).magnitude;
    let magnitude = dot(&magnitude, &dy.mapv(f64::abs));
    let through_y = dot(&y, &dy.to_owned());
    let terms = (y.len() * case.weight[1..].iter().product::<usize>()) as f64;
    for (what, through) in [("input", dot(&x.to_owned(), &dx)), ("weight", dot(&w.to_owned(), &dw))] {
        assert!(
            equal(through_y, through, magnitude, terms),
            "{what} gradient of {how:?}: {through_y:e} and {through:e}, {magnitude:e}\n  {case}"
        );
    }
}

fn check_fold(case: &Case) {
    let data = Data::<f64>::new(case, STANDARD);
    let unwrap = |result: convgemm::Result<ArrayD<f64>>| result.unwrap_or_else(|error| panic!("{error}\n  {case}"));
    let columns = unwrap(library::unfold_case(case, data.x.view()));
    let other = Random::new(case.seed ^ 1).normals(columns.shape());
    let image = unwrap(library::fold_case(case, other.view()));
    let (left, right) = (dot(&columns, &other), dot(&data.x.content(), &image));
    let magnitude = dot(&columns.mapv(f64::abs), &other.mapv(f64::abs));
    assert!(equal(left, right, magnitude, columns.len() as f64), "fold: {left:e} and {right:e}\n  {case}");
}

#[test]
fn gradients_are_transposes_in_every_named_case() {
    for case in named::all() {
        How::all(&case).into_iter().for_each(|how| check_gradients(&case, how));
    }
}

#[test]
fn gradients_are_transposes_on_random_geometries() {
    explore(GEOMETRIES, (any_case(), any::<proptest::sample::Index>()), |(case, index)| {
        check_gradients(&case, *index.get(&How::all(&case)));
        Ok(())
    });
}

#[test]
fn fold_is_the_transpose_of_unfold() {
    named::all().iter().filter(|case| !case.transposed).for_each(check_fold);
    explore(GEOMETRIES, any_case().prop_filter("not transposed", |case| !case.transposed), |case| {
        check_fold(&case);
        Ok(())
    });
}

#[test]
fn a_transposed_convolution_is_the_input_gradient_with_its_name_changed() {
    for forward in named::all().into_iter().filter(|case| !case.transposed && !case.bias) {
        if forward.border != crate::common::oracle::Border::Zeros || forward.input.contains(&0) {
            continue;
        }
        let definition = forward.definition();
        let output = definition.output_shape();
        // The cells that no window reaches come back as output padding, where the rules allow so many.
        let mut back = Case { transposed: true, input: output.clone(), ..forward.clone() };
        let mut is_possible = !forward.weight.contains(&0);
        let mut sides = vec![];
        for (axis, line) in definition.lines[3 - definition.rank..].iter().enumerate() {
            let reached = (line.output - 1) * line.stride + line.dilation * (line.kernel - 1) + 1;
            let after = reached.saturating_sub(line.before + line.input);
            back.output_padding[axis] = (line.before + line.input + after) - reached;
            is_possible &= back.output_padding[axis] < line.stride.max(line.dilation);
            sides.push((line.before, after));
        }
        if !is_possible {
            continue;
        }
        back.padding = crate::common::cases::Pad::Explicit(sides);
        let data = Data::<f64>::new(&forward, STANDARD);
        for how in How::all(&forward) {
            let dx = library::input_grad(&forward, how, data.w.view(), data.dy.view()).expect("possible");
            let y = library::forward(&back, how, data.dy.view(), data.w.view(), None);
            assert_eq!(y.as_ref(), Ok(&dx), "{how:?} {back}");
        }
    }
}
