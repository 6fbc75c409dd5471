//! `vrns16` for contiguous addresses, sixteen precomputed tables at a time.
//!
//! Table i holds `fmix64(r | p[i] << 16 | i << 32)` for every residue r, so over
//! consecutive x the channel i is a *contiguous slice* of table i, and h is the
//! XOR of sixteen slices. Inside an aligned block the seed's high bits are
//! constant and its low bits only permute the cells, so the same holds for
//! addresses. The tables are 8.4 MB, the same for every seed, and built once.
//!
//! Long runs are walked in tiles: blocks `STRIDE` apart read nearly the same
//! slices (`STRIDE` is near the mean of the primes), which then stay in the
//! first-level cache.

use std::ops::Range;
use std::ptr::NonNull;
use std::sync::OnceLock;

use super::{PRIMES, fmix64, to_f64};
use crate::generative::streaming;
use crate::{cpu, parallel};

/// Cells the kernels make at a time.
pub const GROUP: usize = 16;
/// Cells of one block when walking in address order.
pub const BLOCK: usize = 512;
/// Cells of one block when walking in tiles.
pub const TILE: usize = 128;
/// Distance of the blocks of one tile: the multiple of `TILE` nearest the primes' mean.
pub const STRIDE: usize = 511 * TILE;
/// Cells of the aligned regions in which tiles are formed.
pub const REGION: usize = 1 << 20;
/// Shares of a region, to be shared out to threads. Sharing out tiles rather than
/// addresses keeps every tile whole, and a core that is held up holds up the others
/// for one share, some 0.04 ms.
const SHARES: usize = 64;
/// Cells of a group that are made one by one sooner than all together.
#[cfg(target_arch = "x86_64")]
const FEW: usize = 4;
/// Cells from which on stores go around the caches.
const STREAM_FROM: usize = streaming::FROM / size_of::<f64>();

/// Sixteen slices, one a table, whose XOR gives an aligned run of cells.
pub struct Block {
    pub tables: *const u64,
    /// Where the slices begin.
    pub offsets: [u32; 16],
    /// The seed's bits below the block's length.
    pub permutation: usize,
}

pub struct Tables {
    first: NonNull<u64>,
}

// SAFETY: written only while being built; afterwards every access is a read.
unsafe impl Send for Tables {}
// SAFETY: as above.
unsafe impl Sync for Tables {}

/// Where each table begins.
const STARTS: [usize; 17] = starts(BLOCK);

/// Where table i begins, and last where all of them end. Each is followed by a repetition of
/// its first entries, so that a slice of `longest` never has to wrap.
pub const fn starts(longest: usize) -> [usize; 17] {
    let mut starts = [0; 17];
    let mut i = 0;
    while i < 16 {
        starts[i + 1] = starts[i] + PRIMES[i] as usize + longest;
        i += 1;
    }
    starts
}

/// How far beyond the first block's slice of table i the slices of a tile reach.
#[cfg(target_arch = "x86_64")]
const FRONTS: [usize; 16] = {
    let mut fronts = [0; 16];
    let mut i = 0;
    while i < 16 {
        fronts[i] = STRIDE.saturating_sub(PRIMES[i] as usize) * (REGION / STRIDE - 1);
        i += 1;
    }
    fronts
};

/// The tables, built by the first caller; None where memory for them is refused.
pub fn get() -> Option<&'static Tables> {
    static TABLES: OnceLock<Option<Tables>> = OnceLock::new();
    TABLES.get_or_init(Tables::build).as_ref()
}

impl Tables {
    fn build() -> Option<Tables> {
        let entries = allocate(STARTS[16])?;
        for i in 0..16 {
            for r in 0..PRIMES[i] + BLOCK as u64 {
                // SAFETY: table i ends where the next begins, inside the allocation.
                unsafe { entries.add(STARTS[i] + r as usize).write(entry(i, r)) };
            }
        }
        Some(Tables { first: entries })
    }

    /// `out[j]` = the cell at `start + j`, wrapping past 2^64 - 1. `out` is one of the runs of
    /// a read of `whole` cells.
    pub fn fill(&self, seed: u64, start: u64, out: &mut [f64], threads: usize, whole: usize) {
        let head = (start.wrapping_neg() as usize % GROUP).min(out.len());
        let (head, rest) = out.split_at_mut(head);
        let (body, tail) = rest.split_at_mut(rest.len() / GROUP * GROUP);
        let body_start = start.wrapping_add(head.len() as u64);
        let tail_start = body_start.wrapping_add(body.len() as u64);
        self.part_of_group(seed, start, head);
        self.part_of_group(seed, tail_start, tail);

        let stream = whole >= STREAM_FROM;
        let finish = || {
            if stream {
                streaming::end();
            }
        };
        let (out, length) = (body.as_mut_ptr(), body.len());
        let body = Body { seed, start: body_start, length, out, kernel: kernel(stream) };
        let threads = parallel::worth(threads, body.length);
        if threads == 1 && body.length < REGION / 4 {
            self.in_order(&body, 0..body.length);
            finish();
        } else {
            let shares = body.regions() * SHARES;
            parallel::share_out(threads, shares, |mine| {
                for i in mine {
                    self.share(&body, i / SHARES, i % SHARES);
                }
                finish();
            });
        }
    }

    /// Makes whole blocks of `TILE` cells that lie in one aligned region, and gives
    /// each to `each` with its number, counted from `start`: in the order of tiles,
    /// and in memory that stays in the first-level cache.
    pub fn visit(
        &self,
        seed: u64,
        start: u64,
        blocks: usize,
        mut each: impl FnMut(usize, &mut [f64; TILE]),
    ) {
        let kernel = kernel(false);
        let mut cells = Cells([0.0; TILE]);
        for_each_tiled::<TILE, STRIDE>(
            seed,
            start,
            blocks * TILE,
            0..STRIDE / TILE,
            |at, place, residues| {
                self.fetch_ahead(place);
                let block = self.block(residues, seed as usize % TILE);
                // SAFETY: room for a whole block.
                unsafe { kernel(&block, 0, TILE / GROUP, cells.0.as_mut_ptr()) };
                each(at / TILE, &mut cells.0);
            },
        );
    }

    /// Fetches what the next tile is the first to read of one table: another table for
    /// each block of a tile. It is new to the near caches, and no stretch is long enough
    /// for the CPU to see it coming.
    #[inline(always)]
    fn fetch_ahead(&self, place: Place<'_>) {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            let i = place.block % 16;
            let slice = STARTS[i] + place.first[i] as usize + TILE + FRONTS[i];
            for line in (8..TILE + 8).step_by(8) {
                let entry = self.first.as_ptr().wrapping_add(slice + line);
                // SAFETY: every x86-64 CPU has SSE, and any address may be fetched.
                unsafe { _mm_prefetch::<_MM_HINT_T0>(entry.cast_const().cast()) };
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = place;
    }

    /// Cells that lie within one group, at either end of a run.
    fn part_of_group(&self, seed: u64, start: u64, out: &mut [f64]) {
        #[cfg(target_arch = "x86_64")]
        if out.len() > FEW && cpu::path().has_avx2() {
            let within = start as usize % GROUP;
            let x = (start ^ seed) & !(BLOCK as u64 - 1);
            let block = self.block(residues(x), seed as usize % BLOCK);
            let mut group = [0.0; GROUP];
            // SAFETY: the CPU has AVX2; one group of a block, and room for it.
            unsafe {
                super::avx2::groups::<false>(
                    &block,
                    start as usize % BLOCK / GROUP,
                    1,
                    group.as_mut_ptr(),
                );
            }
            return out.copy_from_slice(&group[within..within + out.len()]);
        }
        for (j, slot) in out.iter_mut().enumerate() {
            *slot = super::value(seed, start.wrapping_add(j as u64));
        }
    }

    /// One of the `SHARES` shares of what lies in one region. Shares are disjoint,
    /// so threads may take them in any order.
    fn share(&self, body: &Body, region: usize, share: usize) {
        let run = body.run(region);
        if run.len() < REGION / 4 {
            let length = run.len().div_ceil(SHARES).next_multiple_of(BLOCK);
            let from = (run.start + share * length).min(run.end);
            return self.in_order(body, from..(from + length).min(run.end));
        }
        // Blocks that stick out at either end are made in order.
        let head = run.start + body.address(run.start).wrapping_neg() as usize % TILE;
        let tail = run.end - body.address(run.end) as usize % TILE;
        match share {
            0 => self.in_order(body, run.start..head),
            1 => self.in_order(body, tail..run.end),
            _ => {}
        }
        let tiles = (STRIDE / TILE).div_ceil(SHARES);
        let tiles = share * tiles..((share + 1) * tiles).min(STRIDE / TILE);
        self.tiles(body, head..tail, tiles);
    }

    /// Block by block in address order: for runs too short for tiles.
    fn in_order(&self, body: &Body, run: Range<usize>) {
        let mut at = run.start;
        while at < run.end {
            let address = body.address(at);
            let within = address as usize % BLOCK;
            let cells = (BLOCK - within).min(run.end - at);
            let x = (address ^ body.seed) & !(BLOCK as u64 - 1);
            let block = self.block(residues(x), body.seed as usize % BLOCK);
            // SAFETY: `within` and `cells` are multiples of GROUP that stay in the
            // block; the body has `cells` more from `at` on, aligned as `fill` saw.
            unsafe { (body.kernel)(&block, within / GROUP, cells / GROUP, body.out.add(at)) };
            at += cells;
        }
    }

    /// Some tiles of a run of whole blocks that lies in one aligned region.
    fn tiles(&self, body: &Body, run: Range<usize>, tiles: Range<usize>) {
        let start = body.address(run.start);
        for_each_tiled::<TILE, STRIDE>(
            body.seed,
            start,
            run.len(),
            tiles,
            |at, place, residues| {
                self.fetch_ahead(place);
                let block = self.block(residues, body.seed as usize % TILE);
                let out = body.out.wrapping_add(run.start + at);
                // SAFETY: `at` is a multiple of TILE below the run's length, which is one
                // too, so a whole block fits.
                unsafe { (body.kernel)(&block, 0, TILE / GROUP, out) };
            },
        );
    }

    #[inline(always)]
    pub fn block(&self, residues: [u32; 16], permutation: usize) -> Block {
        let mut offsets = residues;
        for (offset, start) in offsets.iter_mut().zip(STARTS) {
            *offset += start as u32;
        }
        Block { tables: self.first.as_ptr(), offsets, permutation }
    }
}

/// A block's place in its tile.
#[derive(Clone, Copy)]
#[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "the SIMD path reads it"))]
pub struct Place<'a> {
    block: usize,
    /// The residues of the tile's first block.
    first: &'a [u32; 16],
}

/// Calls `each(at, place, residues)` for the blocks of some tiles that lie in a run of
/// `length` cells from `start` on: whole blocks of `TILE` cells inside one aligned region,
/// those of a tile `STRIDE` apart.
#[inline(always)]
pub fn for_each_tiled<const TILE: usize, const STRIDE: usize>(
    seed: u64,
    start: u64,
    length: usize,
    tiles: Range<usize>,
    mut each: impl FnMut(usize, Place<'_>, [u32; 16]),
) {
    let first = start as usize % REGION;
    let x = (start ^ seed) & !(REGION as u64 - 1);
    let flip = (seed as usize % REGION) & !(TILE - 1);
    for tile in tiles {
        let first_residues = residues(x.wrapping_add((tile * TILE) as u64));
        let mut r = first_residues;
        for (block, offset) in (tile * TILE..REGION).step_by(STRIDE).enumerate() {
            let at = (offset ^ flip).wrapping_sub(first);
            if at < length {
                each(at, Place { block, first: &first_residues }, r);
            }
            advance::<STRIDE>(&mut r);
        }
    }
}

#[inline]
pub fn residues(x: u64) -> [u32; 16] {
    #[cfg(target_arch = "x86_64")]
    if cpu::path().has_avx2() {
        // SAFETY: the path has AVX2 only where the CPU was seen to have it.
        return unsafe { super::avx2::all_residues(x) };
    }
    let mut r = [0; 16];
    let mut i = 0;
    while i < 16 {
        r[i] = (x % PRIMES[i]) as u32;
        i += 1;
    }
    r
}

/// The residues `STRIDE` further on: less than two primes.
#[inline(always)]
pub fn advance<const STRIDE: usize>(r: &mut [u32; 16]) {
    for (r, p) in r.iter_mut().zip(PRIMES) {
        let v = *r + (STRIDE as u64 % p) as u32;
        *r = v.min(v.wrapping_sub(p as u32));
    }
}

/// Cells of one block, where vectors lie best.
#[repr(align(64))]
struct Cells([f64; TILE]);

/// Whole groups of cells to be made.
struct Body {
    seed: u64,
    start: u64,
    length: usize,
    out: *mut f64,
    kernel: Kernel,
}

// SAFETY: `out` is written through disjoint shares only, while `fill` borrows it.
unsafe impl Sync for Body {}

impl Body {
    fn address(&self, at: usize) -> u64 {
        self.start.wrapping_add(at as u64)
    }

    /// How many aligned regions the cells touch.
    fn regions(&self) -> usize {
        (self.start as usize % REGION + self.length).div_ceil(REGION)
    }

    /// Where the cells of the region of that number lie.
    fn run(&self, region: usize) -> Range<usize> {
        let before = self.start as usize % REGION;
        let from = (region * REGION).saturating_sub(before);
        from..((region + 1) * REGION - before).min(self.length)
    }
}

/// Writes some groups of a block: (block, first group, groups, out).
pub type Kernel = unsafe fn(&Block, usize, usize, *mut f64);

/// The kernel of this CPU, whose stores go around the caches where it is to `stream`.
pub fn kernel(stream: bool) -> Kernel {
    match (cpu::path().has_avx2(), stream) {
        #[cfg(target_arch = "x86_64")]
        (true, true) => super::avx2::groups::<true>,
        #[cfg(target_arch = "x86_64")]
        (true, false) => super::avx2::groups::<false>,
        _ => portable_groups,
    }
}

/// The kernel in plain Rust; see `avx2::groups` for its contract.
unsafe fn portable_groups(block: &Block, first: usize, groups: usize, out: *mut f64) {
    let s = block.permutation;
    for g in 0..groups {
        let j = ((first + g) * GROUP) ^ (s & !(GROUP - 1));
        let mut acc = [0u64; GROUP];
        for &offset in &block.offsets {
            // SAFETY: each slice holds a whole block from its offset on.
            let part =
                unsafe { block.tables.add(offset as usize + j).cast::<[u64; GROUP]>().read() };
            for (acc, part) in acc.iter_mut().zip(part) {
                *acc ^= part;
            }
        }
        for (k, h) in acc.into_iter().enumerate() {
            // SAFETY: the caller gives room for `groups` whole groups.
            unsafe { out.add(g * GROUP + (k ^ (s % GROUP))).write(to_f64(h)) };
        }
    }
}

/// What channel i gives for x = r.
pub fn entry(i: usize, r: u64) -> u64 {
    let p = PRIMES[i];
    fmix64((r % p) | (p << 16) | (i as u64) << 32)
}

/// Room for tables, in huge pages where the system has them: sixteen
/// streams at once are hard on the TLB.
pub fn allocate<T>(entries: usize) -> Option<NonNull<T>> {
    const HUGE_PAGE: usize = 2 << 20;
    let bytes = (entries * size_of::<T>()).next_multiple_of(HUGE_PAGE);
    let layout = std::alloc::Layout::from_size_align(bytes, HUGE_PAGE).ok()?;
    // SAFETY: the layout has a size above zero.
    let memory = NonNull::new(unsafe { std::alloc::alloc(layout) })?;
    #[cfg(target_os = "linux")]
    {
        use rustix::mm::{Advice, madvise};
        // SAFETY: the range is the allocation just made. A refusal costs speed only.
        let _ = unsafe { madvise(memory.as_ptr().cast(), bytes, Advice::LinuxHugepage) };
    }
    Some(memory.cast())
}
