//! `vrns16` in 256-bit registers.
//!
//! One address: its sixteen channels lie in the lanes of two vectors. Because
//! p = 65536 - d, the 16-bit digits of x give
//! `x mod p = d0 + d1·d + d2·(d² mod p) + d3·(d³ mod p)  (mod p)`, and
//! `v = (v & 0xffff) + (v >> 16)·d` folds a sum without changing its residue.

use std::arch::x86_64::*;

use super::tables::{Block, GROUP};
use super::{MIX_1, MIX_2, PRIMES, to_f64};

#[repr(align(32))]
struct Lanes32([u32; 16]);
#[repr(align(32))]
struct Lanes64([u64; 16]);

const fn powers_of_d(power: u32) -> Lanes32 {
    let mut lanes = [1u32; 16];
    let mut i = 0;
    while i < 16 {
        let (p, mut k, mut v) = (PRIMES[i], 0, 1u64);
        while k < power {
            v = v * (65536 - p) % p;
            k += 1;
        }
        lanes[i] = v as u32;
        i += 1;
    }
    Lanes32(lanes)
}

const fn primes() -> Lanes32 {
    let mut lanes = [0u32; 16];
    let mut i = 0;
    while i < 16 {
        lanes[i] = PRIMES[i] as u32;
        i += 1;
    }
    Lanes32(lanes)
}

/// The first step of fmix64, `k ^= k >> 33`, only meets the channel number:
/// it XORs `i >> 1` into the residue.
const fn first_shift() -> Lanes32 {
    let mut lanes = [0u32; 16];
    let mut i = 0;
    while i < 16 {
        lanes[i] = (i >> 1) as u32;
        i += 1;
    }
    Lanes32(lanes)
}

/// `(p << 16 | i << 32) * MIX_1`, the part of the first product that the
/// address does not change; even channels of each vector first, as
/// `_mm256_mul_epu32` sees them.
const fn constant_products() -> Lanes64 {
    let mut lanes = [0u64; 16];
    let mut slot = 0;
    while slot < 16 {
        let (vector, odd, pair) = (slot / 8, slot / 4 % 2, slot % 4);
        let i = vector * 8 + pair * 2 + odd;
        lanes[slot] = (PRIMES[i] << 16 | (i as u64) << 32).wrapping_mul(MIX_1);
        slot += 1;
    }
    Lanes64(lanes)
}

static D1: Lanes32 = powers_of_d(1);
static D2: Lanes32 = powers_of_d(2);
static D3: Lanes32 = powers_of_d(3);
static P: Lanes32 = primes();
static FIRST: Lanes32 = first_shift();
static PRODUCTS: Lanes64 = constant_products();

#[inline(always)]
unsafe fn load32(lanes: &Lanes32, vector: usize) -> __m256i {
    // SAFETY: `vector` is 0 or 1; the lanes are 64 bytes, aligned to 32.
    unsafe { _mm256_load_si256(lanes.0.as_ptr().cast::<__m256i>().add(vector)) }
}

/// `(v & 0xffff) + (v >> 16) * d`, congruent to v modulo 65536 - d.
#[inline]
#[target_feature(enable = "avx2")]
fn fold(v: __m256i, d: __m256i) -> __m256i {
    let low = _mm256_and_si256(v, _mm256_set1_epi32(0xffff));
    _mm256_add_epi32(low, _mm256_mullo_epi32(_mm256_srli_epi32::<16>(v), d))
}

/// fmix64 of four channels up to its last product. `r` holds residues (with the
/// first shift applied) in the low halves; the high halves are ignored.
#[inline]
#[target_feature(enable = "avx2")]
fn mix(r: __m256i, product: __m256i) -> __m256i {
    let low = _mm256_mul_epu32(r, _mm256_set1_epi64x((MIX_1 & 0xffff_ffff) as i64));
    let high = _mm256_mul_epu32(r, _mm256_set1_epi64x((MIX_1 >> 32) as i64));
    let k = _mm256_add_epi64(product, _mm256_add_epi64(low, _mm256_slli_epi64::<32>(high)));
    let k = _mm256_xor_si256(k, _mm256_srli_epi64::<33>(k));
    let c_low = _mm256_set1_epi64x((MIX_2 & 0xffff_ffff) as i64);
    let c_high = _mm256_set1_epi64x((MIX_2 >> 32) as i64);
    let cross = _mm256_add_epi64(
        _mm256_mul_epu32(k, c_high),
        _mm256_mul_epu32(_mm256_srli_epi64::<32>(k), c_low),
    );
    _mm256_add_epi64(_mm256_mul_epu32(k, c_low), _mm256_slli_epi64::<32>(cross))
}

/// The 64 bits behind the cell at `x = address ^ seed`.
#[inline]
#[target_feature(enable = "avx2")]
pub fn hash(x: u64) -> u64 {
    let digit = |shift: u32| _mm256_set1_epi32((x >> shift & 0xffff) as i32);
    let (d0, d1, d2, d3) = (digit(0), digit(16), digit(32), digit(48));
    let mut acc = _mm256_setzero_si256();
    for vector in 0..2 {
        // SAFETY: `vector` is 0 or 1, and AVX2 is enabled here.
        let (d, dd, ddd, p, first) = unsafe {
            (
                load32(&D1, vector),
                load32(&D2, vector),
                load32(&D3, vector),
                load32(&P, vector),
                load32(&FIRST, vector),
            )
        };
        // d <= 183, d² mod p <= 33489 and d³ mod p < 2^16: each sum fits 32 bits.
        let low = _mm256_add_epi32(
            _mm256_add_epi32(d0, _mm256_mullo_epi32(d1, d)),
            _mm256_mullo_epi32(d2, dd),
        );
        let high = _mm256_mullo_epi32(d3, ddd);
        let v = _mm256_add_epi32(fold(low, d), fold(high, d));
        let v = fold(fold(v, d), d);
        // Now v < 2p, and unsigned minimum is the conditional subtraction.
        let r = _mm256_min_epu32(v, _mm256_sub_epi32(v, p));
        let r = _mm256_xor_si256(r, first);
        for (half, residues) in [r, _mm256_srli_epi64::<32>(r)].into_iter().enumerate() {
            // SAFETY: the index is below 4; the lanes are 128 bytes, aligned to 32.
            let product = unsafe {
                _mm256_load_si256(PRODUCTS.0.as_ptr().cast::<__m256i>().add(vector * 2 + half))
            };
            acc = _mm256_xor_si256(acc, mix(residues, product));
        }
    }
    let acc = _mm_xor_si128(_mm256_castsi256_si128(acc), _mm256_extracti128_si256::<1>(acc));
    let k = (_mm_cvtsi128_si64(acc) ^ _mm_extract_epi64::<1>(acc)) as u64;
    // The last `k ^= k >> 33` is linear, so one after the XOR serves all channels.
    k ^ (k >> 33)
}

#[target_feature(enable = "avx2")]
pub fn values(seed: u64, addresses: &[u64], out: &mut [f64]) {
    for (slot, &address) in out.iter_mut().zip(addresses) {
        *slot = to_f64(hash(address ^ seed));
    }
}

/// u64 to f64, rounded once: both halves become exact doubles by their
/// exponents (2^84 and 2^52), and only the last addition rounds.
#[inline]
#[target_feature(enable = "avx2")]
fn to_f64x4(h: __m256i) -> __m256d {
    let low = _mm256_blend_epi32::<0b1010_1010>(h, _mm256_set1_epi64x(0x4330_0000_0000_0000));
    let high =
        _mm256_xor_si256(_mm256_srli_epi64::<32>(h), _mm256_set1_epi64x(0x4530_0000_0000_0000));
    let bias = _mm256_set1_pd(19_342_813_118_337_666_422_669_312.0); // 2^84 + 2^52
    let high = _mm256_sub_pd(_mm256_castsi256_pd(high), bias);
    let sum = _mm256_add_pd(high, _mm256_castsi256_pd(low));
    _mm256_mul_pd(sum, _mm256_set1_pd(1.0 / 18_446_744_073_709_551_616.0))
}

/// Writes `groups` groups of [`GROUP`] cells of one block, from group `first` on.
///
/// # Safety
/// AVX2; `first + groups` groups lie in the block; `out` takes all of them and,
/// where `STREAM`, is aligned to 16 bytes.
#[target_feature(enable = "avx2")]
pub unsafe fn groups<const STREAM: bool>(
    block: &Block,
    first: usize,
    groups: usize,
    out: *mut f64,
) {
    // The seed's low bits permute the block: bits 0 and 1 the lanes of a
    // vector, bits 2 and 3 the vectors of a group, the rest whole groups.
    let s = block.permutation;
    let lane = (s & 3) as i32;
    let order = |i: i32| (((i >> 1) ^ lane) << 1) | (i & 1);
    let lanes = _mm256_setr_epi32(
        order(0),
        order(1),
        order(2),
        order(3),
        order(4),
        order(5),
        order(6),
        order(7),
    );
    let vectors = s >> 2 & 3;
    for g in 0..groups {
        let j = ((first + g) * GROUP) ^ (s & !(GROUP - 1));
        let mut acc = [_mm256_setzero_si256(); GROUP / 4];
        for slice in &block.slices {
            for (k, acc) in acc.iter_mut().enumerate() {
                // SAFETY: each slice holds a whole block from its pointer on.
                let part = unsafe { _mm256_loadu_si256(slice.add(j + 4 * k).cast()) };
                *acc = _mm256_xor_si256(*acc, part);
            }
        }
        for (k, &h) in acc.iter().enumerate() {
            let v = to_f64x4(_mm256_permutevar8x32_epi32(h, lanes));
            // SAFETY: the caller gives room for `groups` whole groups.
            unsafe {
                let target = out.add(g * GROUP + 4 * (k ^ vectors));
                if STREAM {
                    _mm_stream_pd(target, _mm256_castpd256_pd128(v));
                    _mm_stream_pd(target.add(2), _mm256_extractf128_pd::<1>(v));
                } else {
                    _mm256_storeu_pd(target, v);
                }
            }
        }
    }
}

/// Makes streamed stores visible to other threads.
pub fn end_of_streaming() {
    // SAFETY: every x86-64 CPU has SSE.
    unsafe { _mm_sfence() };
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vector conversion against the compiler's, at ties, at the steps of
    /// the exponent and at the top, where 1.0 is reached.
    #[test]
    fn conversion_rounds_once() {
        if !is_x86_feature_detected!("avx2") {
            return;
        }
        let edges = (0..64u32).flat_map(|bit| {
            (0..64u32).flat_map(move |other| {
                let word = 1u64 << bit | 1u64 << other;
                [word, word.wrapping_sub(1), word + 1, !word]
            })
        });
        let top = (0..5000).map(|below| u64::MAX - below);
        for h in edges.chain(top) {
            // SAFETY: AVX2 is there.
            let lanes: [f64; 4] =
                unsafe { std::mem::transmute(to_f64x4(_mm256_set1_epi64x(h as i64))) };
            for lane in lanes {
                assert_eq!(lane.to_bits(), (h as f64 / 18446744073709551615.0).to_bits(), "{h:#x}");
            }
        }
    }
}
