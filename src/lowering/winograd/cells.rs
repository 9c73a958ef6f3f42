//! The cells that a block of tiles reads, turned: a vector holds the same cell of sixteen channels.

use std::ops::Range;

use super::part::{Area, Part};
use super::polyphase::Polyphase;
use super::scheme::{Axes, Tile};
use crate::element::Element;
use crate::geometry::{Axis, ConvGeometry, PadMode};
use crate::lowering::image::{Flat, Image};
use crate::lowering::patches::PatchSource;
use crate::lowering::runs::TapRow;
use crate::simd::{Places, SIDE};

/// Where the cells of a block of tiles lie in the image of a group.
pub(super) struct Cells<'a, 'i, T> {
    geometry: &'a ConvGeometry,
    tile: Tile,
    image: Image<'i, T>,
    /// What the channels are phases of.
    phases: Option<&'a Polyphase>,
    /// Output plane, and the block's lines. In a folded batch these are planes themselves.
    plane: usize,
    lines: Range<usize>,
    /// Of the padded rows and columns.
    area: Area,
    /// The places of the image's cells, where the block has all columns.
    places: &'a [usize],
}

/// Places of the cells of the image's rows among those that blocks with all columns read of so many rows.
pub(super) fn places(geometry: &ConvGeometry, tile: Tile, [rows, columns]: [usize; 2]) -> Vec<usize> {
    let [_, height, width] = &geometry.axes;
    let rows = if tile.axes == Axes::Plane { rows.min(height.input) } else { 0 };
    (0..rows).flat_map(|row| (0..width.input).map(move |column| row * columns + column)).collect()
}

impl<'a, 'i, T: Element> Cells<'a, 'i, T> {
    /// Those of an area of a part's lines, in a plane of the image.
    pub fn new(
        (geometry, tile): (&'a ConvGeometry, Tile),
        image: Image<'i, T>,
        (plane, part, area): (usize, &Part, Area),
        places: &'a [usize],
    ) -> Self {
        Self { geometry, tile, image, phases: None, plane, lines: part.lines.clone(), area, places }
    }

    /// The same of phases of the image's channels.
    pub fn by_phases(self, phases: Option<&'a Polyphase>) -> Self {
        Self { phases, ..self }
    }

    /// Elements from one row, and from one column, of the turned cells to the next.
    pub fn steps(&self) -> [usize; 2] {
        [self.area.count[1] * SIDE, SIDE]
    }

    /// Elements of the turned cells.
    pub fn len(&self) -> usize {
        self.lines.len() * self.area.count[0] * self.area.count[1] * SIDE
    }

    /// Turns at most sixteen channels. Cells outside the image that are zeros are not written, so that a caller who has put
    /// zeros to `turned` once can have one block of channels after the other.
    pub fn turn(&self, channels: Range<usize>, edges: &mut [T], turned: &mut [T]) {
        if let Some(phases) = self.phases {
            let line_len = self.len() / self.lines.len().max(1);
            for (line, turned) in self.lines.clone().zip(turned.chunks_exact_mut(line_len.max(1))) {
                let place = (self.line_plane(line), self.area);
                phases.turn(self.image, place, channels.clone(), (&mut *edges, turned));
            }
            return;
        }
        match self.image.flat {
            Some(image) if self.geometry.pad_mode == PadMode::Zeros => self.turn_slices(image, channels, turned),
            _ => self.turn_rows(channels, edges, turned),
        }
    }

    /// The plane that a line reads: where a line is all of an output plane, there are several in a folded batch only.
    fn line_plane(&self, line: usize) -> usize {
        match self.tile.axes {
            Axes::Plane => self.plane + line,
            Axes::Width => self.plane,
        }
    }

    /// From an image whose rows are slices.
    fn turn_slices(&self, image: Flat<'_, T>, channels: Range<usize>, turned: &mut [T]) {
        let ([_, h, w], [first_row, first_column]) = (&self.geometry.axes, self.area.first);
        let [rows, columns] = self.area.count;
        let slices = |plane: usize, row: usize, cells: Range<usize>| {
            let start = plane * image.plane_len + row * w.input;
            std::array::from_fn(|i| {
                let channel = (channels.start + i).min(channels.end - 1);
                &image.cells[channel * image.channel_len + start..][cells.clone()]
            })
        };
        match self.tile.axes {
            Axes::Plane => {
                let (high, wide) = (inside(h, first_row, rows), inside(w, first_column, columns));
                if high.is_empty() || wide.is_empty() {
                    return;
                }
                let row = first_row + high.start - h.pad_before;
                let column = first_column + wide.start - w.pad_before;
                for (number, line) in self.lines.clone().enumerate() {
                    let plane = self.line_plane(line);
                    let place = (number * rows + high.start) * columns + wide.start;
                    if wide.len() == w.input && !self.places.is_empty() {
                        // All rows at once.
                        let cells = slices(plane, row, 0..high.len() * w.input);
                        turn_line(cells, &mut turned[place * SIDE..], |cell| self.places[cell]);
                    } else {
                        for i in 0..high.len() {
                            let cells = slices(plane, row + i, column..column + wide.len());
                            turn_line(cells, &mut turned[(place + i * columns) * SIDE..], |cell| cell);
                        }
                    }
                }
            }
            Axes::Width => {
                for (number, window) in self.lines.clone().enumerate() {
                    let Some(row) = h.source(window, 0, PadMode::Zeros) else { continue };
                    let place = number * rows * columns;
                    // A row of the dilation's length after the other is a run of the image's row.
                    let (parts, length) = if columns == w.dilation { (1, rows * columns) } else { (rows, columns) };
                    for part in 0..parts {
                        let first = (first_row + part) * w.dilation + first_column;
                        let cells = inside(w, first, length);
                        if !cells.is_empty() {
                            let start = first + cells.start - w.pad_before;
                            let place = place + part * columns + cells.start;
                            let cells = slices(self.plane, row, start..start + cells.len());
                            turn_line(cells, &mut turned[place * SIDE..], |cell| cell);
                        }
                    }
                }
            }
        }
    }

    /// From any image, with any border.
    fn turn_rows(&self, channels: Range<usize>, edges: &mut [T], turned: &mut [T]) {
        let ([_, h, w], mode) = (self.geometry.axes, self.geometry.pad_mode);
        let [rows, columns] = self.area.count;
        let source = PatchSource::new(self.geometry, self.image.view);
        // One window for each cell of a padded row, as far as any tile reads.
        let last = match self.tile.axes {
            Axes::Plane => self.area.first[1] + columns,
            Axes::Width => (self.area.first[0] + rows) * w.dilation,
        };
        let cells = TapRow::new(Axis { kernel: 1, stride: 1, dilation: 1, output: last, ..w }, 0, mode);
        for (number, window) in self.lines.clone().enumerate() {
            for row in 0..rows {
                let (height, start) = match self.tile.axes {
                    Axes::Plane => (self.area.first[0] + row, self.area.first[1]),
                    Axes::Width => (window * h.stride, (self.area.first[0] + row) * w.dilation + self.area.first[1]),
                };
                let position = height as isize - h.pad_before as isize;
                let Some(height) = mode.source(position, h.input).filter(|&height| height < h.input) else { continue };
                for (i, line) in edges.chunks_exact_mut(columns).take(SIDE).enumerate() {
                    let channel = (channels.start + i).min(channels.end - 1);
                    cells.gather(source.row(channel, self.line_plane(window), height), start..start + columns, line);
                }
                let lines = std::array::from_fn(|i| &edges[i * columns..][..columns]);
                let place = (number * rows + row) * columns;
                turn_line(lines, &mut turned[place * SIDE..], |cell| cell);
            }
        }
    }
}

/// Which of `count` padded cells from `first` on are the axis's own.
pub(super) fn inside(axis: &Axis, first: usize, count: usize) -> Range<usize> {
    let start = axis.pad_before.saturating_sub(first).min(count);
    let end = (axis.pad_before + axis.input).saturating_sub(first).clamp(start, count);
    start..end
}

/// Puts cell `i` of all channels to place `place(i)`. The last cells are turned together with some before them.
#[inline]
fn turn_line<T: Element>(channels: [&[T]; SIDE], turned: &mut [T], place: impl Fn(usize) -> usize) {
    let count = channels[0].len();
    let (whole, last) = if count < SIDE { (count, count) } else { (count - count % SIDE, count - SIDE) };
    let mut turn = |cells: Range<usize>| {
        let place = |cell: usize| place(cells.start + cell) * SIDE;
        T::turn(channels.map(|channel| &channel[cells.clone()]), Places { cells: turned, place });
    };
    turn(0..whole);
    if whole < count {
        turn(last..count);
    }
}
