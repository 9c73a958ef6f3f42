//! Rows that are too long for a task to copy all that its windows read: windows are cut along the columns, too, and those of each
//! strip are a convolution of its own, of some columns of the image.

use std::ops::Range;

use ndarray::{ArrayView5, ArrayViewMut3, Axis};

use super::Task;
use super::cut::{Cut, window_step};
use super::layout::{Layout, fitting_cut};
use crate::element::Element;
use crate::geometry::{Axis as Spatial, ConvGeometry, PadMode};
use crate::lowering::Epilogue;
use crate::lowering::fold::fold_output;
use crate::lowering::image::Image;
use crate::lowering::lanes::Vector;
use crate::lowering::pieces::{blocks, channel_blocks, cut_up, even_blocks, full_blocks};
use crate::lowering::slab::Slab;
use crate::lowering::weights::PackedWeights;
use crate::parallel;

/// Windows of the shortest part.
const LEAST_WINDOWS: usize = 64;

/// The windows of some columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub geometry: ConvGeometry,
    pub layout: Layout,
    /// The columns of the image that they read.
    pub columns: Range<usize>,
}

impl Part {
    /// All windows of any geometry.
    pub(super) fn whole(geometry: ConvGeometry, vector: Vector, cut: Cut) -> Self {
        let [.., width] = geometry.axes;
        Self { layout: Layout::of(&geometry, vector, cut), geometry, columns: 0..width.input }
    }

    /// All parts of an image, of so many columns of windows each, which are cut alike.
    pub(super) fn all(whole: &ConvGeometry, windows: usize, vector: Vector, cut: &Cut) -> Vec<Self> {
        let [_, height, width] = whole.axes;
        let part = |windows: Range<usize>| {
            let (geometry, columns) = part_of(whole, windows);
            let (step, channels) = (window_step(&geometry, cut.lanes), geometry.group_in_channels());
            let mut layout = Layout::of(&geometry, vector, cut.clone());
            // Rows that do not follow each other are copied.
            let line = Some(width.input).filter(|_| height.input == 1);
            layout.image = line.and_then(|line_len| Slab::columns(&geometry, step, line_len, channels));
            Self { geometry, layout, columns }
        };
        full_blocks(width.output, windows).map(part).collect()
    }
}

/// The fewest parts of which a row fits the memory, if possible; none where the border is not of zeros.
pub(super) fn parts_of_rows(geometry: &ConvGeometry, vector: Vector, workspace_bytes: usize) -> Vec<Part> {
    let cuts = part_lengths(geometry).map(|windows| {
        let (first, _) = part_of(geometry, 0..windows);
        (windows, fitting_cut(&first, Cut::of_one_row, vector, workspace_bytes))
    });
    let chosen = first_or_last(cuts, |(_, (_, is_large))| !is_large);
    chosen.map_or_else(Vec::new, |(windows, (cut, _))| Part::all(geometry, windows, vector, &cut))
}

/// The first value that will do, or else the last.
pub(super) fn first_or_last<V>(mut values: impl Iterator<Item = V>, will_do: impl Fn(&V) -> bool) -> Option<V> {
    let mut last = values.next()?;
    while !will_do(&last) {
        match values.next() {
            Some(value) => last = value,
            None => break,
        }
    }
    Some(last)
}

/// Columns of windows of the parts that an image may be cut into: halves, quarters, … None where it may not.
pub(super) fn part_lengths(geometry: &ConvGeometry) -> impl Iterator<Item = usize> {
    let [.., width] = geometry.axes;
    let is_possible = geometry.pad_mode == PadMode::Zeros || width.pad_before + width.pad_after == 0;
    // Windows of the first part and of the last.
    let read_cells = move |length: usize| {
        let last = width.output.saturating_sub(1) / length * length;
        (length - 1) * width.stride + width.extent() > width.pad_before
            && last * width.stride < width.pad_before + width.input
    };
    std::iter::successors(Some(width.output), |length| Some(length.div_ceil(2)))
        .skip(1)
        .take_while(move |&length| is_possible && length >= LEAST_WINDOWS)
        .filter(move |&length| read_cells(length))
}

/// The convolution that computes some columns of windows, and the columns that they read.
pub(super) fn part_of(geometry: &ConvGeometry, windows: Range<usize>) -> (ConvGeometry, Range<usize>) {
    let [depth, height, width] = geometry.axes;
    let first = windows.start * width.stride;
    let end = (windows.end - 1) * width.stride + width.extent();
    let [start, stop] = [first, end].map(|place| place.saturating_sub(width.pad_before).min(width.input));
    let part = Spatial {
        input: stop - start,
        output: windows.len(),
        pad_before: width.pad_before.saturating_sub(first),
        pad_after: end.saturating_sub(width.pad_before + width.input),
        ..width
    };
    (ConvGeometry { axes: [depth, height, part], ..geometry.clone() }, start..stop)
}

/// All parts, row by row, for [`forward`](super::forward).
pub(super) fn forward<T: Element>(
    (geometry, layout): (&ConvGeometry, &Layout),
    weights: &PackedWeights<T>,
    input: ArrayView5<'_, T>,
    epilogue: Epilogue<'_, T>,
    target: (ArrayViewMut3<'_, T>, &mut [T]),
) {
    let (output, workspace) = target;
    let outs = geometry.group_out_channels();
    let cut = |all| even_blocks(all, layout.channels, layout.channel_unit);
    let parts = || layout.parts.iter().map(|part| (part.geometry.axes[2].output, part));
    let width = geometry.axes[2].output;
    let pieces = channel_blocks(fold_output(output, false), outs, cut).flat_map(move |(image, channel, rows)| {
        blocks(rows, Axis(2), width).flat_map(move |(start, row)| {
            cut_up(row, Axis(2), parts()).map(move |(part, piece)| (image, channel, (part, start / width), piece))
        })
    });
    parallel::for_each(pieces, workspace, layout.slot_len(), |(image, channel, (part, row), piece), slot: &mut [T]| {
        let window = row * part.geometry.axes[2].output;
        let mut task = Task::new((&part.geometry, &part.layout), weights, epilogue, (channel, window, piece));
        let image = Image::of(geometry, input, image, channel / outs);
        task.run(image.columns(part.columns.clone()), slot);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ConvOptions;

    #[test]
    fn parts_have_all_windows_of_a_row_and_the_columns_that_they_read() {
        for (length, kernel, (stride, dilation), (before, after)) in [
            (1000, 1, (1, 1), (0, 0)),
            (1003, 5, (1, 3), (2, 9)),
            (1501, 4, (3, 2), (6, 0)),
            (900, 2, (1, 70), (70, 0)),
            (800, 3, (5, 1), (0, 1)),
        ] {
            let options = ConvOptions::<1>::new().stride([stride]).dilation([dilation]);
            let options = options.padding(crate::Padding::Explicit([(before, after)]));
            let geometry = options.geometry(&[2, 6, length], &[8, 6, kernel]).unwrap();
            let parts = parts_of_rows(&geometry, Vector::of::<f32>(), 1);
            assert!(parts.len() > 1, "{geometry:?}");
            let [_, _, width] = geometry.axes;
            let mut window = 0;
            for Part { geometry: part, columns, .. } in &parts {
                let [.., axis] = part.axes;
                assert_eq!(axis.input, columns.len());
                for (local, tap) in (0..axis.output).flat_map(|local| (0..kernel).map(move |tap| (local, tap))) {
                    let found = axis.source(local, tap, PadMode::Zeros).map(|cell| cell + columns.start);
                    assert_eq!(found, width.source(window + local, tap, PadMode::Zeros), "{geometry:?}");
                }
                window += axis.output;
            }
            assert_eq!(window, width.output);
        }
    }

    #[test]
    fn a_long_row_needs_no_more_memory_than_it_may_have() {
        for (channels, kernel, dilation) in [(64, 2, 512), (64, 1, 1), (256, 1, 1), (64, 9, 4)] {
            let line = ConvOptions::<1>::new().dilation([dilation]);
            let plane =
                ConvOptions::<2>::new().dilation([2, dilation.min(64)]).padding(crate::Padding::symmetric([2, 1]));
            for geometry in [
                line.geometry(&[1, channels, 16000], &[128, channels, kernel]).unwrap(),
                plane.geometry(&[1, channels, 8, 20000], &[128, channels, 3, kernel]).unwrap(),
            ] {
                for (bytes, vector) in [(2 << 20, Vector::of::<f32>()), (256 << 10, Vector::of::<f64>())] {
                    let layout = Layout::new(&geometry, vector, bytes);
                    assert!(layout.slot_len() * vector.size <= bytes + 512, "{channels} channels, {kernel} taps");
                }
            }
        }
    }
}
