//! Parts of a nest of loops: what lies between two of its elements, counted flat.

use std::ops::Range;

use super::nest::Nest;

/// Calls `each(offsets, count)` for the pieces of the innermost loop that make up
/// the elements in `range`, one after the other.
pub fn segments<const N: usize>(
    nest: &Nest<N>,
    range: Range<usize>,
    mut each: impl FnMut([isize; N], usize),
) {
    if range.is_empty() {
        return;
    }
    let mut within = range.start % nest.len;
    let mut left = range.len();
    nest.for_each(range.start / nest.len..range.end.div_ceil(nest.len), |mut offsets| {
        let count = (nest.len - within).min(left);
        for (offset, step) in offsets.iter_mut().zip(nest.step) {
            *offset += step * within as isize;
        }
        each(offsets, count);
        within = 0;
        left -= count;
    });
}

/// Copies `out.len()` elements that lie `step` bytes apart.
///
/// # Safety
/// They must be there to be read, and not be written meanwhile.
#[inline(always)]
pub unsafe fn gather<R: Copy>(first: *const u8, step: isize, out: &mut [R]) {
    if step == size_of::<R>() as isize {
        // SAFETY: the caller vouches for the elements, which then lie in a row; `R`
        // is an array of bytes.
        out.copy_from_slice(unsafe { std::slice::from_raw_parts(first.cast(), out.len()) });
        return;
    }
    let mut at = first;
    for slot in out {
        // SAFETY: the caller vouches for it.
        *slot = unsafe { at.cast::<R>().read() };
        at = at.wrapping_offset(step);
    }
}
