//! Where plugins log to: functions that live for ever, each with a bounded queue behind it.
//!
//! A log callback gets no data of its own, may be called on any thread at any time, even
//! while the process ends, and stays registered in a library that is never unloaded. So it
//! is one of these functions, which belong to nobody and touch nothing that could go away.

use std::cell::Cell;
use std::collections::VecDeque;
use std::ffi::{CStr, c_char};
use std::slice;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::abi::LogCallback;
use super::bell::Bell;
use super::fork;

/// How many instances can log to a queue of their own at once.
const SLOTS: usize = 256;
/// Messages of one instance that wait, and their bytes; more are counted and dropped.
const WAITING: usize = 4096;
const WAITING_BYTES: usize = 16 << 20;
/// The longest message and target, in bytes; what is beyond is cut off.
const LONGEST: usize = 64 << 10;

#[derive(Debug)]
pub struct Message {
    pub level: u8,
    pub target: Vec<u8>,
    pub text: Vec<u8>,
}

impl Message {
    fn size(&self) -> usize {
        self.target.len() + self.text.len()
    }
}

/// The messages of one instance.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: Mutex<Waiting>,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct Waiting {
    messages: VecDeque<Message>,
    bytes: usize,
}

impl Queue {
    /// Takes the oldest message.
    pub fn next(&self) -> Option<Message> {
        let mut waiting = lock(&self.waiting);
        let message = waiting.messages.pop_front()?;
        waiting.bytes -= message.size();
        Some(message)
    }

    /// How many messages found no room.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    fn push(&self, message: Option<Message>) {
        let mut waiting = lock(&self.waiting);
        match message {
            Some(message)
                if waiting.messages.len() < WAITING
                    && waiting.bytes + message.size() <= WAITING_BYTES =>
            {
                waiting.bytes += message.size();
                waiting.messages.push_back(message);
                drop(waiting);
                wake();
            }
            _ => {
                self.dropped.fetch_add(1, Relaxed);
            }
        }
    }
}

/// What is behind one function.
struct Slot {
    taken: AtomicBool,
    /// Somebody logged when nobody listened.
    strays: AtomicBool,
    /// The process that listens, see [`fork::generation`]; 0 for nobody. In a forked child the
    /// lock may be held for ever.
    listens: AtomicU32,
    queue: Mutex<Option<Arc<Queue>>>,
}

static TABLE: [Slot; SLOTS] = [const {
    Slot {
        taken: AtomicBool::new(false),
        strays: AtomicBool::new(false),
        listens: AtomicU32::new(0),
        queue: Mutex::new(None),
    }
}; SLOTS];

/// Counts messages, for whoever waits for some.
static NEWS: AtomicU64 = AtomicU64::new(0);
static NEWS_CAME: Bell = Bell::new();

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until there are more than `seen` messages in all; gives how many there are now.
pub fn wait(seen: u64, timeout: Duration) -> u64 {
    NEWS_CAME.wait(Some(timeout), || NEWS.load(Acquire) > seen);
    NEWS.load(Acquire)
}

/// Counts as a message, so that who is about to wait does not miss it.
pub fn wake() {
    NEWS.fetch_add(1, Release);
    NEWS_CAME.ring();
}

thread_local! {
    static DELIVERING: Cell<bool> = const { Cell::new(false) };
}

/// How many threads are: every call asks, and where none is, need not look for its own flag.
static DELIVERERS: AtomicUsize = AtomicUsize::new(0);

/// Whether this thread is in a user's log callback, from which no plugin may be called.
#[inline]
pub fn is_delivering() -> bool {
    DELIVERERS.load(Relaxed) > 0 && this_thread_is()
}

// Apart, as the compiler would look for the flag before it asks whether to.
#[cold]
#[inline(never)]
fn this_thread_is() -> bool {
    DELIVERING.try_with(Cell::get).unwrap_or(false)
}

pub fn set_delivering(delivering: bool) {
    let before = DELIVERING.try_with(|flag| flag.replace(delivering));
    match (before, delivering) {
        (Ok(false), true) => drop(DELIVERERS.fetch_add(1, Relaxed)),
        (Ok(true), false) => drop(DELIVERERS.fetch_sub(1, Relaxed)),
        _ => {}
    }
}

/// As much of the bytes as is kept; None where memory is refused.
fn copy_of(bytes: &[u8]) -> Option<Vec<u8>> {
    let bytes = &bytes[..bytes.len().min(LONGEST)];
    let mut copy = Vec::new();
    copy.try_reserve_exact(bytes.len()).ok()?;
    copy.extend_from_slice(bytes);
    Some(copy)
}

unsafe extern "C" fn log<const N: usize>(
    level: u8,
    target: *const c_char,
    message: *const u8,
    len: usize,
) {
    // SAFETY: the caller's.
    unsafe { keep(&TABLE[N], level, target, message, len) }
}

/// # Safety
/// `target` is NULL or ends with a NUL; `message` is NULL or points to `len` bytes.
unsafe fn keep(slot: &Slot, level: u8, target: *const c_char, message: *const u8, len: usize) {
    if slot.listens.load(Acquire) != fork::generation() {
        slot.strays.store(true, Relaxed);
        return;
    }
    let target = if target.is_null() {
        &[]
    } else {
        // SAFETY: the caller's.
        unsafe { CStr::from_ptr(target) }.to_bytes()
    };
    let text = if message.is_null() || len == 0 {
        &[]
    } else {
        // SAFETY: the caller's.
        unsafe { slice::from_raw_parts(message, len.min(LONGEST)) }
    };
    let message =
        copy_of(target).zip(copy_of(text)).map(|(target, text)| Message { level, target, text });
    if let Some(queue) = &*lock(&slot.queue) {
        queue.push(message);
    }
}

macro_rules! sixteen {
    ($first:expr) => {
        [
            log::<{ $first }>,
            log::<{ $first + 1 }>,
            log::<{ $first + 2 }>,
            log::<{ $first + 3 }>,
            log::<{ $first + 4 }>,
            log::<{ $first + 5 }>,
            log::<{ $first + 6 }>,
            log::<{ $first + 7 }>,
            log::<{ $first + 8 }>,
            log::<{ $first + 9 }>,
            log::<{ $first + 10 }>,
            log::<{ $first + 11 }>,
            log::<{ $first + 12 }>,
            log::<{ $first + 13 }>,
            log::<{ $first + 14 }>,
            log::<{ $first + 15 }>,
        ]
    };
}

static CALLBACKS: [[LogCallback; 16]; SLOTS / 16] = [
    sixteen!(0),
    sixteen!(16),
    sixteen!(32),
    sixteen!(48),
    sixteen!(64),
    sixteen!(80),
    sixteen!(96),
    sixteen!(112),
    sixteen!(128),
    sixteen!(144),
    sixteen!(160),
    sixteen!(176),
    sixteen!(192),
    sixteen!(208),
    sixteen!(224),
    sixteen!(240),
];

/// A place to log to, until it is dropped. Its function may be called afterwards too, by a
/// thread that a plugin left behind.
#[derive(Debug)]
pub struct Sink {
    slot: usize,
    queue: Arc<Queue>,
}

impl Sink {
    /// None where all are taken. The one that was free for the longest, if possible one that
    /// no thread left behind logs to.
    pub fn take() -> Option<Sink> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        for round in 0..2 * SLOTS {
            let at = NEXT.fetch_add(1, Relaxed) % SLOTS;
            let slot = &TABLE[at];
            if slot.strays.swap(false, Relaxed) && round < SLOTS {
                continue;
            }
            if !slot.taken.swap(true, AcqRel) {
                let queue = Arc::<Queue>::default();
                *lock(&slot.queue) = Some(queue.clone());
                slot.listens.store(fork::generation(), Release);
                return Some(Sink { slot: at, queue });
            }
        }
        None
    }

    pub fn callback(&self) -> LogCallback {
        CALLBACKS[self.slot / 16][self.slot % 16]
    }

    /// It outlives the place.
    pub fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        let slot = &TABLE[self.slot];
        if slot.listens.load(Acquire) == fork::generation() {
            slot.listens.store(0, Release);
            *lock(&slot.queue) = None;
            slot.taken.store(false, Release);
        }
    }
}
