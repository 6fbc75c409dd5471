//! The pools that this process has open: creating, opening, and finding them again.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::atomic::check_cpu;
use super::attachment::{Attachment, Refusal, claim, enlist, now};
use super::control::Control;
use super::layout::{CHUNK, Fixed, Layout, MAX_BUDGET, MAX_CAPACITY, MetaWords, PAGE_BYTES};
use super::segment::{self, Mapping, io_error, missing};
use super::{fork, liveness};
use crate::error::{Error, Result};

static OPEN: Mutex<Vec<Weak<Attachment>>> = Mutex::new(Vec::new());

/// How long an opener races with those who remove the pool again and again.
const RACE_LIMIT: Duration = Duration::from_secs(10);

/// Held while an attachment ends; taken after the registry's lock, if that is wanted too.
static CLOSING: Mutex<()> = Mutex::new(());

pub type Registry = MutexGuard<'static, Vec<Weak<Attachment>>>;

pub fn lock() -> Registry {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

pub fn closing() -> MutexGuard<'static, ()> {
    CLOSING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a new pool is to be like; a budget of 0 is as much as the system lends.
#[derive(Clone, Copy)]
pub struct Plan {
    pub capacity: usize,
    pub budget: u64,
    pub mode: u32,
}

impl Plan {
    fn check(self) -> Result<Plan> {
        let Plan { capacity, budget, mode } = self;
        if !(1..=MAX_CAPACITY).contains(&capacity) {
            let text =
                format!("a pool has a capacity of 1 to {MAX_CAPACITY} buffers, not {capacity}");
            return Err(Error::InvalidArgument(text));
        }
        if budget > MAX_BUDGET {
            let text = format!("a pool has a size of at most {MAX_BUDGET} bytes, not {budget}");
            return Err(Error::InvalidArgument(text));
        }
        if mode > 0o777 || mode & 0o600 != 0o600 {
            let text =
                format!("a mode is 0600 to 0777 and lets its owner read and write, not {mode:04o}");
            return Err(Error::InvalidArgument(text));
        }
        check_cpu()?;
        let budget = if budget == 0 { segment::lendable()?.min(MAX_BUDGET) } else { budget };
        Ok(Plan { capacity, budget: budget.next_multiple_of(PAGE_BYTES), mode })
    }
}

/// A pool that nobody else has yet.
struct Fresh {
    attachment: Attachment,
    data: OwnedFd,
}

fn fresh(name: Option<&str>, plan: Plan) -> Result<Fresh> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|error| Error::Io {
        what: "making an id for a pool".into(),
        source: error.into(),
    })?;
    let layout = Layout::new(plan.capacity, plan.budget);
    let file = |bytes| match name {
        Some(_) => segment::unnamed(plan.mode, bytes),
        None => segment::memfd("gmemx", bytes),
    };
    let control = file(layout.bytes as u64)?;
    let slots = layout.slots_at as u64;
    segment::commit(control.as_fd(), 0, slots + PAGE_BYTES)?;
    let metas = (CHUNK * size_of::<MetaWords>()) as u64;
    segment::commit(control.as_fd(), layout.metas_at as u64, metas)?;
    let data = file(layout.budget)?;
    let inode = segment::identity(&data)?.inode;
    let fixed = Fixed::new(plan.capacity, plan.budget, plan.mode, id, now(), inode);
    let map = Mapping::new(&control, layout.bytes as u64, true)?;
    let mapped = Control::create(map, fixed, name.unwrap_or("this"))?;
    mapped.header().slots_ready.store(CHUNK.min(plan.capacity) as u32, Release);
    if !liveness::take(control.as_fd(), 0)? {
        return Err(io_error("making a pool", Errno::AGAIN));
    }
    enlist(&mapped.processes()[0]);
    let identity = segment::identity(&control)?;
    let attachment = Attachment::new(name.map(str::to_owned), mapped, identity, control, 0);
    Ok(Fresh { attachment, data })
}

fn enter(registry: &mut Registry, attachment: Attachment) -> Arc<Attachment> {
    fork::prepare_for_forks();
    let attachment = Arc::new(attachment);
    registry.retain(|known| known.strong_count() > 0);
    registry.push(Arc::downgrade(&attachment));
    attachment
}

pub fn create_anonymous(plan: Plan) -> Result<Arc<Attachment>> {
    let plan = plan.check()?;
    let mut registry = lock();
    let Fresh { attachment, data } = fresh(None, plan)?;
    attachment.adopt_data(data, true)?;
    Ok(enter(&mut registry, attachment))
}

pub fn create(name: &str, plan: Plan) -> Result<Arc<Attachment>> {
    let path = segment::control_path(name)?;
    let plan = plan.check()?;
    try_create(name, &path, plan)?
        .ok_or_else(|| io_error(format!("there is a pool {name:?} already"), Errno::EXIST))
}

pub fn open(name: &str) -> Result<Arc<Attachment>> {
    let path = segment::control_path(name)?;
    check_cpu()?;
    try_open(name, &path)?.ok_or_else(|| missing(name))
}

pub fn open_or_create(name: &str, plan: Plan) -> Result<Arc<Attachment>> {
    let path = segment::control_path(name)?;
    let plan = plan.check()?;
    let began = Instant::now();
    loop {
        if let Some(attachment) = try_open(name, &path)? {
            return Ok(attachment);
        }
        if let Some(attachment) = try_create(name, &path, plan)? {
            return Ok(attachment);
        }
        if began.elapsed() > RACE_LIMIT {
            let text =
                format!("pool {name:?} came and went for ten seconds and could not be opened");
            return Err(Error::Timeout(text));
        }
        thread::yield_now();
    }
}

/// None where a live pool has the name.
fn try_create(name: &str, path: &Path, plan: Plan) -> Result<Option<Arc<Attachment>>> {
    let what = |errno| io_error(format!("creating pool {name:?}"), errno);
    let mut registry = lock();
    let Fresh { attachment, data } = fresh(Some(name), plan)?;
    let data_path = segment::data_path(&attachment.control.fixed.id);
    // A data segment whose control segment has no name is litter, unless this lock is held.
    liveness::publishing(data.as_fd())?;
    segment::publish(&data, &data_path).map_err(what)?;
    for attempt in 0.. {
        match segment::publish(attachment.file(), path) {
            Ok(()) => break,
            Err(Errno::EXIST) if attempt < 100 && remove_if_abandoned(name, path)? => {}
            Err(errno) => {
                // Nobody can have it, so nothing of it is left.
                attachment.control.header().unlinked.store(1, Relaxed);
                segment::unlink(&data_path)?;
                return if errno == Errno::EXIST { Ok(None) } else { Err(what(errno)) };
            }
        }
    }
    liveness::published(data.as_fd())?;
    attachment.adopt_data(data, true)?;
    Ok(Some(enter(&mut registry, attachment)))
}

/// Removes a pool that no process uses; true where the name is free then.
fn remove_if_abandoned(name: &str, path: &Path) -> Result<bool> {
    let file = match segment::open(path, OFlags::RDWR) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(true),
        Err(errno) => return Err(io_error(format!("looking at pool {name:?}"), errno)),
    };
    let bytes = segment::identity(&file)?.bytes;
    let control = Control::new(Mapping::new(&file, bytes, true)?, &format!("{name:?}"))?;
    remove_abandoned(path, file.as_fd(), &control)
}

/// The same for an opened control segment; false where a process uses it.
pub fn remove_abandoned(path: &Path, file: BorrowedFd, control: &Control) -> Result<bool> {
    if !liveness::take_all(file)? {
        return Ok(false);
    }
    control.header().dead.store(1, Release);
    control.header().unlinked.store(1, Relaxed);
    // Only who has all places, or is one of those that use the pool, removes its name: so
    // the name cannot become another pool's between a look at it and its removal.
    segment::unlink_if(path, file)?;
    segment::unlink(&segment::data_path(&control.fixed.id))?;
    // Its places are free again when the file is closed; `dead` is what tells then.
    Ok(true)
}

/// None where there is no pool of that name, or none that a process uses.
fn try_open(name: &str, path: &Path) -> Result<Option<Arc<Attachment>>> {
    let began = Instant::now();
    loop {
        let mut registry = lock();
        let file = match segment::open(path, OFlags::RDWR) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(io_error(format!("opening pool {name:?}"), errno)),
        };
        let what = format!("{name:?}");
        match attach(&mut registry, Some(name), &what, file, |_| Ok(())) {
            Ok(attachment) => return Ok(Some(attachment)),
            Err(Refusal::Error(error)) => return Err(error),
            Err(Refusal::Gone) if began.elapsed() > RACE_LIMIT => return Ok(None),
            // Whoever removes it is about to have done so.
            Err(Refusal::Gone) => drop(registry),
        }
        thread::sleep(Duration::from_micros(50));
    }
}

pub fn open_descriptors(
    control: BorrowedFd,
    data: BorrowedFd,
    read_only: bool,
) -> Result<Arc<Attachment>> {
    check_cpu()?;
    let flags = if read_only { OFlags::RDONLY } else { OFlags::RDWR };
    let (own, data) = (segment::reopen(control, OFlags::RDWR)?, segment::reopen(data, flags)?);
    let mut registry = lock();
    let what = format!("descriptor {}", std::os::fd::AsRawFd::as_raw_fd(&control));
    let adopt = |attachment: &Attachment| attachment.adopt_data(data, !read_only);
    match attach(&mut registry, None, &what, own, adopt) {
        Ok(attachment) => Ok(attachment),
        Err(Refusal::Error(error)) => Err(error),
        Err(Refusal::Gone) => Err(missing(&what)),
    }
}

fn attach(
    registry: &mut Registry,
    name: Option<&str>,
    what: &str,
    file: OwnedFd,
    with_data: impl FnOnce(&Attachment) -> Result<()>,
) -> std::result::Result<Arc<Attachment>, Refusal> {
    let identity = segment::identity(&file)?;
    let same = |known: &Attachment| {
        known.identity.device == identity.device && known.identity.inode == identity.inode
    };
    if let Some(found) = registry.iter().filter_map(Weak::upgrade).find(|known| same(known)) {
        found.me()?;
        with_data(&found)?;
        return Ok(found);
    }
    let control = Control::new(Mapping::new(&file, identity.bytes, true)?, what)?;
    if control.header().dead.load(Acquire) != 0 {
        if let Some(name) = name {
            // Whoever said so may have been killed before it removed the name.
            remove_abandoned(&segment::control_path(name)?, file.as_fd(), &control)?;
        }
        return Err(Refusal::Gone);
    }
    if let Some(name) = name {
        // Nobody has it: what the dead left in it is nobody's.
        if remove_abandoned(&segment::control_path(name)?, file.as_fd(), &control)? {
            return Err(Refusal::Gone);
        }
    }
    let (me, left_behind) = claim(&control, file.as_fd())?;
    let attachment = Attachment::new(name.map(str::to_owned), control, identity, file, me);
    if left_behind {
        let _locked = attachment.lock()?;
        attachment.purge(me);
    }
    with_data(&attachment)?;
    Ok(enter(registry, attachment))
}
