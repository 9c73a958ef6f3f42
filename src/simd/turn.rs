//! Turning rows into columns, a block at a time.

#![allow(
    clippy::needless_range_loop,
    reason = "loops of constant length over arrays become registers, iterators do not"
)]

/// Rows that are turned at a time.
pub(crate) const SIDE: usize = 16;

/// Where columns go.
pub trait Target<T> {
    /// Writes the cells of one column that are in the rows from `first` on, counted over all blocks.
    fn put<const N: usize>(&mut self, column: usize, first: usize, cells: [T; N]);
}

/// Column `c` goes to `cells[place(c)..]`.
pub(crate) struct Places<'a, T, P> {
    pub cells: &'a mut [T],
    pub place: P,
}

impl<T: Copy, P: Fn(usize) -> usize> Target<T> for Places<'_, T, P> {
    #[inline(always)]
    fn put<const N: usize>(&mut self, column: usize, first: usize, cells: [T; N]) {
        self.cells[(self.place)(column) + first..][..N].copy_from_slice(&cells);
    }
}

/// Column `c` goes to line `c`, from `start` on.
pub(crate) struct Lines<'a, 'l, T> {
    pub lines: &'a mut [&'l mut [T]; SIDE],
    pub start: usize,
}

impl<T: Copy> Target<T> for Lines<'_, '_, T> {
    #[inline(always)]
    fn put<const N: usize>(&mut self, column: usize, first: usize, cells: [T; N]) {
        self.lines[column][self.start + first..][..N].copy_from_slice(&cells);
    }
}

/// Rows of so many cells, [`SIDE`] at a time; each block has the number of its first row. The last one overlaps the one
/// before it.
pub(crate) struct Blocks<'a, T> {
    cells: &'a [T],
    step: usize,
    columns: usize,
    rows: usize,
    next: usize,
}

impl<'a, T> Blocks<'a, T> {
    /// Of at least [`SIDE`] rows, which begin `step` cells apart.
    pub fn new(cells: &'a [T], step: usize, [rows, columns]: [usize; 2]) -> Self {
        assert!(rows >= SIDE, "a block of rows");
        Self { cells, step, columns, rows, next: 0 }
    }
}

impl<'a, T> Iterator for Blocks<'a, T> {
    type Item = (usize, [&'a [T]; SIDE]);

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.rows {
            return None;
        }
        let first = self.next.min(self.rows - SIDE);
        self.next += SIDE;
        let cells = &self.cells[first * self.step..];
        let mut rows = [&cells[..0]; SIDE];
        for i in 0..SIDE {
            rows[i] = &cells[i * self.step..][..self.columns];
        }
        Some((first, rows))
    }
}

/// Puts each column of blocks of rows, which have as many each, to the target. With a block comes the number of its first
/// row.
///
/// The compiler makes single moves of this; for f32 it is done in registers where the processor has wide ones.
pub(crate) fn turn_f32<'a>(blocks: impl Iterator<Item = (usize, [&'a [f32]; SIDE])>, to: impl Target<f32>) {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    match super::arch() {
        pulp::Arch::V4(simd) => return pulp::Simd::vectorize(simd, x86::Wide { simd, blocks, to }),
        pulp::Arch::V3(simd) => return pulp::Simd::vectorize(simd, x86::Half { simd, blocks, to }),
        _ => {}
    }
    turn_plain(blocks, to);
}

/// The same for any element.
pub(crate) fn turn_plain<'a, T: Copy + 'a>(blocks: impl Iterator<Item = (usize, [&'a [T]; SIDE])>, to: impl Target<T>) {
    turn_squares(blocks, to, |square: [&[T; 4]; 4]| {
        [0, 1, 2, 3].map(|j| [square[0][j], square[1][j], square[2][j], square[3][j]])
    });
}

/// Cuts rows into squares of `N` columns and as many rows for `turn`; the last square overlaps the one before it. Rows of fewer
/// columns are moved cell by cell.
#[inline(always)]
fn turn_squares<'a, T: Copy + 'a, const N: usize>(
    blocks: impl Iterator<Item = (usize, [&'a [T]; SIDE])>,
    mut to: impl Target<T>,
    turn: impl Fn([&[T; N]; N]) -> [[T; N]; N],
) {
    for (start, rows) in blocks {
        let columns = rows[0].len();
        if columns < N {
            for column in 0..columns {
                to.put(column, start, rows.map(|row| row[column]));
            }
            continue;
        }
        for column in (0..columns).step_by(N) {
            let column = column.min(columns - N);
            for first in (0..SIDE).step_by(N) {
                let chunk = |i: usize| rows[first + i][column..].first_chunk().expect("rows of one length");
                let turned = turn(std::array::from_fn(chunk));
                for j in 0..N {
                    to.put(column + j, start + first, turned[j]);
                }
            }
        }
    }
}

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
mod x86 {
    #[cfg(target_arch = "x86")]
    use std::arch::x86::{__m128, __m256, __m512};
    #[cfg(target_arch = "x86_64")]
    use std::arch::x86_64::{__m128, __m256, __m512};

    use pulp::core_arch::x86::Avx;
    use pulp::x86::{V3, V4};
    use pulp::{NullaryFnOnce, cast};

    use super::{SIDE, Target, turn_squares};

    pub struct Wide<B, P> {
        pub simd: V4,
        pub blocks: B,
        pub to: P,
    }

    impl<'a, B: Iterator<Item = (usize, [&'a [f32]; SIDE])>, P: Target<f32>> NullaryFnOnce for Wide<B, P> {
        type Output = ();

        /// Pairs of neighbours, then pairs of pairs within 128 bits, then the four quarters of the registers.
        #[inline(always)]
        fn call(self) {
            let Self { simd, blocks, to } = self;
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
            turn_squares(blocks, to, |square: [&[f32; SIDE]; SIDE]| {
                // Register `4 i + j` of four rows: column `j` of each quarter.
                let mut fours = [avx._mm512_setzero_ps(); SIDE];
                for i in 0..4 {
                    let [a, b, c, d]: [__m512; 4] = [0, 1, 2, 3].map(|row| cast(*square[4 * i + row]));
                    let (ab, cd) = (avx._mm512_unpacklo_ps(a, b), avx._mm512_unpacklo_ps(c, d));
                    fours[4 * i] = cast(avx._mm512_unpacklo_pd(cast(ab), cast(cd)));
                    fours[4 * i + 1] = cast(avx._mm512_unpackhi_pd(cast(ab), cast(cd)));
                    let (ab, cd) = (avx._mm512_unpackhi_ps(a, b), avx._mm512_unpackhi_ps(c, d));
                    fours[4 * i + 2] = cast(avx._mm512_unpacklo_pd(cast(ab), cast(cd)));
                    fours[4 * i + 3] = cast(avx._mm512_unpackhi_pd(cast(ab), cast(cd)));
                }
                let mut turned = [[0.0; SIDE]; SIDE];
                for j in 0..4 {
                    let columns = quarters(fours[j], fours[4 + j], fours[8 + j], fours[12 + j]);
                    for quarter in 0..4 {
                        turned[4 * quarter + j] = cast(columns[quarter]);
                    }
                }
                turned
            });
        }
    }

    /// The four cells from `first` on of two rows. No closure, which the compiler may call: then each instruction is a call.
    #[inline(always)]
    fn joined(avx: Avx, low: &[f32; 8], high: &[f32; 8], first: usize) -> __m256 {
        let (Some(low), Some(high)) = (low[first..].first_chunk::<4>(), high[first..].first_chunk::<4>()) else {
            unreachable!("rows of eight cells have two fours")
        };
        let (low, high): (__m128, __m128) = (cast(*low), cast(*high));
        avx._mm256_insertf128_ps::<1>(avx._mm256_castps128_ps256(low), high)
    }

    pub struct Half<B, P> {
        pub simd: V3,
        pub blocks: B,
        pub to: P,
    }

    impl<'a, B: Iterator<Item = (usize, [&'a [f32]; SIDE])>, P: Target<f32>> NullaryFnOnce for Half<B, P> {
        type Output = ();

        /// The same with registers of two halves, which are filled from rows of their own: so none cross over.
        #[inline(always)]
        fn call(self) {
            let Self { simd, blocks, to } = self;
            let avx = simd.avx;
            turn_squares(blocks, to, |square: [&[f32; 8]; 8]| {
                let mut turned = [[0.0; 8]; 8];
                for i in 0..2 {
                    let [a, b, c, d] = [
                        joined(avx, square[0], square[4], 4 * i),
                        joined(avx, square[1], square[5], 4 * i),
                        joined(avx, square[2], square[6], 4 * i),
                        joined(avx, square[3], square[7], 4 * i),
                    ];
                    let (ab, cd) = (avx._mm256_unpacklo_ps(a, b), avx._mm256_unpacklo_ps(c, d));
                    turned[4 * i] = cast(avx._mm256_unpacklo_pd(cast(ab), cast(cd)));
                    turned[4 * i + 1] = cast(avx._mm256_unpackhi_pd(cast(ab), cast(cd)));
                    let (ab, cd) = (avx._mm256_unpackhi_ps(a, b), avx._mm256_unpackhi_ps(c, d));
                    turned[4 * i + 2] = cast(avx._mm256_unpacklo_pd(cast(ab), cast(cd)));
                    turned[4 * i + 3] = cast(avx._mm256_unpackhi_pd(cast(ab), cast(cd)));
                }
                turned
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::iter::once;

    type Check<'a> = Places<'a, f32, fn(usize) -> usize>;

    fn check(turn: impl Fn([&[f32]; SIDE], Check<'_>)) {
        for columns in [1, 3, 4, 7, 16, 17, 33, 48] {
            let cells: Vec<f32> = (0..SIDE * columns).map(|i| i as f32).collect();
            let rows = std::array::from_fn(|i| &cells[i * columns..][..columns]);
            let mut to = vec![-1.0; columns * (SIDE + 3)];
            turn(rows, Places { cells: &mut to, place: |column| column * (SIDE + 3) });
            for (i, &cell) in to.iter().enumerate() {
                let (column, row) = (i / (SIDE + 3), i % (SIDE + 3));
                let expected = if row < SIDE { (row * columns + column) as f32 } else { -1.0 };
                assert_eq!(cell, expected, "row {row}, column {column} of {columns}");
            }
        }
    }

    #[test]
    fn rows_become_columns_and_nothing_else_is_written() {
        check(|rows, to| turn_plain(once((0, rows)), to));
        check(|rows, to| turn_f32(once((0, rows)), to));
        #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
        if let Some(simd) = pulp::x86::V3::try_new() {
            check(|rows, to| pulp::Simd::vectorize(simd, x86::Half { simd, blocks: once((0, rows)), to }));
        }
    }

    #[test]
    fn columns_become_lines() {
        let cells: Vec<f32> = (0..2 * SIDE * SIDE).map(|i| i as f32).collect();
        let mut to = vec![-1.0; SIDE * 36];
        let mut rest = to.chunks_exact_mut(36);
        let mut lines: [&mut [f32]; SIDE] = std::array::from_fn(|_| rest.next().unwrap());
        let block = |first: usize| (first, std::array::from_fn(|i| &cells[(first + i) * SIDE..][..SIDE]));
        turn_f32([block(0), block(SIDE)].into_iter(), Lines { lines: &mut lines, start: 3 });
        for (i, &cell) in to.iter().enumerate() {
            let expected = if (3..35).contains(&(i % 36)) { ((i % 36 - 3) * SIDE + i / 36) as f32 } else { -1.0 };
            assert_eq!(cell, expected);
        }
    }
}
