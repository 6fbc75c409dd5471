//! The generator `philox`: Philox4x64-10, laid out as NumPy's
//! `Generator(Philox(key=seed)).random()`.
//!
//! Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011). NumPy
//! increments its counter before use, so cells 4c to 4c+3 are the block of
//! counter c + 1; a value is the top 53 bits of its word times 2^-53.

use crate::parallel;

const MULTIPLIERS: [u64; 2] = [0xD2E7_470E_E14C_6C93, 0xCA5A_8263_9512_1157];
const WEYL: [u64; 2] = [0x9E37_79B9_7F4A_7C15, 0xBB67_AE85_84CA_A73B];
const ROUNDS: usize = 10;

/// Blocks worked on side by side, to hide the multiplier's latency.
const LANES: usize = 2;

#[inline(always)]
fn wide_product(a: u64, b: u64) -> (u64, u64) {
    let product = u128::from(a) * u128::from(b);
    ((product >> 64) as u64, product as u64)
}

/// `N` consecutive blocks from `counter` on, four words each.
#[inline(always)]
fn blocks<const N: usize>(seed: u64, counter: u64) -> [[u64; 4]; N] {
    let mut state = [[0; 4]; N];
    for (i, words) in state.iter_mut().enumerate() {
        words[0] = counter + i as u64;
    }
    let mut key = [seed, 0];
    for _ in 0..ROUNDS {
        for words in &mut state {
            let (high_0, low_0) = wide_product(MULTIPLIERS[0], words[0]);
            let (high_1, low_1) = wide_product(MULTIPLIERS[1], words[2]);
            *words = [high_1 ^ words[1] ^ key[0], low_1, high_0 ^ words[3] ^ key[1], low_0];
        }
        key[0] = key[0].wrapping_add(WEYL[0]);
        key[1] = key[1].wrapping_add(WEYL[1]);
    }
    state
}

#[inline(always)]
fn to_f64(word: u64) -> f64 {
    (word >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0)
}

/// The counter of the block a cell lies in; it never overflows, being below 2^62 + 1.
#[inline(always)]
fn counter(address: u64) -> u64 {
    address / 4 + 1
}

/// One cell.
#[inline]
pub fn value(seed: u64, address: u64) -> f64 {
    let [block] = blocks::<1>(seed, counter(address));
    to_f64(block[address as usize % 4])
}

/// `out[j]` = the cell at `addresses[j]`. The slices have the same length.
pub fn values(seed: u64, addresses: &[u64], out: &mut [f64]) {
    for (slot, &address) in out.iter_mut().zip(addresses) {
        *slot = value(seed, address);
    }
}

/// `out[j]` = the cell at `start + j`, wrapping past 2^64 - 1, on up to `threads` threads.
pub fn fill(seed: u64, start: u64, out: &mut [f64], threads: usize) {
    parallel::for_each_piece(out, threads, |offset, piece| {
        fill_piece(seed, start.wrapping_add(offset as u64), piece);
    });
}

fn fill_piece(seed: u64, start: u64, out: &mut [f64]) {
    let mut address = start;
    let mut rest = out;
    while !rest.is_empty() {
        let within = address as usize % 4;
        // The lanes must not run past the last block: its successor is the first.
        let whole = within == 0 && address <= u64::MAX - (4 * LANES as u64 - 1);
        let cells = if whole && rest.len() >= 4 * LANES {
            let made = blocks::<LANES>(seed, counter(address));
            let (now, _) = rest.split_at_mut(4 * LANES);
            for (slot, &word) in now.iter_mut().zip(made.as_flattened()) {
                *slot = to_f64(word);
            }
            4 * LANES
        } else {
            let [block] = blocks::<1>(seed, counter(address));
            let cells = (4 - within).min(rest.len());
            for (slot, &word) in rest.iter_mut().zip(&block[within..within + cells]) {
                *slot = to_f64(word);
            }
            cells
        };
        address = address.wrapping_add(cells as u64);
        rest = &mut rest[cells..];
    }
}

/// Makes whole blocks of `N` cells from `start` on, in order, and gives each to `each`
/// with its number.
pub fn visit<const N: usize>(
    seed: u64,
    start: u64,
    blocks: usize,
    mut each: impl FnMut(usize, &mut [f64; N]),
) {
    let mut cells = [0.0; N];
    for i in 0..blocks {
        fill_piece(seed, start.wrapping_add((i * N) as u64), &mut cells);
        each(i, &mut cells);
    }
}
