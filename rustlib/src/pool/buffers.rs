//! Taking, sharing and giving back buffers.

use std::hint;
use std::io;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::time::{Duration, Instant};

use rustix::thread::futex;

use super::Buffer;
use super::atomic::GENERATION_BITS;
use super::attachment::{Attachment, NOBODY, set_hint};
use super::blocks::{LARGE, Need};
use super::holds::{Count, MOST};
use super::layout::{INDEX_BITS, Slot, UNIT};
use super::word::{MAX_PINS, Word};
use crate::error::{Error, Result};

/// How often a waiter looks whether somebody was killed, which wakes nobody.
const PATIENCE: Duration = Duration::from_millis(50);
/// Looks at the hints before a waiter sleeps: some microseconds.
const SPINS: usize = 100;

impl Slot {
    /// The generation of its buffer, of which a word has the low bits.
    fn generation(&self, word: Word) -> u64 {
        u64::from(self.generation_high.load(Relaxed)) << GENERATION_BITS
            | u64::from(word.generation())
    }

    /// Counts the high bits of the generation, by whoever has just taken the slot.
    #[inline]
    pub fn count_up(&self, word: Word) {
        if word.begins_round() {
            self.generation_high.fetch_add(1, Relaxed);
        }
    }

    pub fn is_sealed(&self, word: Word) -> bool {
        self.sealed.load(Acquire) >> 8 == self.generation(word)
    }
}

pub fn handle_of(index: u32, slot: &Slot, word: Word) -> u64 {
    slot.generation(word) << INDEX_BITS | u64::from(index)
}

pub fn index_of(handle: u64) -> u32 {
    (handle & ((1 << INDEX_BITS) - 1)) as u32
}

pub fn low_generation(handle: u64) -> u32 {
    (handle >> INDEX_BITS) as u32 & ((1 << GENERATION_BITS) - 1)
}

impl Attachment {
    #[cold]
    #[inline(never)]
    pub fn stale(&self, handle: u64) -> Error {
        let index = index_of(handle);
        Error::NotFound(format!(
            "handle {handle:#x} is stale: the buffer that it named in slot {index} of {self} is gone"
        ))
    }

    #[cold]
    #[inline(never)]
    fn not_held(&self, handle: u64) -> Error {
        Error::NotFound(format!("this process has no hold on buffer {handle:#x} of {self}"))
    }

    #[cold]
    #[inline(never)]
    pub fn damaged(&self, index: u32) -> Error {
        let text = format!("slot {index} of {self} is damaged: its memory is outside the pool");
        Error::InvalidArgument(text)
    }

    #[cold]
    #[inline(never)]
    fn cannot_be(&self, size: usize) -> Error {
        let most = self.control.layout.budget;
        Error::InvalidArgument(format!("a buffer of {self} has 1 to {most} bytes, not {size}"))
    }

    #[cold]
    #[inline(never)]
    fn held_too_often(&self, index: u32) -> Error {
        Error::Overflow(format!("buffer {index} of {self} is held {MOST} times already"))
    }

    #[cold]
    #[inline(never)]
    pub fn none_free(&self, size: usize) -> Error {
        Error::Timeout(format!("no buffer of {size} bytes of {self} is free"))
    }

    #[cold]
    #[inline(never)]
    fn is_empty(&self, index: u32) -> Error {
        Error::NotFound(format!("slot {index} of {self} has no buffer in use"))
    }

    /// The slot of that index; an error where there cannot be one, or never was.
    fn slot_at(&self, index: u32) -> Result<&Slot> {
        let capacity = self.control.layout.capacity;
        if index as usize >= capacity {
            let text = format!("there is no slot {index}: {self} has {capacity}");
            return Err(Error::OutOfRange(text));
        }
        let slot = self.slot(index).filter(|slot| slot.word.peek() != Word::NEVER);
        slot.ok_or_else(|| {
            Error::NotFound(format!("slot {index} of {self} has never had a buffer"))
        })
    }

    /// The slot of a handle that this process holds.
    #[inline(always)]
    pub fn held_slot(&self, handle: u64) -> Result<(u32, &Slot)> {
        let index = index_of(handle);
        let slot = self.slot(index).ok_or_else(|| self.not_held(handle))?;
        let count = self.holds.count(index as usize);
        // While it is held its generation stands still.
        if count.total > 0 && handle_of(index, slot, slot.word.peek()) == handle {
            return Ok((index, slot));
        }
        Err(self.not_held(handle))
    }

    /// The same, for what only holders may do.
    pub fn own_slot(&self, handle: u64) -> Result<(u32, &Slot)> {
        self.me()?;
        self.held_slot(handle)
    }

    pub fn need(&self, size: usize) -> Result<Need> {
        if size == 0 || size as u64 > self.control.layout.budget {
            return Err(self.cannot_be(size));
        }
        Ok(Need::of(size as u64))
    }

    /// A slot held by this process as a buffer.
    #[inline(always)]
    pub fn buffer(&self, index: u32, slot: &Slot, word: Word, writable: bool) -> Result<Buffer> {
        let handle = handle_of(index, slot, word);
        let size = slot.size.load(Relaxed);
        if slot.arena.load(Relaxed) != 0 {
            let (device, address) = self.device_address(index, slot)?;
            let data = address as *mut u8;
            return Ok(Buffer { handle, data, size: size as usize, index, device, writable });
        }
        let (place, units) = (slot.place.load(Acquire), slot.units.load(Relaxed));
        let end = place.checked_add(units).filter(|&end| end <= self.units() + 1);
        if place == 0 {
            // Whoever took it has found that it is of no use, and will leave it again.
            return Err(self.is_empty(index));
        }
        if end.is_none() || size == 0 || size.div_ceil(UNIT) > units {
            return Err(self.damaged(index));
        }
        let map = &self.data(writable)?.map;
        // SAFETY: within the mapping, as was just seen.
        let data = unsafe { map.start().add(((place - 1) * UNIT) as usize) };
        Ok(Buffer { handle, data, size: size as usize, index, device: -1, writable })
    }

    /// The same for a hold that was just taken, which is given back if that fails.
    pub fn buffer_or_release(
        &self,
        index: u32,
        slot: &Slot,
        word: Word,
        writable: bool,
    ) -> Result<Buffer> {
        self.buffer(index, slot, word, writable).inspect_err(|_| {
            self.undo(index, slot, 0);
        })
    }

    /// Notes that a slot is free, and wakes who waits for that.
    #[inline(always)]
    pub fn freed(&self, index: u32, slot: &Slot) {
        let header = self.control.header();
        // Where memory of a device is free, its owner knows by itself.
        if slot.arena.load(Relaxed) == 0 {
            let class = (slot.class.load(Relaxed) as usize).min(LARGE);
            if header.waiting.load(SeqCst) == 0 {
                // What this process had last is in its caches. It tells the others of it only
                // when the next one takes its place.
                let before = self.recent[class].load(Relaxed);
                if before == index {
                    return;
                }
                self.recent[class].store(index, Relaxed);
                if before != NOBODY {
                    set_hint(self.control.hints(class), before);
                }
                return;
            }
            set_hint(self.control.hints(class), index);
        }
        if header.waiting.swap(0, SeqCst) != 0 {
            self.wake();
        }
    }

    #[cold]
    #[inline(never)]
    fn wake(&self) {
        let wakes = &self.control.header().wakes;
        wakes.fetch_add(1, SeqCst);
        let _ = futex::wake(wakes, futex::Flags::empty(), i32::MAX as u32);
    }

    /// Takes a slot that seems to be free and to fit.
    #[inline(always)]
    pub fn take(
        &self,
        index: u32,
        arena: u32,
        need: Need,
        size: usize,
        refs: u32,
    ) -> Option<(&Slot, Word)> {
        let slot = self.slot(index)?;
        let none = self.holds.count(index as usize);
        if none.total != 0 || !self.holds.enter(index as usize, none) {
            return None;
        }
        let me = self.me.load(Relaxed);
        let Some(word) = slot.word.take(me) else {
            self.holds.finish(index as usize, none);
            return None;
        };
        // Its block cannot change while it is held; it may have before.
        let fits = slot.place.load(Acquire) != 0
            && slot.arena.load(Relaxed) == arena
            && need.fits(slot.units.load(Relaxed));
        if !fits {
            slot.count_up(word);
            slot.word.leave(me);
            self.holds.finish(index as usize, Count::default());
            return None;
        }
        self.begin(slot, word, size);
        self.holds.finish(index as usize, Count::first(refs));
        Some((slot, word))
    }

    /// Begins the tenancy of a slot that was just taken and nobody else knows of.
    #[inline(always)]
    pub fn begin(&self, slot: &Slot, word: Word, size: usize) {
        slot.count_up(word);
        slot.size.store(size as u64, Relaxed);
        slot.producer.store(self.pid.load(Relaxed), Relaxed);
    }

    /// A buffer that was freed and is easily found.
    fn ready(&self, need: Need, size: usize, refs: u32) -> Option<(u32, &Slot, Word)> {
        self.latest(need, size, refs).or_else(|| self.hinted(need, size, refs))
    }

    /// The buffer that this process freed last.
    #[inline(always)]
    pub fn latest(&self, need: Need, size: usize, refs: u32) -> Option<(u32, &Slot, Word)> {
        let recent = &self.recent[need.class];
        let index = recent.load(Relaxed);
        if index == NOBODY {
            return None;
        }
        recent.store(NOBODY, Relaxed);
        let taken = self.take(index, 0, need, size, refs);
        // It may be free and of another size, which only large ones are.
        if taken.is_none() && need.class == LARGE {
            set_hint(self.control.hints(LARGE), index);
        }
        taken.map(|(slot, word)| (index, slot, word))
    }

    fn hinted(&self, need: Need, size: usize, refs: u32) -> Option<(u32, &Slot, Word)> {
        for (i, hints) in (0..).zip(self.control.hints(need.class)) {
            let mut bits = hints.load(Relaxed);
            while bits != 0 {
                let bit = bits & bits.wrapping_neg();
                bits ^= bit;
                let index = i * 64 + bit.trailing_zeros();
                let Some(slot) = self.slot(index) else { continue };
                if need.class == LARGE && !need.fits(slot.units.load(Relaxed)) {
                    continue;
                }
                if hints.fetch_and(!bit, Relaxed) & bit == 0 {
                    continue;
                }
                if let Some((slot, word)) = self.take(index, 0, need, size, refs) {
                    return Some((index, slot, word));
                }
            }
        }
        None
    }

    /// A buffer that takes some looking: new memory, one that no hint told of, one of the
    /// dead, or the memory of others that are free.
    fn found(&self, need: Need, size: usize, refs: u32) -> Result<Option<(u32, &Slot, Word)>> {
        let locked = self.lock()?;
        let mut bound = self.bind(&locked, need, size, refs);
        if let Ok(Some(new)) = bound {
            return Ok(Some(new));
        }
        let scan = || {
            (0..self.control.slots().len() as u32).find_map(|index| {
                let (slot, word) = self.take(index, 0, need, size, refs)?;
                Some((index, slot, word))
            })
        };
        if let Some(old) = scan() {
            return Ok(Some(old));
        }
        if self.reclaim_locked()? > 0
            && let Some(old) = scan()
        {
            return Ok(Some(old));
        }
        let mut from = 0;
        while self.evict(&locked, &mut from, bound.is_err())?.is_some() {
            bound = self.bind(&locked, need, size, refs);
            if let Ok(Some(new)) = bound {
                return Ok(Some(new));
            }
        }
        bound
    }

    fn try_acquire(&self, need: Need, size: usize) -> Result<Option<Buffer>> {
        let taken = match self.ready(need, size, 0) {
            Some(ready) => Some(ready),
            None => self.found(need, size, 0)?,
        };
        taken.map(|(index, slot, word)| self.buffer_or_release(index, slot, word, true)).transpose()
    }

    pub fn acquire(&self, size: usize, timeout: Option<Duration>) -> Result<Buffer> {
        let need = self.need(size)?;
        self.me()?;
        if let Some(buffer) = self.try_acquire(need, size)? {
            return Ok(buffer);
        }
        let quick = || {
            let ready = self.ready(need, size, 0);
            ready.map(|(i, slot, word)| self.buffer_or_release(i, slot, word, true)).transpose()
        };
        self.wait_for(size, timeout, quick, || self.try_acquire(need, size))
    }

    /// Waits for a buffer: `quick` looks where it is easily found, `thorough` everywhere.
    pub fn wait_for(
        &self,
        size: usize,
        timeout: Option<Duration>,
        quick: impl Fn() -> Result<Option<Buffer>>,
        thorough: impl Fn() -> Result<Option<Buffer>>,
    ) -> Result<Buffer> {
        let none =
            || Error::Timeout(format!("no buffer of {size} bytes of {self} came free in time"));
        if timeout.is_some_and(|timeout| timeout.is_zero()) {
            return Err(none());
        }
        // A time that no clock reaches is for ever.
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        for _ in 0..SPINS {
            hint::spin_loop();
            if let Some(buffer) = quick()? {
                return Ok(buffer);
            }
        }
        let header = self.control.header();
        loop {
            let seen = header.wakes.load(SeqCst);
            header.waiting.store(1, SeqCst);
            if let Some(buffer) = thorough()? {
                return Ok(buffer);
            }
            let rest = match deadline {
                Some(deadline) => deadline.saturating_duration_since(Instant::now()),
                None => PATIENCE,
            };
            if rest.is_zero() {
                return Err(none());
            }
            let rest = rest.min(PATIENCE);
            let timeout =
                futex::Timespec { tv_sec: 0, tv_nsec: i64::from(rest.subsec_nanos()) as _ };
            let _ = futex::wait(&header.wakes, futex::Flags::empty(), seen, Some(&timeout));
            if let Some(buffer) = quick()? {
                return Ok(buffer);
            }
        }
    }

    /// A buffer whose one hold is a reference without a buffer.
    pub fn acquire_ref(&self, size: usize) -> Result<u32> {
        let need = self.need(size)?;
        self.me()?;
        let taken = match self.ready(need, size, 1) {
            Some(ready) => Some(ready),
            None => self.found(need, size, 1)?,
        };
        let (index, slot, word) = taken.ok_or_else(|| self.none_free(size))?;
        match self.buffer(index, slot, word, true) {
            Ok(_) => Ok(index),
            Err(error) => {
                self.drop_hold(index, slot, 1)?;
                Err(error)
            }
        }
    }

    /// Adds one hold of this process: on the buffer of a handle, or on whichever is there.
    fn join(&self, index: u32, slot: &Slot, handle: Option<u64>, refs: i32) -> Result<Word> {
        let me = self.me()?;
        let at = index as usize;
        let fail = || handle.map_or_else(|| self.is_empty(index), |handle| self.stale(handle));
        loop {
            let count = self.holds.count(at);
            if count.total > 0 {
                if count.total == MOST {
                    return Err(self.held_too_often(index));
                }
                if !self.holds.change(at, count, count.plus(1, refs)) {
                    continue;
                }
                let word = slot.word.peek();
                if handle.is_some_and(|handle| handle != handle_of(index, slot, word)) {
                    self.undo(index, slot, refs);
                    return Err(fail());
                }
                return Ok(word);
            }
            if !self.holds.enter(at, count) {
                continue;
            }
            match slot.word.join(me, handle.map(low_generation)) {
                Err(_) => {
                    self.holds.finish(at, count);
                    return Err(fail());
                }
                // It is this process's only because of what it has sent, whose tickets must
                // not take it away now.
                Ok((before, _)) if before.holds(me) => {
                    self.holds.finish(at, count);
                    if let Some(word) = self.rejoin(index, slot, handle, refs)? {
                        return Ok(word);
                    }
                }
                Ok((_, word)) => {
                    let whole = handle.is_none_or(|handle| handle == handle_of(index, slot, word));
                    self.holds.finish(at, count.plus(1, refs));
                    if whole {
                        return Ok(word);
                    }
                    self.undo(index, slot, refs);
                    return Err(fail());
                }
            }
        }
    }

    /// Gives a hold back that was taken in vain.
    #[cold]
    #[inline(never)]
    pub fn undo(&self, index: u32, slot: &Slot, refs: i32) {
        let _ = self.drop_hold(index, slot, refs);
    }

    /// Takes one hold of this process away; the last one is told the others.
    pub fn drop_hold(&self, index: u32, slot: &Slot, refs: i32) -> Result<()> {
        let me = self.me()?;
        let at = index as usize;
        loop {
            let count = self.holds.count(at);
            if count.total == 0 {
                return Err(self.is_empty(index));
            }
            if count.total > 1 {
                if self.holds.change(at, count, count.plus(-1, -refs)) {
                    return Ok(());
                }
                continue;
            }
            if count.sent {
                return self.leave_sent(index, slot, refs);
            }
            if !self.holds.enter(at, count) {
                continue;
            }
            let freed = slot.word.leave(me);
            self.holds.finish(at, Count::default());
            if freed {
                self.freed(index, slot);
            }
            return Ok(());
        }
    }

    pub fn check_writable(&self, slot: &Slot, word: Word, index: u32) -> Result<()> {
        let sealed = slot.sealed.load(Acquire);
        let sealer = sealed & 0xFF;
        if sealed >> 8 == slot.generation(word) && sealer != u64::from(self.me()?) + 1 {
            let what = format!("buffer {index} of {self} cannot be written");
            let source =
                io::Error::new(io::ErrorKind::PermissionDenied, "another process sealed it");
            return Err(Error::Io { what, source });
        }
        Ok(())
    }

    fn get_at(&self, index: u32, handle: Option<u64>, writable: bool) -> Result<Buffer> {
        let slot = self.slot_at(index)?;
        let word = self.join(index, slot, handle, 0)?;
        if writable && let Err(error) = self.check_writable(slot, word, index) {
            self.undo(index, slot, 0);
            return Err(error);
        }
        self.buffer_or_release(index, slot, word, writable)
    }

    pub fn get(&self, handle: u64, writable: bool) -> Result<Buffer> {
        self.get_at(index_of(handle), Some(handle), writable)
    }

    pub fn get_index(&self, index: u32, writable: bool) -> Result<Buffer> {
        self.get_at(index, None, writable)
    }

    pub fn release(&self, handle: u64) -> Result<()> {
        let (index, slot) = self.held_slot(handle)?;
        let count = self.holds.count(index as usize);
        if count.total == count.refs {
            return Err(self.not_held(handle));
        }
        self.drop_hold(index, slot, 0)
    }

    /// One hold becomes a pin, in the same exchange where it is this process's last.
    pub fn forget(&self, handle: u64) -> Result<()> {
        let (index, slot) = self.held_slot(handle)?;
        let me = self.me()?;
        let at = index as usize;
        // Tickets are only looked at with the lock.
        let _locked = self.lock()?;
        loop {
            let count = self.holds.count(at);
            if count.total == count.refs {
                return Err(self.not_held(handle));
            }
            if !self.holds.enter(at, count) {
                continue;
            }
            let last = count.total == 1 && !self.delegate(index, me);
            let pinned = slot.word.update(|word| {
                let pins = Some(word.pins() + 1).filter(|&pins| pins <= MAX_PINS)?;
                Some(if last { word.pinned_for(me, pins) } else { word.with_pins(pins) })
            });
            if pinned.is_err() {
                self.undelegate(index, me);
                self.holds.finish(at, count);
                let text =
                    format!("buffer {index} of {self} has {MAX_PINS} pins, the most there can be");
                return Err(Error::Overflow(text));
            }
            self.holds.finish(at, count.plus(-1, 0));
            return Ok(());
        }
    }

    // ---- references by slot ----------------------------------------------

    fn references(&self, index: u32, slot: &Slot) -> Result<u64> {
        let me = self.me()?;
        let word = slot.word.load();
        let own = self.holds.count(index as usize).total;
        let others = word.holders() - u32::from(word.holds(me));
        // Held for what it has sent alone, it counts once.
        let own = if own == 0 && word.holds(me) { 1 } else { own };
        Ok(u64::from(own) + u64::from(others) + u64::from(word.pins()))
    }

    pub fn ref_count(&self, index: u32) -> Result<u64> {
        let slot = self.slot_at(index)?;
        self.references(index, slot)
    }

    pub fn add_ref(&self, index: u32) -> Result<u64> {
        let slot = self.slot_at(index)?;
        self.join(index, slot, None, 1)?;
        self.references(index, slot)
    }

    pub fn release_ref(&self, index: u32) -> Result<u64> {
        let slot = self.slot_at(index)?;
        self.me()?;
        if self.holds.count(index as usize).refs > 0 {
            self.drop_hold(index, slot, 1)?;
            return self.references(index, slot);
        }
        let unpinned = slot.word.update(|word| {
            let pins = word.pins().checked_sub(1)?;
            Some(word.with_pins(pins))
        });
        match unpinned {
            Ok((_, now)) if now.is_free() => {
                self.freed(index, slot);
                Ok(0)
            }
            Ok(_) => self.references(index, slot),
            Err(word) if word.is_free() => Err(self.is_empty(index)),
            Err(_) => Err(Error::NotFound(format!(
                "buffer {index} of {self} has no reference to take away: what holds it gives itself back"
            ))),
        }
    }

    pub fn set_ref_count(&self, index: u32, count: u64) -> Result<()> {
        let slot = self.slot_at(index)?;
        loop {
            let word = slot.word.load();
            if word.is_free() {
                return Err(self.is_empty(index));
            }
            let holds = self.references(index, slot)? - u64::from(word.pins());
            let Some(pins) = count.checked_sub(holds) else {
                let text = format!(
                    "buffer {index} of {self} has {holds} holds, which cannot be taken away by setting its count to {count}"
                );
                return Err(Error::InvalidArgument(text));
            };
            if pins > u64::from(MAX_PINS) {
                let text = format!(
                    "a buffer has at most {MAX_PINS} pins, and {count} references would take {pins}"
                );
                return Err(Error::Overflow(text));
            }
            let pinned = slot.word.update(|now| (now == word).then(|| word.with_pins(pins as u32)));
            if let Ok((_, now)) = pinned {
                if now.is_free() {
                    self.freed(index, slot);
                }
                return Ok(());
            }
        }
    }

    pub fn seal(&self, handle: u64) -> Result<()> {
        let (index, slot) = self.own_slot(handle)?;
        let word = slot.word.load();
        self.check_writable(slot, word, index)?;
        slot.sealed.store(slot.generation(word) << 8 | u64::from(self.me()? + 1), Release);
        Ok(())
    }

    pub fn is_sealed(&self, handle: u64) -> Result<bool> {
        let (_, slot) = self.own_slot(handle)?;
        Ok(slot.is_sealed(slot.word.load()))
    }
}
