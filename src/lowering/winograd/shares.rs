//! Which tiles and channels the tasks of several threads have.

use super::part::{Grid, KINDS, Part};
use crate::geometry::ConvGeometry;
use crate::lowering::pieces::full_blocks;
use crate::lowering::shares::{ChannelShares, MANY_TASKS, PARTS_A_THREAD, block_lengths, soonest};
use crate::simd::SIDE;

/// What it costs to transform one value of one channel of a tile, there or back, in multiply-adds: channels are in whole
/// vectors of sixteen. (Set on 3×3, 5×5 and strided layers of the suites on one core with AVX-512.)
pub(crate) const VALUE: f64 = 22.0;

/// What a byte of weights costs that comes from the L3, once for each block of tiles.
pub(crate) const WEIGHT_BYTE: f64 = 1.0;

/// A convolution whose tasks are cut for several threads.
pub(super) struct Shares<'g> {
    pub geometry: &'g ConvGeometry,
    pub grid: &'g Grid,
    /// Planes, of all groups, that are cut alike.
    pub planes: usize,
    /// Tiles that are taken together.
    pub tiles: usize,
    /// Bytes of an element.
    pub size: usize,
    pub threads: usize,
}

impl Shares<'_> {
    /// Lines and rows of tiles, and channels in whole units, of tasks with which the last thread is done first.
    pub fn best(&self, unit: usize) -> ([usize; 2], ChannelShares) {
        let [lines, rows, _] = self.grid.counts;
        let outs = self.geometry.group_out_channels().max(1);
        if self.threads == 1 || self.planes > MANY_TASKS.saturating_mul(self.threads) {
            return ([lines, rows], ChannelShares::none(outs));
        }
        let most = PARTS_A_THREAD * self.threads;
        // Lines, where there are several, are cut rather than their rows.
        let tiles = block_lengths(lines.max(1), most).flat_map(|count| {
            let parts = if lines > 1 { 1 } else { most };
            block_lengths(rows, parts).map(move |rows| [count, rows])
        });
        let cuts = tiles.map(|tiles| {
            let parts = self.parts(tiles);
            let cost = |region: usize, channels| self.task(&parts[region % parts.len()], channels);
            let (shares, time) = ChannelShares::best(self.planes * parts.len(), [outs, unit], self.threads, cost);
            (time, tiles, shares)
        });
        soonest(cuts, |&(time, ..)| time)
            .map_or(([lines, rows], ChannelShares::none(outs)), |(_, tiles, shares)| (tiles, shares))
    }

    /// The regions of a plane, of so many lines and rows.
    fn parts(&self, [lines, rows]: [usize; 2]) -> Vec<Part> {
        let [all_lines, all_rows, columns] = self.grid.counts;
        full_blocks(all_lines, lines)
            .flat_map(|lines| {
                full_blocks(all_rows, rows).map(move |rows| Part { lines: lines.clone(), rows, columns: 0..columns })
            })
            .collect()
    }

    fn task(&self, part: &Part, outs: usize) -> f64 {
        let (tile, ins) = (self.grid.tile, self.geometry.group_in_channels());
        let kinds = KINDS.into_iter().zip(part.kind_counts(self.grid));
        let values: f64 = kinds.map(|(short, count)| count as f64 * tile.with_short(short).products() as f64).sum();
        let whole = |channels: usize| channels.next_multiple_of(SIDE) as f64;
        let weights = (tile.products() * part.tiles().div_ceil(self.tiles)) as f64 * (outs * self.size) as f64;
        values * (ins as f64 * whole(outs) + VALUE * (whole(ins) + whole(outs))) + weights * ins as f64 * WEIGHT_BYTE
    }
}
