//! Turning rows into columns, a block at a time.

#![allow(
    clippy::needless_range_loop,
    reason = "loops of constant length over arrays become registers, iterators do not"
)]

/// Rows that are turned at a time.
pub(crate) const SIDE: usize = 16;

/// `to[column · step + i] = rows[i][column]` for all columns, of which each row has as many.
///
/// The compiler makes single moves of this; for f32 it is done in registers where the processor has wide ones.
pub(crate) fn turn_f32(rows: [&[f32]; SIDE], to: &mut [f32], step: usize) {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    match super::arch() {
        pulp::Arch::V4(simd) => return pulp::Simd::vectorize(simd, x86::Wide { simd, rows, to, step }),
        pulp::Arch::V3(simd) => return pulp::Simd::vectorize(simd, x86::Half { simd, rows, to, step }),
        _ => {}
    }
    turn_plain(rows, to, step);
}

/// The same for any element.
pub(crate) fn turn_plain<T: Copy>(rows: [&[T]; SIDE], to: &mut [T], step: usize) {
    turn_blocks(rows, to, step, |block: [&[T; 4]; 4], to, step| {
        for j in 0..4 {
            to[j * step..][..4].copy_from_slice(&[block[0][j], block[1][j], block[2][j], block[3][j]]);
        }
    });
}

/// Cuts rows into blocks of `N` columns and as many rows for `turn`, and moves the last columns one by one.
#[inline(always)]
fn turn_blocks<T: Copy, const N: usize>(
    rows: [&[T]; SIDE],
    to: &mut [T],
    step: usize,
    turn: impl Fn([&[T; N]; N], &mut [T], usize),
) {
    let columns = rows[0].len();
    let whole = columns - columns % N;
    for column in (0..whole).step_by(N) {
        for first in (0..SIDE).step_by(N) {
            let block = std::array::from_fn(|i| rows[first + i][column..].first_chunk().expect("rows of one length"));
            turn(block, &mut to[column * step + first..], step);
        }
    }
    for column in whole..columns {
        let to = &mut to[column * step..][..SIDE];
        for i in 0..SIDE {
            to[i] = rows[i][column];
        }
    }
}

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
mod x86 {
    #[cfg(target_arch = "x86")]
    use std::arch::x86::{__m256, __m512};
    #[cfg(target_arch = "x86_64")]
    use std::arch::x86_64::{__m256, __m512};

    use pulp::x86::{V3, V4};
    use pulp::{NullaryFnOnce, cast};

    use super::{SIDE, turn_blocks};

    pub struct Wide<'a> {
        pub simd: V4,
        pub rows: [&'a [f32]; SIDE],
        pub to: &'a mut [f32],
        pub step: usize,
    }

    impl NullaryFnOnce for Wide<'_> {
        type Output = ();

        /// Pairs of neighbours, then pairs of pairs within 128 bits, then the four quarters of the registers.
        #[inline(always)]
        fn call(self) {
            let Self { simd, rows, to, step } = self;
            let avx = simd.avx512f;
            let quarters = |a: __m512, b: __m512, c: __m512, d: __m512| -> [__m512; 4] {
                let (low, high) = (avx._mm512_shuffle_f32x4::<0x88>(a, b), avx._mm512_shuffle_f32x4::<0xdd>(a, b));
                let (more, most) = (avx._mm512_shuffle_f32x4::<0x88>(c, d), avx._mm512_shuffle_f32x4::<0xdd>(c, d));
                [
                    avx._mm512_shuffle_f32x4::<0x88>(low, more),
                    avx._mm512_shuffle_f32x4::<0x88>(high, most),
                    avx._mm512_shuffle_f32x4::<0xdd>(low, more),
                    avx._mm512_shuffle_f32x4::<0xdd>(high, most),
                ]
            };
            turn_blocks(rows, to, step, |block: [&[f32; SIDE]; SIDE], to, step| {
                // Register `4 i + j` of four rows: column `j` of each quarter.
                let mut fours = [avx._mm512_setzero_ps(); SIDE];
                for i in 0..4 {
                    let [a, b, c, d]: [__m512; 4] = [0, 1, 2, 3].map(|row| cast(*block[4 * i + row]));
                    let (ab, cd) = (avx._mm512_unpacklo_ps(a, b), avx._mm512_unpacklo_ps(c, d));
                    fours[4 * i] = cast(avx._mm512_unpacklo_pd(cast(ab), cast(cd)));
                    fours[4 * i + 1] = cast(avx._mm512_unpackhi_pd(cast(ab), cast(cd)));
                    let (ab, cd) = (avx._mm512_unpackhi_ps(a, b), avx._mm512_unpackhi_ps(c, d));
                    fours[4 * i + 2] = cast(avx._mm512_unpacklo_pd(cast(ab), cast(cd)));
                    fours[4 * i + 3] = cast(avx._mm512_unpackhi_pd(cast(ab), cast(cd)));
                }
                for j in 0..4 {
                    let columns = quarters(fours[j], fours[4 + j], fours[8 + j], fours[12 + j]);
                    for quarter in 0..4 {
                        let column: [f32; SIDE] = cast(columns[quarter]);
                        to[(4 * quarter + j) * step..][..SIDE].copy_from_slice(&column);
                    }
                }
            });
        }
    }

    pub struct Half<'a> {
        pub simd: V3,
        pub rows: [&'a [f32]; SIDE],
        pub to: &'a mut [f32],
        pub step: usize,
    }

    impl NullaryFnOnce for Half<'_> {
        type Output = ();

        /// The same with registers of two halves.
        #[inline(always)]
        fn call(self) {
            let Self { simd, rows, to, step } = self;
            let avx = simd.avx;
            turn_blocks(rows, to, step, |block: [&[f32; 8]; 8], to, step| {
                let mut fours = [avx._mm256_setzero_ps(); 8];
                for i in 0..2 {
                    let [a, b, c, d]: [__m256; 4] = [0, 1, 2, 3].map(|row| cast(*block[4 * i + row]));
                    let (ab, cd) = (avx._mm256_unpacklo_ps(a, b), avx._mm256_unpacklo_ps(c, d));
                    fours[4 * i] = cast(avx._mm256_unpacklo_pd(cast(ab), cast(cd)));
                    fours[4 * i + 1] = cast(avx._mm256_unpackhi_pd(cast(ab), cast(cd)));
                    let (ab, cd) = (avx._mm256_unpackhi_ps(a, b), avx._mm256_unpackhi_ps(c, d));
                    fours[4 * i + 2] = cast(avx._mm256_unpacklo_pd(cast(ab), cast(cd)));
                    fours[4 * i + 3] = cast(avx._mm256_unpackhi_pd(cast(ab), cast(cd)));
                }
                for j in 0..4 {
                    let low: [f32; 8] = cast(avx._mm256_permute2f128_ps::<0x20>(fours[j], fours[4 + j]));
                    let high: [f32; 8] = cast(avx._mm256_permute2f128_ps::<0x31>(fours[j], fours[4 + j]));
                    to[j * step..][..8].copy_from_slice(&low);
                    to[(4 + j) * step..][..8].copy_from_slice(&high);
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(turn: impl Fn([&[f32]; SIDE], &mut [f32], usize)) {
        for columns in [1, 3, 4, 7, 16, 17, 33, 48] {
            let cells: Vec<f32> = (0..SIDE * columns).map(|i| i as f32).collect();
            let rows = std::array::from_fn(|i| &cells[i * columns..][..columns]);
            let mut to = vec![-1.0; columns * (SIDE + 3)];
            turn(rows, &mut to, SIDE + 3);
            for (i, &cell) in to.iter().enumerate() {
                let (column, row) = (i / (SIDE + 3), i % (SIDE + 3));
                let expected = if row < SIDE { (row * columns + column) as f32 } else { -1.0 };
                assert_eq!(cell, expected, "row {row}, column {column} of {columns}");
            }
        }
    }

    #[test]
    fn rows_become_columns_and_nothing_else_is_written() {
        check(turn_plain);
        check(turn_f32);
        #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
        if let Some(simd) = pulp::x86::V3::try_new() {
            check(|rows, to, step| pulp::Simd::vectorize(simd, x86::Half { simd, rows, to, step }));
        }
    }
}
