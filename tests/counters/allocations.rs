//! `run_into` allocates nothing of its own.
//!
//! The `gemm` crate packs its operands in buffers that it allocates for each product, and OpenBLAS in
//! memory that it keeps and Rust does not see. So with OpenBLAS the count must be zero, and with `gemm` at
//! most what its products ask for.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use convgemm::{Algorithm, Backend, ConvOptions, ConvPlan, Padding, WeightGradPlan, dense_calls};
use ndarray::{Array1, Array4};

use crate::{alone, in_one_thread};

/// The system's allocator, which counts for each thread.
struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator unchanged; counting touches no memory of the caller and
// does not allocate, for the counter is initialised at compile time.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of `alloc`, which is that of the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above; all memory comes from the system's allocator.
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count() {
    // A thread that is ending has no counter any more.
    let _ = COUNT.try_with(|count| count.set(count.get() + 1));
}

/// Allocations of this thread in `work`, and dense products in it.
fn counted(work: impl FnOnce()) -> (u64, u64) {
    let calls = || {
        let calls = dense_calls();
        calls.gemm + calls.openblas
    };
    let (count, products) = (COUNT.with(Cell::get), calls());
    work();
    (COUNT.with(Cell::get) - count, calls() - products)
}

/// The `gemm` crate's own buffers for one product: the packed left and right operands, and one spare.
const BUFFERS_A_PRODUCT: u64 = 3;

fn filled(mut array: Array4<f32>) -> Array4<f32> {
    array.iter_mut().enumerate().for_each(|(i, value)| *value = (i % 17) as f32 - 8.0);
    array
}

/// Checks `run` after a first run, in which the libraries may set up what they keep.
fn check(context: &str, backend: Backend, mut run: impl FnMut()) {
    run();
    let (allocations, products) = counted(run);
    let allowed = if backend == Backend::OpenBlas { 0 } else { products * BUFFERS_A_PRODUCT };
    assert!(allocations <= allowed, "{context}: {allocations} allocations in {products} dense products");
}

fn algorithms(is_pointwise: bool) -> impl Iterator<Item = (Algorithm, Backend)> {
    let algorithms =
        Algorithm::ALL.into_iter().filter(move |&algorithm| is_pointwise || algorithm != Algorithm::Pointwise);
    algorithms.flat_map(|algorithm| {
        let backends = [Backend::Gemm, Backend::OpenBlas].into_iter().filter(|backend| backend.is_available());
        backends.map(move |backend| (algorithm, backend))
    })
}

/// Not every algorithm can compute gradients.
fn possible<P>(plan: convgemm::Result<P>) -> Option<P> {
    match plan {
        Err(convgemm::Error::Unsupported { .. }) => None,
        plan => Some(plan.expect("a possible plan")),
    }
}

#[test]
fn the_counter_counts() {
    let _alone = alone();
    let (allocations, products) = counted(|| drop(std::hint::black_box(vec![1, 2, 3])));
    assert_eq!((allocations, products), (1, 0));
}

#[test]
fn a_plan_runs_without_allocations_of_its_own() {
    let _alone = alone();
    in_one_thread(|| {
        let bias = Array1::<f32>::ones(24);
        for (kernel, padding, stride) in [(3, 1, 1), (1, 0, 1), (5, 2, 2)] {
            let shape = [2, 16, 20, 18];
            let options =
                ConvOptions::<2>::new().padding(Padding::symmetric([padding, padding])).stride([stride, stride]);
            let weight = filled(Array4::zeros((24, 16, kernel, kernel)));
            for (algorithm, backend) in algorithms(kernel == 1) {
                let options = options.algorithm(algorithm).backend(backend).workspace_bytes(64 << 10);
                let context = format!("{algorithm} {backend} {kernel}×{kernel}");
                let Some(plan) = possible(ConvPlan::conv(shape, &weight, Some(&bias), &options)) else { continue };
                let x = filled(Array4::zeros(shape));
                let mut y = plan.run(&x).unwrap();
                let mut workspace = vec![f32::NAN; plan.workspace_len()];
                check(&format!("forward {context}"), backend, || plan.run_into(&x, &mut y, &mut workspace).unwrap());

                let Some(plan) = possible(ConvPlan::input_grad(shape, &weight, &options)) else { continue };
                let dy = filled(y);
                let mut dx = plan.run(&dy).unwrap();
                let mut workspace = vec![f32::NAN; plan.workspace_len()];
                check(&format!("input gradient {context}"), backend, || {
                    plan.run_into(&dy, &mut dx, &mut workspace).unwrap();
                });

                let plan = WeightGradPlan::<f32, 2>::conv(shape, [24, 16, kernel, kernel], &options);
                let Some(plan) = possible(plan) else { continue };
                let mut dw = plan.run(&x, &dy).unwrap();
                let mut workspace = vec![f32::NAN; plan.workspace_len()];
                check(&format!("weight gradient {context}"), backend, || {
                    plan.run_into(&x, &dy, &mut dw, &mut workspace).unwrap();
                });
            }
        }
    });
}

#[test]
fn direct_allocates_nothing_whatever_the_backend() {
    let _alone = alone();
    in_one_thread(|| {
        let options = ConvOptions::<2>::new().algorithm(Algorithm::Direct).groups(4);
        let weight = filled(Array4::zeros((8, 2, 3, 3)));
        let plan = ConvPlan::conv([2, 8, 9, 9], &weight, None, &options).unwrap();
        let x = filled(Array4::zeros((2, 8, 9, 9)));
        let (mut y, mut workspace) = (plan.run(&x).unwrap(), vec![0.0; plan.workspace_len()]);
        let (allocations, products) = counted(|| plan.run_into(&x, &mut y, &mut workspace).unwrap());
        assert_eq!((allocations, products), (0, 0));
    });
}

#[test]
fn channels_last_arrays_cost_no_allocation_either() {
    let _alone = alone();
    in_one_thread(|| {
        let last = |channels| filled(Array4::zeros((2, 12, 10, channels))).permuted_axes([0, 3, 1, 2]);
        let options = ConvOptions::<2>::new().padding(Padding::symmetric([1, 1]));
        let weight = filled(Array4::zeros((8, 6, 3, 3)));
        for (algorithm, backend) in algorithms(false) {
            let options = options.algorithm(algorithm).backend(backend);
            let Some(plan) = possible(ConvPlan::conv([2, 6, 12, 10], &weight, None, &options)) else { continue };
            let (x, mut y, mut workspace) = (last(6), last(8), vec![0.0; plan.workspace_len()]);
            check(&format!("channels last {algorithm} {backend}"), backend, || {
                plan.run_into(&x, &mut y, &mut workspace).unwrap();
            });
        }
    });
}
