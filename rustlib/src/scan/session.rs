//! A scanner in a file: what it found, with all values, its checkpoints, and notes of
//! whoever saved it.
//!
//! All numbers are little-endian. The file begins with `MAGIC`, the version, the notes and
//! a checksum of these; then come the types, the values in pieces, the matches that refer
//! to them, the checkpoints, and a checksum of everything. It may come from anywhere:
//! every length is held against what is left of the file before memory is taken for it, and
//! everything against what a scan could have found.

mod reading;
mod writing;

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::scanner::{Options, Scanner};
use super::source::Source;
use crate::error::{Error, Result};

const MAGIC: &[u8; 8] = b"gmemscan";
const VERSION: u32 = 1;

/// What the values of a span are, in a file.
mod tag {
    pub const NONE: u8 = 0;
    pub const ZERO: u8 = 1;
    pub const WHOLE: u8 = 2;
    pub const PACKED: u8 = 3;
}

/// Which form the cells of a span have.
mod form {
    pub const ALL: u8 = 0;
    pub const BITS: u8 = 1;
    pub const LIST: u8 = 2;
}

/// Writes a scanner to a file, which is there as a whole or, after a failure, as it was
/// before. Steps that could be undone are not in it.
pub fn save(scanner: &Scanner, path: &Path, notes: &[u8]) -> Result<()> {
    let failed = |source| Error::Io { what: format!("{} cannot be saved", path.display()), source };
    let (temporary, file) = beside(path).map_err(failed)?;
    let saved = writing::write(scanner, notes, &file)
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&temporary, path))
        .and_then(|()| File::open(folder_of(path))?.sync_all());
    if saved.is_err() {
        // After the renaming there is nothing to remove; before it nobody else knows of it.
        let _ = fs::remove_file(&temporary);
    }
    saved.map_err(failed)
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A new file in the same folder, for nobody else's eyes: it has another's memory in it.
fn beside(path: &Path) -> io::Result<(PathBuf, File)> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let temporary = folder_of(path).join(format!(".{name}.{}-{number}", process::id()));
    let mut options = File::options();
    let file = options.write(true).create_new(true).mode(0o600).open(&temporary)?;
    Ok((temporary, file))
}

/// A scanner of `source` as it was saved. Its types, alignment and byte order are the
/// file's; all other options are those given.
pub fn load(source: Arc<dyn Source>, path: &Path, options: Options) -> Result<Scanner> {
    reading::read(source, path, options)
}

/// The notes in a file, without the rest.
pub fn notes(path: &Path) -> Result<Vec<u8>> {
    reading::Input::open(path)?.notes()
}

/// What goes to a file, with the checksum of what went before.
struct Output<W> {
    to: W,
    sum: u32,
}

impl<W: Write> Output<W> {
    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sum = crc32c::crc32c_append(self.sum, bytes);
        self.to.write_all(bytes)
    }

    fn u8(&mut self, value: u8) -> io::Result<()> {
        self.bytes(&[value])
    }

    fn u32(&mut self, value: u32) -> io::Result<()> {
        self.bytes(&value.to_le_bytes())
    }

    fn u64(&mut self, value: u64) -> io::Result<()> {
        self.bytes(&value.to_le_bytes())
    }

    /// A length, and so many bytes.
    fn sized(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.u64(bytes.len() as u64)?;
        self.bytes(bytes)
    }
}
