//! `convgemm filter` on several pictures, large ones, and by several algorithms.

use image::{DynamicImage, ImageBuffer, LumaA};
use serde_json::Value;

use crate::support::{Folder, PHOTOGRAPH, exists, noisy_gray};

#[test]
fn several_pictures_go_to_a_folder_that_is_made() {
    let folder = Folder::new();
    for (i, name) in ["a.png", "b.v2.png", "c.png"].into_iter().enumerate() {
        folder.save_gray(name, &noisy_gray(5 + i, 6, i as u64));
    }
    let line = folder.ok(&["filter", "a.png", "b.v2.png", "c.png", "-k", "identity", "-o", "new/results"]);
    assert_eq!(line, "3 pictures written to new/results\n");
    assert_eq!(folder.names("new/results"), ["a.png", "b.v2.png", "c.png"]);
    assert_eq!(folder.load_gray("new/results/b.v2.png"), folder.load_gray("b.v2.png"));
}

#[test]
fn one_picture_goes_to_a_folder_if_that_is_what_is_named() {
    let folder = Folder::new();
    folder.save_gray("a.png", &noisy_gray(5, 6, 1));
    folder.ok(&["filter", "a.png", "-k", "identity", "-o", "new/"]);
    assert_eq!(folder.names("new"), ["a.png"]);
    std::fs::create_dir(folder.path("there")).unwrap();
    folder.ok(&["filter", "a.png", "-k", "identity", "-o", "there"]);
    assert_eq!(folder.names("there"), ["a.png"]);
}

#[test]
fn a_picture_that_fails_does_not_keep_the_others_from_being_written() {
    let folder = Folder::new();
    folder.save_gray("a.png", &noisy_gray(5, 6, 1));
    folder.write("broken.png", "no picture");
    folder.save_gray("c.png", &noisy_gray(5, 6, 2));
    folder.refused(&["filter", "a.png", "broken.png", "c.png", "-k", "edge", "-o", "new"], "broken.png");
    assert_eq!(folder.names("new"), ["a.png", "c.png"]);
    let pictures = ["filter", "a.png", "broken.png", "missing.png", "-k", "edge", "-o", "new"];
    folder.refused(&pictures, "2 of 3 pictures failed; the first: broken.png");
}

#[test]
fn an_output_that_was_there_is_replaced_whole_or_stays() {
    let folder = Folder::new();
    folder.save_gray("x.png", &noisy_gray(5, 6, 1));
    folder.write("y.png", "what was there");
    folder.refused(&["filter", "x.png", "-k", "box:11", "-o", "y.png"], "kernel box:11");
    assert_eq!(std::fs::read(folder.path("y.png")).unwrap(), b"what was there");
    folder.ok(&["filter", "x.png", "-k", "identity", "-o", "y.png"]);
    assert_eq!(folder.load_gray("y.png"), folder.load_gray("x.png"));
    // A picture may be its own output if that is said.
    folder.ok(&["filter", "y.png", "-k", "[[0]]", "-o", "y.png"]);
    assert!(folder.load_gray("y.png").iter().all(|&cell| cell == 0));
    assert_eq!(folder.names("."), ["x.png", "y.png"], "no temporary file is left");
}

#[test]
fn every_algorithm_and_number_of_threads_gives_the_same_picture() {
    let folder = Folder::new();
    let filter = |algorithm: &str, threads: &str| {
        let args = ["filter", PHOTOGRAPH, "-k", "gaussian:1", "--stride", "2", "--algorithm", algorithm];
        folder.ok(&[&args[..], &["--threads", threads, "-o", "y.png"]].concat());
        folder.load_picture("y.png").into_rgb8()
    };
    let direct = filter("direct", "1");
    assert_eq!(direct, filter("direct", "3"), "the same bits");
    for algorithm in ["im2col", "im2col-tiled", "auto"] {
        let other = filter(algorithm, "2");
        let largest = direct.iter().zip(other.iter()).map(|(&a, &b)| a.abs_diff(b)).max();
        assert!(largest <= Some(1), "{algorithm}: {largest:?}");
    }
}

#[test]
fn compare_measures_three_algorithms_that_agree() {
    let folder = Folder::new();
    let args = ["filter", PHOTOGRAPH, "-k", "gaussian:1", "--compare", "--threads", "2"];
    let text = folder.ok(&args);
    let firsts: Vec<&str> = text.lines().map(|line| line.split_whitespace().next().unwrap()).collect();
    assert_eq!(firsts[1..], ["algorithm", "direct", "im2col", "im2col-tiled"], "{text}");
    assert!(text.contains("512 × 600 pixels, 3 channels, kernel gaussian:1, 2 threads"), "{text}");

    let json: Value = serde_json::from_str(&folder.ok(&[&args[..], &["--json"]].concat())).unwrap();
    assert_eq!(json["flops"], 2.0 * 49.0 * 512.0 * 600.0 * 3.0);
    let rows = json["algorithms"].as_array().unwrap();
    let number = |row: &Value, name: &str| row[name].as_f64().unwrap_or_else(|| panic!("{name} in {row}"));
    for row in rows {
        let gflops = json["flops"].as_f64().unwrap() / number(row, "seconds") / 1e9;
        assert!((number(row, "gflops") / gflops - 1.0).abs() < 1e-6, "{row}");
        assert!(number(row, "max_difference") < 1e-5, "{row}");
    }
    let workspace = |i: usize| number(&rows[i], "workspace_bytes");
    assert!(workspace(1) >= 49.0 * 512.0 * 600.0 * 4.0, "im2col holds the whole patch matrix");
    assert!(workspace(2) <= 2.0 * f64::from(2 << 20), "im2col-tiled is bounded a thread");
}

#[test]
fn compare_also_writes_where_it_is_told_to() {
    let folder = Folder::new();
    folder.save_gray("x.png", &noisy_gray(8, 8, 1));
    let text = folder.ok(&["filter", "x.png", "-k", "edge", "--compare", "--gray", "-o", "y.png"]);
    assert!(text.starts_with("x.png: 8 × 8 pixels, 1 channel, kernel edge"), "{text}");
    assert!(exists(&folder.path("y.png")));
}

#[test]
fn a_picture_beyond_the_decoder_s_usual_limit_is_filtered() {
    let folder = Folder::new();
    // 4 bytes a pixel: 576 MB, where the limit of the image crate is 512 MiB.
    let (width, height) = (12_000, 12_000);
    let mut picture = ImageBuffer::<LumaA<u16>, Vec<u16>>::new(width, height);
    picture.put_pixel(11_998, 11_999, LumaA([65535, 77]));
    folder.save_picture("x.png", &DynamicImage::ImageLumaA16(picture));
    folder.ok(&["filter", "x.png", "-k", "[[0.25,1]]", "--stride", "11999,11997", "--border", "zeros", "-o", "y.png"]);
    let DynamicImage::ImageLumaA16(result) = folder.load_picture("y.png") else { panic!() };
    assert_eq!(result.dimensions(), (2, 2));
    assert_eq!(*result.get_pixel(1, 1), LumaA([65535, 0]));
}
