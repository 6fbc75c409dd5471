//! Who is alive: each process that uses a pool has a lock on one byte of its control
//! segment, far behind the end. The system takes it away at any death whatever.
//!
//! These are locks of an open file description (`fcntl_locking(2)`): unlike those of a
//! process they do not vanish when some other descriptor of the file is closed.

use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::io::Errno;

use super::atomic::PROCESSES;
use super::segment::io_error;
use crate::error::Result;

const FIRST_BYTE: i64 = 1 << 40;
/// Held on a data segment until its control segment has a name too.
const PUBLISHING: i64 = 0;

fn request(kind: i32, from: i64, bytes: i64) -> libc::flock {
    // SAFETY: a plain structure, for which zeros are a value.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = kind as _;
    lock.l_whence = libc::SEEK_SET as _;
    lock.l_start = from as _;
    lock.l_len = bytes as _;
    lock
}

/// Whether a lock was to be had.
fn set(file: BorrowedFd, kind: i32, from: i64, bytes: i64) -> Result<bool> {
    let lock = request(kind, from, bytes);
    loop {
        // SAFETY: an open descriptor and a lock that lives through the call.
        if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &lock) } == 0 {
            return Ok(true);
        }
        match Errno::from_io_error(&std::io::Error::last_os_error()) {
            Some(Errno::AGAIN | Errno::ACCESS) => return Ok(false),
            Some(Errno::INTR) => {}
            errno => return Err(io_error("locking a pool", errno.unwrap_or(Errno::IO))),
        }
    }
}

/// Takes a process's place, if no live process has it.
pub fn take(file: BorrowedFd, process: u32) -> Result<bool> {
    set(file, libc::F_WRLCK, FIRST_BYTE + i64::from(process), 1)
}

pub fn give_up(file: BorrowedFd, process: u32) -> Result<()> {
    set(file, libc::F_UNLCK, FIRST_BYTE + i64::from(process), 1).map(drop)
}

/// Takes the places of all processes; false where a live one has any, but for those
/// that this description has.
pub fn take_all(file: BorrowedFd) -> Result<bool> {
    set(file, libc::F_WRLCK, FIRST_BYTE, i64::from(PROCESSES))
}

/// Whether a process other than through this description has that place.
pub fn is_alive(file: BorrowedFd, process: u32) -> Result<bool> {
    let mut lock = request(libc::F_WRLCK, FIRST_BYTE + i64::from(process), 1);
    // SAFETY: an open descriptor and a lock that lives through the call.
    if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_GETLK, &mut lock) } != 0 {
        let errno = Errno::from_io_error(&std::io::Error::last_os_error());
        return Err(io_error("looking who uses a pool", errno.unwrap_or(Errno::IO)));
    }
    Ok(i32::from(lock.l_type) != libc::F_UNLCK)
}

/// Marks a data segment as being published, until the description is closed or
/// [`published`] is called; false where somebody else does that.
pub fn publishing(file: BorrowedFd) -> Result<bool> {
    set(file, libc::F_WRLCK, PUBLISHING, 1)
}

pub fn published(file: BorrowedFd) -> Result<()> {
    set(file, libc::F_UNLCK, PUBLISHING, 1).map(drop)
}
