//! Copying one view into another, converted where their types differ.

mod line;
mod nibbles;
mod tiles;

use std::ops::Range;

use super::dtype::DType;
use super::nest::Nest;
use super::view::{View, show};
use crate::error::{Error, Result};
use crate::parallel;
use line::Line;
use tiles::Tiles;

/// Copies all elements of `source` into `target`, which has the same shape, as
/// [`convert`](super::convert) has them. Each may have any type, strides and
/// alignment; the source may repeat elements. `int4` is packed two to a byte in C
/// order, the low nibble first; of an odd number the last high nibble becomes zero.
///
/// The two must not overlap.
pub fn copy(source: &View, target: &View, threads: usize) -> Result<()> {
    if source.shape != target.shape {
        return Err(Error::InvalidArgument(format!(
            "shape {} cannot be copied into shape {}",
            show(&source.shape),
            show(&target.shape)
        )));
    }
    if source.is_empty() {
        return Ok(());
    }
    if source.dtype == DType::Int4 || target.dtype == DType::Int4 {
        nibbles::copy(source, target, threads);
        return Ok(());
    }
    let line = Line::new(source.dtype, target.dtype);
    let nest = Nest::any_order([source, target]);
    let threads = parallel::worth(threads, source.len());
    match Tiles::of(&nest) {
        Some(tiles) => share(tiles.count(), 1, threads, |range| {
            // SAFETY: the caller vouches for both views.
            unsafe { tiles.copy(range, line, source.data, target.data) };
        }),
        None => share(source.len(), EVEN, threads, |range| {
            let [source_step, target_step] = nest.step;
            fragments(&nest, range, |[from, to], _, n| {
                // SAFETY: the caller vouches for both views.
                unsafe {
                    let (source, target) = (source.data.offset(from), target.data.offset(to));
                    line.copy(source, source_step, target, target_step, n);
                }
            });
        }),
    }
    Ok(())
}

/// What the pieces of a copy are multiples of: whole lines of the cache, mostly.
const EVEN: usize = 64;

/// Calls `work` for consecutive ranges of `0..total` that begin at multiples of
/// `grain`, on so many threads.
fn share(total: usize, grain: usize, threads: usize, work: impl Fn(Range<usize>) + Sync) {
    if threads <= 1 {
        return work(0..total);
    }
    // Several pieces a thread, so that a core that is held up holds up less.
    let piece = total.div_ceil(threads * 8).next_multiple_of(grain);
    parallel::share_out(threads, total.div_ceil(piece), |mine| {
        for start in mine.map(|i| i * piece) {
            work(start..total.min(start + piece));
        }
    });
}

/// Calls `each` with what a range of a nest's elements is made of: stretches of its
/// innermost loop. It gets the byte offsets of the first element, its number, and
/// how many there are.
fn fragments<const N: usize>(
    nest: &Nest<N>,
    range: Range<usize>,
    mut each: impl FnMut([isize; N], usize, usize),
) {
    if range.is_empty() {
        return;
    }
    let mut row = range.start / nest.len;
    nest.for_each(row..range.end.div_ceil(nest.len), |mut offsets| {
        let first = range.start.max(row * nest.len);
        let end = range.end.min((row + 1) * nest.len);
        let skipped = (first - row * nest.len) as isize;
        for (offset, step) in offsets.iter_mut().zip(nest.step) {
            *offset += step * skipped;
        }
        each(offsets, first, end - first);
        row += 1;
    });
}
