//! The parts of a run that are read, and looked at, one at a time.

use super::buffer::Buffer;
use super::plan::{Run, skip};
use super::source::{Skipped, Source, What};
use crate::error::Result;

/// Part of a run, and what of it can be looked at together.
pub struct Window<'a> {
    run: &'a Run,
    pub start: u64,
    pub end: u64,
}

/// The windows of `step` bytes of a run, from its first multiple of `alignment` on.
pub fn of(run: &Run, alignment: u64, step: u64) -> impl Iterator<Item = Window<'_>> {
    let first = run.start.checked_next_multiple_of(alignment).unwrap_or(run.end).min(run.end);
    (0..(run.end - first).div_ceil(step)).map(move |i| {
        let start = first + i * step;
        Window { run, start, end: (run.end - start).min(step) + start }
    })
}

impl Window<'_> {
    /// In bytes.
    pub fn len(&self) -> u64 {
        self.end - self.start
    }

    /// How many of `bytes` bytes behind the window its run has.
    pub fn beyond(&self, bytes: u64) -> u64 {
        (self.run.end - self.end).min(bytes)
    }

    /// Whether all of it, up to `end`, is zero without having been read.
    pub fn untouched(&self, end: u64) -> bool {
        let pieces = &self.run.pieces;
        let piece = &pieces[pieces.partition_point(|piece| piece.end <= self.start)];
        matches!(piece.what, What::Zero) && piece.end >= end
    }

    /// Calls `look(from, bytes)` for all that can be read of the window and of `beyond`
    /// bytes behind it: once, but where memory has gone. `from` counts from its start.
    pub fn read(
        &self,
        source: &dyn Source,
        beyond: u64,
        buffer: &mut Buffer,
        skipped: &mut Vec<Skipped>,
        mut look: impl FnMut(usize, &[u8]),
    ) -> Result<()> {
        let len = (self.len() + beyond) as usize;
        if let Some(bytes) = source.slice(self.start, len) {
            look(0, bytes);
            return Ok(());
        }
        let buffer = buffer.room(self.start, len)?;
        let mut good = Vec::new();
        self.run.fill(source, self.start, buffer, skipped, |from, to| good.push((from, to)))?;
        good.into_iter().for_each(|(from, to)| look(from, &buffer[from..to]));
        Ok(())
    }
}

/// In order, and each address once: what is read of windows overlaps.
pub fn merged(mut skipped: Vec<Skipped>) -> Vec<Skipped> {
    skipped.sort_by_key(|skipped| skipped.start);
    let mut merged: Vec<Skipped> = Vec::new();
    for next in skipped {
        let start = merged.last().map_or(next.start, |last| next.start.max(last.end));
        if start < next.end {
            skip(&mut merged, start, next.end, next.reason);
        }
    }
    merged
}
