//! The sizes of the Winograd algorithm: which tiles are taken together, and what lies where.

use super::cells::places;
use super::part::{Grid, Part, block};
use super::polyphase::Polyphase;
use super::scheme::{Axes, Tile};
use super::shares::Shares;
use crate::geometry::ConvGeometry;
use crate::lowering::fold::folded;
use crate::lowering::lanes::Vector;
use crate::lowering::scratch::ALIGNMENT_BYTES;
use crate::lowering::shares::ChannelShares;
use crate::parallel;
use crate::simd::SIDE;

/// The most tiles that are transformed and multiplied together.
pub(super) const MAX_TILES: usize = 128;

/// More bytes of weights come from memory, and are better read once, and the inputs in passes.
const NEAR_WEIGHT_BYTES: usize = 24 << 20;

/// Input channels of a pass: fewer would transform outputs too often.
const MIN_PASS: usize = 128;

/// Everything that is known before the arrays come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    /// What is computed in place of the geometry, where the images of a batch are the planes of one image.
    pub folded: Option<ConvGeometry>,
    /// What is computed by phases, which are the channels here.
    pub phases: Option<Polyphase>,
    pub tile: Tile,
    pub(super) grid: Grid,
    /// Lines, and rows and columns of tiles of each: of one task, which has all columns; and of the largest block of tiles that
    /// are taken together. The lines of a folded batch are its images.
    pub task: [usize; 2],
    pub block: [usize; 3],
    /// Where a block's cells go that are the image's.
    pub places: Vec<usize>,
    /// Output channels of the tasks.
    pub shares: ChannelShares,
    /// Output channels whose products are kept at a time.
    pub group: usize,
    /// Input channels that are transformed together. Outputs are linear in them: those of later passes are added.
    pub pass: usize,
    /// Elements between sixteen channels of the transformed inputs of all tiles and the next, and from a value to the next.
    pub side_step: usize,
    pub value_step: usize,
    /// Elements between the products of two values of a tile.
    pub kept: usize,
    /// Elements of the parts of the scratch memory: rows of an image with their border, turned cells, transformed inputs,
    /// products, outputs.
    pub parts: [usize; 5],
    pub slack: usize,
}

impl Layout {
    /// The largest blocks of tiles, which compute the geometry, whose scratch memory is within `workspace_bytes`: the weights
    /// are read once for each.
    pub fn new(geometry: &ConvGeometry, tile: Tile, vector: Vector, workspace_bytes: usize) -> Self {
        let folded = folded(geometry).filter(|_| is_folded(geometry, tile));
        let mut grid = Grid::of(geometry, tile);
        let mut planes = geometry.batch * geometry.axes[0].output;
        if folded.is_some() {
            (grid.counts[0], planes) = (planes, 1);
        }
        let pass = pass_length(geometry, &grid, vector, workspace_bytes);
        let mut most = MAX_TILES;
        loop {
            let layout = Self::within((geometry, planes), grid, vector, (most, pass));
            if layout.slot_len().saturating_mul(vector.size) <= workspace_bytes || most == 1 {
                return Self { folded, ..layout };
            }
            most -= most.div_ceil(8);
        }
    }

    fn within((g, planes): (&ConvGeometry, usize), grid: Grid, vector: Vector, (most, pass): (usize, usize)) -> Self {
        let threads = parallel::threads();
        let (tile, [_, _, columns]) = (grid.tile, grid.counts);

        let [_, lanes] = vector.channels;
        let planes = (planes * g.groups).max(1);
        let shares = Shares { geometry: g, grid: &grid, planes, tiles: most, size: vector.size, threads };
        let (task, shares) = shares.best(lanes);
        let group = (2 * lanes).max(SIDE);

        let block = block([task[0], task[1], columns], most);
        let [block_lines, block_rows, block_columns] = block;
        let largest = Part { lines: 0..block_lines, rows: 0..block_rows, columns: 0..block_columns };
        let tiles = largest.tiles();
        let read @ [read_rows, read_columns] = largest.reads(&grid);
        let side_step = tiles * SIDE;
        // An odd number of cache lines, so that values do not push each other out of the L1.
        let odd = |len: usize| (len.div_ceil(SIDE) | 1) * SIDE;
        let (value_step, kept) = (odd(side_step * pass.div_ceil(SIDE)), odd(tiles * group));
        let parts = [
            read_columns * SIDE,
            block_lines * read_rows * read_columns * SIDE,
            tile.products() * value_step,
            tile.products() * kept,
            largest.outputs_len(&grid) * SIDE,
        ];
        Self {
            folded: None,
            phases: None,
            tile,
            grid,
            task,
            block,
            places: if block_columns == columns { places(g, tile, read) } else { vec![] },
            shares,
            group,
            pass,
            side_step,
            value_step,
            kept,
            parts,
            slack: parts.len() * ALIGNMENT_BYTES / vector.size,
        }
    }

    /// The same for what the geometry has the phases of.
    pub fn by_phases(self, phases: Option<Polyphase>) -> Self {
        Self { phases, ..self }
    }

    /// Elements of the scratch memory of one lane, with room to align its parts.
    pub fn slot_len(&self) -> usize {
        self.parts.iter().sum::<usize>() + self.slack
    }
}

/// Whether the tiles of several images of a batch are taken together: those of one would leave room in a block.
pub(crate) fn is_folded(geometry: &ConvGeometry, tile: Tile) -> bool {
    let tiles = tile.counts(geometry).iter().product::<usize>();
    tile.axes == Axes::Plane && 2 * tiles <= MAX_TILES && folded(geometry).is_some()
}

fn is_far(geometry: &ConvGeometry, tile: Tile, vector: Vector) -> bool {
    let weights = [geometry.group_out_channels(), geometry.group_in_channels(), vector.size];
    weights.into_iter().fold(tile.products(), usize::saturating_mul) > NEAR_WEIGHT_BYTES
}

/// Input channels of a pass whose transformed inputs, of all tiles that may be taken together, leave room for the rest of
/// the workspace. It must not depend on the number of threads, since each pass is a sum of its own.
fn pass_length(geometry: &ConvGeometry, grid: &Grid, vector: Vector, workspace_bytes: usize) -> usize {
    let (ins, tiles) = (geometry.group_in_channels().max(1), grid.counts.iter().product::<usize>());
    if !is_far(geometry, grid.tile, vector) {
        return ins;
    }
    let channel_bytes = grid.tile.products() * tiles.min(MAX_TILES) * vector.size;
    let longest = workspace_bytes / 10 * 7 / channel_bytes.max(1);
    let most_passes = (ins / MIN_PASS).max(1);
    // In whole sides, which begin with the first phase of a channel, too.
    ins.div_ceil(ins.div_ceil(longest.max(1)).min(most_passes)).next_multiple_of(SIDE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{ConvOptions, Padding};

    const VECTOR: Vector =
        Vector { size: 4, len: 16, lanes: 64, columns: 6, most_tail: 8, channels: [16, 32], row_channels: 14 };

    #[test]
    fn many_tiles_have_a_layout_in_the_smallest_workspace() {
        let geometry = ConvOptions::<2>::new().geometry(&[1, 1, 70, 70], &[1, 1, 3, 3]).unwrap();
        assert_eq!(Layout::new(&geometry, Tile::F4, VECTOR, 1).block, [1, 1, 1]);
    }

    #[test]
    fn a_pass_of_more_channels_than_any_machine_holds_is_found_at_once() {
        let geometry = ConvOptions::<2>::new().geometry(&[1, 1 << 45, 30, 30], &[1, 1 << 45, 3, 3]).unwrap();
        assert!(Layout::new(&geometry, Tile::F4, VECTOR, 2 << 20).pass < 1 << 10);
    }

    #[test]
    fn two_threads_have_tiles_or_channels_alike() {
        let options = ConvOptions::<2>::new().padding(Padding::symmetric([1, 1]));
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
        for (channels, size, expected) in
            [(64, 56, ([1, 7], 2, 64)), (128, 28, ([1, 7], 0, 64)), (256, 14, ([1, 4], 0, 128))]
        {
            let geometry = options.geometry(&[1, channels, size, size], &[channels, channels, 3, 3]).unwrap();
            let layout = pool.install(|| Layout::new(&geometry, Tile::F4, VECTOR, 2 << 20));
            assert_eq!((layout.task, layout.shares.whole, layout.shares.channels), expected, "{channels} at {size}");
        }
    }

    #[test]
    fn passes_begin_with_whole_sides() {
        let geometry = ConvOptions::<2>::new().geometry(&[1, 400, 97, 97], &[512, 400, 3, 3]).unwrap();
        let pass = Layout::new(&geometry, Tile::F4, VECTOR, 2 << 20).pass;
        assert!(pass < 400 / 2 && pass.is_multiple_of(SIDE), "{pass}");
    }

    #[test]
    fn passes_do_not_depend_on_the_number_of_threads() {
        let options = ConvOptions::<2>::new().padding(Padding::symmetric([1, 1]));
        let geometry = options.geometry(&[1, 512, 28, 28], &[512, 512, 3, 3]).unwrap();
        let passes: Vec<_> = [1, 2, 3, 7]
            .map(|threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let layout = pool.install(|| Layout::new(&geometry, Tile::F4, VECTOR, 2 << 20));
                assert!(layout.slot_len() * VECTOR.size <= 2 << 20);
                layout.pass
            })
            .to_vec();
        assert!(passes[0] < 512 && passes.iter().all(|&pass| pass == passes[0]), "{passes:?}");
    }
}
