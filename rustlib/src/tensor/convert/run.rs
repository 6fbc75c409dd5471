//! Conversions of many elements that lie side by side, for every pair of types.

use super::{Number, cast};
#[cfg(target_arch = "x86_64")]
use crate::cpu;
use crate::tensor::dtype::DType;
use crate::tensor::element::with_element;

/// Converts `n` elements from the first address to the second.
///
/// # Safety
/// `n` elements of each type, not overlapping; their alignment is all the same.
pub type Run = unsafe fn(*const u8, *mut u8, usize);

/// The conversion from one type to another, neither of them `int4`, on the CPU path
/// in use. The same type to itself is a copy that makes bools 0 or 1.
pub fn run(from: DType, to: DType) -> Run {
    #[cfg(target_arch = "x86_64")]
    if cpu::path().has_avx2() && std::arch::is_x86_feature_detected!("f16c") {
        return match (from, to) {
            (DType::Float16, DType::Float32) => f16c::widen,
            (DType::Float32, DType::Float16) => f16c::narrow,
            _ => with_element!(from, S => with_element!(to, T => avx2::<S, T> as Run)),
        };
    }
    with_element!(from, S => with_element!(to, T => portable::<S, T> as Run))
}

/// # Safety
/// As [`Run`].
#[inline(always)]
unsafe fn portable<S: Number, T: Number>(source: *const u8, target: *mut u8, n: usize) {
    let (source, target) = (source.cast::<S::Raw>(), target.cast::<T::Raw>());
    for i in 0..n {
        // SAFETY: the caller gives `n` elements of each; raw ones are arrays of bytes,
        // which may lie anywhere.
        unsafe { target.add(i).write(cast::<S, T>(S::from_raw(source.add(i).read())).to_raw()) };
    }
}

/// # Safety
/// As [`Run`]; AVX2 and F16C.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,f16c")]
unsafe fn avx2<S: Number, T: Number>(source: *const u8, target: *mut u8, n: usize) {
    // SAFETY: the caller's promise.
    unsafe { portable::<S, T>(source, target, n) }
}

/// The two that the CPU has instructions for, eight elements at a time.
#[cfg(target_arch = "x86_64")]
mod f16c {
    use std::arch::x86_64::*;

    use half::f16;

    /// # Safety
    /// As [`super::Run`]; AVX2 and F16C.
    #[target_feature(enable = "avx2,f16c")]
    pub unsafe fn widen(source: *const u8, target: *mut u8, n: usize) {
        let whole = n & !7;
        for i in (0..whole).step_by(8) {
            // SAFETY: elements `i` to `i + 7` of both, of 2 and of 4 bytes.
            unsafe {
                let eight = _mm_loadu_si128(source.add(2 * i).cast());
                _mm256_storeu_ps(target.add(4 * i).cast(), _mm256_cvtph_ps(eight));
            }
        }
        // SAFETY: what is left.
        unsafe {
            let (source, target) = (source.add(2 * whole), target.add(4 * whole));
            super::portable::<f16, f32>(source, target, n - whole);
        }
    }

    /// # Safety
    /// As [`super::Run`]; AVX2 and F16C.
    #[target_feature(enable = "avx2,f16c")]
    pub unsafe fn narrow(source: *const u8, target: *mut u8, n: usize) {
        let whole = n & !7;
        for i in (0..whole).step_by(8) {
            // SAFETY: elements `i` to `i + 7` of both, of 4 and of 2 bytes.
            unsafe {
                let eight = _mm256_loadu_ps(source.add(4 * i).cast());
                let eight = _mm256_cvtps_ph::<{ _MM_FROUND_TO_NEAREST_INT }>(eight);
                _mm_storeu_si128(target.add(2 * i).cast(), eight);
            }
        }
        // SAFETY: what is left.
        unsafe {
            let (source, target) = (source.add(4 * whole), target.add(2 * whole));
            super::portable::<f32, f16>(source, target, n - whole);
        }
    }
}
