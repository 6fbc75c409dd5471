//! Reading the memory around matches: dense spans whole, sparse ones match by match, many
//! of them in one call of the kernel.

use std::ops::Range;

use super::buffer::Buffer;
use super::matches::Span;
use super::plan::{Run, WINDOW, read_around, skip};
use super::source::{Part, Skipped, Source};
use crate::error::Result;

/// Matches nearer to each other than this are read together.
const NEAR: u64 = 256;
/// Bytes a match from which on a span is not read whole.
const SPARSE: u64 = 512;
/// The most parts of one task: enough for a call of the kernel to cost little each, few
/// enough for some thousand matches to be shared by threads.
const PARTS: u64 = 256;

/// Memory that was read, stretch by stretch.
struct Stretch {
    start: u64,
    end: u64,
    /// Its place in the buffer.
    offset: usize,
}

/// What was read for one span.
pub struct Near<'a> {
    stretches: &'a [Stretch],
    memory: &'a [u8],
}

/// What was read for some spans.
pub struct Reading<'a> {
    stretches: Vec<Stretch>,
    /// Where each span's stretches begin, and where the last one's end.
    starts: Vec<usize>,
    memory: &'a [u8],
}

fn dense(span: &Span, step: usize, size: usize) -> bool {
    span.cells.count() * SPARSE >= span.extent(step, size).1 - span.base
}

/// Cuts `range` of `spans` into groups that are worth one task each.
pub fn groups(
    spans: &[Span],
    range: Range<usize>,
    step: usize,
    size: usize,
) -> impl Iterator<Item = Range<usize>> {
    let mut at = range.start;
    std::iter::from_fn(move || {
        let begin = at;
        let (mut bytes, mut parts) = (0, 0);
        while at < range.end {
            let span = &spans[at];
            let (more_bytes, more_parts) = if dense(span, step, size) {
                (span.extent(step, size).1 - span.base, 1)
            } else {
                let count = span.cells.count();
                (count * (NEAR + size as u64), count)
            };
            if at > begin && (bytes + more_bytes > WINDOW as u64 || parts + more_parts > PARTS) {
                break;
            }
            bytes += more_bytes;
            parts += more_parts;
            at += 1;
        }
        (at > begin).then_some(begin..at)
    })
}

impl<'a> Reading<'a> {
    pub fn of_spans(
        source: &dyn Source,
        spans: &[Span],
        step: usize,
        size: usize,
        buffer: &'a mut Buffer,
        lost: &mut Vec<Skipped>,
    ) -> Result<Reading<'a>> {
        let (mut parts, mut ends) = (Vec::<Part>::new(), Vec::with_capacity(spans.len()));
        let mut len = 0;
        for span in spans {
            let first = parts.len();
            let mut add = |address: u64, end: u64| match parts[first..].last_mut() {
                Some(last) if address < last.address + last.len as u64 + NEAR => {
                    let more = end - (last.address + last.len as u64);
                    last.len += more as usize;
                    len += more as usize;
                }
                _ => {
                    let more = (end - address) as usize;
                    parts.push(Part { address, offset: len, len: more, got: 0 });
                    len += more;
                }
            };
            if dense(span, step, size) {
                add(span.base, span.extent(step, size).1);
            } else {
                span.cells.for_each(|k| {
                    let address = span.base + k * step as u64;
                    add(address, address + size as u64);
                });
            }
            ends.push(parts.len());
        }
        let buffer = buffer.room(parts.first().map_or(0, |part| part.address), len)?;
        source.read_parts(&mut parts, buffer)?;
        let (mut stretches, mut starts) = (Vec::with_capacity(parts.len()), vec![0]);
        let mut next = parts.iter();
        let mut taken = 0;
        for end in ends {
            for part in next.by_ref().take(end - taken) {
                add_part(source, part, buffer, &mut stretches, lost)?;
            }
            taken = end;
            starts.push(stretches.len());
        }
        Ok(Reading { stretches, starts, memory: buffer })
    }

    /// `from..to` of a run, as if for one span.
    pub fn of_run(
        source: &dyn Source,
        run: &Run,
        from: u64,
        to: u64,
        buffer: &'a mut Buffer,
        lost: &mut Vec<Skipped>,
    ) -> Result<Reading<'a>> {
        let len = to.saturating_sub(from) as usize;
        let buffer = buffer.room(from, len)?;
        let mut stretches = Vec::new();
        run.fill(source, from, buffer, lost, |x, y| {
            let (start, end) = (from + x as u64, from + y as u64);
            stretches.push(Stretch { start, end, offset: x });
        })?;
        let starts = vec![0, stretches.len()];
        Ok(Reading { stretches, starts, memory: buffer })
    }

    /// What was read for all spans together, in the order of addresses.
    pub fn near(&self) -> Near<'_> {
        Near { stretches: &self.stretches, memory: self.memory }
    }

    pub fn spans(&self) -> impl Iterator<Item = Near<'_>> {
        self.starts
            .windows(2)
            .map(|pair| Near { stretches: &self.stretches[pair[0]..pair[1]], memory: self.memory })
    }
}

impl<'a> Near<'a> {
    /// `len` bytes from `base` on, if all of them could be read.
    pub fn all(&self, base: u64, len: usize) -> Option<&'a [u8]> {
        let i = self.stretches.partition_point(|stretch| stretch.end <= base);
        let stretch = self.stretches.get(i)?;
        if base < stretch.start || stretch.end < base + len as u64 {
            return None;
        }
        let at = stretch.offset + (base - stretch.start) as usize;
        Some(&self.memory[at..at + len])
    }

    /// Appends the value of each match to `into`, and clears the bits in `there` of those
    /// that could not be read.
    pub fn gather(
        &self,
        span: &Span,
        step: usize,
        size: usize,
        into: &mut Vec<u8>,
        there: &mut [u64],
    ) {
        let mut stretches = self.stretches.iter();
        let mut current = stretches.next();
        let mut i = 0;
        span.cells.for_each(|k| {
            let address = span.base + k * step as u64;
            while let Some(stretch) = current
                && stretch.end <= address
            {
                current = stretches.next();
            }
            match current {
                Some(stretch)
                    if stretch.start <= address && address + size as u64 <= stretch.end =>
                {
                    let at = stretch.offset + (address - stretch.start) as usize;
                    into.extend_from_slice(&self.memory[at..at + size]);
                }
                _ => {
                    into.resize(into.len() + size, 0);
                    there[i / 64] &= !(1 << (i % 64));
                }
            }
            i += 1;
        });
    }
}

fn add_part(
    source: &dyn Source,
    part: &Part,
    buffer: &mut [u8],
    stretches: &mut Vec<Stretch>,
    lost: &mut Vec<Skipped>,
) -> Result<()> {
    let Part { address, offset, len, got } = *part;
    let end = address + len as u64;
    let mut start = address;
    let mut add = |start: u64, end: u64| {
        if end > start {
            let offset = offset + (start - address) as usize;
            stretches.push(Stretch { start, end, offset });
        }
    };
    if got < len {
        let into = &mut buffer[offset..offset + len];
        read_around(source, address, into, &mut |from, to, reason| {
            add(start, from);
            start = to;
            skip(lost, from, to, reason);
        })?;
    }
    add(start, end);
    Ok(())
}
