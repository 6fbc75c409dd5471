//! Finding patterns of bytes, in C.

use super::guard::{OrNull, borrow, boxed, free, guard, guard_or, input, out};
use super::scan_control::{ScanControl, ScanRange, SkippedRange, ranges_in, with_control};
use super::scan_source::SourceHandle;
use super::status::Status;
use crate::error::Error;
use crate::scan::Skipped;
use crate::scan::pattern::{Found, Pattern, find};

/// Where a pattern was found.
pub struct FoundAddresses(Found);

/// Finds all places of `ranges`, which must not overlap, where the bytes of `needle` lie,
/// across ranges that abut too. `mask` has the bits of it that count; NULL is all. With
/// `ignore_case` an ASCII letter whose bits all count stands for both its forms. Only
/// addresses that are multiples of `alignment`, a power of two, are given, and of these the
/// lowest `limit`, where 0 is for all.
///
/// Ownership: `*out_found` is the caller's, to be freed once with `gmem_found_free`.
/// Errors: INVALID_ARGUMENT where nothing of the pattern counts, or the ranges or the
/// alignment make no sense; PERMISSION; IO, with errno ESRCH where a process has ended;
/// CANCELLED; NO_MEMORY.
///
/// # Safety
/// `source` is NULL or live; `ranges` points to `len_ranges`, `needle` and, unless it is
/// NULL, `mask` to `len`; `control` is NULL or as it says; `out_found` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_source_find(
    source: *const SourceHandle,
    ranges: *const ScanRange,
    len_ranges: usize,
    needle: *const u8,
    mask: *const u8,
    len: usize,
    alignment: u32,
    limit: usize,
    ignore_case: bool,
    control: *const ScanControl,
    out_found: *mut *mut FoundAddresses,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (source, ranges, needle, target) = unsafe {
            (
                borrow(source, "source")?,
                ranges_in(ranges, len_ranges)?,
                input(needle, len, "needle")?,
                out(out_found, "out_found")?,
            )
        };
        let mask = match mask.is_null() {
            true => None,
            // SAFETY: the caller's.
            false => Some(unsafe { input(mask, len, "mask")? }),
        };
        let pattern = Pattern::new(needle, mask, ignore_case)?;
        // SAFETY: the caller's.
        unsafe {
            with_control(control, |control| {
                let found = find(&*source.0, &ranges, &pattern, alignment, limit, control)?;
                *target = boxed(FoundAddresses(found))?;
                Ok(())
            })
        }
    })
}

/// How many addresses there are; 0 for NULL.
///
/// # Safety
/// `found` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_found_len(found: *const FoundAddresses) -> usize {
    // SAFETY: the caller's.
    guard_or(0, || Ok(unsafe { borrow(found, "found")? }.0.addresses.len()))
}

/// The addresses, the lowest first; NULL for NULL.
///
/// Ownership: they live as long as `found`.
///
/// # Safety
/// `found` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_found_data(found: *const FoundAddresses) -> *const u64 {
    // SAFETY: the caller's.
    guard_or(std::ptr::null(), || Ok(unsafe { borrow(found, "found")? }.0.addresses.as_ptr()))
}

/// How many ranges could not be looked at; 0 for NULL.
///
/// # Safety
/// `found` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_found_skipped_len(found: *const FoundAddresses) -> usize {
    // SAFETY: the caller's.
    guard_or(0, || Ok(unsafe { borrow(found, "found")? }.0.skipped.len()))
}

/// One of them.
///
/// Errors: OUT_OF_RANGE.
///
/// # Safety
/// `found` is NULL or live; `out_range` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_found_skipped(
    found: *const FoundAddresses,
    index: usize,
    out_range: *mut SkippedRange,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        unsafe { skipped(&borrow(found, "found")?.0.skipped, index, out_range) }
    })
}

/// # Safety
/// `out_range` is NULL or writable.
pub(super) unsafe fn skipped(
    list: &[Skipped],
    index: usize,
    out_range: *mut SkippedRange,
) -> crate::error::Result<()> {
    let range = list
        .get(index)
        .ok_or_else(|| Error::OutOfRange(format!("skipped range {index} of {}", list.len())))?;
    // SAFETY: the caller's.
    *unsafe { out_range.as_mut() }.or_null("out_range")? = (*range).into();
    Ok(())
}

/// Frees what was found. NULL is nothing.
///
/// # Safety
/// `found` is NULL or live, and not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_found_free(found: *mut FoundAddresses) {
    // SAFETY: the caller's.
    unsafe { free(found) }
}
