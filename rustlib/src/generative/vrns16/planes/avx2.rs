//! Words in 256-bit registers, taken in as they are made.

use std::arch::x86_64::*;

use super::{Products, RUN, Slices, Words};

/// Words of a vector, and vectors made side by side.
const LANES: usize = 16;
const ABREAST: usize = 8;

/// Gives the XOR of the slices, some vectors at a time, and where these begin.
///
/// # Safety
/// AVX2; each slice has `RUN` words.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn xor(slices: &Slices, mut each: impl FnMut(usize, [__m256i; ABREAST])) {
    for at in (0..RUN).step_by(LANES * ABREAST) {
        let mut vectors = [_mm256_setzero_si256(); ABREAST];
        for slice in slices {
            for (k, vector) in vectors.iter_mut().enumerate() {
                // SAFETY: the caller vouches for the words.
                let words = unsafe { _mm256_loadu_si256(slice.add(at + LANES * k).cast()) };
                *vector = _mm256_xor_si256(*vector, words);
            }
        }
        each(at, vectors);
    }
}

/// # Safety
/// As for `xor`.
#[target_feature(enable = "avx2")]
pub unsafe fn words(slices: &Slices, out: &mut Words) {
    // SAFETY: the caller vouches for the slices, and `out` has as many words.
    unsafe {
        xor(slices, |at, vectors| {
            for (k, vector) in vectors.into_iter().enumerate() {
                _mm256_storeu_si256(out.as_mut_ptr().add(at + LANES * k).cast(), vector);
            }
        });
    }
}

/// # Safety
/// As for `xor`.
#[target_feature(enable = "avx2")]
pub unsafe fn sum(slices: &Slices) -> i64 {
    let mut sum = _mm256_setzero_si256();
    // SAFETY: the caller vouches for the slices.
    unsafe {
        xor(slices, |_, vectors| {
            for vector in vectors {
                sum = _mm256_add_epi32(sum, pairs(vector));
            }
        });
    }
    across(sum)
}

/// # Safety
/// As for `xor`.
#[target_feature(enable = "avx2")]
pub unsafe fn extreme(slices: &Slices, least: bool) -> i16 {
    // The least word is the greatest of all turned round: every bit is.
    let turn = _mm256_set1_epi16(if least { -1 } else { 0 });
    let mut best = _mm256_set1_epi16(i16::MIN);
    // SAFETY: the caller vouches for the slices.
    unsafe {
        xor(slices, |_, vectors| {
            for vector in vectors {
                best = _mm256_max_epi16(best, _mm256_xor_si256(vector, turn));
            }
        });
    }
    // SAFETY: as many bits, and all of them are numbers.
    let lanes = unsafe { std::mem::transmute::<__m256i, [i16; LANES]>(best) };
    let best = lanes.into_iter().fold(i16::MIN, i16::max);
    if least { !best } else { best }
}

/// # Safety
/// As for `xor`.
#[target_feature(enable = "avx2")]
pub unsafe fn products<const OTHERS: bool>(slices: &Slices, others: &Words) -> Products {
    let mut sum = _mm256_setzero_si256();
    let (mut squares, mut mixed) = (Wide::new(), Wide::new());
    // SAFETY: the caller vouches for the slices, and there are as many others.
    unsafe {
        xor(slices, |at, vectors| {
            for (k, vector) in vectors.into_iter().enumerate() {
                let others = _mm256_loadu_si256(others.as_ptr().add(at + LANES * k).cast());
                let one = if OTHERS { others } else { vector };
                sum = _mm256_add_epi32(sum, pairs(one));
                squares.add(one, one);
                mixed.add(vector, others);
            }
        });
    }
    Products { sum: across(sum), squares: squares.finish(), mixed: mixed.finish() }
}

/// The sums of neighbours.
#[inline]
#[target_feature(enable = "avx2")]
fn pairs(words: __m256i) -> __m256i {
    _mm256_madd_epi16(words, _mm256_set1_epi16(1))
}

/// The sum of eight numbers.
#[inline]
#[target_feature(enable = "avx2")]
fn across(sum: __m256i) -> i64 {
    // SAFETY: as many bits, and all of them are numbers.
    let lanes = unsafe { std::mem::transmute::<__m256i, [i32; 8]>(sum) };
    lanes.into_iter().map(i64::from).sum()
}

/// Two products of neighbours add up to what 32 bits hold, but for one value too many: from
/// -`LEAST` to 2^31. So this is added, and what comes out is not negative.
const LEAST: i64 = 2 * 32767 * 32768;

/// A sum of products of the words of a run: the lower and the upper halves of pairs of them.
struct Wide([__m256i; 2]);

impl Wide {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn new() -> Wide {
        Wide([_mm256_setzero_si256(); 2])
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn add(&mut self, a: __m256i, b: __m256i) {
        let Wide([lower, upper]) = self;
        let pairs = _mm256_add_epi32(_mm256_madd_epi16(a, b), _mm256_set1_epi32(LEAST as i32));
        *lower = _mm256_add_epi32(*lower, _mm256_and_si256(pairs, _mm256_set1_epi32(0xffff)));
        *upper = _mm256_add_epi32(*upper, _mm256_srli_epi32::<16>(pairs));
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn finish(self) -> i64 {
        let [lower, upper] = self.0.map(|half| across(half));
        (upper << 16) + lower - RUN as i64 / 2 * LEAST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words whose products are the greatest and the least that there are.
    #[test]
    fn no_product_is_too_great() {
        if !is_x86_feature_detected!("avx2") {
            return;
        }
        let words = [i16::MIN, -1, 0, i16::MAX];
        for (a, b) in words.into_iter().flat_map(|a| words.map(|b| (a, b))) {
            let run = [a; RUN];
            let zeros = [0i16; RUN];
            let slices =
                std::array::from_fn(|i| if i == 0 { run.as_ptr() } else { zeros.as_ptr() });
            // SAFETY: AVX2 is there, and the slices are whole.
            let made = unsafe { products::<false>(&slices, &[b; RUN]) };
            let n = RUN as i64;
            assert_eq!(made.sum, n * i64::from(a));
            assert_eq!(made.squares, n * i64::from(a) * i64::from(a));
            assert_eq!(made.mixed, n * i64::from(a) * i64::from(b));
        }
    }
}
