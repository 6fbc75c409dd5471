//! Counts of the elements that are not zero, of either sign. NaN is not zero.

use std::marker::PhantomData;

#[cfg(target_arch = "x86_64")]
use super::avx2;
use super::fold::{Fold, LEAF};
use crate::tensor::element::{Bool, Element, F8E4M3, F8E5M2};

/// An element type of which a zero is known by its bits.
pub trait Nonzero: Element {
    fn nonzero(raw: Self::Raw) -> bool;
    /// How many of a leaf are not zero.
    fn count<const AVX2: bool>(leaf: &[Self::Raw; LEAF]) -> u32;
}

/// Types and the bits that tell: the sign of a float does not.
macro_rules! nonzero {
    ($($type:ty, $bits:ident, $telling:expr;)*) => {$(
        impl Nonzero for $type {
            #[inline(always)]
            fn nonzero(raw: Self::Raw) -> bool {
                $bits::from_ne_bytes(raw) & $telling != 0
            }

            #[inline(always)]
            fn count<const AVX2: bool>(leaf: &[Self::Raw; LEAF]) -> u32 {
                #[cfg(target_arch = "x86_64")]
                if AVX2 {
                    // SAFETY: called so only where the CPU was seen to have AVX2.
                    return LEAF as u32 - unsafe { avx2::zeros(leaf, $telling as u64) };
                }
                leaf.iter().map(|&raw| u32::from(Self::nonzero(raw))).sum()
            }
        }
    )*};
}

nonzero!(
    Bool, u8, u8::MAX;
    i8, u8, u8::MAX;
    u8, u8, u8::MAX;
    i16, u16, u16::MAX;
    u16, u16, u16::MAX;
    i32, u32, u32::MAX;
    u32, u32, u32::MAX;
    i64, u64, u64::MAX;
    u64, u64, u64::MAX;
    f64, u64, (u64::MAX >> 1);
    f32, u32, (u32::MAX >> 1);
    half::f16, u16, (u16::MAX >> 1);
    half::bf16, u16, (u16::MAX >> 1);
    F8E4M3, u8, (u8::MAX >> 1);
    F8E5M2, u8, (u8::MAX >> 1);
);

/// The number of elements that are not zero.
pub struct Count<T>(PhantomData<T>);

impl<T: Nonzero> Fold for Count<T> {
    type Raw = T::Raw;
    type State = i64;
    type Acc = i64;
    type Cell = i64;

    const START: i64 = 0;
    const NOTHING: i64 = 0;
    const CELL: i64 = 0;

    #[inline(always)]
    fn leaf<const AVX2: bool>(state: &mut i64, leaf: &[T::Raw; LEAF]) {
        *state += i64::from(T::count::<AVX2>(leaf));
    }

    #[inline(always)]
    fn rest(state: &mut i64, rest: &[T::Raw]) {
        *state += Self::short(rest);
    }

    #[inline(always)]
    fn close(state: &i64, _elements: usize) -> i64 {
        *state
    }

    #[inline(always)]
    fn short(run: &[T::Raw]) -> i64 {
        run.iter().map(|&raw| i64::from(T::nonzero(raw))).sum()
    }

    #[inline(always)]
    fn combine(a: i64, b: i64) -> i64 {
        a + b
    }

    #[inline(always)]
    fn add(cell: &mut i64, raw: T::Raw) {
        *cell += i64::from(T::nonzero(raw));
    }

    #[inline(always)]
    fn cell(cell: i64) -> i64 {
        cell
    }
}
