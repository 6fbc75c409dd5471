//! The types that cells can have, and what the kernels need to know of each.

use crate::error::{Error, Result};

/// How the bytes of a cell are read.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ValueType {
    Int8 = 0,
    Uint8 = 1,
    Int16 = 2,
    Uint16 = 3,
    Int32 = 4,
    Uint32 = 5,
    Int64 = 6,
    Uint64 = 7,
    Float32 = 8,
    Float64 = 9,
}

impl ValueType {
    pub const ALL: [ValueType; 10] = [
        ValueType::Int8,
        ValueType::Uint8,
        ValueType::Int16,
        ValueType::Uint16,
        ValueType::Int32,
        ValueType::Uint32,
        ValueType::Int64,
        ValueType::Uint64,
        ValueType::Float32,
        ValueType::Float64,
    ];

    pub fn from_code(code: i32) -> Result<ValueType> {
        usize::try_from(code).ok().and_then(|code| Self::ALL.get(code)).copied().ok_or_else(|| {
            Error::InvalidArgument(format!("{code} is no gmem_value_type: wanted 0 to 9"))
        })
    }

    /// In bytes.
    pub fn size(self) -> usize {
        match self {
            ValueType::Int8 | ValueType::Uint8 => 1,
            ValueType::Int16 | ValueType::Uint16 => 2,
            ValueType::Int32 | ValueType::Uint32 | ValueType::Float32 => 4,
            ValueType::Int64 | ValueType::Uint64 | ValueType::Float64 => 8,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            ValueType::Int8 => "int8",
            ValueType::Uint8 => "uint8",
            ValueType::Int16 => "int16",
            ValueType::Uint16 => "uint16",
            ValueType::Int32 => "int32",
            ValueType::Uint32 => "uint32",
            ValueType::Int64 => "int64",
            ValueType::Uint64 => "uint64",
            ValueType::Float32 => "float32",
            ValueType::Float64 => "float64",
        }
    }
}

/// Runs `$body` with `$T` as the Rust type of a [`ValueType`].
macro_rules! with_cell {
    ($value_type:expr, $T:ident => $body:expr) => {
        match $value_type {
            $crate::scan::ValueType::Int8 => {
                type $T = i8;
                $body
            }
            $crate::scan::ValueType::Uint8 => {
                type $T = u8;
                $body
            }
            $crate::scan::ValueType::Int16 => {
                type $T = i16;
                $body
            }
            $crate::scan::ValueType::Uint16 => {
                type $T = u16;
                $body
            }
            $crate::scan::ValueType::Int32 => {
                type $T = i32;
                $body
            }
            $crate::scan::ValueType::Uint32 => {
                type $T = u32;
                $body
            }
            $crate::scan::ValueType::Int64 => {
                type $T = i64;
                $body
            }
            $crate::scan::ValueType::Uint64 => {
                type $T = u64;
                $body
            }
            $crate::scan::ValueType::Float32 => {
                type $T = f32;
                $body
            }
            $crate::scan::ValueType::Float64 => {
                type $T = f64;
                $body
            }
        }
    };
}
pub(super) use with_cell;

/// A number as it lies in memory.
pub trait Cell: Copy + PartialOrd + Default + Send + Sync + 'static {
    /// From the low bits of a word, as they cross the C boundary.
    fn from_bits(bits: u64) -> Self;
    fn to_bits(self) -> u64;
    /// Not the same bits: so a NaN that stays is unchanged.
    fn differs(self, other: Self) -> bool;
    /// `self - old` within `lo..=hi`, where it is not negative; exact, without wrapping.
    /// The bounds are integers for integers and the bits of f64 for floats.
    fn grown_within(self, old: Self, lo: u64, hi: u64) -> bool;
    fn to_f64(self) -> f64;
    /// `self - other`, exact before it is rounded to a double.
    fn minus(self, other: Self) -> f64;
    /// How far rounding alone can set values of such sizes apart: 0 for integers.
    fn rounding(a: Self, b: Self, c: Self) -> f64;
}

macro_rules! integer_cell {
    ($($T:ty, $Unsigned:ty);*) => {$(
        impl Cell for $T {
            #[inline(always)]
            fn from_bits(bits: u64) -> $T {
                bits as $T
            }
            #[inline(always)]
            fn to_bits(self) -> u64 {
                // Sign-extended where signed.
                self as i64 as u64
            }
            #[inline(always)]
            fn differs(self, other: $T) -> bool {
                self != other
            }
            #[inline(always)]
            fn grown_within(self, old: $T, lo: u64, hi: u64) -> bool {
                let grown = self.wrapping_sub(old) as $Unsigned as u64;
                (self >= old) & (grown >= lo) & (grown <= hi)
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                self as f64
            }
            fn minus(self, other: $T) -> f64 {
                (i128::from(self) - i128::from(other)) as f64
            }
            fn rounding(_: $T, _: $T, _: $T) -> f64 {
                0.0
            }
        }
    )*};
}
integer_cell!(i8, u8; u8, u8; i16, u16; u16, u16; i32, u32; u32, u32; i64, u64; u64, u64);

macro_rules! float_cell {
    ($($T:ty, $Bits:ty);*) => {$(
        impl Cell for $T {
            #[inline(always)]
            fn from_bits(bits: u64) -> $T {
                <$T>::from_bits(bits as $Bits)
            }
            #[inline(always)]
            fn to_bits(self) -> u64 {
                self.to_bits().into()
            }
            #[inline(always)]
            fn differs(self, other: $T) -> bool {
                self.to_bits() != other.to_bits()
            }
            #[inline(always)]
            fn grown_within(self, old: $T, lo: u64, hi: u64) -> bool {
                let (lo, hi) = (f64::from_bits(lo), f64::from_bits(hi));
                let grown = f64::from(self) - f64::from(old);
                // A program that adds an exact amount rounds the sum to its own type.
                let rounded = (lo == hi) & (old + lo as $T == self) & (self != old);
                (grown >= lo) & (grown <= hi) | rounded
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                self.into()
            }
            fn minus(self, other: $T) -> f64 {
                f64::from(self) - f64::from(other)
            }
            fn rounding(a: $T, b: $T, c: $T) -> f64 {
                let largest = a.abs().max(b.abs()).max(c.abs());
                4.0 * f64::from(<$T>::EPSILON) * f64::from(largest)
            }
        }
    )*};
}
float_cell!(f32, u32; f64, u64);
