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

/// What the sums of a tile begin with, and what happens to them when they are complete.
#[derive(Clone, Copy)]
pub(crate) struct Finish<'a, T> {
    /// The first term of each channel's sums, with [`TAIL_SLACK`](super::TAIL_SLACK) values more; zero without.
    pub start: Option<&'a [T]>,
    /// What they are kept between at the end.
    pub bounds: Option<[T; 2]>,
}

impl<'a, T: Element> Finish<'a, T> {
    pub const NONE: Self = Self { start: None, bounds: None };

    /// The same from a channel on.
    #[inline(always)]
    pub fn from(self, channel: usize) -> Self {
        Self { start: self.start.map(|start| &start[channel..]), ..self }
    }

    /// One sum within the bounds. (Both comparisons are false for not-a-number, which therefore stays.)
    pub fn bound(&self, sum: T) -> T {
        let Some([min, max]) = self.bounds else { return sum };
        let sum = if sum < min { min } else { sum };
        if sum > max { max } else { sum }
    }
}

/// Writes the sums of a tile to the lines of its channels from `channel` and `window` on, or adds them to what is there, within
/// some bounds.
#[inline(always)]
#[allow(
    clippy::needless_range_loop,
    reason = "loops of constant length over arrays become registers, iterators do not"
)]
pub(super) fn put_tile<T: Element, S: Simd, const COUNT: usize, const VECTORS: usize>(
    simd: S,
    mut sums: [[T::Vector<S>; VECTORS]; COUNT],
    (lines, channel, window): (&mut [&mut [T]], usize, usize),
    (store, bounds): (Store, Option<[T; 2]>),
) {
    let lanes = T::lanes::<S>();
    let lines = &mut lines[channel..][..COUNT];
    // Several short loops: longer ones are not unrolled, and the sums would be kept in memory.
    if store == Store::Add {
        for i in 0..COUNT {
            let line = &lines[i][window..][..VECTORS * lanes];
            for vector in 0..VECTORS {
                sums[i][vector] = T::plus(simd, T::load(simd, &line[vector * lanes..]), sums[i][vector]);
            }
        }
    }
    if let Some(bounds) = bounds {
        let bounds = bounds.map(|bound| T::splat(simd, bound));
        for i in 0..COUNT {
            for vector in 0..VECTORS {
                sums[i][vector] = T::at_least(simd, sums[i][vector], bounds[0]);
            }
        }
        for i in 0..COUNT {
            for vector in 0..VECTORS {
                sums[i][vector] = T::at_most(simd, sums[i][vector], bounds[1]);
            }
        }
    }
    for i in 0..COUNT {
        put_sums(simd, sums[i], (&mut lines[i][window..], Store::Overwrite));
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
