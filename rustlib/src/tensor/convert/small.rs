//! The floats of 8 and 16 bits, to and from `f32` in plain arithmetic.
//!
//! No branches and no tables, so that the compiler makes SIMD of whichever loop
//! this is inlined into; and no subnormal `f32` where one would matter, so that a
//! process which has the CPU flush those gets the same bits.

/// How a small float divides its bits.
#[derive(Clone, Copy)]
pub(crate) struct Format {
    exponent: u32,
    mantissa: u32,
    /// Whether the largest exponent means infinity and NaN, as in IEEE 754; where not,
    /// only the largest number of all is NaN.
    infinite: bool,
    /// Whether the upper bits of a NaN's mantissa are kept. F16C does.
    payload: bool,
}

pub(crate) const F16: Format = Format { exponent: 5, mantissa: 10, infinite: true, payload: true };
pub(crate) const E5M2: Format = Format { exponent: 5, mantissa: 2, infinite: true, payload: false };
pub(crate) const E4M3: Format =
    Format { exponent: 4, mantissa: 3, infinite: false, payload: false };

const INFINITY: u32 = 0x7f80_0000;
/// The bit of a NaN's mantissa that makes it quiet.
const QUIET: u32 = 0x0040_0000;

impl Format {
    const fn sign(self) -> u32 {
        1 << (self.exponent + self.mantissa)
    }

    const fn bias(self) -> u32 {
        (1 << (self.exponent - 1)) - 1
    }

    /// The infinity, or the only NaN: what is not finite begins here.
    const fn limit(self) -> u32 {
        if self.infinite { self.sign() - (1 << self.mantissa) } else { self.sign() - 1 }
    }

    /// The bits of `f32` for the exponent of the smallest normal number.
    const fn smallest_normal(self) -> u32 {
        (128 - self.bias()) << 23
    }
}

/// The value of the float that has these bits.
#[inline(always)]
pub(crate) fn widen(format: Format, bits: u32) -> f32 {
    let magnitude = bits & (format.sign() - 1);
    let sign = (bits & format.sign()) << (31 - format.exponent - format.mantissa);
    let shifted = magnitude << (23 - format.mantissa);
    let normal = shifted + (format.smallest_normal() - (1 << 23));
    // With the exponent of the smallest normal number a one stands before the
    // mantissa of a subnormal one: take it away again.
    let one = f32::from_bits(format.smallest_normal());
    let subnormal = (f32::from_bits(shifted + format.smallest_normal()) - one).to_bits();
    let nan = INFINITY | QUIET | if format.payload { shifted } else { 0 };
    let finite = if magnitude < 1 << format.mantissa { subnormal } else { normal };
    let infinite = format.infinite && magnitude == format.limit();
    let special = if infinite { INFINITY } else { nan };
    f32::from_bits(sign | if magnitude < format.limit() { finite } else { special })
}

/// The bits of the float nearest to `value`, ties to even.
#[inline(always)]
pub(crate) fn narrow(format: Format, value: f32) -> u32 {
    let bits = value.to_bits();
    let magnitude = bits & 0x7fff_ffff;
    let sign = (bits >> (31 - format.exponent - format.mantissa)) & format.sign();
    let shift = 23 - format.mantissa;
    let rounding = (1 << (shift - 1)) - 1 + ((magnitude >> shift) & 1);
    let rebias = format.smallest_normal() - (1 << 23);
    let normal = magnitude.wrapping_sub(rebias).wrapping_add(rounding) >> shift;
    // In a sum with this the last bit counts the smallest subnormal numbers.
    let unit = f32::from_bits((128 - format.bias() + shift) << 23);
    let subnormal = (f32::from_bits(magnitude) + unit).to_bits().wrapping_sub(unit.to_bits());
    let finite = if magnitude < format.smallest_normal() { subnormal } else { normal };
    let nan = if format.payload {
        format.limit() | (QUIET >> shift) | ((magnitude >> shift) & ((1 << format.mantissa) - 1))
    } else {
        format.limit() | (QUIET >> shift)
    };
    sign | if magnitude > INFINITY { nan } else { finite.min(format.limit()) }
}

/// The bits of the `bfloat16` nearest to `value`, ties to even; one NaN of each sign.
#[inline(always)]
pub(crate) fn narrow_bf16(value: f32) -> u16 {
    let bits = value.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16;
    let nan = ((bits >> 16) & 0x8000) | ((INFINITY | QUIET) >> 16);
    (if value.is_nan() { nan } else { rounded }) as u16
}

/// `value` as an `f32` that rounds to a much narrower float as `value` itself does: of
/// the bits that `f32` lacks only whether any was set is kept, in its last bit.
#[inline(always)]
pub fn round_to_odd(value: f64) -> f32 {
    const LACKING: u64 = (1 << 29) - 1;
    let bits = value.to_bits();
    let any = ((bits & LACKING) + LACKING) & (1 << 29);
    f64::from_bits((bits & !LACKING) | any) as f32
}
