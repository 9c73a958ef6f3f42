//! How long a run takes on one thread, about.
//!
//! Costs are counted in multiply-adds of the microkernel, as in [`cost`](super::cost), and its rate on this machine
//! turns them into seconds. They are for people, and for leaving out what is hopeless: nothing is chosen by seconds,
//! which differ from one machine and one run to the next.
//!
//! The constants were fitted to all layers of the suites at batch 1 on one core with AVX-512, where the microkernel
//! does 57 multiply-adds a nanosecond; `docs/performance.md` has the errors.

use super::cost::{cost, grad_cost, strided_grad_cost};
use crate::element::Element;
use crate::gemm::{Kernel, Widths};
use crate::geometry::ConvGeometry;
use crate::lowering::{Algorithm, Pass, Tiled, has_depthwise_lanes, is_square, packed_geometry};

/// Seconds of one run of `algorithm`, which is not `Auto`, on one thread.
pub(super) fn seconds<T: Element>(geometry: &ConvGeometry, pass: Pass, algorithm: Algorithm) -> f64 {
    let kernel = Kernel::<T>::best();
    multiply_adds(geometry, pass, algorithm, kernel.widths()) / kernel.rate()
}

fn multiply_adds(geometry: &ConvGeometry, pass: Pass, algorithm: Algorithm, widths: Widths) -> f64 {
    // What another convolution computes costs as much as that one.
    let packed = packed_geometry(geometry, pass, algorithm);
    let g = packed.as_ref().unwrap_or(geometry);
    match algorithm {
        Algorithm::Direct => direct(g),
        Algorithm::Depthwise if pass == Pass::InputGrad && packed.is_none() => {
            let cells = g.group_in_channels() as f64 * g.input_cells() as f64;
            lanes(g, outputs(g) * g.patch_rows() as f64, cells, g.windows() as f64)
        }
        Algorithm::Depthwise => depthwise(g),
        Algorithm::Pointwise => dense(g, POINTWISE),
        Algorithm::Im2col => dense(g, IM2COL),
        Algorithm::Im2colTiled => dense(g, Dense { gathered: IM2COL.gathered * times_gathered(g, pass), ..TILED }),
        Algorithm::Fused | Algorithm::WinogradF2 | Algorithm::WinogradF4 if pass == Pass::WeightGrad => {
            grad_cost(g, algorithm, widths) + thin(g, algorithm)
        }
        Algorithm::Fused | Algorithm::WinogradF2 | Algorithm::WinogradF4
            if pass == Pass::InputGrad && packed.is_none() =>
        {
            strided_grad_cost(g, algorithm, widths) + thin(g, algorithm)
        }
        Algorithm::Fused if g.is_pointwise() => dense(g, FUSED_POINTWISE),
        Algorithm::Fused | Algorithm::Strassen | Algorithm::WinogradF2 | Algorithm::WinogradF4 | Algorithm::Auto => {
            cost(g, algorithm, widths) + thin(g, algorithm)
        }
    }
}

/// Each image and group is a problem of its own.
fn problems(g: &ConvGeometry) -> f64 {
    g.batch as f64 * g.groups as f64
}

fn outputs(g: &ConvGeometry) -> f64 {
    g.group_out_channels() as f64 * g.windows() as f64
}

/// Elements of a group's patch matrix.
fn patches(g: &ConvGeometry) -> f64 {
    g.patch_rows() as f64 * g.windows() as f64
}

/// What a problem costs the microkernel's algorithms however small it is, and a packed or transformed element
/// however few channels use it. Both matter only where groups are thin, between which [`cost`] need not choose.
const FUSED_PROBLEM: f64 = 45e3;
const FUSED_PACKED: f64 = 7.0;
const WINOGRAD_PROBLEM: f64 = 100e3;
const WINOGRAD_TRANSFORMED: f64 = 5.0;

fn thin(g: &ConvGeometry, algorithm: Algorithm) -> f64 {
    let each = match algorithm.scheme().and_then(|scheme| Tiled::forward(g.clone(), scheme)) {
        None => FUSED_PROBLEM + FUSED_PACKED * patches(g),
        Some(Tiled { tile, .. }) => {
            let values_an_output = tile.products() as f64 / tile.cells() as f64;
            WINOGRAD_PROBLEM + WINOGRAD_TRANSFORMED * values_an_output * g.windows() as f64
        }
    };
    problems(g) * each
}

/// What a dense product costs beside its multiply-adds.
#[derive(Clone, Copy)]
struct Dense {
    /// A multiply-add, through the whole of a dense product.
    product: f64,
    /// An element of the second factor: written to the patch matrix (or added back from it) and packed again.
    gathered: f64,
    /// A weight, which is packed for each product that reads it.
    weight: f64,
    /// A problem, however small it is.
    problem: f64,
}

const POINTWISE: Dense = Dense { product: 1.0, gathered: 16.0, weight: 20.0, problem: 0.0 };
/// Its weights are packed already.
const FUSED_POINTWISE: Dense = Dense { weight: 4.0, problem: FUSED_PROBLEM, ..POINTWISE };
const IM2COL: Dense = Dense { product: 1.1, gathered: 25.0, weight: 20.0, problem: 56e3 };
const TILED: Dense = Dense { weight: 60.0, ..IM2COL };

fn dense(g: &ConvGeometry, cost: Dense) -> f64 {
    let weights = g.group_out_channels() as f64 * g.patch_rows() as f64;
    let products = weights * g.windows() as f64;
    problems(g) * (products * cost.product + patches(g) * cost.gathered + weights * cost.weight + cost.problem)
}

/// Windows of a tile, channels of a tile and tiles of a forward pass by [`Algorithm::Im2colTiled`], about: where it
/// cuts the channels to have tiles enough, each of these has a patch matrix of its own.
const TILE_WINDOWS: f64 = 64.0;
const TILE_CHANNELS: f64 = 32.0;
const TILES: f64 = 8.0;

fn times_gathered(g: &ConvGeometry, pass: Pass) -> f64 {
    let tiles = problems(g) * (g.windows() as f64 / TILE_WINDOWS).ceil();
    let most = (g.group_out_channels() as f64 / TILE_CHANNELS).max(1.0);
    if pass == Pass::Forward { (TILES / tiles.max(1.0)).clamp(1.0, most) } else { 1.0 }
}

/// A multiply-add of `Direct`, which reads and writes memory for each …
const DIRECT_PRODUCT: f64 = 12.8;

/// … and a row of windows for one weight.
const DIRECT_ROW: f64 = 2.6e3;

fn direct(g: &ConvGeometry) -> f64 {
    let [depth, height, _] = g.axes.map(|axis| axis.output as f64);
    let weights = g.group_out_channels() as f64 * g.patch_rows() as f64;
    problems(g) * weights * (g.windows() as f64 * DIRECT_PRODUCT + depth * height * DIRECT_ROW)
}

/// `Depthwise` with channels on the lanes: a multiply-add, an output and a cell, which are turned, and a channel …
const LANES_PRODUCT: f64 = 1.3;
const LANES_OUTPUT: f64 = 9.0;
const LANES_CELL: f64 = 8.0;
const LANES_CHANNEL: f64 = 1.5e3;

/// … square kernels along rows, which have loops of their own: a multiply-add, a cell, a row of cells, a weight and a
/// channel …
const SQUARE_PRODUCT: f64 = 1.1;
const SQUARE_CELL: f64 = 4.5;
const SQUARE_ROW: f64 = 50.0;
const SQUARE_WEIGHT: f64 = 30.0;
const SQUARE_CHANNEL: f64 = 100.0;

/// … and all other kernels: a multiply-add, an output and a channel.
const TILE_PRODUCT: f64 = 2.0;
const TILE_OUTPUT: f64 = 7.6;
const TILE_CHANNEL: f64 = 9.5e3;

fn lanes(g: &ConvGeometry, products: f64, outputs: f64, cells: f64) -> f64 {
    problems(g) * (products * LANES_PRODUCT + outputs * LANES_OUTPUT + cells * LANES_CELL + LANES_CHANNEL)
}

fn depthwise(g: &ConvGeometry) -> f64 {
    let [depth, height, _] = g.axes;
    let (outputs, taps, cells) = (outputs(g), g.taps() as f64, g.input_cells() as f64);
    if has_depthwise_lanes(g) {
        return lanes(g, outputs * taps, outputs, cells);
    }
    let each = if is_square(g) {
        let rows = depth.input as f64 * height.input as f64;
        let channels = g.group_out_channels() as f64 * (taps * SQUARE_WEIGHT + SQUARE_CHANNEL);
        outputs * taps * SQUARE_PRODUCT + cells * SQUARE_CELL + rows * SQUARE_ROW + channels
    } else {
        outputs * (taps * TILE_PRODUCT + TILE_OUTPUT) + TILE_CHANNEL
    };
    problems(g) * each
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ConvOptions;

    fn predicted(options: ConvOptions<2>, input: [usize; 4], weight: [usize; 4], algorithm: Algorithm) -> f64 {
        let geometry = options.geometry(&input, &weight).unwrap();
        multiply_adds(&geometry, Pass::Forward, algorithm, Widths { element: 4, register: 64, unit: 64 })
    }

    #[test]
    fn more_work_is_predicted_to_take_longer_by_every_algorithm() {
        let same = ConvOptions::new().padding(crate::Padding::Same);
        for algorithm in Algorithm::ALL.into_iter().skip(1) {
            let (kernel, depth, groups) = match algorithm {
                Algorithm::Pointwise => (1, 16, 1),
                Algorithm::Depthwise => (3, 1, 16),
                _ => (3, 16, 1),
            };
            let time = |batch, side| {
                let weight = [16, depth, kernel, kernel];
                predicted(same.groups(groups), [batch, 16, side, side], weight, algorithm)
            };
            assert!(time(1, 14) < time(2, 14) && time(1, 14) < time(1, 28), "{algorithm}");
            assert_eq!(time(0, 14), 0.0, "{algorithm}");
        }
    }

    #[test]
    fn an_algorithm_for_thin_groups_is_predicted_to_be_faster_there_than_one_for_wide_ones() {
        let options = ConvOptions::new().groups(64).padding(crate::Padding::Same);
        let time = |algorithm| predicted(options, [1, 64, 28, 28], [64, 1, 3, 3], algorithm);
        for slower in [Algorithm::Fused, Algorithm::WinogradF4, Algorithm::Im2col, Algorithm::Im2colTiled] {
            assert!(time(Algorithm::Depthwise) < time(slower) / 2.0, "{slower}");
        }
    }
}
