//! How bulk work is spread over cores: the caller's thread and a pool of workers
//! that sleep between calls, because waking a thread costs less than starting one.

use std::hint;
use std::num::NonZero;
use std::ops::Range;
use std::process;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rayon_core::{ThreadPool, ThreadPoolBuilder};

/// Cells below which a second thread costs more than it saves.
const WORTH_A_THREAD: usize = 1 << 16;
/// How long the caller looks out for the other threads' ends before it sleeps: longer than
/// a share of work takes. To be woken costs 50 us and more where the core has gone idle.
const LOOK_OUT: Duration = Duration::from_micros(200);

/// The number of threads meant by `threads`, where 0 means every core.
pub fn resolve(threads: usize) -> usize {
    static CORES: OnceLock<usize> = OnceLock::new();
    match threads {
        0 => *CORES.get_or_init(|| thread::available_parallelism().map_or(1, NonZero::get)),
        n => n,
    }
}

/// How many of `threads` threads `cells` cells are worth: at least one.
pub fn worth(threads: usize, cells: usize) -> usize {
    resolve(threads).min(cells / WORTH_A_THREAD).max(1)
}

/// Calls `work(offset, piece)` for consecutive pieces of `out`, on up to
/// `threads` threads.
pub fn for_each_piece<T: Send>(
    out: &mut [T],
    threads: usize,
    work: impl Fn(usize, &mut [T]) + Sync,
) {
    let threads = worth(threads, out.len());
    if threads == 1 {
        return work(0, out);
    }
    // Several pieces a thread, so that a core that is held up holds up less.
    let piece = (out.len() / (threads * 8)).next_power_of_two().max(WORTH_A_THREAD / 4);
    let pieces: Vec<_> = out.chunks_mut(piece).map(Mutex::new).collect();
    share_out(threads, pieces.len(), |mine| {
        for i in mine {
            work(i * piece, &mut held(&pieces[i]));
        }
    });
}

/// What no other thread has now. Nothing is left half done under such a lock.
fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The shares of one thread, as it comes to them: neighbours of its own, and then what
/// others have left, from their far ends. A thread that goes on beside what it has just
/// made finds tables and pages in its caches.
pub struct Shares<'a> {
    /// What is left of each thread's own.
    left: &'a [Mutex<Range<usize>>],
    me: usize,
}

impl Iterator for Shares<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let (before, from_me) = self.left.split_at(self.me);
        let (mine, after) = from_me.split_first()?;
        let own = held(mine).next();
        own.or_else(|| after.iter().chain(before).find_map(|theirs| held(theirs).next_back()))
    }
}

/// Shares the numbers below `count` out to up to `threads` threads, each of which calls
/// `work` once, with those it is to do.
pub fn share_out(threads: usize, count: usize, work: impl Fn(Shares<'_>) + Sync) {
    let threads = threads.min(count).max(1);
    let end = |i: usize| count / threads * i + (count % threads).min(i);
    let left: Vec<_> = (0..threads).map(|i| Mutex::new(end(i)..end(i + 1))).collect();
    run(threads, |me| work(Shares { left: &left, me }));
}

/// Calls `work(0..threads)` once each: 0 on the caller's thread, the others on
/// workers as those come free, or on the caller's where there are none.
pub fn run(threads: usize, work: impl Fn(usize) + Sync) {
    let Some(workers) = (threads > 1).then(workers).flatten() else {
        return (0..threads).for_each(work);
    };
    let left = AtomicUsize::new(threads - 1);
    workers.in_place_scope(|scope| {
        let (work, left) = (&work, &left);
        for i in 1..threads {
            scope.spawn(move |_| {
                work(i);
                left.fetch_sub(1, Ordering::Release);
            });
        }
        work(0);
        // More threads than cores need this one's.
        if threads <= resolve(0) {
            look_out(|| left.load(Ordering::Acquire) == 0);
        }
    });
}

/// Does one thing on the caller's thread and another on a worker meanwhile, or before it where
/// there is none.
pub fn beside<A, B: Send>(here: impl FnOnce() -> A, there: impl FnOnce() -> B + Send) -> (A, B) {
    let Some(workers) = workers() else {
        let there = there();
        return (here(), there);
    };
    let mut of_there = None;
    let of_here = workers.in_place_scope(|scope| {
        scope.spawn(|_| of_there = Some(there()));
        here()
    });
    // The scope ends when both have, and passes a panic on.
    (of_here, of_there.expect("a scope ends when its work has"))
}

/// Waits a moment for what will soon be, without sleeping.
fn look_out(there: impl Fn() -> bool) {
    let since = Instant::now();
    while !there() && since.elapsed() < LOOK_OUT {
        for _ in 0..16 {
            hint::spin_loop();
        }
    }
}

/// The pool of this process, made by its first caller; None where it has one core,
/// or threads are refused.
fn workers() -> Option<&'static ThreadPool> {
    struct Workers {
        process: u32,
        pool: ThreadPool,
    }
    static CURRENT: AtomicPtr<Workers> = AtomicPtr::new(ptr::null_mut());
    // A forked child has its parent's pool and none of its threads, and must not
    // wait for them, nor for a lock that another thread held; so it makes a pool of
    // its own and leaves the old one be.
    let process = process::id();
    let current = CURRENT.load(Ordering::Acquire);
    // SAFETY: null, or a box that was leaked below.
    if let Some(workers) = unsafe { current.as_ref() }
        && workers.process == process
    {
        return Some(&workers.pool);
    }
    let count = resolve(0).checked_sub(1).filter(|&count| count > 0)?;
    let named = ThreadPoolBuilder::new().thread_name(|i| format!("gmemx-{i}"));
    let pool = named.num_threads(count).build().ok()?;
    let made = Box::into_raw(Box::new(Workers { process, pool }));
    match CURRENT.compare_exchange(current, made, Ordering::AcqRel, Ordering::Acquire) {
        // SAFETY: leaked, so alive for ever.
        Ok(_) => Some(unsafe { &(*made).pool }),
        Err(theirs) => {
            // SAFETY: `made` is this thread's alone; `theirs` was leaked by another
            // thread of this process, and is never null.
            unsafe {
                drop(Box::from_raw(made));
                Some(&(*theirs).pool)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every number once, whoever comes to it, also where one thread sleeps on its first.
    #[test]
    fn shares_come_once() {
        for threads in [1, 2, 3, 7] {
            for count in [0, 1, 2, 6, 7, 100] {
                let seen: Vec<_> = (0..count).map(|_| AtomicUsize::new(0)).collect();
                share_out(threads, count, |mine| {
                    for i in mine {
                        if i == 0 {
                            thread::sleep(Duration::from_millis(2));
                        }
                        seen[i].fetch_add(1, Ordering::Relaxed);
                    }
                });
                let seen: Vec<_> = seen.into_iter().map(AtomicUsize::into_inner).collect();
                assert_eq!(seen, vec![1; count], "{threads} threads, {count} shares");
            }
        }
    }

    /// While one share holds its thread up, the others do all the rest.
    #[test]
    fn others_help() {
        let done = AtomicUsize::new(0);
        share_out(2, 64, |mine| {
            for i in mine {
                let long = Instant::now();
                while i == 0
                    && resolve(0) > 1
                    && done.load(Ordering::Acquire) < 63
                    && long.elapsed() < Duration::from_secs(60)
                {
                    thread::yield_now();
                }
                done.fetch_add(1, Ordering::Release);
                assert!(long.elapsed() < Duration::from_secs(60), "nobody helped");
            }
        });
        assert_eq!(done.into_inner(), 64);
    }
}
