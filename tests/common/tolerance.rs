//! When a result is right.
//!
//! A sum of `K` terms `t` in an arithmetic of unit roundoff `u` may differ from the exact one by
//! `u · (4 + √K) · Σ|t|`, for each element by its own sum of absolute terms. Errors of `K` roundings add
//! up like a random walk, hence the root; the proven bound has `K` in its place, and is taken where terms
//! repeat. A sum without terms must be exactly zero. On N(0, 1) data this is about `u · √K` of `max|y|`,
//! 100 to 1000 times tighter than the customary 1e-12 and 1e-4.

use std::fmt::Display;

use convgemm::Element;
use ndarray::{ArrayD, ArrayViewD, Dimension};

use super::oracle::Expected;

/// Unit roundoff, half the distance from 1 to the next number.
pub fn roundoff<T: Element>() -> f64 {
    T::epsilon().to_f64() / 2.0
}

/// Fails, with the first bad index, how many are bad and `context`, unless every element of `found` is
/// within the bound of this module.
pub fn assert_close<T: Element>(found: ArrayViewD<'_, T>, expected: &Expected, context: impl Display) {
    if let Err(difference) = compare(found, expected) {
        panic!("{context}\n  {difference}");
    }
}

/// Fails unless both arrays have the same shape and bits.
pub fn assert_same_bits<T: Element>(found: &ArrayD<T>, expected: &ArrayD<T>, context: impl Display) {
    assert_eq!(found.shape(), expected.shape(), "{context}");
    let bits = |value: T| value.to_f64().to_bits();
    let differ = found.iter().zip(expected).filter(|&(&f, &e)| bits(f) != bits(e)).count();
    assert_eq!(differ, 0, "{context}: {differ} of {} values have other bits", found.len());
}

/// The text of an `Err` says where and by how much `found` is wrong.
pub fn compare<T: Element>(found: ArrayViewD<'_, T>, expected: &Expected) -> Result<(), String> {
    if found.shape() != expected.value.shape() {
        return Err(format!("shape {:?}, expected {:?}", found.shape(), expected.value.shape()));
    }
    let unit = roundoff::<T>() * (4.0 + (expected.terms as f64).sqrt());
    let mut bad = 0;
    let mut first = None;
    for (((index, &found), &value), &magnitude) in found.indexed_iter().zip(&expected.value).zip(&expected.magnitude) {
        let (found, allowed) = (found.to_f64(), unit * magnitude);
        let error = (found - value).abs();
        if error.is_nan() || error > allowed {
            bad += 1;
            first.get_or_insert_with(|| {
                format!("first at {:?}: {found:e}, expected {value:e} ± {allowed:.1e}", index.slice())
            });
        }
    }
    match first {
        None => Ok(()),
        Some(first) => Err(format!("{bad} of {} elements wrong, {first}", expected.value.len())),
    }
}

#[test]
fn the_comparison_fails_on_what_it_should() {
    let value = ArrayD::from_elem(vec![2, 3, 4], 1.0);
    let expected = Expected::new(value.clone(), value.clone(), 9);
    let verdict = |found: &ArrayD<f64>| compare(found.view(), &expected);
    assert_eq!(verdict(&value), Ok(()));
    let mut off = value.clone();
    off[[1, 2, 0]] += 8.0 * f64::EPSILON;
    off[[1, 2, 3]] = f64::NAN;
    let report = verdict(&off).expect_err("wrong");
    assert!(report.starts_with("2 of 24 elements wrong, first at [1, 2, 0]"), "{report}");
    assert!(verdict(&value.mapv(|_| f64::NAN)).is_err());
    assert!(verdict(&value.mapv(|_| f64::INFINITY)).is_err());
    assert!(verdict(&ArrayD::from_elem(vec![2, 4, 3], 1.0)).is_err());
    assert!(verdict(&ArrayD::from_elem(vec![24], 1.0)).is_err());
    let zero = Expected::new(&value * 0.0, &value * 0.0, 0);
    assert!(compare(ArrayD::from_elem(vec![2, 3, 4], 1e-300).view(), &zero).is_err());
}
