//! Lanes that move: within a register, and from the register before.

use pulp::{Simd, bytemuck};

macro_rules! moved {
    ($element:ident, $vector:ident, $moved:ident by $left:ident) => {
        /// Lane `i` is lane `i + count` of the vector, or one of the first beyond its end. Registers of 32 bytes have a single
        /// instruction for it, of which `pulp` makes use for wider ones alone.
        #[inline(always)]
        pub(crate) fn $moved<S: Simd>(simd: S, vector: S::$vector, count: usize) -> S::$vector {
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            if let Some(half) = x86::half(simd) {
                return bytemuck::cast(x86::moved(half, bytemuck::cast(vector), count * x86::units::<$element>()));
            }
            simd.$left(vector, count)
        }
    };
}

moved!(f32, f32s, moved_f32 by rotate_left_f32s);
moved!(f64, f64s, moved_f64 by rotate_left_f64s);

macro_rules! preceding {
    ($element:ident, $vector:ident, $between:ident, $select:ident, $preceding:ident by $right:ident) => {
        /// The last lane of `before`, and all but the last of the vector.
        #[inline(always)]
        pub(crate) fn $preceding<S: Simd>(simd: S, before: S::$vector, vector: S::$vector) -> S::$vector {
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            if let Some(wide) = x86::wide(simd) {
                const START: i32 = x86::WIDE - x86::units::<$element>() as i32;
                let both = [before, vector].map(bytemuck::cast);
                return bytemuck::cast(x86::preceding::<START>(wide, both));
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

    use pulp::x86::{V3, V4};
    use pulp::{Simd, cast};

    /// Units of four bytes of a register of 64 bytes, and of one of 32.
    pub const WIDE: i32 = 16;
    const HALF: usize = 8;

    /// Where each unit of the latter comes from, by how many they move.
    const PLACES: [[u32; HALF]; HALF] = {
        let mut places = [[0; HALF]; HALF];
        let mut i = 0;
        while i < HALF * HALF {
            let (count, unit) = (i / HALF, i % HALF);
            places[count][unit] = ((count + unit) % HALF) as u32;
            i += 1;
        }
        places
    };

    /// Units of an element.
    pub const fn units<T>() -> usize {
        size_of::<T>() / 4
    }

    /// The instructions for registers of 64 bytes, if `simd` has them; known when this is compiled.
    #[inline(always)]
    pub fn wide(simd: impl Simd) -> Option<V4> {
        (&simd as &dyn Any).downcast_ref::<V4>().copied()
    }

    /// Those for registers of 32 bytes, if these are its widest.
    #[inline(always)]
    pub fn half(simd: impl Simd) -> Option<V3> {
        (&simd as &dyn Any).downcast_ref::<V3>().copied()
    }

    /// As many units of two registers as one has, from the given one on.
    #[inline(always)]
    pub fn preceding<const START: i32>(simd: V4, [before, vector]: [[u32; WIDE as usize]; 2]) -> [u32; WIDE as usize] {
        cast(simd.avx512f._mm512_alignr_epi32::<START>(cast(vector), cast(before)))
    }

    #[inline(always)]
    pub fn moved(simd: V3, vector: [u32; HALF], units: usize) -> [u32; HALF] {
        cast(simd.avx2._mm256_permutevar8x32_epi32(cast(vector), cast(PLACES[units % HALF])))
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
            let is = |found: S::f32s, expected: &[f32]| {
                assert_eq!(bytemuck::cast_slice::<_, f32>(std::slice::from_ref(&found)), expected);
            };
            is(preceding_f32(simd, registers[0], registers[1]), &singles[S::F32_LANES - 1..2 * S::F32_LANES - 1]);
            for count in 0..S::F32_LANES {
                let expected = [&singles[count..S::F32_LANES], &singles[..count]].concat();
                is(moved_f32(simd, registers[0], count), &expected);
            }

            let doubles: Vec<f64> = (0..2 * S::F64_LANES).map(|i| i as f64).collect();
            let registers = S::as_simd_f64s(&doubles).0;
            let is = |found: S::f64s, expected: &[f64]| {
                assert_eq!(bytemuck::cast_slice::<_, f64>(std::slice::from_ref(&found)), expected);
            };
            is(preceding_f64(simd, registers[0], registers[1]), &doubles[S::F64_LANES - 1..2 * S::F64_LANES - 1]);
            for count in 0..S::F64_LANES {
                let expected = [&doubles[count..S::F64_LANES], &doubles[..count]].concat();
                is(moved_f64(simd, registers[0], count), &expected);
            }
        }
    }

    #[test]
    fn lanes_move_within_registers_and_from_one_to_the_next() {
        for arch in [crate::simd::arch(), crate::simd::narrow_arch(), pulp::Arch::Scalar] {
            arch.dispatch(Check);
        }
    }
}
