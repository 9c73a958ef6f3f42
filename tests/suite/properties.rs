//! Random geometries. The seed is printed; `PROPTEST_RNG_SEED` repeats a run, `PROPTEST_CASES` lengthens it.

use std::fmt::Debug;

use convgemm::Element;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{RngSeed, TestRunner};

use crate::common::cases::{Case, Data, Layouts, any_case};
use crate::common::library::{How, Operation, can};
use crate::common::pools;
use crate::common::views::Layout;
use crate::differential::{Truth, check};

/// Random geometries a property, unless the environment asks for more.
pub const GEOMETRIES: u32 = 300;

/// Runs `property` on at least `least` values; a failure shows the smallest value and the seed.
pub fn explore<S: Strategy>(least: u32, strategy: S, property: impl Fn(S::Value) -> Result<(), TestCaseError>)
where
    S::Value: Debug,
{
    let mut config = ProptestConfig::default();
    let seed = match config.rng_seed {
        RngSeed::Fixed(seed) => seed,
        _ => std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |time| time.as_nanos() as u64),
    };
    config.rng_seed = RngSeed::Fixed(seed);
    config.cases = config.cases.max(least);
    config.failure_persistence = None;
    println!("PROPTEST_RNG_SEED={seed} PROPTEST_CASES={}", config.cases);
    if let Err(failure) = TestRunner::new(config).run(&strategy, property) {
        panic!("{failure}\nrepeat with PROPTEST_RNG_SEED={seed}");
    }
}

fn any_layouts() -> impl Strategy<Value = Layouts> {
    let any = || proptest::sample::select(Layout::ALL.to_vec());
    [any(), any(), any()]
}

fn agrees<T: Element>(case: &Case, layouts: Layouts, threads: usize) {
    let data = Data::<T>::new(case, layouts);
    let truth = Truth::new(case, &data);
    for how in How::all(case) {
        pools::with(threads, || check(case, how, &data, &truth, layouts));
    }
}

#[test]
fn every_algorithm_agrees_with_the_definition_on_random_geometries() {
    let threads = proptest::sample::select(pools::THREADS.to_vec());
    let any = (any_case(), any_layouts(), threads, any::<bool>());
    explore(GEOMETRIES, any, |(case, layouts, threads, is_double)| {
        if is_double {
            agrees::<f64>(&case, layouts, threads)
        } else {
            agrees::<f32>(&case, layouts, threads)
        }
        Ok(())
    });
}

/// What Winograd's algorithms compute along the width alone, but for strides and wide dilations.
fn is_row(case: &Case) -> bool {
    let [.., height, width] = [&[1][..], &case.weight[2..]].concat()[..] else { return false };
    (height, width) == (1, 3) && case.stride.iter().all(|&n| n == 1)
}

/// What Winograd's algorithms compute along height and width.
fn is_square(case: &Case) -> bool {
    can(convgemm::Algorithm::WinogradF2, Operation::Forward, case) && !is_row(case)
}

#[test]
fn random_cases_cover_what_they_should() {
    use crate::common::oracle::Border;
    let mut runner = TestRunner::new(ProptestConfig { rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() });
    let cases: Vec<Case> = (0..1000).map(|_| any_case().new_tree(&mut runner).expect("a case").current()).collect();
    let share = |which: fn(&Case) -> bool| cases.iter().filter(|case| which(case)).count();
    for (what, count) in [
        ("transposed", share(|case| case.transposed)),
        ("1-D", share(|case| case.rank() == 1)),
        ("3-D", share(|case| case.rank() == 3)),
        ("grouped", share(|case| case.groups > 1)),
        ("depthwise", share(|case| case.groups > 1 && case.weight[1] == 1)),
        ("an input gradient of many channels apart by more than one", share(is_strided_depthwise)),
        ("no image", share(|case| case.input[0] == 0)),
        ("mirrored", share(|case| case.border != Border::Zeros)),
        ("output padding", share(|case| case.output_padding.iter().any(|&n| n > 0))),
        ("strided", share(|case| case.stride.iter().any(|&n| n > 1))),
        ("rows of three taps", share(is_row)),
        ("squares of three or five taps", share(is_square)),
        ("dilated", share(|case| case.dilation.iter().any(|&n| n > 1))),
    ] {
        let least = if what.starts_with("an input gradient") { 30 } else { 100 };
        assert!(count >= least, "{what}: {count} of 1000");
    }
}

/// Whether an input gradient of `case` is one that `Depthwise` computes phase by phase.
fn is_strided_depthwise(case: &Case) -> bool {
    let operation = if case.transposed { Operation::Forward } else { Operation::InputGrad };
    case.stride.iter().any(|&n| n > 1) && can(convgemm::Algorithm::Depthwise, operation, case)
}
