//! The kernels against the scalar formula, compiled with the same flags in the
//! same run: `cargo bench`. Prints medians in millions of cells a second.

use std::hint::black_box;
use std::time::Instant;

use gmemx::cpu;
use gmemx::generative::{Context, Generator, vrns16};

const CELLS: usize = 1 << 22;
const ROUNDS: usize = 11;

/// Millions of cells a second, the median of several rounds.
fn rate(cells: usize, mut work: impl FnMut()) -> f64 {
    work();
    let mut seconds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let begin = Instant::now();
            work();
            begin.elapsed().as_secs_f64()
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    cells as f64 / seconds[ROUNDS / 2] / 1e6
}

fn main() {
    const SEED: u64 = 0x1337_BEEF_CAFE_F00D;
    let context = Context::new(SEED, Generator::Vrns16);
    let mut out = vec![0.0; CELLS];
    let addresses: Vec<u64> = (0..CELLS as u64 / 8).map(|i| vrns16::reference(1, i)).collect();

    let scalar = rate(CELLS / 8, || {
        for (i, slot) in out[..CELLS / 8].iter_mut().enumerate() {
            *slot = vrns16::to_f64(vrns16::reference(black_box(SEED), i as u64));
        }
    });
    let line = |name: &str, rate: f64| {
        println!("{name:<40} {rate:>8.1} M/s  {:>6.2} x", rate / scalar);
    };
    line("the formula, scalar", scalar);
    for path in ["portable", "avx2"] {
        if let Err(error) = cpu::select(path) {
            println!("{path}: {error}");
            continue;
        }
        let name = |what: &str| format!("{what}, {path}");
        line(&name("bulk"), rate(CELLS, || context.read(1 << 40, &mut out, 1)));
        line(&name("bulk, unaligned"), rate(CELLS - 99, || context.read(77, &mut out[99..], 1)));
        line(&name("bulk, in cache"), rate(4096, || context.read(1 << 40, &mut out[..4096], 1)));
        line(&name("bulk, two threads"), rate(CELLS, || context.read(1 << 40, &mut out, 2)));
        let some = &mut out[..addresses.len()];
        line(
            &name("random addresses"),
            rate(some.len(), || context.read_many(&addresses, some, 1)),
        );
        let chain = rate(1 << 16, || {
            (0..1 << 16).fold(0u64, |a, _| context.fetch(a ^ 0x5555).to_bits() >> 3);
        });
        line(&name("one cell after the other"), chain);
    }
    let philox = Context::new(SEED, Generator::Philox);
    line("philox, bulk", rate(CELLS, || philox.read(0, &mut out, 1)));
}
