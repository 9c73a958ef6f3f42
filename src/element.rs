//! The number types that can be convolved.

use ndarray::NdFloat;

mod sealed {
    use pulp::Simd;

    use crate::simd::{
        SIDE, Target, halve_f32, halve_plain, moved_f32, moved_f64, preceding_f32, preceding_f64, split_f32, split_f64,
        turn_f32, turn_plain,
    };

    /// Registers of numbers, for loops that the compiler does not vectorise by itself.
    pub trait Sealed: Copy {
        type Vector<S: Simd>: Copy;

        /// Which lanes of a register are kept.
        type Mask<S: Simd>: Copy;

        /// Elements of a register.
        fn lanes<S: Simd>() -> usize;

        /// The same number in each lane.
        fn splat<S: Simd>(simd: S, value: Self) -> Self::Vector<S>;

        /// The first elements of a slice that has as many as there are lanes.
        fn load<S: Simd>(simd: S, cells: &[Self]) -> Self::Vector<S>;

        /// Writes all lanes to the first elements of a slice that has as many.
        fn put<S: Simd>(simd: S, vector: Self::Vector<S>, cells: &mut [Self]);

        /// Writes the first lanes, as many as the slice is long. Slower, even where these are all.
        fn store<S: Simd>(simd: S, vector: Self::Vector<S>, cells: &mut [Self]);

        /// `a · b + c`, rounded once where the processor can.
        fn fused<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>, c: Self::Vector<S>) -> Self::Vector<S>;

        fn plus<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;

        fn minus<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;

        /// Each lane, or the bound if that is larger; not-a-number stays so.
        fn at_least<S: Simd>(simd: S, vector: Self::Vector<S>, bound: Self::Vector<S>) -> Self::Vector<S>;

        /// The same if the bound is smaller.
        fn at_most<S: Simd>(simd: S, vector: Self::Vector<S>, bound: Self::Vector<S>) -> Self::Vector<S>;

        /// The lanes from `start` on, to before `end`.
        fn between<S: Simd>(simd: S, start: usize, end: usize) -> Self::Mask<S>;

        /// The lanes of a mask, and zeros in the others.
        fn keep<S: Simd>(simd: S, mask: Self::Mask<S>, vector: Self::Vector<S>) -> Self::Vector<S>;

        /// The cells of even and of odd number, of twice as many as there are lanes.
        fn split<S: Simd>(simd: S, cells: &[Self]) -> [Self::Vector<S>; 2];

        /// What precedes each lane: the last lane of `before`, and all but the last of the vector.
        fn preceding<S: Simd>(simd: S, before: Self::Vector<S>, vector: Self::Vector<S>) -> Self::Vector<S>;

        /// Lane `i` is lane `i + count` of the vector, or one of the first beyond its end.
        fn moved<S: Simd>(simd: S, vector: Self::Vector<S>, count: usize) -> Self::Vector<S>;

        /// `out[i] = cells[2 · i]`.
        fn halve<S: Simd>(simd: S, cells: &[Self], out: &mut [Self]);

        /// Puts each column of the rows, which have as many, to the target.
        fn turn(rows: [&[Self]; SIDE], to: impl Target<Self>) {
            Self::turn_all(std::iter::once((0, rows)), to);
        }

        /// The same of several blocks of rows, each with the number of its first row.
        fn turn_all<'a>(blocks: impl Iterator<Item = (usize, [&'a [Self]; SIDE])>, to: impl Target<Self>)
        where
            Self: 'a;
    }

    macro_rules! sealed {
        ($element:ident, $vector:ident, $mask:ident, $unit:ident, $lanes:ident, $splat:ident, $load:ident, $put:ident, $store:ident, $fused:ident, $plus:ident, $minus:ident, $less:ident, $between:ident, $select:ident, $split:ident, $preceding:ident, $moved:ident, $halve:ident, $turn:ident) => {
            impl Sealed for $element {
                type Vector<S: Simd> = S::$vector;
                type Mask<S: Simd> = S::$mask;

                #[inline(always)]
                fn lanes<S: Simd>() -> usize {
                    S::$lanes
                }

                #[inline(always)]
                fn splat<S: Simd>(simd: S, value: Self) -> S::$vector {
                    simd.$splat(value)
                }

                #[inline(always)]
                fn load<S: Simd>(_: S, cells: &[Self]) -> S::$vector {
                    S::$load(&cells[..S::$lanes]).0[0]
                }

                #[inline(always)]
                fn put<S: Simd>(_: S, vector: S::$vector, cells: &mut [Self]) {
                    S::$put(&mut cells[..S::$lanes]).0[0] = vector;
                }

                #[inline(always)]
                fn store<S: Simd>(simd: S, vector: S::$vector, cells: &mut [Self]) {
                    simd.$store(cells, vector);
                }

                #[inline(always)]
                fn fused<S: Simd>(simd: S, a: S::$vector, b: S::$vector, c: S::$vector) -> S::$vector {
                    simd.$fused(a, b, c)
                }

                #[inline(always)]
                fn plus<S: Simd>(simd: S, a: S::$vector, b: S::$vector) -> S::$vector {
                    simd.$plus(a, b)
                }

                #[inline(always)]
                fn minus<S: Simd>(simd: S, a: S::$vector, b: S::$vector) -> S::$vector {
                    simd.$minus(a, b)
                }

                #[inline(always)]
                fn at_least<S: Simd>(simd: S, vector: S::$vector, bound: S::$vector) -> S::$vector {
                    simd.$select(simd.$less(vector, bound), bound, vector)
                }

                #[inline(always)]
                fn at_most<S: Simd>(simd: S, vector: S::$vector, bound: S::$vector) -> S::$vector {
                    simd.$select(simd.$less(bound, vector), bound, vector)
                }

                #[inline(always)]
                fn between<S: Simd>(simd: S, start: usize, end: usize) -> S::$mask {
                    let place = |lane: usize| lane.min(S::$lanes) as $unit;
                    simd.$between(place(start), place(end)).mask()
                }

                #[inline(always)]
                fn keep<S: Simd>(simd: S, mask: S::$mask, vector: S::$vector) -> S::$vector {
                    simd.$select(mask, vector, simd.$splat(0.0))
                }

                #[inline(always)]
                fn split<S: Simd>(simd: S, cells: &[Self]) -> [S::$vector; 2] {
                    $split(simd, cells)
                }

                #[inline(always)]
                fn preceding<S: Simd>(simd: S, before: S::$vector, vector: S::$vector) -> S::$vector {
                    $preceding(simd, before, vector)
                }

                #[inline(always)]
                fn moved<S: Simd>(simd: S, vector: S::$vector, count: usize) -> S::$vector {
                    $moved(simd, vector, count)
                }

                #[inline(always)]
                fn halve<S: Simd>(simd: S, cells: &[Self], out: &mut [Self]) {
                    $halve(simd, cells, out);
                }

                fn turn_all<'a>(blocks: impl Iterator<Item = (usize, [&'a [Self]; SIDE])>, to: impl Target<Self>) {
                    $turn(blocks, to);
                }
            }
        };
    }
    sealed!(
        f32,
        f32s,
        m32s,
        u32,
        F32_LANES,
        splat_f32s,
        as_simd_f32s,
        as_mut_simd_f32s,
        partial_store_f32s,
        mul_add_e_f32s,
        add_f32s,
        sub_f32s,
        less_than_f32s,
        mask_between_m32s,
        select_f32s,
        split_f32,
        preceding_f32,
        moved_f32,
        halve_f32,
        turn_f32
    );
    sealed!(
        f64,
        f64s,
        m64s,
        u64,
        F64_LANES,
        splat_f64s,
        as_simd_f64s,
        as_mut_simd_f64s,
        partial_store_f64s,
        mul_add_e_f64s,
        add_f64s,
        sub_f64s,
        less_than_f64s,
        mask_between_m64s,
        select_f64s,
        split_f64,
        preceding_f64,
        moved_f64,
        halve_plain,
        turn_plain
    );
}

/// A real number of the machine: `f32` or `f64`.
pub trait Element: NdFloat + Default + std::iter::Sum + sealed::Sealed {
    /// `"f32"` or `"f64"`.
    const NAME: &'static str;

    /// The nearest number of this type.
    fn from_f64(value: f64) -> Self;

    /// The same number in double precision.
    fn to_f64(self) -> f64;
}

impl Element for f32 {
    const NAME: &'static str = "f32";

    fn from_f64(value: f64) -> Self {
        value as f32
    }

    fn to_f64(self) -> f64 {
        f64::from(self)
    }
}

impl Element for f64 {
    const NAME: &'static str = "f64";

    fn from_f64(value: f64) -> Self {
        value
    }

    fn to_f64(self) -> f64 {
        self
    }
}
