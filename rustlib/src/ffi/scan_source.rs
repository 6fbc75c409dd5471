//! What can be scanned, in C: opening it, its regions, reading and writing it.

use std::ffi::{CString, c_char, c_void};
use std::sync::Arc;

use super::guard::{OrNull, borrow, boxed, free, guard, guard_or, input, out, output};
use super::status::Status;
use crate::error::{Error, Result};
use crate::scan::{Process, Source, edit};

/// An address space that can be read, and perhaps written.
pub struct SourceHandle(pub(super) Arc<dyn Source>);

/// The regions of a source at one moment.
pub struct Regions {
    list: Vec<crate::scan::Region>,
    names: Vec<CString>,
}

/// Addresses `start` to `end` of a source.
#[repr(C)]
pub struct RegionInfo {
    start: u64,
    /// The first address behind it.
    end: u64,
    /// Where in its file it begins, in bytes; the file's inode, 0 without one.
    offset: u64,
    inode: u64,
    /// The path, the kernel's name in brackets, or empty; lives as long as the list.
    name: *const c_char,
    /// 1 to read, 2 to write, 4 to execute, 8 shared.
    permissions: u32,
    /// A `gmem_region_kind`.
    kind: i32,
    device_major: u32,
    device_minor: u32,
}

/// Opens a live process. It is held by a descriptor: should its number be given to another
/// process later, that one is never touched.
///
/// Ownership: `*out_source` is the caller's, to be freed once with `gmem_source_free`.
/// Errors: INVALID_ARGUMENT where `pid` is none; IO with errno ESRCH where there is no such
/// process; PERMISSION with the reason and what would help.
///
/// # Safety
/// `out_source` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_source_open_process(
    pid: u32,
    out_source: *mut *mut SourceHandle,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let target = unsafe { out(out_source, "out_source")? };
        *target = boxed(SourceHandle(Arc::new(Process::open(pid)?)))?;
        Ok(())
    })
}

/// Frees a source; scanners made of it keep what they need. A process that is stopped is
/// resumed when the last of them has gone. NULL is nothing.
///
/// # Safety
/// `source` is NULL or live, and not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_source_free(source: *mut SourceHandle) {
    // SAFETY: the caller's.
    unsafe { free(source) }
}

/// Whether a process still runs; always for other sources. False for NULL.
///
/// # Safety
/// `source` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_source_alive(source: *const SourceHandle) -> bool {
    // SAFETY: the caller's.
    guard_or(false, || Ok(unsafe { borrow(source, "source")? }.0.alive()))
}

/// Lists all regions as they are now, in the order of their addresses.
///
/// Ownership: `*out_regions` is the caller's, to be freed once with `gmem_regions_free`.
/// Errors: PERMISSION; IO, with errno ESRCH where a process has ended.
///
/// # Safety
/// `source` is NULL or live; `out_regions` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_source_regions(
    source: *const SourceHandle,
    out_regions: *mut *mut Regions,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (source, target) =
            unsafe { (borrow(source, "source")?, out(out_regions, "out_regions")?) };
        let list = source.0.regions()?;
        let name = |name: &str| CString::new(name).unwrap_or_default();
        let names = list.iter().map(|region| name(&region.name)).collect();
        *target = boxed(Regions { list, names })?;
        Ok(())
    })
}

/// How many there are; 0 for NULL.
///
/// # Safety
/// `regions` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_regions_len(regions: *const Regions) -> usize {
    // SAFETY: the caller's.
    guard_or(0, || Ok(unsafe { borrow(regions, "regions")? }.list.len()))
}

/// Region `index` of the list.
///
/// Errors: OUT_OF_RANGE.
///
/// # Safety
/// `regions` is NULL or live; `out_region` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_regions_get(
    regions: *const Regions,
    index: usize,
    out_region: *mut RegionInfo,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let regions = unsafe { borrow(regions, "regions")? };
        // SAFETY: the caller's.
        let target = unsafe { out_region.as_mut() }.or_null("out_region")?;
        let region = regions.list.get(index).ok_or_else(|| {
            Error::OutOfRange(format!("region {index} of {}", regions.list.len()))
        })?;
        *target = RegionInfo {
            start: region.start,
            end: region.end,
            offset: region.offset,
            inode: region.inode,
            name: regions.names[index].as_ptr(),
            permissions: region.permissions,
            kind: region.kind as i32,
            device_major: region.device.0,
            device_minor: region.device.1,
        };
        Ok(())
    })
}

/// Frees a list of regions and their names. NULL is nothing.
///
/// # Safety
/// `regions` is NULL or live, and not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_regions_free(regions: *mut Regions) {
    // SAFETY: the caller's.
    unsafe { free(regions) }
}

fn count(done: usize, target: *mut usize, name: &'static str) -> Result<()> {
    // SAFETY: the caller's, who says that it is NULL or writable.
    *unsafe { target.as_mut() }.or_null(name)? = done;
    Ok(())
}

/// Reads `len` bytes from `address` on. `*out_read` is less at a hole: what lies behind it
/// is not touched.
///
/// Errors: PERMISSION; IO, with errno ESRCH where a process has ended.
///
/// # Safety
/// `source` is NULL or live; `out_bytes` has room for `len`; `out_read` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_source_read(
    source: *const SourceHandle,
    address: u64,
    out_bytes: *mut c_void,
    len: usize,
    out_read: *mut usize,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (source, bytes) = unsafe {
            (borrow(source, "source")?, output(out_bytes.cast::<u8>(), len, "out_bytes")?)
        };
        count(source.0.read(address, bytes)?, out_read, "out_read")
    })
}

/// Reads `itemsize` bytes at each of `len` addresses, in any order. `out_read` is 1 for
/// each that could be read and 0 for the others, whose bytes are undefined.
///
/// Errors: as `gmem_source_read`; INVALID_ARGUMENT for an `itemsize` of 0.
///
/// # Safety
/// `source` is NULL or live; the arrays have `len` elements, `out_values` of `itemsize`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_source_read_many(
    source: *const SourceHandle,
    addresses: *const u64,
    len: usize,
    itemsize: usize,
    out_values: *mut c_void,
    out_read: *mut u8,
) -> Status {
    guard(|| {
        let bytes = bytes_of(len, itemsize)?;
        // SAFETY: the caller's.
        let (source, addresses, values, read) = unsafe {
            (
                borrow(source, "source")?,
                input(addresses, len, "addresses")?,
                output(out_values.cast::<u8>(), bytes, "out_values")?,
                output(out_read, len, "out_read")?,
            )
        };
        edit::read_many(&*source.0, addresses, itemsize, values, read)
    })
}

fn bytes_of(len: usize, itemsize: usize) -> Result<usize> {
    if itemsize == 0 {
        return Err(Error::InvalidArgument("itemsize is 0".into()));
    }
    len.checked_mul(itemsize)
        .ok_or_else(|| Error::Overflow(format!("{len} values of {itemsize} bytes are too many")))
}

/// Writes `len` bytes from `address` on and reads them back. `*out_written` is less where
/// something cannot be written; with `force` also what the target itself may only read is.
///
/// Errors: PERMISSION; IO where what was written did not stay, with errno ESRCH where a
/// process has ended. A source that can only be read gives PERMISSION.
///
/// # Safety
/// `source` is NULL or live; `bytes` points to `len`; `out_written` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_source_write(
    source: *const SourceHandle,
    address: u64,
    bytes: *const c_void,
    len: usize,
    force: bool,
    out_written: *mut usize,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (source, bytes) =
            unsafe { (borrow(source, "source")?, input(bytes.cast::<u8>(), len, "bytes")?) };
        count(edit::write(&*source.0, address, bytes, force)?, out_written, "out_written")
    })
}

/// Writes `itemsize` bytes at each of `len` addresses. `out_written` is 1 for each that
/// could be written and 0 for the others.
///
/// Errors: as `gmem_source_write`; INVALID_ARGUMENT for an `itemsize` of 0.
///
/// # Safety
/// `source` is NULL or live; the arrays have `len` elements, `values` of `itemsize`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_source_write_many(
    source: *const SourceHandle,
    addresses: *const u64,
    len: usize,
    itemsize: usize,
    values: *const c_void,
    force: bool,
    out_written: *mut u8,
) -> Status {
    guard(|| {
        let bytes = bytes_of(len, itemsize)?;
        // SAFETY: the caller's.
        let (source, addresses, values, written) = unsafe {
            (
                borrow(source, "source")?,
                input(addresses, len, "addresses")?,
                input(values.cast::<u8>(), bytes, "values")?,
                output(out_written, len, "out_written")?,
            )
        };
        edit::write_many(&*source.0, addresses, itemsize, values, force, written)
    })
}

/// Stops a process by SIGSTOP and waits until it stands still. Calls nest: it goes on after
/// as many of `gmem_source_resume`. `*out_stopped` is false where somebody else had stopped
/// it, who will resume it too.
///
/// Errors: PERMISSION; IO, with errno ESRCH where it has ended; UNSUPPORTED for sources that
/// do not run; INVALID_ARGUMENT for the calling process itself.
///
/// # Safety
/// `source` is NULL or live; `out_stopped` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_source_stop(
    source: *const SourceHandle,
    out_stopped: *mut bool,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let source = unsafe { borrow(source, "source")? };
        // SAFETY: the caller's.
        let target = unsafe { out_stopped.as_mut() }.or_null("out_stopped")?;
        *target = source.0.stop()?;
        Ok(())
    })
}

/// Takes one `gmem_source_stop` back.
///
/// Errors: INVALID_ARGUMENT where it was not stopped.
///
/// # Safety
/// `source` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_source_resume(source: *const SourceHandle) -> Status {
    // SAFETY: the caller's.
    guard(|| unsafe { borrow(source, "source")? }.0.resume())
}
