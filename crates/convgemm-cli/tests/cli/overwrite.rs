//! Results over files that were there, and what a killed program leaves.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use image::{DynamicImage, ImageFormat};

use crate::support::{Folder, PHOTOGRAPH, PROGRAM, noisy_gray};

#[test]
fn a_jpeg_may_be_its_own_output_and_stays_one() {
    let folder = Folder::new();
    std::fs::copy(PHOTOGRAPH, folder.path("x.jpg")).unwrap();
    let before = image::open(PHOTOGRAPH).unwrap().into_rgb8();
    folder.ok(&["filter", "x.jpg", "-k", "identity", "-o", "x.jpg"]);
    let written = std::fs::read(folder.path("x.jpg")).unwrap();
    assert_eq!(image::guess_format(&written).unwrap(), ImageFormat::Jpeg);
    let after = image::load_from_memory(&written).unwrap().into_rgb8();
    assert_eq!(after.dimensions(), before.dimensions());
    let total: u64 = before.iter().zip(after.iter()).map(|(&a, &b)| u64::from(a.abs_diff(b))).sum();
    assert!(total < 3 * before.len() as u64, "as close as a second compression lets it be");
    folder.ok(&["filter", "x.jpg", "-k", "edge", "--gray", "-o", "x.JPEG"]);
    assert!(matches!(folder.load_picture("x.JPEG"), DynamicImage::ImageLuma8(_)));
    assert_eq!(folder.names("."), ["x.JPEG", "x.jpg"]);
}

#[test]
fn an_error_leaves_the_picture_that_would_have_been_replaced() {
    let folder = Folder::new();
    std::fs::copy(PHOTOGRAPH, folder.path("x.jpg")).unwrap();
    folder.save_gray("x.png", &noisy_gray(5, 6, 1));
    for name in ["x.jpg", "x.png"] {
        let before = std::fs::read(folder.path(name)).unwrap();
        folder.refused(&["filter", name, "-k", "box:999", "--border", "none", "-o", name], "kernel box:999");
        assert_eq!(std::fs::read(folder.path(name)).unwrap(), before, "{name}");
    }
    assert_eq!(folder.names("."), ["x.jpg", "x.png"]);
}

#[test]
fn what_a_jpeg_cannot_hold_is_refused() {
    let folder = Folder::new();
    folder.save_picture("deep.png", &DynamicImage::new_luma16(3, 3));
    folder.save_picture("clear.png", &DynamicImage::new_rgba8(3, 3));
    for (name, reason) in [("deep.png", "16 bits; write a .png"), ("clear.png", "no opacity; write a .png")] {
        folder.refused(&["filter", name, "-k", "identity", "-o", "y.jpg"], reason);
    }
    folder.save_gray("wide.png", &noisy_gray(1, 65_536, 1));
    let args = ["filter", "wide.png", "-k", "identity", "--border", "replicate", "-o", "y.jpg"];
    folder.refused(&args, "65535");
    assert_eq!(folder.names("."), ["clear.png", "deep.png", "wide.png"]);
}

#[test]
fn what_a_killed_program_leaves_is_removed_by_the_next_one() {
    let folder = Folder::new();
    // Half a minute of work by the slowest way.
    let args = ["filter", PHOTOGRAPH, "-k", "box:301", "--algorithm", "direct", "--threads", "1", "-o"];
    let mut command = Command::new(PROGRAM);
    command.args(args).arg(folder.path("y.png")).stdout(Stdio::null());
    let mut slow = command.spawn().unwrap();
    let start = Instant::now();
    while folder.names(".").is_empty() {
        assert!(start.elapsed() < Duration::from_secs(60), "the output is not begun");
        std::thread::sleep(Duration::from_millis(5));
    }
    let [left] = <[String; 1]>::try_from(folder.names(".")).unwrap();
    assert!(left.starts_with(".convgemm-"), "{left}");
    let age = || {
        let file = std::fs::OpenOptions::new().write(true).open(folder.path(&left)).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(3600)).unwrap();
    };

    let next = |name: &str| folder.ok(&["filter", PHOTOGRAPH, "-k", "identity", "--stride", "99", "-o", name]);
    age();
    next("a.png");
    assert!(folder.names(".").contains(&left), "a program at work keeps its file");
    slow.kill().unwrap();
    slow.wait().unwrap();
    assert!(folder.names(".").contains(&left), "a killed one cannot remove it");
    age();
    next("b.png");
    assert_eq!(folder.names("."), ["a.png", "b.png"]);
}
