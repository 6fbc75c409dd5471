//! Which pages of a process are in memory, without reading, and so touching, any.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};

// From linux/fs.h: _IOWR('f', 16, struct pm_scan_arg).
const PAGEMAP_SCAN: libc::Ioctl = 0xC060_6610_u32 as libc::Ioctl;
const PRESENT: u64 = 1 << 3;
const SWAPPED: u64 = 1 << 4;

#[repr(C)]
#[derive(Default)]
struct ScanArgument {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    vec: u64,
    vec_len: u64,
    max_pages: u64,
    category_inverted: u64,
    category_mask: u64,
    category_anyof_mask: u64,
    return_mask: u64,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct PageRegion {
    start: u64,
    end: u64,
    categories: u64,
}

/// How many runs of pages one call gives.
const RUNS: usize = 512;
/// How many entries of the page map one read gives, where the call is not known.
const ENTRIES: usize = 8192;

/// Calls `found(start, end)` for each run of pages of `start..end` that are in memory or
/// swapped out, in order; runs may abut. `pagemap` is /proc/PID/pagemap.
pub fn resident(
    pagemap: &File,
    start: u64,
    end: u64,
    page: u64,
    mut found: impl FnMut(u64, u64),
) -> io::Result<()> {
    // Linux has the call since 6.7.
    static MISSING: AtomicBool = AtomicBool::new(false);
    if !MISSING.load(Ordering::Relaxed) {
        match by_call(pagemap, start, end, &mut found) {
            Err(error) if error.raw_os_error() == Some(libc::ENOTTY) => {
                MISSING.store(true, Ordering::Relaxed);
            }
            done => return done,
        }
    }
    by_entries(pagemap, start, end, page, &mut found)
}

fn by_call(
    pagemap: &File,
    start: u64,
    end: u64,
    found: &mut impl FnMut(u64, u64),
) -> io::Result<()> {
    let mut runs = [PageRegion::default(); RUNS];
    let mut at = start;
    while at < end {
        // Pages that are neither present nor swapped out: of most memory there are none, and
        // the kernel goes past a page that it need not note four times as fast.
        let absent = ScanArgument {
            start: at,
            end,
            category_inverted: PRESENT | SWAPPED,
            category_mask: PRESENT | SWAPPED,
            ..ScanArgument::default()
        };
        let (absent, seen_to) = call(pagemap, absent, &mut runs)?;
        // Of a device's memory the kernel tells nothing at all.
        if absent.is_empty() && at == start && !any(pagemap, start, end)? {
            return Ok(());
        }
        let mut seen = at;
        for run in absent {
            if run.start > seen {
                found(seen, run.start);
            }
            seen = run.end;
        }
        if seen_to > seen {
            found(seen, seen_to);
        }
        if seen_to <= at {
            break;
        }
        at = seen_to;
    }
    Ok(())
}

/// Whether any page is present or swapped out.
fn any(pagemap: &File, start: u64, end: u64) -> io::Result<bool> {
    let one = ScanArgument {
        start,
        end,
        max_pages: 1,
        category_anyof_mask: PRESENT | SWAPPED,
        ..ScanArgument::default()
    };
    Ok(!call(pagemap, one, &mut [PageRegion::default()])?.0.is_empty())
}

/// The runs of pages that `argument` asks for, and the address up to which these are all.
fn call<'a>(
    pagemap: &File,
    mut argument: ScanArgument,
    runs: &'a mut [PageRegion],
) -> io::Result<(&'a [PageRegion], u64)> {
    argument.size = size_of::<ScanArgument>() as u64;
    argument.return_mask = PRESENT | SWAPPED;
    argument.vec = runs.as_mut_ptr() as u64;
    argument.vec_len = runs.len() as u64;
    // SAFETY: the argument is as the kernel defines it, and `runs` has room for what it says;
    // both outlive the call.
    let count = unsafe { libc::ioctl(pagemap.as_raw_fd(), PAGEMAP_SCAN, &mut argument) };
    if count < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok((&runs[..count as usize], argument.walk_end))
}

fn by_entries(
    pagemap: &File,
    start: u64,
    end: u64,
    page: u64,
    found: &mut impl FnMut(u64, u64),
) -> io::Result<()> {
    let mut entries = vec![0u8; ENTRIES * 8];
    let mut run: Option<(u64, u64)> = None;
    let mut at = start;
    while at < end {
        let wanted = ((end - at) / page).min(ENTRIES as u64) as usize * 8;
        let got = pagemap.read_at(&mut entries[..wanted], at / page * 8)?;
        if got < 8 {
            break;
        }
        for entry in entries[..got].as_chunks::<8>().0 {
            // Bit 63 is for present, 62 for swapped.
            if u64::from_ne_bytes(*entry) >> 62 != 0 {
                match &mut run {
                    Some((_, end)) => *end = at + page,
                    None => run = Some((at, at + page)),
                }
            } else if let Some((start, end)) = run.take() {
                found(start, end);
            }
            at += page;
        }
    }
    if let Some((start, end)) = run {
        found(start, end);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_see_the_pages_that_were_touched() {
        let page = rustix::param::page_size();
        let pages = 40_000;
        // SAFETY: a fresh mapping.
        let base = unsafe {
            rustix::mm::mmap_anonymous(
                std::ptr::null_mut(),
                pages * page,
                rustix::mm::ProtFlags::READ | rustix::mm::ProtFlags::WRITE,
                rustix::mm::MapFlags::PRIVATE,
            )
        }
        .unwrap();
        // SAFETY: our mapping, of that size.
        unsafe { rustix::mm::madvise(base, pages * page, rustix::mm::Advice::LinuxNoHugepage) }
            .unwrap();
        let touched: Vec<usize> =
            (0..pages).filter(|i| i % 7 == 3 || (100..9_000).contains(i)).collect();
        for i in &touched {
            // SAFETY: inside our mapping.
            unsafe { base.cast::<u8>().add(i * page).write_volatile(1) };
        }
        let start = base as u64;
        let end = start + (pages * page) as u64;
        let pagemap = File::open("/proc/self/pagemap").unwrap();
        let listed = |by_call: bool| {
            let mut seen = Vec::new();
            let mut found = |from: u64, to: u64| {
                seen.extend((from..to).step_by(page).map(|at| (at - start) as usize / page));
            };
            match by_call {
                true => resident(&pagemap, start, end, page as u64, &mut found),
                false => by_entries(&pagemap, start, end, page as u64, &mut found),
            }
            .unwrap();
            seen
        };
        assert_eq!(listed(true), touched);
        assert_eq!(listed(false), touched);
        // SAFETY: ours, and not used again.
        unsafe { rustix::mm::munmap(base, pages * page) }.unwrap();
    }

    /// The kernel's own data pages are mapped as a device's memory is.
    #[test]
    fn of_a_device_nothing_is_said_to_be_there() {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let line = maps.lines().find(|line| line.ends_with("[vvar]")).unwrap();
        let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let [start, end] = [start, end].map(|text| u64::from_str_radix(text, 16).unwrap());
        let pagemap = File::open("/proc/self/pagemap").unwrap();
        resident(&pagemap, start, end, rustix::param::page_size() as u64, |from, to| {
            panic!("{from:#x}-{to:#x}")
        })
        .unwrap();
    }
}
