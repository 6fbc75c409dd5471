//! Messages to the host. Where to and from which level on is one thing for the whole library.

use std::ffi::{CString, c_char};
use std::mem;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU8, Ordering};

use crate::abi::LogCallback;

#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Trace = 0,
    Debug = 1,
    Info = 2,
    Warn = 3,
    Error = 4,
    Off = 5,
}

impl Level {
    pub(crate) fn from_name(name: &str) -> Option<Level> {
        Some(match name {
            "trace" => Level::Trace,
            "debug" => Level::Debug,
            "info" => Level::Info,
            "warn" => Level::Warn,
            "error" => Level::Error,
            "off" => Level::Off,
            _ => return None,
        })
    }
}

static CALLBACK: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());
static LEAST: AtomicU8 = AtomicU8::new(Level::Info as u8);

pub(crate) fn set_callback(callback: Option<LogCallback>) {
    let callback = callback.map_or(ptr::null_mut(), |callback| callback as *mut ());
    CALLBACK.store(callback, Ordering::Release);
}

pub(crate) fn set_level(level: u8) {
    LEAST.store(level, Ordering::Relaxed);
}

/// Whether a message of this level goes anywhere.
#[must_use]
pub fn is_enabled(level: Level) -> bool {
    level < Level::Off
        && level as u8 >= LEAST.load(Ordering::Relaxed)
        && !CALLBACK.load(Ordering::Relaxed).is_null()
}

/// Hands a message to the host; [`log!`](crate::log!) writes it as `format!` does.
pub fn log_text(level: Level, target: &str, message: &str) {
    let callback = CALLBACK.load(Ordering::Acquire);
    if callback.is_null() || !is_enabled(level) {
        return;
    }
    let target = CString::new(target.replace('\0', " ")).unwrap_or_default();
    // SAFETY: what `set_callback` stored.
    let callback = unsafe { mem::transmute::<*mut (), LogCallback>(callback) };
    let name: *const c_char = target.as_ptr();
    // SAFETY: the host's promise is that it may be called at any time; both live until then.
    unsafe { callback(level as u8, name, message.as_ptr(), message.len()) };
}
