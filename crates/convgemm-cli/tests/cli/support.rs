//! A folder to work in, the program run there, and plain reference loops.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Output;

use image::{DynamicImage, GrayImage, ImageFormat};
use ndarray::{Array, Array2, ArrayD, Dimension};
use ndarray_npy::{ReadableElement, WritableElement};
use tempfile::TempDir;

/// A photograph: 512 × 600 pixels, colour, JPEG.
pub const PHOTOGRAPH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/grace_hopper.jpg");

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_convgemm");

pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn names(&self, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(folder)).unwrap();
        let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    pub fn command<A: AsRef<OsStr>>(&self, args: &[A]) -> assert_cmd::Command {
        let mut command = assert_cmd::Command::new(PROGRAM);
        command.current_dir(self.0.path()).args(args);
        command
    }

    pub fn output<A: AsRef<OsStr>>(&self, args: &[A]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs what must succeed without a word on standard error.
    #[track_caller]
    pub fn ok<A: AsRef<OsStr>>(&self, args: &[A]) -> String {
        let output = self.output(args);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{errors}");
        assert_eq!(errors, "");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs what must be refused: exit code 2, nothing on standard output, one line on standard error that
    /// says `reason`.
    #[track_caller]
    pub fn refused<A: AsRef<OsStr>>(&self, args: &[A], reason: &str) -> String {
        let output = self.output(args);
        let line = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{line}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "");
        assert!(line.starts_with("error: ") && line.ends_with('\n') && line.lines().count() == 1, "{line}");
        assert!(line.contains(reason), "'{reason}' is not in: {line}");
        line
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    pub fn save_npy<T: WritableElement, D: Dimension>(&self, name: &str, array: &Array<T, D>) {
        ndarray_npy::write_npy(self.path(name), array).unwrap();
    }

    pub fn load_npy<T: ReadableElement>(&self, name: &str) -> ArrayD<T> {
        ndarray_npy::read_npy(self.path(name)).unwrap()
    }

    pub fn save_picture(&self, name: &str, picture: &DynamicImage) {
        picture.save(self.path(name)).unwrap();
    }

    pub fn load_picture(&self, name: &str) -> DynamicImage {
        image::open(self.path(name)).unwrap()
    }

    /// Saves a gray picture of 8 bits.
    pub fn save_gray(&self, name: &str, cells: &Array2<u8>) {
        let (height, width) = cells.dim();
        let samples = cells.iter().copied().collect();
        let picture = GrayImage::from_raw(width as u32, height as u32, samples).unwrap();
        picture.save_with_format(self.path(name), ImageFormat::Png).unwrap();
    }

    /// Loads what must be a gray picture of 8 bits.
    #[track_caller]
    pub fn load_gray(&self, name: &str) -> Array2<u8> {
        let picture = self.load_picture(name);
        let DynamicImage::ImageLuma8(picture) = picture else { panic!("{:?}", picture.color()) };
        let (width, height) = picture.dimensions();
        Array2::from_shape_vec((height as usize, width as usize), picture.into_raw()).unwrap()
    }
}

/// Numbers between −1 and 1 that look random, the same every time.
pub fn noise(len: usize, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut next = || {
        // The multiplier is Knuth's for 64-bit linear congruences.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / f64::from(1_u32 << 30) - 1.0
    };
    (0..len).map(|_| next()).collect()
}

/// A gray picture of noise.
pub fn noisy_gray(height: usize, width: usize, seed: u64) -> Array2<u8> {
    let cells = noise(height * width, seed).into_iter().map(|cell| (cell * 127.0 + 128.0) as u8);
    Array2::from_shape_vec((height, width), cells.collect()).unwrap()
}

/// Cross-correlation by its definition: `y[i, j] = Σ k[a, b] · x(i + a − before, j + b − before)`, where `x`
/// is asked for every cell, also beyond the border.
pub fn correlate(
    size: (usize, usize),
    kernel: &Array2<f64>,
    before: (isize, isize),
    x: impl Fn(isize, isize) -> f64,
) -> Array2<f64> {
    Array2::from_shape_fn(size, |(i, j)| {
        let products = kernel
            .indexed_iter()
            .map(|((a, b), &k)| k * x(i as isize + a as isize - before.0, j as isize + b as isize - before.1));
        products.sum()
    })
}

/// A value of 0 to 1 as a sample of 8 bits, cut off outside.
pub fn sample(value: f64) -> u8 {
    (value.clamp(0.0, 1.0) * 255.0).round() as u8
}

/// Fails if samples lie further apart than rounding explains: where a value falls between two samples,
/// single and double precision may round to different ones.
#[track_caller]
pub fn assert_same_samples(found: &Array2<u8>, expected: &Array2<f64>) {
    assert_eq!(found.dim(), expected.dim());
    for ((index, &found), &expected) in found.indexed_iter().zip(expected) {
        let exact = expected.clamp(0.0, 1.0) * 255.0;
        assert!((f64::from(found) - exact).abs() < 0.501, "at {index:?}: {found} for {exact}");
    }
}

#[track_caller]
pub fn assert_close(found: &ArrayD<f64>, expected: &ArrayD<f64>, tolerance: f64) {
    assert_eq!(found.shape(), expected.shape());
    let largest = expected.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
    for ((index, &found), &expected) in found.indexed_iter().zip(expected) {
        let difference = (found - expected).abs();
        assert!(difference <= tolerance * largest, "at {index:?}: {found} for {expected}");
    }
}

pub fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}
