//! Which rows and channels of an image the tasks of several threads have.

use super::choose_lanes::{pack_cost, vectors_of_time};
use crate::geometry::ConvGeometry;
use crate::lowering::lanes::{Lanes, Vector};
use crate::lowering::pieces::even_blocks;
use crate::lowering::shares::{MANY_TASKS, PARTS_A_THREAD, block_lengths, soonest, time_of_all};

/// What a task costs, in multiply-adds of vectors. For each weight, which comes from the L3 …
const WEIGHT: f64 = 0.5;

/// … for each vector of the patch matrix, which does so …
const READ: f64 = 6.0;

/// … for a panel of windows, beside its own …
const PANEL: f64 = 0.2;

/// … and however small it is.
const TASK: f64 = 3000.0;

/// A convolution whose tasks are cut for several threads.
pub(super) struct Shares<'g> {
    pub geometry: &'g ConvGeometry,
    pub lanes: Lanes,
    pub vector: Vector,
    pub threads: usize,
}

impl Shares<'_> {
    /// Rows, of which there may be so many for each number of channels, and channels, in whole units, of tasks with which the
    /// last thread is done first.
    pub fn best(&self, unit: usize, most_rows: impl Fn(usize) -> usize) -> [usize; 2] {
        let height = self.geometry.axes[1].output.max(1);
        let channels = self.geometry.group_out_channels().max(1);
        let (most, most_tasks) = (PARTS_A_THREAD * self.threads, MANY_TASKS * self.threads);
        let cuts = block_lengths(channels.div_ceil(unit), most).flat_map(|units| {
            let length = units.saturating_mul(unit).min(channels);
            let (rows, parts) = (most_rows(length).max(1), self.images() * channels.div_ceil(length));
            // Of more tasks than that it does not matter how even they are.
            block_lengths(height, most_tasks / parts).filter(move |&r| r <= rows).map(move |r| [r, length])
        });
        soonest(cuts, |&cut| self.time(cut, unit)).unwrap_or([most_rows(channels).max(1), channels])
    }

    /// Images of all groups that are cut alike, and their planes.
    fn images(&self) -> usize {
        (self.geometry.batch * self.geometry.groups * self.geometry.axes[0].output).max(1)
    }

    /// How long all tasks take, in multiply-adds of vectors for each row of the patch matrix.
    fn time(&self, [rows, length]: [usize; 2], unit: usize) -> f64 {
        let g = self.geometry;
        let height = g.axes[1].output.max(1);
        let heights = (0..height).step_by(rows).map(|first| rows.min(height - first));
        let channels = even_blocks(g.group_out_channels(), length, unit);
        let tasks: Vec<f64> =
            channels.flat_map(|channels| heights.clone().map(move |rows| self.task(rows, channels.len()))).collect();
        time_of_all(&tasks, self.images(), self.threads)
    }

    fn task(&self, rows: usize, channels: usize) -> f64 {
        let (g, vector) = (self.geometry, self.vector);
        let windows = rows * g.axes[2].output;
        let [register, _] = vector.channels;
        let (vectors, channels) = match self.lanes {
            Lanes::Windows => {
                let panels = windows.div_ceil(vector.lanes) as f64;
                (vectors_of_time(windows, vector) + PANEL * panels, channels as f64)
            }
            Lanes::Channels => (windows as f64 / vector.len as f64, channels.next_multiple_of(register.max(1)) as f64),
            Lanes::Rows => (windows as f64 / vector.len as f64, channels as f64),
        };
        let reads = READ + if self.lanes == Lanes::Windows { pack_cost(g, register) } else { 0.0 };
        vectors * (channels + reads) + WEIGHT * channels + TASK / g.patch_rows().max(1) as f64
    }
}
