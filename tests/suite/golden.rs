//! Outputs and gradients of PyTorch, made by `tests/golden/make.py`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;

use convgemm::Element;
use ndarray::{Array1, ArrayD};
use ndarray_npy::{NpzReader, ReadableElement};

use crate::common::cases::{Case, Pad};
use crate::common::library::{self, How};
use crate::common::oracle::{Border, Expected, bias_grad};
use crate::common::tolerance::assert_close;

/// All arrays of a file, those of integers apart.
struct Golden<T> {
    integers: BTreeMap<String, ArrayD<i64>>,
    values: BTreeMap<String, ArrayD<T>>,
}

impl<T: Element + ReadableElement> Golden<T> {
    fn read(file: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file);
        let mut archive = NpzReader::new(File::open(path).expect("the golden file")).expect("an npz file");
        let (mut integers, mut values) = (BTreeMap::new(), BTreeMap::new());
        for name in archive.names().expect("names") {
            if let Ok(array) = archive.by_name(&name) {
                integers.insert(name, array);
            } else {
                let array = archive.by_name(&name).unwrap_or_else(|error| panic!("{name}: {error}"));
                values.insert(name, array);
            }
        }
        Self { integers, values }
    }

    /// Names of the cases that have an array `key`.
    fn cases(&self, key: &str) -> Vec<String> {
        let with_key =
            |name: &String| name.split_once('/').filter(|&(_, found)| found == key).map(|(case, _)| case.to_owned());
        self.values.keys().filter_map(with_key).collect::<BTreeSet<_>>().into_iter().collect()
    }

    fn integers(&self, case: &str, key: &str) -> Vec<usize> {
        self.integers[&format!("{case}/{key}")].iter().map(|&n| usize::try_from(n).expect("not negative")).collect()
    }

    fn value(&self, case: &str, key: &str) -> Option<&ArrayD<T>> {
        self.values.get(&format!("{case}/{key}"))
    }

    fn get(&self, case: &str, key: &str) -> &ArrayD<T> {
        self.value(case, key).unwrap_or_else(|| panic!("{case} has no {key}"))
    }

    fn padding(&self, case: &str) -> Pad {
        Pad::Explicit(self.integers(case, "padding").chunks(2).map(|pair| (pair[0], pair[1])).collect())
    }

    fn case(&self, name: &str) -> Case {
        let [transposed, mode, groups] = self.integers(name, "meta")[..] else { panic!("{name}: three numbers") };
        let (x, w) = (self.get(name, "x"), self.get(name, "w"));
        let borders = [Border::Zeros, Border::Reflect, Border::Replicate, Border::Circular];
        let case = Case::new(name, x.shape(), w.shape());
        Case { transposed: transposed == 1, bias: self.value(name, "bias").is_some(), ..case }
            .stride(&self.integers(name, "stride"))
            .dilation(&self.integers(name, "dilation"))
            .padding(self.padding(name))
            .output_padding(&self.integers(name, "output_padding"))
            .border(borders[mode])
            .groups(groups)
    }
}

/// PyTorch's value with twice the bound of one computation, since it has roundings of its own.
fn expected<T: Element>(value: &ArrayD<T>, exact: &Expected) -> Expected {
    let (magnitude, ceiling) = (&exact.magnitude * 2.0, exact.ceiling * 2.0);
    Expected { value: value.mapv(|v| v.to_f64()), magnitude, ceiling, terms: exact.terms }
}

fn check<T: Element + ReadableElement>(file: &str, least: usize) {
    let golden = Golden::<T>::read(file);
    let cases = golden.cases("y");
    assert!(cases.len() >= least, "{} cases in {file}", cases.len());
    for name in cases {
        let (case, get) = (golden.case(&name), |key| golden.get(&name, key));
        let definition = case.definition();
        let content = |key| get(key).mapv(|v| v.to_f64());
        let (x, w, dy) = (content("x"), content("w"), content("dy"));
        let bias = golden.value(&name, "bias").map(|bias| Array1::from_iter(bias.iter().copied()));
        let wide_bias = bias.as_ref().map(|bias| bias.mapv(|v| v.to_f64()));
        let forward = definition.forward(&x, &w, wide_bias.as_ref());
        let input_grad = definition.input_grad(&w, &dy);
        let weight_grad = definition.weight_grad(&x, &dy);
        // The oracle is held to PyTorch as well.
        let exact = [("y", &forward), ("dx", &input_grad), ("dw", &weight_grad)];
        for (key, exact) in exact {
            let rounded = exact.value.mapv(T::from_f64);
            assert_close(rounded.view(), &expected(get(key), exact), format_args!("the oracle's {key} of {name}"));
        }
        let view = |key| get(key).view();
        for how in How::all(&case) {
            let results = [
                library::forward(&case, how, view("x"), view("w"), bias.as_ref()),
                library::input_grad(&case, how, view("w"), view("dy")),
                library::weight_grad(&case, how, view("x"), view("dy")),
            ];
            for (result, (key, exact)) in results.into_iter().zip(exact) {
                let context = format!("{key} of {name} {} {how:?}", T::NAME);
                let found = result.unwrap_or_else(|error| panic!("{context}: {error}"));
                assert_close(found.view(), &how.judged(&expected(get(key), exact)), context);
            }
        }
        if let Some(db) = golden.value(&name, "db") {
            let found = library::bias_grad(&case, view("dy"));
            assert_close(found.view(), &expected(db, &bias_grad(&dy)), format_args!("bias gradient of {name}"));
        }
    }
}

#[test]
fn every_operation_agrees_with_pytorch_in_f64() {
    check::<f64>("f64.npz", 43);
}

#[test]
fn every_operation_agrees_with_pytorch_in_f32() {
    check::<f32>("f32.npz", 5);
}

#[test]
fn unfold_and_fold_agree_with_pytorch() {
    let golden = Golden::<f64>::read("f64.npz");
    let cases = golden.cases("columns");
    assert_eq!(cases.len(), 2);
    for name in cases {
        let (x, kernel) = (golden.get(&name, "x"), golden.integers(&name, "kernel"));
        let case = Case::new(&name, x.shape(), &[&[1, x.shape()[1]], &kernel[..]].concat())
            .stride(&golden.integers(&name, "stride"))
            .dilation(&golden.integers(&name, "dilation"))
            .padding(golden.padding(&name));
        let columns = golden.get(&name, "columns");
        assert_eq!(library::unfold_case(&case, x.view()).as_ref(), Ok(columns), "{name}");
        let folded = library::fold_case(&case, columns.view()).expect("possible");
        let exact = case.definition().fold(columns);
        assert_close(folded.view(), &expected(golden.get(&name, "folded"), &exact), &name);
    }
}

#[test]
fn the_golden_files_stay_small() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let bytes: u64 = std::fs::read_dir(folder)
        .expect("the golden files")
        .map(|entry| entry.and_then(|entry| entry.metadata()).expect("a file").len())
        .sum();
    assert!(bytes < 1 << 20, "{bytes} bytes");
}
