//! Tiles that are taken together: where they are, what they read, and what they write.

use std::ops::Range;

use super::scheme::{Axes, Tile};
use crate::geometry::ConvGeometry;

/// A block of tiles of an output plane: lines, and rows and columns of tiles of each. It has all columns if it has several
/// rows, and all rows if it has several lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub lines: Range<usize>,
    pub rows: Range<usize>,
    pub columns: Range<usize>,
}

/// Rows and columns of cells of each line of a part.
#[derive(Debug, Clone, Copy)]
pub(super) struct Area {
    pub first: [usize; 2],
    pub count: [usize; 2],
}

/// How many lines, rows and columns of tiles a block has at the most, so that there are at most `most` tiles in it; blocks of
/// about the same size cover `counts` of them.
pub(super) fn block(counts: [usize; 3], most: usize) -> [usize; 3] {
    let even = |count: usize, most: usize| count.div_ceil(count.div_ceil(most.max(1)).max(1)).max(1);
    let [lines, rows, columns] = counts;
    if columns > most {
        [1, 1, even(columns, most)]
    } else if rows * columns > most {
        [1, even(rows, most / columns), columns]
    } else {
        [even(lines, most / (rows * columns).max(1)), rows, columns]
    }
}

/// How tiles cover a plane of outputs: lines, whose rows have `width` cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Grid {
    pub tile: Tile,
    /// Lines of a plane that have tiles of their own, and the rows and columns of tiles of each.
    pub counts: [usize; 3],
    /// Those of the rows and columns that are not short; the others come last. With short ones tiles cover the plane exactly.
    whole: [usize; 2],
    /// Cells of a line, and of a row of it.
    pub line: usize,
    width: usize,
}

impl Grid {
    /// With short tiles, where they leave out what is beyond the plane.
    pub fn of(g: &ConvGeometry, tile: Tile) -> Self {
        Self { whole: tile.whole(g), ..Self::even(g, tile) }
    }

    /// Without short tiles.
    pub fn even(g: &ConvGeometry, tile: Tile) -> Self {
        let ([_, height, width], counts) = (&g.axes, tile.counts(g));
        let [_, rows, columns] = counts;
        let (line, width) = match tile.axes {
            Axes::Plane => (height.output * width.output, width.output),
            Axes::Width => (width.output, width.dilation),
        };
        Self { tile, counts, whole: [rows, columns], line, width }
    }

    /// Rows or columns of outputs before a row or column of tiles.
    fn outputs_before(&self, axis: usize, tiles: usize) -> usize {
        tiles * self.tile.outputs()[axis] - tiles.saturating_sub(self.whole[axis])
    }

    /// The same of inputs.
    fn inputs_before(&self, axis: usize, tiles: usize) -> usize {
        tiles * self.tile.steps()[axis] - tiles.saturating_sub(self.whole[axis])
    }

    /// The cells of lines and rows of tiles from a start to an end, `[line, row]`, in order.
    pub fn cells(&self, lines: &Range<usize>, rows: &Range<usize>) -> Range<usize> {
        let cell = |row: usize| (self.outputs_before(0, row) * self.width).min(self.line);
        lines.start * self.line + cell(rows.start)..(lines.end.max(1) - 1) * self.line + cell(rows.end)
    }
}

/// Tiles of which none, the columns, the rows, or both are short.
pub(super) const KINDS: [[bool; 2]; 4] = [[false, false], [false, true], [true, false], [true, true]];

impl Part {
    pub fn tiles(&self) -> usize {
        self.lines.len() * self.rows.len() * self.columns.len()
    }

    /// The blocks of some lines and rows of tiles, which are at most `most` large, in order.
    pub fn all(
        lines: Range<usize>,
        rows: Range<usize>,
        columns: usize,
        most: [usize; 3],
    ) -> impl Iterator<Item = Self> {
        fn cut(range: Range<usize>, length: usize) -> impl Iterator<Item = Range<usize>> + Clone {
            range.clone().step_by(length).map(move |start| start..range.end.min(start + length))
        }
        cut(lines, most[0]).flat_map(move |lines| {
            let rows = cut(rows.clone(), most[1]);
            rows.flat_map(move |rows| {
                let lines = lines.clone();
                cut(0..columns, most[2]).map(move |columns| Self { lines: lines.clone(), rows: rows.clone(), columns })
            })
        })
    }

    /// Rows and columns of tiles.
    fn sides(&self) -> [&Range<usize>; 2] {
        [&self.rows, &self.columns]
    }

    /// Those of each kind of tiles.
    fn kinds(&self, grid: &Grid) -> [[Range<usize>; 2]; 4] {
        let sides = self.sides();
        KINDS.map(|is_short| {
            [0, 1].map(|axis| {
                let (side, whole) = (sides[axis], grid.whole[axis].clamp(sides[axis].start, sides[axis].end));
                if is_short[axis] { whole..side.end } else { side.start..whole }
            })
        })
    }

    /// How many tiles there are of each kind.
    pub fn kind_counts(&self, grid: &Grid) -> [usize; 4] {
        self.kinds(grid).map(|[rows, columns]| self.lines.len() * rows.len() * columns.len())
    }

    /// Rows and columns of the cells that one of its lines reads.
    pub fn reads(&self, grid: &Grid) -> [usize; 2] {
        self.read_area(grid).count
    }

    /// Where these lie in the padded line.
    pub fn read_area(&self, grid: &Grid) -> Area {
        let first = [0, 1].map(|axis| grid.inputs_before(axis, self.sides()[axis].start));
        let overlap = [0, 1].map(|axis| grid.tile.inputs()[axis] - grid.tile.steps()[axis]);
        let end = [0, 1].map(|axis| grid.inputs_before(axis, self.sides()[axis].end) + overlap[axis]);
        Area { first, count: [0, 1].map(|axis| end[axis] - first[axis]) }
    }

    /// Rows and columns of the outputs of one of its lines, with those beyond the plane.
    pub fn outputs(&self, grid: &Grid) -> [usize; 2] {
        self.output_area(grid).count
    }

    /// Where these lie in the line.
    pub fn output_area(&self, grid: &Grid) -> Area {
        let before = |axis, tiles| grid.outputs_before(axis, tiles);
        let first = [0, 1].map(|axis| before(axis, self.sides()[axis].start));
        Area { first, count: [0, 1].map(|axis| before(axis, self.sides()[axis].end) - first[axis]) }
    }

    /// Columns of outputs that are in the plane.
    pub fn width(&self, grid: &Grid) -> usize {
        let Area { first: [_, first], count: [_, count] } = self.output_area(grid);
        (first + count).min(grid.width) - first
    }

    /// Whether its rows of outputs lie one after the other.
    pub fn is_whole(&self, grid: &Grid) -> bool {
        self.width(grid) == grid.width
    }

    /// Elements from one line of its outputs to the next.
    fn line_step(&self, grid: &Grid) -> usize {
        if self.lines.len() > 1 { grid.line } else { self.outputs(grid)[0] * self.width(grid) }
    }

    /// Elements that its outputs take, with those beyond the plane.
    pub fn outputs_len(&self, grid: &Grid) -> usize {
        let line = self.outputs(grid)[0] * self.width(grid) + grid.tile.outputs()[1];
        (self.lines.len() - 1) * self.line_step(grid) + line
    }

    /// For each tile, where its first input and its first output lie, in cells: one kind of tiles after the other.
    ///
    /// Outputs of a tile beyond the last column lie where the next row begins, and those beyond the last row where the next
    /// line does. So tiles, which are all of one kind then, come in the order in which what belongs there is written later.
    pub fn places(&self, grid: &Grid) -> impl Iterator<Item = [usize; 2]> {
        let outputs = self.places_among([self.line_step(grid), self.width(grid)], grid, Grid::outputs_before);
        self.input_places(grid).zip(outputs).map(|(input, output)| [input, output])
    }

    /// In the same order where the first input of each lies.
    pub fn input_places(&self, grid: &Grid) -> impl Iterator<Item = usize> {
        let [rows, columns] = self.reads(grid);
        self.places_among([rows * columns, columns], grid, Grid::inputs_before)
    }

    /// And where its first output does, among those of the part with the ones beyond the plane.
    pub fn output_places(&self, grid: &Grid) -> impl Iterator<Item = usize> {
        let [rows, columns] = self.outputs(grid);
        self.places_among([rows * columns, columns], grid, Grid::outputs_before)
    }

    /// Among lines and rows that are so many cells long, if so many rows or columns of cells come before a tile.
    fn places_among(
        &self,
        [line, row]: [usize; 2],
        grid: &Grid,
        before: fn(&Grid, usize, usize) -> usize,
    ) -> impl Iterator<Item = usize> {
        let (grid, first) = (*grid, [0, 1].map(|axis| before(grid, axis, self.sides()[axis].start)));
        self.tiles_in_order(&grid).map(move |[number, rows, columns]| {
            number * line + (before(&grid, 0, rows) - first[0]) * row + before(&grid, 1, columns) - first[1]
        })
    }

    /// Line, row and column of each tile, lines counted from the first one on.
    fn tiles_in_order(&self, grid: &Grid) -> impl Iterator<Item = [usize; 3]> + use<> {
        let lines = self.lines.len();
        self.kinds(grid).into_iter().flat_map(move |[rows, columns]| {
            (0..lines).flat_map(move |line| {
                let columns = columns.clone();
                rows.clone().flat_map(move |row| columns.clone().rev().map(move |column| [line, row, column]))
            })
        })
    }

    /// Runs of its outputs: where each lies among them, and which cells of the plane it is.
    pub fn runs(&self, grid: &Grid) -> impl Iterator<Item = (usize, Range<usize>)> {
        let (Area { first: [row, column], count: [rows, _] }, width) = (self.output_area(grid), self.width(grid));
        let (is_whole, whole, grid) = (self.is_whole(grid), grid.cells(&self.lines, &self.rows), *grid);
        let first = self.lines.start * grid.line;
        let start = first + row * grid.width + column;
        (0..if is_whole { 1 } else { rows }).map(move |row| match is_whole {
            true => (0, whole.clone()),
            false => {
                let start = start + row * grid.width;
                (row * width, start.min(first + grid.line)..(start + width).min(first + grid.line))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::scheme::Scheme;
    use super::*;
    use crate::options::ConvOptions;

    /// Writes every output's own number through the places of a part and reads it back through its runs.
    #[test]
    fn each_cell_of_a_plane_is_written_by_one_run_with_what_its_tile_left_there() {
        let plane = |height: usize, width: usize| ([1, 1, height + 2, width + 2], [1, 1, 3, 3], 1);
        let row = |height: usize, width: usize, dilation: usize| {
            ([1, 1, height, width + 2 * dilation], [1, 1, 1, 3], dilation)
        };
        // The last number is that of the images of a folded batch.
        for ((input, weight, dilation), images) in [
            (plane(7, 9), 1),
            (plane(8, 4), 1),
            (plane(7, 7), 3),
            (plane(5, 2), 4),
            (plane(14, 13), 2),
            (plane(10, 7), 1),
            (plane(3, 31), 1),
            (row(5, 21, 1), 1),
            (row(3, 16, 4), 1),
            (row(1, 23, 5), 1),
        ] {
            let g = ConvOptions::<2>::new().dilation([1, dilation]).geometry(&input, &weight).unwrap();
            for (scheme, most) in [Scheme::F2, Scheme::F4].into_iter().flat_map(|s| (1..=40).map(move |n| (s, n))) {
                let grid = Grid::of(&g, Tile::of(&g, scheme).unwrap());
                let mut counts = grid.counts;
                counts[0] *= images;
                let mut found = vec![0; images * g.windows()];
                for part in Part::all(0..counts[0], 0..counts[1], counts[2], block(counts, most)) {
                    assert!(part.tiles() <= most);
                    let mut outputs = vec![None; part.outputs_len(&grid)];
                    let kinds = KINDS.into_iter().zip(part.kind_counts(&grid));
                    let kinds = kinds.flat_map(|(kind, count)| std::iter::repeat_n(kind, count));
                    let numbers = part.tiles_in_order(&grid).zip(kinds);
                    for (([line, row, column], kind), [_, place]) in numbers.zip(part.places(&grid)) {
                        let [high, wide] = grid.tile.with_short(kind).outputs();
                        let [row, column] = [grid.outputs_before(0, row), grid.outputs_before(1, column)];
                        for (i, j) in (0..high).flat_map(|i| (0..wide).map(move |j| (i, j))) {
                            let cell = [part.lines.start + line, row + i, column + j];
                            outputs[place + i * part.width(&grid) + j] = Some(cell);
                        }
                    }
                    for (place, cells) in part.runs(&grid) {
                        for (place, cell) in (place..).zip(cells) {
                            let in_line = cell % grid.line;
                            let expected = [cell / grid.line, in_line / grid.width, in_line % grid.width];
                            assert_eq!(outputs[place], Some(expected), "{part:?} of {counts:?}");
                            found[cell] += 1;
                        }
                    }
                }
                assert!(found.iter().all(|&n| n == 1), "{grid:?}, {most} tiles: {found:?}");
            }
        }
    }
}
