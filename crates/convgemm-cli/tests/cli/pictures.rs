//! `convgemm filter` on one picture.

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::{PngDecoder, PngEncoder};
use image::{ColorType, DynamicImage, ExtendedColorType, ImageBuffer, ImageDecoder, ImageEncoder};
use ndarray::{Array2, arr2, s};

use crate::support::{Folder, PHOTOGRAPH, assert_same_samples, correlate, noise, noisy_gray, sample};

fn unit(cells: &Array2<u8>) -> Array2<f64> {
    cells.mapv(|cell| f64::from(cell) / 255.0)
}

#[test]
fn the_edges_of_the_chapter_are_white_to_black_and_back() {
    let folder = Folder::new();
    let mut x = Array2::from_elem((6, 8), 255);
    x.slice_mut(s![.., 2..6]).fill(0);
    folder.save_gray("x.png", &x);
    folder.save_gray("xt.png", &x.t().to_owned());
    let filter = |picture: &str, kernel: &str| {
        folder.ok(&["filter", picture, "--kernel", kernel, "--border", "none", "--signed", "-o", "y.png"]);
        folder.load_gray("y.png")
    };
    let row = [128, 255, 128, 128, 128, 0, 128];
    let expected = Array2::from_shape_fn((6, 7), |(_, x)| row[x]);
    assert_eq!(filter("x.png", "[[1,-1]]"), expected);
    assert_eq!(filter("xt.png", "[[1,-1]]"), Array2::from_elem((8, 5), 128));
    assert_eq!(filter("xt.png", "[[1],[-1]]"), expected.t());
}

#[test]
fn every_border_is_filled_as_its_name_says() {
    let folder = Folder::new();
    let x = noisy_gray(7, 5, 1);
    folder.save_gray("x.png", &x);
    folder.save_npy("k.npy", &Array2::from_shape_vec((4, 3), noise(12, 2)).unwrap());
    let kernel: Array2<f64> = ndarray_npy::read_npy(folder.path("k.npy")).unwrap();
    let picture = unit(&x);
    let at = |y: isize, x: isize| picture[[y as usize, x as usize]];
    let mirror = |i: isize, n: isize| {
        if i < 0 {
            -i
        } else if i >= n {
            2 * n - 2 - i
        } else {
            i
        }
    };
    let inside = |y: isize, x: isize| (0..7).contains(&y) && (0..5).contains(&x);
    type Cell<'a> = &'a dyn Fn(isize, isize) -> f64;
    let borders: [(&str, Cell<'_>); 4] = [
        ("reflect", &|y, x| at(mirror(y, 7), mirror(x, 5))),
        ("zeros", &|y, x| if inside(y, x) { at(y, x) } else { 0.0 }),
        ("replicate", &|y, x| at(y.clamp(0, 6), x.clamp(0, 4))),
        ("circular", &|y, x| at(y.rem_euclid(7), x.rem_euclid(5))),
    ];
    for (border, cell) in borders {
        folder.ok(&["filter", "x.png", "-k", "k.npy", "--border", border, "--signed", "-o", "y.png"]);
        // The window of an even kernel has its odd cell after the pixel.
        let expected = correlate((7, 5), &kernel, (1, 1), cell);
        assert_same_samples(&folder.load_gray("y.png"), &expected.mapv(|y| 0.5 + 0.5 * y));
    }
}

#[test]
fn reflect_is_the_border_that_is_taken_unasked() {
    let folder = Folder::new();
    folder.save_gray("x.png", &noisy_gray(6, 6, 3));
    folder.ok(&["filter", "x.png", "-k", "sobel-x", "--signed", "-o", "unasked.png"]);
    folder.ok(&["filter", "x.png", "-k", "sobel-x", "--signed", "--border", "reflect", "-o", "asked.png"]);
    assert_eq!(folder.load_gray("unasked.png"), folder.load_gray("asked.png"));
}

#[test]
fn convolve_flips_the_kernel_and_its_border_both_ways() {
    let folder = Folder::new();
    let x = noisy_gray(6, 8, 4);
    folder.save_gray("x.png", &x);
    let picture = unit(&x);
    let cell = |y: isize, x: isize| {
        if (0..6).contains(&y) && (0..8).contains(&x) { picture[[y as usize, x as usize]] } else { 0.0 }
    };
    folder.ok(&["filter", "x.png", "-k", "[[0.5,0.25]]", "--mode", "convolve", "--border", "zeros", "-o", "y.png"]);
    // y[j] = 0.5 · x[j] + 0.25 · x[j − 1], as numpy.convolve has it.
    let expected = correlate((6, 8), &arr2(&[[0.25, 0.5]]), (0, 1), cell);
    assert_same_samples(&folder.load_gray("y.png"), &expected);
}

#[test]
fn tones_show_negative_values_as_they_are_named() {
    let folder = Folder::new();
    folder.save_gray("x.png", &arr2(&[[0, 255, 51]]));
    let shown = |tone: &[&str]| {
        let mut args = vec!["filter", "x.png", "-k", "[[1,-1]]", "--border", "none", "-o", "y.png"];
        args.extend(tone);
        folder.ok(&args);
        folder.load_gray("y.png")
    };
    // The differences are −1 and 0.8.
    assert_eq!(shown(&[]), arr2(&[[0, 204]]));
    assert_eq!(shown(&["--clip"]), arr2(&[[0, 204]]));
    assert_eq!(shown(&["--absolute"]), arr2(&[[255, 204]]));
    assert_eq!(shown(&["--signed"]), arr2(&[[0, sample(0.9)]]));
    assert_eq!(shown(&["--signed", "--gain", "0.5"]), arr2(&[[sample(0.25), sample(0.7)]]));
    assert_eq!(shown(&["--gain", "-1"]), arr2(&[[255, 0]]));
}

/// A picture of any colour type with samples that are all different.
fn any_picture(color: ColorType, width: u32, height: u32) -> DynamicImage {
    let len = (width * height) as usize * usize::from(color.channel_count());
    let eight = || noise(len, 5).into_iter().map(|v| (v * 127.0 + 128.0) as u8).collect();
    let sixteen = || noise(len, 6).into_iter().map(|v| (v * 32767.0 + 32768.0) as u16).collect();
    let image = match color {
        ColorType::L8 => ImageBuffer::from_raw(width, height, eight()).map(DynamicImage::ImageLuma8),
        ColorType::La8 => ImageBuffer::from_raw(width, height, eight()).map(DynamicImage::ImageLumaA8),
        ColorType::Rgb8 => ImageBuffer::from_raw(width, height, eight()).map(DynamicImage::ImageRgb8),
        ColorType::Rgba8 => ImageBuffer::from_raw(width, height, eight()).map(DynamicImage::ImageRgba8),
        ColorType::L16 => ImageBuffer::from_raw(width, height, sixteen()).map(DynamicImage::ImageLuma16),
        ColorType::La16 => ImageBuffer::from_raw(width, height, sixteen()).map(DynamicImage::ImageLumaA16),
        ColorType::Rgb16 => ImageBuffer::from_raw(width, height, sixteen()).map(DynamicImage::ImageRgb16),
        _ => ImageBuffer::from_raw(width, height, sixteen()).map(DynamicImage::ImageRgba16),
    };
    image.unwrap()
}

const COLORS: [ColorType; 8] = [
    ColorType::L8,
    ColorType::La8,
    ColorType::Rgb8,
    ColorType::Rgba8,
    ColorType::L16,
    ColorType::La16,
    ColorType::Rgb16,
    ColorType::Rgba16,
];

#[test]
fn the_identity_keeps_every_sample_of_every_kind_of_picture() {
    let folder = Folder::new();
    for color in COLORS {
        let picture = any_picture(color, 9, 4);
        folder.save_picture("x.png", &picture);
        folder.ok(&["filter", "x.png", "-k", "identity", "-o", "y.png"]);
        assert_eq!(folder.load_picture("y.png"), picture, "{color:?}");
    }
}

#[test]
fn opacity_is_kept_while_each_colour_is_filtered_by_itself() {
    let folder = Folder::new();
    let picture = any_picture(ColorType::Rgba16, 6, 5).into_rgba16();
    folder.save_picture("x.png", &picture.clone().into());
    folder.ok(&["filter", "x.png", "-k", "[[0.5,0.25]]", "--border", "none", "--stride", "2,3", "-o", "y.png"]);
    let DynamicImage::ImageRgba16(result) = folder.load_picture("y.png") else { panic!() };
    assert_eq!(result.dimensions(), (2, 3));
    for (x, y, pixel) in result.enumerate_pixels() {
        let (near, next) = (picture.get_pixel(3 * x, 2 * y), picture.get_pixel(3 * x + 1, 2 * y));
        for channel in 0..3 {
            let expected = 0.5 * f64::from(near[channel]) + 0.25 * f64::from(next[channel]);
            assert!((f64::from(pixel[channel]) - expected).abs() < 0.6, "at {x}, {y}: {pixel:?}");
        }
        assert_eq!(pixel[3], near[3], "opacity at {x}, {y}");
    }
}

#[test]
fn a_stride_keeps_every_so_manieth_pixel_of_the_whole_result() {
    let folder = Folder::new();
    folder.save_gray("x.png", &noisy_gray(11, 10, 7));
    let filter = |stride: &str| {
        folder.ok(&["filter", "x.png", "-k", "gaussian:0.8", "--stride", stride, "-o", "y.png"]);
        folder.load_gray("y.png")
    };
    let whole = filter("1");
    assert_eq!(filter("2"), whole.slice(s![..;2, ..;2]));
    assert_eq!(filter("3,4"), whole.slice(s![..;3, ..;4]));
}

#[test]
fn gray_is_brightness_and_keeps_opacity() {
    let folder = Folder::new();
    let picture = any_picture(ColorType::Rgba8, 4, 3).into_rgba8();
    folder.save_picture("x.png", &picture.clone().into());
    folder.ok(&["filter", "x.png", "-k", "identity", "--gray", "-o", "y.png"]);
    let DynamicImage::ImageLumaA8(result) = folder.load_picture("y.png") else { panic!() };
    for (pixel, from) in result.pixels().zip(picture.pixels()) {
        let [r, g, b, a] = from.0.map(f64::from);
        assert!((f64::from(pixel[0]) - (0.2126 * r + 0.7152 * g + 0.0722 * b)).abs() < 0.51);
        assert_eq!(f64::from(pixel[1]), a);
    }
}

#[test]
fn a_picture_of_one_pixel_is_filtered() {
    let folder = Folder::new();
    folder.save_gray("x.png", &arr2(&[[90]]));
    for (border, expected) in [("replicate", 90), ("zeros", 10)] {
        folder.ok(&["filter", "x.png", "-k", "box:3", "--border", border, "-o", "y.png"]);
        assert_eq!(folder.load_gray("y.png"), arr2(&[[expected]]), "{border}");
    }
}

#[test]
fn a_photograph_is_read_from_jpeg_and_written_as_png() {
    let folder = Folder::new();
    let line = folder.ok(&["filter", PHOTOGRAPH, "-k", "identity", "-o", "y.png"]);
    assert!(line.starts_with("y.png: 512 × 600 pixels, identity by "), "{line}");
    assert_eq!(folder.load_picture("y.png"), image::open(PHOTOGRAPH).unwrap());
    assert_eq!(std::fs::read(folder.path("y.png")).unwrap()[..4], *b"\x89PNG");
}

#[test]
fn a_photograph_taken_with_the_camera_turned_is_set_upright() {
    let folder = Folder::new();
    let mut jpeg = Vec::new();
    let samples = [&[0_u8; 32 * 16][..], &[255; 32 * 16]].concat();
    JpegEncoder::new(&mut jpeg).encode(&samples, 32, 32, ExtendedColorType::L8).unwrap();
    // TIFF, big-endian, one entry: orientation (0x0112), a short, 6: turn by 90° clockwise.
    let exif = b"Exif\0\0MM\0\x2A\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    let segment = [&[0xFF, 0xE1, 0, exif.len() as u8 + 2], &exif[..]].concat();
    jpeg.splice(2..2, segment);
    folder.write("turned.jpg", &jpeg);
    folder.ok(&["filter", "turned.jpg", "-k", "identity", "-o", "y.png"]);
    let upright = folder.load_gray("y.png");
    // The lower half, which is white, is on the left once turned.
    assert!(upright[[16, 4]] > 250 && upright[[16, 28]] < 5, "{upright}");
}

#[test]
fn a_colour_profile_stays_with_its_colours() {
    let folder = Folder::new();
    let mut png = Vec::new();
    let mut encoder = PngEncoder::new(&mut png);
    encoder.set_icc_profile(b"a profile".to_vec()).unwrap();
    encoder.write_image(&[7; 12], 2, 2, ExtendedColorType::Rgb8).unwrap();
    folder.write("x.png", &png);
    let profile = |args: &[&str]| {
        folder.ok(&[&["filter", "x.png", "-k", "identity", "-o", "y.png"], args].concat());
        let file = std::fs::read(folder.path("y.png")).unwrap();
        PngDecoder::new(std::io::Cursor::new(file)).unwrap().icc_profile().unwrap()
    };
    assert_eq!(profile(&[]).as_deref(), Some(&b"a profile"[..]));
    assert_eq!(profile(&["--gray"]), None);
}
