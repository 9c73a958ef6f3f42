//! The sizes of the Winograd algorithm: which scheme, how tiles are taken together, and what lies where.

use super::transform::{Scheme, TAPS, WIDTH};
use crate::geometry::{Axis, ConvGeometry};
use crate::lowering::lanes::{Lanes, Vector};
use crate::lowering::pieces::block_length;
use crate::lowering::slab::{Slab, slab_dims};
use crate::parallel;

/// The transformed inputs of one batch of tiles must stay in the L2, with the weights that they meet.
const TRANSFORMED_BYTES: usize = 600 << 10;

/// A slab of padded input, a few channels at a time.
const SLAB_BYTES: usize = 192 << 10;

/// Tiles of one batch, at the most: the lanes of the widest microkernel.
const MAX_TILES: usize = 64;

/// Everything that is known before the arrays come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    pub scheme: Scheme,
    /// What lies on the lanes: tiles (as `Windows`) or output channels.
    pub lanes: Lanes,
    /// The convolution whose windows are the tiles.
    pub tiles: ConvGeometry,
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
    pub fn new(geometry: &ConvGeometry, scheme: Scheme, vector: Vector, workspace_bytes: usize) -> Self {
        let mut budget = TRANSFORMED_BYTES;
        loop {
            let layout = Self::within(geometry, scheme, vector, budget);
            if layout.slot_len() * vector.size <= workspace_bytes || budget == 0 {
                return layout;
            }
            budget /= 2;
        }
    }

    fn within(g: &ConvGeometry, scheme: Scheme, vector: Vector, budget: usize) -> Self {
        let threads = parallel::threads();
        let (outputs, products) = (scheme.outputs(), scheme.products());
        let tiles = tile_geometry(g, scheme);
        let [_, tile_rows, tile_columns] = tiles.axes.map(|axis| axis.output);
        let (ins, outs) = (g.group_in_channels(), g.group_out_channels());

        let fit = budget / (products * ins.max(1) * vector.size);
        let plane = tile_rows * tile_columns;
        // Whole tiles of the microkernel with tiles on its lanes, if so many stay in the cache.
        let lanes = if fit.min(plane) >= 2 * vector.len { Lanes::Windows } else { Lanes::Channels };
        let most = match lanes {
            Lanes::Windows => (fit / WIDTH * WIDTH).clamp(WIDTH, MAX_TILES),
            Lanes::Channels => fit.clamp(1, MAX_TILES.min(8 * vector.columns)),
        };

        let images = (g.batch * g.groups * tiles.axes[0].output).max(1);
        let wanted = if threads > 1 { (2 * threads).div_ceil(images) } else { 1 };
        let rows = tile_rows.div_ceil(wanted.min(tile_rows.div_ceil(1 + most / tile_columns / 2)).max(1));
        let region = rows * tile_columns;
        let batch = region.div_ceil(region.div_ceil(most));
        let tasks = images * tile_rows.div_ceil(rows);
        let unit = match lanes {
            Lanes::Windows => vector.columns,
            Lanes::Channels => vector.lanes,
        };
        let channels = block_length(outs.max(1), threads.div_ceil(tasks), unit);
        let group = match lanes {
            Lanes::Windows => 2 * vector.columns,
            Lanes::Channels => vector.lanes,
        };

        // A batch of tiles may start and end within a row of them.
        let slab_rows = ((batch + tile_columns - 2) / tile_columns + 1).min(rows);
        let dims = slab_dims(&tiles, 1, slab_rows);
        let channel_len: usize = dims.iter().product();
        let slab_channels = (SLAB_BYTES.min(budget) / (channel_len * vector.size)).clamp(1, ins.max(1));
        let slab = Slab::new(&ConvGeometry { in_channels: tiles.groups * slab_channels, ..tiles.clone() }, dims);
        let padded = batch.next_multiple_of(WIDTH);
        let slack = 64 / vector.size;
        let (held, kept) = match lanes {
            Lanes::Windows => (padded, group * padded),
            Lanes::Channels => (padded, (group * batch).next_multiple_of(WIDTH)),
        };
        let parts = [
            slab_channels * channel_len,
            products * MAX_TILES + slack,
            products * ins * held,
            products * kept,
            outputs * outputs * kept,
        ];
        Self { scheme, lanes, tiles, batch, rows, channels, group, kept, slab_channels, slab, parts, slack: 5 * slack }
    }

    /// Elements of the scratch memory of one lane, with room to align its parts.
    pub fn slot_len(&self) -> usize {
        self.parts.iter().sum::<usize>() + self.slack
    }
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
