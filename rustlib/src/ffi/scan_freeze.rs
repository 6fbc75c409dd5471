//! Values that are kept what they are, in C.

use std::time::Duration;

use super::guard::{OrNull, borrow, boxed, free, guard, out};
use super::scan_source::SourceHandle;
use super::status::Status;
use crate::scan::ValueType;
use crate::scan::freeze::{Direction, Freezer, Value};

/// Makes a freezer: any number of values of a source that one thread writes again and again.
/// The thread is started with the first value, and does not keep the process alive.
///
/// Ownership: `*out_freezer` is the caller's, to be freed once with `gmem_freezer_free`; it
/// keeps what it needs of the source.
/// Threads: in a forked child it has no thread, and all but freeing it is INVALID_ARGUMENT.
///
/// # Safety
/// `source` is NULL or live; `out_freezer` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_freezer_new(
    source: *const SourceHandle,
    out_freezer: *mut *mut Freezer,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (source, target) =
            unsafe { (borrow(source, "source")?, out(out_freezer, "out_freezer")?) };
        *target = boxed(Freezer::new(source.0.clone()))?;
        Ok(())
    })
}

/// Writes a value now and then every `interval_us` microseconds, at most an hour. `type` is a
/// `gmem_value_type`, `bits` has the value in its low bytes. With `direction` 0 it is always
/// written. With 1 the target may raise it: if it is above what is kept, it becomes what is
/// kept, and is not written; if it is not, what is kept is written. With -1 it may lower
/// it, in the same way. A NaN in the target is neither above nor below, so it is written
/// over. `*out_id` is the value's number.
///
/// Errors: INVALID_ARGUMENT; PERMISSION; IO with errno EFAULT where there is no such memory
/// or it cannot be written to, with ESRCH where a process has ended, or where no thread can
/// be started. The value is not added then.
///
/// # Safety
/// `freezer` is NULL or live; `out_id` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_freezer_add(
    freezer: *const Freezer,
    address: u64,
    value_type: i32,
    bits: u64,
    direction: i32,
    interval_us: u64,
    out_id: *mut u64,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (freezer, target) =
            unsafe { (borrow(freezer, "freezer")?, out_id.as_mut().or_null("out_id")?) };
        let kind = ValueType::from_code(value_type)?;
        let direction = Direction::from_code(direction)?;
        let value = Value { address, kind, bits, direction };
        *target = freezer.add(value, Duration::from_micros(interval_us))?;
        Ok(())
    })
}

/// Lets a value go. It is not written any more when this returns.
///
/// Errors: NOT_FOUND where no value has that number.
///
/// # Safety
/// `freezer` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_freezer_remove(freezer: *const Freezer, id: u64) -> Status {
    // SAFETY: the caller's.
    guard(|| unsafe { borrow(freezer, "freezer")? }.remove(id))
}

/// How a value is getting on: how often it was written, whether it still is, and the errno
/// of the last attempt, or 0. Where memory cannot be written to that is tried again every
/// time; once the target has ended, with ESRCH, no more.
///
/// Errors: NOT_FOUND where no value has that number.
///
/// # Safety
/// `freezer` is NULL or live; the others are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_freezer_state(
    freezer: *const Freezer,
    id: u64,
    out_writes: *mut u64,
    out_active: *mut bool,
    out_errno: *mut i32,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (freezer, writes, active, errno) = unsafe {
            (
                borrow(freezer, "freezer")?,
                out_writes.as_mut().or_null("out_writes")?,
                out_active.as_mut().or_null("out_active")?,
                out_errno.as_mut().or_null("out_errno")?,
            )
        };
        let state = freezer.state(id)?;
        (*writes, *active, *errno) = (state.writes, state.active, state.errno);
        Ok(())
    })
}

/// Ends the thread, and frees the freezer and its values. NULL is nothing.
///
/// # Safety
/// `freezer` is NULL or live, and not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_freezer_free(freezer: *mut Freezer) {
    // SAFETY: the caller's.
    unsafe { free(freezer) }
}
