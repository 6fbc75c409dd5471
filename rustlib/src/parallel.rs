//! How bulk work is spread over cores: the caller's thread and a pool of workers
//! that sleep between calls, because waking a thread costs less than starting one.

use std::num::NonZero;
use std::process;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;

use rayon_core::{ThreadPool, ThreadPoolBuilder};

/// Cells below which a second thread costs more than it saves.
const WORTH_A_THREAD: usize = 1 << 16;

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
    let queue = Mutex::new(out.chunks_mut(piece).enumerate());
    let drain = || {
        loop {
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
            match next {
                Some((i, chunk)) => work(i * piece, chunk),
                None => return,
            }
        }
    };
    run(threads, |_| drain());
}

/// Calls `work(0..threads)` once each: 0 on the caller's thread, the others on
/// workers as those come free, or on the caller's where there are none.
pub fn run(threads: usize, work: impl Fn(usize) + Sync) {
    let Some(workers) = (threads > 1).then(workers).flatten() else {
        return (0..threads).for_each(work);
    };
    workers.in_place_scope(|scope| {
        let work = &work;
        for i in 1..threads {
            scope.spawn(move |_| work(i));
        }
        work(0);
    });
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
