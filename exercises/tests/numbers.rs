//! Every number of the chapter, to all digits that it gives.

#![cfg(feature = "linalg")]

use convgemm_exercises::{Answer, ITEMS, Item};

/// Item, and what must be found in it: each entry is part of the name of a finding, and its whole value.
const NUMBERS: &[(&str, &[(&str, &str)])] = &[
    ("statement-1", &[("Y", "[[19, 25], [37, 43]]"), ("first cell", "19"), ("7 × 10 under 3 × 2", "(5, 9)")]),
    ("statement-2", &[("kernel's shape", "(3, 2)"), ("bias at the start", "Some([0.0])"), ("differ", "true")]),
    (
        "statement-3",
        &[
            ("six times the same row", EDGES),
            (
                "K on Xᵀ",
                "[[0, 0, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0], \
                         [0, 0, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]]",
            ),
            (
                "Kᵀ on Xᵀ",
                "[[0, 0, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0], \
                          [0, 0, 0, 0, 0, 0], [-1, -1, -1, -1, -1, -1], [0, 0, 0, 0, 0, 0]]",
            ),
            ("vertical edges of the photograph", "(600, 511)"),
        ],
    ),
    (
        "statement-4",
        &[
            ("no bias: loss at step 2", "2.52"),
            ("no bias: loss at step 4", "0.567883"),
            ("no bias: loss at step 6", "0.154706"),
            ("no bias: loss at step 8", "0.050299"),
            ("no bias: loss at step 10", "0.01841"),
            ("no bias: W[0] at the end", "0.97937"),
            ("no bias: W[1] at the end", "-1.00622"),
            ("chapter, no bias: W[0] at the end", "1.0121"),
            ("chapter, no bias: W[1] at the end", "-0.9671"),
            ("chapter, no bias: loss a row", "0.008"),
            ("with bias: loss at step 5", "1.718517"),
            ("with bias: loss at step 10", "0.473144"),
            ("with bias: loss at step 15", "0.131162"),
            ("with bias: loss at step 20", "0.036461"),
            ("with bias: W[0] at the end", "0.95057"),
            ("with bias: W[1] at the end", "-0.95248"),
            ("with bias: b at the end", "0.00107"),
            ("chapter, bias: loss at step 5", "5.881"),
            ("chapter, bias: loss at step 10", "1.410"),
            ("chapter, bias: loss at step 15", "0.367"),
            ("chapter, bias: loss at step 20", "0.099"),
            ("chapter, bias: W[0] at the end", "0.9268"),
            ("chapter, bias: W[1] at the end", "-0.9145"),
            ("chapter, bias: b at the end", "-0.0069"),
            ("eigenvalues of Cols·Colsᵀ", "[6, 30]"),
            ("least squares, in one step", "[[[[1, -1]]]]"),
            ("two photographs", "[[-2, -1, 0], [-1, 1, 1], [0, 1, 2]]"),
        ],
    ),
    (
        "statement-5",
        &[
            ("convolution of X and K", "[[5, 11], [23, 29]]"),
            ("learns K flipped", "[[3, 2], [1, 0]]"),
            ("outputs are the same", "[[19, 25], [37, 43]]"),
        ],
    ),
    (
        "exercise-1",
        &[
            (
                "just below",
                "[[-1, 0, 0, 0, 0, 0, 0], [1, -1, 0, 0, 0, 0, 0], [0, 1, -1, 0, 0, 0, 0], \
                            [0, 0, 1, -1, 0, 0, 0], [0, 0, 0, 1, -1, 0, 0], [0, 0, 0, 0, 1, -1, 0], \
                            [0, 0, 0, 0, 0, 1, -1], [0, 0, 0, 0, 0, 0, 1]]",
            ),
            ("shape of Kᵀ on Z", "(7, 8)"),
            (
                "just above",
                "[[-1, 1, 0, 0, 0, 0, 0, 0], [0, -1, 1, 0, 0, 0, 0, 0], [0, 0, -1, 1, 0, 0, 0, 0], \
                            [0, 0, 0, -1, 1, 0, 0, 0], [0, 0, 0, 0, -1, 1, 0, 0], [0, 0, 0, 0, 0, -1, 1, 0], \
                            [0, 0, 0, 0, 0, 0, -1, 1]]",
            ),
        ],
    ),
    (
        "exercise-2",
        &[
            ("the patch matrix", "[[0, 1, 3, 4], [1, 2, 4, 5], [3, 4, 6, 7], [4, 5, 7, 8]]"),
            ("the kernel as a row", "[0, 1, 2, 3]"),
            ("row · patches", "[19, 25, 37, 43]"),
            ("Toeplitz · vec(X)", "[19, 25, 37, 43]"),
        ],
    ),
    (
        "exercise-3",
        &[
            ("[1, −2, 1] on x²", "[2, 2, 2, 2, 2, 2, 2]"),
            ("the Laplacian", "[[0, 1, 0], [1, -4, 1], [0, 1, 0]]"),
            ("with eight neighbours", "[[1, 1, 1], [1, -8, 1], [1, 1, 1]]"),
            ("in three dimensions", "-6"),
            ("three ones", "[6, 9, 12, 15, 18, 21]"),
            ("eight ones", "[1, 3, 6, 10, 15, 21, 28, 36]"),
        ],
    ),
    (
        "exercise-4",
        &[
            ("d = 1: the kernel of 2 cells", "[-1, 1]"),
            ("d = 2: the kernel of 3 cells", "[1, -2, 1]"),
            ("d = 3: the kernel of 4 cells", "[-1, 3, -3, 1]"),
            ("d = 4: the kernel of 5 cells", "[1, -4, 6, -4, 1]"),
            ("d = 5: the kernel of 6 cells", "[-1, 5, -10, 10, -5, 1]"),
            ("d = 6: the kernel of 7 cells", "[1, -6, 15, -20, 15, -6, 1]"),
            ("d = 3: cells of the centred kernel", "5"),
            ("d = 4: cells of the centred kernel", "5"),
            ("d = 5: order of accuracy", "1"),
            ("d = 6: order of accuracy", "2"),
            ("d = 5: its order", "2"),
            ("d = 6: all 7 have no solution", "true"),
        ],
    ),
];

const EDGES: &str = "[[0, 1, 0, 0, 0, -1, 0], [0, 1, 0, 0, 0, -1, 0], [0, 1, 0, 0, 0, -1, 0], \
                     [0, 1, 0, 0, 0, -1, 0], [0, 1, 0, 0, 0, -1, 0], [0, 1, 0, 0, 0, -1, 0]]";

#[test]
fn every_number_of_the_chapter_is_found_and_holds() {
    assert_eq!(
        NUMBERS.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
        ITEMS.iter().map(|i| i.name).collect::<Vec<_>>()
    );
    for (name, numbers) in NUMBERS {
        let answer = Item::find(name).unwrap().answer().unwrap();
        for finding in &answer.findings {
            assert!(finding.holds, "{name}: {}: {} for {}", finding.what, finding.found, finding.expected);
        }
        for (what, value) in *numbers {
            let found = answer.findings.iter().find(|finding| finding.what.contains(what));
            let found = found.unwrap_or_else(|| panic!("{name} says nothing of '{what}'"));
            assert_eq!(&found.found, value, "{name}: {what}");
        }
        assert!(!answer.figures.is_empty(), "{name} shows nothing");
    }
}

#[test]
fn a_number_that_is_off_by_one_in_its_last_digit_does_not_hold() {
    let mut answer = Answer::new();
    answer.digits("rounded up", 0.03651, "0.037");
    answer.array("equal", &ndarray::array![1.0, -1.0], &ndarray::array![1.0, -1.0]);
    assert!(answer.all_hold());
    let wrong: [&dyn Fn(&mut Answer); 6] = [
        &|answer| answer.digits("digit", 0.03651, "0.036"),
        &|answer| answer.digits("nan", f64::NAN, "1"),
        &|answer| answer.array("cell", &ndarray::array![1.0, -1.0], &ndarray::array![1.0, -1.001]),
        &|answer| answer.array("shape", &ndarray::array![1.0, 1.0], &ndarray::array![1.0]),
        &|answer| answer.at_most("size", f64::NAN, 1.0),
        &|answer| answer.holds("word", "yes", "no"),
    ];
    for check in wrong {
        let mut answer = answer.clone();
        check(&mut answer);
        assert!(!answer.all_hold(), "{:?}", answer.findings.last());
    }
}

#[test]
fn each_answer_is_a_short_file_that_begins_with_its_question() {
    for item in ITEMS {
        assert!(item.source.lines().count() <= 120, "{} is too long to read", item.name);
        let number = item.name.replace('-', " ");
        assert!(item.title().to_lowercase().starts_with(&number), "{}", item.title());
        assert!(!item.question().is_empty(), "{} has no question", item.name);
        assert!(item.code().starts_with("use ") && !item.code().contains("//!"));
    }
}
