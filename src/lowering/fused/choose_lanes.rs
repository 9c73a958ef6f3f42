//! What lies on the vector lanes: a cost model of the three products.

use crate::geometry::ConvGeometry;
use crate::lowering::cells::may_be_bare;
use crate::lowering::lanes::{Lanes, Vector};
use crate::lowering::slab::is_padded;

/// What turning an output vector on its way out costs, in multiply-adds of vectors: whole registers of f32 are turned, f64
/// cell by cell. (These were set on layers of the suites and on 1×1 kernels over 7×7 to 56×56 cells, on one core with AVX-512.)
const TURN: f64 = 30.0;
const TURN_F64: f64 = 60.0;

/// What it costs more where the outputs of an image are so many bytes that they leave the L2 while weights stream through it, as
/// 1×1 kernels of many channels have.
const TURN_FAR: f64 = 30.0;
const FAR_BYTES: usize = 256 << 10;

/// What a single register of windows at the end costs more, in that of a full one: its steps have too few multiply-adds.
const LAST: f64 = 0.2;

/// What windows on the lanes cost beside their multiply-adds: some of the microkernel's time, and for each vector of the patch
/// matrix that must be packed, of which strided ones are taken apart first, in short rows cell by cell; and some more of the
/// microkernel's time where they are packed from a copy, and channels on the lanes would be read from the image itself.
const CALLS: f64 = 0.01;
const PACK: f64 = 5.0;
const COPY: f64 = 0.07;
const PACK_STRIDED: f64 = 30.0;
const PACK_STRIDED_SHORT: f64 = 60.0;

/// What windows of a row on the lanes cost beside their multiply-adds, which read cells that cross cache lines.
const STORE: f64 = 5.0;

/// Rows of the patch matrix up to which a task has those of all channels. With more of them it has few windows, whose cells are
/// copied for one tile of channels.
const FEW_ROWS: usize = 288;

/// Registers under which there are none worth filling with channels.
const REGISTER_BYTES: usize = 16;

/// What lies on the lanes of convolutions that are cut alike: channels, which nothing is packed for but whose sums must be
/// turned, windows, or those of a row.
pub(super) fn choose_lanes<'g>(geometries: impl Iterator<Item = &'g ConvGeometry>, vector: Vector) -> Lanes {
    let costs = geometries
        .map(|geometry| lane_costs(geometry, vector))
        .fold([0.0; 3], |all, each| std::array::from_fn(|i| all[i] + each[i]));
    let [channels, windows, rows] = costs;
    if rows < channels.min(windows) {
        Lanes::Rows
    } else if channels < windows {
        Lanes::Channels
    } else {
        Lanes::Windows
    }
}

/// What a window costs with channels, windows, or those of a row on the lanes, in multiply-adds of vectors.
fn lane_costs(geometry: &ConvGeometry, vector: Vector) -> [f64; 3] {
    let (rows, outs) = (geometry.patch_rows() as f64, geometry.group_out_channels());
    let [register, _] = vector.channels;
    if outs == 0 || geometry.windows() == 0 || register * vector.size < REGISTER_BYTES {
        return [f64::INFINITY, 0.0, f64::INFINITY];
    }
    let filled = |n: usize, vectors: f64, len: usize| n as f64 / (vectors * len as f64);
    let last = if geometry.windows() / vector.len % 2 == 1 { LAST } else { 0.0 };
    let windows = filled(geometry.windows(), vectors_of_time(geometry.windows(), vector) + last, vector.len);
    let channels = filled(outs, outs.div_ceil(register) as f64, register);
    let width = geometry.axes[2].output;
    let pack = pack_cost(geometry, register);
    let bytes = outs.saturating_mul(geometry.windows()).saturating_mul(vector.size);
    let far = if pack == 0.0 && bytes > FAR_BYTES { TURN_FAR } else { 0.0 };
    let turn = far + if vector.size == size_of::<f32>() { TURN } else { TURN_F64 };
    let are_few = geometry.patch_rows() <= FEW_ROWS || outs <= vector.row_channels;
    let by_rows = match pack > 0.0 && width >= register && are_few {
        true => rows / filled(width, width.div_ceil(register) as f64, register) + STORE,
        false => f64::INFINITY,
    };
    let copy = if may_be_bare(geometry) { COPY } else { 0.0 };
    [rows / channels + turn, rows * (1.0 / windows + CALLS + copy + pack / outs as f64), by_rows]
}

/// What packing a vector of the patch matrix costs, in multiply-adds of vectors, if registers have so many lanes.
pub(super) fn pack_cost(geometry: &ConvGeometry, register: usize) -> f64 {
    let (width, is_strided) = (geometry.axes[2].output, geometry.axes[2].stride > 1);
    match (geometry.taps(), is_strided) {
        (1, false) if !is_padded(geometry) => 0.0,
        (_, false) => PACK,
        (_, true) if width >= register => PACK_STRIDED,
        (_, true) => PACK_STRIDED_SHORT,
    }
}

/// The time of the microkernel on so many windows, in that of one full vector of them: a few that are left over
/// take part of it.
pub(super) fn vectors_of_time(windows: usize, vector: Vector) -> f64 {
    let (whole, rest) = (windows / vector.len, windows % vector.len);
    let tail = match rest {
        0 => 0.0,
        _ if rest <= vector.most_tail => 0.05 + 0.15 * rest as f64 / vector.most_tail as f64,
        _ => 1.0,
    };
    whole as f64 + tail
}
