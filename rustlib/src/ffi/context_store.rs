//! Contexts that are kept in a file, in C.

use std::ffi::c_char;
use std::ptr;

use super::guard::{OrNull, borrow, boxed, guard, guard_or, out, path, text};
use super::status::Status;
use crate::error::Result;
use crate::generative::store::{self, OpenMode, Recovery};
use crate::generative::{Context, Generator};

/// # Safety
/// `seed` is NULL or readable; `generator` is NULL or a NUL-terminated string.
unsafe fn identity(
    seed: *const u64,
    generator: *const c_char,
) -> Result<(Option<u64>, Option<Generator>)> {
    // SAFETY: the caller's.
    let seed = unsafe { seed.as_ref() }.copied();
    if generator.is_null() {
        return Ok((seed, None));
    }
    // SAFETY: not NULL, and the caller's.
    Ok((seed, Some(Generator::from_name(unsafe { text(generator, "generator")? })?)))
}

/// Opens a context that is kept in a file: all that was written until the last
/// `gmem_context_flush` is there. `seed` is NULL for that of the file; a file that is made needs
/// one. `generator` is NULL for that of the file, or "vrns16" for one that is made. `mode` is a
/// `gmem_open_mode`. Any number of contexts, of this and other processes, may read a file that
/// one context writes to.
///
/// Ownership: `*out_context` is the caller's, to be freed once with `gmem_context_free`, which
/// gives the file up and does not flush; `gmem_context_close` does. A forked child neither
/// flushes nor closes its parent's.
/// Errors: NULL_ARGUMENT; INVALID_ARGUMENT where seed or generator are not the file's, or are
/// missing for a new one, and where the file is damaged or of something else; FILE_NOT_FOUND;
/// PERMISSION; NO_MEMORY; IO, with EAGAIN where another context has it open for writing. A file
/// that is refused is not changed.
///
/// # Safety
/// `path` and `generator` are NULL or NUL-terminated strings; `seed` is NULL or readable;
/// `out_context` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_context_open(
    path: *const c_char,
    seed: *const u64,
    generator: *const c_char,
    mode: i32,
    out_context: *mut *mut Context,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (path, (seed, generator), target) = unsafe {
            (
                self::path(path, "path")?,
                identity(seed, generator)?,
                out(out_context, "out_context")?,
            )
        };
        *target = boxed(store::open(path, seed, generator, OpenMode::from_code(mode)?)?)?;
        Ok(())
    })
}

/// Makes a context without a file of what can still be read of a damaged one, which stays as it
/// is: every cell that it has is one of the last flush, and under a checksum that holds. `seed`
/// and `generator`, NULL or not, are needed only where the file does not tell them any more.
///
/// Ownership: `*out_context` is the caller's, to be freed once with `gmem_context_free`.
/// Errors: as of `gmem_context_open`; INVALID_ARGUMENT also where nothing can be read.
///
/// # Safety
/// `path` and `generator` are NULL or NUL-terminated strings; `seed` is NULL or readable;
/// `out_recovery` and `out_context` are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_context_recover(
    path: *const c_char,
    seed: *const u64,
    generator: *const c_char,
    out_recovery: *mut Recovery,
    out_context: *mut *mut Context,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (path, (seed, generator), report, target) = unsafe {
            (
                self::path(path, "path")?,
                identity(seed, generator)?,
                out_recovery.as_mut().or_null("out_recovery")?,
                out(out_context, "out_context")?,
            )
        };
        let (context, recovery) = store::recover(path, seed, generator)?;
        *target = boxed(context)?;
        *report = recovery;
        Ok(())
    })
}

/// Puts everything that was written until now, on any thread, into the context's file. When it
/// returns, that survives the end of the process, by SIGKILL too, and a loss of power as far as
/// the disk keeps what it says it has. Nothing is done for a context without a file.
///
/// Errors: NULL_ARGUMENT; INVALID_ARGUMENT once it is closed, and in a forked child; NO_MEMORY;
/// IO. The file is then as the last flush left it, and the next flush tries all of it again.
/// Threads: others may write meanwhile; that is in this flush or in the next.
///
/// # Safety
/// `context` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_context_flush(context: *mut Context) -> Status {
    // SAFETY: the caller's.
    guard(|| unsafe { borrow(context, "context")? }.flush())
}

/// Flushes, and makes the file as small as it can be; `*out_bytes` is by how much it shrank.
///
/// Errors: as of `gmem_context_flush`; PERMISSION where the file was opened for reading.
///
/// # Safety
/// `context` is NULL or live; `out_bytes` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_context_compact(
    context: *mut Context,
    out_bytes: *mut u64,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (context, target) =
            unsafe { (borrow(context, "context")?, out_bytes.as_mut().or_null("out_bytes")?) };
        *target = context.compact()?;
        Ok(())
    })
}

/// Takes what the file has by now into a context that was opened for reading;
/// `*out_changed` is whether there was anything new.
///
/// Errors: as of `gmem_context_open`; INVALID_ARGUMENT also for a context that is not one opened
/// for reading. It is then as it was.
///
/// # Safety
/// `context` is NULL or live; `out_changed` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_context_refresh(
    context: *mut Context,
    out_changed: *mut bool,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (context, target) =
            unsafe { (borrow(context, "context")?, out_changed.as_mut().or_null("out_changed")?) };
        *target = context.refresh()?;
        Ok(())
    })
}

/// Flushes a context and gives its file up. It can only be freed then: functions with a status
/// give INVALID_ARGUMENT, the others what they give for NULL. Closing again is nothing, and a
/// context without a file can be closed, too.
///
/// Errors: as of `gmem_context_flush`; the context is then still open.
///
/// # Safety
/// `context` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_context_close(context: *mut Context) -> Status {
    // SAFETY: the caller's.
    guard(|| unsafe { borrow(context, "context")? }.close())
}

/// Whether a context is closed. True for NULL.
///
/// # Safety
/// `context` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_context_is_closed(context: *const Context) -> bool {
    // SAFETY: the caller's.
    guard_or(true, || Ok(unsafe { borrow(context, "context")? }.is_closed()))
}

/// Whether a context was opened for reading. False for NULL.
///
/// # Safety
/// `context` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_context_is_read_only(context: *const Context) -> bool {
    // SAFETY: the caller's.
    guard_or(false, || Ok(unsafe { borrow(context, "context")? }.is_read_only()))
}

/// Whether something was written that the context's file does not have. False for NULL and for a
/// context without a file.
///
/// # Safety
/// `context` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_context_has_changes(context: *const Context) -> bool {
    // SAFETY: the caller's.
    guard_or(false, || Ok(unsafe { borrow(context, "context")? }.has_changes()))
}

/// The absolute path of a context's file. NULL for NULL and for a context without a file.
///
/// Ownership: the context's.
///
/// # Safety
/// `context` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_context_path(context: *const Context) -> *const c_char {
    guard_or(ptr::null(), || {
        // SAFETY: the caller's.
        let store = unsafe { borrow(context, "context")? }.store();
        Ok(store.map_or(ptr::null(), |store| store.name().as_ptr()))
    })
}
