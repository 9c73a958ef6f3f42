//! The sizes of the Winograd algorithm: which scheme, how tiles are taken together, and what lies where.

use std::ops::RangeInclusive;

use super::transform::{Scheme, TAPS, WIDTH};
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

/// Tiles of one batch, at the most: the lanes of the widest microkernel.
const MAX_TILES: usize = 64;

/// Output channels lie on the lanes, where no lane is empty, for so many tiles of an image and fewer. With more,
/// empty lanes are few, and outputs need not be turned.
const FEW_TILES: usize = 256;

/// Unless the transformed weights come from memory, and are used for so few tiles only that they are waited for: a
/// register of tiles takes weights slowly and evenly.
const FAR_WEIGHT_BYTES: usize = 24 << 20;
const TILES_FOR_FAR_WEIGHTS: RangeInclusive<usize> = 11..=32;

/// Input channels of a pass: fewer would transform outputs too often.
const MIN_PASS: usize = 128;

/// Everything that is known before the arrays come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    pub scheme: Scheme,
    /// What lies on the lanes: tiles (as `Windows`) or output channels.
    pub lanes: Lanes,
    /// The convolution whose windows are the tiles.
    pub tiles: ConvGeometry,
    /// The one whose windows are rows of cells that tiles are cut from.
    pub rows_of_tiles: ConvGeometry,
    /// Tiles that are transformed and multiplied together.
    pub batch: usize,
    /// Rows of tiles of one task.
    pub rows: usize,
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
    pub slab: Slab,
    /// Elements of the parts of the scratch memory: slab, inputs of one channel's tiles, transformed
    /// inputs, products, outputs.
    pub parts: [usize; 5],
    pub slack: usize,
}

/// Whether a geometry is one that these schemes compute: 3×3, stride and dilation 1, nothing along the depth.
pub(crate) fn applies(geometry: &ConvGeometry) -> bool {
    let [depth, plane @ ..] = &geometry.axes;
    let is_plane = |axis: &Axis| axis.kernel == TAPS && axis.stride == 1 && axis.dilation == 1;
    depth.is_pointwise() && plane.iter().all(is_plane) && geometry.windows() > 0
}

impl Layout {
    /// The largest batch of tiles whose scratch memory is within `workspace_bytes`: the weights are read once
    /// for each.
    pub fn new(geometry: &ConvGeometry, scheme: Scheme, vector: Vector, workspace_bytes: usize) -> Self {
        let tiles = tile_geometry(geometry, scheme);
        let weights = [geometry.group_out_channels(), geometry.group_in_channels(), vector.size];
        let are_far = weights.into_iter().fold(scheme.products(), usize::saturating_mul) > FAR_WEIGHT_BYTES;
        let few = tiles.windows() <= FEW_TILES && !(are_far && TILES_FOR_FAR_WEIGHTS.contains(&tiles.windows()));
        let pass =
            if few && are_far { pass_length(geometry, scheme, &tiles, vector, workspace_bytes) } else { usize::MAX };
        let pass = pass.min(geometry.group_in_channels());
        let mut most = MAX_TILES;
        loop {
            let lanes = if few || most < WIDTH { Lanes::Channels } else { Lanes::Windows };
            let layout = Self::within(geometry, (scheme, tiles.clone(), lanes), vector, (most, pass));
            if layout.slot_len().saturating_mul(vector.size) <= workspace_bytes || most == 1 {
                return layout;
            }
            most = match lanes {
                Lanes::Windows => most - WIDTH,
                Lanes::Channels => most - most.div_ceil(8),
            };
        }
    }

    fn within(
        g: &ConvGeometry,
        (scheme, tiles, lanes): (Scheme, ConvGeometry, Lanes),
        vector: Vector,
        (most, pass): (usize, usize),
    ) -> Self {
        let threads = parallel::threads();
        let (outputs, products) = (scheme.outputs(), scheme.products());
        let [_, tile_rows, tile_columns] = tiles.axes.map(|axis| axis.output);
        let outs = g.group_out_channels();

        let images = (g.batch * g.groups * tiles.axes[0].output).max(1);
        let wanted = if threads > 1 { (2 * threads).div_ceil(images) } else { 1 };
        let rows = tile_rows.div_ceil(wanted.min(tile_rows.div_ceil(1 + most / tile_columns / 2)).max(1));
        let region = rows * tile_columns;
        let batch = match lanes {
            Lanes::Windows => fill_batch(region, most),
            Lanes::Channels => region.div_ceil(region.div_ceil(most)),
        };
        let tasks = images * tile_rows.div_ceil(rows);
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

        // A batch of tiles may start and end within a row of them.
        let slab_rows = ((batch + tile_columns - 2) / tile_columns + 1).min(rows);
        let cells = row_geometry(&tiles, scheme);
        let dims = slab_dims(&cells, 1, slab_rows);
        let channel_len: usize = dims.iter().product();
        let slab_channels = (SLAB_BYTES / (channel_len * vector.size)).clamp(1, pass.max(1));
        let slab = Slab::new(&cells, [1, slab_rows], cells.group_in_channels());
        let slack = 64 / vector.size;
        // Transforms store whole lanes, whatever the number of tiles.
        let value_step = pass * held + WIDTH;
        let kept =
            (group * batch.next_multiple_of(if lanes == Lanes::Windows { WIDTH } else { 1 })).next_multiple_of(WIDTH);
        let parts = [
            slab_channels * channel_len,
            products * MAX_TILES + slack,
            products * value_step,
            products * kept,
            outputs * outputs * kept,
        ];
        Self {
            scheme,
            lanes,
            tiles,
            rows_of_tiles: cells,
            batch,
            rows,
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
    scheme: Scheme,
    tiles: &ConvGeometry,
    vector: Vector,
    workspace_bytes: usize,
) -> usize {
    let ins = geometry.group_in_channels();
    let channel_bytes = scheme.products() * tiles.windows().min(MAX_TILES).next_multiple_of(WIDTH) * vector.size;
    let fits = |pass: &usize| pass.saturating_mul(channel_bytes) <= workspace_bytes / 10 * 7;
    let most_passes = (ins / MIN_PASS).max(1);
    let mut lengths = (1..=most_passes).map(|passes| ins.div_ceil(passes));
    lengths.find(fits).unwrap_or(ins.div_ceil(most_passes))
}

/// The convolution with one window a tile: its windows span a tile's inputs, and move by its outputs.
fn tile_geometry(geometry: &ConvGeometry, scheme: Scheme) -> ConvGeometry {
    let [depth, plane @ ..] = geometry.axes;
    let [h, w] = plane.map(|axis| Axis {
        kernel: scheme.side(),
        stride: scheme.outputs(),
        output: axis.output.div_ceil(scheme.outputs()),
        ..axis
    });
    ConvGeometry { axes: [depth, h, w], ..geometry.clone() }
}

/// The same along the height; along the width, the cells themselves with their padding, and one tile more, so
/// that all of them can be cut off in whole steps.
fn row_geometry(tiles: &ConvGeometry, scheme: Scheme) -> ConvGeometry {
    let [depth, height, width] = tiles.axes;
    let cells = (width.output + 1) * scheme.outputs();
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

    #[test]
    fn passes_do_not_depend_on_the_number_of_threads() {
        let options = ConvOptions::<2>::new().padding(Padding::symmetric([1, 1]));
        let geometry = options.geometry(&[1, 512, 28, 28], &[512, 512, 3, 3]).unwrap();
        let vector = Vector { size: 4, len: 16, lanes: 64, columns: 6, most_tail: 8 };
        let passes: Vec<_> = [1, 2, 3, 7]
            .map(|threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let layout = pool.install(|| Layout::new(&geometry, Scheme::F4, vector, 2 << 20));
                assert!(layout.slot_len() * vector.size <= 2 << 20);
                layout.pass
            })
            .to_vec();
        assert!(passes[0] < 512 && passes.iter().all(|&pass| pass == passes[0]), "{passes:?}");
    }
}
