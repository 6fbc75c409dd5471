//! Products of an implicit matrix and a stored one: the former is made panel by panel in
//! the near caches and never stored.
//!
//! The columns of the matrix are cut every [`SPAN`]; the parts of a sum that lie in one
//! span are added up in an order of their own, and the spans' one after the other. So a
//! result depends on the matrix alone, not on threads nor on how its rows are shared out.

use std::ops::Range;
use std::sync::Mutex;

use super::Context;
use super::array::{Array, Dim, Nest, round};
#[cfg(target_arch = "x86_64")]
use crate::cpu;
use crate::error::{Error, Result};
use crate::parallel;
use crate::tensor::reduce::float::across;

/// Columns of a span.
const SPAN: u64 = 1 << 14;
/// Cells of a panel, and at most how many of them in one run.
const PANEL: usize = 8192;
const RUN: usize = 512;
/// Cells of the matrix that a thread takes at a time, about.
const SHARE: u64 = 1 << 18;
/// Rows and columns of the result that are kept in registers.
const TALL: usize = 4;
const WIDE: usize = 8;

impl Context {
    /// Adds the product of `matrix`, which has two dimensions, and `x`, of as many rows as
    /// the matrix has columns and of `width` columns, to `out`; both in C order.
    pub fn add_product(
        &self,
        matrix: &Array,
        x: &[f64],
        width: usize,
        out: &mut [f64],
        threads: usize,
    ) -> Result<()> {
        let &[rows, columns] = &matrix.dims[..] else {
            return Err(Error::InvalidArgument(format!(
                "a product needs a matrix, not an array of {} dimensions",
                matrix.dims.len()
            )));
        };
        let fits = |extent: u64, len: usize| u128::from(extent) * (width as u128) == len as u128;
        if !fits(columns.extent, x.len()) || !fits(rows.extent, out.len()) {
            return Err(Error::InvalidArgument(format!(
                "a matrix of {} by {} and one of {width} columns: {} and {} elements do not fit",
                rows.extent,
                columns.extent,
                x.len(),
                out.len()
            )));
        }
        if x.is_empty() || out.is_empty() {
            return Ok(());
        }
        let product = Product::new(self, matrix, rows, columns, x, width);
        let cells = rows.extent.saturating_mul(columns.extent);
        let threads = parallel::worth(threads, usize::try_from(cells).unwrap_or(usize::MAX));
        let spans = columns.extent.div_ceil(SPAN) as usize;
        let bands = rows.extent.div_ceil(product.band) as usize;
        let parts: Vec<_> = (0..spans * bands).map(|_| Mutex::new(Ok(Vec::new()))).collect();
        parallel::share_out(threads, parts.len(), |mine| {
            let mut panel = vec![0.0; PANEL];
            for i in mine {
                if let Ok(mut part) = parts[i].lock() {
                    *part = product.part(i / spans, i % spans, &mut panel);
                }
            }
        });
        let parts: Result<Vec<_>> = parts.into_iter().flat_map(Mutex::into_inner).collect();
        let mut parts = parts?.into_iter();
        for band in out.chunks_mut(product.band as usize * width) {
            for part in parts.by_ref().take(spans) {
                band.iter_mut().zip(part).for_each(|(out, part)| *out += part);
            }
        }
        Ok(())
    }
}

struct Product<'a> {
    context: &'a Context,
    matrix: &'a Array<'a>,
    rows: Dim,
    columns: Dim,
    x: &'a [f64],
    width: usize,
    /// Whether rows, not columns, are runs of cells.
    by_rows: bool,
    /// Rows that are made by one thread.
    band: u64,
    /// Rows and columns of a panel.
    tall: u64,
    wide: u64,
}

impl<'a> Product<'a> {
    fn new(
        context: &'a Context,
        matrix: &'a Array<'a>,
        rows: Dim,
        columns: Dim,
        x: &'a [f64],
        width: usize,
    ) -> Product<'a> {
        let distance = |dim: Dim| if dim.extent == 1 { u64::MAX } else { dim.distance() };
        let by_rows = distance(columns) <= distance(rows);
        let span = columns.extent.min(SPAN);
        let (tall, wide, band) = if by_rows {
            let wide = span.min(RUN as u64);
            let tall = PANEL as u64 / wide;
            (tall, wide, (SHARE / span).max(tall))
        } else {
            let tall = rows.extent.min(RUN as u64);
            (tall, PANEL as u64 / tall, (SHARE / span).max(tall))
        };
        let band = band.min(rows.extent);
        Product { context, matrix, rows, columns, x, width, by_rows, band, tall, wide }
    }

    /// What one span of columns adds to one band of rows.
    fn part(&self, band: usize, span: usize, panel: &mut [f64]) -> Result<Vec<f64>> {
        let cut = |i: usize, size: u64, extent: u64| {
            let from = i as u64 * size;
            from..(from + size).min(extent)
        };
        let rows = cut(band, self.band, self.rows.extent);
        let columns = cut(span, SPAN, self.columns.extent);
        let mut out: Vec<f64> = Vec::new();
        let length = (rows.end - rows.start) as usize * self.width;
        out.try_reserve_exact(length)
            .map_err(|_| Error::OutOfMemory("out of memory: no room for a part of the product"))?;
        out.resize(length, 0.0);
        let mut top = rows.start;
        while top < rows.end {
            let bottom = (top + self.tall).min(rows.end);
            let at = (top - rows.start) as usize * self.width;
            let end = (bottom - rows.start) as usize * self.width;
            let mut left = columns.start;
            while left < columns.end {
                let right = (left + self.wide).min(columns.end);
                self.panel(top..bottom, left..right, panel, &mut out[at..end]);
                left = right;
            }
            top = bottom;
        }
        Ok(out)
    }

    fn panel(&self, rows: Range<u64>, columns: Range<u64>, panel: &mut [f64], out: &mut [f64]) {
        let (tall, wide) = (rows.end - rows.start, columns.end - columns.start);
        let offset = self
            .matrix
            .offset
            .wrapping_add(self.rows.stride.wrapping_mul(rows.start))
            .wrapping_add(self.columns.stride.wrapping_mul(columns.start));
        let down = Dim { extent: tall, stride: self.rows.stride };
        let across = Dim { extent: wide, stride: self.columns.stride };
        let dims = if self.by_rows { [down, across] } else { [across, down] };
        let panel = &mut panel[..(tall * wide) as usize];
        self.context.make(self.matrix, &Nest::in_order(offset, &dims), 0, panel);
        round(self.matrix.dtype, panel);
        let (tall, wide) = (tall as usize, wide as usize);
        let x = &self.x[columns.start as usize * self.width..][..wide * self.width];
        let steps = if self.by_rows { (wide, 1) } else { (1, tall) };
        let panel = Panel { cells: panel, tall, wide, steps };
        #[cfg(target_arch = "x86_64")]
        if cpu::path().has_avx2() {
            // SAFETY: the path has AVX2 only where the CPU was seen to have it.
            return unsafe { panel.add_product_avx2(x, self.width, out) };
        }
        panel.add_product(x, self.width, out);
    }
}

/// A part of the matrix that is made.
struct Panel<'a> {
    cells: &'a [f64],
    tall: usize,
    wide: usize,
    /// From row to row and from column to column.
    steps: (usize, usize),
}

impl Panel<'_> {
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn add_product_avx2(&self, x: &[f64], width: usize, out: &mut [f64]) {
        self.add_product(x, width, out);
    }

    #[inline(always)]
    fn add_product(&self, x: &[f64], width: usize, out: &mut [f64]) {
        match (width, self.steps) {
            (1, (_, 1)) => {
                for (row, out) in self.cells.chunks_exact(self.wide).zip(out) {
                    *out += dot(row, x);
                }
            }
            (1, _) => {
                for (column, &x) in self.cells.chunks_exact(self.tall).zip(x) {
                    for (out, cell) in out.iter_mut().zip(column) {
                        *out += cell * x;
                    }
                }
            }
            _ => {
                for top in (0..self.tall).step_by(TALL) {
                    for left in (0..width).step_by(WIDE) {
                        self.add_block(x, width, out, top, left);
                    }
                }
            }
        }
    }

    /// A block of the result. Each of its elements is added up column by column, whatever
    /// the block it lies in.
    #[inline(always)]
    fn add_block(&self, x: &[f64], width: usize, out: &mut [f64], top: usize, left: usize) {
        let (down, across) = self.steps;
        if top + TALL <= self.tall && left + WIDE <= width {
            let mut sums = [[0.0; WIDE]; TALL];
            for (i, sums) in sums.iter_mut().enumerate() {
                sums.copy_from_slice(&out[(top + i) * width + left..][..WIDE]);
            }
            for (column, x) in x.chunks_exact(width).enumerate() {
                let x: &[f64; WIDE] = x[left..].first_chunk().unwrap_or(&[0.0; WIDE]);
                for (i, sums) in sums.iter_mut().enumerate() {
                    let cell = self.cells[(top + i) * down + column * across];
                    for (sum, x) in sums.iter_mut().zip(x) {
                        *sum += cell * x;
                    }
                }
            }
            for (i, sums) in sums.iter().enumerate() {
                out[(top + i) * width + left..][..WIDE].copy_from_slice(sums);
            }
            return;
        }
        for i in top..(top + TALL).min(self.tall) {
            let out = &mut out[i * width + left..(i * width + left + WIDE).min((i + 1) * width)];
            for (column, x) in x.chunks_exact(width).enumerate() {
                let cell = self.cells[i * down + column * across];
                for (out, x) in out.iter_mut().zip(&x[left..]) {
                    *out += cell * x;
                }
            }
        }
    }
}

/// The sum of products, in sixteen lanes.
#[inline(always)]
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<16>(), b.as_chunks::<16>());
    let mut lanes = [0.0; 16];
    for (a, b) in a.iter().zip(b) {
        for (lane, (a, b)) in lanes.iter_mut().zip(a.iter().zip(b)) {
            *lane += a * b;
        }
    }
    for (lane, (a, b)) in lanes.iter_mut().zip(a_rest.iter().zip(b_rest)) {
        *lane += a * b;
    }
    across(lanes)
}
