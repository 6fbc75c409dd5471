//! The library about itself: version, CPU path, and failures on purpose.

use std::ffi::{CStr, c_char};

use super::guard::{guard, output, text};
use super::status::{Status, remember};
use crate::cpu;
use crate::error::Error;
use crate::generative::vrns16;

/// What a caller was compiled with.
#[repr(u32)]
pub enum Abi {
    /// Raised when a function's signature or meaning changes; additions keep it.
    Version = 1,
}

const ABI_VERSION: u32 = Abi::Version as u32;

/// The version of the C ABI. A caller compiled against another one must not go on.
#[unsafe(no_mangle)]
pub extern "C" fn gmem_abi_version() -> u32 {
    ABI_VERSION
}

/// Whether a caller that was compiled with `gmem_abi_check(GMEM_ABI_VERSION)` may go on with
/// this library.
///
/// Errors: ABI_MISMATCH where the header was of another ABI than the library is.
#[unsafe(no_mangle)]
pub extern "C" fn gmem_abi_check(built_for: u32) -> Status {
    guard(|| {
        if built_for == ABI_VERSION {
            return Ok(());
        }
        Err(Error::AbiMismatch(format!(
            "this program was compiled with a gmemx.h of ABI {built_for}, but the library is of \
             ABI {ABI_VERSION} (gmemx {}): compile it again with the header of this library",
            env!("CARGO_PKG_VERSION")
        )))
    })
}

/// The library's version, such as "0.1.0".
///
/// Ownership: the library's, for ever.
#[unsafe(no_mangle)]
pub extern "C" fn gmem_version() -> *const c_char {
    const VERSION: &CStr =
        match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
            Ok(version) => version,
            Err(_) => panic!("the version has a NUL"),
        };
    VERSION.as_ptr()
}

/// The instruction set in use: "portable", "avx2" or "avx512". Every one gives the same bits.
///
/// Ownership: the library's, for ever.
#[unsafe(no_mangle)]
pub extern "C" fn gmem_cpu_path() -> *const c_char {
    match cpu::path() {
        cpu::Path::Portable => c"portable",
        cpu::Path::Avx2 => c"avx2",
        cpu::Path::Avx512 => c"avx512",
    }
    .as_ptr()
}

/// Selects the instruction set for the whole process, for tests and
/// measurements: "auto", "portable", "avx2" or "avx512".
///
/// Errors: NULL_ARGUMENT; INVALID_ARGUMENT for another name; UNSUPPORTED where
/// the CPU lacks it.
///
/// # Safety
/// `path` is NULL or a NUL-terminated string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_cpu_select(path: *const c_char) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        cpu::select(unsafe { text(path, "path")? })
    })
}

/// Fails with the given status on purpose, and panics inside for
/// GMEM_STATUS_PANIC: for testing what stands on top of this library.
///
/// Errors: `status` itself; INVALID_ARGUMENT where there is no such status.
#[unsafe(no_mangle)]
pub extern "C" fn gmem_debug_fail(status: i32) -> Status {
    let mut asked = Status::Ok;
    let result = guard(|| {
        asked = Status::ALL.into_iter().find(|known| *known as i32 == status).ok_or_else(|| {
            Error::InvalidArgument(format!("there is no gmem_status with the number {status}"))
        })?;
        assert!(asked != Status::Panic, "a panic was asked for");
        Ok(())
    });
    if result == Status::Ok && asked != Status::Ok {
        remember("this failure was asked for", 0);
        return asked;
    }
    result
}

/// Fills `out` with the cells of `vrns16` from `start` on by its scalar formula,
/// one address at a time: what the fast paths are measured against.
///
/// Errors: NULL_ARGUMENT; INVALID_ARGUMENT for an `n` beyond memory.
///
/// # Safety
/// `out` is NULL or has room for `n` doubles.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_debug_scalar_fill(
    seed: u64,
    start: u64,
    out: *mut f64,
    n: usize,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let out = unsafe { output(out, n, "out")? };
        for (j, slot) in out.iter_mut().enumerate() {
            *slot = vrns16::to_f64(vrns16::reference(seed, start.wrapping_add(j as u64)));
        }
        Ok(())
    })
}
