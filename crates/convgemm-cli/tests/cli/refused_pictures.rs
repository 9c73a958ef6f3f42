//! What `convgemm filter` refuses, and how.

use image::{DynamicImage, GrayImage};
use ndarray::{Array2, Array3, arr2};

use crate::support::{Folder, PHOTOGRAPH, exists, noisy_gray};

/// A folder with `x.png`, a gray picture of 7 × 5 pixels.
fn folder() -> Folder {
    let folder = Folder::new();
    folder.save_gray("x.png", &noisy_gray(5, 7, 1));
    folder
}

#[track_caller]
fn refused(args: &[&str], reason: &str) {
    let folder = folder();
    folder.refused(&[&["filter"], args].concat(), reason);
    assert_eq!(folder.names("."), ["x.png"], "nothing was written");
}

#[test]
fn a_file_that_is_no_picture_is_refused_by_name() {
    let folder = folder();
    folder.write("text.png", "no picture");
    folder.write("empty.jpg", "");
    folder.write("gif.gif", b"GIF89a\x01\0\x01\0\0\0\0");
    for (name, reason) in [
        ("missing.png", "missing.png: No such file"),
        ("text.png", "text.png: neither a PNG nor a JPEG"),
        ("empty.jpg", "empty.jpg: neither a PNG nor a JPEG"),
        ("gif.gif", "gif.gif: "),
        (".", ".: "),
    ] {
        folder.refused(&["filter", name, "-k", "edge", "-o", "y.png"], reason);
        assert!(!exists(&folder.path("y.png")), "{name}");
    }
}

#[test]
fn a_png_cut_anywhere_is_refused() {
    let folder = folder();
    let whole = std::fs::read(folder.path("x.png")).unwrap();
    for len in [9, 20, 40, whole.len() - 14] {
        folder.write("cut.png", &whole[..len]);
        folder.refused(&["filter", "cut.png", "-k", "edge", "-o", "y.png"], "cut.png");
    }
    let mut spoiled = whole;
    spoiled[45] ^= 0x55;
    folder.write("spoiled.png", spoiled);
    folder.refused(&["filter", "spoiled.png", "-k", "edge", "-o", "y.png"], "spoiled.png");
}

#[test]
fn a_jpeg_cut_anywhere_is_refused() {
    let folder = folder();
    let whole = std::fs::read(PHOTOGRAPH).unwrap();
    for len in [3, 300, whole.len() / 2, whole.len() - 2] {
        folder.write("cut.jpg", &whole[..len]);
        folder.refused(&["filter", "cut.jpg", "-k", "edge", "-o", "y.png"], "cut.jpg");
    }
}

#[test]
fn a_header_that_promises_more_than_the_memory_is_refused() {
    let folder = folder();
    let mut png = std::fs::read(folder.path("x.png")).unwrap();
    png[16..24].copy_from_slice(&[0x7F, 0xFF, 0xFF, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF]);
    let checksum = crc32(&png[12..29]);
    png[29..33].copy_from_slice(&checksum.to_be_bytes());
    folder.write("huge.png", png);
    folder.refused(&["filter", "huge.png", "-k", "edge", "-o", "y.png"], "huge.png: ");
}

/// The checksum of a PNG's chunks (ISO 3309).
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { 0xEDB8_8320 } else { 0 })
    })
}

#[test]
fn what_is_no_kernel_is_refused() {
    let folder = folder();
    folder.save_npy("int.npy", &arr2(&[[1_i64, -1]]));
    folder.save_npy("deep.npy", &Array3::<f32>::ones((1, 3, 3)));
    folder.save_npy("nan.npy", &arr2(&[[1.0, f64::NAN]]));
    folder.save_npy("none.npy", &Array2::<f32>::ones((0, 3)));
    folder.write("text.npy", "no array");
    folder.write("many.npz", b"PK\x03\x04 and so on");
    for (kernel, reason) in [
        ("sobel", "no such name; there are edge, sobel-x"),
        ("gaussian:0", "more than 0"),
        ("[[1,-1],[1]]", "its rows have 2 and 1 cells"),
        ("[[1,\n-1]", "not rows of numbers"),
        ("missing.npy", "kernel missing.npy: missing.npy: No such file"),
        ("int.npy", "elements are of type '<i8'"),
        ("deep.npy", "3 axes"),
        ("nan.npy", "not a finite number"),
        ("none.npy", "no cells"),
        ("many.npz", "an archive of arrays (.npz), where a single one is needed"),
        ("text.npy", "not a NumPy file"),
    ] {
        folder.refused(&["filter", "x.png", "-k", kernel, "-o", "y.png"], reason);
    }
}

#[test]
fn a_kernel_larger_than_the_picture_is_refused_with_both_sizes() {
    for border in ["none", "reflect", "circular"] {
        refused(
            &["x.png", "-k", "box:17", "--border", border, "-o", "y.png"],
            "kernel box:17 of 17 × 17 on 7 × 5 pixels",
        );
    }
    refused(&["x.png", "-k", "box:17", "-o", "y.png"], "a border of replicate fits any picture");
    refused(&["x.png", "-k", "box:17", "--compare"], "kernel box:17");
}

#[test]
fn a_picture_of_one_pixel_cannot_be_mirrored() {
    let folder = Folder::new();
    folder.save_gray("x.png", &arr2(&[[1]]));
    folder.refused(&["filter", "x.png", "-k", "sobel-x", "-o", "y.png"], "on 1 × 1 pixels");
}

#[test]
fn a_place_that_cannot_be_written_is_refused() {
    let folder = folder();
    std::fs::create_dir(folder.path("folder.png")).unwrap();
    let refused = |output: &str, reason: &str| {
        folder.refused(&["filter", "x.png", "-k", "edge", "-o", output], reason);
    };
    refused("nowhere/y.png", "cannot write nowhere/y.png: there is no folder nowhere");
    refused("x.png/y.png", "cannot write x.png/y.png");
    refused("y.gif", "the output y.gif must end in .png or .jpg");
    refused("y", "the output y must end in .png or .jpg");
    refused("", "a value is required for '--output");
    refused("x.png/", "x.png/");
    // A folder may end in .png, too.
    folder.ok(&["filter", "x.png", "-k", "edge", "-o", "folder.png"]);
    assert_eq!(folder.names("folder.png"), ["x.png"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error_and_not_a_panic() {
    let folder = folder();
    folder.refused(&["filter", "x.png", "-k", "edge", "-o", "/dev/full"], "No space left on device");
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = std::process::Command::new(crate::support::PROGRAM);
    let output = command.arg("kernels").stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("No space left on device"));
}

#[test]
fn two_pictures_with_one_output_are_refused_before_anything_is_written() {
    let folder = folder();
    std::fs::create_dir(folder.path("more")).unwrap();
    let picture = DynamicImage::from(GrayImage::new(3, 3));
    picture.save(folder.path("more/x.jpg")).unwrap();
    let reason = "x.png and more/x.jpg would both be written to new/x.png";
    folder.refused(&["filter", "x.png", "more/x.jpg", "-k", "edge", "-o", "new"], reason);
    assert!(!exists(&folder.path("new")));
}

#[test]
fn pictures_are_not_overwritten_by_their_own_results_in_a_folder() {
    let folder = folder();
    let before = std::fs::read(folder.path("x.png")).unwrap();
    folder.refused(&["filter", "x.png", "-k", "edge", "-o", "."], "would be overwritten by its own result");
    assert_eq!(std::fs::read(folder.path("x.png")).unwrap(), before);
}

#[test]
fn several_pictures_do_not_fit_one_file() {
    let folder = folder();
    folder.save_gray("z.png", &arr2(&[[1]]));
    for output in ["y.png", "z.png"] {
        folder.refused(&["filter", "x.png", "z.png", "-k", "edge", "-o", output], "several pictures need a folder");
    }
    folder.refused(&["filter", "x.png", "z.png", "-k", "edge", "--compare"], "--compare is for one picture");
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let job = ["x.png", "-k", "edge", "-o", "y.png"];
    for (options, reason) in [
        (&["--stride", "0"][..], "error: --stride is 0, it must be at least 1\n"),
        (&["--stride", "2,0"], "error: --stride is 0, it must be at least 1\n"),
        (&["--stride", "1,2,3"], "--stride has 3 entries"),
        (&["--stride", "-1"], "invalid value '-1' for '--stride <N[,N]>': it must be positive, and -1 is not"),
        (&["--stride", "-1,2"], "invalid value '-1,2' for '--stride <N[,N]>': it must be positive, and -1 is not"),
        (&["--stride", "half"], "whole numbers separated by commas"),
        (&["--border", "mirror"], "[possible values: reflect, zeros, replicate, circular, none]"),
        (&["--mode", "both"], "[possible values: correlate, convolve]"),
        (&["--algorithm", "magic"], "[possible values: auto, direct, im2col"),
        (&["--algorithm", "pointwise"], "on 7 × 5 pixels: algorithm pointwise cannot do this"),
        (&["--backend", "magic"], "[possible values: auto, gemm, openblas]"),
        (&["--signed", "--absolute"], "cannot be used with"),
        (&["--gain", "nan"], "finite"),
        (&["--threads", "0"], "--threads"),
        (&["--compare", "--algorithm", "direct"], "cannot be used with"),
        (&["--colour"], "unexpected argument '--colour'"),
    ] {
        refused(&[&job[..], options].concat(), reason);
    }
    refused(&["x.png", "-k", "edge"], "--output");
    refused(&["x.png", "-o", "y.png"], "--kernel");
    refused(&["-k", "edge", "-o", "y.png"], "<PICTURE>");
}

#[cfg(not(feature = "openblas"))]
#[test]
fn a_library_that_is_not_built_in_is_refused() {
    refused(&["x.png", "-k", "edge", "--backend", "openblas", "-o", "y.png"], "this build has no OpenBLAS");
}
