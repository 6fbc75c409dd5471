//! The first scan: every cell of the ranges is looked at.

use std::ops::Range;
use std::sync::Arc;

use super::arena::{Bytes, Store};
use super::buffer::Buffer;
use super::kernel::Judge;
use super::matches::{Cells, Pile, SPAN, Span, Values};
use super::plan::{self, Control, Plan, Run, WINDOW};
use super::scanner::{Found, Layout};
use super::source::{Skipped, Source};
use super::tasks::{LONG_WINDOW, Window, add_found, cut, spans, untouched};
use super::test::{Kind, Test};
use super::types::with_cell;
use crate::error::Result;

/// What one task found, for each type.
type Part = (Vec<Vec<Span>>, Vec<Skipped>);

pub struct First<'a> {
    pub source: &'a dyn Source,
    pub layouts: &'a [Layout],
    pub swap: bool,
    pub store: &'a Arc<Store>,
}

impl First<'_> {
    pub fn scan(&self, ranges: &[(u64, u64)], test: &Test, control: &mut Control) -> Result<Found> {
        let plan = Plan::new(self.source, ranges)?;
        let unknown = test.kind == Kind::Any;
        let windows = cut(&plan, if unknown { LONG_WINDOW } else { WINDOW }, true);
        let size = |i: usize| windows[i].end - windows[i].begin;
        let parts = plan::spread(windows.len(), control, size, |i, buffer| {
            let window = &windows[i];
            let run = &plan.runs[window.run];
            match (window.zero, unknown) {
                (true, _) => self.zeros(window, test),
                (false, true) => self.keep_all(window, run),
                (false, false) => self.look(window, run, test, buffer),
            }
        })?;
        Ok(Found::of(self.layouts, parts, plan.skipped))
    }

    fn zeros(&self, window: &Window, test: &Test) -> Result<Part> {
        let found = self.layouts.iter().enumerate().map(|(i, layout)| {
            let (step, size) = (layout.step, layout.value_type.size());
            let (base, count) = window.cells(step, size, window.begin, window.end);
            let passes = layout.passes(test, test.bounds_of(i), self.swap, &[0; 8], &[0; 8]);
            if count > 0 && passes { vec![untouched(base, count)] } else { Vec::new() }
        });
        Ok((found.collect(), Vec::new()))
    }

    /// All of a window, for an unknown value: its memory is read to where it is kept.
    fn keep_all(&self, window: &Window, run: &Run) -> Result<Part> {
        let (from, to) = window.extent(run);
        let mut block = self.store.block((to - from) as usize)?;
        let (mut good, mut skipped) = (Vec::new(), Vec::new());
        run.fill(self.source, from, block.bytes_mut(), &mut skipped, |x, y| good.push(x..y))?;
        block.rest();
        let block = Arc::new(block);
        let filed = run.filed(from, to);
        let found = self.layouts.iter().map(|layout| {
            let (step, size) = (layout.step, layout.value_type.size());
            let mut found = Vec::new();
            for Range { start, end } in good.clone() {
                let (base, count) =
                    window.cells(step, size, from + start as u64, from + end as u64);
                found.extend(spans(base, count, step).map(|(base, count)| {
                    let bytes = (count - 1) * step + size;
                    let current = Values::Whole(Bytes::new(&block, (base - from) as usize, bytes));
                    let cells = Cells::All(count as u64);
                    Span { base, cells, current, previous: None, first: None, filed }
                }));
            }
            found
        });
        Ok((found.collect(), skipped))
    }

    fn look(&self, window: &Window, run: &Run, test: &Test, buffer: &mut Buffer) -> Result<Part> {
        let (from, to) = window.extent(run);
        let len = (to - from) as usize;
        let (mut good, mut skipped) = (Vec::new(), Vec::new());
        let memory = match self.source.slice(from, len) {
            Some(own) => {
                good.push(0..len);
                own
            }
            None => {
                let into = buffer.room(from, len)?;
                run.fill(self.source, from, into, &mut skipped, |x, y| good.push(x..y))?;
                into
            }
        };
        let mut found = Vec::with_capacity(self.layouts.len());
        for (i, layout) in self.layouts.iter().enumerate() {
            let (step, size) = (layout.step, layout.value_type.size());
            let mut pile = Pile::default();
            for Range { start, end } in good.clone() {
                let (base, count) =
                    window.cells(step, size, from + start as u64, from + end as u64);
                let filed = || run.filed(from, to);
                let bounds = test.bounds_of(i);
                with_cell!(layout.value_type, T => {
                    let judge = Judge::<T>::new(test.kind, bounds, test.negate, self.swap);
                    let mut bits = [0u64; SPAN / 64];
                    let mut matching = Vec::new();
                    // What was read last is nearest in the caches.
                    for (base, count) in spans(base, count, step).rev() {
                        let at = (base - from) as usize;
                        let memory = &memory[at..at + (count - 1) * step + size];
                        let bits = &mut bits[..count.div_ceil(64)];
                        if judge.run(&[], memory, count, step, bits)
                            && let Some(cells) = Cells::from_bits(bits, count)
                        {
                            matching.push((base, memory, cells));
                        }
                    }
                    for (base, memory, cells) in matching.into_iter().rev() {
                        add_found(&mut pile, base, (step, size), memory, cells, filed());
                    }
                });
            }
            found.push(pile.finish(self.store)?);
        }
        Ok((found, skipped))
    }
}
