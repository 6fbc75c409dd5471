//! CUDA in C: whether there is a device, buffers of a pool on one, copies to and fro.

use std::ffi::{c_char, c_void};

use super::guard::{OrNull, borrow, guard, output};
use super::pool_buffers::PoolBuffer;
use super::status::Status;
use crate::error::Error;
use crate::pool::{Pool, cuda};

/// OK where there is a CUDA driver with at least one device.
///
/// Errors: UNSUPPORTED, and `gmem_last_error` says what is missing.
#[unsafe(no_mangle)]
pub extern "C" fn gmem_cuda_check() -> Status {
    guard(|| cuda::driver().map(|_| ()))
}

/// How many CUDA devices there are.
///
/// Errors: NULL_ARGUMENT; UNSUPPORTED where there is none; DEVICE.
///
/// # Safety
/// `out_count` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_cuda_device_count(out_count: *mut i32) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let count = unsafe { out_count.as_mut() }.or_null("out_count")?;
        *count = cuda::driver()?.device_count()?;
        Ok(())
    })
}

/// Writes the name of a CUDA device to `out`, cut to `len` bytes with the NUL after it.
///
/// Errors: NULL_ARGUMENT; UNSUPPORTED; OUT_OF_RANGE for a device that is not there;
/// DEVICE.
///
/// # Safety
/// `out` is NULL or has room for `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_cuda_device_name(
    device: i32,
    out: *mut c_char,
    len: usize,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let room = unsafe { output(out.cast::<u8>(), len, "out")? };
        let name = cuda::driver()?.device_name(device)?;
        if let Some(most) = room.len().checked_sub(1) {
            let n = (0..=most.min(name.len())).rfind(|&n| name.is_char_boundary(n)).unwrap_or(0);
            room[..n].copy_from_slice(&name.as_bytes()[..n]);
            room[n..].fill(0);
        }
        Ok(())
    })
}

/// Takes a buffer of `size` bytes on a CUDA device; otherwise as `gmem_pool_acquire`.
///
/// Errors: as `gmem_pool_acquire`; UNSUPPORTED without a driver; OUT_OF_RANGE for a device
/// that is not there; DEVICE.
///
/// # Safety
/// `pool` is NULL or live; `out_buffer` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_pool_acquire_cuda(
    pool: *const Pool,
    size: usize,
    device: i32,
    timeout: f64,
    out_buffer: *mut PoolBuffer,
) -> Status {
    // SAFETY: the caller's.
    unsafe {
        super::pool_buffers::held(pool, out_buffer, |pool| {
            pool.acquire_cuda(size, device, super::pool_buffers::timeout_of(timeout)?)
        })
    }
}

/// As `gmem_pool_preallocate`, on a CUDA device.
///
/// Errors: as `gmem_pool_acquire_cuda`, without waiting.
///
/// # Safety
/// `pool` is NULL or live; `out_indices` is NULL or has room for `count` numbers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_pool_preallocate_cuda(
    pool: *const Pool,
    size: usize,
    count: usize,
    device: i32,
    out_indices: *mut u32,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (pool, indices) =
            unsafe { (borrow(pool, "pool")?, output(out_indices, count, "out_indices")?) };
        pool.preallocate_cuda(size, device, indices)
    })
}

/// Copies `n` bytes between memory of the CPU (`device` -1) and of devices, and waits
/// until they are there.
///
/// Errors: NULL_ARGUMENT; UNSUPPORTED without a driver; OUT_OF_RANGE for a device that
/// is not there; DEVICE.
///
/// # Safety
/// `target` has room for `n` bytes and `source` has `n` bytes, each on its device.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_cuda_copy(
    target: *mut c_void,
    target_device: i32,
    source: *const c_void,
    source_device: i32,
    n: usize,
) -> Status {
    guard(|| {
        if n == 0 {
            return Ok(());
        }
        if target.is_null() {
            return Err(Error::NullArgument("target"));
        }
        if source.is_null() {
            return Err(Error::NullArgument("source"));
        }
        // SAFETY: the caller's.
        unsafe { cuda::copy(target as u64, target_device, source as u64, source_device, n) }
    })
}
