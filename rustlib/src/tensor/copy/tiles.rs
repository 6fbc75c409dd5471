//! Copies whose source and target run along different dimensions. Walked along
//! either, the other would be read or written a whole cache line for each element;
//! so a tile at a time is copied, small enough that its lines stay in the cache.

use std::mem::MaybeUninit;
use std::ops::Range;

use smallvec::SmallVec;

use super::line::Line;
use crate::tensor::nest::Nest;

/// Elements along a side of a square tile, which then takes at most 8 KiB.
const SIDE: usize = 32;
const WIDEST: usize = 8;
/// A dimension shorter than this is not worth a square: lines run across it.
const NARROW: usize = 8;
/// How long those lines are.
const STRIP: usize = 1024;
/// Lines shorter than this are copied by the tile, which costs less than one by one.
const SHORT: usize = 256;

/// One loop: how many elements, and how far apart in source and target.
#[derive(Clone, Copy)]
struct Loop {
    extent: usize,
    source: isize,
    target: isize,
}

/// Two loops cut into tiles, and the loops around them.
pub struct Tiles {
    /// The target's fastest loop, or the one that lines run across.
    across: Loop,
    /// The source's fastest loop, or the one that lines run along.
    along: Loop,
    outer: SmallVec<[Loop; 4]>,
    /// Elements of a tile in `across` and `along`.
    side: [usize; 2],
    /// Whether a tile is turned in a buffer; if not, it is copied in lines `along`.
    turned: bool,
}

impl Tiles {
    /// How to cut the copy of a nest of source and target; None where its own lines
    /// are as good.
    pub fn of(nest: &Nest<2>) -> Option<Tiles> {
        let mut outer: SmallVec<[Loop; 4]> = nest.outer().map(Loop::new).collect();
        let inner = Loop::new((nest.len, nest.step));
        let longest = (0..outer.len()).max_by_key(|&i| outer[i].extent)?;
        // A loop that repeats elements leads nowhere in memory.
        let walked = |i: usize| outer[i].source.unsigned_abs();
        let fastest = (0..outer.len()).filter(|&i| walked(i) != 0).min_by_key(|&i| walked(i));
        let turned = fastest.filter(|&i| walked(i) < inner.source.unsigned_abs());
        let (along, across, side, turned) = match turned {
            Some(i) if inner.extent >= NARROW && outer[i].extent >= NARROW => {
                (outer.remove(i), inner, [SIDE, SIDE], true)
            }
            _ if inner.extent < NARROW && outer[longest].extent >= 2 * NARROW => {
                (outer.remove(longest), inner, [NARROW, STRIP], false)
            }
            Some(i) if outer[i].extent < NARROW && inner.extent >= STRIP => {
                (inner, outer.remove(i), [NARROW, STRIP], false)
            }
            _ if inner.extent < SHORT => (inner, outer.pop()?, [STRIP, SHORT], false),
            _ => return None,
        };
        Some(Tiles { across, along, outer, side, turned })
    }

    fn grid(&self) -> [usize; 2] {
        [self.across.extent.div_ceil(self.side[0]), self.along.extent.div_ceil(self.side[1])]
    }

    /// The number of tiles.
    pub fn count(&self) -> usize {
        let [rows, columns] = self.grid();
        rows * columns * self.outer.iter().map(|l| l.extent).product::<usize>()
    }

    /// Copies some of the tiles.
    ///
    /// # Safety
    /// `source` and `target` are what the nest was made of, with `line` from the one's
    /// type to the other's, and do not overlap.
    pub unsafe fn copy(&self, range: Range<usize>, line: Line, source: *const u8, target: *mut u8) {
        let [rows, columns] = self.grid();
        for tile in range {
            let first = [tile / columns % rows * self.side[0], tile % columns * self.side[1]];
            let mut plane = tile / columns / rows;
            let mut from =
                self.across.source * first[0] as isize + self.along.source * first[1] as isize;
            let mut to =
                self.across.target * first[0] as isize + self.along.target * first[1] as isize;
            for outer in self.outer.iter().rev() {
                let index = (plane % outer.extent) as isize;
                plane /= outer.extent;
                from += outer.source * index;
                to += outer.target * index;
            }
            let across = self.side[0].min(self.across.extent - first[0]);
            let along = self.side[1].min(self.along.extent - first[1]);
            // SAFETY: a tile within both.
            unsafe {
                let (source, target) = (source.offset(from), target.offset(to));
                if self.turned {
                    self.turn(line, source, target, across, along);
                } else {
                    self.lines(line, source, target, across, along);
                }
            }
        }
    }

    /// # Safety
    /// As [`Tiles::copy`], for the tile that begins here.
    unsafe fn lines(
        &self,
        line: Line,
        source: *const u8,
        target: *mut u8,
        across: usize,
        along: usize,
    ) {
        for i in 0..across as isize {
            // SAFETY: line `i` of the tile.
            unsafe {
                let source = source.offset(i * self.across.source);
                let target = target.offset(i * self.across.target);
                line.copy(source, self.along.source, target, self.along.target, along);
            }
        }
    }

    /// Reads and converts along the source into a buffer and writes along the target
    /// from it, so that each line of memory is touched in one go: with extents that are
    /// powers of two the lines of a tile displace each other in the cache.
    ///
    /// # Safety
    /// As [`Tiles::copy`], for the tile that begins here.
    unsafe fn turn(
        &self,
        line: Line,
        source: *const u8,
        target: *mut u8,
        across: usize,
        along: usize,
    ) {
        let mut buffer = [MaybeUninit::<u8>::uninit(); SIDE * SIDE * WIDEST];
        let buffer = buffer.as_mut_ptr().cast::<u8>();
        let size = line.target_size();
        let stride = self.along.source;
        // Where the next tile along begins in memory.
        let ahead = stride * (SIDE as isize + if stride < 0 { along as isize - 1 } else { 0 });
        for i in 0..across {
            // SAFETY: line `i` of the tile, into row `i` of the buffer.
            unsafe {
                let source = source.offset(i as isize * self.across.source);
                prefetch(source.wrapping_offset(ahead), along * stride.unsigned_abs());
                line.copy(source, stride, buffer.add(i * SIDE * size), size as isize, along);
            }
        }
        let whole = across == SIDE && self.across.target == size as isize;
        for j in 0..along {
            // SAFETY: column `j` of the buffer, into line `j` of the tile.
            unsafe {
                let column = buffer.add(j * size);
                let target = target.offset(j as isize * self.along.target);
                match size {
                    1 if whole => write_column::<1>(column, target),
                    2 if whole => write_column::<2>(column, target),
                    4 if whole => write_column::<4>(column, target),
                    8 if whole => write_column::<8>(column, target),
                    _ => {
                        let step = (SIDE * size) as isize;
                        line.shift(column, step, target, self.across.target, across);
                    }
                }
            }
        }
    }
}

/// Writes a whole column of a buffer of elements of `SIZE` bytes side by side.
///
/// # Safety
/// The buffer has [`SIDE`] rows and columns, and the target room for as many elements.
#[inline(always)]
unsafe fn write_column<const SIZE: usize>(column: *const u8, target: *mut u8) {
    let (column, target) = (column.cast::<[u8; SIZE]>(), target.cast::<[u8; SIZE]>());
    for i in 0..SIDE {
        // SAFETY: rows are `SIDE` elements apart.
        unsafe { target.add(i).write(column.add(i * SIDE).read()) };
    }
}

/// Asks for memory that is read soon; it need not be there.
#[inline(always)]
fn prefetch(at: *const u8, bytes: usize) {
    #[cfg(target_arch = "x86_64")]
    for offset in (0..bytes.min(SIDE * WIDEST)).step_by(64) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: every x86-64 CPU has SSE, and a prefetch never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.wrapping_add(offset).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (at, bytes);
}

impl Loop {
    fn new((extent, [source, target]): (usize, [isize; 2])) -> Loop {
        Loop { extent, source, target }
    }
}
