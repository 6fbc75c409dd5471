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

use std::ptr::NonNull;
use std::sync::OnceLock;

use super::{PRIMES, fmix64, to_f64};
use crate::cpu;

/// Cells the kernels make at a time.
pub const GROUP: usize = 16;
/// Cells of one block when walking in address order.
const BLOCK: usize = 512;
/// Cells of one block when walking in tiles.
const TILE: usize = 128;
/// Distance of the blocks of one tile: the multiple of `TILE` nearest the primes' mean.
const STRIDE: usize = 511 * TILE;
/// Cells of the aligned regions in which tiles are formed.
const REGION: usize = 1 << 20;
/// Cells from which on stores go around the caches: more than those hold.
const STREAM_FROM: usize = 1 << 17;

/// Sixteen slices, one a table, whose XOR gives an aligned run of cells.
pub struct Block {
    pub slices: [*const u64; 16],
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

/// Where table i begins. Each is followed by a repetition of its first `BLOCK`
/// entries, so that a slice never has to wrap.
const STARTS: [usize; 17] = {
    let mut starts = [0; 17];
    let mut i = 0;
    while i < 16 {
        starts[i + 1] = starts[i] + PRIMES[i] as usize + BLOCK;
        i += 1;
    }
    starts
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
            let p = PRIMES[i];
            for r in 0..p + BLOCK as u64 {
                let entry = fmix64((r % p) | (p << 16) | (i as u64) << 32);
                // SAFETY: table i ends where the next begins, inside the allocation.
                unsafe { entries.add(STARTS[i] + r as usize).write(entry) };
            }
        }
        Some(Tables { first: entries })
    }

    /// `out[j]` = the cell at `start + j`, wrapping past 2^64 - 1.
    pub fn fill(&self, seed: u64, start: u64, out: &mut [f64]) {
        let head = (start.wrapping_neg() as usize % GROUP).min(out.len());
        let (head, rest) = out.split_at_mut(head);
        let (body, tail) = rest.split_at_mut(rest.len() / GROUP * GROUP);
        let body_start = start.wrapping_add(head.len() as u64);
        let tail_start = body_start.wrapping_add(body.len() as u64);
        self.part_of_group(seed, start, head);
        self.part_of_group(seed, tail_start, tail);

        let stream = body.len() >= STREAM_FROM && body.as_ptr().addr().is_multiple_of(16);
        match (cpu::path(), stream) {
            #[cfg(target_arch = "x86_64")]
            (cpu::Path::Avx2, true) => {
                self.body(seed, body_start, body, super::avx2::groups::<true>);
                super::avx2::end_of_streaming();
            }
            #[cfg(target_arch = "x86_64")]
            (cpu::Path::Avx2, false) => {
                self.body(seed, body_start, body, super::avx2::groups::<false>);
            }
            _ => self.body(seed, body_start, body, portable_groups),
        }
    }

    /// Cells that lie within one group, at either end of a run.
    fn part_of_group(&self, seed: u64, start: u64, out: &mut [f64]) {
        for (j, slot) in out.iter_mut().enumerate() {
            *slot = super::value(seed, start.wrapping_add(j as u64));
        }
    }

    /// Whole groups from a group's boundary on.
    fn body(&self, seed: u64, start: u64, out: &mut [f64], kernel: Kernel) {
        let mut start = start;
        let mut out = out;
        while !out.is_empty() {
            let to_boundary = REGION - start as usize % REGION;
            let (piece, rest) = out.split_at_mut(to_boundary.min(out.len()));
            let length = piece.len() as u64;
            if piece.len() >= REGION / 4 {
                self.region(seed, start, piece, kernel);
            } else {
                self.in_order(seed, start, piece, kernel);
            }
            start = start.wrapping_add(length);
            out = rest;
        }
    }

    /// Block by block in address order: for runs too short for tiles.
    fn in_order(&self, seed: u64, start: u64, out: &mut [f64], kernel: Kernel) {
        let mut address = start;
        let mut done = 0;
        while done < out.len() {
            let within = address as usize % BLOCK;
            let cells = (BLOCK - within).min(out.len() - done);
            let x = (address ^ seed) & !(BLOCK as u64 - 1);
            let block = self.block(residues(x), seed as usize % BLOCK);
            // SAFETY: `within` and `cells` are multiples of GROUP that stay in
            // the block; `out` has `cells` more from `done` on, aligned as `fill` saw.
            unsafe {
                let target = out.as_mut_ptr().add(done);
                kernel(&block, within / GROUP, cells / GROUP, target);
            }
            address = address.wrapping_add(cells as u64);
            done += cells;
        }
    }

    /// Tile by tile, for a run that lies in one aligned region and fills much of it.
    fn region(&self, seed: u64, start: u64, out: &mut [f64], kernel: Kernel) {
        // Blocks that stick out at either end are made in order.
        let head = start.wrapping_neg() as usize % TILE;
        let (head, rest) = out.split_at_mut(head.min(out.len()));
        let (body, tail) = rest.split_at_mut(rest.len() / TILE * TILE);
        let body_start = start.wrapping_add(head.len() as u64);
        self.in_order(seed, start, head, kernel);
        self.in_order(seed, body_start.wrapping_add(body.len() as u64), tail, kernel);

        let first = body_start as usize % REGION;
        let x = (start ^ seed) & !(REGION as u64 - 1);
        let flip = (seed as usize % REGION) & !(TILE - 1);
        for tile in (0..STRIDE).step_by(TILE) {
            let mut r = residues(x.wrapping_add(tile as u64));
            for offset in (tile..REGION).step_by(STRIDE) {
                let at = (offset ^ flip).wrapping_sub(first);
                if at < body.len() {
                    let block = self.block(r, seed as usize % TILE);
                    // SAFETY: `at` is a multiple of TILE below the body's length,
                    // which is one too, so a whole block fits.
                    unsafe { kernel(&block, 0, TILE / GROUP, body.as_mut_ptr().add(at)) };
                }
                advance(&mut r);
            }
        }
    }

    #[inline(always)]
    fn block(&self, residues: [u32; 16], permutation: usize) -> Block {
        let mut slices = [self.first.as_ptr().cast_const(); 16];
        for i in 0..16 {
            // SAFETY: a residue is below p[i], and BLOCK more entries follow.
            slices[i] = unsafe { slices[i].add(STARTS[i] + residues[i] as usize) };
        }
        Block { slices, permutation }
    }
}

#[inline]
fn residues(x: u64) -> [u32; 16] {
    let mut r = [0; 16];
    let mut i = 0;
    while i < 16 {
        r[i] = (x % PRIMES[i]) as u32;
        i += 1;
    }
    r
}

/// The residues `STRIDE` further on.
#[inline(always)]
fn advance(r: &mut [u32; 16]) {
    for (r, p) in r.iter_mut().zip(PRIMES) {
        let v = *r + (STRIDE as u64 % p) as u32;
        *r = v.min(v.wrapping_sub(p as u32));
    }
}

/// Writes some groups of a block: (block, first group, groups, out).
type Kernel = unsafe fn(&Block, usize, usize, *mut f64);

/// The kernel in plain Rust; see `avx2::groups` for its contract.
unsafe fn portable_groups(block: &Block, first: usize, groups: usize, out: *mut f64) {
    let s = block.permutation;
    for g in 0..groups {
        let j = ((first + g) * GROUP) ^ (s & !(GROUP - 1));
        let mut acc = [0u64; GROUP];
        for slice in &block.slices {
            // SAFETY: each slice holds a whole block from its pointer on.
            let part = unsafe { slice.add(j).cast::<[u64; GROUP]>().read() };
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

/// Room for the tables, in huge pages where the system has them: sixteen
/// streams at once are hard on the TLB.
fn allocate(entries: usize) -> Option<NonNull<u64>> {
    const HUGE_PAGE: usize = 2 << 20;
    let bytes = (entries * size_of::<u64>()).next_multiple_of(HUGE_PAGE);
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
