//! Sums, products and relu, element by element.

use std::array;

use super::element::with_element;
use super::nest::Nest;
use super::number::{BLOCK, Number};
use super::view::{View, show};
use crate::cpu;
use crate::error::{Error, Result};
use crate::parallel;

/// An operation of two operands. The numbers are part of the C ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Binary {
    Add = 0,
    Mul = 1,
}

impl Binary {
    /// The operation of that number in the C ABI.
    pub fn from_code(code: i32) -> Result<Binary> {
        match code {
            0 => Ok(Binary::Add),
            1 => Ok(Binary::Mul),
            _ => Err(Error::InvalidArgument(format!("no binary operation has the number {code}"))),
        }
    }
}

/// `target = a op b` for views of one dtype and one shape, as NumPy and ml_dtypes
/// compute it: integers wrap, `bool` adds by or and multiplies by and, floats are
/// rounded once, to nearest even. Every NaN that comes out is the same one. The target
/// may be `a` or `b` itself.
pub fn binary(op: Binary, a: &View, b: &View, target: &View, threads: usize) -> Result<()> {
    require_alike(a, target)?;
    require_alike(b, target)?;
    with_element!(target.dtype, T => match op {
        Binary::Add => combine::<T>(a, b, target, threads, T::add),
        Binary::Mul => combine::<T>(a, b, target, threads, T::mul),
    });
    Ok(())
}

/// `target = max(a, 0)` for views of one dtype and one shape. NaN stays NaN, and -0.0
/// becomes 0.0. The target may be `a` itself.
pub fn relu(a: &View, target: &View, threads: usize) -> Result<()> {
    require_alike(a, target)?;
    with_element!(target.dtype, T => map::<T>(a, target, threads, T::relu));
    Ok(())
}

fn require_alike(source: &View, target: &View) -> Result<()> {
    if source.dtype == target.dtype && source.shape == target.shape {
        return Ok(());
    }
    Err(Error::InvalidArgument(format!(
        "an operand of dtype {} and shape {} does not fit a target of dtype {} and shape {}",
        source.dtype.name(),
        show(&source.shape),
        target.dtype.name(),
        show(&target.shape)
    )))
}

fn combine<T: Number>(
    a: &View,
    b: &View,
    target: &View,
    threads: usize,
    op: impl Fn(T::Work, T::Work) -> T::Work + Copy + Sync,
) {
    let nest = Nest::any_order([a, b, target]);
    let path = cpu::path();
    for_each_run(&nest, threads, |[at_a, at_b, at], len| {
        // SAFETY: the offsets and the steps are those of elements of the three views,
        // and no other call writes this run of the target.
        unsafe {
            let data = [a.data.offset(at_a), b.data.offset(at_b), target.data.offset(at)];
            match path {
                #[cfg(target_arch = "x86_64")]
                _ if path.has_avx2() => combine_run_avx2::<T>(data, nest.step, len, op),
                _ => combine_run::<T>(data, nest.step, len, op),
            }
        }
    });
}

/// # Safety
/// As [`combine_run`], on a CPU with AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn combine_run_avx2<T: Number>(
    data: [*mut u8; 3],
    step: [isize; 3],
    len: usize,
    op: impl Fn(T::Work, T::Work) -> T::Work + Copy,
) {
    // SAFETY: the caller's promise.
    unsafe { combine_run::<T>(data, step, len, op) }
}

/// One run, block by block through buffers of its own: so it does not matter whether
/// the target is an operand, nor how far apart the elements are.
///
/// # Safety
/// `len` elements of type `T` lie `step` bytes apart from `data` on; those of the
/// last may be written, and no other thread uses them.
#[inline(always)]
unsafe fn combine_run<T: Number>(
    data: [*mut u8; 3],
    step: [isize; 3],
    len: usize,
    op: impl Fn(T::Work, T::Work) -> T::Work + Copy,
) {
    let (mut left, mut right) = ([T::ZERO; BLOCK], [T::ZERO; BLOCK]);
    for start in (0..len).step_by(BLOCK) {
        let n = BLOCK.min(len - start);
        // SAFETY: elements `start..start + n` are among the caller's `len`.
        unsafe {
            let at: [_; 3] = array::from_fn(|i| data[i].offset(start as isize * step[i]));
            load::<T>(at[0], step[0], &mut left[..n]);
            load::<T>(at[1], step[1], &mut right[..n]);
            for (x, &y) in left[..n].iter_mut().zip(&right[..n]) {
                *x = op(*x, y);
            }
            store::<T>(&left[..n], at[2], step[2]);
        }
    }
}

fn map<T: Number>(
    a: &View,
    target: &View,
    threads: usize,
    op: impl Fn(T::Work) -> T::Work + Copy + Sync,
) {
    let nest = Nest::any_order([a, target]);
    let path = cpu::path();
    for_each_run(&nest, threads, |[at_a, at], len| {
        // SAFETY: as in `combine`.
        unsafe {
            let data = [a.data.offset(at_a), target.data.offset(at)];
            match path {
                #[cfg(target_arch = "x86_64")]
                _ if path.has_avx2() => map_run_avx2::<T>(data, nest.step, len, op),
                _ => map_run::<T>(data, nest.step, len, op),
            }
        }
    });
}

/// # Safety
/// As [`map_run`], on a CPU with AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn map_run_avx2<T: Number>(
    data: [*mut u8; 2],
    step: [isize; 2],
    len: usize,
    op: impl Fn(T::Work) -> T::Work + Copy,
) {
    // SAFETY: the caller's promise.
    unsafe { map_run::<T>(data, step, len, op) }
}

/// # Safety
/// As [`combine_run`].
#[inline(always)]
unsafe fn map_run<T: Number>(
    data: [*mut u8; 2],
    step: [isize; 2],
    len: usize,
    op: impl Fn(T::Work) -> T::Work + Copy,
) {
    // Not in place: that becomes masked stores, which some CPUs are slow at.
    let (mut before, mut after) = ([T::ZERO; BLOCK], [T::ZERO; BLOCK]);
    for start in (0..len).step_by(BLOCK) {
        let n = BLOCK.min(len - start);
        // SAFETY: as in `combine_run`.
        unsafe {
            let at: [_; 2] = array::from_fn(|i| data[i].offset(start as isize * step[i]));
            load::<T>(at[0], step[0], &mut before[..n]);
            for (y, &x) in after[..n].iter_mut().zip(&before[..n]) {
                *y = op(x);
            }
            store::<T>(&after[..n], at[1], step[1]);
        }
    }
}

/// # Safety
/// `out.len()` elements of type `T` lie `step` bytes apart from `data` on.
#[inline(always)]
unsafe fn load<T: Number>(data: *const u8, step: isize, out: &mut [T::Work]) {
    let data = data.cast::<T::Raw>();
    // SAFETY: all reads are of the caller's elements, and raw ones need no alignment.
    unsafe {
        if step == size_of::<T>() as isize {
            T::load(std::slice::from_raw_parts(data, out.len()), out);
        } else if step == 0 {
            out.fill(T::from_raw(data.read()).to_work());
        } else {
            for (i, out) in out.iter_mut().enumerate() {
                *out = T::from_raw(data.byte_offset(i as isize * step).read()).to_work();
            }
        }
    }
}

/// # Safety
/// `values.len()` elements of type `T` lie `step` bytes apart from `data` on and may
/// be written; nothing refers to them.
#[inline(always)]
unsafe fn store<T: Number>(values: &[T::Work], data: *mut u8, step: isize) {
    let data = data.cast::<T::Raw>();
    // SAFETY: all writes are to the caller's elements, and raw ones need no alignment.
    unsafe {
        if step == size_of::<T>() as isize {
            T::store(values, std::slice::from_raw_parts_mut(data, values.len()));
        } else {
            for (i, &value) in values.iter().enumerate() {
                data.byte_offset(i as isize * step).write(T::from_work(value).to_raw());
            }
        }
    }
}

/// Calls `work(offsets, len)` for runs of the innermost loop that together are all
/// elements, each once, on up to `threads` threads.
fn for_each_run<const N: usize>(
    nest: &Nest<N>,
    threads: usize,
    work: impl Fn([isize; N], usize) + Sync,
) {
    /// Elements a thread takes at a time, at least.
    const PIECE: usize = 1 << 14;

    let threads = parallel::worth(threads, nest.rows * nest.len);
    if threads == 1 {
        return nest.for_each(0..nest.rows, |offsets| work(offsets, nest.len));
    }
    // Either a row is cut, or rows are taken together.
    let cuts = nest.len.div_ceil(PIECE);
    let together = (PIECE / nest.len).max(1);
    let pieces = cuts * nest.rows.div_ceil(together);
    parallel::share_out(threads, pieces, |mine| {
        for piece in mine {
            let first = piece / cuts * together;
            let start = piece % cuts * PIECE;
            let len = PIECE.min(nest.len - start);
            nest.for_each(first..nest.rows.min(first + together), |offsets| {
                work(array::from_fn(|i| offsets[i] + start as isize * nest.step[i]), len);
            });
        }
    });
}
