//! Algorithms chosen by measurement: which are tried, and that the choice serves like any other.

use convgemm::{
    Algorithm, Backend, ConvOptions, Numerics, Padding, Result, Tuning, WeightGradPlan, conv_input_grad,
    conv_transpose, conv2d, conv2d_weight_grad,
};
use ndarray::{Array4, ArrayD};

use crate::common::random::Random;

const WINOGRAD: [Algorithm; 2] = [Algorithm::WinogradF2, Algorithm::WinogradF4];

fn same() -> ConvOptions<2> {
    ConvOptions::new().padding(Padding::Same)
}

fn tried(tuning: &Tuning<2>) -> Vec<Algorithm> {
    tuning.timings.iter().map(|timing| timing.algorithm).collect()
}

fn normals(shape: [usize; 4], seed: u64) -> Array4<f64> {
    Random::new(seed).normals(&shape).into_dimensionality().expect("four axes")
}

#[track_caller]
fn assert_near(found: Result<Array4<f64>>, expected: Result<Array4<f64>>) {
    let (found, expected): (ArrayD<f64>, ArrayD<f64>) = (found.unwrap().into_dyn(), expected.unwrap().into_dyn());
    let largest = expected.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
    let apart = (&found - &expected).iter().fold(0.0_f64, |apart, value| apart.max(value.abs()));
    assert!(apart <= 1e-13 * largest, "{apart} apart where the largest is {largest}");
}

#[test]
fn the_tuned_algorithm_is_the_fastest_candidate_and_computes_the_same() {
    let (input, weight) = ([1, 8, 12, 12], [8, 8, 3, 3]);
    let (x, w, dy) = (normals(input, 1), normals(weight, 2), normals([1, 8, 12, 12], 3));
    let direct = same().algorithm(Algorithm::Direct);
    let check = |tuning: &Tuning<2>| {
        let first = tuning.timings[0];
        assert_eq!(tuning.options, same().algorithm(first.algorithm));
        let times: Vec<_> = tuning.timings.iter().map_while(|timing| timing.measured).collect();
        assert!(!times.is_empty() && times.is_sorted(), "{tuning:?}");
        assert!(tuning.timings.iter().all(|timing| timing.predicted_seconds > 0.0), "{tuning:?}");
    };
    let tuning = Tuning::conv::<f64>(input, weight, &same()).unwrap();
    check(&tuning);
    assert_near(conv2d(&x, &w, None, &tuning.options), conv2d(&x, &w, None, &direct));
    let tuning = Tuning::conv_transpose::<f64>(input, weight, &same()).unwrap();
    check(&tuning);
    assert_near(conv_transpose(&x, &w, None, &tuning.options), conv_transpose(&x, &w, None, &direct));
    let tuning = Tuning::input_grad::<f64>(input, weight, &same()).unwrap();
    check(&tuning);
    assert_near(conv_input_grad(input, &w, &dy, &tuning.options), conv_input_grad(input, &w, &dy, &direct));
    let tuning = Tuning::weight_grad::<f64>(input, weight, &same()).unwrap();
    check(&tuning);
    assert_near(conv2d_weight_grad(&x, weight, &dy, &tuning.options), conv2d_weight_grad(&x, weight, &dy, &direct));
    let tuning = Tuning::transpose_weight_grad::<f64>(input, weight, &same()).unwrap();
    check(&tuning);
    let plan = |options| WeightGradPlan::<f64, 2>::conv_transpose(input, weight, options).unwrap().run(&x, &dy);
    assert_near(plan(&tuning.options), plan(&direct));
}

#[test]
fn only_what_can_do_it_and_may_be_chosen_is_tried() {
    let tuned = |input, weight, options: ConvOptions<2>| tried(&Tuning::conv::<f32>(input, weight, &options).unwrap());
    let fast = tuned([1, 16, 14, 14], [16, 16, 3, 3], same());
    assert!(WINOGRAD.iter().all(|algorithm| fast.contains(algorithm)), "{fast:?}");
    assert!(!fast.contains(&Algorithm::Pointwise) && !fast.contains(&Algorithm::Depthwise), "{fast:?}");
    let strict = tuned([1, 16, 14, 14], [16, 16, 3, 3], same().numerics(Numerics::Strict));
    assert!(strict.len() >= 3 && !strict.iter().any(|algorithm| WINOGRAD.contains(algorithm)), "{strict:?}");
    let strided = tuned([1, 16, 14, 14], [16, 16, 3, 3], same().stride([3, 3]));
    assert!(!strided.iter().any(|algorithm| WINOGRAD.contains(algorithm)), "{strided:?}");
    let named = tuned([1, 16, 14, 14], [16, 16, 1, 1], same().backend(Backend::Gemm));
    assert!(named.contains(&Algorithm::Pointwise) && !named.contains(&Algorithm::Fused), "{named:?}");
    let depthwise = tuned([1, 16, 14, 14], [16, 1, 3, 3], same().groups(16));
    assert!(depthwise.contains(&Algorithm::Depthwise), "{depthwise:?}");
    let all = [fast, strict, strided, named, depthwise];
    assert!(all.iter().flatten().all(|&algorithm| algorithm != Algorithm::Auto), "{all:?}");
}

#[test]
fn an_algorithm_that_is_named_is_kept_even_if_others_are_faster() {
    let options = same().algorithm(Algorithm::Direct);
    let tuning = Tuning::conv::<f32>([1, 16, 14, 14], [16, 16, 3, 3], &options).unwrap();
    assert_eq!((tuning.options, tried(&tuning)), (options, vec![Algorithm::Direct]));
    assert!(tuning.timings[0].measured.is_some());
    let impossible = same().algorithm(Algorithm::Pointwise);
    assert!(Tuning::conv::<f32>([1, 16, 14, 14], [16, 16, 3, 3], &impossible).is_err());
}

#[test]
fn what_is_hopeless_is_named_without_being_tried() {
    let tuning = Tuning::conv::<f32>([1, 64, 28, 28], [64, 64, 3, 3], &same()).unwrap();
    let direct = tuning.timings.iter().find(|timing| timing.algorithm == Algorithm::Direct).unwrap();
    assert_eq!(direct.measured, None);
    assert!(tuning.timings[0].measured.is_some());
}

#[test]
fn impossible_shapes_and_arrays_that_no_memory_holds_are_errors() {
    assert!(Tuning::conv::<f32>([1, 3, 8, 8], [4, 2, 3, 3], &same()).is_err());
    let huge = [1 << 20, 64, 1 << 10, 1 << 10];
    assert!(Tuning::conv::<f32>(huge, [64, 64, 3, 3], &same()).is_err());
    assert!(Tuning::weight_grad::<f32>(huge, [64, 64, 3, 3], &same()).is_err());
    let empty = Tuning::conv::<f32>([0, 3, 8, 8], [4, 3, 3, 3], &same()).unwrap();
    assert_ne!(empty.options.algorithm, Algorithm::Auto);
}
