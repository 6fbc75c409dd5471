//! Folds of outputs that lie side by side in memory: rows of outputs are taken in
//! one after the other, so that memory is walked in order.

use std::ops::Range;
use std::sync::Mutex;

use smallvec::SmallVec;

use super::fold::{self, Fold};
use super::rows::Data;
use crate::parallel;
use crate::tensor::nest::Nest;
use crate::tensor::segments::segments;

/// Outputs of which the cells stay in the first-level cache.
const STRIP: usize = 2048;
/// Rows taken in at a time: as many streams of memory, and each cell is touched once.
const ROWS: usize = 8;
/// Rows that cells take in before those are added to the results: the shorter the
/// chains of additions, the smaller their error.
const CHAIN: usize = 128;
/// Outputs from which on threads share out these, not the rows.
const MANY: usize = 4096;
/// The most parts into which the rows are split for few outputs.
const PARTS: usize = 64;

/// Folds, for each of the `kept` elements, all that `reduced` walks from it on, and
/// calls `finish(offset, result)` with the offset in the first view of `kept`; the
/// second is the source.
///
/// # Safety
/// The elements must be there to be read, and not be written meanwhile, and the
/// innermost loop of `kept` must walk the source element by element.
pub unsafe fn fold_vertical<F: Fold>(
    data: *const u8,
    kept: &Nest<2>,
    reduced: &Nest<1>,
    threads: usize,
    finish: impl Fn(isize, F::Acc) + Sync,
) {
    let rows = reduced.rows * reduced.len;
    let outputs = kept.rows * kept.len;
    let data = Data(data);
    // What the parts are depends on the shape alone, and so does every bit.
    let part = if outputs >= MANY {
        rows
    } else {
        rows.div_ceil(PARTS).next_multiple_of(CHAIN).max((MANY * CHAIN / outputs).max(CHAIN))
    };
    let parts = rows.div_ceil(part);
    let threads = parallel::worth(threads, rows.saturating_mul(outputs));
    let strip = if parts >= threads {
        STRIP
    } else {
        kept.len.div_ceil(threads * 2).next_multiple_of(64).min(STRIP)
    };
    let strips = kept.len.div_ceil(strip);
    let results: Vec<Mutex<Vec<F::Acc>>> =
        (0..kept.rows * strips * parts).map(|_| Mutex::new(Vec::new())).collect();
    parallel::share_out(threads, results.len(), |mine| {
        let mut cells = Vec::new();
        for i in mine {
            let (place, number) = (i / parts, i % parts);
            let first = place % strips * strip;
            let width = strip.min(kept.len - first);
            let mut sums = vec![F::NOTHING; width];
            kept.for_each(place / strips..place / strips + 1, |[out, offset]| {
                let from = data.at(offset + first as isize * kept.step[1]);
                let range = number * part..((number + 1) * part).min(rows);
                // SAFETY: as the caller vouches.
                unsafe { fold_strip::<F>(from, reduced, range, &mut cells, &mut sums) };
                if parts == 1 {
                    for (j, &sum) in sums.iter().enumerate() {
                        finish(out + (first + j) as isize * kept.step[0], sum);
                    }
                }
            });
            if parts > 1
                && let Ok(mut result) = results[i].lock()
            {
                *result = sums;
            }
        }
    });
    if parts == 1 {
        return;
    }
    let mut results = results.into_iter().flat_map(Mutex::into_inner);
    kept.for_each(0..kept.rows, |[out, _]| {
        for s in 0..strips {
            let mut sums = results.next().unwrap_or_default();
            for next in results.by_ref().take(parts - 1) {
                sums.iter_mut().zip(next).for_each(|(sum, next)| *sum = F::combine(*sum, next));
            }
            for (j, sum) in sums.into_iter().enumerate() {
                finish(out + (s * strip + j) as isize * kept.step[0], sum);
            }
        }
    });
}

/// Takes the rows of the range into `sums`, outputs side by side from `data` on.
unsafe fn fold_strip<F: Fold>(
    data: *const u8,
    reduced: &Nest<1>,
    range: Range<usize>,
    cells: &mut Vec<F::Cell>,
    sums: &mut [F::Acc],
) {
    cells.clear();
    cells.resize(sums.len(), F::CELL);
    let mut chain = 0;
    let mut waiting: SmallVec<[&[F::Raw]; ROWS]> = SmallVec::new();
    let mut flush = |cells: &mut Vec<F::Cell>| {
        for (sum, cell) in sums.iter_mut().zip(cells) {
            *sum = F::combine(*sum, F::cell(*cell));
            *cell = F::CELL;
        }
    };
    segments(reduced, range, |[offset], count| {
        for r in 0..count {
            let row = data.wrapping_offset(offset + r as isize * reduced.step[0]);
            // SAFETY: the caller vouches for as many elements side by side; `Raw` is
            // an array of bytes.
            waiting.push(unsafe { std::slice::from_raw_parts(row.cast(), cells.len()) });
            if waiting.len() < ROWS {
                continue;
            }
            if let Ok(rows) = <[&[F::Raw]; ROWS]>::try_from(waiting.as_slice()) {
                fold::vertical::<F, ROWS>(cells, rows);
            }
            waiting.clear();
            chain += ROWS;
            if chain == CHAIN {
                chain = 0;
                flush(cells);
            }
        }
    });
    for row in waiting {
        fold::vertical::<F, 1>(cells, [row]);
    }
    flush(cells);
}
