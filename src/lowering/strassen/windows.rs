//! The loops with windows on the lanes.

use std::ops::Range;

use ndarray::{ArrayViewMut2, Axis, s};

use super::pair::Pair;
use super::sums::Source;
use super::weights::{Part, Parts};
use super::{Block, Layout, Task};
use crate::element::Element;
use crate::gemm::{Factors, Finish, Kernel, Operands, Panels, Quarters, Store, multiply_tail};
use crate::lowering::cells::Cells;
use crate::lowering::panel::pack_panel;
use crate::lowering::pieces::blocks;
use crate::lowering::tile::{lines, multiply_tile};
use crate::simd::Input;

/// What products take of the cells of some windows and rows of the patch matrix: of all pairs, and of what is left without one. Also
/// where these lie, if they need not be packed.
pub(super) fn pack<'a, T: Element>(
    cells: Cells<'a, T>,
    (rows, windows): (&Range<usize>, Range<usize>),
    (panels, buffer): (&mut [T], &mut [T]),
    layout: &Layout,
) -> Option<Source<'a, T>> {
    let (count, half_rows) = (windows.len(), rows.len() / 2);
    let whole = cells.in_place(rows.clone(), windows.clone()).map(|(cells, row_step)| Source { cells, row_step });
    let mut paired = 0;
    let mut pairs = panels.chunks_exact_mut(layout.pair_len());
    for half in layout.halves(count) {
        let pair = Pair { windows: [paired, paired + half], half, rows: half_rows };
        let panels = pairs.next().expect("panels for each pair");
        match whole {
            Some(whole) => pair.add_up(whole, panels, layout),
            None => pair.pack(cells, (rows.start, windows.start), (panels, buffer), layout),
        }
        paired += 2 * half;
    }
    if paired < count {
        let (upper, lower) = pairs.next().expect("panels for what is left").split_at_mut(layout.panel_len);
        let chunks = cells.chunks(windows.start + paired..windows.end);
        let middle = rows.start + half_rows;
        for (panel, rows) in [(upper, rows.start..middle), (lower, middle..rows.end)] {
            pack_panel(panel, layout.half_windows, cells.values, cells.rows(rows), &chunks);
        }
    }
    whole
}

impl<T: Element> Task<'_, '_, '_, T> {
    /// Multiplies the panels of some windows by the weights of all channels. Each tile of weights meets all panels.
    pub(super) fn multiply_by_windows(
        &mut self,
        (rows, block): (&Range<usize>, Block),
        (start, count): (usize, usize),
        (whole, panels, buffer): (Option<Source<'_, T>>, &[T], &mut [T]),
        next: &mut Input<T>,
    ) {
        let layout = self.layout;
        let mut weights = self.weights(rows);
        let piece = self.piece.slice_mut(s![.., start..start + count]);
        let is_last = rows.end == self.geometry.patch_rows();
        for (first, mut channels) in blocks(piece, Axis(0), layout.pair_channels) {
            let parts = Parts::new(weights, block.half, channels.nrows() / 2);
            weights = &weights[layout.weights_len(channels.nrows(), rows.len())..];
            next.put_first(&weights[..weights.len().min(layout.weights_len(layout.pair_channels, rows.len()))]);
            let paired = layout.halves(count).map(|half| 2 * half).sum();
            let (paired, rest) = channels.view_mut().split_at(Axis(1), paired);
            multiply_pairs(layout, (parts, block), paired, (whole, panels, buffer), next);
            if !rest.is_empty() {
                let panels = panels.chunks_exact(layout.pair_len()).nth(layout.halves(count).count());
                let panels = panels.expect("panels for what is left").split_at(layout.panel_len);
                multiply_rest((parts, block), (panels, layout.half_windows), rest, buffer);
            }
            if is_last {
                self.epilogue.apply(self.channel + first, channels);
            }
        }
    }
}

/// A pair of tiles of channels for all pairs of tiles of windows.
fn multiply_pairs<T: Element>(
    layout: &Layout,
    (parts, Block { half: rows, store }): (Parts<'_, T>, Block),
    mut c: ArrayViewMut2<'_, T>,
    (whole, panels, buffer): (Option<Source<'_, T>>, &[T], &mut [T]),
    next: &mut Input<T>,
) {
    let mut first = 0;
    let pairs = layout.halves(c.ncols()).zip(panels.chunks_exact(layout.pair_len())).map(|(half, panels)| {
        let pair = Pair { windows: [first, first + half], half, rows };
        first += 2 * half;
        (pair, panels)
    });
    let channels = c.nrows() / 2;
    let mut multiply = |(pair, panels): (Pair, &[T]), lines: [&mut [&mut [T]]; 2], window, buffer: &mut [T]| {
        let cells = pair.factors(whole, panels, layout);
        let products = std::array::from_fn(|i| {
            let Source { cells, row_step } = cells[i];
            Factors { weights: parts.get(Part::OF_PRODUCTS[i]), cells, row_step }
        });
        let lines = lines.map(|lines| &mut lines[..channels]);
        let quarters = Quarters { products, rows, store, lines, window, half: pair.half, buffer, outputs: None, next };
        Kernel::<T>::best().multiply_quarters(quarters);
    };
    if c.strides()[1] == 1 {
        let (upper, lower) = c.split_at(Axis(0), channels);
        let [mut upper, mut lower] = [lines(upper), lines(lower)];
        pairs.for_each(|(pair, panels)| {
            multiply((pair, panels), [&mut upper, &mut lower], pair.windows[0], &mut *buffer);
        });
    } else {
        for (pair, panels) in pairs {
            let mut tile = c.slice_mut(s![.., pair.windows[0]..pair.windows[0] + 2 * pair.half]);
            let (sums, buffer) = buffer.split_at_mut(tile.len());
            let mut sums = ArrayViewMut2::from_shape(tile.dim(), sums).expect("sums of this tile");
            sums.assign(&tile);
            let (upper, lower) = sums.view_mut().split_at(Axis(0), channels);
            multiply((pair, panels), [&mut lines(upper), &mut lines(lower)], 0, buffer);
            tile.assign(&sums);
        }
    }
}

/// A pair of tiles of channels for a few windows that make no pair: eight products.
fn multiply_rest<T: Element>(
    (parts, Block { half: k, store }): (Parts<'_, T>, Block),
    ((upper, lower), lanes): ((&[T], &[T]), usize),
    c: ArrayViewMut2<'_, T>,
    buffer: &mut [T],
) {
    let kernel = Kernel::<T>::best();
    let (channels, count) = c.dim();
    let columns = channels / 2;
    let tail = count % kernel.vector;
    let whole = if tail <= kernel.most_tail() { count - tail } else { count };
    let (mut vectors, mut rest) = c.split_at(Axis(1), whole);
    for (both, cells, store) in [([Part::A11, Part::A21], upper, store), ([Part::A12, Part::A22], lower, Store::Add)] {
        if !rest.is_empty() {
            let (left, right) = (&cells[whole..], parts.get(both[0]));
            let operands = Operands { k, left, left_step: lanes, right, right_step: columns, right_column: 1 };
            multiply_tail(operands, (store, Finish::NONE), rest.view_mut());
        }
        let panels = Panels { cells, rows: k, lanes, step: lanes, row_step: lanes };
        for (part, (_, tile)) in both.into_iter().zip(blocks(vectors.view_mut(), Axis(0), columns)) {
            multiply_tile(panels, parts.get(part), (store, Finish::NONE, tile), buffer, &mut Input::none());
        }
    }
}
