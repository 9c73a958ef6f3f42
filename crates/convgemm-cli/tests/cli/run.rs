//! `convgemm run`: right answers.

use ndarray::{Array, Array3, Array4, ArrayD, Axis, IxDyn, array};
use serde_json::Value;

use crate::support::{Folder, assert_close, noise};

fn random(shape: &[usize], seed: u64) -> ArrayD<f64> {
    Array::from_shape_vec(IxDyn(shape), noise(shape.iter().product(), seed)).unwrap()
}

/// Convolution over two axes by its definition, with the numbers of every option different.
struct Reference {
    stride: [usize; 2],
    padding: [[usize; 2]; 2],
    dilation: [usize; 2],
    groups: usize,
}

impl Reference {
    const OPTIONS: Self = Self { stride: [2, 1], padding: [[1, 2], [0, 1]], dilation: [1, 2], groups: 2 };
    const ARGS: [&str; 8] = ["--stride", "2,1", "--padding", "1:2,0:1", "--dilation", "1,2", "--groups", "2"];

    /// Every product: indices of output, input and weight.
    fn each_product(
        &self,
        x: &[usize],
        w: &[usize],
        mut visit: impl FnMut([usize; 4], [usize; 4], [usize; 4]),
    ) -> [usize; 4] {
        let out = |axis: usize| {
            let [before, after] = self.padding[axis];
            (x[axis + 2] + before + after - self.dilation[axis] * (w[axis + 2] - 1) - 1) / self.stride[axis] + 1
        };
        let shape = [x[0], w[0], out(0), out(1)];
        for (n, o, i, j) in ndarray::indices(shape).into_iter() {
            for (c, a, b) in ndarray::indices([w[1], w[2], w[3]]).into_iter() {
                let place = |axis: usize, out: usize, tap: usize| {
                    (out * self.stride[axis] + tap * self.dilation[axis]).checked_sub(self.padding[axis][0])
                };
                let (Some(y), Some(z)) = (place(0, i, a), place(1, j, b)) else { continue };
                if y < x[2] && z < x[3] {
                    let channel = o / (w[0] / self.groups) * w[1] + c;
                    visit([n, o, i, j], [n, channel, y, z], [o, c, a, b]);
                }
            }
        }
        shape
    }
}

#[test]
fn the_product_of_the_chapter_is_19_25_37_43() {
    let folder = Folder::new();
    folder.save_npy("x.npy", &Array::range(0.0_f32, 9.0, 1.0).into_shape_with_order((1, 1, 3, 3)).unwrap());
    folder.save_npy("w.npy", &Array::range(0.0_f32, 4.0, 1.0).into_shape_with_order((1, 1, 2, 2)).unwrap());
    let line = folder.ok(&["run", "--op", "conv", "--input", "x.npy", "--weight", "w.npy", "--output", "y.npy"]);
    assert!(line.starts_with("y.npy: f32 [1, 1, 2, 2] by direct in "), "{line}");
    let expected = array![[[[19.0_f32, 25.0], [37.0, 43.0]]]].into_dyn();
    assert_eq!(folder.load_npy::<f32>("y.npy"), expected);
}

#[test]
fn a_convolution_with_every_option_is_its_definition() {
    let folder = Folder::new();
    let (x, w, b) = (random(&[2, 6, 7, 8], 1), random(&[4, 3, 2, 3], 2), random(&[4], 3));
    let mut sums = Array4::<f64>::zeros((2, 4, 5, 5));
    let shape = Reference::OPTIONS.each_product(x.shape(), w.shape(), |y, i, k| sums[y] += x[&i[..]] * w[&k[..]]);
    assert_eq!(shape, [2, 4, 5, 5]);
    for (o, mut channel) in sums.axis_iter_mut(Axis(1)).enumerate() {
        channel.mapv_inplace(|sum| (sum + b[o]).max(0.0));
    }
    let expected = sums.into_dyn();
    folder.save_npy("x.npy", &x);
    folder.save_npy("w.npy", &w);
    folder.save_npy("b.npy", &b);
    let args =
        ["run", "--input", "x.npy", "--weight", "w.npy", "--bias", "b.npy", "--activation", "relu", "-o", "y.npy"];
    for algorithm in ["auto", "direct", "im2col", "im2col-tiled"] {
        let options = [&args[..], &Reference::ARGS, &["--algorithm", algorithm, "--backend", "gemm"]].concat();
        folder.ok(&options);
        assert_close(&folder.load_npy("y.npy"), &expected, 1e-13);
    }
    for (name, array) in [("x.npy", &x), ("w.npy", &w), ("b.npy", &b)] {
        folder.save_npy(name, &array.mapv(|cell| cell as f32));
    }
    folder.ok(&[&args[..], &Reference::ARGS].concat());
    assert_close(&folder.load_npy::<f32>("y.npy").mapv(f64::from), &expected, 1e-5);
}

#[test]
fn gradients_and_the_transposed_convolution_are_the_adjoints() {
    let folder = Folder::new();
    let (x, w, g) = (random(&[2, 6, 7, 8], 1), random(&[4, 3, 2, 3], 2), random(&[2, 4, 5, 5], 3));
    let (mut dx, mut dw) = (Array4::<f64>::zeros((2, 6, 7, 8)), Array4::<f64>::zeros((4, 3, 2, 3)));
    Reference::OPTIONS.each_product(x.shape(), w.shape(), |y, i, k| {
        dx[i] += g[&y[..]] * w[&k[..]];
        dw[k] += g[&y[..]] * x[&i[..]];
    });
    let (dx, dw) = (dx.into_dyn(), dw.into_dyn());
    folder.save_npy("x.npy", &x);
    folder.save_npy("w.npy", &w);
    folder.save_npy("g.npy", &g);
    let run = |args: &[&str], expected: &ArrayD<f64>| {
        folder.ok(&[&["run"], args, &Reference::ARGS, &["--output", "y.npy"]].concat());
        assert_close(&folder.load_npy("y.npy"), expected, 1e-13);
    };
    run(&["--op", "input-grad", "--input-shape", "2,6,7,8", "--weight", "w.npy", "--grad-output", "g.npy"], &dx);
    run(&["--op", "input-grad", "--input", "x.npy", "--weight", "w.npy", "--grad-output", "g.npy"], &dx);
    run(&["--op", "weight-grad", "--input", "x.npy", "--weight-shape", "4,3,2,3", "--grad-output", "g.npy"], &dw);
    run(&["--op", "weight-grad", "--input", "x.npy", "--weight", "w.npy", "--grad-output", "g.npy"], &dw);
    // 7 rows come from 5 with one more than the convolution's stride of 2 leaves: output padding.
    run(&["--op", "conv-transpose", "--input", "g.npy", "--weight", "w.npy", "--output-padding", "0,0"], &dx);
}

#[test]
fn output_padding_appends_cells_that_the_convolution_left_out() {
    let folder = Folder::new();
    folder.save_npy("x.npy", &array![[[1.0, 2.0]]]);
    folder.save_npy("w.npy", &array![[[1.0, 10.0, 100.0]]]);
    folder.save_npy("b.npy", &array![0.5]);
    let args = ["run", "--op", "conv-transpose", "--input", "x.npy", "--weight", "w.npy", "--bias", "b.npy"];
    folder.ok(&[&args[..], &["--stride", "2", "--padding", "1", "--output-padding", "1", "-o", "y.npy"]].concat());
    assert_eq!(folder.load_npy::<f64>("y.npy"), array![[[10.5, 102.5, 20.5, 200.5]]].into_dyn());
}

#[test]
fn one_and_three_axes_work_as_two_do() {
    let folder = Folder::new();
    let (x, w) = (random(&[2, 3, 9], 1), random(&[4, 3, 3], 2));
    let expected = {
        let (x, w) = (x.clone().insert_axis(Axis(2)), w.clone().insert_axis(Axis(2)));
        let plain = Reference { stride: [1, 2], padding: [[0, 0], [1, 1]], dilation: [1, 1], groups: 1 };
        let mut y = Array4::<f64>::zeros((2, 4, 1, 5));
        plain.each_product(x.shape(), w.shape(), |y_, i, k| y[y_] += x[&i[..]] * w[&k[..]]);
        y.into_dyn()
    };
    for lengths in [1, 3] {
        let deep = |array: &ArrayD<f64>| (1..lengths).fold(array.clone(), |array, _| array.insert_axis(Axis(2)));
        folder.save_npy("x.npy", &deep(&x));
        folder.save_npy("w.npy", &deep(&w));
        let (stride, padding) = if lengths == 1 { ("2", "1") } else { ("1,1,2", "0,0,1") };
        let args = ["run", "--input", "x.npy", "--weight", "w.npy", "--stride", stride, "--padding", padding];
        folder.ok(&[&args[..], &["-o", "y.npy"]].concat());
        let y = folder.load_npy::<f64>("y.npy");
        assert_eq!(y.ndim(), lengths + 2);
        assert_close(&y.into_shape_with_order(IxDyn(&[2, 4, 1, 5])).unwrap(), &expected, 1e-13);
    }
}

#[test]
fn same_padding_and_pad_modes_are_those_named() {
    let folder = Folder::new();
    folder.save_npy("x.npy", &array![[[1.0, 2.0, 3.0]]]);
    folder.save_npy("w.npy", &array![[[1.0, 10.0]]]);
    let run = |args: &[&str]| {
        folder.ok(&[&["run", "--input", "x.npy", "--weight", "w.npy", "-o", "y.npy"], args].concat());
        folder.load_npy::<f64>("y.npy").into_raw_vec_and_offset().0
    };
    assert_eq!(run(&["--padding", "valid"]), [21.0, 32.0]);
    assert_eq!(run(&["--padding", "same"]), [21.0, 32.0, 3.0]);
    assert_eq!(run(&["--padding", "same-lower"]), [10.0, 21.0, 32.0]);
    assert_eq!(run(&["--padding", "same", "--pad-mode", "reflect"]), [21.0, 32.0, 23.0]);
    assert_eq!(run(&["--padding", "same", "--pad-mode", "replicate"]), [21.0, 32.0, 33.0]);
    assert_eq!(run(&["--padding", "same", "--pad-mode", "circular"]), [21.0, 32.0, 13.0]);
    assert_eq!(run(&["--padding", "0:1", "--activation", "clamp:5:30"]), [21.0, 30.0, 5.0]);
}

#[test]
fn unfold_gives_the_patch_matrix_and_fold_adds_it_back() {
    let folder = Folder::new();
    folder.save_npy("x.npy", &Array::range(0.0, 9.0, 1.0).into_shape_with_order((1, 1, 3, 3)).unwrap());
    let columns = array![[[0.0, 1.0, 3.0, 4.0], [1.0, 2.0, 4.0, 5.0], [3.0, 4.0, 6.0, 7.0], [4.0, 5.0, 7.0, 8.0]]];
    let line = folder.ok(&["run", "--op", "unfold", "--input", "x.npy", "--kernel", "2", "-o", "columns.npy"]);
    assert!(line.starts_with("columns.npy: f64 [1, 4, 4] in "), "{line}");
    assert_eq!(folder.load_npy::<f64>("columns.npy"), columns.into_dyn());
    let fold = ["run", "--op", "fold", "--input", "columns.npy", "--kernel", "2,2", "--output-size", "3,3"];
    folder.ok(&[&fold[..], &["-o", "y.npy"]].concat());
    // Each cell as often as windows cover it.
    let expected = array![[[[0.0, 2.0, 2.0], [6.0, 16.0, 10.0], [6.0, 14.0, 8.0]]]];
    assert_eq!(folder.load_npy::<f64>("y.npy"), expected.into_dyn());
    // The kernel's lengths may come from a weight, and lengths from the output's axes.
    folder.save_npy("w.npy", &Array4::<f64>::zeros((1, 1, 2, 2)));
    folder.ok(&["run", "--op", "unfold", "--input", "x.npy", "--weight", "w.npy", "-o", "again.npy"]);
    assert_eq!(folder.load_npy::<f64>("again.npy"), folder.load_npy::<f64>("columns.npy"));
    let fold = ["run", "--op", "fold", "--input", "columns.npy", "--kernel", "2", "--output-size", "3,3"];
    folder.ok(&[&fold[..], &["-o", "again.npy"]].concat());
    assert_eq!(folder.load_npy::<f64>("again.npy"), folder.load_npy::<f64>("y.npy"));
}

#[test]
fn an_empty_batch_has_the_right_shape_and_a_gradient_of_zero() {
    let folder = Folder::new();
    folder.save_npy("x.npy", &Array4::<f32>::zeros((0, 2, 5, 5)));
    folder.save_npy("w.npy", &Array4::<f32>::ones((3, 2, 3, 3)));
    folder.save_npy("g.npy", &Array4::<f32>::zeros((0, 3, 3, 3)));
    folder.ok(&["run", "--input", "x.npy", "--weight", "w.npy", "-o", "y.npy"]);
    assert_eq!(folder.load_npy::<f32>("y.npy").shape(), [0, 3, 3, 3]);
    let args = ["run", "--op", "weight-grad", "--input", "x.npy", "--weight", "w.npy", "--grad-output", "g.npy"];
    folder.ok(&[&args[..], &["-o", "dw.npy"]].concat());
    assert_eq!(folder.load_npy::<f32>("dw.npy"), ArrayD::<f32>::zeros(IxDyn(&[3, 2, 3, 3])));
}

#[test]
fn files_in_fortran_order_are_the_same_arrays() {
    let folder = Folder::new();
    let x = random(&[1, 2, 5, 6], 4).into_dimensionality::<ndarray::Ix4>().unwrap();
    folder.save_npy("w.npy", &random(&[3, 2, 2, 2], 5));
    folder.save_npy("x.npy", &x);
    folder.ok(&["run", "--input", "x.npy", "--weight", "w.npy", "-o", "y.npy"]);
    let mut fortran = Array4::zeros(ndarray::ShapeBuilder::f((1, 2, 5, 6)));
    fortran.assign(&x);
    folder.save_npy("x.npy", &fortran);
    let header = String::from_utf8_lossy(&std::fs::read(folder.path("x.npy")).unwrap()[..80]).into_owned();
    assert!(header.contains("'fortran_order': True"), "{header}");
    folder.ok(&["run", "--input", "x.npy", "--weight", "w.npy", "-o", "z.npy"]);
    assert_eq!(folder.load_npy::<f64>("z.npy"), folder.load_npy::<f64>("y.npy"));
}

#[test]
fn json_says_what_was_done() {
    let folder = Folder::new();
    folder.save_npy("x.npy", &Array3::<f32>::ones((1, 8, 64)));
    folder.save_npy("w.npy", &Array3::<f32>::ones((8, 8, 3)));
    let args = ["run", "--input", "x.npy", "--weight", "w.npy", "-o", "y.npy", "--json", "--threads", "1"];
    let json: Value = serde_json::from_str(&folder.ok(&[&args[..], &["--algorithm", "im2col"]].concat())).unwrap();
    assert_eq!(json["op"], "conv");
    assert_eq!(json["dtype"], "f32");
    assert_eq!(json["algorithm"], "im2col");
    assert_eq!(json["shape"], serde_json::json!([1, 8, 62]));
    assert!(json["workspace_bytes"].as_u64() >= Some(8 * 3 * 62 * 4), "{json}");
    assert!(json["seconds"].as_f64() > Some(0.0), "{json}");
}
