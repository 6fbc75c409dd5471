//! Finding a buffer that is free, waiting for one, and telling others of those that become so.

use std::hint;
use std::sync::atomic::Ordering::{Acquire, Relaxed, SeqCst};
use std::time::{Duration, Instant};

use rustix::thread::futex;

use super::Buffer;
use super::attachment::{Attachment, NOBODY, set_hint};
use super::blocks::{LARGE, Need};
use super::holds::Count;
use super::layout::Slot;
use super::word::Word;
use crate::error::{Error, Result};

/// How often a waiter looks whether somebody was killed, which wakes nobody.
const PATIENCE: Duration = Duration::from_millis(50);
/// Looks at the hints before a waiter sleeps: some microseconds.
const SPINS: usize = 100;

impl Attachment {
    #[cold]
    #[inline(never)]
    fn cannot_be(&self, size: usize) -> Error {
        let most = self.control.layout.budget;
        Error::InvalidArgument(format!("a buffer of {self} has 1 to {most} bytes, not {size}"))
    }

    #[cold]
    #[inline(never)]
    pub fn none_free(&self, size: usize) -> Error {
        Error::Timeout(format!("no buffer of {size} bytes of {self} is free"))
    }

    pub fn need(&self, size: usize) -> Result<Need> {
        if size == 0 || size as u64 > self.control.layout.budget {
            return Err(self.cannot_be(size));
        }
        Ok(Need::of(size as u64))
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
}
