//! A later scan: the matches are read anew, and those that pass are kept.

use std::sync::Arc;

use super::arena::Store;
use super::buffer::Buffer;
use super::checkpoints::lookup;
use super::kernel::Judge;
use super::matches::{
    Cells, Draft, Matches, Pile, SPAN, Span, SpanDraft, Values, Which, for_each_bit, pick,
};
use super::plan::{self, Control, Plan, WINDOW};
use super::reading::{Near, Reading, groups};
use super::scanner::{Found, Layout};
use super::source::{Skipped, Source};
use super::tasks::split;
use super::tasks::{Window, cut, spans, untouched, untouched_draft};
use super::test::{Against, Bounds, Test};
use super::types::with_cell;
use crate::error::Result;

pub struct Next<'a> {
    pub source: &'a dyn Source,
    pub layouts: &'a [Layout],
    pub swap: bool,
    pub store: &'a Arc<Store>,
    /// What the test compares with, if it is a checkpoint: the matches of each type.
    pub checkpoint: Option<&'a [Matches]>,
}

/// Matches that are looked at together.
enum Task {
    /// Some spans, read from the target.
    Spans(std::ops::Range<usize>),
    /// A part of a span whose pages had to be asked for first, by the plan of that number.
    Window(usize, usize, Window),
}

/// What the tasks of one type share.
struct Work<'a> {
    matches: &'a Matches,
    test: &'a Test<'a>,
    bounds: Bounds,
    swap: bool,
    checkpoint: Option<&'a Matches>,
}

impl Next<'_> {
    pub fn scan(&self, old: &[Matches], test: &Test, control: &mut Control) -> Result<Found> {
        let mut all = Vec::with_capacity(old.len());
        let mut skipped = Vec::new();
        for (i, matches) in old.iter().enumerate() {
            let work = Work {
                matches,
                test,
                bounds: test.bounds_of(i),
                swap: self.swap,
                checkpoint: self.checkpoint.map(|saved| &saved[i]),
            };
            let (spans, mut lost) = self.scan_type(&work, control)?;
            all.push(spans);
            skipped.append(&mut lost);
        }
        Ok(Found::of(self.layouts, vec![(all, skipped)], Vec::new()))
    }

    fn scan_type(&self, work: &Work, control: &mut Control) -> Result<(Vec<Span>, Vec<Skipped>)> {
        let matches = work.matches;
        let (step, size) = (matches.step, matches.value_type.size());
        let (mut tasks, mut plans) = (Vec::new(), Vec::new());
        let mut skipped = Vec::new();
        let asked = |span: &Span| span.filed || matches!(span.current, Values::Zero);
        let regions =
            if matches.spans.iter().any(asked) { self.source.regions()? } else { Vec::new() };
        let mut i = 0;
        while i < matches.spans.len() {
            let span = &matches.spans[i];
            if asked(span) {
                let mut plan = Plan::within(self.source, &regions, &[span.extent(step, size)])?;
                skipped.append(&mut plan.skipped);
                // A checkpoint may have other values where memory is still untouched.
                let apart = matches!(span.current, Values::Zero) && work.checkpoint.is_none();
                let windows = cut(&plan, WINDOW, apart);
                tasks
                    .extend(windows.into_iter().map(|window| Task::Window(i, plans.len(), window)));
                plans.push(plan);
                i += 1;
            } else {
                let upto = matches.spans[i..].iter().position(asked);
                let end = upto.map_or(matches.spans.len(), |upto| i + upto);
                tasks.extend(groups(&matches.spans, i..end, step, size).map(Task::Spans));
                i = end;
            }
        }
        let bytes = |i: usize| match &tasks[i] {
            Task::Spans(range) => (range.len() * SPAN) as u64,
            Task::Window(_, _, window) => window.end - window.begin,
        };
        let parts = plan::spread(tasks.len(), control, bytes, |i, buffer| {
            let (mut pile, mut lost) = (Pile::default(), Vec::new());
            match &tasks[i] {
                Task::Spans(range) => {
                    let spans = &matches.spans[range.clone()];
                    let reading =
                        Reading::of_spans(self.source, spans, step, size, buffer, &mut lost)?;
                    let read: Vec<_> = spans.iter().zip(reading.spans()).collect();
                    // What was read last is nearest in the caches.
                    let passed = read.iter().rev().map(|(span, near)| work.find(span, near));
                    let passed: Vec<_> = passed.collect();
                    for ((span, near), passed) in read.iter().zip(passed.into_iter().rev()) {
                        work.add(span, near, passed, &mut pile);
                    }
                }
                Task::Window(of, plan, window) => {
                    let (span, run) = (&matches.spans[*of], &plans[*plan].runs[window.run]);
                    work.window(self.source, span, run, window, buffer, &mut lost, &mut pile)?;
                }
            }
            Ok((pile.finish(self.store)?, lost))
        })?;
        let mut spans = Vec::new();
        for (mut found, mut lost) in parts {
            spans.append(&mut found);
            skipped.append(&mut lost);
        }
        Ok((spans, skipped))
    }
}

/// Which cells of a span pass.
enum Passed {
    Cells(Option<Cells>),
    /// That is to be seen match by match.
    Unknown,
}

static ZEROS: [u8; SPAN + 8] = [0; SPAN + 8];

impl Work<'_> {
    fn judge(&self, old: &[u8], new: &[u8], count: usize, step: usize, bits: &mut [u64]) -> bool {
        let Test { kind, negate, .. } = *self.test;
        with_cell!(self.matches.value_type, T => {
            Judge::<T>::new(kind, self.bounds, negate, self.swap).run(old, new, count, step, bits)
        })
    }

    /// The values that the test compares with, unless they are a checkpoint's.
    fn old<'b>(&self, span: &'b Span) -> &'b Values {
        match self.test.against {
            Against::First => span.values(Which::First),
            _ => &span.current,
        }
    }

    /// Part of a span that is read by a plan.
    #[allow(clippy::too_many_arguments)]
    fn window(
        &self,
        source: &dyn Source,
        span: &Span,
        run: &plan::Run,
        window: &Window,
        buffer: &mut Buffer,
        lost: &mut Vec<Skipped>,
        pile: &mut Pile,
    ) -> Result<()> {
        let (step, size) = (self.matches.step, self.matches.value_type.size());
        if !matches!(span.current, Values::Zero) {
            // Not longer than a window: it is this one, or has lost its neighbours.
            let (from, to) = (span.base.max(run.start), span.extent(step, size).1.min(run.end));
            let reading = Reading::of_run(source, run, from, to, buffer, lost)?;
            self.look(span, &reading.near(), pile);
            return Ok(());
        }
        let last = span.base + (span.cells.count() - 1) * step as u64 + size as u64;
        if window.zero {
            let (base, count) =
                window.cells(step, size, window.begin.max(span.base), window.end.min(last));
            let layout = Layout { value_type: self.matches.value_type, step };
            if count > 0 && layout.passes(self.test, self.bounds, self.swap, &[0; 8], &[0; 8]) {
                pile.add(untouched_draft(base, count), size);
            }
            return Ok(());
        }
        let (from, to) = window.extent(run);
        let reading = Reading::of_run(source, run, from, to, buffer, lost)?;
        let (base, count) = window.cells(step, size, from.max(span.base), to.min(last));
        for (base, count) in spans(base, count, step) {
            self.look(&untouched(base, count as u64), &reading.near(), pile);
        }
        Ok(())
    }

    fn look(&self, span: &Span, near: &Near, pile: &mut Pile) {
        self.add(span, near, self.find(span, near), pile);
    }

    /// Looks at all cells of a span's memory at once, where that is kept as it was.
    fn find(&self, span: &Span, near: &Near) -> Passed {
        let (step, size) = (self.matches.step, self.matches.value_type.size());
        let cells = span.cells.last() as usize + 1;
        let len = (cells - 1) * step + size;
        let before = span.first.as_ref().or(span.previous.as_ref());
        let (Some(new), Some(_), Some(old), None, false) = (
            near.all(span.base, len),
            whole(&span.current, len),
            whole(self.old(span), len),
            self.checkpoint,
            matches!(before, Some(Values::Packed(_))),
        ) else {
            return Passed::Unknown;
        };
        let mut bits = vec![0u64; cells.div_ceil(64)];
        if !self.judge(old, new, cells, step, &mut bits) {
            return Passed::Cells(None);
        }
        match &span.cells {
            Cells::All(_) => {}
            Cells::Bits(were, _) => bits.iter_mut().zip(were).for_each(|(bit, was)| *bit &= was),
            Cells::List(list) => {
                let mut were = vec![0u64; bits.len()];
                list.iter().for_each(|&k| were[k as usize / 64] |= 1 << (k % 64));
                bits.iter_mut().zip(were).for_each(|(bit, was)| *bit &= was);
            }
        }
        Passed::Cells(Cells::from_bits(&bits, cells))
    }

    /// Adds what [`Work::find`] found.
    fn add(&self, span: &Span, near: &Near, passed: Passed, pile: &mut Pile) {
        let found = match passed {
            Passed::Cells(None) => return,
            Passed::Cells(Some(found)) => found,
            Passed::Unknown => return self.look_gathered(span, near, pile),
        };
        let (step, size) = (self.matches.step, self.matches.value_type.size());
        let len = span.cells.last() as usize * step + size;
        let (Some(new), Some(current)) = (near.all(span.base, len), whole(&span.current, len))
        else {
            return;
        };
        let before = span.first.as_ref().or(span.previous.as_ref());
        // Down to the half, memory as it was costs less than the values side by side do.
        let dense = found.count() as usize * size * 2 > len;
        let unchanged = dense && new == current;
        let keep = |values: &Values, pile: &mut Pile| match values {
            Values::Whole(bytes) if !dense => {
                pile.packed(|into| pick(bytes.get(), &found, step, size, into))
            }
            _ => Draft::Kept(values.clone()),
        };
        let previous = if unchanged { None } else { Some(keep(&span.current, pile)) };
        let first = before.map(|values| keep(values, pile));
        let current = if unchanged {
            Draft::Kept(span.current.clone())
        } else if dense {
            pile.whole(new)
        } else {
            pile.packed(|into| pick(new, &found, step, size, into))
        };
        pile.add(
            SpanDraft {
                base: span.base,
                cells: found,
                current,
                previous,
                first,
                filed: span.filed,
            },
            size,
        );
    }

    /// As `find` and `add`, match by match: where they are few, or not all could be read.
    fn look_gathered(&self, span: &Span, near: &Near, pile: &mut Pile) {
        let (step, size) = (self.matches.step, self.matches.value_type.size());
        let count = span.cells.count() as usize;
        let (mut new, mut old) = (Vec::with_capacity(count * size), Vec::new());
        let mut there = vec![u64::MAX; count.div_ceil(64)];
        near.gather(span, step, size, &mut new, &mut there);
        match self.checkpoint {
            Some(saved) if self.test.kind.compares() => {
                lookup(saved, span, step, size, &mut old, &mut there);
            }
            _ => self.old(span).gather(&span.cells, step, size, &mut old),
        }
        let mut bits = vec![0u64; count.div_ceil(64)];
        if !self.judge(&old, &new, count, size, &mut bits) {
            return;
        }
        bits.iter_mut().zip(there).for_each(|(bit, there)| *bit &= there);
        let mut chosen = Vec::new();
        for_each_bit(&bits, |i| chosen.push(i as u32));
        if chosen.is_empty() {
            return;
        }
        let subset =
            |values: &Values, pile: &mut Pile| choose(values, span, (step, size), &chosen, pile);
        let before = span.first.as_ref().or(span.previous.as_ref());
        let previous = Some(subset(&span.current, pile));
        let first = before.map(|values| subset(values, pile));
        let current = pile.packed(|into| take(&new, &chosen, size, into));
        let cells = chosen_cells(&span.cells, &chosen);
        pile.add(
            SpanDraft { base: span.base, cells, current, previous, first, filed: span.filed },
            size,
        );
    }
}

/// The memory of a span as one slice, where it is kept so.
fn whole(values: &Values, len: usize) -> Option<&[u8]> {
    match values {
        Values::Zero => ZEROS.get(..len),
        Values::Whole(bytes) => bytes.get().get(..len),
        Values::Packed(_) => None,
    }
}

fn take(packed: &[u8], chosen: &[u32], size: usize, into: &mut Vec<u8>) {
    into.reserve(chosen.len() * size);
    for &i in chosen {
        into.extend_from_slice(&packed[i as usize * size..][..size]);
    }
}

/// The values of the chosen matches of a span.
fn choose(
    values: &Values,
    span: &Span,
    (step, size): (usize, usize),
    chosen: &[u32],
    pile: &mut Pile,
) -> Draft {
    match values {
        Values::Zero => Draft::Kept(Values::Zero),
        _ if chosen.len() as u64 == span.cells.count() => Draft::Kept(values.clone()),
        Values::Packed(bytes) => pile.packed(|into| take(bytes.get(), chosen, size, into)),
        Values::Whole(_) => {
            let mut all = Vec::new();
            values.gather(&span.cells, step, size, &mut all);
            pile.packed(|into| take(&all, chosen, size, into))
        }
    }
}

fn chosen_cells(cells: &Cells, chosen: &[u32]) -> Cells {
    match cells {
        _ if chosen.len() as u64 == cells.count() => cells.clone(),
        Cells::List(list) => Cells::List(chosen.iter().map(|&i| list[i as usize]).collect()),
        _ => {
            let total = cells.last() as usize + 1;
            let mut bits = vec![0u64; total.div_ceil(64)];
            let mut next = chosen.iter().peekable();
            let mut i = 0;
            cells.for_each(|k| {
                if next.next_if(|&&wanted| wanted == i).is_some() {
                    bits[k as usize / 64] |= 1 << (k % 64);
                }
                i += 1;
            });
            // Some are chosen.
            Cells::from_bits(&bits, total).unwrap_or(Cells::List(Box::default()))
        }
    }
}

/// The matches for which `keep` is not 0, with their values as they were.
pub fn retain(matches: &Matches, store: &Arc<Store>, keep: &[u8]) -> Result<Matches> {
    let mut at = 0;
    narrow(matches, store, |span, chosen| {
        let count = span.cells.count() as usize;
        chosen.extend((0..count as u32).filter(|&i| keep[at + i as usize] != 0));
        at += count;
    })
}

/// The matches whose numbers in their span `choice` gives, with their values as they were.
pub fn narrow(
    matches: &Matches,
    store: &Arc<Store>,
    mut choice: impl FnMut(&Span, &mut Vec<u32>),
) -> Result<Matches> {
    let layout = (matches.step, matches.value_type.size());
    let mut all = Vec::new();
    let mut chosen = Vec::new();
    for spans in matches.spans.chunks(64) {
        let mut pile = Pile::default();
        for span in spans.iter().flat_map(|span| split(span, matches.step)) {
            let span = &*span;
            chosen.clear();
            choice(span, &mut chosen);
            if chosen.is_empty() {
                continue;
            }
            let current = choose(&span.current, span, layout, &chosen, &mut pile);
            let previous = span
                .previous
                .as_ref()
                .map(|values| choose(values, span, layout, &chosen, &mut pile));
            let first =
                span.first.as_ref().map(|values| choose(values, span, layout, &chosen, &mut pile));
            let cells = chosen_cells(&span.cells, &chosen);
            let (base, filed) = (span.base, span.filed);
            pile.add(SpanDraft { base, cells, current, previous, first, filed }, layout.1);
        }
        all.append(&mut pile.finish(store)?);
    }
    Ok(Matches::new(matches.value_type, matches.step, all))
}
