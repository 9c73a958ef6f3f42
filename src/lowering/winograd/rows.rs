//! Tiles of one row: cut from the rows of an image, whatever the distance between taps, and spread over rows again.
//!
//! With taps `d` cells apart, tile `b · d + p` of a row covers the outputs `b · step · d + p + i · d`, where `step` is
//! the number of a tile's outputs. So `d` neighbouring tiles are runs of `d` neighbouring cells.

use std::ops::Range;

use ndarray::ArrayView4;

use super::scheme::{Scheme, TAPS};
use super::tiles::{split, split_apart};
use crate::element::Element;
use crate::gemm::Store;
use crate::geometry::{Axis, ConvGeometry};
use crate::lowering::patches::PatchSource;
use crate::lowering::runs::{Row, TapRow, copy_short};

/// The largest dilation of those whose blocks are copied by moves of constant length.
pub(super) const MAX_MOVE: usize = 8;

/// Whether whole blocks are copied by moves of constant length; all others cell by cell, in runs.
pub(crate) fn has_moves(dilation: usize) -> bool {
    matches!(dilation, 1 | 2 | 4 | MAX_MOVE)
}

/// Neighbouring tiles of one block.
struct Run {
    /// First cell of the first one, counted from the row's first window.
    cell: usize,
    /// The tiles, counted from the first that was asked for.
    place: Range<usize>,
}

/// Cuts tiles of a row, whose blocks cover `block` cells each, at the ends of blocks.
fn runs(tiles: Range<usize>, dilation: usize, block: usize) -> impl Iterator<Item = Run> {
    let (mut number, mut phase) = (tiles.start / dilation, tiles.start % dilation);
    let mut start = 0;
    std::iter::from_fn(move || {
        let count = (dilation - phase).min(tiles.len() - start);
        let run = Run { cell: number * block + phase, place: start..start + count };
        (number, phase, start) = (number + 1, 0, start + count);
        (count > 0).then_some(run)
    })
}

/// The rows of an image that tiles are cut from.
pub(super) struct Rows<'a, T> {
    source: PatchSource<'a, T>,
    geometry: &'a ConvGeometry,
    /// The cells of a padded row.
    cells: TapRow,
    /// Those that are the image's.
    inside: Range<usize>,
}

impl<'a, T: Element> Rows<'a, T> {
    /// `geometry` has a window for each cell of a padded row.
    pub fn new(geometry: &'a ConvGeometry, image: ArrayView4<'a, T>) -> Self {
        let width = geometry.axes[2];
        Self {
            source: PatchSource::new(geometry, image),
            geometry,
            cells: TapRow::new(width, 0, geometry.pad_mode),
            inside: width.interior(0),
        }
    }

    /// Cell `j` of tile `tiles.start + t` of the output row `[depth, height]` becomes `planes[j · step + t]`.
    pub fn cut(
        &self,
        (channel, [depth, height]): (usize, [usize; 2]),
        (scheme, tiles): (Scheme, Range<usize>),
        buffer: &mut [T],
        (planes, step): (&mut [T], usize),
    ) {
        let ([d, h, w], mode) = (self.geometry.axes, self.geometry.pad_mode);
        let (Some(depth), Some(height)) = (d.source(depth, 0, mode), h.source(height, 0, mode)) else {
            return (0..scheme.side()).for_each(|j| planes[j * step..][..tiles.len()].fill(T::zero()));
        };
        let row = self.source.row(channel, depth, height);
        match scheme {
            Scheme::F2 => self.cut_by::<2>(w, row, tiles, buffer, (planes, step)),
            Scheme::F4 => self.cut_by::<4>(w, row, tiles, buffer, (planes, step)),
        }
    }

    fn cut_by<const STEP: usize>(
        &self,
        width: Axis,
        row: Row<'_, T>,
        tiles: Range<usize>,
        buffer: &mut [T],
        (planes, step): (&mut [T], usize),
    ) {
        let dilation = width.dilation;
        if !has_moves(dilation) || !tiles.start.is_multiple_of(dilation) {
            return self.cut_runs::<STEP>(width, row, tiles, (planes, step));
        }
        let (first, blocks) = (tiles.start / dilation, tiles.len().div_ceil(dilation));
        let cells = first * STEP * dilation..(first + blocks + 1) * STEP * dilation;
        let row = match row {
            Row::Slice(row) if self.holds(&cells) => &row[cells.start - width.pad_before..cells.end - width.pad_before],
            _ => {
                let buffer = &mut buffer[..cells.len()];
                self.cells.gather(row, cells, buffer);
                &*buffer
            }
        };
        match dilation {
            1 => split::<T, STEP>(row, tiles.len(), planes, step),
            2 => split_apart::<T, STEP, 2>(row, tiles.len(), planes, step),
            4 => split_apart::<T, STEP, 4>(row, tiles.len(), planes, step),
            _ => split_apart::<T, STEP, MAX_MOVE>(row, tiles.len(), planes, step),
        }
    }

    fn cut_runs<const STEP: usize>(
        &self,
        width: Axis,
        row: Row<'_, T>,
        tiles: Range<usize>,
        (planes, step): (&mut [T], usize),
    ) {
        let dilation = width.dilation;
        for Run { cell, place } in runs(tiles, dilation, STEP * dilation) {
            let whole = cell..cell + (STEP + TAPS - 2) * dilation + place.len();
            let inside = match row {
                Row::Slice(row) if self.holds(&whole) => Some(&row[cell - width.pad_before..]),
                _ => None,
            };
            for j in 0..STEP + TAPS - 1 {
                let to = &mut planes[j * step..][place.clone()];
                match inside {
                    Some(row) => copy_short(to, &row[j * dilation..][..to.len()]),
                    None => {
                        let first = cell + j * dilation;
                        self.cells.gather(row, first..first + place.len(), to);
                    }
                }
            }
        }
    }

    /// Whether all of these cells of a padded row are the image's.
    fn holds(&self, cells: &Range<usize>) -> bool {
        self.inside.start <= cells.start && cells.end <= self.inside.end
    }
}

/// The cells of a row that tile `tile` covers.
pub(super) fn covered(tile: usize, dilation: usize, side: usize) -> impl Iterator<Item = usize> {
    let first = tile / dilation * side * dilation + tile % dilation;
    (0..side).map(move |i| first + i * dilation)
}

/// Writes output `i` of tile `tiles.start + t`, which is at `from[i · steps.0 + t · steps.1]`, to its cell of `line`, or
/// adds it to what is there.
pub(super) fn spread<T: Element>(
    line: &mut [T],
    (side, dilation): (usize, usize),
    tiles: Range<usize>,
    from: &[T],
    (steps, store): ((usize, usize), Store),
) {
    let whole = match dilation {
        _ if steps.1 > 1 || store == Store::Add || !tiles.start.is_multiple_of(dilation) => 0,
        2 => spread_blocks::<T, 2>(line, side, tiles.clone(), from, steps.0),
        4 => spread_blocks::<T, 4>(line, side, tiles.clone(), from, steps.0),
        MAX_MOVE => spread_blocks::<T, MAX_MOVE>(line, side, tiles.clone(), from, steps.0),
        _ => 0,
    };
    let from = &from[whole * steps.1..];
    for Run { cell, place } in runs(tiles.start + whole..tiles.end, dilation, side * dilation) {
        for i in 0..side {
            let start = (cell + i * dilation).min(line.len());
            let end = (start + place.len()).min(line.len());
            let from = from[i * steps.0 + place.start * steps.1..].iter().step_by(steps.1);
            line[start..end].iter_mut().zip(from).for_each(|(to, &value)| store.put(to, value));
        }
    }
}

/// The same for the first whole blocks of tiles that lie side by side, and begin one; gives the number of these tiles.
fn spread_blocks<T: Element, const DILATION: usize>(
    line: &mut [T],
    side: usize,
    tiles: Range<usize>,
    from: &[T],
    step: usize,
) -> usize {
    let line = &mut line[tiles.start * side..];
    let blocks = (tiles.len() / DILATION).min(line.len() / (side * DILATION));
    let (chunks, _) = line[..blocks * side * DILATION].as_chunks_mut::<DILATION>();
    for i in 0..side {
        let (from, _) = from[i * step..][..blocks * DILATION].as_chunks::<DILATION>();
        chunks.iter_mut().skip(i).step_by(side).zip(from).for_each(|(to, from)| *to = *from);
    }
    blocks * DILATION
}
