//! Rows of cells to overlapping tiles, and tiles of outputs back to rows.

use crate::element::Element;

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

/// `line[t · SIDE + j] = from[j · steps.0 + t · steps.1]`.
pub(super) fn interleave<T: Element, const SIDE: usize>(line: &mut [T], from: &[T], steps: (usize, usize)) {
    let (whole, rest) = line.as_chunks_mut::<SIDE>();
    let sources: [&[T]; SIDE] = std::array::from_fn(|j| &from[j * steps.0..]);
    if steps.1 == 1 {
        let sources = sources.map(|source| &source[..whole.len()]);
        for (tile, cells) in whole.iter_mut().enumerate() {
            for j in 0..SIDE {
                cells[j] = sources[j][tile];
            }
        }
    } else {
        for (tile, cells) in whole.iter_mut().enumerate() {
            for j in 0..SIDE {
                cells[j] = sources[j][tile * steps.1];
            }
        }
    }
    for (j, cell) in rest.iter_mut().enumerate() {
        *cell = sources[j][whole.len() * steps.1];
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
        interleave::<f32, 4>(&mut line, &planes, (7, 1));
        assert_eq!(line, row[..18]);
        let turned: Vec<f32> = (0..5 * 3).map(|i| planes[i % 3 * 7 + i / 3]).collect();
        let mut line = vec![f32::NAN; 5];
        interleave::<f32, 2>(&mut line, &turned, (1, 3));
        assert_eq!(line, [0.0, 1.0, 4.0, 5.0, 8.0]);
    }
}
