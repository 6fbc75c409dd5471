//! What crosses the boundary, byte for byte.

use std::ffi::{c_char, c_void};
use std::ptr;

use crate::error::Error;

/// An answer to a call by tag.
#[repr(C)]
#[derive(Debug)]
pub struct Buffer {
    pub data: *mut u8,
    pub len: usize,
    pub capacity: usize,
    /// 0, or a [`Code`](crate::Code).
    pub error_code: u32,
}

/// An answer to a binary call.
#[repr(C)]
#[derive(Debug)]
pub struct Response {
    /// 0, or a [`Code`](crate::Code).
    pub error_code: u32,
    pub len: u32,
    pub capacity: u32,
    pub data: *mut c_void,
}

const _: () = assert!(size_of::<Buffer>() == 32 && size_of::<Response>() == 24);

/// Level, target with a NUL, message and its length.
pub type LogCallback = unsafe extern "C" fn(u8, *const c_char, *const u8, usize);

impl Buffer {
    pub(crate) fn new(bytes: Vec<u8>, error_code: u32) -> Buffer {
        let (data, len, capacity) = parts(bytes);
        Buffer { data, len, capacity, error_code }
    }

    /// Gives the memory back, once.
    ///
    /// # Safety
    /// It is as a plugin of this library made it.
    pub unsafe fn free(&mut self) {
        if self.capacity > 0 {
            // SAFETY: these are the parts of the vector that `new` took apart.
            drop(unsafe { Vec::from_raw_parts(self.data, self.len, self.capacity) });
        }
        *self = Buffer { data: ptr::null_mut(), len: 0, capacity: 0, error_code: 0 };
    }
}

impl Response {
    pub(crate) fn new(mut bytes: Vec<u8>) -> Response {
        if bytes.len() > u32::MAX as usize {
            return Response::failure(&Error::serialization("the response is 4 GiB or longer"));
        }
        if bytes.capacity() > u32::MAX as usize {
            bytes.shrink_to_fit();
        }
        Response::of(bytes, 0)
    }

    /// Text with a NUL, which the length counts.
    pub(crate) fn failure(error: &Error) -> Response {
        let mut text = error.to_string().into_bytes();
        text.truncate(1 << 20);
        text.push(0);
        Response::of(text, error.code as u32)
    }

    fn of(bytes: Vec<u8>, error_code: u32) -> Response {
        let (data, len, capacity) = parts(bytes);
        match (u32::try_from(len), u32::try_from(capacity)) {
            (Ok(len), Ok(capacity)) => Response { error_code, len, capacity, data: data.cast() },
            // An allocator that gives 4 GiB where less was asked for: the memory is lost.
            _ => Response { error_code: 11, len: 0, capacity: 0, data: ptr::null_mut() },
        }
    }

    /// Gives the memory back, once.
    ///
    /// # Safety
    /// It is as a plugin of this library made it.
    pub unsafe fn free(&mut self) {
        if self.capacity > 0 {
            let (len, capacity) = (self.len as usize, self.capacity as usize);
            // SAFETY: these are the parts of the vector that `of` took apart.
            drop(unsafe { Vec::from_raw_parts(self.data.cast::<u8>(), len, capacity) });
        }
        *self = Response { error_code: 0, len: 0, capacity: 0, data: ptr::null_mut() };
    }
}

/// NULL where there is nothing to free.
fn parts(bytes: Vec<u8>) -> (*mut u8, usize, usize) {
    if bytes.capacity() == 0 {
        return (ptr::null_mut(), 0, 0);
    }
    let mut bytes = std::mem::ManuallyDrop::new(bytes);
    (bytes.as_mut_ptr(), bytes.len(), bytes.capacity())
}
