//! Buffers on their way from one process to another. A ticket in shared memory makes the
//! sender answerable: its place in the slot's word stays until the receiver has taken
//! its own. Everything here is done with the pool's lock, and in an order in which a
//! killed process leaves nothing that its purge, or `recover`, does not find.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::Buffer;
use super::attachment::Attachment;
use super::control::Control;
use super::holds::Count;
use super::layout::{Slot, Ticket};
use super::slots::{handle_of, index_of};
use super::word::{POOL, Word};
use crate::error::{Error, Result};

/// What `Ticket::info` says: the owner's index + 1, this flag, and a number that tells
/// the ticket from earlier ones in the same place.
const DELEGATED: u64 = 1 << 8;
const NONCE_SHIFT: u32 = 32;

impl Ticket {
    fn owner(&self) -> Option<u32> {
        ((self.info.load(Acquire) & 0xFF) as u32).checked_sub(1)
    }

    /// Whether its owner has nothing of the buffer but such tickets: then the last of them
    /// that is claimed takes its place in the word away.
    fn is_delegated(&self) -> bool {
        self.info.load(Relaxed) & DELEGATED != 0
    }

    fn set_delegated(&self, delegated: bool) {
        let info = self.info.load(Relaxed) & !DELEGATED;
        self.info.store(if delegated { info | DELEGATED } else { info }, Release);
    }

    fn set_owner(&self, owner: u32) {
        let info = self.info.load(Relaxed) & !0xFF;
        self.info.store(info | u64::from(owner + 1), Release);
    }
}

impl Control {
    /// The tickets that may be in use.
    fn used_tickets(&self) -> &[Ticket] {
        let tickets = self.tickets();
        let used = self.header().tickets_used.load(Acquire) as usize;
        &tickets[..used.min(tickets.len())]
    }

    fn is_stale(&self, ticket: &Ticket) -> bool {
        let handle = ticket.handle.load(Relaxed);
        let index = index_of(handle);
        let held = |slot: &Slot, owner| {
            let word = slot.word.load();
            handle_of(index, slot, word) == handle && owner <= POOL && word.holds(owner)
        };
        let slot = self.slots().get(index as usize);
        !ticket.owner().zip(slot).is_some_and(|(owner, slot)| held(slot, owner))
    }

    /// The handles of the buffers that are on their way.
    pub fn live_tickets(&self) -> impl Iterator<Item = u64> {
        let live = |ticket: &&Ticket| ticket.info.load(Relaxed) != 0 && !self.is_stale(ticket);
        self.used_tickets().iter().filter(live).map(|ticket| ticket.handle.load(Relaxed))
    }
}

impl Attachment {
    /// The tickets of an owner for what is in a slot now.
    fn tickets_of(&self, index: u32, owner: u32) -> impl Iterator<Item = &Ticket> {
        let handle = self.slot(index).map(|slot| handle_of(index, slot, slot.word.load()));
        self.control.used_tickets().iter().filter(move |ticket| {
            ticket.owner() == Some(owner) && Some(ticket.handle.load(Relaxed)) == handle
        })
    }

    pub fn is_sent_by(&self, index: u32, owner: u32) -> bool {
        self.tickets_of(index, owner).next().is_some()
    }

    /// Leaves an owner's place in the word to its tickets; false where it has none.
    pub fn delegate(&self, index: u32, owner: u32) -> bool {
        self.tickets_of(index, owner).map(|ticket| ticket.set_delegated(true)).count() > 0
    }

    pub fn undelegate(&self, index: u32, owner: u32) {
        self.tickets_of(index, owner).for_each(|ticket| ticket.set_delegated(false));
    }

    pub fn drop_stale_tickets(&self) {
        for ticket in self.control.used_tickets() {
            if ticket.info.load(Relaxed) != 0 && self.control.is_stale(ticket) {
                ticket.info.store(0, Release);
            }
        }
    }

    pub fn drop_tickets_of(&self, process: u32) {
        for ticket in self.control.used_tickets() {
            if ticket.owner() == Some(process) {
                ticket.info.store(0, Release);
            }
        }
    }

    fn free_ticket(&self) -> Result<(u32, &Ticket)> {
        let tickets = self.control.tickets();
        let is_free = |(_, ticket): &(u32, &Ticket)| ticket.info.load(Relaxed) == 0;
        if let Some(found) = (0..).zip(tickets).find(is_free) {
            self.control.header().tickets_used.fetch_max(found.0 + 1, Release);
            return Ok(found);
        }
        self.drop_stale_tickets();
        (0..).zip(tickets).find(is_free).ok_or(Error::OutOfMemory(
            "too many buffers of the pool are on their way to be claimed",
        ))
    }

    pub fn send(&self, handle: u64) -> Result<u64> {
        let (index, _) = self.own_slot(handle)?;
        let _locked = self.lock()?;
        let (number, ticket) = self.free_ticket()?;
        loop {
            // It may have been given back meanwhile, by another thread.
            self.own_slot(handle)?;
            let count = self.holds.count(index as usize);
            if count.total > 0
                && self.holds.change(index as usize, count, Count { sent: true, ..count })
            {
                break;
            }
        }
        let nonce = u64::from(self.control.header().nonce.fetch_add(1, Relaxed));
        ticket.handle.store(handle, Relaxed);
        ticket.info.store(nonce << NONCE_SHIFT | u64::from(self.me()? + 1), Release);
        Ok(nonce << NONCE_SHIFT | u64::from(number))
    }

    /// The ticket of that value, if nobody has claimed it.
    fn ticket(&self, value: u64, handle: u64) -> Option<(&Ticket, u32)> {
        let ticket = self.control.used_tickets().get((value & 0xFFFF_FFFF) as usize)?;
        let same = ticket.info.load(Acquire) >> NONCE_SHIFT == value >> NONCE_SHIFT
            && ticket.handle.load(Relaxed) == handle
            && !self.control.is_stale(ticket);
        ticket.owner().filter(|_| same).map(|owner| (ticket, owner))
    }

    pub fn claim(&self, handle: u64, value: u64, writable: bool) -> Result<Buffer> {
        let index = index_of(handle);
        let locked = self.lock()?;
        let Some(((ticket, owner), slot)) = self.ticket(value, handle).zip(self.slot(index)) else {
            drop(locked);
            return self.get(handle, writable);
        };
        if writable {
            self.check_writable(slot, slot.word.load(), index)?;
        }
        let word = self.hand_to_me(index, slot, ticket, owner)?;
        drop(locked);
        self.buffer_or_release(index, slot, word, writable)
    }

    fn hand_to_me(&self, index: u32, slot: &Slot, ticket: &Ticket, owner: u32) -> Result<Word> {
        let me = self.me()?;
        let at = index as usize;
        let count = loop {
            let count = self.holds.count(at);
            if self.holds.enter(at, count) {
                break count;
            }
        };
        let last = self.tickets_of(index, owner).count() == 1;
        let handed = owner != me && last && (owner == POOL || ticket.is_delegated());
        // The owner's place stands for the generation, which so cannot change here.
        let update = |word: Word| Some(if handed { word.handed(owner, me) } else { word.with(me) });
        let word = slot.word.update(update).map_or_else(|word| word, |(_, now)| now);
        ticket.info.store(0, Release);
        if count.total == 0 {
            self.undelegate(index, me);
        }
        self.holds.finish(at, count.plus(1, 0));
        Ok(word)
    }

    /// The last hold of a buffer that was sent is given back: its place in the word stays
    /// as long as its tickets.
    pub fn leave_sent(&self, index: u32, slot: &Slot, refs: i32) -> Result<()> {
        let me = self.me()?;
        let at = index as usize;
        let _locked = self.lock()?;
        loop {
            let count = self.holds.count(at);
            if count.total != 1 {
                if count.total > 1 && self.holds.change(at, count, count.plus(-1, -refs)) {
                    return Ok(());
                }
                continue;
            }
            if !self.holds.enter(at, count) {
                continue;
            }
            if self.delegate(index, me) {
                self.holds.finish(at, count.plus(-1, -refs));
                return Ok(());
            }
            let freed = slot.word.leave(me);
            self.holds.finish(at, Count::default());
            if freed {
                self.freed(index, slot);
            }
            return Ok(());
        }
    }

    /// A hold on what this process has by its tickets alone. None where that changed.
    pub fn rejoin(
        &self,
        index: u32,
        slot: &Slot,
        handle: Option<u64>,
        refs: i32,
    ) -> Result<Option<Word>> {
        let me = self.me()?;
        let at = index as usize;
        let _locked = self.lock()?;
        let count = self.holds.count(at);
        if count.total > 0 || !self.holds.enter(at, count) {
            return Ok(None);
        }
        let word = slot.word.load();
        if !word.holds(me) {
            self.holds.finish(at, count);
            return Ok(None);
        }
        if let Some(stale) = handle.filter(|&handle| handle != handle_of(index, slot, word)) {
            self.holds.finish(at, count);
            return Err(self.stale(stale));
        }
        self.undelegate(index, me);
        self.holds.finish(at, count.plus(1, refs));
        Ok(Some(word))
    }

    pub fn settle(&self) -> Result<()> {
        let me = self.me()?;
        let _locked = self.lock()?;
        self.hand_over_tickets(me);
        for (index, slot) in (0..).zip(self.control.slots()) {
            let count = self.holds.count(index as usize);
            let idle = count.total == 0 && slot.word.load().holds(me);
            if !idle || !self.holds.enter(index as usize, count) {
                continue;
            }
            let freed = slot.word.leave(me);
            self.holds.finish(index as usize, Count::default());
            if freed {
                self.freed(index, slot);
            }
        }
        Ok(())
    }

    /// Makes the pool the owner of a process's tickets.
    pub fn hand_over_tickets(&self, me: u32) {
        for ticket in self.control.used_tickets() {
            if ticket.owner() != Some(me) || self.control.is_stale(ticket) {
                continue;
            }
            if let Some(slot) = self.slot(index_of(ticket.handle.load(Relaxed))) {
                let _ = slot.word.update(|word| Some(word.with(POOL)));
                ticket.set_owner(POOL);
            }
        }
    }
}
