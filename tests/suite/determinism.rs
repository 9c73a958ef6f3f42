//! The same bits whatever the number of threads.

use convgemm::Element;

use crate::common::cases::{Case, Data};
use crate::common::library::{self, How};
use crate::common::pools;
use crate::common::tolerance::assert_same_bits;
use crate::common::views::Layout;

/// Cases with enough work that it is cut into several pieces.
fn cases() -> Vec<Case> {
    vec![
        Case::new("one image", &[1, 16, 28, 27], &[24, 16, 3, 3]).pad(&[1, 1]).bias(),
        Case::new("many images", &[9, 5, 14, 13], &[11, 5, 3, 3]).stride(&[2, 1]).bias(),
        Case::new("small maps", &[8, 70, 7, 7], &[150, 70, 3, 3]).pad(&[1, 1]).bias(),
        Case::new("small maps, pointwise", &[5, 33, 7, 7], &[270, 33, 1, 1]),
        Case::new("small maps by two", &[9, 20, 9, 11], &[30, 10, 3, 3]).groups(2).stride(&[2, 2]).pad(&[1, 1]),
        Case::new("one image, pointwise", &[1, 48, 20, 19], &[80, 48, 1, 1]),
        Case::new("more channels than cells", &[1, 96, 3, 3], &[130, 96, 3, 3]).pad(&[1, 1]),
        Case::new("grouped", &[2, 12, 15, 16], &[18, 4, 3, 3]).groups(3).pad(&[2, 1]).dilation(&[2, 1]),
        Case::new("depthwise", &[3, 17, 12, 12], &[17, 1, 3, 3]).groups(17).pad(&[1, 1]),
        Case::new("depthwise by two", &[2, 37, 23, 26], &[37, 1, 3, 3]).groups(37).stride(&[2, 2]).pad(&[1, 1]),
        Case::new("line", &[2, 8, 700], &[6, 8, 5]).stride(&[2]),
        Case::new("long line of three taps", &[1, 24, 3001], &[20, 24, 3]).pad(&[1]).bias(),
        Case::new("long line of three taps apart", &[1, 7, 2000], &[9, 7, 3]).dilation(&[8]).pad(&[8]).bias(),
        Case::new("rows of three taps", &[1, 8, 21, 30], &[12, 8, 1, 3]).pad(&[0, 1]),
        Case::new("volume", &[1, 4, 9, 8, 10], &[8, 4, 3, 3, 3]).pad(&[1, 1, 1]),
        Case::transposed("transposed", &[2, 12, 9, 10], &[12, 10, 4, 4]).stride(&[2, 2]).pad(&[1, 1]).bias(),
    ]
}

fn check<T: Element>() {
    for case in cases() {
        let data = Data::<T>::new(&case, [Layout::Standard, Layout::Standard, Layout::ChannelsLast]);
        let (x, w, dy) = (|| data.x.view(), || data.w.view(), || data.dy.view());
        for how in How::all(&case) {
            let run = || {
                [
                    library::forward(&case, how, x(), w(), data.bias.as_ref()).expect("possible"),
                    library::input_grad(&case, how, w(), dy()).expect("possible"),
                    library::weight_grad(&case, how, x(), dy()).expect("possible"),
                    library::bias_grad(&case, dy()),
                ]
            };
            let alone = pools::with(1, run);
            for threads in pools::THREADS {
                // Twice, for races show only sometimes.
                for _ in 0..2 {
                    let found = pools::with(threads, run);
                    for ((found, alone), operation) in
                        found.iter().zip(&alone).zip(["forward", "input gradient", "weight gradient", "bias gradient"])
                    {
                        let context = format_args!("{operation} {} {how:?} {threads} threads\n  {case}", T::NAME);
                        assert_same_bits(found, alone, context);
                    }
                }
            }
        }
    }
}

#[test]
fn every_number_of_threads_gives_the_same_bits_in_f32() {
    check::<f32>();
}

#[test]
fn every_number_of_threads_gives_the_same_bits_in_f64() {
    check::<f64>();
}

#[test]
fn an_image_has_the_same_bits_in_a_batch_of_any_size_when_read_through_the_same_tiles() {
    // The pieces are cut by shape, so a batch may be cut in another way than its images: only the
    // whole-matrix algorithms promise this, and only where they multiply the same sizes.
    let case = Case::new("batch", &[9, 4, 10, 9], &[6, 4, 3, 3]);
    let data = Data::<f64>::new(&case, [Layout::Standard; 3]);
    let how = How::new(convgemm::Algorithm::Direct);
    let all = library::forward(&case, how, data.x.view(), data.w.view(), None).expect("possible");
    let one = Case { input: vec![1, 4, 10, 9], ..case };
    for image in 0..9 {
        let part = ndarray::Slice::from(image..=image);
        let x = data.x.view().slice_axis_move(ndarray::Axis(0), part);
        let alone = library::forward(&one, how, x, data.w.view(), None).expect("possible");
        let among = all.slice_axis(ndarray::Axis(0), part).to_owned();
        assert_same_bits(&among, &alone, format_args!("image {image}"));
    }
}
