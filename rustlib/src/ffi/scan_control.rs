//! What long operations on sources are given and give, in C: how they are spread, stopped
//! and watched, which ranges they go through and which they had to leave out.

use std::ffi::c_void;
use std::sync::atomic::{AtomicU8, Ordering};

use super::guard::input;
use crate::error::{Error, Result};
use crate::scan::{Control, Skipped};

/// How a long operation is spread and stopped.
#[repr(C)]
pub struct ScanControl {
    /// 0 for every core.
    threads: usize,
    /// May be NULL. Told how many bytes of how many are done, on the thread that called, at
    /// most every 50 ms; anything but 0 cancels.
    progress: Option<extern "C" fn(user: *mut c_void, done: u64, total: u64) -> i32>,
    user: *mut c_void,
    /// May be NULL; when another thread stores anything but 0 there, the operation ends
    /// with `GMEM_STATUS_CANCELLED` and changes nothing.
    cancel: *const u8,
}

/// Addresses `start` to `end`, the latter not included.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ScanRange {
    start: u64,
    end: u64,
}

/// Addresses that a scan could not look at.
#[repr(C)]
pub struct SkippedRange {
    start: u64,
    end: u64,
    /// A `gmem_skip_reason`.
    reason: i32,
}

impl From<Skipped> for SkippedRange {
    fn from(range: Skipped) -> SkippedRange {
        SkippedRange { start: range.start, end: range.end, reason: range.reason as i32 }
    }
}

struct Caller {
    progress: Option<extern "C" fn(*mut c_void, u64, u64) -> i32>,
    user: *mut c_void,
}

// SAFETY: only used on the thread that called: see `plan::spread`.
unsafe impl Send for Caller {}

impl Caller {
    fn tick(&mut self, done: u64, total: u64) -> bool {
        self.progress.is_some_and(|progress| progress(self.user, done, total) != 0)
    }
}

/// # Safety
/// `control` is NULL or points to one whose pointers are as it says, through the call.
pub(super) unsafe fn with_control(
    control: *const ScanControl,
    work: impl FnOnce(&mut Control) -> Result<()>,
) -> Result<()> {
    static NEVER: AtomicU8 = AtomicU8::new(0);
    // SAFETY: the caller's.
    let control = unsafe { control.as_ref() };
    let (progress, user) = control.map_or((None, std::ptr::null_mut()), |c| (c.progress, c.user));
    let mut caller = Caller { progress, user };
    let cancel = match control {
        // SAFETY: the caller's; everybody accesses it atomically while the call lasts.
        Some(control) if !control.cancel.is_null() => unsafe {
            AtomicU8::from_ptr(control.cancel.cast_mut())
        },
        _ => &NEVER,
    };
    if cancel.load(Ordering::Relaxed) != 0 {
        return Err(Error::Cancelled);
    }
    let threads = control.map_or(0, |control| control.threads);
    work(&mut Control { threads, tick: &mut |done, total| caller.tick(done, total), cancel })
}

/// # Safety
/// `ranges` is NULL or points to `len`.
pub(super) unsafe fn ranges_in(ranges: *const ScanRange, len: usize) -> Result<Vec<(u64, u64)>> {
    // SAFETY: the caller's.
    let ranges = unsafe { input(ranges, len, "ranges")? };
    Ok(ranges.iter().map(|range| (range.start, range.end)).collect())
}
