//! Memory of CUDA devices in a pool. A process allocates it in large pieces, arenas, and
//! exports them; the others open an arena once and then reach every buffer in it. Only
//! its owner puts buffers into an arena, so what is free there is the owner's to know.
//!
//! `Arenas` is locked before the pool, and only where the driver is at hand: a forked
//! child has none, and so never meets a lock that another thread held at the fork.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::driver::{Driver, driver, opened};
use crate::error::{Error, Result};
use crate::pool::Buffer;
use crate::pool::attachment::Attachment;
use crate::pool::blocks::Need;
use crate::pool::layout::{ARENAS, Arena, MAX_BUDGET, Slot, UNIT};
use crate::pool::liveness;
use crate::pool::word::Word;

/// What is allocated at once, where a buffer does not need more.
const ARENA_BYTES: u64 = 64 << 20;
/// Pages of a device: an allocation of whole ones shares none with what is not exported.
const DEVICE_PAGE: u64 = 2 << 20;
/// In units: buffers begin where allocations of the driver's would.
const ALIGNMENT: u64 = 4;

const ENTRY_BITS: u32 = ARENAS.ilog2();
const _: () = assert!(ARENAS.is_power_of_two());

/// What this process has of a pool's arenas.
#[derive(Default)]
pub struct Arenas(Mutex<Known>);

#[derive(Default)]
struct Known {
    own: Vec<Own>,
    opened: Vec<Opened>,
}

/// Where in this process an arena is.
#[derive(Clone, Copy)]
struct Memory {
    device: i32,
    address: u64,
    bytes: u64,
}

/// An arena of this process.
struct Own {
    tag: u32,
    memory: Memory,
    /// The slots that were put there; any process may have taken a free one away since.
    slots: Vec<u32>,
}

/// One of another process.
struct Opened {
    tag: u32,
    memory: Memory,
}

/// What a buffer is to be like.
#[derive(Clone, Copy)]
struct Wanted {
    device: i32,
    need: Need,
    size: usize,
    refs: u32,
}

type Taken<'a> = (u32, &'a Slot, Word);

enum Found<'a> {
    Buffer(Taken<'a>),
    NoSlot,
    NoRoom,
}

/// What a slot says of its arena: its entry in the table, and which of those that the
/// entry has described. Never 0.
fn tag(entry: usize, epoch: u32) -> u32 {
    epoch << ENTRY_BITS | entry as u32
}

fn entry_of(tag: u32) -> usize {
    tag as usize % ARENAS
}

fn next_epoch(epoch: u32) -> u32 {
    match (epoch + 1) << ENTRY_BITS >> ENTRY_BITS {
        0 => 1,
        next => next,
    }
}

impl Arena {
    fn has_epoch_of(&self, of: u32) -> bool {
        tag(entry_of(of), self.epoch.load(Acquire)) == of
    }

    fn note(&self, process: u32, opened: bool) {
        let word = &self.openers[process as usize / 64];
        let bit = 1 << (process % 64);
        if opened {
            word.fetch_or(bit, Relaxed)
        } else {
            word.fetch_and(!bit, Relaxed)
        };
    }

    fn is_open(&self) -> bool {
        self.openers.iter().any(|word| word.load(Relaxed) != 0)
    }
}

impl Memory {
    /// The address of a block, if it is in there.
    fn at(&self, place: u64, units: u64) -> Option<u64> {
        let offset = place.checked_sub(1)?.checked_mul(UNIT)?;
        let end = units.checked_mul(UNIT)?.checked_add(offset)?;
        self.address.checked_add(offset).filter(|_| end <= self.bytes)
    }

    fn free(&self, driver: &Driver) {
        // What cannot be freed stays until the process ends; there is nobody to be told.
        let _ = driver.free(self.device, self.address);
    }
}

impl Attachment {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.arenas.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn arena(&self, of: u32) -> &Arena {
        &self.control.arenas()[entry_of(of)]
    }

    fn wanted(&self, size: usize, device: i32, refs: u32) -> Result<Wanted> {
        self.me()?;
        driver()?.check_device(device)?;
        if size == 0 {
            return Err(Error::InvalidArgument("a buffer has 1 byte at least, not 0".into()));
        }
        if size as u64 > MAX_BUDGET {
            return Err(Error::OutOfMemory("out of memory: no CUDA device has that much"));
        }
        let mut need = Need::of(size as u64);
        need.units = need.units.next_multiple_of(ALIGNMENT);
        need.class = Need::of_block(need.units);
        Ok(Wanted { device, need, size, refs })
    }

    pub fn acquire_cuda(
        &self,
        size: usize,
        device: i32,
        timeout: Option<Duration>,
    ) -> Result<Buffer> {
        let wanted = self.wanted(size, device, 0)?;
        let buffer = |taken: Option<Taken>| {
            taken.map(|(i, slot, word)| self.buffer_or_release(i, slot, word, true)).transpose()
        };
        if let Some(buffer) = buffer(self.take_on(wanted)?)? {
            return Ok(buffer);
        }
        let quick = || {
            let ready = self.ready_on(&mut self.known(), wanted);
            buffer(ready)
        };
        self.wait_for(size, timeout, quick, || buffer(self.take_on(wanted)?))
    }

    /// As `acquire_ref`, on a device.
    pub fn acquire_cuda_ref(&self, size: usize, device: i32) -> Result<u32> {
        let taken = self.take_on(self.wanted(size, device, 1)?)?;
        taken.map(|(index, ..)| index).ok_or_else(|| self.none_free(size))
    }

    fn take_on(&self, wanted: Wanted) -> Result<Option<Taken<'_>>> {
        let mut known = self.known();
        if let Some(ready) = self.ready_on(&mut known, wanted) {
            return Ok(Some(ready));
        }
        loop {
            match self.found_on(&mut known, wanted)? {
                Found::Buffer(taken) => return Ok(Some(taken)),
                Found::NoSlot => return Ok(None),
                Found::NoRoom => self.add_arena(&mut known, wanted)?,
            }
        }
    }

    /// Whether a slot is bound in an arena of this process. If it is free, another process
    /// may change that, and then it is not again before this one does so.
    fn is_in(&self, index: u32, own: u32) -> bool {
        self.slot(index)
            .is_some_and(|slot| slot.place.load(Acquire) != 0 && slot.arena.load(Relaxed) == own)
    }

    /// A buffer that was freed.
    fn ready_on(&self, known: &mut Known, wanted: Wanted) -> Option<Taken<'_>> {
        let Wanted { device, need, size, refs } = wanted;
        known.own.iter_mut().filter(|own| own.memory.device == device).find_map(|own| {
            own.slots.retain(|&index| self.is_in(index, own.tag));
            own.slots.iter().find_map(|&index| {
                let (slot, word) = self.take(index, own.tag, need, size, refs)?;
                Some((index, slot, word))
            })
        })
    }

    /// One that takes some looking: of the dead, or in memory that no buffer has.
    fn found_on(&self, known: &mut Known, wanted: Wanted) -> Result<Found<'_>> {
        let locked = self.lock()?;
        if self.reclaim_locked()? > 0
            && let Some(ready) = self.ready_on(known, wanted)
        {
            return Ok(Found::Buffer(ready));
        }
        if self.unbound(0)?.is_none() && self.evict(&locked, &mut 0, false)?.is_none() {
            return Ok(Found::NoSlot);
        }
        let mut gap = self.gap(known, wanted);
        if gap.is_none() {
            for own in known.own.iter().filter(|own| own.memory.device == wanted.device) {
                for &index in &own.slots {
                    self.unbind(&locked, index, false)?;
                }
            }
            gap = self.gap(known, wanted);
        }
        let Some((own, place)) = gap else { return Ok(Found::NoRoom) };
        let Some((index, slot, word)) = self.take_unbound()? else { return Ok(Found::NoSlot) };
        slot.units.store(wanted.need.units, Relaxed);
        slot.arena.store(own.tag, Relaxed);
        slot.place.store(place + 1, Release);
        own.slots.push(index);
        Ok(Found::Buffer((
            index,
            slot,
            self.begin_bound(index, slot, word, wanted.size, wanted.refs),
        )))
    }

    /// Where in an arena there is room, in units.
    fn gap<'a>(&self, known: &'a mut Known, wanted: Wanted) -> Option<(&'a mut Own, u64)> {
        let units = wanted.need.units;
        let on_device = known.own.iter_mut().filter(|own| own.memory.device == wanted.device);
        on_device.into_iter().find_map(|own| {
            own.slots.retain(|&index| self.is_in(index, own.tag));
            let slots = own.slots.iter().filter_map(|&index| self.slot(index));
            let mut blocks: Vec<(u64, u64)> = slots
                .map(|slot| (slot.place.load(Acquire) - 1, slot.units.load(Relaxed)))
                .collect();
            blocks.push((own.memory.bytes / UNIT, 0));
            blocks.sort_unstable();
            let mut end = 0;
            for (place, taken) in blocks {
                if place.checked_sub(end).is_some_and(|room| room >= units) {
                    return Some((own, end));
                }
                end = end.max(place.saturating_add(taken));
            }
            None
        })
    }

    /// Allocates an arena and tells the others of it.
    fn add_arena(&self, known: &mut Known, wanted: Wanted) -> Result<()> {
        let (driver, device) = (driver()?, wanted.device);
        let least = (wanted.need.units * UNIT).next_multiple_of(DEVICE_PAGE);
        let alloc = |bytes: u64| {
            let address = driver.alloc(device, bytes as usize)?;
            Ok(Memory { device, address, bytes })
        };
        let memory = alloc(least.max(ARENA_BYTES)).or_else(|refused| match refused {
            Error::OutOfMemory(_) => {
                self.free_unused(known, driver)?;
                alloc(least)
            }
            refused => Err(refused),
        })?;
        let published = driver.export(device, memory.address).and_then(|ipc| {
            let uuid = driver.uuid(device)?;
            self.publish(&ipc, &uuid, memory.bytes)
        });
        let tag = published.inspect_err(|_| memory.free(driver))?;
        known.own.push(Own { tag, memory, slots: Vec::new() });
        Ok(())
    }

    fn publish(&self, ipc: &[u8; 64], uuid: &[u8; 16], bytes: u64) -> Result<u32> {
        let _locked = self.lock()?;
        self.reclaim_locked()?;
        let mut table = self.control.arenas().iter().enumerate();
        let (entry, arena) = table.find(|(_, arena)| arena.owner.load(Acquire) == 0).ok_or(
            Error::OutOfMemory("out of memory: the pool has as much device memory as it can list"),
        )?;
        let epoch = next_epoch(arena.epoch.load(Relaxed));
        arena.epoch.store(epoch, Release);
        arena.bytes.store(bytes, Relaxed);
        arena.openers.iter().for_each(|word| word.store(0, Relaxed));
        let words = |bytes: &[u8]| -> Vec<u64> {
            let (words, _) = bytes.as_chunks();
            words.iter().map(|&word| u64::from_ne_bytes(word)).collect()
        };
        arena.device.iter().zip(words(uuid)).for_each(|(to, word)| to.store(word, Relaxed));
        arena.ipc.iter().zip(words(ipc)).for_each(|(to, word)| to.store(word, Relaxed));
        // Last: whoever is killed before has described nothing.
        arena.owner.store(self.me()? + 1, Release);
        Ok(tag(entry, epoch))
    }

    /// Frees the arenas in which no buffer is and that nobody has open; says how many bytes
    /// that were.
    fn free_unused(&self, known: &mut Known, driver: &Driver) -> Result<u64> {
        let locked = self.lock()?;
        let mut unused = Vec::new();
        known.own.retain_mut(|own| {
            own.slots.retain(|&index| {
                let _ = self.unbind(&locked, index, false);
                self.is_in(index, own.tag)
            });
            let arena = self.arena(own.tag);
            let stays = !own.slots.is_empty() || arena.is_open();
            if !stays {
                arena.owner.store(0, Release);
                unused.push(own.memory);
            }
            stays
        });
        // Freeing may wait for the device, for which the others need not.
        drop(locked);
        unused.iter().for_each(|memory| memory.free(driver));
        Ok(unused.iter().map(|memory| memory.bytes).sum())
    }

    /// Gives the memory of devices that is free back; says how many bytes that were.
    pub fn trim_arenas(&self) -> Result<u64> {
        let Some(driver) = opened() else { return Ok(0) };
        self.free_unused(&mut self.known(), driver)
    }

    /// Where in this process a buffer of a device is, which this process holds.
    pub fn device_address(&self, index: u32, slot: &Slot) -> Result<(i32, u64)> {
        let driver = driver()?;
        let tag = slot.arena.load(Relaxed);
        let mut known = self.known();
        let own = known.own.iter().find(|own| own.tag == tag).map(|own| own.memory);
        let memory = match own {
            Some(memory) => memory,
            None => self.open_arena(&mut known, driver, tag, index)?,
        };
        let (place, units) = (slot.place.load(Acquire), slot.units.load(Relaxed));
        let address = memory.at(place, units).filter(|_| {
            let size = slot.size.load(Relaxed);
            size > 0 && size.div_ceil(UNIT) <= units
        });
        address.map(|address| (memory.device, address)).ok_or_else(|| self.damaged(index))
    }

    /// Another process's arena, opened if it was not.
    fn open_arena(
        &self,
        known: &mut Known,
        driver: &Driver,
        tag: u32,
        index: u32,
    ) -> Result<Memory> {
        let gone = || {
            Error::Device(format!(
                "the process that owned the memory of buffer {index} of {self} is gone"
            ))
        };
        let (me, arena) = (self.me()?, self.arena(tag));
        let is_live = || -> Result<bool> {
            let owner = arena.owner.load(Acquire);
            Ok(arena.has_epoch_of(tag)
                && owner != 0
                && owner != me + 1
                && liveness::is_alive(self.file(), owner - 1)?)
        };
        // Asked each time: the memory of a dead process is there until the driver notices.
        if !is_live()? {
            return Err(gone());
        }
        if let Some(opened) = known.opened.iter().find(|opened| opened.tag == tag) {
            return Ok(opened.memory);
        }
        self.close_stale(known, driver)?;
        let locked = self.lock()?;
        if !is_live()? {
            return Err(gone());
        }
        // From here on its owner does not free it.
        arena.note(me, true);
        drop(locked);
        let mut uuid = [0; 16];
        let mut ipc = [0; 64];
        for (bytes, words) in [(&mut uuid[..], &arena.device[..]), (&mut ipc[..], &arena.ipc[..])] {
            for (bytes, word) in bytes.chunks_exact_mut(8).zip(words) {
                bytes.copy_from_slice(&word.load(Relaxed).to_ne_bytes());
            }
        }
        let memory = driver.ordinal_of(&uuid).and_then(|device| {
            let address = driver.import(device, &ipc)?;
            Ok(Memory { device, address, bytes: arena.bytes.load(Relaxed) })
        });
        let memory = memory.inspect_err(|_| arena.note(me, false))?;
        known.opened.push(Opened { tag, memory });
        Ok(memory)
    }

    /// Closes the arenas whose owners are gone, unless this process still holds a buffer
    /// there, of which it has the address.
    fn close_stale(&self, known: &mut Known, driver: &Driver) -> Result<()> {
        let is_held = |tag| {
            (0..).zip(self.control.slots()).any(|(index, slot)| {
                slot.arena.load(Relaxed) == tag && self.holds.count(index).total > 0
            })
        };
        known.opened.retain(|opened| {
            let arena = self.arena(opened.tag);
            let is_gone = arena.owner.load(Acquire) == 0 || !arena.has_epoch_of(opened.tag);
            if !is_gone || is_held(opened.tag) {
                return true;
            }
            let _ = driver.unimport(opened.memory.device, opened.memory.address);
            false
        });
        Ok(())
    }

    /// Closes what this process has opened, before its attachment ends.
    pub fn close_arenas(&self) {
        let (Some(driver), Ok(me)) = (opened(), self.me()) else { return };
        for Opened { tag, memory } in self.known().opened.drain(..) {
            let _ = driver.unimport(memory.device, memory.address);
            let arena = self.arena(tag);
            if arena.has_epoch_of(tag) {
                arena.note(me, false);
            }
        }
    }

    /// What can be freed as this process's attachment ends. Arenas that others have open, and
    /// so may be using, stay until the process ends. The caller has the pool's lock.
    pub fn release_arenas(&self) -> Released {
        if opened().is_none() {
            return Released(Vec::new());
        }
        let mut known = self.known();
        let unused = known.own.drain(..).filter(|own| !self.arena(own.tag).is_open());
        Released(unused.map(|own| own.memory).collect())
    }

    /// Whatever a process had of arenas, it has no more. The caller has the pool's lock.
    pub fn forget_arenas_of(&self, process: u32) {
        for arena in self.control.arenas() {
            arena.note(process, false);
            if arena.owner.load(Relaxed) == process + 1 {
                arena.owner.store(0, Release);
            }
        }
    }
}

/// Memory to be freed once the pool's lock is not held any more.
pub struct Released(Vec<Memory>);

impl Released {
    pub fn free(self) {
        if let Some(driver) = opened() {
            self.0.iter().for_each(|memory| memory.free(driver));
        }
    }
}
