//! Rows of cells to overlapping tiles, and tiles of outputs back to rows.

use std::ops::Range;

use crate::element::Element;
use crate::gemm::Store;

/// Cuts a row into tiles that move by `STEP` cells: `planes[j][t] = row[STEP · t + j]` for the `tiles` first
/// ones, where plane `j` starts at `j · step` and there are `STEP + 2` of them. The row has `STEP · (tiles + 1)`
/// cells at least.
pub(super) fn split<T: Element, const STEP: usize>(row: &[T], tiles: usize, planes: &mut [T], step: usize) {
    let (chunks, _) = row.as_chunks::<STEP>();
    let (own, next) = (&chunks[..tiles], &chunks[1..=tiles]);
    let mut rest = planes;
    let planes: [&mut [T]; STEP] = std::array::from_fn(|_| {
        let (plane, tail) = std::mem::take(&mut rest).split_at_mut(step);
        rest = tail;
        &mut plane[..tiles]
    });
    for (tile, chunk) in own.iter().enumerate() {
        for j in 0..STEP {
            planes[j][tile] = chunk[j];
        }
    }
    let (first, second) = rest.split_at_mut(step);
    let (first, second) = (&mut first[..tiles], &mut second[..tiles]);
    for (tile, chunk) in next.iter().enumerate() {
        (first[tile], second[tile]) = (chunk[0], chunk[1]);
    }
}

/// The same with taps `DILATION` cells apart, where so many neighbouring tiles are runs of as many cells:
/// `planes[j][b · DILATION + p] = row[(STEP · b + j) · DILATION + p]`. The row has one block more than the tiles.
pub(super) fn split_apart<T: Element, const STEP: usize, const DILATION: usize>(
    row: &[T],
    tiles: usize,
    planes: &mut [T],
    step: usize,
) {
    let (runs, _) = row.as_chunks::<DILATION>();
    for j in 0..STEP + 2 {
        let (whole, rest) = planes[j * step..][..tiles].as_chunks_mut::<DILATION>();
        if let Some(last) = runs.get(whole.len() * STEP + j) {
            rest.copy_from_slice(&last[..rest.len()]);
        }
        whole.iter_mut().zip(runs[j..].iter().step_by(STEP)).for_each(|(to, from)| *to = *from);
    }
}

/// `line[t · SIDE + j] = from[j · steps.0 + t · steps.1]`, or that added to it.
pub(super) fn interleave<T: Element, const SIDE: usize>(
    line: &mut [T],
    from: &[T],
    steps: (usize, usize),
    store: Store,
) {
    match (store, steps.1) {
        (Store::Overwrite, 1) => interleave_by::<T, SIDE>(line, from, (steps.0, 1), |to, value| *to = value),
        (Store::Add, 1) => interleave_by::<T, SIDE>(line, from, (steps.0, 1), |to, value| *to += value),
        (Store::Overwrite, _) => interleave_by::<T, SIDE>(line, from, steps, |to, value| *to = value),
        (Store::Add, _) => interleave_by::<T, SIDE>(line, from, steps, |to, value| *to += value),
    }
}

#[inline(always)]
fn interleave_by<T: Element, const SIDE: usize>(
    line: &mut [T],
    from: &[T],
    steps: (usize, usize),
    put: impl Fn(&mut T, T),
) {
    let (whole, rest) = line.as_chunks_mut::<SIDE>();
    let span = whole.len().saturating_sub(1) * steps.1 + usize::from(!whole.is_empty());
    let sources: [&[T]; SIDE] = std::array::from_fn(|j| &from[j * steps.0..]);
    let wholes = sources.map(|source| &source[..span]);
    for (tile, cells) in whole.iter_mut().enumerate() {
        for j in 0..SIDE {
            put(&mut cells[j], wholes[j][tile * steps.1]);
        }
    }
    for (j, cell) in rest.iter_mut().enumerate() {
        put(cell, sources[j][whole.len() * steps.1]);
    }
}

/// Lines that [`turn`] writes to at a time: more would not stay in the L1 from one tile to the next.
pub(super) const TURNED: usize = 16;

/// `lines[c][cells.start + j] = from[j · step + c]` for the at most `SIDE` cells, or that added to them.
#[inline]
pub(super) fn turn<T: Element, const SIDE: usize>(
    lines: &mut [&mut [T]],
    cells: Range<usize>,
    from: &[T],
    (step, store): (usize, Store),
) {
    let sources: [&[T]; SIDE] = std::array::from_fn(|j| &from[j * step..][..lines.len()]);
    for (c, line) in lines.iter_mut().enumerate() {
        let line = &mut line[cells.clone()];
        match (line.first_chunk_mut::<SIDE>(), store) {
            (Some(cells), Store::Overwrite) => *cells = sources.map(|source| source[c]),
            (Some(cells), Store::Add) => (0..SIDE).for_each(|j| cells[j] += sources[j][c]),
            (None, _) => line.iter_mut().zip(&sources).for_each(|(cell, source)| store.put(cell, source[c])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_overlap_by_two_cells_and_outputs_go_back_in_order() {
        let row: Vec<f32> = (0..24).map(|x| x as f32).collect();
        let mut planes = vec![f32::NAN; 6 * 7];
        split::<f32, 4>(&row, 5, &mut planes, 7);
        for tile in 0..5 {
            (0..6).for_each(|j| assert_eq!(planes[j * 7 + tile], (4 * tile + j) as f32));
        }
        let mut line = vec![f32::NAN; 18];
        interleave::<f32, 4>(&mut line, &planes, (7, 1), Store::Overwrite);
        assert_eq!(line, row[..18]);
        let turned: Vec<f32> = (0..5 * 3).map(|i| planes[i % 3 * 7 + i / 3]).collect();
        let mut line = vec![f32::NAN; 5];
        interleave::<f32, 2>(&mut line, &turned, (1, 3), Store::Overwrite);
        assert_eq!(line, [0.0, 1.0, 4.0, 5.0, 8.0]);
        interleave::<f32, 2>(&mut line, &turned, (1, 3), Store::Add);
        assert_eq!(line, [0.0, 2.0, 8.0, 10.0, 16.0]);
    }
}
