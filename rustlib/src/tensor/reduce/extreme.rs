//! Minimum and maximum, both at once, of integer keys in the elements' order. NaNs
//! have keys beyond the infinities, so the extremes tell whether there was one.

use std::marker::PhantomData;

#[cfg(target_arch = "x86_64")]
use super::avx2;
use super::fold::{Fold, LEAF};
use crate::tensor::element::{Bool, Element, F8E4M3, F8E5M2};

/// An element type seen as integers in the same order.
pub trait Ordered: Element {
    type Key: Copy + Ord + Send + Sync;
    /// Least and greatest keys of some elements, lane by lane.
    type State: Copy;

    const LOWEST: Self::Key;
    const HIGHEST: Self::Key;
    const START: Self::State;

    fn key(raw: Self::Raw) -> Self::Key;
    fn from_key(key: Self::Key) -> Self::Raw;
    /// The element to answer with if one of these extremes is of a NaN.
    fn nan(least: Self::Key, greatest: Self::Key) -> Option<Self::Raw>;
    fn leaf<const AVX2: bool>(state: &mut Self::State, leaf: &[Self::Raw; LEAF]);
    fn rest(state: &mut Self::State, rest: &[Self::Raw]);
    fn close(state: &Self::State) -> (Self::Key, Self::Key);
}

/// `$lanes` keys of the type `$key`; where the compiler finds no good vector code,
/// `$avx2` has it.
macro_rules! lanes {
    ($key:ident, $lanes:literal $(, $avx2:path)?) => {
        type Key = $key;
        type State = ([$key; $lanes], [$key; $lanes]);

        const LOWEST: $key = $key::MIN;
        const HIGHEST: $key = $key::MAX;
        const START: Self::State = ([$key::MAX; $lanes], [$key::MIN; $lanes]);

        #[inline(always)]
        fn leaf<const AVX2: bool>(state: &mut Self::State, leaf: &[Self::Raw; LEAF]) {
            $(
                #[cfg(target_arch = "x86_64")]
                if AVX2 {
                    // SAFETY: called so only where the CPU was seen to have AVX2.
                    return unsafe { $avx2(state, leaf) };
                }
            )?
            let (mut least, mut greatest) = *state;
            for row in leaf.as_chunks::<$lanes>().0 {
                for j in 0..$lanes {
                    let key = Self::key(row[j]);
                    least[j] = least[j].min(key);
                    greatest[j] = greatest[j].max(key);
                }
            }
            *state = (least, greatest);
        }

        #[inline(always)]
        fn rest((least, greatest): &mut Self::State, rest: &[Self::Raw]) {
            for &raw in rest {
                let key = Self::key(raw);
                least[0] = least[0].min(key);
                greatest[0] = greatest[0].max(key);
            }
        }

        #[inline(always)]
        fn close((least, greatest): &Self::State) -> ($key, $key) {
            let least = least.iter().fold(Self::HIGHEST, |a, &b| a.min(b));
            (least, greatest.iter().fold(Self::LOWEST, |a, &b| a.max(b)))
        }
    };
}

macro_rules! integers {
    ($($type:ident, $lanes:literal;)*) => {$(
        impl Ordered for $type {
            lanes!($type, $lanes);

            #[inline(always)]
            fn key(raw: Self::Raw) -> $type {
                $type::from_raw(raw)
            }

            fn from_key(key: $type) -> Self::Raw {
                key.to_raw()
            }

            fn nan(_: $type, _: $type) -> Option<Self::Raw> {
                None
            }
        }
    )*};
}

integers!(i8, 32; u8, 32; i16, 32; u16, 32; i32, 32; u32, 32; i64, 16; u64, 16;);

impl Ordered for Bool {
    lanes!(u8, 32);

    #[inline(always)]
    fn key(raw: [u8; 1]) -> u8 {
        u8::from(Bool::from_raw(raw).0)
    }

    fn from_key(key: u8) -> [u8; 1] {
        [key]
    }

    fn nan(_: u8, _: u8) -> Option<[u8; 1]> {
        None
    }
}

/// Floats are sign and magnitude: below zero, the more magnitude the less.
macro_rules! floats {
    ($($type:ty, $key:ident, $lanes:literal, $largest:literal, $nan:literal $(, $avx2:path)?;)*) => {$(
        impl Ordered for $type {
            lanes!($key, $lanes $(, $avx2)?);

            #[inline(always)]
            fn key(raw: Self::Raw) -> $key {
                let bits = $key::from_ne_bytes(raw);
                bits ^ ((bits >> ($key::BITS - 1)) & $key::MAX)
            }

            fn from_key(key: $key) -> Self::Raw {
                // The step from bits to key is its own inverse.
                Self::key(key.to_ne_bytes()).to_ne_bytes()
            }

            fn nan(least: $key, greatest: $key) -> Option<Self::Raw> {
                const LARGEST: $key = $largest;
                const NAN: $key = $nan;
                (greatest > LARGEST || least < !LARGEST).then_some(NAN.to_ne_bytes())
            }
        }
    )*};
}

// The bits of the largest number or infinity, and those of a NaN.
floats!(
    f64, i64, 16, 0x7FF0_0000_0000_0000, 0x7FF8_0000_0000_0000, avx2::extremes_f64;
    f32, i32, 32, 0x7F80_0000, 0x7FC0_0000;
    half::f16, i16, 32, 0x7C00, 0x7E00;
    half::bf16, i16, 32, 0x7F80, 0x7FC0;
    F8E4M3, i8, 32, 0x7E, 0x7F;
    F8E5M2, i8, 32, 0x7C, 0x7E;
);

/// The least and the greatest element.
pub struct Extremes<T>(PhantomData<T>);

impl<T: Ordered> Fold for Extremes<T> {
    type Raw = T::Raw;
    type State = T::State;
    type Acc = (T::Key, T::Key);
    type Cell = (T::Key, T::Key);

    const START: T::State = T::START;
    const NOTHING: Self::Acc = (T::HIGHEST, T::LOWEST);
    const CELL: Self::Cell = Self::NOTHING;

    #[inline(always)]
    fn leaf<const AVX2: bool>(state: &mut T::State, leaf: &[T::Raw; LEAF]) {
        T::leaf::<AVX2>(state, leaf);
    }

    #[inline(always)]
    fn rest(state: &mut T::State, rest: &[T::Raw]) {
        T::rest(state, rest);
    }

    #[inline(always)]
    fn close(state: &T::State, _elements: usize) -> Self::Acc {
        T::close(state)
    }

    #[inline(always)]
    fn short(run: &[T::Raw]) -> Self::Acc {
        let mut cell = Self::CELL;
        run.iter().for_each(|&raw| Self::add(&mut cell, raw));
        cell
    }

    #[inline(always)]
    fn combine(a: Self::Acc, b: Self::Acc) -> Self::Acc {
        (a.0.min(b.0), a.1.max(b.1))
    }

    #[inline(always)]
    fn add(cell: &mut Self::Cell, raw: T::Raw) {
        let key = T::key(raw);
        *cell = (cell.0.min(key), cell.1.max(key));
    }

    #[inline(always)]
    fn cell(cell: Self::Cell) -> Self::Acc {
        cell
    }
}
