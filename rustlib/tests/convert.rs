//! Conversions against a slow reference that knows the values of the small floats by
//! the definition of their formats, and rounds by looking for the nearest.

use std::sync::{Mutex, OnceLock, PoisonError};

use gmemx::cpu;
use gmemx::tensor::dtype::Class;
use gmemx::tensor::{DType, View, copy};
use proptest::prelude::*;

const WHOLE: [DType; 15] = {
    let mut types = [DType::Bool; 15];
    let mut i = 0;
    while i < 15 {
        types[i] = DType::ALL[i];
        i += 1;
    }
    types
};

/// What an element is. Every float there is fits `f64`.
#[derive(Clone, Copy, Debug)]
enum Value {
    Integer(i128),
    Float(f64),
}

/// What a conversion must give: these bits, or any NaN of this sign.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Wanted {
    Bits(u64),
    Nan { negative: bool },
}

/// Bits of exponent and mantissa of a small float, and whether it has infinities.
fn format(dtype: DType) -> Option<(u32, u32, bool)> {
    match dtype {
        DType::Float16 => Some((5, 10, true)),
        DType::Bfloat16 => Some((8, 7, true)),
        DType::Float8E4M3 => Some((4, 3, false)),
        DType::Float8E5M2 => Some((5, 2, true)),
        _ => None,
    }
}

fn decode_small(dtype: DType, bits: u64) -> f64 {
    let (exponent_bits, mantissa_bits, infinite) = format(dtype).unwrap();
    let sign = if bits >> (exponent_bits + mantissa_bits) & 1 == 1 { -1.0f64 } else { 1.0 };
    let exponent = bits >> mantissa_bits & ((1 << exponent_bits) - 1);
    let mantissa = bits & ((1 << mantissa_bits) - 1);
    let top = (1 << exponent_bits) - 1;
    let magnitude = match (exponent, mantissa) {
        (e, 0) if infinite && e == top => f64::INFINITY,
        (e, _) if infinite && e == top => f64::NAN,
        (e, m) if !infinite && e == top && m == (1 << mantissa_bits) - 1 => f64::NAN,
        (0, m) => m as f64 * exp2(1 - bias(exponent_bits) - mantissa_bits as i32),
        (e, m) => {
            let one = 1u64 << mantissa_bits;
            (one | m) as f64 * exp2(e as i32 - bias(exponent_bits) - mantissa_bits as i32)
        }
    };
    magnitude.copysign(sign)
}

fn bias(exponent_bits: u32) -> i32 {
    (1 << (exponent_bits - 1)) - 1
}

fn exp2(power: i32) -> f64 {
    2f64.powi(power)
}

fn decode(dtype: DType, bits: u64) -> Value {
    match dtype {
        DType::Bool => Value::Integer((bits != 0).into()),
        DType::Int8 => Value::Integer((bits as i8).into()),
        DType::Int16 => Value::Integer((bits as i16).into()),
        DType::Int32 => Value::Integer((bits as i32).into()),
        DType::Int64 => Value::Integer((bits as i64).into()),
        DType::Uint8 | DType::Uint16 | DType::Uint32 | DType::Uint64 => Value::Integer(bits.into()),
        DType::Float32 => Value::Float(f32::from_bits(bits as u32).into()),
        DType::Float64 => Value::Float(f64::from_bits(bits)),
        _ => Value::Float(decode_small(dtype, bits)),
    }
}

/// The numbers of a small float from zero up, each at the place of its bits, and above
/// them the one that would come next.
fn ladder(dtype: DType) -> &'static [f64] {
    static LADDERS: OnceLock<Vec<(DType, Vec<f64>)>> = OnceLock::new();
    let ladders = LADDERS.get_or_init(|| {
        let small = WHOLE.into_iter().filter(|&dtype| format(dtype).is_some());
        small
            .map(|dtype| {
                let numbers = (0..1 << (dtype.bits() - 1)).map(|bits| decode_small(dtype, bits));
                let mut numbers: Vec<f64> = numbers.take_while(|value| value.is_finite()).collect();
                let [.., before, last] = numbers[..] else { panic!("numbers") };
                numbers.push(last + (last - before));
                (dtype, numbers)
            })
            .collect()
    });
    &ladders.iter().find(|(known, _)| *known == dtype).unwrap().1
}

/// The bits of the nearest number; those of the last rung mean too large.
fn nearest(dtype: DType, value: f64) -> u64 {
    let ladder = ladder(dtype);
    let sign = u64::from(value.is_sign_negative()) << (dtype.bits() - 1);
    let above = ladder.partition_point(|&number| number < value.abs());
    let bits = if above == ladder.len() {
        above - 1
    } else if ladder[above] == value.abs() {
        above
    } else {
        // Differences of a number and a neighbour are exact.
        let (up, down) = (ladder[above] - value.abs(), value.abs() - ladder[above - 1]);
        if up < down || (up == down && above % 2 == 0) { above } else { above - 1 }
    };
    sign | bits as u64
}

fn reference(from: DType, to: DType, bits: u64) -> Wanted {
    let value = decode(from, bits);
    let mask = u64::MAX >> (64 - to.bits());
    let small = |value: f64| {
        let has_nan = to == DType::Float8E4M3 && nearest(to, value) & 0x7f == 0x7f;
        if has_nan {
            Wanted::Nan { negative: value.is_sign_negative() }
        } else {
            Wanted::Bits(nearest(to, value))
        }
    };
    match (value, to.class()) {
        (Value::Integer(value), Class::Bool) => Wanted::Bits((value != 0).into()),
        (Value::Float(value), Class::Bool) => Wanted::Bits((value != 0.0).into()),
        (Value::Integer(value), Class::Signed | Class::Unsigned) => {
            Wanted::Bits(value as u64 & mask)
        }
        (Value::Float(value), Class::Signed) => {
            let limit = 1i128 << (to.bits() - 1);
            Wanted::Bits((value as i128).clamp(-limit, limit - 1) as u64 & mask)
        }
        (Value::Float(value), Class::Unsigned) => {
            Wanted::Bits((value as i128).clamp(0, mask.into()) as u64)
        }
        (Value::Float(value), Class::Float) if value.is_nan() => {
            Wanted::Nan { negative: bits >> (from.bits() - 1) == 1 }
        }
        (Value::Integer(value), Class::Float) => match to {
            DType::Float32 => Wanted::Bits((value as f32).to_bits().into()),
            DType::Float64 => Wanted::Bits((value as f64).to_bits()),
            _ => small((value as f32).into()),
        },
        (Value::Float(value), Class::Float) => match to {
            DType::Float32 => Wanted::Bits((value as f32).to_bits().into()),
            DType::Float64 => Wanted::Bits(value.to_bits()),
            DType::Float16 => small(value),
            _ => small((value as f32).into()),
        },
    }
}

/// The bits as what a conversion to this type must give.
fn found(dtype: DType, bits: u64) -> Wanted {
    match decode(dtype, bits) {
        Value::Float(value) if value.is_nan() => {
            Wanted::Nan { negative: bits >> (dtype.bits() - 1) == 1 }
        }
        _ => Wanted::Bits(bits),
    }
}

fn bytes_of(dtype: DType, elements: &[u64]) -> Vec<u8> {
    let size = dtype.bits() / 8;
    elements.iter().flat_map(|bits| bits.to_le_bytes()[..size].to_vec()).collect()
}

fn elements_of(dtype: DType, bytes: &[u8]) -> Vec<u64> {
    let element =
        |bytes: &[u8]| bytes.iter().rev().fold(0, |bits, &byte| bits << 8 | u64::from(byte));
    bytes.chunks(dtype.bits() / 8).map(element).collect()
}

fn convert(from: DType, to: DType, elements: &[u64]) -> Vec<u64> {
    let mut source = bytes_of(from, elements);
    let mut target = vec![0; elements.len() * to.bits() / 8];
    let shape = [elements.len()];
    let source = View::contiguous(source.as_mut_ptr(), from, &shape);
    copy(&source, &View::contiguous(target.as_mut_ptr(), to, &shape), 1).unwrap();
    elements_of(to, &target)
}

/// Converts to every type on every CPU path, which must give the same bits, and those
/// the reference's.
fn check(from: DType, elements: &[u64]) {
    static ONE_PATH: Mutex<()> = Mutex::new(());
    let _alone = ONE_PATH.lock().unwrap_or_else(PoisonError::into_inner);
    for to in WHOLE.into_iter().filter(|&to| to != from) {
        cpu::select("portable").unwrap();
        let portable = convert(from, to, elements);
        cpu::select("auto").unwrap();
        assert_eq!(convert(from, to, elements), portable, "{from:?} to {to:?}");
        for (&bits, result) in elements.iter().zip(portable) {
            let wanted = reference(from, to, bits);
            assert_eq!(found(to, result), wanted, "{from:?} {bits:#x} to {to:?}: {result:#x}");
        }
    }
}

#[test]
fn every_pattern_of_narrow_types() {
    for from in WHOLE.into_iter().filter(|from| from.bits() <= 16) {
        let elements: Vec<u64> = (0..1 << from.bits()).collect();
        check(from, &elements);
    }
}

#[test]
fn every_tie_of_small_floats_and_its_neighbours() {
    let mut doubles = vec![0.0, f64::MIN_POSITIVE, f64::MAX, f64::INFINITY, 1e-310, 1e-45, 1e39];
    for dtype in WHOLE.into_iter().filter(|&dtype| format(dtype).is_some()) {
        for pair in ladder(dtype).windows(2) {
            let tie = pair[0] + (pair[1] - pair[0]) / 2.0;
            doubles.extend([tie.next_down(), tie, tie.next_up()]);
        }
    }
    let singles = doubles.iter().map(|&value| value as f32);
    let singles: Vec<u64> = singles
        .flat_map(|value| [value, value.next_down(), value.next_up()])
        .flat_map(|value| [value, -value])
        .map(|value| value.to_bits().into())
        .collect();
    check(DType::Float32, &singles);
    let doubles = doubles.iter().flat_map(|&value| [value, -value]);
    check(DType::Float64, &doubles.map(f64::to_bits).collect::<Vec<u64>>());
}

/// Where the range of an integer ends, whole numbers end, and the next float lies.
#[test]
fn ends_of_ranges() {
    let powers = (0..=66).map(exp2).flat_map(|power| {
        [
            power - 1.0,
            power - 0.5,
            power,
            power + 0.5,
            power + 1.0,
            power.next_down(),
            power.next_up(),
        ]
    });
    let values: Vec<f64> = powers.flat_map(|value| [value, -value]).collect();
    check(DType::Float64, &values.iter().map(|value| value.to_bits()).collect::<Vec<u64>>());
    let singles = values.iter().map(|&value| value as f32);
    let singles = singles.flat_map(|value| [value.next_down(), value, value.next_up()]);
    check(DType::Float32, &singles.map(|value| value.to_bits().into()).collect::<Vec<u64>>());
}

#[test]
fn integers_that_round_at_ties() {
    let sums: Vec<u64> = (0..64u32)
        .flat_map(|a| {
            (0..=a).flat_map(move |b| (0..=b).map(move |c| (1 << a) | (1 << b) | (1 << c)))
        })
        .flat_map(|sum: u64| [sum - 1, sum, sum + 1, sum.wrapping_neg()])
        .collect();
    for from in [DType::Int32, DType::Uint32, DType::Int64, DType::Uint64] {
        let mask = u64::MAX >> (64 - from.bits());
        check(from, &sums.iter().map(|bits| bits & mask).collect::<Vec<u64>>());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn any_bits_of_wide_types(bits in prop::collection::vec((any::<u64>(), 0..64u32), 0..500)) {
        for from in WHOLE.into_iter().filter(|from| from.bits() >= 32) {
            let mask = u64::MAX >> (64 - from.bits());
            // Shifted integers, so that all magnitudes occur; floats have them anyway.
            let float = from.class() == Class::Float;
            let shifted = bits.iter().map(|&(bits, by)| if float { bits } else { bits >> by });
            check(from, &shifted.map(|bits| bits & mask).collect::<Vec<u64>>());
        }
    }
}
