//! Scanners in files, in C.

use std::ffi::{c_char, c_void};
use std::path::Path;

use super::guard::{OrNull, borrow, boxed, copy_out, guard, input, out, text};
use super::scan::{ScannerOptions, options_of};
use super::scan_source::SourceHandle;
use super::status::Status;
use crate::scan::{Scanner, session};

/// Writes all that a scanner has to a file: types, matches with their values as last read,
/// as read the time before and as first read, checkpoints, and `len` bytes of notes that
/// are the caller's affair. Steps that could be undone are not in it. The file has its name
/// only once it is whole; what was there before is replaced. Nobody else may read it, as
/// it has another's memory in it.
///
/// Errors: FILE_NOT_FOUND where there is no such folder; PERMISSION; IO. What was there
/// before stays then.
///
/// # Safety
/// `scanner` is NULL or live; `path` is NULL or a NUL-terminated string; `notes` points to
/// `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_scanner_save(
    scanner: *const Scanner,
    path: *const c_char,
    notes: *const c_void,
    len: usize,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (scanner, path, notes) = unsafe {
            (
                borrow(scanner, "scanner")?,
                text(path, "path")?,
                input(notes.cast::<u8>(), len, "notes")?,
            )
        };
        session::save(scanner, Path::new(path), notes)
    })
}

/// Makes a scanner of a file that `gmem_scanner_save` wrote, to go on with on `source`,
/// which may be another than it was. Its types, alignment and byte order are the file's: see
/// `gmem_scanner_types` and `gmem_scanner_layout`. Of `options`, NULL or not, only memory,
/// folder and history are looked at.
///
/// Ownership: as of `gmem_scanner_new`.
/// Errors: FILE_NOT_FOUND; PERMISSION; IO; INVALID_ARGUMENT where it is another file, or is
/// damaged; NO_MEMORY.
///
/// # Safety
/// `source` is NULL or live; `path` is NULL or a NUL-terminated string; `options` is NULL or
/// as it says; `out_scanner` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_scanner_load(
    source: *const SourceHandle,
    path: *const c_char,
    options: *const ScannerOptions,
    out_scanner: *mut *mut Scanner,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (source, path, options, target) = unsafe {
            (
                borrow(source, "source")?,
                text(path, "path")?,
                options_of(options)?,
                out(out_scanner, "out_scanner")?,
            )
        };
        *target = boxed(session::load(source.0.clone(), Path::new(path), options)?)?;
        Ok(())
    })
}

/// The notes in a file that `gmem_scanner_save` wrote, without the rest. They are copied
/// where `room` is enough; `*out_len` is their length in any case.
///
/// Errors: as `gmem_scanner_load`.
///
/// # Safety
/// `path` is NULL or a NUL-terminated string; `out_notes` is NULL or has `room` bytes;
/// `out_len` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_scanner_notes(
    path: *const c_char,
    out_notes: *mut u8,
    room: usize,
    out_len: *mut usize,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let notes = session::notes(Path::new(unsafe { text(path, "path")? }))?;
        // SAFETY: the caller's.
        unsafe { copy_out(&notes, out_notes, room, out_len, "out_notes") }
    })
}

/// The types of a scanner, as `gmem_value_type`, in its order. They are copied where `room`
/// is enough; `*out_len` is how many there are in any case.
///
/// Errors: NULL_ARGUMENT.
///
/// # Safety
/// `scanner` is NULL or live; `out_types` is NULL or has room for `room`; `out_len` is NULL
/// or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_scanner_types(
    scanner: *const Scanner,
    out_types: *mut i32,
    room: usize,
    out_len: *mut usize,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let layouts = unsafe { borrow(scanner, "scanner")? }.layouts();
        let types: Vec<i32> = layouts.iter().map(|layout| layout.value_type as i32).collect();
        // SAFETY: the caller's.
        unsafe { copy_out(&types, out_types, room, out_len, "out_types") }
    })
}

/// The alignment of a scanner, 0 for each type's own size, and its byte order.
///
/// Errors: NULL_ARGUMENT.
///
/// # Safety
/// `scanner` is NULL or live; the others are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_scanner_layout(
    scanner: *const Scanner,
    out_alignment: *mut u32,
    out_big_endian: *mut bool,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (scanner, alignment, big_endian) = unsafe {
            (
                borrow(scanner, "scanner")?,
                out_alignment.as_mut().or_null("out_alignment")?,
                out_big_endian.as_mut().or_null("out_big_endian")?,
            )
        };
        let options = scanner.options();
        (*alignment, *big_endian) = (options.alignment, options.big_endian);
        Ok(())
    })
}
