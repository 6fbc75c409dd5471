//! The generator `vrns16`: a hash of the residues of an address.
//!
//! With `x = address XOR seed` and sixteen primes p just below 2^16,
//!
//! ```text
//! h     = XOR over i of fmix64((x mod p[i]) | p[i] << 16 | i << 32)
//! value = (double)h / 2^64
//! ```
//!
//! This file holds the formula, which every faster form must match bit for bit:
//! [`tables`] for contiguous addresses, [`avx2`] for single ones.

#[cfg(target_arch = "x86_64")]
mod avx2;
pub mod planes;
mod runs;
mod tables;

use super::array::{Held, convert};
use super::streaming;
#[cfg(target_arch = "x86_64")]
use crate::cpu;
pub use runs::Finish;

/// 65536 - p is at most 183, which is what lets residues be folded cheaply.
pub(crate) const PRIMES: [u64; 16] = [
    65447, 65449, 65479, 65497, 65519, 65521, 65437, 65423, 65419, 65413, 65407, 65393, 65381,
    65371, 65357, 65353,
];

const MIX_1: u64 = 0xFF51_AFD7_ED55_8CCD;
const MIX_2: u64 = 0xC4CE_B9FE_1A85_EC53;

/// Below this length the table path does not pay for its set-up.
const SHORT: usize = 48;

/// The 64-bit finaliser of MurmurHash3.
#[inline(always)]
pub(crate) const fn fmix64(mut k: u64) -> u64 {
    k ^= k >> 33;
    k = k.wrapping_mul(MIX_1);
    k ^= k >> 33;
    k = k.wrapping_mul(MIX_2);
    k ^ (k >> 33)
}

/// The 64 bits behind one cell, straight from the formula: the reference.
#[inline]
pub fn reference(seed: u64, address: u64) -> u64 {
    let x = address ^ seed;
    let mut h = 0;
    let mut i = 0;
    // Unrolled by the compiler, so that each modulus is a constant.
    while i < 16 {
        h ^= fmix64((x % PRIMES[i]) | (PRIMES[i] << 16) | (i as u64) << 32);
        i += 1;
    }
    h
}

/// `(double)h / 2^64`. The division is exact: 2^64 is a power of two.
#[inline(always)]
pub fn to_f64(h: u64) -> f64 {
    h as f64 * (1.0 / 18_446_744_073_709_551_616.0)
}

/// One cell.
#[inline]
pub fn value(seed: u64, address: u64) -> f64 {
    #[cfg(target_arch = "x86_64")]
    if cpu::path().has_avx2() {
        // SAFETY: the path has AVX2 only where the CPU was seen to have it.
        return to_f64(unsafe { avx2::hash(address ^ seed) });
    }
    to_f64(reference(seed, address))
}

/// `out[j]` = the cell at `addresses[j]`. The slices have the same length.
pub fn values(seed: u64, addresses: &[u64], out: &mut [f64]) {
    #[cfg(target_arch = "x86_64")]
    if cpu::path().has_avx2() {
        // SAFETY: as in `value`.
        return unsafe { avx2::values(seed, addresses, out) };
    }
    for (slot, &address) in out.iter_mut().zip(addresses) {
        *slot = to_f64(reference(seed, address));
    }
}

/// `out[j]` = the cell at `start + j`, wrapping past 2^64 - 1, on up to `threads` threads.
pub fn fill(seed: u64, start: u64, out: &mut [f64], threads: usize) {
    let whole = out.len();
    fill_part(seed, start, out, threads, whole);
}

/// As [`fill`], for one of the runs of a read of `whole` cells: they are not all to stay in
/// the caches where there are many.
pub fn fill_part(seed: u64, start: u64, out: &mut [f64], threads: usize, whole: usize) {
    match tables::get() {
        Some(tables) if out.len() >= SHORT => tables.fill(seed, start, out, threads, whole),
        // Short, or no 8 MB to be had: slower, and right all the same.
        _ => {
            for (j, slot) in out.iter_mut().enumerate() {
                *slot = value(seed, start.wrapping_add(j as u64));
            }
        }
    }
}

/// A read of many runs, which `walk` gives one after the other: each as its first address, its
/// place in `out`, and its length, which is `usual` for most. They follow each other in `out`,
/// which is a part of a read of `whole` elements. Without `finish` these are the cells.
pub fn fill_runs<'a, T: Held>(
    seed: u64,
    out: &'a mut [T],
    usual: u64,
    whole: usize,
    mut finish: Option<Finish<'a>>,
    walk: impl FnOnce(&mut dyn FnMut(u64, usize, usize)),
) {
    let Some(tables) = tables::get() else {
        let mut cells = [0.0; TILE];
        return walk(&mut |start, at, length| {
            for (i, out) in out[at..at + length].chunks_mut(TILE).enumerate() {
                let start = start.wrapping_add((i * TILE) as u64);
                let cells = &mut cells[..out.len()];
                fill(seed, start, cells, 1);
                if let Some(finish) = &mut finish {
                    finish(start, cells);
                }
                convert(cells, out);
            }
        });
    };
    let stream = whole * size_of::<T>() >= streaming::FROM;
    let mut runs = runs::Runs::new(tables, seed, out, usual, stream, finish);
    walk(&mut |start, at, length| runs.add(start, at, length));
    runs.make();
}

/// Cells of the blocks that [`visit`] makes; a run of them must lie within [`REGION`]
/// aligned cells.
pub use tables::{REGION, TILE};

/// Blocks below which most of the tiles are empty.
const FEW: usize = REGION / TILE / 4;

/// Makes `blocks` whole blocks of [`TILE`] cells from `start` on, in the order that is
/// fastest, and gives each to `each` with its number. `start` is a multiple of `TILE`.
pub fn visit(seed: u64, start: u64, blocks: usize, mut each: impl FnMut(usize, &mut [f64; TILE])) {
    match tables::get() {
        Some(tables) if blocks >= FEW => tables.visit(seed, start, blocks, each),
        _ => {
            let mut cells = [0.0; TILE];
            for i in 0..blocks {
                fill(seed, start.wrapping_add((i * TILE) as u64), &mut cells, 1);
                each(i, &mut cells);
            }
        }
    }
}
