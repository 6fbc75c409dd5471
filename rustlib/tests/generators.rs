//! Every fast form of a generator against its formula, on random input.

use gmemx::cpu;
use gmemx::generative::{Context, Generator, philox, vrns16};
use proptest::prelude::*;

/// The paths this CPU has.
fn paths() -> Vec<&'static str> {
    ["portable", "avx2", "avx512"].into_iter().filter(|path| cpu::select(path).is_ok()).collect()
}

fn on_every_path(mut check: impl FnMut(&str)) {
    for path in paths() {
        cpu::select(path).expect("a path this CPU has");
        check(path);
    }
    cpu::select("auto").expect("auto is always there");
}

/// The formula as written down, with none of the crate's helpers.
fn formula(seed: u64, address: u64) -> f64 {
    const P: [u64; 16] = [
        65447, 65449, 65479, 65497, 65519, 65521, 65437, 65423, 65419, 65413, 65407, 65393, 65381,
        65371, 65357, 65353,
    ];
    let x = address ^ seed;
    let mut h = 0u64;
    for (i, p) in P.into_iter().enumerate() {
        let mut k = (x % p) | (p << 16) | ((i as u64) << 32);
        k ^= k >> 33;
        k = k.wrapping_mul(0xFF51AFD7ED558CCD);
        k ^= k >> 33;
        k = k.wrapping_mul(0xC4CEB9FE1A85EC53);
        k ^= k >> 33;
        h ^= k;
    }
    h as f64 / 18446744073709551615.0
}

fn same_bits(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits()
}

/// Addresses near the places where something could wrap, and anywhere.
fn address() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        (0u32..64, -2000i64..2000).prop_map(|(bit, near)| (1u64 << bit).wrapping_add(near as u64)),
        (-3000i64..3000).prop_map(|near| near as u64),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn one_cell_is_the_formula(seed in address(), at in address()) {
        on_every_path(|path| {
            let value = vrns16::value(seed, at);
            assert!(same_bits(value, formula(seed, at)), "{path} {seed:#x} {at:#x}");
        });
    }

    #[test]
    fn bulk_is_the_formula(seed in address(), start in address(), n in 0usize..3000, shift in 0usize..5) {
        on_every_path(|path| {
            let mut out = vec![f64::NAN; n + shift];
            vrns16::fill(seed, start, &mut out[shift..], 1);
            for (j, &value) in out[shift..].iter().enumerate() {
                let at = start.wrapping_add(j as u64);
                assert!(same_bits(value, formula(seed, at)), "{path} {seed:#x} {at:#x}");
            }
        });
    }

    #[test]
    fn many_is_one_by_one(seed in address(), at in prop::collection::vec(address(), 0..200)) {
        on_every_path(|path| {
            let mut out = vec![f64::NAN; at.len()];
            vrns16::values(seed, &at, &mut out);
            for (&at, &value) in at.iter().zip(&out) {
                assert!(same_bits(value, formula(seed, at)), "{path} {seed:#x} {at:#x}");
            }
        });
    }

    #[test]
    fn philox_in_bulk_is_cell_by_cell(seed in any::<u64>(), start in address(), n in 0usize..200) {
        let mut out = vec![f64::NAN; n];
        philox::fill(seed, start, &mut out, 1);
        for (j, &value) in out.iter().enumerate() {
            assert!(same_bits(value, philox::value(seed, start.wrapping_add(j as u64))));
        }
    }

    #[test]
    fn strides_are_single_cells(start in address(), step in prop_oneof![address(), 0u64..20, (1u64..20).prop_map(u64::wrapping_neg)], n in 0usize..3000) {
        let context = Context::new(start ^ step, Generator::Vrns16);
        let mut out = vec![f64::NAN; n];
        context.read_strided(start, step, &mut out, 1);
        for (j, &value) in out.iter().enumerate() {
            let at = start.wrapping_add(step.wrapping_mul(j as u64));
            assert!(same_bits(value, context.fetch(at)));
        }
    }
}

/// Runs long enough for tiles, streaming stores and several threads, from
/// starts and into buffers of every alignment.
#[test]
fn long_runs_are_the_formula() {
    let mut out = vec![0.0; (1 << 21) + 777];
    for (seed, start, shift) in [
        (0, 0, 0),
        (0x1337_BEEF_CAFE_F00D, 1 << 40, 1),
        (u64::MAX, (1 << 63) - 12345, 2),
        (0xA5, u64::MAX - (1 << 20) + 3, 3),
    ] {
        on_every_path(|path| {
            for threads in [1, 2, 3] {
                out.fill(f64::NAN);
                Context::new(seed, Generator::Vrns16).read(start, &mut out[shift..], threads);
                for (j, &value) in out[shift..].iter().enumerate() {
                    let at = start.wrapping_add(j as u64);
                    let right = vrns16::to_f64(vrns16::reference(seed, at));
                    assert!(same_bits(value, right), "{path} {threads} {seed:#x} {at:#x}");
                }
            }
        });
    }
}

#[test]
fn philox_is_numpys() {
    // numpy.random.Generator(numpy.random.Philox(key=42)).random(3), and the
    // same after bit_generator.advance(10**12) for the last.
    let context = Context::new(42, Generator::Philox);
    for (at, value) in PHILOX_42 {
        assert!(same_bits(context.fetch(at), value), "{at}");
    }
}

const PHILOX_42: [(u64, f64); 4] = [
    (0, 0.8201981478608876),
    (1, 0.18924562408645496),
    (2, 0.8676608148821462),
    (4000000000000, 0.6558135213265068),
];
