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

impl<'a, T> Planes<'a, T> {
    /// The rows of the first channel, of each so many cells from the given column on.
    #[inline(always)]
    pub fn lines(&self, column: usize, len: usize) -> Lines<'a, T> {
        let Inside { start, end } = self.inside[0];
        let cells = match end.saturating_sub(start) {
            0 => &[],
            rows => {
                &self.cells[self.origin.wrapping_add(start * self.pitch + column)..][..(rows - 1) * self.pitch + len]
            }
        };
        Lines { cells, first: start, pitch: self.pitch, len }
    }
}

/// Rows of a channel.
#[derive(Clone, Copy)]
pub(super) struct Lines<'a, T> {
    /// From the first row that is in the slice to the last.
    cells: &'a [T],
    first: usize,
    pitch: usize,
    len: usize,
}

impl<'a, T> Lines<'a, T> {
    /// The cells of a row, if they are in the slice: a single comparison, since rows above begin far beyond its end.
    #[inline(always)]
    pub fn line(&self, row: usize) -> Option<&'a [T]> {
        let start = row.wrapping_sub(self.first).wrapping_mul(self.pitch);
        self.cells.get(start..)?.get(..self.len)
    }
}
