//! Panels: the columns of a block of the patch matrix that the microkernel takes at a time.

#![allow(unsafe_code)]

use super::patches::Segment;
use crate::element::Element;

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

/// Which cells the windows of a panel read, counted from a kernel cell's offset, in chunks.
pub(super) struct Chunks {
    chunks: [Chunk; MAX_LANES],
    count: usize,
}

impl Chunks {
    /// `start` tells where the first window of a segment reads.
    pub fn new<T>(segments: impl Iterator<Item = Segment>, start: impl Fn(&Segment) -> usize) -> Self {
        let mut all = Self { chunks: [Chunk::default(); MAX_LANES], count: 0 };
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

    fn push_run<T>(&mut self, run: Chunk) {
        let chunk = CHUNK_BYTES / size_of::<T>();
        for done in (0..run.len).step_by(chunk) {
            let len = chunk.min(run.len - done);
            self.chunks[self.count] = Chunk { from: run.from + done, to: run.to + done, len };
            self.count += 1;
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
}

impl<'a> Rows<'a> {
    pub fn new(offsets: &'a [usize], base: usize) -> Self {
        assert!(offsets.iter().all(|&offset| offset >= base), "a kernel cell before its slab");
        Self { offsets, base, last: offsets.iter().copied().max().unwrap_or(base) - base }
    }
}

/// Asks for cells that will be read soon, so that they are in the cache by then.
pub(super) fn ask_for<T>(cells: &[T]) {
    #[cfg(target_arch = "x86_64")]
    for line in cells.chunks(CHUNK_BYTES / size_of::<T>()) {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        // SAFETY: it writes nothing and what it reads is seen by nobody; every such processor has it.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(line.as_ptr().cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = cells;
}

/// Writes the panel `[rows, lanes]`: row `k` holds the cells of all chunks at the offset of kernel cell `k`.
///
/// Chunks are copied whole; what one writes beyond its cells is overwritten by the next chunk or row, or
/// lies in the slack after the panel. Near the end of the source they are copied by the cell.
pub(super) fn pack_panel<T: Element>(panel: &mut [T], lanes: usize, source: &[T], rows: Rows<'_>, chunks: &Chunks) {
    let list = &chunks.chunks[..chunks.count];
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
        pack(panel, lanes, source, rows, list);
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
    unsafe { pack(panel, lanes, source, rows, chunks) }
}

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
#[target_feature(enable = "avx")]
unsafe fn pack_avx<T>(panel: *mut T, lanes: usize, source: *const T, rows: Rows<'_>, chunks: &[Chunk]) {
    // SAFETY: the caller's obligations are the same.
    unsafe { pack(panel, lanes, source, rows, chunks) }
}

/// Inlined into a function of each instruction set, where the chunks become its widest moves. The usual
/// numbers of chunks have loops of their own, with all places in registers.
///
/// # Safety
/// Every chunk at every offset must lie inside the source, and its place inside the panel.
#[inline(always)]
unsafe fn pack<T>(panel: *mut T, lanes: usize, source: *const T, rows: Rows<'_>, chunks: &[Chunk]) {
    // SAFETY: the caller's obligations are the same.
    unsafe {
        match chunks.len() {
            1 => pack_fixed::<T, 1>(panel, lanes, source, rows, chunks),
            2 => pack_fixed::<T, 2>(panel, lanes, source, rows, chunks),
            3 => pack_fixed::<T, 3>(panel, lanes, source, rows, chunks),
            4 => pack_fixed::<T, 4>(panel, lanes, source, rows, chunks),
            5 => pack_fixed::<T, 5>(panel, lanes, source, rows, chunks),
            6 => pack_fixed::<T, 6>(panel, lanes, source, rows, chunks),
            7 => pack_fixed::<T, 7>(panel, lanes, source, rows, chunks),
            _ => {
                for (row, &offset) in rows.offsets.iter().enumerate() {
                    let (from, to) = (source.add(offset - rows.base), panel.add(row * lanes));
                    for chunk in chunks {
                        copy_chunk(from.add(chunk.from), to.add(chunk.to));
                    }
                }
            }
        }
    }
}

/// # Safety
/// As [`pack`], and there are `N` chunks.
#[inline(always)]
unsafe fn pack_fixed<T, const N: usize>(
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
            for (from, to) in places {
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
