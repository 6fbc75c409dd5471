//! Who is in a plugin: a count of calls and whether it is closed, in one word.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

/// No call enters any more.
const CLOSED: u64 = 1 << 63;
/// Somebody has begun to end the plugin.
const ENDING: u64 = 1 << 62;
/// It was ended.
const ENDED: u64 = 1 << 61;
/// Its owner has gone: the last call to leave ends it.
const ABANDONED: u64 = 1 << 60;
const COUNT: u64 = ABANDONED - 1;

/// What the last one out finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// Others are in, or may come.
    Open,
    /// Nobody is in any more, and somebody may wait for that.
    Empty,
    /// Nobody is in any more, and what the owner left is ours.
    Orphaned,
}

#[derive(Debug, Default)]
pub struct Gate(AtomicU64);

impl Gate {
    /// False where it is closed. Once it is, the count only falls, so that one call alone is
    /// the last to leave: therefore an exchange, not an addition that may have to be undone.
    #[inline]
    pub fn enter(&self) -> bool {
        let mut word = self.0.load(Relaxed);
        loop {
            if word & CLOSED != 0 {
                return false;
            }
            match self.0.compare_exchange_weak(word, word + 1, Acquire, Relaxed) {
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
    }

    /// After this nothing of the plugin may be touched unless it is `Orphaned`: whoever waited
    /// for it may have freed it.
    #[inline]
    pub fn leave(&self) -> Left {
        let before = self.0.fetch_sub(1, AcqRel);
        if before & CLOSED == 0 || before & COUNT > 1 {
            Left::Open
        } else if before & ABANDONED != 0 {
            Left::Orphaned
        } else {
            Left::Empty
        }
    }

    pub fn close(&self) {
        self.0.fetch_or(CLOSED, AcqRel);
    }

    /// The owner goes. True where nobody is in, so that it has to end the plugin itself.
    pub fn abandon(&self) -> bool {
        self.0.fetch_or(CLOSED | ABANDONED, AcqRel) & COUNT == 0
    }

    /// True for the one who is to end a closed plugin in which nobody is.
    pub fn begin_to_end(&self) -> bool {
        let change = |word: u64| {
            (word & CLOSED != 0 && word & (COUNT | ENDING) == 0).then_some(word | ENDING)
        };
        self.0.fetch_update(AcqRel, Acquire, change).is_ok()
    }

    pub fn ended(&self) {
        self.0.fetch_or(ENDED, AcqRel);
    }

    pub fn count(&self) -> u64 {
        self.0.load(Acquire) & COUNT
    }

    pub fn is_closed(&self) -> bool {
        self.0.load(Acquire) & CLOSED != 0
    }

    pub fn is_ended(&self) -> bool {
        self.0.load(Acquire) & ENDED != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_to_leave_a_closed_gate_is_told_so() {
        let gate = Gate::default();
        assert!(gate.enter() && gate.enter());
        assert_eq!(gate.leave(), Left::Open);
        assert!(!gate.begin_to_end());
        gate.close();
        assert!(!gate.enter() && !gate.begin_to_end());
        assert_eq!(gate.leave(), Left::Empty);
        assert!(gate.begin_to_end() && !gate.begin_to_end() && !gate.is_ended());
        gate.ended();
        assert!(gate.is_ended() && gate.count() == 0);
    }

    #[test]
    fn what_an_owner_leaves_is_the_last_ones() {
        let gate = Gate::default();
        assert!(gate.enter() && gate.enter());
        assert!(!gate.abandon());
        assert_eq!((gate.leave(), gate.leave()), (Left::Open, Left::Orphaned));
        assert!(Gate::default().abandon());
    }
}
