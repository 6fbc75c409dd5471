//! To a file. Spans of several types, or of several scans, share memory; it is written once.

use std::fs::File;
use std::io::{self, BufWriter, Write};

use super::{MAGIC, Output, VERSION, form, tag};
use crate::scan::matches::{Cells, Matches, Span, Values};
use crate::scan::scanner::Scanner;

/// From this size on a piece of values ends at the next place that no span goes across.
const PIECE: u64 = 4 << 20;

pub fn write(scanner: &Scanner, notes: &[u8], file: &File) -> io::Result<()> {
    let (found, checkpoints) = scanner.snapshot();
    let mut out = Output { to: BufWriter::with_capacity(1 << 20, file), sum: 0 };
    out.bytes(MAGIC)?;
    out.u32(VERSION)?;
    out.sized(notes)?;
    let sum = out.sum;
    out.u32(sum)?;

    let layouts = scanner.layouts();
    out.u32(layouts.len() as u32)?;
    for layout in layouts {
        out.u32(layout.value_type as u32)?;
    }
    out.u32(scanner.options().alignment)?;
    out.u8(scanner.options().big_endian.into())?;

    let own = found.iter().flat_map(|found| &found.matches);
    let saved = checkpoints.values().flat_map(|matches| matches.iter());
    let gathered = Blocks::of(own.chain(saved));
    gathered.write(&mut out)?;
    out.u8(found.is_some().into())?;
    if let Some(found) = &found {
        gathered.all(&mut out, &found.matches)?;
        out.u64(found.skipped.len() as u64)?;
        for skipped in &found.skipped {
            out.u64(skipped.start)?;
            out.u64(skipped.end)?;
            out.u32(skipped.reason as u32)?;
        }
    }
    out.u64(checkpoints.len() as u64)?;
    for (name, matches) in &checkpoints {
        out.sized(name.as_bytes())?;
        gathered.all(&mut out, matches)?;
    }
    let sum = out.sum;
    out.u32(sum)?;
    out.to.flush()
}

/// All memory that spans refer to.
struct Blocks<'a> {
    /// In the order of where they are, without overlaps.
    parts: Vec<Part<'a>>,
    /// The lengths of the pieces.
    pieces: Vec<u64>,
}

struct Part<'a> {
    bytes: &'a [u8],
    piece: u32,
    offset: u64,
}

fn start(bytes: &[u8]) -> usize {
    bytes.as_ptr() as usize
}

impl<'a> Blocks<'a> {
    fn of(all: impl Iterator<Item = &'a Matches>) -> Blocks<'a> {
        let spans = all.flat_map(|matches| &matches.spans);
        let values = spans.flat_map(|span| {
            [Some(&span.current), span.previous.as_ref(), span.first.as_ref()].into_iter().flatten()
        });
        let mut slices: Vec<&[u8]> = values
            .filter_map(|values| match values {
                Values::Zero => None,
                Values::Whole(bytes) | Values::Packed(bytes) => Some(bytes.get()),
            })
            .collect();
        slices.sort_unstable_by_key(|bytes| (start(bytes), bytes.len()));
        let mut gathered = Blocks { parts: Vec::new(), pieces: Vec::new() };
        let mut end = 0usize;
        for bytes in slices {
            // What lies before `end` is in a part already.
            let new = &bytes[end.saturating_sub(start(bytes)).min(bytes.len())..];
            if new.is_empty() {
                continue;
            }
            let apart = start(bytes) >= end;
            if gathered.pieces.last().is_none_or(|&len| apart && len >= PIECE) {
                gathered.pieces.push(0);
            }
            if let Some(len) = gathered.pieces.last_mut() {
                let offset = *len;
                *len += new.len() as u64;
                gathered.parts.push(Part {
                    bytes: new,
                    piece: gathered.pieces.len() as u32 - 1,
                    offset,
                });
            }
            end = start(new) + new.len();
        }
        gathered
    }

    fn write(&self, out: &mut Output<impl Write>) -> io::Result<()> {
        out.u64(self.pieces.len() as u64)?;
        let mut parts = self.parts.iter();
        for &len in &self.pieces {
            out.u64(len)?;
            let mut left = len;
            while left > 0 {
                let Some(part) = parts.next() else { return Err(io::ErrorKind::Other.into()) };
                out.bytes(part.bytes)?;
                left -= part.bytes.len() as u64;
            }
        }
        Ok(())
    }

    fn all(&self, out: &mut Output<impl Write>, all: &[Matches]) -> io::Result<()> {
        for matches in all {
            out.u64(matches.spans.len() as u64)?;
            for span in &matches.spans {
                self.span(out, span)?;
            }
        }
        Ok(())
    }

    fn span(&self, out: &mut Output<impl Write>, span: &Span) -> io::Result<()> {
        out.u64(span.base)?;
        out.u8(span.filed.into())?;
        match &span.cells {
            Cells::All(count) => {
                out.u8(form::ALL)?;
                out.u64(*count)?;
            }
            Cells::Bits(words, _) => {
                out.u8(form::BITS)?;
                out.u64(words.len() as u64)?;
                words.iter().try_for_each(|&word| out.u64(word))?;
            }
            Cells::List(list) => {
                out.u8(form::LIST)?;
                out.u64(list.len() as u64)?;
                list.iter().try_for_each(|&cell| out.bytes(&cell.to_le_bytes()))?;
            }
        }
        self.values(out, Some(&span.current))?;
        self.values(out, span.previous.as_ref())?;
        self.values(out, span.first.as_ref())
    }

    fn values(&self, out: &mut Output<impl Write>, values: Option<&Values>) -> io::Result<()> {
        let (tag, bytes) = match values {
            None => return out.u8(tag::NONE),
            Some(Values::Zero) => return out.u8(tag::ZERO),
            Some(Values::Whole(bytes)) => (tag::WHOLE, bytes.get()),
            Some(Values::Packed(bytes)) => (tag::PACKED, bytes.get()),
        };
        let behind = self.parts.partition_point(|part| start(part.bytes) <= start(bytes));
        let (piece, offset) = match behind.checked_sub(1).map(|i| &self.parts[i]) {
            Some(part) => (part.piece, part.offset + (start(bytes) - start(part.bytes)) as u64),
            None => (0, 0),
        };
        out.u8(tag)?;
        out.u32(piece)?;
        out.u64(offset)?;
        out.u64(bytes.len() as u64)
    }
}
