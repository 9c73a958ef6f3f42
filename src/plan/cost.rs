//! What the algorithms on the microkernel cost, in its multiply-adds: enough to choose between them.
//!
//! Each constant was set on layers of ResNet-50 and VGG-16 on one core with AVX2, where the microkernel does
//! 50 multiply-adds a nanosecond; `docs/performance.md` has the figures.

use crate::gemm::Widths;
use crate::geometry::ConvGeometry;
use crate::lowering::{Algorithm, Pass, STRASSEN_BLOCK_BYTES, Tile, Tiled, VALUE, WEIGHT_BYTE, is_winograd_folded};

/// Share of its time that `Fused` spends in the microkernel.
const FUSED_SHARE: f64 = 0.85;

/// What an output of `Fused` costs apart from its multiply-adds.
const FUSED_OUTPUT: f64 = 12.0;

/// What `Strassen` adds to that: for an output and each block of so many bytes of rows, whose products are added up one by
/// one, and for an element of the patch matrix, that of kernels of one cell or of others, whose quarters are packed as well. (Set on
/// 1×1 layers of 64 to 1024 rows with registers of 512 bits, and 3×3 layers with 256; where registers
/// are taken in halves, on 1×1 layers alone.)
const STRASSEN_OUTPUT: f64 = 10.0;
const HALF_RATE_OUTPUT: f64 = 5.5;
const STRASSEN_SUMS: f64 = 4.0;
/// … and an output of so few windows that channels are on the lanes of most of them. (128→128 1×1 at 7 is 1.08 times as fast as `Fused`
/// and at 6 0.9 times, 64→512 at 7 0.95 times.)
const SMALL_MAP_OUTPUT: f64 = 14.0;
pub(super) const SMALL_MAP: usize = 128;
const STRASSEN_PACKED: f64 = 10.0;

/// … and for each row of a block, where images take turns that do not all stay near. (512→128 1×1 at 28 is 1.05 times as fast as
/// `Fused` with one image and 0.95 times with eight, 256→64 at 56 1.05 and 0.97; one large image gains as much as a small one.)
const STRASSEN_FAR_ROW: f64 = 0.028;
const FAR_IMAGE_BYTES: f64 = (4_u64 << 20) as f64;

/// Share of its time that a Winograd algorithm's products spend in the microkernel.
const WINOGRAD_SHARE: f64 = 0.93;

/// Transforms have channels in whole vectors of so many.
const VALUE_CHANNELS: usize = 16;

/// What a byte of weights costs, in place of [`WEIGHT_BYTE`], if there are so many that they come from memory. (About 3 with AVX-512 at
/// full rate and 1.2 at half rate, as 512→512 3×3 at 7 showed; a value between them loses less on either than that of the other.)
const FAR_WEIGHT_BYTE: f64 = 2.0;
const FAR_WEIGHT_BYTES: f64 = (20_u64 << 20) as f64;

/// The share of the products that the time of reading these is hidden by, and the input channels of a pass, of which a block of tiles
/// may be larger then. (512→512 3×3 with stride 2 at 14: F(4×4) is 1.07 times as fast as `Fused` with eight images, and 0.47 times
/// with one.)
const FAR_HIDDEN: f64 = 0.3;
const PASS_CHANNELS: f64 = 128.0;

/// Transformed inputs and products of a block of tiles, and the most tiles.
const BLOCK_BYTES: f64 = (7_u64 << 18) as f64;
const BLOCK_CHANNELS: f64 = 64.0;
const BLOCK_TILES: f64 = 128.0;

/// What a weight's gradient costs `Fused`, whose sums are read again for each few windows and turned at the end …
const FUSED_WEIGHT: f64 = 20.0;

/// … and a value of it Winograd, which transforms them back; and the channels of one of its tasks, which transforms images and
/// gradients for itself. (Set on the 3×3 layers of ResNet-50 at batch 1 and 8, on one core with AVX-512.)
const KERNEL_VALUE: f64 = 12.0;
const TASK_CHANNELS: usize = 64;

/// What each product costs more where the sums of a task are so many bytes that they come from the L3 for each few tiles. (Of F(4×4)
/// with stride 2.)
const FAR_SUM: f64 = 0.34;
const FAR_SUM_BYTES: usize = 1 << 20;

/// The cost of the weight gradient of `geometry`, whose sums are taken over all images.
pub(super) fn grad_cost(geometry: &ConvGeometry, algorithm: Algorithm, widths: Widths) -> f64 {
    let g = geometry;
    let (ins, outs) = (g.group_in_channels(), g.group_out_channels());
    let weights = (ins * outs) as f64;
    let Some(scheme) = algorithm.scheme() else {
        let sums = g.batch as f64 * g.windows() as f64 / FUSED_SHARE + FUSED_WEIGHT;
        return g.groups as f64 * weights * g.taps() as f64 * sums;
    };
    let Some(tile) = Tile::of_grad(g, scheme) else { return f64::INFINITY };
    let tiles = g.batch as f64 * g.axes[0].output as f64 * tile.counts(g).iter().product::<usize>() as f64;
    let times = |channels: usize| channels.div_ceil(TASK_CHANNELS) as f64;
    let transformed = whole(ins) * times(outs) + whole(outs) * times(ins);
    let sum_bytes = tile.products() * ins.min(TASK_CHANNELS) * outs.min(TASK_CHANNELS) * widths.element;
    let product = 1.0 / WINOGRAD_SHARE + if sum_bytes > FAR_SUM_BYTES { FAR_SUM } else { 0.0 };
    let value = tiles * (ins as f64 * whole(outs) * product + transformed * VALUE) + weights * KERNEL_VALUE;
    g.groups as f64 * tile.products() as f64 * value
}

/// Channels in whole vectors.
fn whole(channels: usize) -> f64 {
    channels.next_multiple_of(VALUE_CHANNELS) as f64
}

/// The cost of the input gradient of `geometry` with a stride.
pub(super) fn strided_grad_cost(geometry: &ConvGeometry, algorithm: Algorithm, widths: Widths) -> f64 {
    let cost = match algorithm.scheme() {
        Some(scheme) => Tiled::of(geometry, Pass::InputGrad, scheme).map(|tiled| tiles_cost(&tiled, widths)),
        None if algorithm == Algorithm::Strassen => {
            geometry.only_phase().map(|only| cost(&only.phase.geometry, algorithm, widths))
        }
        None => {
            geometry.phases().map(|phases| phases.iter().map(|phase| cost(&phase.geometry, algorithm, widths)).sum())
        }
    };
    cost.unwrap_or(f64::INFINITY)
}

/// The cost of the forward pass of `geometry` (which may be another's adjoint).
pub(super) fn cost(geometry: &ConvGeometry, algorithm: Algorithm, widths: Widths) -> f64 {
    let g = geometry;
    let outs = g.group_out_channels() as f64;
    let images = g.batch as f64 * g.groups as f64;
    match algorithm.scheme() {
        None => {
            let (windows, rows) = (g.windows() as f64, g.patch_rows() as f64);
            let outputs = outs * windows;
            let (products, others) = match algorithm {
                Algorithm::Strassen => {
                    let blocks = (rows * widths.element as f64 / STRASSEN_BLOCK_BYTES as f64).ceil();
                    let output = match widths.are_halved() {
                        true if g.windows() < SMALL_MAP => SMALL_MAP_OUTPUT,
                        true => HALF_RATE_OUTPUT,
                        false => STRASSEN_OUTPUT,
                    };
                    let packed = if g.taps() == 1 { STRASSEN_SUMS } else { STRASSEN_PACKED };
                    let image_bytes = g.input_cells() as f64 * (g.group_in_channels() * widths.element) as f64;
                    let are_far = g.batch > 1 && images * image_bytes > FAR_IMAGE_BYTES;
                    let far = if are_far { rows / blocks * STRASSEN_FAR_ROW } else { 0.0 };
                    (7.0 / 8.0, outputs * blocks * output + rows * windows * (packed + far))
                }
                _ => (1.0, 0.0),
            };
            images * (outputs * rows * products / FUSED_SHARE + outputs * FUSED_OUTPUT + others)
        }
        Some(scheme) => Tiled::forward(g.clone(), scheme).map_or(f64::INFINITY, |tiled| tiles_cost(&tiled, widths)),
    }
}

/// The cost of what Winograd's tiles compute.
fn tiles_cost(&Tiled { geometry: ref g, tile, .. }: &Tiled, widths: Widths) -> f64 {
    let images = g.batch as f64 * g.groups as f64;
    let (ins, outs) = (g.group_in_channels() as f64, g.group_out_channels() as f64);
    let (values, element) = (tile.products() as f64, widths.element as f64);
    let tiles = g.axes[0].output as f64 * tile.counts(g).iter().product::<usize>() as f64;
    let [whole_ins, whole_outs] = [whole(g.group_in_channels()), whole(g.group_out_channels())];
    let all_values = g.axes[0].output as f64 * tile.plane_products(g) as f64;
    let products = all_values * ins * whole_outs / WINOGRAD_SHARE;
    let transforms = all_values * (whole_ins + whole_outs) * VALUE;
    let bytes = values * ins * outs * element;
    let are_far = bytes > FAR_WEIGHT_BYTES;
    let (byte, hidden, together) = match are_far {
        true => (FAR_WEIGHT_BYTE, FAR_HIDDEN * products, whole_ins.min(PASS_CHANNELS)),
        false => (WEIGHT_BYTE, 0.0, whole_ins),
    };
    let block = (BLOCK_BYTES / (values * (together + BLOCK_CHANNELS) * element)).clamp(1.0, BLOCK_TILES);
    let reads = match is_winograd_folded(g, tile) {
        true => g.groups as f64 * (g.batch as f64 * tiles / block).ceil(),
        false => images * (tiles / block).ceil(),
    };
    images * (products + transforms) + (bytes * byte * reads - images * hidden).max(0.0)
}
