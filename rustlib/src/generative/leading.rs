//! Reductions of cells that nobody wrote, by their leading bits: see [`vrns16::planes`].
//!
//! Of a long run in one aligned region the whole runs of planes are taken so, and what sticks
//! out at either end as cells. The results do not depend on the CPU path.

use smallvec::SmallVec;

use super::vrns16::planes::{PLANES, Products, RUN, Run, Words, for_each_run, sum_of_region};
use super::{Context, Generator, vrns16};

/// Fewer than this are as fast cell by cell.
const FEW: usize = 64;
/// Runs whose words are made plane by plane: as many as read the same parts of the tables.
const ABREAST: usize = 16;
/// 2^-48, the unit of three words.
const UNIT: f64 = 1.0 / 281_474_976_710_656.0;

/// The part of a run of cells that is taken by its leading bits.
#[derive(Clone, Copy)]
pub struct Untouched {
    seed: u64,
    start: u64,
    runs: usize,
    /// Cells before and behind it.
    pub head: usize,
    pub tail: usize,
}

impl Context {
    /// What of these cells, all of one aligned region, can be taken by leading bits; None
    /// where it would not pay, or something is written.
    pub(super) fn untouched(&self, start: u64, length: usize) -> Option<Untouched> {
        let head = (start.wrapping_neg() as usize % RUN).min(length);
        let runs = (length - head) / RUN;
        let long = self.generator == Generator::Vrns16 && runs >= FEW;
        (long && !self.overlay.may_reach(start, length)).then(|| Untouched {
            seed: self.seed,
            start: start.wrapping_add(head as u64),
            runs,
            head,
            tail: length - head - runs * RUN,
        })
    }
}

impl Untouched {
    pub fn cells(&self) -> usize {
        self.runs * RUN
    }

    /// Where an aligned region begins whose cells they are, all of them: its address, XOR the
    /// seed.
    fn region(&self) -> Option<u64> {
        let region = vrns16::REGION;
        (self.cells() == region).then(|| (self.start ^ self.seed) & !(region as u64 - 1))
    }

    fn for_each_run(&self, each: impl FnMut(&Run)) {
        for_each_run(self.seed, self.start, self.runs, each);
    }

    /// The sum of the cells, their last 16 bits taken at their mean: no cell is off by more
    /// than 2^-49, and the additions have no error.
    pub fn sum(&self) -> f64 {
        let cells = self.cells() as i128;
        let mut sum = 0;
        for plane in 0..PLANES {
            let words = self.region().and_then(|x| sum_of_region(x, plane)).unwrap_or_else(|| {
                let mut words = 0;
                self.for_each_run(|run| words += run.sum(plane));
                words
            });
            sum = (sum << 16) + (cells << 15) + i128::from(words);
        }
        (2 * sum + cells) as f64 * (UNIT / 2.0)
    }

    /// Cells among which the least or the greatest is, and all that are as near to it
    /// as 2^-16.
    pub fn extremes(&self, least: bool) -> Vec<f64> {
        let height = |word: i16| if least { -i32::from(word) } else { i32::from(word) };
        let mut tops = Vec::with_capacity(self.runs);
        self.for_each_run(|run| tops.push((run.x, height(run.extreme(least)))));
        let (mut words, mut cells) = ([0; RUN], Vec::new());
        let Some(best) = tops.iter().map(|&(_, top)| top).max() else { return cells };
        for (x, _) in tops.into_iter().filter(|&(_, top)| top >= best - 1) {
            Run::at(x).words_into(0, &mut words);
            let near = (0..).zip(words).filter(|&(_, word)| height(word) >= best - 1);
            cells.extend(near.map(|(j, _)| vrns16::value(0, x + j)));
        }
        cells
    }

    /// Gives the leading words of cells: those of x, x + 1 and so on, which are addresses XOR
    /// the seed.
    pub fn words(&self, mut each: impl FnMut(u64, &Words)) {
        let mut words = [0; RUN];
        self.for_each_run(|run| {
            run.words_into(0, &mut words);
            each(run.x, &words);
        });
    }

    /// The sum of the distances from one half, and that of their squares about their mean. No
    /// cell's last 16 bits count, and of its third word only what it is times the first.
    pub fn moments(&self) -> (f64, f64) {
        let mut sums = Sums::default();
        let mut batch: SmallVec<[Run; ABREAST]> = SmallVec::new();
        let mut words = [[0; RUN]; ABREAST];
        let mut take = |batch: &[Run]| {
            for (run, words) in batch.iter().zip(&mut words) {
                run.words_into(0, words);
            }
            for (run, words) in batch.iter().zip(&words) {
                sums.take_second(run.products::<false>(1, words));
            }
            for (run, words) in batch.iter().zip(&words) {
                sums.take_third(run.products::<true>(2, words));
            }
        };
        self.for_each_run(|run| {
            batch.push(*run);
            if batch.len() == ABREAST {
                take(&batch);
                batch.clear();
            }
        });
        take(&batch);
        sums.moments(self.cells() as f64)
    }
}

/// Sums of the three words of cells and of products of them, without an error.
#[derive(Default)]
struct Sums {
    a: i64,
    b: i64,
    aa: i64,
    ab: i64,
    bb: i64,
    ac: i64,
}

impl Sums {
    fn take_second(&mut self, Products { sum, squares, mixed }: Products) {
        self.b += sum;
        self.bb += squares;
        self.ab += mixed;
    }

    /// With the third words come the sums of the first.
    fn take_third(&mut self, Products { sum, squares, mixed }: Products) {
        self.a += sum;
        self.aa += squares;
        self.ac += mixed;
    }

    /// With ε = 2^-16, a cell less one half is `(a + bε + cε² + κ)ε` but for its last bits,
    /// whose mean is in κ with what the words lack that are about zero.
    fn moments(&self, cells: f64) -> (f64, f64) {
        const E: f64 = 1.0 / 65536.0;
        const K: f64 = (1.0 + E + E * E) / 2.0;
        let [a, b, aa, ab, bb, ac] =
            [self.a, self.b, self.aa, self.ab, self.bb, self.ac].map(|sum| sum as f64);
        let without = a + b * E;
        let squares = aa + 2.0 * E * ab + E * E * (bb + 2.0 * ac) + K * (2.0 * without + cells * K);
        let sum = without + cells * K;
        (sum * E, (squares - sum * (sum / cells)) * (E * E))
    }
}
