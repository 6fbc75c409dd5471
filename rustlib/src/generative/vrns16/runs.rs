//! Many runs of one read, in the order that is fastest instead of the one they come in.
//!
//! Short runs far from each other would each read sixteen slices that are new to the
//! caches. So runs are cut into blocks, and blocks are sorted by where their slices begin:
//! those that are about a multiple of `STRIDE` apart read nearly the same ones. The longer
//! blocks are, the more of them two have in common, and the better the CPU fetches ahead; but
//! of a block longer than the runs each reads its own part, and they would have less. Results too
//! many for the caches are streamed: whole groups as they are, where they are many, others in
//! whole lines of memory, where what several share of a line waits until all of it is made.

use super::tables::{BLOCK, GROUP, Kernel, STRIDE, TILE, Tables, kernel, residues};
use crate::generative::streaming;

/// Blocks that are sorted at a time.
const MOST: usize = 4096;
/// How far apart these may lie: that far the slices around one place stay in the
/// second-level cache.
const SPAN: u64 = 48 * STRIDE as u64;
/// Places in the tables by which blocks are sorted: as many, or fewer if blocks are longer.
const PLACES: usize = STRIDE / TILE;
/// Cells of a line of memory.
const LINE: usize = 8;

/// Some cells of one block.
#[derive(Clone, Copy)]
struct Part {
    start: u64,
    /// Where the cells go, counted from the first part's.
    at: u32,
    /// Which of the shared lines they begin in.
    line: u16,
    count: u16,
}

/// How many cells a block has: the logarithm to base 2.
#[derive(Clone, Copy)]
struct Side(u32);

impl Side {
    fn cells(self) -> usize {
        1 << self.0
    }

    /// A place counted from where its block begins, and where that is.
    fn within(self, at: u64) -> usize {
        at as usize & (self.cells() - 1)
    }

    fn floor(self, at: u64) -> u64 {
        at >> self.0 << self.0
    }
}

/// Cells of one block, where vectors lie best.
#[repr(align(64))]
struct Cells([f64; BLOCK]);

/// A line that several parts share, and a bit for each of its cells that is made and waits.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Shared {
    cells: [f64; LINE],
    waiting: u8,
    /// Where in `out` it begins: before it, wrapping, perhaps.
    at: usize,
}

/// Runs still to be made; they follow each other in `out`.
pub struct Runs<'a> {
    tables: &'static Tables,
    seed: u64,
    out: &'a mut [f64],
    side: Side,
    stream: bool,
    /// For what goes to its place at once, and for what waits.
    far: Kernel,
    near: Kernel,
    parts: Vec<Part>,
    order: Vec<u16>,
    shared: Vec<Shared>,
    /// Where the first part lies, and where it goes.
    start: u64,
    base: usize,
}

impl<'a> Runs<'a> {
    /// For runs that are `usual` cells long, most of them.
    pub fn new(
        tables: &'static Tables,
        seed: u64,
        out: &'a mut [f64],
        usual: u64,
        stream: bool,
    ) -> Runs<'a> {
        let side = Side(usual.clamp(TILE as u64, BLOCK as u64).ilog2());
        let (far, near) = (kernel(stream), kernel(false));
        let (parts, order, shared) = (Vec::new(), Vec::new(), Vec::new());
        Runs { tables, seed, out, side, stream, far, near, parts, order, shared, start: 0, base: 0 }
    }

    /// `out[at + j]` = the cell at `start + j`, for `length` of them: behind the last run.
    pub fn add(&mut self, mut start: u64, mut at: usize, mut length: usize) {
        while length > 0 {
            let far = start.wrapping_sub(self.start);
            if self.parts.len() == MOST || far.min(far.wrapping_neg()) > SPAN {
                self.make();
            }
            if self.parts.is_empty() {
                (self.start, self.base) = (start, at);
            }
            let line = self.parts.last().map_or(0, |&last| self.line_behind(last));
            let count = (self.side.cells() - self.side.within(start)).min(length);
            self.parts.push(Part { start, at: (at - self.base) as u32, line, count: count as u16 });
            start = start.wrapping_add(count as u64);
            at += count;
            length -= count;
        }
    }

    /// A place in `out`, counted within its line.
    fn within_line(&self, at: usize) -> usize {
        (self.out.as_ptr().addr() / size_of::<f64>() + at) % LINE
    }

    /// The number of the shared line behind the last cell of a part.
    fn line_behind(&self, part: Part) -> u16 {
        let from = self.within_line(self.base + part.at as usize);
        part.line + u16::from(from + part.count as usize >= LINE)
    }

    /// Makes all runs that were added.
    pub fn make(&mut self) {
        let Some(&last) = self.parts.last() else { return };
        self.sort();
        if self.stream {
            let lines = self.line_behind(last) as usize + 1;
            self.shared.clear();
            self.shared.resize(lines, Shared { cells: [0.0; LINE], waiting: 0, at: 0 });
        }
        let mut cells = Cells([0.0; BLOCK]);
        let permutation = self.side.within(self.seed);
        for i in 0..self.parts.len() {
            let part = self.parts[self.order[i] as usize];
            let (first, count) = (self.side.within(part.start), part.count as usize);
            let groups = first / GROUP..(first + count).div_ceil(GROUP);
            let at = self.base + part.at as usize;
            let block =
                self.tables.block(residues(self.side.floor(part.start ^ self.seed)), permutation);
            if count == groups.len() * GROUP && (count >= TILE || !self.stream) {
                let out = self.out[at..at + count].as_mut_ptr();
                // SAFETY: the groups lie in the block, and `out` has room for them.
                unsafe { (self.far)(&block, groups.start, groups.len(), out) };
                continue;
            }
            // SAFETY: the groups lie in the block, and there is room for all of it.
            unsafe { (self.near)(&block, groups.start, groups.len(), cells.0.as_mut_ptr()) };
            let made = &cells.0[first % GROUP..][..count];
            if self.stream {
                self.put(part, made);
            } else {
                self.out[at..at + count].copy_from_slice(made);
            }
        }
        if self.stream {
            self.put_rest();
        }
        self.parts.clear();
    }

    /// Sorts the parts by their places; those of one place keep their order.
    fn sort(&mut self) {
        let (seed, side) = (self.seed, self.side);
        let place = |part: &Part| side.floor(part.start ^ seed) as usize % STRIDE >> side.0;
        let mut ends = [0u16; PLACES + 1];
        for part in &self.parts {
            ends[place(part) + 1] += 1;
        }
        for i in 1..ends.len() {
            ends[i] += ends[i - 1];
        }
        self.order.resize(self.parts.len(), 0);
        for (i, part) in self.parts.iter().enumerate() {
            let slot = &mut ends[place(part)];
            self.order[*slot as usize] = i as u16;
            *slot += 1;
        }
    }

    /// Streams whole lines, and keeps what is shared with other parts.
    fn put(&mut self, part: Part, made: &[f64]) {
        let at = self.base + part.at as usize;
        let head = ((LINE - self.within_line(at)) % LINE).min(made.len());
        let body = (made.len() - head) / LINE * LINE;
        streaming::copy(&made[head..head + body], &mut self.out[at + head..at + head + body]);
        if head > 0 {
            self.share(part.line, at, &made[..head]);
        }
        if head + body < made.len() {
            self.share(self.line_behind(part), at + head + body, &made[head + body..]);
        }
    }

    fn share(&mut self, line: u16, at: usize, made: &[f64]) {
        let from = self.within_line(at);
        let shared = &mut self.shared[line as usize];
        shared.cells[from..from + made.len()].copy_from_slice(made);
        shared.waiting |= (((1u16 << made.len()) - 1) << from) as u8;
        shared.at = at.wrapping_sub(from);
        if shared.waiting == u8::MAX {
            shared.waiting = 0;
            streaming::copy(&shared.cells, &mut self.out[shared.at..shared.at + LINE]);
        }
    }

    /// Writes what still waits: the rest of its line is of other runs, or went its own way.
    fn put_rest(&mut self) {
        for shared in self.shared.iter().filter(|shared| shared.waiting != 0) {
            for i in (0..LINE).filter(|i| shared.waiting >> i & 1 == 1) {
                self.out[shared.at.wrapping_add(i)] = shared.cells[i];
            }
        }
        streaming::end();
    }
}
