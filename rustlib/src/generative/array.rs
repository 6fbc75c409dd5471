//! Arrays: cells with a shape, strides and a distribution, read and written.
//!
//! Elements are walked as a [`Nest`]: rows of cells that are a step apart. Addresses are
//! reckoned modulo 2^64, so a backward stride is its two's complement.

use smallvec::SmallVec;

use super::lines::{self, Line};
use super::vrns16::{REGION, TILE};
use super::{Context, Distribution, Generator, philox, streaming, vrns16};
use crate::cpu;
use crate::error::{Error, Result};
use crate::parallel;
use crate::tensor::DType;

/// Cells made at a time where they are not wanted in one run.
pub(super) const BUFFER: usize = 1024;
/// Rows shorter than this are made address by address.
const SHORT: u64 = 48;
/// And these where there are many.
const NARROW: u64 = 12;

/// Cells from which on the runs that they lie in are sorted.
const MANY: usize = 1 << 12;

type Dims = SmallVec<[Dim; 4]>;

/// One dimension: how many, and how many cells apart.
#[derive(Clone, Copy, Debug)]
pub struct Dim {
    pub extent: u64,
    pub stride: u64,
}

impl Dim {
    /// The distance of neighbours, in either direction.
    pub fn distance(self) -> u64 {
        self.stride.min(self.stride.wrapping_neg())
    }
}

/// A part of a context seen as an array.
#[derive(Clone, Debug)]
pub struct Array<'a> {
    pub offset: u64,
    pub dims: Dims,
    pub dtype: DType,
    pub distribution: Distribution<'a>,
}

impl<'a> Array<'a> {
    pub fn new(
        offset: u64,
        shape: &[u64],
        strides: &[i64],
        dtype: DType,
        distribution: Distribution<'a>,
    ) -> Result<Array<'a>> {
        let known = (DType::Bool as i32..=DType::Uint64 as i32).contains(&(dtype as i32))
            || matches!(dtype, DType::Float32 | DType::Float64);
        if !known {
            return Err(Error::InvalidArgument(format!(
                "an array of cells cannot have the dtype {}: expected bool, an integer type, \
                 float32 or float64",
                dtype.name()
            )));
        }
        let dims = shape.iter().zip(strides);
        let dims = dims.map(|(&extent, &stride)| Dim { extent, stride: stride as u64 }).collect();
        let array = Array { offset, dims, dtype, distribution };
        if !array.dims.iter().any(|dim| dim.extent == 0)
            && array.dims.iter().try_fold(1u128, |n, dim| n.checked_mul(dim.extent.into()))
                > Some(1 << 64)
        {
            return Err(Error::InvalidArgument(format!(
                "an array of shape {shape:?} would have more than 2^64 cells"
            )));
        }
        Ok(array)
    }

    /// The same with a distribution of its own.
    pub fn into_owned(self) -> Array<'static> {
        Array { distribution: self.distribution.into_owned(), ..self }
    }

    /// How many elements there are: at most 2^64.
    pub fn cells(&self) -> u128 {
        self.dims.iter().map(|dim| u128::from(dim.extent)).product()
    }

    /// Whether the elements are the cells themselves.
    pub fn is_bare(&self) -> bool {
        self.distribution.is_unit() && self.dtype == DType::Float64
    }
}

/// Elements as rows of cells.
#[derive(Clone, Debug)]
pub struct Nest {
    start: u64,
    /// The dimensions around the rows, the outermost first.
    outer: Dims,
    /// Elements of a row, and how many cells they are apart.
    pub length: u64,
    pub step: u64,
}

impl Nest {
    /// The elements in the order of their indices.
    pub fn in_order(offset: u64, dims: &[Dim]) -> Nest {
        let mut merged: Dims = SmallVec::new();
        for &dim in dims.iter().filter(|dim| dim.extent != 1) {
            if let Some(last) = merged.last_mut()
                && last.stride == dim.stride.wrapping_mul(dim.extent)
                && let Some(extent) = last.extent.checked_mul(dim.extent)
            {
                *last = Dim { extent, stride: dim.stride };
            } else {
                merged.push(dim);
            }
        }
        let row = merged.pop().unwrap_or(Dim { extent: 1, stride: 1 });
        Nest { start: offset, outer: merged, length: row.extent, step: row.stride }
    }

    /// The elements in an order that depends on which cells they are, not on the order of
    /// dimensions or their directions.
    pub fn in_any_order(offset: u64, dims: &[Dim]) -> Nest {
        let mut start = offset;
        let mut upward = Dims::from_slice(dims);
        for dim in &mut upward {
            if dim.stride > dim.stride.wrapping_neg() {
                start = start.wrapping_add(dim.stride.wrapping_mul(dim.extent.wrapping_sub(1)));
                dim.stride = dim.stride.wrapping_neg();
            }
        }
        upward.sort_by_key(|dim| std::cmp::Reverse(dim.stride));
        Nest::in_order(start, &upward)
    }

    pub fn has_one_row(&self) -> bool {
        self.outer.is_empty()
    }

    /// Where a row begins.
    pub fn row(&self, number: u64) -> u64 {
        let (mut start, mut left) = (self.start, number);
        for dim in self.outer.iter().rev() {
            start = start.wrapping_add(dim.stride.wrapping_mul(left % dim.extent));
            left /= dim.extent;
        }
        start
    }

    /// Calls `visit(start, at, count)` for the parts of rows that elements `from` to
    /// `from + count` lie in; `at` counts from `from`.
    fn for_each_row(&self, from: u64, count: usize, mut visit: impl FnMut(u64, usize, usize)) {
        if count == 0 {
            return;
        }
        let (mut row, mut within) = (from / self.length, from % self.length);
        let mut at = 0;
        let mut start = self.row(row);
        let innermost = self.outer.last().copied().unwrap_or(Dim { extent: 1, stride: 0 });
        loop {
            let length = usize::try_from(self.length - within).unwrap_or(usize::MAX);
            let length = length.min(count - at);
            visit(start.wrapping_add(self.step.wrapping_mul(within)), at, length);
            at += length;
            if at == count {
                return;
            }
            row += 1;
            within = 0;
            start = match row % innermost.extent {
                0 => self.row(row),
                _ => start.wrapping_add(innermost.stride),
            };
        }
    }
}

/// A type that elements are read as.
pub trait Held: Copy + Send {
    /// Elements that fill a line of memory.
    type Line: Line<Self>;

    /// Toward zero and to the nearest there is; NaN becomes 0 where there is none.
    fn from_cell(cell: f64) -> Self;

    /// Memory for elements as memory for cells, where these are the same.
    fn as_cells(_: &mut [Self]) -> Option<&mut [f64]> {
        None
    }
}

impl Held for f64 {
    type Line = [f64; lines::BYTES / size_of::<f64>()];

    fn from_cell(cell: f64) -> f64 {
        cell
    }

    fn as_cells(elements: &mut [f64]) -> Option<&mut [f64]> {
        Some(elements)
    }
}

macro_rules! held {
    ($($type:ty)*) => {
        $(impl Held for $type {
            type Line = [$type; lines::BYTES / size_of::<$type>()];

            #[inline(always)]
            fn from_cell(cell: f64) -> $type {
                cell as $type
            }
        })*
    };
}
held!(f32 i8 i16 i32 i64 u8 u16 u32 u64);

/// A bool in one byte.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub struct Truth(u8);

impl Held for Truth {
    type Line = [Truth; lines::BYTES];

    #[inline(always)]
    fn from_cell(cell: f64) -> Truth {
        Truth(u8::from(cell != 0.0))
    }
}

impl From<bool> for Truth {
    fn from(value: bool) -> Truth {
        Truth(value.into())
    }
}

impl From<Truth> for bool {
    fn from(truth: Truth) -> bool {
        truth.0 != 0
    }
}

/// Cells as elements.
pub fn convert<T: Held>(cells: &[f64], out: &mut [T]) {
    cpu::dispatch(|| {
        for (out, &cell) in out.iter_mut().zip(cells) {
            *out = T::from_cell(cell);
        }
    });
}

/// Cells as the elements that they become when read.
pub fn round(dtype: DType, cells: &mut [f64]) {
    fn each<T: Held>(cells: &mut [f64], back: impl Fn(T) -> f64) {
        cpu::dispatch(|| {
            for cell in cells {
                *cell = back(T::from_cell(*cell));
            }
        });
    }
    match dtype {
        DType::Bool => each::<Truth>(cells, |value| f64::from(value.0)),
        DType::Int8 => each::<i8>(cells, f64::from),
        DType::Int16 => each::<i16>(cells, f64::from),
        DType::Int32 => each::<i32>(cells, f64::from),
        DType::Int64 => each::<i64>(cells, |value| value as f64),
        DType::Uint8 => each::<u8>(cells, f64::from),
        DType::Uint16 => each::<u16>(cells, f64::from),
        DType::Uint32 => each::<u32>(cells, f64::from),
        DType::Uint64 => each::<u64>(cells, |value| value as f64),
        DType::Float32 => each::<f32>(cells, f64::from),
        _ => {}
    }
}

impl Context {
    /// Reads an array in the order of its indices; `out` has as many elements.
    pub fn read_array<T: Held>(&self, array: &Array, out: &mut [T], threads: usize) {
        let nest = Nest::in_order(array.offset, &array.dims);
        if nest.has_one_row()
            && array.is_bare()
            && let Some(cells) = T::as_cells(out)
        {
            return self.read_strided(nest.start, nest.step, cells, threads);
        }
        let whole = out.len();
        parallel::for_each_piece(out, threads, |offset, piece| {
            self.read_piece(array, &nest, offset as u64, piece, whole);
        });
    }

    /// Elements `from` and following of an array, of which `whole` are read.
    fn read_piece<T: Held>(
        &self,
        array: &Array,
        nest: &Nest,
        from: u64,
        out: &mut [T],
        whole: usize,
    ) {
        let long = nest.length >= (REGION / 4) as u64;
        if nest.step == 1
            && nest.length >= NARROW
            && !(long || nest.has_one_row())
            && out.len() >= MANY
            && self.generator == Generator::Vrns16
        {
            return self.read_rows(array, nest, from, out, whole);
        }
        if nest.step == 1
            && nest.length >= SHORT
            && array.is_bare()
            && let Some(cells) = T::as_cells(out)
        {
            return nest.for_each_row(from, cells.len(), |start, at, length| {
                self.read_part(start, &mut cells[at..at + length], whole);
            });
        }
        if nest.step == 1 && long {
            return nest.for_each_row(from, out.len(), |start, at, length| {
                self.read_run(array, start, &mut out[at..at + length], whole);
            });
        }
        if let Some(cells) = T::as_cells(out) {
            return self.make(array, nest, from, cells);
        }
        let mut cells = [0.0; BUFFER];
        for (i, part) in out.chunks_mut(BUFFER).enumerate() {
            let cells = &mut cells[..part.len()];
            self.make(array, nest, from + (i * BUFFER) as u64, cells);
            convert(cells, part);
        }
    }

    /// Many rows of consecutive cells.
    fn read_rows<T: Held>(
        &self,
        array: &Array,
        nest: &Nest,
        from: u64,
        out: &mut [T],
        whole: usize,
    ) {
        let (count, length) = (out.len(), nest.length);
        let rows = |run: &mut dyn FnMut(u64, usize, usize)| nest.for_each_row(from, count, run);
        if array.is_bare()
            && let Some(cells) = T::as_cells(out)
        {
            vrns16::fill_runs(self.seed, cells, length, whole, None, rows);
            if !self.overlay.is_empty() {
                rows(&mut |start, at, length| {
                    self.overlay.lay_over(start, &mut cells[at..at + length]);
                });
            }
            return;
        }
        let mut finish = |start: u64, cells: &mut [f64]| {
            array.distribution.apply(cells);
            self.overlay.lay_over(start, cells);
        };
        vrns16::fill_runs(self.seed, out, length, whole, Some(&mut finish), rows);
    }

    /// A long run of consecutive cells, in a read of `whole`.
    fn read_run<T: Held>(&self, array: &Array, start: u64, out: &mut [T], whole: usize) {
        let far = whole * size_of::<T>() >= streaming::FROM;
        let mut near = [T::from_cell(0.0); TILE];
        let mut at = 0;
        while at < out.len() {
            let start = start.wrapping_add(at as u64);
            let length = (REGION - start as usize % REGION).min(out.len() - at);
            let part = &mut out[at..at + length];
            self.visit(array, start, length, |i, cells| {
                let out = &mut part[i..i + cells.len()];
                if far {
                    let near = &mut near[..cells.len()];
                    convert(cells, near);
                    streaming::copy(near, out);
                } else {
                    convert(cells, out);
                }
            });
            at += length;
        }
        if far {
            streaming::end();
        }
    }

    /// Makes cells that lie in one aligned region, with their distribution and in blocks
    /// in any order, and gives each block to `each` with its place.
    pub(super) fn visit(
        &self,
        array: &Array,
        start: u64,
        length: usize,
        mut each: impl FnMut(usize, &mut [f64]),
    ) {
        let head = (start.wrapping_neg() as usize % TILE).min(length);
        let blocks = (length - head) / TILE;
        let body = start.wrapping_add(head as u64);
        let mut end = |from: usize, count: usize| {
            if count > 0 {
                let mut cells = [0.0; TILE];
                self.make_run(array, start.wrapping_add(from as u64), 1, &mut cells[..count]);
                each(from, &mut cells[..count]);
            }
        };
        end(0, head);
        end(head + blocks * TILE, length - head - blocks * TILE);
        let finish = |i: usize, cells: &mut [f64; TILE]| {
            array.distribution.apply(cells);
            self.overlay.lay_over(body.wrapping_add((i * TILE) as u64), cells);
            each(head + i * TILE, cells);
        };
        match self.generator {
            Generator::Vrns16 => vrns16::visit(self.seed, body, blocks, finish),
            Generator::Philox => philox::visit(self.seed, body, blocks, finish),
        }
    }

    /// Makes elements `from` and following of an array, not yet rounded to its dtype.
    pub(super) fn make(&self, array: &Array, nest: &Nest, from: u64, out: &mut [f64]) {
        if nest.length >= SHORT {
            return nest.for_each_row(from, out.len(), |start, at, length| {
                self.make_run(array, start, nest.step, &mut out[at..at + length]);
            });
        }
        let mut addresses = [0; BUFFER];
        for (i, part) in out.chunks_mut(BUFFER).enumerate() {
            let addresses = &mut addresses[..part.len()];
            nest.for_each_row(from + (i * BUFFER) as u64, part.len(), |start, at, length| {
                let mut address = start;
                for slot in &mut addresses[at..at + length] {
                    *slot = address;
                    address = address.wrapping_add(nest.step);
                }
            });
            self.generator.values(self.seed, addresses, part);
            array.distribution.apply(part);
            self.overlay.lay_over_many(addresses, part);
        }
    }

    /// Makes cells a step apart.
    fn make_run(&self, array: &Array, start: u64, step: u64, out: &mut [f64]) {
        let bare = Context::new(self.seed, self.generator);
        let mut addresses = [0; BUFFER];
        let mut at = 0;
        while at < out.len() {
            let start = start.wrapping_add(step.wrapping_mul(at as u64));
            // Runs end where the generator's blocks do.
            let room = if step == 1 { BUFFER - start as usize % BUFFER } else { BUFFER };
            let length = room.min(out.len() - at);
            let part = &mut out[at..at + length];
            bare.read_strided(start, step, part, 1);
            array.distribution.apply(part);
            if step == 1 {
                self.overlay.lay_over(start, part);
            } else if !self.overlay.is_empty() {
                let addresses = &mut addresses[..length];
                for (j, address) in addresses.iter_mut().enumerate() {
                    *address = start.wrapping_add(step.wrapping_mul(j as u64));
                }
                self.overlay.lay_over_many(addresses, part);
            }
            at += length;
        }
    }

    /// Writes the elements of an array in the order of its indices; `values` has as many.
    pub fn write_array(&self, array: &Array, values: &[f64]) -> Result<()> {
        let nest = Nest::in_order(array.offset, &array.dims);
        let mut result = Ok(());
        nest.for_each_row(0, values.len(), |start, at, length| {
            if result.is_ok() {
                result = self.write_strided(start, nest.step, &values[at..at + length]);
            }
        });
        result
    }
}
