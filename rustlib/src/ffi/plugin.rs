//! Plugins in C: loading them, how they are, ending them. Calls are in `plugin_calls`.

use std::ffi::{CStr, c_char};
use std::ptr::NonNull;
use std::time::Duration;

use super::guard::{OrNull, borrow, guard, guard_or, input, out};
use super::status::Status;
use crate::error::Error;
use crate::plugin::{Instance, Plugin, path_of};

/// Loads a private copy of the library at `path`, makes a plugin of it and starts it with
/// `config`, JSON as the plugin's ABI says. An empty `config` reaches the plugin as NULL, 0.
/// With `logs`, what the plugin logs is kept for `gmem_plugin_log_next`.
///
/// A library is never unloaded. The copy of an instance that was shut down in good order, or
/// that did not start, serves the next one of the same file.
///
/// Ownership: `*out_plugin` is the caller's, to be freed once with `gmem_plugin_free`.
/// Errors: FILE_NOT_FOUND, PERMISSION, IO; INVALID_ARGUMENT where the file cannot be loaded,
/// or lacks a function that a plugin has; UNSUPPORTED where too many plugins log already;
/// PLUGIN with code 4 where the plugin refused its configuration, with code 2 where it did
/// not start.
///
/// Loading runs code of the library: whoever names one trusts it.
///
/// # Safety
/// `path` is NULL or a NUL-terminated string; `config` points to `config_len` bytes;
/// `out_plugin` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_plugin_load(
    path: *const c_char,
    config: *const u8,
    config_len: usize,
    logs: bool,
    out_plugin: *mut *mut Instance,
) -> Status {
    guard(|| {
        if path.is_null() {
            return Err(Error::NullArgument("path"));
        }
        // SAFETY: not NULL, and the caller's.
        let path = path_of(unsafe { CStr::from_ptr(path) }.to_bytes())?;
        // SAFETY: the caller's.
        let (config, target) =
            unsafe { (input(config, config_len, "config")?, out(out_plugin, "out_plugin")?) };
        *target = Plugin::load(path, config, logs)?.into_raw();
        Ok(())
    })
}

/// Frees a plugin, and shuts it down if that has not been done. Never waits for calls in
/// flight: the last of them shuts it down as it leaves. Its responses and queues stay
/// usable; calls through a queue are refused. In a forked child only the caller's part goes.
/// NULL is nothing.
///
/// # Safety
/// `plugin` is NULL or live, and not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_plugin_free(plugin: *mut Instance) {
    guard_or((), || {
        if let Some(plugin) = NonNull::new(plugin) {
            // SAFETY: the caller's; it came from `into_raw`.
            drop(unsafe { Plugin::from_raw(plugin) });
        }
        Ok(())
    });
}

/// Shuts a plugin down: refuses new calls from now on, waits until those in flight have
/// left, and ends the plugin. `timeout_ns` is how long it waits, UINT64_MAX for ever.
/// `*out_clean` is what the plugin said: false where it did not end in good order. One that
/// was shut down before gives OK and true.
///
/// Errors: TIMEOUT where calls are still in flight; it may be tried again. PLUGIN with code 1
/// in a forked child.
///
/// # Safety
/// `plugin` is NULL or live; `out_clean` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_plugin_shutdown(
    plugin: *mut Instance,
    timeout_ns: u64,
    out_clean: *mut bool,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let plugin = unsafe { borrow(plugin, "plugin")? };
        // SAFETY: the caller's.
        let target = unsafe { out_clean.as_mut() }.or_null("out_clean")?;
        let timeout = (timeout_ns != u64::MAX).then(|| Duration::from_nanos(timeout_ns));
        *target = plugin.shut_down(timeout)?;
        Ok(())
    })
}

/// The plugin's own state: 0 installed, 1 starting, 2 active, 3 stopping, 4 stopped, 5 failed.
/// 3 while it is being shut down, 4 afterwards; 255 for NULL, in a forked child, and where the
/// plugin says so.
///
/// # Safety
/// `plugin` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_plugin_state(plugin: *const Instance) -> u8 {
    // SAFETY: the caller's.
    guard_or(255, || Ok(unsafe { borrow(plugin, "plugin")? }.state()))
}

/// How many calls the plugin refused because there were too many at once; after a shutdown
/// how many it had refused. 0 for NULL.
///
/// # Safety
/// `plugin` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_plugin_rejected_count(plugin: *const Instance) -> u64 {
    // SAFETY: the caller's.
    guard_or(0, || Ok(unsafe { borrow(plugin, "plugin")? }.rejected_count()))
}

/// How many calls are in the plugin now. 0 for NULL.
///
/// # Safety
/// `plugin` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_plugin_in_flight(plugin: *const Instance) -> u64 {
    // SAFETY: the caller's.
    guard_or(0, || Ok(unsafe { borrow(plugin, "plugin")? }.in_flight()))
}

/// Whether it takes binary calls. False for NULL.
///
/// # Safety
/// `plugin` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_plugin_has_binary_transport(plugin: *const Instance) -> bool {
    // SAFETY: the caller's.
    guard_or(false, || Ok(unsafe { borrow(plugin, "plugin")? }.has_binary_transport()))
}

/// Sets what the plugin logs from now on: 0 trace, 1 debug, 2 info, 3 warn, 4 error, 5 off.
///
/// Errors: INVALID_ARGUMENT for another level; PLUGIN with code 1 once it is shut down, and in
/// a forked child.
///
/// # Safety
/// `plugin` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_plugin_set_log_level(plugin: *mut Instance, level: u8) -> Status {
    // SAFETY: the caller's.
    guard(|| unsafe { borrow(plugin, "plugin")? }.set_log_level(level))
}
