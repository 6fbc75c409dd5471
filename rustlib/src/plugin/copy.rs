//! The private copy of a library: a file of its own, with no name left behind.

use std::fs::{self, File};
use std::io::{self, Seek};
use std::os::fd::AsRawFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use libloading::os::unix::{Library as Loaded, RTLD_LOCAL, RTLD_NOW};
use object::Endianness;
use object::elf::FileHeader64;
use object::read::elf::{FileHeader, ProgramHeader};
use object::read::{ReadCache, ReadRef};
use rustix::fs::{MemfdFlags, memfd_create};

use crate::error::{Error, Result};

/// Loads a copy of `file`, whose path is `path`.
pub fn load(file: &mut File, path: &Path) -> Result<Loaded> {
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
            let what = || format!("a copy of {}", path.display());
            file.rewind().map_err(|source| Error::Io { what: what(), source })?;
            in_folder(file, path).map_err(|_| first)
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
    let failed = |source| Error::Io { what: format!("a copy of {}", path.display()), source };
    let flags = MemfdFlags::CLOEXEC;
    // Where such files are not executable unless that is asked for; older systems know no asking.
    let copy = memfd_create("gmemx-plugin", flags | MemfdFlags::EXEC)
        .or_else(|_| memfd_create("gmemx-plugin", flags))
        .map_err(|error| failed(error.into()))?;
    let mut copy = File::from(copy);
    io::copy(file, &mut copy).map_err(failed)?;
    // The mapping keeps the file: the descriptor is closed behind this.
    open(&unique_name(copy.as_raw_fd()), path)
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

fn in_folder(file: &mut File, path: &Path) -> Result<Loaded> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let failed = |source| Error::Io { what: format!("a copy of {}", path.display()), source };
    let mut random = [0; 8];
    rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| failed(error.into()))?;
    // Refused where there is one of this name already, so nobody else can have put it there.
    let folder = std::env::temp_dir().join(format!(
        "gmemx-plugin-{}-{}-{:016x}",
        std::process::id(),
        NEXT.fetch_add(1, Relaxed),
        u64::from_ne_bytes(random)
    ));
    fs::DirBuilder::new().mode(0o700).create(&folder).map_err(failed)?;
    let name = folder.join("plugin.so");
    let loaded = File::create_new(&name)
        .and_then(|mut copy| io::copy(file, &mut copy))
        .map_err(failed)
        .and_then(|_| open(&name.to_string_lossy(), path));
    // What was loaded stays; a leftover would be no reason to fail.
    let _ = fs::remove_dir_all(&folder);
    loaded
}

fn open(name: &str, path: &Path) -> Result<Loaded> {
    // SAFETY: loading runs the library's initialisers: whoever names a plugin trusts it.
    let loaded = unsafe { Loaded::open(Some(name), RTLD_NOW | RTLD_LOCAL) };
    loaded.map_err(|error| {
        let reason = error.to_string().replace(name, "it");
        Error::InvalidArgument(format!("{} cannot be loaded: {reason}", path.display()))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

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
        for way in [in_memory, in_folder] {
            file.rewind().unwrap();
            std::mem::forget(way(&mut file, &path).unwrap());
        }
        let prefix = format!("gmemx-plugin-{}-", std::process::id());
        let left = fs::read_dir(std::env::temp_dir()).unwrap().filter(|entry| {
            entry.as_ref().is_ok_and(|e| e.file_name().to_string_lossy().starts_with(&prefix))
        });
        assert_eq!(left.count(), 0);
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        assert!(maps.contains("memfd:gmemx-plugin") && maps.contains("plugin.so (deleted)"));
    }
}
