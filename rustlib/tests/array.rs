//! Arrays against their definition: element by element, on every CPU path, for any number of
//! threads.

use gmemx::cpu;
use gmemx::generative::{
    Array, ArrayFold, ArrayFolding, Context, Distribution, Generator, Held, Truth,
};
use gmemx::tensor::DType;
use proptest::prelude::*;

fn on_every_path(mut check: impl FnMut()) {
    for path in ["portable", "avx2", "avx512"] {
        if cpu::select(path).is_ok() {
            check();
        }
    }
    cpu::select("auto").expect("auto is always there");
}

const VALUES: [f64; 3] = [-1.0, 4.0, 7.0];
const CUMULATIVE: [f64; 3] = [0.25, 0.75, 1.0];

fn distribution(number: u8) -> Distribution<'static> {
    let made = match number {
        0 => Distribution::uniform(0.0, 1.0),
        1 => Distribution::uniform(-3.0, 5.5),
        2 => Distribution::normal(1.0, 2.5),
        3 => Distribution::integers(-5.0, 20.0),
        4 => Distribution::bernoulli(0.3),
        _ => Distribution::choice(&VALUES, &CUMULATIVE),
    };
    made.expect("it makes sense")
}

/// Distributions whose sums follow from leading bits, with their ends in every place.
fn summed() -> impl Strategy<Value = Distribution<'static>> {
    let p = prop_oneof![0.0..1.0, (0u32..65537).prop_map(|k| f64::from(k) / 65536.0)];
    let scale = prop::sample::select(vec![1e-9, 1.0, 1e9, 1e30]);
    prop_oneof![
        (prop_oneof![-300i32..300, 16_777_200i32..16_777_230], 1i32..400)
            .prop_map(|(low, count)| Distribution::integers(low.into(), (low + count).into())),
        p.prop_map(Distribution::bernoulli),
        (-5.0f64..5.0, 0.0f64..9.0, scale)
            .prop_map(|(low, width, by)| Distribution::uniform(low * by, (low + width) * by)),
    ]
    .prop_map(|made| made.expect("it makes sense"))
}

/// A shape and strides that stay in a window of some 10^5 cells, in any order and direction.
fn layouts() -> impl Strategy<Value = (u64, Vec<u64>, Vec<i64>)> {
    let dim = (prop_oneof![0u64..4, 1u64..70], -9i64..9, any::<bool>());
    let small = prop::collection::vec(dim, 0..4).prop_map(|dims| {
        let mut step = 1;
        let mut shape = vec![];
        let mut strides = vec![];
        for (extent, stride, packed) in dims {
            shape.push(extent);
            strides.push(if packed { step } else { stride });
            step *= extent.max(1) as i64;
        }
        (shape, strides)
    });
    let mirrored = (small, any::<bool>()).prop_map(|((mut shape, mut strides), mirror)| {
        if mirror {
            shape.reverse();
            strides.reverse();
        }
        (shape, strides)
    });
    let long =
        (1u64..4, 60_000u64..1_500_000, prop_oneof![Just(1i64), Just(-1), Just(3), Just(40)])
            .prop_map(|(rows, length, step)| {
                (vec![rows, length], vec![length as i64 * step + 7, step])
            });
    let start = prop_oneof![any::<u64>(), (0u64..200_000).prop_map(u64::wrapping_neg)];
    (start, prop_oneof![12 => mirrored, 1 => long])
        .prop_map(|(start, (shape, strides))| (start, shape, strides))
}

fn addresses(offset: u64, shape: &[u64], strides: &[i64]) -> Vec<u64> {
    let mut all = vec![offset];
    for (&extent, &stride) in shape.iter().zip(strides) {
        let step =
            |at: u64| (0..extent).map(move |i| at.wrapping_add(i.wrapping_mul(stride as u64)));
        all = all.into_iter().flat_map(step).collect();
    }
    all
}

/// The definition: every element on its own.
fn elements(context: &Context, array: &Array, addresses: &[u64]) -> Vec<f64> {
    let one = |&address: &u64| {
        let mut cell = [context.fetch(address)];
        if !context.is_written(address) {
            array.distribution.apply(&mut cell);
        }
        cell[0]
    };
    addresses.iter().map(one).collect()
}

/// A sum by halves: rounding does not add up as it does one by one.
fn sum_of(values: &[f64]) -> f64 {
    match values {
        [] => 0.0,
        [value] => *value,
        _ => {
            let (left, right) = values.split_at(values.len() / 2);
            sum_of(left) + sum_of(right)
        }
    }
}

fn squares_of(values: &[f64]) -> f64 {
    let mean = sum_of(values) / values.len() as f64;
    let squares: Vec<f64> = values.iter().map(|value| (value - mean).powi(2)).collect();
    sum_of(&squares)
}

fn fold(context: &Context, mut folding: ArrayFolding, step: u64, threads: usize) -> ArrayFolding {
    while folding.left() > 0 {
        folding.carry_on(context, step, threads);
    }
    folding
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 24 } else { 96 }))]

    #[test]
    fn elements_are_functions_of_their_cells(
        seed in any::<u64>(),
        philox in any::<bool>(),
        number in 0u8..6,
        (offset, shape, strides) in layouts(),
        written in prop::collection::vec((any::<prop::sample::Index>(), -300.0f64..300.0), 0..4),
    ) {
        let generator = if philox { Generator::Philox } else { Generator::Vrns16 };
        let context = Context::new(seed, generator);
        let made = |dtype| {
            Array::new(offset, &shape, &strides, dtype, distribution(number)).expect("an array")
        };
        let array = made(DType::Float64);
        let addresses = addresses(offset, &shape, &strides);
        prop_assert_eq!(array.cells(), addresses.len() as u128);
        if !addresses.is_empty() {
            for (index, value) in &written {
                context.write(*index.get(&addresses), *value).expect("memory");
            }
        }
        let wanted = elements(&context, &array, &addresses);
        let bits: Vec<u64> = wanted.iter().map(|value| value.to_bits()).collect();
        let n = addresses.len();
        on_every_path(|| {
            for threads in [1, 3] {
                let mut cells = vec![0f64; n];
                context.read_array(&array, &mut cells, threads);
                assert!(cells.iter().map(|cell| cell.to_bits()).eq(bits.iter().copied()));
                let mut single = vec![0f32; n];
                context.read_array(&made(DType::Float32), &mut single, threads);
                assert!(single.iter().zip(&wanted).all(|(a, b)| *a == *b as f32));
                let mut bytes = vec![0i8; n];
                context.read_array(&made(DType::Int8), &mut bytes, threads);
                assert!(bytes.iter().zip(&wanted).all(|(a, b)| *a == *b as i8));
            }
            let mut long = vec![0u64; n];
            context.read_array(&made(DType::Uint64), &mut long, 2);
            assert!(long.iter().zip(&wanted).all(|(a, b)| *a == *b as u64));
            let mut truths: Vec<Truth> = wanted.iter().map(|_| Truth::from(false)).collect();
            context.read_array(&made(DType::Bool), &mut truths, 2);
            assert!(truths.iter().zip(&wanted).all(|(a, b)| bool::from(*a) == (*b != 0.0)));
        });
    }

    #[test]
    fn folds_are_those_of_the_elements(
        seed in any::<u64>(),
        philox in any::<bool>(),
        number in 0u8..6,
        whole in any::<bool>(),
        (offset, shape, strides) in layouts(),
        written in prop::option::of((any::<prop::sample::Index>(), prop_oneof![Just(f64::NAN), -90.0f64..90.0])),
    ) {
        let generator = if philox { Generator::Philox } else { Generator::Vrns16 };
        let context = Context::new(seed, generator);
        let dtype = if whole { DType::Int8 } else { DType::Float64 };
        let array =
            Array::new(offset, &shape, &strides, dtype, distribution(number)).expect("an array");
        let addresses = addresses(offset, &shape, &strides);
        if let Some((index, value)) = written && !addresses.is_empty() {
            context.write(*index.get(&addresses), value).expect("memory");
        }
        let mut wanted = elements(&context, &array, &addresses);
        if whole {
            wanted.iter_mut().for_each(|value| *value = f64::from(*value as i8));
        }
        let n = wanted.len() as f64;
        let (sum, squares) = (sum_of(&wanted), squares_of(&wanted));
        let nan = wanted.iter().any(|value| value.is_nan());
        for op in [ArrayFold::Sum, ArrayFold::Mean, ArrayFold::Min, ArrayFold::Max, ArrayFold::Squares] {
            let extreme = matches!(op, ArrayFold::Min | ArrayFold::Max);
            if wanted.is_empty() && extreme {
                prop_assert!(ArrayFolding::new(op, array.clone()).is_err());
                continue;
            }
            let mut before: Option<u64> = None;
            on_every_path(|| {
                for (threads, step) in [(1, u64::MAX), (3, 1), (2, 700_000)] {
                    let folding = ArrayFolding::new(op, array.clone()).expect("some elements");
                    let folding = fold(&context, folding, step, threads);
                    assert_eq!(folding.exact().is_some(), whole && op == ArrayFold::Sum);
                    if let Some(exact) = folding.exact() {
                        assert_eq!(exact, wanted.iter().map(|value| *value as i128).sum());
                    }
                    let bits = folding.value().to_bits();
                    assert_eq!(*before.get_or_insert(bits), bits);
                }
            });
            let made = f64::from_bits(before.expect("a result"));
            let expected = match op {
                ArrayFold::Sum => sum,
                ArrayFold::Mean => sum / n,
                ArrayFold::Min => wanted.iter().copied().fold(f64::INFINITY, f64::min),
                ArrayFold::Max => wanted.iter().copied().fold(f64::NEG_INFINITY, f64::max),
                ArrayFold::Squares => squares,
            };
            if nan || expected.is_nan() {
                prop_assert!(made.is_nan(), "{op:?} {made}");
            } else {
                let scale = if extreme { 0.0 } else { n * 1e-13 + expected.abs() * 1e-13 };
                prop_assert!((made - expected).abs() <= scale, "{op:?} {made} {expected}");
            }
        }
    }

    #[test]
    fn histograms_count_as_defined(
        seed in any::<u64>(),
        number in 0u8..6,
        (offset, shape, strides) in layouts(),
        even in any::<bool>(),
        bins in 1usize..40,
        low in -4.0f64..2.0,
        width in 0.1f64..9.0,
    ) {
        let context = Context::new(seed, Generator::Vrns16);
        let array = Array::new(offset, &shape, &strides, DType::Float64, distribution(number))
            .expect("an array");
        let addresses = addresses(offset, &shape, &strides);
        let edge = |i: usize| {
            let share = i as f64 / bins as f64;
            low + width * if even { share } else { share * share }
        };
        let edges: Vec<f64> = (0..=bins).map(edge).collect();
        let mut wanted = vec![0u64; bins];
        for value in elements(&context, &array, &addresses) {
            let inside = (0..bins).find(|&i| {
                edges[i] <= value && (value < edges[i + 1] || i == bins - 1 && value == edges[bins])
            });
            inside.map(|i| wanted[i] += 1).unwrap_or_default();
        }
        on_every_path(|| {
            for threads in [1, 3] {
                let folding = ArrayFolding::histogram(array.clone(), &edges).expect("edges");
                let folding = fold(&context, folding, 1 << 18, threads);
                assert_eq!(folding.counts(), Some(&wanted[..]));
            }
        });
    }

    #[test]
    fn long_runs_come_to_what_their_elements_do(
        seed in any::<u64>(),
        number in 0u8..6,
        start in prop_oneof![any::<u64>(), (0u64..2_000_000).prop_map(|n| n.wrapping_neg())],
        n in prop_oneof![30_000u64..100_000, 1_000_000u64..2_200_000, 4_200_000u64..4_500_000],
        whole in any::<bool>(),
        bins in 1usize..40,
        even in any::<bool>(),
        low in prop_oneof![-4.0f64..2.0, 0.2f64..0.7],
        width in prop_oneof![0.1f64..9.0, 1e-9f64..1e-4],
    ) {
        let context = Context::new(seed, Generator::Vrns16);
        let dtype = if whole { DType::Int16 } else { DType::Float64 };
        let array = Array::new(start, &[n], &[1], dtype, distribution(number)).expect("an array");
        let mut elements = vec![0.0; n as usize];
        let cells = Array::new(start, &[n], &[1], DType::Float64, distribution(number));
        context.read_array(&cells.expect("an array"), &mut elements, 2);
        if whole {
            elements.iter_mut().for_each(|value| *value = f64::from(*value as i16));
        }
        let squares = squares_of(&elements);
        let mut edges: Vec<f64> = (0..=bins)
            .map(|i| low + width * (i as f64 / bins as f64).powi(if even { 1 } else { 2 }))
            .collect();
        edges.sort_by(f64::total_cmp);
        let mut counts = vec![0u64; bins];
        for &value in elements.iter().filter(|&&value| value >= low && value <= edges[bins]) {
            let passed = edges.partition_point(|&edge| edge <= value);
            counts[passed.clamp(1, bins) - 1] += 1;
        }
        on_every_path(|| {
            let value = |op| {
                let folding = ArrayFolding::new(op, array.clone()).expect("some elements");
                fold(&context, folding, u64::MAX, 2).value()
            };
            let least = elements.iter().copied().fold(f64::INFINITY, f64::min);
            let greatest = elements.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            assert_eq!(value(ArrayFold::Min), least);
            assert_eq!(value(ArrayFold::Max), greatest);
            let off = (value(ArrayFold::Squares) - squares).abs();
            assert!(off <= squares * 1e-12, "{off} of {squares}");
            let folding = ArrayFolding::histogram(array.clone(), &edges).expect("bins");
            assert_eq!(fold(&context, folding, 3_000_000, 2).counts(), Some(&counts[..]));
        });
    }

    #[test]
    fn sums_of_long_runs_are_those_of_their_elements(
        seed in any::<u64>(),
        distribution in summed(),
        dtype in prop::sample::select(vec![
            DType::Float64, DType::Float32, DType::Int16, DType::Bool,
        ]),
        start in any::<u64>(),
        n in prop_oneof![30_000u64..100_000, 1_000_000u64..2_200_000],
        written in prop::option::of((0.0..1.0, -90.0f64..90.0)),
    ) {
        let context = Context::new(seed, Generator::Vrns16);
        if let Some((place, value)) = written {
            context.write(start.wrapping_add((place * n as f64) as u64), value).expect("memory");
        }
        let array = Array::new(start, &[n], &[1], dtype, distribution.clone()).expect("an array");
        let cells = Array::new(start, &[n], &[1], DType::Float64, distribution).expect("an array");
        let mut elements = vec![0.0; n as usize];
        context.read_array(&cells, &mut elements, 2);
        let held = |value: f64| match dtype {
            DType::Float32 => f64::from(value as f32),
            DType::Int16 => f64::from(value as i16),
            DType::Bool => f64::from(value != 0.0),
            _ => value,
        };
        elements.iter_mut().for_each(|value| *value = held(*value));
        let (sum, squares) = (sum_of(&elements), squares_of(&elements));
        let largest = elements.iter().fold(0.0f64, |most, value| most.max(value.abs()));
        on_every_path(|| {
            let folded = |op| {
                let folding = ArrayFolding::new(op, array.clone()).expect("some elements");
                fold(&context, folding, u64::MAX, 2)
            };
            let total = folded(ArrayFold::Sum);
            if let Some(exact) = total.exact() {
                assert_eq!(exact, elements.iter().map(|value| *value as i128).sum());
            }
            let off = (total.value() - sum).abs();
            assert!(off <= n as f64 * largest * 1e-15, "{off} of {sum}");
            let off = (folded(ArrayFold::Mean).value() - sum / n as f64).abs();
            assert!(off <= largest * 1e-15, "{off} of {sum} / {n}");
            let least = elements.iter().copied().fold(f64::INFINITY, f64::min);
            let greatest = elements.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            assert_eq!(folded(ArrayFold::Min).value(), least);
            assert_eq!(folded(ArrayFold::Max).value(), greatest);
            let off = (folded(ArrayFold::Squares).value() - squares).abs();
            let slack = squares * 1e-12 + n as f64 * (largest * 1e-14).powi(2);
            assert!(off <= slack, "{off} of {squares}");
        });
    }

    #[test]
    fn products_are_those_of_the_elements(
        seed in any::<u64>(),
        number in 0u8..6,
        rows in prop_oneof![1u64..20, 1u64..2000],
        columns in prop_oneof![1u64..20, 1u64..2000],
        gap in 0u64..3,
        width in prop_oneof![Just(1usize), 2usize..20],
        turned in any::<bool>(),
    ) {
        let context = Context::new(seed, Generator::Vrns16);
        let (shape, strides) = match turned {
            false => ([rows, columns], [(columns + gap) as i64, 1]),
            true => ([rows, columns], [1, (rows + gap) as i64]),
        };
        let array =
            Array::new(99, &shape, &strides, DType::Float64, distribution(number)).expect("a matrix");
        context.write(99, 6.5).expect("memory");
        let matrix = elements(&context, &array, &addresses(99, &shape, &strides));
        let x: Vec<f64> = (0..columns as usize * width).map(|i| (i % 17) as f64 - 8.0).collect();
        let mut before: Option<Vec<u64>> = None;
        on_every_path(|| {
            for threads in [1, 3] {
                let mut out = vec![0.0; rows as usize * width];
                context.add_product(&array, &x, width, &mut out, threads).expect("a product");
                let bits: Vec<u64> = out.iter().map(|value| value.to_bits()).collect();
                assert_eq!(before.get_or_insert(bits.clone()), &bits);
            }
        });
        let out = before.expect("a result");
        for (i, row) in matrix.chunks(columns as usize).enumerate() {
            for j in 0..width {
                let column = x.iter().skip(j).step_by(width);
                let terms: Vec<f64> = row.iter().zip(column).map(|(a, x)| a * x).collect();
                let size: f64 = terms.iter().map(|term| term.abs()).sum();
                let wanted: f64 = terms.iter().sum();
                let made = f64::from_bits(out[i * width + j]);
                prop_assert!((made - wanted).abs() <= size * 1e-13, "{made} {wanted}");
            }
        }
    }
}

/// Results too large for the caches, at every place in a vector, against small ones.
#[test]
fn large_results_are_what_small_ones_are() {
    fn check<T: Held + PartialEq + std::fmt::Debug>(dtype: DType, number: u8) {
        let context = Context::new(99, Generator::Vrns16);
        let n = (1 << 20) / size_of::<T>() + 333;
        for (shift, start) in [(0, 1 << 40), (1, (1 << 40) + 1), (2, 77), (3, u64::MAX - 1000)] {
            let part = |from: usize, length: usize| {
                let start = start.wrapping_add(from as u64);
                let distribution = distribution(number);
                Array::new(start, &[length as u64], &[1], dtype, distribution).expect("an array")
            };
            let mut wanted = vec![T::from_cell(7.0); n];
            for (i, chunk) in wanted.chunks_mut(1000).enumerate() {
                context.read_array(&part(i * 1000, chunk.len()), chunk, 1);
            }
            on_every_path(|| {
                for threads in [1, 3] {
                    let mut room = vec![T::from_cell(7.0); n + 10];
                    context.read_array(&part(0, n), &mut room[shift..shift + n], threads);
                    assert!(room[shift..shift + n] == wanted);
                    let beside = room[..shift].iter().chain(&room[shift + n..]);
                    assert!(beside.copied().all(|value| value == T::from_cell(7.0)));
                }
            });
        }
    }
    for number in 0..6 {
        check::<f64>(DType::Float64, number);
        check::<f32>(DType::Float32, number);
        check::<i16>(DType::Int16, number);
        check::<u8>(DType::Uint8, number);
    }
}

/// Writing goes to the cells that reading comes from.
#[test]
fn what_is_written_is_read() {
    let context = Context::new(5, Generator::Vrns16);
    let normal = Distribution::normal(0.0, 1.0).expect("it makes sense");
    let array =
        Array::new(1000, &[3, 4, 5], &[-100, 1, 7], DType::Float64, normal).expect("an array");
    let values: Vec<f64> = (0..60).map(f64::from).collect();
    context.write_array(&array, &values).expect("memory");
    let mut read = vec![0.0; 60];
    context.read_array(&array, &mut read, 1);
    assert_eq!(read, values);
    assert_eq!(context.fetch(1000 - 100 + 2 + 21), 20.0 + 10.0 + 3.0);
}

/// The whole address space has a shape too, and the parts of a sum do not depend on steps.
#[test]
fn all_cells_at_once() {
    let unit = Distribution::uniform(0.0, 1.0).expect("it makes sense");
    let half = 1u64 << 63;
    let strides = [half as i64, 1];
    let array = Array::new(0, &[2, half], &strides, DType::Float64, unit).expect("an array");
    assert_eq!(array.cells(), 1 << 64);
    let mut folding = ArrayFolding::new(ArrayFold::Sum, array.clone()).expect("some elements");
    folding.carry_on(&Context::new(5, Generator::Vrns16), 1000, 1);
    assert_eq!(folding.left(), (1 << 64) - (1 << 20));
    assert!(
        Array::new(0, &[3, half], &strides, DType::Float64, array.distribution.clone()).is_err()
    );
    assert!(Array::new(0, &[3], &[1], DType::Float16, array.distribution).is_err());
}
