//! Which bin of a histogram an element is in, by the leading word of its cell alone.
//!
//! An element rises (or falls) with its cell. So if the first and the last cell with a leading
//! word are in the same bin, all between are; where they are not, the cells are made.

use super::array::{Array, round};
use super::array_bins::{BANKS, Bins, Tally};
use super::distribution::Distribution;
use super::leading::Untouched;
use super::vrns16;
use super::vrns16::planes::RUN;
use crate::tensor::DType;

/// Leading words there are.
const WORDS: usize = 1 << 16;
/// Words whose bins are looked for together.
const STEP: usize = 1024;
/// A cell that has to be made costs as much as a hundred others.
const MANY_UNSURE: usize = WORDS / 32;
/// Elements from which on a sieve pays for itself.
const WORTH: u128 = 1 << 22;

/// The bin of every leading word, or one number above those.
pub struct Sieve {
    bins: Box<[u16; WORDS]>,
    unsure: u16,
}

impl Sieve {
    /// None where another way is better.
    pub fn new(array: &Array, bins: &Bins) -> Option<Sieve> {
        let slack = match array.distribution {
            Distribution::Unit
            | Distribution::Uniform { .. }
            | Distribution::Integers { .. }
            | Distribution::Bernoulli { .. } => 0.0,
            // It rises but for rounding.
            Distribution::Normal { mean, std } => (mean.abs() + std) * 1e-12,
            Distribution::Choice { .. } => return None,
        };
        let unsure = bins.few()? as u16 + 1;
        if array.cells() < WORTH || array.dtype == DType::Bool {
            return None;
        }
        let mut table = Vec::new();
        table.try_reserve_exact(WORDS).ok()?;
        table.resize(WORDS, unsure);
        let mut doubts = 0;
        for first in (0..WORDS).step_by(STEP) {
            // What the ends of words come to, and a little less, and a little more.
            let [less, more] = [-slack, slack].map(|slack| {
                let mut ends: [f64; STEP + 1] =
                    std::array::from_fn(|i| (first + i) as f64 / WORDS as f64);
                array.distribution.apply(&mut ends);
                ends.iter_mut().for_each(|end| *end += slack);
                round(array.dtype, &mut ends);
                ends
            });
            for i in 0..STEP {
                let both = [less[i].min(less[i + 1]), more[i].max(more[i + 1])];
                match bins.find_all(both) {
                    Some(bin) => table[(first + i) ^ (WORDS / 2)] = bin as u16,
                    None => doubts += 1,
                }
            }
        }
        let bins = table.into_boxed_slice().try_into().ok()?;
        (doubts <= MANY_UNSURE).then_some(Sieve { bins, unsure })
    }

    /// Counts the elements of an array.
    pub fn count(&self, array: &Array, part: &Untouched, bins: &Bins, tally: &mut Tally) {
        let mut cells = Vec::with_capacity(RUN);
        part.words(|x, words| {
            cells.clear();
            for (i, group) in words.as_chunks::<BANKS>().0.iter().enumerate() {
                let bins = group.map(|word| self.bins[usize::from(word as u16)]);
                tally.add_one_each(bins);
                if bins.contains(&self.unsure) {
                    let x = x + (i * BANKS) as u64;
                    let doubts = (0..).zip(bins).filter(|&(_, bin)| bin == self.unsure);
                    cells.extend(doubts.map(|(j, _)| vrns16::value(0, x + j)));
                }
            }
            array.distribution.apply(&mut cells);
            round(array.dtype, &mut cells);
            bins.count(&cells, tally);
        });
    }
}
