//! Sums of words in 512-bit registers, three rows of cells at a time.
//!
//! What such a sum costs is loads from the first-level cache, at any place in a line. In a
//! row of cells [`STRIDE`] further on, table i's slice begins `STRIDE - p[i]` words further
//! on, or back: so most of what is loaded for one row belongs to the next ones too, shifted
//! by as many words. The shifts are constants, and even, for all these numbers are odd; an
//! instruction shifts by 32 bits.

use std::arch::asm;
use std::arch::x86_64::*;

use super::{RUN, Slices};
use crate::generative::vrns16::PRIMES;
use crate::generative::vrns16::tables::{REGION, advance, residues};

/// Words of a vector, and vectors of a row made side by side: three rows of them leave some
/// registers for what is loaded.
const LANES: usize = 32;
const ABREAST: usize = 6;
/// Cells of a row that are made in one go.
const WIDTH: usize = 2 * ABREAST * LANES;
/// Distance of rows: near the primes' mean, so that the shifts are short, and odd.
const STRIDE: usize = 65_421;
/// Rows made together.
const ROWS: usize = 3;

/// How many words table i's slice moves on from a row to the next.
const fn shift(i: usize) -> i32 {
    STRIDE as i32 - PRIMES[i] as i32
}

/// A slice of table i, `rows` rows after another one or before it: by how many whole vectors
/// and how many 32 bits it is shifted.
const fn whole(i: usize, rows: usize) -> usize {
    shift(i).unsigned_abs() as usize * rows / LANES
}
const fn part(i: usize, rows: usize) -> i32 {
    (shift(i).unsigned_abs() as usize * rows % LANES / 2) as i32
}

/// `sum_of_rows` reads whole vectors, and shifts by pairs of words.
const _: () = {
    assert!(WIDTH + LANES <= RUN);
    let mut i = 0;
    while i < 16 {
        assert!(shift(i) % 2 == 0);
        i += 1;
    }
};

type Row = [__m512i; ABREAST];

/// The sum of the words of an aligned region, which begins at `x`.
///
/// # Safety
/// AVX-512 F and BW; `slices` gives slices of a plane, `RUN` words each.
#[target_feature(enable = "avx512f,avx512bw")]
pub unsafe fn sum_of_region(x: u64, slices: impl Fn(&[u32; 16]) -> Slices) -> i64 {
    let mut sum = 0;
    for place in (0..STRIDE).step_by(WIDTH) {
        let width = WIDTH.min(STRIDE - place);
        let mut r = residues(x + place as u64);
        let mut left = REGION / STRIDE;
        while left > 0 {
            let together = if left >= ROWS && width == WIDTH && in_line(&r) { ROWS } else { 1 };
            // SAFETY: the caller vouches for the slices, and those of the rows are in line.
            sum += match together {
                1 => unsafe { sum_of_row(&slices(&r), width) },
                _ => unsafe { sum_of_rows(&slices(&r)) },
            };
            (0..together).for_each(|_| advance::<STRIDE>(&mut r));
            left -= together;
        }
    }
    for place in (REGION / STRIDE * STRIDE..REGION).step_by(WIDTH) {
        let slices = slices(&residues(x + place as u64));
        // SAFETY: the caller vouches for the slices.
        sum += unsafe { sum_of_row(&slices, WIDTH.min(REGION - place)) };
    }
    sum
}

/// Whether the slices of the rows after one lie as far from its own as the shifts say, none of
/// them beyond either end of its table.
fn in_line(residues: &[u32; 16]) -> bool {
    (0..16).all(|i| {
        let last = residues[i].wrapping_add_signed((ROWS as i32 - 1) * shift(i));
        last < PRIMES[i] as u32
    })
}

/// # Safety
/// AVX-512 F and BW; each slice has `width` words.
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn sum_of_row(slices: &Slices, width: usize) -> i64 {
    let mut sum = _mm512_setzero_si512();
    for at in (0..width).step_by(ABREAST * LANES) {
        let mut row: Row = [_mm512_setzero_si512(); ABREAST];
        for slice in slices {
            for (k, vector) in row.iter_mut().enumerate() {
                let from = at + k * LANES;
                let left = width.saturating_sub(from).min(LANES);
                let mask = ((1_u64 << left) - 1) as u32;
                // SAFETY: the caller vouches for the words, and no others are read.
                let words = unsafe { _mm512_maskz_loadu_epi16(mask, slice.wrapping_add(from)) };
                *vector = _mm512_xor_si512(*vector, words);
            }
        }
        sum = add(sum, &row);
    }
    i64::from(_mm512_reduce_add_epi32(sum))
}

/// The same of `ROWS` rows, `WIDTH` words each.
///
/// # Safety
/// AVX-512 F and BW; the slices are those of the first row, `RUN` words each, and those of the
/// others are in line with them.
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn sum_of_rows(slices: &Slices) -> i64 {
    let mut sum = _mm512_setzero_si512();
    for at in (0..WIDTH).step_by(ABREAST * LANES) {
        let mut rows: [Row; ROWS] = [[_mm512_setzero_si512(); ABREAST]; ROWS];
        macro_rules! table {
            ($i:literal) => {{
                let [a, b, c] = &mut rows;
                let slice = slices[$i].wrapping_add(at);
                // SAFETY: the caller vouches for the slices.
                unsafe {
                    if shift($i) >= 0 {
                        take!($i)(slice, a, b, c);
                    } else {
                        take!($i)(slice.offset((ROWS as isize - 1) * shift($i) as isize), c, b, a);
                    }
                }
            }};
        }
        macro_rules! take {
            ($i:literal) => {
                take::<{ whole($i, 1) }, { part($i, 1) }, { whole($i, 2) }, { part($i, 2) }>
            };
        }
        macro_rules! pairs {
            ($($i:literal $j:literal),*) => {$(
                table!($i);
                table!($j);
                keep(&mut rows);
            )*};
        }
        pairs!(0 1, 2 3, 4 5, 6 7, 8 9, 10 11, 12 13, 14 15);
        for row in &rows {
            sum = add(sum, row);
        }
    }
    i64::from(_mm512_reduce_add_epi32(sum))
}

/// XORs slices of a table into three rows: the first one begins at `from`, the others are
/// shifted by so many whole vectors and so many 32 bits.
///
/// # Safety
/// AVX-512 F and BW; `from` has the words of all three, and a vector more.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn take<const W1: usize, const P1: i32, const W2: usize, const P2: i32>(
    from: *const i16,
    first: &mut Row,
    second: &mut Row,
    third: &mut Row,
) {
    let mut before = _mm512_setzero_si512();
    for v in 0..ABREAST + W2 + 1 {
        // SAFETY: the caller vouches for the words.
        let now = unsafe { _mm512_loadu_si512(from.add(v * LANES).cast()) };
        if v < ABREAST {
            first[v] = _mm512_xor_si512(first[v], now);
        }
        if v > W1 && v - W1 <= ABREAST {
            let words = _mm512_alignr_epi32::<P1>(now, before);
            second[v - W1 - 1] = _mm512_xor_si512(second[v - W1 - 1], words);
        }
        if v > W2 && v - W2 <= ABREAST {
            let words = _mm512_alignr_epi32::<P2>(now, before);
            third[v - W2 - 1] = _mm512_xor_si512(third[v - W2 - 1], words);
        }
        before = now;
    }
}

/// Leaves the rows as they are. The compiler would else take a whole row after the other and
/// keep what it loaded for the next one on the stack.
#[inline]
#[target_feature(enable = "avx512f")]
fn keep(rows: &mut [Row; ROWS]) {
    for vector in rows.as_flattened_mut() {
        // SAFETY: no instruction.
        unsafe {
            asm!("/* {0} */", inout(zmm_reg) * vector, options(nomem, nostack, preserves_flags));
        }
    }
}

/// Adds the sums of neighbours, which 32 bits hold for all vectors of `ROWS` rows.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn add(sum: __m512i, row: &Row) -> __m512i {
    row.iter().fold(sum, |sum, &vector| {
        _mm512_add_epi32(sum, _mm512_madd_epi16(vector, _mm512_set1_epi16(1)))
    })
}
