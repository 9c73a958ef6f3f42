//! The sizes of Strassen's multiplication. None of them depends on the number of threads but the channels of a task,
//! since which windows make a pair is part of the sums.

use super::channels::PACKED_LEN;
use super::pair::{PANELS, ROWS_AT_ONCE};
use super::tiles::Tiles;
use crate::gemm::PRODUCTS;
use crate::geometry::ConvGeometry;
use crate::lowering::lanes::Vector;
use crate::lowering::pieces::block_length;
use crate::lowering::scratch::ALIGNMENT_BYTES;
use crate::lowering::shares::{ChannelShares, MANY_TASKS};
use crate::lowering::slab::{NEIGHBOURS, Slab, is_padded, slab_dims, slab_line_len};
use crate::parallel;

/// Bytes of the patch matrix's rows that one block spans at most, of which each product takes half. (Longer ones err more: with 288
/// rows in each half the largest error of 64→16 3×3 kernels at 14 was 4.5 times the textbook's on registers of 256 bits, of which
/// four are allowed.)
pub(crate) const BLOCK_BYTES: usize = 2048;

/// Rows of the smallest block, however small the workspace.
const MIN_BLOCK_ROWS: usize = 64;

/// The padded copy, the outputs and the panels of a task share the L2 with the weights.
const SLAB_BYTES: usize = 384 << 10;
const OUTPUT_BYTES: usize = 512 << 10;
/// Outputs of a single block are written once.
const SINGLE_OUTPUT_BYTES: usize = 1024 << 10;
/// With few weights the panels are fewer, so that what is asked for meanwhile stays there, too. (256→64 at 56, batch 8: 1.05.)
const PANEL_BYTES: usize = 464 << 10;
const NEAR_PANEL_BYTES: usize = 288 << 10;
const WEIGHT_BYTES: usize = 256 << 10;

/// Windows of a task: enough for its weights, and few enough that large images have tasks for several threads.
const MOST_WINDOWS: usize = 512;

/// What a task adds for each cell of its patch matrix, in multiply-adds: for the sums, and where cells are copied for that.
const SUMS: f64 = 9.0;
const COPY: f64 = 20.0;

/// Whether quarters can be made: of an even number of output channels, and an even number of rows of the patch matrix.
pub(crate) fn applies(geometry: &ConvGeometry) -> bool {
    let (outs, depth) = (geometry.group_out_channels(), geometry.patch_rows());
    outs > 0 && depth > 0 && outs.is_multiple_of(2) && depth.is_multiple_of(2)
}

/// Everything that is known before the arrays come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Rows of the patch matrix in one block, an even number.
    pub block_rows: usize,
    /// Output rows of one task.
    pub rows: usize,
    pub tiles: Tiles,
    /// Output channels of the tasks, and of a pair of tiles.
    pub shares: ChannelShares,
    pub pair_channels: usize,
    /// Windows of the widest half of a pair.
    pub half_windows: usize,
    /// The padded copy that windows are read from.
    pub slab: Slab,
    /// The image itself as a slab, where it needs neither padding nor phases.
    pub image: Option<Slab>,
    /// Pairs of panels that are packed before weights are read.
    pub pairs: usize,
    /// Elements of the slab, of one panel, of sums that are kept with channels on the lanes, and of the products.
    pub slab_len: usize,
    pub panel_len: usize,
    pub sums_len: usize,
    buffer_len: usize,
    slack: usize,
}

impl Layout {
    pub fn new(geometry: &ConvGeometry, vector: Vector, workspace_bytes: usize) -> Self {
        let mut cut = Cut::wanted(geometry, vector);
        while cut.len(geometry, vector).saturating_mul(vector.size) > workspace_bytes && cut.shrink() {}
        let g = geometry;
        let outs = g.group_out_channels().max(1);
        let tiles = cut.tiles;
        let pair_channels = tiles.pair_channels(outs, vector);
        let image = Slab::whole(g, NEIGHBOURS, g.group_in_channels());
        let read = if image.is_some() { SUMS } else { SUMS + COPY };
        Self {
            block_rows: cut.block_rows,
            rows: cut.rows,
            tiles,
            shares: shares(g, cut.rows, pair_channels, read),
            pair_channels,
            half_windows: tiles.half_windows(vector),
            slab: Slab::new(g, NEIGHBOURS, [1, cut.rows], g.group_in_channels()),
            image,
            pairs: cut.pairs,
            slab_len: cut.slab_len(g),
            panel_len: cut.panel_len(vector),
            sums_len: cut.sums_len(g, vector),
            buffer_len: buffer_len(tiles, vector),
            slack: 3 * ALIGNMENT_BYTES / vector.size,
        }
    }

    /// Elements of the panels of a pair.
    pub fn pair_len(&self) -> usize {
        PANELS * self.panel_len
    }

    /// Elements of all panels: windows that are left without a whole pair may take the places of two pairs, one of
    /// fewer lanes and what makes no pair.
    pub fn panels_len(&self) -> usize {
        (self.pairs + 2) * self.pair_len()
    }

    /// Elements of the scratch memory of one lane, with room to align its parts.
    pub fn slot_len(&self) -> usize {
        self.slab_len + self.panels_len() + self.sums_len + self.buffer_len + self.slack
    }

    /// See [`Tiles::halves`].
    pub fn halves(&self, windows: usize) -> impl Iterator<Item = usize> {
        self.tiles.halves(windows, self.half_windows)
    }

    /// Elements of the packed weights of so many channels and rows: with windows on the lanes eight quarters in the place of four,
    /// with channels one for each product.
    pub fn weights_len(&self, channels: usize, rows: usize) -> usize {
        match self.tiles {
            Tiles::Windows { .. } => 2 * channels * rows,
            Tiles::Channels { .. } => PRODUCTS * (padded(self.tiles, self.pair_channels, channels) / 2) * (rows / 2),
        }
    }
}

/// So many channels and what fills up the last pair of tiles.
fn padded(tiles: Tiles, pair_channels: usize, channels: usize) -> usize {
    let rest = channels % pair_channels;
    channels - rest + 2 * tiles.filled(rest / 2)
}

/// Elements of the buffer: two tiles of sums and four of outputs that do not lie side by side, or some rows of a panel.
fn buffer_len(tiles: Tiles, vector: Vector) -> usize {
    match tiles {
        Tiles::Windows { .. } => {
            let half = tiles.half_windows(vector);
            let rows = ROWS_AT_ONCE * half + 64 / vector.size;
            rows.max(6 * half * vector.row_channels)
        }
        Tiles::Channels { .. } => PACKED_LEN.max(tiles.pair_channels(0, vector) * vector.row_channels),
    }
}

/// The cut before its offsets are worked out.
struct Cut {
    tiles: Tiles,
    block_rows: usize,
    taps: usize,
    rows: usize,
    pairs: usize,
}

impl Cut {
    fn wanted(geometry: &ConvGeometry, vector: Vector) -> Self {
        let g = geometry;
        let tiles = Tiles::of(g, vector);
        let half_windows = tiles.half_windows(vector);
        let [_, oh, ow] = g.axes.map(|axis| axis.output.max(1));
        let (depth, taps) = (g.patch_rows().max(1), g.taps());
        // A pair of wide panels has fewer rows.
        let block = (BLOCK_BYTES / vector.size).min(2 * PANEL_BYTES / (PANELS * half_windows * vector.size));
        // Whole channels in each half of a block, so that each is padded once.
        let unit = if 2 * taps <= block { 2 * taps } else { 2 };
        let block_rows = block_length(depth, depth.div_ceil(block / unit * unit), unit);
        let lines = |bytes: usize, line_bytes: usize| (bytes / line_bytes.max(1)).max(1);
        // The image itself is read as it lies, but for views that do not lie so.
        let slab_bytes = if taps == 1 && !is_padded(g) { 2 * SLAB_BYTES } else { SLAB_BYTES };
        let slab_line =
            block_rows.div_ceil(taps).saturating_mul(slab_line_len(g, NEIGHBOURS)).saturating_mul(vector.size);
        let output_bytes = if depth > block_rows { OUTPUT_BYTES } else { SINGLE_OUTPUT_BYTES };
        let output_line = g.group_out_channels().saturating_mul(ow).saturating_mul(vector.size);
        let wanted =
            lines(slab_bytes, slab_line).min(lines(output_bytes, output_line)).min(lines(MOST_WINDOWS, ow)).min(oh);
        let even = oh.div_ceil(oh.div_ceil(wanted));
        let rows = match tiles {
            Tiles::Windows { .. } => fill_pairs(even, oh, ow, (tiles, half_windows)),
            Tiles::Channels { .. } => even,
        };
        let pair_bytes = PANELS * block_rows / 2 * half_windows * vector.size;
        let weight_bytes = 2 * g.group_out_channels().saturating_mul(block_rows).saturating_mul(vector.size);
        let bytes = if weight_bytes > WEIGHT_BYTES { PANEL_BYTES } else { NEAR_PANEL_BYTES };
        // Even parts.
        let all = (rows * ow).div_ceil(2 * half_windows).max(1);
        let pairs = (bytes / pair_bytes.max(1)).clamp(1, all);
        Self { tiles, block_rows, taps, rows, pairs: all.div_ceil(all.div_ceil(pairs)) }
    }

    fn slab_len(&self, geometry: &ConvGeometry) -> usize {
        let channels = match self.block_rows % self.taps {
            0 => self.block_rows / self.taps,
            // A block that starts anywhere touches one channel more.
            _ => (self.block_rows.div_ceil(self.taps) + 1).min(geometry.group_in_channels()),
        };
        // An image that is read as it lies needs no copy, but others of the same shape may not lie so.
        slab_dims(geometry, NEIGHBOURS, 1, self.rows).into_iter().fold(channels, usize::saturating_mul)
    }

    fn panel_len(&self, vector: Vector) -> usize {
        // Rows are copied by whole 64-byte chunks, the last of which may run over.
        self.block_rows / 2 * self.tiles.half_windows(vector) + 64 / vector.size
    }

    /// Those of all channels, if more is added to them later, else of a pair of tiles.
    fn sums_len(&self, geometry: &ConvGeometry, vector: Vector) -> usize {
        let outs = geometry.group_out_channels();
        let pair_channels = self.tiles.pair_channels(outs, vector);
        let windows = self.rows.saturating_mul(geometry.axes[2].output).next_multiple_of(2);
        match self.tiles {
            Tiles::Windows { .. } => 0,
            Tiles::Channels { .. } if geometry.patch_rows() <= self.block_rows => windows.saturating_mul(pair_channels),
            Tiles::Channels { .. } => windows.saturating_mul(padded(self.tiles, pair_channels, outs)),
        }
    }

    /// Elements of scratch memory.
    fn len(&self, geometry: &ConvGeometry, vector: Vector) -> usize {
        let panels = (self.pairs + 2).saturating_mul(PANELS).saturating_mul(self.panel_len(vector));
        let sums = self.sums_len(geometry, vector).saturating_add(buffer_len(self.tiles, vector));
        self.slab_len(geometry).saturating_add(panels).saturating_add(sums)
    }

    /// Makes the cut smaller; false if it cannot be.
    fn shrink(&mut self) -> bool {
        if self.pairs > 1 {
            self.pairs -= 1;
        } else if self.rows > 1 {
            self.rows = self.rows.div_ceil(2);
        } else if self.block_rows > MIN_BLOCK_ROWS {
            self.block_rows = (self.block_rows.div_ceil(2)).next_multiple_of(2).max(MIN_BLOCK_ROWS);
        } else {
            return false;
        }
        true
    }
}

/// Those of regions of so many rows, in whole pairs of tiles.
fn shares(g: &ConvGeometry, rows: usize, pair_channels: usize, read: f64) -> ChannelShares {
    let (outs, threads, height) = (g.group_out_channels().max(1), parallel::threads(), g.axes[1].output.max(1));
    let images = (g.batch * g.groups * g.axes[0].output).max(1);
    let parts = height.div_ceil(rows);
    let regions = images.saturating_mul(parts);
    if threads == 1 || regions > MANY_TASKS.saturating_mul(threads) {
        return ChannelShares::none(outs);
    }
    let cost = |region: usize, channels: usize| {
        let first = region % parts * rows;
        rows.min(height - first) as f64 * (channels as f64 + read)
    };
    let (shares, _) = ChannelShares::best(regions, [outs, pair_channels], threads, cost);
    shares
}

/// Fewer rows a task, down to half of `rows`, if fewer windows are left without a pair.
fn fill_pairs(rows: usize, all_rows: usize, width: usize, (tiles, half_windows): (Tiles, usize)) -> usize {
    let left = |windows: usize| {
        let paired: usize = tiles.halves(windows, half_windows).map(|half| 2 * half).sum();
        // A pair of few vectors is slower, too.
        (windows - paired) * 4 + windows % (2 * half_windows)
    };
    let cost = |rows: usize| {
        let (whole, rest) = (all_rows / rows, all_rows % rows);
        whole * left(rows * width) + left(rest * width)
    };
    (rows.div_ceil(2)..=rows).rev().min_by_key(|&rows| cost(rows)).unwrap_or(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layout_needs_no_more_memory_than_it_may_have_and_cuts_even_blocks() {
        let vector = Vector::of::<f32>();
        for (input, weight) in [
            ([1, 512, 28, 28], [128, 512, 1, 1]),
            ([1, 64, 224, 224], [64, 64, 3, 3]),
            ([2, 4, 9, 700], [6, 4, 5, 5]),
            ([1, 2048, 7, 7], [512, 2048, 1, 1]),
        ] {
            let geometry = crate::ConvOptions::<2>::new().geometry(&input, &weight).unwrap();
            for bytes in [2 << 20, 600 << 10] {
                let layout = Layout::new(&geometry, vector, bytes);
                let found = layout.slot_len() * vector.size;
                assert!(found <= bytes + 3 * ALIGNMENT_BYTES, "{input:?} {weight:?}: {found} bytes of {bytes}");
                assert!(layout.block_rows.is_multiple_of(2) && layout.rows > 0 && layout.pairs > 0, "{layout:?}");
            }
        }
    }
}
