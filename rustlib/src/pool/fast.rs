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

    /// One hold more on a buffer that this process holds already; where there is no buffer
    /// to give, whether a hold of the slot was taken, which is to be undone then.
    #[inline(always)]
    pub fn get_again(&self, handle: u64, writable: bool) -> Result<Buffer, bool> {
        let index = index_of(handle);
        if self.me.load(Relaxed) == NOBODY || !self.holds.again(index as usize) {
            return Err(false);
        }
        // SAFETY: what is held has its slot.
        let slot = unsafe { self.control.slot_that_is(index as usize) };
        let fits = handle_of(index, slot, slot.word.peek_generation()) == handle
            && !(writable && slot.is_sealed(slot.word.peek()));
        let buffer = if fits { self.plain_buffer(handle, index, slot, writable) } else { None };
        buffer.ok_or(true)
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
        let index = index_of(handle);
        if self.me.load(Relaxed) == NOBODY || !self.holds.has(index as usize) {
            return false;
        }
        // SAFETY: what is held has its slot.
        let slot = unsafe { self.control.slot_that_is(index as usize) };
        // While it is held its generation stands still.
        handle_of(index, slot, slot.word.peek_generation()) == handle
            && self.holds.one_less(index as usize)
    }

    /// Gives the last hold back; false where that is to be done the long way.
    #[inline(always)]
    pub fn release_last(&self, handle: u64) -> bool {
        let index = index_of(handle);
        let me = self.me.load(Relaxed);
        let Some(slot) = self.slot(index).filter(|_| me != NOBODY) else { return false };
        if handle_of(index, slot, slot.word.peek()) != handle
            || !self.holds.enter(index as usize, Count::first(0))
        {
            return false;
        }
        let freed = slot.word.leave(me);
        self.holds.finish(index as usize, Count::default());
        if freed {
            self.freed(index, slot);
        }
        true
    }
}
