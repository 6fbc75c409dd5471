//! What `word.rs` and `holds.rs` are made of, in loom's sort: slot words of 64 bits, for
//! three processes. Everything else stands in for `rustlib/src/pool/atomic.rs`.

pub use loom::sync::atomic::{AtomicU64, Ordering};
pub use loom::{hint, thread};

pub type Bits = u64;

pub const PROCESSES: u32 = 3;
pub const PIN_BITS: u32 = 2;
pub const GENERATION_BITS: u32 = 16;

/// Processes 0 and 1 have their places in the low half, 2 and the pool in the high one.
pub const LOW: Bits = 0b11;

#[repr(transparent)]
pub struct AtomicWord(AtomicU64);

impl AtomicWord {
    pub fn new(bits: Bits) -> AtomicWord {
        AtomicWord(AtomicU64::new(bits))
    }

    pub fn load(&self) -> Bits {
        self.0.load(Ordering::SeqCst)
    }

    /// The halves are read one after the other: all may happen in between.
    pub fn peek(&self) -> Bits {
        let low = self.0.load(Ordering::Acquire) & LOW;
        low | self.0.load(Ordering::Acquire) & !LOW
    }

    pub fn peek_high(&self) -> Bits {
        self.0.load(Ordering::Acquire) & !LOW
    }

    pub fn compare_exchange(&self, current: Bits, new: Bits) -> Result<Bits, Bits> {
        self.0.compare_exchange(current, new, Ordering::SeqCst, Ordering::SeqCst)
    }

    /// loom has no atomics of different width on the same memory; so the whole is exchanged
    /// for one with the same high half, whatever that is.
    pub fn compare_exchange_low(&self, current: Bits, new: Bits) -> bool {
        let mut whole = self.0.load(Ordering::SeqCst);
        while whole & LOW == current & LOW {
            let exchanged = whole & !LOW | new & LOW;
            match self.compare_exchange(whole, exchanged) {
                Ok(_) => return true,
                Err(now) => whole = now,
            }
        }
        false
    }
}

pub fn zeroed(count: usize) -> Box<[AtomicU64]> {
    (0..count).map(|_| AtomicU64::new(0)).collect()
}
