//! Holding buffers that are there: taking part in one, giving it back, pinning, sealing.

use std::io;
use std::sync::atomic::Ordering::{Acquire, Release};

use super::Buffer;
use super::attachment::Attachment;
use super::holds::{Count, MOST};
use super::layout::Slot;
use super::slots::{handle_of, index_of, low_generation};
use super::word::{MAX_PINS, Word};
use crate::error::{Error, Result};

impl Attachment {
    #[cold]
    #[inline(never)]
    fn held_too_often(&self, index: u32) -> Error {
        Error::Overflow(format!("buffer {index} of {self} is held {MOST} times already"))
    }

    /// Adds one hold of this process: on the buffer of a handle, or on whichever is there.
    pub fn join(&self, index: u32, slot: &Slot, handle: Option<u64>, refs: i32) -> Result<Word> {
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
