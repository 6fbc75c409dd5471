//! Stores around the caches: a result larger than these hold would push out what is still
//! needed, and each of its lines would be read from memory before it is written.

use super::array::Held;

/// Bytes of a result from which on it is streamed: more than the caches of a core hold.
pub const FROM: usize = 1 << 20;

/// Copies elements, around the caches where the CPU can. Other threads may count on them only
/// after [`end`].
#[inline]
pub fn copy<T: Held>(from: &[T], to: &mut [T]) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{__m128i, _mm_loadu_si128, _mm_stream_si128};
        const BYTES: usize = size_of::<__m128i>();
        let lanes = const { BYTES / size_of::<T>() };
        // Whole elements, whose length divides that of a vector.
        let head = (to.as_ptr().addr().wrapping_neg() % BYTES / size_of::<T>()).min(to.len());
        let (from_head, from) = from.split_at(head);
        let (to_head, to) = to.split_at_mut(head);
        to_head.copy_from_slice(from_head);
        let (vectors, from_tail) = from.split_at(from.len() / lanes * lanes);
        let (to_vectors, to_tail) = to.split_at_mut(vectors.len());
        to_tail.copy_from_slice(from_tail);
        let all = vectors.chunks_exact(lanes).zip(to_vectors.chunks_exact_mut(lanes));
        for (from, to) in all {
            // SAFETY: `BYTES` each; every x86-64 CPU has SSE2, and `to` lies on a multiple of them.
            unsafe {
                _mm_stream_si128(to.as_mut_ptr().cast(), _mm_loadu_si128(from.as_ptr().cast()));
            }
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    to.copy_from_slice(from);
}

/// Makes what was streamed visible to other threads.
#[inline]
pub fn end() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 CPU has SSE.
    unsafe {
        std::arch::x86_64::_mm_sfence();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: Held + PartialEq + std::fmt::Debug>() {
        let cells: Vec<T> = (0..100).map(|i| T::from_cell(f64::from(i % 2 + i / 3))).collect();
        for first in 0..20 {
            for length in 0..60 {
                let mut out = vec![T::from_cell(0.0); 100];
                copy(&cells[7..7 + length], &mut out[first..first + length]);
                end();
                let mut wanted = vec![T::from_cell(0.0); 100];
                wanted[first..first + length].copy_from_slice(&cells[7..7 + length]);
                assert_eq!(out, wanted);
            }
        }
    }

    #[test]
    fn what_is_streamed_arrives_and_nothing_else() {
        check::<f64>();
        check::<f32>();
        check::<u16>();
        check::<i8>();
    }
}
