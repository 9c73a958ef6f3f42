//! Requests that make no sense are refused, or make sense after all; nothing panics.

use std::cell::Cell;

use convgemm::{
    Activation, Algorithm, Backend, ConvOptions, ConvPlan, Error, PadMode, Padding, WeightGradPlan, conv_transpose2d,
    conv2d,
};
use ndarray::{Array1, Array3, Array4};
use proptest::prelude::*;

use crate::properties::explore;

/// Requests a property: they cost next to nothing.
const REQUESTS: u32 = 3000;

/// Mostly small, with every size at which a machine's integers have an edge.
fn any_size() -> impl Strategy<Value = usize> {
    prop_oneof![
        1 => Just(0_usize),
        60 => 1..=4_usize,
        1 => proptest::sample::select(vec![31, 1 << 16, 1 << 31, (1 << 32) + 1, 1 << 40, 1 << 61, usize::MAX / 2, usize::MAX]),
        1 => any::<usize>(),
    ]
}

fn small_size() -> impl Strategy<Value = usize> {
    prop_oneof![1 => Just(0_usize), 15 => 1..=4_usize]
}

fn any_options<S: Strategy<Value = usize>>(size: fn() -> S) -> impl Strategy<Value = ConvOptions<2>> {
    let pair = move || [size(), size()];
    let padding = prop_oneof![
        2 => Just(Padding::Valid),
        1 => Just(Padding::Same),
        1 => Just(Padding::SameLower),
        4 => [(size(), size()), (size(), size())].prop_map(Padding::Explicit),
    ];
    let activation = prop_oneof![
        6 => Just(Activation::None),
        1 => Just(Activation::Relu),
        1 => (any::<f64>(), any::<f64>()).prop_map(|(min, max)| Activation::Clamp { min, max }),
    ];
    let choices = (
        proptest::sample::select(PadMode::ALL.to_vec()),
        prop_oneof![Just(Algorithm::Auto), proptest::sample::select(Algorithm::ALL.to_vec())],
        proptest::sample::select(Backend::ALL.to_vec()),
        activation,
        size(),
    );
    let output_padding = prop_oneof![3 => Just([0, 0]), 1 => pair()];
    ((pair(), pair(), padding), (prop_oneof![3 => Just(1), 1 => size()], output_padding), choices).prop_map(
        |((stride, dilation, padding), (groups, output_padding), (mode, algorithm, backend, activation, bytes))| {
            ConvOptions::new()
                .stride(stride)
                .dilation(dilation)
                .padding(padding)
                .groups(groups)
                .output_padding(output_padding)
                .pad_mode(mode)
                .algorithm(algorithm)
                .backend(backend)
                .activation(activation)
                .workspace_bytes(bytes)
        },
    )
}

/// Shapes that fit often enough, and do not often enough.
fn any_shapes<S: Strategy<Value = usize>>(size: fn() -> S) -> impl Strategy<Value = ([usize; 4], [usize; 4])> {
    let four = || [size(), size(), size(), size()];
    (four(), four(), 0..=3_usize, 0..=3_usize).prop_map(|(mut input, mut weight, fit, more)| {
        if fit > 0 {
            weight[1] = input[1];
        }
        if fit > 1 {
            input[2..].iter_mut().for_each(|length| *length = length.saturating_add(more));
        }
        (input, weight)
    })
}

/// Plans and their explanations of any sizes: nothing here allocates more than the weights.
#[test]
fn plans_of_any_sizes_and_options_never_panic() {
    let possible = Cell::new(0);
    explore(REQUESTS, (any_options(any_size), any_shapes(any_size)), |(options, (input, weight))| {
        let _ = options.geometry(&input, &weight);
        let _ = options.transposed_geometry(&input, &weight);
        for plan in [
            WeightGradPlan::<f64, 2>::conv(input, weight, &options),
            WeightGradPlan::<f64, 2>::conv_transpose(input, weight, &options),
        ]
        .into_iter()
        .flatten()
        {
            let _ = (plan.workspace_len(), plan.explain().to_string());
            possible.set(possible.get() + 1);
        }
        if weight.iter().try_fold(1_usize, |all, &n| all.checked_mul(n)).is_some_and(|len| len < 1000)
            && weight.iter().all(|&n| n < 1000)
        {
            let weight = Array4::<f64>::zeros(weight);
            for plan in [
                ConvPlan::conv(input, &weight, None, &options),
                ConvPlan::conv_transpose(input, &weight, None, &options),
                ConvPlan::input_grad(input, &weight, &options),
            ]
            .into_iter()
            .flatten()
            {
                let _ = (plan.workspace_len(), plan.explain().to_string(), plan.packed_len());
                possible.set(possible.get() + 1);
            }
        }
        Ok(())
    });
    assert!(possible.get() >= REQUESTS / 20, "only {} plans were possible", possible.get());
}

#[test]
fn operations_on_any_small_arrays_and_options_never_panic() {
    let bias = proptest::option::weighted(0.2, small_size());
    let shapes = || any_shapes(small_size);
    let (any, possible) = ((any_options(small_size), shapes(), bias, shapes()), Cell::new(0));
    explore(REQUESTS, any, |(options, (input, weight), bias, (other, _))| {
        let (x, w) = (Array4::<f32>::ones(input), Array4::<f32>::ones(weight));
        let bias = bias.map(Array1::<f32>::ones);
        if let Ok(y) = conv2d(&x, &w, bias.as_deref(), &options) {
            let geometry = options.geometry(&input, &weight).expect("it has been computed");
            let [n, oc, _, h, w] = geometry.output_shape();
            prop_assert_eq!(y.shape(), [n, oc, h, w]);
            prop_assert!(y.iter().all(|y| !y.is_nan()));
            possible.set(possible.get() + 1);
        }
        if let Ok(y) = conv_transpose2d(&x, &w, bias.as_deref(), &options) {
            let geometry = options.transposed_geometry(&input, &weight).expect("it has been computed");
            let [n, c, _, h, w] = geometry.input_shape();
            prop_assert_eq!(y.shape(), [n, c, h, w]);
            possible.set(possible.get() + 1);
        }
        // Gradients of outputs that may have nothing to do with the shapes.
        let dy = Array4::<f32>::ones(other);
        let _ = convgemm::conv2d_input_grad(input, &w, &dy, &options);
        let _ = convgemm::conv2d_weight_grad(&x, weight, &dy, &options);
        let _ = convgemm::conv_transpose2d_input_grad(input, &w, &dy, &options);
        let _ = convgemm::conv_transpose2d_weight_grad(&x, weight, &dy, &options);
        let _ = convgemm::conv2d_bias_grad(&dy);
        let _ = convgemm::conv2d_bias_grad_into(&dy, &mut Array1::zeros(other[0]));
        let mut output = Array4::zeros(other);
        let _ = convgemm::conv2d_into(&x, &w, bias.as_deref(), &options, &mut output);
        let _ = convgemm::conv_transpose2d_into(&x, &w, bias.as_deref(), &options, &mut output);
        let kernel = [weight[2], weight[3]];
        if let Ok(columns) = convgemm::unfold2d(&x, kernel, &options) {
            prop_assert!(convgemm::fold2d(&columns, [input[2], input[3]], kernel, &options).is_ok());
        }
        let columns = Array3::<f32>::ones([other[0], other[1], other[2]]);
        let _ = convgemm::fold2d(&columns, [input[2], input[3]], kernel, &options);
        let _ = convgemm::fold2d_into(&columns, kernel, &options, &mut output);
        Ok(())
    });
    assert!(possible.get() >= REQUESTS / 20, "only {} requests were possible", possible.get());
}

#[test]
fn gigantic_shapes_whose_arrays_fit_one_by_one_do_not_panic_in_the_choice_of_an_algorithm() {
    // Every pair of sizes fits, the product of all three does not.
    let side = 1 << 25;
    for algorithm in Algorithm::ALL {
        let options = ConvOptions::<1>::new().algorithm(algorithm);
        let plan = WeightGradPlan::<f64, 1>::conv([1, side, side], [side, side, 1], &options);
        if let Ok(plan) = plan {
            assert!(!plan.explain().to_string().is_empty());
        }
    }
}

#[test]
fn scratch_memory_that_no_machine_has_is_an_error_or_a_number_but_no_panic() {
    // The patch matrix of one thread just fits the address space, those of all threads do not.
    let weight = Array3::<f64>::zeros((1, 1, 1 << 10));
    let input = [1, 1, 1 << 49];
    for threads in crate::common::pools::THREADS {
        crate::common::pools::with(threads, || {
            for algorithm in Algorithm::ALL {
                let options = ConvOptions::<1>::new().algorithm(algorithm).workspace_bytes(usize::MAX);
                for plan in
                    [ConvPlan::conv(input, &weight, None, &options), ConvPlan::input_grad(input, &weight, &options)]
                {
                    match plan {
                        Ok(plan) => assert!(!plan.explain().to_string().is_empty()),
                        Err(error) => {
                            let is_expected = matches!(error, Error::Overflow { .. } | Error::Unsupported { .. });
                            assert!(is_expected, "{error}");
                        }
                    }
                }
            }
        });
    }
}
