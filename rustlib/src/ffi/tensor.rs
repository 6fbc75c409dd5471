//! Tensors in C: views of memory, and what is computed on them.

use std::ffi::{c_char, c_void};
use std::{ptr, slice};

use super::guard::{OrNull, borrow, guard, guard_or, text};
use super::status::Status;
use crate::error::{Error, Result};
use crate::tensor::arithmetic::{self, Binary};
use crate::tensor::copy;
use crate::tensor::reduce::{self, Reduction};
use crate::tensor::{DType, Scratch, View, checksum, compare, matmul, memory, softmax, view};

/// A typed, n-dimensional window on memory that the caller owns. Nothing is kept of
/// it after a call.
#[repr(C)]
pub struct TensorView {
    /// The first element; need not be aligned, and may be NULL where there is none.
    data: *mut c_void,
    /// `ndim` extents; may be NULL for `ndim` 0.
    shape: *const i64,
    /// `ndim` distances in bytes, which may be negative or zero; NULL for C order.
    /// Not looked at for `GMEM_DTYPE_INT4`, which is packed two to a byte in C order,
    /// the first in the low half.
    strides: *const i64,
    /// At most 64.
    ndim: i32,
    /// A `gmem_dtype`.
    dtype: i32,
}

const MAX_NDIM: usize = 64;

/// The checked form of a view.
///
/// # Safety
/// `pointer` is NULL or points to a view whose memory is live during the call.
unsafe fn view_of(pointer: *const TensorView, name: &'static str) -> Result<View> {
    // SAFETY: the caller's.
    let given = unsafe { borrow(pointer, name)? };
    let dtype = DType::from_code(given.dtype)?;
    let ndim = usize::try_from(given.ndim).ok().filter(|&ndim| ndim <= MAX_NDIM);
    let ndim = ndim.ok_or_else(|| {
        Error::InvalidArgument(format!("{name} has {} dimensions, not 0 to 64", given.ndim))
    })?;
    if ndim > 0 && given.shape.is_null() {
        return Err(Error::NullArgument("shape"));
    }
    // SAFETY: not NULL unless empty, and the caller's.
    let extents: &[i64] =
        if ndim == 0 { &[] } else { unsafe { slice::from_raw_parts(given.shape, ndim) } };
    let shape: view::Shape = extents
        .iter()
        .map(|&extent| {
            usize::try_from(extent).map_err(|_| {
                Error::InvalidArgument(format!("{name} has a dimension of {extent} elements"))
            })
        })
        .collect::<Result<_>>()?;
    let count = shape.iter().try_fold(1usize, |count, &extent| count.checked_mul(extent));
    let too_large =
        || Error::Overflow(format!("{name}'s shape {} is too large", view::show(&shape)));
    let count = count.or(shape.contains(&0).then_some(0)).ok_or_else(too_large)?;
    dtype.bytes(count).filter(|&bytes| bytes <= isize::MAX as usize).ok_or_else(too_large)?;
    if given.data.is_null() && count > 0 {
        return Err(Error::NullArgument("data"));
    }
    let mut view = View::contiguous(given.data.cast(), dtype, &shape);
    if !given.strides.is_null() && ndim > 0 && dtype != DType::Int4 {
        // SAFETY: not NULL, and the caller's.
        let strides = unsafe { slice::from_raw_parts(given.strides, ndim) };
        view.strides = strides.iter().map(|&stride| stride as isize).collect();
    }
    Ok(view)
}

fn same_shape(a: &View, b: &View) -> Result<()> {
    if a.shape == b.shape {
        return Ok(());
    }
    let (a, b) = (view::show(&a.shape), view::show(&b.shape));
    Err(Error::InvalidArgument(format!("shapes {a} and {b} differ")))
}

/// `source` as a kernel wants it: of that type and shape, converted where need be.
fn operand(source: &View, dtype: DType, shape: &[usize], threads: usize) -> Result<Operand> {
    if source.dtype == dtype {
        return Ok(Operand { view: source.broadcast_to(shape)?, _scratch: None });
    }
    let scratch = Scratch::new(dtype, &source.shape)?;
    copy::copy(source, scratch.view(), threads)?;
    Ok(Operand { view: scratch.view().broadcast_to(shape)?, _scratch: Some(scratch) })
}

struct Operand {
    view: View,
    _scratch: Option<Scratch>,
}

/// The type kernels compute in: `int4` is unpacked.
fn whole(dtype: DType) -> DType {
    if dtype == DType::Int4 { DType::Int8 } else { dtype }
}

/// Runs a kernel on `target`, or on an unpacked stand-in for one of `int4`.
fn into_target(
    target: &View,
    threads: usize,
    kernel: impl FnOnce(&View) -> Result<()>,
) -> Result<()> {
    if target.dtype != DType::Int4 {
        return kernel(target);
    }
    let scratch = Scratch::new(DType::Int8, &target.shape)?;
    kernel(scratch.view())?;
    copy::copy(scratch.view(), target, threads)
}

/// The name of an element type, such as "float32", valid for ever. NULL for a number
/// that is none.
#[unsafe(no_mangle)]
pub extern "C" fn gmem_dtype_name(dtype: i32) -> *const c_char {
    DType::from_code(dtype).map_or(ptr::null(), |dtype| dtype.c_name().as_ptr())
}

/// The bits of one element: 4 for int4. 0 for a number that is none.
#[unsafe(no_mangle)]
pub extern "C" fn gmem_dtype_bits(dtype: i32) -> i32 {
    DType::from_code(dtype).map_or(0, |dtype| dtype.bits() as i32)
}

/// The element type of a name, long ("float32") or short ("f32").
///
/// Errors: `GMEM_STATUS_INVALID_ARGUMENT` for an unknown one.
///
/// # Safety
/// `name` is NULL or a NUL-terminated string; `out_dtype` is NULL or has room for one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_dtype_from_name(name: *const c_char, out_dtype: *mut i32) -> Status {
    // SAFETY: the caller's.
    guard(|| unsafe {
        let out = out_dtype.as_mut().or_null("out_dtype")?;
        *out = DType::from_name(text(name, "name")?)? as i32;
        Ok(())
    })
}

/// Allocates memory for elements, aligned to 64 bytes; zeroed where asked for.
///
/// Ownership: the caller's, to be freed once with `gmem_memory_free`.
/// Errors: `GMEM_STATUS_NO_MEMORY`.
///
/// # Safety
/// `out_memory` is NULL or has room for one pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_memory_new(
    bytes: usize,
    zeroed: bool,
    out_memory: *mut *mut c_void,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let out = unsafe { out_memory.as_mut() }.or_null("out_memory")?;
        *out = memory::allocate(bytes, zeroed)?.as_ptr().cast();
        Ok(())
    })
}

/// Frees memory from `gmem_memory_new`. NULL is nothing.
///
/// # Safety
/// `memory` is NULL or came from `gmem_memory_new`, and is not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_memory_free(memory: *mut c_void) {
    if let Some(memory) = ptr::NonNull::new(memory.cast()) {
        guard_or((), || {
            // SAFETY: the caller's.
            unsafe { memory::free(memory) };
            Ok(())
        });
    }
}

/// Copies all elements of `source` to `target`, converting them where the types
/// differ. `source` is broadcast to the target's shape, so a view of one element fills.
///
/// Floats round to nearest, ties to even; integers wrap; a float that an integer cannot
/// hold gives the nearest it can, NaN gives 0. `threads` 0 means one a core. The two must
/// not overlap.
/// Errors: `GMEM_STATUS_INVALID_ARGUMENT` where the shapes do not fit.
///
/// # Safety
/// Both are NULL or views of live memory; nobody else touches the target's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_tensor_copy(
    source: *const TensorView,
    target: *const TensorView,
    threads: usize,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (source, target) = unsafe { (view_of(source, "source")?, view_of(target, "target")?) };
        if source.dtype == DType::Int4 && source.shape != target.shape {
            let source = operand(&source, DType::Int8, &target.shape, threads)?;
            return copy::copy(&source.view, &target, threads);
        }
        copy::copy(&source.broadcast_to(&target.shape)?, &target, threads)
    })
}

/// The type in which a reduction of elements of type `dtype` gives its result: for sums
/// int64, uint64 or float64; for means float64; for counts int64; else `dtype`.
/// -1 where a number is no dtype or reduction.
#[unsafe(no_mangle)]
pub extern "C" fn gmem_reduction_dtype(reduction: i32, dtype: i32) -> i32 {
    guard_or(-1, || Ok(Reduction::from_code(reduction)?.output(DType::from_code(dtype)?) as i32))
}

/// Reduces the dimensions of `source` whose bit is set in `axes`. `target` has the other
/// dimensions, in order, and the type of `gmem_reduction_dtype`.
///
/// Floats are accumulated in float64 and give the same bits for any number of threads;
/// integers are exact.
/// Errors: `GMEM_STATUS_OVERFLOW` where a sum does not fit; `GMEM_STATUS_INVALID_ARGUMENT`
/// for the least or greatest of nothing, and for a target that does not fit.
///
/// # Safety
/// Both are NULL or views of live memory that do not overlap; nobody else touches the
/// target's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_tensor_reduce(
    source: *const TensorView,
    reduction: i32,
    axes: u64,
    threads: usize,
    target: *const TensorView,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (source, target) = unsafe { (view_of(source, "source")?, view_of(target, "target")?) };
        let reduction = Reduction::from_code(reduction)?;
        let kept: view::Shape =
            (0..source.ndim()).filter(|&d| axes & (1 << d) == 0).map(|d| source.shape[d]).collect();
        let dtype = reduction.output(source.dtype);
        if target.dtype != dtype || target.shape != kept {
            return Err(Error::InvalidArgument(format!(
                "the target of this reduction must have dtype {} and shape {}, not {} and {}",
                dtype.name(),
                view::show(&kept),
                target.dtype.name(),
                view::show(&target.shape)
            )));
        }
        let source = operand(&source, whole(source.dtype), &source.shape, threads)?;
        into_target(&target, threads, |target| {
            reduce::reduce(reduction, &source.view, axes, target, threads)
        })
    })
}

/// The index, in C order, of the first element in which two tensors of one shape differ
/// by value; -1 where none does. A NaN differs from everything, 0.0 is -0.0.
///
/// Errors: `GMEM_STATUS_INVALID_ARGUMENT` where the shapes differ.
///
/// # Safety
/// Both are NULL or views of live memory; `out_index` is NULL or has room for one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_tensor_first_difference(
    a: *const TensorView,
    b: *const TensorView,
    threads: usize,
    out_index: *mut i64,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (a, b) = unsafe { (view_of(a, "a")?, view_of(b, "b")?) };
        // SAFETY: the caller's.
        let out = unsafe { out_index.as_mut() }.or_null("out_index")?;
        same_shape(&a, &b)?;
        let a = operand(&a, whole(a.dtype), &a.shape, threads)?;
        let b = operand(&b, whole(b.dtype), &b.shape, threads)?;
        let index = compare::first_difference(&a.view, &b.view, threads);
        *out = index.map_or(-1, |index| index as i64);
        Ok(())
    })
}

/// The CRC-32C (Castagnoli) of the elements' bytes in C order.
///
/// # Safety
/// `tensor` is NULL or a view of live memory; `out_checksum` is NULL or has room for one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_tensor_crc32c(
    tensor: *const TensorView,
    threads: usize,
    out_checksum: *mut u32,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let mut tensor = unsafe { view_of(tensor, "tensor")? };
        // SAFETY: the caller's.
        let out = unsafe { out_checksum.as_mut() }.or_null("out_checksum")?;
        if tensor.dtype == DType::Int4 {
            let bytes = tensor.len().div_ceil(2);
            tensor = View::contiguous(tensor.data, DType::Uint8, &[bytes]);
        }
        *out = checksum::crc32c(&tensor, threads);
        Ok(())
    })
}

/// Adds or multiplies element by element. The operands are converted to the target's type
/// and broadcast to its shape, as NumPy has it; integers wrap.
///
/// Errors: `GMEM_STATUS_INVALID_ARGUMENT` where the shapes do not fit.
///
/// # Safety
/// All are NULL or views of live memory; the target overlaps an operand only where it is
/// that operand; nobody else touches the target's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_tensor_binary(
    a: *const TensorView,
    b: *const TensorView,
    operation: i32,
    threads: usize,
    target: *const TensorView,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (a, b) = unsafe { (view_of(a, "a")?, view_of(b, "b")?) };
        // SAFETY: the caller's.
        let target = unsafe { view_of(target, "target")? };
        let operation = Binary::from_code(operation)?;
        let shape = view::broadcast_shape(&a.shape, &b.shape)?;
        if shape != target.shape {
            let (shape, target) = (view::show(&shape), view::show(&target.shape));
            return Err(Error::InvalidArgument(format!(
                "the result has shape {shape}, but the target {target}"
            )));
        }
        let a = operand(&a, whole(target.dtype), &shape, threads)?;
        let b = operand(&b, whole(target.dtype), &shape, threads)?;
        into_target(&target, threads, |target| {
            arithmetic::binary(operation, &a.view, &b.view, target, threads)
        })
    })
}

/// The greater of each element and 0; a NaN stays. `target` has the type and shape of
/// `source`.
///
/// # Safety
/// As `gmem_tensor_binary`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_tensor_relu(
    source: *const TensorView,
    threads: usize,
    target: *const TensorView,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (source, target) = unsafe { (view_of(source, "source")?, view_of(target, "target")?) };
        same_shape(&source, &target)?;
        let source = operand(&source, whole(target.dtype), &target.shape, threads)?;
        into_target(&target, threads, |target| arithmetic::relu(&source.view, target, threads))
    })
}

/// exp(x - max) / sum over one dimension. `target` has the type, which is a float's, and
/// the shape of `source`.
///
/// Errors: `GMEM_STATUS_INVALID_ARGUMENT` for other types, shapes that differ and a
/// dimension that is none.
///
/// # Safety
/// As `gmem_tensor_binary`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_tensor_softmax(
    source: *const TensorView,
    axis: i32,
    threads: usize,
    target: *const TensorView,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (source, target) = unsafe { (view_of(source, "source")?, view_of(target, "target")?) };
        same_shape(&source, &target)?;
        let axis = usize::try_from(axis).ok().filter(|&axis| axis < source.ndim());
        let axis = axis.ok_or_else(|| {
            Error::InvalidArgument(format!("no such axis in shape {}", view::show(&source.shape)))
        })?;
        let source = operand(&source, target.dtype, &target.shape, threads)?;
        softmax::softmax(&source.view, axis, &target, threads)
    })
}

/// The product of two matrices, (m, k) and (k, n), converted to the target's type. Floats
/// are accumulated in float64 and rounded once; integers wrap.
///
/// Errors: `GMEM_STATUS_INVALID_ARGUMENT` where the shapes do not fit.
///
/// # Safety
/// All are NULL or views of live memory that do not overlap; nobody else touches the
/// target's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmem_tensor_matmul(
    a: *const TensorView,
    b: *const TensorView,
    threads: usize,
    target: *const TensorView,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (a, b) = unsafe { (view_of(a, "a")?, view_of(b, "b")?) };
        // SAFETY: the caller's.
        let target = unsafe { view_of(target, "target")? };
        let a = operand(&a, whole(target.dtype), &a.shape, threads)?;
        let b = operand(&b, whole(target.dtype), &b.shape, threads)?;
        into_target(&target, threads, |target| matmul::matmul(&a.view, &b.view, target, threads))
    })
}
