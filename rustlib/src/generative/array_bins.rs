//! Histograms: which bin a number is in, as NumPy has it.
//!
//! Where all bins are as wide, `t = (cell - low) · scale`, rounded, says which: `t` never falls
//! when the cell rises, so a cell is on the same side of an edge as its `t` is of the edge's.
//! The edges' are whole numbers up to a little, the slack. Whatever is further than that from a
//! whole number is in the bin of that number; what is nearer is held against the edges.

use crate::cpu;
use crate::error::{Error, Result};

/// Cells that are looked at together.
const GROUP: usize = 16;
/// Counts of a bin, taken in turn: one alone would have to be written before it is read again.
pub const BANKS: usize = 8;
/// Bins up to which there are so many.
const FEW: usize = 1 << 12;

/// The bins of a histogram.
pub struct Bins {
    /// The last bin has its upper edge too: there stands the next number above it, and behind
    /// that infinity.
    edges: Vec<f64>,
    /// The first edge and the last.
    ends: (f64, f64),
    even: Option<Even>,
    counts: Vec<u64>,
}

/// Bins that are as wide as each other.
#[derive(Clone, Copy)]
struct Even {
    /// Bins in one unit of length.
    scale: f64,
    /// How far the edges are from where they should be, in bins: less than a half.
    slack: f64,
}

/// What one thread has counted: each bin's counts, and behind them those of cells in no bin and
/// of cells whose bin was not known.
pub struct Tally {
    counts: Vec<u64>,
    banks: usize,
}

impl Tally {
    pub fn add(&mut self, other: &Tally) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(sum, count)| *sum += count);
    }

    /// Counts one element in each of these bins.
    #[inline(always)]
    pub fn add_one_each(&mut self, bins: [u16; BANKS]) {
        let (counts, _) = self.counts.as_chunks_mut::<BANKS>();
        for (j, bin) in bins.into_iter().enumerate() {
            counts[usize::from(bin)][j] += 1;
        }
    }
}

impl Bins {
    pub fn new(edges: &[f64]) -> Result<Bins> {
        let rises = edges.windows(2).all(|pair| pair[0] <= pair[1]);
        if edges.len() < 2 || !rises || edges.iter().any(|edge| edge.is_nan()) {
            return Err(Error::InvalidArgument(format!(
                "{} edges of bins: expected at least two that do not fall",
                edges.len()
            )));
        }
        let mut copy: Vec<f64> = Vec::new();
        let mut counts = Vec::new();
        let bins = edges.len() - 1;
        let no_memory = |_| Error::OutOfMemory("out of memory: no room for the bins");
        copy.try_reserve_exact(edges.len() + 1).map_err(no_memory)?;
        counts.try_reserve_exact(bins).map_err(no_memory)?;
        copy.extend_from_slice(edges);
        counts.resize(bins, 0);
        let (first, last) = (edges[0], edges[bins]);
        let scale = bins as f64 / (last - first);
        let off = |(i, &edge): (usize, &f64)| ((edge - first) * scale - i as f64).abs();
        let even = (scale.is_finite() && scale > 0.0)
            .then(|| Even { scale, slack: edges.iter().enumerate().map(off).fold(0.0, f64::max) })
            .filter(|even| even.slack < 0.5);
        copy[bins] = last.next_up();
        copy.push(f64::INFINITY);
        Ok(Bins { edges: copy, ends: (first, last), even, counts })
    }

    /// How many elements each bin has.
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// How many bins there are, if so few that a tally has all banks.
    pub fn few(&self) -> Option<usize> {
        Some(self.counts.len()).filter(|&bins| bins <= FEW)
    }

    /// The bin of all elements from the first to the last, or how many bins there are where all
    /// are in none; None where they are not all in the same.
    pub fn find_all(&self, [first, last]: [f64; 2]) -> Option<usize> {
        let (low, high) = self.ends;
        if last < low || first > high {
            return Some(self.counts.len());
        }
        let inside = first >= low && last <= high;
        inside.then(|| self.bin(first)).filter(|&bin| bin == self.bin(last))
    }

    /// Room to count in.
    pub fn tally(&self) -> Tally {
        let bins = self.counts.len();
        let banks = if self.few().is_some() { BANKS } else { 1 };
        Tally { counts: vec![0; (bins + 2) * banks], banks }
    }

    /// Adds what was counted to the bins.
    pub fn take_in(&mut self, tally: &Tally) {
        for (sum, counts) in self.counts.iter_mut().zip(tally.counts.chunks(tally.banks)) {
            *sum += counts.iter().sum::<u64>();
        }
    }

    /// Counts elements; those outside, and NaN, are in no bin.
    pub fn count(&self, cells: &[f64], tally: &mut Tally) {
        let Some(even) = self.even.filter(|_| tally.banks == BANKS) else {
            return self.count_each(cells, tally);
        };
        cpu::dispatch(|| self.count_even(even, cells, tally));
    }

    #[inline(always)]
    fn count_even(&self, even: Even, cells: &[f64], tally: &mut Tally) {
        let outside = self.counts.len();
        let (low, high) = self.ends;
        let (least, most) = (even.slack, 1.0 - even.slack);
        let (groups, rest) = cells.as_chunks::<GROUP>();
        for group in groups {
            let mut bins = [0; GROUP];
            let mut unsure = 0;
            for (bin, &cell) in bins.iter_mut().zip(group) {
                let inside = (cell >= low) & (cell <= high);
                // In the middle of the place behind the last bin.
                let t = if inside { (cell - low) * even.scale } else { outside as f64 + 0.5 };
                // SAFETY: from 0 to less than one more than the number of bins, which is at most
                // `FEW`: `t` lies between those of the first and the last edge.
                *bin = unsafe { t.to_int_unchecked::<i32>() };
                let over = t - f64::from(*bin);
                unsure |= u32::from(!((over > least) & (over < most)));
            }
            if unsure != 0 {
                for (bin, &cell) in bins.iter_mut().zip(group) {
                    if (cell >= low) & (cell <= high) {
                        *bin = self.nearby(*bin as usize, cell) as i32;
                    }
                }
            }
            for (j, bin) in bins.into_iter().enumerate() {
                tally.counts[bin as usize * BANKS + j % BANKS] += 1;
            }
        }
        self.count_each(rest, tally);
    }

    /// The bin of a cell that is in that one or in the next to it, on either side.
    #[inline(always)]
    fn nearby(&self, bin: usize, cell: f64) -> usize {
        let below = usize::from(cell < self.edges[bin]);
        let above = usize::from(cell >= self.edges[bin + 1]);
        bin - below + above
    }

    /// One by one.
    fn count_each(&self, cells: &[f64], tally: &mut Tally) {
        let (low, high) = self.ends;
        for &cell in cells.iter().filter(|&&cell| cell >= low && cell <= high) {
            tally.counts[self.bin(cell) * tally.banks] += 1;
        }
    }

    /// The bin of a cell that is in one.
    #[inline(always)]
    fn bin(&self, cell: f64) -> usize {
        match self.even {
            Some(even) => {
                let guess = ((cell - self.ends.0) * even.scale) as usize;
                self.nearby(guess.min(self.counts.len()), cell)
            }
            None => {
                let passed = self.edges.partition_point(|&edge| edge <= cell);
                passed.saturating_sub(1).min(self.counts.len() - 1)
            }
        }
    }
}
