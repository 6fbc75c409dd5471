//! Shared pools in C: made, opened, told apart, tidied up. Their buffers are in `pool_buffers`.

use std::ffi::c_char;

use super::guard::{OrNull, borrow, boxed, free, guard, guard_or, out, output, text};
use super::status::Status;
use crate::error::Result;
use crate::pool::Pool;

/// # Safety
/// `name` is NULL or a NUL-terminated string, `out_pool` is NULL or writable.
unsafe fn opened(
    name: *const c_char,
    out_pool: *mut *mut Pool,
    open: impl FnOnce(&str) -> Result<Pool>,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (name, target) = unsafe { (text(name, "name")?, out(out_pool, "out_pool")?) };
        *target = boxed(open(name)?)?;
        Ok(())
    })
}

/// # Safety
/// `pool` is NULL or live, `target` is NULL or writable.
pub(super) unsafe fn counted(
    pool: *const Pool,
    target: *mut u64,
    name: &'static str,
    count: impl FnOnce(&Pool) -> Result<u64>,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (pool, target) = unsafe { (borrow(pool, "pool")?, writable(target, name)?) };
        *target = count(pool)?;
        Ok(())
    })
}

/// # Safety
/// `pointer` is NULL or points to room for one T.
pub(super) unsafe fn writable<'a, T>(pointer: *mut T, name: &'static str) -> Result<&'a mut T> {
    // SAFETY: the caller's.
    unsafe { pointer.as_mut() }.or_null(name)
}

/// Creates a pool under a name: 1 to 200 bytes, without a slash but perhaps in front.
/// `capacity` is how many buffers there can be at once (1 to 2^20), `size` how many
/// bytes they may take together (0: as many as the system lends shared memory, and at
/// most half of what it has), `mode`
/// the permissions of the pool's files, such as 0600. A pool whose processes are all
/// dead is replaced.
///
/// Ownership: `*out_pool` is the caller's, to be closed once with `gmem_pool_close`.
/// Errors: NULL_ARGUMENT; INVALID_ARGUMENT for a bad name, capacity or size; IO with
/// EEXIST where a live pool has that name; PERMISSION; IO.
///
/// # Safety
/// `name` is NULL or a NUL-terminated string; `out_pool` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_pool_create(
    name: *const c_char,
    capacity: usize,
    size: u64,
    mode: u32,
    out_pool: *mut *mut Pool,
) -> Status {
    // SAFETY: the caller's.
    unsafe { opened(name, out_pool, |name| Pool::create(name, capacity, size, mode)) }
}

/// Opens a pool. With `read_only`, buffers cannot be acquired and all memory is mapped
/// without permission to write it.
///
/// Ownership: `*out_pool` is the caller's, to be closed once with `gmem_pool_close`.
/// Errors: NULL_ARGUMENT; INVALID_ARGUMENT for a bad name or a file that is no pool of
/// this version; FILE_NOT_FOUND, also where all its processes are dead; PERMISSION;
/// IO, with EUSERS where as many processes as can be use it already.
///
/// # Safety
/// `name` is NULL or a NUL-terminated string; `out_pool` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_pool_open(
    name: *const c_char,
    read_only: bool,
    out_pool: *mut *mut Pool,
) -> Status {
    // SAFETY: the caller's.
    unsafe { opened(name, out_pool, |name| Pool::open(name, read_only)) }
}

/// Opens the pool of that name, or creates it; of any number of processes that do so
/// at once, one creates it. The other arguments are looked at by the creator only.
///
/// Ownership: `*out_pool` is the caller's, to be closed once with `gmem_pool_close`.
/// Errors: as `gmem_pool_create` and `gmem_pool_open`.
///
/// # Safety
/// `name` is NULL or a NUL-terminated string; `out_pool` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_pool_open_or_create(
    name: *const c_char,
    capacity: usize,
    size: u64,
    mode: u32,
    out_pool: *mut *mut Pool,
) -> Status {
    // SAFETY: the caller's.
    unsafe { opened(name, out_pool, |name| Pool::open_or_create(name, capacity, size, mode)) }
}

/// Creates a pool without a name, which others reach by its two descriptors.
///
/// Ownership: `*out_pool` is the caller's, to be closed once with `gmem_pool_close`.
/// Errors: NULL_ARGUMENT; INVALID_ARGUMENT; IO.
///
/// # Safety
/// `out_pool` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_pool_create_anonymous(
    capacity: usize,
    size: u64,
    out_pool: *mut *mut Pool,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let target = unsafe { out(out_pool, "out_pool")? };
        *target = boxed(Pool::create_anonymous(capacity, size)?)?;
        Ok(())
    })
}

/// Opens a pool by its two descriptors, as `gmem_pool_descriptors` of another process
/// gave them and the system passed them on. They stay the caller's.
///
/// Ownership: `*out_pool` is the caller's, to be closed once with `gmem_pool_close`.
/// Errors: as `gmem_pool_open`.
///
/// # Safety
/// `out_pool` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_pool_open_descriptors(
    control: i32,
    data: i32,
    read_only: bool,
    out_pool: *mut *mut Pool,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let target = unsafe { out(out_pool, "out_pool")? };
        *target = boxed(Pool::open_descriptors(control, data, read_only)?)?;
        Ok(())
    })
}

/// Closes a pool. When it is the last opened pool of that name in this process, all that
/// the process holds is given back, and what it had sent and nobody claimed stays
/// claimable. The last process out removes the pool. NULL is nothing.
///
/// Threads: no other may be using it. Memory of its buffers is gone once the last
/// opened pool of that name in this process is closed.
///
/// # Safety
/// `pool` is NULL or live, and not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_pool_close(pool: *mut Pool) {
    // SAFETY: the caller's.
    unsafe { free(pool) }
}

/// Removes the pool's name now: nobody can open it any more, those who did go on. No
/// error where it has none.
///
/// Errors: NULL_ARGUMENT; IO.
///
/// # Safety
/// `pool` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_pool_unlink(pool: *const Pool) -> Status {
    // SAFETY: the caller's.
    guard(|| unsafe { borrow(pool, "pool")? }.unlink())
}

/// How many buffers there can be at once. 0 for NULL.
///
/// # Safety
/// `pool` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_pool_capacity(pool: *const Pool) -> usize {
    // SAFETY: the caller's.
    guard_or(0, || Ok(unsafe { borrow(pool, "pool")? }.capacity()))
}

/// How many bytes the buffers may take together. 0 for NULL.
///
/// # Safety
/// `pool` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_pool_size(pool: *const Pool) -> u64 {
    // SAFETY: the caller's.
    guard_or(0, || Ok(unsafe { borrow(pool, "pool")? }.budget()))
}

/// Writes the 16 bytes that tell this pool from every other to `out_id`.
///
/// Errors: NULL_ARGUMENT.
///
/// # Safety
/// `pool` is NULL or live; `out_id` is NULL or has room for 16 bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_pool_id(pool: *const Pool, out_id: *mut u8) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (pool, id) = unsafe { (borrow(pool, "pool")?, output(out_id, 16, "out_id")?) };
        id.copy_from_slice(&pool.id());
        Ok(())
    })
}

/// The descriptors of the pool's two segments, for passing to another process.
///
/// Ownership: the pool's; valid until it is closed.
/// Errors: NULL_ARGUMENT.
///
/// # Safety
/// `pool` is NULL or live; the others are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_pool_descriptors(
    pool: *const Pool,
    out_control: *mut i32,
    out_data: *mut i32,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (pool, control, data) = unsafe {
            (
                borrow(pool, "pool")?,
                writable(out_control, "out_control")?,
                writable(out_data, "out_data")?,
            )
        };
        (*control, *data) = pool.descriptors()?;
        Ok(())
    })
}

/// Makes the pool itself answerable for all that this process has sent and nobody has
/// claimed, so that it may end. `gmem_pool_close` does so too.
///
/// Errors: NULL_ARGUMENT; IO.
///
/// # Safety
/// `pool` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_pool_settle(pool: *const Pool) -> Status {
    // SAFETY: the caller's.
    guard(|| unsafe { borrow(pool, "pool")? }.settle())
}

/// Takes back what dead processes held; says how many references that were. It happens
/// by itself wherever a buffer is wanted and none is free.
///
/// Errors: NULL_ARGUMENT; IO.
///
/// # Safety
/// `pool` is NULL or live; `out_count` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_pool_reclaim(pool: *const Pool, out_count: *mut u64) -> Status {
    // SAFETY: the caller's.
    unsafe { counted(pool, out_count, "out_count", Pool::reclaim) }
}

/// Gives the memory of free buffers back to the system; says how many bytes that were.
///
/// Errors: NULL_ARGUMENT; PERMISSION in a pool opened to read; IO.
///
/// # Safety
/// `pool` is NULL or live; `out_bytes` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_pool_trim(pool: *const Pool, out_bytes: *mut u64) -> Status {
    // SAFETY: the caller's.
    unsafe { counted(pool, out_bytes, "out_bytes", Pool::trim) }
}
