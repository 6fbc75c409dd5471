//! Waiting for something to happen without a lock, which a forked child could find taken for
//! ever.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use super::os::Alarm;

/// Rung when something has changed; who waits looks again.
pub struct Bell {
    rung: AtomicU32,
    waiting: AtomicU32,
    alarm: Alarm,
}

impl Bell {
    pub const fn new() -> Bell {
        Bell { rung: AtomicU32::new(0), waiting: AtomicU32::new(0), alarm: Alarm::new() }
    }

    /// To be called after the change.
    pub fn ring(&self) {
        self.rung.fetch_add(1, SeqCst);
        if self.waiting.load(SeqCst) > 0 {
            self.alarm.wake(&self.rung);
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
            self.alarm.wait(&self.rung, rung, left);
        };
        self.waiting.fetch_sub(1, SeqCst);
        came
    }
}
