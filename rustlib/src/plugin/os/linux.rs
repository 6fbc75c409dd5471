//! Linux: files in memory without a name, eventfds, futexes.

use std::fs::File;
use std::io::{self, Seek};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::time::Duration;

use object::Endianness;
use object::elf::FileHeader64;
use object::read::elf::{FileHeader, ProgramHeader};
use object::read::{ReadCache, ReadRef};
use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::thread::futex::{self, Flags, Timespec};

use super::super::copy::{failed, load};
use super::unix::{Loaded, in_folder};
use crate::error::{Error, Result};

/// Loads a copy of `file`, whose path is `path`.
pub fn copied(file: &mut File, path: &Path) -> Result<Loaded> {
    if is_cut_off(file) {
        return Err(Error::InvalidArgument(format!(
            "{} cannot be loaded: the file is shorter than it says it is",
            path.display()
        )));
    }
    match in_memory(file, path) {
        Ok(loaded) => Ok(loaded),
        // A system may refuse such files, or to execute them.
        Err(first) => {
            file.rewind().map_err(failed(path))?;
            in_folder(file, path, "plugin.so").map_err(|_| first)
        }
    }
}

/// Whether segments of a library lie behind the end of its file: touching these would end the
/// process. What else may be wrong the loader finds out.
fn is_cut_off(file: &File) -> bool {
    let data = ReadCache::new(file);
    let Ok(header) = FileHeader64::<Endianness>::parse(&data) else { return false };
    let Ok(endian) = header.endian() else { return false };
    let Ok(size) = (&data).len() else { return false };
    header.program_headers(endian, &data).map_or(true, |segments| {
        segments.iter().any(|segment| {
            let end = segment.p_offset(endian).checked_add(segment.p_filesz(endian));
            end.is_none_or(|end| end > size)
        })
    })
}

fn in_memory(file: &mut File, path: &Path) -> Result<Loaded> {
    let flags = MemfdFlags::CLOEXEC;
    // Where such files are not executable unless that is asked for; older systems know no asking.
    let copy = memfd_create("gmemx-plugin", flags | MemfdFlags::EXEC)
        .or_else(|_| memfd_create("gmemx-plugin", flags))
        .map_err(|error| failed(path)(error.into()))?;
    let mut copy = File::from(copy);
    io::copy(file, &mut copy).map_err(failed(path))?;
    // The mapping keeps the file: the descriptor is closed behind this.
    load(Path::new(&unique_name(copy.as_raw_fd())), path)
}

/// The descriptor's path, written as it never was before: the loader takes a name that it
/// has seen for the library it belonged to. To the system all these are the same path.
fn unique_name(descriptor: i32) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Relaxed);
    let digits: String =
        format!("{number:b}").chars().map(|digit| if digit == '1' { "/." } else { "/" }).collect();
    format!("/proc{digits}/self/fd/{descriptor}")
}

/// A futex, which is the word itself.
pub struct Alarm;

impl Alarm {
    pub const fn new() -> Alarm {
        Alarm
    }

    /// Wakes all who wait for `word`, which has changed.
    pub fn wake(&self, word: &AtomicU32) {
        // It cannot fail for an address that exists.
        let _ = futex::wake(word, Flags::PRIVATE, i32::MAX as u32);
    }

    /// Returns once `word` is not `seen`, or the time is over; also now and then for nothing.
    pub fn wait(&self, word: &AtomicU32, seen: u32, timeout: Option<Duration>) {
        let timeout = timeout.map(|timeout| Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        });
        // Changed, woken, a signal, the end of the time: whoever waits looks for himself.
        let _ = futex::wait(word, Flags::PRIVATE, seen, timeout.as_ref());
    }
}

/// An eventfd. It is raised and lowered in turns.
pub struct Flag(OwnedFd);

impl Flag {
    pub fn new() -> Result<Flag> {
        eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map(Flag)
            .map_err(|error| Error::Io { what: "an eventfd".into(), source: error.into() })
    }

    /// It can be read while the flag is up.
    pub fn descriptor(&self) -> i32 {
        self.0.as_raw_fd()
    }

    pub fn raise(&self) {
        // It cannot fail: the count is 0.
        let _ = rustix::io::write(&self.0, &1u64.to_ne_bytes());
    }

    pub fn lower(&self) {
        let _ = rustix::io::read(&self.0, &mut [0; 8]);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use super::*;

    /// A library that every program has loaded already.
    fn some_library() -> (File, std::path::PathBuf) {
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        let path = maps.lines().find_map(|line| {
            let path = line.split_whitespace().nth(5)?;
            path.contains("libgcc_s").then(|| path.into())
        });
        let path: std::path::PathBuf = path.expect("Rust links to it");
        (File::open(&path).unwrap(), path)
    }

    #[test]
    fn names_never_come_again_and_mean_the_same() {
        let names: BTreeSet<String> = (0..1000).map(|_| unique_name(0)).collect();
        assert_eq!(names.len(), 1000);
        let target = fs::read_link("/proc/self/fd/0").ok();
        assert!(names.iter().all(|name| fs::read_link(name).ok() == target));
    }

    #[test]
    fn both_ways_give_a_copy_and_leave_no_file() {
        let (mut file, path) = some_library();
        std::mem::forget(in_memory(&mut file, &path).unwrap());
        file.rewind().unwrap();
        std::mem::forget(in_folder(&mut file, &path, "plugin.so").unwrap());
        let prefix = format!("gmemx-plugin-{}-", std::process::id());
        let left = fs::read_dir(std::env::temp_dir()).unwrap().filter(|entry| {
            entry.as_ref().is_ok_and(|e| e.file_name().to_string_lossy().starts_with(&prefix))
        });
        assert_eq!(left.count(), 0);
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        assert!(maps.contains("memfd:gmemx-plugin") && maps.contains("plugin.so (deleted)"));
    }
}
