//! From convolution to dense products: one file an algorithm, and here the only choice between them.
//!
//! Three passes serve all operations: forward, input gradient (which a transposed convolution is, too)
//! and weight gradient. Arrays come as `[N, C, D, H, W]` views of any strides; outputs with their
//! windows merged into one axis.

mod algorithm;
mod cells;
mod depthwise;
mod direct;
mod epilogue;
mod fold;
mod fused;
mod fused_grad;
mod im2col;
mod image;
mod job;
mod lanes;
mod merged;
mod packed;
mod panel;
mod patches;
mod pieces;
mod place;
mod pointwise;
mod runs;
mod scratch;
mod shares;
mod slab;
mod spread;
mod strassen;
mod tile;
mod tiled;
mod turned;
mod weights;
mod winograd;

pub use algorithm::Algorithm;
pub(crate) use depthwise::{
    has_grad as has_depthwise_grad, has_input_grad as has_depthwise_input_grad, has_lanes as has_depthwise_lanes,
    is_square,
};
pub use epilogue::Activation;
pub(crate) use epilogue::Epilogue;
pub(crate) use fused::has_phases;
pub(crate) use fused_grad::applies as has_fused_grad;
use job::Grad;
pub(crate) use job::{Job, Pass, Workspace};
pub(crate) use merged::{with_merged, with_merged_mut};
pub(crate) use packed::{Tiled, packed_geometry};
pub(crate) use patches::{PatchSink, PatchSource};
pub(crate) use pieces::{blocks, entries};
pub(crate) use strassen::BLOCK_BYTES as STRASSEN_BLOCK_BYTES;
pub(crate) use weights::Weights;
pub(crate) use winograd::{Tile, VALUE, WEIGHT_BYTE, is_folded as is_winograd_folded};

use ndarray::{ArrayView2, ArrayView4, ArrayView5, ArrayViewMut2, ArrayViewMut3, ArrayViewMut5, s};

use crate::element::Element;
use crate::geometry::ConvGeometry;

/// `output [N, OC, windows] = W · Cols(input)`, finished by the epilogue.
pub(crate) fn forward<T: Element>(
    job: &Job,
    weights: &Weights<'_, T>,
    input: ArrayView5<'_, T>,
    epilogue: Epilogue<'_, T>,
    (output, workspace): (ArrayViewMut3<'_, T>, &mut [T]),
) {
    let rows = match (weights, &job.packed) {
        (Weights::Packed(weights), Some(packed)) => return packed.run(weights, input, epilogue, (output, workspace)),
        (Weights::Rows(rows), _) => rows.view(),
        (Weights::Packed(_), None) => unreachable!("weights are packed by the job that reads them"),
    };
    match job.algorithm {
        Algorithm::Direct => direct::forward(job, rows, input, epilogue, (output, workspace)),
        Algorithm::Im2col => im2col::forward(job, rows, input, epilogue, (output, workspace)),
        Algorithm::Pointwise => with_merged(input, |input| pointwise::forward(job, rows, input, epilogue, output)),
        _ => {
            tiled::forward(job, job.tile(size_of::<T>()), rows, input, epilogue, (output, workspace));
        }
    }
}

/// `input_grad [N, C, D, H, W] = Colsᵀ(Wᵀ · grad_output)`, finished by the epilogue, whose bias is the
/// input's channels'.
pub(crate) fn input_grad<T: Element>(
    job: &Job,
    weights: &Weights<'_, T>,
    grad_output: ArrayView5<'_, T>,
    epilogue: Epilogue<'_, T>,
    (input_grad, workspace): (ArrayViewMut5<'_, T>, &mut [T]),
) {
    let rows = match (weights, &job.packed) {
        (Weights::Packed(weights), Some(packed)) => {
            return with_merged_mut(input_grad, |input_grad| {
                packed.run(weights, grad_output, epilogue, (input_grad, workspace));
            });
        }
        (Weights::Rows(rows), _) => rows.view(),
        (Weights::Packed(_), None) => unreachable!("weights are packed by the job that reads them"),
    };
    with_merged(grad_output, |grad| match job.algorithm {
        Algorithm::Direct => direct::input_grad(job, rows, grad, epilogue, (input_grad, workspace)),
        Algorithm::Pointwise => with_merged_mut(input_grad, |input_grad| {
            pointwise::input_grad(job, rows, grad, epilogue, input_grad);
        }),
        Algorithm::Im2col | _ => {
            let tile = job.tile(size_of::<T>());
            tiled::input_grad(job, tile, rows, grad, epilogue, (input_grad, workspace));
        }
    });
}

/// `weight_grad [OC, C/g · taps] = grad_output · Cols(input)ᵀ`, summed over the batch.
pub(crate) fn weight_grad<T: Element>(
    job: &Job,
    input: ArrayView5<'_, T>,
    grad_output: ArrayView5<'_, T>,
    target: (ArrayViewMut2<'_, T>, &mut [T]),
) {
    let g = &job.geometry;
    if let Some(Grad::Winograd(layout)) = &job.grad {
        return winograd::weight_grad((g, layout), input, grad_output, target);
    }
    with_merged(grad_output, |grad| match &job.grad {
        Some(Grad::Fused(layout)) => fused_grad::weight_grad((g, layout), input, grad, target),
        Some(Grad::Depthwise(layout)) => depthwise::weight_grad((g, layout), input, grad, target),
        _ => match job.algorithm {
            Algorithm::Direct => direct::weight_grad(job, input, grad, target),
            Algorithm::Pointwise => with_merged(input, |input| pointwise::weight_grad(job, input, grad, target.0)),
            Algorithm::Im2col | _ => tiled::weight_grad(job, job.tile(size_of::<T>()), input, grad, target),
        },
    });
}

/// The channels of one group of one image.
pub(crate) fn group_image<'a, T>(
    geometry: &ConvGeometry,
    input: ArrayView5<'a, T>,
    image: usize,
    group: usize,
) -> ArrayView4<'a, T> {
    let channels = geometry.group_in_channels();
    input.slice_move(s![image, group * channels..(group + 1) * channels, .., .., ..])
}

/// `count` kernels as row vectors, from `first` on.
fn group_rows<'a, T>(weight: ArrayView2<'a, T>, first: usize, count: usize) -> ArrayView2<'a, T> {
    weight.slice_move(s![first..first + count, ..])
}
