//! The common cases of acquire, get and release, short enough to be one function each.
//! Whatever is not as it mostly is, errors too, is left to `acquire` and `buffers`, with nothing changed.

use std::sync::atomic::Ordering::Relaxed;

use super::Buffer;
use super::attachment::{Attachment, NOBODY};
use super::blocks::Need;
use super::holds::Count;
use super::layout::Slot;
use super::slots::{handle_of, index_of, low_generation};

impl Attachment {
    /// The buffer in a slot that this process holds.
    #[inline(always)]
    fn plain_buffer(&self, handle: u64, index: u32, slot: &Slot, writable: bool) -> Option<Buffer> {
        let side = if writable { &self.writer } else { &self.reader };
        let map = &side.get()?.map;
        let (offset, size) = self.extent(slot).filter(|_| slot.arena.load(Relaxed) == 0)?;
        // SAFETY: within the mapping, as was just seen.
        let data = unsafe { map.start().add(offset) };
        Some(Buffer { handle, data, size, index, device: -1, writable })
    }

    /// The buffer that this process freed last, if it will do.
    #[inline(always)]
    pub fn acquire_latest(&self, size: usize) -> Option<Buffer> {
        let possible = size != 0 && size as u64 <= self.control.layout.budget;
        if !possible || self.me.load(Relaxed) == NOBODY {
            return None;
        }
        let (index, slot, word) = self.latest(Need::of(size as u64), size, 0)?;
        let buffer = self.plain_buffer(handle_of(index, slot, word), index, slot, true);
        if buffer.is_none() {
            self.undo(index, slot, 0);
        }
        buffer
    }

    /// One hold more, to read, on a buffer that this process holds already; where there is no
    /// buffer to give, whether a hold of the slot was taken, with which `get_held` goes on.
    #[inline(always)]
    pub fn get_again(&self, handle: u64) -> Result<Buffer, bool> {
        let index = index_of(handle);
        if self.me.load(Relaxed) == NOBODY {
            return Err(false);
        }
        let noted = self.holds.again(index as usize).ok_or(false)?;
        let side = self.reader.get().filter(|_| noted.is(handle)).ok_or(true)?;
        let (offset, size) = (noted.offset(), noted.size());
        // SAFETY: within the mapping, as was seen when it was noted.
        let data = unsafe { side.map.start().add(offset) };
        Ok(Buffer { handle, data, size, index, device: -1, writable: false })
    }

    /// Whether a hold was taken, with which `get_held` goes on.
    #[inline(always)]
    pub fn hold_again(&self, handle: u64) -> bool {
        self.me.load(Relaxed) != NOBODY && self.holds.again(index_of(handle) as usize).is_some()
    }

    /// The buffer of a hold that was just taken, which is noted for the next; where it cannot
    /// be had, the hold is given back.
    #[inline(always)]
    pub fn get_held(&self, handle: u64, writable: bool) -> Option<Buffer> {
        let index = index_of(handle);
        let slot = self.slot(index)?;
        let fits = handle_of(index, slot, slot.word.peek_generation()) == handle
            && !(writable && slot.is_sealed(slot.word.peek()));
        let buffer = fits.then(|| self.plain_buffer(handle, index, slot, writable)).flatten();
        match self.extent(slot) {
            Some(extent) if buffer.is_some() => self.holds.note(index as usize, handle, extent),
            _ => self.undo(index, slot, 0),
        }
        buffer
    }

    /// The first hold of this process on a buffer that others hold.
    #[inline(always)]
    pub fn get_first(&self, handle: u64, writable: bool) -> Option<Buffer> {
        let me = self.me.load(Relaxed);
        let index = index_of(handle);
        let slot = self.slot(index).filter(|_| me != NOBODY)?;
        let count = Count::default();
        if !self.holds.enter(index as usize, count) {
            return None;
        }
        let joined = slot.word.join(me, Some(low_generation(handle)));
        let Some((_, word)) = joined.ok().filter(|(before, _)| !before.holds(me)) else {
            self.holds.finish(index as usize, count);
            return None;
        };
        self.holds.finish(index as usize, count.plus(1, 0));
        let fits = handle_of(index, slot, word) == handle && !(writable && slot.is_sealed(word));
        let buffer = fits.then(|| self.plain_buffer(handle, index, slot, writable)).flatten();
        if buffer.is_none() {
            self.undo(index, slot, 0);
        }
        buffer
    }

    /// Gives back one hold of several; false where that is to be done another way.
    #[inline(always)]
    pub fn release_one(&self, handle: u64) -> bool {
        let noted = self.holds.noted(index_of(handle) as usize);
        self.me.load(Relaxed) != NOBODY
            && noted.is_some_and(|noted| noted.is(handle) && noted.one_less())
    }

    /// Gives the last hold back, or one of a buffer that nobody has noted; false where that is
    /// to be done the long way.
    #[inline(always)]
    pub fn release_last(&self, handle: u64) -> bool {
        let index = index_of(handle);
        let me = self.me.load(Relaxed);
        let Some(slot) = self.slot(index).filter(|_| me != NOBODY) else { return false };
        if handle_of(index, slot, slot.word.peek()) != handle {
            return false;
        }
        if !self.holds.enter(index as usize, Count::first(0)) {
            return self.holds.one_less(index as usize);
        }
        let freed = slot.word.leave(me);
        self.holds.finish(index as usize, Count::default());
        if freed {
            self.freed(index, slot);
        }
        true
    }
}
