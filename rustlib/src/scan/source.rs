//! What can be scanned: something with regions that can be read.

use std::fs::File;
use std::io;
use std::sync::Arc;

use super::region::Region;
use crate::error::{Error, Result};

/// An address space: a live process, bytes of this one, a file, a core dump.
pub trait Source: Send + Sync {
    /// All regions, sorted by address, read anew at each call.
    fn regions(&self) -> Result<Vec<Region>>;

    /// Reads from `address` on, up to the first byte that cannot be read. An error is for
    /// a source that is gone or closed to us as a whole.
    fn read(&self, address: u64, into: &mut [u8]) -> Result<usize>;

    /// Reads what is scattered; each part's `got` is set.
    fn read_parts(&self, parts: &mut [Part], into: &mut [u8]) -> Result<()> {
        for part in parts {
            part.got = self.read(part.address, &mut into[part.offset..part.offset + part.len])?;
        }
        Ok(())
    }

    /// Writes from `address` on and tells how many bytes it could; with `force` also where
    /// the target itself could not write.
    fn write(&self, address: u64, bytes: &[u8], force: bool) -> Result<usize> {
        let _ = (address, bytes, force);
        let what = "this source can only be read".into();
        Err(Error::Io { what, source: io::ErrorKind::PermissionDenied.into() })
    }

    /// What `start..end` of a region holds, as far as that is known without reading.
    fn pieces(&self, region: &Region, start: u64, end: u64, out: &mut Vec<Piece>) -> Result<()> {
        let _ = region;
        out.push(Piece { start, end, what: What::Read });
        Ok(())
    }

    /// The memory itself, where it is this process's own.
    fn slice(&self, address: u64, len: usize) -> Option<&[u8]> {
        let _ = (address, len);
        None
    }

    fn alive(&self) -> bool {
        true
    }

    /// An error where it is not alive.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// Halts the target; false where it was halted already.
    fn stop(&self) -> Result<bool> {
        Err(Error::Unsupported("only a live process can be stopped".into()))
    }

    fn resume(&self) -> Result<()> {
        Err(Error::Unsupported("only a live process can be resumed".into()))
    }
}

/// A part of a scattered read.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    pub address: u64,
    /// Its place in the reader's buffer.
    pub offset: usize,
    pub len: usize,
    /// How much of it could be read.
    pub got: usize,
}

/// A stretch of a region whose contents are of one sort.
#[derive(Clone, Debug)]
pub struct Piece {
    pub start: u64,
    pub end: u64,
    pub what: What,
}

#[derive(Clone, Debug)]
pub enum What {
    /// In memory: to be read from there.
    Read,
    /// Never touched, so zero; reading would do no harm, and no good either.
    Zero,
    /// A page of a file that the target has not touched: read from the file, at this
    /// offset, because reading it from the target would put it in the target's memory.
    File(Arc<File>, u64),
    Unread(Reason),
}

/// Why memory was left out.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// There is nothing at these addresses, or no longer.
    Unmapped = 0,
    /// The region gives no permission to read, or is a device's.
    Unreadable = 1,
    /// A file's page that is not in memory, and the file cannot be opened.
    NotResident = 2,
    /// Memory that a core dump does not have.
    NotDumped = 3,
}

/// Addresses that a scan could not look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skipped {
    pub start: u64,
    pub end: u64,
    pub reason: Reason,
}
