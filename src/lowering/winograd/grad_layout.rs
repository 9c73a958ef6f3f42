//! The sizes of Winograd's weight gradient: which tiles and channels are taken together, and what lies where.

use super::DEPTH;
use super::cells::places;
use super::part::{Grid, Part, block};
use super::scheme::{Scheme, Tile};
use crate::geometry::{Axis, ConvGeometry, PadMode};
use crate::lowering::lanes::Vector;
use crate::lowering::pieces::{block_length, share_channels};
use crate::lowering::scratch::ALIGNMENT_BYTES;
use crate::parallel;
use crate::simd::SIDE;

/// Output and input channels of one task: each task transforms its images and gradients for itself, and keeps its sums.
const CHANNELS: usize = 64;

/// The fewest tiles that are added up one to the next, however small the workspace: with fewer, sums would be added to what is
/// there so often that they lose digits.
const MIN_TILES: usize = 16;

/// Kernels whose gradients are transformed back at a time, of as many output channels as lie on the lanes.
pub(super) const KERNELS: usize = 16;

/// Everything that is known before the arrays come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GradLayout {
    pub tile: Tile,
    /// The output as an image, as which its gradient is read.
    pub output: ConvGeometry,
    pub(super) grid: Grid,
    /// Lines, and rows and columns of tiles of each, of the largest part of an output plane that is taken together.
    pub block: [usize; 3],
    /// Output planes of which such a part is taken together, and the tiles of all of them.
    pub planes: usize,
    pub tiles: usize,
    /// Output and input channels of one task.
    pub outs: usize,
    pub ins: usize,
    /// Where cells of a part go that are the image's, and the gradient's.
    pub input_places: Vec<usize>,
    pub output_places: Vec<usize>,
    /// Where the transformed inputs of each tile lie, and elements from those of one tile to the next.
    pub offsets: Vec<usize>,
    pub held: usize,
    /// Elements from one value to the next of the transformed inputs, the transformed gradients, and the sums.
    pub value_steps: [usize; 3],
    /// Elements of the parts of the scratch memory: rows with their border, turned cells, transformed inputs and
    /// gradients, sums, and kernels.
    pub parts: [usize; 6],
    slack: usize,
}

impl GradLayout {
    /// As many tiles together as are added up one to the next, if their scratch memory is within `workspace_bytes`, else
    /// fewer channels and then fewer tiles. `None` if the scheme does not compute the geometry.
    pub fn new(geometry: &ConvGeometry, scheme: Scheme, vector: Vector, workspace_bytes: usize) -> Option<Self> {
        let tile = Tile::of_grad(geometry, scheme)?;
        let even = |all: usize, unit: usize| block_length(all.max(1), all.div_ceil(CHANNELS), unit);
        let [unit, _] = vector.channels;
        let mut outs = even(geometry.group_out_channels(), unit);
        let mut ins = even(geometry.group_in_channels(), 1);
        let mut most = DEPTH;
        let layout = |most, outs, ins| Self::within(geometry, tile, vector, (most, [outs, ins]));
        while layout(most, outs, ins).slot_len().saturating_mul(vector.size) > workspace_bytes {
            if ins > SIDE {
                ins = ins.div_ceil(2);
            } else if outs > unit {
                outs = outs.div_ceil(2).next_multiple_of(unit);
            } else if most > MIN_TILES {
                most = (most / 2).max(MIN_TILES);
            } else {
                break;
            }
        }
        // Tiles are added up in order: from here on only what does not change their sums is cut.
        let channels = share_channels(geometry, [outs, ins], [unit, 1], parallel::threads());
        Some(Self::within(geometry, tile, vector, (most, channels)))
    }

    fn within(g: &ConvGeometry, tile: Tile, vector: Vector, (most, [outs, ins]): (usize, [usize; 2])) -> Self {
        let grid = Grid::even(g, tile);
        let counts = grid.counts;
        let block = block(counts, most);
        let [lines, rows, columns] = block;
        let largest = Part { lines: 0..lines, rows: 0..rows, columns: 0..columns };
        let all_planes = (g.batch * g.axes[0].output).max(1);
        let planes = if block == counts { (most / largest.tiles()).clamp(1, all_planes) } else { 1 };
        let planes = all_planes.div_ceil(all_planes.div_ceil(planes));
        let tiles = planes * largest.tiles();
        let held = ins.next_multiple_of(SIDE);
        let padded = outs.next_multiple_of(vector.channels[0]);
        // An odd number of cache lines, so that values do not push each other out of the L1.
        let odd = |len: usize| (len.div_ceil(SIDE) | 1) * SIDE;
        let value_steps = [odd(tiles * held), odd(tiles * padded), odd(ins * padded)];
        let [inputs, grads, sums] = value_steps.map(|step| tile.products() * step);
        let (reads, outputs) = (largest.reads(&grid), largest.outputs(&grid));
        let cells = lines * (reads[0] * reads[1]).max(outputs[0] * outputs[1]) * SIDE;
        let kernels = KERNELS.min(ins) * tile.taps() * vector.channels[1].min(padded);
        let parts = [reads[1].max(outputs[1]) * SIDE, cells, inputs, grads, sums, kernels];
        let output = output_geometry(g);
        let is_whole = columns == counts[2];
        Self {
            tile,
            input_places: if is_whole { places(g, tile, reads) } else { vec![] },
            output_places: if is_whole { places(&output, tile, outputs) } else { vec![] },
            output,
            grid,
            block,
            planes,
            tiles,
            outs,
            ins,
            offsets: (0..tiles).map(|number| number * held).collect(),
            held,
            value_steps,
            parts,
            slack: parts.len() * ALIGNMENT_BYTES / vector.size,
        }
    }

    /// Elements of the scratch memory of one lane, with room to align its parts.
    pub fn slot_len(&self) -> usize {
        self.parts.iter().sum::<usize>() + self.slack
    }
}

/// A geometry whose input is the output of `g`.
fn output_geometry(g: &ConvGeometry) -> ConvGeometry {
    let axes =
        g.axes.map(|axis| Axis { input: axis.output, kernel: 1, stride: 1, pad_before: 0, pad_after: 0, ..axis });
    ConvGeometry { in_channels: g.out_channels, axes, pad_mode: PadMode::Zeros, ..g.clone() }
}
