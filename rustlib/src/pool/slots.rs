//! From an index or a handle to a slot, and from a slot to its memory. Whatever a slot
//! says is looked at before it is believed.

use std::sync::atomic::Ordering::{Acquire, Relaxed};

use super::Buffer;
use super::atomic::GENERATION_BITS;
use super::attachment::Attachment;
use super::layout::{INDEX_BITS, Slot, UNIT};
use super::word::Word;
use crate::error::{Error, Result};

impl Slot {
    /// The generation of its buffer, of which a word has the low bits.
    pub fn generation(&self, word: Word) -> u64 {
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
    pub fn not_held(&self, handle: u64) -> Error {
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
    pub fn is_empty(&self, index: u32) -> Error {
        Error::NotFound(format!("slot {index} of {self} has no buffer in use"))
    }

    /// The slot of that index; an error where there cannot be one, or never was.
    pub fn slot_at(&self, index: u32) -> Result<&Slot> {
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

    /// Where in the data segment a slot's memory begins, and how long it is; None where
    /// that is outside.
    #[inline(always)]
    pub fn extent(&self, slot: &Slot) -> Option<(usize, usize)> {
        let (place, units) = (slot.place.load(Acquire), slot.units.load(Relaxed));
        let size = slot.size.load(Relaxed);
        let inside = place != 0 && place.checked_add(units)? <= self.units() + 1;
        let fits = size != 0 && size.div_ceil(UNIT) <= units;
        (inside && fits).then(|| (((place - 1) * UNIT) as usize, size as usize))
    }

    /// A slot held by this process as a buffer.
    pub fn buffer(&self, index: u32, slot: &Slot, word: Word, writable: bool) -> Result<Buffer> {
        let handle = handle_of(index, slot, word);
        if slot.arena.load(Relaxed) != 0 {
            let (device, address) = self.device_address(index, slot)?;
            let (data, size) = (address as *mut u8, slot.size.load(Relaxed) as usize);
            return Ok(Buffer { handle, data, size, index, device, writable });
        }
        if slot.place.load(Acquire) == 0 {
            // Whoever took it has found that it is of no use, and will leave it again.
            return Err(self.is_empty(index));
        }
        let (offset, size) = self.extent(slot).ok_or_else(|| self.damaged(index))?;
        let start = self.data(writable)?.map.start();
        // SAFETY: within the mapping, as was just seen.
        let data = unsafe { start.add(offset) };
        Ok(Buffer { handle, data, size, index, device: -1, writable })
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
}
