//! Scratch memory, cut into parts that begin at cache lines.

/// The parts of a slot begin at multiples of this.
pub(super) const ALIGNMENT_BYTES: usize = 64;

/// The part of a slot from its first cache line on, so that vectors do not straddle two.
pub(super) fn aligned<T>(slot: &mut [T]) -> &mut [T] {
    let skipped = slot.as_ptr().align_offset(ALIGNMENT_BYTES).min(slot.len());
    &mut slot[skipped..]
}

/// Parts of a slot of so many elements each, which begin at cache lines.
pub(super) fn aligned_parts<T, const N: usize>(slot: &mut [T], lens: [usize; N]) -> [&mut [T]; N] {
    let mut rest = slot;
    lens.map(|len| {
        let (part, tail) = aligned(std::mem::take(&mut rest)).split_at_mut(len);
        rest = tail;
        part
    })
}
