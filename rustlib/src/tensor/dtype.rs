//! The sixteen element types, named as NumPy and ml_dtypes name them.

use crate::error::{Error, Result};

/// An element type. The numbers are part of the C ABI and never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum DType {
    Bool = 0,
    Int8 = 1,
    Int16 = 2,
    Int32 = 3,
    Int64 = 4,
    Uint8 = 5,
    Uint16 = 6,
    Uint32 = 7,
    Uint64 = 8,
    Float16 = 9,
    Float32 = 10,
    Float64 = 11,
    Bfloat16 = 12,
    Float8E4M3 = 13,
    Float8E5M2 = 14,
    Int4 = 15,
}

/// What arithmetic a type takes part in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Bool,
    Signed,
    Unsigned,
    Float,
}

impl DType {
    pub const ALL: [DType; 16] = [
        DType::Bool,
        DType::Int8,
        DType::Int16,
        DType::Int32,
        DType::Int64,
        DType::Uint8,
        DType::Uint16,
        DType::Uint32,
        DType::Uint64,
        DType::Float16,
        DType::Float32,
        DType::Float64,
        DType::Bfloat16,
        DType::Float8E4M3,
        DType::Float8E5M2,
        DType::Int4,
    ];

    /// The type of that number in the C ABI.
    pub fn from_code(code: i32) -> Result<DType> {
        usize::try_from(code)
            .ok()
            .and_then(|code| Self::ALL.get(code).copied())
            .ok_or_else(|| Error::InvalidArgument(format!("no dtype has the number {code}")))
    }

    /// The type of a name, long (`float32`) or short (`f32`).
    pub fn from_name(name: &str) -> Result<DType> {
        Self::ALL.into_iter().find(|d| d.name() == name || d.short_name() == name).ok_or_else(
            || {
                let known = Self::ALL.map(DType::name).join(", ");
                Error::InvalidArgument(format!("unknown dtype '{name}': expected one of {known}"))
            },
        )
    }

    pub fn name(self) -> &'static str {
        self.c_name().to_str().expect("names of types are ASCII")
    }

    /// The name as a NUL-terminated string that lives for ever.
    pub fn c_name(self) -> &'static std::ffi::CStr {
        match self {
            DType::Bool => c"bool",
            DType::Int8 => c"int8",
            DType::Int16 => c"int16",
            DType::Int32 => c"int32",
            DType::Int64 => c"int64",
            DType::Uint8 => c"uint8",
            DType::Uint16 => c"uint16",
            DType::Uint32 => c"uint32",
            DType::Uint64 => c"uint64",
            DType::Float16 => c"float16",
            DType::Float32 => c"float32",
            DType::Float64 => c"float64",
            DType::Bfloat16 => c"bfloat16",
            DType::Float8E4M3 => c"float8_e4m3fn",
            DType::Float8E5M2 => c"float8_e5m2",
            DType::Int4 => c"int4",
        }
    }

    pub fn short_name(self) -> &'static str {
        match self {
            DType::Bool => "b1",
            DType::Int8 => "i8",
            DType::Int16 => "i16",
            DType::Int32 => "i32",
            DType::Int64 => "i64",
            DType::Uint8 => "u8",
            DType::Uint16 => "u16",
            DType::Uint32 => "u32",
            DType::Uint64 => "u64",
            DType::Float16 => "f16",
            DType::Float32 => "f32",
            DType::Float64 => "f64",
            DType::Bfloat16 => "bf16",
            DType::Float8E4M3 => "f8e4m3",
            DType::Float8E5M2 => "f8e5m2",
            DType::Int4 => "i4",
        }
    }

    /// Bits of one element: 4 for `int4`, whole bytes for all others.
    pub const fn bits(self) -> usize {
        match self {
            DType::Int4 => 4,
            DType::Bool | DType::Int8 | DType::Uint8 => 8,
            DType::Float8E4M3 | DType::Float8E5M2 => 8,
            DType::Int16 | DType::Uint16 | DType::Float16 | DType::Bfloat16 => 16,
            DType::Int32 | DType::Uint32 | DType::Float32 => 32,
            DType::Int64 | DType::Uint64 | DType::Float64 => 64,
        }
    }

    pub const fn class(self) -> Class {
        match self {
            DType::Bool => Class::Bool,
            DType::Int4 | DType::Int8 | DType::Int16 | DType::Int32 | DType::Int64 => Class::Signed,
            DType::Uint8 | DType::Uint16 | DType::Uint32 | DType::Uint64 => Class::Unsigned,
            _ => Class::Float,
        }
    }

    /// Bytes that `n` elements take in a row; None where that overflows.
    pub fn bytes(self, n: usize) -> Option<usize> {
        match self {
            DType::Int4 => Some(n.div_ceil(2)),
            _ => n.checked_mul(self.bits() / 8),
        }
    }
}
