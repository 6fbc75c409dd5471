//! The inverse of the normal distribution function: uniform cells become normal ones.
//!
//! Algorithm AS241 (Wichura, Applied Statistics 37, 1988, PPND16), relative error about
//! 1e-16: one rational function for the middle 85 % of the probabilities, another of
//! `sqrt(-log p)` for the tails, and a third for those beyond `e^-25`. The middle has no
//! branch; cells of the tails are gathered and made apart. Multiplications and additions
//! are never fused, and the logarithm is this file's own, so every CPU gives the same bits.

/// Cells worked on at a time: a multiple of 64.
const BLOCK: usize = 128;
/// Tails are made in groups of so many.
const GROUP: usize = 4;
/// How far the middle reaches from one half.
const MIDDLE: f64 = 0.425;
/// What stands for all probabilities below it, 0 among them, and keeps the two ends alike:
/// the largest uniform cell below 1 is as far from 1.
const LEAST: f64 = 1.0 / 18_014_398_509_481_984.0;
/// Where `sqrt(-log p)` passes from one rational function to the next.
const FAR: f64 = 5.0;

/// A numerator and a denominator, highest power first.
struct Rational([f64; 8], [f64; 8]);

#[allow(clippy::excessive_precision, reason = "as they were published")]
const CENTRE: Rational = Rational(
    [
        2.50908_09287_30122_6727e+3,
        3.34305_75583_58812_8105e+4,
        6.72657_70927_00870_0853e+4,
        4.59219_53931_54987_1457e+4,
        1.37316_93765_50946_1125e+4,
        1.97159_09503_06551_4427e+3,
        1.33141_66789_17843_7745e+2,
        3.38713_28727_96366_6080e+0,
    ],
    [
        5.22649_52788_52854_5610e+3,
        2.87290_85735_72194_2674e+4,
        3.93078_95800_09271_0610e+4,
        2.12137_94301_58659_5867e+4,
        5.39419_60214_24751_1077e+3,
        6.87187_00749_20579_0830e+2,
        4.23133_30701_60091_1252e+1,
        1.0,
    ],
);

#[allow(clippy::excessive_precision, reason = "as they were published")]
const TAIL: Rational = Rational(
    [
        7.74545_01427_83414_07640e-4,
        2.27238_44989_26918_45833e-2,
        2.41780_72517_74506_11770e-1,
        1.27045_82524_52368_38258e+0,
        3.64784_83247_63204_60504e+0,
        5.76949_72214_60691_40550e+0,
        4.63033_78461_56545_29590e+0,
        1.42343_71107_49683_57734e+0,
    ],
    [
        1.05075_00716_44416_84324e-9,
        5.47593_80849_95344_94600e-4,
        1.51986_66563_61645_71966e-2,
        1.48103_97642_74800_74590e-1,
        6.89767_33498_51000_04550e-1,
        1.67638_48301_83803_84940e+0,
        2.05319_16266_37758_82187e+0,
        1.0,
    ],
);

#[allow(clippy::excessive_precision, reason = "as they were published")]
const FAR_TAIL: Rational = Rational(
    [
        2.01033_43992_92288_13265e-7,
        2.71155_55687_43487_57815e-5,
        1.24266_09473_88078_43860e-3,
        2.65321_89526_57612_30930e-2,
        2.96560_57182_85048_91230e-1,
        1.78482_65399_17291_33580e+0,
        5.46378_49111_64114_36990e+0,
        6.65790_46435_01103_77720e+0,
    ],
    [
        2.04426_31033_89939_78564e-15,
        1.42151_17583_16445_88870e-7,
        1.84631_83175_10054_68180e-5,
        7.86869_13114_56132_59100e-4,
        1.48753_61290_85061_48525e-2,
        1.36929_88092_27358_05310e-1,
        5.99832_20655_58879_37690e-1,
        1.0,
    ],
);

#[inline(always)]
fn horner(coefficients: &[f64; 8], x: f64) -> f64 {
    let mut value = coefficients[0];
    for coefficient in &coefficients[1..] {
        value = value * x + coefficient;
    }
    value
}

/// Replaces uniform cells by normal ones of that mean and standard deviation; with `AVX2`
/// only where the CPU has it.
#[inline(always)]
pub fn apply<const AVX2: bool>(cells: &mut [f64], mean: f64, std: f64) {
    let mut tails = [0.0; BLOCK + GROUP];
    for block in cells.chunks_mut(BLOCK) {
        let mut masks = [0; BLOCK / 64];
        let count = gather::<AVX2>(block, &mut tails, &mut masks);
        for cell in block.iter_mut() {
            let q = *cell - 0.5;
            let r = MIDDLE * MIDDLE - q * q;
            let z = horner(&CENTRE.0, r) * q / horner(&CENTRE.1, r);
            *cell = z * std + mean;
        }
        let padded = count.next_multiple_of(GROUP);
        tails[count..padded].fill(0.01);
        make_tails(&mut tails[..padded]);
        let mut tails = tails.iter();
        for (part, mut mask) in block.chunks_mut(64).zip(masks) {
            while mask != 0 {
                if let (Some(cell), Some(z)) =
                    (part.get_mut(mask.trailing_zeros() as usize), tails.next())
                {
                    *cell = z * std + mean;
                }
                mask &= mask - 1;
            }
        }
    }
}

/// Puts the cells outside the middle one after the other, and tells how many there are and,
/// bit by bit, which.
#[inline(always)]
fn gather<const AVX2: bool>(
    block: &[f64],
    tails: &mut [f64; BLOCK + GROUP],
    masks: &mut [u64; BLOCK / 64],
) -> usize {
    #[cfg(target_arch = "x86_64")]
    if AVX2 && block.len() == BLOCK {
        // SAFETY: the caller vouches for AVX2; the block is whole.
        return unsafe { avx2::gather(block, tails, masks) };
    }
    let mut count = 0;
    for (part, mask) in block.chunks(64).zip(masks) {
        for (i, &cell) in part.iter().enumerate() {
            let outside = (cell - 0.5).abs() > MIDDLE;
            tails[count] = cell;
            count += usize::from(outside);
            *mask |= u64::from(outside) << i;
        }
    }
    count
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::*;

    use super::{BLOCK, GROUP, MIDDLE};

    #[repr(align(32))]
    struct Packed([u32; 8]);

    /// For each set of four lanes, where each half of these is taken from to stand in a row.
    static PACKED: [Packed; 16] = {
        let mut all = [const { Packed([0; 8]) }; 16];
        let mut set = 0;
        while set < 16 {
            let (mut lane, mut at) = (0, 0);
            while lane < 4 {
                if set >> lane & 1 == 1 {
                    all[set].0[at] = 2 * lane;
                    all[set].0[at + 1] = 2 * lane + 1;
                    at += 2;
                }
                lane += 1;
            }
            set += 1;
        }
        all
    };

    /// How many lanes a set has.
    static COUNTS: [u8; 16] = [0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4];

    /// As `super::gather`, for a whole block.
    ///
    /// # Safety
    /// The block has `BLOCK` cells.
    #[target_feature(enable = "avx2")]
    pub unsafe fn gather(
        block: &[f64],
        tails: &mut [f64; BLOCK + GROUP],
        masks: &mut [u64; BLOCK / 64],
    ) -> usize {
        let (half, middle) = (_mm256_set1_pd(0.5), _mm256_set1_pd(MIDDLE));
        let no_sign = _mm256_castsi256_pd(_mm256_set1_epi64x(i64::MAX));
        let mut count = 0;
        for i in (0..BLOCK).step_by(4) {
            // SAFETY: the block has four cells from here on.
            let cells = unsafe { _mm256_loadu_pd(block.as_ptr().add(i)) };
            let distance = _mm256_and_pd(_mm256_sub_pd(cells, half), no_sign);
            let set = _mm256_movemask_pd(_mm256_cmp_pd::<_CMP_GT_OQ>(distance, middle)) as usize;
            // SAFETY: eight numbers, aligned by their type.
            let order = unsafe { _mm256_load_si256(PACKED[set & 15].0.as_ptr().cast()) };
            let packed = _mm256_permutevar8x32_ps(_mm256_castpd_ps(cells), order);
            // SAFETY: no more than i cells were kept, and GROUP follow the last of the block.
            unsafe { _mm256_storeu_pd(tails.as_mut_ptr().add(count), _mm256_castps_pd(packed)) };
            count += COUNTS[set & 15] as usize;
            masks[i / 64] |= (set as u64) << (i % 64);
        }
        count
    }
}

/// Replaces probabilities outside the middle, whole groups of them, by quantiles.
#[inline(always)]
fn make_tails(tails: &mut [f64]) {
    let (groups, _) = tails.as_chunks_mut::<GROUP>();
    for group in groups {
        let mut roots = [0.0; GROUP];
        let mut far = 0;
        for (cell, root) in group.iter_mut().zip(&mut roots) {
            let q = *cell - 0.5;
            // Exact, above one half.
            let other = 1.0 - *cell;
            let p = if q < 0.0 { *cell } else { other };
            let p = if p > LEAST { p } else { LEAST };
            *root = (-log(p)).sqrt();
            let r = *root - 1.6;
            let z = horner(&TAIL.0, r) / horner(&TAIL.1, r);
            far |= u64::from(*root > FAR);
            *cell = z.copysign(q);
        }
        // One in some 10^10.
        if far != 0 {
            for (cell, root) in group.iter_mut().zip(roots) {
                let r = root - FAR;
                if r > 0.0 {
                    let z = horner(&FAR_TAIL.0, r) / horner(&FAR_TAIL.1, r);
                    *cell = z.copysign(*cell);
                }
            }
        }
    }
}

/// The natural logarithm of a normal number above zero, right to less than an ulp, by the
/// method of FreeBSD's libm: of `x = 2^k (1 + f)` with `1 + f` in `[sqrt(1/2), sqrt(2))`,
/// a polynomial in `s = f / (2 + f)`.
#[inline(always)]
#[allow(clippy::excessive_precision, reason = "as they were published")]
fn log(x: f64) -> f64 {
    const ROOT: u64 = 0x3FE6_A09E_0000_0000;
    const ONE: u64 = 0x3FF0_0000_0000_0000;
    const FRACTION: u64 = 0x000F_FFFF_FFFF_FFFF;
    // ln 2 in two parts, the first with zeros at its end so that its multiples are exact.
    const LN2_HIGH: f64 = 6.93147180369123816490e-01;
    const LN2_LOW: f64 = 1.90821492927058770002e-10;
    let bits = x.to_bits() + (ONE - ROOT);
    // The exponent becomes a double by sitting in the last bits of 2^52.
    let k = f64::from_bits(0x4330_0000_0000_0000 | bits >> 52) - (4_503_599_627_370_496.0 + 1023.0);
    let f = f64::from_bits((bits & FRACTION) + ROOT) - 1.0;
    let half = 0.5 * f * f;
    let s = f / (2.0 + f);
    let z = s * s;
    let w = z * z;
    let even = w
        * (3.999999999940941908e-01
            + w * (2.222219843214978396e-01 + w * 1.531383769920937332e-01));
    let odd = z
        * (6.666666666666735130e-01
            + w * (2.857142874366239149e-01
                + w * (1.818357216161805012e-01 + w * 1.479819860511658591e-01)));
    s * (half + (even + odd)) + k * LN2_LOW - half + f + k * LN2_HIGH
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quantile(p: f64) -> f64 {
        let mut cell = [p];
        apply::<false>(&mut cell, 0.0, 1.0);
        cell[0]
    }

    #[test]
    fn the_logarithm_is_right_to_an_ulp() {
        let mut x = LEAST;
        while x < 1.0 {
            let (made, libm) = (log(x), x.ln());
            assert!((made - libm).abs() <= libm.abs() * f64::EPSILON, "log({x}) = {made}, {libm}");
            x *= 1.000_371;
        }
    }

    #[test]
    fn the_ends_are_finite_and_alike() {
        assert_eq!(quantile(0.0), -quantile(1.0));
        assert_eq!(quantile(0.0), quantile(LEAST));
        assert_eq!(quantile(LEAST / 8.0), quantile(LEAST));
        assert!(quantile(0.0) < -8.0 && quantile(0.0) > -9.0);
        assert_eq!(quantile(0.5), 0.0);
    }

    /// Known quantiles, from tables with more digits.
    #[test]
    fn known_quantiles() {
        for (p, z) in [
            (0.975, 1.959_963_984_540_054),
            (0.025, -1.959_963_984_540_054),
            (0.9, 1.281_551_565_544_600_4),
            (1e-5, -4.264_890_793_922_825),
            (1e-12, -7.034_483_825_301_132),
            (0.6, 0.253_347_103_135_799_8),
        ] {
            assert!((quantile(p) - z).abs() <= z.abs() * 1e-15, "{p}: {} {z}", quantile(p));
        }
    }

    #[test]
    fn quantiles_rise_and_mirror() {
        let mut last = f64::NEG_INFINITY;
        for i in 0..=100_000u32 {
            let p = f64::from(i) / 131_072.0;
            let z = quantile(p);
            assert!(z >= last - 1e-15, "{p}");
            assert_eq!(quantile(1.0 - p), -z, "{p}");
            last = z;
        }
    }
}
