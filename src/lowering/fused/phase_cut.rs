//! How the phases of an input gradient are cut.

use super::choose_lanes::choose_lanes;
use super::cut::{Cut, channel_unit, fill_lanes};
use super::line::part_of;
use crate::geometry::ConvGeometry;
use crate::lowering::lanes::{Lanes, Vector};
use crate::parallel;

/// A task's phases of columns, which are written, put side by side and then not needed any more.
const COLUMN_BYTES: usize = 512 << 10;

/// A cut of all phases: they have blocks of rows of their own, but channels and rows in common.
pub(super) struct PhaseCut {
    /// By plane, row and column; `None` where no tap reads a phase.
    pub parts: Vec<Option<(ConvGeometry, Cut)>>,
    pub channels: usize,
    /// Rows of each phase.
    pub rows: usize,
    /// Elements of a row of all phases of columns.
    width: usize,
    /// What a block of channels is a multiple of.
    unit: usize,
}

impl PhaseCut {
    /// The cut of an input gradient, or of so many windows of each phase of its rows one by one, that fits the memory if one does.
    pub fn fitting(
        (geometry, phases): (&ConvGeometry, &[&ConvGeometry]),
        windows: Option<usize>,
        vector: Vector,
        workspace_bytes: usize,
    ) -> Self {
        let shape = |&phase: &&ConvGeometry| {
            (phase.taps() > 0).then(|| match windows {
                Some(windows) => part_of(phase, 0..windows.min(phase.axes[2].output)).0,
                None => phase.clone(),
            })
        };
        let parts: Vec<_> = phases.iter().map(shape).collect();
        let [_, row_step, step] = geometry.phase_counts();
        let width = windows.unwrap_or_else(|| geometry.axes[2].input.div_ceil(step));
        let rows = geometry.axes[1].input.div_ceil(row_step).max(1);
        let is_large = |cut: &Self| cut.bytes(vector) > workspace_bytes;
        let cut = |lanes: Lanes| {
            let mut cut = Self::wanted((geometry, &parts), [rows, width, step], vector, lanes);
            cut.set(cut.channels, if windows.is_some() { 1 } else { cut.rows });
            while is_large(&cut) && cut.shrink() {}
            cut
        };
        // Channels are cut alike, and so must lie alike.
        let lanes = choose_lanes(parts.iter().flatten(), vector);
        match cut(lanes) {
            // The rows of the patch matrix are not cut there.
            large if lanes == Lanes::Rows && is_large(&large) => cut(Lanes::Windows),
            cut => cut,
        }
    }

    fn wanted(
        (geometry, parts): (&ConvGeometry, &[Option<ConvGeometry>]),
        [all_rows, width, step]: [usize; 3],
        vector: Vector,
        lanes: Lanes,
    ) -> Self {
        let (threads, unit) = (parallel::threads(), channel_unit(lanes, vector));
        let cut = |part: &ConvGeometry| (part.clone(), Cut::wanted(part, (vector, lanes, unit), threads));
        let parts: Vec<_> = parts.iter().map(|part| part.as_ref().map(cut)).collect();
        let least = |value: fn(&Cut) -> usize| parts.iter().flatten().map(|(_, cut)| value(cut)).min();
        let channels = least(|cut| cut.channels).unwrap_or(geometry.group_in_channels()).max(1);
        let rows = least(|cut| cut.rows).unwrap_or(1);
        let most = COLUMN_BYTES / (step * width).saturating_mul(channels).saturating_mul(vector.size).max(1);
        let rows = fill_lanes(rows.min(most.max(1)), all_rows, width.max(1), vector);
        let mut shared = Self { parts, channels, rows, width: step * width, unit };
        shared.set(channels, rows);
        shared
    }

    fn set(&mut self, channels: usize, rows: usize) {
        (self.channels, self.rows) = (channels, rows);
        for (_, cut) in self.parts.iter_mut().flatten() {
            (cut.planes, cut.rows, cut.channels) = (1, rows, channels);
        }
    }

    pub fn columns_len(&self) -> usize {
        self.channels.saturating_mul(self.rows).saturating_mul(self.width)
    }

    /// Elements that the task with the largest phase needs.
    pub fn task_len(&self, vector: Vector) -> usize {
        self.parts.iter().flatten().map(|(part, cut)| cut.len(part, vector)).max().unwrap_or(0)
    }

    pub fn bytes(&self, vector: Vector) -> usize {
        self.task_len(vector).saturating_add(self.columns_len()).saturating_mul(vector.size)
    }

    /// Makes the cut smaller; false if it cannot be.
    fn shrink(&mut self) -> bool {
        if self.rows > 1 {
            self.set(self.channels, self.rows.div_ceil(2));
        } else if self.channels > self.unit {
            self.set(self.channels.div_ceil(2).next_multiple_of(self.unit), 1);
        } else {
            return self.parts.iter_mut().flatten().fold(false, |any, (_, cut)| cut.shrink() || any);
        }
        true
    }
}
