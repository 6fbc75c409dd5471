//! One page of the overlay: the written ones among 64 consecutive cells.

use smallvec::SmallVec;

use crate::error::{Error, Result};

/// Cells of a page: as many as a word has bits.
pub const PAGE: usize = 64;

#[derive(Default)]
pub struct Page {
    /// Bit k: cell k is written.
    written: u64,
    /// The written cells' bits in order of slot; two of them need no allocation.
    cells: SmallVec<[u64; 2]>,
}

impl Page {
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    pub fn is_empty(&self) -> bool {
        self.written == 0
    }

    /// Where the cell stands among the written ones, or would.
    #[inline]
    fn rank(&self, slot: u32) -> usize {
        (self.written & ((1 << slot) - 1)).count_ones() as usize
    }

    #[inline]
    pub fn get(&self, slot: u32) -> Option<f64> {
        let present = self.written >> slot & 1 == 1;
        present.then(|| f64::from_bits(self.cells[self.rank(slot)]))
    }

    /// Writes one cell; returns how many were added (0 or 1).
    #[inline]
    pub fn set(&mut self, slot: u32, value: f64) -> Result<usize> {
        let rank = self.rank(slot);
        if self.written >> slot & 1 == 1 {
            self.cells[rank] = value.to_bits();
            return Ok(0);
        }
        self.reserve(1)?;
        self.cells.insert(rank, value.to_bits());
        self.written |= 1 << slot;
        Ok(1)
    }

    /// Writes consecutive cells; returns how many were added.
    pub fn set_run(&mut self, slot: u32, values: &[f64]) -> Result<usize> {
        if self.written >> slot == 0 {
            // Nothing written from here on: append.
            self.reserve(values.len())?;
            self.cells.extend(values.iter().map(|value| value.to_bits()));
            self.written |= (u64::MAX >> (PAGE - values.len())) << slot;
            return Ok(values.len());
        }
        self.reserve(values.len())?;
        values.iter().zip(slot..).map(|(&value, slot)| self.set(slot, value)).sum()
    }

    /// Erases the cells of `mask`; returns how many were written.
    pub fn erase(&mut self, mask: u64) -> usize {
        let before = self.len();
        let mut bits = self.written;
        self.cells.retain(|_| {
            let lowest = bits & bits.wrapping_neg();
            bits ^= lowest;
            mask & lowest == 0
        });
        self.written &= !mask;
        before - self.len()
    }

    /// Lays the written cells from `slot` on over `out`.
    #[inline]
    pub fn lay_over(&self, slot: u32, out: &mut [f64]) {
        if self.written == u64::MAX {
            let cells = &self.cells[slot as usize..slot as usize + out.len()];
            for (out, &bits) in out.iter_mut().zip(cells) {
                *out = f64::from_bits(bits);
            }
            return;
        }
        let mut left = self.written >> slot & (u64::MAX >> (PAGE - out.len()));
        let mut rank = self.rank(slot);
        while left != 0 {
            out[left.trailing_zeros() as usize] = f64::from_bits(self.cells[rank]);
            rank += 1;
            left &= left - 1;
        }
    }

    pub fn copy_from(&mut self, other: &Page) -> Result<usize> {
        self.reserve(other.len())?;
        self.cells.extend_from_slice(&other.cells);
        self.written = other.written;
        Ok(other.len())
    }

    /// A page as a file had it: which cells are written, and their bits.
    pub fn of(written: u64, cells: impl Iterator<Item = u64>) -> Result<Page> {
        let mut page = Page::default();
        page.reserve(written.count_ones() as usize)?;
        page.cells.extend(cells);
        page.written = written;
        Ok(page)
    }

    /// Which cells are written, and their bits, in order.
    pub fn parts(&self) -> (u64, &[u64]) {
        (self.written, &self.cells)
    }

    /// (slot, value) of the written cells, in order.
    pub fn iter(&self) -> impl Iterator<Item = (u64, f64)> + '_ {
        let mut bits = self.written;
        self.cells.iter().map(move |&cell| {
            let slot = bits.trailing_zeros();
            bits &= bits - 1;
            (u64::from(slot), f64::from_bits(cell))
        })
    }

    /// Makes room for some more cells, but never for more than a page has.
    #[inline]
    pub fn reserve(&mut self, more: usize) -> Result<()> {
        let wanted = (self.len() + more).min(PAGE);
        if wanted <= self.cells.capacity() {
            return Ok(());
        }
        let grown = if wanted > 16 { PAGE } else { wanted.next_power_of_two() };
        self.cells
            .try_grow(grown)
            .map_err(|_| Error::OutOfMemory("out of memory: a page of the overlay could not grow"))
    }
}
