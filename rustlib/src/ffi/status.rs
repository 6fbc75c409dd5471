//! Status codes and the text that goes with them.

use std::borrow::Cow;
use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char};
use std::io;

use crate::error::Error;

/// What a fallible function returns. Numbers are never reused.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Done; every other value leaves the `out_*` arguments untouched.
    Ok = 0,
    /// A pointer that must not be NULL was.
    NullArgument = 1,
    /// An argument has a value that makes no sense.
    InvalidArgument = 2,
    /// An index or address outside what there is.
    OutOfRange = 3,
    /// A number that does not fit where it should go.
    Overflow = 4,
    /// Memory was refused; what existed before is unharmed.
    NoMemory = 5,
    /// Nothing of that name or key.
    NotFound = 6,
    /// No such file.
    FileNotFound = 7,
    /// The system refused permission.
    Permission = 8,
    /// The system reported an error: see `gmem_last_errno`.
    Io = 9,
    /// The time given ran out.
    Timeout = 10,
    /// Not available on this system.
    Unsupported = 11,
    /// Built for another version of this library.
    AbiMismatch = 12,
    /// A device failed.
    Device = 13,
    /// A defect in gmemx: a panic was caught. Please report it.
    Panic = 14,
    /// Ended because the caller asked for it; nothing was changed.
    Cancelled = 15,
    /// A plugin answered with an error: see `gmem_last_plugin_code`.
    Plugin = 16,
}

impl Status {
    pub(super) const ALL: [Status; 17] = [
        Status::Ok,
        Status::NullArgument,
        Status::InvalidArgument,
        Status::OutOfRange,
        Status::Overflow,
        Status::NoMemory,
        Status::NotFound,
        Status::FileNotFound,
        Status::Permission,
        Status::Io,
        Status::Timeout,
        Status::Unsupported,
        Status::AbiMismatch,
        Status::Device,
        Status::Panic,
        Status::Cancelled,
        Status::Plugin,
    ];
}

impl From<&Error> for Status {
    fn from(error: &Error) -> Status {
        match error {
            Error::NullArgument(_) => Status::NullArgument,
            Error::InvalidArgument(_) => Status::InvalidArgument,
            Error::OutOfRange(_) => Status::OutOfRange,
            Error::Overflow(_) => Status::Overflow,
            Error::OutOfMemory(_) => Status::NoMemory,
            Error::NotFound(_) => Status::NotFound,
            Error::Timeout(_) => Status::Timeout,
            Error::Unsupported(_) => Status::Unsupported,
            Error::AbiMismatch(_) => Status::AbiMismatch,
            Error::Device(_) => Status::Device,
            Error::Cancelled => Status::Cancelled,
            Error::Plugin { .. } => Status::Plugin,
            Error::Io { source, .. } => match source.kind() {
                io::ErrorKind::NotFound => Status::FileNotFound,
                io::ErrorKind::PermissionDenied => Status::Permission,
                io::ErrorKind::OutOfMemory => Status::NoMemory,
                io::ErrorKind::TimedOut => Status::Timeout,
                _ => Status::Io,
            },
        }
    }
}

struct Last {
    text: Cow<'static, CStr>,
    errno: i32,
    /// The number of a plugin's error.
    code: u32,
}

thread_local! {
    static LAST: RefCell<Last> =
        const { RefCell::new(Last { text: Cow::Borrowed(c""), errno: 0, code: 0 }) };
}

/// Keeps the text and errno of a failure for this thread.
pub fn remember(text: &str, errno: i32) {
    keep(text, errno, 0);
}

fn keep(text: &str, errno: i32, code: u32) {
    let mut bytes = Vec::new();
    let text = match bytes.try_reserve_exact(text.len() + 1) {
        Ok(()) => {
            // A NUL inside would cut the text short; none of ours has one, others' might.
            bytes.extend(text.bytes().map(|byte| if byte == 0 { b'?' } else { byte }));
            Cow::Owned(CString::new(bytes).unwrap_or_default())
        }
        Err(_) => Cow::Borrowed(c"out of memory"),
    };
    // A thread that is ending may have no place left to keep it.
    let _ = LAST.try_with(|last| *last.borrow_mut() = Last { text, errno, code });
}

pub fn remember_error(error: &Error) -> Status {
    match error {
        Error::OutOfMemory(text) => remember(text, 0),
        Error::Io { source, .. } => {
            remember(&error.to_string(), source.raw_os_error().unwrap_or(0));
        }
        Error::Plugin { code, text } => keep(text, 0, *code),
        _ => remember(&error.to_string(), 0),
    }
    Status::from(error)
}

/// The text of the last failure on this thread, one sentence in UTF-8; empty
/// before the first. Never NULL.
///
/// Ownership: the library's; valid until the next failing call on this thread.
/// Threads: each has its own.
#[unsafe(no_mangle)]
pub extern "C" fn gmem_last_error() -> *const c_char {
    LAST.try_with(|last| last.borrow().text.as_ptr()).unwrap_or(const { CStr::as_ptr(c"") })
}

/// The system's errno of the last failure on this thread, or 0 if the system
/// had no part in it.
///
/// Threads: each has its own.
#[unsafe(no_mangle)]
pub extern "C" fn gmem_last_errno() -> i32 {
    LAST.try_with(|last| last.borrow().errno).unwrap_or(0)
}

/// The number that a plugin gave the last failure on this thread: 1 invalid state, 2 not
/// started, 3 not ended, 4 configuration, 5 serialization, 6 unknown type of message, 7 handler,
/// 8 runtime, 9 cancelled, 10 timeout, 11 internal, 12 no binary calls, 13 too many at once,
/// or another of its own; 0 where no plugin had a part in it.
///
/// Threads: each has its own.
#[unsafe(no_mangle)]
pub extern "C" fn gmem_last_plugin_code() -> u32 {
    LAST.try_with(|last| last.borrow().code).unwrap_or(0)
}
