//! What can still be read of a damaged file, which stays as it is.

use std::fs::File;
use std::io;
use std::ops::Bound;
use std::path::Path;

use redb::backends::FileBackend;
use redb::{ReadOnlyTable, ReadableDatabase, StorageBackend};

use super::super::overlay::Overlay;
use super::super::page::Page;
use super::super::{Context, Generator};
use super::format::{About, PAGES, decode};
use super::load::{self, attempt, damaged, failed};
use super::staged::Staged;
use super::{WRITER, agree, examine, locked};
use crate::error::{Error, Result};

/// How often what lies between two places that cannot be read is halved.
const HALVINGS: u32 = 2;

/// What became of the cells of a damaged file.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Cells that were read, each under a checksum that holds.
    pub cells: u64,
    /// Cells that the file had, or 2^64 - 1 where that cannot be read.
    pub expected: u64,
    /// Pages of up to 64 cells that were found, and dropped because their checksum does not hold.
    pub dropped_pages: u64,
    /// Places behind which pages may lie that could not be found.
    pub faults: u64,
}

/// A context without a file, of what the last flush left and can still be read. Seed and
/// generator are needed only where the file does not tell them any more.
pub fn recover(
    path: &Path,
    seed: Option<u64>,
    generator: Option<Generator>,
) -> Result<(Context, Recovery)> {
    examine(path)?;
    let cannot = |error| failed(path, redb::Error::Io(error));
    let lock = FileBackend::new(File::open(path).map_err(cannot)?);
    let lock = lock.map_err(|error| failed(path, error))?;
    let byte = Bound::Included(WRITER);
    if matches!(lock.try_lock_shared_range(byte, byte), Ok(false)) {
        return Err(locked(path));
    }
    let staged = Staged::new(File::open(path).map_err(cannot)?).map_err(cannot)?;
    make_plausible(&staged).map_err(cannot)?;
    let database = attempt(path, || {
        let database = load::builder().open_read_only_with_backend(staged);
        database.map_err(|error| failed(path, error))
    })?;
    let transaction = attempt(path, || database.begin_read().map_err(|error| failed(path, error)))?;
    let about = attempt(path, || load::about(path, &transaction));
    let (seed, generator, expected) = match (about, seed, generator) {
        (Ok(about), seed, generator) => {
            agree(path, about, seed, generator)?;
            let About { seed, generator, total, .. } = about;
            (seed, generator, total.cells)
        }
        (Err(_), Some(seed), Some(generator)) => (seed, generator, u64::MAX),
        (Err(_), ..) => {
            return Err(damaged(
                path,
                "it tells seed and generator no more, so they must be given",
            ));
        }
    };
    let mut found = Found { overlay: Overlay::default(), dropped_pages: 0, faults: 0 };
    let opened =
        attempt(path, || transaction.open_table(PAGES).map_err(|error| failed(path, error)));
    match opened {
        Ok(table) => found.read_between(path, &table, 0, u64::MAX, HALVINGS)?,
        Err(_) => found.faults = 1,
    }
    let Found { overlay, dropped_pages, faults } = found;
    let cells = overlay.len() as u64;
    let recovery = Recovery { cells, expected, dropped_pages, faults };
    Ok((Context::with_overlay(seed, generator, overlay), recovery))
}

/// Makes the store read a file that was not closed, or whose end is missing: it takes the
/// commit that the first page names, and zeros for what is not there. The places are those of
/// the store's file format 3.
fn make_plausible(file: &Staged) -> io::Result<()> {
    const FLAGS: u64 = 9;
    const NOT_CLOSED: u8 = 2;
    /// The named commit may not be on the disk; of those in two phases it is.
    const UNFLUSHED: u8 = 8;
    const LAYOUT: u64 = 12;
    let mut flags = [0];
    file.read(FLAGS, &mut flags)?;
    file.write(FLAGS, &[flags[0] & !(NOT_CLOSED | UNFLUSHED)])?;
    let mut numbers = [0; 20];
    file.read(LAYOUT, &mut numbers)?;
    let [page, head, most, full, last] =
        [0, 1, 2, 3, 4].map(|i| u64::from(u32::from_le_bytes(numbers.as_chunks().0[i])));
    let region = |pages: u64| if pages == 0 { 0 } else { (head + pages).saturating_mul(page) };
    let wanted = region(most).saturating_mul(full).saturating_add(region(last));
    let wanted = wanted.saturating_add(page);
    // A length that no file has is a damaged number, which the store refuses by itself.
    if wanted > file.len()? && wanted < 1 << 62 { file.set_len(wanted) } else { Ok(()) }
}

struct Found {
    overlay: Overlay,
    dropped_pages: u64,
    faults: u64,
}

impl Found {
    /// Reads from both ends until something cannot be read, and then from the middle.
    fn read_between(
        &mut self,
        path: &Path,
        table: &ReadOnlyTable<u64, &'static [u8]>,
        mut low: u64,
        mut high: u64,
        halvings: u32,
    ) -> Result<()> {
        if self.read(path, table, (low, high), false, &mut low)?
            || self.read(path, table, (low, high), true, &mut high)?
        {
            return Ok(());
        }
        if halvings == 0 || low >= high {
            self.faults += 1;
            return Ok(());
        }
        let middle = low + (high - low) / 2;
        self.read_between(path, table, low, middle, halvings - 1)?;
        self.read_between(path, table, middle + 1, high, halvings - 1)
    }

    /// Reads pages one after the other; whether that came to the end. `next` is where not.
    fn read(
        &mut self,
        path: &Path,
        table: &ReadOnlyTable<u64, &'static [u8]>,
        (low, high): (u64, u64),
        backwards: bool,
        next: &mut u64,
    ) -> Result<bool> {
        let outcome = attempt(path, || {
            let mut entries = table.range(low..=high).map_err(|error| failed(path, error))?;
            loop {
                let entry = if backwards { entries.next_back() } else { entries.next() };
                let Some(entry) = entry else { return Ok(()) };
                let (page, bytes) = entry.map_err(|error| failed(path, error))?;
                let page = page.value();
                // Keys out of their order are damaged ones.
                let step = if backwards { page.checked_sub(1) } else { page.checked_add(1) };
                let step = step.filter(|_| (low..=high).contains(&page));
                *next = step.ok_or_else(|| damaged(path, "keys out of order"))?;
                match decode(page, bytes.value()) {
                    Some((written, cells)) => {
                        self.overlay.put_all(vec![(page, Page::of(written, cells)?)])?;
                    }
                    None => self.dropped_pages += 1,
                }
            }
        });
        match outcome {
            Err(Error::OutOfMemory(text)) => Err(Error::OutOfMemory(text)),
            outcome => Ok(outcome.is_ok()),
        }
    }
}
