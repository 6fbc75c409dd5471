//! Sums of sixteen-bit floats in f32, twice as many at a time as in f64, where no addition is
//! rounded: then they are what f64 would have come to, bit for bit. The CPU tells: it notes
//! in MXCSR that a result was inexact, and forgets it only when told to.

use std::arch::asm;
use std::arch::x86_64::*;

use super::float::Lanes;
use super::fold::{LEAF, STREAMS, turns};

pub type Leaves<'a> = [&'a [[u8; 2]; LEAF]; STREAMS];

/// Two sums of eight lanes of each stream.
type Sums = [[__m256; 2]; STREAMS];

/// Rounding to nearest, subnormal numbers as they are, no traps, nothing noted.
const PLAIN: u32 = 0x1F80;
/// What may be noted of exact sums: that a number was subnormal.
const SUBNORMAL: u32 = 0b10;
const NOTED: u32 = 0b11_1111;

/// Sets MXCSR, and gives what it was. The sums pass through, so that additions to them stay on
/// their side of it.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn exchange(new: u32, sums: &mut Sums) -> u32 {
    let mut old = 0_u32;
    let [[a, b], [c, d], [e, f], [g, h]] = sums;
    // SAFETY: both words are there; that numbers are treated as Rust has it, the caller sees to.
    unsafe {
        asm!(
            "vstmxcsr [{old}]",
            "vldmxcsr [{new}]",
            old = in(reg) &raw mut old,
            new = in(reg) &raw const new,
            inout("ymm0") *a, inout("ymm1") *b, inout("ymm2") *c, inout("ymm3") *d,
            inout("ymm4") *e, inout("ymm5") *f, inout("ymm6") *g, inout("ymm7") *h,
            options(nostack),
        );
    }
    old
}

/// The sums of leaves of which `row` makes two vectors of sixteen elements; None where an
/// addition was rounded, or a sum is not finite.
// With all that any `row` has, which else could not become a part of it.
#[inline]
#[target_feature(enable = "avx2,f16c")]
fn sums(leaves: Leaves<'_>, row: impl Fn(&[[u8; 2]; 16]) -> [__m256; 2]) -> Option<Sums> {
    let mut sums: Sums = [[_mm256_setzero_ps(); 2]; STREAMS];
    // SAFETY: numbers are treated as Rust has it.
    let before = unsafe { exchange(PLAIN, &mut sums) };
    turns(
        #[inline(always)]
        |stream| leaves[stream],
        #[inline(always)]
        |stream, part| {
            let [mut one, mut other] = sums[stream];
            for sixteen in part.as_chunks::<16>().0 {
                let [first, second] = row(sixteen);
                one = _mm256_add_ps(one, first);
                other = _mm256_add_ps(other, second);
            }
            sums[stream] = [one, other];
        },
    );
    // SAFETY: as it was.
    let after = unsafe { exchange(before, &mut sums) };
    let exponent = _mm256_set1_epi32(0x7F80_0000);
    let mut endless = _mm256_setzero_si256();
    for sum in sums.as_flattened() {
        let bits = _mm256_and_si256(_mm256_castps_si256(*sum), exponent);
        endless = _mm256_or_si256(endless, _mm256_cmpeq_epi32(bits, exponent));
    }
    let exact = after & NOTED & !SUBNORMAL == 0 && _mm256_testz_si256(endless, endless) == 1;
    exact.then_some(sums)
}

/// Sixteen lanes in f64, of eight and eight.
#[inline]
#[target_feature(enable = "avx2")]
fn lanes(eights: [__m256; 2]) -> Lanes {
    let mut lanes = [0.0; 16];
    for (eight, lanes) in eights.into_iter().zip(lanes.as_chunks_mut::<8>().0) {
        // SAFETY: room for four f64, and four more.
        unsafe {
            _mm256_storeu_pd(lanes.as_mut_ptr(), _mm256_cvtps_pd(_mm256_castps256_ps128(eight)));
            let upper = _mm256_cvtps_pd(_mm256_extractf128_ps::<1>(eight));
            _mm256_storeu_pd(lanes.as_mut_ptr().add(4), upper);
        }
    }
    lanes
}

/// The lanes of leaves of float16.
#[target_feature(enable = "avx2,f16c")]
pub fn sum_f16(leaves: Leaves<'_>) -> Option<[Lanes; STREAMS]> {
    let row = |sixteen: &[[u8; 2]; 16]| {
        let eight = |at: usize| {
            // SAFETY: eight halves from 0 and from 8 on.
            _mm256_cvtph_ps(unsafe { _mm_loadu_si128(sixteen.as_ptr().add(at).cast()) })
        };
        [eight(0), eight(8)]
    };
    Some(sums(leaves, row)?.map(|eights| lanes(eights)))
}

/// The lanes of leaves of bfloat16, each element of which is the upper half of an f32.
#[target_feature(enable = "avx2,f16c")]
pub fn sum_bf16(leaves: Leaves<'_>) -> Option<[Lanes; STREAMS]> {
    let upper = _mm256_set1_epi32(0xFFFF_0000_u32 as i32);
    let row = |sixteen: &[[u8; 2]; 16]| {
        // SAFETY: sixteen halves.
        let pairs = unsafe { _mm256_loadu_si256(sixteen.as_ptr().cast()) };
        let odd = _mm256_and_si256(pairs, upper);
        [_mm256_castsi256_ps(_mm256_slli_epi32::<16>(pairs)), _mm256_castsi256_ps(odd)]
    };
    Some(sums(leaves, row)?.map(|[even, odd]| {
        // Elements 0 1 2 3 8 9 10 11, and those between.
        let (low, high) = (_mm256_unpacklo_ps(even, odd), _mm256_unpackhi_ps(even, odd));
        let eights =
            [_mm256_permute2f128_ps::<0x20>(low, high), _mm256_permute2f128_ps::<0x31>(low, high)];
        lanes(eights)
    }))
}
