//! Cells of channels of a padded image, wherever they lie.

/// The cells of channels, by rows and columns of the padded image.
#[derive(Clone, Copy)]
pub(super) struct Planes<'a, T> {
    pub cells: &'a [T],
    /// Where the first padded cell of the first channel would be; it may lie before the slice.
    pub origin: usize,
    /// Cells from one channel, and from one row, to the next.
    pub channel_len: usize,
    pub pitch: usize,
    /// The rows and columns that are in the slice. All others are zeros.
    pub inside: [Inside; 2],
    /// Whether they are far: those of the next channel are asked for while one is computed, and its outputs.
    pub is_far: bool,
}

/// Cells of an axis from `start` on, to before `end`.
#[derive(Clone, Copy)]
pub(super) struct Inside {
    pub start: usize,
    pub end: usize,
}
