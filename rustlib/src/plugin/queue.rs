//! Calls that workers make: submitted on one thread, their results taken when a descriptor
//! can be read.
//!
//! Quick calls must not cost a wake-up each, and slow ones must not wait for each other. So
//! at most one worker is the scout: it stays awake for a moment when there is nothing to do,
//! so that the next calls find it; and where as many calls run as there are cores, it takes
//! one more only once it has seen that these do not get done. From then on so many run at
//! once, until calls are quick again.

use std::collections::VecDeque;
use std::ffi::{CStr, CString};
use std::mem;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::fork;
use super::instance::Instance;
use super::os::Flag;
use super::response::PluginResponse;
use crate::error::{Error, Result};

/// How long the scout looks for the next call before it sleeps.
const LOOK: Duration = Duration::from_micros(20);
/// How long the scout watches whether calls get done.
const WATCH: Duration = Duration::from_micros(100);
/// A call that takes less is quick: more of them at once would only be in each other's way.
const QUICK: Duration = Duration::from_micros(50);
/// How long a worker without work stays.
const STAY: Duration = Duration::from_secs(10);

/// What is called, and with what.
pub struct Request {
    what: What,
    bytes: Vec<u8>,
}

enum What {
    Tag(CString),
    Id(u32),
}

impl Request {
    pub fn tagged(tag: &CStr, bytes: &[u8]) -> Result<Request> {
        Ok(Request { what: What::Tag(tag.to_owned()), bytes: copy_of(bytes)? })
    }

    pub fn raw(id: u32, bytes: &[u8]) -> Result<Request> {
        Ok(Request { what: What::Id(id), bytes: copy_of(bytes)? })
    }

    fn make(&self, instance: &Instance) -> Result<PluginResponse> {
        let visit = instance.enter()?;
        match &self.what {
            What::Tag(tag) => Ok(visit.call(tag, &self.bytes)),
            What::Id(id) => Ok(visit.raw()?.call(*id, &self.bytes)),
        }
    }
}

fn copy_of(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut copy = Vec::new();
    copy.try_reserve_exact(bytes.len())
        .map_err(|_| Error::OutOfMemory("out of memory: no room for a request"))?;
    copy.extend_from_slice(bytes);
    Ok(copy)
}

/// What came of a call. It may be the plugin's error; that is looked at where it is taken.
type Outcome = Result<PluginResponse>;

struct Job {
    token: u64,
    request: Request,
}

struct Running {
    token: u64,
    /// Nobody wants what comes of it.
    abandoned: bool,
    worker: u64,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Job>,
    running: Vec<Running>,
    done: VecDeque<(u64, Outcome)>,
    /// How many were done since the beginning.
    finished: u64,
    /// How many more than there are cores run at once, since they block.
    blocking: usize,
    /// The number of the next worker.
    next_worker: u64,
    workers: usize,
    /// Workers that sleep until they are woken.
    asleep: usize,
    /// One of the workers looks for calls.
    scout: bool,
    freed: bool,
}

struct Shared {
    instance: Arc<Instance>,
    threads: usize,
    capacity: usize,
    cores: usize,
    flag: Flag,
    state: Mutex<State>,
    work: Condvar,
    /// How many calls wait, to be looked at without the lock.
    hint: AtomicUsize,
}

/// Calls of one plugin, made by workers.
pub struct PluginQueue(Arc<Shared>);

impl PluginQueue {
    pub fn new(instance: &Instance, threads: usize, capacity: usize) -> Result<PluginQueue> {
        for (name, value) in [("threads", threads), ("capacity", capacity)] {
            if value == 0 {
                return Err(Error::InvalidArgument(format!("{name} is 0")));
            }
        }
        if !instance.is_of_this_process() {
            return Err(fork::refused());
        }
        Ok(PluginQueue(Arc::new(Shared {
            instance: instance.share()?,
            threads,
            capacity,
            cores: thread::available_parallelism().map_or(1, usize::from),
            flag: Flag::new()?,
            state: Mutex::default(),
            work: Condvar::new(),
            hint: AtomicUsize::new(0),
        })))
    }

    pub fn descriptor(&self) -> i32 {
        self.0.flag.descriptor()
    }

    pub fn submit(&self, token: u64, request: Request) -> Result<()> {
        let shared = &self.0;
        // What would be refused later is refused now.
        drop(shared.instance.enter()?);
        let mut state = shared.lock();
        if state.waiting.len() >= shared.capacity {
            return Err(Error::Timeout(format!("{} calls wait already", shared.capacity)));
        }
        state.waiting.push_back(Job { token, request });
        shared.changed(&state);
        if let Err(error) = shared.call_for_help(&mut state)
            && state.workers == 0
        {
            state.waiting.pop_back();
            shared.changed(&state);
            return Err(error);
        }
        Ok(())
    }

    /// Whether it had not begun. What has no completion to come is nothing.
    pub fn cancel(&self, token: u64) -> bool {
        let shared = &self.0;
        if !shared.instance.is_of_this_process() {
            return false;
        }
        let mut state = shared.lock();
        if let Some(at) = state.waiting.iter().position(|job| job.token == token) {
            let job = state.waiting.remove(at);
            shared.changed(&state);
            drop(state);
            drop(job);
            return true;
        }
        if let Some(running) = state.running.iter_mut().find(|running| running.token == token) {
            running.abandoned = true;
        } else if let Some(at) = state.done.iter().position(|(done, _)| *done == token) {
            let outcome = state.done.remove(at);
            shared.silence(&state);
            drop(state);
            drop(outcome);
        }
        false
    }

    /// Gives up to `most` outcomes, the oldest first.
    pub fn take(&self, most: usize, mut each: impl FnMut(u64, Outcome)) {
        let shared = &self.0;
        if most == 0 || !shared.instance.is_of_this_process() {
            return;
        }
        let mut state = shared.lock();
        let n = state.done.len().min(most);
        if n > 0 {
            state.done.drain(..n).for_each(|(token, outcome)| each(token, outcome));
            shared.silence(&state);
        }
    }
}

impl Drop for PluginQueue {
    fn drop(&mut self) {
        let shared = &self.0;
        if !shared.instance.is_of_this_process() {
            // The parent's locks may be held for ever, and its calls are its own: all stays.
            mem::forget(shared.clone());
            return;
        }
        let mut state = shared.lock();
        state.freed = true;
        let (waiting, done) = (mem::take(&mut state.waiting), mem::take(&mut state.done));
        shared.changed(&state);
        drop(state);
        shared.work.notify_all();
        drop((waiting, done));
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self, state: &State) {
        self.hint.store(state.waiting.len(), Relaxed);
    }

    /// There are calls that wait: sees to it that somebody comes, unless the scout does.
    fn call_for_help(self: &Arc<Self>, state: &mut State) -> Result<()> {
        if state.scout {
            return Ok(());
        }
        if state.asleep > 0 {
            self.work.notify_one();
            return Ok(());
        }
        if state.workers >= self.threads {
            return Ok(());
        }
        let (shared, number) = (self.clone(), state.next_worker);
        thread::Builder::new()
            .name("gmemx-plugin".into())
            .spawn(move || shared.work(number))
            .map_err(|source| Error::Io { what: "a worker's thread".into(), source })?;
        state.next_worker += 1;
        state.workers += 1;
        // It looks for work as soon as it is there.
        state.scout = true;
        Ok(())
    }

    /// Makes the descriptor unreadable where nothing is left to take.
    fn silence(&self, state: &State) {
        if state.done.is_empty() {
            // It is up, and only here does it come down.
            self.flag.lower();
        }
    }

    /// What a worker does.
    fn work(self: Arc<Self>, number: u64) {
        let mut state = self.lock();
        // Started as the scout.
        state.scout = false;
        let mut looked = false;
        while !state.freed {
            let enough = state.running.len() >= self.cores + state.blocking;
            if !enough && let Some(job) = state.waiting.pop_front() {
                state = self.run(state, job, number);
                looked = false;
            } else if !state.scout && !state.waiting.is_empty() {
                let job;
                (state, job) = self.watch(state);
                if let Some(job) = job {
                    state = self.run(state, job, number);
                }
                looked = false;
            } else if !state.scout && !looked {
                state = self.look(state);
                looked = true;
            } else {
                state.asleep += 1;
                let (woken, wait) =
                    self.work.wait_timeout(state, STAY).unwrap_or_else(PoisonError::into_inner);
                state = woken;
                state.asleep -= 1;
                if wait.timed_out() && state.waiting.is_empty() {
                    break;
                }
                looked = false;
            }
        }
        state.workers -= 1;
    }

    /// As the scout, waits a moment for calls without the lock.
    fn look<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        state.scout = true;
        drop(state);
        let until = Instant::now() + LOOK;
        while self.hint.load(Relaxed) == 0 && Instant::now() < until {
            std::hint::spin_loop();
        }
        let mut state = self.lock();
        state.scout = false;
        state
    }

    /// As the scout, watches the calls that run while others wait. Gives one of those where
    /// the ones that run do not get done, or have.
    fn watch<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
    ) -> (MutexGuard<'a, State>, Option<Job>) {
        loop {
            let finished = state.finished;
            state.scout = true;
            drop(state);
            thread::sleep(WATCH);
            state = self.lock();
            state.scout = false;
            let blocked = state.finished == finished || state.running.len() < self.cores;
            if blocked || state.waiting.is_empty() || state.freed {
                let job = state.waiting.pop_front();
                if job.is_some() {
                    let more = (state.running.len() + 1).saturating_sub(self.cores);
                    state.blocking = state.blocking.max(more);
                }
                return (state, job);
            }
        }
    }

    /// Makes one call.
    fn run<'a>(
        self: &'a Arc<Self>,
        mut state: MutexGuard<'a, State>,
        job: Job,
        worker: u64,
    ) -> MutexGuard<'a, State> {
        let Job { token, request } = job;
        self.changed(&state);
        state.running.push(Running { token, abandoned: false, worker });
        if !state.waiting.is_empty() {
            // Where no thread is to be had, this one goes on alone.
            let _ = self.call_for_help(&mut state);
        }
        drop(state);
        let begin = Instant::now();
        let outcome = request.make(&self.instance);
        let quick = begin.elapsed() < QUICK;
        drop(request);
        let mut state = self.lock();
        state.finished += 1;
        state.blocking = state.blocking.saturating_sub(usize::from(quick));
        let at = state.running.iter().position(|running| running.worker == worker);
        let wanted = at.is_some_and(|at| !state.running.swap_remove(at).abandoned);
        if wanted && !state.freed {
            state.done.push_back((token, outcome));
            if state.done.len() == 1 {
                self.flag.raise();
            }
            return state;
        }
        drop(state);
        drop(outcome);
        self.lock()
    }
}
