//! What lies beside each lane, where registers follow each other.

use pulp::{Simd, bytemuck};

macro_rules! neighbours {
    (
        $element:ident, $vector:ident, $mask_unit:ident, $lanes:ident, $between:ident, $select:ident,
        $preceding:ident by $right:ident, $following:ident by $left:ident
    ) => {
        /// The last lane of `before`, and all but the last of the vector.
        #[inline(always)]
        pub(crate) fn $preceding<S: Simd>(simd: S, before: S::$vector, vector: S::$vector) -> S::$vector {
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            if let Some(wide) = x86::wide(simd) {
                let both = [before, vector].map(bytemuck::cast);
                return bytemuck::cast(x86::aligned::<{ 16 - x86::units::<$element>() }>(wide, both));
            }
            let is_first = simd.$between(0, 1).mask();
            simd.$select(is_first, simd.$right(before, 1), simd.$right(vector, 1))
        }

        /// All but the first lane of the vector, and the first of `after`.
        #[inline(always)]
        pub(crate) fn $following<S: Simd>(simd: S, vector: S::$vector, after: S::$vector) -> S::$vector {
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            if let Some(wide) = x86::wide(simd) {
                let both = [vector, after].map(bytemuck::cast);
                return bytemuck::cast(x86::aligned::<{ x86::units::<$element>() }>(wide, both));
            }
            let is_last = simd.$between(S::$lanes as $mask_unit - 1, S::$lanes as $mask_unit).mask();
            simd.$select(is_last, simd.$left(after, 1), simd.$left(vector, 1))
        }
    };
}

neighbours!(
    f32, f32s, u32, F32_LANES, mask_between_m32s, select_f32s,
    preceding_f32 by rotate_right_f32s, following_f32 by rotate_left_f32s
);
neighbours!(
    f64, f64s, u64, F64_LANES, mask_between_m64s, select_f64s,
    preceding_f64 by rotate_right_f64s, following_f64 by rotate_left_f64s
);

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
mod x86 {
    use std::any::Any;

    use pulp::x86::V4;
    use pulp::{Simd, cast};

    /// A register of 64 bytes.
    pub type Units = [u32; 16];

    /// Of four bytes, as instructions count them.
    pub const fn units<T>() -> i32 {
        (size_of::<T>() / 4) as i32
    }

    /// The instructions for such registers, if `simd` has them; known when this is compiled.
    #[inline(always)]
    pub fn wide(simd: impl Simd) -> Option<V4> {
        (&simd as &dyn Any).downcast_ref::<V4>().copied()
    }

    /// As many units of two registers as one has, from the given one on.
    #[inline(always)]
    pub fn aligned<const FIRST: i32>(simd: V4, [low, high]: [Units; 2]) -> Units {
        cast(simd.avx512f._mm512_alignr_epi32::<FIRST>(cast(high), cast(low)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pulp::WithSimd;

    struct Check;

    impl WithSimd for Check {
        type Output = ();

        fn with_simd<S: Simd>(self, simd: S) {
            let singles: Vec<f32> = (0..2 * S::F32_LANES).map(|i| i as f32).collect();
            let registers = S::as_simd_f32s(&singles).0;
            let [before, after] = [registers[0], registers[1]];
            let found = [preceding_f32(simd, before, after), following_f32(simd, before, after)];
            let lanes = [S::F32_LANES - 1, 1].map(|first| &singles[first..first + S::F32_LANES]);
            assert!(found.each_ref().map(|v| bytemuck::cast_slice::<_, f32>(std::slice::from_ref(v))) == lanes);

            let doubles: Vec<f64> = (0..2 * S::F64_LANES).map(|i| i as f64).collect();
            let registers = S::as_simd_f64s(&doubles).0;
            let [before, after] = [registers[0], registers[1]];
            let found = [preceding_f64(simd, before, after), following_f64(simd, before, after)];
            let lanes = [S::F64_LANES - 1, 1].map(|first| &doubles[first..first + S::F64_LANES]);
            assert!(found.each_ref().map(|v| bytemuck::cast_slice::<_, f64>(std::slice::from_ref(v))) == lanes);
        }
    }

    #[test]
    fn neighbours_follow_from_register_to_register() {
        for arch in [crate::simd::arch(), crate::simd::narrow_arch(), pulp::Arch::Scalar] {
            arch.dispatch(Check);
        }
    }
}
