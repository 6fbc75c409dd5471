//! What kernels see of an element type: how to read it from memory that need
//! not be aligned, and to which wide type it converts without loss.

use super::dtype::DType;

/// An element type with whole bytes: all but `int4`.
pub trait Element: Copy + Send + Sync + 'static {
    const DTYPE: DType;
    /// `[u8; size]`: a slice of these asks for no alignment.
    type Raw: Copy + Send + Sync + 'static;

    fn from_raw(raw: Self::Raw) -> Self;
    fn to_raw(self) -> Self::Raw;
}

/// A bool as stored: any byte but zero is true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bool(pub bool);

/// `float8_e4m3fn` as stored: sign, 4 bits of exponent (bias 7), 3 of mantissa; no
/// infinities, 0x7F and 0xFF are NaN.
#[derive(Clone, Copy, Debug)]
pub struct F8E4M3(pub u8);

/// `float8_e5m2` as stored: sign, 5 bits of exponent (bias 15), 2 of mantissa; as
/// IEEE 754 has them.
#[derive(Clone, Copy, Debug)]
pub struct F8E5M2(pub u8);

macro_rules! native {
    ($($type:ty => $dtype:ident),*) => {$(
        impl Element for $type {
            const DTYPE: DType = DType::$dtype;
            type Raw = [u8; size_of::<$type>()];

            #[inline(always)]
            fn from_raw(raw: Self::Raw) -> Self {
                Self::from_ne_bytes(raw)
            }

            #[inline(always)]
            fn to_raw(self) -> Self::Raw {
                self.to_ne_bytes()
            }
        }
    )*};
}

native!(
    i8 => Int8, i16 => Int16, i32 => Int32, i64 => Int64,
    u8 => Uint8, u16 => Uint16, u32 => Uint32, u64 => Uint64,
    f32 => Float32, f64 => Float64,
    half::f16 => Float16, half::bf16 => Bfloat16
);

impl Element for Bool {
    const DTYPE: DType = DType::Bool;
    type Raw = [u8; 1];

    #[inline(always)]
    fn from_raw([byte]: [u8; 1]) -> Self {
        Bool(byte != 0)
    }

    #[inline(always)]
    fn to_raw(self) -> [u8; 1] {
        [u8::from(self.0)]
    }
}

impl Element for F8E4M3 {
    const DTYPE: DType = DType::Float8E4M3;
    type Raw = [u8; 1];

    #[inline(always)]
    fn from_raw([byte]: [u8; 1]) -> Self {
        F8E4M3(byte)
    }

    #[inline(always)]
    fn to_raw(self) -> [u8; 1] {
        [self.0]
    }
}

impl Element for F8E5M2 {
    const DTYPE: DType = DType::Float8E5M2;
    type Raw = [u8; 1];

    #[inline(always)]
    fn from_raw([byte]: [u8; 1]) -> Self {
        F8E5M2(byte)
    }

    #[inline(always)]
    fn to_raw(self) -> [u8; 1] {
        [self.0]
    }
}

/// Runs `$body` with `$type` standing for the element type of `$dtype`. `int4` has
/// none: it is unpacked before.
macro_rules! with_element {
    ($dtype:expr, $type:ident => $body:expr) => {{
        use $crate::tensor::dtype::DType;
        use $crate::tensor::element as elements;
        match $dtype {
            DType::Bool => {
                type $type = elements::Bool;
                $body
            }
            DType::Int8 => {
                type $type = i8;
                $body
            }
            DType::Int16 => {
                type $type = i16;
                $body
            }
            DType::Int32 => {
                type $type = i32;
                $body
            }
            DType::Int64 => {
                type $type = i64;
                $body
            }
            DType::Uint8 => {
                type $type = u8;
                $body
            }
            DType::Uint16 => {
                type $type = u16;
                $body
            }
            DType::Uint32 => {
                type $type = u32;
                $body
            }
            DType::Uint64 => {
                type $type = u64;
                $body
            }
            DType::Float16 => {
                type $type = half::f16;
                $body
            }
            DType::Float32 => {
                type $type = f32;
                $body
            }
            DType::Float64 => {
                type $type = f64;
                $body
            }
            DType::Bfloat16 => {
                type $type = half::bf16;
                $body
            }
            DType::Float8E4M3 => {
                type $type = elements::F8E4M3;
                $body
            }
            DType::Float8E5M2 => {
                type $type = elements::F8E5M2;
                $body
            }
            DType::Int4 => unreachable!("int4 is unpacked before a kernel sees it"),
        }
    }};
}
pub(crate) use with_element;
