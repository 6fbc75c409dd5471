//! Sums of integers and bools, exact whatever they come to.

use std::marker::PhantomData;

#[cfg(target_arch = "x86_64")]
use super::avx2;
use super::fold::{Fold, LEAF, STREAMS, one_by_one, turns};
use crate::tensor::element::{Bool, Element};

/// An element type whose sums are integers.
pub trait Integer: Element {
    /// The sum of some elements of a block.
    type State: Copy;
    /// The sum of up to 2^31 elements.
    type Cell: Copy + Into<i128>;

    const START: Self::State;
    const CELL: Self::Cell;

    fn leaf<const AVX2: bool>(state: &mut Self::State, leaf: &[Self::Raw; LEAF]);

    /// As [`Fold::leaves`].
    #[inline(always)]
    fn leaves<'a, const AVX2: bool>(
        states: &mut [Self::State; STREAMS],
        leaf: impl Fn(usize) -> &'a [Self::Raw; LEAF],
    ) {
        one_by_one::<IntegerSum<Self>, AVX2>(states, leaf);
    }

    fn rest(state: &mut Self::State, rest: &[Self::Raw]);
    fn close(state: &Self::State, elements: usize) -> i128;
    fn add(cell: &mut Self::Cell, raw: Self::Raw);
}

macro_rules! widening {
    ($value:expr, $type:ty) => {
        type Cell = i64;
        const CELL: i64 = 0;

        #[inline(always)]
        fn add(cell: &mut i64, raw: Self::Raw) {
            let value: fn($type) -> i64 = $value;
            *cell += value(<$type>::from_raw(raw));
        }
    };
}

/// One and two bytes: summed up by instructions of their own.
macro_rules! narrow {
    ($($type:ty, $value:expr, $avx2:path;)*) => {$(
        impl Integer for $type {
            type State = i64;
            const START: i64 = 0;
            widening!($value, $type);

            #[inline(always)]
            fn leaf<const AVX2: bool>(state: &mut i64, leaf: &[Self::Raw; LEAF]) {
                #[cfg(target_arch = "x86_64")]
                if AVX2 {
                    // SAFETY: called so only where the CPU was seen to have AVX2.
                    *state += unsafe { $avx2(leaf) };
                    return;
                }
                Self::rest(state, leaf);
            }

            #[inline(always)]
            fn rest(state: &mut i64, rest: &[Self::Raw]) {
                rest.iter().for_each(|&raw| Self::add(state, raw));
            }

            #[inline(always)]
            fn close(state: &i64, _elements: usize) -> i128 {
                i128::from(*state)
            }
        }
    )*};
}

narrow!(
    Bool, |value| i64::from(value.0), avx2::sum_bool;
    i8, i64::from, avx2::sum_i8;
    u8, i64::from, avx2::sum_u8;
    i16, i64::from, avx2::sum_i16;
    u16, i64::from, avx2::sum_u16;
);

#[inline(always)]
fn add_rows<T: Element>(state: &mut [i64; 16], part: &[T::Raw], widen: impl Fn(T) -> i64) {
    let mut lanes = *state;
    for row in part.as_chunks::<16>().0 {
        for (lane, &raw) in lanes.iter_mut().zip(row) {
            *lane += widen(T::from_raw(raw));
        }
    }
    *state = lanes;
}

macro_rules! four_bytes {
    ($($type:ty),*) => {$(
        impl Integer for $type {
            type State = [i64; 16];
            const START: [i64; 16] = [0; 16];
            widening!(i64::from, $type);

            #[inline(always)]
            fn leaf<const AVX2: bool>(state: &mut [i64; 16], leaf: &[Self::Raw; LEAF]) {
                add_rows::<Self>(state, leaf, i64::from);
            }

            #[inline(always)]
            fn leaves<'a, const AVX2: bool>(
                states: &mut [[i64; 16]; STREAMS],
                leaf: impl Fn(usize) -> &'a [Self::Raw; LEAF],
            ) {
                turns(
                    leaf,
                    #[inline(always)]
                    |stream, part| add_rows::<Self>(&mut states[stream], part, i64::from),
                );
            }

            #[inline(always)]
            fn rest(state: &mut [i64; 16], rest: &[Self::Raw]) {
                rest.iter().for_each(|&raw| Self::add(&mut state[0], raw));
            }

            #[inline(always)]
            fn close(state: &[i64; 16], _elements: usize) -> i128 {
                i128::from(state.iter().sum::<i64>())
            }
        }
    )*};
}

four_bytes!(i32, u32);

/// Sums of the lower and the upper halves of eight bytes, the latter raised to be
/// without sign.
#[derive(Clone, Copy)]
pub struct Halves {
    pub low: [u64; 8],
    pub high: [u64; 8],
}

macro_rules! eight_bytes {
    ($($type:ty, $raise:expr;)*) => {$(
        impl Integer for $type {
            type State = Halves;
            type Cell = i128;

            const START: Halves = Halves { low: [0; 8], high: [0; 8] };
            const CELL: i128 = 0;

            #[inline(always)]
            fn leaf<const AVX2: bool>(state: &mut Halves, leaf: &[Self::Raw; LEAF]) {
                let mut now = *state;
                for row in leaf.as_chunks::<8>().0 {
                    for j in 0..8 {
                        let raised = u64::from_ne_bytes(row[j]) ^ $raise;
                        now.low[j] += raised & 0xFFFF_FFFF;
                        now.high[j] += raised >> 32;
                    }
                }
                *state = now;
            }

            #[inline(always)]
            fn leaves<'a, const AVX2: bool>(
                states: &mut [Halves; STREAMS],
                leaf: impl Fn(usize) -> &'a [Self::Raw; LEAF],
            ) {
                #[cfg(target_arch = "x86_64")]
                if AVX2 {
                    return turns(
                        leaf,
                        #[inline(always)]
                        |stream, part| {
                            // SAFETY: called so only where the CPU was seen to have AVX2.
                            unsafe { avx2::add_halves_of_eight(&mut states[stream], part, $raise) }
                        },
                    );
                }
                one_by_one::<IntegerSum<Self>, AVX2>(states, leaf);
            }

            #[inline(always)]
            fn rest(state: &mut Halves, rest: &[Self::Raw]) {
                for &raw in rest {
                    let raised = u64::from_ne_bytes(raw) ^ $raise;
                    state.low[0] += raised & 0xFFFF_FFFF;
                    state.high[0] += raised >> 32;
                }
            }

            #[inline(always)]
            fn close(state: &Halves, elements: usize) -> i128 {
                let low: u64 = state.low.iter().sum();
                let high: u64 = state.high.iter().sum();
                i128::from(low) + (i128::from(high) << 32) - elements as i128 * $raise as i128
            }

            #[inline(always)]
            fn add(cell: &mut i128, raw: Self::Raw) {
                *cell += i128::from(Self::from_raw(raw));
            }
        }
    )*};
}

eight_bytes!(
    i64, 1u64 << 63;
    u64, 0u64;
);

/// The sum of elements of an integer type.
pub struct IntegerSum<T>(PhantomData<T>);

impl<T: Integer> Fold for IntegerSum<T> {
    type Raw = T::Raw;
    type State = T::State;
    type Acc = i128;
    type Cell = T::Cell;

    const START: T::State = T::START;
    const NOTHING: i128 = 0;
    const CELL: T::Cell = T::CELL;

    #[inline(always)]
    fn leaf<const AVX2: bool>(state: &mut T::State, leaf: &[T::Raw; LEAF]) {
        T::leaf::<AVX2>(state, leaf);
    }

    #[inline(always)]
    fn leaves<'a, const AVX2: bool>(
        states: &mut [T::State; STREAMS],
        leaf: impl Fn(usize) -> &'a [T::Raw; LEAF],
    ) {
        T::leaves::<AVX2>(states, leaf);
    }

    #[inline(always)]
    fn rest(state: &mut T::State, rest: &[T::Raw]) {
        T::rest(state, rest);
    }

    #[inline(always)]
    fn close(state: &T::State, elements: usize) -> i128 {
        T::close(state, elements)
    }

    #[inline(always)]
    fn short(run: &[T::Raw]) -> i128 {
        let mut cell = T::CELL;
        run.iter().for_each(|&raw| T::add(&mut cell, raw));
        cell.into()
    }

    #[inline(always)]
    fn combine(a: i128, b: i128) -> i128 {
        a + b
    }

    #[inline(always)]
    fn add(cell: &mut T::Cell, raw: T::Raw) {
        T::add(cell, raw);
    }

    #[inline(always)]
    fn cell(cell: T::Cell) -> i128 {
        cell.into()
    }
}
