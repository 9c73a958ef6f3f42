//! Where the tiles of a block lie, by their kinds.

use std::ops::Range;

use super::layout::MAX_TILES;
use super::part::KINDS;
use super::scheme::Tile;
use crate::simd::SIDE;

/// Where the inputs and the outputs of a block's tiles begin, in elements, one kind of tiles after the other.
pub(super) struct TilePlaces {
    inputs: [usize; MAX_TILES],
    outputs: [usize; MAX_TILES],
    pub count: usize,
    kinds: [usize; KINDS.len()],
}

/// The tiles of one kind among those of a block.
pub(super) struct Kind {
    pub tile: Tile,
    pub range: Range<usize>,
    /// Tiles before these that have no column 0 of values, as these have: it has no room for those.
    pub gap: usize,
}

impl TilePlaces {
    /// From their cells, and how many there are of each kind.
    pub fn of(kinds: [usize; KINDS.len()], cells: impl Iterator<Item = [usize; 2]>) -> Self {
        let mut all = Self { inputs: [0; MAX_TILES], outputs: [0; MAX_TILES], count: 0, kinds };
        for [input, output] in cells {
            (all.inputs[all.count], all.outputs[all.count]) = (input * SIDE, output * SIDE);
            all.count += 1;
        }
        all
    }

    pub fn inputs(&self) -> &[usize] {
        &self.inputs[..self.count]
    }

    pub fn outputs(&self) -> &[usize] {
        &self.outputs[..self.count]
    }

    pub fn kinds(&self, tile: Tile) -> impl Iterator<Item = Kind> {
        let [_, short_columns, ..] = self.kinds;
        let mut end = 0;
        let kinds = KINDS.into_iter().zip(self.kinds).map(move |(short, count)| {
            end += count;
            let gap = if short == [true, false] { short_columns } else { 0 };
            Kind { tile: tile.with_short(short), range: end - count..end, gap }
        });
        kinds.filter(|kind| !kind.range.is_empty())
    }

    /// How many have a value, the tiles of some kinds: they come first.
    pub fn having(&self, tile: Tile, value: usize) -> usize {
        let ([_, columns], [whole, short_columns, short_rows, _]) = (tile.sides(), self.kinds);
        match (value / columns, value % columns) {
            (0, 0) => whole,
            (0, _) => whole + short_columns,
            (_, 0) => whole + short_rows,
            _ => self.count,
        }
    }
}
