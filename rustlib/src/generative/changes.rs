//! What a file does not know yet of the overlay that is kept in it.
//!
//! Only the numbers of changed pages are noted, for each shard of the overlay's map apart, and
//! under the lock of that shard: so a page and its note change together.

use std::collections::HashSet;
use std::hash::BuildHasherDefault;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::overlay::PageHasher;
use super::page::Page;
use crate::error::{Error, Result};

#[derive(Default)]
pub struct Pages(HashSet<u64, BuildHasherDefault<PageHasher>>);

fn no_memory() -> Error {
    Error::OutOfMemory("out of memory: no room to note what a file does not know yet")
}

pub struct Notes {
    shards: Vec<Mutex<Pages>>,
    /// All that the file has is to be replaced.
    everything: AtomicBool,
}

impl Notes {
    pub fn new(shards: usize) -> Result<Notes> {
        let mut all = Vec::new();
        all.try_reserve_exact(shards).map_err(|_| no_memory())?;
        all.resize_with(shards, Mutex::default);
        Ok(Notes { shards: all, everything: AtomicBool::new(false) })
    }

    fn lock(&self, shard: usize) -> MutexGuard<'_, Pages> {
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn add(&self, shard: usize, page: u64) -> Result<()> {
        let mut pages = self.lock(shard);
        pages.0.try_reserve(1).map_err(|_| no_memory())?;
        pages.0.insert(page);
        Ok(())
    }

    pub fn add_everything(&self) {
        self.everything.store(true, Ordering::Release);
    }

    pub fn is_empty(&self) -> bool {
        !self.everything.load(Ordering::Acquire)
            && (0..self.shards.len()).all(|shard| self.lock(shard).0.is_empty())
    }

    /// All notes; called with the overlay's locks, so that none is added meanwhile.
    pub fn look(&self) -> Look<'_> {
        Look { notes: self, shards: (0..self.shards.len()).map(|shard| self.lock(shard)).collect() }
    }

    /// Adds what could not be told to the file to what has been noted since.
    pub fn give_back(&self, changes: Changes) {
        if changes.everything {
            return self.add_everything();
        }
        for (shard, taken) in changes.notes.into_iter().enumerate() {
            let mut pages = self.lock(shard);
            if pages.0.try_reserve(taken.0.len()).is_err() {
                return self.add_everything();
            }
            pages.0.extend(taken.0);
        }
    }
}

pub struct Look<'a> {
    notes: &'a Notes,
    shards: Vec<MutexGuard<'a, Pages>>,
}

impl Look<'_> {
    pub fn everything(&self) -> bool {
        self.notes.everything.load(Ordering::Acquire)
    }

    pub fn pages(&self) -> usize {
        self.shards.iter().map(|pages| pages.0.len()).sum()
    }

    /// (shard, page) of each note.
    pub fn each(&self) -> impl Iterator<Item = (usize, u64)> {
        let shards = self.shards.iter().enumerate();
        shards.flat_map(|(shard, pages)| pages.0.iter().map(move |&page| (shard, page)))
    }

    /// Takes all notes away.
    pub fn take(self) -> Vec<Pages> {
        self.notes.everything.store(false, Ordering::Release);
        self.shards.into_iter().map(|mut pages| std::mem::take(&mut *pages)).collect()
    }
}

/// Changed pages, copied at one moment.
#[derive(Default)]
pub struct Changes {
    /// The pages are all there are, rather than those that changed.
    pub everything: bool,
    pages: Vec<(u64, Copied)>,
    /// The bits of all cells, one page after the other.
    cells: Vec<u64>,
    pub(super) notes: Vec<Pages>,
}

struct Copied {
    written: u64,
    cells: Range<usize>,
}

impl Changes {
    pub fn is_empty(&self) -> bool {
        !self.everything && self.pages.is_empty()
    }

    pub(super) fn reserve(&mut self, pages: usize, cells: usize) -> Result<()> {
        self.pages
            .try_reserve(pages)
            .and_then(|()| self.cells.try_reserve(cells))
            .map_err(|_| no_memory())
    }

    /// Copies a page; None is one that has no cells left.
    pub(super) fn push(&mut self, number: u64, page: Option<&Page>) -> Result<()> {
        let (written, cells) = page.map_or((0, &[][..]), Page::parts);
        self.reserve(1, cells.len())?;
        let start = self.cells.len();
        self.cells.extend_from_slice(cells);
        self.pages.push((number, Copied { written, cells: start..self.cells.len() }));
        Ok(())
    }

    pub fn sort(&mut self) {
        self.pages.sort_unstable_by_key(|&(page, _)| page);
    }

    /// (page, which cells are written, their bits), none written for a page that is gone.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64, &[u64])> {
        self.pages
            .iter()
            .map(|(page, copied)| (*page, copied.written, &self.cells[copied.cells.clone()]))
    }
}
