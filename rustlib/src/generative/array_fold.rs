//! Reductions of arrays, whose elements are folded as they are made and never stored.
//!
//! An array is cut into pieces, where addresses are multiples of a region's length if its
//! cells follow each other, and every so many elements otherwise. What the pieces come to
//! is combined in pairs, pairs of pairs and so on. So the order of additions depends on the
//! array alone, whichever thread makes a piece and in however many steps.

use std::sync::Mutex;

use super::Context;
use super::array::{Array, BUFFER, Nest, round};
use super::array_bins::Bins;
use super::array_leading;
use super::array_sieve::Sieve;
use super::distribution::Distribution;
use super::leading::Untouched;
use super::vrns16::{REGION, TILE};
use crate::cpu;
use crate::error::{Error, Result};
use crate::parallel;
use crate::tensor::dtype::Class;
use crate::tensor::reduce::float::across;
use crate::tensor::reduce::fold::Tree;
use crate::tensor::{DType, Reduction};

/// Elements of a piece where cells do not follow each other; rows up to this long are
/// taken several to a piece.
const PIECE: u64 = 1 << 16;
/// Pieces whose results are waiting to be combined at any time.
const BATCH: usize = 64;
/// Numbers below this add up exactly, a block of them.
const SUMMABLE: f64 = (1u64 << 42) as f64;

/// What the elements of an array may come to. The numbers are part of the C ABI and never
/// reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum ArrayFold {
    Sum = 0,
    Mean = 1,
    Min = 2,
    Max = 3,
    /// The sum of the squared distances from the mean.
    Squares = 4,
}

impl ArrayFold {
    const ALL: [ArrayFold; 5] =
        [ArrayFold::Sum, ArrayFold::Mean, ArrayFold::Min, ArrayFold::Max, ArrayFold::Squares];

    /// The one of that number in the C ABI.
    pub fn from_code(code: i32) -> Result<ArrayFold> {
        Self::ALL.into_iter().find(|fold| *fold as i32 == code).ok_or_else(|| {
            Error::InvalidArgument(format!("no reduction of arrays has the number {code}"))
        })
    }
}

/// The first cells and the lengths of two runs.
type Ends = [(u64, usize); 2];

/// Consecutive elements that one thread makes.
#[derive(Clone, Copy)]
enum Piece {
    /// Cells that follow each other, in one aligned region.
    Run { start: u64, length: usize },
    /// Elements from one of that number on.
    Part { from: u64, length: usize },
}

impl Piece {
    fn length(self) -> usize {
        match self {
            Piece::Run { length, .. } | Piece::Part { length, .. } => length,
        }
    }

    /// What of it can be taken by leading bits, and the first cell and the length of what is
    /// before and behind that.
    fn untouched(self, context: &Context) -> Option<(Untouched, Ends)> {
        let Piece::Run { start, length } = self else { return None };
        let part = context.untouched(start, length)?;
        let behind = start.wrapping_add((length - part.tail) as u64);
        Some((part, [(start, part.head), (behind, part.tail)]))
    }

    /// How many blocks it is made in.
    fn blocks(self) -> usize {
        match self {
            Piece::Run { start, length } => (start as usize % TILE + length).div_ceil(TILE),
            Piece::Part { length, .. } => length.div_ceil(BUFFER),
        }
    }
}

/// The pieces of an array, one by one.
struct Pieces {
    nest: Nest,
    /// Whether cells follow each other for long.
    runs: bool,
    row: u64,
    /// Elements of this row that are taken, or of the array where there are no runs.
    at: u64,
    left: u128,
}

impl Pieces {
    fn new(array: &Array) -> Pieces {
        let nest = Nest::in_any_order(array.offset, &array.dims);
        let runs = nest.step == 1 && (nest.has_one_row() || nest.length > PIECE);
        Pieces { nest, runs, row: 0, at: 0, left: array.cells() }
    }

    fn next(&mut self) -> Option<Piece> {
        if self.left == 0 {
            return None;
        }
        let piece = if self.runs {
            let start = self.nest.row(self.row).wrapping_add(self.at);
            let length = (self.nest.length - self.at).min((REGION as u64) - start % REGION as u64);
            self.at += length;
            if self.at == self.nest.length {
                self.row += 1;
                self.at = 0;
            }
            Piece::Run { start, length: length as usize }
        } else {
            let length = self.left.min(PIECE.into()) as usize;
            let from = self.at;
            self.at = self.at.wrapping_add(length as u64);
            Piece::Part { from, length }
        };
        self.left -= piece.length() as u128;
        Some(piece)
    }
}

/// One way to fold blocks of elements.
trait Op: Copy + Sync {
    type Part: Copy + Send;
    const NOTHING: Self::Part;
    fn block(self, cells: &[f64]) -> Self::Part;
    fn combine(self, a: Self::Part, b: Self::Part) -> Self::Part;
    /// Takes a piece all at once, where there is a faster way.
    fn whole(self, _: &Context, _: &Array, _: Piece) -> Option<Self::Part> {
        None
    }
}

#[derive(Clone, Copy)]
struct Sum;

impl Op for Sum {
    type Part = f64;
    const NOTHING: f64 = 0.0;

    fn block(self, cells: &[f64]) -> f64 {
        cpu::dispatch(|| across(sums(cells, |cell| cell)))
    }

    fn combine(self, a: f64, b: f64) -> f64 {
        a + b
    }

    fn whole(self, context: &Context, array: &Array, piece: Piece) -> Option<f64> {
        match piece {
            Piece::Run { start, length } if array.is_bare() => {
                Some(context.region(Reduction::Sum, start, length))
            }
            _ => {
                let (part, ends) = piece.untouched(context)?;
                let mut sum = array_leading::sum(array, &part)?;
                context.visit_ends(array, ends, |cells| sum += self.block(cells));
                Some(sum)
            }
        }
    }
}

/// A sum of integers, without an error.
#[derive(Clone, Copy)]
struct Exact {
    /// Whether blocks of elements can be added up as they are.
    small: bool,
    unsigned: bool,
}

impl Op for Exact {
    type Part = i128;
    const NOTHING: i128 = 0;

    fn block(self, cells: &[f64]) -> i128 {
        if self.small || cells.iter().all(|cell| cell.abs() < SUMMABLE) {
            return Sum.block(cells) as i128;
        }
        let whole = |&cell: &f64| match self.unsigned {
            true => i128::from(cell as u64),
            false => i128::from(cell as i64),
        };
        cells.iter().map(whole).sum()
    }

    fn combine(self, a: i128, b: i128) -> i128 {
        a + b
    }

    fn whole(self, context: &Context, array: &Array, piece: Piece) -> Option<i128> {
        let (part, ends) = piece.untouched(context)?;
        let mut sum = array_leading::integers(array, &part)?;
        context.visit_ends(array, ends, |cells| sum += self.block(cells));
        Some(sum)
    }
}

#[derive(Clone, Copy)]
struct Extreme {
    least: bool,
}

impl Op for Extreme {
    type Part = f64;
    /// No element: whatever it meets is the result.
    const NOTHING: f64 = f64::NAN;

    fn block(self, cells: &[f64]) -> f64 {
        match self.least {
            true => cpu::dispatch(|| extreme(cells, |a, b| a < b)),
            false => cpu::dispatch(|| extreme(cells, |a, b| a > b)),
        }
    }

    fn combine(self, a: f64, b: f64) -> f64 {
        match (a.is_nan() || b.is_nan(), self.least) {
            (true, _) => f64::NAN,
            (_, true) => {
                if b < a {
                    b
                } else {
                    a
                }
            }
            (_, false) => {
                if b > a {
                    b
                } else {
                    a
                }
            }
        }
    }

    fn whole(self, context: &Context, array: &Array, piece: Piece) -> Option<f64> {
        let least = match array.distribution {
            // An event is one where its cell is small.
            Distribution::Bernoulli { .. } => !self.least,
            _ if array.distribution.rises() && array.dtype != DType::Bool => self.least,
            _ => return None,
        };
        let (part, ends) = piece.untouched(context)?;
        let mut best = None;
        let mut take = |cells: &mut [f64]| {
            let one = self.block(cells);
            best = Some(best.map_or(one, |best| self.combine(best, one)));
        };
        let mut cells = part.extremes(least);
        array.distribution.apply(&mut cells);
        round(array.dtype, &mut cells);
        take(&mut cells);
        context.visit_ends(array, ends, take);
        best
    }
}

/// The mean and the squared distances from it, of which two are combined as by Chan et al.
/// (1979).
#[derive(Clone, Copy)]
struct Spread;

#[derive(Clone, Copy)]
struct Moments {
    cells: f64,
    mean: f64,
    squares: f64,
}

impl Op for Spread {
    type Part = Moments;
    const NOTHING: Moments = Moments { cells: 0.0, mean: 0.0, squares: 0.0 };

    fn block(self, elements: &[f64]) -> Moments {
        let cells = elements.len() as f64;
        let mean = Sum.block(elements) / cells;
        let squares =
            cpu::dispatch(|| across(sums(elements, |element| (element - mean) * (element - mean))));
        Moments { cells, mean, squares }
    }

    fn combine(self, a: Moments, b: Moments) -> Moments {
        let cells = a.cells + b.cells;
        let (shift, share) = (b.mean - a.mean, b.cells / cells);
        Moments {
            cells,
            mean: a.mean + shift * share,
            squares: a.squares + b.squares + shift * shift * (a.cells * share),
        }
    }

    fn whole(self, context: &Context, array: &Array, piece: Piece) -> Option<Moments> {
        let (part, ends) = piece.untouched(context)?;
        let (mean, squares) = array_leading::moments(array, &part)?;
        let mut all = Moments { cells: part.cells() as f64, mean, squares };
        context.visit_ends(array, ends, |cells| all = self.combine(all, self.block(cells)));
        Some(all)
    }
}

impl Context {
    /// Makes the elements of two runs of cells, each in one aligned region.
    fn visit_ends(&self, array: &Array, ends: Ends, mut each: impl FnMut(&mut [f64])) {
        for (start, length) in ends {
            self.visit(array, start, length, |_, cells| {
                round(array.dtype, cells);
                each(cells);
            });
        }
    }
}

/// Sixteen sums side by side.
#[inline(always)]
fn sums(cells: &[f64], each: impl Fn(f64) -> f64) -> [f64; 16] {
    let (rows, rest) = cells.as_chunks::<16>();
    let mut lanes = [0.0; 16];
    for row in rows {
        for (lane, &cell) in lanes.iter_mut().zip(row) {
            *lane += each(cell);
        }
    }
    for (lane, &cell) in lanes.iter_mut().zip(rest) {
        *lane += each(cell);
    }
    lanes
}

/// The first among equals; NaN where one is.
#[inline(always)]
fn extreme(cells: &[f64], better: impl Fn(f64, f64) -> bool) -> f64 {
    let mut lanes = [cells[0]; 16];
    let mut nan = 0;
    let (rows, rest) = cells.as_chunks::<16>();
    let mut take = |lane: &mut f64, cell: f64| {
        *lane = if better(cell, *lane) { cell } else { *lane };
        nan |= u64::from(cell.is_nan());
    };
    for row in rows {
        for (lane, &cell) in lanes.iter_mut().zip(row) {
            take(lane, cell);
        }
    }
    for (lane, &cell) in lanes.iter_mut().zip(rest) {
        take(lane, cell);
    }
    let pick = |a: f64, b: f64| if better(b, a) { b } else { a };
    if nan != 0 { f64::NAN } else { lanes.into_iter().reduce(pick).unwrap_or(f64::NAN) }
}

/// A reduction of an array under way. It may be carried on in steps of any size, by any
/// number of threads; the result has the same bits.
pub struct ArrayFolding {
    array: Array<'static>,
    pieces: Pieces,
    state: State,
}

enum State {
    Sum { tree: Tree<f64>, mean: bool },
    Exact { sum: i128, mean: bool },
    Extreme { tree: Tree<f64>, op: Extreme },
    Spread(Tree<Moments>),
    Bins { bins: Bins, sieve: Option<Sieve> },
}

impl ArrayFolding {
    pub fn new(fold: ArrayFold, array: Array) -> Result<ArrayFolding> {
        let array = array.into_owned();
        let pieces = Pieces::new(&array);
        let mean = fold == ArrayFold::Mean;
        let state = match fold {
            ArrayFold::Min | ArrayFold::Max if pieces.left == 0 => {
                return Err(Error::InvalidArgument(
                    "an array of no elements has no extreme".into(),
                ));
            }
            ArrayFold::Min | ArrayFold::Max => {
                State::Extreme { tree: Tree::new(), op: Extreme { least: fold == ArrayFold::Min } }
            }
            ArrayFold::Squares => State::Spread(Tree::new()),
            _ if array.dtype.class() == Class::Float => State::Sum { tree: Tree::new(), mean },
            _ => State::Exact { sum: 0, mean },
        };
        Ok(ArrayFolding { array, pieces, state })
    }

    /// Counts elements between edges as NumPy does: a bin has its lower edge and not its
    /// upper one, except the last, which has both.
    pub fn histogram(array: Array, edges: &[f64]) -> Result<ArrayFolding> {
        let array = array.into_owned();
        let pieces = Pieces::new(&array);
        let bins = Bins::new(edges)?;
        let sieve = Sieve::new(&array, &bins).filter(|_| pieces.runs);
        Ok(ArrayFolding { array, pieces, state: State::Bins { bins, sieve } })
    }

    /// How many elements are still to be taken in.
    pub fn left(&self) -> u128 {
        self.pieces.left
    }

    /// The result, once nothing is left: NaN for the mean of nothing and for a histogram.
    pub fn value(&self) -> f64 {
        let cells = self.array.cells() as f64;
        let over = |mean: bool| if mean { cells } else { 1.0 };
        let value = match &self.state {
            State::Sum { tree, mean } => {
                tree.finish(|a, b| Sum.combine(a, b)).unwrap_or(0.0) / over(*mean)
            }
            State::Exact { sum, mean } => *sum as f64 / over(*mean),
            State::Extreme { tree, op } => tree.finish(|a, b| op.combine(a, b)).unwrap_or(f64::NAN),
            State::Spread(tree) => {
                tree.finish(|a, b| Spread.combine(a, b)).map_or(0.0, |all| all.squares)
            }
            State::Bins { .. } => f64::NAN,
        };
        // One NaN for all: which one arithmetic makes is the CPU's choice.
        if value.is_nan() { f64::NAN } else { value }
    }

    /// The sum of integers without an error; None for anything else.
    pub fn exact(&self) -> Option<i128> {
        match self.state {
            State::Exact { sum, mean: false } => Some(sum),
            _ => None,
        }
    }

    /// The counts of a histogram; None for anything else.
    pub fn counts(&self) -> Option<&[u64]> {
        match &self.state {
            State::Bins { bins, .. } => Some(bins.counts()),
            _ => None,
        }
    }

    /// Takes about `cells` more elements in, at least one piece and at most what is left: a
    /// caller who looks out for a signal calls this for as many as take a moment.
    pub fn carry_on(&mut self, context: &Context, cells: u64, threads: usize) {
        let mut wanted = cells.max(1);
        let mut batch = Vec::with_capacity(BATCH);
        while wanted > 0 {
            batch.clear();
            let mut length = 0;
            while batch.len() < BATCH
                && length < wanted
                && let Some(piece) = self.pieces.next()
            {
                length += piece.length() as u64;
                batch.push(piece);
            }
            if batch.is_empty() {
                return;
            }
            self.take(context, &batch, threads);
            wanted = wanted.saturating_sub(length);
        }
    }

    fn take(&mut self, context: &Context, batch: &[Piece], threads: usize) {
        let work = Work { context, array: &self.array, nest: &self.pieces.nest, batch, threads };
        match &mut self.state {
            State::Sum { tree, .. } => work.fold(Sum, tree),
            State::Extreme { tree, op } => work.fold(*op, tree),
            State::Spread(tree) => work.fold(Spread, tree),
            State::Exact { sum, .. } => {
                let op = Exact {
                    small: context.overlay.is_empty() && self.array.distribution.reach() < SUMMABLE,
                    unsigned: self.array.dtype.class() == Class::Unsigned,
                };
                let mut tree = Tree::new();
                work.fold(op, &mut tree);
                *sum += tree.finish(|a, b| a + b).unwrap_or(0);
            }
            State::Bins { bins, sieve } => work.count(bins, sieve.as_ref()),
        }
    }
}

/// Some pieces to be made.
struct Work<'a> {
    context: &'a Context,
    array: &'a Array<'static>,
    nest: &'a Nest,
    batch: &'a [Piece],
    threads: usize,
}

impl Work<'_> {
    /// Calls `each` for all pieces, on several threads, each of which ends with `done`.
    fn share<S>(
        &self,
        start: impl Fn() -> S + Sync,
        each: impl Fn(&mut S, usize) + Sync,
        done: impl Fn(S) + Sync,
    ) {
        let cells = self.batch.iter().map(|piece| piece.length()).sum();
        let threads = parallel::worth(self.threads, cells);
        parallel::share_out(threads, self.batch.len(), |mine| {
            let mut state = start();
            mine.for_each(|i| each(&mut state, i));
            done(state);
        });
    }

    fn fold<O: Op>(&self, op: O, tree: &mut Tree<O::Part>) {
        let combine = |a, b| op.combine(a, b);
        let results: Vec<_> = self.batch.iter().map(|_| Mutex::new(O::NOTHING)).collect();
        let one = |_: &mut (), i: usize| {
            let piece: Piece = self.batch[i];
            let result = op.whole(self.context, self.array, piece).unwrap_or_else(|| {
                let mut blocks = vec![O::NOTHING; piece.blocks()];
                self.make(piece, |block, cells| blocks[block] = op.block(cells));
                let mut tree = Tree::new();
                for block in blocks {
                    tree.push(0, block, combine);
                }
                tree.finish(combine).unwrap_or(O::NOTHING)
            });
            if let Ok(mut slot) = results[i].lock() {
                *slot = result;
            }
        };
        self.share(|| (), one, |()| ());
        for result in results.into_iter().flat_map(Mutex::into_inner) {
            tree.push(0, result, combine);
        }
    }

    fn count(&self, bins: &mut Bins, sieve: Option<&Sieve>) {
        let mut total = bins.tally();
        let sum = Mutex::new(&mut total);
        let bins_now = &*bins;
        self.share(
            || bins_now.tally(),
            |tally, i| {
                let piece = self.batch[i];
                let Some((sieve, (part, ends))) = sieve.zip(piece.untouched(self.context)) else {
                    return self.make(piece, |_, cells| bins_now.count(cells, tally));
                };
                sieve.count(self.array, &part, bins_now, tally);
                self.context.visit_ends(self.array, ends, |cells| bins_now.count(cells, tally));
            },
            |tally| {
                if let Ok(mut sum) = sum.lock() {
                    sum.add(&tally);
                }
            },
        );
        bins.take_in(&total);
    }

    /// Makes a piece's elements and gives them to `each` block by block, with its number.
    fn make(&self, piece: Piece, mut each: impl FnMut(usize, &mut [f64])) {
        let Work { context, array, nest, .. } = *self;
        match piece {
            Piece::Run { start, length } => {
                let before = start as usize % TILE;
                context.visit(array, start, length, |at, cells| {
                    round(array.dtype, cells);
                    each((before + at) / TILE, cells);
                });
            }
            Piece::Part { from, length } => {
                let mut cells = [0.0; BUFFER];
                for at in (0..length).step_by(BUFFER) {
                    let cells = &mut cells[..BUFFER.min(length - at)];
                    context.make(array, nest, from.wrapping_add(at as u64), cells);
                    round(array.dtype, cells);
                    each(at / BUFFER, cells);
                }
            }
        }
    }
}
