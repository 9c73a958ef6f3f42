//! What is not finite spreads to the sums that it is a term of, and no further.

use ndarray::{ArrayD, Dimension};

use crate::common::cases::{Case, Data};
use crate::common::library::{self, How};
use crate::common::views::{Held, Layout};

fn cases() -> Vec<Case> {
    vec![
        Case::new("plain", &[2, 3, 9, 8], &[5, 3, 3, 3]).pad(&[1, 1]).bias(),
        Case::new("strided and dilated", &[1, 4, 11, 13], &[6, 2, 3, 2]).groups(2).stride(&[2, 3]).dilation(&[2, 1]),
        Case::new("squares apart", &[1, 6, 5, 7], &[6, 1, 3, 3]).groups(6).pad(&[1, 1]),
        Case::new("squares apart by two", &[1, 6, 9, 20], &[6, 1, 5, 5]).groups(6).stride(&[2, 2]).pad(&[2, 2]),
        Case::new("pointwise", &[2, 17, 5, 7], &[9, 17, 1, 1]),
        Case::new("reflect", &[1, 2, 6, 7], &[3, 2, 3, 3]).pad(&[2, 1]).border(crate::common::oracle::Border::Reflect),
        Case::transposed("transposed", &[1, 3, 5, 6], &[3, 4, 3, 3]).stride(&[2, 2]),
        Case::new("line", &[1, 8, 70], &[9, 8, 3]).pad(&[1]),
        // Read without the zeros around it, unless a weight is not finite.
        Case::new("many channels", &[1, 34, 5, 20], &[33, 34, 3, 3]).pad(&[1, 1]),
    ]
}

/// Where the sums have the poisoned value as a term: where a single one there, all else zero, shows.
fn is_term(case: &Case, place: &[usize]) -> ArrayD<bool> {
    let mut one = ArrayD::<f64>::zeros(case.input.clone());
    one[place] = 1.0;
    let ones = ArrayD::from_elem(case.weight.clone(), 1.0);
    case.definition().forward(&one, &ones, None).magnitude.mapv(|count| count > 0.0)
}

#[test]
fn one_value_that_is_not_finite_changes_its_own_windows_and_no_other_bit() {
    for case in cases() {
        let clean = Data::<f32>::new(&case, [Layout::Standard; 3]);
        let cells: Vec<_> = ndarray::indices(clean.x.view().raw_dim()).into_iter().collect();
        for place in cells.iter().step_by(cells.len() / 9) {
            let place = place.as_array_view().to_vec();
            let hit = is_term(&case, &place);
            for poison in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
                let mut content = clean.x.content();
                content[place.as_slice()] = poison;
                let poisoned = Held::<f32>::new(Layout::Standard, &content);
                for how in How::strict(&case) {
                    let run = |x: &Held<f32>| {
                        library::forward(&case, how, x.view(), clean.w.view(), clean.bias.as_ref()).expect("possible")
                    };
                    let (before, after) = (run(&clean.x), run(&poisoned));
                    for (((index, &b), &a), &hit) in before.indexed_iter().zip(&after).zip(&hit) {
                        let context = || format!("{how:?} {poison} at {place:?}, output {index:?}\n  {case}");
                        if !hit {
                            assert_eq!(a.to_bits(), b.to_bits(), "{}", context());
                        } else if poison.is_nan() {
                            assert!(a.is_nan(), "{}", context());
                        } else {
                            assert!(!a.is_finite(), "{}", context());
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn one_weight_that_is_not_finite_changes_its_own_channel_and_no_other_bit() {
    // The second is wide enough for products with zeros to be left out.
    for case in [
        Case::new("weights", &[1, 3, 6, 7], &[9, 3, 3, 3]).pad(&[1, 1]),
        Case::new("weights of long rows", &[1, 33, 6, 14], &[64, 33, 3, 3]).pad(&[1, 1]),
    ] {
        let clean = Data::<f32>::new(&case, [Layout::Standard; 3]);
        let mut content = clean.w.content();
        content[[4, 1, 0, 2]] = f64::NAN;
        let poisoned = Held::<f32>::new(Layout::Standard, &content);
        for how in How::strict(&case) {
            let run = |w: &Held<f32>| library::forward(&case, how, clean.x.view(), w.view(), None).expect("possible");
            let (before, after) = (run(&clean.w), run(&poisoned));
            for ((index, b), a) in before.indexed_iter().zip(&after) {
                // Also where the weight meets the padding: a zero times it is not a zero.
                assert_eq!(a.is_nan(), index[1] == 4, "{how:?} {index:?}");
                assert!(index[1] == 4 || a.to_bits() == b.to_bits(), "{how:?} {index:?}");
            }
        }
    }
}

#[test]
fn gradients_spread_what_is_not_finite_to_its_own_cells_only() {
    for case in cases() {
        let clean = Data::<f64>::new(&case, [Layout::Standard; 3]);
        let mut content = clean.dy.content();
        let place: Vec<usize> = content.shape().iter().map(|&n| n / 2).collect();
        content[place.as_slice()] = f64::NAN;
        let poisoned = Held::<f64>::new(Layout::Standard, &content);
        let mut one = ArrayD::<f64>::zeros(content.shape());
        one[place.as_slice()] = 1.0;
        let ones = ArrayD::from_elem(case.weight.clone(), 1.0);
        let definition = case.definition();
        let inputs = ArrayD::from_elem(case.input.clone(), 1.0);
        let (hit_dx, hit_dw) = (definition.input_grad(&ones, &one), definition.weight_grad(&inputs, &one));
        let check = |context: &str, before: ArrayD<f64>, after: ArrayD<f64>, hit: &ArrayD<f64>| {
            for (((index, b), a), &hit) in before.indexed_iter().zip(&after).zip(hit) {
                let is_as_it_should = if hit > 0.0 { a.is_nan() } else { a.to_bits() == b.to_bits() };
                assert!(is_as_it_should, "{context} {index:?}: {b} became {a}\n  {case}");
            }
        };
        for how in How::strict(&case) {
            let dx = |dy: &Held<f64>| library::input_grad(&case, how, clean.w.view(), dy.view()).expect("possible");
            check(&format!("input gradient {how:?}"), dx(&clean.dy), dx(&poisoned), &hit_dx.magnitude);
            let dw = |dy: &Held<f64>| library::weight_grad(&case, how, clean.x.view(), dy.view()).expect("possible");
            check(&format!("weight gradient {how:?}"), dw(&clean.dy), dw(&poisoned), &hit_dw.magnitude);
        }
    }
}
