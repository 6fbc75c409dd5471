//! Integers and floats, as `as` converts them: the fraction dropped, what is out of
//! range clamped, NaN zero. The compiler makes no SIMD of `as`, and of this it does.

/// For integers whose range the float holds; `$via` is what is converted to.
macro_rules! exact {
    ($($name:ident: $float:ty => $int:ty, via $via:ty;)*) => {$(
        #[inline(always)]
        pub fn $name(value: $float) -> $int {
            const LEAST: $float = <$int>::MIN as $float;
            const MOST: $float = <$int>::MAX as $float;
            // The next line does it where LEAST is zero.
            let value = if LEAST < 0.0 && value.is_nan() { 0.0 } else { value };
            let value = if value > LEAST { value } else { LEAST };
            let value = if value < MOST { value } else { MOST };
            // SAFETY: a number from LEAST to MOST, which `$via` holds.
            unsafe { value.to_int_unchecked::<$via>() as $int }
        }
    )*};
}

exact! {
    i8_from_f32: f32 => i8, via i32;
    u8_from_f32: f32 => u8, via i32;
    i16_from_f32: f32 => i16, via i32;
    u16_from_f32: f32 => u16, via i32;
    i8_from_f64: f64 => i8, via i32;
    u8_from_f64: f64 => u8, via i32;
    i16_from_f64: f64 => i16, via i32;
    u16_from_f64: f64 => u16, via i32;
    i32_from_f64: f64 => i32, via i32;
    u32_from_f64: f64 => u32, via u32;
}

/// For integers whose largest is no `f32`: `$most` is the largest that is.
macro_rules! inexact {
    ($($name:ident: $int:ty, $most:expr;)*) => {$(
        #[inline(always)]
        pub fn $name(value: f32) -> $int {
            const LEAST: f32 = <$int>::MIN as f32;
            const MOST: f32 = $most;
            let clamped = if value > LEAST { value } else { LEAST };
            let clamped = if clamped < MOST { clamped } else { MOST };
            // SAFETY: a number from LEAST to MOST, both of the type.
            let whole = unsafe { clamped.to_int_unchecked::<$int>() };
            let whole = if value > MOST { <$int>::MAX } else { whole };
            if value.is_nan() { 0 } else { whole }
        }
    )*};
}

inexact! {
    i32_from_f32: i32, 2_147_483_520.0;
    u32_from_f32: u32, 4_294_967_040.0;
}

#[inline(always)]
pub fn i64_from_f32(value: f32) -> i64 {
    i64_from_f64(f64::from(value))
}

#[inline(always)]
pub fn u64_from_f32(value: f32) -> u64 {
    u64_from_f64(f64::from(value))
}

#[inline(always)]
pub fn i64_from_f64(value: f64) -> i64 {
    let sign = value.to_bits() as i64 >> 63;
    let limit = i64::MAX ^ sign;
    let whole = (magnitude(value) as i64 ^ sign).wrapping_sub(sign);
    let clamped = if value.abs() < 9_223_372_036_854_775_808.0 { whole } else { limit };
    if value.is_nan() { 0 } else { clamped }
}

#[inline(always)]
pub fn u64_from_f64(value: f64) -> u64 {
    let whole = magnitude(value);
    let clamped = if value < 18_446_744_073_709_551_616.0 { whole } else { u64::MAX };
    if value > 0.0 { clamped } else { 0 }
}

/// The whole part of `|value|`, below 2^64.
#[inline(always)]
fn magnitude(value: f64) -> u64 {
    let bits = value.to_bits();
    let mantissa = (bits & ((1 << 52) - 1)) | 1 << 52;
    let exponent = (bits >> 52 & 0x7ff) as i64 - 1075;
    let down = -exponent;
    let shifted_down = mantissa >> (if down < 63 { down } else { 63 } & 63);
    if exponent < 0 { shifted_down } else { mantissa << (exponent & 63) }
}

/// As `as` does it too, but in a way that the compiler makes SIMD of: by way of an `f64`
/// which is exact: of the bits that it lacks only whether any was set is kept.
#[inline(always)]
pub fn u64_to_f32(value: u64) -> f32 {
    const LACKING: u64 = (1 << 11) - 1;
    let any = ((value & LACKING) + LACKING) & (1 << 11);
    let wide = if value >> 53 == 0 { value } else { (value & !LACKING) | any };
    // Both halves become exact doubles by their exponents, 2^84 and 2^52.
    let high = f64::from_bits((wide >> 32) | 0x4530_0000_0000_0000);
    let low = f64::from_bits((wide & 0xffff_ffff) | 0x4330_0000_0000_0000);
    const BIAS: f64 = 19_342_813_118_337_666_422_669_312.0; // 2^84 + 2^52
    ((high - BIAS) + low) as f32
}
