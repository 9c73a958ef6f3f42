//! The sizes of the fused algorithm: how the patch matrix is cut, and where each kernel cell lies in a slab.

use crate::geometry::ConvGeometry;
use crate::lowering::lanes::{Lanes, Vector};
use crate::lowering::pieces::block_length;
use crate::lowering::scratch::ALIGNMENT_BYTES;
use crate::lowering::slab::{Slab, slab_dims, slab_line_len};
use crate::parallel;

/// Bytes of the patch matrix's rows that one block spans: with a panel of windows beside it, it must
/// stay in the L1 or close to it. 384 rows of f32 were as fast as any from 256 to 576, and need fewer
/// passes over the output than fewer would.
const BLOCK_BYTES: usize = 1536;

/// The same where channels lie on the lanes: there the tile of weights is used many times, and must stay
/// in the L1.
const CHANNEL_BLOCK_BYTES: usize = 512;

/// Rows of the smallest block, however small the workspace: sums over shorter blocks would lose more digits
/// than the textbook's.
const MIN_BLOCK_ROWS: usize = 64;

/// A slab of padded input larger than this pushes the weights out of the L2 of common machines.
const SLAB_BYTES: usize = 384 << 10;

/// The part of the output that one task adds to, block after block, must stay in the L2 as well.
const OUTPUT_BYTES: usize = 384 << 10;

/// More where a block has so many weights that reading them again for each task costs more than the output does: for
/// sums over several blocks, and for those over one, which are written once.
const MANY_WEIGHT_BYTES: usize = 128 << 10;
const LONG_OUTPUT_BYTES: usize = 512 << 10;
const SINGLE_OUTPUT_BYTES: usize = 1024 << 10;

/// Panels that are packed before the weights of a block are read. Where those are so large that reading them
/// once for each panel would take them from the L3, as many panels share them as leave room in the L2.
const PANEL_BYTES: usize = 400 << 10;
const WEIGHT_BYTES: usize = 256 << 10;

/// Elsewhere, where blocks have few rows, as many as stay in the L1: each tile of channels then writes longer runs of
/// the output's rows.
const NEAR_PANEL_BYTES: usize = 32 << 10;

/// Tasks a thread that windows are cut into, where an image is large enough: the last ones to finish then
/// keep the others waiting for a fraction of a task only.
const TASKS_A_THREAD: usize = 3;

/// Output channels under which a task would spend more on packing windows than it gains.
const MIN_CHANNELS: usize = 128;

/// Everything that is known before the arrays come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    pub lanes: Lanes,
    /// Rows of the patch matrix in one block.
    pub block_rows: usize,
    /// Output planes and rows of one task.
    pub planes: usize,
    pub rows: usize,
    /// Output channels of one task.
    pub channels: usize,
    /// The padded copy that windows are read from.
    pub slab: Slab,
    /// The image itself as a slab, where it needs neither padding nor phases.
    pub image: Option<Slab>,
    /// Panels that are packed before weights are read.
    pub panels: usize,
    /// Elements of the slab, of one panel, and of the sums.
    pub slab_len: usize,
    pub panel_len: usize,
    pub sums_len: usize,
    slack: usize,
}

impl Layout {
    pub fn new(geometry: &ConvGeometry, vector: Vector, workspace_bytes: usize) -> Self {
        let lanes = choose_lanes(geometry, vector);
        let mut cut = Cut::wanted(geometry, (vector, lanes), parallel::threads());
        while cut.len(geometry, vector).saturating_mul(vector.size) > workspace_bytes && cut.shrink() {}
        Self::of(geometry, vector, cut)
    }

    pub(super) fn of(geometry: &ConvGeometry, vector: Vector, cut: Cut) -> Self {
        let [slab_len, panel_len, sums_len] = cut.lens(geometry, vector);
        let [_, _, ow] = geometry.axes.map(|axis| axis.output);
        debug_assert!(cut.planes * cut.rows * ow > 0 || geometry.windows() == 0);
        Self {
            lanes: cut.lanes,
            block_rows: cut.block_rows,
            planes: cut.planes,
            rows: cut.rows,
            channels: cut.channels,
            panels: cut.panels,
            slab: Slab::new(geometry, [cut.planes, cut.rows], geometry.group_in_channels()),
            image: Slab::whole(geometry, geometry.group_in_channels()),
            slab_len,
            panel_len,
            sums_len,
            slack: 2 * ALIGNMENT_BYTES / vector.size,
        }
    }

    /// Elements of the scratch memory of one lane, with room to align its parts.
    pub fn slot_len(&self) -> usize {
        self.slab_len + self.panels * self.panel_len + self.sums_len + self.slack
    }
}

/// The cut before its offsets are worked out.
pub(super) struct Cut {
    lanes: Lanes,
    block_rows: usize,
    taps: usize,
    pub planes: usize,
    pub rows: usize,
    pub channels: usize,
    panels: usize,
}

impl Cut {
    pub fn wanted(geometry: &ConvGeometry, (vector, lanes): (Vector, Lanes), threads: usize) -> Self {
        let g = geometry;
        let [od, oh, ow] = g.axes.map(|axis| axis.output.max(1));
        let (depth, taps) = (g.patch_rows().max(1), g.taps());
        let block = match lanes {
            Lanes::Windows => BLOCK_BYTES,
            Lanes::Channels => CHANNEL_BLOCK_BYTES,
        };
        let block = (block / vector.size).max(1);
        // Whole channels in a block, so that each is padded once.
        let unit = if taps <= block { taps } else { 1 };
        let block_rows = block_length(depth, depth.div_ceil(block / unit * unit), unit);
        let images = (g.batch * g.groups).max(1);
        let all_channels = g.group_out_channels().max(1);

        let lines = |bytes: usize, line_bytes: usize| (bytes / line_bytes.max(1)).max(1);
        let slab_line = block_rows.div_ceil(taps).saturating_mul(slab_line_len(g)).saturating_mul(vector.size);
        let output_line = (all_channels * ow).saturating_mul(vector.size);
        let weight_bytes = |channels: usize| block_rows.saturating_mul(channels).saturating_mul(vector.size);
        let output_bytes = match lanes {
            Lanes::Windows if weight_bytes(all_channels) >= MANY_WEIGHT_BYTES => match depth > block_rows {
                true => LONG_OUTPUT_BYTES,
                false => SINGLE_OUTPUT_BYTES,
            },
            _ => OUTPUT_BYTES,
        };
        let wanted = lines(SLAB_BYTES, slab_line).min(lines(output_bytes, output_line)).min(od * oh);
        let (planes, rows) = if wanted >= oh { (wanted / oh, oh) } else { (1, wanted) };
        // Even parts, and enough of them for the threads. The cut does not change any sum: each is taken over
        // the same blocks of rows in the same order, wherever its tile lies.
        let missing = if threads > 1 { (TASKS_A_THREAD * threads).div_ceil(images) } else { 1 };
        let planes = od.div_ceil(od.div_ceil(planes).max(missing.min(od)));
        let missing = missing.div_ceil(od.div_ceil(planes)).min(g.windows() / (4 * vector.lanes)).clamp(1, oh);
        let rows = if planes == 1 { oh.div_ceil(oh.div_ceil(rows).max(missing)) } else { oh };
        let rows = if planes == 1 { fill_lanes(rows, oh, ow, vector) } else { rows };
        let tasks = images * od.div_ceil(planes) * oh.div_ceil(rows);
        let parts = threads.div_ceil(tasks).min(all_channels.div_ceil(MIN_CHANNELS));
        let channels = block_length(all_channels, parts, channel_unit(lanes, vector));
        let panels = match lanes {
            Lanes::Windows => {
                let bytes = if weight_bytes(channels) > WEIGHT_BYTES { PANEL_BYTES } else { NEAR_PANEL_BYTES };
                let panels = bytes / (block_rows * vector.lanes * vector.size);
                panels.clamp(1, (planes * rows * ow).div_ceil(vector.lanes).max(1))
            }
            Lanes::Channels => 1,
        };
        Self { lanes, block_rows, taps, planes, rows, channels, panels }
    }

    /// Elements of scratch memory.
    pub fn len(&self, geometry: &ConvGeometry, vector: Vector) -> usize {
        let [slab, panel, sums] = self.lens(geometry, vector);
        slab.saturating_add(panel.saturating_mul(self.panels)).saturating_add(sums)
    }

    /// Elements of the slab, the panel and the sums.
    fn lens(&self, geometry: &ConvGeometry, vector: Vector) -> [usize; 3] {
        let channels = match self.block_rows % self.taps {
            0 => self.block_rows / self.taps,
            // A block that starts anywhere touches one channel more.
            _ => (self.block_rows.div_ceil(self.taps) + 1).min(geometry.group_in_channels()),
        };
        let [depth, height, phases, columns] = slab_dims(geometry, self.planes, self.rows);
        // Rows are copied by whole 64-byte chunks, the last of which may run over.
        let slack = 64 / vector.size;
        let sums = match self.lanes {
            Lanes::Windows => vector.lanes * vector.columns,
            Lanes::Channels => {
                let channels = self.channels.min(geometry.group_out_channels());
                self.planes * self.rows * geometry.axes[2].output * channels.next_multiple_of(vector.len)
            }
        };
        [channels * depth * height * phases * columns, self.block_rows * vector.lanes + slack, sums]
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
        } else if self.block_rows > MIN_BLOCK_ROWS {
            self.block_rows = self.block_rows.div_ceil(2).max(MIN_BLOCK_ROWS);
        } else {
            return false;
        }
        true
    }
}

/// Windows lie on the lanes unless they would leave a good part of them empty and channels would not.
pub(super) fn choose_lanes(geometry: &ConvGeometry, vector: Vector) -> Lanes {
    let filled = |n: usize, vectors: f64| n as f64 / (vectors * vector.len as f64).max(1.0);
    let windows = filled(geometry.windows(), vectors_of_time(geometry.windows(), vector));
    let channels = geometry.group_out_channels();
    let channels = filled(channels, channels.div_ceil(vector.len) as f64);
    if windows < 0.93 && channels > windows { Lanes::Channels } else { Lanes::Windows }
}

/// The time of the microkernel on so many windows, in that of one full vector of them: a few that are left over
/// take part of it.
fn vectors_of_time(windows: usize, vector: Vector) -> f64 {
    let (whole, rest) = (windows / vector.len, windows % vector.len);
    let tail = match rest {
        0 => 0.0,
        _ if rest <= vector.most_tail => 0.3 + 0.7 * rest as f64 / vector.most_tail as f64,
        _ => 1.0,
    };
    whole as f64 + tail
}

/// Tasks own whole tiles of channels.
pub(super) fn channel_unit(lanes: Lanes, vector: Vector) -> usize {
    match lanes {
        Lanes::Windows => vector.columns,
        Lanes::Channels => vector.lanes,
    }
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
