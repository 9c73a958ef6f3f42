//! A pair of tiles of windows: the quarters of its patch matrix, and their sums.

use super::Layout;
use super::sums::{Source, differences};
use crate::element::Element;
use crate::gemm::PRODUCTS;
use crate::lowering::cells::Cells;
use crate::lowering::panel::pack_panel;

/// Panels of a pair: the four sums, and three quarters where these do not lie side by side in the image.
pub(super) const PANELS: usize = SUMS + 3;
const SUMS: usize = 4;

/// Rows of the patch matrix whose quarters stay in the L1 until their sums are made.
pub(super) const ROWS_AT_ONCE: usize = 32;

/// Where the first window of either half lies behind the first of all, windows of a half, and rows of a quarter.
#[derive(Clone, Copy)]
pub(super) struct Pair {
    pub windows: [usize; 2],
    pub half: usize,
    pub rows: usize,
}

impl Pair {
    /// `B₁₁`, `B₂₁`, `B₁₂` and `B₂₂` where the patch matrix is an image as it lies.
    fn quarters<'a, T>(&self, whole: Source<'a, T>) -> [Source<'a, T>; 4] {
        let below = self.rows * whole.row_step;
        let [left, right] = self.windows;
        [left, left + below, right, right + below].map(|start| Source { cells: &whole.cells[start..], ..whole })
    }

    /// The sums alone.
    pub fn add_up<T: Element>(&self, whole: Source<'_, T>, panels: &mut [T], layout: &Layout) {
        let mut panels = panels.chunks_exact_mut(layout.panel_len);
        let sums = std::array::from_fn(|_| panels.next().expect("a panel for each sum"));
        differences(self.quarters(whole), (self.rows, self.half), sums);
    }

    /// The sums, and the quarters that products read, from a row of the patch matrix and a window on.
    pub fn pack<T: Element>(
        &self,
        cells: Cells<'_, T>,
        (first_row, first): (usize, usize),
        (panels, buffer): (&mut [T], &mut [T]),
        layout: &Layout,
    ) {
        let half = self.half;
        let sides = self.windows.map(|window| cells.chunks(first + window..first + window + half));
        for row in (0..self.rows).step_by(ROWS_AT_ONCE) {
            let count = ROWS_AT_ONCE.min(self.rows - row);
            let mut panels = panels.chunks_exact_mut(layout.panel_len).map(|panel| &mut panel[row * half..]);
            let mut next = || panels.next().expect("a panel for each");
            let sums = [next(), next(), next(), next()];
            let mut quarters = [next(), next(), &mut *buffer, next()];
            for (panel, (side, down)) in quarters.iter_mut().zip([(0, 0), (0, self.rows), (1, 0), (1, self.rows)]) {
                let start = first_row + down + row;
                pack_panel(panel, half, cells.values, cells.rows(start..start + count), &sides[side]);
            }
            differences(quarters.map(|cells| Source { cells, row_step: half }), (count, half), sums);
        }
    }

    /// The cells of the products, in the order of the microkernel.
    pub fn factors<'a, T>(
        &self,
        whole: Option<Source<'a, T>>,
        panels: &'a [T],
        layout: &Layout,
    ) -> [Source<'a, T>; PRODUCTS] {
        let panel = |i: usize| Source { cells: &panels[i * layout.panel_len..], row_step: self.half };
        let [t1, t2, t3, t4] = std::array::from_fn(panel);
        let [b11, b21, b22] = match whole {
            Some(whole) => {
                let [b11, b21, _, b22] = self.quarters(whole);
                [b11, b21, b22]
            }
            None => std::array::from_fn(|i| panel(SUMS + i)),
        };
        [b11, b21, t2, t1, b22, t3, t4]
    }
}
