//! `convgemm explain` and `convgemm kernels`.

use ndarray::{Array4, array};
use serde_json::{Value, json};

use crate::support::Folder;

fn explain(args: &[&str]) -> String {
    Folder::new().ok(&[&["explain"], args].concat())
}

fn explain_json(args: &[&str]) -> Value {
    serde_json::from_str(&explain(&[args, &["--json"]].concat())).unwrap()
}

#[test]
fn the_first_layer_of_a_resnet_is_explained() {
    let args = ["--input", "1,3,224,224", "--weight", "64,3,7,7", "--stride", "2", "--padding", "3", "--threads", "2"];
    let text = explain(&args);
    for line in [
        "output        [1, 64, 112, 112]",
        "GEMM          [64 × 147] · [147 × 12544]   kernel rows · patch matrix",
        "work          236 MFLOP",
        "patch matrix  7.03 MiB an image",
        "algorithm     winograd-f4: ",
        "time          about ",
    ] {
        assert!(text.contains(line), "'{line}' is not in:\n{text}");
    }
    let json = explain_json(&args);
    assert_eq!(json["output"], json!([1, 64, 112, 112]));
    assert_eq!((&json["m"], &json["k"], &json["n"]), (&json!(64), &json!(147), &json!(12544)));
    let predicted = json["predicted_seconds"].as_f64().unwrap();
    assert!((1e-5..10.0).contains(&predicted), "{predicted}");
    assert_eq!(json["flops"], json!(2.0 * 64.0 * 147.0 * 12544.0));
    assert_eq!(json["patch_matrix_bytes"], json!(4.0 * 147.0 * 12544.0));
    assert_eq!(json["tensor_bytes"], json!(4.0 * (3 * 224 * 224 + 64 * 147 + 64 * 12544) as f64));
    let (each, all) = (json["workspace_bytes_per_thread"].as_u64(), json["workspace_bytes"].as_u64());
    assert!(each > Some(0) && each <= Some(2 << 20), "{json}");
    assert_eq!(all, each.map(|each| 2 * each));
}

#[test]
fn the_patch_matrix_of_the_chapter_is_written_out() {
    let text = explain(&["--input", "1,1,3,3", "--weight", "1,1,2,2", "--matrix"]);
    let end = "
kernel as a row vector (1 × 4)
  0  1  2  3

patch matrix: a row a kernel cell, a column a window (4 × 4)
  0  1  3  4
  1  2  4  5
  3  4  6  7
  4  5  7  8

their product (1 × 4)
  19  25  37  43
";
    assert!(text.ends_with(end), "{text}");
    let json = explain_json(&["--input", "1,1,3,3", "--weight", "1,1,2,2", "--matrix"]);
    let patches = json!([[0.0, 1.0, 3.0, 4.0], [1.0, 2.0, 4.0, 5.0], [3.0, 4.0, 6.0, 7.0], [4.0, 5.0, 7.0, 8.0]]);
    assert_eq!(json["matrices"][0]["patches"], patches);
}

#[test]
fn each_group_has_matrices_of_its_own() {
    let args = ["--input", "1,2,3", "--weight", "4,1,2", "--groups", "2", "--padding", "1:0", "--matrix"];
    let json = explain_json(&args);
    let groups = json["matrices"].as_array().unwrap();
    assert_eq!(groups.len(), 2);
    assert_eq!(groups[1]["kernels"], json!([[4.0, 5.0], [6.0, 7.0]]));
    assert_eq!(groups[1]["patches"], json!([[0.0, 3.0, 4.0], [3.0, 4.0, 5.0]]));
    assert_eq!(groups[1]["product"], json!([[15.0, 32.0, 41.0], [21.0, 46.0, 59.0]]));
    assert!(explain(&args).contains("patch matrix of group 1"));
}

#[test]
fn files_give_their_shapes_types_and_cells() {
    let folder = Folder::new();
    folder.save_npy("x.npy", &array![[[0.5_f64, -1.0, 2.0]]]);
    let args = ["explain", "--input", "x.npy", "--weight", "1,1,2", "--matrix", "--json"];
    let json: Value = serde_json::from_str(&folder.ok(&args)).unwrap();
    assert_eq!(json["dtype"], "f64");
    assert_eq!(json["input"], json!([1, 1, 3]));
    assert_eq!(json["matrices"][0]["patches"], json!([[0.5, -1.0], [-1.0, 2.0]]));
}

#[test]
fn every_operation_tells_the_shape_that_run_gives() {
    let folder = Folder::new();
    folder.save_npy("x.npy", &Array4::<f32>::ones((1, 4, 5, 5)));
    folder.save_npy("w.npy", &Array4::<f32>::ones((4, 4, 3, 3)));
    folder.save_npy("g.npy", &Array4::<f32>::ones((1, 4, 2, 2)));
    for op in ["conv", "conv-transpose", "input-grad", "weight-grad"] {
        let shapes = ["--input", "1,4,5,5", "--weight", "4,4,3,3", "--stride", "2", "--op", op];
        let json = explain_json(&shapes);
        let mut run = vec!["run", "--op", op, "--input", "x.npy", "--weight", "w.npy", "--stride", "2", "-o", "y.npy"];
        if op.ends_with("grad") {
            run.extend(["--grad-output", "g.npy"]);
        }
        folder.ok(&run);
        assert_eq!(json["output"], json!(folder.load_npy::<f32>("y.npy").shape()), "{op}");
    }
}

#[test]
fn an_algorithm_that_is_asked_for_is_the_one_explained() {
    let json = explain_json(&["--input", "1,8,32,32", "--weight", "8,8,3,3", "--algorithm", "im2col"]);
    assert_eq!((&json["algorithm"], &json["reason"]), (&json!("im2col"), &json!("asked for by name")));
    assert!(json["workspace_bytes"].as_f64() >= json["patch_matrix_bytes"].as_f64(), "{json}");
}

#[test]
fn the_algorithms_that_can_do_it_are_measured_where_that_is_asked_for() {
    let args = ["--input", "1,16,14,14", "--weight", "16,16,3,3", "--padding", "same", "--threads", "1", "--tune"];
    let json = explain_json(&args);
    let candidates = json["tuning"]["candidates"].as_array().unwrap();
    assert_eq!(json["tuning"]["fastest"], candidates[0]["algorithm"]);
    let named = |name: &str| candidates.iter().find(|candidate| candidate["algorithm"] == name);
    assert!(named("winograd-f4").is_some() && named("pointwise").is_none() && named("auto").is_none(), "{json}");
    assert!(candidates[0]["measured_seconds"].as_f64().unwrap() > 0.0);
    assert!(candidates.iter().all(|candidate| candidate["predicted_seconds"].as_f64().unwrap() > 0.0), "{json}");
    let text = explain(&args);
    assert!(text.contains("candidate       predicted (1 thread)     measured (1 thread)\n"), "{text}");
    assert!(text.lines().any(|line| line.starts_with("winograd-f4 ")), "{text}");
    assert!(explain_json(&args[..args.len() - 1])["tuning"].is_null());
    let strict = explain_json(&[&args[..], &["--numerics", "strict", "--op", "conv-transpose"]].concat());
    assert!(!strict["tuning"].to_string().contains("winograd"), "{strict}");
}

#[test]
fn shapes_too_large_for_any_data_are_explained() {
    let json = explain_json(&["--input", "4096,64,4096,4096", "--weight", "64,64,3,3", "--padding", "same"]);
    assert_eq!(json["output"], json!([4096, 64, 4096, 4096]));
}

#[test]
fn kernels_are_listed_with_their_numbers() {
    let folder = Folder::new();
    let text = folder.ok(&["kernels"]);
    assert!(
        text.contains("sobel-x: horizontal derivative, smoothed, 3 × 3\n  -1   0   1\n  -2   0   2\n  -1   0   1\n")
    );
    let json: Value = serde_json::from_str(&folder.ok(&["kernels", "--json"])).unwrap();
    let kernels = json.as_array().unwrap();
    let named = |name: &str| kernels.iter().find(|kernel| kernel["name"] == name).unwrap();
    assert_eq!(named("edge")["cells"], json!([[1.0, -1.0]]));
    assert_eq!(named("gaussian:σ")["example"], "gaussian:1");
    for kernel in kernels {
        let name = kernel["name"].as_str().unwrap();
        assert!(text.contains(&format!("{name}: {}", kernel["about"].as_str().unwrap())), "{name}");
        // What is listed can be used.
        folder.save_gray("x.png", &crate::support::noisy_gray(9, 9, 1));
        folder.ok(&["filter", "x.png", "-k", kernel["example"].as_str().unwrap(), "-o", "y.png"]);
    }
}
