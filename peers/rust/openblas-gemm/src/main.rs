//! No engine but a bound: OpenBLAS's dense product of the size that a layer has after im2col, for each group, on
//! matrices that are there already. What is computed is not the convolution.

use std::ffi::{CStr, c_char, c_int};

use anyhow::Result;
use cblas_sys::{CblasNoTrans, CblasRowMajor, CblasTrans, cblas_sgemm};
use peer::{Case, Op, Peer, Ready};

// The system's, which `cblas_sys` only declares.
#[link(name = "openblas")]
unsafe extern "C" {
    fn openblas_set_num_threads(threads: c_int);
    fn openblas_get_config() -> *const c_char;
    fn openblas_get_corename() -> *const c_char;
}

fn main() -> Result<()> {
    peer::run(|threads| {
        // SAFETY: both return text that lives as long as the library; setting threads is always allowed.
        let (config, core) = unsafe {
            openblas_set_num_threads(c_int::try_from(threads).unwrap_or(c_int::MAX));
            (CStr::from_ptr(openblas_get_config()), CStr::from_ptr(openblas_get_corename()))
        };
        let config = config.to_string_lossy();
        let version = config.split_whitespace().nth(1).unwrap_or("unknown").to_owned();
        Peer { name: "openblas-gemm", version, features: vec![core.to_string_lossy().into_owned()], prepare }
    })
}

fn prepare(case: Case, _: usize) -> Result<Ready> {
    let product = Product::of(&case)?;
    let groups = case.layer.groups;
    // Values of the layer's own size, repeated.
    let values = [&case.input, &case.weight, &case.grad_output].into_iter().flatten().copied();
    let values: Vec<f32> = values.collect();
    let matrix = |len: usize| -> Vec<f32> { values.iter().copied().cycle().take(len).collect() };
    let (a, b) = (matrix(groups * product.m * product.k), matrix(groups * product.k * product.n));
    let len = groups * product.m * product.n;
    let run = move |last: Option<Vec<f32>>| {
        let mut c = last.unwrap_or_else(|| vec![0.0; len]);
        let of_groups = a.chunks_exact(product.m * product.k).zip(b.chunks_exact(product.k * product.n));
        for ((a, b), c) in of_groups.zip(c.chunks_exact_mut(product.m * product.n)) {
            product.compute(a, b, c);
        }
        Ok(c)
    };
    let shape = vec![groups * product.m, product.n];
    Ok(Ready::new("sgemm", shape, run, |c: &Vec<f32>| Ok(c.clone())))
}

/// `m×k` times `k×n`, one of which may be transposed in memory as im2col's products have it.
#[derive(Clone, Copy)]
struct Product {
    m: usize,
    n: usize,
    k: usize,
    a_transposed: bool,
    b_transposed: bool,
}

impl Product {
    fn of(case: &Case) -> Result<Self> {
        let layer = &case.layer;
        let channels = layer.out_channels / layer.groups;
        let taps: usize = layer.weight_shape()[1..].iter().product();
        let pixels = case.batch * layer.output_size().iter().product::<usize>();
        let (m, n, k, a_transposed, b_transposed) = match case.op {
            Op::InputGrad => (taps, pixels, channels, true, false),
            Op::WeightGrad => (channels, taps, pixels, false, true),
            Op::Conv | Op::ConvTranspose => (channels, pixels, taps, false, false),
        };
        for length in [m, n, k] {
            // What its interface counts with.
            c_int::try_from(length)?;
        }
        Ok(Self { m, n, k, a_transposed, b_transposed })
    }

    fn compute(self, a: &[f32], b: &[f32], c: &mut [f32]) {
        let Self { m, n, k, .. } = self;
        assert!(a.len() == m * k && b.len() == k * n && c.len() == m * n);
        let transposition = |is| if is { CblasTrans } else { CblasNoTrans };
        let (a_order, b_order) = (transposition(self.a_transposed), transposition(self.b_transposed));
        let (lda, ldb) = (if self.a_transposed { m } else { k }, if self.b_transposed { k } else { n });
        let int = |length: usize| length as c_int;
        // SAFETY: the slices have the lengths of the matrices, whose rows lie one after the other; lengths fit
        // `c_int`, as `of` has seen.
        unsafe {
            cblas_sgemm(
                CblasRowMajor,
                a_order,
                b_order,
                int(m),
                int(n),
                int(k),
                1.0,
                a.as_ptr(),
                int(lda),
                b.as_ptr(),
                int(ldb),
                0.0,
                c.as_mut_ptr(),
                int(n),
            );
        }
    }
}
