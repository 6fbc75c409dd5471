//! From a file to an overlay. Nothing here changes a file, and nothing that is in one is
//! believed before it was checked.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::thread;
use std::time::Duration;

use redb::{
    Builder, ConcurrencyMode, DatabaseError, ReadTransaction, ReadableDatabase, ReadableTable,
    TableError,
};

use super::super::overlay::Overlay;
use super::super::overlay::bulk::BATCH;
use super::super::page::Page;
use super::format::{ABOUT, About, CONTEXT, PAGES, Total, Unknown, decode};
use super::staged::Staged;
use crate::error::{Error, Result};
use crate::parallel;

/// What the store keeps of a file in memory: all is read once, or written once.
const CACHE: usize = 64 << 20;
/// How often a file that somebody is just opening is asked for again, and how long in between.
const PATIENCE: (u32, Duration) = (100, Duration::from_millis(20));

pub struct Loaded {
    pub about: About,
    pub overlay: Overlay,
}

pub fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE).set_concurrency_mode(ConcurrencyMode::SingleWriter);
    builder
}

pub fn damaged(path: &Path, how: impl std::fmt::Display) -> Error {
    Error::InvalidArgument(format!("{} is damaged: {how}", path.display()))
}

/// What the store says of a file, as a sentence that names it.
pub fn failed(path: &Path, error: impl Into<redb::Error>) -> Error {
    match error.into() {
        redb::Error::Io(source) if source.kind() == std::io::ErrorKind::UnexpectedEof => {
            damaged(path, "its end is missing")
        }
        redb::Error::Io(source) => {
            Error::Io { what: format!("{} cannot be read or written", path.display()), source }
        }
        redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => locked(path),
        other => damaged(path, other),
    }
}

pub fn locked(path: &Path) -> Error {
    // As the system itself says of a lock that another has.
    #[cfg(unix)]
    let source = std::io::Error::from_raw_os_error(libc::EAGAIN);
    #[cfg(not(unix))]
    let source = std::io::ErrorKind::WouldBlock.into();
    let what = format!("{} is open for writing elsewhere, and has one writer only", path.display());
    Error::Io { what, source }
}

/// Runs what reads or writes through the store, which may panic where a file is damaged.
pub fn attempt<T>(path: &Path, work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(damaged(path, "its tables make no sense")))
}

/// A file as its last flush left it, while somebody writes to it or not; None where that is
/// `known` already.
pub fn load(path: &Path, known: Option<About>) -> Result<Option<Loaded>> {
    let mut told = None;
    for _ in 0..PATIENCE.0 {
        match attempt(path, || Ok(builder().open_read_only(path)))? {
            Ok(database) => {
                return attempt(path, || {
                    read(path, database.begin_read().map_err(redb::Error::from), known)
                });
            }
            // Nobody writes, and the last who did was killed: so it is repaired, in memory. Should
            // somebody come meanwhile, what is read fits nothing, and the file is asked for again.
            Err(DatabaseError::RepairAborted) => match load_staged(path, known) {
                Ok(loaded) => return Ok(loaded),
                Err(error) if told.is_some() => return Err(error),
                Err(error) => told = Some(error),
            },
            Err(DatabaseError::DatabaseAlreadyOpen) => told = Some(locked(path)),
            Err(error) => return Err(failed(path, error)),
        }
        thread::sleep(PATIENCE.1);
    }
    Err(told.unwrap_or_else(|| locked(path)))
}

/// The same where nobody writes, after every byte that the store relies on was checked.
pub fn load_staged(path: &Path, known: Option<About>) -> Result<Option<Loaded>> {
    attempt(path, || {
        let file = File::open(path).map_err(|error| failed(path, redb::Error::Io(error)))?;
        let staged = Staged::new(file).map_err(|error| failed(path, redb::Error::Io(error)))?;
        let mut builder = Builder::new();
        let database = builder
            .set_cache_size(CACHE)
            .set_check_integrity_on_open(true)
            .create_with_backend(staged)
            .map_err(|error| failed(path, error))?;
        read(path, database.begin_read().map_err(redb::Error::from), known)
    })
}

fn read(
    path: &Path,
    transaction: std::result::Result<ReadTransaction, redb::Error>,
    known: Option<About>,
) -> Result<Option<Loaded>> {
    let transaction = transaction.map_err(|error| failed(path, error))?;
    let about = about(path, &transaction)?;
    if known == Some(about) {
        return Ok(None);
    }
    let pages = transaction.open_table(PAGES).map_err(|error| failed(path, error))?;
    let overlay = Overlay::default();
    overlay.reserve(about.total.pages)?;
    let mut total = Total::default();
    let entries = pages.iter().map_err(|error| failed(path, error))?.map(|entry| {
        let (page, bytes) = entry.map_err(|error| failed(path, error))?;
        let (page, bytes) = (page.value(), bytes.value());
        let (written, cells) = decode(page, bytes).ok_or_else(|| {
            damaged(path, format!("the cells from address {} on are not as written", page << 6))
        })?;
        total.add(page, bytes);
        Ok((page, Page::of(written, cells)?))
    });
    put_all(&overlay, entries)?;
    if total != about.total {
        return Err(damaged(
            path,
            format!("it should have {} cells, and has {}", about.total.cells, total.cells),
        ));
    }
    Ok(Some(Loaded { about, overlay }))
}

/// Puts pages into an overlay batch by batch: one is put in while the next is read.
fn put_all(
    overlay: &Overlay,
    mut entries: impl Iterator<Item = Result<(u64, Page)>>,
) -> Result<()> {
    let mut read = || -> Result<Vec<_>> {
        let mut batch = Vec::new();
        for entry in entries.by_ref().take(BATCH) {
            batch.try_reserve(1).map_err(|_| {
                Error::OutOfMemory("out of memory: no room for the pages of a file")
            })?;
            batch.push(entry?);
        }
        Ok(batch)
    };
    let mut batch = read()?;
    while !batch.is_empty() {
        let (next, done) = parallel::beside(&mut read, || overlay.put_all(batch));
        done?;
        batch = next?;
    }
    Ok(())
}

/// Whose cells these are.
pub fn about(path: &Path, transaction: &ReadTransaction) -> Result<About> {
    let table = match transaction.open_table(ABOUT) {
        Err(TableError::TableDoesNotExist(_) | TableError::TableTypeMismatch { .. }) => {
            return Err(other(path));
        }
        table => table.map_err(|error| failed(path, error))?,
    };
    let row = table.get(CONTEXT).map_err(|error| failed(path, error))?;
    let row = row.ok_or_else(|| other(path))?;
    About::from_bytes(row.value()).map_err(|unknown| match unknown {
        Unknown::Damaged => damaged(path, "what it says of its context is not as written"),
        Unknown::Version(version) => Error::InvalidArgument(format!(
            "{} was written by a newer gmemx: its format is {version}",
            path.display()
        )),
        Unknown::Generator(name) => Error::InvalidArgument(format!(
            "{} is of the generator '{name}', which this gmemx does not have",
            path.display()
        )),
    })
}

pub fn other(path: &Path) -> Error {
    Error::InvalidArgument(format!("{} is no file of a generative context", path.display()))
}
