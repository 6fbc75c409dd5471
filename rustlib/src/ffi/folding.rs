//! Reductions of generated cells in C, a step at a time.

use super::generative::readable;
use super::guard::{OrNull, borrow, boxed, free, guard, out};
use super::status::Status;
use crate::error::Error;
use crate::generative::{Context, Folding};
use crate::tensor::Reduction;

/// Begins to reduce `n` cells from `start` on, wrapping past 2^64 - 1, to their sum, mean,
/// minimum or maximum (`GMEM_REDUCTION_SUM` to `GMEM_REDUCTION_MAX`). Cells are folded as
/// they are made; none is stored.
///
/// Ownership: the caller's, to be freed once with `gmem_folding_free`.
/// Errors: `GMEM_STATUS_INVALID_ARGUMENT` for another reduction, and for the least or
/// greatest of nothing.
///
/// # Safety
/// `out_folding` is NULL or has room for one pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_folding_new(
    reduction: i32,
    start: u64,
    n: u64,
    out_folding: *mut *mut Folding,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let out = unsafe { out(out_folding, "out_folding")? };
        *out = boxed(Folding::new(Reduction::from_code(reduction)?, start, n)?)?;
        Ok(())
    })
}

/// Takes about `cells` more of a context's cells into a reduction, and tells how many are
/// left. The result has the same bits for steps of any size and any number of threads;
/// `threads` 0 means one a core.
///
/// Threads: one at a time for one reduction.
///
/// # Safety
/// `folding` and `context` are NULL or live; `out_left` is NULL or has room for one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_folding_carry_on(
    folding: *mut Folding,
    context: *const Context,
    cells: u64,
    threads: usize,
    out_left: *mut u64,
) -> Status {
    // SAFETY: the caller's.
    guard(|| unsafe {
        let folding = folding.as_mut().or_null("folding")?;
        let out = out_left.as_mut().or_null("out_left")?;
        readable(context)?.carry_on(folding, cells, threads);
        *out = folding.left();
        Ok(())
    })
}

/// The result of a reduction of which nothing is left.
///
/// Errors: `GMEM_STATUS_INVALID_ARGUMENT` where cells are left.
///
/// # Safety
/// `folding` is NULL or live; `out_value` is NULL or has room for one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_folding_value(
    folding: *const Folding,
    out_value: *mut f64,
) -> Status {
    // SAFETY: the caller's.
    guard(|| unsafe {
        let folding = borrow(folding, "folding")?;
        let out = out_value.as_mut().or_null("out_value")?;
        if folding.left() > 0 {
            let left = folding.left();
            return Err(Error::InvalidArgument(format!("{left} cells are left to take in")));
        }
        *out = folding.finish();
        Ok(())
    })
}

/// Frees a reduction. NULL is nothing.
///
/// # Safety
/// `folding` is NULL or live, and not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_folding_free(folding: *mut Folding) {
    // SAFETY: the caller's.
    unsafe { free(folding) };
}
