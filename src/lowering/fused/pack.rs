//! Packing for the fused algorithm: the padded slab, panels of windows, and the weights.

#![allow(unsafe_code)]

use std::ops::Range;

use ndarray::{Array2, ArrayView2, ArrayView4};

use super::layout::{Lanes, Layout, Slab};
use crate::element::Element;
use crate::gemm::Kernel;
use crate::geometry::{Axis, ConvGeometry};
use crate::lowering::patches::{PatchSource, Segment};
use crate::lowering::runs::TapRow;

/// Output planes and rows of a task: `[first plane, first row]` and how many of each.
#[derive(Clone, Copy)]
pub(super) struct Region {
    pub first: [usize; 2],
    pub count: [usize; 2],
}

/// Copies `channels` of `image`, padded, into a slab: all that the windows of `region` read.
pub(super) fn fill_slab<T: Element>(
    geometry: &ConvGeometry,
    slab: &Slab,
    image: ArrayView4<'_, T>,
    (channels, region): (Range<usize>, Region),
    out: &mut [T],
) {
    let ([d, h, w], mode) = (geometry.axes, geometry.pad_mode);
    let source = PatchSource::new(geometry, image);
    // Phase `p` of a padded row is what the windows of an axis with `stride` taps read at tap `p`.
    let columns = Axis { kernel: slab.phases, output: slab.columns, dilation: 1, ..w };
    let phases = |phase| TapRow::new(columns, phase, mode);
    let row_len = slab.phases * slab.columns;
    let mut rows = out.chunks_exact_mut(row_len);
    for channel in channels {
        for depth in 0..slab.depth {
            for (height, row) in (0..slab.height).zip(&mut rows) {
                if !is_read(d, depth, region.count[0]) || !is_read(h, height, region.count[1]) {
                    continue;
                }
                let at = |axis: Axis, first: usize, offset: usize| {
                    let position = (first * axis.stride + offset) as isize - axis.pad_before as isize;
                    mode.source(position, axis.input)
                };
                match (at(d, region.first[0], depth), at(h, region.first[1], height)) {
                    (Some(depth), Some(height)) => {
                        for (phase, line) in row.chunks_exact_mut(slab.columns).enumerate() {
                            let cells = source.row(channel, depth, height);
                            phases(phase).gather(cells, 0..slab.columns, line);
                        }
                    }
                    _ => row.fill(T::zero()),
                }
            }
        }
    }
}

/// Whether any of the first `windows` windows reads `offset` cells after the first one's start.
fn is_read(axis: Axis, offset: usize, windows: usize) -> bool {
    (0..axis.kernel).any(|tap| {
        let tap = tap * axis.dilation;
        offset >= tap && (offset - tap).is_multiple_of(axis.stride) && (offset - tap) / axis.stride < windows
    })
}

/// A run of windows of one output row: where it starts in the source and in the panel.
#[derive(Clone, Copy, Default)]
pub(super) struct Run {
    pub source: usize,
    pub place: usize,
    pub len: usize,
}

/// The runs of a panel of windows, at most one a lane.
pub(super) struct Runs {
    runs: [Run; MAX_LANES],
    len: usize,
}

/// Lanes of the widest tile of any microkernel.
const MAX_LANES: usize = 64;

impl Runs {
    pub fn new(segments: impl Iterator<Item = Segment>, start: impl Fn(&Segment) -> usize) -> Self {
        let mut all = Self { runs: [Run::default(); MAX_LANES], len: 0 };
        for segment in segments {
            let (source, place) = (start(&segment), segment.place.clone());
            let run = Run { source, place: place.start, len: place.len() };
            match all.runs[..all.len].last_mut() {
                // Rows that follow each other without a gap are one run.
                Some(last) if last.source + last.len == run.source => last.len += run.len,
                _ => {
                    all.runs[all.len] = run;
                    all.len += 1;
                }
            }
        }
        all
    }

    fn as_slice(&self) -> &[Run] {
        &self.runs[..self.len]
    }
}

/// Writes the panel `[offsets.len(), lanes]`: row `k` holds `source[offsets[k] − base + …]` for each run.
///
/// Copies go by whole 64-byte chunks; what a chunk writes beyond its run is overwritten by the next run
/// or row, or lies in the slack after the panel.
pub(super) fn pack_panel<T: Element>(
    panel: &mut [T],
    lanes: usize,
    source: &[T],
    (offsets, base): (&[usize], usize),
    runs: &Runs,
) {
    let runs = runs.as_slice();
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    {
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the processor has been found to have the feature.
            return unsafe { pack_avx512(panel, lanes, source, (offsets, base), runs) };
        }
        if is_x86_feature_detected!("avx") {
            // SAFETY: the processor has been found to have the feature.
            return unsafe { pack_avx(panel, lanes, source, (offsets, base), runs) };
        }
    }
    pack(panel, lanes, source, (offsets, base), runs);
}

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
#[target_feature(enable = "avx512f")]
fn pack_avx512<T: Element>(panel: &mut [T], lanes: usize, source: &[T], rows: (&[usize], usize), runs: &[Run]) {
    pack(panel, lanes, source, rows, runs);
}

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
#[target_feature(enable = "avx")]
fn pack_avx<T: Element>(panel: &mut [T], lanes: usize, source: &[T], rows: (&[usize], usize), runs: &[Run]) {
    pack(panel, lanes, source, rows, runs);
}

/// Inlined into a function of each instruction set, where the chunks become its widest moves.
#[inline(always)]
fn pack<T: Element>(panel: &mut [T], lanes: usize, source: &[T], (offsets, base): (&[usize], usize), runs: &[Run]) {
    let chunk = 64 / size_of::<T>();
    for (row, &offset) in offsets.iter().enumerate() {
        for run in runs {
            let (from, to) = (offset - base + run.source, row * lanes + run.place);
            for done in (0..run.len).step_by(chunk) {
                let (from, to) = (from + done, to + done);
                match source.get(from..from + chunk) {
                    Some(cells) => panel[to..to + chunk].copy_from_slice(cells),
                    None => {
                        let len = run.len - done;
                        panel[to..to + len].copy_from_slice(&source[from..from + len]);
                    }
                }
            }
        }
    }
}

/// Packs the kernels `[OC, C/g · taps]` in the order in which the microkernel reads them: by group, block
/// of rows and tile of channels, and in a tile by row.
pub(crate) fn pack_weights<T: Element>(kernels: ArrayView2<'_, T>, groups: usize, layout: &Layout) -> Vec<T> {
    let (channels, depth) = (kernels.nrows() / groups, kernels.ncols());
    let Tiles { unit, most } = Tiles::of::<T>(layout.lanes);
    let padded = channels.next_multiple_of(unit);
    let mut packed = Vec::with_capacity(groups * padded * depth);
    for group in 0..groups {
        for row in (0..depth).step_by(layout.block_rows) {
            let rows = row..(row + layout.block_rows).min(depth);
            for first in (0..padded).step_by(most) {
                let tile = first..(first + most).min(padded);
                for k in rows.clone() {
                    packed.extend(tile.clone().map(|channel| match channel < channels {
                        true => kernels[[group * channels + channel, k]],
                        false => T::zero(),
                    }));
                }
            }
        }
    }
    packed
}

/// How the output channels of a group are cut for the microkernel.
#[derive(Clone, Copy)]
pub(super) struct Tiles {
    /// Channels are filled up to a multiple of this.
    pub unit: usize,
    /// Channels of one tile; the last may have fewer.
    pub most: usize,
}

impl Tiles {
    pub fn of<T: Element>(lanes: Lanes) -> Self {
        let kernel = Kernel::<T>::best();
        match lanes {
            Lanes::Windows => Self { unit: 1, most: kernel.columns() },
            Lanes::Channels => Self { unit: kernel.vector, most: kernel.lanes() },
        }
    }
}

/// The weights of the convolution that computes an input gradient at stride 1: channels swapped within
/// each group, taps reversed.
pub(crate) fn adjoint_kernels<T: Element>(kernels: ArrayView2<'_, T>, geometry: &ConvGeometry) -> Array2<T> {
    let (ins, outs, taps) = (geometry.group_in_channels(), geometry.group_out_channels(), geometry.taps());
    Array2::from_shape_fn((geometry.in_channels, outs * taps), |(channel, row)| {
        let (group, out, tap) = (channel / ins, row / taps, row % taps);
        kernels[[group * outs + out, channel % ins * taps + taps - 1 - tap]]
    })
}
