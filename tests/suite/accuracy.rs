//! The accuracy contract: within twice the error of explicit im2col and one dense product.
//!
//! Errors are against the f64 oracle on N(0, 1) data, scaled by max|y|, as root mean square and as maximum.

use ndarray::{Array2, ArrayD, Axis, Ix2};

use crate::common::cases::{Case, Data, Pad};
use crate::common::library::{self, How};
use crate::common::oracle::Expected;
use crate::common::views::Layout;

/// Largest ratio of errors that the contract allows, and that it allows to those that compute other sums.
const STRICT: f64 = 2.0;
const FAST: f64 = 4.0;

/// A few roundings of the result itself: below this an error is as small as it can be.
const FLOOR: f64 = 2.0 * f32::EPSILON as f64;

/// Parts of an input's cell with which gradients are held against the textbook's that adds them in f64.
const MOST_PARTS: usize = 12;

/// A case of long weight gradients. Its input gradients add up so few products that the textbook's, whose parts are added in
/// f64, have next to no error.
const LARGE_MAP: &str = "large map";

#[derive(Clone, Copy)]
struct Errors {
    rms: f64,
    max: f64,
}

fn errors(found: &ArrayD<f32>, expected: &Expected) -> Errors {
    assert_eq!(found.shape(), expected.value.shape());
    let scale = expected.value.iter().fold(0.0_f64, |max, y| max.max(y.abs()));
    let relative = || found.iter().zip(&expected.value).map(|(&f, &e)| (f64::from(f) - e).abs() / scale);
    let squares: f64 = relative().map(|e| e * e).sum();
    Errors { rms: (squares / found.len() as f64).sqrt(), max: relative().fold(0.0, f64::max) }
}

fn check(how: How, context: &str, found: &ArrayD<f32>, expected: &Expected, textbook: &Errors) {
    let Errors { rms, max } = errors(found, expected);
    let contract = if how.algorithm.is_strict() { STRICT } else { FAST };
    let context = format_args!("{context} {how:?}");
    assert!(rms <= contract * textbook.rms.max(FLOOR / 8.0), "{context}: rms {rms:e}, textbook {:e}", textbook.rms);
    assert!(max <= contract * textbook.max.max(FLOOR), "{context}: max {max:e}, textbook {:e}", textbook.max);
}

fn matrix(values: &ArrayD<f64>, rows: usize) -> Array2<f32> {
    let columns = values.len() / rows;
    Array2::from_shape_vec((rows, columns), values.iter().map(|&v| v as f32).collect()).expect("rows × columns")
}

/// One image and one group, so that the textbook is one product: `ndarray`'s own, which is not the library's.
fn cases() -> Vec<Case> {
    vec![
        Case::new("64 channels", &[1, 64, 14, 14], &[16, 64, 3, 3]).pad(&[1, 1]),
        Case::new(LARGE_MAP, &[1, 16, 60, 58], &[16, 16, 3, 3]).pad(&[1, 1]),
        Case::new("deep", &[1, 512, 5, 5], &[8, 512, 3, 3]).pad(&[1, 1]),
        Case::new("wide", &[1, 3, 40, 40], &[8, 3, 7, 7]).stride(&[2, 2]).pad(&[3, 3]),
        Case::new("deep, by two", &[1, 512, 9, 9], &[8, 512, 3, 3]).stride(&[2, 2]).pad(&[1, 1]),
        Case::new("64 channels, by two", &[1, 64, 28, 28], &[16, 64, 3, 3]).stride(&[2, 2]).pad(&[1, 1]),
        Case::new("64 outputs, by two", &[1, 16, 28, 28], &[64, 16, 3, 3]).stride(&[2, 2]).pad(&[1, 1]),
        Case::new("256 outputs, by two", &[1, 8, 9, 9], &[256, 8, 3, 3]).stride(&[2, 2]).pad(&[1, 1]),
        Case::new("five taps", &[1, 64, 14, 14], &[16, 64, 5, 5]).pad(&[2, 2]),
        Case::new("deep, five taps", &[1, 256, 6, 6], &[8, 256, 5, 5]).pad(&[2, 2]),
        Case::new("four taps", &[1, 64, 14, 14], &[16, 64, 4, 4]).pad(&[2, 2]),
        Case::new("deep, four taps", &[1, 256, 9, 9], &[8, 256, 4, 4]).pad(&[2, 2]),
        Case::new("eleven taps by four", &[1, 3, 63, 63], &[16, 3, 11, 11]).stride(&[4, 4]).pad(&[2, 2]),
        Case::new("64 channels, eight taps by two", &[1, 64, 18, 18], &[8, 64, 8, 8]).stride(&[2, 2]).pad(&[3, 3]),
        Case::new("pointwise", &[1, 1024, 6, 6], &[8, 1024, 1, 1]),
        Case::new("pointwise at seven", &[1, 1024, 7, 7], &[256, 1024, 1, 1]),
        Case::new("pointwise by two", &[1, 256, 12, 12], &[512, 256, 1, 1]).stride(&[2, 2]),
        Case::new("rows", &[1, 64, 14, 14], &[16, 64, 1, 3]).pad(&[0, 1]),
        Case::new("deep line", &[1, 512, 60], &[8, 512, 3]).pad(&[1]),
        Case::new("deep line, dilated", &[1, 512, 60], &[8, 512, 3]).dilation(&[4]).pad(&[4]),
        Case::new("line", &[1, 40, 300], &[8, 40, 9]),
    ]
}

/// The input gradient of a case with stride 1 by im2col and one dense product: flipped kernels times the patches of the
/// output's gradient.
fn adjoint_product(case: &Case, w: &ArrayD<f64>, dy: &ArrayD<f64>) -> Option<Array2<f32>> {
    let Pad::Explicit(padding) = &case.padding else { return None };
    if case.stride.iter().any(|&stride| stride > 1) {
        return None;
    }
    let reaches = case.weight[2..].iter().zip(&case.dilation).map(|(kernel, dilation)| (kernel - 1) * dilation);
    let sides: Vec<_> = reaches.zip(padding).map(|(reach, &(before, after))| (reach - before, reach - after)).collect();
    let mut weight = case.weight.clone();
    weight.swap(0, 1);
    let adjoint = Case::new("adjoint", dy.shape(), &weight).dilation(&case.dilation).sides(&sides);
    let columns = adjoint.definition().unfold(dy).value.index_axis_move(Axis(0), 0);
    let columns = columns.into_dimensionality::<Ix2>().expect("rows × windows").mapv(|v| v as f32);
    let mut flipped = w.view();
    flipped.swap_axes(0, 1);
    (2..flipped.ndim()).for_each(|axis| flipped.invert_axis(Axis(axis)));
    let flipped = ArrayD::from_shape_vec(weight.clone(), flipped.iter().copied().collect()).expect("the same elements");
    Some(matrix(&flipped, weight[0]).dot(&columns))
}

#[test]
fn every_algorithm_is_as_exact_in_f32_as_twice_the_textbook() {
    for case in cases() {
        let data = Data::<f32>::new(&case, [Layout::Standard; 3]);
        let (definition, [x, w, dy]) = (case.definition(), data.contents());
        let outputs = case.weight[0];
        let columns = definition.unfold(&x).value.index_axis_move(Axis(0), 0);
        let columns = columns.into_dimensionality::<Ix2>().expect("rows × windows").mapv(|v| v as f32);
        let (w_rows, dy_rows) = (matrix(&w, outputs), matrix(&dy, outputs));
        let shaped = |product: Array2<f32>, like: &Expected| {
            ArrayD::from_shape_vec(like.value.shape(), product.iter().copied().collect()).expect("the same elements")
        };

        let forward = definition.forward(&x, &w, None);
        let textbook = errors(&shaped(w_rows.dot(&columns), &forward), &forward);
        let weight_grad = definition.weight_grad(&x, &dy);
        let textbook_dw = errors(&shaped(dy_rows.dot(&columns.t()), &weight_grad), &weight_grad);
        // col2im of the textbook: f32 sums of an f32 product.
        let input_grad = definition.input_grad(&w, &dy);
        let product = w_rows.t().dot(&dy_rows).mapv(f64::from).insert_axis(Axis(0)).into_dyn();
        // Its parts are added in f64 here, which flatters it where a cell has many of them.
        let is_single_step = case.stride.iter().all(|&stride| stride == 1);
        let parts = case.weight[2..].iter().product::<usize>() / case.stride.iter().product::<usize>();
        let folded = errors(&definition.fold(&product).value.mapv(|v| v as f32), &input_grad);
        // Algorithms that compute other sums, of the convolution that an input gradient with stride 1 is: its textbook, too.
        let textbook_dx = |how: How| match adjoint_product(&case, &w, &dy) {
            Some(product) if !how.algorithm.is_strict() => {
                let Errors { rms, max } = errors(&shaped(product, &input_grad), &input_grad);
                Errors { rms: rms.max(folded.rms), max: max.max(folded.max) }
            }
            _ => folded,
        };

        for how in How::all(&case) {
            let y = library::forward(&case, how, data.x.view(), data.w.view(), None).expect("possible");
            check(how, &format!("forward {}", case.name), &y, &forward, &textbook);
            let dw = library::weight_grad(&case, how, data.x.view(), data.dy.view()).expect("possible");
            check(how, &format!("weight gradient {}", case.name), &dw, &weight_grad, &textbook_dw);
            let has_textbook = parts <= MOST_PARTS || is_single_step && !how.algorithm.is_strict();
            if has_textbook && case.name != LARGE_MAP {
                let dx = library::input_grad(&case, how, data.w.view(), data.dy.view()).expect("possible");
                check(how, &format!("input gradient {}", case.name), &dx, &input_grad, &textbook_dx(how));
            }
        }
    }
}
