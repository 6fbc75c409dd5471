//! References by the index of a slot: those of this process that are no buffers, and pins.

use super::attachment::Attachment;
use super::layout::Slot;
use super::word::MAX_PINS;
use crate::error::{Error, Result};

impl Attachment {
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
}
