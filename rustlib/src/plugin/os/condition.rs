//! Waiting for a word where the system lends no futex.

use std::ptr;
use std::sync::atomic::Ordering::{AcqRel, Acquire, SeqCst};
use std::sync::atomic::{AtomicPtr, AtomicU32};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::super::fork;

/// A lock and a condition of this process. A forked child, which could find the lock held for
/// ever, makes itself others and leaves these be.
pub struct Alarm(AtomicPtr<Bell>);

struct Bell {
    generation: u32,
    lock: Mutex<()>,
    rung: Condvar,
}

impl Alarm {
    pub const fn new() -> Alarm {
        Alarm(AtomicPtr::new(ptr::null_mut()))
    }

    fn bell(&self) -> &'static Bell {
        let generation = fork::generation();
        let current = self.0.load(Acquire);
        // SAFETY: NULL, or a box that was leaked below.
        if let Some(bell) = unsafe { current.as_ref() }
            && bell.generation == generation
        {
            return bell;
        }
        let bell = Bell { generation, lock: Mutex::new(()), rung: Condvar::new() };
        let made = Box::into_raw(Box::new(bell));
        match self.0.compare_exchange(current, made, AcqRel, Acquire) {
            // SAFETY: leaked, so alive for ever.
            Ok(_) => unsafe { &*made },
            Err(theirs) => {
                // SAFETY: `made` is this thread's alone; `theirs` was leaked by another
                // thread of this process, and is not NULL.
                unsafe {
                    drop(Box::from_raw(made));
                    &*theirs
                }
            }
        }
    }

    /// Wakes all who wait for `word`, which has changed.
    pub fn wake(&self, _word: &AtomicU32) {
        let bell = self.bell();
        // Whoever has looked at the word and not yet gone to sleep holds the lock.
        drop(bell.lock.lock().unwrap_or_else(PoisonError::into_inner));
        bell.rung.notify_all();
    }

    /// Returns once `word` is not `seen`, or the time is over; also now and then for nothing.
    pub fn wait(&self, word: &AtomicU32, seen: u32, timeout: Option<Duration>) {
        let bell = self.bell();
        let held = bell.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if word.load(SeqCst) != seen {
            return;
        }
        match timeout {
            Some(timeout) => drop(bell.rung.wait_timeout(held, timeout)),
            None => drop(bell.rung.wait(held)),
        }
    }
}
