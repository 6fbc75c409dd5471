//! What is scanned in place of a live process: bytes of this one, a file, a core dump.

mod dump;

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::slice;

use super::region::{READ, Region, RegionKind, WRITE};
use super::source::Source;
use crate::error::{Error, Result};

pub use dump::Core;

fn failed(path: &Path, what: &str, source: io::Error) -> Error {
    Error::Io { what: format!("{} {what}", path.display()), source }
}

/// Opens what has bytes at fixed places; a pipe would block, and a device could be set off.
fn open(path: &Path) -> Result<fs::File> {
    let kind = fs::metadata(path).map_err(|error| failed(path, "cannot be opened", error))?;
    if !kind.is_file() && !kind.file_type().is_block_device() {
        return Err(Error::InvalidArgument(format!("{} is not a file", path.display())));
    }
    OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)
        .map_err(|error| failed(path, "cannot be opened", error))
}

/// Reads until `into` is full or the file ends: one that was cut off or whose disk fails
/// gives less, where a mapping of it would give a signal.
fn read_at(file: &fs::File, offset: u64, into: &mut [u8]) -> usize {
    let mut got = 0;
    while got < into.len() {
        match file.read_at(&mut into[got..], offset + got as u64) {
            Ok(0) => break,
            Ok(count) => got += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
            Err(_) => break,
        }
    }
    got
}

/// The end of `len` bytes at `address`.
fn end_of(address: u64, len: u64) -> Result<u64> {
    address.checked_add(len).ok_or_else(|| {
        Error::InvalidArgument(format!("{len} bytes at {address:#x} go beyond the last address"))
    })
}

/// Bytes of this process, as if they lay at `address`.
pub struct Bytes {
    data: *mut u8,
    len: usize,
    address: u64,
    writable: bool,
}

// SAFETY: plain bytes, which `new`'s caller leaves to us; who writes to them meanwhile
// races with the scan as a live target does.
unsafe impl Send for Bytes {}
// SAFETY: as above.
unsafe impl Sync for Bytes {}

impl Bytes {
    /// # Safety
    /// `data` points to `len` bytes that outlive the source, and that may be written to if
    /// `writable`.
    pub unsafe fn new(data: *mut u8, len: usize, address: u64, writable: bool) -> Result<Bytes> {
        end_of(address, len as u64)?;
        Ok(Bytes { data, len, address, writable })
    }

    /// The place of `address`, and how many bytes there are from it on.
    fn place(&self, address: u64) -> Option<(usize, usize)> {
        let place = usize::try_from(address.checked_sub(self.address)?).ok()?;
        (place < self.len).then(|| (place, self.len - place))
    }
}

impl Source for Bytes {
    fn regions(&self) -> Result<Vec<Region>> {
        let permissions = if self.writable { READ | WRITE } else { READ };
        Ok(whole(self.address, self.address + self.len as u64, permissions, String::new()))
    }

    fn read(&self, address: u64, into: &mut [u8]) -> Result<usize> {
        let Some((place, rest)) = self.place(address) else { return Ok(0) };
        let count = rest.min(into.len());
        // SAFETY: `place + count` is at most `len`.
        unsafe { into.as_mut_ptr().copy_from_nonoverlapping(self.data.add(place), count) };
        Ok(count)
    }

    fn write(&self, address: u64, bytes: &[u8], _force: bool) -> Result<usize> {
        if !self.writable {
            let source = io::Error::from_raw_os_error(libc::EACCES);
            return Err(Error::Io { what: "these bytes can only be read".into(), source });
        }
        let Some((place, rest)) = self.place(address) else { return Ok(0) };
        let count = rest.min(bytes.len());
        // SAFETY: `place + count` is at most `len`, and the bytes may be written to. They
        // may overlap where the caller copies within the buffer.
        unsafe { self.data.add(place).copy_from(bytes.as_ptr(), count) };
        Ok(count)
    }

    fn slice(&self, address: u64, len: usize) -> Option<&[u8]> {
        let (place, rest) = self.place(address)?;
        // SAFETY: inside the bytes, which outlive the source.
        (len <= rest).then(|| unsafe { slice::from_raw_parts(self.data.add(place), len) })
    }
}

/// A file, as if its bytes lay at `address`. What it grows by is seen at the next look.
pub struct File {
    file: fs::File,
    name: String,
    address: u64,
}

impl File {
    pub fn open(path: &Path, address: u64) -> Result<File> {
        let file = File { file: open(path)?, name: path.display().to_string(), address };
        end_of(address, file.size()?)?;
        Ok(file)
    }

    fn size(&self) -> Result<u64> {
        // A block device has no length of its own, but an end.
        let size = match self.file.metadata() {
            Ok(data) if data.is_file() => Ok(data.len()),
            Ok(_) => io::Seek::seek(&mut &self.file, io::SeekFrom::End(0)),
            Err(error) => Err(error),
        };
        size.map_err(|error| failed(self.name.as_ref(), "cannot be looked into", error))
    }
}

impl Source for File {
    fn regions(&self) -> Result<Vec<Region>> {
        let end = self.address.saturating_add(self.size()?);
        let mut regions = whole(self.address, end, READ, self.name.clone());
        if let (Some(region), Ok(data)) = (regions.first_mut(), self.file.metadata()) {
            region.device = (libc::major(data.dev()), libc::minor(data.dev()));
            region.inode = data.ino();
        }
        Ok(regions)
    }

    fn read(&self, address: u64, into: &mut [u8]) -> Result<usize> {
        let offset = address.checked_sub(self.address);
        Ok(offset.map_or(0, |offset| read_at(&self.file, offset, into)))
    }
}

/// One region, or none where it would be empty.
fn whole(start: u64, end: u64, permissions: u32, name: String) -> Vec<Region> {
    let kind = RegionKind::Image;
    let region =
        Region { start, end, permissions, kind, offset: 0, device: (0, 0), inode: 0, name };
    if start < end { vec![region] } else { Vec::new() }
}
