//! What is asked of memory before it is needed.
//!
//! A large batch's images come from memory and its outputs go there. The processor finds the order of long runs by
//! itself, but not that of a tile, which is a few cells of each of many channels.

use ndarray::ArrayView2;

use super::ask::{LINE_BYTES, ask_for_line};

/// A matrix that is written tile by tile. It is asked for into the L1.
#[derive(Clone, Copy)]
pub(crate) struct Output<T> {
    start: *const T,
    row_step: isize,
    rows: usize,
}

impl<T> Output<T> {
    pub fn of(matrix: ArrayView2<'_, T>) -> Self {
        Self { start: matrix.as_ptr(), row_step: matrix.strides()[0], rows: matrix.nrows() }
    }

    /// Nothing.
    pub fn none() -> Self {
        Self { start: std::ptr::null(), row_step: 0, rows: 0 }
    }

    /// The same from a column on.
    pub fn from(self, column: usize) -> Self {
        Self { start: self.start.wrapping_add(column), ..self }
    }

    /// One column, to be asked for row by row; `near` is asked for in place of none.
    pub fn column(&self, column: usize, near: *const T) -> Column<T> {
        match self.rows {
            0 => Column { next: near, row_step: 0, rows: 1 },
            rows => Column { next: self.start.wrapping_add(column), row_step: self.row_step, rows },
        }
    }

    /// Asks for some columns of `count` rows from `first` on, which lie side by side.
    pub fn ask(&self, (first, count): (usize, usize), (column, columns): (usize, usize)) {
        for row in first..self.rows.min(first + count) {
            let row = self.start.wrapping_offset(row as isize * self.row_step).wrapping_add(column);
            let lines = (0..columns).step_by(LINE_BYTES / size_of::<T>());
            lines.for_each(|line| ask_for_line::<T, true>(row.wrapping_add(line)));
        }
    }
}

/// A column of a matrix, of which a line is asked for now and then.
#[derive(Clone, Copy)]
pub(crate) struct Column<T> {
    next: *const T,
    row_step: isize,
    /// Rows that are left, at least one; the last is asked for again and again.
    rows: usize,
}

impl<T> Column<T> {
    /// Asks for the next row's line. (Without a branch, which a loop of a few cycles would notice.)
    #[inline(always)]
    pub fn ask_one(&mut self) {
        ask_for_line::<T, true>(self.next);
        self.rows = self.rows.wrapping_sub(1);
        self.row_step = if self.rows == 0 { 0 } else { self.row_step };
        self.next = self.next.wrapping_offset(self.row_step);
    }
}

/// Runs of cells of an image that will be read, one in each of some channels. They are asked for into the L2, a few lines
/// with each call of the microkernel: all of them at once would wait for each other.
pub(crate) struct Input<T> {
    /// Where the first run begins that was not asked for yet.
    start: *const T,
    /// Elements from one run to the next, and how many are left.
    step: usize,
    runs: usize,
    /// Cache lines of each, and those of the first that were asked for.
    lines: usize,
    asked: usize,
    /// What is asked for before them, and how many lines it has.
    first: *const T,
    first_lines: usize,
}

impl<T> Input<T> {
    /// Of so many cells each. It may be any address.
    pub fn new(start: *const T, (runs, step): (usize, usize), cells: usize) -> Self {
        let lines = Self::lines_of(cells);
        Self { start, step, runs, lines, asked: 0, first: start, first_lines: 0 }
    }

    /// The rows of a matrix, which are about to be written.
    pub fn of(matrix: ArrayView2<'_, T>) -> Self {
        let step = matrix.strides()[0].unsigned_abs();
        Self::new(matrix.as_ptr(), (matrix.nrows(), step), matrix.ncols())
    }

    fn lines_of(cells: usize) -> usize {
        (cells * size_of::<T>()).div_ceil(LINE_BYTES)
    }

    /// Puts what is needed sooner before the rest: the weights of the next tile. Where they come from memory, the processor does not
    /// find each page of them in time by itself.
    pub fn put_first(&mut self, weights: &[T]) {
        (self.first, self.first_lines) = (weights.as_ptr(), Self::lines_of(weights.len()));
    }

    /// Nothing.
    pub fn none() -> Self {
        Self::new(std::ptr::null(), (0, 0), 0)
    }

    pub fn lines(&self) -> usize {
        self.runs * self.lines
    }

    /// Asks for the next lines.
    #[inline(always)]
    pub fn ask(&mut self, lines: usize) {
        for _ in 0..lines.min(self.lines()) {
            self.ask_one();
        }
    }

    /// Asks for the next line, if any is left.
    #[inline(always)]
    pub fn ask_one(&mut self) {
        if self.first_lines > 0 {
            ask_for_line::<T, false>(self.first);
            self.first = self.first.wrapping_add(LINE_BYTES / size_of::<T>());
            self.first_lines -= 1;
        } else if self.runs > 0 {
            ask_for_line::<T, false>(self.start.wrapping_add(self.asked * (LINE_BYTES / size_of::<T>())));
            self.asked += 1;
            if self.asked >= self.lines {
                *self = Self { start: self.start.wrapping_add(self.step), runs: self.runs - 1, asked: 0, ..*self };
            }
        }
    }
}
