//! Memory that the caller owns: overwritten, never read, and nothing else touched.

use convgemm::{ConvOptions, ConvPlan, Element, Error, WeightGradPlan};
use ndarray::{Array1, Array2, Array3, Array4, ArrayD};

use crate::common::cases::{Case, Data};
use crate::common::library::{self, How, Operation};
use crate::common::named;
use crate::common::oracle::Expected;
use crate::common::pools;
use crate::common::tolerance::{assert_close, assert_same_bits};
use crate::common::views::{Held, Layout};
use crate::differential::Truth;

/// Runs `write` on an output of NaN in every layout, and checks the output and what lies between its cells.
fn fill<T: Element>(context: &str, expected: &Expected, write: impl Fn(&mut Held<T>) -> convgemm::Result<()>) {
    for layout in Layout::WRITABLE {
        let mut output = Held::filled(layout, expected.value.shape(), T::nan());
        write(&mut output).unwrap_or_else(|error| panic!("{context}: {error}"));
        assert_close(output.view(), expected, format_args!("{context} {layout:?}"));
        assert_eq!(output.count_nan(), output.hidden(), "{context} {layout:?}: wrote between the cells");
    }
}

fn check_into<T: Element>(case: &Case) {
    let data = Data::<T>::new(case, [Layout::Standard, Layout::ChannelsLast, Layout::Stepped]);
    let truth = Truth::new(case, &data);
    let (x, w, dy) = (|| data.x.view(), || data.w.view(), || data.dy.view());
    for how in How::all(case) {
        let context = |operation: &str| format!("{operation} {} {how:?}\n  {case}", T::NAME);
        let bias = data.bias.as_ref();
        let forward = |y: &mut Held<T>| library::forward_into(case, how, (x(), w(), bias), y.view_mut());
        fill(&context("forward"), &how.judged(&truth.forward), forward);
        let input_grad = |dx: &mut Held<T>| library::input_grad_into(case, how, (w(), dy()), dx.view_mut());
        fill(&context("input gradient"), &how.judged(&truth.input_grad), input_grad);
        let weight_grad = |dw: &mut Held<T>| library::weight_grad_into(case, how, (x(), dy()), dw.view_mut());
        fill(&context("weight gradient"), &how.judged(&truth.weight_grad), weight_grad);
    }
}

#[test]
fn outputs_full_of_nan_in_any_memory_are_overwritten_and_nothing_else() {
    for case in named::all() {
        check_into::<f64>(&case);
        check_into::<f32>(&case);
    }
}

/// Runs plans of every kind on an output of NaN and on scratch memory that `next` has made of what the last one left.
fn check_plans<T: Element>(case: &Case, scratch: &mut Vec<T>, next: impl Fn(&mut Vec<T>)) {
    let data = Data::<T>::new(case, [Layout::ChannelsLast, Layout::Standard, Layout::Standard]);
    let truth = Truth::new(case, &data);
    let (x, w, dy) = (|| data.x.view(), || data.w.view(), || data.dy.view());
    for how in How::all(case) {
        let context = |operation: &str| format!("{operation} {how:?}\n  {case}");
        let mut y = ArrayD::from_elem(truth.forward.value.shape(), T::nan());
        let given = (x(), w(), data.bias.as_ref());
        next(scratch);
        library::forward_planned(case, how, given, (y.view_mut(), scratch)).expect("a possible case");
        assert_close(y.view(), &how.judged(&truth.forward), context("forward"));
        let mut dw = ArrayD::from_elem(truth.weight_grad.value.shape(), T::nan());
        next(scratch);
        library::weight_grad_planned(case, how, (x(), dy()), (dw.view_mut(), scratch)).expect("possible");
        assert_close(dw.view(), &how.judged(&truth.weight_grad), context("weight gradient"));
        if !case.transposed {
            let mut dx = ArrayD::from_elem(truth.input_grad.value.shape(), T::nan());
            next(scratch);
            library::input_grad_planned(case, how, (w(), dy()), (dx.view_mut(), scratch)).expect("possible");
            assert_close(dx.view(), &how.judged(&truth.input_grad), context("input gradient"));
        }
    }
}

#[test]
fn plans_need_neither_clean_outputs_nor_a_clean_workspace_of_their_own_size() {
    // One workspace and one growing list of shapes: what one plan leaves behind, the next one finds.
    let mut scratch = vec![];
    for case in named::all() {
        check_plans::<f64>(&case, &mut scratch, |_| ());
    }
}

#[test]
fn sizes_that_leave_tails_of_every_kind_need_no_more_workspace_than_plans_say() {
    // Windows: one, four, eight and fifteen more than whole vectors; several panels; channels that fill no tile.
    let cases = [
        Case::new("7 × 7", &[1, 19, 7, 7], &[37, 19, 3, 3]).pad(&[1, 1]),
        Case::new("14 × 14", &[1, 10, 14, 14], &[23, 10, 3, 3]).pad(&[1, 1]).bias(),
        Case::new("four of 7 × 7", &[4, 19, 7, 7], &[37, 19, 3, 3]).pad(&[1, 1]).bias(),
        Case::new("nine of 5 × 6", &[9, 10, 5, 6], &[70, 10, 1, 1]),
        Case::new("seven of 2 × 1", &[7, 10, 4, 3], &[70, 5, 3, 3]).groups(2),
        Case::new("6 × 60", &[1, 9, 6, 60], &[13, 9, 3, 3]).pad(&[1, 1]),
        Case::new("17 × 15", &[1, 9, 17, 15], &[7, 9, 1, 1]),
        Case::new("stride 2", &[1, 5, 31, 29], &[18, 5, 3, 3]).stride(&[2, 2]).pad(&[1, 1]),
        Case::new("thin groups", &[1, 11, 23, 37], &[11, 1, 3, 3]).groups(11).pad(&[1, 1]),
        Case::new("thin groups by two", &[1, 21, 23, 29], &[21, 1, 3, 3]).groups(21).stride(&[2, 2]).pad(&[1, 1]),
        Case::new("thin groups, wide kernels", &[1, 5, 19, 21], &[10, 1, 5, 5]).groups(5).pad(&[2, 2]),
        Case::new("one axis", &[1, 6, 211], &[9, 6, 5]).dilation(&[3]),
    ];
    for case in cases {
        // Memory of its own for each plan, no longer than it asks for.
        check_plans::<f32>(&case, &mut vec![], |scratch| *scratch = vec![]);
        check_plans::<f64>(&case, &mut vec![], |scratch| *scratch = vec![]);
    }
}

/// A case in which every algorithm but `Pointwise` has work and scratch memory.
fn sizeable() -> (Case, Data<f32>) {
    let case = Case::new("sizeable", &[2, 6, 13, 11], &[8, 6, 3, 3]).pad(&[1, 1]).bias();
    let data = Data::new(&case, [Layout::Standard; 3]);
    (case, data)
}

fn four(array: &Held<f32>) -> Array4<f32> {
    array.view().to_owned().into_dimensionality().expect("four axes")
}

#[test]
fn a_plan_that_is_run_again_gives_the_same_bits_as_the_function() {
    let (case, data) = sizeable();
    let (x, w, dy) = (four(&data.x), four(&data.w), four(&data.dy));
    for how in How::all(&case) {
        let options = how.options::<2>(&case, Operation::Forward);
        let plan = ConvPlan::conv([2, 6, 13, 11], &w, data.bias.as_deref(), &options).unwrap();
        let once = convgemm::conv2d(&x, &w, data.bias.as_deref(), &options).unwrap().into_dyn();
        let mut output = Array4::from_elem((2, 8, 13, 11), f32::NAN);
        let mut workspace = vec![f32::NAN; plan.workspace_len()];
        for _ in 0..3 {
            plan.run_into(&x, &mut output, &mut workspace).unwrap();
            assert_same_bits(&output.clone().into_dyn(), &once, format_args!("{how:?}"));
            plan.run_into(&(&x * 2.0), &mut output, &mut workspace).unwrap();
        }
        assert_same_bits(&plan.run(&x).unwrap().into_dyn(), &once, format_args!("run {how:?}"));
        let options = how.options::<2>(&case, Operation::WeightGrad);
        let grads = WeightGradPlan::conv([2, 6, 13, 11], [8, 6, 3, 3], &options).unwrap();
        let once = convgemm::conv2d_weight_grad(&x, [8, 6, 3, 3], &dy, &options).unwrap().into_dyn();
        assert_same_bits(&grads.run(&x, &dy).unwrap().into_dyn(), &once, format_args!("weight gradient {how:?}"));
        let options = how.options::<2>(&case, Operation::InputGrad);
        let back = ConvPlan::input_grad([2, 6, 13, 11], &w, &options).unwrap();
        let once = convgemm::conv2d_input_grad([2, 6, 13, 11], &w, &dy, &options).unwrap().into_dyn();
        assert_same_bits(&back.run(&dy).unwrap().into_dyn(), &once, format_args!("input gradient {how:?}"));
    }
}

#[test]
fn a_plan_keeps_its_own_copy_of_weights_and_bias() {
    let (case, data) = sizeable();
    let (x, mut w, mut bias) = (four(&data.x), four(&data.w), data.bias.clone().expect("a bias"));
    let plan = ConvPlan::conv([2, 6, 13, 11], &w, Some(&bias), &case.options::<2>()).unwrap();
    let before = plan.run(&x).unwrap();
    w.fill(0.0);
    bias.fill(0.0);
    assert_eq!(plan.run(&x).unwrap(), before);
}

#[test]
fn a_workspace_that_is_too_short_or_an_output_of_another_shape_is_refused_and_left_alone() {
    let (case, data) = sizeable();
    let (x, w, dy) = (four(&data.x), four(&data.w), four(&data.dy));
    for how in How::all(&case) {
        let options = how.options::<2>(&case, Operation::Forward);
        let plan = ConvPlan::conv([2, 6, 13, 11], &w, None, &options).unwrap();
        let needed = plan.workspace_len();
        assert!(needed > 0, "{how:?}");
        let mut output = Array4::from_elem((2, 8, 13, 11), 5.0);
        let refused = plan.run_into(&x, &mut output, &mut vec![0.0; needed - 1]);
        assert_eq!(refused, Err(Error::WorkspaceLength { needed, found: needed - 1 }));
        assert_eq!(plan.run_into(&x, &mut output, &mut []), Err(Error::WorkspaceLength { needed, found: 0 }));
        assert!(output.iter().all(|&value| value == 5.0), "written by a run that was refused");
        plan.run_into(&x, &mut output, &mut vec![0.0; needed + 100]).unwrap();

        let options = how.options::<2>(&case, Operation::WeightGrad);
        let grads = WeightGradPlan::conv([2, 6, 13, 11], [8, 6, 3, 3], &options).unwrap();
        let needed = grads.workspace_len();
        let mut output = Array4::from_elem((8, 6, 3, 3), 5.0);
        let refused = grads.run_into(&x, &dy, &mut output, &mut vec![0.0; needed - 1]);
        assert_eq!(refused, Err(Error::WorkspaceLength { needed, found: needed - 1 }));
        assert!(output.iter().all(|&value| value == 5.0), "written by a run that was refused");
    }
}

#[test]
fn outputs_of_another_shape_are_refused_with_both_shapes_and_left_alone() {
    let (case, data) = sizeable();
    let (x, w, dy, options) = (four(&data.x), four(&data.w), four(&data.dy), case.options::<2>());
    let shape = |what, expected: [usize; 4], found: [usize; 4]| {
        Err(Error::Shape { what, expected: expected.to_vec(), found: found.to_vec() })
    };
    for found in [[2, 8, 13, 10], [1, 8, 13, 11], [2, 7, 13, 11], [2, 8, 11, 13], [0, 0, 0, 0]] {
        let mut output = Array4::from_elem(found, 5.0);
        let expected = shape("output", [2, 8, 13, 11], found);
        assert_eq!(convgemm::conv2d_into(&x, &w, None, &options, &mut output), expected);
        let plan = ConvPlan::conv([2, 6, 13, 11], &w, None, &options).unwrap();
        assert_eq!(plan.run_into(&x, &mut output, &mut vec![0.0; plan.workspace_len()]), expected);
        assert!(output.iter().all(|&value| value == 5.0));
    }
    let plan = ConvPlan::conv([2, 6, 13, 11], &w, None, &options).unwrap();
    let small = Array4::zeros((2, 6, 13, 10));
    assert_eq!(plan.run(&small).map(|_| ()), shape("input", [2, 6, 13, 11], [2, 6, 13, 10]));
    let mut dx = Array4::from_elem((2, 6, 13, 12), 5.0);
    let refused = convgemm::conv2d_input_grad_into([2, 6, 13, 11], &w, &dy, &options, &mut dx);
    assert_eq!(refused, shape("output", [2, 6, 13, 11], [2, 6, 13, 12]));
    let mut dw = Array4::from_elem((8, 6, 3, 2), 5.0);
    let refused = convgemm::conv2d_weight_grad_into(&x, [8, 6, 3, 3], &dy, &options, &mut dw);
    assert_eq!(refused, shape("output", [8, 6, 3, 3], [8, 6, 3, 2]));
    assert!(dx.iter().chain(&dw).all(|&value| value == 5.0));
}

#[test]
fn a_plan_made_for_few_threads_runs_in_a_pool_of_many_and_the_other_way_round() {
    let (case, data) = sizeable();
    let (x, w) = (four(&data.x), four(&data.w));
    for how in How::all(&case) {
        let options = how.options::<2>(&case, Operation::Forward);
        let make = |threads| pools::with(threads, || ConvPlan::conv([2, 6, 13, 11], &w, None, &options).unwrap());
        let expected = make(1).run(&x).unwrap();
        for (made, run) in [(1, 7), (7, 1), (2, 3), (3, 7)] {
            let plan = make(made);
            let mut workspace = vec![f32::NAN; plan.workspace_len()];
            let mut output = Array4::from_elem((2, 8, 13, 11), f32::NAN);
            pools::with(run, || plan.run_into(&x, &mut output, &mut workspace)).unwrap();
            assert_eq!(output, expected, "{how:?} made for {made} threads, run by {run}");
        }
    }
}

#[test]
fn the_other_functions_overwrite_their_outputs_too() {
    let options = ConvOptions::<2>::new();
    let image = Array2::from_shape_fn((5, 6), |(i, j)| (i * 7 + j) as f32);
    let kernel = Array2::from_shape_fn((2, 3), |(i, j)| (i + 2 * j) as f32 - 1.0);
    let mut output = Array2::from_elem((4, 4), f32::NAN);
    convgemm::correlate2d_into(&image, &kernel, &options, &mut output).unwrap();
    assert_eq!(output, convgemm::correlate2d(&image, &kernel, &options).unwrap());
    output.fill(f32::NAN);
    convgemm::convolve2d_into(&image, &kernel, &options, &mut output).unwrap();
    assert_eq!(output, convgemm::convolve2d(&image, &kernel, &options).unwrap());

    let x = Array4::from_shape_fn((2, 3, 5, 6), |(n, c, i, j)| (n + 2 * c + 3 * i + 5 * j) as f32);
    let mut columns = Array3::from_elem((2, 18, 16), f32::NAN);
    convgemm::unfold2d_into(&x, [2, 3], &options, &mut columns).unwrap();
    assert_eq!(columns, convgemm::unfold2d(&x, [2, 3], &options).unwrap());
    let mut image = Array4::from_elem((2, 3, 5, 6), f32::NAN);
    convgemm::fold2d_into(&columns, [2, 3], &options, &mut image).unwrap();
    assert_eq!(image, convgemm::fold2d(&columns, [5, 6], [2, 3], &options).unwrap());

    let mut grad = Array1::from_elem(3, f32::NAN);
    convgemm::conv2d_bias_grad_into(&x, &mut grad).unwrap();
    assert_eq!(grad, convgemm::conv2d_bias_grad(&x));
    let refused = convgemm::conv2d_bias_grad_into(&x, &mut Array1::zeros(2));
    assert!(matches!(refused, Err(Error::Shape { .. } | Error::BiasLength { .. })), "{refused:?}");
}
