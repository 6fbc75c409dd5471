//! Folds of whole sub-tensors, one for each output: memory is walked along the
//! dimensions that are reduced.

use std::ops::Range;
use std::sync::Mutex;

use super::fold::{self, BLOCK, Fold, STREAMS, Tree};
use crate::parallel;
use crate::tensor::nest::Nest;
use crate::tensor::segments::{gather, segments};

/// Blocks that a thread takes at a time; a power of two, so that they are a whole
/// branch of the tree.
const SHARE: usize = 8;

/// Elements to be folded into one result, at `data` and beyond.
pub struct Rows<'a, F: Fold> {
    nest: &'a Nest<1>,
    total: usize,
    /// Where elements that do not lie in a row are put in one.
    buffer: Vec<F::Raw>,
}

impl<'a, F: Fold> Rows<'a, F> {
    pub fn new(nest: &'a Nest<1>) -> Rows<'a, F> {
        Rows { nest, total: nest.rows * nest.len, buffer: Vec::new() }
    }

    /// All of it. `data` must be where the nest's elements are, readable.
    #[inline]
    pub unsafe fn fold(&mut self, data: *const u8) -> F::Acc {
        if self.total <= BLOCK {
            // SAFETY: as the caller vouches.
            return fold::run::<F>(unsafe { self.slice(data, 0..self.total) });
        }
        let mut tree = Tree::new();
        // SAFETY: as the caller vouches.
        unsafe { self.grow(&mut tree, data, 0..self.total) };
        tree.finish(F::combine).unwrap_or(F::NOTHING)
    }

    /// Takes a range that begins with a block into the tree.
    unsafe fn grow(&mut self, tree: &mut Tree<F::Acc>, data: *const u8, range: Range<usize>) {
        let contiguous = self.nest.rows == 1 && self.nest.step[0] == size_of::<F::Raw>() as isize;
        let step = if contiguous { STREAMS * BLOCK } else { BLOCK };
        for from in range.clone().step_by(step) {
            let mut results = [F::NOTHING; STREAMS];
            // SAFETY: as the caller vouches.
            let slice = unsafe { self.slice(data, from..(from + step).min(range.end)) };
            let count = fold::blocks::<F>(slice, &mut results);
            results[..count].iter().for_each(|&result| tree.push(0, result, F::combine));
        }
    }

    /// Elements in a row: where they are, if they are, or else copied.
    #[inline]
    unsafe fn slice(&mut self, data: *const u8, range: Range<usize>) -> &[F::Raw] {
        let nest = self.nest;
        let row = range.start / nest.len;
        if nest.step[0] == size_of::<F::Raw>() as isize && range.end <= (row + 1) * nest.len {
            let mut first = data;
            if nest.rows == 1 {
                first = first.wrapping_add(range.start * size_of::<F::Raw>());
            } else {
                segments(nest, range.clone(), |[offset], _| first = first.wrapping_offset(offset));
            }
            // SAFETY: the caller vouches for the elements; `Raw` is an array of bytes.
            return unsafe { std::slice::from_raw_parts(first.cast(), range.len()) };
        }
        self.buffer.clear();
        self.buffer.reserve(range.len());
        segments(nest, range, |[offset], count| {
            let at = self.buffer.len();
            let first = data.wrapping_offset(offset);
            // SAFETY: as above, and the pieces together are as long as the range, for
            // which there is room; every slot is written before the length covers it.
            unsafe {
                let room = self.buffer.as_mut_ptr().add(at);
                gather(first, nest.step[0], std::slice::from_raw_parts_mut(room, count));
                self.buffer.set_len(at + count);
            }
        });
        &self.buffer
    }
}

/// Folds all that `nest` walks from `data` on into one result, on several threads.
///
/// # Safety
/// The elements must be there to be read, and not be written meanwhile.
pub unsafe fn fold_one<F: Fold>(data: *const u8, nest: &Nest<1>, threads: usize) -> F::Acc {
    let total = nest.rows * nest.len;
    let shares = total.div_ceil(SHARE * BLOCK);
    let threads = parallel::worth(threads, total).min(shares);
    if threads <= 1 {
        // SAFETY: as the caller vouches.
        return unsafe { Rows::<F>::new(nest).fold(data) };
    }
    let trees: Vec<Mutex<Tree<F::Acc>>> = (0..shares).map(|_| Mutex::new(Tree::new())).collect();
    let data = Data(data);
    parallel::share_out(threads, shares, |mine| {
        let mut rows = Rows::<F>::new(nest);
        for i in mine {
            let Ok(mut tree) = trees[i].lock() else { continue };
            let from = i * SHARE * BLOCK;
            // SAFETY: as the caller vouches.
            unsafe { rows.grow(&mut tree, data.at(0), from..(from + SHARE * BLOCK).min(total)) };
        }
    });
    let mut all = Tree::new();
    for tree in trees.into_iter().flat_map(Mutex::into_inner) {
        all.append(&tree, F::combine);
    }
    all.finish(F::combine).unwrap_or(F::NOTHING)
}

/// A pointer that threads share to read from, or to write to disjoint places.
#[derive(Clone, Copy)]
pub struct Data(pub *const u8);

// SAFETY: the functions that use it have callers who vouch for the memory.
unsafe impl Send for Data {}
// SAFETY: as above.
unsafe impl Sync for Data {}

impl Data {
    pub fn at(self, offset: isize) -> *const u8 {
        self.0.wrapping_offset(offset)
    }
}
