//! The sizes of the Winograd algorithm: which scheme, how tiles are taken together, and what lies where.

use std::ops::RangeInclusive;

use super::rows::MAX_MOVE;
use super::scheme::{Axes, Scheme, Tile};
use super::transform::WIDTH;
use crate::geometry::{Axis, ConvGeometry};
use crate::lowering::lanes::{Lanes, Vector};
use crate::lowering::pieces::block_length;
use crate::lowering::slab::{Slab, slab_dims};
use crate::parallel;

/// The products of one batch of tiles must stay in the L2 beside what the microkernel reads. More output
/// channels at a time mean that transformed inputs, which may lie in the L3, are read less often.
const PRODUCT_BYTES: usize = 128 << 10;

/// A slab of padded input, a few channels at a time.
const SLAB_BYTES: usize = 96 << 10;

/// Tiles of one batch, at the most: the lanes of the widest microkernel …
const MAX_TILES: usize = 64;

/// … and where a tile has one row only, of which the scratch memory holds more.
const MAX_ROW_TILES: usize = 256;

/// Output channels lie on the lanes, where no lane is empty, for so many tiles of an image and fewer. With more,
/// empty lanes are few, and outputs need not be turned.
const FEW_TILES: usize = 256;

/// Unless the transformed weights are in no cache, and are used for so few tiles only that they are waited for: a
/// register of tiles takes weights slowly and evenly.
const TILES_FOR_FAR_WEIGHTS: RangeInclusive<usize> = 11..=32;

/// Weights of so many bytes are better read once, and the inputs in passes.
const PASS_WEIGHT_BYTES: usize = 24 << 20;

/// Input channels of a pass: fewer would transform outputs too often.
const MIN_PASS: usize = 128;

/// Everything that is known before the arrays come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    pub tile: Tile,
    /// What lies on the lanes: tiles (as `Windows`) or output channels.
    pub lanes: Lanes,
    /// The convolution whose windows are the tiles.
    pub tiles: ConvGeometry,
    /// The one whose windows are rows of cells that tiles are cut from.
    pub rows_of_tiles: ConvGeometry,
    /// Tiles that are transformed and multiplied together.
    pub batch: usize,
    /// Cells of an output plane of one task: whole rows of tiles or, of a single one, whole blocks.
    pub region: usize,
    /// Output channels of one task.
    pub channels: usize,
    /// Output channels whose products are kept at a time.
    pub group: usize,
    /// Elements between two values of their tiles: all of those channels and the batch's tiles.
    pub kept: usize,
    /// Elements between two channels of the transformed inputs: a batch's tiles, in whole lanes unless they are
    /// fewer than one.
    pub held: usize,
    /// Elements between two values of the transformed inputs.
    pub value_step: usize,
    /// Input channels that are transformed together. Outputs are linear in them: those of later passes are added.
    pub pass: usize,
    /// Input channels that are in the slab at a time.
    pub slab_channels: usize,
    /// Where tiles of several rows are cut from. Those of one row are cut from the rows of the image.
    pub slab: Option<Slab>,
    /// Elements of the parts of the scratch memory: slab or part of a row, inputs of one channel's tiles,
    /// transformed inputs, products, outputs.
    pub parts: [usize; 5],
    pub slack: usize,
}

impl Layout {
    /// The largest batch of tiles whose scratch memory is within `workspace_bytes`: the weights are read once
    /// for each.
    pub fn new(geometry: &ConvGeometry, scheme: Scheme, vector: Vector, workspace_bytes: usize) -> Self {
        let tile = Tile::of(geometry, scheme);
        let tiles = tile_geometry(geometry, tile);
        let weights = [geometry.group_out_channels(), geometry.group_in_channels(), vector.size];
        let weight_bytes = weights.into_iter().fold(tile.products(), usize::saturating_mul);
        let are_far = weight_bytes > vector.near_bytes;
        let few = tiles.windows() <= FEW_TILES && !(are_far && TILES_FOR_FAR_WEIGHTS.contains(&tiles.windows()));
        let pass = if few && weight_bytes > PASS_WEIGHT_BYTES {
            pass_length(geometry, tile, &tiles, vector, workspace_bytes)
        } else {
            usize::MAX
        };
        let pass = pass.min(geometry.group_in_channels());
        let mut most = most_tiles(tile);
        loop {
            let lanes = if few || most < WIDTH { Lanes::Channels } else { Lanes::Windows };
            let layout = Self::within(geometry, (tile, tiles.clone(), lanes), vector, (most, pass));
            if layout.slot_len().saturating_mul(vector.size) <= workspace_bytes || most == 1 {
                return layout;
            }
            most = match lanes {
                Lanes::Windows if most > WIDTH => most - WIDTH,
                Lanes::Windows | Lanes::Channels => most - most.div_ceil(8),
            };
        }
    }

    fn within(
        g: &ConvGeometry,
        (tile, tiles, lanes): (Tile, ConvGeometry, Lanes),
        vector: Vector,
        (most, pass): (usize, usize),
    ) -> Self {
        let threads = parallel::threads();
        let products = tile.products();
        let [_, tile_rows, tile_columns] = tiles.axes.map(|axis| axis.output);
        let outs = g.group_out_channels();

        let images = (g.batch * g.groups * tiles.axes[0].output).max(1);
        let wanted = if threads > 1 { (2 * threads).div_ceil(images) } else { 1 };
        let width = g.axes[2];
        let pieces = |tiles: usize, tiles_each: usize| tiles.div_ceil(wanted.min(tiles.div_ceil(tiles_each)).max(1));
        let (rows, region, cells) = if tile.axes == Axes::Width && tile_rows == 1 {
            let block = tile.scheme.outputs() * width.dilation;
            let blocks = pieces(width.output.div_ceil(block), (1 + most / 2).div_ceil(width.dilation));
            let cells = (blocks * block).min(width.output);
            (1, tile.columns(width.dilation, cells), cells)
        } else {
            let rows = pieces(tile_rows, 1 + most / tile_columns / 2);
            (rows, rows * tile_columns, rows * tile.outputs()[0] * width.output)
        };
        let batch = match lanes {
            Lanes::Windows => fill_batch(region, most),
            Lanes::Channels => region.div_ceil(region.div_ceil(most)),
        };
        let tasks = images * (tile_rows * tile_columns).div_ceil(region);
        let unit = match lanes {
            Lanes::Windows => vector.columns,
            Lanes::Channels => vector.lanes,
        };
        let channels = block_length(outs.max(1), threads.div_ceil(tasks), unit);
        let held = if lanes == Lanes::Channels && batch < WIDTH { batch } else { batch.next_multiple_of(WIDTH) };
        let group = match lanes {
            Lanes::Windows => (PRODUCT_BYTES / (products * held * vector.size) / unit).max(1) * unit,
            // The weights are most of what is read: one tile of channels after the other, they are one stream.
            Lanes::Channels => unit,
        };
        let group = group.min(channels.next_multiple_of(unit));

        let rows_of_tiles = row_geometry(&tiles, tile);
        let (slab, slab_channels, slab_len) = if tile.axes == Axes::Plane {
            // A batch of tiles may start and end within a row of them.
            let slab_rows = ((batch + tile_columns - 2) / tile_columns + 1).min(rows);
            let channel_len: usize = slab_dims(&rows_of_tiles, 1, slab_rows).iter().product();
            let channels = (SLAB_BYTES / (channel_len * vector.size)).clamp(1, pass.max(1));
            (Some(Slab::new(&rows_of_tiles, [1, slab_rows], g.group_in_channels())), channels, channels * channel_len)
        } else {
            (None, pass.max(1), (batch + 2 * width.dilation.min(MAX_MOVE)) * tile.scheme.outputs())
        };
        let slack = 64 / vector.size;
        // Transforms store whole lanes, whatever the number of tiles.
        let value_step = pass * held + WIDTH;
        let kept =
            (group * batch.next_multiple_of(if lanes == Lanes::Windows { WIDTH } else { 1 })).next_multiple_of(WIDTH);
        let parts = [
            slab_len,
            products * most_tiles(tile) + slack,
            products * value_step,
            products * kept,
            tile.cells() * kept,
        ];
        Self {
            tile,
            lanes,
            tiles,
            rows_of_tiles,
            batch,
            region: cells,
            channels,
            group,
            kept,
            held,
            value_step,
            pass: pass.max(1),
            slab_channels,
            slab,
            parts,
            slack: 5 * slack,
        }
    }

    /// Elements of the scratch memory of one lane, with room to align its parts.
    pub fn slot_len(&self) -> usize {
        self.parts.iter().sum::<usize>() + self.slack
    }
}

/// Input channels of a pass whose transformed inputs, of all tiles of an image, leave room for the rest of the
/// workspace. It must not depend on the number of threads, since each pass is a sum of its own.
fn pass_length(
    geometry: &ConvGeometry,
    tile: Tile,
    tiles: &ConvGeometry,
    vector: Vector,
    workspace_bytes: usize,
) -> usize {
    let ins = geometry.group_in_channels();
    let channel_bytes = tile.products() * tiles.windows().min(most_tiles(tile)).next_multiple_of(WIDTH) * vector.size;
    let fits = |pass: &usize| pass.saturating_mul(channel_bytes) <= workspace_bytes / 10 * 7;
    let most_passes = (ins / MIN_PASS).max(1);
    let mut lengths = (1..=most_passes).map(|passes| ins.div_ceil(passes));
    lengths.find(fits).unwrap_or(ins.div_ceil(most_passes))
}

fn most_tiles(tile: Tile) -> usize {
    match tile.axes {
        Axes::Plane => MAX_TILES,
        Axes::Width => MAX_ROW_TILES,
    }
}

/// The convolution with one window a tile: its windows span a tile's inputs, and move by its outputs.
fn tile_geometry(geometry: &ConvGeometry, tile: Tile) -> ConvGeometry {
    let [depth, plane @ ..] = geometry.axes;
    let (sides, outputs, counts) = (tile.sides(), tile.outputs(), tile.counts(geometry));
    let [h, w] = [0, 1].map(|i| Axis { kernel: sides[i], stride: outputs[i], output: counts[i], ..plane[i] });
    ConvGeometry { axes: [depth, h, w], ..geometry.clone() }
}

/// The same along the height; along the width, the cells themselves with their padding, and one block of tiles
/// more, so that all of them can be cut off in whole steps.
fn row_geometry(tiles: &ConvGeometry, tile: Tile) -> ConvGeometry {
    let [depth, height, width] = tiles.axes;
    let cells = (width.output.div_ceil(width.dilation) + 1) * width.dilation * tile.scheme.outputs();
    let width = Axis { kernel: 1, stride: 1, output: cells, ..width };
    ConvGeometry { axes: [depth, height, width], ..tiles.clone() }
}

/// Tiles of a batch that waste the fewest lanes of all batches together; a batch has a cost of its own, about
/// that of one vector of tiles.
fn fill_batch(region: usize, most: usize) -> usize {
    let cost = |batch: usize| {
        let vectors = |tiles: usize| tiles.div_ceil(WIDTH);
        let (whole, rest) = (region / batch, region % batch);
        whole * (vectors(batch) + 1) + if rest > 0 { vectors(rest) + 1 } else { 0 }
    };
    (1..=most / WIDTH).rev().map(|vectors| vectors * WIDTH).min_by_key(|&batch| cost(batch)).unwrap_or(most).min(region)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{ConvOptions, Padding};

    const VECTOR: Vector = Vector { size: 4, len: 16, lanes: 64, columns: 6, most_tail: 8, near_bytes: 24 << 20 };

    #[test]
    fn many_tiles_have_a_layout_in_the_smallest_workspace() {
        let geometry = ConvOptions::<2>::new().geometry(&[1, 1, 70, 70], &[1, 1, 3, 3]).unwrap();
        let layout = Layout::new(&geometry, Scheme::F4, VECTOR, 1);
        assert_eq!((layout.batch, layout.lanes), (1, Lanes::Channels));
    }

    #[test]
    fn passes_do_not_depend_on_the_number_of_threads() {
        let options = ConvOptions::<2>::new().padding(Padding::symmetric([1, 1]));
        let geometry = options.geometry(&[1, 512, 28, 28], &[512, 512, 3, 3]).unwrap();
        let passes: Vec<_> = [1, 2, 3, 7]
            .map(|threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let layout = pool.install(|| Layout::new(&geometry, Scheme::F4, VECTOR, 2 << 20));
                assert!(layout.slot_len() * VECTOR.size <= 2 << 20);
                layout.pass
            })
            .to_vec();
        assert!(passes[0] < 512 && passes.iter().all(|&pass| pass == passes[0]), "{passes:?}");
    }
}
