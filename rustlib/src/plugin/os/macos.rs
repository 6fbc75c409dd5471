//! macOS: copies in a folder that is gone at once, and socket pairs.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::unix::{Loaded, in_folder};
use crate::error::{Error, Result};

/// Loads a copy of `file`, whose path is `path`.
pub fn copied(file: &mut File, path: &Path) -> Result<Loaded> {
    in_folder(file, path, "plugin.dylib")
}

/// Two ends of a socket, with a byte between them while the flag is up. It is raised and
/// lowered in turns.
pub struct Flag {
    watched: UnixStream,
    other: UnixStream,
}

impl Flag {
    pub fn new() -> Result<Flag> {
        let made = UnixStream::pair().and_then(|(watched, other)| {
            watched.set_nonblocking(true)?;
            other.set_nonblocking(true)?;
            Ok(Flag { watched, other })
        });
        made.map_err(|source| Error::Io { what: "a pair of sockets".into(), source })
    }

    /// It can be read while the flag is up.
    pub fn descriptor(&self) -> i32 {
        self.watched.as_raw_fd()
    }

    pub fn raise(&self) {
        // It cannot fail: nothing is between the two.
        let _ = (&self.other).write(&[1]);
    }

    pub fn lower(&self) {
        let _ = (&self.watched).read(&mut [0]);
    }
}
