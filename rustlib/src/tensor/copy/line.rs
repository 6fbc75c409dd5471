//! Elements of one line: from one address and step to another, converted.

use std::mem::MaybeUninit;

use crate::tensor::convert::run::{Run, run};
use crate::tensor::dtype::DType;

/// Elements converted at a time where they do not lie side by side.
const CHUNK: usize = 512;
/// The largest element.
const WIDEST: usize = 8;

/// How elements of one type become those of another, neither of them `int4`.
#[derive(Clone, Copy)]
pub struct Line {
    source_size: usize,
    target_size: usize,
    /// None where the bytes stay as they are.
    run: Option<Run>,
}

impl Line {
    pub fn new(from: DType, to: DType) -> Line {
        Line {
            source_size: from.bits() / 8,
            target_size: to.bits() / 8,
            run: (from != to).then(|| run(from, to)),
        }
    }

    /// Bytes of a target's element.
    pub fn target_size(&self) -> usize {
        self.target_size
    }

    /// Converts `n` elements that lie `step` bytes apart each.
    ///
    /// # Safety
    /// `n` elements of each type at these steps, which do not overlap.
    #[inline]
    pub unsafe fn copy(
        &self,
        source: *const u8,
        source_step: isize,
        target: *mut u8,
        target_step: isize,
        n: usize,
    ) {
        let in_a_row = source_step == self.source_size as isize;
        let to_a_row = target_step == self.target_size as isize;
        // SAFETY: the caller's promise.
        unsafe {
            match self.run {
                None => shift(self.target_size, source, source_step, target, target_step, n),
                Some(run) if in_a_row && to_a_row => run(source, target, n),
                Some(run) => {
                    self.in_chunks(run, source, source_step, target, target_step, n);
                }
            }
        }
    }

    /// Moves `n` elements of the target's type.
    ///
    /// # Safety
    /// As [`Line::copy`].
    #[inline]
    pub unsafe fn shift(
        &self,
        source: *const u8,
        source_step: isize,
        target: *mut u8,
        target_step: isize,
        n: usize,
    ) {
        // SAFETY: the caller's promise.
        unsafe { shift(self.target_size, source, source_step, target, target_step, n) }
    }

    /// # Safety
    /// As [`Line::copy`].
    unsafe fn in_chunks(
        &self,
        run: Run,
        mut source: *const u8,
        source_step: isize,
        mut target: *mut u8,
        target_step: isize,
        n: usize,
    ) {
        let mut gathered = [MaybeUninit::<u8>::uninit(); CHUNK * WIDEST];
        let mut converted = [MaybeUninit::<u8>::uninit(); CHUNK * WIDEST];
        let gathered = gathered.as_mut_ptr().cast::<u8>();
        let converted = converted.as_mut_ptr().cast::<u8>();
        let (source_size, target_size) = (self.source_size as isize, self.target_size as isize);
        if source_step == 0 {
            // SAFETY: one element is read and converted; `n` are written.
            unsafe {
                run(source, converted, 1);
                return shift(self.target_size, converted, 0, target, target_step, n);
            }
        }
        let mut left = n;
        while left > 0 {
            let n = left.min(CHUNK);
            // SAFETY: the next `n` of the caller's elements; both buffers take `CHUNK`
            // of the widest.
            unsafe {
                let from = if source_step == source_size {
                    source
                } else {
                    shift(self.source_size, source, source_step, gathered, source_size, n);
                    gathered
                };
                if target_step == target_size {
                    run(from, target, n);
                } else {
                    run(from, converted, n);
                    shift(self.target_size, converted, target_size, target, target_step, n);
                }
            }
            left -= n;
            source = source.wrapping_offset(source_step.wrapping_mul(n as isize));
            target = target.wrapping_offset(target_step.wrapping_mul(n as isize));
        }
    }
}

/// Moves `n` elements of `size` bytes.
///
/// # Safety
/// `n` elements at these steps, which do not overlap; 1, 2, 4 or 8 bytes each.
#[inline]
unsafe fn shift(
    size: usize,
    source: *const u8,
    source_step: isize,
    target: *mut u8,
    target_step: isize,
    n: usize,
) {
    // SAFETY: the caller's promise.
    unsafe {
        match size {
            1 => shift_sized::<1>(source, source_step, target, target_step, n),
            2 => shift_sized::<2>(source, source_step, target, target_step, n),
            4 => shift_sized::<4>(source, source_step, target, target_step, n),
            _ => shift_sized::<8>(source, source_step, target, target_step, n),
        }
    }
}

/// # Safety
/// As [`shift`].
unsafe fn shift_sized<const SIZE: usize>(
    source: *const u8,
    source_step: isize,
    target: *mut u8,
    target_step: isize,
    n: usize,
) {
    let size = SIZE as isize;
    let (elements, out) = (source.cast::<[u8; SIZE]>(), target.cast::<[u8; SIZE]>());
    // SAFETY: element `i` of either lies `i` steps from the first, for all below `n`;
    // arrays of bytes may lie anywhere.
    unsafe {
        if target_step == size {
            if source_step == size {
                out.copy_from_nonoverlapping(elements, n);
            } else if source_step == 0 {
                let element = elements.read();
                for i in 0..n {
                    out.add(i).write(element);
                }
            } else if source_step == -size {
                for i in 0..n {
                    out.add(i).write(elements.sub(i).read());
                }
            } else {
                for i in 0..n as isize {
                    let at = source.offset(i * source_step).cast::<[u8; SIZE]>();
                    out.offset(i).write(at.read());
                }
            }
        } else {
            for i in 0..n as isize {
                let at = source.offset(i * source_step).cast::<[u8; SIZE]>();
                target.offset(i * target_step).cast::<[u8; SIZE]>().write(at.read());
            }
        }
    }
}
