//! What loops over the registers of a tile share: the number of its channels as a constant, how many registers there are, and
//! the products of a step.

#![allow(
    clippy::needless_range_loop,
    reason = "loops of constant length over arrays become registers, iterators do not"
)]

use pulp::Simd;

use crate::element::Element;

/// Whether there are 32 registers, not 16.
#[inline(always)]
pub(super) fn has_many_registers<T: Element, S: Simd>() -> bool {
    T::lanes::<S>() * size_of::<T>() >= 64 || cfg!(target_arch = "aarch64")
}

/// Calls a method of a tile with the number of its channels or columns as a constant: one of the first, or, where there are
/// many registers, of all.
macro_rules! by_count {
    ($count:expr, $simd:ident, $tile:ident.$method:ident $args:tt) => {
        by_count!($count, $simd, $tile.$method $args, [1 2 3 4 5 6], [7 8 9 10 11 12 13 14])
    };
    ($count:expr, $simd:ident, $tile:ident.$method:ident $args:tt, [$($few:literal)*], [$($many:literal)*]) => {
        match $count {
            $($few => by_count!(@ $few, $simd, $tile.$method $args),)*
            $($many if $crate::gemm::steps::has_many_registers::<T, S>() => by_count!(@ $many, $simd, $tile.$method $args),)*
            count => unreachable!("{count} channels or columns of a tile"),
        }
    };
    (@ $count:literal, $simd:ident, $tile:ident.$method:ident($($arg:expr)?)) => {
        $tile.$method::<S, $count>($simd $(, $arg)?)
    };
}
pub(super) use by_count;

/// Adds the products of a step to the sums of a tile.
#[inline(always)]
pub(super) fn add_products<T: Element, S: Simd, const COUNT: usize, const VECTORS: usize>(
    simd: S,
    (cells, weights): (&[T], &[T]),
    sums: &mut [[T::Vector<S>; VECTORS]; COUNT],
) {
    let lanes = T::lanes::<S>();
    let mut windows = [T::splat(simd, T::zero()); VECTORS];
    for vector in 0..VECTORS {
        windows[vector] = T::load(simd, &cells[vector * lanes..]);
    }
    for i in 0..COUNT {
        let weight = T::splat(simd, weights[i]);
        for vector in 0..VECTORS {
            sums[i][vector] = T::fused(simd, windows[vector], weight, sums[i][vector]);
        }
    }
}
