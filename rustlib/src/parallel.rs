//! How bulk work is spread over cores.
//!
//! Scoped threads rather than a pool: they cost some 20 µs a call, which bulk
//! work outweighs a hundredfold, and a process that forks has no dead pool to
//! wait for.

use std::num::NonZero;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;

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
/// `threads` threads. Pieces start at multiples of a large power of two, so
/// kernels that like aligned blocks keep them.
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

/// Calls `work(0..threads)` once each, on as many threads as the system grants;
/// what gets no thread of its own runs on the caller's.
pub fn run(threads: usize, work: impl Fn(usize) + Sync) {
    thread::scope(|scope| {
        let work = &work;
        let mut refused = Vec::new();
        for i in 1..threads {
            if thread::Builder::new().spawn_scoped(scope, move || work(i)).is_err() {
                refused.push(i);
            }
        }
        work(0);
        refused.into_iter().for_each(work);
    });
}
