//! Cells of even and of odd number, each in a register.

use pulp::{Simd, bytemuck};

use super::MOST_LANES;

/// Those of the first cells, twice as many as a register has lanes. The compiler makes single moves of this; for f32
/// it is done in registers where the processor has them.
#[inline(always)]
pub(crate) fn split_f32<S: Simd>(simd: S, cells: &[f32]) -> [S::f32s; 2] {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    if let Some([even, odd]) = x86::split_wide(simd, cells) {
        return [bytemuck::cast(even), bytemuck::cast(odd)];
    } else if let Some([even, odd]) = x86::split_half(simd, cells) {
        return [bytemuck::cast(even), bytemuck::cast(odd)];
    }
    let [even, odd] = parted(&cells[..2 * S::F32_LANES]);
    let register = |cells: &[f32]| S::as_simd_f32s(&cells[..S::F32_LANES]).0[0];
    [register(&even), register(&odd)]
}

/// The same for f64.
#[inline(always)]
pub(crate) fn split_f64<S: Simd>(_: S, cells: &[f64]) -> [S::f64s; 2] {
    let [even, odd] = parted(&cells[..2 * S::F64_LANES]);
    let register = |cells: &[f64]| S::as_simd_f64s(&cells[..S::F64_LANES]).0[0];
    [register(&even), register(&odd)]
}

#[inline(always)]
fn parted<T: Copy + Default>(cells: &[T]) -> [[T; MOST_LANES]; 2] {
    let mut parted = [[T::default(); MOST_LANES]; 2];
    for (lane, pair) in cells.as_chunks::<2>().0.iter().enumerate() {
        (parted[0][lane], parted[1][lane]) = (pair[0], pair[1]);
    }
    parted
}

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
mod x86 {
    use std::any::Any;

    #[cfg(target_arch = "x86")]
    use std::arch::x86::{__m256, __m512, __m512i};
    #[cfg(target_arch = "x86_64")]
    use std::arch::x86_64::{__m256, __m512, __m512i};

    use pulp::x86::{V3, V4};
    use pulp::{Simd, cast};

    const EVEN: [u32; 16] = [0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30];
    const ODD: [u32; 16] = [1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31];

    /// With registers of sixteen cells; `None` where there are none, which is known when this is compiled.
    #[inline(always)]
    pub fn split_wide(simd: impl Simd, cells: &[f32]) -> Option<[[f32; 16]; 2]> {
        let avx = (&simd as &dyn Any).downcast_ref::<V4>()?.avx512f;
        let (cells, _) = cells[..32].as_chunks::<16>();
        let [low, high]: [__m512; 2] = [cast(cells[0]), cast(cells[1])];
        let [even, odd]: [__m512i; 2] = [cast(EVEN), cast(ODD)];
        Some([cast(avx._mm512_permutex2var_ps(low, even, high)), cast(avx._mm512_permutex2var_ps(low, odd, high))])
    }

    /// The same with registers of eight cells: within each half; then the middle quarters change places.
    #[inline(always)]
    pub fn split_half(simd: impl Simd, cells: &[f32]) -> Option<[[f32; 8]; 2]> {
        let V3 { avx, avx2, .. } = *(&simd as &dyn Any).downcast_ref::<V3>()?;
        let (cells, _) = cells[..16].as_chunks::<8>();
        let [low, high]: [__m256; 2] = [cast(cells[0]), cast(cells[1])];
        let even = avx._mm256_shuffle_ps::<0x88>(low, high);
        let odd = avx._mm256_shuffle_ps::<0xdd>(low, high);
        Some([
            cast(avx2._mm256_permute4x64_pd::<0xd8>(cast(even))),
            cast(avx2._mm256_permute4x64_pd::<0xd8>(cast(odd))),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pulp::WithSimd;

    struct Check<'a>(&'a [f32], &'a [f64]);

    impl WithSimd for Check<'_> {
        type Output = ();

        fn with_simd<S: Simd>(self, simd: S) {
            assert!(S::F32_LANES <= MOST_LANES && S::F64_LANES <= MOST_LANES);
            for (first, half) in split_f32(simd, self.0).into_iter().enumerate() {
                let cells: &[f32] = bytemuck::cast_slice(std::slice::from_ref(&half));
                assert!(cells.iter().enumerate().all(|(lane, &cell)| cell == self.0[2 * lane + first]), "{cells:?}");
            }
            for (first, half) in split_f64(simd, self.1).into_iter().enumerate() {
                let cells: &[f64] = bytemuck::cast_slice(std::slice::from_ref(&half));
                assert!(cells.iter().enumerate().all(|(lane, &cell)| cell == self.1[2 * lane + first]), "{cells:?}");
            }
        }
    }

    #[test]
    fn cells_of_even_and_of_odd_number_part() {
        let singles: Vec<f32> = (0..32).map(|i| i as f32).collect();
        let doubles: Vec<f64> = (0..32).map(f64::from).collect();
        for arch in [crate::simd::arch(), crate::simd::narrow_arch(), pulp::Arch::Scalar] {
            arch.dispatch(Check(&singles, &doubles));
        }
    }
}
