//! `convgemm learn`: kernels found again from pictures.

use ndarray::{Array2, arr2};

use crate::support::{Folder, correlate, noisy_gray};

pub fn learn(folder: &Folder, args: &[&str]) -> serde_json::Value {
    serde_json::from_str(&folder.ok(&[&["learn", "--json"], args].concat())).unwrap()
}

pub fn kernel(found: &serde_json::Value) -> Array2<f64> {
    let rows: Vec<Vec<f64>> = serde_json::from_value(found["kernel"].clone()).unwrap();
    Array2::from_shape_vec((rows.len(), rows[0].len()), rows.concat()).unwrap()
}

pub fn largest(error: &Array2<f64>) -> f64 {
    error.iter().fold(0.0, |largest, error| largest.max(error.abs()))
}

#[test]
fn descent_finds_it_too_where_neighbours_differ_and_draws_its_losses() {
    let folder = Folder::new();
    let x = noisy_gray(40, 50, 21).mapv(|sample| f64::from(sample) / 255.0);
    let k = arr2(&[[0.5, -1.0, 0.25], [2.0, 0.0, -0.75]]);
    folder.save_npy("x.npy", &x);
    folder.save_npy("y.npy", &(correlate((39, 48), &k, (0, 0), |y, c| x[[y as usize, c as usize]]) + 0.125));
    let args = ["x.npy", "y.npy", "--size", "2x3", "--method", "descent", "--bias", "--plot", "loss.svg"];
    let found = learn(&folder, &args);
    assert!(largest(&(kernel(&found) - &k)) < 1e-6, "{found}");
    assert!((found["bias"].as_f64().unwrap() - 0.125).abs() < 1e-6);
    let losses = found["losses"].as_array().unwrap();
    assert!(losses.len() == 500 && losses[499].as_f64() < losses[0].as_f64());
    let plot = std::fs::read_to_string(folder.path("loss.svg")).unwrap();
    assert!(plot.starts_with("<svg xmlns=") && plot.contains("class=\"line"));
}

#[test]
fn a_picture_of_the_same_size_is_read_without_its_border() {
    let folder = Folder::new();
    let x = noisy_gray(30, 30, 22);
    folder.save_gray("x.png", &x);
    for border in ["zeros", "circular", "none"] {
        let filter = ["filter", "x.png", "-k", "[[0.25,0.5],[0.125,0.0625]]", "--border", border, "-o", "y.png"];
        folder.ok(&filter);
        let found = learn(&folder, &["x.png", "y.png", "--size", "2x2", "--method", "descent"]);
        let error = largest(&(kernel(&found) - arr2(&[[0.25, 0.5], [0.125, 0.0625]])));
        assert!(error < 1e-3, "{border}: {error}");
    }
}

#[test]
fn pairs_that_cannot_be_are_refused_with_the_reason() {
    let folder = Folder::new();
    folder.save_gray("x.png", &noisy_gray(12, 10, 23));
    folder.save_gray("small.png", &noisy_gray(11, 9, 24));
    folder.save_gray("flat.png", &Array2::from_elem((12, 10), 77));
    folder.save_npy("volume.npy", &ndarray::Array4::<f32>::zeros((1, 2, 3, 4)));
    let refused = |args: &[&str], reason: &str| folder.refused(&[&["learn"], args].concat(), reason);
    refused(&["x.png", "small.png", "--size", "3x3"], "the pictures differ in size: 12 × 10 before, 11 × 9 after");
    refused(&["x.png", "x.png", "--size", "13x3"], "the kernel is 13 × 3, the pictures only 12 × 10");
    refused(&["flat.png", "x.png", "--size", "3x3", "--method", "descent"], "constant");
    refused(&["x.png", "x.png", "--size", "3"], "as in 3x3");
    refused(&["x.png", "x.png", "--size", "0x3"], "as in 3x3");
    refused(&["x.png", "x.png", "--size", "-3x3"], "invalid value '-3x3' for '--size <SIZE>': not rows and columns");
    refused(&["nowhere.png", "x.png", "--size", "3x3"], "nowhere.png");
    refused(&["volume.npy", "x.png", "--size", "3x3"], "it has 4 axes");
    refused(&["x.png", "x.png", "--size", "3x3", "--plot", "p.svg"], "--method descent");
    refused(&["x.png", "x.png", "--size", "3x3", "--method", "descent", "--rate", "1e9"], "diverged");
    refused(&["x.png", "x.png", "--size", "3x3", "-o", "none/k.npy"], "there is no folder none");
    assert_eq!(folder.names("."), ["flat.png", "small.png", "volume.npy", "x.png"]);
}

#[cfg(feature = "linalg")]
#[test]
fn systems_that_leave_the_kernel_open_are_refused_and_a_ridge_closes_them() {
    let folder = Folder::new();
    folder.save_gray("x.png", &noisy_gray(12, 10, 23));
    folder.save_gray("flat.png", &Array2::from_elem((12, 10), 77));
    folder.refused(&["learn", "flat.png", "x.png", "--size", "3x3"], "they fix 1 of its 9 numbers");
    folder.refused(&["learn", "x.png", "x.png", "--size", "9x9"], "they fix 8 of its 81 numbers");
    let found = learn(&folder, &["flat.png", "flat.png", "--size", "3x3", "--ridge", "0.001"]);
    assert!((kernel(&found).sum() - 1.0).abs() < 1e-3);
}

#[cfg(not(feature = "linalg"))]
#[test]
fn a_build_without_least_squares_says_what_to_do() {
    let folder = Folder::new();
    folder.save_gray("x.png", &noisy_gray(12, 10, 23));
    folder.refused(&["learn", "x.png", "x.png", "--size", "3x3"], "--method descent, or build with --features");
}
