//! Asking for memory before it is read.

/// Bytes of a cache line, about everywhere.
pub(crate) const LINE_BYTES: usize = 64;

/// Asks for a cell's cache line, into the L1 or the L2. It is a hint, and may be given of any address.
#[inline(always)]
pub(crate) fn ask_for_line<T, const NEAR: bool>(cell: *const T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _MM_HINT_T1};

        // Every processor of this kind has it: that is known when this is compiled.
        if let Some(sse) = pulp::core_arch::x86::Sse::try_new() {
            match NEAR {
                true => sse._mm_prefetch::<_MM_HINT_T0>(cell.cast()),
                false => sse._mm_prefetch::<_MM_HINT_T1>(cell.cast()),
            }
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = cell;
}
