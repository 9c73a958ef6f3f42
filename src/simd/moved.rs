//! Lanes moved within a register.

use pulp::{Simd, bytemuck};

macro_rules! moved {
    ($element:ident, $vector:ident, $moved:ident by $left:ident) => {
        /// Lane `i` is lane `i + count` of the vector, or one of the first beyond its end. Registers of 32 bytes have a single
        /// instruction for it, of which `pulp` makes use for wider ones alone.
        #[inline(always)]
        pub(crate) fn $moved<S: Simd>(simd: S, vector: S::$vector, count: usize) -> S::$vector {
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            if let Some(half) = x86::half(simd) {
                let units = count * (size_of::<$element>() / size_of::<u32>());
                return bytemuck::cast(x86::moved(half, bytemuck::cast(vector), units));
            }
            simd.$left(vector, count)
        }
    };
}

moved!(f32, f32s, moved_f32 by rotate_left_f32s);
moved!(f64, f64s, moved_f64 by rotate_left_f64s);

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
mod x86 {
    use std::any::Any;

    use pulp::x86::V3;
    use pulp::{Simd, cast};

    /// Parts of a register of 32 bytes.
    const UNITS: usize = 8;

    /// Where each comes from, by how many they move.
    const PLACES: [[u32; UNITS]; UNITS] = {
        let mut places = [[0; UNITS]; UNITS];
        let mut i = 0;
        while i < UNITS * UNITS {
            let (count, unit) = (i / UNITS, i % UNITS);
            places[count][unit] = ((count + unit) % UNITS) as u32;
            i += 1;
        }
        places
    };

    /// The instructions for such registers, if `simd` has them; known when this is compiled.
    #[inline(always)]
    pub fn half(simd: impl Simd) -> Option<V3> {
        (&simd as &dyn Any).downcast_ref::<V3>().copied()
    }

    #[inline(always)]
    pub fn moved(simd: V3, vector: [u32; UNITS], units: usize) -> [u32; UNITS] {
        cast(simd.avx2._mm256_permutevar8x32_epi32(cast(vector), cast(PLACES[units % UNITS])))
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
            let singles: Vec<f32> = (0..S::F32_LANES).map(|i| i as f32).collect();
            for count in 0..S::F32_LANES {
                let found = moved_f32(simd, S::as_simd_f32s(&singles).0[0], count);
                let cells: &[f32] = bytemuck::cast_slice(std::slice::from_ref(&found));
                let expected: Vec<f32> = [&singles[count..], &singles[..count]].concat();
                assert_eq!(cells, expected);
            }
            let doubles: Vec<f64> = (0..S::F64_LANES).map(|i| i as f64).collect();
            for count in 0..S::F64_LANES {
                let found = moved_f64(simd, S::as_simd_f64s(&doubles).0[0], count);
                let cells: &[f64] = bytemuck::cast_slice(std::slice::from_ref(&found));
                let expected: Vec<f64> = [&doubles[count..], &doubles[..count]].concat();
                assert_eq!(cells, expected);
            }
        }
    }

    #[test]
    fn lanes_move_to_the_left() {
        for arch in [crate::simd::arch(), crate::simd::narrow_arch(), pulp::Arch::Scalar] {
            arch.dispatch(Check);
        }
    }
}
