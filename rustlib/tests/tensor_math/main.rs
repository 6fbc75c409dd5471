//! Arithmetic, softmax and matmul against models that are written down here, with
//! none of the crate's helpers, over layouts of every kind.

use gmemx::cpu;
use gmemx::tensor::arithmetic::{Binary, binary, relu};
use gmemx::tensor::matmul::matmul;
use gmemx::tensor::softmax::softmax;
use gmemx::tensor::{DType, View};
use proptest::prelude::*;

mod model;
use model::{FLOATS, Random, Tensor, format};

const BINARIES: [Binary; 2] = [Binary::Add, Binary::Mul];

fn types() -> impl Iterator<Item = DType> {
    DType::ALL.into_iter().filter(|&dtype| dtype != DType::Int4)
}

/// Checks every path this CPU has, and that what they return is the same.
fn on_every_path(mut check: impl FnMut() -> Vec<u8>) {
    let mut first = None;
    for path in ["portable", "avx2"] {
        if cpu::select(path).is_ok() {
            let bytes = check();
            assert!(*first.get_or_insert_with(|| bytes.clone()) == bytes, "{path}");
        }
    }
    cpu::select("auto").expect("auto is always there");
}

/// Whether a code is the one expected, where None is any NaN.
fn agrees(dtype: DType, code: u64, expected: Option<u64>) -> bool {
    match expected {
        Some(expected) => code == expected,
        None => format(dtype).value(code).is_nan(),
    }
}

fn low_bits(dtype: DType, value: u64) -> u64 {
    value & (u64::MAX >> (64 - dtype.bits()))
}

fn pair(op: Binary, dtype: DType, a: u64, b: u64) -> Option<u64> {
    let wrapped = match (dtype, op) {
        (DType::Bool, Binary::Add) => a | b,
        (DType::Bool, Binary::Mul) => a & b,
        (DType::Float32, _) => {
            let (a, b) = (f32::from_bits(a as u32), f32::from_bits(b as u32));
            let result = if op == Binary::Add { a + b } else { a * b };
            return (!result.is_nan()).then_some(u64::from(result.to_bits()));
        }
        _ if FLOATS.contains(&dtype) => {
            let format = format(dtype);
            let (a, b) = (format.value(a), format.value(b));
            // Exact but for float64 and sums of bfloat16, which are rounded to 53
            // bits: more than twice eight, so rounding again does no harm.
            return format.nearest(if op == Binary::Add { a + b } else { a * b });
        }
        (_, Binary::Add) => a.wrapping_add(b),
        (_, Binary::Mul) => a.wrapping_mul(b),
    };
    Some(low_bits(dtype, wrapped))
}

#[test]
fn float8_is_exact_for_every_pair() {
    for dtype in [DType::Float8E4M3, DType::Float8E5M2] {
        let mut a: Vec<u8> = (0..=65535u16).map(|i| (i >> 8) as u8).collect();
        let mut b: Vec<u8> = (0..=65535u16).map(|i| i as u8).collect();
        let mut out = vec![0u8; 65536];
        let [a, b, target] = [&mut a, &mut b, &mut out]
            .map(|bytes| View::contiguous(bytes.as_mut_ptr(), dtype, &[65536]));
        for op in BINARIES {
            on_every_path(|| {
                binary(op, &a, &b, &target, 1).expect("alike");
                for (i, &code) in out.iter().enumerate() {
                    let expected = pair(op, dtype, i as u64 >> 8, i as u64 & 0xFF);
                    assert!(
                        agrees(dtype, u64::from(code), expected),
                        "{op:?} {} {i:#x}: {code:#x}, not {expected:x?}",
                        dtype.name()
                    );
                }
                out.clone()
            });
        }
    }
}

#[test]
fn float8_rounds_every_kind_of_f32() {
    use gmemx::tensor::convert::Number;
    use gmemx::tensor::element::{F8E4M3, F8E5M2};
    // Around every value and every tie, and a sample of everything.
    for (dtype, encode, decode) in [
        (
            DType::Float8E4M3,
            (|x| F8E4M3::from_f32(x).0) as fn(f32) -> u8,
            (|code| F8E4M3(code).to_f32()) as fn(u8) -> f32,
        ),
        (DType::Float8E5M2, |x| F8E5M2::from_f32(x).0, |code| F8E5M2(code).to_f32()),
    ] {
        let format = format(dtype);
        let check = |bits: u32| {
            let x = f32::from_bits(bits);
            let expected = format.nearest(f64::from(x));
            assert!(agrees(dtype, u64::from(encode(x)), expected), "{x:?}");
        };
        for code in 0..=255u8 {
            let value = format.value(u64::from(code));
            let read = decode(code);
            assert_eq!(read.is_sign_negative(), code >= 0x80, "{code:#x}");
            assert_eq!(encode(read).leading_ones() > 0, code >= 0x80, "{code:#x}");
            if value.is_nan() {
                assert!(read.is_nan());
            } else {
                assert_eq!(f64::from(read).to_bits(), value.to_bits(), "{code:#x}");
            }
        }
        for code in 0..format.special() {
            let (value, next) = (format.magnitude(code), format.magnitude(code + 1));
            for near in [value as f32, ((value + next) / 2.0) as f32, next as f32] {
                for bits in near.to_bits().saturating_sub(3)..near.to_bits() + 3 {
                    check(bits);
                    check(bits | 1 << 31);
                }
            }
        }
        for bits in (0..=u32::MAX).step_by(4099) {
            check(bits);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn arithmetic_is_the_model(
        seed in any::<u64>(),
        shape in prop::collection::vec(0usize..7, 0..4),
        long in prop_oneof![Just(1usize), 250usize..600],
        threads in prop_oneof![Just(1usize), Just(3)],
    ) {
        let mut shape = shape;
        if let Some(last) = shape.last_mut() {
            *last *= long;
        }
        for dtype in types() {
            let random = &mut Random(seed);
            let mut a = Tensor::random(dtype, &shape, random);
            let mut b = Tensor::random(dtype, &shape, random);
            if !shape.is_empty() && random.below(2) == 0 {
                b.repeat(random.below(shape.len()));
            }
            for op in BINARIES {
                on_every_path(|| {
                    let mut target = Tensor::new(dtype, &shape, &mut Random(seed ^ 1));
                    let before = target.bytes.clone();
                    binary(op, &a.view(), &b.view(), &target.view(), threads).expect("alike");
                    let after = target.bytes.clone();
                    for i in 0..a.len() {
                        let expected = pair(op, dtype, a.get(i), b.get(i));
                        assert!(agrees(dtype, target.get(i), expected), "{op:?} {dtype:?} {i}");
                    }
                    for i in 0..a.len() {
                        let (place, size) = (target.place(i), dtype.bits() / 8);
                        target.bytes[place..place + size]
                            .copy_from_slice(&before[place..place + size]);
                    }
                    assert!(target.bytes == before, "gaps are left alone");
                    after
                });
            }
            on_every_path(|| {
                let mut target = Tensor::new(dtype, &shape, &mut Random(seed ^ 2));
                relu(&a.view(), &target.view(), threads).expect("alike");
                for i in 0..a.len() {
                    let expected = match dtype {
                        _ if FLOATS.contains(&dtype) => {
                            let value = format(dtype).value(a.get(i));
                            if value.is_nan() { None }
                            else if value > 0.0 { Some(a.get(i)) }
                            else { Some(0) }
                        }
                        DType::Int8 | DType::Int16 | DType::Int32 | DType::Int64
                            if a.get(i) >> (dtype.bits() - 1) == 1 => Some(0),
                        _ => Some(a.get(i)),
                    };
                    assert!(agrees(dtype, target.get(i), expected), "relu {dtype:?} {i}");
                }
                target.bytes
            });
            // In place, over either operand and both.
            let expected: Vec<_> =
                (0..a.len()).map(|i| pair(Binary::Add, dtype, a.get(i), a.get(i))).collect();
            binary(Binary::Add, &a.view(), &a.view(), &a.view(), threads).expect("alike");
            for (i, &expected) in expected.iter().enumerate() {
                assert!(agrees(dtype, a.get(i), expected), "in place {dtype:?} {i}");
            }
        }
    }

    #[test]
    fn softmax_is_the_model(
        seed in any::<u64>(),
        shape in prop::collection::vec(0usize..9, 1..4),
        threads in prop_oneof![Just(1usize), Just(3)],
    ) {
        for dtype in FLOATS {
            let random = &mut Random(seed);
            let mut a = Tensor::random(dtype, &shape, random);
            let axis = random.below(shape.len());
            let mut target = Tensor::new(dtype, &shape, random);
            softmax(&a.view(), axis, &target.view(), threads).expect("alike");
            check_softmax(&a, axis, &target);
            let source: Vec<u64> = (0..a.len()).map(|i| target.get(i)).collect();
            softmax(&a.view(), axis, &a.view(), threads).expect("alike");
            assert!((0..a.len()).all(|i| a.get(i) == source[i]), "in place");
        }
    }

    #[test]
    fn matmul_is_the_model(
        seed in any::<u64>(),
        m in prop_oneof![0usize..12, 120usize..140],
        k in prop_oneof![0usize..12, 250usize..260],
        n in prop_oneof![0usize..20, 120usize..140],
        threads in prop_oneof![Just(1usize), Just(3)],
    ) {
        for dtype in types() {
            check_matmul(dtype, [m, k, n], threads, &mut Random(seed));
        }
    }
}

/// Each lane against the formula, to the last place of its type or so.
fn check_softmax(a: &Tensor, axis: usize, target: &Tensor) {
    let format = format(a.dtype);
    let inner: usize = a.shape[axis + 1..].iter().product();
    let len = a.shape[axis];
    for first in (0..a.len()).filter(|i| (i / inner).is_multiple_of(len)) {
        let lane: Vec<f64> = (0..len).map(|i| format.value(a.get(first + i * inner))).collect();
        let greatest = lane.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = lane.iter().map(|x| (x - greatest).exp()).sum();
        let lost = lane.iter().any(|x| x.is_nan() || *x == f64::INFINITY)
            || lane.iter().all(|x| *x == f64::NEG_INFINITY);
        for (i, x) in lane.iter().enumerate() {
            let code = target.get(first + i * inner);
            if lost {
                assert!(format.value(code).is_nan(), "{lane:?}");
            } else {
                let expected = format.nearest((x - greatest).exp() / sum).expect("a number");
                assert!(code.abs_diff(expected) <= 1, "{lane:?} {i}: {code:#x} {expected:#x}");
            }
        }
    }
}

fn check_matmul(dtype: DType, [m, k, n]: [usize; 3], threads: usize, random: &mut Random) {
    let mut a = Tensor::random(dtype, &[m, k], random);
    let mut b = Tensor::random(dtype, &[k, n], random);
    if random.below(4) == 0 {
        b.repeat(random.below(2));
    }
    let float = FLOATS.contains(&dtype);
    let wide = |tensor: &Tensor| -> Vec<f64> {
        let value = |i| if float { format(dtype).value(tensor.get(i)) } else { 0.0 };
        (0..tensor.len()).map(value).collect()
    };
    let (left, right) = (wide(&a), wide(&b));
    let codes =
        |tensor: &Tensor| -> Vec<u64> { (0..tensor.len()).map(|i| tensor.get(i)).collect() };
    let (left_codes, right_codes) = (codes(&a), codes(&b));
    let expected: Vec<Option<u64>> = (0..m * n)
        .map(|at| {
            let (i, j) = (at / n, at % n);
            if float {
                let sum = (0..k).fold(0.0, |sum, p| sum + left[i * k + p] * right[p * n + j]);
                return format(dtype).nearest(sum);
            }
            let pairs = (0..k).map(|p| (left_codes[i * k + p], right_codes[p * n + j]));
            Some(if dtype == DType::Bool {
                pairs.fold(0, |sum, (x, y)| sum | (x & y))
            } else {
                low_bits(dtype, pairs.fold(0, |sum, (x, y)| sum.wrapping_add(x.wrapping_mul(y))))
            })
        })
        .collect();
    on_every_path(|| {
        let mut target = Tensor::new(dtype, &[m, n], &mut Random(m as u64));
        matmul(&a.view(), &b.view(), &target.view(), threads).expect("they fit");
        for (i, &expected) in expected.iter().enumerate() {
            let code = target.get(i);
            assert!(agrees(dtype, code, expected), "{dtype:?} {i}: {code:#x} {expected:x?}");
        }
        target.bytes
    });
}

#[test]
fn many_elements_go_to_many_threads() {
    let random = &mut Random(5);
    for shape in [vec![200_003], vec![3, 70_001], vec![50_021, 5]] {
        for dtype in [DType::Uint8, DType::Float16, DType::Float64] {
            let mut a = Tensor::random(dtype, &shape, random);
            let mut b = Tensor::random(dtype, &shape, random);
            let mut target = Tensor::new(dtype, &shape, random);
            binary(Binary::Mul, &a.view(), &b.view(), &target.view(), 3).expect("alike");
            for i in 0..a.len() {
                let expected = pair(Binary::Mul, dtype, a.get(i), b.get(i));
                assert!(agrees(dtype, target.get(i), expected), "{shape:?} {dtype:?} {i}");
            }
        }
        let mut a = Tensor::random(DType::Float32, &shape, random);
        let mut target = Tensor::new(DType::Float32, &shape, random);
        for axis in 0..shape.len() {
            softmax(&a.view(), axis, &target.view(), 3).expect("alike");
            check_softmax(&a, axis, &target);
        }
    }
    check_matmul(DType::Float32, [300, 520, 260], 3, random);
    check_matmul(DType::Int64, [300, 20, 260], 3, random);
}

/// Sums that only one rounding gets right: just above a tie, by less than f32 sees.
#[test]
fn a_product_is_rounded_once() {
    for dtype in [DType::Float16, DType::Bfloat16, DType::Float8E4M3, DType::Float8E5M2] {
        let format = format(dtype);
        let code = |value: f64| format.nearest(value).expect("a number");
        let half_a_place = 2f64.powi(-(format.mantissa as i32) - 1);
        let least = 2f64.powi(-13);
        let mut a = Tensor::new(dtype, &[1, 3], &mut Random(0));
        let mut b = Tensor::new(dtype, &[3, 1], &mut Random(1));
        let (x, y) =
            if half_a_place < least { (1.0, half_a_place) } else { (0.25, half_a_place * 4.0) };
        let tiny = format.magnitude(1).max(2f64.powi(-20));
        for (i, (p, q)) in [(1.0, 1.0), (x, y), (tiny, tiny)].into_iter().enumerate() {
            a.set(i, code(p));
            b.set(i, code(q));
        }
        let mut target = Tensor::new(dtype, &[1, 1], &mut Random(2));
        matmul(&a.view(), &b.view(), &target.view(), 1).expect("they fit");
        assert_eq!(target.get(0), code(1.0) + 1, "{}", dtype.name());
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let random = &mut Random(3);
    let mut tensor = |dtype, shape: &[usize]| Tensor::new(dtype, shape, random);
    let mut a = tensor(DType::Float32, &[2, 3]);
    let mut b = tensor(DType::Float32, &[2, 3]);
    let mut square = tensor(DType::Float32, &[3, 3]);
    let mut line = tensor(DType::Float32, &[3]);
    let mut whole = tensor(DType::Int32, &[2, 3]);
    let text = |result: gmemx::error::Result<()>| result.expect_err("refused").to_string();

    let said = text(matmul(&a.view(), &b.view(), &square.view(), 1));
    assert!(said.contains("(m, k) and (k, n), not (2, 3) and (2, 3)"), "{said}");
    let said = text(matmul(&a.view(), &line.view(), &square.view(), 1));
    assert!(said.contains("not (2, 3) and (3,)"), "{said}");
    let said = text(matmul(&a.view(), &square.view(), &whole.view(), 1));
    assert!(said.contains("int32"), "{said}");
    let said = text(matmul(&square.view(), &square.view(), &square.view(), 1));
    assert!(said.contains("must not be one of its operands"), "{said}");

    let said = text(softmax(&whole.view(), 0, &whole.view(), 1));
    assert!(said.contains("not for int32"), "{said}");
    let said = text(softmax(&a.view(), 2, &b.view(), 1));
    assert!(said.contains("axis 2 is out of range for 2 dimensions"), "{said}");
    let said = text(softmax(&a.view(), 0, &whole.view(), 1));
    assert!(said.contains("int32"), "{said}");

    let said = text(binary(Binary::Add, &a.view(), &whole.view(), &b.view(), 1));
    assert!(said.contains("int32") && said.contains("float32"), "{said}");
    let said = text(relu(&a.view(), &square.view(), 1));
    assert!(said.contains("(2, 3)") && said.contains("(3, 3)"), "{said}");

    assert_eq!(Binary::from_code(1).ok(), Some(Binary::Mul));
    assert!(Binary::from_code(2).is_err());
}
