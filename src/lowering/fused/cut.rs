//! How the fused algorithm cuts the output into tasks, and the patch matrix into blocks.

use super::channels::PART_WINDOWS;
use super::choose_lanes::vectors_of_time;
use super::shares::Shares;
use crate::gemm::{SHORT_ROW_VECTORS, is_step};
use crate::geometry::ConvGeometry;
use crate::lowering::lanes::{Lanes, Vector};
use crate::lowering::pieces::block_length;
use crate::lowering::shares::MANY_TASKS;
use crate::lowering::slab::{NEIGHBOURS, slab_dims, slab_line_len};

/// Bytes of the patch matrix's rows that one block spans: with a panel of windows beside it, it must
/// stay in the L1 or close to it. 384 rows of f32 were as fast as any from 256 to 576, and need fewer
/// passes over the output than fewer would.
const BLOCK_BYTES: usize = 1536;

/// More where a task has one panel, which a tile's weights meet once.
const LONG_BLOCK_BYTES: usize = 2048;

/// The same where channels lie on the lanes: there the tile of weights comes from the L2 for each few windows. 1152 rows of
/// f32 were faster than 384 and 576, and as fast as more. (Their products are added up in shorter chains.)
const CHANNEL_BLOCK_BYTES: usize = 4608;

/// Rows of the smallest block, however small the workspace: sums over shorter blocks would lose more digits
/// than the textbook's.
const MIN_BLOCK_ROWS: usize = 64;

/// A slab of padded input larger than this pushes the weights out of the L2 of common machines.
const SLAB_BYTES: usize = 384 << 10;

/// The part of the output that one task adds to, block after block, must stay in the L2 as well.
const OUTPUT_BYTES: usize = 384 << 10;

/// More where a block has so many weights that reading them again for each task costs more than the output does …
const MANY_WEIGHT_BYTES: usize = 128 << 10;
const LONG_OUTPUT_BYTES: usize = 512 << 10;

/// … and of sums over one block, which are written once.
const SINGLE_OUTPUT_BYTES: usize = 1024 << 10;

/// Panels that are packed before the weights of a block are read. Where those are so large that reading them
/// once for each panel would take them from the L3, as many panels share them as leave room in the L2.
const PANEL_BYTES: usize = 400 << 10;
const WEIGHT_BYTES: usize = 256 << 10;

/// Elsewhere fewer, which stay in the L2 beside all that is asked for meanwhile: longer runs of each row are then read and
/// written, which large arrays in memory are faster in. (On 1×1 kernels over 28×28 to 112×112 cells.)
const NEAR_PANEL_BYTES: usize = 128 << 10;

/// Windows of the images of a batch that a task takes together, at the most: the weights are read once for all of them. Of
/// larger images each is a task of its own.
const FOLDED_WINDOWS: usize = 256;

/// Weights that do not stay in the L2. (1024→1024 1×1 kernels at 7, 4 MiB, are 1.15 times as fast image by image, 512→1024, 2 MiB,
/// 0.98 times.)
const FAR_WEIGHT_BYTES: usize = 3 << 20;

/// The sums of such a task. They do not all stay in the L2, but fewer channels would have the windows packed too often.
const FOLDED_SUM_BYTES: usize = 832 << 10;

/// Output channels of such a task, at least, where channels are cut for the threads: each task packs its windows.
const FOLDED_CHANNELS: usize = 512;

/// Tasks a thread that windows are cut into, where an image is large enough: the last ones to finish then
/// keep the others waiting for a fraction of a task only.
const TASKS_A_THREAD: usize = 3;

/// Output channels under which a task would spend more on packing windows than it gains.
const MIN_CHANNELS: usize = 128;

/// Windows of a row up to which 1×1 kernels with a stride read a copy of their cells. (1024→2048 at 14 is 1.2 times as fast then at
/// batch 8, 512→1024 at 28 0.9 times.)
const SHORT_ROW: usize = 7;

/// The cut before its offsets are worked out.
#[derive(Clone)]
pub(super) struct Cut {
    /// Whether planes are the images of a batch.
    pub is_folded: bool,
    pub lanes: Lanes,
    pub block_rows: usize,
    taps: usize,
    pub planes: usize,
    pub rows: usize,
    pub channels: usize,
    pub panels: usize,
    /// What channels are cut into multiples of.
    pub unit: usize,
}

impl Cut {
    pub fn wanted(geometry: &ConvGeometry, (vector, lanes, unit): (Vector, Lanes, usize), threads: usize) -> Self {
        let g = geometry;
        let [od, oh, ow] = g.axes.map(|axis| axis.output.max(1));
        let (block_rows, taps) = (block_rows(g, vector, lanes), g.taps());
        let images = (g.batch * g.groups).max(1);
        let all_channels = g.group_out_channels().max(1);

        let lines = |bytes: usize, line_bytes: usize| (bytes / line_bytes.max(1)).max(1);
        let slab_line = block_rows
            .div_ceil(taps)
            .saturating_mul(slab_line_len(g, window_step(g, lanes)))
            .saturating_mul(vector.size);
        let weight_bytes = |channels: usize| block_rows.saturating_mul(channels).saturating_mul(vector.size);
        let output_bytes = |channels: usize| match lanes {
            Lanes::Windows if g.patch_rows() <= block_rows => SINGLE_OUTPUT_BYTES,
            Lanes::Windows if weight_bytes(channels) >= MANY_WEIGHT_BYTES => LONG_OUTPUT_BYTES,
            _ => OUTPUT_BYTES,
        };
        let most_lines = |channels: usize| {
            let output_line = channels.saturating_mul(ow).saturating_mul(vector.size);
            lines(SLAB_BYTES, slab_line).min(lines(output_bytes(channels), output_line)).min(od * oh)
        };
        let wanted = most_lines(all_channels);
        let (planes, rows) = if wanted >= oh { (wanted / oh, oh) } else { (1, wanted) };
        // Even parts, and enough of them for the threads. The cut does not change any sum: each is taken over
        // the same blocks of rows in the same order, wherever its tile lies.
        let missing = if threads > 1 { (TASKS_A_THREAD * threads).div_ceil(images) } else { 1 };
        let planes = od.div_ceil(od.div_ceil(planes).max(missing.min(od)));
        let are_many = images * od * oh.div_ceil(rows) > MANY_TASKS.saturating_mul(threads);
        let [rows, channels] = if planes > 1 {
            let parts = threads.div_ceil(images * od.div_ceil(planes)).min(all_channels.div_ceil(MIN_CHANNELS));
            [oh, block_length(all_channels, parts, unit)]
        } else if threads > 1 && !are_many {
            Shares { geometry: g, lanes, vector, threads }.best(unit, |channels| most_lines(channels).min(oh))
        } else {
            [fill_lanes(oh.div_ceil(oh.div_ceil(rows)), oh, ow, vector), all_channels]
        };
        Self { is_folded: false, lanes, block_rows, taps, planes, rows, channels, panels: 1, unit }
            .with_panels(ow, vector)
    }

    /// That of a row alone.
    pub fn of_one_row(geometry: &ConvGeometry, how: (Vector, Lanes, usize), threads: usize) -> Self {
        let cut = Self { planes: 1, rows: 1, ..Self::wanted(geometry, how, threads) };
        cut.with_panels(geometry.axes[2].output, how.0)
    }

    /// The cut of a batch whose images are the planes of `geometry`: as many together as make up for the weights that are
    /// read for them, and as many channels as leave their sums in the L2.
    pub fn folded(geometry: &ConvGeometry, (vector, lanes, unit): (Vector, Lanes, usize), threads: usize) -> Self {
        let g = geometry;
        let [images, oh, ow] = g.axes.map(|axis| axis.output.max(1));
        let (block_rows, taps, windows) = (block_rows(g, vector, lanes), g.taps(), oh * ow);
        let all_channels = g.group_out_channels().max(1);
        let slab_len = slab_dims(g, window_step(g, lanes), 1, oh)
            .into_iter()
            .fold(block_rows.div_ceil(taps), usize::saturating_mul);
        let most = (FOLDED_WINDOWS / windows).min(SLAB_BYTES / slab_len.saturating_mul(vector.size).max(1));
        let even = |parts: usize| fill_lanes(images.div_ceil(parts.clamp(1, images)), images, windows, vector);
        let fewest = images.div_ceil(most.max(1));
        let planes = even(fewest);
        let parts = all_channels.div_ceil((FOLDED_SUM_BYTES / (planes * windows * vector.size)).max(1));
        // For the threads, channels are cut first: the weights are read by one task or the other.
        let missing = if threads > 1 { (TASKS_A_THREAD * threads).div_ceil(g.groups) } else { 1 };
        let most_parts = all_channels.div_ceil(FOLDED_CHANNELS);
        let parts = parts.max(missing.div_ceil(images.div_ceil(planes)).min(most_parts));
        let planes = planes.min(even(missing.div_ceil(parts).max(fewest)));
        let parts = parts.max(threads.div_ceil(images.div_ceil(planes)).min(all_channels.div_ceil(MIN_CHANNELS)));
        let channels = block_length(all_channels, parts, unit);
        Self { is_folded: true, lanes, block_rows, taps, planes, rows: oh, channels, panels: 1, unit }
            .with_panels(ow, vector)
    }

    /// With as many panels as its weights make useful.
    fn with_panels(self, width: usize, vector: Vector) -> Self {
        let weight_bytes = self.block_rows.saturating_mul(self.channels).saturating_mul(vector.size);
        let bytes = if weight_bytes > WEIGHT_BYTES { PANEL_BYTES } else { NEAR_PANEL_BYTES };
        let most = (self.planes * self.rows * width).div_ceil(vector.lanes).max(1);
        let panels = match self.lanes {
            Lanes::Windows => (bytes / (self.block_rows * vector.lanes * vector.size)).clamp(most.min(2), most),
            // Windows are read where they lie.
            Lanes::Channels | Lanes::Rows => 0,
        };
        Self { panels, ..self }
    }

    /// Elements of scratch memory.
    pub fn len(&self, geometry: &ConvGeometry, vector: Vector) -> usize {
        let [slab, panel, sums] = self.lens(geometry, vector);
        slab.saturating_add(panel.saturating_mul(self.panels)).saturating_add(sums)
    }

    /// Elements of the slab, the panel and the sums.
    pub fn lens(&self, geometry: &ConvGeometry, vector: Vector) -> [usize; 3] {
        let channels = match self.block_rows % self.taps {
            0 => self.block_rows / self.taps,
            // A block that starts anywhere touches one channel more.
            _ => (self.block_rows.div_ceil(self.taps) + 1).min(geometry.group_in_channels()),
        };
        let [depth, height, phases, columns] =
            slab_dims(geometry, window_step(geometry, self.lanes), self.planes, self.rows);
        // Cells are moved by whole 64-byte chunks, the last of which may run over where it is read and where it is written.
        let slack = 64 / vector.size;
        let outs = self.channels.min(geometry.group_out_channels());
        let windows = self.planes * self.rows * geometry.axes[2].output;
        let tile = vector.lanes * vector.row_channels;
        let sums = match self.lanes {
            Lanes::Windows if self.is_folded && self.planes > 1 => outs * windows.next_multiple_of(vector.len) + tile,
            Lanes::Windows => tile,
            Lanes::Rows => vector.row_channels * geometry.axes[2].output,
            Lanes::Channels => {
                let [register, _] = vector.channels;
                let line =
                    if self.planes == 1 { geometry.axes[2].output.min(PART_WINDOWS) } else { windows / self.planes };
                match self.block_rows < geometry.patch_rows() {
                    true => windows * outs.next_multiple_of(register),
                    false => windows.min(PART_WINDOWS.max(line)) * self.unit,
                }
            }
        };
        let panel = if self.panels > 0 { self.block_rows * vector.lanes + slack } else { 0 };
        [channels * depth * height * phases * columns + slack, panel, sums]
    }

    /// Makes the cut smaller; false if it cannot be.
    pub fn shrink(&mut self) -> bool {
        if self.panels > 1 {
            self.panels -= 1;
        } else if self.planes * self.rows > 1 {
            if self.planes > 1 {
                self.planes = self.planes.div_ceil(2);
            } else {
                self.rows = self.rows.div_ceil(2);
            }
        } else if self.lanes != Lanes::Windows && self.channels > self.unit {
            // Before the rows of a block, which are part of the sums, and whatever the channels are at first.
            self.channels = self.channels.div_ceil(2).next_multiple_of(self.unit);
        } else if self.lanes != Lanes::Rows && self.block_rows > MIN_BLOCK_ROWS {
            self.block_rows = self.block_rows.div_ceil(2).max(MIN_BLOCK_ROWS);
        } else {
            return false;
        }
        true
    }
}

/// Whether a task takes several images of a batch.
pub(super) fn is_small(geometry: &ConvGeometry) -> bool {
    2 * geometry.windows() <= FOLDED_WINDOWS
}

/// Whether the images of a batch are better taken one by one, however small: where they are their own patch matrices, which a task
/// with several of them would have to pack, and weights leave the L2 before any of them is read again.
pub(super) fn is_read_in_place(geometry: &ConvGeometry, vector: Vector) -> bool {
    let weights = geometry.group_out_channels().saturating_mul(geometry.patch_rows());
    geometry.is_pointwise() && weights.saturating_mul(vector.size) >= FAR_WEIGHT_BYTES
}

/// Rows of the patch matrix in one block: those of whole channels, so that each is padded once.
fn block_rows(geometry: &ConvGeometry, vector: Vector, lanes: Lanes) -> usize {
    let (depth, taps) = (geometry.patch_rows().max(1), geometry.taps());
    let bytes = match lanes {
        Lanes::Windows if geometry.windows() <= vector.lanes => LONG_BLOCK_BYTES,
        Lanes::Windows => BLOCK_BYTES,
        // All of them: lines of an output are written once.
        Lanes::Rows => depth * vector.size,
        Lanes::Channels => CHANNEL_BLOCK_BYTES,
    };
    let block = (bytes / vector.size).max(1);
    let unit = if taps <= block { taps } else { 1 };
    block_length(depth, depth.div_ceil(block / unit * unit), unit)
}

/// Short rows of single cells with gaps between them touch more cache lines of the image than the L2 holds beside the weights.
fn is_better_copied(geometry: &ConvGeometry) -> bool {
    geometry.taps() == 1 && geometry.axes[2].output <= SHORT_ROW
}

/// Cells of a slab from one window of a row to the next.
pub(super) fn window_step(geometry: &ConvGeometry, lanes: Lanes) -> usize {
    match (lanes, geometry.axes[2].stride) {
        (Lanes::Channels, stride) if is_step(stride) && !is_better_copied(geometry) => stride,
        _ => NEIGHBOURS,
    }
}

/// Output channels of a tile, if rows are not short. Tasks own whole tiles.
pub(super) fn channel_unit(lanes: Lanes, vector: Vector) -> usize {
    match lanes {
        Lanes::Windows | Lanes::Rows => vector.row_channels,
        Lanes::Channels => vector.channels[1],
    }
}

/// The same of a tile for this geometry: rows of at most half a tile's windows, if they do not follow each other as those of 1×1
/// kernels do, are taken one by one for more registers of channels, as many for each tile as possible.
pub(super) fn tile_channels(geometry: &ConvGeometry, lanes: Lanes, vector: Vector) -> usize {
    let [register, _] = vector.channels;
    let is_short = geometry.taps() > 1 && 2 * geometry.axes[2].output <= vector.row_channels;
    if lanes != Lanes::Channels || !is_short || register == 0 {
        return channel_unit(lanes, vector);
    }
    let registers = geometry.group_out_channels().div_ceil(register).max(1);
    register * registers.div_ceil(registers.div_ceil(SHORT_ROW_VECTORS))
}

/// Fewer rows a task, down to half of `rows`, if they fill the lanes better.
pub(super) fn fill_lanes(rows: usize, all_rows: usize, width: usize, vector: Vector) -> usize {
    let waste = |rows: usize| {
        let (whole, rest) = (all_rows / rows, all_rows % rows);
        // A task has a cost of its own, and so has a panel.
        let cost = |rows: usize| {
            let panels = (rows * width).div_ceil(vector.lanes);
            vectors_of_time(rows * width, vector) + 0.5 + 0.2 * panels as f64
        };
        whole as f64 * cost(rows) + if rest > 0 { cost(rest) } else { 0.0 }
    };
    let all = (rows.div_ceil(2)..=rows).rev();
    all.min_by(|&a, &b| waste(a).total_cmp(&waste(b))).unwrap_or(rows)
}
