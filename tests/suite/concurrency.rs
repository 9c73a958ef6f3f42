//! Many callers at once, and callers that are tasks of a pool themselves.

use std::sync::Barrier;
use std::thread;

use convgemm::{ConvPlan, WeightGradPlan};
use ndarray::{Array4, ArrayD};
use rayon::prelude::*;

use crate::common::cases::{Case, Data};
use crate::common::library::{self, How, Operation};
use crate::common::pools;
use crate::common::tolerance::assert_same_bits;
use crate::common::views::Layout;

/// Calls of different shapes, algorithms and operations, and what each must give.
struct Calls {
    calls: Vec<(Case, How, Data<f32>)>,
    alone: Vec<[ArrayD<f32>; 3]>,
}

impl Calls {
    fn new() -> Self {
        let cases = [
            Case::new("first", &[2, 5, 12, 11], &[7, 5, 3, 3]).pad(&[1, 1]).bias(),
            Case::new("second", &[1, 8, 9, 9], &[16, 8, 1, 1]),
            Case::new("third", &[3, 4, 40], &[6, 2, 4]).groups(2).stride(&[2]),
            Case::transposed("fourth", &[2, 6, 6, 5], &[6, 4, 3, 3]).stride(&[2, 2]),
            Case::new("fifth", &[1, 3, 5, 6, 4], &[4, 3, 2, 3, 2]),
        ];
        let mut calls = vec![];
        for case in cases {
            let data = Data::new(&case, [Layout::Standard, Layout::ChannelsLast, Layout::Reversed]);
            calls.extend(How::all(&case).into_iter().map(|how| (case.clone(), how, data.clone())));
        }
        let alone = pools::with(1, || calls.iter().map(run).collect());
        Self { calls, alone }
    }

    fn check(&self, index: usize) {
        let (case, how, _) = &self.calls[index];
        for (found, alone) in run(&self.calls[index]).iter().zip(&self.alone[index]) {
            assert_same_bits(found, alone, format_args!("{how:?} {case}"));
        }
    }
}

fn run((case, how, data): &(Case, How, Data<f32>)) -> [ArrayD<f32>; 3] {
    let (x, w, dy) = (|| data.x.view(), || data.w.view(), || data.dy.view());
    [
        library::forward(case, *how, x(), w(), data.bias.as_ref()).expect("possible"),
        library::input_grad(case, *how, w(), dy()).expect("possible"),
        library::weight_grad(case, *how, x(), dy()).expect("possible"),
    ]
}

#[test]
fn many_threads_may_call_at_once() {
    let calls = Calls::new();
    let threads = 8;
    let start = Barrier::new(threads);
    thread::scope(|scope| {
        for thread in 0..threads {
            let (calls, start) = (&calls, &start);
            scope.spawn(move || {
                start.wait();
                // Each in another order, so that all mixtures occur.
                let count = calls.calls.len();
                (0..2 * count).for_each(|step| calls.check((step * (2 * thread + 1) + thread) % count));
            });
        }
    });
}

#[test]
fn callers_in_pools_of_different_sizes_do_not_disturb_each_other() {
    let calls = Calls::new();
    thread::scope(|scope| {
        for pool in pools::all() {
            let calls = &calls;
            scope.spawn(move || pool.install(|| (0..calls.calls.len()).for_each(|index| calls.check(index))));
        }
    });
}

#[test]
fn a_call_may_be_a_task_of_the_pool_that_it_uses() {
    let calls = Calls::new();
    for pool in pools::all() {
        pool.install(|| (0..4 * calls.calls.len()).into_par_iter().for_each(|i| calls.check(i % calls.calls.len())));
    }
}

#[test]
fn threads_may_share_a_plan() {
    fn is_shareable<T: Send + Sync>(_: &T) {}
    let case = Case::new("shared", &[2, 6, 11, 12], &[8, 6, 3, 3]).pad(&[1, 1]);
    let data = Data::<f64>::new(&case, [Layout::Standard; 3]);
    let four = |view: ndarray::ArrayViewD<'_, f64>| -> Array4<f64> { view.to_owned().into_dimensionality().unwrap() };
    let (x, w, dy) = (four(data.x.view()), four(data.w.view()), four(data.dy.view()));
    for how in How::all(&case) {
        let plan = ConvPlan::conv([2, 6, 11, 12], &w, None, &how.options::<2>(&case, Operation::Forward)).unwrap();
        let options = how.options::<2>(&case, Operation::WeightGrad);
        let grads = WeightGradPlan::conv([2, 6, 11, 12], [8, 6, 3, 3], &options).unwrap();
        is_shareable(&plan);
        is_shareable(&grads);
        let inputs: Vec<_> = (1..=6).map(|scale| &x * f64::from(1 << scale)).collect();
        let (first, first_grad) = (plan.run(&x).unwrap(), grads.run(&x, &dy).unwrap());
        thread::scope(|scope| {
            for (thread, input) in inputs.iter().enumerate() {
                let (plan, grads, first, first_grad, dy) = (&plan, &grads, &first, &first_grad, &dy);
                scope.spawn(move || {
                    // Powers of two scale every rounding with them.
                    let scale = f64::from(2 << thread);
                    let mut output = Array4::from_elem(first.dim(), f64::NAN);
                    let mut workspace = vec![f64::NAN; plan.workspace_len()];
                    for _ in 0..5 {
                        plan.run_into(input, &mut output, &mut workspace).unwrap();
                        assert_eq!(output, first * scale);
                        assert_eq!(grads.run(input, dy).unwrap(), first_grad * scale);
                    }
                });
            }
        });
    }
}
