//! The functions of the CUDA driver library that are called, with the types of its ABI.

use std::ffi::{c_char, c_int, c_uint, c_void};

use libloading::Library;

/// CUresult.
pub type Code = c_int;
/// CUdevice.
pub type Handle = c_int;
/// CUdeviceptr.
pub type Address = u64;
/// CUcontext.
pub type Context = *mut c_void;
/// CUstream; NULL is the default one.
pub type Stream = *mut c_void;

/// CUipcMemHandle, which is passed by value.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct IpcHandle(pub [u8; 64]);

/// CUuuid.
#[repr(C)]
pub struct Uuid(pub [u8; 16]);

macro_rules! functions {
    ($($field:ident = $symbol:literal: fn($($argument:ty),*);)*) => {
        /// Each is what NVIDIA's manual of the driver API says of its name.
        pub struct Functions {
            $(pub $field: unsafe extern "system" fn($($argument),*) -> Code,)*
        }

        impl Functions {
            /// Finds them all, or names one that is missing.
            ///
            /// # Safety
            /// `library` has the ABI of the CUDA driver and is never closed.
            pub unsafe fn of(library: &Library) -> Result<Functions, &'static str> {
                Ok(Functions {
                    $(
                        // SAFETY: the type is that of the manual; the rest is the caller's.
                        $field: unsafe { library.get($symbol) }
                            .map(|found| *found)
                            .map_err(|_| $symbol)?,
                    )*
                })
            }
        }
    };
}

functions! {
    init = "cuInit": fn(c_uint);
    error_name = "cuGetErrorName": fn(Code, *mut *const c_char);
    device_count = "cuDeviceGetCount": fn(*mut c_int);
    device_get = "cuDeviceGet": fn(*mut Handle, c_int);
    device_name = "cuDeviceGetName": fn(*mut c_char, c_int, Handle);
    device_uuid = "cuDeviceGetUuid_v2": fn(*mut Uuid, Handle);
    context_retain = "cuDevicePrimaryCtxRetain": fn(*mut Context, Handle);
    context_push = "cuCtxPushCurrent_v2": fn(Context);
    context_pop = "cuCtxPopCurrent_v2": fn(*mut Context);
    alloc = "cuMemAlloc_v2": fn(*mut Address, usize);
    free = "cuMemFree_v2": fn(Address);
    ipc_export = "cuIpcGetMemHandle": fn(*mut IpcHandle, Address);
    ipc_import = "cuIpcOpenMemHandle_v2": fn(*mut Address, IpcHandle, c_uint);
    ipc_close = "cuIpcCloseMemHandle": fn(Address);
    copy_to_device = "cuMemcpyHtoD_v2": fn(Address, *const c_void, usize);
    copy_to_host = "cuMemcpyDtoH_v2": fn(*mut c_void, Address, usize);
    copy_within = "cuMemcpyDtoD_v2": fn(Address, Address, usize);
    copy_between = "cuMemcpyPeer": fn(Address, Context, Address, Context, usize);
    stream_wait = "cuStreamSynchronize": fn(Stream);
}
