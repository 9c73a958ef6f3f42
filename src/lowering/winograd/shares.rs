//! Which tiles and channels the tasks of several threads have.

use super::part::{Grid, KINDS, Part};
use crate::geometry::ConvGeometry;
use crate::lowering::pieces::even_blocks;
use crate::lowering::shares::{MANY_TASKS, PARTS_A_THREAD, block_lengths, soonest, time_of_all};
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
    pub fn best(&self, unit: usize) -> ([usize; 2], usize) {
        let [lines, rows, _] = self.grid.counts;
        let channels = self.geometry.group_out_channels().max(1);
        if self.threads == 1 || self.planes > MANY_TASKS.saturating_mul(self.threads) {
            return ([lines, rows], channels);
        }
        let (most, most_tasks) = (PARTS_A_THREAD * self.threads, MANY_TASKS * self.threads);
        // Lines, where there are several, are cut rather than their rows.
        let tiles = block_lengths(lines.max(1), most).flat_map(|count| {
            let parts = if lines > 1 { 1 } else { most };
            block_lengths(rows, parts).map(move |rows| [count, rows])
        });
        let cuts = tiles.flat_map(|tiles| {
            let parts = self.planes * lines.max(1).div_ceil(tiles[0]) * rows.div_ceil(tiles[1]);
            // Of more tasks than that it does not matter how even they are.
            let units = block_lengths(channels.div_ceil(unit), most.min(most_tasks / parts));
            units.map(move |units| (tiles, units.saturating_mul(unit).min(channels)))
        });
        soonest(cuts, |&cut| self.time(cut, unit)).unwrap_or(([lines, rows], channels))
    }

    /// How long all tasks take, in multiply-adds.
    fn time(&self, ([lines, rows], length): ([usize; 2], usize), unit: usize) -> f64 {
        let [all_lines, all_rows, _] = self.grid.counts;
        let channels = even_blocks(self.geometry.group_out_channels(), length, unit);
        let tasks: Vec<f64> = channels
            .flat_map(|channels| {
                (0..all_lines)
                    .step_by(lines)
                    .flat_map(move |line| {
                        let lines = line..(line + lines).min(all_lines);
                        (0..all_rows).step_by(rows).map(move |row| (lines.clone(), row..(row + rows).min(all_rows)))
                    })
                    .map(move |(lines, rows)| {
                        let part = Part { lines, rows, columns: 0..self.grid.counts[2] };
                        self.task(&part, channels.len())
                    })
            })
            .collect();
        time_of_all(&tasks, self.planes, self.threads)
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
