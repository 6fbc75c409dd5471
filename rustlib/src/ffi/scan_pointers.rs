//! Pointer maps in C, and the paths from modules to an address.

use std::ffi::{CString, c_char};

use super::guard::{OrNull, borrow, boxed, free, guard, guard_or, input, out, output};
use super::scan_control::{ScanControl, ScanRange, SkippedRange, ranges_in, with_control};
use super::scan_find::skipped;
use super::scan_source::SourceHandle;
use super::status::Status;
use crate::error::Error;
use crate::scan::pointers::{Paths, Pointers, resolve};

/// The pointers of a source at one moment.
pub struct PointerMap(Pointers);

/// The paths from modules to an address.
pub struct PointerPaths {
    paths: Paths,
    /// Paths of the modules' files.
    names: Vec<CString>,
}

/// Gathers all pointers in `ranges`, which must not overlap: values of 8 bytes, at
/// multiples of 8, that lie in a region of the source. It takes 16 bytes for each.
///
/// Ownership: `*out_pointers` is the caller's, to be freed once with `gmem_pointers_free`;
/// the source may be freed before.
/// Errors: INVALID_ARGUMENT; PERMISSION; IO, with errno ESRCH where a process has ended;
/// CANCELLED; NO_MEMORY.
///
/// # Safety
/// `source` is NULL or live; `ranges` points to `len_ranges`; `control` is NULL or as it
/// says; `out_pointers` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_pointers_new(
    source: *const SourceHandle,
    ranges: *const ScanRange,
    len_ranges: usize,
    control: *const ScanControl,
    out_pointers: *mut *mut PointerMap,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        unsafe {
            let source = borrow(source, "source")?;
            let ranges = ranges_in(ranges, len_ranges)?;
            let target = out(out_pointers, "out_pointers")?;
            with_control(control, |control| {
                *target = boxed(PointerMap(Pointers::new(&*source.0, &ranges, control)?))?;
                Ok(())
            })
        }
    })
}

/// How many pointers there are; 0 for NULL.
///
/// # Safety
/// `pointers` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_pointers_len(pointers: *const PointerMap) -> usize {
    // SAFETY: the caller's.
    guard_or(0, || Ok(unsafe { borrow(pointers, "pointers")? }.0.len()))
}

/// How many ranges could not be looked at; 0 for NULL.
///
/// # Safety
/// `pointers` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_pointers_skipped_len(pointers: *const PointerMap) -> usize {
    // SAFETY: the caller's.
    guard_or(0, || Ok(unsafe { borrow(pointers, "pointers")? }.0.skipped.len()))
}

/// One of them.
///
/// Errors: OUT_OF_RANGE.
///
/// # Safety
/// `pointers` is NULL or live; `out_range` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_pointers_skipped(
    pointers: *const PointerMap,
    index: usize,
    out_range: *mut SkippedRange,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        unsafe { skipped(&borrow(pointers, "pointers")?.0.skipped, index, out_range) }
    })
}

/// Frees a map. NULL is nothing.
///
/// # Safety
/// `pointers` is NULL or live, and not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_pointers_free(pointers: *mut PointerMap) {
    // SAFETY: the caller's.
    unsafe { free(pointers) }
}

/// Finds the paths from modules to `target` of at most `depth` pointers, 1 to 32, each of
/// which leads to at most `max_offset` bytes before the next one, or before the target. A
/// module is a mapped file with the zeroed memory that goes with it. A path ends at the
/// first pointer that lies in a module, and never goes twice through one pointer. The
/// shortest come first; those of one length in the order of the offset next to the target,
/// of where that pointer lies, of the offset before, and so on. At most `limit`, where 0 is
/// for all. Progress is told in pointers of depth, not in bytes.
///
/// Ownership: `*out_paths` is the caller's, to be freed once with `gmem_paths_free`; the map
/// may be freed before.
/// Errors: INVALID_ARGUMENT; CANCELLED; NO_MEMORY.
///
/// # Safety
/// `pointers` is NULL or live; `control` is NULL or as it says; `out_paths` is NULL or
/// writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_pointers_paths(
    pointers: *const PointerMap,
    target: u64,
    depth: u32,
    max_offset: u32,
    limit: usize,
    control: *const ScanControl,
    out_paths: *mut *mut PointerPaths,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        unsafe {
            let pointers = borrow(pointers, "pointers")?;
            let room = out(out_paths, "out_paths")?;
            with_control(control, |control| {
                let paths = pointers.0.paths(target, depth, max_offset, limit, control)?;
                let names = paths.modules().iter();
                let names = names.map(|name| CString::new(&**name).unwrap_or_default()).collect();
                *room = boxed(PointerPaths { paths, names })?;
                Ok(())
            })
        }
    })
}

/// How many paths there are; 0 for NULL.
///
/// # Safety
/// `paths` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_paths_len(paths: *const PointerPaths) -> usize {
    // SAFETY: the caller's.
    guard_or(0, || Ok(unsafe { borrow(paths, "paths")? }.paths.len()))
}

/// One path: the number of its module, the offset from the module's lowest address to the
/// first pointer, and what is added to each pointer read, the last of which gives the
/// target. `*out_depth` is how many there are.
///
/// Errors: OUT_OF_RANGE where there is no such path, or where `room` is less than that, with
/// `*out_depth` written all the same.
///
/// # Safety
/// `paths` is NULL or live; `out_offsets` has room for `room`; the others are NULL or
/// writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_paths_get(
    paths: *const PointerPaths,
    index: usize,
    out_module: *mut u32,
    out_offset: *mut u64,
    out_offsets: *mut i64,
    room: usize,
    out_depth: *mut usize,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (paths, module, offset, offsets, depth) = unsafe {
            (
                &borrow(paths, "paths")?.paths,
                out_module.as_mut().or_null("out_module")?,
                out_offset.as_mut().or_null("out_offset")?,
                output(out_offsets, room, "out_offsets")?,
                out_depth.as_mut().or_null("out_depth")?,
            )
        };
        let path = paths
            .get(index)
            .ok_or_else(|| Error::OutOfRange(format!("path {index} of {}", paths.len())))?;
        *depth = path.offsets.len();
        let offsets = offsets.get_mut(..path.offsets.len()).ok_or_else(|| {
            Error::OutOfRange(format!("the path has {} offsets, not {room}", path.offsets.len()))
        })?;
        for (to, &from) in offsets.iter_mut().zip(path.offsets) {
            *to = from.into();
        }
        (*module, *offset) = (path.module as u32, path.offset);
        Ok(())
    })
}

/// The path of a module's file. There are more modules than paths lead from.
///
/// Ownership: `*out_name` lives as long as `paths`.
/// Errors: OUT_OF_RANGE.
///
/// # Safety
/// `paths` is NULL or live; `out_name` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_paths_module(
    paths: *const PointerPaths,
    module: u32,
    out_name: *mut *const c_char,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (names, target) =
            unsafe { (&borrow(paths, "paths")?.names, out_name.as_mut().or_null("out_name")?) };
        let name = names
            .get(module as usize)
            .ok_or_else(|| Error::OutOfRange(format!("module {module} of {}", names.len())))?;
        *target = name.as_ptr();
        Ok(())
    })
}

/// Frees paths. NULL is nothing.
///
/// # Safety
/// `paths` is NULL or live, and not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_paths_free(paths: *mut PointerPaths) {
    // SAFETY: the caller's.
    unsafe { free(paths) }
}

/// Follows a path: reads the pointer at `base`, adds the first offset, reads the pointer
/// there, and so on. Without offsets `*out_address` is `base`.
///
/// Errors: NOT_FOUND with the address where there is no pointer to be read; PERMISSION; IO,
/// with errno ESRCH where a process has ended.
///
/// # Safety
/// `source` is NULL or live; `offsets` points to `len`; `out_address` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_source_resolve(
    source: *const SourceHandle,
    base: u64,
    offsets: *const i64,
    len: usize,
    out_address: *mut u64,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (source, offsets, target) = unsafe {
            (
                borrow(source, "source")?,
                input(offsets, len, "offsets")?,
                out_address.as_mut().or_null("out_address")?,
            )
        };
        *target = resolve(&*source.0, base, offsets)?;
        Ok(())
    })
}
