//! Sum, mean, minimum and maximum of a run of cells, which are folded as they are
//! made and never stored.
//!
//! The run is cut where addresses are multiples of [`TILE`], and what the pieces come
//! to is combined in pairs, pairs of pairs and so on, first within each [`REGION`] and
//! then over these. So the order of additions depends on the run alone, whichever
//! thread makes a piece, and in whichever order.

use std::sync::Mutex;

use super::vrns16::{REGION, TILE};
use super::{Context, Generator, philox, vrns16};
#[cfg(target_arch = "x86_64")]
use crate::cpu;
use crate::error::{Error, Result};
use crate::parallel;
use crate::tensor::Reduction;
use crate::tensor::reduce::float::across;
use crate::tensor::reduce::fold::Tree;

/// Regions whose results are waiting to be combined at any time.
const BATCH: usize = 64;

/// Two results as one; NaN stays NaN.
fn combine(op: Reduction, a: f64, b: f64) -> f64 {
    match op {
        Reduction::Sum | Reduction::Mean => a + b,
        _ if a.is_nan() || b.is_nan() => f64::NAN,
        Reduction::Min => a.min(b),
        _ => a.max(b),
    }
}

/// A reduction under way: what is left of the run, and what came of it so far. It may
/// be carried on in steps of any size, by any number of threads; the result has the
/// same bits.
pub struct Folding {
    op: Reduction,
    cells: u64,
    at: u64,
    left: u64,
    tree: Tree<f64>,
}

impl Folding {
    /// The reduction of `n` cells from `start` on, wrapping past 2^64 - 1.
    pub fn new(op: Reduction, start: u64, n: u64) -> Result<Folding> {
        if op == Reduction::CountNonzero {
            return Err(Error::InvalidArgument(format!(
                "cells have no reduction of the number {}: expected sum, mean, min or max",
                op as i32
            )));
        }
        if n == 0 && matches!(op, Reduction::Min | Reduction::Max) {
            return Err(Error::InvalidArgument(format!("{} of no cells", op.name())));
        }
        Ok(Folding { op, cells: n, at: start, left: n, tree: Tree::new() })
    }

    /// How many cells are still to be taken in.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// The result, once nothing is left.
    pub fn finish(&self) -> f64 {
        debug_assert!(self.left == 0, "cells are left");
        let all = self.tree.finish(|a, b| combine(self.op, a, b)).unwrap_or(0.0);
        let result = if self.op == Reduction::Mean { all / self.cells as f64 } else { all };
        // One NaN for all: which one arithmetic makes is the CPU's choice.
        if result.is_nan() { f64::NAN } else { result }
    }
}

impl Context {
    /// Reduces `n` cells from `start` on, wrapping past 2^64 - 1, on up to `threads`
    /// threads.
    pub fn reduce(&self, op: Reduction, start: u64, n: u64, threads: usize) -> Result<f64> {
        let mut folding = Folding::new(op, start, n)?;
        while folding.left() > 0 {
            self.carry_on(&mut folding, u64::MAX, threads);
        }
        Ok(folding.finish())
    }

    /// Takes about `cells` more cells in, at least one aligned region of 2^20 and at
    /// most what is left: a caller who looks out for a signal calls this for as many
    /// as take a moment.
    pub fn carry_on(&self, folding: &mut Folding, cells: u64, threads: usize) {
        let op = folding.op;
        let mut wanted = cells.max(1);
        while folding.left > 0 && wanted > 0 {
            let before = folding.at % REGION as u64;
            let regions = folding.left.min(wanted).saturating_add(before).div_ceil(REGION as u64);
            let regions = regions.min(BATCH as u64) as usize;
            let length = ((regions * REGION) as u64 - before).min(folding.left);
            let part = |i: usize| {
                let from = (i * REGION) as u64;
                let from = from.saturating_sub(before);
                let to = (((i + 1) * REGION) as u64 - before).min(length);
                self.region(op, folding.at.wrapping_add(from), (to - from) as usize)
            };
            let threads = parallel::worth(threads, length as usize).min(regions);
            let results: Vec<Mutex<f64>> = (0..regions).map(|_| Mutex::new(0.0)).collect();
            parallel::share_out(threads, regions, |mine| {
                for i in mine {
                    if let Ok(mut result) = results[i].lock() {
                        *result = part(i);
                    }
                }
            });
            for result in results.into_iter().flat_map(Mutex::into_inner) {
                folding.tree.push(0, result, |a, b| combine(op, a, b));
            }
            folding.at = folding.at.wrapping_add(length);
            folding.left -= length;
            wanted = wanted.saturating_sub(length);
        }
    }

    /// Some cells of one aligned region.
    pub(super) fn region(&self, op: Reduction, start: u64, length: usize) -> f64 {
        let Some(part) = self.untouched(start, length) else {
            return self.cell_by_cell(op, start, length).unwrap_or(0.0);
        };
        let middle = match op {
            Reduction::Min | Reduction::Max => {
                let cells = part.extremes(op == Reduction::Min);
                cells.into_iter().reduce(|a, b| combine(op, a, b))
            }
            _ => Some(part.sum()),
        };
        let behind = start.wrapping_add((length - part.tail) as u64);
        let head = self.cell_by_cell(op, start, part.head);
        let tail = self.cell_by_cell(op, behind, part.tail);
        let all = head.into_iter().chain(middle).chain(tail);
        all.reduce(|a, b| combine(op, a, b)).unwrap_or(0.0)
    }

    /// The same as cells, which are made; None of none.
    fn cell_by_cell(&self, op: Reduction, start: u64, length: usize) -> Option<f64> {
        let head = (start.wrapping_neg() as usize % TILE).min(length);
        let blocks = (length - head) / TILE;
        let tail = length - head - blocks * TILE;
        let body = start.wrapping_add(head as u64);
        let mut results = vec![0.0; blocks];
        let visit = |i: usize, cells: &mut [f64; TILE]| {
            self.overlay.lay_over(body.wrapping_add((i * TILE) as u64), cells);
            results[i] = fold_block(op, cells);
        };
        match self.generator {
            Generator::Vrns16 => vrns16::visit(self.seed, body, blocks, visit),
            Generator::Philox => philox::visit(self.seed, body, blocks, visit),
        }
        let mut tree = Tree::new();
        let end = |from: u64, count: usize| {
            let mut cells = [0.0; TILE];
            self.read(from, &mut cells[..count], 1);
            cells[..count].iter().copied().reduce(|a, b| combine(op, a, b))
        };
        let first = end(start, head);
        let last = end(body.wrapping_add((blocks * TILE) as u64), tail);
        for result in first.into_iter().chain(results).chain(last) {
            tree.push(0, result, |a, b| combine(op, a, b));
        }
        tree.finish(|a, b| combine(op, a, b))
    }
}

fn fold_block(op: Reduction, cells: &[f64; TILE]) -> f64 {
    #[cfg(target_arch = "x86_64")]
    if cpu::path().has_avx2() {
        // SAFETY: the path has AVX2 only where the CPU was seen to have it.
        return unsafe { fold_block_avx2(op, cells) };
    }
    fold_block_body(op, cells)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn fold_block_avx2(op: Reduction, cells: &[f64; TILE]) -> f64 {
    fold_block_body(op, cells)
}

/// Sixteen lanes side by side, and then these.
#[inline(always)]
fn fold_block_body(op: Reduction, cells: &[f64; TILE]) -> f64 {
    let (rows, _) = cells.as_chunks::<16>();
    if matches!(op, Reduction::Sum | Reduction::Mean) {
        let mut lanes = [0.0; 16];
        for row in rows {
            for (lane, cell) in lanes.iter_mut().zip(row) {
                *lane += cell;
            }
        }
        return across(lanes);
    }
    let mut lanes = rows[0];
    let mut nan = 0;
    for row in rows {
        for (lane, &cell) in lanes.iter_mut().zip(row) {
            let better = if op == Reduction::Min { cell < *lane } else { cell > *lane };
            *lane = if better { cell } else { *lane };
            nan |= u64::from(cell.is_nan());
        }
    }
    if nan != 0 {
        return f64::NAN;
    }
    lanes.into_iter().fold(lanes[0], |a, b| combine(op, a, b))
}
