//! The one place that catches panics, and the one that turns pointers into
//! references. No panic crosses the ABI; NULL gives a status, never a crash.

use std::alloc::{Layout, alloc};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::slice;

use super::status::{Status, remember, remember_error};
use crate::error::{Error, Result};

fn message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message")
}

/// Runs a fallible function's body; a panic becomes [`Status::Panic`].
pub fn guard(body: impl FnOnce() -> Result<()>) -> Status {
    // Nothing half-changed is seen again: every structure behind the ABI is
    // either local to the call or guarded by its own lock.
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => Status::Ok,
        Ok(Err(error)) => failed(error),
        Err(panic) => panicked(panic),
    }
}

// Apart, so that a short function does not set up what only these need.
#[cold]
#[inline(never)]
fn failed(error: Error) -> Status {
    remember_error(&error)
}

#[cold]
#[inline(never)]
fn panicked(panic: Box<dyn Any + Send>) -> Status {
    remember(&format!("internal error: {}", message(&*panic)), 0);
    Status::Panic
}

/// Runs an infallible function's body; an error or a panic gives `fallback`.
pub fn guard_or<T>(fallback: T, body: impl FnOnce() -> Result<T>) -> T {
    let mut value = fallback;
    guard(|| {
        value = body()?;
        Ok(())
    });
    value
}

/// What a pointer became, or the error that it was NULL; made only then, unlike by `ok_or`,
/// since this is in the way of every call.
pub trait OrNull<T> {
    fn or_null(self, name: &'static str) -> Result<T>;
}

impl<T> OrNull<T> for Option<T> {
    #[inline(always)]
    fn or_null(self, name: &'static str) -> Result<T> {
        match self {
            Some(value) => Ok(value),
            None => Err(null(name)),
        }
    }
}

#[cold]
#[inline(never)]
fn null(name: &'static str) -> Error {
    Error::NullArgument(name)
}

/// # Safety
/// `pointer` is NULL or points to a live T that nothing writes to during `'a`.
pub unsafe fn borrow<'a, T>(pointer: *const T, name: &'static str) -> Result<&'a T> {
    // SAFETY: the caller's.
    unsafe { pointer.as_ref() }.or_null(name)
}

/// # Safety
/// `pointer` is NULL or points to room for one T.
pub unsafe fn out<'a, T>(pointer: *mut *mut T, name: &'static str) -> Result<&'a mut *mut T> {
    // SAFETY: the caller's.
    unsafe { pointer.as_mut() }.or_null(name)
}

fn checked_len<T>(pointer_is_null: bool, len: usize, name: &'static str) -> Result<usize> {
    if len == 0 {
        Ok(0)
    } else if pointer_is_null {
        Err(Error::NullArgument(name))
    } else if len > isize::MAX as usize / size_of::<T>() {
        Err(Error::InvalidArgument(format!("{name}: {len} elements do not fit in memory")))
    } else {
        Ok(len)
    }
}

/// A (pointer, length) pair as a slice; the pointer of an empty one is not looked at.
///
/// # Safety
/// `pointer` is NULL or points to `len` elements that nothing writes to during `'a`.
pub unsafe fn input<'a, T>(pointer: *const T, len: usize, name: &'static str) -> Result<&'a [T]> {
    match checked_len::<T>(pointer.is_null(), len, name)? {
        0 => Ok(&[]),
        // SAFETY: not NULL, and the caller's.
        len => Ok(unsafe { slice::from_raw_parts(pointer, len) }),
    }
}

/// As [`input`], to be written.
///
/// # Safety
/// `pointer` is NULL or points to `len` elements that nobody else touches during `'a`.
pub unsafe fn output<'a, T>(
    pointer: *mut T,
    len: usize,
    name: &'static str,
) -> Result<&'a mut [T]> {
    match checked_len::<T>(pointer.is_null(), len, name)? {
        0 => Ok(&mut []),
        // SAFETY: not NULL, and the caller's.
        len => Ok(unsafe { slice::from_raw_parts_mut(pointer, len) }),
    }
}

/// Copies what a caller asked for where it has room for all of it, and says how much there is.
///
/// # Safety
/// `target` is NULL or has room for `room` elements; `out_len` is NULL or writable.
pub unsafe fn copy_out<T: Copy>(
    from: &[T],
    target: *mut T,
    room: usize,
    out_len: *mut usize,
    name: &'static str,
) -> Result<()> {
    // SAFETY: the caller's.
    let len = unsafe { out_len.as_mut() }.or_null("out_len")?;
    if from.len() <= room {
        // SAFETY: the caller's.
        unsafe { output(target, from.len(), name)? }.copy_from_slice(from);
    }
    *len = from.len();
    Ok(())
}

/// # Safety
/// `pointer` is NULL or points to a NUL-terminated string that lives through `'a`.
pub unsafe fn text<'a>(pointer: *const std::ffi::c_char, name: &'static str) -> Result<&'a str> {
    if pointer.is_null() {
        return Err(Error::NullArgument(name));
    }
    // SAFETY: not NULL, and the caller's.
    unsafe { std::ffi::CStr::from_ptr(pointer) }
        .to_str()
        .map_err(|_| Error::InvalidArgument(format!("{name} is not UTF-8")))
}

/// As [`text`], for a path, which on Unix need not be UTF-8.
///
/// # Safety
/// As for `text`.
pub unsafe fn path<'a>(
    pointer: *const std::ffi::c_char,
    name: &'static str,
) -> Result<&'a std::path::Path> {
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;

        if pointer.is_null() {
            return Err(Error::NullArgument(name));
        }
        // SAFETY: not NULL, and the caller's.
        let bytes = unsafe { std::ffi::CStr::from_ptr(pointer) }.to_bytes();
        Ok(std::path::Path::new(std::ffi::OsStr::from_bytes(bytes)))
    }
    #[cfg(not(unix))]
    {
        // SAFETY: the caller's.
        Ok(std::path::Path::new(unsafe { text(pointer, name)? }))
    }
}

/// `Box::new` that reports refused memory instead of ending the process.
pub fn boxed<T>(value: T) -> Result<*mut T> {
    const { assert!(size_of::<T>() > 0) };
    // SAFETY: the layout has a size above zero.
    let room = unsafe { alloc(Layout::new::<T>()) }.cast::<T>();
    if room.is_null() {
        return Err(Error::OutOfMemory("out of memory: no room for a handle"));
    }
    // SAFETY: room for one T, aligned for it, which `free` gives back as a Box.
    unsafe { room.write(value) };
    Ok(room)
}

/// Gives a freed pair back its owner and drops it; NULL is nothing.
///
/// # Safety
/// `pointer` is NULL or came from `Box::into_raw` and was not freed before.
pub unsafe fn free<T>(pointer: *mut T) {
    if !pointer.is_null() {
        guard_or((), || {
            // SAFETY: the caller's.
            drop(unsafe { Box::from_raw(pointer) });
            Ok(())
        });
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::ffi::status::gmem_last_error;

    fn last_error() -> String {
        // SAFETY: never NULL, and valid until this thread's next failure.
        unsafe { std::ffi::CStr::from_ptr(gmem_last_error()) }.to_str().unwrap().to_owned()
    }

    #[test]
    fn a_panic_becomes_a_status_and_its_text_is_kept() {
        assert_eq!(guard(|| panic!("cell {} is on fire", 7)), Status::Panic);
        assert_eq!(last_error(), "internal error: cell 7 is on fire");
        assert_eq!(guard_or(5, || panic!("plain")), 5);
        assert_eq!(last_error(), "internal error: plain");
        assert_eq!(guard(|| std::panic::panic_any(3)), Status::Panic);
        assert_eq!(last_error(), "internal error: a panic without a message");
    }

    #[test]
    fn an_error_becomes_its_status() {
        let io = |kind| Error::Io { what: "there".into(), source: io::Error::from(kind) };
        for (error, status) in [
            (Error::NullArgument("out"), Status::NullArgument),
            (Error::OutOfMemory("no room"), Status::NoMemory),
            (io(io::ErrorKind::NotFound), Status::FileNotFound),
            (io(io::ErrorKind::PermissionDenied), Status::Permission),
            (io(io::ErrorKind::BrokenPipe), Status::Io),
        ] {
            let text = error.to_string();
            assert_eq!(guard(|| Err(error)), status);
            assert_eq!(last_error(), text);
        }
    }

    #[test]
    fn null_and_absurd_lengths_are_refused() {
        // SAFETY: NULL, and a length that is refused before the pointer is looked at.
        unsafe {
            assert!(matches!(borrow::<u8>(std::ptr::null(), "it"), Err(Error::NullArgument("it"))));
            assert!(matches!(input::<u64>(std::ptr::null(), 1, "in"), Err(Error::NullArgument(_))));
            assert_eq!(input::<u64>(std::ptr::null(), 0, "in").unwrap(), &[] as &[u64]);
            let one = [0u64];
            let huge = usize::MAX / 8;
            assert!(matches!(input(one.as_ptr(), huge, "in"), Err(Error::InvalidArgument(_))));
        }
    }
}
