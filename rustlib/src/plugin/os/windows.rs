//! Windows: copies that the next process removes, and pairs of sockets.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::mem;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::windows::fs::{MetadataExt, OpenOptionsExt};
use std::os::windows::io::AsRawSocket;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, PoisonError};

use super::super::copy::{PREFIX, failed, load_as, new_folder};
use crate::error::{Error, Result};

pub type Loaded = libloading::os::windows::Library;

/// Size, and when it was made and changed.
pub type Version = (u64, u64, u64);

pub fn version_of(data: &Metadata) -> Version {
    (data.file_size(), data.creation_time(), data.last_write_time())
}

/// # Safety
/// The library is trusted: its initialisers run.
pub unsafe fn open(name: &Path) -> std::result::Result<Loaded, libloading::Error> {
    // SAFETY: the caller's.
    unsafe { Loaded::new(name) }
}

/// There are no forks.
pub fn on_fork(_before: extern "C" fn(), _in_parent: extern "C" fn(), _in_child: extern "C" fn()) {}

pub fn path_of(bytes: &[u8]) -> Result<&Path> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(Path::new(text)),
        Err(_) => Err(Error::InvalidArgument(format!(
            "path {:?}: it is not UTF-8",
            String::from_utf8_lossy(bytes)
        ))),
    }
}

/// A folder has the permissions of the one it is in, which here is the user's own.
pub fn private() -> DirBuilder {
    DirBuilder::new()
}

/// Open, and shared with nobody, as long as the process lives to which a folder belongs.
const LOCK: &str = "lock";

/// The folder of this process's copies, and how many are in it.
static COPIES: Mutex<Option<(PathBuf, u64)>> = Mutex::new(None);

/// Loads a copy of `file`, whose path is `path`. What is loaded cannot be removed, so that a
/// later process does it.
pub fn copied(file: &mut File, path: &Path) -> Result<Loaded> {
    let mut copies = COPIES.lock().unwrap_or_else(PoisonError::into_inner);
    let (folder, number) = match copies.take() {
        Some(copies) => copies,
        None => {
            sweep(&std::env::temp_dir());
            let folder = new_folder(path)?;
            // Closed by the system, when the process ends.
            mem::forget(lock(&folder, true).map_err(failed(path))?);
            (folder, 0)
        }
    };
    let name = folder.join(format!("plugin-{number}.dll"));
    *copies = Some((folder, number + 1));
    load_as(&name, file, path)
}

fn lock(folder: &Path, new: bool) -> io::Result<File> {
    let mut how = OpenOptions::new();
    how.write(true).create_new(new).share_mode(0).open(folder.join(LOCK))
}

/// Removes what processes have left that are no more. What cannot be removed stays.
fn sweep(temporary: &Path) {
    let Ok(entries) = fs::read_dir(temporary) else { return };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(PREFIX)
            && let Ok(held) = lock(&entry.path(), false)
        {
            let copies = fs::read_dir(entry.path()).into_iter().flatten().flatten();
            for copy in copies.filter(|copy| copy.file_name() != LOCK) {
                let _ = fs::remove_file(copy.path());
            }
            drop(held);
            let _ = fs::remove_file(entry.path().join(LOCK));
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// Two ends of a connection within this machine, with a byte on it while the flag is up. It is
/// raised and lowered in turns.
pub struct Flag {
    watched: TcpStream,
    other: TcpStream,
    up: AtomicBool,
}

impl Flag {
    pub fn new() -> Result<Flag> {
        let made = pair().and_then(|(watched, other)| {
            // At once, and not together with a byte that never follows.
            other.set_nodelay(true)?;
            Ok(Flag { watched, other, up: AtomicBool::new(false) })
        });
        made.map_err(|source| Error::Io { what: "a pair of sockets".into(), source })
    }

    /// It can be read while the flag is up: a socket, whose number is no wider than this.
    pub fn descriptor(&self) -> i32 {
        self.watched.as_raw_socket() as i32
    }

    pub fn raise(&self) {
        let written = (&self.other).write(&[1]);
        self.up.store(matches!(written, Ok(1)), Relaxed);
    }

    pub fn lower(&self) {
        if self.up.swap(false, Relaxed) {
            // The byte may still be on its way, so this waits for it.
            let _ = (&self.watched).read(&mut [0]);
        }
    }
}

fn pair() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let other = TcpStream::connect(listener.local_addr()?)?;
    loop {
        // Anybody on this machine may have come before.
        let (watched, peer) = listener.accept()?;
        if peer == other.local_addr()? {
            return Ok((watched, other));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_holds_is_swept() {
        let temporary = std::env::temp_dir().join(format!("sweep-{}", std::process::id()));
        let [dead, alive] = ["dead", "alive"].map(|name| temporary.join(format!("{PREFIX}{name}")));
        for folder in [&dead, &alive] {
            fs::create_dir_all(folder).unwrap();
            fs::write(folder.join("plugin-1.dll"), b"left").unwrap();
        }
        drop(lock(&dead, true).unwrap());
        let held = lock(&alive, true).unwrap();
        sweep(&temporary);
        assert!(!dead.exists() && alive.join("plugin-1.dll").exists());
        drop(held);
        sweep(&temporary);
        assert!(!alive.exists());
        fs::remove_dir(&temporary).unwrap();
    }

    #[test]
    fn a_flag_that_is_down_is_not_readable() {
        let flag = Flag::new().unwrap();
        for _ in 0..1000 {
            flag.raise();
            flag.lower();
            flag.lower();
        }
        flag.watched.set_nonblocking(true).unwrap();
        let nothing = (&flag.watched).read(&mut [0]);
        assert_eq!(nothing.unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }
}
