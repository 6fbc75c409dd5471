//! What was found: stretches of memory, which of their cells matched, and the values
//! these had. Dense stretches keep a bit for each cell and the memory as it was; sparse
//! ones two bytes for each match and its value; untouched memory keeps nothing at all.

use std::sync::Arc;

use super::arena::{Block, Bytes, Store};
use super::types::ValueType;
use crate::error::{Error, Result};

/// Bytes of memory in a span, but for those that are zero throughout. The number of a
/// cell in it fits in a u16.
pub const SPAN: usize = 1 << 16;

/// Values of the matches of a span, as their bytes lay in the target.
#[derive(Clone)]
pub enum Values {
    /// All zero.
    Zero,
    /// The memory from the span's base to the end of its last cell.
    Whole(Bytes),
    /// Side by side, in the order of the matches.
    Packed(Bytes),
}

/// Which cells of a span match.
#[derive(Clone)]
pub enum Cells {
    All(u64),
    Bits(Box<[u64]>, u32),
    List(Box<[u16]>),
}

/// The matches within one stretch of memory.
#[derive(Clone)]
pub struct Span {
    pub base: u64,
    pub cells: Cells,
    /// As last read; as read the time before; as first read. None is the same as the one
    /// before it here.
    pub current: Values,
    pub previous: Option<Values>,
    pub first: Option<Values>,
    /// Read from a file instead of from the target.
    pub filed: bool,
}

impl Cells {
    pub fn count(&self) -> u64 {
        match self {
            Cells::All(count) => *count,
            Cells::Bits(_, count) => u64::from(*count),
            Cells::List(list) => list.len() as u64,
        }
    }

    /// From a bit for each of `cells` cells, in the shortest form; None where none is set.
    pub fn from_bits(bits: &[u64], cells: usize) -> Option<Cells> {
        let count = bits.iter().map(|word| word.count_ones() as usize).sum::<usize>();
        if count == 0 {
            None
        } else if count == cells {
            Some(Cells::All(count as u64))
        } else if count * 16 >= cells {
            Some(Cells::Bits(bits.into(), count as u32))
        } else {
            let mut list = Vec::with_capacity(count);
            for_each_bit(bits, |k| list.push(k as u16));
            Some(Cells::List(list.into()))
        }
    }

    /// The number of each matching cell, in order.
    pub fn for_each(&self, mut visit: impl FnMut(u64)) {
        match self {
            Cells::All(count) => (0..*count).for_each(visit),
            Cells::Bits(bits, _) => for_each_bit(bits, |k| visit(k as u64)),
            Cells::List(list) => list.iter().for_each(|&k| visit(k.into())),
        }
    }

    /// As `for_each`, for matches `from..to` only.
    pub fn for_each_in(&self, from: u64, to: u64, mut visit: impl FnMut(u64)) {
        match self {
            Cells::All(_) => (from..to).for_each(visit),
            Cells::List(list) => {
                list[from as usize..to as usize].iter().for_each(|&k| visit(k.into()));
            }
            Cells::Bits(..) => {
                let mut i = 0;
                self.for_each(|k| {
                    if (from..to).contains(&i) {
                        visit(k);
                    }
                    i += 1;
                });
            }
        }
    }

    pub fn first(&self) -> u64 {
        match self {
            Cells::All(_) => 0,
            Cells::Bits(bits, _) => {
                let word = bits.iter().position(|&word| word != 0).unwrap_or(0);
                word as u64 * 64 + u64::from(bits[word].trailing_zeros())
            }
            Cells::List(list) => list.first().copied().unwrap_or(0).into(),
        }
    }

    pub fn last(&self) -> u64 {
        match self {
            Cells::All(count) => count - 1,
            Cells::Bits(bits, _) => {
                let word = bits.iter().rposition(|&word| word != 0).unwrap_or(0);
                word as u64 * 64 + 63 - u64::from(bits[word].leading_zeros())
            }
            Cells::List(list) => list.last().copied().unwrap_or(0).into(),
        }
    }
}

pub fn for_each_bit(bits: &[u64], mut visit: impl FnMut(usize)) {
    for (i, &word) in bits.iter().enumerate() {
        let mut word = word;
        while word != 0 {
            visit(i * 64 + word.trailing_zeros() as usize);
            word &= word - 1;
        }
    }
}

impl Values {
    /// Appends the value of each match of `cells` to `into`, side by side.
    pub fn gather(&self, cells: &Cells, step: usize, size: usize, into: &mut Vec<u8>) {
        match self {
            Values::Zero => into.resize(into.len() + cells.count() as usize * size, 0),
            Values::Packed(bytes) => into.extend_from_slice(bytes.get()),
            Values::Whole(bytes) => pick(bytes.get(), cells, step, size, into),
        }
    }
}

/// Appends the cells of `memory` that match.
pub fn pick(memory: &[u8], cells: &Cells, step: usize, size: usize, into: &mut Vec<u8>) {
    if let Cells::All(count) = cells
        && step == size
    {
        return into.extend_from_slice(&memory[..*count as usize * size]);
    }
    into.reserve(cells.count() as usize * size);
    macro_rules! each {
        ($n:literal) => {
            cells.for_each(|k| {
                let at = k as usize * step;
                let cell: [u8; $n] = memory[at..at + $n].try_into().unwrap_or([0; $n]);
                into.extend_from_slice(&cell);
            })
        };
    }
    match size {
        1 => each!(1),
        2 => each!(2),
        4 => each!(4),
        _ => each!(8),
    }
}

/// The values of a span on their way into a block, which is made when a task is done.
pub enum Draft {
    Kept(Values),
    Whole(usize, usize),
    Packed(usize, usize),
}

pub struct SpanDraft {
    pub base: u64,
    pub cells: Cells,
    pub current: Draft,
    pub previous: Option<Draft>,
    pub first: Option<Draft>,
    pub filed: bool,
}

/// Collects the spans of one task, and their values in one piece of memory.
#[derive(Default)]
pub struct Pile {
    spans: Vec<SpanDraft>,
    bytes: Vec<u8>,
}

impl Pile {
    pub fn whole(&mut self, memory: &[u8]) -> Draft {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(memory);
        Draft::Whole(at, memory.len())
    }

    pub fn packed(&mut self, add: impl FnOnce(&mut Vec<u8>)) -> Draft {
        let at = self.bytes.len();
        add(&mut self.bytes);
        Draft::Packed(at, self.bytes.len() - at)
    }

    /// Adds a span. Untouched memory is one stretch of cells: what was chosen of it has
    /// values of its own.
    pub fn add(&mut self, mut span: SpanDraft, size: usize) {
        if let (Draft::Kept(Values::Zero), Cells::Bits(..) | Cells::List(_)) =
            (&span.current, &span.cells)
        {
            let zeros = span.cells.count() as usize * size;
            span.current = self.packed(|into| into.resize(into.len() + zeros, 0));
        }
        self.spans.push(span);
    }

    pub fn finish(mut self, store: &Arc<Store>) -> Result<Vec<Span>> {
        if self.spans.is_empty() {
            return Ok(Vec::new());
        }
        self.bytes.shrink_to_fit();
        let block = store.keep(self.bytes)?;
        Ok(self.spans.into_iter().map(|draft| draft.finish(&block)).collect())
    }
}

impl SpanDraft {
    fn finish(self, block: &Arc<Block>) -> Span {
        let values = |draft| match draft {
            Draft::Kept(values) => values,
            Draft::Whole(at, len) => Values::Whole(Bytes::new(block, at, len)),
            Draft::Packed(at, len) => Values::Packed(Bytes::new(block, at, len)),
        };
        Span {
            base: self.base,
            cells: self.cells,
            current: values(self.current),
            previous: self.previous.map(values),
            first: self.first.map(values),
            filed: self.filed,
        }
    }
}

/// Which values of a match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    Current,
    Previous,
    First,
}

impl Span {
    pub fn values(&self, which: Which) -> &Values {
        let previous = self.previous.as_ref().unwrap_or(&self.current);
        match which {
            Which::Current => &self.current,
            Which::Previous => previous,
            Which::First => self.first.as_ref().unwrap_or(previous),
        }
    }

    /// Addresses from its first matching cell to the end of the last.
    pub fn extent(&self, step: usize, size: usize) -> (u64, u64) {
        let (first, last) = (self.cells.first(), self.cells.last());
        (self.base + first * step as u64, self.base + last * step as u64 + size as u64)
    }
}

/// All matches of one type, in the order of their addresses.
#[derive(Clone)]
pub struct Matches {
    pub value_type: ValueType,
    /// Bytes from one cell to the next.
    pub step: usize,
    pub spans: Vec<Span>,
    /// How many matches lie before each span, and after it how many there are in all.
    starts: Vec<u64>,
}

impl Matches {
    pub fn new(value_type: ValueType, step: usize, spans: Vec<Span>) -> Matches {
        let mut starts = Vec::with_capacity(spans.len() + 1);
        let mut count = 0;
        for span in &spans {
            starts.push(count);
            count += span.cells.count();
        }
        starts.push(count);
        Matches { value_type, step, spans, starts }
    }

    pub fn count(&self) -> u64 {
        self.starts.last().copied().unwrap_or(0)
    }

    /// Calls `visit(span, from, to)` for the spans that have matches `start..start + n`.
    pub fn for_each_span(
        &self,
        start: u64,
        n: u64,
        mut visit: impl FnMut(&Span, u64, u64),
    ) -> Result<()> {
        let end = start.checked_add(n).filter(|&end| end <= self.count()).ok_or_else(|| {
            let count = self.count();
            Error::OutOfRange(format!("matches {start} to {start} + {n}: there are {count}"))
        })?;
        let mut i = self.starts.partition_point(|&first| first <= start).saturating_sub(1);
        while i < self.spans.len() && self.starts[i] < end {
            let (first, last) = (self.starts[i], self.starts[i + 1]);
            visit(&self.spans[i], start.max(first) - first, end.min(last) - first);
            i += 1;
        }
        Ok(())
    }

    /// The addresses of matches `start..start + into.len()`.
    pub fn addresses(&self, start: u64, into: &mut [u64]) -> Result<()> {
        let mut at = 0;
        let step = self.step as u64;
        self.for_each_span(start, into.len() as u64, |span, from, to| {
            span.cells.for_each_in(from, to, |k| {
                into[at] = span.base + k * step;
                at += 1;
            });
        })
    }

    /// Their values, as bytes of the target.
    pub fn values(&self, which: Which, start: u64, n: u64, into: &mut [u8]) -> Result<()> {
        let size = self.value_type.size();
        let mut at = 0;
        self.for_each_span(start, n, |span, from, to| {
            let len = (to - from) as usize * size;
            let room = &mut into[at..at + len];
            at += len;
            match span.values(which) {
                Values::Zero => room.fill(0),
                Values::Packed(bytes) => {
                    let from = from as usize * size;
                    room.copy_from_slice(&bytes.get()[from..from + len]);
                }
                Values::Whole(bytes) => {
                    let mut cells = room.chunks_exact_mut(size);
                    span.cells.for_each_in(from, to, |k| {
                        let at = k as usize * self.step;
                        if let Some(cell) = cells.next() {
                            cell.copy_from_slice(&bytes.get()[at..at + size]);
                        }
                    });
                }
            }
        })
    }
}
