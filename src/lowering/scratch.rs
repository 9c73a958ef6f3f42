//! Scratch memory, cut into parts that begin at cache lines.

/// The parts of a slot begin at multiples of this.
pub(super) const ALIGNMENT_BYTES: usize = 64;

/// The part of a slot from its first cache line on, so that vectors do not straddle two.
pub(super) fn aligned<T>(slot: &mut [T]) -> &mut [T] {
    let skipped = slot.as_ptr().align_offset(ALIGNMENT_BYTES).min(slot.len());
    &mut slot[skipped..]
}
