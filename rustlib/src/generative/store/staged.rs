//! A file that is read, and changed in memory only: the store repairs what it opens, and a file
//! that is refused, or only read, must stay as it is.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;
use redb::backends::FileBackend;

const BLOCK: u64 = 4096;

/// Locks that are always free: of a backend that nobody else sees.
macro_rules! nobody_to_keep_out {
    () => {
        fn try_lock_range(
            &self,
            _: std::ops::Bound<u64>,
            _: std::ops::Bound<u64>,
        ) -> Result<bool, redb::BackendError> {
            Ok(true)
        }

        fn try_lock_shared_range(
            &self,
            _: std::ops::Bound<u64>,
            _: std::ops::Bound<u64>,
        ) -> Result<bool, redb::BackendError> {
            Ok(true)
        }

        fn lock_range(
            &self,
            _: std::ops::Bound<u64>,
            _: std::ops::Bound<u64>,
        ) -> Result<(), redb::BackendError> {
            Ok(())
        }

        fn lock_shared_range(
            &self,
            _: std::ops::Bound<u64>,
            _: std::ops::Bound<u64>,
        ) -> Result<(), redb::BackendError> {
            Ok(())
        }

        fn unlock_range(
            &self,
            _: std::ops::Bound<u64>,
            _: std::ops::Bound<u64>,
        ) -> Result<(), redb::BackendError> {
            Ok(())
        }

        fn query_lock_range(
            &self,
            _: std::ops::Bound<u64>,
            _: std::ops::Bound<u64>,
        ) -> Result<bool, redb::BackendError> {
            Ok(false)
        }
    };
}
#[cfg(test)]
pub(super) use nobody_to_keep_out;

#[derive(Debug)]
pub struct Staged {
    file: FileBackend,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    len: u64,
    /// How much of the file is still to be seen; behind it are zeros.
    shown: u64,
    /// What differs from the file, by number of block.
    changed: BTreeMap<u64, Box<[u8; BLOCK as usize]>>,
}

impl Staged {
    pub fn new(file: File) -> io::Result<Staged> {
        let file = FileBackend::new(file).map_err(io::Error::other)?;
        let len = file.len()?;
        let state = State { len, shown: len, changed: BTreeMap::new() };
        Ok(Staged { file, state: Mutex::new(state) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads what the file has.
    fn read_stored(&self, shown: u64, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let there = shown.saturating_sub(offset).min(out.len() as u64) as usize;
        let (there, beyond) = out.split_at_mut(there);
        beyond.fill(0);
        if there.is_empty() { Ok(()) } else { self.file.read(offset, there) }
    }
}

/// (block, where in the block, where in the run) of a run of bytes.
fn blocks(offset: u64, len: usize) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let position = offset + at as u64;
        let inside = (position % BLOCK) as usize;
        let end = (at + BLOCK as usize - inside).min(len);
        let part = at..end;
        at = end;
        (!part.is_empty()).then_some((position / BLOCK, inside, part))
    })
}

impl StorageBackend for Staged {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state().len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.state();
        if offset.checked_add(out.len() as u64).is_none_or(|end| end > state.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.read_stored(state.shown, offset, out)?;
        if state.changed.is_empty() {
            return Ok(());
        }
        for (block, inside, part) in blocks(offset, out.len()) {
            if let Some(bytes) = state.changed.get(&block) {
                let len = part.len();
                out[part].copy_from_slice(&bytes[inside..inside + len]);
            }
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.state();
        // What is cut off reads as zeros if the length grows again.
        state.shown = state.shown.min(len);
        state.changed.split_off(&len.div_ceil(BLOCK));
        if let Some(last) = state.changed.get_mut(&(len / BLOCK)) {
            last[(len % BLOCK) as usize..].fill(0);
        }
        state.len = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        for (block, inside, part) in blocks(offset, data.len()) {
            if !state.changed.contains_key(&block) {
                let mut bytes = Box::new([0; BLOCK as usize]);
                self.read_stored(state.shown, block * BLOCK, &mut bytes[..])?;
                state.changed.insert(block, bytes);
            }
            let bytes = state.changed.get_mut(&block).ok_or(io::ErrorKind::NotFound)?;
            bytes[inside..inside + part.len()].copy_from_slice(&data[part]);
        }
        Ok(())
    }

    nobody_to_keep_out!();
}
