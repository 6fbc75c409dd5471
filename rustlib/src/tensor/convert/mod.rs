//! Conversions between element types, as NumPy's `astype` with `ml_dtypes` has them.
//!
//! * Integer to integer keeps the low bits. Whatever is not zero is true, NaN too.
//! * Integer or float to float rounds to nearest, ties to even, and what is too large
//!   becomes infinite, or NaN in `float8_e4m3fn`, which has no infinity. `bfloat16`
//!   and the two `float8` are reached by way of `float32`, and `float16` from integers
//!   too: those values are rounded twice, as there.
//! * Float to integer drops the fraction. Out of range C leaves it undefined; here the
//!   nearest integer of the type is taken, and zero for NaN.
//! * NaN keeps its sign. Of its other bits nothing is promised.

mod integer;
pub mod run;
pub(super) mod small;

use super::dtype::{Class, DType};
use super::element::{Bool, Element, F8E4M3, F8E5M2};

/// An element as a number: what it is in the wide types, and back.
pub trait Number: Element {
    /// Exact for all but `f64` and the integers of 32 bits and more, which round.
    fn to_f32(self) -> f32;
    /// Exact for all but the integers of 64 bits, which round.
    fn to_f64(self) -> f64;
    /// Exact for integers, but that `u64` wraps; a float drops its fraction and is
    /// clamped, and NaN is zero.
    fn to_i64(self) -> i64;
    /// The nearest float; an integer drops the fraction and is clamped.
    fn from_f32(value: f32) -> Self;
    /// As [`Number::from_f32`].
    fn from_f64(value: f64) -> Self;
    /// The nearest float; an integer keeps the low bits.
    fn from_i64(value: i64) -> Self;
}

/// One element converted.
#[inline(always)]
pub fn cast<S: Number, T: Number>(value: S) -> T {
    let from_float = matches!(S::DTYPE.class(), Class::Float);
    let to_float = matches!(T::DTYPE.class(), Class::Float);
    let wide = if from_float { S::DTYPE } else { T::DTYPE };
    if !from_float && !to_float {
        T::from_i64(value.to_i64())
    } else if matches!(wide, DType::Float64) {
        T::from_f64(value.to_f64())
    } else {
        T::from_f32(value.to_f32())
    }
}

/// A type of the language: `$from_f32` and `$from_f64` make one, `$to_f32` the other way.
macro_rules! native {
    ($($type:ty: $to_f32:expr, $from_f32:expr, $from_f64:expr;)*) => {$(
        impl Number for $type {
            #[inline(always)]
            fn to_f32(self) -> f32 {
                $to_f32(self)
            }

            #[inline(always)]
            fn to_f64(self) -> f64 {
                self as f64
            }

            #[inline(always)]
            fn to_i64(self) -> i64 {
                self as i64
            }

            #[inline(always)]
            fn from_f32(value: f32) -> Self {
                $from_f32(value)
            }

            #[inline(always)]
            fn from_f64(value: f64) -> Self {
                $from_f64(value)
            }

            #[inline(always)]
            fn from_i64(value: i64) -> Self {
                value as $type
            }
        }
    )*};
}

native! {
    i8: |x| x as f32, integer::i8_from_f32, integer::i8_from_f64;
    i16: |x| x as f32, integer::i16_from_f32, integer::i16_from_f64;
    i32: |x| x as f32, integer::i32_from_f32, integer::i32_from_f64;
    i64: |x| x as f32, integer::i64_from_f32, integer::i64_from_f64;
    u8: |x| x as f32, integer::u8_from_f32, integer::u8_from_f64;
    u16: |x| x as f32, integer::u16_from_f32, integer::u16_from_f64;
    u32: |x| x as f32, integer::u32_from_f32, integer::u32_from_f64;
    u64: integer::u64_to_f32, integer::u64_from_f32, integer::u64_from_f64;
    f32: |x| x, |x| x, |x| x as f32;
    f64: |x| x as f32, f64::from, |x| x;
}

impl Number for Bool {
    #[inline(always)]
    fn to_f32(self) -> f32 {
        f32::from(u8::from(self.0))
    }

    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(u8::from(self.0))
    }

    #[inline(always)]
    fn to_i64(self) -> i64 {
        i64::from(self.0)
    }

    #[inline(always)]
    fn from_f32(value: f32) -> Self {
        Bool(value != 0.0)
    }

    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        Bool(value != 0.0)
    }

    #[inline(always)]
    fn from_i64(value: i64) -> Self {
        Bool(value != 0)
    }
}

/// A float that `f32` holds: `$widen` and `$narrow` go there and back, `$single` makes
/// an `f64` the `f32` to be narrowed. No method calls another: `half` has some of the
/// same names, which are slower, round elsewise, and would be called in their stead.
macro_rules! small {
    ($($type:ty: $widen:expr, $narrow:expr, $single:expr;)*) => {$(
        impl Number for $type {
            #[inline(always)]
            fn to_f32(self) -> f32 {
                $widen(self)
            }

            #[inline(always)]
            fn to_f64(self) -> f64 {
                f64::from($widen(self))
            }

            #[inline(always)]
            fn to_i64(self) -> i64 {
                $widen(self) as i64
            }

            #[inline(always)]
            fn from_f32(value: f32) -> Self {
                $narrow(value)
            }

            #[inline(always)]
            fn from_f64(value: f64) -> Self {
                $narrow($single(value))
            }

            #[inline(always)]
            fn from_i64(value: i64) -> Self {
                $narrow(value as f32)
            }
        }
    )*};
}

small! {
    half::f16:
        |x: half::f16| small::widen(small::F16, u32::from(x.to_bits())),
        |x| half::f16::from_bits(small::narrow(small::F16, x) as u16),
        small::round_to_odd;
    half::bf16:
        |x: half::bf16| f32::from_bits(u32::from(x.to_bits()) << 16),
        |x| half::bf16::from_bits(small::narrow_bf16(x)),
        |x| x as f32;
    F8E4M3:
        |x: F8E4M3| small::widen(small::E4M3, u32::from(x.0)),
        |x| F8E4M3(small::narrow(small::E4M3, x) as u8),
        |x| x as f32;
    F8E5M2:
        |x: F8E5M2| small::widen(small::E5M2, u32::from(x.0)),
        |x| F8E5M2(small::narrow(small::E5M2, x) as u8),
        |x| x as f32;
}
