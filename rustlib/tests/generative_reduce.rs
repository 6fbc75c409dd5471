//! Reductions of cells against the cells themselves.

use gmemx::cpu;
use gmemx::generative::{Context, Folding, Generator};
use gmemx::tensor::Reduction;
use proptest::prelude::*;

const OPERATIONS: [Reduction; 4] =
    [Reduction::Sum, Reduction::Mean, Reduction::Min, Reduction::Max];

fn on_every_path(mut check: impl FnMut()) {
    for path in ["portable", "avx2", "avx512"] {
        if cpu::select(path).is_ok() {
            check();
        }
    }
    cpu::select("auto").expect("auto is always there");
}

/// The sum of cells that are multiples of 2^-64 and no greater than 2^40, without an error.
fn sum(cells: &[f64]) -> f64 {
    let unit = 2f64.powi(-64);
    cells.iter().map(|cell| (cell / unit) as i128).sum::<i128>() as f64 * unit
}

fn check(context: &Context, start: u64, n: usize) {
    let mut cells = vec![0.0; n];
    context.read(start, &mut cells, 1);
    let sum = sum(&cells);
    for op in OPERATIONS {
        let mut before: Option<u64> = None;
        on_every_path(|| {
            for threads in [1, 2, 4] {
                let made = context.reduce(op, start, n as u64, threads).expect("some cells");
                assert_eq!(*before.get_or_insert(made.to_bits()), made.to_bits());
            }
            let mut folding = Folding::new(op, start, n as u64).expect("some cells");
            while folding.left() > 0 {
                context.carry_on(&mut folding, 700_000, 2);
            }
            assert_eq!(before, Some(folding.finish().to_bits()));
        });
        let made = f64::from_bits(before.expect("a result"));
        let wanted = match op {
            Reduction::Sum => sum,
            Reduction::Mean => sum / n as f64,
            Reduction::Min => cells.iter().copied().fold(f64::INFINITY, f64::min),
            Reduction::Max => cells.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            Reduction::CountNonzero => unreachable!("not one of the operations"),
        };
        if cells.iter().any(|cell| cell.is_nan()) {
            assert!(made.is_nan());
        } else {
            // The last 16 of a cell's 64 bits may count as their mean.
            let per_cell = match op {
                Reduction::Sum => n as f64,
                Reduction::Mean => 1.0,
                _ => 0.0,
            };
            let off = per_cell / 2f64.powi(49) + per_cell.min(1.0) * wanted.abs() * 1e-14;
            assert!((made - wanted).abs() <= off, "{op:?} {made} {wanted}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn runs_anywhere(
        seed in any::<u64>(),
        start in prop_oneof![any::<u64>(), (0u64..2_000_000).prop_map(|n| n.wrapping_neg())],
        n in prop_oneof![1usize..1000, 1usize..300_000, 1_000_000usize..2_500_000],
        nan in prop::bool::weighted(0.2),
        philox in any::<bool>(),
    ) {
        let generator = if philox { Generator::Philox } else { Generator::Vrns16 };
        let context = Context::new(seed, generator);
        check(&context, start, n);
        let results = |context: &Context| OPERATIONS.map(|op| {
            context.reduce(op, start, n as u64, 2).expect("some cells").to_bits()
        });
        let before = results(&context);
        for beside in [start.wrapping_sub(1), start.wrapping_add(n as u64), start ^ 1 << 63] {
            context.write(beside, 1e9).expect("memory");
        }
        prop_assert_eq!(before, results(&context));
        context.write(start.wrapping_add(n as u64 / 2), if nan { f64::NAN } else { -5.0 })
            .expect("memory");
        context.write(start.wrapping_add(n as u64 - 1), 7.0).expect("memory");
        check(&context, start, n);
    }
}

#[test]
fn no_cells() {
    let context = Context::new(1, Generator::Vrns16);
    assert_eq!(context.reduce(Reduction::Sum, 5, 0, 1).expect("a sum"), 0.0);
    assert!(context.reduce(Reduction::Mean, 5, 0, 1).expect("a mean").is_nan());
    assert!(context.reduce(Reduction::Min, 5, 0, 1).is_err());
    assert!(context.reduce(Reduction::Max, 5, 0, 1).is_err());
    assert!(context.reduce(Reduction::CountNonzero, 5, 1, 1).is_err());
}
