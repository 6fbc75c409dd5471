//! The buffers of shared pools in C: taken, shared, sent, told about.

use std::ffi::c_void;
use std::time::Duration;

use super::guard::{borrow, guard, output};
use super::pool::{counted, writable};
use super::status::Status;
use crate::error::{Error, Result};
use crate::pool::{self, Meta, Pool};

/// A hold on one buffer of a pool, as `gmem_pool_acquire` and its kin give it. A plain
/// value: whoever has it owes one `gmem_pool_release` or `gmem_pool_forget` of `handle`.
#[repr(C)]
pub struct PoolBuffer {
    /// The buffer and its tenancy, never 0: once a buffer is free again, the handle is
    /// stale for ever.
    handle: u64,
    /// Its memory in this process; an address of the device where `device` is not -1.
    data: *mut c_void,
    /// In bytes.
    size: usize,
    /// Which slot of the pool it is in.
    index: u32,
    /// The CUDA device of its memory, as this process counts them; -1 for the CPU's.
    device: i32,
    /// Whether `data` may be written; where not, the page protection says so too.
    writable: bool,
}

impl From<pool::Buffer> for PoolBuffer {
    fn from(buffer: pool::Buffer) -> PoolBuffer {
        PoolBuffer {
            handle: buffer.handle,
            data: buffer.data.cast(),
            size: buffer.size,
            index: buffer.index,
            device: buffer.device,
            writable: buffer.writable,
        }
    }
}

/// Seconds as C callers give them: negative waits for ever.
pub(super) fn timeout_of(seconds: f64) -> Result<Option<Duration>> {
    if seconds < 0.0 {
        return Ok(None);
    }
    Duration::try_from_secs_f64(seconds).map(Some).map_err(|_| {
        Error::InvalidArgument(format!("a timeout of {seconds} seconds is not a length of time"))
    })
}

/// The long way, around which the panic guard stands. The common cases, which come first in
/// `gmem_pool_acquire`, `get` and `release`, have nothing in them that could panic, and
/// without the guard each is half as long.
///
/// # Safety
/// `pool` is NULL or live, `out_buffer` is NULL or writable.
#[cold]
#[inline(never)]
pub(super) unsafe fn held(
    pool: *const Pool,
    out_buffer: *mut PoolBuffer,
    hold: impl FnOnce(&Pool) -> Result<pool::Buffer>,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (pool, target) =
            unsafe { (borrow(pool, "pool")?, writable(out_buffer, "out_buffer")?) };
        *target = hold(pool)?.into();
        Ok(())
    })
}

/// Takes a buffer of `size` bytes, whose content is whatever was in it last, waiting for
/// one for up to `timeout` seconds (negative: for ever).
///
/// Ownership: one hold, to be given back with `gmem_pool_release`.
/// Errors: NULL_ARGUMENT; INVALID_ARGUMENT for 0 bytes, more than the pool's size or a
/// bad timeout; PERMISSION in a pool opened to read; TIMEOUT; NO_MEMORY where the system
/// has no shared memory left; IO.
///
/// # Safety
/// `pool` is NULL or live; `out_buffer` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_pool_acquire(
    pool: *const Pool,
    size: usize,
    timeout: f64,
    out_buffer: *mut PoolBuffer,
) -> Status {
    // SAFETY: the caller's.
    if let (Some(pool), Some(out)) = unsafe { (pool.as_ref(), out_buffer.as_mut()) }
        && !timeout.is_nan()
        && let Some(buffer) = pool.acquire_plain(size)
    {
        *out = buffer.into();
        return Status::Ok;
    }
    // SAFETY: the caller's.
    unsafe { held(pool, out_buffer, |pool| pool.acquire(size, timeout_of(timeout)?)) }
}

/// Takes a hold on the buffer that a handle names.
///
/// Ownership: one hold, to be given back with `gmem_pool_release`.
/// Errors: NULL_ARGUMENT; NOT_FOUND for a stale handle; OUT_OF_RANGE for one that no
/// buffer of this pool can have; PERMISSION for `writable` in a pool opened to read, or
/// where another process has sealed it.
///
/// # Safety
/// `pool` is NULL or live; `out_buffer` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_pool_get(
    pool: *const Pool,
    handle: u64,
    writable: bool,
    out_buffer: *mut PoolBuffer,
) -> Status {
    // SAFETY: the caller's.
    let taken = match unsafe { (pool.as_ref(), out_buffer.as_mut()) } {
        (Some(there), Some(out)) if !writable => match there.get_again(handle) {
            Ok(buffer) => {
                *out = buffer.into();
                return Status::Ok;
            }
            Err(taken) => taken,
        },
        _ => false,
    };
    // SAFETY: the caller's.
    unsafe { get_first(pool, handle, writable, out_buffer, taken) }
}

/// Apart from the shorter way, which would have to save registers for it.
///
/// # Safety
/// As of `gmem_pool_get`.
#[inline(never)]
unsafe fn get_first(
    pool: *const Pool,
    handle: u64,
    writable: bool,
    out_buffer: *mut PoolBuffer,
    taken: bool,
) -> Status {
    // SAFETY: the caller's.
    if let (Some(pool), Some(out)) = unsafe { (pool.as_ref(), out_buffer.as_mut()) }
        && let Some(buffer) = pool.get_first(handle, writable, taken)
    {
        *out = buffer.into();
        return Status::Ok;
    }
    // SAFETY: the caller's.
    unsafe { held(pool, out_buffer, |pool| pool.get(handle, writable)) }
}

/// Takes a hold on whichever buffer is in a slot now.
///
/// Ownership: one hold, to be given back with `gmem_pool_release`.
/// Errors: as `gmem_pool_get`; NOT_FOUND where the slot is free.
///
/// # Safety
/// `pool` is NULL or live; `out_buffer` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_pool_get_index(
    pool: *const Pool,
    index: u32,
    writable: bool,
    out_buffer: *mut PoolBuffer,
) -> Status {
    // SAFETY: the caller's.
    unsafe { held(pool, out_buffer, |pool| pool.get_index(index, writable)) }
}

/// Gives one hold of this process back. The last one of all frees the buffer.
///
/// Errors: NULL_ARGUMENT; NOT_FOUND where this process has no such hold: nothing is
/// changed then.
///
/// # Safety
/// `pool` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_pool_release(pool: *const Pool, handle: u64) -> Status {
    // SAFETY: the caller's.
    if unsafe { pool.as_ref() }.is_some_and(|pool| pool.release_one(handle)) {
        return Status::Ok;
    }
    // SAFETY: the caller's.
    unsafe { release_last(pool, handle) }
}

/// Apart from the shorter way, as [`get_first`] is.
///
/// # Safety
/// As of `gmem_pool_release`.
#[inline(never)]
unsafe fn release_last(pool: *const Pool, handle: u64) -> Status {
    // SAFETY: the caller's.
    if unsafe { pool.as_ref() }.is_some_and(|pool| pool.release_last(handle)) {
        return Status::Ok;
    }
    // SAFETY: the caller's.
    guard(|| unsafe { borrow(pool, "pool")? }.release(handle))
}

/// Makes one hold of this process a pin: a reference that is nobody's, outlives the
/// process, and is taken away by `gmem_pool_release_ref`.
///
/// Errors: as `gmem_pool_release`; OVERFLOW beyond 255 pins.
///
/// # Safety
/// `pool` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_pool_forget(pool: *const Pool, handle: u64) -> Status {
    // SAFETY: the caller's.
    guard(|| unsafe { borrow(pool, "pool")? }.forget(handle))
}

/// Takes `count` buffers of `size` bytes and writes their indices to `out_indices`. Each
/// has one reference of this process, which `gmem_pool_release_ref` gives back. All or
/// none.
///
/// Errors: as `gmem_pool_acquire`, without waiting.
///
/// # Safety
/// `pool` is NULL or live; `out_indices` is NULL or has room for `count` numbers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_pool_preallocate(
    pool: *const Pool,
    size: usize,
    count: usize,
    out_indices: *mut u32,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (pool, indices) =
            unsafe { (borrow(pool, "pool")?, output(out_indices, count, "out_indices")?) };
        pool.preallocate(size, indices)
    })
}

/// Adds a reference of this process to the buffer in a slot; says how many there are.
///
/// Errors: NULL_ARGUMENT; OUT_OF_RANGE; NOT_FOUND where the slot is free.
///
/// # Safety
/// `pool` is NULL or live; `out_count` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_pool_add_ref(
    pool: *const Pool,
    index: u32,
    out_count: *mut u64,
) -> Status {
    // SAFETY: the caller's.
    unsafe { counted(pool, out_count, "out_count", |pool| pool.add_ref(index)) }
}

/// Takes away a reference that `gmem_pool_add_ref` or `gmem_pool_preallocate` of this
/// process added, or else a pin; says how many references are left.
///
/// Errors: NULL_ARGUMENT; OUT_OF_RANGE; NOT_FOUND where there is neither: the holds of
/// buffers are not taken from their holders.
///
/// # Safety
/// `pool` is NULL or live; `out_count` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_pool_release_ref(
    pool: *const Pool,
    index: u32,
    out_count: *mut u64,
) -> Status {
    // SAFETY: the caller's.
    unsafe { counted(pool, out_count, "out_count", |pool| pool.release_ref(index)) }
}

/// How many references a slot's buffer has: every hold of this process, one for each
/// other process that holds it, and its pins; 0 where it is free.
///
/// Errors: NULL_ARGUMENT; OUT_OF_RANGE; NOT_FOUND for a slot that was never used.
///
/// # Safety
/// `pool` is NULL or live; `out_count` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_pool_ref_count(
    pool: *const Pool,
    index: u32,
    out_count: *mut u64,
) -> Status {
    // SAFETY: the caller's.
    unsafe { counted(pool, out_count, "out_count", |pool| pool.ref_count(index)) }
}

/// Changes the pins of a slot's buffer so that it has `count` references.
///
/// Errors: NULL_ARGUMENT; OUT_OF_RANGE; NOT_FOUND where the slot is free;
/// INVALID_ARGUMENT for a count below the number of holds, which stay; OVERFLOW where it
/// would take more than 255 pins.
///
/// # Safety
/// `pool` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_pool_set_ref_count(
    pool: *const Pool,
    index: u32,
    count: u64,
) -> Status {
    // SAFETY: the caller's.
    guard(|| unsafe { borrow(pool, "pool")? }.set_ref_count(index, count))
}

/// Sends a buffer: this process stays answerable for it until whoever gets the handle
/// and the ticket has claimed it. The caller's own hold stays.
///
/// Errors: NULL_ARGUMENT; NOT_FOUND where this process has no such hold; NO_MEMORY
/// where too many are on their way.
///
/// # Safety
/// `pool` is NULL or live; `out_ticket` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_pool_send(
    pool: *const Pool,
    handle: u64,
    out_ticket: *mut u64,
) -> Status {
    // SAFETY: the caller's.
    unsafe { counted(pool, out_ticket, "out_ticket", |pool| pool.send(handle)) }
}

/// Takes a hold on a buffer that was sent, and the sender's answer for it ends. A ticket
/// that was claimed before is as good as none: the call is `gmem_pool_get` then.
///
/// Ownership: one hold, to be given back with `gmem_pool_release`.
/// Errors: as `gmem_pool_get`; NOT_FOUND also where the sender was killed in between.
///
/// # Safety
/// `pool` is NULL or live; `out_buffer` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_pool_claim(
    pool: *const Pool,
    handle: u64,
    ticket: u64,
    writable: bool,
    out_buffer: *mut PoolBuffer,
) -> Status {
    // SAFETY: the caller's.
    unsafe { held(pool, out_buffer, |pool| pool.claim(handle, ticket, writable)) }
}

/// Makes a buffer read-only for every other process until it is free again: they get no
/// more writable holds. Those they have cannot be taken away.
///
/// Errors: NULL_ARGUMENT; NOT_FOUND where this process does not hold it; PERMISSION in a
/// pool opened to read, or where another process has sealed it.
///
/// # Safety
/// `pool` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_pool_seal(pool: *const Pool, handle: u64) -> Status {
    // SAFETY: the caller's.
    guard(|| unsafe { borrow(pool, "pool")? }.seal(handle))
}

/// Whether a buffer is sealed.
///
/// Errors: NULL_ARGUMENT; NOT_FOUND where this process does not hold it.
///
/// # Safety
/// `pool` is NULL or live; `out_sealed` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_pool_is_sealed(
    pool: *const Pool,
    handle: u64,
    out_sealed: *mut bool,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (pool, target) =
            unsafe { (borrow(pool, "pool")?, writable(out_sealed, "out_sealed")?) };
        *target = pool.is_sealed(handle)?;
        Ok(())
    })
}

/// What is told about a buffer.
///
/// Errors: NULL_ARGUMENT; NOT_FOUND where this process does not hold it; IO where a
/// process died while it was changing that.
///
/// # Safety
/// `pool` is NULL or live; `out_meta` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_pool_meta(
    pool: *const Pool,
    handle: u64,
    out_meta: *mut Meta,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (pool, target) = unsafe { (borrow(pool, "pool")?, writable(out_meta, "out_meta")?) };
        *target = pool.meta(handle)?;
        Ok(())
    })
}

/// Tells something about a buffer. Readers see all of it or what was told before.
///
/// Errors: NULL_ARGUMENT; INVALID_ARGUMENT for an `ndim` outside 0 to 8; NOT_FOUND where
/// this process does not hold it; PERMISSION as for writing the buffer.
///
/// # Safety
/// `pool` is NULL or live; `meta` is NULL or readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_pool_set_meta(
    pool: *const Pool,
    handle: u64,
    meta: *const Meta,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (pool, meta) = unsafe { (borrow(pool, "pool")?, borrow(meta, "meta")?) };
        pool.set_meta(handle, meta)
    })
}
