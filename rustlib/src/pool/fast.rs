//! The common cases of acquire, get and release, short enough to be one function each.
//! Whatever is not as it mostly is, errors too, is left to `acquire` and `buffers`, with nothing changed.

use std::sync::atomic::Ordering::Relaxed;

use super::Buffer;
use super::attachment::{Attachment, NOBODY};
use super::blocks::Need;
use super::holds::Count;
use super::layout::Slot;
use super::slots::{handle_of, index_of, low_generation};
use super::word::Word;

impl Attachment {
    /// The buffer in a slot that this process holds.
    #[inline(always)]
    fn plain_buffer(&self, index: u32, slot: &Slot, word: Word, writable: bool) -> Option<Buffer> {
        let side = if writable { &self.writer } else { &self.reader };
        let map = &side.get()?.map;
        let (offset, size) = self.extent(slot).filter(|_| slot.arena.load(Relaxed) == 0)?;
        // SAFETY: within the mapping, as was just seen.
        let data = unsafe { map.start().add(offset) };
        let handle = handle_of(index, slot, word);
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
        let buffer = self.plain_buffer(index, slot, word, true);
        if buffer.is_none() {
            self.undo(index, slot, 0);
        }
        buffer
    }

    /// A hold on a buffer that others hold too, or this process already does.
    #[inline(always)]
    pub fn get_plain(&self, handle: u64, writable: bool) -> Option<Buffer> {
        let me = self.me.load(Relaxed);
        let index = index_of(handle);
        let slot = self.slot(index).filter(|_| me != NOBODY)?;
        let word = if self.holds.again(index as usize) {
            slot.word.peek()
        } else {
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
            word
        };
        let fits = handle_of(index, slot, word) == handle && !(writable && slot.is_sealed(word));
        let buffer = fits.then(|| self.plain_buffer(index, slot, word, writable)).flatten();
        if buffer.is_none() {
            self.undo(index, slot, 0);
        }
        buffer
    }

    /// Gives a hold back; false where that is to be done the long way.
    #[inline(always)]
    pub fn release_plain(&self, handle: u64) -> bool {
        let index = index_of(handle);
        let me = self.me.load(Relaxed);
        let Some(slot) = self.slot(index).filter(|_| me != NOBODY) else { return false };
        // While it is held its generation stands still.
        if handle_of(index, slot, slot.word.peek()) != handle {
            return false;
        }
        if self.holds.one_less(index as usize) {
            return true;
        }
        if !self.holds.enter(index as usize, Count::first(0)) {
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
