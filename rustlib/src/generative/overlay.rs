//! What was written over the generated cells: a sparse map of small pages.
//!
//! A page covers 64 addresses: one word says which of them are written, and
//! their values follow packed, in order. So one written cell costs 40 bytes, a
//! full page little more than its values, and finding a cell is one population
//! count. The concurrent map's shard locks make every change of a page atomic;
//! no operation holds two locks, except a snapshot, which holds them all. The
//! notes of an overlay that is kept in a file are changed inside the lock of their shard.

pub mod bulk;

use std::hash::{BuildHasherDefault, Hasher};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::{DashMap, SharedValue};

use super::changes::{Changes, Notes};
use super::page::{PAGE, Page};
use super::vrns16::fmix64;
use crate::error::{Error, Result};

type Map = DashMap<u64, Page, BuildHasherDefault<PageHasher>>;
type Entry = (u64, SharedValue<Page>);

/// Page numbers are often consecutive or evenly spaced; the mixer spreads both.
#[derive(Default)]
pub(super) struct PageHasher(u64);

impl Hasher for PageHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = fmix64(self.0 << 8 ^ u64::from(byte));
        }
    }
    fn write_u64(&mut self, page: u64) {
        self.0 = fmix64(page);
    }
}

#[derive(Default)]
pub struct Overlay {
    /// Written cells. Changed inside the lock of the cell's shard, so it never
    /// reads less than the writes that happened before.
    cells: AtomicUsize,
    /// Made by the first write: a context that is only read stays tiny.
    map: OnceLock<Map>,
    /// Which pages differ from the file, where the overlay is kept in one.
    notes: Option<Box<Notes>>,
}

/// A consistent copy of everything written, sorted by address.
#[derive(Debug, Default)]
pub struct Snapshot {
    pub addresses: Vec<u64>,
    /// The cells' bits.
    pub values: Vec<f64>,
}

fn no_memory() -> Error {
    Error::OutOfMemory("out of memory: the overlay could not grow, what was written is kept")
}

#[inline]
fn hash(page: u64) -> u64 {
    fmix64(page)
}

#[inline]
fn hash_of(entry: &Entry) -> u64 {
    hash(entry.0)
}

impl Overlay {
    pub fn len(&self) -> usize {
        self.cells.load(Ordering::Acquire)
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The map, unless nothing is written.
    #[inline]
    fn written(&self) -> Option<&Map> {
        if self.is_empty() { None } else { self.map.get() }
    }

    /// The map, made if need be.
    #[inline]
    fn map(&self) -> Result<&Map> {
        if let Some(map) = self.map.get() {
            return Ok(map);
        }
        // The map's own shards cannot be refused politely, so ask for more than they take.
        Vec::<u8>::new().try_reserve_exact(1 << 18).map_err(|_| no_memory())?;
        Ok(self.map.get_or_init(Map::default))
    }

    /// Calls `read` with the page, under its lock, if it has written cells.
    #[inline]
    fn read<R>(map: &Map, page: u64, read: impl FnOnce(&Page) -> R) -> Option<R> {
        let hash = hash(page);
        let shard = map.shards()[map.determine_shard(hash as usize)].read();
        shard.get(hash, |entry| entry.0 == page).map(|entry| read(entry.1.get()))
    }

    /// Calls `change` with the page, new or not, under its lock.
    #[inline]
    fn change(&self, page: u64, change: impl FnOnce(&mut Page) -> Result<usize>) -> Result<()> {
        let map = self.map()?;
        let hash = hash(page);
        let place = map.determine_shard(hash as usize);
        let mut shard = map.shards()[place].write();
        if let Some(notes) = &self.notes {
            notes.add(place, page)?;
        }
        let added = match shard.get_mut(hash, |entry| entry.0 == page) {
            Some(entry) => change(entry.1.get_mut())?,
            None => {
                shard.try_reserve(1, hash_of).map_err(|_| no_memory())?;
                let mut fresh = Page::default();
                let added = change(&mut fresh)?;
                shard.insert(hash, (page, SharedValue::new(fresh)), hash_of);
                added
            }
        };
        self.cells.fetch_add(added, Ordering::AcqRel);
        Ok(())
    }

    /// Notes a page that loses cells; called with the lock of its shard.
    fn note_erased(&self, shard: usize, page: u64) {
        // Erasing cannot be refused: without memory for the note, all is written again.
        if let Some(notes) = &self.notes
            && notes.add(shard, page).is_err()
        {
            notes.add_everything();
        }
    }

    /// Erases the cells `mask` of a page.
    fn erase_in(&self, map: &Map, page: u64, mask: u64) {
        let hash = hash(page);
        let place = map.determine_shard(hash as usize);
        let mut shard = map.shards()[place].write();
        let Some(entry) = shard.get_mut(hash, |entry| entry.0 == page) else { return };
        self.note_erased(place, page);
        let erased = entry.1.get_mut().erase(mask);
        if entry.1.get().is_empty() {
            shard.remove_entry(hash, |entry| entry.0 == page);
        }
        self.cells.fetch_sub(erased, Ordering::AcqRel);
    }

    #[inline]
    pub fn get(&self, address: u64) -> Option<f64> {
        let map = self.written()?;
        Self::read(map, page_of(address), |page| page.get(slot_of(address))).flatten()
    }

    #[inline]
    pub fn set(&self, address: u64, value: f64) -> Result<()> {
        self.change(page_of(address), |page| page.set(slot_of(address), value))
    }

    /// Lays the written cells of `[start, start + out.len())`, wrapping, over `out`.
    pub fn lay_over(&self, start: u64, out: &mut [f64]) {
        let Some(map) = self.written() else { return };
        for_each_page(start, out.len(), |page, slot, at, cells| {
            let out = &mut out[at..at + cells];
            Self::read(map, page, |page| page.lay_over(slot, out));
        });
    }

    /// Whether a cell of `[start, start + length)`, wrapping, may be written: yes too where to
    /// find out would take longer than to read them.
    pub fn may_reach(&self, start: u64, length: usize) -> bool {
        const FEW: usize = 1024;
        let Some(map) = self.written() else { return false };
        let inside = |page: u64, cells: &Page| {
            let cell = |slot| page * PAGE as u64 + u64::from(slot);
            let last = cell(PAGE as u32 - 1).wrapping_sub(start);
            last < (length + PAGE - 1) as u64
                && (0..PAGE as u32).any(|slot| {
                    cell(slot).wrapping_sub(start) < length as u64 && cells.get(slot).is_some()
                })
        };
        self.len() > FEW || map.iter().any(|entry| inside(*entry.key(), entry.value()))
    }

    /// Lays the written cells among `addresses` over `out`, slot by slot.
    pub fn lay_over_many(&self, addresses: &[u64], out: &mut [f64]) {
        let Some(map) = self.written() else { return };
        for_each_run(addresses, |page, run| {
            Self::read(map, page, |page| {
                for i in run {
                    if let Some(value) = page.get(slot_of(addresses[i])) {
                        out[i] = value;
                    }
                }
            });
        });
    }

    /// Writes `values` from `start` on, wrapping.
    pub fn set_range(&self, start: u64, values: &[f64]) -> Result<()> {
        let mut result = Ok(());
        for_each_page(start, values.len(), |page, slot, at, cells| {
            if result.is_ok() {
                result = self.change(page, |page| page.set_run(slot, &values[at..at + cells]));
            }
        });
        result
    }

    /// Writes `values[i]` at `addresses[i]`, in order, for the pages `mine` accepts.
    pub fn set_many(
        &self,
        addresses: &[u64],
        values: &[f64],
        mine: impl Fn(u64) -> bool,
    ) -> Result<()> {
        let mut result = Ok(());
        for_each_run(addresses, |page, run| {
            if result.is_ok() && mine(page) {
                result = self.change(page, |page| {
                    page.reserve(run.len())?;
                    run.map(|i| page.set(slot_of(addresses[i]), values[i])).sum()
                });
            }
        });
        result
    }

    pub fn erase(&self, address: u64) {
        if let Some(map) = self.written() {
            self.erase_in(map, page_of(address), 1 << slot_of(address));
        }
    }

    /// Erases `length` cells from `start` on, wrapping.
    pub fn erase_range(&self, start: u64, length: u64) {
        let Some(map) = self.written() else { return };
        let pages: usize = map.shards().iter().map(|shard| shard.read().len()).sum();
        // A run may span far more pages than there are: then ask the map for its pages.
        if length / PAGE as u64 <= pages as u64 {
            for_each_page(start, length as usize, |page, slot, _, cells| {
                self.erase_in(map, page, mask(slot, cells));
            });
            return;
        }
        map.retain(|page, cells| {
            let first = page * PAGE as u64;
            let inside = (0..PAGE as u64)
                .filter(|slot| (first + slot).wrapping_sub(start) < length)
                .fold(0, |mask, slot| mask | 1 << slot);
            if inside != 0 {
                self.note_erased(map.determine_shard(hash(*page) as usize), *page);
                self.cells.fetch_sub(cells.erase(inside), Ordering::AcqRel);
            }
            !cells.is_empty()
        });
    }

    pub fn clear(&self) {
        let Some(map) = self.written() else { return };
        for shard in map.shards() {
            let mut shard = shard.write();
            if let Some(notes) = &self.notes {
                notes.add_everything();
            }
            let cells: usize = shard.drain().map(|entry| entry.1.get().len()).sum();
            shard.shrink_to(0, hash_of);
            self.cells.fetch_sub(cells, Ordering::AcqRel);
        }
    }

    /// An independent copy of one moment.
    pub fn fork(&self) -> Result<Overlay> {
        let copy = Overlay::default();
        let Some(map) = self.written() else { return Ok(copy) };
        at_one_moment(map, |moment| {
            (moment.each)(&mut |page, cells| copy.change(page, |fresh| fresh.copy_from(cells)))
        })?;
        Ok(copy)
    }

    /// Takes notes from now on of which pages differ from a file, that at first has all of them.
    pub fn keep_notes(&mut self) -> Result<()> {
        let shards = self.map()?.shards().len();
        self.notes = Some(Box::new(Notes::new(shards)?));
        Ok(())
    }

    /// Whether a file needs to be told of anything.
    pub fn has_changes(&self) -> bool {
        self.notes.as_ref().is_some_and(|notes| !notes.is_empty())
    }

    /// Takes the changes since this was last called, as of one moment. What is written from then
    /// on belongs to the next changes.
    pub fn take_changes(&self) -> Result<Changes> {
        let (Some(notes), map) = (&self.notes, self.map()?) else { return Ok(Changes::default()) };
        at_one_moment(map, |moment| {
            let taken = notes.look();
            let mut changes = Changes::default();
            if taken.everything() {
                changes.everything = true;
                changes.reserve(moment.pages, self.len())?;
                (moment.each)(&mut |page, cells| changes.push(page, Some(cells)))?;
            } else {
                changes.reserve(taken.pages(), 0)?;
                for (shard, page) in taken.each() {
                    changes.push(page, (moment.get)(shard, page))?;
                }
            }
            changes.notes = taken.take();
            Ok(changes)
        })
    }

    /// Gives changes back that could not be told to the file.
    pub fn give_back(&self, changes: Changes) {
        if let Some(notes) = &self.notes {
            notes.give_back(changes);
        }
    }

    /// Makes room for so many pages.
    pub fn reserve(&self, pages: u64) -> Result<()> {
        let map = self.map()?;
        // They are spread evenly, but for chance.
        let each = pages as usize / map.shards().len();
        map.shards().iter().try_for_each(|shard| {
            let mut shard = shard.write();
            shard.try_reserve(each + each / 64 + 16, hash_of).map_err(|_| no_memory())
        })
    }

    /// Becomes what `fresh` is, at one moment.
    pub fn replace(&self, fresh: Overlay) -> Result<()> {
        let (old, new) = (self.map()?, fresh.map()?);
        let mut shards = Vec::new();
        shards.try_reserve_exact(old.shards().len()).map_err(|_| no_memory())?;
        shards.extend(old.shards().iter().map(|shard| shard.write()));
        // Both maps are made alike, so a page has its shard at the same place.
        for (old, new) in shards.iter_mut().zip(new.shards()) {
            std::mem::swap(&mut **old, &mut *new.write());
        }
        self.cells.store(fresh.len(), Ordering::Release);
        Ok(())
    }

    pub fn snapshot(&self) -> Result<Snapshot> {
        // The copy is sorted, not the original, so writers wait no longer than a fork.
        let copy = self.fork()?;
        let mut snapshot = Snapshot::default();
        let Some(map) = copy.map.into_inner() else { return Ok(snapshot) };
        let total = copy.cells.into_inner();
        let mut pages: Vec<(u64, Page)> = Vec::new();
        let reserved = pages
            .try_reserve_exact(map.len())
            .and_then(|()| snapshot.addresses.try_reserve_exact(total))
            .and_then(|()| snapshot.values.try_reserve_exact(total));
        reserved.map_err(|_| Error::OutOfMemory("out of memory: no room to copy the overlay"))?;
        pages.extend(map);
        pages.sort_unstable_by_key(|&(page, _)| page);
        for (page, cells) in pages {
            for (slot, value) in cells.iter() {
                snapshot.addresses.push(page * PAGE as u64 + slot);
                snapshot.values.push(value);
            }
        }
        Ok(snapshot)
    }
}

/// What is done with a page, given its number.
type Visit<'a> = dyn FnMut(u64, &Page) -> Result<()> + 'a;

/// A map of which every shard is locked for reading, so that what is read of it is of one
/// moment; writers hold only one lock, so locking all of them ends.
struct Moment<'a> {
    pages: usize,
    /// Calls its argument with every page.
    each: &'a dyn Fn(&mut Visit) -> Result<()>,
    /// The page of that number in that shard.
    get: &'a dyn Fn(usize, u64) -> Option<&'a Page>,
}

fn at_one_moment<R>(map: &Map, work: impl FnOnce(Moment) -> Result<R>) -> Result<R> {
    let mut shards = Vec::new();
    shards.try_reserve_exact(map.shards().len()).map_err(|_| no_memory())?;
    shards.extend(map.shards().iter().map(|shard| shard.read()));
    work(Moment {
        pages: shards.iter().map(|shard| shard.len()).sum(),
        each: &|visit| {
            for shard in &shards {
                // SAFETY: the guard outlives the iteration, and nothing changes the table.
                for entry in unsafe { shard.iter() } {
                    // SAFETY: as above: a bucket of a table that the guard holds still.
                    let (page, cells) = unsafe { entry.as_ref() };
                    visit(*page, cells.get())?;
                }
            }
            Ok(())
        },
        get: &|shard, page| shards[shard].get(hash(page), |e| e.0 == page).map(|e| e.1.get()),
    })
}

#[inline]
fn page_of(address: u64) -> u64 {
    address / PAGE as u64
}

#[inline]
fn slot_of(address: u64) -> u32 {
    (address % PAGE as u64) as u32
}

fn mask(slot: u32, cells: usize) -> u64 {
    (u64::MAX >> (PAGE - cells)) << slot
}

/// Calls `visit(page, first slot, position, cells)` for each page of a run.
#[inline]
fn for_each_page(start: u64, length: usize, mut visit: impl FnMut(u64, u32, usize, usize)) {
    let mut at = 0;
    while at < length {
        let address = start.wrapping_add(at as u64);
        let slot = slot_of(address);
        let cells = (PAGE - slot as usize).min(length - at);
        visit(page_of(address), slot, at, cells);
        at += cells;
    }
}

/// Calls `visit(page, positions)` for each run of consecutive addresses on one page.
#[inline]
fn for_each_run(addresses: &[u64], mut visit: impl FnMut(u64, std::ops::Range<usize>)) {
    let mut at = 0;
    while at < addresses.len() {
        let page = page_of(addresses[at]);
        let same = addresses[at + 1..].iter().take_while(|&&a| page_of(a) == page).count();
        visit(page, at..at + 1 + same);
        at += 1 + same;
    }
}
