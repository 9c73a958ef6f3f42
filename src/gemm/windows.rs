//! Windows of an image, and which of their products are with zeros around it.

use std::ops::Range;

/// The most kernel cells of which it is known for each tile of windows whether they meet zeros.
pub(crate) const MOST_TAPS: usize = 64;

/// Windows of a part of an image, in order.
#[derive(Clone, Copy)]
pub(crate) struct Windows<'a, T> {
    pub cells: &'a [T],
    /// Where the first one reads its kernel cells, less `start`.
    pub offsets: &'a [usize],
    /// Perhaps a small negative number, wrapped around.
    pub start: usize,
    /// Planes, rows and columns of windows.
    pub counts: [usize; 3],
    /// Cells from one to the next of each.
    pub steps: [usize; 3],
    /// Rows and columns of the image, if products with the zeros around it may be left out.
    pub border: Option<[Border; 2]>,
    /// Whether they must be, since there are no zeros around it. (See [`Border::is_at_ends`].)
    pub is_bare: bool,
    /// Whether cells may not be in the L2 yet, and are asked for ahead.
    pub are_far: bool,
}

impl<T> Windows<'_, T> {
    pub fn count(&self) -> usize {
        self.counts.iter().product()
    }

    /// Where a row begins, counted over all planes.
    #[inline(always)]
    pub fn row_start(&self, row: usize) -> usize {
        let ([_, rows, _], [plane_step, row_step, _]) = (self.counts, self.steps);
        self.start.wrapping_add(row / rows * plane_step + row % rows * row_step)
    }

    /// With the rows of a plane as a single one where they follow each other: it is cut into tiles more evenly.
    pub fn in_long_rows(self) -> Self {
        let ([planes, rows, width], [_, row_step, step]) = (self.counts, self.steps);
        match self.border {
            None if row_step == width * step => Self { counts: [planes, 1, rows * width], ..self },
            _ => self,
        }
    }

    /// Those of one plane.
    pub fn plane(self, number: usize) -> Self {
        let [_, rows, width] = self.counts;
        Self { start: self.start.wrapping_add(number * self.steps[0]), counts: [1, rows, width], ..self }
    }

    /// Parts of about so many windows at most, in order, each with the number of its first window: whole planes, rows of
    /// one, or a part of a row.
    pub fn parts(self, most: usize) -> impl Iterator<Item = (usize, Self)> {
        let [planes, rows, width] = self.counts;
        let lines = |line: usize| (most / line.max(1)).max(1);
        let lengths = match planes {
            1 if width > most => [1, 1, width.div_ceil(width.div_ceil(most))],
            1 => [1, lines(width), width],
            _ => [lines(rows * width), rows, width],
        };
        let starts = move |axis: usize| (0..self.counts[axis]).step_by(lengths[axis]);
        starts(0).flat_map(move |plane| {
            starts(1).flat_map(move |row| {
                starts(2).map(move |column| {
                    let first = [plane, row, column];
                    let start =
                        (0..3).fold(self.start, |start, axis| start.wrapping_add(first[axis] * self.steps[axis]));
                    let counts = std::array::from_fn(|axis| lengths[axis].min(self.counts[axis] - first[axis]));
                    let border = self.border.map(|[rows, columns]| [rows.after(row), columns.after(column)]);
                    ((plane * rows + row) * width + column, Self { start, counts, border, ..self })
                })
            })
        })
    }
}

/// An axis of windows over an image that zeros surround.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Border {
    /// Number of the first window.
    pub first: usize,
    pub taps: usize,
    /// Cells from one window, and from one tap, to the next.
    pub stride: usize,
    pub dilation: usize,
    /// Zeros before the image, and its cells.
    pub before: usize,
    pub cells: usize,
}

impl Border {
    /// That of the windows from a later one on.
    fn after(self, window: usize) -> Self {
        Self { first: self.first + window, ..self }
    }

    /// Whether, of so many windows, the first and the last alone read what is not in the image, and not at the same tap.
    pub fn is_at_ends(&self, windows: usize) -> bool {
        let Some(last) = windows.checked_sub(1).filter(|&last| last > 0) else { return false };
        let (whole, start, end) = (0..self.taps, self.inside(0), self.inside(last));
        let are_others_inside = last == 1 || self.inside(1) == whole && self.inside(last - 1) == whole;
        are_others_inside && start.end == self.taps && end.start == 0 && start.start <= end.end
    }

    /// The taps that lie in the image.
    #[inline]
    fn inside(&self, window: usize) -> Range<usize> {
        let place = (self.first + window) * self.stride;
        let taps = |cell: usize| cell.saturating_sub(place).div_ceil(self.dilation).min(self.taps);
        taps(self.before)..taps(self.before + self.cells).max(taps(self.before))
    }
}

/// Which windows of a row read the image, and not zeros, at a tap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Readers {
    /// All of them, or others than below.
    All,
    AllButFirst,
    AllButLast,
    None,
}

/// That of each tap, for windows of one row.
pub(super) struct Zeros {
    readers: [Readers; MOST_TAPS],
    taps: usize,
}

impl Zeros {
    /// No tap does.
    pub const NONE: Self = Self { readers: [Readers::All; MOST_TAPS], taps: 1 };

    /// Of windows of a row from a column to an end; `None` if none of them reads zeros.
    #[inline]
    pub fn of([rows, columns]: [Border; 2], row: usize, windows: Range<usize>) -> Option<Self> {
        let (first, last) = (columns.inside(windows.start), columns.inside(windows.end - 1));
        let (high, whole) = (rows.inside(row), 0..columns.taps);
        if high == (0..rows.taps) && first == whole && last == whole {
            return None;
        }
        let mut zeros = Self { readers: [Readers::None; MOST_TAPS], taps: rows.taps * columns.taps };
        for i in high {
            for j in 0..columns.taps {
                zeros.readers[i * columns.taps + j] = match (first.contains(&j), last.contains(&j)) {
                    (false, false) if windows.len() == 1 => Readers::None,
                    (true, true) | (false, false) => Readers::All,
                    (false, true) => Readers::AllButFirst,
                    (true, false) => Readers::AllButLast,
                };
            }
        }
        Some(zeros)
    }

    /// Those of a row of the patch matrix, whose first one is of the first tap.
    #[inline(always)]
    pub fn readers(&self) -> impl Iterator<Item = Readers> {
        self.readers[..self.taps].iter().copied().cycle()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_follow_each_other_are_one_unless_they_end_at_a_border() {
        let border = Border { first: 0, taps: 3, stride: 1, dilation: 1, before: 1, cells: 7 };
        let found = |steps, border| {
            let counts = [2, 7, 7];
            let windows = Windows {
                cells: &[0.0],
                offsets: &[0],
                start: 0,
                counts,
                steps,
                border,
                is_bare: false,
                are_far: false,
            };
            windows.in_long_rows().counts
        };
        assert_eq!(found([100, 7, 1], None), [2, 1, 49]);
        assert_eq!(found([100, 14, 2], None), [2, 1, 49]);
        assert_eq!(found([100, 14, 1], None), [2, 7, 7]);
        assert_eq!(found([100, 7, 1], Some([border; 2])), [2, 7, 7]);
    }

    #[test]
    fn parts_are_all_windows_in_order() {
        for (counts, most) in
            [([1, 1, 300], 128), ([1, 7, 30], 128), ([4, 7, 7], 128), ([3, 1, 2], 1), ([2, 20, 20], 64)]
        {
            let (cells, offsets) = ([0.0; 1], [0]);
            let windows = Windows {
                cells: &cells,
                offsets: &offsets,
                start: 5,
                counts,
                steps: [1000, 40, 1],
                border: None,
                is_bare: false,
                are_far: false,
            };
            let mut found = vec![];
            for (first, part) in windows.parts(most) {
                assert_eq!(first, found.len());
                assert!(part.count() <= most || part.counts[1..] == counts[1..], "{:?}", part.counts);
                let [planes, rows, width] = part.counts;
                let places = (0..planes).flat_map(|p| (0..rows).flat_map(move |r| (0..width).map(move |w| [p, r, w])));
                found.extend(places.map(|[p, r, w]| part.start + p * 1000 + r * 40 + w));
            }
            let [_, rows, width] = counts;
            let place = |i: usize| 5 + i / width / rows * 1000 + i / width % rows * 40 + i % width;
            assert!(found.into_iter().eq((0..windows.count()).map(place)), "{counts:?}");
        }
    }

    #[test]
    fn what_reads_no_zeros_is_what_lies_in_the_image() {
        for (taps, stride, dilation, before, cells) in
            [(3, 1, 1, 1, 7), (3, 2, 1, 1, 8), (5, 1, 1, 2, 9), (3, 1, 3, 4, 6), (7, 4, 2, 3, 20), (3, 1, 1, 9, 2)]
        {
            let border = Border { first: 0, taps, stride, dilation, before, cells };
            let is_inside =
                |window: usize, tap: usize| (before..before + cells).contains(&(window * stride + tap * dilation));
            for window in 0..20 {
                let inside: Vec<usize> = (0..taps).filter(|&tap| is_inside(window, tap)).collect();
                assert_eq!(border.inside(window).collect::<Vec<_>>(), inside, "{border:?}, window {window}");
                for (row, count) in (0..6).flat_map(|row| (1..5).map(move |count| (row, count))) {
                    let columns = border.after(window);
                    let Some(zeros) = Zeros::of([border, columns], row, 0..count) else {
                        let all = (0..taps).all(|t| is_inside(row, t) && (0..count).all(|w| is_inside(window + w, t)));
                        assert!(all, "{border:?}, row {row}, {count} windows from {window} on");
                        continue;
                    };
                    for (tap, readers) in (0..taps * taps).zip(zeros.readers()) {
                        let reads = |w: usize| is_inside(row, tap / taps) && is_inside(window + w, tap % taps);
                        let left_out = match readers {
                            Readers::All => 0..0,
                            Readers::AllButFirst => 0..1,
                            Readers::AllButLast => count - 1..count,
                            Readers::None => 0..count,
                        };
                        assert!(left_out.clone().all(|w| !reads(w)), "{border:?}, tap {tap}: {left_out:?} of {count}");
                    }
                }
            }
        }
    }

    #[test]
    fn rows_need_no_zeros_around_them_if_their_first_and_last_windows_alone_would_read_some() {
        let mut found = [0; 2];
        for (taps, stride, dilation, before, cells, windows) in
            ndarray::indices((3, 2, 2, 3, 12, 9)).into_iter().map(|(taps, stride, dilation, before, cells, windows)| {
                (1 + taps * 2, 1 + stride, 1 + dilation, before, 1 + cells, windows)
            })
        {
            let border = Border { first: 0, taps, stride, dilation, before, cells };
            let is_inside =
                |window: usize, tap: usize| (before..before + cells).contains(&(window * stride + tap * dilation));
            let reads_zeros = |window: usize| (0..taps).any(|tap| !is_inside(window, tap));
            // Zeros are read by the first window before the image alone, and by the last behind it.
            let are_others_inside = (1..windows.max(1) - usize::from(windows > 0)).all(|window| !reads_zeros(window));
            let is_right = windows >= 2
                && are_others_inside
                && (0..taps).all(|tap| is_inside(0, tap) || tap * dilation < before)
                && (0..taps).all(|tap| {
                    is_inside(windows - 1, tap) || (windows - 1) * stride + tap * dilation >= before + cells
                })
                && (0..taps).all(|tap| is_inside(0, tap) || is_inside(windows - 1, tap));
            assert_eq!(border.is_at_ends(windows), is_right, "{border:?}, {windows} windows");
            found[usize::from(is_right)] += 1;
        }
        assert!(found.into_iter().all(|count| count > 50), "{found:?}");
    }
}
