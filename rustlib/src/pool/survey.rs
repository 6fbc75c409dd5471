//! Pools seen from outside: what there is, who holds it, and what the dead left.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::atomic::Ordering::{Acquire, Relaxed};

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::atomic::PROCESSES;
use super::attachment::Attachment;
use super::control::Control;
use super::layout::UNIT;
use super::segment::{self, FOLDER, Mapping, io_error, missing};
use super::slots::handle_of;
use super::word::POOL;
use super::{liveness, registry};
use crate::error::{Error, Result};

#[derive(Clone, Debug, Default)]
pub struct Stats {
    pub capacity: u64,
    pub budget: u64,
    pub committed: u64,
    pub used_bytes: u64,
    pub free: u64,
    pub pins: u64,
    pub in_flight: u64,
    pub max_processes: u64,
    pub reclaimed: u64,
    pub created: i64,
    pub mode: u32,
}

/// A buffer that somebody refers to.
#[derive(Clone, Debug)]
pub struct BufferInfo {
    pub handle: u64,
    pub size: u64,
    pub index: u32,
    pub holders: u32,
    pub pins: u32,
    pub producer: u32,
    pub on_device: bool,
    pub sealed: bool,
    pub in_flight: bool,
}

#[derive(Clone, Debug)]
pub struct ProcessInfo {
    pub since: i64,
    pub pid: u32,
    pub holds: u32,
    pub alive: bool,
}

/// A pool at one moment, as well as that can be told while others use it.
#[derive(Clone, Debug)]
pub struct Survey {
    pub stats: Stats,
    pub buffers: Vec<BufferInfo>,
    pub processes: Vec<ProcessInfo>,
}

impl Survey {
    pub fn of_name(name: &str) -> Result<Survey> {
        // Mapped to be written, though nothing is: some CPUs read 16 bytes at once by
        // exchanging them for themselves.
        let file = match segment::open(&segment::control_path(name)?, OFlags::RDWR) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Err(missing(name)),
            Err(errno) => return Err(io_error(format!("looking at pool {name:?}"), errno)),
        };
        let identity = segment::identity(&file)?;
        let control =
            Control::new(Mapping::new(&file, identity.bytes, true)?, &format!("{name:?}"))?;
        let in_flight: Vec<u64> = control.live_tickets().collect();
        Survey::of(&control, file.as_fd(), identity.mode, None, &in_flight)
    }

    /// `me` is alive, though its lock does not stand in its own way.
    fn of(
        control: &Control,
        file: BorrowedFd,
        mode: u32,
        me: Option<u32>,
        in_flight: &[u64],
    ) -> Result<Survey> {
        let mut stats = Stats {
            capacity: control.layout.capacity as u64,
            budget: control.layout.budget,
            in_flight: in_flight.len() as u64,
            max_processes: u64::from(PROCESSES),
            reclaimed: control.header().reclaimed.load(Relaxed),
            created: control.fixed.created,
            mode,
            ..Stats::default()
        };
        let mut buffers = Vec::new();
        let mut holds = [0; PROCESSES as usize];
        for (index, slot) in (0..).zip(control.slots()) {
            let word = slot.word.load();
            let on_device = slot.arena.load(Relaxed) != 0;
            let bound = slot.place.load(Acquire) != 0;
            if bound && !on_device {
                stats.committed =
                    stats.committed.saturating_add(slot.units.load(Relaxed).saturating_mul(UNIT));
            }
            if word.is_free() {
                stats.free += u64::from(bound);
                continue;
            }
            for (process, holds) in (0..).zip(&mut holds) {
                *holds += u32::from(word.holds(process));
            }
            let handle = handle_of(index, slot, word);
            let info = BufferInfo {
                handle,
                size: slot.size.load(Relaxed),
                index,
                holders: word.holders() - u32::from(word.holds(POOL)),
                pins: word.pins(),
                producer: slot.producer.load(Relaxed),
                on_device,
                sealed: slot.is_sealed(word),
                in_flight: in_flight.contains(&handle),
            };
            stats.used_bytes = stats.used_bytes.saturating_add(info.size);
            stats.pins += u64::from(info.pins);
            buffers.push(info);
        }
        let mut processes = Vec::new();
        for (index, process) in (0..).zip(control.processes()) {
            if process.used.load(Acquire) == 0 {
                continue;
            }
            processes.push(ProcessInfo {
                since: process.since.load(Relaxed),
                pid: process.pid.load(Relaxed),
                holds: holds[index as usize],
                alive: me == Some(index) || liveness::is_alive(file, index)?,
            });
        }
        Ok(Survey { stats, buffers, processes })
    }
}

impl Attachment {
    pub fn survey(&self) -> Result<Survey> {
        let _locked = self.lock()?;
        let in_flight: Vec<u64> = self.control.live_tickets().collect();
        let me = Some(self.me()?);
        Survey::of(&self.control, self.file(), self.control.fixed.mode, me, &in_flight)
    }
}

/// The names of all pools, in order.
pub fn names() -> Result<Vec<String>> {
    let mut names = Vec::new();
    each_file(|file| {
        names.extend(segment::name_of(file).map(str::to_owned));
        Ok(())
    })?;
    names.sort_unstable();
    Ok(names)
}

fn each_file(mut see: impl FnMut(&std::ffi::OsStr) -> Result<()>) -> Result<()> {
    let fail = |source| Error::Io { what: format!("looking into {FOLDER}"), source };
    for entry in std::fs::read_dir(FOLDER).map_err(fail)? {
        see(&entry.map_err(fail)?.file_name())?;
    }
    Ok(())
}

/// Removes what no process uses; how many pools that were, and their bytes.
pub fn gc() -> Result<(u64, u64)> {
    let (mut pools, mut bytes) = (0, 0);
    for name in names()? {
        if let Some(taken) = remove(&name)? {
            pools += 1;
            bytes += taken;
        }
    }
    each_file(|file| {
        if let Some(id) = segment::id_of(file) {
            bytes += remove_litter(&segment::data_path(&id), &id)?;
        }
        Ok(())
    })?;
    Ok((pools, bytes))
}

/// The bytes that a pool had, if it could be removed. What is not a pool, or not ours to
/// touch, stays.
fn remove(name: &str) -> Result<Option<u64>> {
    let path = segment::control_path(name)?;
    let Ok(file) = segment::open(&path, OFlags::RDWR) else { return Ok(None) };
    let bytes = segment::identity(&file)?.bytes;
    let Ok(control) = Mapping::new(&file, bytes, true).and_then(|map| Control::new(map, name))
    else {
        return Ok(None);
    };
    let data = segment::open(&segment::data_path(&control.fixed.id), OFlags::RDONLY).ok();
    let data = data.map_or(Ok(0), segment::taken)?;
    let removed = registry::remove_abandoned(&path, file.as_fd(), &control)?;
    Ok(removed.then_some(data + segment::taken(&file)?))
}

/// Removes a data segment whose control segment has no name, unless it is about to get one.
fn remove_litter(path: &Path, id: &[u8; 16]) -> Result<u64> {
    let Ok(file) = segment::open(path, OFlags::RDWR) else { return Ok(0) };
    if !liveness::publishing(file.as_fd())? {
        return Ok(0);
    }
    // Whoever had that lock has published its control segment, or is dead.
    for name in names()? {
        let Ok(control) = segment::open(&segment::control_path(&name)?, OFlags::RDONLY) else {
            continue;
        };
        let bytes = segment::identity(&control)?.bytes;
        let known = Mapping::new(&control, bytes, false).and_then(|map| Control::new(map, &name));
        if known.is_ok_and(|known| known.fixed.id == *id) {
            return Ok(0);
        }
    }
    let bytes = segment::taken(&file)?;
    segment::unlink(path)?;
    Ok(bytes)
}
