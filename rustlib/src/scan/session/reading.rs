//! From a file, of which nothing is taken for granted.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{MAGIC, VERSION, form, tag};
use crate::error::{Error, Result};
use crate::scan::arena::{Block, Bytes, Store};
use crate::scan::matches::{Cells, Matches, SPAN, Span, Values};
use crate::scan::scanner::{Found, Layout, Options, Scanner};
use crate::scan::source::{Reason, Skipped, Source};
use crate::scan::types::ValueType;

/// The least bytes that a span, a checkpoint, and a skipped range take.
const SPAN_LENGTH: u64 = 8 + 1 + 1 + 8 + 3;
const CHECKPOINT_LENGTH: u64 = 8;
const SKIPPED_LENGTH: u64 = 8 + 8 + 4;
/// More would be no types, nor cells of a span.
const MOST_TYPES: u32 = 10;

pub fn read(source: Arc<dyn Source>, path: &Path, options: Options) -> Result<Scanner> {
    let mut input = Input::open(path)?;
    input.notes()?;
    let count = input.u32()?;
    if count > MOST_TYPES {
        return Err(input.damaged("types"));
    }
    let mut types = Vec::new();
    for _ in 0..count {
        let code = i32::try_from(input.u32()?).unwrap_or(-1);
        types.push(ValueType::from_code(code).map_err(|_| input.damaged("types"))?);
    }
    let alignment = input.u32()?;
    let big_endian = input.flag()?;
    let scanner = Scanner::new(source, &types, Options { alignment, big_endian, ..options })
        .map_err(|_| input.damaged("options"))?;

    let blocks = input.blocks(scanner.store())?;
    let found = match input.flag()? {
        false => None,
        true => {
            let matches = input.all(scanner.layouts(), &blocks)?;
            let skipped = input.list(SKIPPED_LENGTH, Input::skipped)?;
            Some(Found { matches, skipped })
        }
    };
    let layouts = scanner.layouts();
    let checkpoints = input.list(CHECKPOINT_LENGTH, |input| {
        let name = String::from_utf8(input.sized()?).map_err(|_| input.damaged("checkpoints"))?;
        Ok((name, Arc::new(input.all(layouts, &blocks)?)))
    })?;
    let (known, all) = (checkpoints.len(), BTreeMap::from_iter(checkpoints));
    if known != all.len() {
        return Err(input.damaged("checkpoints"));
    }
    input.end()?;
    scanner.restore(found, all);
    Ok(scanner)
}

/// A file, how much of it is left, and the checksum of what was read.
pub struct Input {
    path: PathBuf,
    from: BufReader<File>,
    left: u64,
    sum: u32,
}

impl Input {
    pub fn open(path: &Path) -> Result<Input> {
        let failed = |source| failed(path, source);
        // Opening a pipe would wait for somebody to write to it.
        if !fs::metadata(path).map_err(failed)?.is_file() {
            return Err(Error::InvalidArgument(format!("{} is not a file", path.display())));
        }
        let file = File::open(path).map_err(failed)?;
        let left = file.metadata().map_err(failed)?.len();
        let from = BufReader::with_capacity(1 << 18, file);
        Ok(Input { path: path.to_owned(), from, left, sum: 0 })
    }

    /// What the file begins with, up to the notes.
    pub fn notes(&mut self) -> Result<Vec<u8>> {
        let path = self.path.display().to_string();
        let foreign = || Error::InvalidArgument(format!("{path} is not a saved scan"));
        let mut magic = [0; MAGIC.len()];
        if self.left < magic.len() as u64 {
            return Err(foreign());
        }
        self.fill(&mut magic)?;
        if magic != *MAGIC {
            return Err(foreign());
        }
        let version = self.u32()?;
        if version != VERSION {
            return Err(Error::InvalidArgument(format!(
                "{path} is a saved scan of version {version}: wanted {VERSION}"
            )));
        }
        let notes = self.sized()?;
        self.checksum()?;
        Ok(notes)
    }

    fn damaged(&self, what: &str) -> Error {
        let path = self.path.display();
        Error::InvalidArgument(format!("{path} is a saved scan whose {what} are damaged"))
    }

    /// Takes note that `len` bytes are to be read.
    fn take(&mut self, len: u64) -> Result<()> {
        self.left = self.left.checked_sub(len).ok_or_else(|| {
            Error::InvalidArgument(format!(
                "{} is a saved scan that is cut off",
                self.path.display()
            ))
        })?;
        Ok(())
    }

    fn fill(&mut self, into: &mut [u8]) -> Result<()> {
        self.take(into.len() as u64)?;
        match self.from.read_exact(into) {
            Ok(()) => self.sum = crc32c::crc32c_append(self.sum, into),
            // Somebody cut it off meanwhile.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => self.take(u64::MAX)?,
            Err(error) => return Err(failed(&self.path, error)),
        }
        Ok(())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn u8(&mut self) -> Result<u8> {
        self.array().map(u8::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn flag(&mut self) -> Result<bool> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(self.damaged("flags")),
        }
    }

    /// A count of what takes at least `least` bytes each.
    fn count(&mut self, least: u64) -> Result<usize> {
        let count = self.u64()?;
        let needed = count.saturating_mul(least);
        let left = self.left;
        self.take(needed)?;
        self.left = left;
        usize::try_from(count).map_err(|_| self.damaged("lengths"))
    }

    fn sized(&mut self) -> Result<Vec<u8>> {
        let len = self.count(1)?;
        let mut bytes = room(len)?;
        bytes.resize(len, 0);
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn list<T>(
        &mut self,
        least: u64,
        mut item: impl FnMut(&mut Input) -> Result<T>,
    ) -> Result<Vec<T>> {
        let count = self.count(least)?;
        let mut list = room(count)?;
        for _ in 0..count {
            list.push(item(self)?);
        }
        Ok(list)
    }

    fn checksum(&mut self) -> Result<()> {
        let sum = self.sum;
        if self.u32()? == sum { Ok(()) } else { Err(self.damaged("bytes")) }
    }

    fn end(&mut self) -> Result<()> {
        self.checksum()?;
        if self.left == 0 { Ok(()) } else { Err(self.damaged("bytes")) }
    }

    fn blocks(&mut self, store: &Arc<Store>) -> Result<Vec<Arc<Block>>> {
        self.list(8, |input| {
            let len = input.count(1)?;
            let mut block = store.block(len)?;
            input.fill(block.bytes_mut())?;
            block.rest();
            Ok(Arc::new(block))
        })
    }

    fn skipped(&mut self) -> Result<Skipped> {
        let (start, end) = (self.u64()?, self.u64()?);
        let reason = match self.u32()? {
            0 => Reason::Unmapped,
            1 => Reason::Unreadable,
            2 => Reason::NotResident,
            3 => Reason::NotDumped,
            _ => return Err(self.damaged("skipped ranges")),
        };
        Ok(Skipped { start, end, reason })
    }

    fn all(&mut self, layouts: &[Layout], blocks: &[Arc<Block>]) -> Result<Vec<Matches>> {
        layouts.iter().map(|&layout| self.matches(layout, blocks)).collect()
    }

    fn matches(&mut self, layout: Layout, blocks: &[Arc<Block>]) -> Result<Matches> {
        let mut behind = 0;
        let spans = self.list(SPAN_LENGTH, |input| {
            let span = input.span(layout, blocks)?;
            // Each lies behind the one before.
            let (from, to) = (span.base, span.extent(layout.step, layout.value_type.size()).1);
            if from < behind || to <= from {
                return Err(input.damaged("addresses"));
            }
            behind = to - layout.value_type.size() as u64 + 1;
            Ok(span)
        })?;
        Ok(Matches::new(layout.value_type, layout.step, spans))
    }

    fn span(&mut self, layout: Layout, blocks: &[Arc<Block>]) -> Result<Span> {
        let base = self.u64()?;
        let filed = self.flag()?;
        let cells = self.cells()?;
        let current = self.values(&cells, layout, blocks)?;
        let previous = self.values(&cells, layout, blocks)?;
        let first = self.values(&cells, layout, blocks)?;
        let Some(current) = current else { return Err(self.damaged("values")) };
        // What was never touched is kept without gaps.
        if matches!(current, Values::Zero) && !matches!(cells, Cells::All(_)) {
            return Err(self.damaged("values"));
        }
        // Only untouched memory makes spans that are longer than others.
        let most = (SPAN / layout.step).max(1) as u64;
        let long = cells.last() >= most;
        let untouched = matches!(
            (&cells, &current, &previous, &first),
            (Cells::All(_), Values::Zero, None, None)
        );
        let end = cells
            .last()
            .checked_mul(layout.step as u64)
            .and_then(|last| base.checked_add(last)?.checked_add(layout.value_type.size() as u64));
        if long && !untouched || end.is_none() || !base.is_multiple_of(layout.step as u64) {
            return Err(self.damaged("addresses"));
        }
        Ok(Span { base, cells, current, previous, first, filed })
    }

    fn cells(&mut self) -> Result<Cells> {
        let cells = match self.u8()? {
            form::ALL => Some(Cells::All(self.u64()?)),
            form::BITS => {
                let words = self.list(8, Input::u64)?;
                let count = words.iter().map(|word| word.count_ones()).sum();
                (words.len() <= SPAN / 64).then(|| Cells::Bits(words.into(), count))
            }
            form::LIST => {
                let list = self.list(2, |input| input.array().map(u16::from_le_bytes))?;
                let rising = list.windows(2).all(|pair| pair[0] < pair[1]);
                rising.then(|| Cells::List(list.into()))
            }
            _ => None,
        };
        cells.filter(|cells| cells.count() > 0).ok_or_else(|| self.damaged("matches"))
    }

    fn values(
        &mut self,
        cells: &Cells,
        layout: Layout,
        blocks: &[Arc<Block>],
    ) -> Result<Option<Values>> {
        let tag = self.u8()?;
        match tag {
            tag::NONE => return Ok(None),
            tag::ZERO => return Ok(Some(Values::Zero)),
            tag::WHOLE | tag::PACKED => {}
            _ => return Err(self.damaged("values")),
        }
        let (piece, offset, len) = (self.u32()?, self.u64()?, self.u64()?);
        let size = layout.value_type.size() as u64;
        let fits = match tag {
            tag::WHOLE => {
                cells.last() < SPAN as u64 && len >= cells.last() * layout.step as u64 + size
            }
            _ => cells.count() <= SPAN as u64 && len == cells.count() * size,
        };
        let block = blocks.get(piece as usize).filter(|block| {
            let end = offset.checked_add(len);
            fits && end.is_some_and(|end| end <= block.bytes().len() as u64)
        });
        let Some(block) = block else { return Err(self.damaged("values")) };
        let bytes = Bytes::new(block, offset as usize, len as usize);
        Ok(Some(if tag == tag::WHOLE { Values::Whole(bytes) } else { Values::Packed(bytes) }))
    }
}

fn failed(path: &Path, source: io::Error) -> Error {
    Error::Io { what: format!("{} cannot be read", path.display()), source }
}

/// Room for so many, of which the file has at least one byte each.
fn room<T>(count: usize) -> Result<Vec<T>> {
    let mut list = Vec::new();
    list.try_reserve_exact(count)
        .map_err(|_| Error::OutOfMemory("out of memory: no room for a saved scan"))?;
    Ok(list)
}
