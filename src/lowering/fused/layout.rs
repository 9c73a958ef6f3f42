//! The sizes of the fused algorithm, and where each kernel cell lies in a slab.

use super::choose_lanes::choose_lanes;
use super::cut::{Cut, is_read_in_place, is_small, tile_channels, window_step};
use super::line::{Part, parts_of_rows};
use crate::geometry::ConvGeometry;
use crate::lowering::cells::may_be_bare;
use crate::lowering::fold::folded;
use crate::lowering::lanes::{Lanes, Vector};
use crate::lowering::scratch::ALIGNMENT_BYTES;
use crate::lowering::slab::Slab;
use crate::parallel;

/// Everything that is known before the arrays come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    /// The parts of an image whose rows are too long to be copied as a whole, which are computed row by row; all are cut as told here.
    /// Empty otherwise.
    pub parts: Vec<Part>,
    /// What is computed in place of the geometry, where the images of a batch are the planes of one image.
    pub folded: Option<ConvGeometry>,
    pub lanes: Lanes,
    /// Rows of the patch matrix in one block.
    pub block_rows: usize,
    /// Output planes and rows of one task.
    pub planes: usize,
    pub rows: usize,
    /// Output channels of one task, at the most, and what they are whole units of.
    pub channels: usize,
    pub channel_unit: usize,
    /// The padded copy that windows are read from.
    pub slab: Slab,
    /// The image itself as a slab, where windows can be read from it.
    pub image: Option<Slab>,
    /// Panels that are packed before weights are read, where windows lie on the lanes.
    pub panels: usize,
    /// Elements of the slab, of one panel, and of the sums.
    pub slab_len: usize,
    pub panel_len: usize,
    pub sums_len: usize,
    slack: usize,
}

impl Layout {
    pub fn new(geometry: &ConvGeometry, vector: Vector, workspace_bytes: usize) -> Self {
        let folded = folded(geometry).filter(|_| is_small(geometry) && !is_read_in_place(geometry, vector));
        let g = folded.as_ref().unwrap_or(geometry);
        let wanted = if folded.is_some() { Cut::folded } else { Cut::wanted };
        let (cut, is_large) = fitting_cut(g, wanted, vector, workspace_bytes);
        let parts = if is_large { parts_of_rows(g, vector, workspace_bytes) } else { vec![] };
        let layout = match parts.first() {
            Some(Part { layout, .. }) => layout.clone(),
            None => Self::of(g, vector, cut),
        };
        Self { folded, parts, ..layout }
    }

    pub(super) fn of(geometry: &ConvGeometry, vector: Vector, cut: Cut) -> Self {
        let [slab_len, panel_len, sums_len] = cut.lens(geometry, vector);
        let step = window_step(geometry, cut.lanes);
        let [_, _, ow] = geometry.axes.map(|axis| axis.output);
        debug_assert!(cut.planes * cut.rows * ow > 0 || geometry.windows() == 0);
        Self {
            parts: vec![],
            folded: None,
            lanes: cut.lanes,
            block_rows: cut.block_rows,
            planes: cut.planes,
            rows: cut.rows,
            channels: cut.channels,
            channel_unit: cut.unit,
            panels: cut.panels,
            slab: Slab::new(geometry, step, [cut.planes, cut.rows], geometry.group_in_channels()),
            image: match cut.is_folded {
                true => Slab::whole_batch(geometry, step, geometry.group_in_channels()),
                false if is_read_bare(geometry, vector, &cut) => {
                    Slab::bare(geometry, step, geometry.group_in_channels())
                }
                false => Slab::whole(geometry, step, geometry.group_in_channels()),
            },
            slab_len,
            panel_len,
            sums_len,
            slack: 2 * ALIGNMENT_BYTES / vector.size,
        }
    }

    /// Elements of the scratch memory of one lane, with room to align its parts.
    pub fn slot_len(&self) -> usize {
        self.slab_len + self.panels * self.panel_len + self.sums_len + self.slack
    }
}

/// The cut that fits the memory, and whether there is none.
pub(super) fn fitting_cut(
    geometry: &ConvGeometry,
    wanted: fn(&ConvGeometry, (Vector, Lanes, usize), usize) -> Cut,
    vector: Vector,
    workspace_bytes: usize,
) -> (Cut, bool) {
    let g = geometry;
    let is_large = |cut: &Cut| cut.len(g, vector).saturating_mul(vector.size) > workspace_bytes;
    let cut = |lanes: Lanes| {
        let mut cut = wanted(g, (vector, lanes, tile_channels(g, lanes, vector)), parallel::threads());
        while is_large(&cut) && cut.shrink() {}
        cut
    };
    let cut = match cut(choose_lanes(std::iter::once(g), vector)) {
        // The rows of the patch matrix are not cut there.
        large if large.lanes == Lanes::Rows && is_large(&large) => cut(Lanes::Windows),
        cut => cut,
    };
    let is_large = is_large(&cut);
    (cut, is_large)
}

/// A way of common L2 caches, and how many of the ways the rows of all channels may take that begin at the same place of it.
const WAY_BYTES: usize = 64 << 10;
const WAYS: usize = 6;

/// Whether a padded image is read where it lies, without the zeros around it: whole channels do not push each other out of the L2.
fn is_read_bare(geometry: &ConvGeometry, vector: Vector, cut: &Cut) -> bool {
    let [_, height, width] = geometry.axes;
    let channel_bytes = height.input.saturating_mul(width.input).saturating_mul(vector.size);
    let places = WAY_BYTES >> (channel_bytes | WAY_BYTES).trailing_zeros();
    let is_usual = cut.lanes == Lanes::Channels && cut.block_rows.is_multiple_of(geometry.taps());
    is_usual && (cut.block_rows / geometry.taps()).div_ceil(places) <= WAYS && may_be_bare(geometry)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ConvOptions;
    use crate::lowering::pieces::even_blocks;

    const VECTOR: Vector =
        Vector { size: 4, len: 16, lanes: 64, columns: 6, most_tail: 4, channels: [16, 32], row_channels: 14 };

    fn layout(input: [usize; 4], weight: [usize; 4], threads: usize) -> Layout {
        let geometry = ConvOptions::<2>::new().geometry(&input, &weight).unwrap();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| Layout::new(&geometry, VECTOR, 2 << 20))
    }

    #[test]
    fn images_of_small_maps_are_taken_together_and_large_ones_one_by_one() {
        let found = layout([8, 512, 7, 7], [1024, 512, 1, 1], 1);
        assert!(found.folded.is_some());
        assert_eq!((found.lanes, found.planes, found.channels), (Lanes::Windows, 4, 1024));
        assert!(layout([8, 512, 7, 7], [2048, 512, 1, 1], 1).folded.is_none());
        assert!(layout([1, 512, 7, 7], [2048, 512, 1, 1], 1).folded.is_none());
        assert!(layout([8, 256, 14, 14], [256, 256, 1, 1], 1).folded.is_none());
    }

    #[test]
    fn windows_are_read_where_they_lie_by_channels_or_rows_or_as_panels() {
        let found = |input: [usize; 4], weight: [usize; 4], (stride, padding): (usize, usize)| {
            let options = ConvOptions::<2>::new().stride([stride; 2]).padding(crate::Padding::symmetric([padding; 2]));
            Layout::new(&options.geometry(&input, &weight).unwrap(), VECTOR, 2 << 20)
        };
        let padded = found([1, 64, 56, 56], [64, 64, 5, 5], (1, 2));
        assert_eq!((padded.lanes, padded.panels, padded.slab.step, padded.image), (Lanes::Channels, 0, 1, None));
        let is_bare = |layout: Layout| layout.image.is_some_and(|image| image.is_bare);
        assert!(is_bare(found([1, 64, 56, 56], [64, 64, 3, 3], (1, 1))));
        assert!(is_bare(found([1, 64, 224, 224], [64, 64, 3, 3], (1, 1))));
        assert!(is_bare(found([1, 128, 56, 56], [128, 128, 3, 3], (2, 1))));
        assert!(is_bare(found([1, 64, 7, 7], [64, 64, 3, 3], (1, 1))));
        // Channels that would push each other out of the L2.
        assert!(!is_bare(found([1, 64, 128, 128], [64, 64, 3, 3], (1, 1))));
        let strided = found([1, 256, 56, 56], [512, 256, 1, 1], (2, 0));
        assert_eq!(strided.lanes, Lanes::Windows);
        let short = found([1, 512, 28, 28], [1024, 512, 1, 1], (2, 0));
        assert_eq!((short.lanes, short.image.map(|image| image.step)), (Lanes::Channels, Some(2)));
        let by_three = found([1, 256, 57, 57], [512, 256, 3, 3], (3, 1));
        assert_eq!((by_three.lanes, by_three.slab.step, by_three.slab.phases), (Lanes::Channels, 1, 3));
        let plain = found([1, 64, 56, 56], [256, 64, 1, 1], (1, 0));
        assert!(plain.lanes == Lanes::Windows && plain.panels > 0);
        let first = found([1, 3, 224, 224], [64, 3, 7, 7], (2, 3));
        assert_eq!((first.lanes, first.block_rows, first.slab.phases, first.channels), (Lanes::Rows, 147, 2, 64));
        let options = ConvOptions::<2>::new().padding(crate::Padding::symmetric([1; 2]));
        let wide = options.geometry(&[1, 3, 8, 5000], &[64, 3, 3, 3]).unwrap();
        assert_eq!(Layout::new(&wide, VECTOR, 64 << 10).lanes, Lanes::Windows);
        // A register of channels would be mostly empty.
        assert_eq!(found([1, 64, 56, 56], [3, 64, 3, 3], (1, 1)).lanes, Lanes::Rows);
        assert_eq!(found([1, 64, 8, 8], [3, 64, 3, 3], (1, 1)).lanes, Lanes::Windows);
    }

    #[test]
    fn a_batch_that_no_machine_holds_is_cut_at_once() {
        let found = layout([1 << 45, 16, 7, 7], [16, 16, 3, 3], 2);
        assert!(found.folded.is_some() && found.planes <= 10, "{} images", found.planes);
    }

    #[test]
    fn no_thread_waits_long_for_the_last_task() {
        for (ins, outs, size, kernel) in [
            (64, 256, 56, 1),
            (256, 64, 56, 1),
            (128, 512, 28, 1),
            (1024, 256, 14, 1),
            (3, 64, 112, 7),
            (2048, 512, 7, 1),
        ] {
            for threads in [2, 4] {
                let found =
                    layout([1, ins, size + kernel - 1, size + kernel - 1], [outs, ins, kernel, kernel], threads);
                let mut lanes = vec![0; threads];
                for channels in even_blocks(outs, found.channels, found.channel_unit) {
                    for row in (0..size).step_by(found.rows) {
                        let least = lanes.iter_mut().min().unwrap();
                        *least += channels.len() * found.rows.min(size - row);
                    }
                }
                let (longest, even) = (*lanes.iter().max().unwrap() as f64, (outs * size / threads) as f64);
                assert!(longest <= 1.12 * even, "{ins} to {outs} at {size}, {threads} threads: {lanes:?}");
            }
        }
    }

    #[test]
    fn a_folded_batch_has_pieces_for_all_threads_in_the_memory_that_it_may_have() {
        for (threads, least) in [(1, 1), (2, 4), (7, 8)] {
            for (outs, ins, kernel) in [(512, 1024, 1), (1024, 512, 1), (512, 512, 3)] {
                let found = layout([8, ins, 7 + kernel - 1, 7 + kernel - 1], [outs, ins, kernel, kernel], threads);
                let pieces = 8_usize.div_ceil(found.planes) * outs.div_ceil(found.channels);
                assert!(pieces >= least, "{threads} threads: {pieces} pieces");
                assert!(found.slot_len() * VECTOR.size <= (2 << 20) + 2 * ALIGNMENT_BYTES);
            }
        }
    }
}
