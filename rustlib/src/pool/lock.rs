//! The pool's lock, for what happens seldom: it is held for a moment, and when its
//! holder is killed the next who wants it takes it over and puts in order what the
//! dead one left half done.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::thread::futex;

use super::atomic::PROCESSES;
use super::attachment::Attachment;
use super::liveness;
use crate::error::{Error, Result};

const WAITED_FOR: u32 = 1 << 31;
/// How often a waiter looks whether the holder lives.
const PATIENCE: Duration = Duration::from_millis(5);
/// A holder that lives and does not let go was stopped: an error, not a deadlock.
const LIMIT: Duration = Duration::from_secs(10);

/// The lock, held; dropped, it is free.
pub struct Locked<'a> {
    attachment: &'a Attachment,
    // Threads of this process queue here, so that the shared word has one owner a process.
    _local: MutexGuard<'a, ()>,
}

impl Attachment {
    pub fn lock(&self) -> Result<Locked<'_>> {
        let local = self.local.lock().unwrap_or_else(PoisonError::into_inner);
        let me = self.me()? + 1;
        let word = &self.control.header().lock;
        let mut mark = 0;
        let mut since = None;
        loop {
            let owner = match word.compare_exchange(0, me | mark, AcqRel, Acquire) {
                Ok(_) => return Ok(Locked { attachment: self, _local: local }),
                Err(owner) => owner,
            };
            let holder = owner & !WAITED_FOR;
            // It may be free by now with others waiting, who are to be woken.
            if holder == 0 || self.is_gone(holder, me)? {
                if word.compare_exchange(owner, me | WAITED_FOR, AcqRel, Acquire).is_ok() {
                    let locked = Locked { attachment: self, _local: local };
                    if holder != 0 {
                        self.recover();
                    }
                    return Ok(locked);
                }
                continue;
            }
            let began = *since.get_or_insert_with(Instant::now);
            if began.elapsed() > LIMIT {
                let pid = self.control.processes()[holder as usize - 1].pid.load(Relaxed);
                let text = format!("process {pid} has held the lock of {self} for ten seconds");
                return Err(Error::Timeout(text));
            }
            mark = WAITED_FOR;
            let awaited = owner | WAITED_FOR;
            if owner == awaited || word.compare_exchange(owner, awaited, AcqRel, Acquire).is_ok() {
                let timeout =
                    futex::Timespec { tv_sec: 0, tv_nsec: i64::from(PATIENCE.subsec_nanos()) as _ };
                // Woken, timed out or too late: it is looked at again in any case.
                let _ = futex::wait(word, futex::Flags::empty(), awaited, Some(&timeout));
            }
        }
    }

    /// Whether the holder is dead. One that has this process's own index is: its threads
    /// queue at `local`, so it is who had the index before.
    fn is_gone(&self, holder: u32, me: u32) -> Result<bool> {
        Ok(holder == me || holder > PROCESSES || !liveness::is_alive(self.file(), holder - 1)?)
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        let word = &self.attachment.control.header().lock;
        if word.swap(0, AcqRel) & WAITED_FOR != 0 {
            let _ = futex::wake(word, futex::Flags::empty(), 1);
        }
    }
}
