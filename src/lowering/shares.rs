//! How long threads take for tasks that are handed out one by one, what a cut for several threads is chosen by, and how output
//! channels are shared out.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;

use ndarray::{ArrayViewMut, Axis, Dimension};

use super::pieces::{cut_up, even_blocks};

/// Tasks a thread from which on it does not matter which of them come last.
pub(super) const MANY_TASKS: usize = 8;

/// When the last of `threads` is done with these tasks, `times` over, if each takes the next one as soon as it is done with
/// its last. In the unit of the tasks' costs.
pub(super) fn time_of_all(tasks: &[f64], times: usize, threads: usize) -> f64 {
    let longest = tasks.iter().copied().fold(0.0, f64::max);
    let sum = times as f64 * tasks.iter().sum::<f64>();
    if times.saturating_mul(tasks.len()) > MANY_TASKS.saturating_mul(threads) {
        return sum / threads as f64 + longest / 2.0;
    }
    // Positive numbers have the order of their bits.
    let mut ends = BinaryHeap::from(vec![Reverse(0_u64); threads]);
    for task in (0..times).flat_map(|_| tasks) {
        if let Some(mut end) = ends.peek_mut() {
            end.0 = (f64::from_bits(end.0) + task).to_bits();
        }
    }
    ends.into_iter().map(|Reverse(end)| f64::from_bits(end)).fold(0.0, f64::max)
}

/// Parts for each thread that something is cut into, at the most.
pub(super) const PARTS_A_THREAD: usize = 4;

/// The first of the cuts with which all is done soonest.
pub(super) fn soonest<C>(cuts: impl Iterator<Item = C>, time: impl Fn(&C) -> f64) -> Option<C> {
    let times = cuts.map(|cut| (time(&cut), cut));
    times.min_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(_, cut)| cut)
}

/// The longest of `count` even blocks of `total`, for all counts up to `most`, as long as they differ.
pub(super) fn block_lengths(total: usize, most: usize) -> impl Iterator<Item = usize> {
    let mut last = 0;
    (1..=most.min(total)).map(move |count| total.div_ceil(count)).filter(move |&length| {
        let differs = length != last;
        last = length;
        differs
    })
}

/// How the output channels of regions are shared out: a task has all of them in the first regions, and some in those with
/// which the threads would not be done together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ChannelShares {
    /// Regions, of all images and groups, that are not cut.
    pub whole: usize,
    /// Output channels of a group, those of a task of the other regions, and what they are whole units of.
    outs: usize,
    pub channels: usize,
    unit: usize,
}

impl ChannelShares {
    /// No region is cut.
    pub fn none(outs: usize) -> Self {
        Self { whole: usize::MAX, outs, channels: outs, unit: 1 }
    }

    /// Those with which the last of `threads` is done first, and when that is. `cost` is that of a task which has so many channels
    /// of a region.
    pub fn best(
        regions: usize,
        [outs, unit]: [usize; 2],
        threads: usize,
        cost: impl Fn(usize, usize) -> f64,
    ) -> (Self, f64) {
        let time = |shares: &Self| {
            let tasks = (0..regions).flat_map(|region| shares.blocks(region).map(move |block| (region, block.len())));
            time_of_all(&tasks.map(|(region, channels)| cost(region, channels)).collect::<Vec<_>>(), 1, threads)
        };
        let most = if regions > MANY_TASKS * threads { 1 } else { PARTS_A_THREAD * threads };
        let cuts = block_lengths(outs.div_ceil(unit).max(1), most).flat_map(|units| {
            let channels = units.saturating_mul(unit).min(outs);
            // As many whole regions as each thread has the same number of, or none.
            [regions / threads * threads, 0].map(|whole| Self { whole, outs, channels, unit })
        });
        soonest(cuts, |shares| time(shares)).map_or((Self::none(outs), 0.0), |shares| (shares, time(&shares)))
    }

    /// The channels of the tasks of a region.
    fn blocks(self, region: usize) -> impl Iterator<Item = Range<usize>> + Send {
        let length = if region < self.whole { self.outs } else { self.channels };
        even_blocks(self.outs, length, self.unit)
    }

    /// The tasks' pieces of regions, which come with their image, their first channel and their place; the same with each piece.
    pub fn cut_up<'a, T, D, P>(
        self,
        regions: impl Iterator<Item = (usize, usize, P, ArrayViewMut<'a, T, D>)> + Send,
    ) -> impl Iterator<Item = (usize, usize, P, ArrayViewMut<'a, T, D>)> + Send
    where
        T: Send + 'a,
        D: Dimension + Send,
        P: Clone + Send,
    {
        regions.enumerate().flat_map(move |(number, (image, first, place, region))| {
            let lengths = self.blocks(number).map(|block| (block.len(), block.start));
            cut_up(region, Axis(0), lengths).map(move |(channel, piece)| (image, first + channel, place.clone(), piece))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_thread_counts() {
        assert_eq!(time_of_all(&[3.0, 3.0, 3.0, 1.0], 1, 1), 10.0);
        assert_eq!(time_of_all(&[3.0, 3.0, 3.0, 1.0], 1, 2), 6.0);
        assert_eq!(time_of_all(&[3.0, 3.0, 1.0], 1, 2), 4.0);
        assert_eq!(time_of_all(&[3.0, 2.0], 2, 4), 3.0);
        assert_eq!(time_of_all(&[3.0], 1, 4), 3.0);
        assert_eq!(time_of_all(&[2.0, 1.0], 1000, 2), 1501.0);
    }

    #[test]
    fn lengths_are_those_of_different_cuts() {
        assert_eq!(block_lengths(7, 100).collect::<Vec<_>>(), [7, 4, 3, 2, 1]);
        assert_eq!(block_lengths(56, 4).collect::<Vec<_>>(), [56, 28, 19, 14]);
        assert_eq!(block_lengths(0, 4).count(), 0);
    }

    #[test]
    fn regions_are_cut_with_which_threads_would_not_be_done_together() {
        // Seven alike, and what each task costs beside its channels.
        let best = |regions, threads, beside: f64| {
            ChannelShares::best(regions, [64, 22], threads, |_, channels| channels as f64 + beside)
        };
        let (shares, time) = best(7, 2, 9.0);
        assert_eq!((shares.whole, shares.channels), (6, 44));
        assert!(time < 4.0 * 73.0 && time > 3.5 * 73.0, "{time}");
        let (shares, time) = best(6, 2, 9.0);
        assert!((0..6).all(|region| shares.blocks(region).count() == 1), "{shares:?}");
        assert_eq!(time, 3.0 * 73.0);
        let (shares, _) = best(1, 2, 9.0);
        assert_eq!(shares.blocks(0).map(|block| block.len()).collect::<Vec<_>>(), [22, 42]);
    }

    #[test]
    fn pieces_are_all_channels_of_all_regions_once() {
        let mut output = ndarray::Array3::<usize>::zeros((5, 64, 3));
        let shares = ChannelShares { whole: 3, outs: 64, channels: 22, unit: 11 };
        let regions = crate::lowering::entries(output.view_mut()).map(|(region, view)| (region, 100, region * 7, view));
        let mut pieces = 0;
        for (region, channel, place, mut piece) in shares.cut_up(regions) {
            assert_eq!(place, region * 7);
            piece.indexed_iter_mut().for_each(|((row, _), cell)| *cell += 1000 * region + channel + row);
            pieces += 1;
        }
        assert_eq!(pieces, 3 + 2 * 3);
        assert!(output.indexed_iter().all(|((region, channel, _), &cell)| cell == 1000 * region + 100 + channel));
    }
}
