//! Shared pools in C: buffers that processes pass to each other.

use std::ffi::{c_char, c_void};
use std::time::Duration;

use super::guard::{OrNull, borrow, boxed, free, guard, guard_or, out, output, text};
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

/// What the holders of a buffer tell each other about its content. All of it is
/// theirs to give meaning to; a fresh buffer has `dtype` -1 and zeros.
#[repr(C)]
pub struct PoolMeta {
    /// A `gmem_dtype`, or -1.
    dtype: i32,
    /// 0 to 8.
    ndim: i32,
    /// `ndim` extents.
    shape: [i64; 8],
    /// `ndim` distances in bytes.
    strides: [i64; 8],
    /// Nanoseconds since 1970.
    timestamp: i64,
    /// A counter of the producer's.
    sequence: u64,
    /// The process id of whoever acquired the buffer; `gmem_pool_set_meta` does not
    /// look at it.
    producer: u32,
    /// UTF-8, filled up with NULs.
    content_type: [u8; 60],
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

/// The long way, around which the panic guard stands. The common cases, which come first in
/// `gmem_pool_acquire`, `get` and `release`, have nothing in them that could panic, and
/// without the guard each is half as long.
///
/// # Safety
/// `pool` is NULL or live, `out_buffer` is NULL or writable.
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

/// # Safety
/// `pool` is NULL or live, `target` is NULL or writable.
unsafe fn counted(
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
unsafe fn writable<'a, T>(pointer: *mut T, name: &'static str) -> Result<&'a mut T> {
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
    if let (Some(pool), Some(out)) = unsafe { (pool.as_ref(), out_buffer.as_mut()) }
        && let Some(buffer) = pool.get_plain(handle, writable)
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
    if unsafe { pool.as_ref() }.is_some_and(|pool| pool.release_plain(handle)) {
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
    out_meta: *mut PoolMeta,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (pool, target) = unsafe { (borrow(pool, "pool")?, writable(out_meta, "out_meta")?) };
        let meta = pool.meta(handle)?;
        *target = PoolMeta {
            dtype: meta.dtype,
            ndim: meta.ndim,
            shape: meta.shape,
            strides: meta.strides,
            timestamp: meta.timestamp,
            sequence: meta.sequence,
            producer: meta.producer,
            content_type: meta.content_type,
        };
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
    meta: *const PoolMeta,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (pool, meta) = unsafe { (borrow(pool, "pool")?, borrow(meta, "meta")?) };
        pool.set_meta(
            handle,
            &Meta {
                dtype: meta.dtype,
                ndim: meta.ndim,
                shape: meta.shape,
                strides: meta.strides,
                timestamp: meta.timestamp,
                sequence: meta.sequence,
                producer: 0,
                content_type: meta.content_type,
            },
        )
    })
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
