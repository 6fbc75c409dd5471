//! Where the values of matches are kept: in memory up to a limit, beyond it on disk.

use std::ffi::c_void;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{FallocateFlags, fallocate};
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, mmap_anonymous, munmap};

use crate::error::{Error, Result};

/// From this size on a mapping of its own, in huge pages where there are any.
const LARGE: usize = 1 << 20;

/// The memory of one scanner.
pub struct Store {
    limit: u64,
    folder: PathBuf,
    ram: AtomicU64,
    disk: AtomicU64,
}

impl Store {
    /// `limit` in bytes, 0 for half of what the machine has free.
    pub fn new(limit: u64, folder: &Path) -> Arc<Store> {
        let limit = if limit == 0 { half_of_free() } else { limit };
        let (ram, disk) = (AtomicU64::new(0), AtomicU64::new(0));
        Arc::new(Store { limit, folder: folder.to_owned(), ram, disk })
    }

    /// Bytes in memory and on disk.
    pub fn used(&self) -> (u64, u64) {
        (self.ram.load(Ordering::Relaxed), self.disk.load(Ordering::Relaxed))
    }

    /// A block of zeros, which `Block::fill` writes to.
    pub fn block(self: &Arc<Store>, len: usize) -> Result<Block> {
        let size = len as u64;
        let before = self.ram.fetch_add(size, Ordering::Relaxed);
        if before + size <= self.limit {
            let backing = allocate(len).inspect_err(|_| {
                self.ram.fetch_sub(size, Ordering::Relaxed);
            })?;
            return Ok(Block { store: self.clone(), backing, len });
        }
        self.ram.fetch_sub(size, Ordering::Relaxed);
        let backing = on_disk(&self.folder, len).map_err(|source| {
            let what = format!(
                "{len} bytes of values do not fit in the {} allowed, and cannot be put in {}",
                self.limit,
                self.folder.display()
            );
            Error::Io { what, source }
        })?;
        self.disk.fetch_add(size, Ordering::Relaxed);
        Ok(Block { store: self.clone(), backing, len })
    }

    /// Keeps bytes that were put together elsewhere.
    pub fn keep(self: &Arc<Store>, bytes: Vec<u8>) -> Result<Arc<Block>> {
        let size = bytes.len() as u64;
        if self.ram.load(Ordering::Relaxed) + size <= self.limit {
            self.ram.fetch_add(size, Ordering::Relaxed);
            let len = bytes.len();
            let backing = Backing::Heap(bytes.into_boxed_slice());
            return Ok(Arc::new(Block { store: self.clone(), backing, len }));
        }
        let mut block = self.block(bytes.len())?;
        block.bytes_mut().copy_from_slice(&bytes);
        block.rest();
        Ok(Arc::new(block))
    }
}

fn half_of_free() -> u64 {
    let info = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let free = info.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = free.and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok());
    kib.map_or(1 << 30, |kib| kib * 512)
}

fn refused() -> Error {
    Error::OutOfMemory("out of memory: no room for the values of a scan")
}

fn allocate(len: usize) -> Result<Backing> {
    if len < LARGE {
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(len).map_err(|_| refused())?;
        bytes.resize(len, 0);
        return Ok(Backing::Heap(bytes.into_boxed_slice()));
    }
    let (access, flags) =
        (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE | MapFlags::NORESERVE);
    // SAFETY: a mapping of its own at an address of the kernel's choice.
    let start = unsafe { mmap_anonymous(ptr::null_mut(), len, access, flags) };
    let start = start.ok().and_then(NonNull::new).ok_or_else(refused)?;
    // SAFETY: the mapping just made. That there may be no huge pages does no harm.
    let _ = unsafe { madvise(start.as_ptr(), len, Advice::LinuxHugepage) };
    Ok(Backing::Mapped(start))
}

/// A mapping of a file that has no name, and goes with it.
fn on_disk(folder: &Path, len: usize) -> io::Result<Backing> {
    let file = unnamed(folder)?;
    // All of it now: a full disk must not be a signal later.
    fallocate(&file, FallocateFlags::empty(), 0, len as u64)?;
    let access = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a mapping of its own; the file is as long as it, and nobody else has it.
    let start = unsafe { mmap(ptr::null_mut(), len, access, MapFlags::SHARED, &file, 0) }?;
    NonNull::new(start).map(Backing::File).ok_or_else(|| io::ErrorKind::OutOfMemory.into())
}

fn unnamed(folder: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    match options.clone().custom_flags(libc::O_TMPFILE).open(folder) {
        // Not every file system has files without names.
        Err(error) if matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EISDIR)) => {
            static NEXT: AtomicU64 = AtomicU64::new(0);
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = folder.join(format!("gmemx-scan-{}-{number}", std::process::id()));
            let file = options.create_new(true).open(&path)?;
            std::fs::remove_file(&path)?;
            Ok(file)
        }
        opened => opened,
    }
}

/// Memory that matches refer into. Once it is shared it is only read.
pub struct Block {
    store: Arc<Store>,
    backing: Backing,
    len: usize,
}

enum Backing {
    Heap(Box<[u8]>),
    Mapped(NonNull<c_void>),
    File(NonNull<c_void>),
}

// SAFETY: it owns its memory as a Vec does, and gives it out by Rust's rules.
unsafe impl Send for Block {}
// SAFETY: as above.
unsafe impl Sync for Block {}

impl Block {
    pub fn bytes(&self) -> &[u8] {
        let start = match &self.backing {
            Backing::Heap(bytes) => return bytes,
            Backing::Mapped(start) | Backing::File(start) => start.as_ptr().cast(),
        };
        // SAFETY: that many bytes, initialised, and written through `&mut` only.
        unsafe { slice::from_raw_parts(start, self.len) }
    }

    pub fn bytes_mut(&mut self) -> &mut [u8] {
        let start = match &mut self.backing {
            Backing::Heap(bytes) => bytes.as_mut_ptr(),
            Backing::Mapped(start) | Backing::File(start) => start.as_ptr().cast(),
        };
        // SAFETY: as in `bytes`, and nobody else has it.
        unsafe { slice::from_raw_parts_mut(start, self.len) }
    }

    /// Pages of a file need not stay in memory.
    pub fn rest(&self) {
        if let Backing::File(start) = self.backing {
            // SAFETY: our mapping; its pages are in the file. A refusal does no harm.
            let _ = unsafe { madvise(start.as_ptr(), self.len, Advice::LinuxDontNeed) };
        }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let counter = match self.backing {
            Backing::File(_) => &self.store.disk,
            _ => &self.store.ram,
        };
        counter.fetch_sub(self.len as u64, Ordering::Relaxed);
        if let Backing::Mapped(start) | Backing::File(start) = self.backing {
            // SAFETY: our mapping, not used again.
            let _ = unsafe { munmap(start.as_ptr(), self.len) };
        }
    }
}

/// Part of a block.
#[derive(Clone)]
pub struct Bytes {
    block: Arc<Block>,
    offset: usize,
    len: usize,
}

impl Bytes {
    pub fn new(block: &Arc<Block>, offset: usize, len: usize) -> Bytes {
        assert!(offset <= block.len && len <= block.len - offset);
        Bytes { block: block.clone(), offset, len }
    }

    pub fn get(&self) -> &[u8] {
        &self.block.bytes()[self.offset..self.offset + self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_the_limit_blocks_go_to_disk_and_are_given_back() {
        let store = Store::new(3 << 20, &std::env::temp_dir());
        let mut small = store.block(2 << 20).unwrap();
        small.bytes_mut().fill(7);
        let large = store.keep(vec![9; 2 << 20]).unwrap();
        assert_eq!(store.used(), (2 << 20, 2 << 20));
        assert!(large.bytes().iter().all(|&byte| byte == 9));
        assert!(small.bytes().iter().all(|&byte| byte == 7));
        drop(large);
        assert_eq!(store.used(), (2 << 20, 0));
        drop(small);
        assert_eq!(store.used(), (0, 0));
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error_with_its_name() {
        let store = Store::new(1, Path::new("/nowhere/at/all"));
        let error = store.keep(vec![0; 10]).err().unwrap().to_string();
        assert!(error.contains("/nowhere/at/all"), "{error}");
        assert_eq!(store.used(), (0, 0));
    }
}
