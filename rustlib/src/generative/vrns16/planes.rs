//! The leading bits of many cells, sixteen at a time.
//!
//! What an extreme, a histogram or a sum comes to hardly depends on a cell's last bits. So
//! the tables of [`super::tables`] are kept a second time, cut into *planes*: plane 0 has the
//! leading 16 bits of every entry, plane 1 the next 16, plane 2 those after. The XOR of
//! sixteen slices of a plane gives these bits of the cells: four times as many with each
//! load, and four times as much of a table stays in the first-level cache.
//!
//! A word is taken about zero: it is its 16 bits less 2^15.

use std::ptr::NonNull;
use std::sync::OnceLock;

use super::PRIMES;
use super::tables::{allocate, entry, for_each_tiled, residues, starts};
#[cfg(target_arch = "x86_64")]
use crate::cpu;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;

/// Cells whose words are made in one go. Runs begin at multiples of it.
pub const RUN: usize = 512;
/// How many planes there are.
pub const PLANES: usize = 3;
/// Distance of runs that read nearly the same slices: the multiple of `RUN` nearest the
/// primes' mean.
const STRIDE: usize = 128 * RUN;

pub type Words = [i16; RUN];
type Slices = [*const i16; 16];

/// Where the tables of a plane begin, and last where the next plane does.
const STARTS: [usize; 17] = starts(RUN);

struct Planes {
    first: NonNull<i16>,
}

// SAFETY: written only while being built; afterwards every access is a read.
unsafe impl Send for Planes {}
// SAFETY: as above.
unsafe impl Sync for Planes {}

/// The planes, built by the first caller; None where memory for them is refused.
fn get() -> Option<&'static Planes> {
    static PLANES: OnceLock<Option<Planes>> = OnceLock::new();
    PLANES.get_or_init(Planes::build).as_ref()
}

impl Planes {
    fn build() -> Option<Planes> {
        let first = allocate(PLANES * STARTS[16])?;
        for i in 0..16 {
            // One table takes the words about zero for all of them.
            let zero = if i == 0 { 0 } else { i16::MIN };
            for r in 0..PRIMES[i] as usize + RUN {
                let entry = entry(i, r as u64);
                for plane in 0..PLANES {
                    let at = plane * STARTS[16] + STARTS[i] + r;
                    // SAFETY: table i ends where the next begins, inside the allocation.
                    unsafe { first.add(at).write(word(entry, plane) ^ zero) };
                }
            }
        }
        Some(Planes { first })
    }

    /// The slices of a plane's tables that begin at residues: `RUN` words each.
    #[inline(always)]
    fn slices(&self, plane: usize, residues: &[u32; 16]) -> Slices {
        let first = self.first.as_ptr().cast_const();
        std::array::from_fn(|i| {
            let at = plane * STARTS[16] + STARTS[i] + residues[i] as usize;
            // SAFETY: a residue is below p[i], so this lies in table i of the plane.
            unsafe { first.add(at) }
        })
    }
}

/// One word of a cell's 64 bits.
fn word(h: u64, plane: usize) -> i16 {
    (h >> (48 - 16 * plane)) as i16 ^ i16::MIN
}

/// `RUN` cells whose words are wanted.
#[derive(Clone, Copy)]
pub struct Run {
    /// The first cell's address, XOR the seed. The others follow, in the order of their
    /// words.
    pub x: u64,
    residues: [u32; 16],
}

impl Run {
    /// The run that begins at `x`, a multiple of `RUN`.
    pub fn at(x: u64) -> Run {
        Run { x, residues: residues(x) }
    }

    /// The sixteen slices of a plane whose XOR gives the words, `RUN` words each.
    fn slices(&self, plane: usize) -> Option<Slices> {
        Some(get()?.slices(plane, &self.residues))
    }

    /// The same where the CPU path in use is to take them in.
    #[cfg(target_arch = "x86_64")]
    fn for_avx2(&self, plane: usize) -> Option<Slices> {
        if cpu::path().has_avx2() { self.slices(plane) } else { None }
    }

    /// Writes the words of a plane.
    pub fn words_into(&self, plane: usize, words: &mut Words) {
        #[cfg(target_arch = "x86_64")]
        if let Some(slices) = self.for_avx2(plane) {
            // SAFETY: the CPU has AVX2, and the slices are whole.
            return unsafe { avx2::words(&slices, words) };
        }
        let Some(slices) = self.slices(plane) else {
            return words.iter_mut().zip(0..).for_each(|(slot, j)| {
                *slot = word(super::reference(0, self.x + j), plane);
            });
        };
        words.fill(0);
        for slice in slices {
            // SAFETY: the slices are whole.
            let part = unsafe { &*slice.cast::<Words>() };
            words.iter_mut().zip(part).for_each(|(word, part)| *word ^= part);
        }
    }

    fn words(&self, plane: usize) -> Words {
        let mut words = [0; RUN];
        self.words_into(plane, &mut words);
        words
    }

    /// The sum of the words of a plane.
    pub fn sum(&self, plane: usize) -> i64 {
        #[cfg(target_arch = "x86_64")]
        if let Some(slices) = self.for_avx2(plane) {
            // SAFETY: the CPU has AVX2, and the slices are whole.
            return unsafe { avx2::sum(&slices) };
        }
        self.words(plane).into_iter().map(i64::from).sum()
    }

    /// The least or the greatest of the leading words.
    pub fn extreme(&self, least: bool) -> i16 {
        #[cfg(target_arch = "x86_64")]
        if let Some(slices) = self.for_avx2(0) {
            // SAFETY: the CPU has AVX2, and the slices are whole.
            return unsafe { avx2::extreme(&slices, least) };
        }
        let words = self.words(0).into_iter();
        if least { words.min() } else { words.max() }.unwrap_or(0)
    }

    /// The sum of the words of a plane and that of their squares, or of the others'; and that of
    /// their products with these.
    pub fn products<const OTHERS: bool>(&self, plane: usize, others: &Words) -> Products {
        #[cfg(target_arch = "x86_64")]
        if let Some(slices) = self.for_avx2(plane) {
            // SAFETY: the CPU has AVX2, and the slices are whole.
            return unsafe { avx2::products::<OTHERS>(&slices, others) };
        }
        let mut sums = Products::default();
        for (word, &other) in self.words(plane).into_iter().zip(others) {
            let one = i64::from(if OTHERS { other } else { word });
            sums.sum += one;
            sums.squares += one * one;
            sums.mixed += i64::from(word) * i64::from(other);
        }
        sums
    }
}

/// What [`Run::products`] gives.
#[derive(Default)]
pub struct Products {
    pub sum: i64,
    pub squares: i64,
    pub mixed: i64,
}

/// The sum of the words of a plane of the aligned region that begins at `x`, where the CPU path
/// in use has a faster way than run by run.
pub fn sum_of_region(x: u64, plane: usize) -> Option<i64> {
    #[cfg(target_arch = "x86_64")]
    if cpu::path() == cpu::Path::Avx512 {
        let planes = get()?;
        // SAFETY: the CPU has AVX-512, and the slices are longer than is asked for.
        return Some(unsafe { avx512::sum_of_region(x, |r| planes.slices(plane, r)) });
    }
    let _ = (x, plane);
    None
}

/// Calls `each` for `runs` runs of cells from `start` on, a multiple of `RUN`, all in one
/// aligned region: in an order that keeps the tables' slices in the caches. Those that read
/// the same ones come after each other, up to sixteen of them.
pub fn for_each_run(seed: u64, start: u64, runs: usize, mut each: impl FnMut(&Run)) {
    let tiles = 0..STRIDE / RUN;
    for_each_tiled::<RUN, STRIDE>(seed, start, runs * RUN, tiles, |at, _, residues| {
        let x = (start.wrapping_add(at as u64) ^ seed) & !(RUN as u64 - 1);
        each(&Run { x, residues });
    });
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tables::REGION;
    use super::*;
    use crate::generative::vrns16::reference;

    fn on_every_path(mut check: impl FnMut()) {
        for path in ["portable", "avx2", "avx512"] {
            if cpu::select(path).is_ok() {
                check();
            }
        }
        cpu::select("auto").expect("auto is always there");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn a_region_comes_to_what_its_runs_do(far in any::<u64>()) {
            let x = far & !(REGION as u64 - 1);
            for plane in 0..PLANES {
                let mut wanted = 0;
                for_each_run(0, x, REGION / RUN, |run| wanted += run.sum(plane));
                on_every_path(|| {
                    if let Some(sum) = sum_of_region(x, plane) {
                        assert_eq!(sum, wanted);
                    }
                });
            }
        }

        #[test]
        fn words_are_the_leading_bits(seed in any::<u64>(), far in any::<u64>(), runs in 0usize..200) {
            let start = far & !((1 << 20) - 1);
            let start = start + (far % 1000 * RUN as u64);
            on_every_path(|| {
                let mut seen = Vec::new();
                for_each_run(seed, start, runs, |run| {
                    seen.push(run.x);
                    let first = run.words(0);
                    for plane in [0, 1, 2] {
                        let words = run.words(plane);
                        for j in [0, 1, 17, RUN / 2, RUN - 1] {
                            let h = reference(0, run.x + j as u64);
                            assert_eq!(words[j], ((h << (16 * plane) >> 48) as i32 - 32768) as i16);
                        }
                        let wide = words.map(i64::from);
                        let sum = wide.iter().sum::<i64>();
                        assert_eq!(run.sum(plane), sum);
                        let made = run.products::<false>(plane, &first);
                        assert_eq!(made.sum, sum);
                        assert_eq!(made.squares, wide.iter().map(|word| word * word).sum::<i64>());
                        let mixed = wide.iter().zip(first).map(|(a, b)| a * i64::from(b));
                        assert_eq!(made.mixed, mixed.sum::<i64>());
                        let theirs = run.products::<true>(plane, &first);
                        assert_eq!(theirs.mixed, made.mixed);
                        assert_eq!(theirs.sum, run.sum(0));
                    }
                    assert_eq!(Some(run.extreme(true)), first.into_iter().min());
                    assert_eq!(Some(run.extreme(false)), first.into_iter().max());
                });
                seen.sort_unstable();
                let mut wanted: Vec<u64> = (0..runs as u64)
                    .map(|i| (start.wrapping_add(i * RUN as u64) ^ seed) & !(RUN as u64 - 1))
                    .collect();
                wanted.sort_unstable();
                assert_eq!(seen, wanted);
            });
        }
    }
}
