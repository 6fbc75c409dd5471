//! What arithmetic knows of each element type.

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

use super::convert::{self, small::round_to_odd};
use super::element::{Bool, Element, F8E4M3, F8E5M2};

/// Elements that are converted in one go.
pub(super) const BLOCK: usize = 256;

/// An element type and the types it is computed in.
pub(super) trait Number: Element {
    /// What sums and products of two are computed in: `f32` for the floats narrower
    /// than that, which is wide enough that rounding twice is rounding once.
    type Work: Copy + Send + Sync;
    /// What the products of a matrix multiplication are added up in.
    type Sum: Copy + Send + Sync;
    const ZERO: Self::Work;
    const EMPTY: Self::Sum;

    fn to_work(self) -> Self::Work;
    fn from_work(value: Self::Work) -> Self;
    fn add(a: Self::Work, b: Self::Work) -> Self::Work;
    fn mul(a: Self::Work, b: Self::Work) -> Self::Work;
    fn relu(a: Self::Work) -> Self::Work;

    fn to_sum(self) -> Self::Sum;
    fn from_sum(value: Self::Sum) -> Self;
    fn mul_add(sum: Self::Sum, a: Self::Sum, b: Self::Sum) -> Self::Sum;

    /// `to_work` of up to a [`BLOCK`].
    #[inline(always)]
    fn load(source: &[Self::Raw], out: &mut [Self::Work]) {
        for (out, &raw) in out.iter_mut().zip(source) {
            *out = Self::from_raw(raw).to_work();
        }
    }

    /// `from_work` of up to a [`BLOCK`].
    #[inline(always)]
    fn store(values: &[Self::Work], target: &mut [Self::Raw]) {
        for (raw, &value) in target.iter_mut().zip(values) {
            *raw = Self::from_work(value).to_raw();
        }
    }
}

/// A float, which `f64` holds exactly. The names are not those of methods that `half`
/// has, whose `from_f64` rounds twice.
pub(super) trait Float: Element {
    fn widen(self) -> f64;
    /// The nearest, rounded once.
    fn nearest(value: f64) -> Self;
}

macro_rules! integer {
    ($($type:ty => $sum:ty, $relu:expr);* $(;)?) => {$(
        impl Number for $type {
            type Work = $type;
            type Sum = $sum;
            const ZERO: $type = 0;
            const EMPTY: $sum = 0;

            #[inline(always)]
            fn to_work(self) -> $type {
                self
            }

            #[inline(always)]
            fn from_work(value: $type) -> Self {
                value
            }

            #[inline(always)]
            fn add(a: $type, b: $type) -> $type {
                a.wrapping_add(b)
            }

            #[inline(always)]
            fn mul(a: $type, b: $type) -> $type {
                a.wrapping_mul(b)
            }

            #[inline(always)]
            fn relu(a: $type) -> $type {
                $relu(a)
            }

            #[inline(always)]
            fn to_sum(self) -> $sum {
                self as $sum
            }

            // The low bits of wrapping sums are those of the sums, so this wraps too.
            #[inline(always)]
            fn from_sum(value: $sum) -> Self {
                value as $type
            }

            #[inline(always)]
            fn mul_add(sum: $sum, a: $sum, b: $sum) -> $sum {
                sum.wrapping_add(a.wrapping_mul(b))
            }
        }
    )*};
}

integer!(
    i8 => i32, |a: i8| a.max(0);
    i16 => i32, |a: i16| a.max(0);
    i32 => i32, |a: i32| a.max(0);
    i64 => i64, |a: i64| a.max(0);
    u8 => i32, |a| a;
    u16 => i32, |a| a;
    u32 => i32, |a| a;
    u64 => i64, |a| a;
);

impl Number for Bool {
    type Work = u8;
    type Sum = u8;
    const ZERO: u8 = 0;
    const EMPTY: u8 = 0;

    #[inline(always)]
    fn to_work(self) -> u8 {
        u8::from(self.0)
    }

    #[inline(always)]
    fn from_work(value: u8) -> Self {
        Bool(value != 0)
    }

    #[inline(always)]
    fn add(a: u8, b: u8) -> u8 {
        a | b
    }

    #[inline(always)]
    fn mul(a: u8, b: u8) -> u8 {
        a & b
    }

    #[inline(always)]
    fn relu(a: u8) -> u8 {
        a
    }

    #[inline(always)]
    fn to_sum(self) -> u8 {
        u8::from(self.0)
    }

    #[inline(always)]
    fn from_sum(value: u8) -> Self {
        Bool(value != 0)
    }

    #[inline(always)]
    fn mul_add(sum: u8, a: u8, b: u8) -> u8 {
        sum | (a & b)
    }
}

/// Which operand gives a NaN its bits is the compiler's choice, so computed NaNs are
/// made one and the same: every path gives the same bits.
macro_rules! one_nan {
    ($work:ty, $value:expr) => {{
        let value: $work = $value;
        if value.is_nan() { <$work>::NAN } else { value }
    }};
}

macro_rules! float {
    (
        $type:ty, $work:ty, $to_work:expr, $from_work:expr, $nearest:expr
        $(, load $load:expr, store $store:expr)?
    ) => {
        impl Float for $type {
            #[inline(always)]
            fn widen(self) -> f64 {
                f64::from($to_work(self))
            }

            #[inline(always)]
            fn nearest(value: f64) -> Self {
                $nearest(value)
            }
        }

        impl Number for $type {
            type Work = $work;
            type Sum = f64;
            const ZERO: $work = 0.0;
            const EMPTY: f64 = 0.0;

            #[inline(always)]
            fn to_work(self) -> $work {
                $to_work(self)
            }

            #[inline(always)]
            fn from_work(value: $work) -> Self {
                $from_work(value)
            }

            #[inline(always)]
            fn add(a: $work, b: $work) -> $work {
                one_nan!($work, a + b)
            }

            #[inline(always)]
            fn mul(a: $work, b: $work) -> $work {
                one_nan!($work, a * b)
            }

            #[inline(always)]
            fn relu(a: $work) -> $work {
                // False of NaN, which therefore stays.
                if a <= 0.0 { 0.0 } else { a }
            }

            #[inline(always)]
            fn to_sum(self) -> f64 {
                self.widen()
            }

            #[inline(always)]
            fn from_sum(value: f64) -> Self {
                <Self as Float>::nearest(one_nan!(f64, value))
            }

            // Not fused: not every path has that, and all give the same bits.
            #[inline(always)]
            fn mul_add(sum: f64, a: f64, b: f64) -> f64 {
                sum + a * b
            }

            $(
                fn load(source: &[Self::Raw], out: &mut [$work]) {
                    $load(source, out)
                }

                fn store(values: &[$work], target: &mut [Self::Raw]) {
                    $store(values, target)
                }
            )?
        }
    };
}

float!(f64, f64, |x: f64| x, |x: f64| x, |x: f64| x);
float!(f32, f32, |x: f32| x, |x: f32| x, |x: f64| x as f32);
float!(bf16, f32, bf16::to_f32, bf16::from_f32, |x| bf16::from_f32(round_to_odd(x)));
float!(F8E4M3, f32, convert::Number::to_f32, convert::Number::from_f32, |x| {
    convert::Number::from_f32(round_to_odd(x))
});
float!(F8E5M2, f32, convert::Number::to_f32, convert::Number::from_f32, |x| {
    convert::Number::from_f32(round_to_odd(x))
});
float!(
    f16, f32, f16::to_f32, f16::from_f32, |x| f16::from_f32(round_to_odd(x)),
    load load_f16, store store_f16
);

// `half` looks for the instruction of the CPU at each call, so it is called for a
// block, in memory that is aligned as it asks.
fn load_f16(source: &[[u8; 2]], out: &mut [f32]) {
    let mut block = [f16::ZERO; BLOCK];
    let block = &mut block[..source.len()];
    for (half, &raw) in block.iter_mut().zip(source) {
        *half = f16::from_raw(raw);
    }
    block.convert_to_f32_slice(out);
}

fn store_f16(values: &[f32], target: &mut [[u8; 2]]) {
    let mut block = [f16::ZERO; BLOCK];
    let block = &mut block[..values.len()];
    block.convert_from_f32_slice(values);
    for (raw, &half) in target.iter_mut().zip(block.iter()) {
        *raw = half.to_raw();
    }
}
