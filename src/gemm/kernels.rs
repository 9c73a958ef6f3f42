//! The microkernels of the `gemm` family, behind one checked call.
//!
//! They were measured beside hand-written AVX-512 kernels of seven shapes and were within 1 % to 3 % of the best; NEON, AVX2,
//! AVX-512 and wasm come with them. Weight gradients use them tile by tile; where one call can do more than a tile, products of
//! this crate are faster by what lies between calls (`in_panels.rs` and its neighbours).

#![allow(unsafe_code)]

use std::any::Any;
use std::sync::{LazyLock, OnceLock};

use gemm_common::microkernel::MicroKernelFn;
use ndarray::ArrayViewMut2;

use super::in_panels::{self, MultiplyPanels};
use super::in_place::{self, Multiply};
use super::in_quarters::{self, MultiplyQuarters};
use super::in_rows::{self, MultiplyRows};
use super::in_turned::{self, MultiplyTurned};
use super::store::Store;
use super::tail::MAX_TAIL;
use crate::element::Element;
use crate::simd::unit_bytes;

/// A register tile of `columns × lanes` sums: `lanes` values of the left operand, which lie side by side
/// in memory, times `columns` single values of the right.
pub(crate) struct Kernel<T: 'static> {
    /// Elements of one vector register, a power of two.
    pub vector: usize,
    /// The functions for 1, 2, … vectors, and within each for 1, 2, … columns.
    table: Vec<&'static [MicroKernelFn<T>]>,
    /// The instruction set, for people.
    pub isa: &'static str,
    /// The product whose windows are read where they lie.
    pub(super) in_place: Multiply<T>,
    /// The same with windows on the lanes.
    pub(super) in_rows: MultiplyRows<T>,
    /// That of panels of windows.
    pub(super) in_panels: MultiplyPanels<T>,
    /// Strassen's.
    pub(super) in_quarters: MultiplyQuarters<T>,
    /// Those of turned cells, for one register of channels and two.
    pub(super) in_turned: [MultiplyTurned<T>; 2],
    /// What [`rate`](Self::rate) has measured.
    pub(super) rate: OnceLock<f64>,
}

/// How wide that is which a microkernel works on, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Widths {
    /// An element.
    pub element: usize,
    /// A register.
    pub register: usize,
    /// What a unit of the processor multiplies and adds at once: a register, or half of one.
    pub unit: usize,
}

impl Widths {
    /// Whether the processor takes registers in halves.
    pub fn are_halved(self) -> bool {
        self.unit < self.register
    }
}

/// The operands of one tile: `k` steps, each of `lanes` left values and `columns` right values.
#[derive(Clone, Copy)]
pub(crate) struct Operands<'a, T> {
    pub k: usize,
    /// Step `i` starts at `i · left_step`.
    pub left: &'a [T],
    pub left_step: usize,
    /// Step `i` starts at `i · right_step`; its values are `right_column` apart.
    pub right: &'a [T],
    pub right_step: usize,
    pub right_column: usize,
}

/// The instruction set of this machine that the microkernels use, such as `"avx512f"` or `"avx2+fma"`.
pub fn isa() -> &'static str {
    F32.isa
}

impl<T: Element> Kernel<T> {
    /// The best kernels that this machine can run.
    pub fn best() -> &'static Self {
        let known: [&'static dyn Any; 2] = [&*F32, &*F64];
        known.into_iter().find_map(|kernel| kernel.downcast_ref()).expect("f32 and f64 are the only elements")
    }

    pub fn widths(&self) -> Widths {
        let register = self.vector * size_of::<T>();
        Widths { element: size_of::<T>(), register, unit: register.min(unit_bytes()) }
    }

    /// The most lanes of a tile.
    pub fn lanes(&self) -> usize {
        self.vector * self.table.len()
    }

    /// The most columns of a tile.
    pub fn columns(&self) -> usize {
        self.table[0].len()
    }

    /// So many lanes, filled up to whole vectors.
    pub fn padded(&self, lanes: usize) -> usize {
        (lanes + self.vector - 1) & !(self.vector - 1)
    }

    /// The most lanes beyond whole vectors that are faster taken one by one, by [`multiply_tail`](super::multiply_tail).
    pub fn most_tail(&self) -> usize {
        MAX_TAIL.min(self.vector / 2)
    }

    /// Computes the tile `c [columns, lanes]`, whose lanes lie side by side, or adds to it. Lanes are whole
    /// vectors.
    ///
    /// # Panics
    /// If a size does not fit, which is a mistake of this crate.
    #[inline(always)]
    pub fn run(&self, operands: Operands<'_, T>, store: Store, mut c: ArrayViewMut2<'_, T>) {
        let Operands { k, left, left_step, right, right_step, right_column } = operands;
        let (columns, lanes) = c.dim();
        let vectors = lanes >> self.vector.trailing_zeros();
        assert!(lanes > 0 && lanes & (self.vector - 1) == 0 && c.strides()[1] == 1, "lanes of a tile");
        assert!(k > 0 && (k - 1) * left_step + lanes <= left.len(), "left operand of a tile");
        assert!((k - 1) * right_step + (columns - 1) * right_column < right.len(), "right operand of a tile");
        let kernel = self.table[vectors - 1][columns - 1];
        let column_stride = c.strides()[0];
        // SAFETY: the kernel reads `lanes` values at each of `k` steps of `left` and `columns` at each of
        // `right`, which the assertions have found to be inside the slices; it writes the `columns × lanes`
        // elements of `c`, which the view owns, since `m` and `n` are its full sizes and it is told its
        // strides. The table holds kernels of instruction sets that were detected (see `best_of`).
        unsafe {
            kernel(
                lanes,
                columns,
                k,
                c.as_mut_ptr(),
                left.as_ptr(),
                right.as_ptr(),
                column_stride,
                1,
                left_step as isize,
                right_step as isize,
                right_column as isize,
                T::one(),
                T::one(),
                u8::from(store == Store::Add),
                false,
                false,
                false,
                std::ptr::null(),
            );
        }
    }
}

/// The kernels of one module of the `gemm` family, as slices.
macro_rules! kernel {
    ($isa:literal, $vector:expr, $table:path) => {
        Kernel {
            vector: $vector,
            table: $table.iter().map(|row| &row[..]).collect(),
            isa: $isa,
            in_place: in_place::multiply,
            in_rows: in_rows::multiply,
            in_panels: in_panels::multiply,
            in_quarters: in_quarters::multiply,
            in_turned: [in_turned::multiply::<_, 1>, in_turned::multiply::<_, 2>],
            rate: OnceLock::new(),
        }
    };
}

/// The best kernels of an element type that the processor has; `size` is the element's in bytes.
macro_rules! best_of {
    ($family:ident, $element:ident, $size:literal) => {
        LazyLock::new(|| {
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            {
                if is_x86_feature_detected!("avx512f") {
                    static TABLE: &[[MicroKernelFn<$element>; 6]] = &$family::microkernel::avx512f::$element::UKR;
                    return kernel!("avx512f", 64 / $size, TABLE);
                }
                if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                    static TABLE: &[[MicroKernelFn<$element>; 6]] = &$family::microkernel::fma::$element::UKR;
                    return kernel!("avx2+fma", 32 / $size, TABLE);
                }
            }
            #[cfg(target_arch = "aarch64")]
            if std::arch::is_aarch64_feature_detected!("neon") {
                static TABLE: &[[MicroKernelFn<$element>; $family::microkernel::neon::$element::NR]] =
                    &$family::microkernel::neon::$element::UKR;
                return kernel!("neon", 16 / $size, TABLE);
            }
            static TABLE: &[[MicroKernelFn<$element>; $family::microkernel::scalar::$element::NR]] =
                &$family::microkernel::scalar::$element::UKR;
            kernel!("portable", 1, TABLE)
        })
    };
}

static F32: LazyLock<Kernel<f32>> = best_of!(gemm_f32, f32, 4);
static F64: LazyLock<Kernel<f64>> = best_of!(gemm_f64, f64, 8);

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    #[test]
    fn every_tile_shape_is_right_and_writes_nothing_else() {
        let kernel = Kernel::<f32>::best();
        for k in [1, 2, 5, 8] {
            for vectors in 1..=kernel.lanes() / kernel.vector {
                for columns in 1..=kernel.columns() {
                    let lanes = vectors * kernel.vector;
                    let left: Vec<f32> = (0..k * lanes).map(|i| (i % 7) as f32 - 3.0).collect();
                    let right: Vec<f32> = (0..k * columns).map(|i| (i % 5) as f32 - 2.0).collect();
                    let (left, right) = (&left[..], &right[..]);
                    let operands = Operands { k, left, left_step: lanes, right, right_step: columns, right_column: 1 };
                    let mut c = Array2::from_elem((columns, lanes + 3), f32::NAN);
                    let (mut tile, gap) = c.view_mut().split_at(ndarray::Axis(1), lanes);
                    kernel.run(operands, Store::Overwrite, tile.view_mut());
                    kernel.run(operands, Store::Add, tile.view_mut());
                    for ((j, i), &sum) in tile.indexed_iter() {
                        let expected: f32 = (0..k).map(|p| left[p * lanes + i] * right[p * columns + j]).sum();
                        assert_eq!(sum, 2.0 * expected, "k {k}, {columns} × {lanes}");
                    }
                    assert!(gap.iter().all(|x| x.is_nan()));
                }
            }
        }
    }
}
