//! Sums of leaves in 256-bit registers, where the compiler finds no good ones.
//!
//! Bytes go through `vpsadbw` and words through `vpmaddwd`. Halves become f64s by
//! shifts alone: sign, exponent and mantissa are moved to where an f64 has them,
//! which makes every number smaller by one power of two, the same for all, down to
//! the subnormal ones. Sums of such have the same bits but for the exponent, which
//! one multiplication at the end puts right. Infinities and NaNs do not survive
//! that, so a leaf that has any is left to plain code.

use std::arch::x86_64::*;

use super::float::Lanes;
use super::fold::LEAF;
use super::integer::Halves;

/// 2^n.
const fn power(n: u64) -> f64 {
    f64::from_bits((1023 + n) << 52)
}

#[inline]
#[target_feature(enable = "avx2")]
fn load<const BYTES: usize>(part: &[[u8; BYTES]], i: usize) -> __m256i {
    assert!((i + 1) * 32 <= size_of_val(part));
    // SAFETY: 32 bytes inside the part, as just seen.
    unsafe { _mm256_loadu_si256(part.as_ptr().cast::<__m256i>().add(i)) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn across_64(v: __m256i) -> i64 {
    let half = _mm_add_epi64(_mm256_castsi256_si128(v), _mm256_extracti128_si256::<1>(v));
    _mm_extract_epi64::<0>(half) + _mm_extract_epi64::<1>(half)
}

#[inline]
#[target_feature(enable = "avx2")]
fn across_32(v: __m256i) -> i64 {
    let low = _mm256_cvtepi32_epi64(_mm256_castsi256_si128(v));
    across_64(_mm256_add_epi64(low, _mm256_cvtepi32_epi64(_mm256_extracti128_si256::<1>(v))))
}

#[inline]
#[target_feature(enable = "avx2")]
fn bytes(leaf: &[[u8; 1]; LEAF], change: impl Fn(__m256i) -> __m256i) -> i64 {
    let mut sums = [_mm256_setzero_si256(); 2];
    for i in 0..LEAF / 32 {
        let part = _mm256_sad_epu8(change(load(leaf, i)), _mm256_setzero_si256());
        sums[i % 2] = _mm256_add_epi64(sums[i % 2], part);
    }
    across_64(_mm256_add_epi64(sums[0], sums[1]))
}

#[inline]
#[target_feature(enable = "avx2")]
pub fn sum_u8(leaf: &[[u8; 1]; LEAF]) -> i64 {
    bytes(leaf, |v| v)
}

#[inline]
#[target_feature(enable = "avx2")]
pub fn sum_i8(leaf: &[[u8; 1]; LEAF]) -> i64 {
    let sign = _mm256_set1_epi8(i8::MIN);
    bytes(leaf, |v| _mm256_xor_si256(v, sign)) - 128 * LEAF as i64
}

#[inline]
#[target_feature(enable = "avx2")]
pub fn sum_bool(leaf: &[[u8; 1]; LEAF]) -> i64 {
    let one = _mm256_set1_epi8(1);
    bytes(leaf, |v| _mm256_min_epu8(v, one))
}

#[inline]
#[target_feature(enable = "avx2")]
fn words(leaf: &[[u8; 2]; LEAF], change: impl Fn(__m256i) -> __m256i) -> i64 {
    let one = _mm256_set1_epi16(1);
    let mut sums = [_mm256_setzero_si256(); 2];
    for i in 0..LEAF / 16 {
        let part = _mm256_madd_epi16(change(load(leaf, i)), one);
        sums[i % 2] = _mm256_add_epi32(sums[i % 2], part);
    }
    across_32(_mm256_add_epi32(sums[0], sums[1]))
}

#[inline]
#[target_feature(enable = "avx2")]
pub fn sum_i16(leaf: &[[u8; 2]; LEAF]) -> i64 {
    words(leaf, |v| v)
}

#[inline]
#[target_feature(enable = "avx2")]
pub fn sum_u16(leaf: &[[u8; 2]; LEAF]) -> i64 {
    let sign = _mm256_set1_epi16(i16::MIN);
    words(leaf, |v| _mm256_xor_si256(v, sign)) + 32768 * LEAF as i64
}

/// Takes rows of eight elements of eight bytes in, as `integer` has them.
#[inline]
#[target_feature(enable = "avx2")]
pub fn add_halves_of_eight(state: &mut Halves, part: &[[u8; 8]], raise: u64) {
    let raise = _mm256_set1_epi64x(raise as i64);
    let lower = _mm256_set1_epi64x(0xFFFF_FFFF);
    let read = |lanes: &[u64; 8], k: usize| {
        // SAFETY: four of eight lanes, k below 2.
        unsafe { _mm256_loadu_si256(lanes.as_ptr().cast::<__m256i>().add(k)) }
    };
    let mut low = [read(&state.low, 0), read(&state.low, 1)];
    let mut high = [read(&state.high, 0), read(&state.high, 1)];
    for i in 0..part.len() / 8 {
        for k in 0..2 {
            let raised = _mm256_xor_si256(load(part, 2 * i + k), raise);
            low[k] = _mm256_add_epi64(low[k], _mm256_and_si256(raised, lower));
            high[k] = _mm256_add_epi64(high[k], _mm256_srli_epi64::<32>(raised));
        }
    }
    for k in 0..2 {
        // SAFETY: as for reading.
        unsafe {
            _mm256_storeu_si256(state.low.as_mut_ptr().cast::<__m256i>().add(k), low[k]);
            _mm256_storeu_si256(state.high.as_mut_ptr().cast::<__m256i>().add(k), high[k]);
        }
    }
}

/// How many elements have none of the bits of `telling`, by comparison of `BYTES`
/// bytes at a time; all bits of those are then set.
#[inline]
#[target_feature(enable = "avx2")]
pub fn zeros<const BYTES: usize>(leaf: &[[u8; BYTES]; LEAF], telling: u64) -> u32 {
    let zero = _mm256_setzero_si256();
    let telling = match BYTES {
        1 => _mm256_set1_epi8(telling as i8),
        2 => _mm256_set1_epi16(telling as i16),
        4 => _mm256_set1_epi32(telling as i32),
        _ => _mm256_set1_epi64x(telling as i64),
    };
    // Byte by byte, of which each vector counts one at most, and at most 128 make a leaf.
    let mut counts = zero;
    for i in 0..LEAF * BYTES / 32 {
        let part = _mm256_and_si256(load(leaf, i), telling);
        let equal = match BYTES {
            1 => _mm256_cmpeq_epi8(part, zero),
            2 => _mm256_cmpeq_epi16(part, zero),
            4 => _mm256_cmpeq_epi32(part, zero),
            _ => _mm256_cmpeq_epi64(part, zero),
        };
        counts = _mm256_sub_epi8(counts, equal);
    }
    across_64(_mm256_sad_epu8(counts, zero)) as u32 / BYTES as u32
}

/// Takes the keys of sixteen-lane extremes of `f64` in, as `extreme` has them.
#[inline]
#[target_feature(enable = "avx2")]
pub fn extremes_f64(state: &mut ([i64; 16], [i64; 16]), leaf: &[[u8; 8]; LEAF]) {
    let read = |lanes: &[i64; 16], k: usize| {
        // SAFETY: four of sixteen lanes, k below 4.
        unsafe { _mm256_loadu_si256(lanes.as_ptr().cast::<__m256i>().add(k)) }
    };
    let mut least: [__m256i; 4] = std::array::from_fn(|k| read(&state.0, k));
    let mut greatest: [__m256i; 4] = std::array::from_fn(|k| read(&state.1, k));
    for i in 0..LEAF / 16 {
        for k in 0..4 {
            let bits = load(leaf, 4 * i + k);
            let negative = _mm256_cmpgt_epi64(_mm256_setzero_si256(), bits);
            let key = _mm256_xor_si256(bits, _mm256_srli_epi64::<1>(negative));
            let less = _mm256_cmpgt_epi64(least[k], key);
            let more = _mm256_cmpgt_epi64(key, greatest[k]);
            least[k] = _mm256_blendv_epi8(least[k], key, less);
            greatest[k] = _mm256_blendv_epi8(greatest[k], key, more);
        }
    }
    for k in 0..4 {
        // SAFETY: as for reading.
        unsafe {
            _mm256_storeu_si256(state.0.as_mut_ptr().cast::<__m256i>().add(k), least[k]);
            _mm256_storeu_si256(state.1.as_mut_ptr().cast::<__m256i>().add(k), greatest[k]);
        }
    }
}

/// Adds sixteen halves in the order of the lanes: of lanes j, `sums[j % 4]` has
/// those of element j. `SHIFT` is by how many bits an f64's exponent is longer.
#[inline]
#[target_feature(enable = "avx2")]
fn add_halves<const SHIFT: i32>(sums: &mut [__m256d; 4], halves: __m256i) {
    // The arithmetic shift fills with the sign; of its copies only one stays. No bit
    // of a neighbour is let through either.
    let kept = (0x8000_0000_u32 | (0x7FFF_0000 >> SHIFT)) as u64;
    let kept = _mm256_set1_epi64x((kept << 32) as i64);
    let odd = _mm256_srai_epi32::<SHIFT>(halves);
    let even = _mm256_srai_epi32::<SHIFT>(_mm256_slli_epi32::<16>(halves));
    let quarters = [_mm256_slli_epi64::<32>(even), _mm256_slli_epi64::<32>(odd), even, odd];
    for (sum, quarter) in sums.iter_mut().zip(quarters) {
        *sum = _mm256_add_pd(*sum, _mm256_castsi256_pd(_mm256_and_si256(quarter, kept)));
    }
}

/// The lanes in their own order, and of their own size.
#[inline]
#[target_feature(enable = "avx2")]
fn in_order(sums: [__m256d; 4], scale: f64) -> Lanes {
    let scale = _mm256_set1_pd(scale);
    let [a, b, c, d] = sums.map(|sum| _mm256_mul_pd(sum, scale));
    // Four by four, transposed.
    let (ab_0, ab_1) = (_mm256_unpacklo_pd(a, b), _mm256_unpackhi_pd(a, b));
    let (cd_0, cd_1) = (_mm256_unpacklo_pd(c, d), _mm256_unpackhi_pd(c, d));
    let rows = [
        _mm256_permute2f128_pd::<0x20>(ab_0, cd_0),
        _mm256_permute2f128_pd::<0x20>(ab_1, cd_1),
        _mm256_permute2f128_pd::<0x31>(ab_0, cd_0),
        _mm256_permute2f128_pd::<0x31>(ab_1, cd_1),
    ];
    let mut lanes = [0.0; 16];
    for (row, lanes) in rows.into_iter().zip(lanes.as_chunks_mut::<4>().0) {
        // SAFETY: room for four f64.
        unsafe { _mm256_storeu_pd(lanes.as_mut_ptr(), row) };
    }
    lanes
}

/// Sixteen-bit floats whose largest finite one is `LARGEST`.
#[inline]
#[target_feature(enable = "avx2")]
fn halves<const SHIFT: i32, const LARGEST: i16>(
    leaf: &[[u8; 2]; LEAF],
    scale: f64,
) -> Option<Lanes> {
    let magnitude = _mm256_set1_epi16(i16::MAX);
    let mut sums = [_mm256_setzero_pd(); 4];
    let mut most = _mm256_setzero_si256();
    for i in 0..LEAF / 16 {
        let part = load(leaf, i);
        most = _mm256_max_epi16(most, _mm256_and_si256(part, magnitude));
        add_halves::<SHIFT>(&mut sums, part);
    }
    let special = _mm256_cmpgt_epi16(most, _mm256_set1_epi16(LARGEST));
    (_mm256_movemask_epi8(special) == 0).then(|| in_order(sums, scale))
}

#[inline]
#[target_feature(enable = "avx2")]
pub fn sum_f16(leaf: &[[u8; 2]; LEAF]) -> Option<Lanes> {
    halves::<6, 0x7BFF>(leaf, power(1023 - 15))
}

#[inline]
#[target_feature(enable = "avx2")]
pub fn sum_bf16(leaf: &[[u8; 2]; LEAF]) -> Option<Lanes> {
    halves::<3, 0x7F7F>(leaf, power(1023 - 127))
}

/// Bytes that become float16 by `widen`, where they lie in the upper half of a word;
/// the largest finite one is `LARGEST`.
#[inline]
#[target_feature(enable = "avx2")]
fn quarters<const LARGEST: i8>(
    leaf: &[[u8; 1]; LEAF],
    scale: f64,
    widen: impl Fn(__m256i) -> __m256i,
) -> Option<Lanes> {
    let magnitude = _mm256_set1_epi8(i8::MAX);
    let mut sums = [_mm256_setzero_pd(); 4];
    let mut most = _mm256_setzero_si256();
    for i in 0..LEAF / 32 {
        let part = load(leaf, i);
        most = _mm256_max_epi8(most, _mm256_and_si256(part, magnitude));
        // Within quarters of the register, as unpacking goes: elements 0 to 15 first.
        let part = _mm256_permute4x64_epi64::<0b11_01_10_00>(part);
        let zero = _mm256_setzero_si256();
        add_halves::<6>(&mut sums, widen(_mm256_unpacklo_epi8(zero, part)));
        add_halves::<6>(&mut sums, widen(_mm256_unpackhi_epi8(zero, part)));
    }
    let special = _mm256_cmpgt_epi8(most, _mm256_set1_epi8(LARGEST));
    (_mm256_movemask_epi8(special) == 0).then(|| in_order(sums, scale))
}

#[inline]
#[target_feature(enable = "avx2")]
pub fn sum_f8e5m2(leaf: &[[u8; 1]; LEAF]) -> Option<Lanes> {
    quarters::<0x7B>(leaf, power(1023 - 15), |v| v)
}

#[inline]
#[target_feature(enable = "avx2")]
pub fn sum_f8e4m3(leaf: &[[u8; 1]; LEAF]) -> Option<Lanes> {
    // One bit less of exponent: its place is empty after the sign.
    let kept = _mm256_set1_epi16(0xBF80_u16 as i16);
    quarters::<0x7E>(leaf, power(1023 - 7), |v| _mm256_and_si256(_mm256_srai_epi16::<1>(v), kept))
}
