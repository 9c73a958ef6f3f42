//! How much of a register the processor works on at once.

use std::sync::LazyLock;

use super::{arch, register_bytes};

/// Bytes of a register of [`arch`](super::arch) that a unit of the processor multiplies and adds at once: all of them, or half of 64,
/// as on Zen 4, where additions and copies cost less beside the multiply-adds.
pub(crate) fn unit_bytes() -> usize {
    static UNIT: LazyLock<usize> = LazyLock::new(|| {
        let register = register_bytes(arch());
        if register == 64 && has_halves() { register / 2 } else { register }
    });
    *UNIT
}

/// Whether AMD's `Fn8000_001A` says that units have 256 bits, and not that they have 512. Other makers have no such function.
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
fn has_halves() -> bool {
    const LARGEST_FUNCTION: u32 = 0x8000_0000;
    const PERFORMANCE: u32 = 0x8000_001a;
    const FP256: u32 = 1 << 2;
    const FP512: u32 = 1 << 3;
    raw_cpuid::cpuid!(LARGEST_FUNCTION).eax >= PERFORMANCE
        && raw_cpuid::cpuid!(PERFORMANCE).eax & (FP256 | FP512) == FP256
}

#[cfg(not(any(target_arch = "x86", target_arch = "x86_64")))]
fn has_halves() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_takes_a_register_or_half_of_one() {
        let [register, unit] = [register_bytes(arch()), unit_bytes()];
        assert!(unit == register || register == 64 && unit == 32, "{unit} of {register}");
    }
}
