//! Cuts an output into disjoint pieces that tasks may write at the same time.
//!
//! How it is cut depends on its shape alone, so that every number of threads computes the same sums.

use std::ops::Range;

use ndarray::{ArrayViewMut, ArrayViewMut2, Axis, Dimension, RemoveAxis};

use crate::geometry::ConvGeometry;

/// Pieces that an operation is cut into, at least, where its size allows: enough to keep a few threads
/// busy to the end, few enough that the cut costs nothing.
pub(crate) const MIN_PIECES: usize = 8;

/// Blocks of `length` along `axis` (the last may be shorter), each with its start.
pub(crate) fn blocks<'a, T, D>(
    view: ArrayViewMut<'a, T, D>,
    axis: Axis,
    length: usize,
) -> impl Iterator<Item = (usize, ArrayViewMut<'a, T, D>)> + Send
where
    T: Send,
    D: Dimension + Send,
{
    let mut rest = Some(view);
    let mut start = 0;
    std::iter::from_fn(move || {
        let view = rest.take()?;
        let remaining = view.len_of(axis);
        if remaining == 0 {
            return None;
        }
        let taken = remaining.min(length.max(1));
        let (block, tail) = view.split_at(axis, taken);
        rest = Some(tail);
        start += taken;
        Some((start - taken, block))
    })
}

/// Blocks of these lengths along `axis`, one after the other (the last may be shorter), each with what comes with its length.
pub(crate) fn cut_up<'a, T, D, V>(
    view: ArrayViewMut<'a, T, D>,
    axis: Axis,
    lengths: impl Iterator<Item = (usize, V)> + Send,
) -> impl Iterator<Item = (V, ArrayViewMut<'a, T, D>)> + Send
where
    T: Send,
    D: Dimension + Send,
    V: Send,
{
    lengths.scan(Some(view), move |rest, (length, value)| {
        let view = rest.take()?;
        let taken = view.len_of(axis).min(length);
        let (block, tail) = view.split_at(axis, taken);
        *rest = Some(tail);
        Some((value, block))
    })
}

/// The entries of axis 0, each with its index.
pub(crate) fn entries<'a, T, D>(
    view: ArrayViewMut<'a, T, D>,
) -> impl Iterator<Item = (usize, ArrayViewMut<'a, T, D::Smaller>)> + Send
where
    T: Send,
    D: RemoveAxis + Send,
    D::Smaller: Send,
{
    blocks(view, Axis(0), 1).map(|(index, block)| (index, block.index_axis_move(Axis(0), 0)))
}

/// Blocks of the channels of one image, none of which reaches over the end of a group of `group` channels, whose number `cut` makes
/// ranges of; each with the numbers of its image and of its first channel.
pub(crate) fn channel_blocks<'a, T, D, I>(
    output: ArrayViewMut<'a, T, D>,
    group: usize,
    cut: impl Fn(usize) -> I + Copy + Send,
) -> impl Iterator<Item = (usize, usize, ArrayViewMut<'a, T, D::Smaller>)> + Send
where
    T: Send,
    D: RemoveAxis + Send,
    D::Smaller: Send,
    I: Iterator<Item = Range<usize>> + Send,
{
    entries(output).flat_map(move |(image, channels)| {
        blocks(channels, Axis(0), group).flat_map(move |(first, channels)| {
            let ranges = cut(channels.len_of(Axis(0))).map(|range| (range.len(), range.start));
            cut_up(channels, Axis(0), ranges).map(move |(offset, block)| (image, first + offset, block))
        })
    })
}

/// Ranges of `length` that cover `total`, the last perhaps shorter.
pub(crate) fn full_blocks(total: usize, length: usize) -> impl Iterator<Item = Range<usize>> + Send {
    let length = length.max(1);
    (0..total).step_by(length).map(move |start| start..total.min(start.saturating_add(length)))
}

/// The fewest ranges of at most `length` that cover `total`, as even as whole units allow; what fills no unit is in the last.
/// (`length` must be a multiple of the unit where there is more than one.)
pub(crate) fn even_blocks(total: usize, length: usize, unit: usize) -> impl Iterator<Item = Range<usize>> + Send {
    let count = total.div_ceil(length.max(1)).max(1);
    let edge = move |block: usize| {
        let even = total / count * block + total % count * block / count;
        let least = total.saturating_sub((count - block).saturating_mul(length)).next_multiple_of(unit);
        if block == count { total } else { ((even + unit / 2) / unit * unit).max(least) }
    };
    (0..count).map(move |block| edge(block)..edge(block + 1))
}

/// Blocks of a weight gradient `[OC, C/g · taps]`, of at most so many output and input channels of one group; each with
/// the number of its group, and of its first output and input channel within it.
pub(super) fn kernel_blocks<'a, T: Send>(
    weight_grad: ArrayViewMut2<'a, T>,
    geometry: &ConvGeometry,
    [outs, ins]: [usize; 2],
) -> impl Iterator<Item = (usize, [usize; 2], ArrayViewMut2<'a, T>)> + Send {
    let (all_outs, taps) = (geometry.group_out_channels(), geometry.taps());
    blocks(weight_grad, Axis(0), all_outs).flat_map(move |(group, kernels)| {
        blocks(kernels, Axis(0), outs).flat_map(move |(out, kernels)| {
            blocks(kernels, Axis(1), ins * taps).map(move |(row, piece)| (group / all_outs, [out, row / taps], piece))
        })
    })
}

/// Output and input channels of one block of a weight gradient, in whole units of so many: fewer than the ones given, if
/// there would be too few blocks for the threads.
pub(super) fn share_channels(
    geometry: &ConvGeometry,
    [mut outs, mut ins]: [usize; 2],
    [out_unit, in_unit]: [usize; 2],
    threads: usize,
) -> [usize; 2] {
    let (all_outs, all_ins) = (geometry.group_out_channels().max(1), geometry.group_in_channels().max(1));
    loop {
        let [out_parts, in_parts] = [all_outs.div_ceil(outs), all_ins.div_ceil(ins)];
        let tasks = geometry.groups.max(1) * out_parts * in_parts;
        if threads == 1 || tasks >= threads && (tasks.is_multiple_of(threads) || tasks >= 4 * threads) {
            return [outs, ins];
        }
        let fewer_ins = block_length(all_ins, in_parts + 1, in_unit);
        let fewer_outs = block_length(all_outs, out_parts + 1, out_unit);
        match (fewer_ins < ins, fewer_outs < outs) {
            (true, _) => ins = fewer_ins,
            (false, true) => outs = fewer_outs,
            (false, false) => return [outs, ins],
        }
    }
}

/// A block length that cuts `total` into about `count` blocks of whole multiples of `unit`.
pub(crate) fn block_length(total: usize, count: usize, unit: usize) -> usize {
    total.div_ceil(count.max(1)).next_multiple_of(unit).clamp(1, total.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, Array3};

    #[test]
    fn blocks_cover_the_axis_once_and_keep_their_start() {
        let mut array = Array2::<usize>::zeros((3, 10));
        for (row, line) in entries(array.view_mut()) {
            for (start, mut block) in blocks(line, Axis(0), 4) {
                block.iter_mut().enumerate().for_each(|(i, cell)| *cell += row * 10 + start + i);
            }
        }
        assert!(array.iter().enumerate().all(|(i, &cell)| cell == i));
    }

    #[test]
    fn blocks_of_channels_end_with_their_group() {
        let mut array = Array3::<usize>::zeros((2, 6, 4));
        let found: Vec<_> = channel_blocks(array.view_mut(), 3, |all| full_blocks(all, 2))
            .map(|(i, c, block)| (i, c, block.nrows()))
            .collect();
        assert_eq!(found[..4], [(0, 0, 2), (0, 2, 1), (0, 3, 2), (0, 5, 1)]);
        assert_eq!(found.len(), 8);
    }

    #[test]
    fn even_blocks_are_of_whole_units_and_no_longer_than_they_may_be() {
        let found = |total, length, unit| even_blocks(total, length, unit).map(|block| block.len()).collect::<Vec<_>>();
        assert_eq!(found(256, 140, 14), [126, 130]);
        assert_eq!(found(64, 64, 14), [64]);
        assert_eq!(found(5, 14, 14), [5]);
        assert_eq!(found(0, 14, 14), [0]);
        for (total, unit, parts) in (1..200).flat_map(|total| (1..17).map(move |i| (total, 1 + i % 5 * 3, i))) {
            let length = block_length(total, parts, unit);
            let mut end = 0;
            for block in even_blocks(total, length, unit) {
                assert!(block.start == end && block.start % unit == 0, "{total} by {unit}: {block:?}");
                assert!(!block.is_empty() && block.len() <= length, "{total} by {unit}: {block:?} for {length}");
                end = block.end;
            }
            assert_eq!(end, total);
        }
    }

    #[test]
    fn an_empty_axis_has_no_blocks() {
        let mut array = Array2::<f32>::zeros((3, 0));
        assert_eq!(blocks(array.view_mut(), Axis(1), 4).count(), 0);
        assert_eq!(block_length(0, 8, 16), 1);
        assert_eq!(block_length(100, 8, 16), 16);
        assert_eq!(block_length(5, 8, 16), 5);
    }
}
