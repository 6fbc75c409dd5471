//! Many runs of one read, in the order that is fastest instead of the one they come in.
//!
//! Short runs far from each other would each read sixteen slices that are new to the
//! caches. So runs are cut into blocks, and blocks are sorted by where their slices begin:
//! those that are about a multiple of `STRIDE` apart read nearly the same ones. The longer
//! blocks are, the more of them two have in common, and the better the CPU fetches ahead; but
//! of a block longer than the runs each reads its own part, and they would have less.
//!
//! Results too many for the caches are streamed: cells as they are made where they are whole
//! groups and many, others by way of the near caches, in whole [`Lines`] of memory.

use std::ops::Range;

use smallvec::SmallVec;

use super::tables::{BLOCK, Block, GROUP, Kernel, STRIDE, TILE, Tables, kernel, residues};
use crate::generative::array::{Held, convert};
use crate::generative::lines::{self, Lines};

/// Blocks that are sorted at a time.
const MOST: usize = 4096;
/// How far apart these may lie: that far the slices around one place stay in the
/// second-level cache.
const SPAN: u64 = 48 * STRIDE as u64;
/// Places in the tables by which blocks are sorted: as many, or fewer if blocks are longer.
const PLACES: usize = STRIDE / TILE;
/// Blocks that are sorted by comparing them, for want of more.
const FEW: usize = 64;
/// Blocks whose slices are found together: not while the CPU waits for the slices of one.
const AHEAD: usize = 32;
/// Runs shorter than this are not streamed: hardly a line would be of one of them.
const STREAMED: u64 = 48;

/// What becomes of cells before they are elements: from an address on.
pub type Finish<'a> = &'a mut dyn FnMut(u64, &mut [f64]);

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

/// Memory in the near caches.
struct Near<T> {
    cells: [f64; TILE],
    /// A group that is made in part, what is left of a line, and as many elements as cells.
    made: [T; GROUP + lines::BYTES + TILE],
}

/// Runs still to be made; they follow each other in the result.
pub struct Runs<'a, T: Held> {
    tables: &'static Tables,
    seed: u64,
    lines: Lines<'a, T>,
    finish: Option<Finish<'a>>,
    side: Side,
    stream: bool,
    /// For what goes to its place at once, and for what waits.
    far: Kernel,
    near: Kernel,
    parts: Vec<Part>,
    order: Vec<u16>,
    /// Where the first part goes.
    base: usize,
}

impl<'a, T: Held> Runs<'a, T> {
    /// For runs that are `usual` cells long, most of them. Without `finish` the elements are
    /// the cells.
    pub fn new(
        tables: &'static Tables,
        seed: u64,
        out: &'a mut [T],
        usual: u64,
        stream: bool,
        finish: Option<Finish<'a>>,
    ) -> Runs<'a, T> {
        let stream = stream && usual >= STREAMED;
        Runs {
            tables,
            seed,
            lines: Lines::new(out),
            finish,
            side: Side((usual / 2).clamp(TILE as u64, BLOCK as u64).ilog2()),
            stream,
            far: kernel(stream),
            near: kernel(false),
            parts: Vec::new(),
            order: Vec::new(),
            base: 0,
        }
    }

    /// `out[at + j]` = the cell at `start + j`, for `length` of them: behind the last run.
    pub fn add(&mut self, mut start: u64, mut at: usize, mut length: usize) {
        while length > 0 {
            if self.parts.len() == MOST {
                self.make();
            }
            if self.parts.is_empty() {
                self.base = at;
            }
            let line = self.parts.last().map_or(0, |&last| self.line_behind(last));
            let count = (self.side.cells() - self.side.within(start)).min(length);
            self.parts.push(Part { start, at: (at - self.base) as u32, line, count: count as u16 });
            start = start.wrapping_add(count as u64);
            at += count;
            length -= count;
        }
    }

    /// The number of the shared line behind the last cell of a part.
    fn line_behind(&self, part: Part) -> u16 {
        part.line + u16::from(self.lines.ends(self.base + part.at as usize, part.count as usize))
    }

    /// Makes all runs that were added.
    pub fn make(&mut self) {
        let Some(&last) = self.parts.last() else { return };
        if self.stream {
            self.lines.share(self.line_behind(last) as usize + 1);
        }
        let zero = T::from_cell(0.0);
        let mut near = Near { cells: [0.0; TILE], made: [zero; _] };
        self.sort();
        let mut some: SmallVec<[(Part, Block); AHEAD]> = SmallVec::new();
        for from in (0..self.order.len()).step_by(AHEAD) {
            let numbers = self.order[from..].iter().take(AHEAD);
            some.clear();
            some.extend(numbers.map(|&number| {
                let part = self.parts[number as usize];
                (part, self.block(part))
            }));
            some.iter().for_each(|(part, block)| self.make_part(*part, block, &mut near));
        }
        if self.stream {
            self.lines.end();
        }
        self.parts.clear();
    }

    fn block(&self, part: Part) -> Block {
        let x = self.side.floor(part.start ^ self.seed);
        self.tables.block(residues(x), self.side.within(self.seed))
    }

    fn make_part(&mut self, part: Part, block: &Block, near: &mut Near<T>) {
        let (first, count) = (self.side.within(part.start), part.count as usize);
        let at = self.base + part.at as usize;
        let whole = first.is_multiple_of(GROUP) && count.is_multiple_of(GROUP);
        if whole
            && self.finish.is_none()
            && (count >= TILE || !self.stream)
            && let Some(cells) = T::as_cells(self.lines.part(at, count))
        {
            // SAFETY: the groups lie in the block, and there is room for them.
            unsafe { (self.far)(block, first / GROUP, count / GROUP, cells.as_mut_ptr()) };
            return;
        }
        // Cells of which few are made at a time stay in the first-level cache.
        let (mut from, end, mut kept) = (first, first + count, 0);
        while from < end {
            let to = (from / GROUP * GROUP + TILE).min(end);
            let start = part.start.wrapping_add((from - first) as u64);
            let made = self.make_elements(block, start, from..to, kept, near);
            let at = at + (from - first) - kept;
            if self.stream {
                let behind = (to == end).then(|| self.line_behind(part) as usize);
                let elements = &near.made[made.clone()];
                kept = self.lines.put(at, elements, part.line as usize, behind);
                near.made.copy_within(made.end - kept..made.end, GROUP);
            } else {
                self.lines.part(at, made.len()).copy_from_slice(&near.made[made]);
            }
            from = to;
        }
    }

    /// Makes some cells of a block and what they become, behind the `kept` elements that
    /// wait. Returns where all these lie.
    fn make_elements(
        &mut self,
        block: &Block,
        start: u64,
        within: Range<usize>,
        kept: usize,
        near: &mut Near<T>,
    ) -> Range<usize> {
        let skipped = within.start % GROUP;
        let (first, count) = (within.start / GROUP, within.len());
        let groups = within.end.div_ceil(GROUP) - first;
        let made = GROUP + kept..GROUP + kept + count;
        let finish = |finish: &mut Option<Finish>, cells: &mut [f64]| {
            if let Some(finish) = finish {
                finish(start, cells);
            }
        };
        if let Some(cells) = T::as_cells(&mut near.made) {
            let out = cells[made.start - skipped..][..groups * GROUP].as_mut_ptr();
            // SAFETY: the groups lie in the block, and there is room for them.
            unsafe { (self.near)(block, first, groups, out) };
            finish(&mut self.finish, &mut cells[made.clone()]);
        } else {
            let out = near.cells[..groups * GROUP].as_mut_ptr();
            // SAFETY: as above.
            unsafe { (self.near)(block, first, groups, out) };
            let cells = &mut near.cells[skipped..][..count];
            finish(&mut self.finish, cells);
            convert(cells, &mut near.made[made.clone()]);
        }
        GROUP..made.end
    }

    /// Sorts the parts by their places, those that lie near each other.
    fn sort(&mut self) {
        self.order.clear();
        self.order.extend((0..).take(self.parts.len()));
        let mut from = 0;
        while from < self.parts.len() {
            let start = self.parts[from].start;
            let near = self.parts[from..].iter().take_while(|part| {
                let far = part.start.wrapping_sub(start);
                far.min(far.wrapping_neg()) <= SPAN
            });
            let to = from + near.count();
            self.sort_near(from..to);
            from = to;
        }
    }

    /// Those of one place keep their order.
    fn sort_near(&mut self, range: Range<usize>) {
        let (seed, side) = (self.seed, self.side);
        let place = |part: &Part| (side.floor(part.start ^ seed) as usize % STRIDE) >> side.0;
        let order = &mut self.order[range.clone()];
        if order.len() < FEW {
            return order.sort_by_key(|&i| place(&self.parts[i as usize]));
        }
        let parts = &self.parts[range.clone()];
        let mut ends = [0u16; PLACES + 1];
        for part in parts {
            ends[place(part) + 1] += 1;
        }
        for i in 1..ends.len() {
            ends[i] += ends[i - 1];
        }
        for (i, part) in range.zip(parts) {
            let slot = &mut ends[place(part)];
            order[*slot as usize] = i as u16;
            *slot += 1;
        }
    }
}
