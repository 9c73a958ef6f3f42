//! What the documentation promises beside the numbers.

use convgemm::{Activation, Algorithm, ConvOptions, ConvPlan, Padding, WeightGradPlan};
use ndarray::{Array, Array1, Array2, Array4, ArrayD, Axis, array, s};

use crate::common::cases::{Case, Data};
use crate::common::library::{self, How, Operation};
use crate::common::named;
use crate::common::random::Random;
use crate::common::tolerance::assert_close;
use crate::common::views::Layout;
use crate::differential::Truth;

fn random4(seed: u64, shape: [usize; 4]) -> Array4<f64> {
    Random::new(seed).normals(&shape).into_dimensionality().expect("four axes")
}

#[test]
fn the_activation_comes_after_the_bias_in_every_algorithm() {
    let case = Case::new("activation", &[2, 3, 7, 6], &[5, 3, 3, 3]).pad(&[1, 1]).bias();
    let data = Data::<f64>::new(&case, [Layout::Standard; 3]);
    let truth = Truth::new(&case, &data);
    let (x, w) = (data.x.view().into_dimensionality().unwrap(), data.w.view().into_dimensionality().unwrap());
    let relu = |y: f64| y.max(0.0);
    let clamp = |y: f64| y.clamp(-0.5, 2.0);
    let activations: [(Activation, &dyn Fn(f64) -> f64); 4] = [
        (Activation::None, &|y| y),
        (Activation::Relu, &relu),
        (Activation::Clamp { min: -0.5, max: 2.0 }, &clamp),
        (Activation::Clamp { min: f64::NEG_INFINITY, max: f64::INFINITY }, &|y| y),
    ];
    for (activation, function) in activations {
        // None of these functions enlarges a difference.
        let mut expected = truth.forward.clone();
        expected.value.mapv_inplace(function);
        for how in How::all(&case) {
            let options = how.options::<2>(&case, Operation::Forward).activation(activation);
            let y = convgemm::conv2d(&x, &w, data.bias.as_deref(), &options).unwrap();
            assert_close(y.view().into_dyn(), &how.judged(&expected), format_args!("{activation:?} {how:?}"));
            let plan = ConvPlan::conv([2, 3, 7, 6], &w, data.bias.as_deref(), &options).unwrap();
            let planned = plan.run(&x).unwrap();
            assert_close(
                planned.view().into_dyn(),
                &how.judged(&expected),
                format_args!("plan {activation:?} {how:?}"),
            );
        }
    }
}

#[test]
fn a_transposed_convolution_takes_an_activation_too() {
    let case = Case::transposed("activation", &[2, 3, 4, 5], &[3, 4, 3, 2]).stride(&[2, 1]).bias();
    let data = Data::<f64>::new(&case, [Layout::Standard; 3]);
    let mut expected = Truth::new(&case, &data).forward;
    expected.value.mapv_inplace(|y| y.max(0.0));
    let (x, w) = (data.x.view().into_dimensionality().unwrap(), data.w.view().into_dimensionality().unwrap());
    for how in How::all(&case) {
        let options = how.options::<2>(&case, Operation::Forward).activation(Activation::Relu);
        let y = convgemm::conv_transpose2d(&x, &w, data.bias.as_deref(), &options).unwrap();
        assert_close(y.view().into_dyn(), &how.judged(&expected), format_args!("{how:?}"));
    }
}

#[test]
fn an_activation_leaves_nan_alone_in_every_algorithm() {
    let (x, w) = (Array4::from_elem((1, 1, 4, 4), f64::NAN), Array4::<f64>::ones((1, 1, 2, 2)));
    for activation in [Activation::Relu, Activation::Clamp { min: 0.0, max: 1.0 }] {
        let case = Case::new("2×2", &[1, 1, 4, 4], &[1, 1, 2, 2]);
        for algorithm in Algorithm::ALL.into_iter().filter(|&it| library::can(it, Operation::Forward, &case)) {
            let options = ConvOptions::new().activation(activation).algorithm(algorithm);
            let y = convgemm::conv2d(&x, &w, None, &options).unwrap();
            assert!(y.iter().all(|y| y.is_nan()), "{algorithm}");
        }
    }
}

#[test]
fn channels_last_input_gives_channels_last_output() {
    let case = Case::new("order", &[2, 3, 6, 5], &[4, 3, 3, 3]).pad(&[1, 1]);
    for algorithm in Algorithm::ALL.into_iter().filter(|&algorithm| algorithm != Algorithm::Pointwise) {
        for (layout, strides) in [(Layout::ChannelsLast, [120, 1, 20, 4]), (Layout::Standard, [120, 30, 5, 1])] {
            let data = Data::<f32>::new(&case, [layout, Layout::Standard, layout]);
            let how = How::new(algorithm);
            let y = library::forward(&case, how, data.x.view(), data.w.view(), None).unwrap();
            assert_eq!(y.strides(), strides, "{algorithm} {layout:?}");
        }
    }
    let transposed = Case::transposed("order", &[2, 3, 6, 5], &[3, 4, 3, 3]);
    let data = Data::<f32>::new(&transposed, [Layout::ChannelsLast; 3]);
    let y = library::forward(&transposed, How::new(Algorithm::Auto), data.x.view(), data.w.view(), None).unwrap();
    assert_eq!(y.strides(), [224, 1, 28, 4]);
}

#[test]
fn an_empty_batch_has_the_right_shape_and_a_weight_gradient_of_zeros() {
    let case = Case::new("none", &[0, 3, 8, 7], &[4, 3, 3, 3]).stride(&[2, 2]);
    let data = Data::<f32>::new(&case, [Layout::Standard; 3]);
    for how in How::all(&case) {
        let y = library::forward(&case, how, data.x.view(), data.w.view(), None).unwrap();
        assert_eq!(y.shape(), [0, 4, 3, 3]);
        let dw = library::weight_grad(&case, how, data.x.view(), data.dy.view()).unwrap();
        assert_eq!(dw, ArrayD::zeros(vec![4, 3, 3, 3]), "{how:?}");
        assert_eq!(library::input_grad(&case, how, data.w.view(), data.dy.view()).unwrap().shape(), [0, 3, 8, 7]);
    }
    assert_eq!(library::bias_grad(&case, data.dy.view()), ArrayD::zeros(vec![4]));
}

#[test]
fn auto_is_one_of_the_algorithms_and_says_which_and_why() {
    for case in named::all().iter().filter(|case| case.rank() == 2 && !case.transposed) {
        let data = Data::<f64>::new(case, [Layout::Standard; 3]);
        let w: Array4<f64> = data.w.view().to_owned().into_dimensionality().unwrap();
        let shape: [usize; 4] = case.input.clone().try_into().unwrap();
        let auto = ConvPlan::conv(shape, &w, None, &case.options::<2>()).unwrap();
        let explanation = auto.explain();
        assert_ne!(auto.algorithm(), Algorithm::Auto);
        assert_eq!(explanation.algorithm, auto.algorithm());
        assert!(!explanation.reason.is_empty());
        let text = explanation.to_string();
        assert!(text.contains(auto.algorithm().name()) && text.contains(explanation.reason), "{text}");
        let x = data.x.view().into_dimensionality().unwrap();
        let named = case.options::<2>().algorithm(auto.algorithm());
        assert_eq!(auto.run(&x), convgemm::conv2d(&x, &w, None, &named), "{case}");
    }
}

#[test]
fn a_plan_knows_its_sizes() {
    let w = Array4::<f32>::zeros((64, 3, 7, 7));
    let options = ConvOptions::new().stride([2, 2]).padding(Padding::symmetric([3, 3])).algorithm(Algorithm::Im2col);
    let plan = ConvPlan::conv([1, 3, 224, 224], &w, None, &options).unwrap();
    assert_eq!(plan.output_shape(), [1, 64, 112, 112]);
    let explanation = plan.explain();
    assert_eq!((explanation.m, explanation.k, explanation.n), (64, 147, 12544));
    assert_eq!(explanation.flops, 2.0 * 64.0 * 147.0 * 12544.0);
    assert_eq!(explanation.patch_matrix_bytes, 147.0 * 12544.0 * 4.0);
    let patch_matrix = 147 * 12544;
    assert!((patch_matrix..2 * patch_matrix).contains(&plan.workspace_len()), "{}", plan.workspace_len());
    assert!(plan.packed_len() >= w.len());
    let grads = WeightGradPlan::<f32, 2>::conv([1, 3, 224, 224], [64, 3, 7, 7], &options).unwrap();
    assert_eq!(grads.output_shape(), [64, 3, 7, 7]);
}

#[test]
fn a_predicted_time_grows_with_the_work_and_is_the_same_when_asked_again() {
    let seconds = |side: usize, algorithm| {
        let options = ConvOptions::new().padding(Padding::Same).algorithm(algorithm);
        let w = Array4::<f32>::zeros((16, 16, 3, 3));
        let (input, weight) = ([1, 16, side, side], [16, 16, 3, 3]);
        let plans = [
            ConvPlan::conv(input, &w, None, &options).map(|plan| plan.explain()),
            ConvPlan::input_grad(input, &w, &options).map(|plan| plan.explain()),
            WeightGradPlan::<f32, 2>::conv(input, weight, &options).map(|plan| plan.explain()),
        ];
        plans.into_iter().flatten().map(|explanation| explanation.predicted_seconds).collect::<Vec<f64>>()
    };
    for algorithm in Algorithm::ALL {
        let (small, large) = (seconds(14, algorithm), seconds(28, algorithm));
        assert_eq!(small, seconds(14, algorithm), "{algorithm}");
        assert!(small.iter().zip(&large).all(|(small, large)| 0.0 < *small && small < large), "{algorithm}");
    }
}

#[test]
fn the_tiled_workspace_stays_within_its_bound_where_the_whole_matrix_takes_a_hundred_megabytes() {
    // The second layer of VGG-16.
    let (shape, weight) = ([1, 64, 224, 224], [64, 64, 3, 3]);
    let w = Array4::<f32>::zeros(weight);
    let options = ConvOptions::new().padding(Padding::symmetric([1, 1]));
    let whole = options.algorithm(Algorithm::Im2col);
    assert!(ConvPlan::conv(shape, &w, None, &whole).unwrap().explain().workspace_bytes_per_thread > 100 << 20);
    for bytes in [16 << 10, 300 << 10, 2 << 20] {
        let tiled = options.algorithm(Algorithm::Im2colTiled).workspace_bytes(bytes);
        for threads in crate::common::pools::THREADS {
            crate::common::pools::with(threads, || {
                let forward = ConvPlan::conv(shape, &w, None, &tiled).unwrap();
                let back = ConvPlan::input_grad(shape, &w, &tiled).unwrap();
                let grads = WeightGradPlan::<f32, 2>::conv(shape, weight, &tiled).unwrap();
                for (len, pass) in [
                    (forward.workspace_len(), "forward"),
                    (back.workspace_len(), "input gradient"),
                    (grads.workspace_len(), "weight gradient"),
                ] {
                    assert!(len * 4 <= bytes * threads, "{pass}: {} bytes for {threads} threads of {bytes}", len * 4);
                    assert!(len > 0, "{pass}");
                }
            });
        }
    }
}

#[test]
fn correlate_slides_the_kernel_as_it_is_and_convolve_slides_it_flipped() {
    let image = array![[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 9.0], [0.0, 1.0, 0.0, 1.0]];
    let kernel = array![[1.0, -1.0], [0.5, 2.0]];
    let correlate =
        |k: &Array2<f64>| Array2::from_shape_fn((2, 3), |(i, j)| (&image.slice(s![i..i + 2, j..j + 2]) * k).sum());
    let options = ConvOptions::new();
    assert_eq!(convgemm::correlate2d(&image, &kernel, &options).unwrap(), correlate(&kernel));
    let flipped = kernel.slice(s![..;-1, ..;-1]).to_owned();
    assert_eq!(convgemm::convolve2d(&image, &kernel, &options).unwrap(), correlate(&flipped));
    let turned = convgemm::correlate2d(&image.t(), &kernel.t(), &options).unwrap();
    assert_eq!(turned.t(), correlate(&kernel));
    let same = options.padding(Padding::Same).stride([2, 1]);
    assert_eq!(convgemm::correlate2d(&image, &kernel, &same).unwrap().dim(), (2, 4));
}

#[test]
fn a_convolution_is_linear_and_moves_with_its_input() {
    let (x, w) = (random4(1, [1, 2, 9, 9]), random4(2, [3, 2, 3, 3]));
    let options = ConvOptions::new();
    let y = convgemm::conv2d(&x, &w, None, &options).unwrap();
    let scaled = convgemm::conv2d(&(&x * -4.0), &(&w * 0.5), None, &options).unwrap();
    assert_eq!(scaled, &y * -2.0);
    let moved = x.slice(s![.., .., 2.., 1..]);
    let direct = options.algorithm(Algorithm::Direct);
    let whole = convgemm::conv2d(&x, &w, None, &direct).unwrap();
    assert_eq!(convgemm::conv2d(&moved, &w, None, &direct).unwrap(), whole.slice(s![.., .., 2.., 1..]));
}

#[test]
fn one_dimension_is_two_of_which_one_has_a_single_cell() {
    let case = Case::new("line", &[2, 4, 15], &[6, 2, 3]).groups(2).stride(&[2]).dilation(&[2]).sides(&[(1, 2)]);
    let data = Data::<f64>::new(&case, [Layout::Standard; 3]);
    let line = |view: ndarray::ArrayViewD<'_, f64>| view.to_owned().into_dimensionality::<ndarray::Ix3>().unwrap();
    let (x, w) = (line(data.x.view()), line(data.w.view()));
    let y = convgemm::conv1d(&x, &w, None, &case.options::<1>()).unwrap();
    let flat = ConvOptions::<2>::new().groups(2).stride([1, 2]).dilation([1, 2]);
    let flat = flat.padding(Padding::Explicit([(0, 0), (1, 2)]));
    let wide = convgemm::conv2d(&x.insert_axis(Axis(2)), &w.insert_axis(Axis(2)), None, &flat).unwrap();
    assert_eq!(wide.index_axis_move(Axis(2), 0), y);
}

#[test]
fn the_functions_with_a_number_in_their_name_are_the_generic_ones() {
    let x = Random::new(5).normals(&[1, 2, 4, 5, 3]).into_dimensionality::<ndarray::Ix5>().unwrap();
    let w = Random::new(6).normals(&[3, 2, 2, 2, 2]).into_dimensionality::<ndarray::Ix5>().unwrap();
    let bias = Array1::from_vec(vec![1.0, 2.0, 3.0]);
    let options = ConvOptions::<3>::new();
    let y = convgemm::conv::<f64, 3>(&x, &w, Some(&bias), &options).unwrap();
    assert_eq!(convgemm::conv3d(&x, &w, Some(&bias), &options).unwrap(), y);
    assert_eq!(convgemm::conv3d_bias_grad(&y), convgemm::conv_bias_grad::<f64, 3>(&y));
    let dx = convgemm::conv_input_grad([1, 2, 4, 5, 3], &w, &y, &options).unwrap();
    assert_eq!(convgemm::conv3d_input_grad([1, 2, 4, 5, 3], &w, &y, &options).unwrap(), dx);
    let dw = convgemm::conv_weight_grad(&x, [3, 2, 2, 2, 2], &y, &options).unwrap();
    assert_eq!(convgemm::conv3d_weight_grad(&x, [3, 2, 2, 2, 2], &y, &options).unwrap(), dw);
    let columns = convgemm::unfold(&x, [2, 2, 2], &options).unwrap();
    assert_eq!(convgemm::unfold3d(&x, [2, 2, 2], &options).unwrap(), columns);
    let t = Array::from_shape_fn((1, 3, 2), |(_, c, i)| (c + 2 * i) as f32);
    let k = Array::from_shape_fn((3, 2, 3), |(c, o, i)| (c + o + i) as f32);
    let options = ConvOptions::<1>::new().stride([2]);
    let y = convgemm::conv_transpose(&t, &k, None, &options).unwrap();
    assert_eq!(convgemm::conv_transpose1d(&t, &k, None, &options).unwrap(), y);
}

#[test]
fn names_of_algorithms_can_be_read_back() {
    for algorithm in Algorithm::ALL {
        assert_eq!(algorithm.to_string().parse::<Algorithm>(), Ok(algorithm));
    }
    let error = "winograd9".parse::<Algorithm>().unwrap_err();
    assert!(error.contains("winograd9") && error.contains("im2col-tiled"), "{error}");
}
