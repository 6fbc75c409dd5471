//! What plugins log, in C.

use std::ffi::c_void;
use std::ptr;
use std::time::Duration;

use super::guard::{OrNull, borrow, boxed, free, guard, guard_or};
use super::status::Status;
use crate::plugin::{Instance, logs};

/// What a plugin logged.
#[repr(C)]
pub struct PluginLog {
    /// 0 trace, 1 debug, 2 info, 3 warn, 4 error.
    level: u8,
    /// Where it came from, in the plugin's words. Neither text ends with a NUL, nor need they
    /// be UTF-8; NULL where they are empty.
    target: *const u8,
    target_len: usize,
    message: *const u8,
    message_len: usize,
    /// What it is freed by.
    origin: *mut c_void,
}

fn start_of(bytes: &[u8]) -> *const u8 {
    if bytes.is_empty() { ptr::null() } else { bytes.as_ptr() }
}

/// Takes the oldest message of a plugin that waits. `*out_some` is false where none does; then
/// `*out_log` is left alone. Also after a shutdown.
///
/// Ownership: `*out_log` is freed once with `gmem_plugin_log_free`.
///
/// # Safety
/// `plugin` is NULL or live; `out_log` and `out_some` are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_plugin_log_next(
    plugin: *mut Instance,
    out_log: *mut PluginLog,
    out_some: *mut bool,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (plugin, target, some) = unsafe {
            (
                borrow(plugin, "plugin")?,
                out_log.as_mut().or_null("out_log")?,
                out_some.as_mut().or_null("out_some")?,
            )
        };
        let Some(message) = plugin.next_log() else {
            *some = false;
            return Ok(());
        };
        let message = boxed(message)?;
        // SAFETY: made just now, and freed by nobody but `gmem_plugin_log_free`.
        let logs::Message { level, target: from, text } = unsafe { &*message };
        *target = PluginLog {
            level: *level,
            target: start_of(from),
            target_len: from.len(),
            message: start_of(text),
            message_len: text.len(),
            origin: message.cast(),
        };
        *some = true;
        Ok(())
    })
}

/// Frees a message and makes it all zeros: freeing it once more is nothing, as is NULL.
///
/// # Safety
/// `log` is NULL, or a message that was not copied and freed elsewhere.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_plugin_log_free(log: *mut PluginLog) {
    // SAFETY: the caller's; `origin` came from `boxed`.
    unsafe {
        if let Some(log) = log.as_mut() {
            free(log.origin.cast::<logs::Message>());
            ptr::from_mut(log).write_bytes(0, 1);
        }
    }
}

/// How many messages of a plugin found no room, since it was loaded: 4096 may wait, or 16
/// MiB of them. 0 for NULL.
///
/// # Safety
/// `plugin` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_plugin_log_dropped(plugin: *const Instance) -> u64 {
    // SAFETY: the caller's.
    guard_or(0, || Ok(unsafe { borrow(plugin, "plugin")? }.dropped_logs()))
}

/// Waits until more than `seen` messages of any plugins have come in all, or the time is over;
/// gives how many there are now. `gmem_plugin_log_wake` counts as one.
#[unsafe(no_mangle)]
pub extern "C" fn gmem_plugin_log_wait(seen: u64, timeout_ns: u64) -> u64 {
    guard_or(seen, || Ok(logs::wait(seen, Duration::from_nanos(timeout_ns))))
}

/// Lets those who wait in `gmem_plugin_log_wait` go on, as if a message had come.
#[unsafe(no_mangle)]
pub extern "C" fn gmem_plugin_log_wake() {
    guard_or((), || {
        logs::wake();
        Ok(())
    });
}

/// Says that this thread begins, or ends, to run a log callback of a user: calls of any plugin
/// from it are refused meanwhile.
#[unsafe(no_mangle)]
pub extern "C" fn gmem_plugin_log_delivering(delivering: bool) {
    guard_or((), || {
        logs::set_delivering(delivering);
        Ok(())
    });
}
