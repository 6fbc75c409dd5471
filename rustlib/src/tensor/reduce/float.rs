//! Sums of floating point elements, in f64. Element j of a leaf goes to lane j
//! modulo 16; leaves are added in pairs, pairs of pairs and so on, lane by lane.

use std::marker::PhantomData;

use super::fold::{BLOCK, Fold, LEAF, STREAMS, one_by_one, turns};
#[cfg(target_arch = "x86_64")]
use super::{avx2, exact};
use crate::tensor::element::{Element, F8E4M3, F8E5M2};

const LANES: usize = 16;
/// Of how many leaves one is tried in the way that must not round, where it mostly does.
const TRIES: usize = 8;
pub type Lanes = [f64; LANES];

/// A floating point element type.
pub trait Float: Element {
    /// Whether adding up is so fast that memory holds it up.
    const FAST: bool = false;

    fn to_f64(raw: Self::Raw) -> f64;

    /// A leaf by the CPU's own instructions; None where plain code must do it.
    #[inline(always)]
    fn leaf_avx2(_leaf: &[Self::Raw; LEAF]) -> Option<Lanes> {
        None
    }

    /// Whether leaves can be added up faster where no addition is rounded.
    const EXACT: bool = false;

    /// Leaves so added up; None where an addition was rounded, or it cannot be done.
    #[inline(always)]
    fn leaves_exact(_leaves: [&[Self::Raw; LEAF]; STREAMS]) -> Option<[Lanes; STREAMS]> {
        None
    }
}

impl Float for f64 {
    const FAST: bool = true;

    #[inline(always)]
    fn to_f64(raw: [u8; 8]) -> f64 {
        f64::from_ne_bytes(raw)
    }
}

impl Float for f32 {
    const FAST: bool = true;

    #[inline(always)]
    fn to_f64(raw: [u8; 4]) -> f64 {
        f64::from(f32::from_ne_bytes(raw))
    }
}

/// The small types, of which plain code makes an f64 by moving the bits to where an
/// f64 has them, which leaves the exponent off by the difference of the biases.
macro_rules! small {
    (
        $type:ty, $raw:ty, $bits:ident, $mantissa:literal, $bias:literal, $special:expr,
        $avx2:path $(, $exact:path)?
    ) => {
        impl Float for $type {
            #[inline(always)]
            fn to_f64(raw: $raw) -> f64 {
                const WIDTH: u32 = $bits::BITS;
                let bits = $bits::from_ne_bytes(raw);
                let size = u64::from(bits & ($bits::MAX >> 1));
                let sign = u64::from(bits >> (WIDTH - 1)) << 63;
                let moved = f64::from_bits(sign | size << (52 - $mantissa));
                let special: Option<(u64, u64)> = $special;
                let value = moved * f64::from_bits((1023 + 1023 - $bias) << 52);
                match special {
                    Some((infinity, _)) if size == infinity => {
                        f64::from_bits(sign | f64::INFINITY.to_bits())
                    }
                    Some((_, nan)) if size >= nan => f64::NAN,
                    _ => value,
                }
            }

            #[cfg(target_arch = "x86_64")]
            #[inline(always)]
            fn leaf_avx2(leaf: &[$raw; LEAF]) -> Option<Lanes> {
                // SAFETY: called only where the CPU was seen to have AVX2.
                unsafe { $avx2(leaf) }
            }

            $(
                #[cfg(target_arch = "x86_64")]
                const EXACT: bool = true;

                #[cfg(target_arch = "x86_64")]
                #[inline(always)]
                fn leaves_exact(leaves: [&[$raw; LEAF]; STREAMS]) -> Option<[Lanes; STREAMS]> {
                    if !std::arch::is_x86_feature_detected!("f16c") {
                        return None;
                    }
                    // SAFETY: called only where the CPU has AVX2; the rest was just seen.
                    unsafe { $exact(leaves) }
                }
            )?
        }
    };
}

// The size of an infinity, and that of the smallest NaN.
small!(half::f16, [u8; 2], u16, 10, 15, Some((0x7C00, 0x7C01)), avx2::sum_f16, exact::sum_f16);
small!(half::bf16, [u8; 2], u16, 7, 127, Some((0x7F80, 0x7F81)), avx2::sum_bf16, exact::sum_bf16);
small!(F8E4M3, [u8; 1], u8, 3, 7, Some((u64::MAX, 0x7F)), avx2::sum_f8e4m3);
small!(F8E5M2, [u8; 1], u8, 2, 15, Some((0x7C, 0x7D)), avx2::sum_f8e5m2);

/// Lanes of the leaves so far, as the binary digits of their number: what the
/// digit k stands for is the sum of 2^k leaves.
#[derive(Clone, Copy)]
pub struct Pairs {
    sums: [Lanes; (BLOCK / LEAF).ilog2() as usize + 1],
    leaves: usize,
    /// Leaves that were tried in vain in the way that must not round.
    rounded: usize,
}

impl Pairs {
    #[inline(always)]
    fn push(&mut self, mut lanes: Lanes) {
        let carries = self.leaves.trailing_ones() as usize;
        for before in &self.sums[..carries] {
            for (lane, before) in lanes.iter_mut().zip(before) {
                *lane += before;
            }
        }
        self.sums[carries] = lanes;
        self.leaves += 1;
    }

    #[inline(always)]
    fn total(&self) -> f64 {
        let mut lanes = [0.0; LANES];
        for (k, sum) in self.sums.iter().enumerate() {
            if self.leaves >> k & 1 == 1 {
                for (lane, sum) in lanes.iter_mut().zip(sum) {
                    *lane += sum;
                }
            }
        }
        across(lanes)
    }
}

/// The sum of all lanes, in pairs.
#[inline(always)]
pub fn across(mut lanes: Lanes) -> f64 {
    let mut width = LANES / 2;
    while width > 0 {
        for j in 0..width {
            lanes[j] += lanes[j + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// The lanes of up to a leaf of elements.
#[inline(always)]
fn lanes<T: Float>(run: &[T::Raw]) -> Lanes {
    /// Elements whose additions the compiler unrolls; more, and it makes a slow loop.
    const UNROLLED: usize = 16 * LANES;
    let mut lanes = [0.0; LANES];
    let (spans, rest) = run.as_chunks::<UNROLLED>();
    for span in spans {
        add_rows::<T>(&mut lanes, span);
    }
    add_rows::<T>(&mut lanes, rest);
    lanes
}

#[inline(always)]
fn add_rows<T: Float>(lanes: &mut Lanes, run: &[T::Raw]) {
    let (rows, rest) = run.as_chunks::<LANES>();
    for row in rows {
        for (lane, &raw) in lanes.iter_mut().zip(row) {
            *lane += T::to_f64(raw);
        }
    }
    for (lane, &raw) in lanes.iter_mut().zip(rest) {
        *lane += T::to_f64(raw);
    }
}

/// The sum of elements of a floating point type.
pub struct FloatSum<T>(PhantomData<T>);

impl<T: Float> Fold for FloatSum<T> {
    type Raw = T::Raw;
    type State = Pairs;
    type Acc = f64;
    type Cell = f64;

    const START: Pairs =
        Pairs { sums: [[0.0; LANES]; (BLOCK / LEAF).ilog2() as usize + 1], leaves: 0, rounded: 0 };
    const NOTHING: f64 = 0.0;
    const CELL: f64 = 0.0;

    #[inline(always)]
    fn leaf<const AVX2: bool>(state: &mut Pairs, leaf: &[T::Raw; LEAF]) {
        let made = if AVX2 { T::leaf_avx2(leaf) } else { None };
        state.push(made.unwrap_or_else(
            #[inline(always)]
            || lanes::<T>(leaf),
        ));
    }

    #[inline(always)]
    fn leaves<'a, const AVX2: bool>(
        states: &mut [Pairs; STREAMS],
        leaf: impl Fn(usize) -> &'a [T::Raw; LEAF],
    ) {
        if AVX2 && T::EXACT && states[0].rounded * TRIES <= states[0].leaves {
            if let Some(sums) = T::leaves_exact(std::array::from_fn(&leaf)) {
                for (state, lanes) in states.iter_mut().zip(sums) {
                    state.push(lanes);
                }
                return;
            }
            states[0].rounded += 1;
        }
        if !T::FAST {
            return one_by_one::<Self, AVX2>(states, leaf);
        }
        let mut lanes = [[0.0; LANES]; STREAMS];
        turns(
            leaf,
            #[inline(always)]
            |stream, part| {
                // Out of memory while they are added to.
                let mut now = lanes[stream];
                add_rows::<T>(&mut now, part);
                lanes[stream] = now;
            },
        );
        for (state, lanes) in states.iter_mut().zip(lanes) {
            state.push(lanes);
        }
    }

    #[inline(always)]
    fn rest(state: &mut Pairs, rest: &[T::Raw]) {
        if !rest.is_empty() {
            state.push(lanes::<T>(rest));
        }
    }

    #[inline(always)]
    fn close(state: &Pairs, _elements: usize) -> f64 {
        state.total()
    }

    #[inline(always)]
    fn short(run: &[T::Raw]) -> f64 {
        if run.len() < LANES {
            return run.iter().fold(0.0, |sum, &raw| sum + T::to_f64(raw));
        }
        across(lanes::<T>(run))
    }

    #[inline(always)]
    fn combine(a: f64, b: f64) -> f64 {
        a + b
    }

    #[inline(always)]
    fn add(cell: &mut f64, raw: T::Raw) {
        *cell += T::to_f64(raw);
    }

    #[inline(always)]
    fn cell(cell: f64) -> f64 {
        cell
    }
}
