//! How often this process holds each slot, in private memory: other processes only see
//! whether it does. One word for a slot; while it changes between none and some, a bit
//! in it keeps the other threads out.

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

pub struct Holds(Box<[AtomicU64]>);

impl Holds {
    pub fn new(capacity: usize) -> Holds {
        Holds(zeroed(capacity))
    }

    /// What there is, waiting out a change.
    #[inline]
    pub fn count(&self, index: usize) -> Count {
        loop {
            let word = self.0[index].load(Acquire);
            if word & BUSY == 0 {
                return Count::of(word);
            }
            pause();
        }
    }

    /// Changes a count, if it is still what it was.
    #[inline]
    pub fn change(&self, index: usize, from: Count, to: Count) -> bool {
        self.0[index].compare_exchange(from.word(), to.word(), AcqRel, Relaxed).is_ok()
    }

    /// Whether there is a hold, at this moment.
    #[inline(always)]
    pub fn has(&self, index: usize) -> bool {
        self.0.get(index).is_some_and(|count| count.load(Relaxed) & MASK > 0)
    }

    /// One hold more, where there is one already; false where that must be looked at.
    #[inline(always)]
    pub fn again(&self, index: usize) -> bool {
        let Some(count) = self.0.get(index) else { return false };
        let word = count.load(Relaxed);
        let total = word & MASK;
        word & BUSY == 0
            && total > 0
            && total < MASK
            && count.compare_exchange(word, word + 1, Acquire, Relaxed).is_ok()
    }

    /// One hold of a buffer less, where more are left; false where that must be looked at.
    #[inline(always)]
    pub fn one_less(&self, index: usize) -> bool {
        let Some(count) = self.0.get(index) else { return false };
        let word = count.load(Relaxed);
        let (total, refs) = (word & MASK, word >> FIELD & MASK);
        word & BUSY == 0
            && total > 1
            && total > refs
            && count.compare_exchange(word, word - 1, Release, Relaxed).is_ok()
    }

    /// Keeps all other threads from a slot, if its count is still that.
    #[inline]
    pub fn enter(&self, index: usize, from: Count) -> bool {
        let word = from.word();
        let count = self.0.get(index);
        count.is_some_and(|it| it.compare_exchange(word, word | BUSY, Acquire, Relaxed).is_ok())
    }

    /// Ends what [`Holds::enter`] began.
    #[inline]
    pub fn finish(&self, index: usize, to: Count) {
        if let Some(count) = self.0.get(index) {
            count.store(to.word(), Release);
        }
    }

    /// In a forked child: what a thread that does not exist here was in the middle of is
    /// undone, which the word is told by the caller.
    pub fn settle_after_fork(&self, index: usize) -> Count {
        let word = self.0[index].load(Relaxed);
        if word & BUSY == 0 { Count::of(word) } else { Count::default() }
    }
}

fn pause() {
    hint::spin_loop();
    // Whoever is inside may have lost the core.
    thread::yield_now();
}
