//! The widest instructions of this processor for loops that the compiler vectorises, and what it does not.

mod ahead;
mod ask;
mod halve;
mod lanes;
mod split;
mod turn;
mod units;

pub(crate) use ahead::{Column, Input, Output};
pub(crate) use ask::{LINE_BYTES, ask_for_line};
pub(crate) use halve::{halve_f32, halve_plain};
pub(crate) use lanes::{moved_f32, moved_f64, preceding_f32, preceding_f64};
pub(crate) use split::{split_f32, split_f64};
pub(crate) use turn::{Blocks, Lines, Places, SIDE, Target, turn_f32, turn_plain};
pub(crate) use units::unit_bytes;

use std::sync::LazyLock;

use pulp::{Arch, Simd, WithSimd};

/// Lanes of the widest registers.
pub(crate) const MOST_LANES: usize = 16;

/// Which they are, found out once: asking anew for each of many short loops costs as much as some of them.
pub(crate) fn arch() -> Arch {
    static ARCH: LazyLock<Arch> = LazyLock::new(Arch::new);
    *ARCH
}

/// Bytes of a register.
pub(crate) fn register_bytes(arch: Arch) -> usize {
    arch.dispatch(RegisterBytes)
}

struct RegisterBytes;

impl WithSimd for RegisterBytes {
    type Output = usize;

    fn with_simd<S: Simd>(self, _: S) -> usize {
        S::F32_LANES * size_of::<f32>()
    }
}

/// [`arch`] for rows of at most half the lanes of the widest registers, where those of half the width are faster.
pub(crate) fn narrow_arch() -> Arch {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    {
        static NARROW: LazyLock<Arch> = LazyLock::new(|| pulp::x86::V3::try_new().map_or_else(Arch::new, Arch::V3));
        *NARROW
    }
    #[cfg(not(any(target_arch = "x86", target_arch = "x86_64")))]
    arch()
}
