//! Every algorithm × backend × element type × layout × number of threads against the definition.

use convgemm::{Algorithm, ConvPlan, Element, Error, WeightGradPlan};
use ndarray::Array1;

use crate::common::cases::{Case, Data, Layouts};
use crate::common::library::{self, How, Operation};
use crate::common::oracle::{Expected, bias_grad};
use crate::common::tolerance::assert_close;
use crate::common::views::{Held, Layout};
use crate::common::{named, pools};

/// Exact results of all operations on one set of numbers.
pub struct Truth {
    pub forward: Expected,
    pub input_grad: Expected,
    pub weight_grad: Expected,
    pub bias_grad: Expected,
}

impl Truth {
    pub fn new<T: Element>(case: &Case, data: &Data<T>) -> Self {
        let (definition, [x, w, dy]) = (case.definition(), data.contents());
        let [repeats_x, repeats_w, repeats_dy] = [&data.x, &data.w, &data.dy].map(Held::repeats);
        let forward = definition.forward(&x, &w, data.bias_content().as_ref());
        Self {
            forward: forward.with_repeated_terms(repeats_x && repeats_w),
            input_grad: definition.input_grad(&w, &dy).with_repeated_terms(repeats_w && repeats_dy),
            weight_grad: definition.weight_grad(&x, &dy).with_repeated_terms(repeats_x && repeats_dy),
            bias_grad: bias_grad(&dy).with_repeated_terms(repeats_dy),
        }
    }
}

/// Checks all operations in the current pool.
pub fn check<T: Element>(case: &Case, how: How, data: &Data<T>, truth: &Truth, layouts: Layouts) {
    let (x, w, dy) = (data.x.view(), data.w.view(), data.dy.view());
    let threads = rayon::current_num_threads();
    let verdict = |operation: &str, found: convgemm::Result<ndarray::ArrayD<T>>, expected: &Expected| {
        let context = format_args!("{operation} {} {how:?} {layouts:?} {threads} threads\n  {case}", T::NAME);
        match found {
            Ok(found) => assert_close(found.view(), &how.judged(expected), context),
            Err(error) => panic!("{context}\n  refused: {error}"),
        }
    };
    let y = library::forward(case, how, x.view(), w.view(), data.bias.as_ref());
    verdict("forward", y, &truth.forward);
    verdict("input gradient", library::input_grad(case, how, w.view(), dy.view()), &truth.input_grad);
    verdict("weight gradient", library::weight_grad(case, how, x.view(), dy.view()), &truth.weight_grad);
    verdict("bias gradient", Ok(library::bias_grad(case, dy.view())), &truth.bias_grad);
}

/// Every layout for each of the three arrays, all different in most combinations.
fn layouts() -> impl Iterator<Item = Layouts> {
    let at = |i: usize| Layout::ALL[i % Layout::ALL.len()];
    (0..Layout::ALL.len()).flat_map(move |i| [[at(i); 3], [at(i), at(i + 2), at(i + 5)]])
}

fn check_all<T: Element>(cases: &[Case]) {
    for case in cases {
        for layouts in layouts() {
            let data = Data::<T>::new(case, layouts);
            let truth = Truth::new(case, &data);
            for how in How::all(case) {
                for pool in pools::all() {
                    pool.install(|| check(case, how, &data, &truth, layouts));
                }
            }
        }
    }
}

/// Halves of the named cases, so that two tests can share the time.
fn half(which: usize) -> Vec<Case> {
    named::all().into_iter().skip(which).step_by(2).collect()
}

#[test]
fn every_named_case_agrees_with_the_definition_in_f64() {
    check_all::<f64>(&half(0));
}

#[test]
fn every_other_named_case_agrees_with_the_definition_in_f64() {
    check_all::<f64>(&half(1));
}

#[test]
fn every_named_case_agrees_with_the_definition_in_f32() {
    check_all::<f32>(&half(0));
}

#[test]
fn every_other_named_case_agrees_with_the_definition_in_f32() {
    check_all::<f32>(&half(1));
}

#[test]
fn the_named_cases_have_different_names_and_the_shapes_of_their_definition() {
    let cases = named::all();
    let mut names: Vec<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), cases.len());
    for case in &cases {
        let definition = case.definition();
        assert_eq!((definition.input_shape(), definition.weight_shape()), (case.input.clone(), case.weight.clone()));
    }
}

#[test]
fn every_edge_of_the_dense_product_is_right_through_every_algorithm() {
    let sizes = [0, 1, 7, 8, 9, 15, 16, 17];
    for m in sizes {
        for k in sizes {
            for n in sizes {
                // No windows at all: only an empty batch has none.
                let (batch, windows) = (n.min(1), n.max(1));
                let pointwise = Case::new("m × k × n", &[batch, k, windows], &[m, k, 1]);
                // The same product with a kernel of two cells that move by two: a patch matrix must be made.
                let lowered = Case::new("m × 2k × n", &[batch, k, 2 * windows], &[m, k, 2]).stride(&[2]);
                for case in [pointwise, lowered] {
                    let layouts = [Layout::Standard; 3];
                    let data = Data::<f32>::new(&case, layouts);
                    let truth = Truth::new(&case, &data);
                    for how in How::all(&case) {
                        check(&case, how, &data, &truth, layouts);
                    }
                }
            }
        }
    }
}

#[test]
fn algorithms_refuse_exactly_what_they_cannot_do_and_each_can_do_something() {
    let operations = [Operation::Forward, Operation::InputGrad, Operation::WeightGrad];
    let mut accepted = vec![];
    for case in named::all().into_iter().filter(|case| case.rank() == 2) {
        let shape = |shape: &[usize]| -> [usize; 4] { shape.try_into().expect("four axes") };
        let (input, weight) = (shape(&case.input), shape(&case.weight));
        let w = ndarray::Array4::<f64>::zeros(weight);
        for algorithm in Algorithm::ALL {
            let options = case.options::<2>().algorithm(algorithm);
            for operation in operations {
                let result = match (operation, case.transposed) {
                    (Operation::Forward, false) => ConvPlan::conv(input, &w, None, &options).map(|_| ()),
                    (Operation::Forward, true) => ConvPlan::conv_transpose(input, &w, None, &options).map(|_| ()),
                    (Operation::InputGrad, false) => ConvPlan::input_grad(input, &w, &options).map(|_| ()),
                    // There is no plan of it, for it is the plan of a convolution.
                    (Operation::InputGrad, true) => continue,
                    (Operation::WeightGrad, false) => {
                        WeightGradPlan::<f64, 2>::conv(input, weight, &options).map(|_| ())
                    }
                    (Operation::WeightGrad, true) => {
                        WeightGradPlan::<f64, 2>::conv_transpose(input, weight, &options).map(|_| ())
                    }
                };
                let context = format_args!("{operation:?} {algorithm}: {result:?}\n  {case}");
                match &result {
                    Ok(()) => accepted.push(algorithm),
                    Err(Error::Unsupported { algorithm: name, .. }) => assert_eq!(*name, algorithm.name()),
                    Err(_) => panic!("{context}"),
                }
                assert_eq!(result.is_ok(), library::can(algorithm, operation, &case), "{context}");
            }
        }
    }
    for algorithm in Algorithm::ALL {
        assert!(accepted.contains(&algorithm), "no case at all for {algorithm}");
    }
}

#[test]
fn patch_matrices_and_their_transposes_agree_with_the_definition() {
    for mut case in named::all().into_iter().filter(|case| !case.transposed && case.groups == 1) {
        case.weight[0] = 1;
        for layout in Layout::ALL {
            let data = Data::<f64>::new(&case, [layout; 3]);
            let definition = case.definition();
            let expected = definition.unfold(&data.x.content());
            let columns = library::unfold_case(&case, data.x.view()).unwrap_or_else(|error| panic!("{error} {case}"));
            // Copies only: exact.
            assert_eq!(columns, expected.value, "{layout:?} {case}");
            let grads = crate::common::random::Random::new(case.seed).normals(columns.shape());
            let held = crate::common::views::Held::<f64>::new(layout, &grads);
            let folded = library::fold_case(&case, held.view()).unwrap_or_else(|error| panic!("{error} {case}"));
            assert_close(folded.view(), &definition.fold(&held.content()), format_args!("fold {layout:?} {case}"));
        }
    }
}

#[test]
fn a_bias_of_any_stride_is_read_in_order() {
    let case = Case::new("bias", &[2, 3, 5], &[4, 3, 2]).bias();
    let data = Data::<f64>::new(&case, [Layout::Standard; 3]);
    let bias = data.bias.clone().expect("the case has a bias");
    let spread = Array1::from_iter(bias.iter().rev().flat_map(|&b| [b, f64::NAN]));
    let reversed = spread.slice(ndarray::s![..;-2]);
    // Ends with the padding, so the first of every pair, from the last.
    let reversed = if reversed[0].is_nan() { spread.slice(ndarray::s![..-1;-2]) } else { reversed };
    assert_eq!(reversed, bias);
    let options = case.options::<1>();
    let (x, w) = (data.x.view().into_dimensionality().unwrap(), data.w.view().into_dimensionality().unwrap());
    let y = convgemm::conv1d(&x, &w, Some(&reversed), &options).unwrap();
    assert_close(y.view().into_dyn(), &Truth::new(&case, &data).forward, "reversed bias");
}
