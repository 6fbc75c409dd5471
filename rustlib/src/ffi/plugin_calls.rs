//! Calls of plugins, in C, and the responses they give.

use std::ffi::{CStr, c_char, c_void};
use std::ptr;

use super::guard::{OrNull, borrow, guard, guard_or, input, output};
use super::status::Status;
use crate::error::{Error, Result};
use crate::plugin::{Instance, PluginResponse};

/// One request of many.
#[repr(C)]
pub struct PluginRequest {
    data: *const c_void,
    len: usize,
}

/// # Safety
/// `pointer` is NULL or has room for a response during `'a`.
unsafe fn room(pointer: *mut PluginResponse) -> Result<*mut PluginResponse> {
    if pointer.is_null() { Err(Error::NullArgument("out_response")) } else { Ok(pointer) }
}

/// Calls by tag: `json` is the request, as the plugin takes it. The request is only read
/// during the call. Where flag 1 is set, the response is the payload alone, out of an
/// envelope `{"status":"success","payload":...}`; else it is all that the plugin answered.
///
/// Ownership: `*out_response` is freed once with `gmem_plugin_response_free`.
/// Errors: PLUGIN where the plugin answered with an error, or is shut down (code 1), or the
/// call comes from a log callback or in a forked child (code 1): `gmem_last_plugin_code` has
/// the number, `gmem_last_error` the plugin's text, which may be JSON.
///
/// # Safety
/// `plugin` is NULL or live; `tag` is NULL or NUL-terminated; `json` points to `len` bytes;
/// `out_response` is NULL or has room for one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_plugin_call(
    plugin: *mut Instance,
    tag: *const c_char,
    json: *const u8,
    len: usize,
    out_response: *mut PluginResponse,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (plugin, json, target) =
            unsafe { (borrow(plugin, "plugin")?, input(json, len, "json")?, room(out_response)?) };
        if tag.is_null() {
            return Err(Error::NullArgument("tag"));
        }
        // SAFETY: not NULL, and the caller's.
        let tag = unsafe { CStr::from_ptr(tag) };
        let visit = plugin.enter()?;
        // SAFETY: the caller's.
        unsafe { visit.call(tag, json).move_to(target) }
    })
}

/// Calls by number, with a request and a response of bytes. The request is only read during
/// the call.
///
/// Ownership: `*out_response` is freed once with `gmem_plugin_response_free`.
/// Errors: as `gmem_plugin_call`; PLUGIN with code 12 where it takes no binary calls.
///
/// # Safety
/// `plugin` is NULL or live; `request` points to `len` bytes; `out_response` is NULL or has
/// room for one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_plugin_call_raw(
    plugin: *mut Instance,
    id: u32,
    request: *const c_void,
    len: usize,
    out_response: *mut PluginResponse,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (plugin, request, target) = unsafe {
            (
                borrow(plugin, "plugin")?,
                input(request.cast::<u8>(), len, "request")?,
                room(out_response)?,
            )
        };
        let visit = plugin.enter()?;
        // SAFETY: the caller's.
        unsafe { visit.raw()?.call(id, request).move_to(target) }
    })
}

/// As `gmem_plugin_call_raw`, with the response copied into `out`, which has room for
/// `capacity` bytes. `*out_len` is its length, also where it does not fit: then the call was
/// made, and its response is lost.
///
/// Errors: as `gmem_plugin_call_raw`; OUT_OF_RANGE where `out` is too small.
///
/// # Safety
/// `plugin` is NULL or live; `request` points to `len` bytes, `out` to room for `capacity`,
/// which do not overlap; `out_len` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_plugin_call_into(
    plugin: *mut Instance,
    id: u32,
    request: *const c_void,
    len: usize,
    out: *mut c_void,
    capacity: usize,
    out_len: *mut usize,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (plugin, request, out) = unsafe {
            (
                borrow(plugin, "plugin")?,
                input(request.cast::<u8>(), len, "request")?,
                output(out.cast::<u8>(), capacity, "out")?,
            )
        };
        // SAFETY: the caller's.
        let out_len = unsafe { out_len.as_mut() }.or_null("out_len")?;
        let response = plugin.enter()?.raw()?.call(id, request).checked()?;
        let bytes = response.bytes();
        *out_len = bytes.len();
        match out.get_mut(..bytes.len()) {
            Some(room) => room.copy_from_slice(bytes),
            None => {
                return Err(Error::OutOfRange(format!(
                    "the response has {} bytes, out has room for {capacity}",
                    bytes.len()
                )));
            }
        }
        Ok(())
    })
}

/// Makes `n` calls one after the other, all of them, and is in flight from the first to the
/// last. What comes of each is in its response: where `error_code` is not 0, the data is the
/// error's text.
///
/// Ownership: each response is freed by itself with `gmem_plugin_response_free`.
/// Errors: as `gmem_plugin_call_raw`, but not what the plugin answers; then nothing was called.
///
/// # Safety
/// `plugin` is NULL or live; `requests` points to `n`, each of which points to its bytes;
/// `out_responses` has room for `n`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_plugin_call_batch(
    plugin: *mut Instance,
    id: u32,
    requests: *const PluginRequest,
    n: usize,
    out_responses: *mut PluginResponse,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (plugin, requests) =
            unsafe { (borrow(plugin, "plugin")?, input(requests, n, "requests")?) };
        if n > 0 && out_responses.is_null() {
            return Err(Error::NullArgument("out_responses"));
        }
        // SAFETY: the caller's.
        let bytes = |request: &PluginRequest| unsafe {
            input(request.data.cast::<u8>(), request.len, "a request's data")
        };
        // All of them before the first is sent.
        requests.iter().try_for_each(|request| bytes(request).map(drop))?;
        let visit = plugin.enter()?;
        let raw = visit.raw()?;
        for (i, request) in requests.iter().enumerate() {
            let response = raw.call(id, bytes(request)?);
            // SAFETY: room for n; what is there is not looked at.
            unsafe { out_responses.add(i).write(response) };
        }
        Ok(())
    })
}

/// Frees a response through the plugin it came from, and makes it all zeros: freeing it once
/// more is nothing, as is NULL. It may be done after `gmem_plugin_shutdown` and
/// `gmem_plugin_free`. In a forked child the memory stays.
///
/// # Safety
/// `response` is NULL, or a response that was not copied and freed elsewhere.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_plugin_response_free(response: *mut PluginResponse) {
    guard_or((), || {
        if !response.is_null() {
            // SAFETY: not NULL, and the caller's.
            drop(unsafe { ptr::replace(response, PluginResponse::default()) });
        }
        Ok(())
    });
}
