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

/// The plane of outputs that tiles cover: lines, whose rows have `width` cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Plane {
    pub line: usize,
    pub width: usize,
}

impl Plane {
    pub fn of(g: &ConvGeometry, tile: Tile) -> Self {
        let [_, height, width] = &g.axes;
        match tile.axes {
            Axes::Plane => Self { line: height.output * width.output, width: width.output },
            Axes::Width => Self { line: width.output, width: width.dilation },
        }
    }

    /// The cells of lines and rows of tiles from a start to an end, `[line, row]`, in order.
    pub fn cells(self, tile: Tile, lines: &Range<usize>, rows: &Range<usize>) -> Range<usize> {
        let cell = |row: usize| (row * tile.outputs()[0] * self.width).min(self.line);
        lines.start * self.line + cell(rows.start)..(lines.end.max(1) - 1) * self.line + cell(rows.end)
    }
}

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

    /// Rows and columns of the cells that one of its lines reads.
    pub fn reads(&self, tile: Tile) -> [usize; 2] {
        let tiles = [self.rows.len(), self.columns.len()];
        [0, 1].map(|axis| (tiles[axis] - 1) * tile.steps()[axis] + tile.inputs()[axis])
    }

    /// Where these lie in the padded line.
    pub fn read_area(&self, tile: Tile) -> Area {
        let [rows, columns] = tile.steps();
        Area { first: [self.rows.start * rows, self.columns.start * columns], count: self.reads(tile) }
    }

    /// Rows and columns of the outputs of one of its lines, with those beyond the plane.
    pub fn outputs(&self, tile: Tile) -> [usize; 2] {
        let [rows, columns] = tile.outputs();
        [self.rows.len() * rows, self.columns.len() * columns]
    }

    /// Where these lie in the line.
    pub fn output_area(&self, tile: Tile) -> Area {
        let [rows, columns] = tile.outputs();
        Area { first: [self.rows.start * rows, self.columns.start * columns], count: self.outputs(tile) }
    }

    /// Columns of outputs that are in the plane.
    pub fn width(&self, plane: Plane, tile: Tile) -> usize {
        let outputs = tile.outputs()[1];
        (self.columns.end * outputs).min(plane.width) - self.columns.start * outputs
    }

    /// Whether its rows of outputs lie one after the other.
    pub fn is_whole(&self, plane: Plane, tile: Tile) -> bool {
        self.width(plane, tile) == plane.width
    }

    /// Elements from one line of its outputs to the next.
    fn line_step(&self, plane: Plane, tile: Tile) -> usize {
        if self.lines.len() > 1 { plane.line } else { self.rows.len() * tile.outputs()[0] * self.width(plane, tile) }
    }

    /// Elements that its outputs take, with those beyond the plane.
    pub fn outputs_len(&self, plane: Plane, tile: Tile) -> usize {
        let ([rows, columns], width) = (tile.outputs(), self.width(plane, tile));
        let line = self.rows.len() * rows * width + columns;
        (self.lines.len() - 1) * self.line_step(plane, tile) + line
    }

    /// For each tile, where its first input and its first output lie, in cells.
    ///
    /// Outputs of a tile beyond the last column lie where the next row begins, and those beyond the last row where the next
    /// line does. So tiles come in the order in which what belongs there is written later.
    pub fn places(&self, plane: Plane, tile: Tile) -> impl Iterator<Item = [usize; 2]> {
        let [out_rows, out_columns] = tile.outputs();
        let (width, line_step) = (self.width(plane, tile), self.line_step(plane, tile));
        let outputs = self
            .tiles_in_order()
            .map(move |[line, row, column]| line * line_step + row * out_rows * width + column * out_columns);
        self.input_places(tile).zip(outputs).map(|(input, output)| [input, output])
    }

    /// In the same order where the first input of each lies.
    pub fn input_places(&self, tile: Tile) -> impl Iterator<Item = usize> {
        self.places_among(self.reads(tile), tile.steps())
    }

    /// And where its first output does, among those of the part with the ones beyond the plane.
    pub fn output_places(&self, tile: Tile) -> impl Iterator<Item = usize> {
        self.places_among(self.outputs(tile), tile.outputs())
    }

    /// Among lines of so many rows and columns, of tiles so many apart.
    fn places_among(
        &self,
        [rows, columns]: [usize; 2],
        [row_step, column_step]: [usize; 2],
    ) -> impl Iterator<Item = usize> {
        self.tiles_in_order()
            .map(move |[line, row, column]| (line * rows + row * row_step) * columns + column * column_step)
    }

    /// Line, row and column of each tile.
    fn tiles_in_order(&self) -> impl Iterator<Item = [usize; 3]> + use<> {
        let (lines, rows, columns) = (self.lines.len(), self.rows.len(), self.columns.len());
        (0..lines).flat_map(move |line| {
            (0..rows).flat_map(move |row| (0..columns).rev().map(move |column| [line, row, column]))
        })
    }

    /// Runs of its outputs: where each lies among them, and which cells of the plane it is.
    pub fn runs(&self, plane: Plane, tile: Tile) -> impl Iterator<Item = (usize, Range<usize>)> {
        let (rows, width) = (self.rows.len() * tile.outputs()[0], self.width(plane, tile));
        let is_whole = self.is_whole(plane, tile);
        let whole = plane.cells(tile, &self.lines, &self.rows);
        let column = self.columns.start * tile.outputs()[1];
        let first = self.lines.start * plane.line;
        let start = first + self.rows.start * tile.outputs()[0] * plane.width + column;
        (0..if is_whole { 1 } else { rows }).map(move |row| match is_whole {
            true => (0, whole.clone()),
            false => {
                let start = start + row * plane.width;
                (row * width, start.min(first + plane.line)..(start + width).min(first + plane.line))
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
            (row(5, 21, 1), 1),
            (row(3, 16, 4), 1),
            (row(1, 23, 5), 1),
        ] {
            let g = ConvOptions::<2>::new().dilation([1, dilation]).geometry(&input, &weight).unwrap();
            for (scheme, most) in [Scheme::F2, Scheme::F4].into_iter().flat_map(|s| (1..=40).map(move |n| (s, n))) {
                let tile = Tile::of(&g, scheme).unwrap();
                let (plane, mut counts, [high, wide]) = (Plane::of(&g, tile), tile.counts(&g), tile.outputs());
                counts[0] *= images;
                let mut found = vec![0; images * g.windows()];
                for part in Part::all(0..counts[0], 0..counts[1], counts[2], block(counts, most)) {
                    assert!(part.tiles() <= most);
                    let mut outputs = vec![None; part.outputs_len(plane, tile)];
                    let numbers = part.lines.clone().flat_map(|line| {
                        let columns = part.columns.clone();
                        part.rows.clone().flat_map(move |row| columns.clone().rev().map(move |c| [line, row, c]))
                    });
                    for ([line, row, column], [_, place]) in numbers.zip(part.places(plane, tile)) {
                        for (i, j) in (0..high).flat_map(|i| (0..wide).map(move |j| (i, j))) {
                            let cell = [line, row * high + i, column * wide + j];
                            outputs[place + i * part.width(plane, tile) + j] = Some(cell);
                        }
                    }
                    for (place, cells) in part.runs(plane, tile) {
                        for (place, cell) in (place..).zip(cells) {
                            let in_line = cell % plane.line;
                            let expected = [cell / plane.line, in_line / plane.width, in_line % plane.width];
                            assert_eq!(outputs[place], Some(expected), "{part:?} of {counts:?}");
                            found[cell] += 1;
                        }
                    }
                }
                assert!(found.iter().all(|&n| n == 1), "{tile:?}, {most} tiles: {found:?}");
            }
        }
    }
}
