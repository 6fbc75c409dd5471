//! What `word` and `holds` are made of: the atomic behind a slot word and how its bits are
//! shared out, and the others by their usual names. The models of `rustlib/models` put
//! their own in the place of all of it.

pub use std::sync::atomic::{AtomicU64, Ordering};
pub use std::{hint, thread};

use portable_atomic::AtomicU128;

use crate::error::{Error, Result};

pub type Bits = u128;

/// Processes that can use a pool at once.
pub const PROCESSES: u32 = 96;
pub const PIN_BITS: u32 = 8;
pub const GENERATION_BITS: u32 = Bits::BITS - PROCESSES - 2 - PIN_BITS;

/// Sequentially consistent: whoever frees a buffer and then looks for waiters, and whoever
/// waits and then looks for buffers, must not miss each other.
#[repr(transparent)]
pub struct AtomicWord(AtomicU128);

impl AtomicWord {
    #[inline]
    pub fn load(&self) -> Bits {
        self.0.load(Ordering::SeqCst)
    }

    /// Both halves, each as it was at some moment: what an exchange may begin with, and
    /// good for what lies in one half. Much faster than `load`.
    #[inline]
    pub fn peek(&self) -> Bits {
        let [low, high] = self.halves();
        Bits::from(low.load(Ordering::Acquire)) | Bits::from(high.load(Ordering::Acquire)) << 64
    }

    /// The high half alone, which has the generation.
    #[inline]
    pub fn peek_high(&self) -> Bits {
        Bits::from(self.halves()[1].load(Ordering::Acquire)) << 64
    }

    fn halves(&self) -> &[AtomicU64; 2] {
        // SAFETY: 16 bytes, aligned more than enough. Every access is one instruction that
        // is atomic by itself, on x86-64 also among those of different width.
        unsafe { &*(&raw const self.0).cast() }
    }

    #[inline]
    pub fn compare_exchange(&self, current: Bits, new: Bits) -> std::result::Result<Bits, Bits> {
        #[cfg(target_arch = "x86_64")]
        {
            let (mut low, mut high) = (current as u64, (current >> 64) as u64);
            let fits: u8;
            // SAFETY: `check_cpu` has seen that the CPU has the instruction, and the word is
            // aligned to 16 bytes. LLVM keeps rbx for itself, so it is put back, and no
            // operand may be left to be allocated there.
            unsafe {
                std::arch::asm!(
                    "xchg rsi, rbx",
                    "lock cmpxchg16b [rdi]",
                    "mov rbx, rsi",
                    "sete r8b",
                    in("rdi") self.0.as_ptr(),
                    inout("rsi") new as u64 => _,
                    out("r8b") fits,
                    inout("rax") low,
                    inout("rdx") high,
                    in("rcx") (new >> 64) as u64,
                    options(nostack),
                );
            }
            let seen = Bits::from(low) | Bits::from(high) << 64;
            if fits == 1 { Ok(seen) } else { Err(seen) }
        }
        #[cfg(not(target_arch = "x86_64"))]
        self.0.compare_exchange(current, new, Ordering::SeqCst, Ordering::SeqCst)
    }

    /// Exchanges the low half, whatever the high one is: in half the time of the whole.
    #[cfg(target_arch = "x86_64")]
    #[inline]
    pub fn compare_exchange_low(&self, current: Bits, new: Bits) -> bool {
        let [low, _] = self.halves();
        low.compare_exchange(current as u64, new as u64, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// Elsewhere nothing is promised of atomics of different width on the same memory.
    #[cfg(not(target_arch = "x86_64"))]
    #[inline]
    pub fn compare_exchange_low(&self, _current: Bits, _new: Bits) -> bool {
        false
    }
}

/// The part of a word that [`AtomicWord::compare_exchange_low`] compares.
pub const LOW: Bits = u64::MAX as Bits;

/// Zeros from the system, which cost nothing until they are touched.
pub fn zeroed(count: usize) -> Box<[AtomicU64]> {
    let words = Box::into_raw(vec![0u64; count].into_boxed_slice());
    // SAFETY: AtomicU64 has the layout of u64.
    unsafe { Box::from_raw(words as *mut [AtomicU64]) }
}

/// Between processes, a 128-bit atomic must be one instruction and not a lock.
pub fn check_cpu() -> Result<()> {
    if AtomicU128::is_lock_free() {
        return Ok(());
    }
    let text = "shared pools need a CPU that can exchange 16 bytes at once, and this one cannot";
    Err(Error::Unsupported(text.into()))
}
