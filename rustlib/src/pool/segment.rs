//! Shared memory as the system gives it: files without a name until they are complete,
//! mappings, and memory that is really there before anybody touches it.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr;

use rustix::fs::{AtFlags, CWD, FallocateFlags, MemfdFlags, Mode, OFlags, SealFlags};
use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags};

use crate::error::{Error, Result};

/// Where the system keeps shared memory.
pub const FOLDER: &str = "/dev/shm";
const CONTROL_PREFIX: &str = "gmemx.";
const DATA_PREFIX: &str = "gmemx-data.";
const MAX_NAME: usize = 200;
/// Bytes whose zeroing takes much longer than asking how much memory there is.
const WORTH_A_LOOK: u64 = 16 << 20;

pub fn io_error(what: impl Into<String>, errno: Errno) -> Error {
    Error::Io { what: what.into(), source: errno.into() }
}

/// The file of the pool of that name.
pub fn control_path(name: &str) -> Result<PathBuf> {
    let bare = name.strip_prefix('/').unwrap_or(name);
    let refuse = |why: &str| {
        Err(Error::InvalidArgument(format!("{name:.220?} cannot be the name of a pool: {why}")))
    };
    if bare.is_empty() {
        return refuse("it is empty");
    }
    if bare.len() > MAX_NAME {
        return refuse(&format!("it has {} bytes, and {MAX_NAME} are the most", bare.len()));
    }
    if bare.contains('/') {
        return refuse("a slash may only be in front");
    }
    if bare.contains('\0') {
        return refuse("it has a NUL");
    }
    Ok(Path::new(FOLDER).join(format!("{CONTROL_PREFIX}{bare}")))
}

/// The name of the pool whose control segment has that file name.
pub fn name_of(file: &OsStr) -> Option<&str> {
    file.to_str()?.strip_prefix(CONTROL_PREFIX)
}

/// The id of the pool whose data segment has that file name.
pub fn id_of(file: &OsStr) -> Option<[u8; 16]> {
    let digits = file.as_bytes().strip_prefix(DATA_PREFIX.as_bytes())?;
    let digits = str::from_utf8(digits).ok().filter(|digits| digits.len() == 32)?;
    u128::from_str_radix(digits, 16).ok().map(u128::to_be_bytes)
}

pub fn data_path(id: &[u8; 16]) -> PathBuf {
    Path::new(FOLDER).join(format!("{DATA_PREFIX}{:032x}", u128::from_be_bytes(*id)))
}

/// A file in shared memory that has no name yet.
pub fn unnamed(mode: u32, bytes: u64) -> Result<OwnedFd> {
    let what = || format!("making shared memory in {FOLDER}");
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let file = rustix::fs::open(FOLDER, flags, Mode::RUSR | Mode::WUSR)
        .map_err(|errno| io_error(what(), errno))?;
    // Not through open, where the umask would take bits away.
    rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))
        .map_err(|errno| io_error(what(), errno))?;
    rustix::fs::ftruncate(&file, bytes).map_err(|errno| io_error(what(), errno))?;
    Ok(file)
}

/// A file that never gets a name, and cannot be made shorter under those who map it.
pub fn memfd(label: &str, bytes: u64) -> Result<OwnedFd> {
    let what = || "making anonymous shared memory".to_owned();
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let file = rustix::fs::memfd_create(label, flags).map_err(|errno| io_error(what(), errno))?;
    rustix::fs::ftruncate(&file, bytes).map_err(|errno| io_error(what(), errno))?;
    rustix::fs::fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)
        .map_err(|errno| io_error(what(), errno))?;
    Ok(file)
}

/// Gives a file its name, unless that is taken.
pub fn publish(file: impl AsFd, path: &Path) -> rustix::io::Result<()> {
    rustix::fs::linkat(CWD, through_proc(file), CWD, path, AtFlags::SYMLINK_FOLLOW)
}

/// Opens what may be anything, of which nothing waits.
pub fn open(path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let careful = OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    rustix::fs::open(path, flags | careful, Mode::empty())
}

/// The same file opened anew: locks belong to an opening, not to a file.
pub fn reopen(file: impl AsFd, flags: OFlags) -> Result<OwnedFd> {
    rustix::fs::open(through_proc(file), flags | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| io_error("opening shared memory by /proc/self/fd", errno))
}

fn through_proc(file: impl AsFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_fd().as_raw_fd()))
}

/// What tells a file from all others, and how long it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    pub device: u64,
    pub inode: u64,
    pub bytes: u64,
    pub mode: u32,
}

impl From<rustix::fs::Stat> for Identity {
    // The types of the fields differ between systems.
    #[allow(clippy::unnecessary_cast)]
    fn from(stat: rustix::fs::Stat) -> Identity {
        Identity {
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
            bytes: stat.st_size as u64,
            mode: stat.st_mode as u32 & 0o7777,
        }
    }
}

pub fn identity(file: impl AsFd) -> Result<Identity> {
    let stat = rustix::fs::fstat(file).map_err(|errno| io_error("looking at a file", errno))?;
    Ok(stat.into())
}

/// Removes a name if it is still that file's.
pub fn unlink_if(path: &Path, file: impl AsFd) -> Result<()> {
    let named = match rustix::fs::lstat(path) {
        Ok(stat) => Identity::from(stat),
        Err(Errno::NOENT) => return Ok(()),
        Err(errno) => return Err(io_error(format!("looking at {}", path.display()), errno)),
    };
    if named.inode != identity(file)?.inode {
        return Ok(());
    }
    unlink(path)
}

pub fn unlink(path: &Path) -> Result<()> {
    match rustix::fs::unlink(path) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(io_error(format!("removing {}", path.display()), errno)),
    }
}

/// Makes sure that a range of a file has memory: touching what has none, when the system
/// has no more, would end the process.
pub fn commit(file: BorrowedFd, from: u64, bytes: u64) -> Result<()> {
    // The system would take it from other processes, and kill some, before it said no.
    if bytes >= WORTH_A_LOOK && available().is_some_and(|available| bytes > available) {
        let text = "the system has not enough memory left for a buffer of that size";
        return Err(Error::OutOfMemory(text));
    }
    loop {
        match rustix::fs::fallocate(file, FallocateFlags::KEEP_SIZE, from, bytes) {
            Ok(()) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(Errno::NOSPC | Errno::NOMEM) => {
                let text = "the system has no shared memory left for the pool: /dev/shm is full";
                return Err(Error::OutOfMemory(text));
            }
            Err(errno) => return Err(io_error(format!("taking {bytes} bytes of memory"), errno)),
        }
    }
}

/// Gives the memory of a range back.
pub fn discard(file: BorrowedFd, from: u64, bytes: u64) -> Result<()> {
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    rustix::fs::fallocate(file, flags, from, bytes)
        .map_err(|errno| io_error(format!("giving {bytes} bytes of memory back"), errno))
}

/// As much shared memory as the system lends, and no more than half of what it has.
pub fn lendable() -> Result<u64> {
    let stat = rustix::fs::statvfs(FOLDER)
        .map_err(|errno| io_error(format!("looking at {FOLDER}"), errno))?;
    let lent = stat.f_blocks.saturating_mul(stat.f_frsize);
    Ok(lent.min(memory("MemTotal:").map_or(lent, |total| total / 2)))
}

/// What could be taken without taking it from anybody.
fn available() -> Option<u64> {
    memory("MemAvailable:")
}

/// A line of `/proc/meminfo`, in bytes.
fn memory(line: &str) -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let rest = text.lines().find_map(|text| text.strip_prefix(line))?;
    rest.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

/// The bytes of memory that a file has.
pub fn taken(file: impl AsFd) -> Result<u64> {
    let stat = rustix::fs::fstat(file).map_err(|errno| io_error("looking at a file", errno))?;
    Ok(stat.st_blocks as u64 * 512)
}

/// A whole file mapped and shared.
pub struct Mapping {
    start: *mut u8,
    bytes: usize,
}

// SAFETY: a range of addresses; what is done with them is their users' affair.
unsafe impl Send for Mapping {}
// SAFETY: as for Send.
unsafe impl Sync for Mapping {}

impl Mapping {
    pub fn new(file: impl AsFd, bytes: u64, writable: bool) -> Result<Mapping> {
        let fail = |errno| io_error(format!("mapping {bytes} bytes of shared memory"), errno);
        let bytes = usize::try_from(bytes).map_err(|_| fail(Errno::NOMEM))?;
        let write = if writable { ProtFlags::WRITE } else { ProtFlags::empty() };
        let flags = MapFlags::SHARED | MapFlags::NORESERVE;
        // SAFETY: a new mapping, at an address of the system's choice.
        let start = unsafe {
            rustix::mm::mmap(ptr::null_mut(), bytes, ProtFlags::READ | write, flags, file, 0)
        }
        .map_err(fail)?;
        Ok(Mapping { start: start.cast(), bytes })
    }

    /// The same by another opening of the file, at the same place. A mapping keeps the
    /// opening that it was made through, and so its locks.
    ///
    /// # Safety
    /// It was made writable, and of that file.
    pub unsafe fn move_to(&self, file: impl AsFd) -> Result<()> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        let flags = MapFlags::SHARED | MapFlags::NORESERVE | MapFlags::FIXED;
        // SAFETY: it takes the place of this very mapping, in one step; the bytes are the same.
        unsafe { rustix::mm::mmap(self.start.cast(), self.bytes, protection, flags, file, 0) }
            .map_err(|errno| io_error("mapping a pool in a forked child", errno))?;
        Ok(())
    }

    pub fn start(&self) -> *mut u8 {
        self.start
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: this mapping, whose users are gone.
        let _ = unsafe { rustix::mm::munmap(self.start.cast(), self.bytes) };
    }
}

/// The error of a pool that is not there, or no more.
pub fn missing(name: &str) -> Error {
    let source = io::Error::from(Errno::NOENT);
    Error::Io { what: format!("there is no pool {name:?}"), source }
}
