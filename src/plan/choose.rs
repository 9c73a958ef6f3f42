//! Which algorithm, and why: a function of shapes, options and the widths of the processor's registers and units alone.

use super::cost::{SMALL_MAP, cost, grad_cost, strided_grad_cost};
use crate::error::{Error, Result};
use crate::gemm::{Backend, Widths};
use crate::geometry::ConvGeometry;
use crate::lowering::{
    Algorithm, Pass, Tile, Tiled, has_depthwise_grad, has_depthwise_input_grad, has_fused_grad, has_phases,
    packed_geometry,
};
use crate::options::Numerics;

/// An algorithm and the reason for it. The algorithm is never `Auto`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Choice {
    pub algorithm: Algorithm,
    pub reason: &'static str,
}

/// Below so many multiplications a group, the calls around a dense product cost more than the loops.
/// Set where `Direct` and `Im2colTiled` cross on 3×3 kernels over small pictures.
const TINY_PRODUCT: usize = 1 << 10;

/// Channels of a strided input gradient up to which its phases may use each cell, which they all copy, too seldom: in fewer
/// products than these. Set on the first layers of ResNet-50, AlexNet and MobileNetV1, which have three channels, of 37, 22 and
/// 6 products.
const FEW_CHANNELS: usize = 4;
const FEW_PRODUCTS: usize = 22;

/// Kernels of one channel from which a dense product with its patch matrix is faster. Set on one channel of pictures and of
/// sound.
const MANY_KERNELS: usize = 16;

/// Output channels of a weight gradient under which they leave most lanes of the microkernel empty.
const FEW_OUT_CHANNELS: usize = 16;

/// Windows of an image with fewer of which than [`SMALL_MAP`] `Strassen` has no pairs of whole panels, but gains where registers of
/// so many elements are taken in halves. (On 1×1 layers of 512 rows at 4 to 12, 1.02 to 1.14.)
const FEW_WINDOWS: usize = 16;
const FEW_WINDOWS_REGISTER: usize = 16;

/// Windows of the longest row that its tasks, which have whole rows, share the caches with. Set on a line of 4000.
const PAIRED_ROW: usize = 1024;

/// The share of windows that may be left without a pair of tiles of two registers each, for which there are eight products.
const MOST_UNPAIRED: f64 = 0.125;

/// The most bytes of kernels, of which it reads twice as many. (384→1536 at 28 0.94 times as fast as `Fused`, 512→1024 with stride 2
/// at 28 1.09.)
const PAIRED_WEIGHT_BYTES: usize = 2 << 20;

/// The same where multiply-adds take registers in halves, so that reading is cheaper beside them. (1024→1024 at 14 1.09 times as fast.)
const HALF_RATE_WEIGHT_BYTES: usize = 4 << 20;
/// … and where channels are on the lanes. (1024→2048 at 7 1.07 times as fast, 768→3072 0.95.)
const SMALL_MAP_WEIGHT_BYTES: usize = 8 << 20;

/// Bytes of a register up to which it packs windows that do not lie side by side; with wider ones that are taken in halves it does
/// for kernels of three axes, whose windows `Fused` copies too, and leaves no zeros out of. (128→256 3×3×3 at 16 1.07 times as fast.)
const PACKING_REGISTER: usize = 32;

/// What a caller asks for, beside the geometry.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request {
    pub pass: Pass,
    pub algorithm: Algorithm,
    pub backend: Backend,
    pub numerics: Numerics,
    pub widths: Widths,
}

/// Chooses for a pass over `geometry`, or checks the algorithm that was asked for. Where the caller names a
/// backend, an algorithm is chosen that uses it.
///
/// # Errors
/// [`Error::Unsupported`] if the algorithm that was named cannot do it.
pub(crate) fn choose(geometry: &ConvGeometry, request: Request) -> Result<Choice> {
    let (g, Request { pass, algorithm: asked, backend, .. }) = (geometry, request);
    match asked {
        Algorithm::Auto => {}
        Algorithm::Pointwise if !g.is_pointwise() => {
            let reason = "it needs a kernel of one cell, stride 1 and no padding";
            return Err(Error::Unsupported { algorithm: asked.name(), reason });
        }
        Algorithm::Fused if pass == Pass::WeightGrad && !has_fused_grad(g) => {
            let reason = "it computes weight gradients of kernels of at most 4096 cells";
            return Err(Error::Unsupported { algorithm: asked.name(), reason });
        }
        Algorithm::Fused if pass == Pass::InputGrad && !has_phases(g) => {
            let reason = "it computes input gradients with zeros for padding, of which there are no more than the kernel reaches";
            return Err(Error::Unsupported { algorithm: asked.name(), reason });
        }
        Algorithm::Depthwise if !has_depthwise(g, pass) => {
            let reason = "it computes forward passes of one input channel a group, weight gradients of at least eight such groups, and input gradients of one output channel a group (with a stride, of at least eight such groups), with zeros for padding, of which there are no more than the kernel reaches";
            return Err(Error::Unsupported { algorithm: asked.name(), reason });
        }
        Algorithm::Strassen if packed_geometry(g, pass, asked).is_none() => {
            let reason = "it computes forward passes, and input gradients of stride 1 or of which one phase alone is not zero, with even numbers of output channels a group and of rows of the patch matrix";
            return Err(Error::Unsupported { algorithm: asked.name(), reason });
        }
        Algorithm::WinogradF2 | Algorithm::WinogradF4 if !has_winograd(g, pass, asked) => {
            let reason = "it computes, with stride 1, 3×3 kernels without dilation, 4×4 kernels by F(4×4) and 5×5 kernels by F(2×2) alone, but not their weight gradients, and 1×3 kernels whose dilation is no larger than a row of outputs; 3×3 kernels of stride 2, but their input gradients only with one row and one column of padding before the input; and forward passes of stride 2 or 4 with zeros for padding whose kernels have 3, 4 or 5 such steps a side";
            return Err(Error::Unsupported { algorithm: asked.name(), reason });
        }
        _ => return Ok(Choice { algorithm: asked, reason: "asked for by name" }),
    }
    let product = g.group_out_channels().saturating_mul(g.patch_rows()).saturating_mul(g.windows());
    let kernels = if pass == Pass::InputGrad { g.group_in_channels() } else { g.group_out_channels() };
    let is_depthwise = backend == Backend::Auto && kernels <= MANY_KERNELS && has_depthwise(g, pass);
    let images = g.groups.saturating_mul(g.batch);
    let (algorithm, reason) = if is_depthwise && product.saturating_mul(images) > TINY_PRODUCT {
        (Algorithm::Depthwise, "each group has one channel to read: there is no matrix to multiply with")
    } else if product <= TINY_PRODUCT {
        (Algorithm::Direct, "so few multiplications that packing for a dense product would cost more")
    } else if let Some(packed) = packed_geometry(g, pass, Algorithm::Fused)
        && backend == Backend::Auto
    {
        cheapest(&packed, request)
    } else if pass == Pass::InputGrad
        && backend == Backend::Auto
        && has_phases(g)
        && (g.group_in_channels() > FEW_CHANNELS || products_of_phase(g) >= FEW_PRODUCTS)
    {
        cheapest_strided(g, request)
    } else if pass == Pass::WeightGrad
        && backend == Backend::Auto
        && has_fused_grad(g)
        && g.group_out_channels() >= FEW_OUT_CHANNELS
    {
        cheapest_grad(g, request)
    } else if g.is_pointwise() {
        (Algorithm::Pointwise, "the kernel has one cell and moves by one: the input is the patch matrix")
    } else {
        (Algorithm::Im2colTiled, "the patch matrix by tiles that stay in the cache, with a dense product on each")
    };
    Ok(Choice { algorithm, reason })
}

fn has_depthwise(g: &ConvGeometry, pass: Pass) -> bool {
    match pass {
        Pass::WeightGrad => has_depthwise_grad(g),
        Pass::InputGrad if has_depthwise_input_grad(g) => true,
        Pass::Forward | Pass::InputGrad => packed_geometry(g, pass, Algorithm::Depthwise).is_some(),
    }
}

/// Products of a cell of the output's gradient in each phase of the input's, about.
fn products_of_phase(g: &ConvGeometry) -> usize {
    g.group_in_channels() * g.taps() / g.phase_counts().iter().product::<usize>().max(1)
}

fn has_winograd(g: &ConvGeometry, pass: Pass, algorithm: Algorithm) -> bool {
    match pass {
        Pass::WeightGrad => algorithm.scheme().is_some_and(|scheme| Tile::of_grad(g, scheme).is_some()),
        Pass::Forward | Pass::InputGrad => {
            algorithm.scheme().is_some_and(|scheme| Tiled::of(g, pass, scheme).is_some())
        }
    }
}

/// The cheapest algorithm on the microkernel for the forward pass of `geometry`.
fn cheapest(geometry: &ConvGeometry, request: Request) -> (Algorithm, &'static str) {
    let fused = "the patch matrix is packed for the microkernel, straight from the image";
    let others = [
        (Algorithm::Strassen, "seven products of quarters instead of eight outweigh the additions"),
        (
            Algorithm::WinogradF2,
            "2.25 times fewer products, 1.5 in one dimension, 2.8 of 5×5 kernels, 1.4 of 3×3 kernels with stride 2; its weights are read in less time than those of F(4×4)",
        ),
        (
            Algorithm::WinogradF4,
            "up to 4 times fewer products, 2 in one dimension, 1.8 of 3×3 kernels with stride 2, outweigh the transforms",
        ),
    ];
    let others = others.into_iter().filter(|&(algorithm, _)| may_be_best(geometry, algorithm, request));
    fused_or(request, fused, others, |algorithm| cost(geometry, algorithm, request.widths))
}

/// The cheapest algorithm on the microkernel for the weight gradient of `geometry`.
fn cheapest_grad(geometry: &ConvGeometry, request: Request) -> (Algorithm, &'static str) {
    let fused = "the microkernel reads the patch matrix straight from the image";
    let reason = "for all tiles of all images fewer products, which outweigh the transforms";
    let others = [Algorithm::WinogradF2, Algorithm::WinogradF4].map(|algorithm| (algorithm, reason));
    fused_or(request, fused, others, |algorithm| grad_cost(geometry, algorithm, request.widths))
}

/// The cheapest algorithm on the microkernel for the input gradient of `geometry` with a stride.
fn cheapest_strided(geometry: &ConvGeometry, request: Request) -> (Algorithm, &'static str) {
    let fused = "each phase of the input's cells is a convolution of stride 1, straight from the image";
    let tiles = "1.4 (of F(2×2)) or 1.8 times fewer products for all phases of the input's cells together";
    let quarters =
        "one phase of the input's cells is not zero, and for that seven products of quarters do instead of eight";
    let is_paired = packed_geometry(geometry, Pass::InputGrad, Algorithm::Strassen)
        .is_some_and(|phase| is_paired(&phase, request.widths));
    let others = is_paired
        .then_some((Algorithm::Strassen, quarters))
        .into_iter()
        .chain([Algorithm::WinogradF2, Algorithm::WinogradF4].map(|algorithm| (algorithm, tiles)));
    fused_or(request, fused, others, |algorithm| strided_grad_cost(geometry, algorithm, request.widths))
}

/// The cheapest of these, each with its reason; the others compute other sums.
fn fused_or(
    request: Request,
    fused: &'static str,
    others: impl IntoIterator<Item = (Algorithm, &'static str)>,
    cost: impl Fn(Algorithm) -> f64,
) -> (Algorithm, &'static str) {
    let fused = (Algorithm::Fused, fused);
    let allowed = others.into_iter().filter(|_| request.numerics == Numerics::Fast);
    let costs = std::iter::once(fused).chain(allowed).map(|choice| (cost(choice.0), choice));
    costs.min_by(|a, b| a.0.total_cmp(&b.0)).map_or(fused, |(_, choice)| choice)
}

fn may_be_best(geometry: &ConvGeometry, algorithm: Algorithm, request: Request) -> bool {
    let is_known = algorithm != Algorithm::Strassen || is_paired(geometry, request.widths);
    is_known && packed_geometry(geometry, Pass::Forward, algorithm).is_some()
}

/// Whether `Strassen` has most windows in pairs, reads them where they lie, if packing all quarters costs more than it saves, and
/// keeps its weights near.
fn is_paired(geometry: &ConvGeometry, widths: Widths) -> bool {
    let Widths { element, register, .. } = widths;
    let (windows, lanes) = (geometry.windows(), register / element);
    let are_neighbours = geometry.taps() == 1 && geometry.axes.iter().all(|axis| axis.pad_before + axis.pad_after == 0);
    let [depth, ..] = geometry.axes;
    let are_read = are_neighbours || register <= PACKING_REGISTER || widths.are_halved() && depth.kernel > 1;
    let are_paired = match windows < SMALL_MAP {
        true => windows >= FEW_WINDOWS && widths.are_halved() && lanes >= FEW_WINDOWS_REGISTER,
        false => (windows % (4 * lanes)) as f64 <= MOST_UNPAIRED * windows as f64,
    };
    let weights = geometry.group_out_channels().saturating_mul(geometry.patch_rows());
    let most_bytes = match widths.are_halved() {
        true if windows < SMALL_MAP => SMALL_MAP_WEIGHT_BYTES,
        true => HALF_RATE_WEIGHT_BYTES,
        false => PAIRED_WEIGHT_BYTES,
    };
    let are_near = weights.saturating_mul(element) <= most_bytes;
    are_read && are_near && are_paired && geometry.axes[2].output <= PAIRED_ROW
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ConvOptions;

    const NARROW: Widths = Widths { element: 4, register: 32, unit: 32 };
    const WIDE: Widths = Widths { element: 4, register: 64, unit: 64 };
    const HALF_RATE: Widths = Widths { unit: 32, ..WIDE };

    fn chosen(input: [usize; 4], weight: [usize; 4], options: ConvOptions<2>) -> Algorithm {
        let geometry = options.geometry(&input, &weight).unwrap();
        let ConvOptions { algorithm, backend, numerics, .. } = options;
        let request = Request { pass: Pass::Forward, algorithm, backend, numerics, widths: NARROW };
        choose(&geometry, request).unwrap().algorithm
    }

    #[test]
    fn each_kind_of_layer_gets_its_algorithm() {
        let plain = ConvOptions::new();
        assert_eq!(chosen([1, 64, 56, 56], [256, 64, 1, 1], plain), Algorithm::Fused);
        assert_eq!(chosen([1, 64, 56, 56], [64, 64, 7, 7], plain), Algorithm::Fused);
        assert_eq!(chosen([1, 32, 56, 56], [32, 1, 3, 3], plain.groups(32)), Algorithm::Depthwise);
        assert_eq!(chosen([1, 1024, 7, 7], [1024, 1, 3, 3], plain.groups(1024)), Algorithm::Depthwise);
        assert_eq!(chosen([1, 2, 3, 3], [1, 2, 2, 2], plain), Algorithm::Direct);
    }

    #[test]
    fn winograd_is_chosen_where_it_pays_and_only_if_other_sums_are_allowed() {
        let same = ConvOptions::new().padding(crate::Padding::Same);
        let layer = |channels: usize, side: usize, options| {
            chosen([1, channels, side, side], [channels, channels, 3, 3], options)
        };
        assert_eq!(layer(64, 56, same), Algorithm::WinogradF4);
        assert_eq!(layer(512, 28, same), Algorithm::WinogradF4);
        assert_eq!(layer(512, 7, same), Algorithm::WinogradF2);
        assert_eq!(chosen([1, 3, 224, 224], [64, 3, 3, 3], same), Algorithm::Fused);
        assert_eq!(layer(64, 56, same.stride([3, 3])), Algorithm::Fused);
        assert_eq!(layer(128, 56, same.stride([2, 2])), Algorithm::WinogradF4);
        assert_eq!(layer(256, 28, same.stride([2, 2])), Algorithm::WinogradF2);
        assert_eq!(layer(512, 14, same.stride([2, 2])), Algorithm::Fused);
        // Eight images share what is read of the weights.
        assert_eq!(chosen([8, 512, 14, 14], [512, 512, 3, 3], same.stride([2, 2])), Algorithm::WinogradF4);
        let first = |side: usize, options: ConvOptions<2>| chosen([1, 3, 224, 224], [64, 3, side, side], options);
        assert_eq!(first(7, same.stride([2, 2])), Algorithm::WinogradF4);
        assert_eq!(first(11, same.stride([4, 4])), Algorithm::WinogradF4);
        assert_eq!(first(16, same.stride([16, 16])), Algorithm::Fused);
        assert_eq!(chosen([1, 64, 27, 27], [192, 64, 5, 5], same), Algorithm::WinogradF2);
        assert_eq!(chosen([1, 64, 27, 27], [192, 64, 5, 5], same.numerics(Numerics::Strict)), Algorithm::Fused);
        assert_eq!(layer(64, 56, same.numerics(Numerics::Strict)), Algorithm::Fused);
        let row = |channels: [usize; 2], dilation| {
            chosen([1, channels[0], 1, 16000], [channels[1], channels[0], 1, 3], same.dilation([1, dilation]))
        };
        assert_eq!([1, 2, 3, 8, 512].map(|dilation| row([64, 64], dilation)), [Algorithm::WinogradF4; 5]);
        assert_eq!([row([3, 64], 1), row([8, 64], 1)], [Algorithm::Fused; 2]);
    }

    #[test]
    fn weight_gradients_are_taken_tile_by_tile_where_sums_outweigh_the_transforms_of_kernels() {
        let grad = |batch: usize, [ins, outs]: [usize; 2], side: usize, options: ConvOptions<2>| {
            let geometry = options.geometry(&[batch, ins, side, side], &[outs, ins, 3, 3]).unwrap();
            let ConvOptions { algorithm, backend, numerics, .. } = options;
            let request = Request { pass: Pass::WeightGrad, algorithm, backend, numerics, widths: WIDE };
            choose(&geometry, request).unwrap().algorithm
        };
        let same = ConvOptions::new().padding(crate::Padding::Same);
        assert_eq!([64, 28, 14].map(|side| grad(1, [64, 64], side, same)), [Algorithm::WinogradF4; 3]);
        assert_eq!(grad(8, [512, 512], 7, same), Algorithm::WinogradF4);
        assert_eq!(grad(8, [3, 64], 224, same), Algorithm::Fused);
        assert_eq!(grad(8, [128, 128], 56, same.stride([2, 2])), Algorithm::Fused);
        assert_eq!(grad(8, [64, 64], 56, same.numerics(Numerics::Strict)), Algorithm::Fused);
    }

    #[test]
    fn input_gradients_by_two_are_taken_by_all_phases_together_where_it_pays() {
        let chosen = |[outs, ins, side]: [usize; 3], options: ConvOptions<2>| {
            let geometry = options.stride([2, 2]).geometry(&[8, ins, side, side], &[outs, ins, 3, 3]).unwrap();
            let ConvOptions { algorithm, backend, numerics, .. } = options;
            let request = Request { pass: Pass::InputGrad, algorithm, backend, numerics, widths: WIDE };
            choose(&geometry, request).unwrap().algorithm
        };
        let border = |pad: usize| ConvOptions::new().padding(crate::Padding::symmetric([pad, pad]));
        assert_eq!(chosen([128, 128, 56], border(1)), Algorithm::WinogradF4);
        assert_eq!(chosen([256, 256, 28], border(1)), Algorithm::WinogradF2);
        assert_eq!(chosen([128, 128, 56], border(1).numerics(Numerics::Strict)), Algorithm::Fused);
        assert_eq!(chosen([128, 128, 56], border(0)), Algorithm::Fused);
        assert_eq!(chosen([32, 3, 224], border(1)), Algorithm::Im2colTiled);
    }

    #[test]
    fn strassen_is_chosen_for_long_sums_of_many_windows_that_lie_side_by_side() {
        let plain = ConvOptions::new();
        let layer =
            |ins: usize, outs: usize, side: usize, options| chosen([1, ins, side, side], [outs, ins, 1, 1], options);
        assert_eq!(layer(512, 128, 28, plain), Algorithm::Strassen);
        assert_eq!(layer(1024, 256, 14, plain), Algorithm::Strassen);
        assert_eq!(layer(512, 1024, 28, plain.stride([2, 2])), Algorithm::Strassen);
        assert_eq!(layer(256, 1024, 14, plain), Algorithm::Strassen);
        assert_eq!(layer(64, 64, 56, plain), Algorithm::Fused);
        assert_eq!(layer(2048, 512, 7, plain), Algorithm::Fused);
        assert_eq!(layer(1024, 256, 11, plain), Algorithm::Fused);
        assert_eq!(chosen([1, 128, 56, 56], [128, 128, 3, 3], plain.stride([3, 2])), Algorithm::Strassen);
        assert_eq!(layer(1024, 1024, 14, plain), Algorithm::Fused);
        assert_eq!(layer(1024, 255, 14, plain), Algorithm::Fused);
        assert_eq!(layer(1024, 256, 14, plain.numerics(Numerics::Strict)), Algorithm::Fused);
        // The rows of many images come from memory, and a block of many of them and few channels gains less than that costs.
        assert_eq!(chosen([8, 512, 28, 28], [128, 512, 1, 1], plain), Algorithm::Fused);
        assert_eq!(chosen([8, 512, 28, 28], [256, 512, 1, 1], plain), Algorithm::Strassen);
    }

    #[test]
    fn strassen_is_chosen_for_input_gradients_of_one_phase() {
        let chosen = |[ins, outs, side]: [usize; 3], kernel: usize| {
            let options = ConvOptions::<2>::new().stride([2, 2]).padding(crate::Padding::symmetric([kernel / 2; 2]));
            let geometry = options.geometry(&[8, ins, side, side], &[outs, ins, kernel, kernel]).unwrap();
            let ConvOptions { algorithm, backend, numerics, .. } = options;
            let request = Request { pass: Pass::InputGrad, algorithm, backend, numerics, widths: HALF_RATE };
            choose(&geometry, request).unwrap().algorithm
        };
        assert_eq!(chosen([512, 1024, 28], 1), Algorithm::Strassen);
        assert_eq!(chosen([1024, 2048, 14], 1), Algorithm::Strassen);
        assert_eq!(chosen([2048, 2048, 14], 1), Algorithm::Fused);
        assert_ne!(chosen([512, 1024, 28], 3), Algorithm::Strassen);
    }

    #[test]
    fn strassen_packs_quarters_where_multiply_adds_cost_more_than_that() {
        let chosen = |widths, [ins, outs, side]: [usize; 3], kernel: [usize; 3], stride: [usize; 3]| {
            let options = ConvOptions::<3>::new().stride(stride);
            let shape = |channels, [d, h, w]: [usize; 3]| [channels, ins, d, h, w];
            let depth = if kernel[0] > 1 { side } else { 1 };
            let geometry = options.geometry(&shape(1, [depth, side, side]), &shape(outs, kernel)).unwrap();
            let ConvOptions { algorithm, backend, numerics, .. } = options;
            let request = Request { pass: Pass::Forward, algorithm, backend, numerics, widths };
            choose(&geometry, request).unwrap().algorithm
        };
        let [one, few, cube] = [[1; 3], [1, 3, 3], [3; 3]];
        for widths in [NARROW, HALF_RATE, WIDE] {
            assert_eq!(chosen(widths, [1024, 256, 14], one, one), Algorithm::Strassen, "{widths:?}");
        }
        let strided = |widths| chosen(widths, [128, 128, 56], few, [1, 3, 2]);
        assert_eq!([NARROW, HALF_RATE, WIDE].map(strided), [Algorithm::Strassen, Algorithm::Fused, Algorithm::Fused]);
        let volume = |widths| chosen(widths, [128, 256, 16], cube, one);
        assert_eq!([HALF_RATE, WIDE].map(volume), [Algorithm::Strassen, Algorithm::Fused]);
        let many_weights = |widths| chosen(widths, [1024, 1024, 14], one, one);
        assert_eq!([HALF_RATE, WIDE].map(many_weights), [Algorithm::Strassen, Algorithm::Fused]);
        let few_windows = |widths| [[2048, 512, 7], [1024, 2048, 7]].map(|layer| chosen(widths, layer, one, one));
        assert_eq!([HALF_RATE, WIDE].map(few_windows), [[Algorithm::Strassen; 2], [Algorithm::Fused; 2]]);
        assert_eq!(chosen(HALF_RATE, [64, 512, 7], one, one), Algorithm::Fused);
        assert_eq!(chosen(HALF_RATE, [3072, 1024, 7], one, one), Algorithm::Fused);
        let few_rows = |widths| chosen(widths, [64, 256, 56], one, one);
        assert_eq!([HALF_RATE, WIDE].map(few_rows), [Algorithm::Strassen, Algorithm::Fused]);
    }

    #[test]
    fn a_named_backend_is_used() {
        let options = ConvOptions::new().backend(Backend::Gemm);
        assert_eq!(chosen([1, 64, 56, 56], [64, 64, 3, 3], options), Algorithm::Im2colTiled);
        assert_eq!(chosen([1, 64, 56, 56], [64, 64, 1, 1], options), Algorithm::Pointwise);
    }

    #[test]
    fn fused_weight_gradients_are_refused_beyond_the_cells_that_the_refusal_tells() {
        for (side, is_possible) in [(64, true), (65, false)] {
            let geometry = ConvOptions::<2>::new().geometry(&[1, 1, 70, 70], &[1, 1, side, 64]).unwrap();
            let (algorithm, backend, numerics) = (Algorithm::Fused, Backend::Auto, Numerics::Fast);
            let request = Request { pass: Pass::WeightGrad, algorithm, backend, numerics, widths: NARROW };
            let choice = choose(&geometry, request);
            assert_eq!(choice.is_ok(), is_possible, "{side} × 64 cells");
            assert!(choice.err().is_none_or(|error| error.to_string().contains("4096 cells")));
        }
    }

    #[test]
    fn strided_input_gradients_of_many_channels_apart_are_depthwise() {
        for (groups, is_possible) in [(8, true), (7, false)] {
            let options = ConvOptions::<2>::new().groups(groups).stride([2, 2]).padding(crate::Padding::Same);
            let geometry = options.geometry(&[1, groups, 28, 28], &[groups, 1, 3, 3]).unwrap();
            let (backend, numerics) = (Backend::Auto, Numerics::Fast);
            let choose = |algorithm| {
                choose(&geometry, Request { pass: Pass::InputGrad, algorithm, backend, numerics, widths: NARROW })
            };
            let auto = choose(Algorithm::Auto).unwrap().algorithm;
            assert_eq!(auto == Algorithm::Depthwise, is_possible, "{groups} groups: {auto}");
            let named = choose(Algorithm::Depthwise);
            assert_eq!(named.is_ok(), is_possible, "{groups} groups");
            assert!(named.err().is_none_or(|error| error.to_string().contains("eight such groups")));
        }
    }

    #[test]
    fn pointwise_is_refused_where_it_would_be_wrong() {
        let geometry = ConvOptions::<2>::new().geometry(&[1, 1, 3, 3], &[1, 1, 2, 2]).unwrap();
        let (algorithm, backend, numerics) = (Algorithm::Pointwise, Backend::Auto, Numerics::Fast);
        assert!(
            choose(&geometry, Request { pass: Pass::Forward, algorithm, backend, numerics, widths: NARROW }).is_err()
        );
    }
}
