//! `convgemm learn` by least squares: a random kernel, found again from a photograph.

use ndarray::{Array2, Array3, s};

use crate::learn::{kernel, largest, learn};
use crate::support::{Folder, PHOTOGRAPH, correlate, noise};

fn secret() -> Array2<f64> {
    Array2::from_shape_vec((5, 5), noise(25, 11)).unwrap() / 10.0
}

/// The photograph in single precision, `[C, H, W]`, black as 0 and white as 1.
fn photograph() -> Array3<f32> {
    let picture = image::open(PHOTOGRAPH).unwrap().into_rgb8();
    let (width, height) = picture.dimensions();
    let samples = picture.into_raw().into_iter().map(|sample| f32::from(sample) / 255.0).collect();
    let picture = Array3::from_shape_vec((height as usize, width as usize, 3), samples).unwrap();
    picture.permuted_axes([2, 0, 1])
}

#[test]
fn a_random_kernel_is_found_from_the_photograph_and_its_copy_in_single_precision() {
    let folder = Folder::new();
    let before = photograph();
    // The filter is the definition itself, rounded to single precision.
    let plane = before.slice(s![1, .., ..]).mapv(f64::from);
    let after = correlate((596, 508), &secret(), (0, 0), |y, x| plane[[y as usize, x as usize]]).mapv(|y| y as f32);
    folder.save_npy("before.npy", &before.slice(s![1, .., ..]).to_owned());
    folder.save_npy("after.npy", &after);
    let found = learn(&folder, &["before.npy", "after.npy", "--size", "5x5", "-o", "kernel.npy"]);
    let error = largest(&(kernel(&found) - secret()));
    assert!(error < 1e-4, "{error}");
    // Rounding to single precision allows much more than that.
    assert!(error < 1e-6 && found["residual"].as_f64().unwrap() < 1e-7, "{error}");
    let saved = folder.load_npy::<f64>("kernel.npy").into_dimensionality::<ndarray::Ix2>().unwrap();
    assert!(largest(&(kernel(&found) - saved)) < 1e-15);
}

#[test]
fn from_a_copy_in_eight_bits_it_is_found_to_within_what_rounding_allows() {
    let folder = Folder::new();
    folder.save_npy("secret.npy", &secret());
    // Negative values are kept as shades below mid gray: half the kernel, and a half added.
    folder.ok(&["filter", PHOTOGRAPH, "-k", "secret.npy", "--signed", "-o", "after.png"]);
    let found = learn(&folder, &[PHOTOGRAPH, "after.png", "--size", "5x5", "--bias"]);
    let number = |name: &str| found[name].as_f64().unwrap();
    // Rounding to a 255th has the deviation 1 / (255 · √12) = 0.00113. Where the picture is flat or its colours agree,
    // neighbouring errors are alike, so that the kernel may be off by several of its deviations, not by more.
    assert!((0.9..1.3).contains(&(number("residual") * 255.0 * 12.0_f64.sqrt())), "{}", number("residual"));
    let (error, uncertainty) = (largest(&(kernel(&found) - secret() / 2.0)), number("uncertainty"));
    println!("off by {error:.1e}, told ±{uncertainty:.1e}");
    assert!(uncertainty < 2e-4 && error < 3.0 * uncertainty, "{error} for an uncertainty of {uncertainty}");
    assert!(number("cut_off") == 0.0 && (number("bias") - 0.5).abs() < 1e-3);
}

#[test]
fn a_kernel_of_one_cell_is_found() {
    let folder = Folder::new();
    let x = Array2::from_shape_vec((4, 3), noise(12, 5)).unwrap();
    folder.save_npy("x.npy", &x);
    folder.save_npy("y.npy", &(x * -2.5));
    let found = learn(&folder, &["x.npy", "y.npy", "--size", "1x1"]);
    assert!((kernel(&found)[[0, 0]] + 2.5).abs() < 1e-14, "{found}");
    folder.save_npy("zeros.npy", &Array2::<f64>::zeros((4, 3)));
    folder.refused(&["learn", "zeros.npy", "y.npy", "--size", "1x1"], "they fix 0 of its 1 numbers");
}
