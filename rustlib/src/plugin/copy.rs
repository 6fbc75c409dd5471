//! The private copy of a library: a file of its own, in a folder that nobody else has.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use super::os::{self, Loaded};
use crate::error::{Error, Result};

pub const PREFIX: &str = "gmemx-plugin-";

/// What an error of the system says of the copy of `path`.
pub fn failed(path: &Path) -> impl Fn(io::Error) -> Error {
    move |source| Error::Io { what: format!("a copy of {}", path.display()), source }
}

/// Makes a folder of this user alone, for copies of `library`.
pub fn new_folder(library: &Path) -> Result<PathBuf> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let random = getrandom::u64().map_err(|error| failed(library)(error.into()))?;
    let (process, number) = (std::process::id(), NEXT.fetch_add(1, Relaxed));
    let folder = std::env::temp_dir().join(format!("{PREFIX}{process}-{number}-{random:016x}"));
    // Refused where there is one of this name already, so nobody else can have put it there.
    os::private().create(&folder).map_err(failed(library))?;
    Ok(folder)
}

/// Loads a copy of `file`, whose path is `path`, which stays at `name`.
pub fn load_as(name: &Path, file: &mut File, path: &Path) -> Result<Loaded> {
    // Closed before it is loaded.
    let written = File::create_new(name).and_then(|mut copy| io::copy(file, &mut copy));
    written.map_err(failed(path))?;
    load(name, path)
}

/// Loads `name`, a copy of `path`.
pub fn load(name: &Path, path: &Path) -> Result<Loaded> {
    // SAFETY: loading runs the library's initialisers: whoever names a plugin trusts it.
    let loaded = unsafe { os::open(name) };
    loaded.map_err(|error| {
        let reason = error.to_string().replace(&*name.to_string_lossy(), "it");
        Error::InvalidArgument(format!("{} cannot be loaded: {reason}", path.display()))
    })
}
