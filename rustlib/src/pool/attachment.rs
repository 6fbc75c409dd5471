//! This process's part in a pool: its mappings, its place among the processes, and
//! what it owes. Whoever opens a pool twice in one process gets the same attachment.

use std::cell::UnsafeCell;
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::atomic::PROCESSES;
use super::blocks::{CLASSES, Map};
use super::control::Control;
use super::cuda::arena::Arenas;
use super::holds::Holds;
use super::layout::{PAGE_UNITS, Process, Slot};
use super::segment::{self, Identity, Mapping, io_error};
use super::word::POOL;
use super::{liveness, registry};
use crate::error::{Error, Result};

/// No process index: a forked child that found no place.
pub const NOBODY: u32 = u32::MAX;
/// How long an opener waits for places that others are just looking at.
const CLAIM_LIMIT: Duration = Duration::from_secs(2);

/// The data segment, mapped with one permission or the other.
pub struct Side {
    pub file: OwnedFd,
    pub map: Mapping,
}

pub struct Attachment {
    /// None where the pool is anonymous.
    pub name: Option<String>,
    pub control: Control,
    pub identity: Identity,
    /// An opening of the control segment that no other process has: the lock on this
    /// process's place belongs to it. The mapping is made through it too, and keeps it
    /// open; both are replaced in a forked child.
    file: UnsafeCell<OwnedFd>,
    pub me: AtomicU32,
    pub pid: AtomicU32,
    pub holds: Holds,
    /// The slot that this process freed last, of each class.
    pub recent: [AtomicU32; CLASSES],
    pub local: Mutex<()>,
    pub reader: OnceLock<Side>,
    pub writer: OnceLock<Side>,
    /// The data segment opened to be written or not, and not mapped yet.
    opened: Mutex<Option<(bool, OwnedFd)>>,
    /// An opening of the control segment for passing on.
    shareable: OnceLock<OwnedFd>,
    pub arenas: Arenas,
}

// SAFETY: `file` is replaced in a forked child only, before it has a second thread; all
// else is Sync by itself.
unsafe impl Sync for Attachment {}

impl fmt::Display for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "pool {name:?}"),
            None => write!(f, "the anonymous pool"),
        }
    }
}

/// Why a control segment could not be attached.
pub enum Refusal {
    /// It is, or was, of a pool without processes.
    Gone,
    Error(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        Refusal::Error(error)
    }
}

impl Attachment {
    /// An attachment that has a place, which is index `me`; its lock belongs to `file`.
    pub fn new(
        name: Option<String>,
        control: Control,
        identity: Identity,
        file: OwnedFd,
        me: u32,
    ) -> Attachment {
        Attachment {
            name,
            identity,
            file: UnsafeCell::new(file),
            me: AtomicU32::new(me),
            pid: AtomicU32::new(process::id()),
            holds: Holds::new(control.layout.capacity),
            recent: [const { AtomicU32::new(NOBODY) }; CLASSES],
            local: Mutex::new(()),
            reader: OnceLock::new(),
            writer: OnceLock::new(),
            opened: Mutex::new(None),
            shareable: OnceLock::new(),
            arenas: Arenas::default(),
            control,
        }
    }

    #[inline]
    pub fn file(&self) -> BorrowedFd<'_> {
        // SAFETY: changed in a forked child only, before it has a second thread.
        unsafe { &*self.file.get() }.as_fd()
    }

    /// This process's index.
    #[inline]
    pub fn me(&self) -> Result<u32> {
        match self.me.load(Relaxed) {
            NOBODY => Err(self.orphaned()),
            me => Ok(me),
        }
    }

    #[cold]
    #[inline(never)]
    fn orphaned(&self) -> Error {
        let text = format!(
            "{self} cannot be used here: {PROCESSES} processes used it when this one was forked"
        );
        io_error(text, Errno::USERS)
    }

    /// Takes another place, in a forked child; NOBODY where there is none.
    ///
    /// # Safety
    /// This process has one thread.
    pub unsafe fn move_to(&self, me: u32, file: Option<OwnedFd>) {
        self.me.store(me, Relaxed);
        self.pid.store(process::id(), Relaxed);
        let file = file.or_else(|| segment::reopen(self.file(), OFlags::RDWR).ok());
        if let Some(file) = file {
            // The parent's opening, whose lock tells that it lives, is kept by neither.
            // SAFETY: an opening of the same file.
            let _ = unsafe { self.control.move_to(&file) };
            // SAFETY: the caller's.
            unsafe { *self.file.get() = file };
        }
    }

    #[inline(always)]
    pub fn slot(&self, index: u32) -> Option<&Slot> {
        self.control.slots().get(index as usize)
    }

    /// The data segment, mapped to be written or only to be read.
    #[inline]
    pub fn data(&self, writable: bool) -> Result<&Side> {
        let side = if writable { &self.writer } else { &self.reader };
        match side.get() {
            Some(side) => Ok(side),
            None => self.map_data(side, writable),
        }
    }

    #[cold]
    fn map_data<'a>(&self, side: &'a OnceLock<Side>, writable: bool) -> Result<&'a Side> {
        let flags = if writable { OFlags::RDWR } else { OFlags::RDONLY };
        let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner).take();
        let file = match (opened, self.writer.get().or(self.reader.get())) {
            (Some((as_wanted, file)), _) if as_wanted == writable => file,
            (Some((_, other)), _) => segment::reopen(&other, flags)?,
            (None, Some(other)) => segment::reopen(&other.file, flags)?,
            (None, None) => self.open_data(flags)?,
        };
        let map = Mapping::new(&file, self.control.layout.budget, writable)?;
        Ok(side.get_or_init(|| Side { file, map }))
    }

    /// Sees to it that there is memory to be had, without the time that mapping it takes.
    pub fn find_data(&self, writable: bool) -> Result<()> {
        if self.writer.get().is_some() || (!writable && self.reader.get().is_some()) {
            return Ok(());
        }
        let flags = if writable { OFlags::RDWR } else { OFlags::RDONLY };
        let file = self.open_data(flags)?;
        *self.opened.lock().unwrap_or_else(PoisonError::into_inner) = Some((writable, file));
        Ok(())
    }

    fn open_data(&self, flags: OFlags) -> Result<OwnedFd> {
        let path = segment::data_path(&self.control.fixed.id);
        let file = segment::open(&path, flags)
            .map_err(|errno| io_error(format!("opening the memory of {self}"), errno))?;
        self.check_data(file)
    }

    fn check_data(&self, file: OwnedFd) -> Result<OwnedFd> {
        let Identity { bytes, inode, .. } = segment::identity(&file)?;
        let wanted = self.control.layout.budget;
        let refuse = |text| Err(Error::InvalidArgument(text));
        if inode != self.control.fixed.data_inode {
            return refuse(format!("the memory of {self} is another file than the one given"));
        }
        if bytes != wanted {
            return refuse(format!(
                "{self} is damaged: its memory has {bytes} bytes, not {wanted}"
            ));
        }
        Ok(file)
    }

    /// Maps a data segment that came as a descriptor.
    pub fn adopt_data(&self, file: OwnedFd, writable: bool) -> Result<()> {
        let file = self.check_data(file)?;
        let map = Mapping::new(&file, self.control.layout.budget, writable)?;
        let side = if writable { &self.writer } else { &self.reader };
        side.get_or_init(|| Side { file, map });
        Ok(())
    }

    /// Descriptors of both segments, for passing on.
    pub fn descriptors(&self) -> Result<(BorrowedFd<'_>, BorrowedFd<'_>)> {
        let control = match self.shareable.get() {
            Some(control) => control,
            None => {
                let control = segment::reopen(self.file(), OFlags::RDWR)?;
                self.shareable.get_or_init(|| control)
            }
        };
        let side = match self.writer.get().or(self.reader.get()) {
            Some(side) => side,
            None => self.data(false)?,
        };
        Ok((control.as_fd(), side.file.as_fd()))
    }

    /// Removes the pool's name, once.
    pub fn unlink(&self) -> Result<()> {
        let Some(name) = &self.name else { return Ok(()) };
        if self.control.header().unlinked.swap(1, Relaxed) == 1 {
            return Ok(());
        }
        segment::unlink_if(&segment::control_path(name)?, self.file())?;
        segment::unlink(&segment::data_path(&self.control.fixed.id))
    }

    /// Takes back what dead processes had; says how many references that were.
    pub fn reclaim(&self) -> Result<u64> {
        let _locked = self.lock()?;
        self.reclaim_locked()
    }

    /// The same, for a caller that has the lock.
    pub fn reclaim_locked(&self) -> Result<u64> {
        let me = self.me()?;
        let mut count = 0;
        for (index, process) in (0..).zip(self.control.processes()) {
            if index == me || process.used.load(Acquire) == 0 {
                continue;
            }
            // Whoever can take the place knows that its process is dead, and that nobody
            // else is tidying up behind it.
            if liveness::take(self.file(), index)? {
                count += self.purge(index);
                process.used.store(0, Release);
                liveness::give_up(self.file(), index)?;
            }
        }
        Ok(count)
    }

    /// Takes a process out of everything. The caller has the lock, and the process's place.
    pub fn purge(&self, process: u32) -> u64 {
        let mut count = 0;
        for (index, slot) in (0..).zip(self.control.slots()) {
            let word = slot.word.load();
            if !word.holds(process) {
                continue;
            }
            // It may have died before it counted the high bits up: see `Slot::count_up`.
            if word.begins_round() && word.without(process).is_free() {
                slot.generation_high.fetch_add(1, Relaxed);
            }
            count += 1;
            if slot.word.leave(process) {
                self.freed(index, slot);
            }
        }
        self.drop_tickets_of(process);
        self.forget_arenas_of(process);
        self.control.header().reclaimed.fetch_add(count, Relaxed);
        count
    }

    /// Puts in order what a killed holder of the lock may have left half done: what
    /// follows from the slots is made anew from them.
    pub fn recover(&self) {
        let words = self.control.block_map();
        words.iter().for_each(|word| word.store(0, Relaxed));
        for slot in self.control.slots() {
            let place = slot.place.load(Acquire);
            if place != 0 && slot.arena.load(Relaxed) == 0 {
                Map(words).mark(place - 1, slot.units.load(Relaxed), true);
            }
        }
        self.control.header().unbound_from.store(0, Relaxed);
        self.drop_stale_tickets();
        for (index, slot) in (0..).zip(self.control.slots()) {
            if slot.word.load().holds(POOL)
                && !self.is_sent_by(index, POOL)
                && slot.word.leave(POOL)
            {
                self.freed(index, slot);
            }
        }
    }

    /// The units of the data segment.
    pub fn units(&self) -> u64 {
        self.control.layout.map_words as u64 * PAGE_UNITS
    }
}

/// Takes a place among the processes; true with it where a dead one's things are there.
pub fn claim(control: &Control, file: BorrowedFd) -> std::result::Result<(u32, bool), Refusal> {
    let began = Instant::now();
    loop {
        let processes = control.processes();
        let is_free = |process: &Process| process.used.load(Acquire) == 0;
        let some_free = processes.iter().any(is_free);
        for (index, process) in (0..).zip(processes) {
            if (is_free(process) || !some_free) && liveness::take(file, index)? {
                // The last one out has all places when it says so.
                if control.header().dead.load(Acquire) != 0 {
                    liveness::give_up(file, index)?;
                    return Err(Refusal::Gone);
                }
                let left_behind = !is_free(process);
                enlist(process);
                return Ok((index, left_behind));
            }
        }
        if control.header().dead.load(Acquire) != 0 {
            return Err(Refusal::Gone);
        }
        // Places that are free and cannot be taken are just being looked at.
        if !some_free || began.elapsed() > CLAIM_LIMIT {
            let text = format!("{PROCESSES} processes use the pool already, and that is the most");
            return Err(Refusal::Error(io_error(text, Errno::USERS)));
        }
        thread::sleep(Duration::from_micros(50));
    }
}

pub fn enlist(process: &Process) {
    process.pid.store(process::id(), Relaxed);
    process.since.store(now(), Relaxed);
    process.used.store(1, Release);
}

/// Nanoseconds since 1970.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

impl Drop for Attachment {
    fn drop(&mut self) {
        // A fork waits until this is over.
        let _closing = registry::closing();
        let Ok(me) = self.me() else { return };
        self.close_arenas();
        // An error leaves things as a killed process would, for others to tidy up.
        if let Ok(locked) = self.lock() {
            self.hand_over_tickets(me);
            let memory = self.release_arenas();
            self.purge_own(me);
            drop(locked);
            memory.free();
        } else {
            return;
        }
        self.control.processes()[me as usize].used.store(0, Release);
        // Who can take all places is the last one out. The own one is free by then: of two
        // that close at once the later one finds both so.
        let _ = liveness::give_up(self.file(), me);
        if self.name.is_some() && liveness::take_all(self.file()).unwrap_or(false) {
            self.control.header().dead.store(1, Release);
            let _ = self.unlink();
        }
    }
}

impl Attachment {
    /// Gives back all that this process holds, which is no reclaiming.
    fn purge_own(&self, me: u32) {
        let reclaimed = &self.control.header().reclaimed;
        reclaimed.fetch_sub(self.purge(me), Relaxed);
    }
}

/// Notes that a slot may be free.
pub fn set_hint(hints: &[AtomicU64], index: u32) {
    if let Some(word) = hints.get(index as usize / 64) {
        word.fetch_or(1 << (index % 64), Relaxed);
    }
}
