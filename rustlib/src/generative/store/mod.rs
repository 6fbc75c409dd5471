//! An overlay in a file: a redb database, which has every flush as a whole or not at all.
//!
//! All reads are from memory. A flush tells the file of the pages that changed, in one
//! transaction of two phases: what a flush wrote is on the disk before the file says that it is
//! there. A writer holds a lock of its own for as long as it has the file; redb's locks let
//! readers in beside it. The database is opened again where a flush failed, since it then
//! refuses to go on.

mod format;
mod load;
#[cfg(test)]
mod power_loss;
mod recover;
mod staged;

use std::ffi::{CStr, CString};
use std::fs::{self, File};
use std::io::{self, Read};
use std::mem;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use redb::backends::FileBackend;
use redb::{Database, ReadableDatabase, StorageBackend};

use super::overlay::Overlay;
use super::{Context, Generator};
use crate::error::{Error, Result};
use format::{ABOUT, About, CONTEXT, PAGES, Total};
use load::{Loaded, attempt, damaged, failed, load, load_staged, locked, other};
pub use recover::{Recovery, recover};

/// What every file of the store begins with.
const MAGIC: &[u8; 9] = b"redb\x1a\x0a\xa9\x0d\x0a";
/// The byte that a writer locks: far behind what a file has, and away from those of redb.
const WRITER: u64 = 1 << 61;

/// How a file is opened. The numbers are part of the C ABI and never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum OpenMode {
    /// For writing; a file that is not there is made.
    Create = 0,
    /// For writing; it must be there.
    Write = 1,
    /// For reading only, also while somebody writes.
    Read = 2,
}

impl OpenMode {
    pub fn from_code(code: i32) -> Result<OpenMode> {
        match code {
            0 => Ok(OpenMode::Create),
            1 => Ok(OpenMode::Write),
            2 => Ok(OpenMode::Read),
            _ => Err(Error::InvalidArgument(format!(
                "mode must be a gmem_open_mode, 0 to 2, not {code}"
            ))),
        }
    }
}

pub struct Store {
    path: PathBuf,
    /// The path as C has it.
    name: CString,
    mode: OpenMode,
    /// A forked child must leave its parent's file alone.
    process: u32,
    /// A flush is under way, so that its changes are in neither the notes nor the file.
    telling: AtomicBool,
    /// Held by whoever flushes.
    open: Mutex<Open>,
}

struct Open {
    about: About,
    /// None for a reader, after a failed flush, and when it is closed.
    database: Option<Database>,
    /// None for a reader, and when it is closed. Dropped last.
    lock: Option<Lock>,
}

/// The right to write, which ends with the value or with the process.
struct Lock(FileBackend);

impl Lock {
    fn take(path: &Path) -> Result<Lock> {
        let cannot = |source| Error::Io {
            what: format!("{} cannot be opened for writing", path.display()),
            source,
        };
        let file = File::options().read(true).write(true).open(path).map_err(cannot)?;
        let file = FileBackend::new(file).map_err(|error| failed(path, error))?;
        let byte = Bound::Included(WRITER);
        match file.try_lock_range(byte, byte) {
            Ok(true) => Ok(Lock(file)),
            Ok(false) => Err(locked(path)),
            Err(redb::BackendError::Io(error)) => Err(cannot(error)),
            Err(_) => Err(cannot(io::ErrorKind::Unsupported.into())),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // The lock belongs to the opened file, which a forked child may have, too.
        let _ = self.0.unlock_range(Bound::Included(WRITER), Bound::Included(WRITER));
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if self.process != process::id() {
            // Closing would write to the parent's file, and give its locks up.
            let open = self.open.get_mut().unwrap_or_else(PoisonError::into_inner);
            mem::forget(open.database.take());
            mem::forget(open.lock.take());
        }
    }
}

/// A context whose overlay is that of a file, and is kept there.
pub fn open(
    path: &Path,
    seed: Option<u64>,
    generator: Option<Generator>,
    mode: OpenMode,
) -> Result<Context> {
    let path = &std::path::absolute(path)
        .map_err(|source| Error::Io { what: format!("{} is no path", path.display()), source })?;
    if mode == OpenMode::Create && !path.exists() {
        create(path, seed, generator.unwrap_or(Generator::Vrns16))?;
    }
    examine(path)?;
    let lock = if mode == OpenMode::Read { None } else { Some(Lock::take(path)?) };
    let loaded = if lock.is_some() { load_staged(path, None)? } else { load(path, None)? };
    let Some(Loaded { about, mut overlay }) = loaded else { return Err(other(path)) };
    agree(path, about, seed, generator)?;
    let database = match &lock {
        None => None,
        Some(_) => {
            overlay.keep_notes()?;
            Some(open_database(path, about.flushes..=about.flushes)?.0)
        }
    };
    let open = Mutex::new(Open { about, database, lock });
    let name = CString::new(path.as_os_str().as_encoded_bytes()).unwrap_or_default();
    let store = Store {
        path: path.clone(),
        name,
        mode,
        process: process::id(),
        telling: AtomicBool::new(false),
        open,
    };
    Ok(Context::with_store(about.seed, about.generator, overlay, store))
}

fn agree(path: &Path, about: About, seed: Option<u64>, generator: Option<Generator>) -> Result<()> {
    if let Some(seed) = seed.filter(|&seed| seed != about.seed) {
        return Err(Error::InvalidArgument(format!(
            "{} has the seed {}, not {seed}",
            path.display(),
            about.seed
        )));
    }
    if let Some(generator) = generator.filter(|&generator| generator != about.generator) {
        return Err(Error::InvalidArgument(format!(
            "{} has the generator '{}', not '{}'",
            path.display(),
            about.generator.name(),
            generator.name()
        )));
    }
    Ok(())
}

/// Refuses what is no file, or has nothing in it, before anybody writes to it.
fn examine(path: &Path) -> Result<()> {
    let cannot =
        |source| Error::Io { what: format!("{} cannot be opened", path.display()), source };
    let found = fs::metadata(path).map_err(cannot)?;
    if found.is_dir() {
        return Err(cannot(io::ErrorKind::IsADirectory.into()));
    }
    if found.len() == 0 {
        return Err(Error::InvalidArgument(format!(
            "{} is empty; a new context is made where there is no file",
            path.display()
        )));
    }
    let mut start = [0; MAGIC.len()];
    match File::open(path).map_err(cannot)?.read_exact(&mut start) {
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(cannot(error)),
        _ if start != *MAGIC => Err(other(path)),
        _ => Ok(()),
    }
}

/// The database of a file that was checked, whose last flush should be one of these.
fn open_database(path: &Path, flushes: std::ops::RangeInclusive<u64>) -> Result<(Database, About)> {
    attempt(path, || {
        let database = load::builder().open(path).map_err(|error| failed(path, error))?;
        let transaction = database.begin_read().map_err(|error| failed(path, error))?;
        let about = load::about(path, &transaction)?;
        if !flushes.contains(&about.flushes) {
            return Err(damaged(path, "somebody changed it meanwhile"));
        }
        drop(transaction);
        Ok((database, about))
    })
}

/// Makes a file, which has its name only once it is whole.
fn create(path: &Path, seed: Option<u64>, generator: Generator) -> Result<()> {
    let Some(seed) = seed else {
        return Err(Error::InvalidArgument(format!(
            "there is no {}, and to make it a seed is needed",
            path.display()
        )));
    };
    let cannot = |source| Error::Io { what: format!("{} cannot be made", path.display()), source };
    let (temporary, file) = beside(path).map_err(cannot)?;
    let about = About { seed, generator, flushes: 0, total: Total::default() };
    let made = attempt(path, || {
        fill(file, about).map_err(|error| match error {
            redb::Error::Io(source) => cannot(source),
            other => failed(path, other),
        })
    });
    let named = made.and_then(|()| match fs::hard_link(&temporary, path) {
        // Somebody else was quicker: it is theirs that is opened.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        // Not every file system has links.
        Err(_) => fs::rename(&temporary, path).map_err(cannot),
        Ok(()) => Ok(()),
    });
    // After a renaming there is nothing to remove; nobody else knows of it.
    let _ = fs::remove_file(&temporary);
    named?;
    sync_folder(path).map_err(cannot)
}

fn fill(file: File, about: About) -> std::result::Result<(), redb::Error> {
    let database = load::builder().create_with_backend(FileBackend::new(file)?)?;
    prepare(&database, about)?;
    Ok(database.close()?)
}

/// Makes the tables of a context without cells.
fn prepare(database: &Database, about: About) -> std::result::Result<(), redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_two_phase_commit(true);
    transaction.open_table(PAGES)?;
    transaction.open_table(ABOUT)?.insert(CONTEXT, &*about.to_bytes())?;
    Ok(transaction.commit()?)
}

fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}

fn beside(path: &Path) -> io::Result<(PathBuf, File)> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let temporary = folder_of(path).join(format!(".{name}.{}-{number}", process::id()));
    let file = File::options().read(true).write(true).create_new(true).open(&temporary)?;
    Ok((temporary, file))
}

/// A new name survives a loss of power only when its folder was synchronised.
fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder_of(path))?.sync_all() } else { Ok(()) }
}

impl Store {
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn name(&self) -> &CStr {
        &self.name
    }

    pub fn is_telling(&self) -> bool {
        self.telling.load(Ordering::Acquire)
    }

    pub fn read_only(&self) -> bool {
        self.mode == OpenMode::Read
    }

    fn lock(&self) -> Result<MutexGuard<'_, Open>> {
        if self.process != process::id() {
            return Err(Error::InvalidArgument(format!(
                "{} belongs to process {}, and this is a forked child of it",
                self.path.display(),
                self.process
            )));
        }
        Ok(self.open.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Tells the file of all that was written until now. Afterwards it is there whatever happens.
    pub fn flush(&self, overlay: &Overlay) -> Result<()> {
        let mut open = self.lock()?;
        self.flush_locked(&mut open, overlay)
    }

    fn flush_locked(&self, open: &mut Open, overlay: &Overlay) -> Result<()> {
        if open.lock.is_none() || !overlay.has_changes() {
            return Ok(());
        }
        self.telling.store(true, Ordering::Release);
        let done = self.tell_changes(open, overlay);
        self.telling.store(false, Ordering::Release);
        done
    }

    fn tell_changes(&self, open: &mut Open, overlay: &Overlay) -> Result<()> {
        let mut changes = overlay.take_changes()?;
        changes.sort();
        let told = self.database(open).and_then(|(database, about)| {
            attempt(&self.path, || {
                tell(database, about, &changes).map_err(|error| self.unwritten(error))
            })
        });
        match told {
            Ok(about) => open.about = about,
            Err(error) => {
                overlay.give_back(changes);
                self.let_go(open);
                return Err(error);
            }
        }
        Ok(())
    }

    /// The database, opened again after a failure.
    fn database<'a>(&self, open: &'a mut Open) -> Result<(&'a mut Database, About)> {
        let database = match open.database.take() {
            Some(database) => database,
            None => {
                // A flush that failed at its very end may be in the file.
                let last = open.about.flushes;
                let (database, about) = open_database(&self.path, last..=last + 1)?;
                open.about = about;
                database
            }
        };
        Ok((open.database.insert(database), open.about))
    }

    /// Gives a database up that refuses to go on.
    fn let_go(&self, open: &mut Open) {
        let _ = attempt(&self.path, || {
            drop(open.database.take());
            Ok(())
        });
    }

    fn unwritten(&self, error: redb::Error) -> Error {
        match error {
            redb::Error::Io(source) => Error::Io {
                what: format!(
                    "{} could not be written, and is as the last flush left it",
                    self.path.display()
                ),
                source,
            },
            other => failed(&self.path, other),
        }
    }

    /// Makes the file as small as it can be; returns how many bytes that gave back.
    pub fn compact(&self, overlay: &Overlay) -> Result<u64> {
        let mut open = self.lock()?;
        self.flush_locked(&mut open, overlay)?;
        if open.lock.is_none() {
            return Ok(0);
        }
        let len = || {
            let found = fs::metadata(&self.path);
            found
                .map(|found| found.len())
                .map_err(|error| failed(&self.path, redb::Error::Io(error)))
        };
        let before = len()?;
        let (database, _) = self.database(&mut open)?;
        let done = attempt(&self.path, || match database.compact() {
            // A reader has the file as it was; what it needs stays.
            Ok(_) | Err(redb::CompactionError::TransactionInProgress) => Ok(()),
            Err(error) => Err(self.unwritten(error.into())),
        });
        if done.is_err() {
            self.let_go(&mut open);
        }
        done?;
        Ok(before.saturating_sub(len()?))
    }

    /// Flushes, and gives the file up. After a failure it is still open.
    pub fn close(&self, overlay: &Overlay) -> Result<()> {
        let mut open = self.lock()?;
        self.flush_locked(&mut open, overlay)?;
        // All is on the disk: what closing writes besides spares the next one time.
        self.let_go(&mut open);
        open.lock = None;
        Ok(())
    }

    /// Takes what the file has now; whether that is something new.
    pub fn refresh(&self, overlay: &Overlay) -> Result<bool> {
        let mut open = self.lock()?;
        let Some(loaded) = load(&self.path, Some(open.about))? else { return Ok(false) };
        agree(&self.path, loaded.about, Some(open.about.seed), Some(open.about.generator))?;
        overlay.replace(loaded.overlay)?;
        open.about = loaded.about;
        Ok(true)
    }
}

/// Puts changes into the file, in one transaction.
fn tell(
    database: &mut Database,
    about: About,
    changes: &super::changes::Changes,
) -> std::result::Result<About, redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_two_phase_commit(true);
    let mut about = About { flushes: about.flushes + 1, ..about };
    if changes.everything {
        transaction.delete_table(PAGES)?;
        about.total = Total::default();
    }
    let mut table = transaction.open_table(PAGES)?;
    let mut bytes = Vec::new();
    for (page, written, cells) in changes.iter() {
        let old = if written == 0 {
            table.remove(page)?
        } else {
            format::encode(page, written, cells, &mut bytes);
            about.total.add(page, &bytes);
            table.insert(page, &*bytes)?
        };
        if let Some(old) = old {
            about.total.remove(page, old.value());
        }
    }
    drop(table);
    transaction.open_table(ABOUT)?.insert(CONTEXT, &*about.to_bytes())?;
    transaction.commit()?;
    Ok(about)
}
