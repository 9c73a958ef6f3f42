//! What the algorithms on the microkernel cost, in its multiply-adds: enough to choose between them.
//!
//! Each constant was set on layers of ResNet-50 and VGG-16 on one core with AVX2, where the microkernel does
//! 50 multiply-adds a nanosecond; `docs/performance.md` has the figures.

use crate::geometry::ConvGeometry;
use crate::lowering::{Algorithm, Axes, STRASSEN_BLOCK_BYTES, Scheme, Tile, has_moves};

/// Share of its time that `Fused` spends in the microkernel.
const FUSED_SHARE: f64 = 0.85;

/// What an output of `Fused` costs apart from its multiply-adds.
const FUSED_OUTPUT: f64 = 12.0;

/// What `Strassen` adds to that: for an output and each block of so many bytes of rows, whose products are added up one by
/// one, and for an element of the patch matrix. (Set on layers of 256 to 2304 rows, on units of 128 bits.)
const STRASSEN_OUTPUT: f64 = 56.0;
const STRASSEN_PACKED: f64 = 4.0;

/// What it costs to transform one value of one tile of one channel, there or back, with F(2×2) …
const F2_VALUE: f64 = 36.0;

/// … and with F(4×4).
const F4_VALUE: f64 = 28.0;

/// The same along the width alone, of an input and of an output (set on lines of 250 to 16000 cells, on units of
/// 128 bits) …
const ROW_INPUT: f64 = 9.0;
const ROW_OUTPUT: f64 = 20.0;

/// … and what it takes longer, over the dilation, where tiles are cut and spread run by run.
const ROW_RUN: f64 = 80.0;

/// What a byte of weights costs that comes from the L3 or beyond, once for each batch of tiles.
const WEIGHT_BYTE: f64 = 6.0;

/// Tiles of a batch with so many input channels that the scratch memory holds no more; with fewer, more.
const BATCH_BYTES: f64 = (1_u64 << 20) as f64;

/// The cost of the forward pass of `geometry` (which may be another's adjoint) for elements of `size` bytes.
pub(super) fn cost(geometry: &ConvGeometry, algorithm: Algorithm, size: usize) -> f64 {
    let g = geometry;
    let (ins, outs) = (g.group_in_channels() as f64, g.group_out_channels() as f64);
    let images = g.batch as f64 * g.groups as f64;
    match algorithm.scheme() {
        None => {
            let (windows, rows) = (g.windows() as f64, g.patch_rows() as f64);
            let outputs = outs * windows;
            let (products, others) = match algorithm {
                Algorithm::Strassen => {
                    let blocks = (rows * size as f64 / STRASSEN_BLOCK_BYTES as f64).ceil();
                    (7.0 / 8.0, outputs * blocks * STRASSEN_OUTPUT + rows * windows * STRASSEN_PACKED)
                }
                _ => (1.0, 0.0),
            };
            images * (outputs * rows * products / FUSED_SHARE + outputs * FUSED_OUTPUT + others)
        }
        Some(scheme) => {
            let tile = Tile::of(g, scheme);
            let values = tile.products() as f64;
            let [rows, columns] = tile.counts(g);
            let tiles = g.axes[0].output * rows * columns;
            let dilation = g.axes[2].dilation;
            let run = if has_moves(dilation) { 0.0 } else { ROW_RUN / dilation as f64 };
            let ([input, output], most) = match (tile.axes, scheme) {
                (Axes::Plane, Scheme::F2) => ([F2_VALUE; 2], 64.0),
                (Axes::Plane, Scheme::F4) => ([F4_VALUE; 2], 64.0),
                (Axes::Width, _) => ([ROW_INPUT + run, ROW_OUTPUT + run], 256.0),
            };
            let products = values * ins * outs * tiles.next_multiple_of(if tiles > 8 { 16 } else { 2 }) as f64;
            let transforms = values * (input * ins + output * outs) * tiles as f64;
            let batch = (BATCH_BYTES / (values * ins * size as f64)).clamp(16.0, most);
            let weights = values * ins * outs * size as f64 * (tiles as f64 / batch).ceil();
            images * (products + transforms).max(weights * WEIGHT_BYTE)
        }
    }
}
