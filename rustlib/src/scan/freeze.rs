//! Values that stay what they are, because a thread writes them again and again.

use std::collections::BTreeMap;
use std::io;
use std::mem;
use std::process;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::source::Source;
use super::types::{Cell, ValueType, with_cell};
use crate::error::{Error, Result};

const LONGEST: Duration = Duration::from_secs(3600);

/// Which changes are let be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// None.
    Fixed,
    /// Upward: what the value has grown to is kept from then on.
    Up,
    /// Downward, in the same way.
    Down,
}

impl Direction {
    pub fn from_code(code: i32) -> Result<Direction> {
        match code {
            0 => Ok(Direction::Fixed),
            1 => Ok(Direction::Up),
            -1 => Ok(Direction::Down),
            _ => Err(Error::InvalidArgument(format!(
                "{code} is no direction: wanted 0, 1 for up or -1 for down"
            ))),
        }
    }
}

/// What is to stay.
#[derive(Clone, Copy, Debug)]
pub struct Value {
    pub address: u64,
    pub kind: ValueType,
    /// In the low bytes.
    pub bits: u64,
    pub direction: Direction,
}

/// How a frozen value is getting on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// How often it was written.
    pub writes: u64,
    /// False once the target is gone.
    pub active: bool,
    /// Why the last attempt failed; 0 where it did not.
    pub errno: i32,
}

/// Keeps any number of values of one source, by one thread.
pub struct Freezer {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// A forked child has neither the thread nor, perhaps, the locks.
    process: u32,
}

struct Shared {
    source: Arc<dyn Source>,
    list: Mutex<List>,
    changed: Condvar,
}

#[derive(Default)]
struct List {
    frozen: BTreeMap<u64, Frozen>,
    last: u64,
    ends: bool,
}

struct Frozen {
    value: Value,
    interval: Duration,
    due: Instant,
    state: State,
}

impl Freezer {
    pub fn new(source: Arc<dyn Source>) -> Freezer {
        let shared = Shared { source, list: Mutex::default(), changed: Condvar::new() };
        Freezer { shared: Arc::new(shared), thread: Mutex::default(), process: process::id() }
    }

    /// Writes a value now, and then every `interval` until it is removed; gives its number.
    /// Where it cannot be written now it is not added.
    pub fn add(&self, value: Value, interval: Duration) -> Result<u64> {
        self.ours()?;
        if interval.is_zero() || interval > LONGEST {
            return Err(Error::InvalidArgument(format!(
                "an interval of {interval:?}: wanted a microsecond to an hour"
            )));
        }
        if value.direction != Direction::Fixed && value.is_nan() {
            return Err(Error::InvalidArgument("NaN is neither below nor above others".into()));
        }
        let state = State { writes: 0, active: true, errno: 0 };
        let due = Instant::now() + interval;
        let mut frozen = Frozen { value, interval, due, state };
        let mut list = self.shared.list();
        frozen.hold(&*self.shared.source)?;
        self.start()?;
        list.last += 1;
        let number = list.last;
        list.frozen.insert(number, frozen);
        self.shared.changed.notify_one();
        Ok(number)
    }

    /// Lets a value go; it is not written any more when this returns.
    pub fn remove(&self, number: u64) -> Result<()> {
        self.ours()?;
        let removed = self.shared.list().frozen.remove(&number);
        removed.map(|_| ()).ok_or_else(|| unknown(number))
    }

    pub fn state(&self, number: u64) -> Result<State> {
        self.ours()?;
        let list = self.shared.list();
        list.frozen.get(&number).map(|frozen| frozen.state).ok_or_else(|| unknown(number))
    }

    fn ours(&self) -> Result<()> {
        if process::id() == self.process {
            return Ok(());
        }
        Err(Error::InvalidArgument(format!(
            "these values are frozen by process {}, not by this one, its child",
            self.process
        )))
    }

    fn start(&self) -> Result<()> {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if thread.is_none() {
            let shared = Arc::clone(&self.shared);
            let started = thread::Builder::new()
                .name("gmemx-freeze".into())
                .spawn(move || shared.keep())
                .map_err(|source| Error::Io { what: "no thread to freeze by".into(), source })?;
            *thread = Some(started);
        }
        Ok(())
    }
}

impl Drop for Freezer {
    fn drop(&mut self) {
        let thread = self.thread.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if process::id() != self.process {
            // The list may have been locked by the thread, which is not here to unlock it.
            mem::forget((thread, Arc::clone(&self.shared)));
            return;
        }
        self.shared.list().ends = true;
        self.shared.changed.notify_one();
        if let Some(thread) = thread {
            // That it panicked is no reason for this one to.
            let _ = thread.join();
        }
    }
}

fn unknown(number: u64) -> Error {
    Error::NotFound(format!("no value is frozen by the number {number}"))
}

impl Shared {
    fn list(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread: holds what is due, and sleeps until more is.
    fn keep(&self) {
        // Locked but for the sleep, so that what was removed is not written once more.
        let mut list = self.list();
        while !list.ends {
            let now = Instant::now();
            let mut next = None;
            for frozen in list.frozen.values_mut().filter(|frozen| frozen.state.active) {
                if frozen.due <= now {
                    frozen.attempt(&*self.source);
                    frozen.due = now + frozen.interval;
                }
                next = Some(next.map_or(frozen.due, |next: Instant| next.min(frozen.due)));
            }
            list = match next {
                Some(next) => {
                    let pause = next.saturating_duration_since(Instant::now());
                    let woken = self.changed.wait_timeout(list, pause);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.changed.wait(list).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

impl Value {
    fn is_nan(&self) -> bool {
        with_cell!(self.kind, T => <T as Cell>::from_bits(self.bits).to_f64().is_nan())
    }

    /// Whether the target may go on with `bits` instead.
    fn lets_be(&self, bits: u64) -> bool {
        with_cell!(self.kind, T => {
            let [kept, there] = [self.bits, bits].map(<T as Cell>::from_bits);
            match self.direction {
                Direction::Fixed => false,
                Direction::Up => there > kept,
                Direction::Down => there < kept,
            }
        })
    }
}

impl Frozen {
    fn attempt(&mut self, source: &dyn Source) {
        self.state.errno = match self.hold(source) {
            Ok(()) => 0,
            Err(Error::Io { source, .. }) => source.raw_os_error().unwrap_or(libc::EIO),
            Err(_) => libc::EIO,
        };
        self.state.active = self.state.errno != libc::ESRCH;
    }

    fn hold(&mut self, source: &dyn Source) -> Result<()> {
        let Value { address, kind, direction, .. } = self.value;
        let size = kind.size();
        if direction != Direction::Fixed {
            let mut there = [0; 8];
            if source.read(address, &mut there[..size])? < size {
                return Err(out_of_reach(address, "read"));
            }
            let there = u64::from_le_bytes(there);
            if self.value.lets_be(there) {
                self.value.bits = there;
                return Ok(());
            }
            // Written again, it would undo what the target has just let it become.
            if there.to_le_bytes()[..size] == self.value.bits.to_le_bytes()[..size] {
                return Ok(());
            }
        }
        if source.write(address, &self.value.bits.to_le_bytes()[..size], false)? < size {
            return Err(out_of_reach(address, "written"));
        }
        self.state.writes += 1;
        Ok(())
    }
}

fn out_of_reach(address: u64, done: &str) -> Error {
    let source = io::Error::from_raw_os_error(libc::EFAULT);
    Error::Io { what: format!("the value at {address:#x} cannot be {done}"), source }
}
