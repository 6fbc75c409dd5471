//! Which slot has which part of the data segment. Everything here is done with the
//! pool's lock; a slot's `place` is the truth, the map follows from it.

use std::os::fd::AsFd;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::attachment::Attachment;
use super::blocks::{Map, Need};
use super::holds::Count;
use super::layout::{CHUNK, MetaWords, PAGE_BYTES, PAGE_UNITS, Slot, UNIT};
use super::lock::Locked;
use super::segment;
use super::word::Word;
use crate::error::Result;

/// Words of the map that get memory together: a page, for two megabytes of buffers.
const MAP_STEP: u64 = PAGE_BYTES / 8;

impl Attachment {
    /// Gives a slot without memory some, and takes it; None where there is no such slot, or
    /// no room.
    pub fn bind(
        &self,
        _locked: &Locked,
        need: Need,
        size: usize,
        refs: u32,
    ) -> Result<Option<(u32, &Slot, Word)>> {
        if self.unbound(0)?.is_none() {
            return Ok(None);
        }
        let Some(place) = self.room(need.units)? else { return Ok(None) };
        let begin = place * UNIT / PAGE_BYTES * PAGE_BYTES;
        let end = ((place + need.units) * UNIT).next_multiple_of(PAGE_BYTES);
        segment::commit(self.data(true)?.file.as_fd(), begin, end - begin)?;
        let Some((index, slot, word)) = self.take_unbound()? else { return Ok(None) };
        Map(self.control.block_map()).mark(place, need.units, true);
        slot.units.store(need.units, Relaxed);
        slot.class.store(need.class as u32, Relaxed);
        slot.arena.store(0, Relaxed);
        slot.place.store(place + 1, Release);
        Ok(Some((index, slot, self.begin_bound(index, slot, word, size, refs))))
    }

    /// Begins the tenancy of a slot that was unbound and has its memory now.
    pub fn begin_bound(&self, index: u32, slot: &Slot, word: Word, size: usize, refs: u32) -> Word {
        self.begin(slot, word, size);
        let word = slot.word.open();
        self.holds.finish(index as usize, Count::first(refs));
        word
    }

    /// Takes a slot that has no memory, and keeps others out until `begin_bound`.
    pub fn take_unbound(&self) -> Result<Option<(u32, &Slot, Word)>> {
        let mut from = 0;
        while let Some((index, slot)) = self.unbound(from)? {
            if let Some(word) = self.take_closed(index, slot)? {
                return Ok(Some((index, slot, word)));
            }
            // Somebody was told that it may be free, and is just finding out what it is.
            from = index as usize + 1;
        }
        Ok(None)
    }

    /// Takes a free slot and keeps others out.
    fn take_closed(&self, index: u32, slot: &Slot) -> Result<Option<Word>> {
        let me = self.me()?;
        let none = self.holds.count(index as usize);
        if none.total != 0 || !self.holds.enter(index as usize, none) {
            return Ok(None);
        }
        let taken = slot.word.take_closed(me);
        if taken.is_none() {
            self.holds.finish(index as usize, none);
        }
        Ok(taken)
    }

    /// The first slot at or behind `from` without memory of its own for a buffer.
    pub fn unbound(&self, from: usize) -> Result<Option<(u32, &Slot)>> {
        let header = self.control.header();
        let capacity = self.control.layout.capacity;
        let known = header.unbound_from.load(Relaxed) as usize;
        let mut index = known.max(from);
        while index < capacity {
            if index >= self.control.slots().len() {
                self.commit_chunk()?;
            }
            let Some(slot) = self.control.slots().get(index) else { break };
            if slot.place.load(Relaxed) == 0 && slot.word.load().is_free() {
                if from <= known {
                    header.unbound_from.store(index as u32, Relaxed);
                }
                return Ok(Some((index as u32, slot)));
            }
            index += 1;
        }
        if from <= known {
            header.unbound_from.store(capacity as u32, Relaxed);
        }
        Ok(None)
    }

    fn commit_chunk(&self) -> Result<()> {
        let layout = &self.control.layout;
        let chunk = self.control.slots().len() / CHUNK;
        let (slots, metas) = (CHUNK * size_of::<Slot>(), CHUNK * size_of::<MetaWords>());
        segment::commit(self.file(), (layout.slots_at + chunk * slots) as u64, slots as u64)?;
        segment::commit(self.file(), (layout.metas_at + chunk * metas) as u64, metas as u64)?;
        let ready = ((chunk + 1) * CHUNK).min(layout.capacity);
        self.control.header().slots_ready.store(ready as u32, Release);
        Ok(())
    }

    /// Room for a block, behind the last one if there is any there.
    fn room(&self, units: u64) -> Result<Option<u64>> {
        let header = self.control.header();
        let words = units.div_ceil(PAGE_UNITS);
        loop {
            let map = Map(self.control.block_map());
            let ready = map.0.len();
            let from = (header.search.load(Relaxed) as usize).min(ready);
            // A run that begins before `from` and ends behind it is found by the second.
            let found = map.find(units, from..ready).or_else(|| map.find(units, 0..ready));
            if let Some(place) = found {
                // The rest of a page is for the next small block.
                header.search.store((place + units) / PAGE_UNITS, Relaxed);
                return Ok(Some(place));
            }
            let all = self.control.layout.map_words as u64;
            if ready as u64 >= all {
                return Ok(None);
            }
            let more = (ready as u64 + words).next_multiple_of(MAP_STEP).min(all);
            let at = self.control.layout.map_at as u64 + ready as u64 * 8;
            let end = (self.control.layout.map_at as u64 + more * 8).next_multiple_of(PAGE_BYTES);
            segment::commit(
                self.file(),
                at / PAGE_BYTES * PAGE_BYTES,
                end - at / PAGE_BYTES * PAGE_BYTES,
            )?;
            header.map_ready.store(more, Release);
        }
    }

    /// Takes the memory from the next free slot at or behind `from`, which moves on; None
    /// where there is none. With `discard` the system gets it back: so many bytes.
    pub fn evict(&self, locked: &Locked, from: &mut u32, discard: bool) -> Result<Option<u64>> {
        while self.slot(*from).is_some() {
            let index = *from;
            *from += 1;
            if let Some(bytes) = self.unbind(locked, index, discard)? {
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }

    /// The same for one slot; None where it is not free, or has no memory.
    pub fn unbind(&self, _locked: &Locked, index: u32, discard: bool) -> Result<Option<u64>> {
        let me = self.me()?;
        let Some(slot) = self.slot(index).filter(|slot| slot.place.load(Relaxed) != 0) else {
            return Ok(None);
        };
        let Some(word) = self.take_closed(index, slot)? else { return Ok(None) };
        slot.count_up(word);
        let (place, units) = (slot.place.load(Acquire), slot.units.load(Relaxed));
        let on_device = slot.arena.load(Relaxed) != 0;
        // First from the slot: a process that is killed in between leaves a block that
        // nobody has, which `recover` finds, and never one that two have.
        slot.place.store(0, Release);
        let map = Map(self.control.block_map());
        // A block of a device's is free by that alone: see `cuda::arena`.
        let marked = !on_device && place != 0 && place - 1 + units <= self.units();
        if marked {
            map.mark(place - 1, units, false);
        }
        slot.word.leave(me);
        self.holds.finish(index as usize, Count::default());
        self.control.header().unbound_from.fetch_min(index, Relaxed);
        if discard && marked { self.discard(place - 1, units).map(Some) } else { Ok(Some(0)) }
    }

    /// Gives the pages back of which nothing is used any more.
    fn discard(&self, place: u64, units: u64) -> Result<u64> {
        let map = self.control.block_map();
        let file = self.data(true)?.file.as_fd();
        let mut bytes = 0;
        let (first, end) = (place / PAGE_UNITS, (place + units).div_ceil(PAGE_UNITS));
        let free = |page: u64| map.get(page as usize).is_some_and(|word| word.load(Relaxed) == 0);
        let mut page = first;
        while page < end {
            let run = (page..end).take_while(|&page| free(page)).count() as u64;
            if run > 0 {
                segment::discard(file, page * PAGE_BYTES, run * PAGE_BYTES)?;
                bytes += run * PAGE_BYTES;
            }
            page += run + 1;
        }
        Ok(bytes)
    }

    pub fn trim(&self) -> Result<u64> {
        let locked = self.lock()?;
        self.reclaim_locked()?;
        let (mut at, mut bytes) = (0, 0);
        while let Some(more) = self.evict(&locked, &mut at, true)? {
            bytes += more;
        }
        drop(locked);
        Ok(bytes + self.trim_arenas()?)
    }
}
