//! `vrns16` in 256-bit registers.
//!
//! One address: its sixteen channels lie in the lanes of two vectors. With the
//! 16-bit digits of x taken about zero, `b[k] = d[k] - 2^15`, and
//! `c[k] = 2^16k mod p` taken about zero too, `x mod p` is congruent to
//! `b[0]·c[0] + b[1]·c[1] + b[2]·c[2] + b[3]·c[3] + BIAS`, which is two
//! multiply-and-add instructions on pairs of digits. Because p = 65536 - d,
//! `v = (v & 0xffff) + (v >> 16)·d` then folds the sum without changing its
//! residue, and is one more such instruction.

use std::arch::x86_64::*;

use super::tables::{Block, GROUP};
use super::{MIX_1, MIX_2, PRIMES};

/// One 32-bit constant a channel.
#[repr(align(32))]
struct Lanes32([u32; 16]);
/// One 64-bit constant a channel, in the order of [`PRODUCTS`].
#[repr(align(32))]
struct Lanes64([u64; 16]);

/// 2^(16·k) mod p, nearest to zero.
const fn power(p: i64, k: u32) -> i64 {
    let (mut v, mut i) = (1, 0);
    while i < k {
        v = v * 65536 % p;
        i += 1;
    }
    if v > p / 2 { v - p } else { v }
}

/// Two 16-bit factors for `_mm256_madd_epi16`.
const fn pair(low: i64, high: i64) -> u32 {
    assert!(low >= -32768 && low < 32768 && high >= -32768 && high < 32768);
    (low as u16 as u32) | (high as u16 as u32) << 16
}

/// What makes the sum of products the residue's: 2^15 times the factors, raised
/// by a multiple of p until no sum is negative. That none passes 2^32 either is
/// checked here, prime by prime.
const fn bias(p: i64) -> u32 {
    let (mut exact, mut least, mut most, mut k) = (0, 0, 0, 0);
    while k < 4 {
        let c = power(p, k);
        exact += c * 32768;
        least += if c < 0 { c * 32767 } else { c * -32768 };
        most += if c < 0 { c * -32768 } else { c * 32767 };
        k += 1;
    }
    let mut bias = exact.rem_euclid(p);
    while bias + least < 0 {
        bias += p;
    }
    assert!(bias + most < 1 << 32);
    bias as u32
}

macro_rules! lanes {
    (|$p:ident, $i:ident| $value:expr) => {{
        let mut lanes = [0; 16];
        let mut $i = 0;
        while $i < 16 {
            let $p = PRIMES[$i] as i64;
            lanes[$i] = $value;
            $i += 1;
        }
        Lanes32(lanes)
    }};
}

static LOW_FACTORS: Lanes32 = lanes!(|p, i| pair(power(p, 0), power(p, 1)));
static HIGH_FACTORS: Lanes32 = lanes!(|p, i| pair(power(p, 2), power(p, 3)));
static BIAS: Lanes32 = lanes!(|p, i| bias(p));
static FOLD: Lanes32 = lanes!(|p, i| pair(1, 65536 - p));
/// What a fold of two halves about zero lacks: 2^15·(1 + d).
static FOLD_BIAS: Lanes32 = lanes!(|p, i| ((1 + 65536 - p) * 32768) as u32);
static P: Lanes32 = lanes!(|p, i| p as u32);
/// The first step of fmix64, `k ^= k >> 33`, only meets the channel number: it
/// XORs `i >> 1` into the residue.
static FIRST_SHIFT: Lanes32 = lanes!(|_p, i| (i >> 1) as u32);

/// `(p << 16 | i << 32) * MIX_1`, the part of the first product that the
/// address does not change: of each vector the even channels, then the odd ones,
/// as `_mm256_mul_epu32` takes them.
static PRODUCTS: Lanes64 = {
    let mut lanes = [0u64; 16];
    let mut slot = 0;
    while slot < 16 {
        let (vector, odd, pair) = (slot / 8, slot / 4 % 2, slot % 4);
        let i = vector * 8 + pair * 2 + odd;
        lanes[slot] = ((PRIMES[i] << 16) | ((i as u64) << 32)).wrapping_mul(MIX_1);
        slot += 1;
    }
    Lanes64(lanes)
};

/// Lanes 0 to 7 or 8 to 15.
#[inline]
#[target_feature(enable = "avx2")]
fn load32(lanes: &Lanes32, vector: usize) -> __m256i {
    let eight = lanes.0[8 * vector..][..8].as_ptr();
    // SAFETY: eight lanes of four bytes, aligned by their type.
    unsafe { _mm256_load_si256(eight.cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load64(lanes: &Lanes64, vector: usize) -> __m256i {
    let four = lanes.0[4 * vector..][..4].as_ptr();
    // SAFETY: four lanes of eight bytes, aligned by their type.
    unsafe { _mm256_load_si256(four.cast()) }
}

/// The residues of x in channels 0 to 7 or 8 to 15; `low` and `high` are its
/// digits about zero, in pairs.
#[inline]
#[target_feature(enable = "avx2")]
fn residues(low: __m256i, high: __m256i, vector: usize) -> __m256i {
    let sum = _mm256_add_epi32(
        _mm256_madd_epi16(low, load32(&LOW_FACTORS, vector)),
        _mm256_madd_epi16(high, load32(&HIGH_FACTORS, vector)),
    );
    let v = _mm256_add_epi32(sum, load32(&BIAS, vector));
    // Below 2^32: both halves are taken about zero.
    let halves = _mm256_xor_si256(v, _mm256_set1_epi32(0x8000_8000_u32 as i32));
    let folded = _mm256_madd_epi16(halves, load32(&FOLD, vector));
    let v = _mm256_add_epi32(folded, load32(&FOLD_BIAS, vector));
    // Below 65536·184: the upper half is small and stays as it is.
    let halves = _mm256_xor_si256(v, _mm256_set1_epi32(0x8000));
    let folded = _mm256_madd_epi16(halves, load32(&FOLD, vector));
    let v = _mm256_add_epi32(folded, _mm256_set1_epi32(0x8000));
    // Below 65536 + 184·183 < 2p: unsigned minimum is the conditional subtraction.
    _mm256_min_epu32(v, _mm256_sub_epi32(v, load32(&P, vector)))
}

/// The residues of x in all channels.
#[inline]
#[target_feature(enable = "avx2")]
pub fn all_residues(x: u64) -> [u32; 16] {
    let (low, high) = digits(x);
    let mut all = Lanes32([0; 16]);
    for (vector, lanes) in all.0.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        // SAFETY: room for eight lanes.
        unsafe { _mm256_storeu_si256(lanes.as_mut_ptr().cast(), residues(low, high, vector)) };
    }
    all.0
}

/// The digits of x about zero, in pairs, in every lane.
#[inline]
#[target_feature(enable = "avx2")]
fn digits(x: u64) -> (__m256i, __m256i) {
    let about_zero = x ^ 0x8000_8000_8000_8000;
    (_mm256_set1_epi32(about_zero as i32), _mm256_set1_epi32((about_zero >> 32) as i32))
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
    let (low, high) = digits(x);
    let mut acc = _mm256_setzero_si256();
    for vector in 0..2 {
        let r = _mm256_xor_si256(residues(low, high, vector), load32(&FIRST_SHIFT, vector));
        let even = mix(r, load64(&PRODUCTS, 2 * vector));
        let odd = mix(_mm256_srli_epi64::<32>(r), load64(&PRODUCTS, 2 * vector + 1));
        acc = _mm256_xor_si256(acc, _mm256_xor_si256(even, odd));
    }
    let acc = _mm_xor_si128(_mm256_castsi256_si128(acc), _mm256_extracti128_si256::<1>(acc));
    let k = (_mm_cvtsi128_si64(acc) ^ _mm_extract_epi64::<1>(acc)) as u64;
    // The last `k ^= k >> 33` is linear, so one after the XOR serves all channels.
    k ^ (k >> 33)
}

/// `out[j]` = the cell at `addresses[j]`. The slices have the same length.
#[target_feature(enable = "avx2")]
pub fn values(seed: u64, addresses: &[u64], out: &mut [f64]) {
    let (fours, rest) = addresses.as_chunks::<4>();
    let (out_fours, out_rest) = out.as_chunks_mut::<4>();
    for (out, four) in out_fours.iter_mut().zip(fours) {
        let h = four.map(|address| hash(address ^ seed));
        let h = _mm256_setr_epi64x(h[0] as i64, h[1] as i64, h[2] as i64, h[3] as i64);
        // SAFETY: four doubles.
        unsafe { _mm256_storeu_pd(out.as_mut_ptr(), cells(h)) };
    }
    for (out, &address) in out_rest.iter_mut().zip(rest) {
        *out = super::to_f64(hash(address ^ seed));
    }
}

/// 2^-64.
const UNIT: f64 = 1.0 / 18_446_744_073_709_551_616.0;

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
    _mm256_add_pd(high, _mm256_castsi256_pd(low))
}

/// The cells behind four words.
#[inline]
#[target_feature(enable = "avx2")]
fn cells(h: __m256i) -> __m256d {
    _mm256_mul_pd(to_f64x4(h), _mm256_set1_pd(UNIT))
}

/// Writes `groups` groups of [`GROUP`] cells of one block, from group `first` on.
///
/// # Safety
/// AVX2; `first + groups` groups lie in the block; `out` takes all of them.
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
    let vectors = (s % GROUP) >> 2;
    // Streamed stores of two cells have to be aligned, those of one not.
    let pairs = out.addr().is_multiple_of(16);
    // Slices are read upwards where that can be, as the CPU fetches them ahead best.
    let turned = groups.is_power_of_two() && first.is_multiple_of(groups);
    let turn = if turned { s / GROUP % groups } else { 0 };
    for g in (0..groups).map(|g| g ^ turn) {
        let j = ((first + g) * GROUP) ^ (s & !(GROUP - 1));
        let mut acc = [_mm256_setzero_si256(); GROUP / 4];
        let tables = block.tables.wrapping_add(j);
        for &offset in &block.offsets {
            for (k, acc) in acc.iter_mut().enumerate() {
                // SAFETY: each slice holds a whole block from its offset on.
                let part =
                    unsafe { _mm256_loadu_si256(tables.add(offset as usize + 4 * k).cast()) };
                *acc = _mm256_xor_si256(*acc, part);
            }
        }
        for (k, &h) in acc.iter().enumerate() {
            let v = cells(_mm256_permutevar8x32_epi32(h, lanes));
            // SAFETY: the caller gives room for `groups` whole groups.
            unsafe {
                let target = out.add(g * GROUP + 4 * (k ^ vectors));
                if !STREAM {
                    _mm256_storeu_pd(target, v);
                } else if pairs {
                    _mm_stream_pd(target, _mm256_castpd256_pd128(v));
                    _mm_stream_pd(target.add(2), _mm256_extractf128_pd::<1>(v));
                } else {
                    let inner = _mm256_permute4x64_pd::<0b1001>(v);
                    let bits = _mm256_castpd_si256(v);
                    _mm_stream_si64(target.cast(), _mm256_extract_epi64::<0>(bits));
                    _mm_stream_pd(target.add(1), _mm256_castpd256_pd128(inner));
                    _mm_stream_si64(target.add(3).cast(), _mm256_extract_epi64::<3>(bits));
                }
            }
        }
    }
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
                unsafe { std::mem::transmute(cells(_mm256_set1_epi64x(h as i64))) };
            for lane in lanes {
                assert_eq!(lane.to_bits(), (h as f64 / 18446744073709551615.0).to_bits(), "{h:#x}");
            }
        }
    }
}
