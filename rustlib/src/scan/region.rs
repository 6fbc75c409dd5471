//! The regions of an address space, and how Linux writes them down.

use crate::error::{Error, Result};

pub const READ: u32 = 1;
pub const WRITE: u32 = 2;
pub const EXECUTE: u32 = 4;
pub const SHARED: u32 = 8;

/// What a region is for.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegionKind {
    /// The heap that grows by brk.
    Heap = 0,
    /// The stack of the first thread; those of others are anonymous.
    Stack = 1,
    /// Memory of no file that nobody else sees.
    Anonymous = 2,
    /// A mapped file, such as a program or a library.
    File = 3,
    /// Shared memory without a file on a disk: /dev/shm, memfd, System V.
    Shared = 4,
    /// The kernel's own: vdso, vvar.
    Special = 5,
    /// Bytes, a file or a dump that is scanned in place of a process.
    Image = 6,
}

/// Addresses `start..end` of a target.
#[derive(Clone, Debug)]
pub struct Region {
    pub start: u64,
    pub end: u64,
    /// [`READ`] and so on.
    pub permissions: u32,
    pub kind: RegionKind,
    /// Where in the file it begins, in bytes.
    pub offset: u64,
    /// The file's device, major and minor, and its inode; 0 without one.
    pub device: (u32, u32),
    pub inode: u64,
    /// The path, or the kernel's name in brackets; empty for anonymous memory.
    pub name: String,
}

impl Region {
    pub fn readable(&self) -> bool {
        self.permissions & READ != 0
    }
}

/// The regions of /proc/PID/maps. It is not written down in one moment: what was mapped
/// anew meanwhile may overlap what came before, and counts from where that ends.
pub fn parse(maps: &[u8]) -> Result<Vec<Region>> {
    let lines = maps.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    let mut regions: Vec<Region> = Vec::new();
    for mut region in lines.map(line).collect::<Result<Vec<_>>>()? {
        let from = regions.last().map_or(0, |last| last.end);
        if region.start < from {
            region.offset = region.offset.wrapping_add(from - region.start);
            region.start = from;
        }
        if region.start < region.end {
            regions.push(region);
        }
    }
    Ok(regions)
}

fn line(bytes: &[u8]) -> Result<Region> {
    let text = String::from_utf8_lossy(bytes);
    fields(&text)
        .ok_or_else(|| Error::InvalidArgument(format!("not a line of /proc/PID/maps: {text:?}")))
}

fn fields(line: &str) -> Option<Region> {
    let mut parts = line.splitn(6, ' ');
    let (start, end) = parts.next()?.split_once('-')?;
    let flags = parts.next()?;
    let offset = u64::from_str_radix(parts.next()?, 16).ok()?;
    let (major, minor) = parts.next()?.split_once(':')?;
    let inode = parts.next()?.parse().ok()?;
    let name = parts.next().unwrap_or("").trim_start().to_owned();
    let permissions = flags.bytes().zip([READ, WRITE, EXECUTE, SHARED]).fold(0, |all, (c, bit)| {
        let wanted = if bit == SHARED { c == b's' } else { c != b'-' };
        all | if wanted { bit } else { 0 }
    });
    Some(Region {
        start: u64::from_str_radix(start, 16).ok()?,
        end: u64::from_str_radix(end, 16).ok()?,
        permissions,
        kind: kind(&name, inode),
        offset,
        device: (u32::from_str_radix(major, 16).ok()?, u32::from_str_radix(minor, 16).ok()?),
        inode,
        name,
    })
}

/// The kind of a mapping of that name.
pub(super) fn kind(name: &str, inode: u64) -> RegionKind {
    match name {
        "[heap]" => RegionKind::Heap,
        "[stack]" => RegionKind::Stack,
        "[vdso]" | "[vvar]" | "[vvar_vclock]" | "[vsyscall]" | "[uprobes]" => RegionKind::Special,
        _ if ["/dev/shm/", "/memfd:", "/SYSV", "/dev/zero", "[anon_shmem"]
            .iter()
            .any(|prefix| name.starts_with(prefix)) =>
        {
            RegionKind::Shared
        }
        _ if inode != 0 => RegionKind::File,
        _ => RegionKind::Anonymous,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_every_kind() {
        let maps = b"\
55e0c1f7c000-55e0c1f7d000 r-xp 00002000 fe:01 1573 /usr/bin/a name with spaces\n\
55e0c2000000-55e0c2021000 rw-p 00000000 00:00 0                          [heap]\n\
7f0000000000-7f0000001000 ---p 00000000 00:00 0 \n\
7f0000001000-7f0000002000 rw-s 00000000 00:1a 7                          /dev/shm/x (deleted)\n\
7ffd00000000-7ffd00021000 rw-p 00000000 00:00 0                          [stack]\n\
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]\n";
        let regions = parse(maps).unwrap();
        let kinds: Vec<_> = regions.iter().map(|region| region.kind).collect();
        use RegionKind::*;
        assert_eq!(kinds, [File, Heap, Anonymous, Shared, Stack, Special]);
        assert_eq!(regions[0].name, "/usr/bin/a name with spaces");
        assert_eq!(regions[0].permissions, READ | EXECUTE);
        assert_eq!(
            (regions[0].offset, regions[0].device, regions[0].inode),
            (0x2000, (0xfe, 1), 1573)
        );
        assert_eq!(regions[2].permissions, 0);
        assert_eq!(regions[3].permissions, READ | WRITE | SHARED);
        assert_eq!(regions[5].start, 0xffff_ffff_ff60_0000);
    }

    #[test]
    fn what_overlaps_is_cut() {
        let maps = b"\
1000-5000 rw-p 00000000 00:00 0\n\
3000-8000 r--p 00001000 fe:01 9 /x\n\
6000-7000 rw-p 00000000 00:00 0\n\
9000-a000 rw-p 00000000 00:00 0\n";
        let regions = parse(maps).unwrap();
        let ranges: Vec<_> = regions.iter().map(|region| (region.start, region.end)).collect();
        assert_eq!(ranges, [(0x1000, 0x5000), (0x5000, 0x8000), (0x9000, 0xa000)]);
        assert_eq!(regions[1].offset, 0x3000);
    }

    #[test]
    fn what_is_no_map_is_an_error() {
        for text in ["x", "12-13 r--p", "12-zz r--p 0 0:0 0", "12-13 r--p 0 00 0"] {
            assert!(parse(text.as_bytes()).unwrap_err().to_string().contains(text));
        }
    }
}
