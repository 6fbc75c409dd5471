//! What every reduction is to the loops around it, and how runs of memory are
//! folded: in blocks of one size, whose results are combined as the leaves of one
//! tree, so that threads, streams and CPU paths leave every bit as it is.

use smallvec::SmallVec;

#[cfg(target_arch = "x86_64")]
use crate::cpu;

/// Elements that a kernel takes at a time.
pub const LEAF: usize = 512;
/// Elements of a block.
pub const BLOCK: usize = 1 << 15;
/// Blocks folded side by side: a core fetches several streams of memory faster
/// than one.
pub const STREAMS: usize = 4;
/// Bytes of one stream that [`turns`] gives at a time: the longer the stretch, the more
/// the fetching of the other streams falls behind.
const TURN: usize = 256;

/// One reduction of one element type.
pub trait Fold: Sized {
    /// An element as stored.
    type Raw: Copy + Send + Sync;
    /// What a block has come to while it is being folded.
    type State: Copy;
    /// What a block, or any number of them, comes to.
    type Acc: Copy + Send + Sync;
    /// What one output of a vertical fold has come to.
    type Cell: Copy;

    const START: Self::State;
    const NOTHING: Self::Acc;
    const CELL: Self::Cell;

    /// Takes a whole leaf in; with `AVX2` only where the CPU has it.
    fn leaf<const AVX2: bool>(state: &mut Self::State, leaf: &[Self::Raw; LEAF]);
    /// Takes in one leaf of each stream. Those that memory and not arithmetic holds up
    /// do it in [`turns`] shorter than a leaf.
    #[inline(always)]
    fn leaves<'a, const AVX2: bool>(
        states: &mut [Self::State; STREAMS],
        leaf: impl Fn(usize) -> &'a [Self::Raw; LEAF],
    ) where
        Self::Raw: 'a,
    {
        one_by_one::<Self, AVX2>(states, leaf);
    }
    /// Takes in what follows the last whole leaf.
    fn rest(state: &mut Self::State, rest: &[Self::Raw]);
    /// Ends a block of that many elements.
    fn close(state: &Self::State, elements: usize) -> Self::Acc;
    /// A whole run that is shorter than a leaf.
    fn short(run: &[Self::Raw]) -> Self::Acc;
    fn combine(a: Self::Acc, b: Self::Acc) -> Self::Acc;

    /// Takes one element into a cell; at most 2^31 of them are.
    fn add(cell: &mut Self::Cell, raw: Self::Raw);
    fn cell(cell: Self::Cell) -> Self::Acc;
}

/// Takes in one leaf of each stream, all of a leaf at a time.
#[inline(always)]
pub fn one_by_one<'a, F: Fold<Raw: 'a>, const AVX2: bool>(
    states: &mut [F::State; STREAMS],
    leaf: impl Fn(usize) -> &'a [F::Raw; LEAF],
) {
    for (stream, state) in states.iter_mut().enumerate() {
        F::leaf::<AVX2>(state, leaf(stream));
    }
}

/// Gives `part(stream, elements)` a leaf of each stream piece by piece, the streams in turn.
#[inline(always)]
pub fn turns<'a, R: 'a>(leaf: impl Fn(usize) -> &'a [R; LEAF], mut part: impl FnMut(usize, &[R])) {
    const { assert!((LEAF * size_of::<R>()).is_multiple_of(TURN)) };
    let turn = const { TURN / size_of::<R>() };
    for from in (0..LEAF).step_by(turn) {
        for stream in 0..STREAMS {
            part(stream, &leaf(stream)[from..from + turn]);
        }
    }
}

/// Partial results combined in pairs, pairs of pairs and so on, in order.
pub struct Tree<A> {
    nodes: SmallVec<[(u32, A); 8]>,
}

impl<A: Copy> Tree<A> {
    pub fn new() -> Tree<A> {
        Tree { nodes: SmallVec::new() }
    }

    /// Takes the next 2^level blocks in, which all before must be a multiple of.
    pub fn push(&mut self, mut level: u32, mut next: A, combine: impl Fn(A, A) -> A) {
        while let Some(&(last, before)) = self.nodes.last()
            && last == level
        {
            self.nodes.pop();
            next = combine(before, next);
            level += 1;
        }
        self.nodes.push((level, next));
    }

    /// Takes in all that another tree took, whose first block is the next.
    pub fn append(&mut self, other: &Tree<A>, combine: impl Fn(A, A) -> A) {
        for &(level, node) in &other.nodes {
            self.push(level, node, &combine);
        }
    }

    /// All of it combined; None where there was nothing.
    pub fn finish(&self, combine: impl Fn(A, A) -> A) -> Option<A> {
        let mut nodes = self.nodes.iter().rev().map(|&(_, node)| node);
        let last = nodes.next()?;
        Some(nodes.fold(last, |after, before| combine(before, after)))
    }
}

/// Folds the up to [`STREAMS`] blocks that `memory` holds; says how many they are.
pub fn blocks<F: Fold>(memory: &[F::Raw], out: &mut [F::Acc; STREAMS]) -> usize {
    #[cfg(target_arch = "x86_64")]
    if cpu::path().has_avx2() {
        // SAFETY: the path has AVX2 only where the CPU was seen to have it.
        return unsafe { blocks_avx2::<F>(memory, out) };
    }
    blocks_body::<F, false>(memory, out)
}

/// Folds one run that is no longer than a block.
#[inline]
pub fn run<F: Fold>(memory: &[F::Raw]) -> F::Acc {
    #[cfg(target_arch = "x86_64")]
    if cpu::path().has_avx2() {
        // SAFETY: as in `blocks`.
        return unsafe { run_avx2::<F>(memory) };
    }
    run_body::<F, false>(memory)
}

/// Folds rows of outputs that lie side by side: `cells[j]` takes in `rows[..][j]`.
pub fn vertical<F: Fold, const ROWS: usize>(cells: &mut [F::Cell], rows: [&[F::Raw]; ROWS]) {
    #[cfg(target_arch = "x86_64")]
    if cpu::path().has_avx2() {
        // SAFETY: as in `blocks`.
        return unsafe { vertical_avx2::<F, ROWS>(cells, rows) };
    }
    vertical_body::<F, ROWS>(cells, rows);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn blocks_avx2<F: Fold>(memory: &[F::Raw], out: &mut [F::Acc; STREAMS]) -> usize {
    blocks_body::<F, true>(memory, out)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn run_avx2<F: Fold>(memory: &[F::Raw]) -> F::Acc {
    run_body::<F, true>(memory)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn vertical_avx2<F: Fold, const ROWS: usize>(cells: &mut [F::Cell], rows: [&[F::Raw]; ROWS]) {
    vertical_body::<F, ROWS>(cells, rows);
}

#[inline(always)]
fn blocks_body<F: Fold, const AVX2: bool>(memory: &[F::Raw], out: &mut [F::Acc; STREAMS]) -> usize {
    if memory.len() < STREAMS * BLOCK {
        let mut count = 0;
        for (block, out) in memory.chunks(BLOCK).zip(out) {
            *out = run_body::<F, AVX2>(block);
            count += 1;
        }
        return count;
    }
    let (leaves, _) = memory.as_chunks::<LEAF>();
    let mut states = [F::START; STREAMS];
    for i in 0..BLOCK / LEAF {
        F::leaves::<AVX2>(
            &mut states,
            #[inline(always)]
            |stream| &leaves[stream * (BLOCK / LEAF) + i],
        );
    }
    for (out, state) in out.iter_mut().zip(&states) {
        *out = F::close(state, BLOCK);
    }
    STREAMS
}

#[inline(always)]
fn run_body<F: Fold, const AVX2: bool>(memory: &[F::Raw]) -> F::Acc {
    if memory.len() < LEAF {
        return F::short(memory);
    }
    let mut state = F::START;
    let (leaves, rest) = memory.as_chunks::<LEAF>();
    for leaf in leaves {
        F::leaf::<AVX2>(&mut state, leaf);
    }
    F::rest(&mut state, rest);
    F::close(&state, memory.len())
}

#[inline(always)]
fn vertical_body<F: Fold, const ROWS: usize>(cells: &mut [F::Cell], rows: [&[F::Raw]; ROWS]) {
    let rows = rows.map(|row| &row[..cells.len()]);
    for (j, cell) in cells.iter_mut().enumerate() {
        let mut now = *cell;
        for row in rows {
            F::add(&mut now, row[j]);
        }
        *cell = now;
    }
}
