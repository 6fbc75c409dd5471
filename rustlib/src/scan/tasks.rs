//! A plan cut into tasks: windows that are read and looked at, and stretches of memory
//! that were never touched, of which one look tells all.

use std::borrow::Cow;

use super::matches::{Cells, Draft, Pile, SPAN, Span, SpanDraft, Values, pick};
use super::plan::{Plan, Run, WINDOW};
use super::source::{Piece, What};

/// How far a cell can reach beyond the window it begins in: the longest type, less one.
const REACH: u64 = 7;
/// How long the windows of a first scan for an unknown value are: each is kept as it is,
/// and should be worth huge pages.
pub const LONG_WINDOW: usize = 8 * WINDOW;

#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Which run of the plan.
    pub run: usize,
    pub begin: u64,
    pub end: u64,
    /// Whether it also has the cells that begin before `begin` and end behind it, because
    /// untouched memory lies there.
    pub lead: bool,
    /// Never touched.
    pub zero: bool,
}

/// Cuts all runs into windows of up to `len` bytes; long zeros apart if `apart`.
pub fn cut(plan: &Plan, len: usize, apart: bool) -> Vec<Window> {
    let mut windows = Vec::new();
    for (run, Run { start, end, pieces }) in plan.runs.iter().enumerate() {
        let (mut at, mut lead) = (*start, false);
        let mut upto = |at: u64, end: u64, mut lead: bool| {
            let mut begin = at;
            while begin < end {
                let to = (begin + len as u64).min(end);
                windows.push(Window { run, begin, end: to, lead, zero: false });
                (begin, lead) = (to, false);
            }
            windows.len()
        };
        let long = |piece: &&Piece| {
            apart && matches!(piece.what, What::Zero) && piece.end - piece.start >= SPAN as u64
        };
        let mut zeros = Vec::new();
        for zero in pieces.iter().filter(long) {
            let before = upto(at, zero.start, lead);
            zeros.push((before, zero));
            (at, lead) = (zero.end, true);
        }
        upto(at, *end, lead);
        // From behind, so that the places of the others stay.
        for (at, zero) in zeros.into_iter().rev() {
            let (begin, end) = (zero.start, zero.end);
            windows.insert(at, Window { run, begin, end, lead: false, zero: true });
        }
    }
    windows
}

impl Window {
    /// Addresses that must be read for the cells of all types.
    pub fn extent(&self, run: &Run) -> (u64, u64) {
        let lead = if self.lead { REACH } else { 0 };
        ((self.begin - lead).max(run.start), self.end.saturating_add(REACH).min(run.end))
    }

    /// First address and number of the cells of a type that begin in it and lie in
    /// `from..to`, which was read.
    pub fn cells(&self, step: usize, size: usize, from: u64, to: u64) -> (u64, u64) {
        let (step, size) = (step as u64, size as u64);
        let lead = if self.lead { size - 1 } else { 0 };
        // Those that reach beyond untouched memory belong to the window behind it.
        let to = if self.zero { to.min(self.end) } else { to };
        // One behind the last address at which a cell may begin.
        let last = (to + 1).saturating_sub(size).min(self.end);
        let begin = (self.begin - lead).max(from).checked_next_multiple_of(step);
        begin.map_or((last, 0), |base| (base, last.saturating_sub(base).div_ceil(step)))
    }
}

/// `count` cells from `base` on, in parts that are no longer than a span.
pub fn spans(base: u64, count: u64, step: usize) -> impl DoubleEndedIterator<Item = (u64, usize)> {
    let most = (SPAN / step).max(1) as u64;
    let parts = usize::try_from(count.div_ceil(most)).unwrap_or(usize::MAX);
    (0..parts).map(move |i| {
        let first = i as u64 * most;
        (base + first * step as u64, (count - first).min(most) as usize)
    })
}

/// A span as spans of ordinary length: untouched memory makes longer ones.
pub fn split(span: &Span, step: usize) -> impl Iterator<Item = Cow<'_, Span>> {
    let count = span.cells.count();
    let long = matches!(span.cells, Cells::All(_)) && count > (SPAN / step).max(1) as u64;
    let parts = long.then(|| spans(span.base, count, step)).into_iter().flatten();
    let whole = (!long).then_some(Cow::Borrowed(span));
    whole.into_iter().chain(parts.map(|(base, count)| Cow::Owned(untouched(base, count as u64))))
}

/// A span of untouched memory.
pub fn untouched(base: u64, count: u64) -> Span {
    let (cells, current) = (Cells::All(count), Values::Zero);
    Span { base, cells, current, previous: None, first: None, filed: false }
}

pub fn untouched_draft(base: u64, count: u64) -> SpanDraft {
    let (cells, current) = (Cells::All(count), Draft::Kept(Values::Zero));
    SpanDraft { base, cells, current, previous: None, first: None, filed: false }
}

/// Adds what was found in the cells of `memory`, with their values.
pub fn add_found(
    pile: &mut Pile,
    base: u64,
    (step, size): (usize, usize),
    memory: &[u8],
    found: Cells,
    filed: bool,
) {
    let current = if found.count() as usize * size * 2 > memory.len() {
        pile.whole(memory)
    } else {
        pile.packed(|into| pick(memory, &found, step, size, into))
    };
    pile.add(SpanDraft { base, cells: found, current, previous: None, first: None, filed }, size);
}
