//! A live process of this machine as a [`Source`].

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, retry_on_intr};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::access::Facts;
use super::pages;
use super::region::{self, Region, RegionKind, SHARED};
use super::source::{Part, Piece, Reason, Source, What};
use crate::error::{Error, Result};

/// The most pieces that one call of the kernel takes.
const IOVECS: usize = 1024;
/// How long a stopped process may take to stand still.
const STOPPING: Duration = Duration::from_secs(2);

/// A process, held by a descriptor: its number may be given to another once it has died.
pub struct Process {
    pid: u32,
    handle: OwnedFd,
    page: u64,
    /// How often it was asked to stop; None where somebody else had stopped it.
    stops: Mutex<Stops>,
    /// Files it maps, by device and inode, as opened for the current list of regions.
    files: Mutex<Files>,
}

type Files = HashMap<(u32, u32, u64), Option<Arc<File>>>;

#[derive(Default)]
struct Stops {
    depth: u32,
    ours: bool,
}

fn failed(what: String, source: io::Error) -> Error {
    Error::Io { what, source }
}

impl Process {
    pub fn open(pid: u32) -> Result<Process> {
        let number = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or_else(|| {
            Error::InvalidArgument(format!("{pid} is no process id: wanted 1 to {}", i32::MAX))
        })?;
        let handle = pidfd_open(number, PidfdFlags::empty()).map_err(|error| {
            // Every thread has a number, but only that of the first is the process's.
            if error != Errno::SRCH && fs::exists(format!("/proc/{pid}")).unwrap_or(false) {
                return Error::InvalidArgument(format!("{pid} is a thread, not a process"));
            }
            failed(format!("process {pid} cannot be opened"), error.into())
        })?;
        let process = Process {
            pid,
            handle,
            page: rustix::param::page_size() as u64,
            stops: Mutex::default(),
            files: Mutex::default(),
        };
        // What may not be read should be known now, with its reason.
        process.regions()?;
        Ok(process)
    }

    pub fn pid(&self) -> u32 {
        self.pid
    }

    fn path(&self, name: &str) -> String {
        format!("/proc/{}/{name}", self.pid)
    }

    fn gone(&self) -> Error {
        failed(format!("process {} has ended", self.pid), io::Error::from_raw_os_error(libc::ESRCH))
    }

    /// What the system's refusal means.
    fn refused(&self, error: io::Error, doing: &str) -> Error {
        if !self.alive() {
            return self.gone();
        }
        match error.raw_os_error() {
            Some(libc::ESRCH) => self.gone(),
            Some(libc::EPERM | libc::EACCES) => failed(Facts::of(self.pid).why(doing), error),
            _ => failed(format!("process {} {doing}", self.pid), error),
        }
    }

    /// The bytes of a file of this process: a mapping's, or the one at its path.
    fn file_of(&self, region: &Region) -> Option<Arc<File>> {
        let key = (region.device.0, region.device.1, region.inode);
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.entry(key).or_insert_with(|| self.open_mapped(region).map(Arc::new)).clone()
    }

    fn open_mapped(&self, region: &Region) -> Option<File> {
        let mapped = self.path(&format!("map_files/{:x}-{:x}", region.start, region.end));
        let named = self.path(&format!("root{}", region.name));
        // The first needs privileges; the second may lead to another file of that name.
        [mapped, named].iter().map(PathBuf::from).find_map(|path| {
            let data = fs::metadata(&path).ok()?;
            // Opening a device could set something off.
            if !data.is_file() || data.ino() != region.inode {
                return None;
            }
            let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
            let file = OpenOptions::new().read(true).custom_flags(flags).open(&path).ok()?;
            let opened = file.metadata().ok()?;
            (opened.ino() == data.ino() && opened.dev() == data.dev()).then_some(file)
        })
    }

    /// `process_vm_readv`, for parts whose places in `into` were checked.
    fn read_vectors(&self, parts: &[Part], into: &mut [u8]) -> io::Result<usize> {
        let mut local = [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; IOVECS];
        let mut remote = local;
        for (i, part) in parts.iter().enumerate() {
            local[i].iov_base = into[part.offset..part.offset + part.len].as_mut_ptr().cast();
            local[i].iov_len = part.len;
            remote[i].iov_base = part.address as *mut _;
            remote[i].iov_len = part.len;
        }
        let count = parts.len() as libc::c_ulong;
        // SAFETY: the local pieces lie in `into`, which is ours for the call; the remote
        // ones are checked by the kernel.
        let got = unsafe {
            libc::process_vm_readv(
                self.pid as i32,
                local.as_ptr(),
                count,
                remote.as_ptr(),
                count,
                0,
            )
        };
        usize::try_from(got).map_err(|_| io::Error::last_os_error())
    }

    fn states(&self) -> Vec<u8> {
        let tasks = fs::read_dir(self.path("task")).into_iter().flatten().flatten();
        tasks
            .filter_map(|task| fs::read_to_string(task.path().join("stat")).ok())
            // The name before the state may itself contain parentheses.
            .filter_map(|stat| stat.get(stat.rfind(')')? + 2..)?.bytes().next())
            .collect()
    }

    fn stands_still(&self) -> bool {
        self.states().iter().all(|state| matches!(state, b'T' | b't' | b'Z' | b'X'))
    }
}

impl Source for Process {
    fn regions(&self) -> Result<Vec<Region>> {
        let mut maps = Vec::new();
        File::open(self.path("maps"))
            .and_then(|mut file| file.read_to_end(&mut maps))
            .map_err(|error| self.refused(error, "cannot be looked into"))?;
        self.check()?;
        self.files.lock().unwrap_or_else(PoisonError::into_inner).clear();
        region::parse(&maps)
    }

    fn read(&self, address: u64, into: &mut [u8]) -> Result<usize> {
        let mut parts = [Part { address, offset: 0, len: into.len(), got: 0 }];
        self.read_parts(&mut parts, into)?;
        Ok(parts[0].got)
    }

    fn read_parts(&self, parts: &mut [Part], into: &mut [u8]) -> Result<()> {
        let mut rest = parts;
        while !rest.is_empty() {
            let batch = rest.len().min(IOVECS);
            let mut got = match self.read_vectors(&rest[..batch], into) {
                Ok(got) => got,
                // Nothing at the first address.
                Err(error) if matches!(error.raw_os_error(), Some(libc::EFAULT | libc::EIO)) => 0,
                Err(error) => return Err(self.refused(error, "cannot be read")),
            };
            let mut done = 0;
            for part in &mut rest[..batch] {
                part.got = got.min(part.len);
                got -= part.got;
                done += 1;
                if part.got < part.len {
                    break;
                }
            }
            rest = &mut rest[done..];
        }
        // Only behind the reading is it known whose memory it was.
        self.check()
    }

    fn write(&self, address: u64, bytes: &[u8], force: bool) -> Result<usize> {
        self.check()?;
        let written = if force {
            // The kernel lets a debugger write what the process itself may only read.
            let memory = OpenOptions::new().write(true).open(self.path("mem"));
            memory.and_then(|file| file.write_at(bytes, address))
        } else {
            let local = libc::iovec { iov_base: bytes.as_ptr() as *mut _, iov_len: bytes.len() };
            let remote = libc::iovec { iov_base: address as *mut _, iov_len: bytes.len() };
            // SAFETY: the local piece is `bytes`, which is only read; the kernel checks the other.
            let count =
                unsafe { libc::process_vm_writev(self.pid as i32, &local, 1, &remote, 1, 0) };
            usize::try_from(count).map_err(|_| io::Error::last_os_error())
        };
        match written {
            Ok(count) => Ok(count),
            Err(error) if matches!(error.raw_os_error(), Some(libc::EFAULT | libc::EIO)) => Ok(0),
            Err(error) => Err(self.refused(error, "cannot be written to")),
        }
    }

    fn pieces(&self, region: &Region, start: u64, end: u64, out: &mut Vec<Piece>) -> Result<()> {
        // The kernel reads its own data pages to nobody.
        if !region.readable() || region.name.starts_with("[vvar") || region.name == "[vsyscall]" {
            out.push(Piece { start, end, what: What::Unread(Reason::Unreadable) });
            return Ok(());
        }
        if region.kind == RegionKind::Special {
            out.push(Piece { start, end, what: What::Read });
            return Ok(());
        }
        let backed = region.inode != 0 || region.permissions & SHARED != 0;
        let absent = |start: u64, end: u64| {
            let what = if !backed {
                What::Zero
            } else if let Some(file) = self.file_of(region) {
                What::File(file, region.offset + (start - region.start))
            } else {
                What::Unread(Reason::NotResident)
            };
            Piece { start, end, what }
        };
        let pagemap = match File::open(self.path("pagemap")) {
            Ok(file) => file,
            // CAP_SYS_PTRACE alone lets nobody open another user's files.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                out.push(Piece { start, end, what: What::Read });
                return Ok(());
            }
            Err(error) => return Err(self.refused(error, "cannot be looked into")),
        };
        // Whole pages, of which the first and the last may be cut.
        let (first, last) = (start / self.page * self.page, end.next_multiple_of(self.page));
        let mut at = start;
        pages::resident(&pagemap, first, last, self.page, |from, to| {
            let (from, to) = (from.max(start), to.min(end));
            if from > at {
                out.push(absent(at, from));
            }
            match out.last_mut() {
                Some(Piece { end, what: What::Read, .. }) if *end == from => *end = to,
                _ => out.push(Piece { start: from, end: to, what: What::Read }),
            }
            at = to;
        })
        .map_err(|error| self.refused(error, "does not tell which pages are in memory"))?;
        if at < end {
            out.push(absent(at, end));
        }
        Ok(())
    }

    fn alive(&self) -> bool {
        let mut polled = [PollFd::from_borrowed_fd(self.handle.as_fd(), PollFlags::IN)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        // Its descriptor becomes readable when it ends. A signal to this process says nothing.
        matches!(retry_on_intr(|| poll(&mut polled, Some(&now))), Ok(0))
    }

    fn check(&self) -> Result<()> {
        if self.alive() { Ok(()) } else { Err(self.gone()) }
    }

    fn stop(&self) -> Result<bool> {
        if self.pid == std::process::id() {
            return Err(Error::InvalidArgument("a process cannot stop itself".into()));
        }
        let mut stops = self.stops.lock().unwrap_or_else(PoisonError::into_inner);
        if stops.depth == 0 {
            self.check()?;
            stops.ours = !self.stands_still();
            if stops.ours {
                pidfd_send_signal(&self.handle, Signal::STOP)
                    .map_err(|error| self.refused(error.into(), "cannot be stopped"))?;
                let begun = Instant::now();
                while !self.stands_still() && begun.elapsed() < STOPPING {
                    thread::sleep(Duration::from_micros(200));
                }
            }
        }
        stops.depth += 1;
        Ok(stops.ours)
    }

    fn resume(&self) -> Result<()> {
        let mut stops = self.stops.lock().unwrap_or_else(PoisonError::into_inner);
        if stops.depth == 0 {
            return Err(Error::InvalidArgument(format!("process {} was not stopped", self.pid)));
        }
        stops.depth -= 1;
        if stops.depth == 0 && stops.ours {
            stops.ours = false;
            // A process that has ended needs no resuming.
            if let Err(error) = pidfd_send_signal(&self.handle, Signal::CONT)
                && self.alive()
            {
                return Err(self.refused(error.into(), "cannot be resumed"));
            }
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let stops = self.stops.get_mut().unwrap_or_else(PoisonError::into_inner);
        if stops.depth > 0 && stops.ours {
            // Nobody is left who could resume it; that it may have ended does not matter.
            let _ = pidfd_send_signal(&self.handle, Signal::CONT);
        }
    }
}
