//! Scanners in C: scan after scan over a source, and what they found.

use std::ffi::{c_char, c_void};
use std::path::PathBuf;
use std::slice;

use super::guard::{OrNull, borrow, boxed, free, guard, guard_or, input, out, output, text};
use super::scan_control::{ScanControl, ScanRange, SkippedRange, ranges_in, with_control};
use super::scan_source::SourceHandle;
use super::status::Status;
use crate::error::{Error, Result};
use crate::scan::edit::Edit;
use crate::scan::matches::Which;
use crate::scan::test::{Against, Bounds, Kind, Test};
use crate::scan::{Options, Scanner, ValueType};

/// How a scanner works.
#[repr(C)]
pub struct ScannerOptions {
    /// Bytes of values kept in memory, beyond which they go to files without names in
    /// `folder`; 0 for half of what the machine has free.
    memory: u64,
    /// NULL for the folder for temporary files.
    folder: *const c_char,
    /// How many steps can be undone.
    history: usize,
    /// Cells begin at multiples of it, a power of two up to 4096; 0 for each type's size.
    alignment: u32,
    big_endian: bool,
}

/// The earlier value that a new one is compared with.
#[repr(i32)]
#[derive(Clone, Copy)]
pub enum ScanAgainst {
    /// The one read last.
    Last = 0,
    /// The one read first.
    First = 1,
    /// The one saved under `checkpoint`.
    Checkpoint = 2,
}

/// The bounds of one type. Values are given by their bits, integers extended to 64.
#[repr(C)]
pub struct ScanBounds {
    lo: u64,
    hi: u64,
    /// No value of this type can be within.
    none: bool,
}

/// What a scan asks of each cell.
#[repr(C)]
pub struct ScanTest {
    /// A `gmem_scan_kind`.
    kind: i32,
    /// A `gmem_scan_against`.
    against: i32,
    /// NULL unless it is compared with.
    checkpoint: *const c_char,
    /// One for each type of the scanner; NULL where the kind has none.
    bounds: *const ScanBounds,
    /// Turns the test round.
    negate: bool,
}

/// # Safety
/// `options` is NULL or points to one whose folder is NULL or a string.
pub(super) unsafe fn options_of(options: *const ScannerOptions) -> Result<Options> {
    let folder = std::env::temp_dir();
    // SAFETY: the caller's.
    let Some(given) = (unsafe { options.as_ref() }) else {
        return Ok(Options { alignment: 0, big_endian: false, history: 10, memory: 0, folder });
    };
    let folder = match given.folder.is_null() {
        true => folder,
        // SAFETY: the caller's.
        false => PathBuf::from(unsafe { text(given.folder, "folder")? }),
    };
    let ScannerOptions { alignment, big_endian, history, memory, .. } = *given;
    Ok(Options { alignment, big_endian, history, memory, folder })
}

/// Makes a scanner for values of some types, given as `gmem_value_type`. `options` NULL is
/// 10 steps of history and zeros.
///
/// Ownership: `*out_scanner` is the caller's, to be freed once with `gmem_scanner_free`; it
/// keeps what it needs of the source.
/// Errors: INVALID_ARGUMENT.
///
/// # Safety
/// `source` is NULL or live; `types` points to `len_types`; `options` is NULL or as it
/// says; `out_scanner` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_scanner_new(
    source: *const SourceHandle,
    types: *const i32,
    len_types: usize,
    options: *const ScannerOptions,
    out_scanner: *mut *mut Scanner,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (source, types, options, target) = unsafe {
            (
                borrow(source, "source")?,
                input(types, len_types, "types")?,
                options_of(options)?,
                out(out_scanner, "out_scanner")?,
            )
        };
        let types =
            types.iter().map(|&code| ValueType::from_code(code)).collect::<Result<Vec<_>>>()?;
        *target = boxed(Scanner::new(source.0.clone(), &types, options)?)?;
        Ok(())
    })
}

/// Frees a scanner and all it found. NULL is nothing.
///
/// # Safety
/// `scanner` is NULL or live, and not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_scanner_free(scanner: *mut Scanner) {
    // SAFETY: the caller's.
    unsafe { free(scanner) }
}

/// # Safety
/// `test` is NULL or points to one whose pointers are as it says.
unsafe fn with_test(
    test: *const ScanTest,
    types: usize,
    work: impl FnOnce(&Test) -> Result<()>,
) -> Result<()> {
    // SAFETY: the caller's.
    let given = unsafe { borrow(test, "test")? };
    let kind = Kind::from_code(given.kind)?;
    const LAST: i32 = ScanAgainst::Last as i32;
    const FIRST: i32 = ScanAgainst::First as i32;
    const CHECKPOINT: i32 = ScanAgainst::Checkpoint as i32;
    let against = match given.against {
        LAST => Against::Last,
        FIRST => Against::First,
        // SAFETY: the caller's.
        CHECKPOINT => Against::Checkpoint(unsafe { text(given.checkpoint, "checkpoint")? }),
        code => {
            return Err(Error::InvalidArgument(format!(
                "{code} is no gmem_scan_against: wanted 0 to 2"
            )));
        }
    };
    let bounds: Vec<Bounds> = if kind.bounded() {
        // SAFETY: the caller's.
        let bounds = unsafe { input(given.bounds, types, "bounds")? };
        let bounds = bounds.iter();
        bounds.map(|b| Bounds { lo: b.lo, hi: b.hi, none: b.none }).collect()
    } else {
        Vec::new()
    };
    work(&Test { kind, against, negate: given.negate, bounds: &bounds })
}

/// The first scan: looks at every cell of `ranges`, which must not overlap. Only the kinds
/// ANY and WITHIN can be asked for. Memory that the target has never touched counts as the
/// zeros that it would read, and is not touched here either. Checkpoints are forgotten.
///
/// Errors: INVALID_ARGUMENT; PERMISSION; IO, with errno ESRCH where a process has ended;
/// CANCELLED; NO_MEMORY. What was found before stays then.
/// Threads: one scan of a scanner at a time; others wait. Results can be read meanwhile.
///
/// # Safety
/// `scanner` is NULL or live; `ranges` points to `len_ranges`; the others are NULL or as
/// they say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_scanner_first(
    scanner: *const Scanner,
    ranges: *const ScanRange,
    len_ranges: usize,
    test: *const ScanTest,
    control: *const ScanControl,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        unsafe {
            let scanner = borrow(scanner, "scanner")?;
            let ranges = ranges_in(ranges, len_ranges)?;
            with_test(test, scanner.layouts().len(), |test| {
                with_control(control, |control| scanner.first(&ranges, test, control))
            })
        }
    })
}

/// A later scan: reads the matches anew and keeps those that pass; the kind ANY keeps all
/// that can still be read.
///
/// Errors: as `gmem_scanner_first`; NOT_FOUND where there is no such checkpoint.
/// Threads: as `gmem_scanner_first`.
///
/// # Safety
/// `scanner` is NULL or live; the others are NULL or as they say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_scanner_next(
    scanner: *const Scanner,
    test: *const ScanTest,
    control: *const ScanControl,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        unsafe {
            let scanner = borrow(scanner, "scanner")?;
            with_test(test, scanner.layouts().len(), |test| {
                with_control(control, |control| scanner.next(test, control))
            })
        }
    })
}

/// Keeps the matches of a type for which `keep` is not 0, as a step that can be undone.
/// `type_index` SIZE_MAX is for those of all types, one type after the other.
///
/// Errors: INVALID_ARGUMENT where `len` is not their number; OUT_OF_RANGE.
///
/// # Safety
/// `scanner` is NULL or live; `keep` points to `len`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_scanner_retain(
    scanner: *const Scanner,
    type_index: usize,
    keep: *const u8,
    len: usize,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (scanner, keep) = unsafe { (borrow(scanner, "scanner")?, input(keep, len, "keep")?) };
        scanner.retain((type_index != usize::MAX).then_some(type_index), keep)
    })
}

/// Goes back to what was found before the last scan.
///
/// Errors: NOT_FOUND where there is no step left.
///
/// # Safety
/// `scanner` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_scanner_undo(scanner: *const Scanner) -> Status {
    // SAFETY: the caller's.
    guard(|| unsafe { borrow(scanner, "scanner")? }.undo())
}

/// How many steps can be undone; 0 for NULL.
///
/// # Safety
/// `scanner` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_scanner_steps(scanner: *const Scanner) -> usize {
    // SAFETY: the caller's.
    guard_or(0, || Ok(unsafe { borrow(scanner, "scanner")? }.steps()))
}

/// How many matches of a type there are; 0 before the first scan and for NULL.
///
/// # Safety
/// `scanner` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_scanner_count(scanner: *const Scanner, type_index: usize) -> u64 {
    // SAFETY: the caller's.
    guard_or(0, || Ok(unsafe { borrow(scanner, "scanner")? }.count(type_index)))
}

/// Matches `start` to `start + len` of a type, in the order of their addresses: where they
/// are, and their values as last read, as read the time before, and as first read. Each
/// array may be NULL.
///
/// Errors: OUT_OF_RANGE; INVALID_ARGUMENT before the first scan.
///
/// # Safety
/// `scanner` is NULL or live; the arrays that are not NULL have room for `len` elements.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_scanner_get(
    scanner: *const Scanner,
    type_index: usize,
    start: u64,
    len: usize,
    out_addresses: *mut u64,
    out_current: *mut c_void,
    out_previous: *mut c_void,
    out_first: *mut c_void,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let scanner = unsafe { borrow(scanner, "scanner")? };
        let found = scanner.found()?;
        let matches = &found.matches[scanner.type_index(type_index)?];
        let size = matches.value_type.size();
        if !out_addresses.is_null() {
            // SAFETY: the caller's.
            matches.addresses(start, unsafe { output(out_addresses, len, "out_addresses")? })?;
        }
        for (target, which) in [
            (out_current, Which::Current),
            (out_previous, Which::Previous),
            (out_first, Which::First),
        ] {
            if !target.is_null() {
                // SAFETY: the caller's.
                let room = unsafe { output(target.cast::<u8>(), len * size, "values")? };
                scanner.values_of(matches, which, start, room)?;
            }
        }
        Ok(())
    })
}

/// How many ranges the last scan could not look at.
///
/// # Safety
/// `scanner` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_scanner_skipped_len(scanner: *const Scanner) -> usize {
    // SAFETY: the caller's.
    guard_or(0, || {
        Ok(unsafe { borrow(scanner, "scanner")? }.found().map_or(0, |found| found.skipped.len()))
    })
}

/// One of them.
///
/// Errors: OUT_OF_RANGE.
///
/// # Safety
/// `scanner` is NULL or live; `out_range` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_scanner_skipped(
    scanner: *const Scanner,
    index: usize,
    out_range: *mut SkippedRange,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let found = unsafe { borrow(scanner, "scanner")? }.found()?;
        let range = found.skipped.get(index).ok_or_else(|| {
            Error::OutOfRange(format!("skipped range {index} of {}", found.skipped.len()))
        })?;
        // SAFETY: the caller's.
        *unsafe { out_range.as_mut() }.or_null("out_range")? = (*range).into();
        Ok(())
    })
}

/// Reads the values that the matches have now and saves them under a name. What later scans
/// compare with by default stays.
///
/// Errors: as `gmem_scanner_next`.
///
/// # Safety
/// `scanner` is NULL or live; `name` is NULL or a NUL-terminated string; `control` is NULL
/// or as it says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_scanner_checkpoint_save(
    scanner: *const Scanner,
    name: *const c_char,
    control: *const ScanControl,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        unsafe {
            let (scanner, name) = (borrow(scanner, "scanner")?, text(name, "name")?);
            with_control(control, |control| scanner.save_checkpoint(name, control))
        }
    })
}

/// Forgets a checkpoint.
///
/// Errors: NOT_FOUND.
///
/// # Safety
/// `scanner` is NULL or live; `name` is NULL or a NUL-terminated string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_scanner_checkpoint_delete(
    scanner: *const Scanner,
    name: *const c_char,
) -> Status {
    // SAFETY: the caller's.
    guard(|| unsafe { borrow(scanner, "scanner")?.delete_checkpoint(text(name, "name")?) })
}

/// How many checkpoints there are.
///
/// # Safety
/// `scanner` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_scanner_checkpoints(scanner: *const Scanner) -> usize {
    // SAFETY: the caller's.
    guard_or(0, || Ok(unsafe { borrow(scanner, "scanner")? }.checkpoints().len()))
}

/// The name of one of them, in the order of names: copied to `out_name` with a NUL behind
/// it, where there is room. `*out_len` is its length without that.
///
/// Errors: OUT_OF_RANGE.
///
/// # Safety
/// `scanner` is NULL or live; `out_name` is NULL or has `room` bytes; `out_len` is NULL or
/// writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_scanner_checkpoint_name(
    scanner: *const Scanner,
    index: usize,
    out_name: *mut c_char,
    room: usize,
    out_len: *mut usize,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let names = unsafe { borrow(scanner, "scanner")? }.checkpoints();
        let name = names
            .get(index)
            .ok_or_else(|| Error::OutOfRange(format!("checkpoint {index} of {}", names.len())))?;
        if !out_name.is_null() && room > name.len() {
            // SAFETY: the caller's.
            let target =
                unsafe { slice::from_raw_parts_mut(out_name.cast::<u8>(), name.len() + 1) };
            target[..name.len()].copy_from_slice(name.as_bytes());
            target[name.len()] = 0;
        }
        // SAFETY: the caller's.
        *unsafe { out_len.as_mut() }.or_null("out_len")? = name.len();
        Ok(())
    })
}

/// Keeps the matches that changed alike between three checkpoints: those with
/// `|d1 - d2| / max(|d1|, |d2|) * 100 <= margin_percent`, where d1 = b - a and d2 = c - b,
/// and those with two deltas near zero.
///
/// Errors: NOT_FOUND; INVALID_ARGUMENT for a margin below 0; CANCELLED.
///
/// # Safety
/// `scanner` is NULL or live; the names are NULL or NUL-terminated strings; `control` is
/// NULL or as it says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_scanner_checkpoint_filter(
    scanner: *const Scanner,
    a: *const c_char,
    b: *const c_char,
    c: *const c_char,
    margin_percent: f64,
    control: *const ScanControl,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        unsafe {
            let scanner = borrow(scanner, "scanner")?;
            let names = [text(a, "a")?, text(b, "b")?, text(c, "c")?];
            with_control(control, |control| {
                scanner.filter_checkpoint(names, margin_percent, control)
            })
        }
    })
}

/// Bytes of values that a scanner keeps in memory and on disk.
///
/// # Safety
/// `scanner` is NULL or live; the others are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_scanner_memory(
    scanner: *const Scanner,
    out_ram: *mut u64,
    out_disk: *mut u64,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (ram, disk) = unsafe { borrow(scanner, "scanner")? }.memory();
        // SAFETY: the caller's.
        unsafe {
            let (out_ram, out_disk) =
                (out_ram.as_mut().or_null("out_ram")?, out_disk.as_mut().or_null("out_disk")?);
            (*out_ram, *out_disk) = (ram, disk);
        }
        Ok(())
    })
}

/// Changes the values at `len` addresses, or at all matches where `addresses` is NULL, as a
/// `gmem_scan_edit` says, with an operand for each type given by its bits. Values are read,
/// changed and checked before any is written. `*out_written` counts those that were.
///
/// Errors: OVERFLOW where a result does not fit its type; INVALID_ARGUMENT for a division
/// by zero, and for addresses where the scanner has several types; OUT_OF_RANGE where an
/// address has no memory; as `gmem_source_write`.
///
/// # Safety
/// `scanner` is NULL or live; `operands` has one for each type; `addresses` is NULL or
/// points to `len`; `out_written` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_scanner_edit(
    scanner: *const Scanner,
    edit: i32,
    operands: *const u64,
    addresses: *const u64,
    len: usize,
    force: bool,
    out_written: *mut u64,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let scanner = unsafe { borrow(scanner, "scanner")? };
        // SAFETY: the caller's.
        let (operands, addresses, written) = unsafe {
            (
                input(operands, scanner.layouts().len(), "operands")?,
                (!addresses.is_null()).then(|| input(addresses, len, "addresses")).transpose()?,
                out_written.as_mut().or_null("out_written")?,
            )
        };
        *written = scanner.edit(Edit::from_code(edit)?, operands, addresses, force)?;
        Ok(())
    })
}
