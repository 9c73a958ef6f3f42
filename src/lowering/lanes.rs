//! The vector lanes of the microkernel, and what lies on them.

use crate::element::Element;
use crate::gemm::{Kernel, channel_lanes, row_channels};

/// What lies on the vector lanes of the microkernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lanes {
    /// Windows, side by side as in the output: where that needs no packing.
    Windows,
    /// The windows of a row: where sums of channels would have few products between turns.
    Rows,
    /// Output channels: the rule.
    Channels,
}

/// Lanes of the microkernel that will run, and the memory that feeds them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Vector {
    /// Bytes of an element.
    pub size: usize,
    /// Elements of one register.
    pub len: usize,
    /// Elements of a whole tile's lanes.
    pub lanes: usize,
    /// Columns of a whole tile.
    pub columns: usize,
    /// Windows that are taken one by one where they fill no register.
    pub most_tail: usize,
    /// Output channels of one register, and of a whole tile, where they lie on the lanes.
    pub channels: [usize; 2],
    /// Output channels of a tile where the windows of a row do.
    pub row_channels: usize,
}

impl Vector {
    /// The lanes of the microkernel for elements of type `T`.
    pub fn of<T: Element>() -> Self {
        let kernel = Kernel::<T>::best();
        Self {
            size: size_of::<T>(),
            len: kernel.vector,
            lanes: kernel.lanes(),
            columns: kernel.columns(),
            most_tail: kernel.most_tail(),
            channels: channel_lanes::<T>(),
            row_channels: row_channels::<T>(),
        }
    }
}
