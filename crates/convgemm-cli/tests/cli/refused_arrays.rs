//! What `convgemm run` and `convgemm explain` refuse, and how.

use ndarray::{Array1, Array2, Array3, Array4, Array6};

use crate::support::{Folder, exists};

/// A folder with an input `[1, 4, 6, 6]`, a weight `[2, 4, 3, 3]` and what goes wrong with them.
fn folder() -> Folder {
    let folder = Folder::new();
    folder.save_npy("x.npy", &Array4::<f32>::ones((1, 4, 6, 6)));
    folder.save_npy("w.npy", &Array4::<f32>::ones((2, 4, 3, 3)));
    folder.save_npy("b.npy", &Array1::<f32>::ones(2));
    folder.save_npy("g.npy", &Array4::<f32>::ones((1, 2, 4, 4)));
    folder.save_npy("double.npy", &Array4::<f64>::ones((2, 4, 3, 3)));
    folder.save_npy("int.npy", &Array4::<i32>::ones((1, 4, 6, 6)));
    folder.save_npy("flat.npy", &Array2::<f32>::ones((6, 6)));
    folder.save_npy("deep.npy", &Array6::<f32>::ones((1, 1, 2, 2, 2, 2)));
    folder.save_npy("line.npy", &Array3::<f32>::ones((2, 4, 3)));
    folder.save_npy("b3.npy", &Array1::<f32>::ones(3));
    folder
}

#[test]
fn files_that_are_no_arrays_are_refused_by_name() {
    let folder = folder();
    let whole = std::fs::read(folder.path("x.npy")).unwrap();
    folder.write("text.npy", "no array");
    folder.write("empty.npy", "");
    folder.write("cut.npy", &whole[..whole.len() - 1]);
    folder.write("long.npy", [&whole[..], &[0; 8]].concat());
    folder.write("header.npy", &whole[..20]);
    folder.write("many.npz", b"PK\x03\x04 and so on");
    for (name, reason) in [
        ("missing.npy", "missing.npy: No such file"),
        ("text.npy", "text.npy: not a NumPy file"),
        ("empty.npy", "empty.npy: not a NumPy file"),
        ("cut.npy", "cut.npy: damaged"),
        ("long.npy", "long.npy: damaged"),
        ("header.npy", "header.npy: not a NumPy file"),
        ("many.npz", "many.npz: an archive of arrays (.npz), where a single one is needed"),
        ("int.npy", "int.npy: its elements are of type '<i4'; f32 ('<f4') and f64 ('<f8') are possible"),
        (".", ".: "),
    ] {
        folder.refused(&["run", "--input", name, "--weight", "w.npy", "-o", "y.npy"], reason);
        assert!(!exists(&folder.path("y.npy")), "{name}");
    }
}

#[test]
fn arrays_that_do_not_fit_each_other_are_refused_with_their_numbers() {
    let folder = folder();
    for (args, reason) in [
        (&["--input", "flat.npy", "--weight", "w.npy"][..], "the input has 2 axes"),
        (&["--input", "deep.npy", "--weight", "w.npy"], "the input has 6 axes"),
        (&["--input", "x.npy", "--weight", "line.npy"], "weight has 3 axes"),
        (&["--input", "x.npy", "--weight", "double.npy"], "input and weight are of different types"),
        (&["--input", "g.npy", "--weight", "w.npy"], "input has 2 channels, weight expects 4 × 1 groups = 4"),
        (
            &["--input", "x.npy", "--weight", "w.npy", "--bias", "b3.npy"],
            "bias has 3 values, the output has 2 channels",
        ),
        (&["--input", "x.npy", "--weight", "w.npy", "--bias", "flat.npy"], "bias has 2 axes"),
        (&["--input", "w.npy", "--weight", "x.npy"], "the kernel spans 6 cells, the padded input has 3"),
        (&["--input", "x.npy", "--weight", "w.npy", "--groups", "3"], "groups"),
        (&["--op", "weight-grad", "--input", "x.npy", "--weight", "w.npy", "--grad-output", "x.npy"], "shape"),
        (&["--op", "input-grad", "--input", "x.npy", "--weight", "w.npy", "--grad-output", "line.npy"], "3 axes"),
        (
            &["--op", "input-grad", "--input", "x.npy", "--weight", "w.npy", "--grad-output", "x.npy"],
            "error: grad_output has shape [1, 4, 6, 6], expected [1, 2, 4, 4]",
        ),
        (&["--op", "conv-transpose", "--input", "x.npy", "--weight", "w.npy"], "input has 4 channels, the transposed"),
        (&["--op", "fold", "--input", "x.npy", "--kernel", "2", "--output-size", "3,3"], "fold needs [N, C·kernel, L]"),
        (&["--op", "fold", "--input", "line.npy", "--kernel", "2", "--output-size", "4,4"], "columns"),
    ] {
        folder.refused(&[&["run"], args, &["-o", "y.npy"]].concat(), reason);
        assert!(!exists(&folder.path("y.npy")), "{args:?}");
    }
}

#[test]
fn options_that_are_impossible_are_refused() {
    let folder = folder();
    for (options, reason) in [
        (&["--stride", "0"][..], "stride"),
        (&["--dilation", "1,0"], "dilation"),
        (&["--groups", "0"], "groups"),
        (&["--stride", "1,2,3"], "stride has 3 entries, the input has 2 spatial axes"),
        (&["--padding", "1,1,1"], "padding has 3 entries"),
        (&["--padding", "around"], "valid, same, same-lower, or cells for each axis"),
        (&["--stride", "-1"], "invalid value '-1' for '--stride <N[,N…]>': it must be positive, and -1 is not"),
        (&["--stride", "2,-1"], "it must be positive, and -1 is not"),
        (&["--dilation", "-1,2"], "invalid value '-1,2' for '--dilation <N[,N…]>': it must be positive, and -1 is not"),
        (&["--padding", "-1"], "invalid value '-1' for '--padding <P[,P…]>': valid, same"),
        (&["--padding", "-1:2,0"], "invalid value '-1:2,0' for '--padding <P[,P…]>': valid, same"),
        (&["--output-padding", "-1,0"], "invalid value '-1,0' for '--output-padding <N[,N…]>': -1 is negative"),
        (&["--kernel", "-3,3"], "invalid value '-3,3' for '--kernel <N[,N…]>': -3 is negative"),
        (&["--groups", "-1"], "invalid value '-1' for '--groups <N>': a whole number is needed"),
        (&["--workspace-bytes", "-1"], "a whole number is needed"),
        (&["--threads", "-1"], "-1 is not in 1..=1024"),
        (&["--padding", "6", "--pad-mode", "reflect"], "reflect padding of 6 needs an axis of at least 7 cells"),
        (&["--pad-mode", "mirror"], "[possible values: zeros, reflect, replicate, circular]"),
        (&["--dilation", "9"], "the kernel spans 19 cells"),
        (&["--output-padding", "1"], "output padding belongs to a transposed convolution"),
        (&["--algorithm", "pointwise"], "algorithm pointwise cannot do this"),
        (&["--algorithm", "magic"], "[possible values: auto"),
        (&["--activation", "clamp:2:1"], "clamp needs min ≤ max"),
        (&["--activation", "tanh"], "none, relu or clamp:MIN:MAX"),
        (&["--numerics", "sloppy"], "fast or strict"),
        (&["--stride", "18446744073709551616"], "whole numbers"),
        (&["--padding", "18446744073709551615"], "error"),
        (&["--op", "pool"], "[possible values: conv, conv-transpose, input-grad, weight-grad, unfold, fold]"),
    ] {
        folder.refused(&[&["run", "--input", "x.npy", "--weight", "w.npy", "-o", "y.npy"], options].concat(), reason);
    }
}

#[test]
fn what_is_missing_or_of_no_use_is_named() {
    let folder = folder();
    for (args, reason) in [
        (&["--input", "x.npy"][..], "--weight is missing"),
        (&["--weight", "w.npy"], "--input is missing"),
        (&["--op", "input-grad", "--input", "x.npy", "--weight", "w.npy"], "--grad-output is missing"),
        (&["--op", "weight-grad", "--weight", "w.npy", "--grad-output", "g.npy"], "--input is missing"),
        (&["--op", "input-grad", "--input", "x.npy", "--grad-output", "g.npy"], "--weight is missing"),
        (&["--op", "unfold", "--input", "x.npy"], "--kernel is missing"),
        (
            &["--op", "unfold", "--input", "x.npy", "--weight", "w.npy", "--kernel", "2"],
            "both give the kernel's lengths",
        ),
        (&["--op", "fold", "--input", "line.npy", "--kernel", "2"], "--output-size is missing"),
        (
            &["--input", "x.npy", "--weight", "w.npy", "--grad-output", "g.npy"],
            "--grad-output is of no use to --op conv",
        ),
        (&["--input", "x.npy", "--weight", "w.npy", "--kernel", "2"], "--kernel is of no use to --op conv"),
        (
            &["--op", "unfold", "--input", "x.npy", "--kernel", "2", "--groups", "2"],
            "--groups is of no use to --op unfold",
        ),
        (&["--op", "unfold", "--input", "x.npy", "--kernel", "2", "--activation", "relu"], "--activation is of no use"),
        (&["--op", "unfold", "--input", "x.npy", "--kernel", "2", "--algorithm", "fused"], "--algorithm is of no use"),
        (
            &[
                "--op",
                "input-grad",
                "--input",
                "x.npy",
                "--weight",
                "w.npy",
                "--grad-output",
                "g.npy",
                "--bias",
                "b.npy",
            ],
            "--bias is of no use to --op input-grad",
        ),
        (&["--input", "x.npy", "--input-shape", "1,4,6,6", "--weight", "w.npy"], "cannot be used with"),
    ] {
        folder.refused(&[&["run"], args, &["-o", "y.npy"]].concat(), reason);
    }
    folder.refused(&["run", "--input", "x.npy", "--weight", "w.npy"], "--output <FILE.npy>");
}

#[test]
fn an_output_that_cannot_be_written_is_refused_and_an_old_one_stays() {
    let folder = folder();
    std::fs::create_dir(folder.path("folder")).unwrap();
    let run = ["run", "--input", "x.npy", "--weight", "w.npy", "-o"];
    folder.refused(&[&run[..], &["nowhere/y.npy"]].concat(), "there is no folder nowhere");
    folder.refused(&[&run[..], &["folder"]].concat(), "cannot write folder: it is a folder");
    folder.write("y.npy", "what was there");
    folder.refused(&[&run[..], &["y.npy", "--bias", "b3.npy"]].concat(), "bias has 3 values");
    assert_eq!(std::fs::read(folder.path("y.npy")).unwrap(), b"what was there");
    assert!(folder.names(".").iter().all(|name| !name.ends_with(".tmp")), "no temporary file is left");
}

#[test]
fn sizes_beyond_the_memory_are_refused() {
    let folder = folder();
    // 46 PiB of output from 576 bytes of input.
    let run = ["run", "--input", "x.npy", "--weight", "w.npy", "-o", "y.npy"];
    folder.refused(&[&run[..], &["--padding", "40000000"]].concat(), "no memory for the output");
    folder
        .refused(&[&run[..], &["--padding", "4000000000000"]].concat(), "more elements than this machine can address");
}

#[test]
fn explain_refuses_what_run_would() {
    let folder = folder();
    for (args, reason) in [
        (&["--input", "1,3,8,8", "--weight", "4,2,3,3"][..], "input has 3 channels"),
        (&["--input", "1,3,2,2", "--weight", "4,3,3,3"], "the kernel spans 3 cells, the padded input has 2"),
        (&["--input", "1,3", "--weight", "4,3,3,3"], "the input has 2 axes"),
        (&["--input", "1,3,8", "--weight", "4,3,3,3"], "axes"),
        (&["--input", "1,3,8,8", "--weight", "4,3,3,3", "--stride", "0"], "stride"),
        (&["--input", "1,3,x,8", "--weight", "4,3,3,3"], "whole numbers separated by commas"),
        (&["--input", "-1,3,8,8", "--weight", "4,3,3,3"], "-1 is negative"),
        (&["--input", "1,3,8,8", "--weight", "4,3,3,3", "--stride", "-1,2"], "it must be positive, and -1 is not"),
        (&["--input", "missing.npy", "--weight", "4,3,3,3"], "missing.npy: No such file"),
        (&["--input", "x.npy", "--weight", "double.npy"], "of different types"),
        (&["--input", "x.npy", "--weight", "w.npy", "--dtype", "f64"], "of different types"),
        (&["--input", "1,3,224,224", "--weight", "64,3,7,7", "--matrix"], "the patch matrix is 147 × 47524"),
        (&["--input", "99999999,1,3,3", "--weight", "1,1,3,3", "--matrix"], "--matrix is for small cases"),
        (&["--op", "conv-transpose", "--input", "1,1,3,3", "--weight", "1,1,2,2", "--matrix"], "--op conv only"),
        (&["--input", "0,1,3,3", "--weight", "1,1,2,2", "--matrix"], "the batch is empty"),
        (
            &["--input", "1,1,4294967296,4294967296", "--weight", "1,1,1,1"],
            "more elements than this machine can address",
        ),
    ] {
        folder.refused(&[&["explain"], args].concat(), reason);
    }
}
