//! Shared pools seen from outside, in C: what there is, who holds it, what to remove.

use std::ffi::c_char;

use super::guard::{OrNull, borrow, boxed, free, guard, guard_or, out, output, text};
use super::status::Status;
use crate::error::{Error, Result};
use crate::pool::Pool;
use crate::pool::survey::{self, Survey};

/// The figures of a pool at one moment.
#[repr(C)]
pub struct PoolStats {
    /// How many buffers there can be at once.
    capacity: u64,
    /// How many bytes they may take together.
    size: u64,
    /// Bytes of shared memory given to buffers so far, those that are free included.
    committed: u64,
    /// Buffers somebody refers to, and the bytes that were asked for them.
    used: u64,
    used_bytes: u64,
    /// Buffers that are ready to be acquired again.
    free: u64,
    /// Pins of all buffers together.
    pins: u64,
    /// Buffers sent and not yet claimed.
    in_flight: u64,
    /// Processes that use the pool now, and how many can.
    processes: u64,
    max_processes: u64,
    /// References taken back from dead processes since the pool was made.
    reclaimed: u64,
    /// Nanoseconds since 1970 when it was made.
    created: i64,
    /// Permissions of its files.
    mode: u32,
}

/// A buffer that somebody refers to.
#[repr(C)]
pub struct PoolBufferInfo {
    /// Its handle.
    handle: u64,
    /// In bytes.
    size: u64,
    /// Its slot.
    index: u32,
    /// Processes that hold it, and its pins.
    holders: u32,
    pins: u32,
    /// Process id of whoever acquired it.
    producer: u32,
    /// Whether it is on a CUDA device, sealed, on its way.
    on_device: bool,
    sealed: bool,
    in_flight: bool,
}

/// A process that uses a pool.
#[repr(C)]
pub struct PoolProcessInfo {
    /// Nanoseconds since 1970 when it opened the pool.
    since: i64,
    /// Its process id, as it sees that itself.
    pid: u32,
    /// Buffers that it holds.
    holds: u32,
    /// False where it is dead and its buffers have not been reclaimed yet.
    alive: bool,
}

/// Looks at a pool without opening it: no process slot is taken, nothing is changed.
///
/// Ownership: `*out_survey` is the caller's, to be freed once with `gmem_survey_free`.
/// Errors: NULL_ARGUMENT; as `gmem_pool_open`, except that a pool of dead processes is
/// looked at too.
///
/// # Safety
/// `name` is NULL or a NUL-terminated string; `out_survey` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_survey_new(
    name: *const c_char,
    out_survey: *mut *mut Survey,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (name, target) = unsafe { (text(name, "name")?, out(out_survey, "out_survey")?) };
        *target = boxed(Survey::of_name(name)?)?;
        Ok(())
    })
}

/// Looks at an opened pool.
///
/// Ownership: `*out_survey` is the caller's, to be freed once with `gmem_survey_free`.
/// Errors: NULL_ARGUMENT; NO_MEMORY; IO.
///
/// # Safety
/// `pool` is NULL or live; `out_survey` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_pool_survey(
    pool: *const Pool,
    out_survey: *mut *mut Survey,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (pool, target) = unsafe { (borrow(pool, "pool")?, out(out_survey, "out_survey")?) };
        *target = boxed(pool.survey()?)?;
        Ok(())
    })
}

/// Frees a survey. NULL is nothing.
///
/// # Safety
/// `survey` is NULL or live, and not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_survey_free(survey: *mut Survey) {
    // SAFETY: the caller's.
    unsafe { free(survey) }
}

/// # Safety
/// `survey` is NULL or live, `target` is NULL or writable.
unsafe fn seen<T>(
    survey: *const Survey,
    target: *mut T,
    name: &'static str,
    see: impl FnOnce(&Survey) -> Result<T>,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let survey = unsafe { borrow(survey, "survey")? };
        // SAFETY: the caller's.
        let target = unsafe { target.as_mut() }.or_null(name)?;
        *target = see(survey)?;
        Ok(())
    })
}

/// The figures.
///
/// Errors: NULL_ARGUMENT.
///
/// # Safety
/// `survey` is NULL or live; `out_stats` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_survey_stats(
    survey: *const Survey,
    out_stats: *mut PoolStats,
) -> Status {
    let see = |survey: &Survey| {
        let stats = &survey.stats;
        Ok(PoolStats {
            capacity: stats.capacity,
            size: stats.budget,
            committed: stats.committed,
            used: survey.buffers.len() as u64,
            used_bytes: stats.used_bytes,
            free: stats.free,
            pins: stats.pins,
            in_flight: stats.in_flight,
            processes: survey.processes.len() as u64,
            max_processes: stats.max_processes,
            reclaimed: stats.reclaimed,
            created: stats.created,
            mode: stats.mode,
        })
    };
    // SAFETY: the caller's.
    unsafe { seen(survey, out_stats, "out_stats", see) }
}

fn entry<'a, T>(entries: &'a [T], i: usize, what: &str) -> Result<&'a T> {
    entries.get(i).ok_or_else(|| {
        Error::OutOfRange(format!("there is no {what} {i}: the survey has {}", entries.len()))
    })
}

/// The `i`th buffer that somebody refers to, below `used` of the figures; in order of slots.
///
/// Errors: NULL_ARGUMENT; OUT_OF_RANGE.
///
/// # Safety
/// `survey` is NULL or live; `out_info` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_survey_buffer(
    survey: *const Survey,
    i: usize,
    out_info: *mut PoolBufferInfo,
) -> Status {
    let see = |survey: &Survey| {
        let buffer = entry(&survey.buffers, i, "buffer")?;
        Ok(PoolBufferInfo {
            handle: buffer.handle,
            size: buffer.size,
            index: buffer.index,
            holders: buffer.holders,
            pins: buffer.pins,
            producer: buffer.producer,
            on_device: buffer.on_device,
            sealed: buffer.sealed,
            in_flight: buffer.in_flight,
        })
    };
    // SAFETY: the caller's.
    unsafe { seen(survey, out_info, "out_info", see) }
}

/// The `i`th process, below `processes` of the figures.
///
/// Errors: NULL_ARGUMENT; OUT_OF_RANGE.
///
/// # Safety
/// `survey` is NULL or live; `out_info` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_survey_process(
    survey: *const Survey,
    i: usize,
    out_info: *mut PoolProcessInfo,
) -> Status {
    let see = |survey: &Survey| {
        let process = entry(&survey.processes, i, "process")?;
        Ok(PoolProcessInfo {
            since: process.since,
            pid: process.pid,
            holds: process.holds,
            alive: process.alive,
        })
    };
    // SAFETY: the caller's.
    unsafe { seen(survey, out_info, "out_info", see) }
}

/// Writes the names of all pools of this machine, each with a NUL after it, to `out`,
/// and how many bytes that takes to `*out_len`; a call with `len` 0 asks for the latter.
///
/// Errors: NULL_ARGUMENT; OUT_OF_RANGE where `len` is less than that, with `*out_len`
/// written all the same; IO.
///
/// # Safety
/// `out` is NULL or has room for `len` bytes; `out_len` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_pool_list(out: *mut u8, len: usize, out_len: *mut usize) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (room, needed) =
            unsafe { (output(out, len, "out")?, out_len.as_mut().or_null("out_len")?) };
        let mut names = Vec::new();
        for name in survey::names()? {
            names.extend_from_slice(name.as_bytes());
            names.push(0);
        }
        *needed = names.len();
        if len == 0 {
            return Ok(());
        }
        let given = room.get_mut(..names.len()).ok_or_else(|| {
            Error::OutOfRange(format!("the names take {} bytes, not {len}", names.len()))
        })?;
        given.copy_from_slice(&names);
        Ok(())
    })
}

/// Removes the pools whose processes are all dead; says how many, and how many bytes
/// of shared memory they had.
///
/// Errors: NULL_ARGUMENT; IO.
///
/// # Safety
/// Both are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_pool_gc(out_pools: *mut u64, out_bytes: *mut u64) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (pools, bytes) = unsafe { (out_pools.as_mut(), out_bytes.as_mut()) };
        let pools = pools.or_null("out_pools")?;
        let bytes = bytes.or_null("out_bytes")?;
        (*pools, *bytes) = survey::gc()?;
        Ok(())
    })
}

/// Whether a survey saw any live process. False for NULL.
///
/// # Safety
/// `survey` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_survey_alive(survey: *const Survey) -> bool {
    // SAFETY: the caller's.
    guard_or(false, || {
        Ok(unsafe { borrow(survey, "survey")? }.processes.iter().any(|process| process.alive))
    })
}
