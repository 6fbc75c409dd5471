//! The overlay against a map of cells, and under threads.

use std::collections::BTreeMap;
use std::sync::Barrier;
use std::thread;

use gmemx::generative::{Context, Generator};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Write(u64, f64),
    WriteMany(Vec<(u64, f64)>, usize),
    WriteStrided(u64, u64, Vec<f64>),
    Fill(u64, u64, usize, f64),
    Erase(u64),
    EraseRange(u64, u64),
    Clear,
    Fork,
}

/// Few enough places that operations meet, at the ends of pages and of the range.
fn address() -> impl Strategy<Value = u64> {
    (prop::sample::select(vec![0, 64, 512, 1 << 40, 1 << 63, u64::MAX]), -80i64..80)
        .prop_map(|(near, by): (u64, i64)| near.wrapping_add(by as u64))
}

fn value() -> impl Strategy<Value = f64> {
    any::<u64>().prop_map(f64::from_bits)
}

fn step() -> impl Strategy<Value = Step> {
    let stride = prop_oneof![Just(1), Just(3), Just(u64::MAX), Just(64), Just(1 << 40)];
    prop_oneof![
        4 => (address(), value()).prop_map(|(a, v)| Step::Write(a, v)),
        3 => (prop::collection::vec((address(), value()), 0..60), 1usize..3)
            .prop_map(|(cells, threads)| Step::WriteMany(cells, threads)),
        3 => (address(), stride.clone(), prop::collection::vec(value(), 0..150))
            .prop_map(|(a, s, v)| Step::WriteStrided(a, s, v)),
        1 => (address(), stride, 0usize..2000, value()).prop_map(|(a, s, n, v)| Step::Fill(a, s, n, v)),
        2 => address().prop_map(Step::Erase),
        2 => (address(), prop_oneof![0u64..200, any::<u64>()]).prop_map(|(a, n)| Step::EraseRange(a, n)),
        1 => Just(Step::Clear),
        1 => Just(Step::Fork),
    ]
}

fn check(context: &Context, model: &BTreeMap<u64, u64>) {
    assert_eq!(context.overlay_count(), model.len());
    let snapshot = context.snapshot().expect("memory for a snapshot");
    let bits = snapshot.values.iter().map(|value| value.to_bits());
    let found: Vec<(u64, u64)> = snapshot.addresses.into_iter().zip(bits).collect();
    let wanted: Vec<(u64, u64)> = model.iter().map(|(&at, &bits)| (at, bits)).collect();
    assert_eq!(found, wanted);
}

fn check_reads(context: &Context, model: &BTreeMap<u64, u64>, start: u64) {
    let clean = Context::new(context.seed(), context.generator());
    let mut out = vec![0.0; 300];
    let right = |at: u64| model.get(&at).copied().unwrap_or_else(|| clean.fetch(at).to_bits());
    for step in [1, 2, 9, u64::MAX] {
        context.read_strided(start, step, &mut out, 1);
        for (j, value) in out.iter().enumerate() {
            let at = start.wrapping_add(step.wrapping_mul(j as u64));
            assert_eq!(value.to_bits(), right(at));
            assert_eq!(context.fetch(at).to_bits(), right(at));
            assert_eq!(context.is_written(at), model.contains_key(&at));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn behaves_like_a_map(steps in prop::collection::vec(step(), 1..30), start in address()) {
        let mut context = Context::new(7, Generator::Vrns16);
        let mut left_behind = Vec::new();
        let mut model = BTreeMap::new();
        for step in steps {
            match step {
                Step::Write(at, v) => {
                    context.write(at, v).unwrap();
                    model.insert(at, v.to_bits());
                }
                Step::WriteMany(cells, threads) => {
                    let (at, values): (Vec<u64>, Vec<f64>) = cells.iter().copied().unzip();
                    context.write_many(&at, &values, threads).unwrap();
                    model.extend(cells.iter().map(|&(at, v)| (at, v.to_bits())));
                }
                Step::WriteStrided(at, step, values) => {
                    context.write_strided(at, step, &values).unwrap();
                    for (j, v) in values.iter().enumerate() {
                        model.insert(at.wrapping_add(step.wrapping_mul(j as u64)), v.to_bits());
                    }
                }
                Step::Fill(at, step, n, v) => {
                    context.fill(at, step, n, v).unwrap();
                    for j in 0..n as u64 {
                        model.insert(at.wrapping_add(step.wrapping_mul(j)), v.to_bits());
                    }
                }
                Step::Erase(at) => {
                    context.erase(at);
                    model.remove(&at);
                }
                Step::EraseRange(at, n) => {
                    context.erase_range(at, n);
                    model.retain(|&cell, _| cell.wrapping_sub(at) >= n);
                }
                Step::Clear => {
                    context.clear();
                    model.clear();
                }
                Step::Fork => {
                    let fork = context.fork().unwrap();
                    left_behind.push((std::mem::replace(&mut context, fork), model.clone()));
                }
            }
            check(&context, &model);
        }
        check_reads(&context, &model, start);
        for (context, model) in left_behind {
            check(&context, &model);
        }
    }
}

#[test]
fn many_threads_keep_the_order_of_duplicates() {
    let addresses: Vec<u64> = (0..200_000u64).map(|i| ((i * 7919) % 5000) << 30).collect();
    let values: Vec<f64> = (0..addresses.len()).map(|i| i as f64).collect();
    let (one, four) = (Context::new(1, Generator::Vrns16), Context::new(1, Generator::Vrns16));
    one.write_many(&addresses, &values, 1).unwrap();
    four.write_many(&addresses, &values, 4).unwrap();
    let (one, four) = (one.snapshot().unwrap(), four.snapshot().unwrap());
    assert_eq!(one.addresses, four.addresses);
    assert_eq!(one.values, four.values);
}

/// A reader sees each cell whole, and everything written before it began.
#[test]
fn readers_and_writers_at_once() {
    const ROUNDS: u64 = 300;
    const CELLS: usize = 1500;
    for start in [(1u64 << 40) - 700, (1 << 63) - 512, u64::MAX - 600] {
        let context = Context::new(3, Generator::Vrns16);
        let barrier = Barrier::new(2);
        // A written cell's bits say round and position twice; a torn one would not agree.
        let word = |round: u64, j: usize| {
            let half = round << 16 | j as u64;
            half << 32 | half
        };
        thread::scope(|scope| {
            scope.spawn(|| {
                for round in 1..=ROUNDS {
                    let values: Vec<f64> =
                        (0..CELLS).map(|j| f64::from_bits(word(round, j))).collect();
                    context.write_range(start, &values).unwrap();
                    if round == 1 {
                        barrier.wait();
                    }
                }
            });
            barrier.wait();
            let mut seen = vec![1; CELLS];
            let mut out = vec![0.0; CELLS];
            while seen.iter().any(|&round| round < ROUNDS) {
                context.read(start, &mut out, 1);
                for (j, value) in out.iter().enumerate() {
                    let bits = value.to_bits();
                    let round = bits >> 48;
                    assert_eq!(bits, word(round, j), "a torn or missed cell");
                    assert!(round >= seen[j], "a cell went back in time");
                    seen[j] = round;
                }
            }
        });
    }
}

#[test]
fn a_fork_is_of_one_moment() {
    let context = Context::new(3, Generator::Vrns16);
    thread::scope(|scope| {
        scope.spawn(|| {
            // One cell after the other, each on a page of its own.
            for i in 0..20_000u64 {
                context.write(i << 20, i as f64).unwrap();
            }
        });
        loop {
            let copy = context.fork().unwrap().snapshot().unwrap();
            // Whatever moment it was, the cells written by then are a prefix.
            for (i, (&at, &value)) in copy.addresses.iter().zip(&copy.values).enumerate() {
                assert_eq!((at, value), ((i as u64) << 20, i as f64));
            }
            if copy.addresses.len() == 20_000 {
                break;
            }
        }
    });
}
