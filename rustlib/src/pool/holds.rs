//! How often this process holds each slot, in private memory: other processes only see
//! whether it does. One word for a slot; while it changes between none and some, a bit
//! in it keeps the other threads out. Beside it lies what a holder has found out about the
//! buffer, which stays true while there is a hold, so that the next one need not look again.

use super::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use super::atomic::{AtomicU64, hint, thread, zeroed};

const FIELD: u32 = 24;
const MASK: u64 = (1 << FIELD) - 1;
const BUSY: u64 = 1 << 63;

/// What this process has of one slot.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Count {
    /// Holds of every sort.
    pub total: u32,
    /// Those of them that are references without a buffer: `add_ref`, `preallocate`.
    pub refs: u32,
    /// It was sent, and may not have been claimed yet: its tickets must be looked at.
    pub sent: bool,
}

/// The most holds of one slot.
pub const MOST: u32 = MASK as u32;

impl Count {
    fn of(word: u64) -> Count {
        Count {
            total: (word & MASK) as u32,
            refs: (word >> FIELD & MASK) as u32,
            sent: word >> (2 * FIELD) & 1 == 1,
        }
    }

    fn word(self) -> u64 {
        u64::from(self.total) | u64::from(self.refs) << FIELD | u64::from(self.sent) << (2 * FIELD)
    }

    /// Of a buffer that was just acquired.
    pub fn first(refs: u32) -> Count {
        Count { total: 1, refs, sent: false }
    }

    pub fn plus(self, total: i32, refs: i32) -> Count {
        Count {
            total: self.total.saturating_add_signed(total),
            refs: self.refs.saturating_add_signed(refs),
            ..self
        }
    }
}

/// Of each slot its count; and the handle of its buffer, where that lies and how long it is.
/// The handle is 0 until the others are there, and again before the last hold ends.
type Entry = [AtomicU64; ENTRY];
const ENTRY: usize = 4;

/// What holders noted of the buffer of a slot, looked at by one of them.
#[derive(Clone, Copy)]
pub struct Noted<'a>(&'a Entry);

impl Noted<'_> {
    /// Whether it has that handle.
    #[inline(always)]
    pub fn is(self, handle: u64) -> bool {
        handle != 0 && self.0[1].load(Acquire) == handle
    }

    /// Where it lies, once it is known to be what it should be.
    #[inline(always)]
    pub fn offset(self) -> usize {
        self.0[2].load(Relaxed) as usize
    }

    #[inline(always)]
    pub fn size(self) -> usize {
        self.0[3].load(Relaxed) as usize
    }

    /// One hold of it less, as [`Holds::one_less`] does.
    #[inline(always)]
    pub fn one_less(self) -> bool {
        one_less(self.0)
    }
}

#[inline(always)]
fn one_less([count, ..]: &Entry) -> bool {
    let word = count.load(Relaxed);
    let (total, refs) = (word & MASK, word >> FIELD & MASK);
    word & BUSY == 0
        && total > 1
        && total > refs
        && count.compare_exchange(word, word - 1, Release, Relaxed).is_ok()
}

pub struct Holds(Box<[AtomicU64]>);

impl Holds {
    pub fn new(capacity: usize) -> Holds {
        Holds(zeroed(capacity * ENTRY))
    }

    /// The count of a slot that there is.
    #[inline]
    fn of(&self, index: usize) -> &AtomicU64 {
        &self.0.as_chunks::<{ ENTRY }>().0[index][0]
    }

    #[inline(always)]
    fn entry(&self, index: usize) -> Option<&Entry> {
        self.0.as_chunks().0.get(index)
    }

    /// Notes what is so while the slot is held, as it is by the caller.
    pub fn note(&self, index: usize, handle: u64, (offset, size): (usize, usize)) {
        if let Some([_, of, at, length]) = self.entry(index) {
            at.store(offset as u64, Relaxed);
            length.store(size as u64, Relaxed);
            of.store(handle, Release);
        }
    }

    /// What there is, waiting out a change.
    #[inline]
    pub fn count(&self, index: usize) -> Count {
        loop {
            let word = self.of(index).load(Acquire);
            if word & BUSY == 0 {
                return Count::of(word);
            }
            pause();
        }
    }

    /// Changes a count, if it is still what it was.
    #[inline]
    pub fn change(&self, index: usize, from: Count, to: Count) -> bool {
        self.of(index).compare_exchange(from.word(), to.word(), AcqRel, Relaxed).is_ok()
    }

    /// One hold more, where there is one already, and what is noted of the buffer; None where
    /// that must be looked at.
    #[inline(always)]
    pub fn again(&self, index: usize) -> Option<Noted<'_>> {
        let entry = self.entry(index)?;
        let word = entry[0].load(Relaxed);
        let total = word & MASK;
        let taken = word & BUSY == 0
            && total > 0
            && total < MASK
            && entry[0].compare_exchange(word, word + 1, Acquire, Relaxed).is_ok();
        taken.then_some(Noted(entry))
    }

    /// What is noted of the buffer of a slot that is held, by the caller too.
    #[inline(always)]
    pub fn noted(&self, index: usize) -> Option<Noted<'_>> {
        self.entry(index).map(Noted)
    }

    /// One hold of a buffer less, where more are left; false where that must be looked at.
    #[inline(always)]
    pub fn one_less(&self, index: usize) -> bool {
        self.entry(index).is_some_and(one_less)
    }

    /// Keeps all other threads from a slot, if its count is still that.
    #[inline]
    pub fn enter(&self, index: usize, from: Count) -> bool {
        let word = from.word();
        let taken = |[count, ..]: &Entry| {
            count.compare_exchange(word, word | BUSY, Acquire, Relaxed).is_ok()
        };
        self.entry(index).is_some_and(taken)
    }

    /// Ends what [`Holds::enter`] began.
    #[inline]
    pub fn finish(&self, index: usize, to: Count) {
        if let Some([count, of, ..]) = self.entry(index) {
            if to.total == 0 {
                of.store(0, Relaxed);
            }
            count.store(to.word(), Release);
        }
    }

    /// In a forked child: what a thread that does not exist here was in the middle of is
    /// undone, which the word is told by the caller.
    pub fn settle_after_fork(&self, index: usize) -> Count {
        let word = self.of(index).load(Relaxed);
        if word & BUSY == 0 { Count::of(word) } else { Count::default() }
    }
}

fn pause() {
    hint::spin_loop();
    // Whoever is inside may have lost the core.
    thread::yield_now();
}
