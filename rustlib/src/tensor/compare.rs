//! Where two tensors differ. Values are compared: NaN differs from everything, zeros
//! of either sign are equal, and numbers of different types are equal only if they
//! are so exactly.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::dtype::{Class, DType};
use super::element::{Bool, Element, F8E4M3, F8E5M2, with_element};
use super::nest::Nest;
use super::reduce::float::Float;
use super::segments::segments;
use super::view::View;
#[cfg(target_arch = "x86_64")]
use crate::cpu;
use crate::parallel;

/// Elements that are looked at together.
const BLOCK: usize = 256;
/// Elements that a thread takes at a time.
const SHARE: usize = 1 << 16;

/// Where, in C order, two views of one shape first have different values.
pub fn first_difference(a: &View, b: &View, threads: usize) -> Option<usize> {
    debug_assert!(a.shape == b.shape, "views of one shape");
    if a.dtype == b.dtype {
        with_element!(a.dtype, T => search(a, b, threads, same_type::<T>()))
    } else {
        let differ: Kernel = match (a.dtype.class(), b.dtype.class()) {
            (Class::Float, Class::Float) => floats,
            (Class::Float, _) => float_and_integer,
            (_, Class::Float) => integer_and_float,
            _ => integers,
        };
        let readers = [Reader::of(a.dtype), Reader::of(b.dtype)];
        search(a, b, threads, |at, step, len| differ(readers, at, step, len))
    }
}

/// Whether two views of one shape have the same values.
pub fn equal(a: &View, b: &View, threads: usize) -> bool {
    first_difference(a, b, threads).is_none()
}

/// Shares out the elements; `differ` says where a run first differs.
fn search(
    a: &View,
    b: &View,
    threads: usize,
    differ: impl Fn([*const u8; 2], [isize; 2], usize) -> Option<usize> + Sync,
) -> Option<usize> {
    let nest = Nest::in_order([a, b]);
    let total = nest.rows * nest.len;
    let (taken, found) = (AtomicUsize::new(0), AtomicUsize::new(usize::MAX));
    parallel::run(parallel::worth(threads, total), |_| {
        loop {
            let from = taken.fetch_add(SHARE, Ordering::Relaxed);
            // What lies beyond a difference does not matter.
            if from >= total.min(found.load(Ordering::Relaxed)) {
                break;
            }
            let range: Range<usize> = from..(from + SHARE).min(total);
            let mut at = from;
            let mut here = None;
            segments(&nest, range, |offsets, count| {
                if here.is_none() {
                    let first = [
                        a.data.cast_const().wrapping_offset(offsets[0]),
                        b.data.cast_const().wrapping_offset(offsets[1]),
                    ];
                    here = differ(first, nest.step, count).map(|i| at + i);
                }
                at += count;
            });
            if let Some(here) = here {
                found.fetch_min(here, Ordering::Relaxed);
            }
        }
    });
    Some(found.into_inner()).filter(|&found| found != usize::MAX)
}

/// An element type and when two of its elements are equal.
trait Same: Element {
    fn same(a: Self::Raw, b: Self::Raw) -> bool;
}

macro_rules! by_value {
    ($($type:ty),*) => {$(
        impl Same for $type {
            #[inline(always)]
            fn same(a: Self::Raw, b: Self::Raw) -> bool {
                Self::from_raw(a) == Self::from_raw(b)
            }
        }
    )*};
}

by_value!(Bool, i8, i16, i32, i64, u8, u16, u32, u64, f32, f64);

/// Small floats by their bits, and the largest of them that are not NaN.
macro_rules! by_bits {
    ($($type:ty, $bits:ident, $largest:literal;)*) => {$(
        impl Same for $type {
            #[inline(always)]
            fn same(a: Self::Raw, b: Self::Raw) -> bool {
                const MAGNITUDE: $bits = $bits::MAX >> 1;
                let (a, b) = ($bits::from_ne_bytes(a), $bits::from_ne_bytes(b));
                let equal = (a == b) & (a & MAGNITUDE <= $largest);
                equal | ((a | b) & MAGNITUDE == 0)
            }
        }
    )*};
}

by_bits!(
    half::f16, u16, 0x7C00;
    half::bf16, u16, 0x7F80;
    F8E4M3, u8, 0x7E;
    F8E5M2, u8, 0x7C;
);

/// Where runs of one type first differ.
fn same_type<T: Same>() -> impl Fn([*const u8; 2], [isize; 2], usize) -> Option<usize> + Sync {
    |first, step, len| {
        let size = size_of::<T::Raw>() as isize;
        if step == [size; 2] {
            // SAFETY: the caller of `first_difference` vouches for the elements, which
            // lie in rows here; `Raw` is an array of bytes.
            let [a, b] = first.map(|at| unsafe { std::slice::from_raw_parts(at.cast(), len) });
            return in_rows::<T>(a, b);
        }
        (0..len).find(|&i| {
            // SAFETY: as above; each element is one of the run's.
            let [a, b] = [0, 1].map(|k| unsafe {
                first[k].wrapping_offset(step[k] * i as isize).cast::<T::Raw>().read()
            });
            !T::same(a, b)
        })
    }
}

fn in_rows<T: Same>(a: &[T::Raw], b: &[T::Raw]) -> Option<usize> {
    #[cfg(target_arch = "x86_64")]
    if cpu::path().has_avx2() {
        // SAFETY: the path has AVX2 only where the CPU was seen to have it.
        return unsafe { in_rows_avx2::<T>(a, b) };
    }
    in_rows_body::<T>(a, b)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn in_rows_avx2<T: Same>(a: &[T::Raw], b: &[T::Raw]) -> Option<usize> {
    in_rows_body::<T>(a, b)
}

#[inline(always)]
fn in_rows_body<T: Same>(a: &[T::Raw], b: &[T::Raw]) -> Option<usize> {
    let (blocks, _) = a.as_chunks::<BLOCK>();
    let (others, _) = b.as_chunks::<BLOCK>();
    // Without an exit inside, a block is a few vector instructions.
    let differs = |(a, b): (&[T::Raw; BLOCK], &[T::Raw; BLOCK])| {
        let mut differs = false;
        for i in 0..BLOCK {
            differs |= !T::same(a[i], b[i]);
        }
        differs
    };
    let equal = blocks.iter().zip(others).position(differs).unwrap_or(blocks.len()) * BLOCK;
    let rest = a[equal..].iter().zip(&b[equal..]).position(|(&a, &b)| !T::same(a, b));
    rest.map(|i| equal + i)
}

/// Where runs of different types first differ.
type Kernel = fn([Reader; 2], [*const u8; 2], [isize; 2], usize) -> Option<usize>;

/// How elements of a type are read without loss: as the one or the other.
#[derive(Clone, Copy)]
struct Reader {
    integer: unsafe fn(*const u8) -> i128,
    float: unsafe fn(*const u8) -> f64,
}

impl Reader {
    fn of(dtype: DType) -> Reader {
        fn of<T: Wide>() -> Reader {
            Reader { integer: integer::<T>, float: float::<T> }
        }
        with_element!(dtype, T => of::<T>())
    }
}

unsafe fn integer<T: Wide>(at: *const u8) -> i128 {
    // SAFETY: the caller has an element there.
    T::integer(unsafe { at.cast::<T::Raw>().read() })
}

unsafe fn float<T: Wide>(at: *const u8) -> f64 {
    // SAFETY: the caller has an element there.
    T::float(unsafe { at.cast::<T::Raw>().read() })
}

/// An element type that is integer or floating point; the other is never asked for.
trait Wide: Element {
    fn integer(_raw: Self::Raw) -> i128 {
        unreachable!("{} is not an integer type", Self::DTYPE.name())
    }

    fn float(_raw: Self::Raw) -> f64 {
        unreachable!("{} is not a floating point type", Self::DTYPE.name())
    }
}

macro_rules! wide {
    (integer: $($integer:ty),*; float: $($float:ty),*) => {
        $(impl Wide for $integer {
            fn integer(raw: Self::Raw) -> i128 {
                i128::from(Self::from_raw(raw))
            }
        })*
        $(impl Wide for $float {
            fn float(raw: Self::Raw) -> f64 {
                <Self as Float>::to_f64(raw)
            }
        })*
    };
}

wide!(
    integer: i8, i16, i32, i64, u8, u16, u32, u64;
    float: f32, f64, half::f16, half::bf16, F8E4M3, F8E5M2
);

impl Wide for Bool {
    fn integer(raw: [u8; 1]) -> i128 {
        i128::from(Self::from_raw(raw).0)
    }
}

macro_rules! kernel {
    ($name:ident, $first:ident, $second:ident, $same:expr) => {
        fn $name(
            readers: [Reader; 2],
            first: [*const u8; 2],
            step: [isize; 2],
            len: usize,
        ) -> Option<usize> {
            (0..len).find(|&i| {
                let at = |k: usize| first[k].wrapping_offset(step[k] * i as isize);
                // SAFETY: the caller of `first_difference` vouches for the elements,
                // and each reader is that of its view's type.
                let (a, b) = unsafe { ((readers[0].$first)(at(0)), (readers[1].$second)(at(1))) };
                !$same(a, b)
            })
        }
    };
}

kernel!(integers, integer, integer, |a: i128, b: i128| a == b);
kernel!(floats, float, float, |a: f64, b: f64| a == b);
kernel!(float_and_integer, float, integer, same_number);
kernel!(integer_and_float, integer, float, |a, b| same_number(b, a));

/// Whether a float is this integer, which is of at most 64 bits. A conversion that
/// saturates gives none of those.
fn same_number(float: f64, integer: i128) -> bool {
    float.trunc() == float && float as i128 == integer
}
