//! The sizes of the fused weight gradient: how it is cut, and where each kernel cell lies in a slab.

use crate::geometry::ConvGeometry;
use crate::lowering::lanes::Vector;
use crate::lowering::pieces::{block_length, share_channels};
use crate::lowering::scratch::ALIGNMENT_BYTES;
use crate::lowering::slab::{NEIGHBOURS, Slab, slab_dims, slab_line_len};
use crate::parallel;

/// Output channels of one task, and bytes of its sums: those that share a packed run of windows. Each task packs windows and turns
/// gradients for itself, so that it has as many as leave room in the L2. (With 512 channels strided 1×1 kernels were 1.1 times as
/// fast as with 256, and other kernels not slower.)
const OUT_CHANNELS: usize = 512;
const SUM_BYTES: usize = 512 << 10;

/// The same where the runs lie in the image already: it is better to have more input channels, which share the turned gradient.
const PLAIN_OUT_CHANNELS: usize = 128;
const PLAIN_SUM_BYTES: usize = 384 << 10;

/// Windows whose gradient is turned at a time: with one tile of channels beside it, it stays near the L1. Fewer would
/// have the sums read and written too often, so that small images are taken together.
pub(super) const WINDOWS: usize = 256;

/// The padded copy of a task's input channels.
const SLAB_BYTES: usize = 256 << 10;

/// Rows of the patch matrix that are packed at a time, in tiles of the microkernel.
const PACKED_TILES: usize = 4;

/// Cells of the largest kernel: the sums of one input channel must fit the scratch memory.
const MAX_TAPS: usize = 4096;

/// Whether the weight gradient can be computed so.
pub(crate) fn applies(geometry: &ConvGeometry) -> bool {
    geometry.taps() <= MAX_TAPS
}

/// Everything that is known before the arrays come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Output and input channels of one task.
    pub outs: usize,
    pub ins: usize,
    /// Output planes and rows of one region.
    pub planes: usize,
    pub rows: usize,
    /// Windows of a region whose products are added up at a time, and of how many images.
    pub windows: usize,
    pub images: usize,
    /// The padded copy that windows are read from.
    pub slab: Slab,
    /// The image itself as a slab, where it needs neither padding nor phases.
    pub image: Option<Slab>,
    /// Rows of the patch matrix that are packed at a time, and elements from one to the next.
    pub packed_rows: usize,
    pub packed_step: usize,
    /// Elements of the sums, the turned gradient, the slab and the packed rows.
    pub lens: [usize; 4],
    slack: usize,
}

impl Layout {
    pub fn new(geometry: &ConvGeometry, vector: Vector, workspace_bytes: usize) -> Self {
        let mut cut = Cut::wanted(geometry, vector);
        let bytes = |cut: &Cut| {
            let lens = cut.lens(geometry, vector);
            lens.iter().fold(0_usize, |sum, &len| sum.saturating_add(len)).saturating_mul(vector.size)
        };
        while bytes(&cut) > workspace_bytes && cut.shrink(vector) {}
        // Sums are taken over regions and their windows in order: from here on only what does not change them is cut.
        let units = [vector.lanes, vector.columns];
        [cut.outs, cut.ins] = share_channels(geometry, [cut.outs, cut.ins], units, parallel::threads());
        Self {
            outs: cut.outs,
            ins: cut.ins,
            planes: cut.planes,
            rows: cut.rows,
            windows: cut.windows,
            images: cut.images,
            slab: Slab::new(geometry, NEIGHBOURS, [cut.planes, cut.rows], cut.ins),
            image: Slab::whole(geometry, NEIGHBOURS, cut.ins),
            packed_rows: PACKED_TILES * vector.columns,
            packed_step: cut.packed_step(vector),
            lens: cut.lens(geometry, vector),
            slack: 4 * ALIGNMENT_BYTES / vector.size,
        }
    }

    /// Elements of the scratch memory of one lane, with room to align its parts.
    pub fn slot_len(&self) -> usize {
        self.lens.iter().fold(self.slack, |sum, &len| sum.saturating_add(len))
    }
}

struct Cut {
    outs: usize,
    ins: usize,
    planes: usize,
    rows: usize,
    windows: usize,
    images: usize,
}

impl Cut {
    fn wanted(geometry: &ConvGeometry, vector: Vector) -> Self {
        let g = geometry;
        let [od, oh, ow] = g.axes.map(|axis| axis.output.max(1));
        let (all_outs, all_ins) = (g.group_out_channels().max(1), g.group_in_channels().max(1));
        let (most, sum_bytes) = match g.is_pointwise() {
            true => (PLAIN_OUT_CHANNELS, PLAIN_SUM_BYTES),
            false => (OUT_CHANNELS, SUM_BYTES),
        };
        let outs = block_length(all_outs, all_outs.div_ceil(most), vector.len);
        let row_bytes = outs.next_multiple_of(vector.len) * vector.size;
        let most = (sum_bytes / row_bytes.saturating_mul(g.taps())).max(1);
        let ins = block_length(all_ins, all_ins.div_ceil(most), vector.columns);
        let line = slab_line_len(g, NEIGHBOURS).saturating_mul(ins).saturating_mul(vector.size).max(1);
        let lines = (SLAB_BYTES / line).max(1);
        let (planes, rows) =
            if lines >= oh { ((lines / oh).min(od), oh) } else { (1, oh.div_ceil(oh.div_ceil(lines))) };
        let region = planes * rows * ow;
        let windows = region.div_ceil(region.div_ceil(WINDOWS));
        let most = if region == g.windows() { (WINDOWS / region).min(lines / (od * oh)) } else { 1 };
        let batch = g.batch.max(1);
        Self { outs, ins, planes, rows, windows, images: batch.div_ceil(batch.div_ceil(most.max(1))) }
    }

    /// Rows are copied by whole 64-byte chunks, the last of which may run over.
    fn packed_step(&self, vector: Vector) -> usize {
        self.windows * self.images + 64 / vector.size
    }

    /// Elements of the sums, the turned gradient, the slab, whose last row may run over, too, and the packed rows.
    fn lens(&self, geometry: &ConvGeometry, vector: Vector) -> [usize; 4] {
        let outs = self.outs.next_multiple_of(vector.len);
        let slab =
            slab_dims(geometry, NEIGHBOURS, self.planes, self.rows).into_iter().fold(self.ins, usize::saturating_mul);
        [
            self.ins.saturating_mul(geometry.taps()).saturating_mul(outs),
            (self.images * self.windows).saturating_mul(outs),
            slab.saturating_mul(self.images).saturating_add(64 / vector.size),
            PACKED_TILES * vector.columns * self.packed_step(vector),
        ]
    }

    /// Makes the cut smaller; false if it cannot be.
    fn shrink(&mut self, vector: Vector) -> bool {
        let half = |length: usize, unit: usize| length.div_ceil(2).next_multiple_of(unit);
        if self.images > 1 {
            self.images = self.images.div_ceil(2);
        } else if half(self.ins, vector.columns) < self.ins {
            self.ins = half(self.ins, vector.columns);
        } else if half(self.outs, vector.len) < self.outs {
            self.outs = half(self.outs, vector.len);
        } else if self.planes > 1 {
            self.planes = self.planes.div_ceil(2);
        } else if self.rows > 1 {
            self.rows = self.rows.div_ceil(2);
        } else if self.windows > vector.lanes {
            self.windows = half(self.windows, vector.lanes);
        } else if self.ins > 1 {
            self.ins = self.ins.div_ceil(2);
        } else {
            return false;
        }
        true
    }
}
