//! Generative memory in C.

use std::ffi::c_char;
use std::ptr;

use super::guard::{borrow, boxed, free, guard, guard_or, input, out, output, text};
use super::status::Status;
use crate::error::Result;
use crate::generative::{Context, Generator, Snapshot};

/// A context that is not closed.
///
/// # Safety
/// `context` is NULL or live.
#[inline]
pub(super) unsafe fn readable<'a>(context: *const Context) -> Result<&'a Context> {
    // SAFETY: the caller's.
    let context = unsafe { borrow(context, "context")? };
    context.check_readable()?;
    Ok(context)
}

/// A context that is neither closed nor opened for reading only.
///
/// # Safety
/// `context` is NULL or live.
#[inline]
pub(super) unsafe fn writable<'a>(context: *const Context) -> Result<&'a Context> {
    // SAFETY: the caller's.
    let context = unsafe { borrow(context, "context")? };
    context.check_writable()?;
    Ok(context)
}

/// Makes a context of the generator "vrns16": 2^64 cells, none of them stored.
///
/// Ownership: the caller's, to be freed once with `gmem_context_free`.
/// Errors: NULL where memory is refused.
/// Threads: a context may be used from any number of threads at once.
#[unsafe(no_mangle)]
pub extern "C" fn gmem_context_new(seed: u64) -> *mut Context {
    guard_or(ptr::null_mut(), || boxed(Context::new(seed, Generator::Vrns16)))
}

/// The value of one cell: what was last written there, or else what the
/// generator gives. 0.0 for a NULL context.
///
/// # Safety
/// `context` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_fetch(context: *const Context, address: u64) -> f64 {
    // SAFETY: the caller's.
    guard_or(0.0, || Ok(unsafe { readable(context)? }.fetch(address)))
}

/// Writes one cell. Nothing happens for a NULL context or where memory is
/// refused; `gmem_context_write` tells of both.
///
/// # Safety
/// `context` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_write(context: *mut Context, address: u64, value: f64) {
    // SAFETY: the caller's.
    guard(|| unsafe { writable(context)? }.write(address, value));
}

/// The number of written cells. 0 for a NULL context.
///
/// # Safety
/// `context` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_overlay_count(context: *const Context) -> usize {
    // SAFETY: the caller's.
    guard_or(0, || Ok(unsafe { readable(context)? }.overlay_count()))
}

/// Frees a context. NULL is nothing.
///
/// Threads: no other may be using it.
///
/// # Safety
/// `context` is NULL or live, and not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_context_free(context: *mut Context) {
    // SAFETY: the caller's.
    unsafe { free(context) }
}

/// Fills `out` with the `n` cells from `start` on, wrapping past 2^64 - 1, on
/// the calling thread. Nothing happens for a NULL context or `out`.
///
/// # Safety
/// `context` is NULL or live; `out` is NULL or has room for `n` doubles.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_fill_tensor(
    context: *const Context,
    out: *mut f64,
    n: usize,
    start: u64,
) {
    // SAFETY: the caller's.
    unsafe { gmem_context_read(context, start, out, n, 1) };
}

/// Makes a context of a generator by name: "vrns16" or "philox".
///
/// Ownership: `*out_context` is the caller's, to be freed once with `gmem_context_free`.
/// Errors: NULL_ARGUMENT; INVALID_ARGUMENT for an unknown generator.
///
/// # Safety
/// `generator` is NULL or a NUL-terminated string; `out_context` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_context_new_with_generator(
    seed: u64,
    generator: *const c_char,
    out_context: *mut *mut Context,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (name, target) =
            unsafe { (text(generator, "generator")?, out(out_context, "out_context")?) };
        *target = boxed(Context::new(seed, Generator::from_name(name)?))?;
        Ok(())
    })
}

/// Makes an independent copy: the same seed, generator and overlay as of one
/// moment; later writes to either are not seen by the other.
///
/// Ownership: `*out_context` is the caller's, to be freed once with `gmem_context_free`.
/// Errors: NULL_ARGUMENT; NO_MEMORY.
///
/// # Safety
/// `context` is NULL or live; `out_context` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_context_fork(
    context: *const Context,
    out_context: *mut *mut Context,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (context, target) = unsafe { (readable(context)?, out(out_context, "out_context")?) };
        *target = boxed(context.fork()?)?;
        Ok(())
    })
}

/// The seed a context was made with. 0 for NULL.
///
/// # Safety
/// `context` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_context_seed(context: *const Context) -> u64 {
    // SAFETY: the caller's.
    guard_or(0, || Ok(unsafe { borrow(context, "context")? }.seed()))
}

/// The name of a context's generator. NULL for NULL.
///
/// Ownership: the library's, for ever.
///
/// # Safety
/// `context` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_context_generator(context: *const Context) -> *const c_char {
    // SAFETY: the caller's.
    guard_or(ptr::null(), || {
        Ok(unsafe { borrow(context, "context")? }.generator().c_name().as_ptr())
    })
}

/// Fills `out` with the `n` cells from `start` on, wrapping past 2^64 - 1.
/// `threads` is how many to use at most; 0 means one a core.
///
/// Errors: NULL_ARGUMENT; INVALID_ARGUMENT for an `n` beyond memory.
///
/// # Safety
/// `context` is NULL or live; `out` is NULL or has room for `n` doubles.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_context_read(
    context: *const Context,
    start: u64,
    out: *mut f64,
    n: usize,
    threads: usize,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (context, out) = unsafe { (readable(context)?, output(out, n, "out")?) };
        context.read(start, out, threads);
        Ok(())
    })
}

/// Fills `out` with `n` cells `step` apart from `start` on, wrapping past
/// 2^64 - 1. A backward step is its two's complement. `threads` as in
/// `gmem_context_read`.
///
/// Errors: NULL_ARGUMENT; INVALID_ARGUMENT for an `n` beyond memory.
///
/// # Safety
/// `context` is NULL or live; `out` is NULL or has room for `n` doubles.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_context_read_strided(
    context: *const Context,
    start: u64,
    step: u64,
    out: *mut f64,
    n: usize,
    threads: usize,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (context, out) = unsafe { (readable(context)?, output(out, n, "out")?) };
        context.read_strided(start, step, out, threads);
        Ok(())
    })
}

/// Fills `out` with the cells at `n` addresses, in their order. `threads` as in
/// `gmem_context_read`.
///
/// Errors: NULL_ARGUMENT; INVALID_ARGUMENT for an `n` beyond memory.
///
/// # Safety
/// `context` is NULL or live; `addresses` is NULL or has `n` elements; `out` is
/// NULL or has room for `n` doubles, and does not overlap `addresses`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_context_read_many(
    context: *const Context,
    addresses: *const u64,
    out: *mut f64,
    n: usize,
    threads: usize,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (context, addresses, out) = unsafe {
            (readable(context)?, input(addresses, n, "addresses")?, output(out, n, "out")?)
        };
        context.read_many(addresses, out, threads);
        Ok(())
    })
}

/// Writes one cell.
///
/// Errors: NULL_ARGUMENT; NO_MEMORY.
///
/// # Safety
/// `context` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_context_write(
    context: *mut Context,
    address: u64,
    value: f64,
) -> Status {
    // SAFETY: the caller's.
    guard(|| unsafe { writable(context)? }.write(address, value))
}

/// Writes `n` values to cells `step` apart from `start` on, wrapping past
/// 2^64 - 1. A backward step is its two's complement.
///
/// Errors: NULL_ARGUMENT; INVALID_ARGUMENT for an `n` beyond memory; NO_MEMORY,
/// where the values written until then stay.
///
/// # Safety
/// `context` is NULL or live; `values` is NULL or has `n` elements.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_context_write_strided(
    context: *mut Context,
    start: u64,
    step: u64,
    values: *const f64,
    n: usize,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (context, values) = unsafe { (writable(context)?, input(values, n, "values")?) };
        context.write_strided(start, step, values)
    })
}

/// Writes one value to `n` cells `step` apart from `start` on, as
/// `gmem_context_write_strided` does.
///
/// Errors: NULL_ARGUMENT; NO_MEMORY, where the cells written until then stay.
///
/// # Safety
/// `context` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_context_fill(
    context: *mut Context,
    start: u64,
    step: u64,
    n: usize,
    value: f64,
) -> Status {
    // SAFETY: the caller's.
    guard(|| unsafe { writable(context)? }.fill(start, step, n, value))
}

/// Writes `values[i]` at `addresses[i]` for `n` of them; where an address comes
/// twice, the later value stays. `threads` as in `gmem_context_read`.
///
/// Errors: NULL_ARGUMENT; INVALID_ARGUMENT for an `n` beyond memory; NO_MEMORY,
/// where the values written until then stay.
///
/// # Safety
/// `context` is NULL or live; `addresses` and `values` are NULL or have `n` elements.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_context_write_many(
    context: *mut Context,
    addresses: *const u64,
    values: *const f64,
    n: usize,
    threads: usize,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (context, addresses, values) = unsafe {
            (writable(context)?, input(addresses, n, "addresses")?, input(values, n, "values")?)
        };
        context.write_many(addresses, values, threads)
    })
}

/// Whether a cell is written. False for a NULL context.
///
/// # Safety
/// `context` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_context_is_written(context: *const Context, address: u64) -> bool {
    // SAFETY: the caller's.
    guard_or(false, || Ok(unsafe { readable(context)? }.is_written(address)))
}

/// Gives a cell its generated value back.
///
/// Errors: NULL_ARGUMENT.
///
/// # Safety
/// `context` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_context_erase(context: *mut Context, address: u64) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        unsafe { writable(context)? }.erase(address);
        Ok(())
    })
}

/// Gives the `n` cells from `start` on, wrapping past 2^64 - 1, their generated
/// values back. The time it takes grows with the written cells, not with `n`.
///
/// Errors: NULL_ARGUMENT.
///
/// # Safety
/// `context` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_context_erase_range(
    context: *mut Context,
    start: u64,
    n: u64,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        unsafe { writable(context)? }.erase_range(start, n);
        Ok(())
    })
}

/// Gives every cell its generated value back.
///
/// Errors: NULL_ARGUMENT.
///
/// # Safety
/// `context` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_context_clear(context: *mut Context) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        unsafe { writable(context)? }.clear();
        Ok(())
    })
}

/// Copies everything written, as of one moment, sorted by address.
///
/// Ownership: `*out_overlay` is the caller's, to be freed once with `gmem_overlay_free`.
/// Errors: NULL_ARGUMENT; NO_MEMORY.
///
/// # Safety
/// `context` is NULL or live; `out_overlay` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_overlay_new(
    context: *const Context,
    out_overlay: *mut *mut Snapshot,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (context, target) = unsafe { (readable(context)?, out(out_overlay, "out_overlay")?) };
        *target = boxed(context.snapshot()?)?;
        Ok(())
    })
}

/// The number of cells in a copy. 0 for NULL.
///
/// # Safety
/// `overlay` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_overlay_len(overlay: *const Snapshot) -> usize {
    // SAFETY: the caller's.
    guard_or(0, || Ok(unsafe { borrow(overlay, "overlay")? }.addresses.len()))
}

/// The addresses of a copy, in ascending order. NULL for NULL.
///
/// Ownership: the copy's; may not outlive it.
///
/// # Safety
/// `overlay` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_overlay_addresses(overlay: *const Snapshot) -> *const u64 {
    // SAFETY: the caller's.
    guard_or(ptr::null(), || Ok(unsafe { borrow(overlay, "overlay")? }.addresses.as_ptr()))
}

/// The values of a copy, in the order of its addresses. NULL for NULL.
///
/// Ownership: the copy's; may not outlive it.
///
/// # Safety
/// `overlay` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_overlay_values(overlay: *const Snapshot) -> *const f64 {
    // SAFETY: the caller's.
    guard_or(ptr::null(), || Ok(unsafe { borrow(overlay, "overlay")? }.values.as_ptr()))
}

/// Frees a copy. NULL is nothing.
///
/// # Safety
/// `overlay` is NULL or live, and not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_overlay_free(overlay: *mut Snapshot) {
    // SAFETY: the caller's.
    unsafe { free(overlay) }
}
