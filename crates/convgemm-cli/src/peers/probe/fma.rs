//! The peak of multiply-adds: chains of them in registers, as many side by side as hide their latency.
//! `pulp` compiles the loop for each set of instructions and says which of them this processor has.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Duration;

use pulp::{Simd, WithSimd};

/// Independent chains: two units of latency 4 to 5 need 8 to 10, and sixteen registers must hold them.
const CHAINS: usize = 12;
/// Steps of each chain in one run: half a millisecond, beside which the start of threads is nothing.
const STEPS: usize = 200_000;

/// GFLOP/s in f32 for each set of instructions that there is.
pub fn peaks(threads: usize, time: Duration) -> BTreeMap<String, f64> {
    let mut found = BTreeMap::new();
    let mut add = |name: &str, peak: f64| found.insert(name.to_owned(), peak);
    #[cfg(target_arch = "x86_64")]
    {
        use pulp::x86::{V3, V4};
        if let Some(simd) = V4::try_new() {
            add("avx512f", peak(simd, threads, time));
        }
        if let Some(simd) = V3::try_new() {
            add("avx2+fma", peak(simd, threads, time));
        }
    }
    #[cfg(target_arch = "aarch64")]
    if let Some(simd) = pulp::aarch64::Neon::try_new() {
        add("neon", peak(simd, threads, time));
    }
    if found.is_empty() {
        found.insert("baseline".to_owned(), peak(pulp::Scalar::new(), threads, time));
    }
    found
}

fn peak<S: Simd>(simd: S, threads: usize, time: Duration) -> f64 {
    let flops = 2.0 * (CHAINS * STEPS * S::F32_LANES) as f64;
    super::best_rate(threads, time, flops, |_| {
        black_box(simd.vectorize(Chains { factor: black_box(0.999), addend: black_box(0.001) }));
    }) / 1e9
}

struct Chains {
    factor: f32,
    addend: f32,
}

impl WithSimd for Chains {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f32 {
        let (factor, addend) = (simd.splat_f32s(self.factor), simd.splat_f32s(self.addend));
        let mut chains = [factor; CHAINS];
        for _ in 0..STEPS {
            for chain in &mut chains {
                *chain = simd.mul_add_f32s(*chain, factor, addend);
            }
        }
        chains.into_iter().map(|chain| simd.reduce_sum_f32s(chain)).sum()
    }
}
