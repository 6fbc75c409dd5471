//! Waiting for something to happen without a lock, which a forked child could find taken for
//! ever.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use rustix::thread::futex::{self, Flags, Timespec};

/// Rung when something has changed; who waits looks again.
pub struct Bell {
    rung: AtomicU32,
    waiting: AtomicU32,
}

impl Bell {
    pub const fn new() -> Bell {
        Bell { rung: AtomicU32::new(0), waiting: AtomicU32::new(0) }
    }

    /// To be called after the change.
    pub fn ring(&self) {
        self.rung.fetch_add(1, SeqCst);
        if self.waiting.load(SeqCst) > 0 {
            // It cannot fail for an address that exists.
            let _ = futex::wake(&self.rung, Flags::PRIVATE, i32::MAX as u32);
        }
    }

    /// Waits until `done`; false where the time is over before. No timeout: for ever.
    pub fn wait(&self, timeout: Option<Duration>, mut done: impl FnMut() -> bool) -> bool {
        if done() {
            return true;
        }
        // Too far away to be a moment is for ever.
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        self.waiting.fetch_add(1, SeqCst);
        let came = loop {
            let rung = self.rung.load(SeqCst);
            if done() {
                break true;
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                break false;
            }
            let left = left.map(|left| Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            });
            // Rung in between, woken, a signal, the end of the time: all is seen above.
            let _ = futex::wait(&self.rung, Flags::PRIVATE, rung, left.as_ref());
        };
        self.waiting.fetch_sub(1, SeqCst);
        came
    }
}
