//! What precedes each lane, where registers follow each other.

use pulp::{Simd, bytemuck};

macro_rules! preceding {
    ($element:ident, $vector:ident, $between:ident, $select:ident, $preceding:ident by $right:ident) => {
        /// The last lane of `before`, and all but the last of the vector.
        #[inline(always)]
        pub(crate) fn $preceding<S: Simd>(simd: S, before: S::$vector, vector: S::$vector) -> S::$vector {
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            if let Some(wide) = x86::wide(simd) {
                let both = [before, vector].map(bytemuck::cast);
                return bytemuck::cast(x86::preceding::<{ x86::FIRST - x86::units::<$element>() }>(wide, both));
            }
            let is_first = simd.$between(0, 1).mask();
            simd.$select(is_first, simd.$right(before, 1), simd.$right(vector, 1))
        }
    };
}

preceding!(f32, f32s, mask_between_m32s, select_f32s, preceding_f32 by rotate_right_f32s);
preceding!(f64, f64s, mask_between_m64s, select_f64s, preceding_f64 by rotate_right_f64s);

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
mod x86 {
    use std::any::Any;

    use pulp::x86::V4;
    use pulp::{Simd, cast};

    /// A register of 64 bytes, and where the second of two begins.
    pub type Units = [u32; 16];
    pub const FIRST: i32 = 16;

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
    pub fn preceding<const START: i32>(simd: V4, [before, vector]: [Units; 2]) -> Units {
        cast(simd.avx512f._mm512_alignr_epi32::<START>(cast(vector), cast(before)))
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
            let found = preceding_f32(simd, registers[0], registers[1]);
            let cells: &[f32] = bytemuck::cast_slice(std::slice::from_ref(&found));
            assert_eq!(cells, &singles[S::F32_LANES - 1..2 * S::F32_LANES - 1]);

            let doubles: Vec<f64> = (0..2 * S::F64_LANES).map(|i| i as f64).collect();
            let registers = S::as_simd_f64s(&doubles).0;
            let found = preceding_f64(simd, registers[0], registers[1]);
            let cells: &[f64] = bytemuck::cast_slice(std::slice::from_ref(&found));
            assert_eq!(cells, &doubles[S::F64_LANES - 1..2 * S::F64_LANES - 1]);
        }
    }

    #[test]
    fn lanes_move_from_register_to_register() {
        for arch in [crate::simd::arch(), crate::simd::narrow_arch(), pulp::Arch::Scalar] {
            arch.dispatch(Check);
        }
    }
}
