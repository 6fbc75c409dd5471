//! Reductions over any axes of any layout: sum, mean, minimum, maximum, and the
//! count of elements that are not zero.
//!
//! Integers are summed exactly. Floats are summed in f64, in an order that depends
//! on shape and strides alone: the result has the same bits for any number of
//! threads and on every CPU path.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod exact;
mod extreme;
pub(crate) mod float;
pub(crate) mod fold;
mod integer;
mod nonzero;
mod rows;
mod vertical;

use std::sync::OnceLock;

use super::dtype::{Class, DType};
use super::element::with_element;
use super::nest::Nest;
use super::view::{Shape, Strides, View, show};
use crate::error::{Error, Result};
use crate::parallel;
use extreme::{Extremes, Ordered};
use float::FloatSum;
use fold::Fold;
use integer::IntegerSum;
use nonzero::{Count, Nonzero};
use rows::{Data, Rows};

/// What to reduce to. The numbers are part of the C ABI and never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum Reduction {
    Sum = 0,
    Mean = 1,
    Min = 2,
    Max = 3,
    CountNonzero = 4,
}

impl Reduction {
    pub const ALL: [Reduction; 5] =
        [Reduction::Sum, Reduction::Mean, Reduction::Min, Reduction::Max, Reduction::CountNonzero];

    /// The reduction of that number in the C ABI.
    pub fn from_code(code: i32) -> Result<Reduction> {
        usize::try_from(code)
            .ok()
            .and_then(|code| Self::ALL.get(code).copied())
            .ok_or_else(|| Error::InvalidArgument(format!("no reduction has the number {code}")))
    }

    pub fn name(self) -> &'static str {
        match self {
            Reduction::Sum => "sum",
            Reduction::Mean => "mean",
            Reduction::Min => "min",
            Reduction::Max => "max",
            Reduction::CountNonzero => "count_nonzero",
        }
    }

    /// The type of the result.
    pub fn output(self, source: DType) -> DType {
        match (self, source.class()) {
            (Reduction::Sum, Class::Bool | Class::Signed) => DType::Int64,
            (Reduction::Sum, Class::Unsigned) => DType::Uint64,
            (Reduction::Sum, Class::Float) | (Reduction::Mean, _) => DType::Float64,
            (Reduction::Min | Reduction::Max, _) => source,
            (Reduction::CountNonzero, _) => DType::Int64,
        }
    }
}

/// Reduces the dimensions of `source` whose bits are set in `axes`. `target` has the
/// type [`Reduction::output`] and the dimensions that are kept, in order; its memory
/// does not overlap the source's. If an error is returned, what it holds is unspecified.
pub fn reduce(
    op: Reduction,
    source: &View,
    axes: u64,
    target: &View,
    threads: usize,
) -> Result<()> {
    let (kept, reduced) = split(source, axes)?;
    if target.dtype != op.output(source.dtype) || target.shape != kept.shape {
        return Err(Error::InvalidArgument(format!(
            "the {} of a {} tensor of shape {} goes to a {} tensor of shape {}, not to a {} \
             tensor of shape {}",
            op.name(),
            source.dtype.name(),
            show(&source.shape),
            op.output(source.dtype).name(),
            show(&kept.shape),
            target.dtype.name(),
            show(&target.shape),
        )));
    }
    if kept.is_empty() {
        return Ok(());
    }
    if reduced.is_empty() && matches!(op, Reduction::Min | Reduction::Max) {
        return Err(Error::InvalidArgument(format!(
            "{} of an empty tensor of shape {}",
            op.name(),
            show(&source.shape)
        )));
    }
    let job = Job { kept, reduced, target, threads };
    with_element!(source.dtype, T => job.reduce::<T>(op))
}

/// The dimensions that are kept and those that are reduced.
fn split(source: &View, axes: u64) -> Result<(View, View)> {
    if axes.checked_shr(source.ndim() as u32).unwrap_or(0) != 0 {
        return Err(Error::InvalidArgument(format!(
            "a tensor of shape {} has {} dimensions; the axes {axes:#b} go beyond",
            show(&source.shape),
            source.ndim()
        )));
    }
    let take = |reduced: bool| {
        let chosen =
            || (0..source.ndim()).filter(move |&d| (axes >> d.min(63) & 1 == 1) == reduced);
        let shape: Shape = chosen().map(|d| source.shape[d]).collect();
        let strides: Strides = chosen().map(|d| source.strides[d]).collect();
        View { data: source.data, dtype: source.dtype, shape, strides }
    };
    Ok((take(false), take(true)))
}

struct Job<'a> {
    kept: View,
    reduced: View,
    target: &'a View,
    threads: usize,
}

/// How an element type is summed up.
trait Summed: Ordered + Nonzero {
    type Sum: Fold<Raw = Self::Raw>;

    fn to_f64(sum: <Self::Sum as Fold>::Acc) -> f64;
    /// The sum as it is stored; None where it does not fit.
    fn to_output(sum: <Self::Sum as Fold>::Acc) -> Option<[u8; 8]>;
}

/// One NaN for all of them: which one arithmetic makes is the CPU's choice.
fn store(value: f64) -> [u8; 8] {
    if value.is_nan() { f64::NAN.to_ne_bytes() } else { value.to_ne_bytes() }
}

macro_rules! summed {
    ($($type:ty => $output:ty),*) => {$(
        impl Summed for $type {
            type Sum = IntegerSum<$type>;

            fn to_f64(sum: i128) -> f64 {
                sum as f64
            }

            fn to_output(sum: i128) -> Option<[u8; 8]> {
                <$output>::try_from(sum).ok().map(<$output>::to_ne_bytes)
            }
        }
    )*};
    ($($type:ty),*) => {$(
        impl Summed for $type {
            type Sum = FloatSum<$type>;

            fn to_f64(sum: f64) -> f64 {
                sum
            }

            fn to_output(sum: f64) -> Option<[u8; 8]> {
                Some(store(sum))
            }
        }
    )*};
}

summed!(super::element::Bool => i64, i8 => i64, i16 => i64, i32 => i64, i64 => i64);
summed!(u8 => u64, u16 => u64, u32 => u64, u64 => u64);
summed!(f32, f64, half::f16, half::bf16, super::element::F8E4M3, super::element::F8E5M2);

impl Job<'_> {
    fn reduce<T: Summed>(&self, op: Reduction) -> Result<()> {
        let count = self.reduced.len() as f64;
        let overflow = || {
            let output = op.output(T::DTYPE).name();
            Error::Overflow(format!("the sum of {} does not fit in {output}", T::DTYPE.name()))
        };
        match op {
            Reduction::Sum => self.fold::<T::Sum, _>(|sum| T::to_output(sum).ok_or_else(overflow)),
            Reduction::Mean => self.fold::<T::Sum, _>(|sum| Ok(store(T::to_f64(sum) / count))),
            Reduction::Min => self.fold::<Extremes<T>, _>(|(least, greatest)| {
                Ok(T::nan(least, greatest).unwrap_or_else(|| T::from_key(least)))
            }),
            Reduction::Max => self.fold::<Extremes<T>, _>(|(least, greatest)| {
                Ok(T::nan(least, greatest).unwrap_or_else(|| T::from_key(greatest)))
            }),
            Reduction::CountNonzero => self.fold::<Count<T>, _>(|count| Ok(count.to_ne_bytes())),
        }
    }

    /// Folds every output and stores what `finish` makes of it.
    fn fold<F: Fold, R: Copy>(&self, finish: impl Fn(F::Acc) -> Result<R> + Sync) -> Result<()> {
        let refused = OnceLock::new();
        let target = Data(self.target.data);
        let put = |offset: isize, result: F::Acc| match finish(result) {
            // SAFETY: the offset is that of an element of the target, which the caller
            // of `reduce` vouches for; each is written once.
            Ok(value) => unsafe { target.at(offset).cast_mut().cast::<R>().write_unaligned(value) },
            Err(error) => {
                let _ = refused.set(error);
            }
        };
        let data = self.reduced.data.cast_const();
        // Backwards is as good as forwards, and forwards is what the kernels know.
        let (data, reduced) = forwards(data, &self.reduced);
        let kept = Nest::any_order([self.target, &self.kept]);
        let reduced = Nest::any_order([&reduced]);
        let size = size_of::<F::Raw>() as isize;
        if reduced.rows == 0 {
            kept.for_each(0..kept.rows, |[out, _]| {
                for j in 0..kept.len as isize {
                    put(out + j * kept.step[0], F::NOTHING);
                }
            });
        } else if kept.rows * kept.len == 1 {
            // SAFETY: `reduce`'s caller vouches for the source.
            put(0, unsafe { rows::fold_one::<F>(data, &reduced, self.threads) });
        } else if kept.step[1] == size && kept.len > 1 && reduced.step[0] != size {
            // SAFETY: as above, and the kept elements were just seen to be side by side.
            unsafe { vertical::fold_vertical::<F>(data, &kept, &reduced, self.threads, put) };
        } else {
            self.fold_rows::<F>(data, &kept, &reduced, put);
        }
        refused.into_inner().map_or(Ok(()), Err)
    }

    /// One output after the other.
    fn fold_rows<F: Fold>(
        &self,
        data: *const u8,
        kept: &Nest<2>,
        reduced: &Nest<1>,
        put: impl Fn(isize, F::Acc) + Sync,
    ) {
        let outputs = kept.rows * kept.len;
        let each = reduced.rows * reduced.len;
        let threads = parallel::worth(self.threads, outputs.saturating_mul(each));
        if outputs < 4 * threads {
            super::segments::segments(kept, 0..outputs, |[out, offset], count| {
                for j in 0..count as isize {
                    let first = data.wrapping_offset(offset + j * kept.step[1]);
                    // SAFETY: `reduce`'s caller vouches for the source.
                    let result = unsafe { rows::fold_one::<F>(first, reduced, self.threads) };
                    put(out + j * kept.step[0], result);
                }
            });
            return;
        }
        let data = Data(data);
        parallel::run(threads, |i| {
            let mut rows = Rows::<F>::new(reduced);
            let range = outputs * i / threads..outputs * (i + 1) / threads;
            super::segments::segments(kept, range, |[out, offset], count| {
                for j in 0..count as isize {
                    // SAFETY: as above.
                    let result = unsafe { rows.fold(data.at(offset + j * kept.step[1])) };
                    put(out + j * kept.step[0], result);
                }
            });
        });
    }
}

/// The same elements in an order in which no stride is negative.
fn forwards(data: *const u8, view: &View) -> (*const u8, View) {
    let (mut data, mut view) = (data, view.clone());
    for (stride, &extent) in view.strides.iter_mut().zip(&view.shape) {
        if *stride < 0 && extent > 0 {
            data = data.wrapping_offset(*stride * (extent as isize - 1));
            *stride = -*stride;
        }
    }
    (data, view)
}
