//! Arrays of generated cells in C.

use std::ffi::c_void;

use super::generative::{readable, writable};
use super::guard::{OrNull, borrow, boxed, free, guard, input, out, output};
use super::status::Status;
use crate::error::{Error, Result};
use crate::generative::{
    Array, ArrayFold, ArrayFolding, Context, Distribution, DistributionKind, Held, Truth,
};
use crate::tensor::DType;

/// What elements are distributed like, as a function of their cells' uniform values:
///  - `GMEM_DISTRIBUTION_KIND_UNIFORM`: from `a` to `b`, both of which may occur; with 0 and
///    1 an element is its cell;
///  - `GMEM_DISTRIBUTION_KIND_NORMAL`: mean `a`, standard deviation `b`;
///  - `GMEM_DISTRIBUTION_KIND_INTEGERS`: the integers from `a` to `b`, the latter not among
///    them: at most 2^53, and none beyond 2^53;
///  - `GMEM_DISTRIBUTION_KIND_BERNOULLI`: 1 with probability `a`, otherwise 0;
///  - `GMEM_DISTRIBUTION_KIND_CHOICE`: `values[i]` where the uniform value is below
///    `cumulative[i]` and not below the one before, and the last from there on; `n` of each.
///    A NULL `cumulative` makes all as likely.
///
/// What a kind does not name is not looked at.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct DistributionSpec {
    pub kind: i32,
    pub a: f64,
    pub b: f64,
    pub values: *const f64,
    pub cumulative: *const f64,
    pub n: usize,
}

/// An array: the element of some indices is the cell at `offset` plus each index times its
/// stride, which counts cells; modulo 2^64. `dtype` is a `gmem_dtype`: bool, an integer
/// type, float32 or float64. Written cells are read as they are, converted to that.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ArraySpec {
    pub offset: u64,
    pub ndim: usize,
    pub shape: *const u64,
    pub strides: *const i64,
    pub dtype: i32,
    pub distribution: DistributionSpec,
}

/// # Safety
/// `spec` is NULL or live, with as many extents, strides and values as it says.
unsafe fn array<'a>(spec: *const ArraySpec) -> Result<Array<'a>> {
    // SAFETY: the caller's, from here on.
    let spec = unsafe { borrow(spec, "array")? };
    let shape = unsafe { input(spec.shape, spec.ndim, "shape")? };
    let strides = unsafe { input(spec.strides, spec.ndim, "strides")? };
    let DistributionSpec { kind, a, b, values, cumulative, n } = spec.distribution;
    let distribution = match DistributionKind::from_code(kind)? {
        DistributionKind::Uniform => Distribution::uniform(a, b)?,
        DistributionKind::Normal => Distribution::normal(a, b)?,
        DistributionKind::Integers => Distribution::integers(a, b)?,
        DistributionKind::Bernoulli => Distribution::bernoulli(a)?,
        DistributionKind::Choice => {
            let given = if cumulative.is_null() { 0 } else { n };
            let cumulative = unsafe { input(cumulative, given, "cumulative")? };
            Distribution::choice(unsafe { input(values, n, "values")? }, cumulative)?
        }
    };
    Array::new(spec.offset, shape, strides, DType::from_code(spec.dtype)?, distribution)
}

/// Refuses memory for another number of elements than the array has.
fn same_length(array: &Array, n: usize) -> Result<()> {
    if array.cells() == n as u128 {
        return Ok(());
    }
    Err(Error::InvalidArgument(format!("an array of {} elements, and {n} given", array.cells())))
}

/// Reads an array in C order. `threads` as in `gmem_context_read`.
///
/// Errors: NULL_ARGUMENT; INVALID_ARGUMENT for an array that makes no sense, and where `n` is
/// not its number of elements.
///
/// # Safety
/// `context` and `array` are NULL or live; `out` is NULL or has room for `n` elements of the
/// array's dtype, and is aligned for one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_array_read(
    context: *const Context,
    array: *const ArraySpec,
    out: *mut c_void,
    n: usize,
    threads: usize,
) -> Status {
    /// # Safety
    /// `out` is NULL or has room for `n` elements.
    unsafe fn read<T: Held>(
        context: &Context,
        array: &Array,
        out: *mut c_void,
        n: usize,
        threads: usize,
    ) -> Result<()> {
        // SAFETY: the caller's.
        context.read_array(array, unsafe { output(out.cast::<T>(), n, "out")? }, threads);
        Ok(())
    }
    guard(|| {
        // SAFETY: the caller's.
        let (context, array) = unsafe { (readable(context)?, self::array(array)?) };
        same_length(&array, n)?;
        let read = match array.dtype {
            DType::Bool => read::<Truth>,
            DType::Int8 => read::<i8>,
            DType::Int16 => read::<i16>,
            DType::Int32 => read::<i32>,
            DType::Int64 => read::<i64>,
            DType::Uint8 => read::<u8>,
            DType::Uint16 => read::<u16>,
            DType::Uint32 => read::<u32>,
            DType::Uint64 => read::<u64>,
            DType::Float32 => read::<f32>,
            _ => read::<f64>,
        };
        // SAFETY: the caller's.
        unsafe { read(context, &array, out, n, threads) }
    })
}

/// Writes `n` values to an array's cells in C order. Where elements share a cell, the later
/// value stays.
///
/// Errors: as `gmem_array_read`; NO_MEMORY, where the values written until then stay.
///
/// # Safety
/// `context` and `array` are NULL or live; `values` is NULL or has `n` elements.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_array_write(
    context: *mut Context,
    array: *const ArraySpec,
    values: *const f64,
    n: usize,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (context, array, values) =
            unsafe { (writable(context)?, self::array(array)?, input(values, n, "values")?) };
        same_length(&array, n)?;
        context.write_array(&array, values)
    })
}

/// Begins to reduce an array to the `gmem_array_fold` of number `fold`. Elements are folded
/// as they are made; none is stored. The array is copied.
///
/// Ownership: the caller's, to be freed once with `gmem_array_folding_free`.
/// Errors: NULL_ARGUMENT; INVALID_ARGUMENT for another fold, an array that makes no sense,
/// and the least or greatest of nothing.
///
/// # Safety
/// `array` is NULL or live; `out_folding` is NULL or has room for one pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_array_folding_new(
    array: *const ArraySpec,
    fold: i32,
    out_folding: *mut *mut ArrayFolding,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (array, out) = unsafe { (self::array(array)?, out(out_folding, "out_folding")?) };
        *out = boxed(ArrayFolding::new(ArrayFold::from_code(fold)?, array)?)?;
        Ok(())
    })
}

/// Begins to count an array's elements between `n` edges, which do not fall, as NumPy does:
/// a bin has its lower edge and not its upper one, except the last, which has both.
///
/// Ownership: the caller's, to be freed once with `gmem_array_folding_free`.
/// Errors: NULL_ARGUMENT; INVALID_ARGUMENT for an array that makes no sense, and for edges
/// that fall or are fewer than two; NO_MEMORY.
///
/// # Safety
/// `array` is NULL or live; `edges` is NULL or has `n` elements; `out_folding` is NULL or
/// has room for one pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_array_histogram_new(
    array: *const ArraySpec,
    edges: *const f64,
    n: usize,
    out_folding: *mut *mut ArrayFolding,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (array, edges, out) = unsafe {
            (self::array(array)?, input(edges, n, "edges")?, out(out_folding, "out_folding")?)
        };
        *out = boxed(ArrayFolding::histogram(array, edges)?)?;
        Ok(())
    })
}

/// Takes about `cells` more elements in, and tells how many are left, at most 2^64 - 1. The
/// result has the same bits for steps of any size and any number of threads; `threads` 0
/// means one a core.
///
/// Threads: one at a time for one reduction.
///
/// # Safety
/// `folding` and `context` are NULL or live; `out_left` is NULL or has room for one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_array_folding_carry_on(
    folding: *mut ArrayFolding,
    context: *const Context,
    cells: u64,
    threads: usize,
    out_left: *mut u64,
) -> Status {
    // SAFETY: the caller's.
    guard(|| unsafe {
        let folding = folding.as_mut().or_null("folding")?;
        let out = out_left.as_mut().or_null("out_left")?;
        folding.carry_on(readable(context)?, cells, threads);
        *out = u64::try_from(folding.left()).unwrap_or(u64::MAX);
        Ok(())
    })
}

/// A reduction of which nothing is left.
///
/// # Safety
/// `folding` is NULL or live.
unsafe fn finished<'a>(folding: *const ArrayFolding) -> Result<&'a ArrayFolding> {
    // SAFETY: the caller's.
    let folding = unsafe { borrow(folding, "folding")? };
    match folding.left() {
        0 => Ok(folding),
        left => Err(Error::InvalidArgument(format!("{left} elements are left to take in"))),
    }
}

/// The result of a reduction of which nothing is left; NaN for counts.
///
/// Errors: NULL_ARGUMENT; INVALID_ARGUMENT where elements are left.
///
/// # Safety
/// `folding` is NULL or live; `out_value` is NULL or has room for one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_array_folding_value(
    folding: *const ArrayFolding,
    out_value: *mut f64,
) -> Status {
    // SAFETY: the caller's.
    guard(|| unsafe {
        let out = out_value.as_mut().or_null("out_value")?;
        *out = finished(folding)?.value();
        Ok(())
    })
}

/// The sum of integers without an error: the upper and the lower half of its 128 bits, in
/// two's complement.
///
/// Errors: NULL_ARGUMENT; INVALID_ARGUMENT where elements are left, and for anything else
/// than a sum of integers.
///
/// # Safety
/// `folding` is NULL or live; `out_high` and `out_low` are NULL or have room for one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_array_folding_exact(
    folding: *const ArrayFolding,
    out_high: *mut i64,
    out_low: *mut u64,
) -> Status {
    // SAFETY: the caller's.
    guard(|| unsafe {
        let (high, low) =
            (out_high.as_mut().or_null("out_high")?, out_low.as_mut().or_null("out_low")?);
        let sum = finished(folding)?.exact();
        let sum = sum.ok_or_else(|| Error::InvalidArgument("this is no sum of integers".into()))?;
        (*high, *low) = ((sum >> 64) as i64, sum as u64);
        Ok(())
    })
}

/// The counts of a histogram, one less than its edges.
///
/// Errors: NULL_ARGUMENT; INVALID_ARGUMENT where elements are left, for a reduction that is
/// no histogram, and where `n` is not its number of bins.
///
/// # Safety
/// `folding` is NULL or live; `out_counts` is NULL or has room for `n`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_array_folding_counts(
    folding: *const ArrayFolding,
    out_counts: *mut u64,
    n: usize,
) -> Status {
    // SAFETY: the caller's.
    guard(|| unsafe {
        let counts = finished(folding)?.counts();
        let counts = counts.ok_or_else(|| Error::InvalidArgument("this is no histogram".into()))?;
        if counts.len() != n {
            let bins = counts.len();
            return Err(Error::InvalidArgument(format!("{bins} bins, and room for {n}")));
        }
        output(out_counts, n, "out_counts")?.copy_from_slice(counts);
        Ok(())
    })
}

/// Frees a reduction. NULL is nothing.
///
/// # Safety
/// `folding` is NULL or live, and not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_array_folding_free(folding: *mut ArrayFolding) {
    // SAFETY: the caller's.
    unsafe { free(folding) };
}

/// Adds the product of an array of two dimensions and a matrix `x` to `out`. `x` has as many
/// rows as the array has columns, `out` as many as the array has rows, and both have `width`
/// columns in C order. The array is made in the near caches and never stored. Its columns
/// are added up in spans of 16,384, one after the other: so the result has the same bits for
/// any number of threads, for parts of the rows one by one, and for spans one by one.
///
/// Errors: NULL_ARGUMENT; INVALID_ARGUMENT for an array that makes no sense or has not two
/// dimensions, and for more elements than memory holds; NO_MEMORY.
///
/// # Safety
/// `context` and `matrix` are NULL or live; `x` and `out` are NULL or have so many elements,
/// and do not overlap.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_array_add_product(
    context: *const Context,
    matrix: *const ArraySpec,
    x: *const f64,
    width: usize,
    out: *mut f64,
    threads: usize,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (context, matrix) = unsafe { (readable(context)?, array(matrix)?) };
        let extent = |i: usize| matrix.dims.get(i).map_or(0, |dim| dim.extent);
        let length = |i: usize| usize::try_from(extent(i)).ok()?.checked_mul(width);
        let (Some(columns), Some(rows)) = (length(1), length(0)) else {
            return Err(Error::InvalidArgument(format!(
                "{} by {} by {width} elements do not fit in memory",
                extent(0),
                extent(1)
            )));
        };
        // SAFETY: the caller's.
        let (x, out) = unsafe { (input(x, columns, "x")?, output(out, rows, "out")?) };
        context.add_product(&matrix, x, width, out, threads)
    })
}
