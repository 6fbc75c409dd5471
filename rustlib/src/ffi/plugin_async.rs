//! Calls that are made by workers, in C: submitted now, their responses taken later.

use std::ffi::{CStr, c_char, c_void};

use super::guard::{OrNull, borrow, boxed, free, guard, guard_or, input, out};
use super::status::Status;
use crate::error::{Error, Result};
use crate::plugin::queue::{PluginQueue, Request};
use crate::plugin::{Instance, PluginResponse};

/// What came of one call of a queue.
#[repr(C)]
pub struct PluginCompletion {
    token: u64,
    /// A `gmem_status`; where it is not OK, the response is the error's text.
    status: i32,
    /// Where the status is PLUGIN, the plugin's number.
    code: u32,
    /// Freed like any other, in any case.
    response: PluginResponse,
}

/// Makes a queue for calls of a plugin. Its workers are started as they are needed, at most
/// `threads`; what they have not begun waits, at most `capacity` calls.
///
/// Ownership: `*out_queue` is the caller's, to be freed once with `gmem_plugin_queue_free`, before
/// or after the plugin.
/// Errors: INVALID_ARGUMENT where `threads` or `capacity` is 0; IO where the system has no
/// descriptor left; PLUGIN with code 1 in a forked child.
///
/// # Safety
/// `plugin` is NULL or live; `out_queue` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_plugin_queue_new(
    plugin: *mut Instance,
    threads: usize,
    capacity: usize,
    out_queue: *mut *mut PluginQueue,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (plugin, target) = unsafe { (borrow(plugin, "plugin")?, out(out_queue, "out_queue")?) };
        *target = boxed(PluginQueue::new(plugin, threads, capacity)?)?;
        Ok(())
    })
}

/// A descriptor that can be read while there are completions to take; it is not to be read or
/// closed. On Windows it is a socket. -1 for NULL.
///
/// # Safety
/// `queue` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_plugin_queue_descriptor(queue: *const PluginQueue) -> i32 {
    // SAFETY: the caller's.
    guard_or(-1, || Ok(unsafe { borrow(queue, "queue")? }.descriptor()))
}

/// Submits a call by `tag`, or by `id` where `tag` is NULL. Its completion will have `token`.
/// The request is copied.
///
/// Errors: TIMEOUT where `capacity` calls wait already; PLUGIN as `gmem_plugin_call_raw` where
/// the call is refused; IO where not even one worker can be started.
///
/// # Safety
/// `queue` is NULL or live; `tag` is NULL or NUL-terminated; `request` points to `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_plugin_queue_submit(
    queue: *mut PluginQueue,
    token: u64,
    tag: *const c_char,
    id: u32,
    request: *const c_void,
    len: usize,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (queue, request) =
            unsafe { (borrow(queue, "queue")?, input(request.cast::<u8>(), len, "request")?) };
        let request = if tag.is_null() {
            Request::raw(id, request)
        } else {
            // SAFETY: not NULL, and the caller's.
            Request::tagged(unsafe { CStr::from_ptr(tag) }, request)
        };
        queue.submit(token, request?)
    })
}

/// Abandons a call: its completion never comes. `*out_unstarted` is whether it had not begun,
/// and now never will; one that runs goes on to its end, and what it gives is freed.
///
/// # Safety
/// `queue` is NULL or live; `out_unstarted` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_plugin_queue_cancel(
    queue: *mut PluginQueue,
    token: u64,
    out_unstarted: *mut bool,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let queue = unsafe { borrow(queue, "queue")? };
        // SAFETY: the caller's.
        let target = unsafe { out_unstarted.as_mut() }.or_null("out_unstarted")?;
        *target = queue.cancel(token);
        Ok(())
    })
}

/// What an error is in a completion: its status, its number, its text as a response.
fn completed(token: u64, result: Result<PluginResponse>) -> PluginCompletion {
    match result {
        Ok(response) if response.error_code == 0 => {
            PluginCompletion { token, status: Status::Ok as i32, code: 0, response }
        }
        Ok(response) => PluginCompletion {
            token,
            status: Status::Plugin as i32,
            code: response.error_code,
            response,
        },
        Err(error) => {
            let status = Status::from(&error) as i32;
            let code = if let Error::Plugin { code, .. } = error { code } else { 0 };
            let response = PluginResponse::of_text(error.to_string().into_bytes(), code);
            PluginCompletion { token, status, code, response }
        }
    }
}

/// Takes up to `capacity` completions, in the order in which they came; gives how many. The
/// descriptor cannot be read any more once the last was taken. 0 for NULL.
///
/// Ownership: the response of each is freed with `gmem_plugin_response_free`.
///
/// # Safety
/// `queue` is NULL or live; `out` has room for `capacity`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_plugin_queue_take(
    queue: *mut PluginQueue,
    out: *mut PluginCompletion,
    capacity: usize,
) -> usize {
    guard_or(0, || {
        // SAFETY: the caller's.
        let queue = unsafe { borrow(queue, "queue")? };
        if out.is_null() && capacity > 0 {
            return Err(Error::NullArgument("out"));
        }
        let mut taken = 0;
        queue.take(capacity, |token, result| {
            // SAFETY: the queue gives at most `capacity`; what is there is not looked at.
            unsafe { out.add(taken).write(completed(token, result)) };
            taken += 1;
        });
        Ok(taken)
    })
}

/// Frees a queue. Calls that have not begun are dropped; those that run go on to their end,
/// unseen. Never waits. NULL is nothing.
///
/// # Safety
/// `queue` is NULL or live, and not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_plugin_queue_free(queue: *mut PluginQueue) {
    // SAFETY: the caller's.
    unsafe { free(queue) }
}
