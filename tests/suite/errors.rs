//! Every error that a user can cause, from every operation, with the numbers that show it.

use convgemm::{Activation, Algorithm, ConvOptions, ConvPlan, Error, PadMode, Padding, WeightGradPlan};
use ndarray::{Array1, Array3, Array4};

type Options = ConvOptions<2>;

const INPUT: [usize; 4] = [2, 6, 5, 7];
const WEIGHT: [usize; 4] = [4, 6, 3, 3];

/// What every operation says to these shapes and options; all of them must say the same.
fn refused(input: [usize; 4], weight: [usize; 4], options: Options) -> String {
    let (x, w) = (Array4::<f32>::zeros(input), Array4::<f32>::zeros(weight));
    // The gradient of an output that cannot be: any array will do.
    let dy = Array4::<f32>::zeros([2, 4, 3, 5]);
    let mut output = Array4::from_elem([2, 4, 3, 5], 5.0_f32);
    let [mut dx, mut dw] = [x.clone(), w.clone()];
    let errors = [
        convgemm::conv2d(&x, &w, None, &options).map(|_| ()),
        convgemm::conv2d_into(&x, &w, None, &options, &mut output),
        convgemm::conv2d_input_grad(input, &w, &dy, &options).map(|_| ()),
        convgemm::conv2d_input_grad_into(input, &w, &dy, &options, &mut dx),
        convgemm::conv2d_weight_grad(&x, weight, &dy, &options).map(|_| ()),
        convgemm::conv2d_weight_grad_into(&x, weight, &dy, &options, &mut dw),
        ConvPlan::conv(input, &w, None, &options).map(|_| ()),
        ConvPlan::input_grad(input, &w, &options).map(|_| ()),
        WeightGradPlan::<f32, 2>::conv(input, weight, &options).map(|_| ()),
    ];
    assert!(output.iter().all(|&y| y == 5.0), "a refused operation has written");
    same(&errors)
}

fn transposed_refused(input: [usize; 4], weight: [usize; 4], options: Options) -> String {
    let (x, w) = (Array4::<f32>::zeros(input), Array4::<f32>::zeros(weight));
    let dy = Array4::<f32>::zeros([2, 4, 3, 5]);
    let mut output = Array4::from_elem([2, 4, 3, 5], 5.0_f32);
    let errors = [
        convgemm::conv_transpose2d(&x, &w, None, &options).map(|_| ()),
        convgemm::conv_transpose2d_into(&x, &w, None, &options, &mut output),
        convgemm::conv_transpose2d_input_grad(input, &w, &dy, &options).map(|_| ()),
        convgemm::conv_transpose2d_weight_grad(&x, weight, &dy, &options).map(|_| ()),
        ConvPlan::conv_transpose(input, &w, None, &options).map(|_| ()),
        WeightGradPlan::<f32, 2>::conv_transpose(input, weight, &options).map(|_| ()),
    ];
    assert!(output.iter().all(|&y| y == 5.0), "a refused operation has written");
    same(&errors)
}

fn same(results: &[convgemm::Result<()>]) -> String {
    let first = results[0].clone().expect_err("must be refused");
    for (number, result) in results.iter().enumerate() {
        assert_eq!(result.as_ref(), Err(&first), "operation {number} of this list");
    }
    first.to_string()
}

fn contains(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "no \"{part}\" in: {message}");
    }
}

fn options() -> Options {
    Options::new()
}

fn sides(height: (usize, usize), width: (usize, usize)) -> Options {
    options().padding(Padding::Explicit([height, width]))
}

#[test]
fn zeros_where_there_must_be_a_number() {
    contains(&refused(INPUT, WEIGHT, options().stride([1, 0])), &["stride", "axis 3", "0", "at least 1"]);
    contains(&refused(INPUT, WEIGHT, options().dilation([0, 1])), &["dilation", "axis 2", "0"]);
    contains(&refused(INPUT, WEIGHT, options().groups(0)), &["groups", "0"]);
    contains(&refused(INPUT, [4, 6, 0, 3], options()), &["kernel", "axis 2", "0"]);
    contains(&transposed_refused(INPUT, [6, 4, 3, 0], options()), &["kernel", "axis 3", "0"]);
    contains(&transposed_refused(INPUT, [6, 4, 3, 3], options().stride([0, 1])), &["stride", "axis 2"]);
    contains(&transposed_refused(INPUT, [6, 4, 3, 3], options().groups(0)), &["groups"]);
}

#[test]
fn channels_that_do_not_fit() {
    let message = refused(INPUT, [4, 3, 3, 3], options());
    contains(&message, &["input has 6 channels", "weight expects 3 × 1 groups = 3"]);
    contains(&refused(INPUT, [4, 4, 3, 3], options().groups(2)), &["6 channels", "4 × 2 groups = 8"]);
    contains(&refused(INPUT, [5, 3, 3, 3], options().groups(2)), &["5 channels", "2 groups"]);
    contains(&transposed_refused(INPUT, [5, 4, 3, 3], options()), &["input has 6 channels", "first axis has 5"]);
    contains(&transposed_refused(INPUT, [6, 4, 3, 3], options().groups(4)), &["6 channels", "4 groups"]);
}

#[test]
fn a_bias_of_another_length() {
    let (x, w, bias) = (Array4::<f64>::zeros(INPUT), Array4::zeros(WEIGHT), Array1::zeros(5));
    let error = Error::BiasLength { expected: 4, found: 5 };
    contains(&error.to_string(), &["5 values", "4 channels"]);
    let expected = Err(error);
    assert_eq!(convgemm::conv2d(&x, &w, Some(&bias), &options()).map(|_| ()), expected);
    assert_eq!(ConvPlan::conv(INPUT, &w, Some(&bias), &options()).map(|_| ()), expected);
    let mut output = Array4::zeros([2, 4, 3, 5]);
    assert_eq!(convgemm::conv2d_into(&x, &w, Some(&bias), &options(), &mut output), expected);
    // A transposed convolution has the groups times the weight's second axis.
    let w = Array4::zeros([6, 2, 3, 3]);
    let refused = convgemm::conv_transpose2d(&x, &w, Some(&bias), &options().groups(2)).map(|_| ());
    assert_eq!(refused, expected);
}

#[test]
fn kernels_that_do_not_fit_the_padded_input() {
    contains(&refused(INPUT, [4, 6, 6, 3], options()), &["axis 2", "spans 6", "padded input has 5"]);
    contains(&refused(INPUT, WEIGHT, options().dilation([1, 4])), &["axis 3", "spans 9", "has 7"]);
    contains(&refused(INPUT, [4, 6, 9, 3], sides((1, 2), (0, 0))), &["axis 2", "spans 9", "has 8"]);
    contains(&refused([2, 6, 0, 7], WEIGHT, options()), &["axis 2", "spans 3", "has 0"]);
}

#[test]
fn borders_wider_than_the_pad_mode_can_fill() {
    let mode = |mode, padding| padding_with(mode, padding);
    contains(&refused(INPUT, WEIGHT, mode(PadMode::Reflect, 5)), &["axis 2", "reflect", "5", "at least 6 cells"]);
    contains(&refused(INPUT, WEIGHT, mode(PadMode::Circular, 6)), &["axis 2", "circular", "6", "has 5"]);
    let nothing = refused([2, 6, 0, 7], WEIGHT, mode(PadMode::Replicate, 4));
    contains(&nothing, &["axis 2", "replicate", "at least 1", "has 0"]);
    let w = Array4::<f32>::zeros(WEIGHT);
    for (fits, padding) in [(PadMode::Reflect, 4), (PadMode::Circular, 5), (PadMode::Replicate, 40)] {
        assert!(ConvPlan::conv(INPUT, &w, None, &mode(fits, padding)).is_ok(), "{fits} {padding}");
    }
}

fn padding_with(mode: PadMode, cells: usize) -> Options {
    options().pad_mode(mode).padding(Padding::symmetric([cells, 1]))
}

#[test]
fn what_a_transposed_convolution_cannot_do() {
    let weight = [6, 4, 3, 3];
    for mode in [PadMode::Reflect, PadMode::Replicate, PadMode::Circular] {
        contains(&transposed_refused(INPUT, weight, options().pad_mode(mode)), &[mode.name(), "zeros"]);
    }
    let padded = options().stride([2, 1]).dilation([1, 3]);
    contains(&transposed_refused(INPUT, weight, padded.output_padding([2, 0])), &["axis 2", "output padding 2", "2"]);
    contains(&transposed_refused(INPUT, weight, padded.output_padding([0, 3])), &["axis 3", "output padding 3", "3"]);
    assert!(
        ConvPlan::conv_transpose(INPUT, &Array4::<f32>::zeros(weight), None, &padded.output_padding([1, 2])).is_ok()
    );
    contains(&transposed_refused(INPUT, weight, sides((3, 4), (0, 0))), &["axis 2", "7 cells", "of the 7"]);
    let same = options().stride([2, 2]).padding(Padding::Same).output_padding([1, 0]);
    contains(&transposed_refused(INPUT, weight, same), &["output padding", "explicit"]);
    contains(
        &refused(INPUT, WEIGHT, options().stride([2, 2]).output_padding([1, 0])),
        &["output padding", "transposed"],
    );
}

#[test]
fn activations_where_they_cannot_be_and_bounds_out_of_order() {
    let (x, w) = (Array4::<f32>::zeros(INPUT), Array4::<f32>::zeros(WEIGHT));
    let dy = Array4::<f32>::zeros([2, 4, 3, 5]);
    let turned = Array4::<f32>::zeros([6, 4, 3, 3]);
    let relu = options().activation(Activation::Relu);
    let errors = [
        convgemm::conv2d_input_grad(INPUT, &w, &dy, &relu).map(|_| ()),
        convgemm::conv2d_weight_grad(&x, WEIGHT, &dy, &relu).map(|_| ()),
        ConvPlan::input_grad(INPUT, &w, &relu).map(|_| ()),
        WeightGradPlan::<f32, 2>::conv(INPUT, WEIGHT, &relu).map(|_| ()),
        WeightGradPlan::<f32, 2>::conv_transpose(INPUT, [6, 4, 3, 3], &relu).map(|_| ()),
        convgemm::conv_transpose2d_weight_grad(&x, [6, 4, 3, 3], &Array4::zeros([2, 4, 7, 9]), &relu).map(|_| ()),
        convgemm::conv_transpose2d_input_grad(INPUT, &turned, &Array4::zeros([2, 4, 7, 9]), &relu).map(|_| ()),
    ];
    contains(&same(&errors), &["gradient", "activation"]);
    for (min, max) in [(2.0, -1.5), (f64::NAN, 0.0), (0.0, f64::NAN)] {
        // Gradients take no activation at all, so only the forward passes are asked.
        let clamp = options().activation(Activation::Clamp { min, max });
        let mut output = Array4::zeros([2, 4, 3, 5]);
        let errors = [
            convgemm::conv2d(&x, &w, None, &clamp).map(|_| ()),
            convgemm::conv2d_into(&x, &w, None, &clamp, &mut output),
            convgemm::conv_transpose2d(&x, &turned, None, &clamp).map(|_| ()),
            ConvPlan::conv(INPUT, &w, None, &clamp).map(|_| ()),
            ConvPlan::conv_transpose(INPUT, &turned, None, &clamp).map(|_| ()),
        ];
        contains(&same(&errors), &["clamp", &min.to_string(), &max.to_string()]);
    }
}

#[test]
fn gradients_and_inputs_of_another_shape() {
    let (x, w) = (Array4::<f32>::zeros(INPUT), Array4::<f32>::zeros(WEIGHT));
    let expected = vec![2, 4, 3, 5];
    for found in [[2, 4, 3, 4], [1, 4, 3, 5], [2, 5, 3, 5], [2, 4, 5, 3]] {
        let dy = Array4::zeros(found);
        let shape = Error::Shape { what: "grad_output", expected: expected.clone(), found: found.to_vec() };
        assert_eq!(convgemm::conv2d_input_grad(INPUT, &w, &dy, &options()), Err(shape.clone()));
        assert_eq!(convgemm::conv2d_weight_grad(&x, WEIGHT, &dy, &options()), Err(shape.clone()));
        let plan = ConvPlan::input_grad(INPUT, &w, &options()).unwrap();
        assert_eq!(plan.run(&dy), Err(shape.clone()));
        contains(&shape.to_string(), &["grad_output", "[2, 4, 3, 5]", &format!("{found:?}")]);
    }
    let turned = Array4::<f32>::zeros([6, 4, 3, 3]);
    for plan in
        [ConvPlan::conv(INPUT, &w, None, &options()), ConvPlan::conv_transpose(INPUT, &turned, None, &options())]
    {
        let refused = plan.unwrap().run(&Array4::zeros([2, 6, 5, 6]));
        assert!(matches!(refused, Err(Error::Shape { what: "input", .. })), "{refused:?}");
    }
    let plan = WeightGradPlan::<f32, 2>::conv(INPUT, WEIGHT, &options()).unwrap();
    let refused = plan.run(&Array4::zeros([2, 6, 5, 6]), &Array4::zeros([2, 4, 3, 5]));
    assert!(matches!(refused, Err(Error::Shape { what: "input", .. })), "{refused:?}");
}

#[test]
fn columns_that_are_no_patch_matrix() {
    let fold = |shape: [usize; 3], kernel| convgemm::fold2d(&Array3::<f32>::zeros(shape), [4, 5], kernel, &options());
    assert!(fold([2, 18, 6], [3, 3]).is_ok());
    contains(&fold([2, 17, 6], [3, 3]).unwrap_err().to_string(), &["17 rows", "[3, 3]"]);
    contains(&fold([2, 18, 5], [3, 3]).unwrap_err().to_string(), &["columns", "[2, 18, 6]", "[2, 18, 5]"]);
    assert!(fold([2, 18, 6], [0, 3]).is_err());
    contains(&fold([2, 18, 6], [6, 3]).unwrap_err().to_string(), &["axis 2", "spans 6", "has 4"]);
    let x = Array4::<f32>::zeros([1, 2, 4, 5]);
    contains(&convgemm::unfold2d(&x, [5, 2], &options()).unwrap_err().to_string(), &["axis 2", "spans 5", "has 4"]);
    assert!(convgemm::unfold2d(&x, [0, 2], &options()).is_err());
    let refused = convgemm::unfold2d_into(&x, [2, 2], &options(), &mut Array3::zeros([1, 8, 11]));
    contains(&refused.unwrap_err().to_string(), &["[1, 8, 12]", "[1, 8, 11]"]);
}

#[test]
fn algorithms_and_backends_that_cannot() {
    let message = refused(INPUT, WEIGHT, options().algorithm(Algorithm::Pointwise));
    contains(&message, &["pointwise", "one cell", "Auto"]);
    let backend = options().backend(convgemm::Backend::OpenBlas);
    let result = ConvPlan::conv(INPUT, &Array4::<f32>::zeros(WEIGHT), None, &backend).map(|_| ());
    if convgemm::Backend::OpenBlas.is_available() {
        assert_eq!(result, Ok(()));
    } else {
        assert_eq!(result, Err(Error::NoOpenBlas));
        contains(&refused(INPUT, WEIGHT, backend), &["OpenBLAS", "feature `openblas`", "Backend::Gemm"]);
    }
}

#[test]
fn shapes_with_another_number_of_axes() {
    let geometry = |input: &[usize], weight: &[usize]| options().geometry(input, weight).unwrap_err().to_string();
    contains(&geometry(&[2, 6, 5], &WEIGHT), &["input has 3 axes", "needs 4"]);
    contains(&geometry(&INPUT, &[4, 6, 3, 3, 3]), &["weight has 5 axes", "needs 4"]);
    contains(&geometry(&[], &WEIGHT), &["input has 0 axes"]);
    contains(&geometry(&INPUT, &[4]), &["weight has 1 axes"]);
    contains(&ConvOptions::<4>::new().geometry(&[1; 6], &[1; 6]).unwrap_err().to_string(), &["4 spatial axes"]);
    assert!(ConvOptions::<0>::new().geometry(&[1; 2], &[1; 2]).is_err());
    assert!(options().transposed_geometry(&[2, 6, 5], &WEIGHT).is_err());
}

#[test]
fn sizes_that_overflow() {
    let huge = usize::MAX / 2;
    for overflowing in [
        sides((huge, huge), (0, 0)),
        sides((usize::MAX, 0), (0, 1)),
        sides((1 << 40, 0), (1 << 40, 0)),
        options().dilation([usize::MAX, 1]),
        options().dilation([huge, 1]),
        options().dilation([huge, 1]).padding(Padding::Same),
        options().dilation([1, huge]).padding(Padding::SameLower),
    ] {
        let result = ConvPlan::conv(INPUT, &Array4::<f32>::zeros(WEIGHT), None, &overflowing).map(|_| ());
        assert!(
            matches!(result, Err(Error::Overflow { .. } | Error::KernelTooLarge { .. })),
            "{overflowing:?} {result:?}"
        );
    }
    for overflowing in [options().stride([huge, 1]), options().stride([huge, 1]).padding(Padding::Same)] {
        let weight = Array4::<f32>::zeros([6, 4, 3, 3]);
        let result = ConvPlan::conv_transpose(INPUT, &weight, None, &overflowing).map(|_| ());
        assert!(matches!(result, Err(Error::Overflow { .. })), "{overflowing:?} {result:?}");
    }
    let weight = Array4::<f32>::zeros([1, 1, 1, 1]);
    for input in [[1 << 20, 1, 1 << 22, 1 << 22], [1, 1, usize::MAX, 1], [0, 1, 1 << 31, 1 << 31]] {
        let result = ConvPlan::conv(input, &weight, None, &options()).map(|_| ());
        assert!(matches!(result, Err(Error::Overflow { .. })), "{input:?} {result:?}");
        let result = WeightGradPlan::<f32, 2>::conv(input, [1, 1, 1, 1], &options()).map(|_| ());
        assert!(matches!(result, Err(Error::Overflow { .. })), "{input:?} {result:?}");
    }
}
