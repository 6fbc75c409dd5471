//! What Linux and macOS have in common.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;

use libloading::os::unix::{RTLD_LOCAL, RTLD_NOW};

use super::super::copy::{load_as, new_folder};
use crate::error::Result;

pub type Loaded = libloading::os::unix::Library;

/// Device, inode and size; when the contents and when anything else changed.
pub type Version = (u64, u64, u64, (i64, i64), (i64, i64));

pub fn version_of(data: &Metadata) -> Version {
    let modified = (data.mtime(), data.mtime_nsec());
    (data.dev(), data.ino(), data.size(), modified, (data.ctime(), data.ctime_nsec()))
}

/// # Safety
/// The library is trusted: its initialisers run.
pub unsafe fn open(name: &Path) -> std::result::Result<Loaded, libloading::Error> {
    // SAFETY: the caller's.
    unsafe { Loaded::open(Some(name), RTLD_NOW | RTLD_LOCAL) }
}

pub fn on_fork(before: extern "C" fn(), in_parent: extern "C" fn(), in_child: extern "C" fn()) {
    // SAFETY: three functions that live for ever, as the library does.
    unsafe { libc::pthread_atfork(Some(before), Some(in_parent), Some(in_child)) };
}

/// Any bytes are a path.
pub fn path_of(bytes: &[u8]) -> Result<&Path> {
    Ok(Path::new(OsStr::from_bytes(bytes)))
}

/// Makes folders that are this user's alone.
pub fn private() -> DirBuilder {
    let mut builder = DirBuilder::new();
    builder.mode(0o700);
    builder
}

/// Loads a copy of `file`, whose path is `path`, from a folder that is gone again at once.
pub fn in_folder(file: &mut File, path: &Path, name: &str) -> Result<Loaded> {
    let folder = new_folder(path)?;
    let loaded = load_as(&folder.join(name), file, path);
    // What was loaded stays; a leftover would be no reason to fail.
    let _ = fs::remove_dir_all(&folder);
    loaded
}
