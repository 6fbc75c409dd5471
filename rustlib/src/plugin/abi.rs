//! What a plugin library exports, byte for byte.

use std::ffi::{c_char, c_void};

/// A response to a call by tag, returned by value.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct FfiBuffer {
    pub data: *mut u8,
    pub len: usize,
    pub capacity: usize,
    /// 0, or why it failed: see [`code`].
    pub error_code: u32,
}

/// A response to a binary call, returned by value.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct RbResponse {
    pub error_code: u32,
    pub len: u32,
    pub capacity: u32,
    pub data: *mut c_void,
}

const _: () = assert!(size_of::<FfiBuffer>() == 32 && size_of::<RbResponse>() == 24);

/// Level, target with a NUL, message without one and its length. On any thread, at any time.
pub type LogCallback =
    unsafe extern "C" fn(level: u8, target: *const c_char, message: *const u8, len: usize);

pub type Create = unsafe extern "C" fn() -> *mut c_void;
pub type CreateWithConfig = unsafe extern "C" fn(*const u8, usize) -> *mut c_void;
pub type Init =
    unsafe extern "C" fn(*mut c_void, *const u8, usize, Option<LogCallback>) -> *mut c_void;
pub type Call = unsafe extern "C" fn(*mut c_void, *const c_char, *const u8, usize) -> FfiBuffer;
pub type FreeBuffer = unsafe extern "C" fn(*mut FfiBuffer);
pub type Shutdown = unsafe extern "C" fn(*mut c_void) -> bool;
pub type SetLogLevel = unsafe extern "C" fn(*mut c_void, u8);
pub type GetState = unsafe extern "C" fn(*mut c_void) -> u8;
pub type GetRejectedCount = unsafe extern "C" fn(*mut c_void) -> u64;
pub type CallRaw = unsafe extern "C" fn(*mut c_void, u32, *const c_void, usize) -> RbResponse;
pub type FreeResponse = unsafe extern "C" fn(*mut RbResponse);

/// Why a plugin refused or failed: the numbers that the host uses too.
pub mod code {
    pub const INVALID_STATE: u32 = 1;
    pub const INITIALIZATION_FAILED: u32 = 2;
    pub const CONFIG_ERROR: u32 = 4;
    pub const FFI: u32 = 12;
}

/// A plugin's state after its shutdown, while it is shut down, and where there is none.
pub mod state {
    pub const STOPPING: u8 = 3;
    pub const STOPPED: u8 = 4;
    pub const INVALID: u8 = 255;
}

/// The highest log level: nothing is logged.
pub const LEVEL_OFF: u8 = 5;
/// The level of errors.
pub const LEVEL_ERROR: u8 = 4;
