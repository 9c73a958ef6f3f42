//! Every other cell of a row.

use pulp::Simd;

/// `out[i] = cells[2 · i]`. The compiler makes single moves of this where rows are short; for f32 it is done in
/// registers where the processor has them.
#[inline(always)]
pub(crate) fn halve_f32<S: Simd>(simd: S, cells: &[f32], out: &mut [f32]) {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    if let Some(simd) = x86::of(simd) {
        return match out.len() {
            0..=3 => halve_plain(simd, cells, out),
            4..=8 => x86::halve_fours(simd, cells, out),
            _ => x86::halve_eights(simd, cells, out),
        };
    }
    halve_plain(simd, cells, out);
}

/// The same for any element.
#[inline(always)]
pub(crate) fn halve_plain<T: Copy, S: Simd>(_: S, cells: &[T], out: &mut [T]) {
    let (pairs, _) = cells.as_chunks::<2>();
    let whole = out.len().min(pairs.len());
    out[..whole].iter_mut().zip(pairs).for_each(|(o, pair)| *o = pair[0]);
    if whole < out.len() {
        out[whole] = cells[2 * whole];
    }
}

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
mod x86 {
    use std::any::Any;

    use pulp::x86::{V3, V4};
    use pulp::{Simd, cast};

    use super::halve_plain;

    /// The instructions that are needed, if `simd` has them; known when this is compiled.
    #[inline(always)]
    pub fn of(simd: impl Simd) -> Option<V3> {
        let simd = &simd as &dyn Any;
        simd.downcast_ref::<V4>().map(|wide| **wide).or_else(|| simd.downcast_ref::<V3>().copied())
    }

    #[inline(always)]
    pub fn halve_fours(simd: V3, cells: &[f32], out: &mut [f32]) {
        let sse = simd.sse;
        let halve = |pair: &[f32; 8], is_odd: bool| -> [f32; 4] {
            let [a, b]: [[f32; 4]; 2] = cast(*pair);
            cast(if is_odd {
                sse._mm_shuffle_ps::<0xdd>(cast(a), cast(b))
            } else {
                sse._mm_shuffle_ps::<0x88>(cast(a), cast(b))
            })
        };
        halve_chunks(simd, cells, out, halve);
    }

    #[inline(always)]
    pub fn halve_eights(simd: V3, cells: &[f32], out: &mut [f32]) {
        let (avx, avx2) = (simd.avx, simd.avx2);
        let halve = |pair: &[f32; 16], is_odd: bool| -> [f32; 8] {
            let [a, b]: [[f32; 8]; 2] = cast(*pair);
            // Within each half of the registers; then the middle quarters change places.
            let halves = if is_odd {
                avx._mm256_shuffle_ps::<0xdd>(cast(a), cast(b))
            } else {
                avx._mm256_shuffle_ps::<0x88>(cast(a), cast(b))
            };
            cast(avx2._mm256_permute4x64_pd::<0xd8>(cast(halves)))
        };
        halve_chunks(simd, cells, out, halve);
    }

    /// `halve` takes the first or the second of each pair. The last chunk overlaps the one before it; if the row ends
    /// with the first of a pair, that is the second of pairs which begin a cell earlier.
    #[inline(always)]
    fn halve_chunks<const N: usize, const PAIR: usize>(
        simd: V3,
        cells: &[f32],
        out: &mut [f32],
        halve: impl Fn(&[f32; PAIR], bool) -> [f32; N],
    ) {
        let rest = out.len() - N;
        for (out, pairs) in out.as_chunks_mut::<N>().0.iter_mut().zip(cells.as_chunks::<PAIR>().0) {
            *out = halve(pairs, false);
        }
        let last = &mut out[rest..];
        if let Some(pairs) = cells[2 * rest..].first_chunk() {
            last.copy_from_slice(&halve(pairs, false));
        } else if let Some(pairs) = cells[(2 * rest).max(1) - 1..].first_chunk().filter(|_| rest > 0) {
            last.copy_from_slice(&halve(pairs, true));
        } else {
            halve_plain(simd, &cells[2 * rest..], last);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pulp::WithSimd;

    struct Check<'a>(&'a [f32], &'a mut [f32]);

    impl WithSimd for Check<'_> {
        type Output = ();

        fn with_simd<S: Simd>(self, simd: S) {
            halve_f32(simd, self.0, self.1);
        }
    }

    #[test]
    fn every_other_cell_is_kept_whether_the_row_ends_with_a_pair_or_not() {
        let cells: Vec<f32> = (0..140).map(|i| i as f32).collect();
        for arch in [crate::simd::arch(), crate::simd::narrow_arch(), pulp::Arch::Scalar] {
            for count in 0..70_usize {
                for more in 0..2 {
                    let mut out = vec![-1.0; count + 1];
                    arch.dispatch(Check(&cells[..(2 * count + more).saturating_sub(1)], &mut out[..count]));
                    let expected = (0..count).map(|i| 2.0 * i as f32).chain([-1.0]);
                    assert!(out.iter().copied().eq(expected), "{count} of {} cells: {out:?}", 2 * count + more - 1);
                }
            }
        }
    }
}
