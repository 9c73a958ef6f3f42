//! How a product meets the output that it is written to.

use pulp::Simd;

use crate::element::Element;

/// What becomes of the values that the output has already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Store {
    /// They are not read: `C = A · B`.
    Overwrite,
    /// `C = C + A · B`.
    Add,
}

impl Store {
    /// For the part of a sum that begins with its term `start`.
    pub fn after(start: usize) -> Self {
        if start == 0 { Self::Overwrite } else { Self::Add }
    }

    #[inline(always)]
    pub fn put<T: Element>(self, to: &mut T, value: T) {
        *to = match self {
            Self::Overwrite => value,
            Self::Add => *to + value,
        };
    }
}

/// Writes registers of sums side by side, or adds them to what is there.
#[inline(always)]
#[allow(
    clippy::needless_range_loop,
    reason = "loops of constant length over arrays become registers, iterators do not"
)]
pub(super) fn put_sums<T: Element, S: Simd, const VECTORS: usize>(
    simd: S,
    sums: [T::Vector<S>; VECTORS],
    (to, store): (&mut [T], Store),
) {
    let lanes = T::lanes::<S>();
    let to = &mut to[..VECTORS * lanes];
    for vector in 0..VECTORS {
        let to = &mut to[vector * lanes..];
        let sum = match store {
            Store::Overwrite => sums[vector],
            Store::Add => T::plus(simd, T::load(simd, to), sums[vector]),
        };
        T::put(simd, sum, to);
    }
}
