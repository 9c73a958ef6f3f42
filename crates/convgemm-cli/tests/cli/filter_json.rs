//! `convgemm filter --json`: what was done, for machines.

use image::{DynamicImage, ImageBuffer, LumaA};
use serde_json::{Value, json};

use crate::support::{Folder, PHOTOGRAPH, exists, noisy_gray};

fn report(text: &str) -> Value {
    assert_eq!(text.lines().count(), 1, "{text}");
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn one_picture_is_told_with_its_shapes_and_how_it_was_filtered() {
    let folder = Folder::new();
    let args = ["filter", PHOTOGRAPH, "-k", "[[1,0],[0,-1]]", "--border", "none", "--stride", "2,3", "--signed"];
    let more = ["--mode", "convolve", "--algorithm", "im2col", "--threads", "2", "-o", "y.png", "--json"];
    let told = report(&folder.ok(&[&args[..], &more].concat()));
    for (key, value) in [
        ("kernel", json!("[[1,0],[0,-1]]")),
        ("kernel_shape", json!([2, 2])),
        ("mode", json!("convolve")),
        ("border", json!("none")),
        ("stride", json!([2, 3])),
        ("gray", json!(false)),
        ("tone", json!("signed")),
        ("gain", json!(1.0)),
        ("threads", json!(2)),
    ] {
        assert_eq!(told[key], value, "{key}");
    }
    let [picture] = told["pictures"].as_array().unwrap().as_slice() else { panic!("{told}") };
    assert_eq!((&picture["input"], &picture["output"]), (&json!(PHOTOGRAPH), &json!("y.png")));
    assert_eq!(picture["input_shape"], json!([3, 600, 512]));
    assert_eq!(picture["output_shape"], json!([3, 300, 171]));
    assert_eq!((&picture["bits"], &picture["algorithm"]), (&json!(8), &json!("im2col")));
    assert!(picture["workspace_bytes"].as_u64() > Some(0) && picture["seconds"].as_f64() > Some(0.0), "{picture}");
    assert!(told.get("algorithms").is_none() && told.get("failed").is_none(), "{told}");
}

#[test]
fn a_batch_is_one_object_that_also_tells_what_failed() {
    let folder = Folder::new();
    folder.save_gray("a.png", &noisy_gray(5, 6, 1));
    let pixels = ImageBuffer::<LumaA<u16>, Vec<u16>>::new(4, 3);
    folder.save_picture("b.png", &DynamicImage::ImageLumaA16(pixels));
    let args = ["filter", "a.png", "b.png", "-k", "edge", "--json", "-o", "new"];
    let told = report(&folder.ok(&args));
    let names: Vec<&Value> = told["pictures"].as_array().unwrap().iter().map(|picture| &picture["output"]).collect();
    assert_eq!(names, ["new/a.png", "new/b.png"]);
    assert_eq!(told["pictures"][1]["input_shape"], json!([2, 3, 4]));
    assert_eq!(told["pictures"][1]["bits"], json!(16));

    folder.write("b.png", "no picture");
    let output = folder.output(&args);
    assert_eq!(output.status.code(), Some(2));
    let told = report(std::str::from_utf8(&output.stdout).unwrap());
    assert_eq!(told["pictures"].as_array().unwrap().len(), 1);
    let reason = "b.png: neither a PNG nor a JPEG";
    assert_eq!(told["failed"], json!([{"input": "b.png", "error": reason}]));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), format!("error: {reason}\n"));
    folder.refused(&["filter", "b.png", "-k", "edge", "--json", "-o", "y.png"], reason);
}

#[cfg(target_os = "linux")]
#[test]
fn a_name_that_is_no_text_does_not_spoil_the_report() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let folder = Folder::new();
    folder.save_gray("x.png", &noisy_gray(8, 8, 1));
    let args = ["filter", "x.png", "-k", "edge", "--json", "-o"].map(OsStr::new);
    let told = report(&folder.ok(&[&args[..], &[OsStr::from_bytes(b"y\xFF.png")]].concat()));
    assert_eq!(told["pictures"][0]["output"], json!("y\u{FFFD}.png"));
}

#[test]
fn a_comparison_and_the_picture_that_it_wrote_are_one_object() {
    let folder = Folder::new();
    folder.save_gray("x.png", &noisy_gray(8, 8, 1));
    let args = ["filter", "x.png", "-k", "edge", "--compare", "--json"];
    let told = report(&folder.ok(&args));
    assert_eq!(told["algorithms"].as_array().unwrap().len(), 3);
    assert_eq!((&told["picture"], &told["kernel"], &told["pictures"]), (&json!("x.png"), &json!("edge"), &json!([])));
    let told = report(&folder.ok(&[&args[..], &["-o", "y.png"]].concat()));
    assert_eq!(told["algorithms"].as_array().unwrap().len(), 3);
    assert_eq!(told["pictures"][0]["output"], json!("y.png"));
    assert!(exists(&folder.path("y.png")));
}
