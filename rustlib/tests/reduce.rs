//! Reductions against naive models, on every CPU path and number of threads.

use gmemx::cpu;
use gmemx::error::Error;
use gmemx::tensor::reduce::reduce;
use gmemx::tensor::{DType, Reduction, View};
use proptest::prelude::*;

fn on_every_path(mut check: impl FnMut(&str)) {
    for path in ["portable", "avx2"] {
        if cpu::select(path).is_ok() {
            check(path);
        }
    }
    cpu::select("auto").expect("auto is always there");
}

/// One element as a number, by its definition.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Number {
    Integer(i128),
    Float(f64),
}

/// A small float of that many bits of exponent and mantissa.
fn small(bits: u64, exponent: u32, mantissa: u32, infinities: bool) -> f64 {
    let bias = (1i32 << (exponent - 1)) - 1;
    let sign = if bits >> (exponent + mantissa) & 1 == 1 { -1.0 } else { 1.0 };
    let e = (bits >> mantissa & ((1 << exponent) - 1)) as i32;
    let m = (bits & ((1 << mantissa) - 1)) as f64 / f64::from(1u32 << mantissa);
    let top = e == (1 << exponent) - 1;
    match (e, infinities) {
        (_, true) if top => {
            if m == 0.0 {
                sign * f64::INFINITY
            } else {
                f64::NAN
            }
        }
        (_, false) if top && m == 0.875 => f64::NAN,
        (0, _) => sign * m * 2f64.powi(1 - bias),
        _ => sign * (1.0 + m) * 2f64.powi(e - bias),
    }
}

fn number(dtype: DType, bytes: &[u8]) -> Number {
    let mut word = [0; 8];
    word[..bytes.len()].copy_from_slice(bytes);
    let bits = u64::from_le_bytes(word);
    match dtype {
        DType::Bool => Number::Integer(i128::from(bits != 0)),
        DType::Int8 => Number::Integer(i128::from(bits as i8)),
        DType::Int16 => Number::Integer(i128::from(bits as i16)),
        DType::Int32 => Number::Integer(i128::from(bits as i32)),
        DType::Int64 => Number::Integer(i128::from(bits as i64)),
        DType::Float32 => Number::Float(f64::from(f32::from_bits(bits as u32))),
        DType::Float64 => Number::Float(f64::from_bits(bits)),
        DType::Float16 => Number::Float(small(bits, 5, 10, true)),
        DType::Bfloat16 => Number::Float(small(bits, 8, 7, true)),
        DType::Float8E4M3 => Number::Float(small(bits, 4, 3, false)),
        DType::Float8E5M2 => Number::Float(small(bits, 5, 2, true)),
        _ => Number::Integer(i128::from(bits)),
    }
}

fn bytes_types() -> impl Strategy<Value = DType> {
    (0..15i32).prop_map(|code| DType::from_code(code).expect("a code"))
}

/// The indices of all elements of a shape, in C order.
fn indices(shape: &[usize]) -> Vec<Vec<usize>> {
    shape.iter().fold(vec![vec![]], |all, &extent| {
        all.iter()
            .flat_map(|index| (0..extent).map(move |i| [index.clone(), vec![i]].concat()))
            .collect()
    })
}

fn at(view: &View, index: &[usize]) -> usize {
    let offset: isize = index.iter().zip(&view.strides).map(|(&i, s)| i as isize * s).sum();
    view.data.addr().wrapping_add_signed(offset)
}

fn read(view: &View, index: &[usize]) -> Number {
    let place = view.data.with_addr(at(view, index));
    // SAFETY: an element of a view of live memory.
    number(view.dtype, unsafe { std::slice::from_raw_parts(place, view.itemsize()) })
}

/// A view into `memory` of that shape: dimensions permuted, some backward, some with
/// gaps, and not aligned.
fn view(memory: &mut Vec<u8>, dtype: DType, shape: &[usize], mix: u64, odd: usize) -> View {
    let size = dtype.bits() / 8;
    let mut order: Vec<usize> = (0..shape.len()).collect();
    order.sort_by_key(|&d| (mix >> (d * 4)) & 15);
    let mut strides = vec![0isize; shape.len()];
    let (mut step, mut offset) = (size, odd);
    for &d in order.iter().rev() {
        step *= 1 + usize::from(mix >> (20 + d) & 3 == 3);
        strides[d] = step as isize;
        if mix >> (30 + d) & 1 == 1 {
            strides[d] = -strides[d];
            offset += step * shape[d].saturating_sub(1);
        }
        step *= shape[d].max(1);
    }
    let mut word = mix | 1;
    memory.clear();
    memory.resize_with(step + odd + 16, || {
        word = word.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
        (word >> 56) as u8
    });
    let data = memory.as_mut_ptr().wrapping_add(offset);
    View { data, dtype, shape: shape.into(), strides: strides.as_slice().into() }
}

fn run(op: Reduction, source: &View, axes: u64, threads: usize) -> Result<Vec<[u8; 8]>, Error> {
    let shape: Vec<usize> =
        (0..source.ndim()).filter(|d| axes >> d & 1 == 0).map(|d| source.shape[d]).collect();
    let mut out = vec![[0u8; 8]; shape.iter().product()];
    let output = op.output(source.dtype);
    let mut target = View::contiguous(out.as_mut_ptr().cast(), output, &shape);
    // Each element in a slot of eight bytes.
    let scale = 8 / target.itemsize() as isize;
    target.strides.iter_mut().for_each(|stride| *stride *= scale);
    reduce(op, source, axes, &target, threads)?;
    Ok(out)
}

fn model(op: Reduction, elements: &[Number]) -> Number {
    let floats: Vec<f64> = elements
        .iter()
        .map(|e| match *e {
            Number::Integer(i) => i as f64,
            Number::Float(f) => f,
        })
        .collect();
    let integers: Option<Vec<i128>> = elements
        .iter()
        .map(|e| match *e {
            Number::Integer(i) => Some(i),
            Number::Float(_) => None,
        })
        .collect();
    match (op, integers) {
        (Reduction::CountNonzero, _) => {
            Number::Integer(floats.iter().filter(|&&f| f != 0.0).count() as i128)
        }
        (Reduction::Sum, Some(all)) => Number::Integer(all.iter().sum()),
        (Reduction::Mean, Some(all)) => {
            Number::Float(all.iter().sum::<i128>() as f64 / all.len() as f64)
        }
        (Reduction::Min, Some(all)) => Number::Integer(*all.iter().min().expect("some")),
        (Reduction::Max, Some(all)) => Number::Integer(*all.iter().max().expect("some")),
        (Reduction::Sum, None) => Number::Float(floats.iter().sum()),
        (Reduction::Mean, None) => Number::Float(floats.iter().sum::<f64>() / floats.len() as f64),
        _ if floats.iter().any(|f| f.is_nan()) => Number::Float(f64::NAN),
        (Reduction::Min, None) => {
            Number::Float(floats.iter().copied().fold(f64::INFINITY, f64::min))
        }
        (Reduction::Max, None) => {
            Number::Float(floats.iter().copied().fold(f64::NEG_INFINITY, f64::max))
        }
    }
}

/// Equal, or for sums of floats as near as rounding allows.
fn agree(got: Number, wanted: Number, size: f64) -> bool {
    match (got, wanted) {
        (Number::Integer(a), Number::Integer(b)) => a == b,
        (Number::Float(a), Number::Float(b)) => {
            a == b
                || (a.is_nan() && b.is_nan())
                || !size.is_finite()
                || (a - b).abs() <= size * 1e-12
        }
        _ => false,
    }
}

fn check(source: &View, axes: u64) {
    for op in Reduction::ALL {
        let mut before = None;
        on_every_path(|path| {
            for threads in [1, 2, 5] {
                let made = run(op, source, axes, threads);
                let made = made.map_err(|error| error.to_string());
                let before = before.get_or_insert_with(|| made.clone());
                assert_eq!(*before, made, "{path} {threads} {op:?} {source:?} {axes:b}");
            }
        });
        let kept: Vec<usize> = (0..source.ndim()).filter(|d| axes >> d & 1 == 0).collect();
        let outer: Vec<usize> = kept.iter().map(|&d| source.shape[d]).collect();
        let mut groups: std::collections::BTreeMap<Vec<usize>, Vec<Number>> =
            indices(&outer).into_iter().map(|index| (index, vec![])).collect();
        for index in indices(&source.shape) {
            let key: Vec<usize> = kept.iter().map(|&d| index[d]).collect();
            groups.get_mut(&key).expect("a group").push(read(source, &index));
        }
        let empty = groups.values().any(Vec::is_empty);
        let made = match before.expect("a result") {
            Err(text) => {
                let overflow = groups.values().any(|group| match model(Reduction::Sum, group) {
                    Number::Integer(sum) => i64::try_from(sum).is_err(),
                    Number::Float(_) => false,
                });
                assert!(empty || (op == Reduction::Sum && overflow), "{text}");
                continue;
            }
            Ok(made) => made,
        };
        let output = op.output(source.dtype);
        for (group, made) in groups.values().zip(made) {
            if group.is_empty() {
                let sum = number(output, &made[..output.bits() / 8]);
                match op {
                    Reduction::Mean => assert!(f64::from_ne_bytes(made).is_nan()),
                    _ => assert!(matches!(sum, Number::Integer(0) | Number::Float(0.0))),
                }
                continue;
            }
            let size = group.iter().map(|e| match *e {
                Number::Integer(i) => (i as f64).abs(),
                Number::Float(f) => f.abs(),
            });
            let size = size.sum::<f64>();
            let got = number(output, &made[..output.bits() / 8]);
            let wanted = model(op, group);
            assert!(agree(got, wanted, size), "{op:?} {got:?} {wanted:?} {source:?} {axes:b}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn small_tensors_of_any_layout(
        dtype in bytes_types(),
        shape in prop::collection::vec(0usize..7, 0..5),
        axes in any::<u64>(),
        mix in any::<u64>(),
        odd in 0usize..9,
    ) {
        let mut memory = Vec::new();
        let view = view(&mut memory, dtype, &shape, mix, odd);
        check(&view, axes & ((1 << shape.len()) - 1));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn larger_tensors(
        dtype in bytes_types(),
        shape in prop_oneof![
            (1usize..150_000).prop_map(|n| vec![n]),
            (1usize..600, 1usize..600).prop_map(|(a, b)| vec![a, b]),
            (1usize..40, 1usize..60, 1usize..70).prop_map(|(a, b, c)| vec![a, b, c]),
        ],
        axes in any::<u64>(),
        mix in any::<u64>(),
        odd in 0usize..9,
    ) {
        let mut memory = Vec::new();
        let view = view(&mut memory, dtype, &shape, mix, odd);
        check(&view, axes & ((1 << shape.len()) - 1));
    }
}

fn one<T: Copy>(dtype: DType, op: Reduction, data: &[T]) -> Result<[u8; 8], Error> {
    let view = View::contiguous(data.as_ptr().cast_mut().cast(), dtype, &[data.len()]);
    run(op, &view, 1, 2).map(|out| out[0])
}

#[test]
fn sums_that_do_not_fit_are_refused() {
    assert!(matches!(
        one(DType::Int64, Reduction::Sum, &[i64::MAX, 1]),
        Err(Error::Overflow(text)) if text.contains("does not fit in int64")
    ));
    assert!(one(DType::Uint64, Reduction::Sum, &[u64::MAX, 1]).is_err());
    let back = one(DType::Int64, Reduction::Sum, &[i64::MAX, i64::MAX, i64::MIN, i64::MIN, 2]);
    assert_eq!(back.expect("fits").map(i128::from), 0i64.to_ne_bytes().map(i128::from));
    let mean = one(DType::Int64, Reduction::Mean, &[i64::MAX; 1000]).expect("never overflows");
    assert_eq!(f64::from_ne_bytes(mean), i64::MAX as f64);
    let long = vec![i64::MIN; 100_000];
    assert!(one(DType::Int64, Reduction::Sum, &long).is_err());
}

#[test]
fn a_hundred_million_ones_are_exact() {
    let ones = vec![half::bf16::ONE; 100_000_000];
    on_every_path(|_| {
        let sum = one(DType::Bfloat16, Reduction::Sum, &ones).expect("a sum");
        assert_eq!(f64::from_ne_bytes(sum), 1e8);
    });
}

#[test]
fn nan_and_infinity_anywhere() {
    for n in [1usize, 5, 300, 40_000, 140_000] {
        for place in [0, n / 2, n - 1] {
            let mut data = vec![1.5f32; n];
            data[place] = f32::NEG_INFINITY;
            let get = |op, data: &[f32]| one(DType::Float32, op, data).expect("a result");
            assert_eq!(f64::from_ne_bytes(get(Reduction::Sum, &data)), f64::NEG_INFINITY);
            assert_eq!(get(Reduction::Min, &data)[..4], f32::NEG_INFINITY.to_ne_bytes());
            data[place] = -f32::NAN;
            for op in [Reduction::Min, Reduction::Max] {
                let made = get(op, &data);
                assert!(f32::from_ne_bytes([made[0], made[1], made[2], made[3]]).is_nan());
            }
            assert!(f64::from_ne_bytes(get(Reduction::Sum, &data)).is_nan());
            assert_eq!(get(Reduction::CountNonzero, &data), (n as i64).to_ne_bytes());
            data[place] = -0.0;
            assert_eq!(get(Reduction::CountNonzero, &data), (n as i64 - 1).to_ne_bytes());
        }
    }
}

#[test]
fn wrong_arguments_are_refused() {
    let data = [0u8; 8];
    let view = View::contiguous(data.as_ptr().cast_mut(), DType::Uint8, &[2, 4]);
    assert!(matches!(
        reduce(Reduction::Sum, &view, 0b100, &view, 1),
        Err(Error::InvalidArgument(_))
    ));
    assert!(matches!(reduce(Reduction::Sum, &view, 0b1, &view, 1), Err(Error::InvalidArgument(_))));
    let empty = View::contiguous(data.as_ptr().cast_mut(), DType::Uint8, &[0, 4]);
    let refused = run(Reduction::Min, &empty, 1, 1).expect_err("nothing is least");
    assert_eq!(refused.to_string(), "min of an empty tensor of shape (0, 4)");
    assert!(run(Reduction::Min, &empty, 2, 1).expect("no outputs").is_empty());
    assert!(Reduction::from_code(5).is_err() && Reduction::from_code(-1).is_err());
}
