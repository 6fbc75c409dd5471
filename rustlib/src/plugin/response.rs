//! What a plugin answered, which is freed by the plugin's own function.

use std::ffi::c_void;
use std::{ptr, slice};

use super::abi::{FfiBuffer, FreeBuffer, FreeResponse, RbResponse};
use super::{envelope, fork};
use crate::error::{Error, Result};

/// The data is a payload out of its envelope.
pub const PAYLOAD: u32 = 1;

/// A plugin's answer, in memory that is the plugin's.
#[repr(C)]
#[derive(Debug)]
pub struct PluginResponse {
    /// NULL where it is empty.
    pub data: *const u8,
    pub len: usize,
    /// Not 0 where the data is the text of an error: the plugin's number for it.
    pub error_code: u32,
    /// 1: the data is a payload out of its envelope.
    pub flags: u32,
    /// What it is freed by: data, length and capacity as the plugin gave them, and how.
    origin: [*mut c_void; 4],
}

/// How what a response points to is freed.
#[derive(Clone, Copy, Debug)]
pub struct Release {
    how: How,
    /// Where it was made: a forked child leaves its parent's alone.
    generation: u32,
}

#[derive(Clone, Copy, Debug)]
enum How {
    Nothing,
    /// A boxed slice of our own.
    Text,
    Buffer(FreeBuffer),
    Response(FreeResponse),
}

impl Release {
    pub const NOTHING: Release = Release { how: How::Nothing, generation: 0 };
    const TEXT: &'static Release = &Release { how: How::Text, generation: 0 };

    pub fn buffer(free: FreeBuffer) -> Release {
        Release { how: How::Buffer(free), generation: fork::generation() }
    }

    pub fn response(free: FreeResponse) -> Release {
        Release { how: How::Response(free), generation: fork::generation() }
    }
}

// SAFETY: the memory belongs to the response alone, and a plugin frees on any thread.
unsafe impl Send for PluginResponse {}

impl Default for PluginResponse {
    /// Empty, with nothing to free.
    fn default() -> PluginResponse {
        PluginResponse {
            data: ptr::null(),
            len: 0,
            error_code: 0,
            flags: 0,
            origin: [ptr::null_mut(); 4],
        }
    }
}

impl PluginResponse {
    #[inline]
    fn new(
        data: *mut u8,
        len: usize,
        capacity: usize,
        error_code: u32,
        release: &'static Release,
    ) -> PluginResponse {
        let origin = [
            data.cast(),
            ptr::without_provenance_mut(len),
            ptr::without_provenance_mut(capacity),
            ptr::from_ref(release).cast_mut().cast(),
        ];
        // Longer than memory can be is as wrong as a length of nothing.
        let len = if data.is_null() || len > isize::MAX as usize { 0 } else { len };
        let data = if len == 0 { ptr::null() } else { data };
        PluginResponse { data, len, error_code, flags: 0, origin }
    }

    /// # Safety
    /// The plugin gave it just now, and `release` is of the same plugin.
    #[inline]
    pub(super) unsafe fn of_buffer(given: FfiBuffer, release: &'static Release) -> PluginResponse {
        let FfiBuffer { data, len, capacity, error_code } = given;
        let mut response = PluginResponse::new(data, len, capacity, error_code, release);
        if error_code != 0 {
            response.without_nul();
        } else if let Some(payload) = envelope::payload(response.bytes()).map(<[u8]>::as_ptr_range)
        {
            response.data = payload.start;
            response.len = payload.end.addr() - payload.start.addr();
            response.flags = PAYLOAD;
        }
        response
    }

    /// # Safety
    /// The plugin gave it just now, and `release` is of the same plugin.
    #[inline]
    pub(super) unsafe fn of_raw(given: RbResponse, release: &'static Release) -> PluginResponse {
        let (len, capacity) = (given.len as usize, given.capacity as usize);
        let mut response =
            PluginResponse::new(given.data.cast(), len, capacity, given.error_code, release);
        if given.error_code != 0 {
            response.without_nul();
        }
        response
    }

    /// What the host says in a plugin's place.
    pub fn of_text(text: Vec<u8>, error_code: u32) -> PluginResponse {
        let text = Box::leak(text.into_boxed_slice());
        PluginResponse::new(text.as_mut_ptr(), text.len(), 0, error_code, Release::TEXT)
    }

    /// The texts of errors may end with a NUL that is counted.
    #[cold]
    fn without_nul(&mut self) {
        if let [.., 0] = self.bytes() {
            self.len -= 1;
        }
    }

    pub fn bytes(&self) -> &[u8] {
        if self.len == 0 {
            return &[];
        }
        // SAFETY: the plugin's promise, of which the data is a part; ours until it is freed.
        unsafe { slice::from_raw_parts(self.data, self.len) }
    }

    /// An error where it is one.
    #[inline]
    pub fn checked(self) -> Result<PluginResponse> {
        if self.error_code == 0 { Ok(self) } else { Err(self.into_error()) }
    }

    /// Moves it to where it is wanted, once; or gives the error that it is.
    ///
    /// # Safety
    /// `target` has room for one.
    #[inline(always)]
    pub unsafe fn move_to(self, target: *mut PluginResponse) -> Result<()> {
        if self.error_code != 0 {
            return Err(self.into_error());
        }
        // SAFETY: the caller's; what is there is not looked at.
        unsafe { target.write(self) };
        Ok(())
    }

    #[cold]
    fn into_error(self) -> Error {
        let code = self.error_code;
        let text = match self.bytes() {
            [] => format!("the plugin gave error {code} without a text"),
            bytes => String::from_utf8_lossy(bytes).into_owned(),
        };
        Error::Plugin { code, text }
    }
}

impl Drop for PluginResponse {
    #[inline]
    fn drop(&mut self) {
        let [data, len, capacity, release] = self.origin;
        // SAFETY: NULL, or one that lives for ever.
        let Some(release) = (unsafe { release.cast::<Release>().as_ref() }) else { return };
        let inherited = || release.generation != fork::generation();
        match release.how {
            How::Nothing => {}
            How::Text => {
                let text = ptr::slice_from_raw_parts_mut(data.cast::<u8>(), len.addr());
                // SAFETY: what `of_text` leaked.
                drop(unsafe { Box::from_raw(text) });
            }
            How::Buffer(free) if !inherited() => {
                let mut given = FfiBuffer {
                    data: data.cast(),
                    len: len.addr(),
                    capacity: capacity.addr(),
                    error_code: self.error_code,
                };
                // SAFETY: as the plugin gave it, once, by its own function.
                unsafe { free(&raw mut given) };
            }
            How::Response(free) if !inherited() => {
                let mut given = RbResponse {
                    error_code: self.error_code,
                    // They were as short as this when they came.
                    len: len.addr() as u32,
                    capacity: capacity.addr() as u32,
                    data,
                };
                // SAFETY: as the plugin gave it, once, by its own function.
                unsafe { free(&raw mut given) };
            }
            How::Buffer(_) | How::Response(_) => {}
        }
    }
}
