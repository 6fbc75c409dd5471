//! Softmax along one axis.

use super::dtype::DType;
use super::element::{F8E4M3, F8E5M2};
use super::nest::Nest;
use super::number::Float;
use super::view::{View, show};
use crate::error::{Error, Result};
use crate::parallel;

/// Exponentials of a lane that are kept between adding and dividing them; those
/// of longer lanes are computed twice, rather than take memory for them all.
const KEPT: usize = 1 << 16;

/// `target = exp(a) / sum(exp(a))` along `axis`, in `f64` and rounded once, for floats
/// of one dtype and one shape. Each lane is shifted by its greatest element, so
/// nothing overflows. A lane with NaN or positive infinity, or of negative infinities
/// only, is NaN throughout, as SciPy and PyTorch have it. The target may be `a` itself.
pub fn softmax(a: &View, axis: usize, target: &View, threads: usize) -> Result<()> {
    if a.dtype != target.dtype || a.shape != target.shape {
        return Err(Error::InvalidArgument(format!(
            "softmax of dtype {} and shape {} does not fit a target of dtype {} and shape {}",
            a.dtype.name(),
            show(&a.shape),
            target.dtype.name(),
            show(&target.shape)
        )));
    }
    if axis >= a.ndim() {
        return Err(Error::OutOfRange(format!(
            "axis {axis} is out of range for {} dimensions",
            a.ndim()
        )));
    }
    match a.dtype {
        DType::Float16 => each_lane::<half::f16>(a, axis, target, threads),
        DType::Float32 => each_lane::<f32>(a, axis, target, threads),
        DType::Float64 => each_lane::<f64>(a, axis, target, threads),
        DType::Bfloat16 => each_lane::<half::bf16>(a, axis, target, threads),
        DType::Float8E4M3 => each_lane::<F8E4M3>(a, axis, target, threads),
        DType::Float8E5M2 => each_lane::<F8E5M2>(a, axis, target, threads),
        other => {
            return Err(Error::InvalidArgument(format!(
                "softmax is defined for floats, not for {}",
                other.name()
            )));
        }
    }
    Ok(())
}

fn each_lane<T: Float>(a: &View, axis: usize, target: &View, threads: usize) {
    if a.is_empty() {
        return;
    }
    let len = a.shape[axis];
    let (a_step, step) = (a.strides[axis], target.strides[axis]);
    let nest = Nest::any_order([&without(a, axis), &without(target, axis)]);
    let lanes = nest.rows * nest.len;
    // An exponential takes about as long as eight additions.
    let threads = parallel::worth(threads, (lanes * len).saturating_mul(8)).min(lanes);
    let together = (lanes / (threads * 8)).clamp(1, 1 << 10);
    parallel::share_out(threads, lanes.div_ceil(together), |mine| {
        let mut kept = Vec::with_capacity(len.min(KEPT));
        for first in mine.map(|i| i * together) {
            for lane in first..lanes.min(first + together) {
                let (row, i) = (lane / nest.len, (lane % nest.len) as isize);
                nest.for_each(row..row + 1, |[at_a, at]| {
                    // SAFETY: lane `i` of the row begins there in both views, `len`
                    // elements long, and each lane is written by one thread.
                    unsafe {
                        let from = a.data.offset(at_a + i * nest.step[0]);
                        let to = target.data.offset(at + i * nest.step[1]);
                        one_lane::<T>(from, a_step, to, step, len, &mut kept);
                    }
                });
            }
        }
    });
}

/// The view of the first elements along `axis`.
fn without(view: &View, axis: usize) -> View {
    let mut view = view.clone();
    view.shape.remove(axis);
    view.strides.remove(axis);
    view
}

/// # Safety
/// `len` elements of type `T` lie `from_step` bytes apart from `from` on, and `len`
/// that no other thread uses lie `to_step` bytes apart from `to` on.
unsafe fn one_lane<T: Float>(
    from: *const u8,
    from_step: isize,
    to: *mut u8,
    to_step: isize,
    len: usize,
    kept: &mut Vec<f64>,
) {
    // SAFETY: called for i below `len` only; raw elements need no alignment.
    let read = |i: usize| unsafe {
        T::from_raw(from.offset(i as isize * from_step).cast::<T::Raw>().read()).widen()
    };
    // `max` passes over NaN, which the sum then meets.
    let greatest = (0..len).map(read).fold(f64::NEG_INFINITY, f64::max);
    kept.clear();
    let mut sum = 0.0;
    for i in 0..len {
        let power = (read(i) - greatest).exp();
        sum += power;
        if i < KEPT {
            kept.push(power);
        }
    }
    for i in 0..len {
        let power = kept.get(i).copied().unwrap_or_else(|| (read(i) - greatest).exp());
        // SAFETY: as in `read`. Element i of `from` was read before, should it be this one.
        unsafe {
            let raw = to.offset(i as isize * to_step).cast::<T::Raw>();
            raw.write(T::nearest(power / sum).to_raw());
        }
    }
}
