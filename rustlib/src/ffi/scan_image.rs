//! What can be scanned in place of a process, in C: bytes, files, core dumps.

use std::ffi::{c_char, c_void};
use std::path::Path;
use std::sync::Arc;

use super::guard::{boxed, guard, out, output, text};
use super::scan_source::SourceHandle;
use super::status::Status;
use crate::error::Result;
use crate::scan::Source;
use crate::scan::image::{Bytes, Core, File};

fn give(target: &mut *mut SourceHandle, source: impl Source + 'static) -> Result<()> {
    *target = boxed(SourceHandle(Arc::new(source)))?;
    Ok(())
}

/// Makes a source of `len` bytes of this process, as if they lay at `address`. They are
/// read where they are, without a copy.
///
/// Ownership: the bytes stay the caller's, and must live until the source and all that was
/// made of it are freed. `*out_source` is to be freed once with `gmem_source_free`.
/// Errors: INVALID_ARGUMENT where `address` and `len` go beyond the last address.
/// Threads: whoever writes to the bytes meanwhile does so as a live target would.
///
/// # Safety
/// `data` points to `len` bytes, which may be written to if `writable`; `out_source` is NULL
/// or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_source_from_bytes(
    data: *mut c_void,
    len: usize,
    address: u64,
    writable: bool,
    out_source: *mut *mut SourceHandle,
) -> Status {
    guard(|| {
        // SAFETY: the caller's; the slice is only looked at for its address and length.
        unsafe {
            let target = out(out_source, "out_source")?;
            let bytes = output(data.cast::<u8>(), len, "data")?;
            give(target, Bytes::new(bytes.as_mut_ptr(), bytes.len(), address, writable)?)
        }
    })
}

/// Opens a file for reading, as if its first byte lay at `address`. It is never mapped: if
/// it is cut off, reads end earlier.
///
/// Ownership: `*out_source` is the caller's, to be freed once with `gmem_source_free`.
/// Errors: FILE_NOT_FOUND; PERMISSION; IO; INVALID_ARGUMENT where it is neither a file nor
/// a block device, or goes beyond the last address.
///
/// # Safety
/// `path` is NULL or a NUL-terminated string; `out_source` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_source_open_file(
    path: *const c_char,
    address: u64,
    out_source: *mut *mut SourceHandle,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (path, target) = unsafe { (text(path, "path")?, out(out_source, "out_source")?) };
        give(target, File::open(Path::new(path), address)?)
    })
}

/// Opens an ELF core dump of a little-endian machine, of 32 or 64 bits. What it does not
/// have is skipped as `GMEM_SKIP_REASON_NOT_DUMPED`.
///
/// Ownership: `*out_source` is the caller's, to be freed once with `gmem_source_free`.
/// Errors: FILE_NOT_FOUND; PERMISSION; IO; INVALID_ARGUMENT where it is no such dump, or
/// is cut off.
///
/// # Safety
/// `path` is NULL or a NUL-terminated string; `out_source` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_source_open_core(
    path: *const c_char,
    out_source: *mut *mut SourceHandle,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (path, target) = unsafe { (text(path, "path")?, out(out_source, "out_source")?) };
        give(target, Core::open(Path::new(path))?)
    })
}
