//! Which library multiplies: the one that was asked for, and really so.

use convgemm::{Algorithm, Backend, ConvOptions, ConvPlan, DenseCalls, dense_calls};
use ndarray::{Array4, Axis, s};

use crate::{alone, in_one_thread};

/// The dense products in `work`.
fn products(work: impl FnOnce()) -> (u64, u64, u64) {
    let before = dense_calls();
    work();
    let DenseCalls { gemm, openblas, redirected, .. } = dense_calls();
    (gemm - before.gemm, openblas - before.openblas, redirected - before.redirected)
}

fn image(shape: [usize; 4]) -> Array4<f32> {
    Array4::from_shape_fn(shape, |(n, c, i, j)| ((n * 5 + c * 31 + i * 17 + j * 7) % 23) as f32 - 11.0)
}

const MULTIPLYING: [Algorithm; 2] = [Algorithm::Im2col, Algorithm::Im2colTiled];

fn has_openblas() -> bool {
    Backend::OpenBlas.is_available()
}

#[test]
fn every_multiplying_algorithm_reaches_the_backend_that_was_asked_for() {
    let _alone = alone();
    let x = image([3, 8, 12, 12]);
    for algorithm in MULTIPLYING.into_iter().chain([Algorithm::Pointwise]) {
        let kernel = if algorithm == Algorithm::Pointwise { 1 } else { 3 };
        let w = image([6, 8, kernel, kernel]);
        let side = 13 - kernel;
        let dy = image([3, 6, side, side]);
        let options = ConvOptions::<2>::new().algorithm(algorithm);
        for backend in [Backend::Gemm, Backend::OpenBlas].into_iter().filter(|backend| backend.is_available()) {
            let options = options.backend(backend);
            let works: [(&str, &dyn Fn()); 3] = [
                ("forward", &|| drop(convgemm::conv2d(&x, &w, None, &options).unwrap())),
                ("input gradient", &|| drop(convgemm::conv2d_input_grad(x.dim().into(), &w, &dy, &options).unwrap())),
                ("weight gradient", &|| drop(convgemm::conv2d_weight_grad(&x, w.dim().into(), &dy, &options).unwrap())),
            ];
            for (operation, work) in works {
                let (gemm, openblas, redirected) = products(work);
                let (reached, other) = if backend == Backend::Gemm { (gemm, openblas) } else { (openblas, gemm) };
                assert!(reached >= 3, "{operation} {algorithm} {backend}: {reached} products of three images");
                assert_eq!((other, redirected), (0, 0), "{operation} {algorithm} {backend}");
            }
        }
    }
}

#[test]
fn direct_multiplies_no_matrices() {
    let _alone = alone();
    let (x, w) = (image([2, 4, 8, 8]), image([4, 4, 3, 3]));
    let options = ConvOptions::<2>::new().algorithm(Algorithm::Direct);
    assert_eq!(products(|| drop(convgemm::conv2d(&x, &w, None, &options).unwrap())), (0, 0, 0));
}

#[test]
fn the_textbook_makes_one_product_an_image_and_group_where_there_are_many() {
    let _alone = alone();
    let options = ConvOptions::<2>::new().algorithm(Algorithm::Im2col).backend(Backend::Gemm).groups(2);
    let (x, w) = (image([5, 8, 12, 12]), image([6, 4, 3, 3]));
    assert_eq!(products(|| drop(convgemm::conv2d(&x, &w, None, &options).unwrap())), (10, 0, 0));
}

#[test]
fn auto_is_openblas_where_this_build_has_it() {
    let _alone = alone();
    let (x, w) = (image([1, 16, 12, 12]), image([16, 16, 3, 3]));
    let options = ConvOptions::<2>::new().algorithm(Algorithm::Im2colTiled);
    let (gemm, openblas, _) = products(|| drop(convgemm::conv2d(&x, &w, None, &options).unwrap()));
    assert_eq!((gemm > 0, openblas > 0), (!has_openblas(), has_openblas()));
    let plan = ConvPlan::conv([1, 16, 12, 12], &w, None, &options).unwrap();
    assert_eq!(plan.explain().backend, if has_openblas() { "openblas" } else { "gemm" });
    assert_eq!(cfg!(any(feature = "openblas", feature = "openblas-static")), has_openblas());
}

#[test]
fn both_backends_agree() {
    if !has_openblas() {
        return;
    }
    let _alone = alone();
    // Small integers: every sum is exact, so all orders give the same bits.
    let (x, w) = (image([3, 7, 13, 11]), image([9, 7, 3, 3]));
    for algorithm in MULTIPLYING {
        let options = ConvOptions::<2>::new().algorithm(algorithm).stride([2, 1]);
        let run = |backend| convgemm::conv2d(&x, &w, None, &options.backend(backend)).unwrap();
        assert_eq!(run(Backend::Gemm), run(Backend::OpenBlas), "{algorithm}");
    }
}

/// Layouts that BLAS has no words for: both strides of the matrix over 1, or negative.
#[test]
fn layouts_that_blas_cannot_express_are_redirected_counted_and_right() {
    let _alone = alone();
    let big = image([2, 24, 10, 14]);
    let w = image([5, 12, 1, 1]);
    let options = ConvOptions::<2>::new().algorithm(Algorithm::Pointwise);
    let column = big.slice(s![.., ..12, .., ..1]);
    let views = [
        ("stepped", big.slice(s![.., ..;2, .., ..;2])),
        ("reversed", big.slice(s![.., ..;-2, ..;-1, ..;-1])),
        ("stepped rows", big.slice(s![.., ..12, ..;2, ..])),
        ("broadcast", column.broadcast((2, 12, 10, 14)).expect("one column")),
    ];
    for (name, view) in views {
        let contiguous = view.to_owned();
        let expected = convgemm::conv2d(&contiguous, &w, None, &options.algorithm(Algorithm::Direct)).unwrap();
        for backend in [Backend::Gemm, Backend::OpenBlas].into_iter().filter(|backend| backend.is_available()) {
            let options = options.backend(backend);
            let (gemm, openblas, redirected) = products(|| {
                let y = convgemm::conv2d(&view, &w, None, &options).unwrap();
                assert_eq!(y, expected, "{name} {backend}");
            });
            // Copied to an order that BLAS knows, or sent to the other library: never wrong, never silent.
            assert!(gemm + openblas > 0, "{name} {backend}");
            let explained = if backend == Backend::OpenBlas { gemm == redirected } else { redirected == 0 };
            assert!(explained, "{name} {backend}: {gemm} by gemm, {openblas} by openblas, {redirected} redirected");
        }
    }
}

#[test]
fn a_column_of_a_matrix_as_output_is_redirected_and_right() {
    if !has_openblas() {
        return;
    }
    let _alone = alone();
    in_one_thread(|| {
        let (x, w) = (image([2, 6, 8, 9]), image([4, 6, 1, 1]));
        let options = ConvOptions::<2>::new().algorithm(Algorithm::Pointwise).backend(Backend::OpenBlas);
        let expected = convgemm::conv2d(&x, &w, None, &options).unwrap();
        // Neither channels nor cells are neighbours in memory.
        let mut spread = ndarray::Array5::<f32>::from_elem((2, 4, 8, 9, 3), f32::NAN);
        let (gemm, _, redirected) = products(|| {
            let mut output = spread.index_axis_mut(Axis(4), 1);
            convgemm::conv2d_into(&x, &w, None, &options, &mut output).unwrap();
        });
        assert_eq!(spread.index_axis(Axis(4), 1), expected);
        assert!(gemm > 0 && gemm == redirected, "{gemm} by gemm, {redirected} redirected");
        let between = spread.iter().filter(|value| value.is_nan()).count();
        assert_eq!(between, 2 * expected.len(), "wrote between the cells");
    });
}
