//! Panels: the columns of a block of the patch matrix that the microkernel takes at a time.

#![allow(unsafe_code)]

use super::patches::Segment;
use crate::element::Element;
use crate::simd::ask_for_line;

/// Bytes that are copied at a time: a cache line, and the widest vector there is.
const CHUNK_BYTES: usize = 64;

/// A chunk of neighbouring cells, and where it goes in a row of the panel.
#[derive(Clone, Copy, Default)]
struct Chunk {
    from: usize,
    to: usize,
    /// Cells of it that count.
    len: usize,
}

/// Lanes of the widest tile of any microkernel, and so the most chunks of a panel's row.
pub(super) const MAX_LANES: usize = 64;

/// Rows from the one that is packed to the one that is asked for: inputs of a batch come from memory.
const ROWS_AHEAD: usize = 32;

/// Which cells the windows of at most so many panels read, counted from a kernel cell's offset, in chunks.
pub(super) struct Chunks<const PANELS: usize = 1> {
    chunks: [[Chunk; MAX_LANES]; PANELS],
    count: usize,
    /// Lanes of a panel, and elements from one to the next beyond them.
    lanes: usize,
    gap: usize,
}

impl Chunks {
    /// `start` tells where the first window of a segment reads.
    pub fn new<T>(segments: impl Iterator<Item = Segment>, start: impl Fn(&Segment) -> usize) -> Self {
        Self::of_panels::<T>(segments, start, (MAX_LANES, MAX_LANES))
    }
}

impl<const PANELS: usize> Chunks<PANELS> {
    /// Of panels of so many lanes, `panel_len` elements apart.
    pub fn of_panels<T>(
        segments: impl Iterator<Item = Segment>,
        start: impl Fn(&Segment) -> usize,
        (lanes, panel_len): (usize, usize),
    ) -> Self {
        let chunks = [[Chunk::default(); MAX_LANES]; PANELS];
        let mut all = Self { chunks, count: 0, lanes, gap: panel_len - lanes };
        let mut run = Chunk::default();
        for segment in segments {
            let (from, to, len) = (start(&segment), segment.place.start, segment.place.len());
            // Rows that follow each other without a gap are one run.
            if run.from + run.len == from {
                run.len += len;
            } else {
                all.push_run::<T>(run);
                run = Chunk { from, to, len };
            }
        }
        all.push_run::<T>(run);
        all
    }

    fn push_run<T>(&mut self, mut run: Chunk) {
        let most = CHUNK_BYTES / size_of::<T>();
        while run.len > 0 {
            let panel = if PANELS == 1 { 0 } else { run.to / self.lanes };
            let lane = run.to - panel * self.lanes;
            let len = most.min(run.len).min(self.lanes - lane);
            self.chunks.as_flattened_mut()[self.count] = Chunk { from: run.from, to: run.to + panel * self.gap, len };
            self.count += 1;
            run = Chunk { from: run.from + len, to: run.to + len, len: run.len - len };
        }
    }
}

/// Rows of a block of the patch matrix: where each kernel cell lies in the source.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    offsets: &'a [usize],
    /// Subtracted from each offset.
    base: usize,
    /// The largest offset.
    last: usize,
    /// Whether they are asked for ahead.
    are_far: bool,
}

impl<'a> Rows<'a> {
    pub fn new(offsets: &'a [usize], base: usize) -> Self {
        assert!(offsets.iter().all(|&offset| offset >= base), "a kernel cell before its slab");
        Self { offsets, base, last: offsets.iter().copied().max().unwrap_or(base) - base, are_far: false }
    }

    /// The same of a source that may lie in memory.
    pub fn far(self) -> Self {
        Self { are_far: true, ..self }
    }

    /// Where the row lies in the source that is asked for while another is packed.
    #[inline(always)]
    fn ahead(&self, row: usize) -> usize {
        self.offsets[(row + ROWS_AHEAD).min(self.offsets.len() - 1)] - self.base
    }
}

/// Writes the panel `[rows, lanes]`, or several: row `k` holds the cells of all chunks at the offset of kernel cell `k`.
///
/// Chunks are copied whole; what one writes beyond its cells is overwritten by the next chunk or row, or
/// lies in the slack after the panel. Near the end of the source they are copied by the cell.
pub(super) fn pack_panel<T: Element, const PANELS: usize>(
    panel: &mut [T],
    lanes: usize,
    source: &[T],
    rows: Rows<'_>,
    chunks: &Chunks<PANELS>,
) {
    let list = &chunks.chunks.as_flattened()[..chunks.count];
    let size = CHUNK_BYTES / size_of::<T>();
    let end = |place: fn(&Chunk) -> usize| list.iter().map(place).max().unwrap_or(0) + size;
    let panel_end = rows.offsets.len().saturating_sub(1) * lanes + end(|chunk| chunk.to);
    assert!(panel_end <= panel.len(), "a panel with its slack");
    if rows.last + end(|chunk| chunk.from) > source.len() {
        return pack_cells(panel, lanes, source, rows, list);
    }
    let (panel, source) = (panel.as_mut_ptr(), source.as_ptr());
    // SAFETY: each row copies whole chunks from `offset − base + from`, of which the last ends inside the
    // source, to `row · lanes + to`, of which the last ends inside the panel; both have just been checked
    // (`Rows::new` has checked that no offset is before its base). The instruction sets have been found.
    unsafe {
        #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
        {
            if is_x86_feature_detected!("avx512f") {
                return pack_avx512(panel, lanes, source, rows, list);
            }
            if is_x86_feature_detected!("avx") {
                return pack_avx(panel, lanes, source, rows, list);
            }
        }
        pack_rows(panel, lanes, source, rows, list);
    }
}

fn pack_cells<T: Element>(panel: &mut [T], lanes: usize, source: &[T], rows: Rows<'_>, chunks: &[Chunk]) {
    for (row, &offset) in rows.offsets.iter().enumerate() {
        for chunk in chunks {
            let (from, to) = (offset - rows.base + chunk.from, row * lanes + chunk.to);
            panel[to..to + chunk.len].copy_from_slice(&source[from..from + chunk.len]);
        }
    }
}

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
#[target_feature(enable = "avx512f")]
unsafe fn pack_avx512<T>(panel: *mut T, lanes: usize, source: *const T, rows: Rows<'_>, chunks: &[Chunk]) {
    // SAFETY: the caller's obligations are the same.
    unsafe { pack_rows(panel, lanes, source, rows, chunks) }
}

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
#[target_feature(enable = "avx")]
unsafe fn pack_avx<T>(panel: *mut T, lanes: usize, source: *const T, rows: Rows<'_>, chunks: &[Chunk]) {
    // SAFETY: the caller's obligations are the same.
    unsafe { pack_rows(panel, lanes, source, rows, chunks) }
}

/// Inlined into a function of each instruction set, where the chunks become its widest moves.
///
/// # Safety
/// Every chunk at every offset must lie inside the source, and its place inside the panel.
#[inline(always)]
unsafe fn pack_rows<T>(panel: *mut T, lanes: usize, source: *const T, rows: Rows<'_>, chunks: &[Chunk]) {
    // SAFETY: the caller's obligations are the same.
    unsafe {
        match rows.are_far {
            true => pack::<T, true>(panel, lanes, source, rows, chunks),
            false => pack::<T, false>(panel, lanes, source, rows, chunks),
        }
    }
}

/// The usual numbers of chunks have loops of their own, with all places in registers.
///
/// # Safety
/// As [`pack_rows`].
#[inline(always)]
unsafe fn pack<T, const FAR: bool>(panel: *mut T, lanes: usize, source: *const T, rows: Rows<'_>, chunks: &[Chunk]) {
    // SAFETY: the caller's obligations are the same.
    unsafe {
        match chunks.len() {
            1 => pack_fixed::<T, FAR, 1>(panel, lanes, source, rows, chunks),
            2 => pack_fixed::<T, FAR, 2>(panel, lanes, source, rows, chunks),
            3 => pack_fixed::<T, FAR, 3>(panel, lanes, source, rows, chunks),
            4 => pack_fixed::<T, FAR, 4>(panel, lanes, source, rows, chunks),
            5 => pack_fixed::<T, FAR, 5>(panel, lanes, source, rows, chunks),
            6 => pack_fixed::<T, FAR, 6>(panel, lanes, source, rows, chunks),
            7 => pack_fixed::<T, FAR, 7>(panel, lanes, source, rows, chunks),
            _ => {
                for (row, &offset) in rows.offsets.iter().enumerate() {
                    let (from, to) = (source.add(offset - rows.base), panel.add(row * lanes));
                    let ahead = source.add(if FAR { rows.ahead(row) } else { 0 });
                    for chunk in chunks {
                        if FAR {
                            ask_for_line::<T, false>(ahead.add(chunk.from));
                        }
                        copy_chunk(from.add(chunk.from), to.add(chunk.to));
                    }
                }
            }
        }
    }
}

/// # Safety
/// As [`pack_rows`], and there are `N` chunks.
#[inline(always)]
unsafe fn pack_fixed<T, const FAR: bool, const N: usize>(
    panel: *mut T,
    lanes: usize,
    source: *const T,
    rows: Rows<'_>,
    chunks: &[Chunk],
) {
    let places: [(usize, usize); N] = std::array::from_fn(|i| (chunks[i].from, chunks[i].to));
    for (row, &offset) in rows.offsets.iter().enumerate() {
        // SAFETY: the caller's obligations are the same.
        unsafe {
            let (cells, out) = (source.add(offset - rows.base), panel.add(row * lanes));
            let ahead = source.add(if FAR { rows.ahead(row) } else { 0 });
            for (from, to) in places {
                if FAR {
                    ask_for_line::<T, false>(ahead.add(from));
                }
                copy_chunk(cells.add(from), out.add(to));
            }
        }
    }
}

/// # Safety
/// Both pointers must be valid for a chunk; the source is never the panel.
#[inline(always)]
unsafe fn copy_chunk<T>(from: *const T, to: *mut T) {
    // SAFETY: the caller's obligation.
    unsafe { std::ptr::copy_nonoverlapping(from, to, CHUNK_BYTES / size_of::<T>()) }
}
