//! Loops over views of one shape: as few and as long as their strides allow.

use std::ops::Range;

use smallvec::SmallVec;

use super::view::View;

/// The loops over the elements of `N` views of one shape. Dimensions of one element
/// are gone, and dimensions that every view walks evenly are merged into one.
#[derive(Debug)]
pub struct Nest<const N: usize> {
    /// Extents of the outer loops, the slowest first.
    outer: SmallVec<[usize; 4]>,
    /// Byte strides of the outer loops.
    strides: SmallVec<[[isize; N]; 4]>,
    /// Elements of the innermost loop; 1 for a shape without dimensions.
    pub len: usize,
    /// Byte strides of the innermost loop.
    pub step: [isize; N],
    /// How often the innermost loop runs.
    pub rows: usize,
}

impl<const N: usize> Nest<N> {
    /// Loops in C order.
    pub fn in_order(views: [&View; N]) -> Nest<N> {
        Self::new(views, false)
    }

    /// Loops in the order of the last view's memory, for kernels to which the order
    /// of the elements is all the same.
    pub fn any_order(views: [&View; N]) -> Nest<N> {
        Self::new(views, true)
    }

    fn new(views: [&View; N], reorder: bool) -> Nest<N> {
        let shape = &views[0].shape;
        debug_assert!(views.iter().all(|view| view.shape == *shape), "views of one shape");
        if shape.contains(&0) {
            return Nest {
                outer: SmallVec::new(),
                strides: SmallVec::new(),
                len: 0,
                step: [0; N],
                rows: 0,
            };
        }
        let mut loops: SmallVec<[(usize, [isize; N]); 4]> = (0..shape.len())
            .filter(|&d| shape[d] != 1)
            .map(|d| (shape[d], views.map(|view| view.strides[d])))
            .collect();
        if reorder {
            loops.sort_by_key(|(_, strides)| std::cmp::Reverse(strides[N - 1].unsigned_abs()));
        }
        let mut merged: SmallVec<[(usize, [isize; N]); 4]> = SmallVec::new();
        for (extent, strides) in loops {
            match merged.last_mut() {
                Some((outer_extent, outer))
                    if (0..N).all(|i| outer[i] == strides[i].wrapping_mul(extent as isize)) =>
                {
                    *outer_extent *= extent;
                    *outer = strides;
                }
                _ => merged.push((extent, strides)),
            }
        }
        let (len, step) = merged.pop().unwrap_or((1, [0; N]));
        let (outer, strides): (SmallVec<[usize; 4]>, _) = merged.into_iter().unzip();
        let rows = outer.iter().product();
        Nest { outer, strides, len, step, rows }
    }

    /// Extents and byte strides of the outer loops, the slowest first.
    pub fn outer(&self) -> impl Iterator<Item = (usize, [isize; N])> {
        self.outer.iter().copied().zip(self.strides.iter().copied())
    }

    /// Calls `row` with the byte offsets at which each of the rows in `range` begins,
    /// one after the other.
    pub fn for_each(&self, range: Range<usize>, mut row: impl FnMut([isize; N])) {
        if range.is_empty() {
            return;
        }
        let mut index = SmallVec::<[usize; 4]>::from_elem(0, self.outer.len());
        let mut offsets = [0; N];
        let mut rest = range.start;
        for d in (0..self.outer.len()).rev() {
            index[d] = rest % self.outer[d];
            rest /= self.outer[d];
            shift(&mut offsets, &self.strides[d], index[d] as isize);
        }
        for _ in range {
            row(offsets);
            for d in (0..self.outer.len()).rev() {
                index[d] += 1;
                shift(&mut offsets, &self.strides[d], 1);
                if index[d] < self.outer[d] {
                    break;
                }
                shift(&mut offsets, &self.strides[d], -(self.outer[d] as isize));
                index[d] = 0;
            }
        }
    }
}

/// Moves every offset by `times` strides.
#[inline]
fn shift<const N: usize>(offsets: &mut [isize; N], strides: &[isize; N], times: isize) {
    for (offset, stride) in offsets.iter_mut().zip(strides) {
        *offset += stride * times;
    }
}
