//! Products of matrices.
//!
//! The target is cut into tiles, each the work of one thread. A tile adds up its sums
//! in a buffer of its own, [`DEEP`] rows of `b` at a time, which are packed as
//! panels of [`NR`] columns; strips of [`MR`] rows of `a` are packed likewise, so the
//! innermost loop walks both in order, whatever their types and strides. Each
//! sum is taken in the order of k, on every path and by any number of threads.

use super::element::with_element;
use super::number::Number;
use super::view::{View, show};
use crate::cpu;
use crate::error::{Error, Result};
use crate::parallel;

/// Rows and columns of sums that are kept in registers.
const MR: usize = 4;
const NR: usize = 8;
/// Rows and columns of a tile.
const TALL: usize = 128;
const WIDE: usize = 128;
/// How much of k is packed at a time; with [`WIDE`] it fits a cache of the second level.
const DEEP: usize = 256;

/// `target = a b` for matrices of one dtype and shapes (m, k), (k, n) and (m, n).
/// Floats are added up in `f64` and rounded once; integers wrap; `bool` is true where
/// any pair is. The target must not be `a` or `b`.
pub fn matmul(a: &View, b: &View, target: &View, threads: usize) -> Result<()> {
    match (&a.shape[..], &b.shape[..]) {
        (&[m, k], &[k2, n]) if k == k2 => {
            if a.dtype != target.dtype || b.dtype != target.dtype || target.shape[..] != [m, n] {
                return Err(Error::InvalidArgument(format!(
                    "the product of {} {} and {} {} does not fit a target of dtype {} and shape {}",
                    a.dtype.name(),
                    show(&a.shape),
                    b.dtype.name(),
                    show(&b.shape),
                    target.dtype.name(),
                    show(&target.shape)
                )));
            }
        }
        _ => {
            return Err(Error::InvalidArgument(format!(
                "matmul needs matrices of shapes (m, k) and (k, n), not {} and {}",
                show(&a.shape),
                show(&b.shape)
            )));
        }
    }
    if !target.is_empty() && [a, b].iter().any(|x| !x.is_empty() && x.data == target.data) {
        return Err(Error::InvalidArgument(
            "the target of matmul must not be one of its operands".into(),
        ));
    }
    with_element!(target.dtype, T => tiles::<T>(a, b, target, threads));
    Ok(())
}

fn tiles<T: Number>(a: &View, b: &View, target: &View, threads: usize) {
    let (m, k, n) = (a.shape[0], a.shape[1], b.shape[1]);
    let across = n.div_ceil(WIDE);
    let tiles = m.div_ceil(TALL) * across;
    let cells = m.saturating_mul(n).saturating_mul(k) / 8;
    let threads = parallel::worth(threads, cells);
    let path = cpu::path();
    parallel::share_out(threads, tiles, |mine| {
        let mut work = Workspace::<T>::new(m, k, n);
        for tile in mine {
            let (row, column) = (tile / across * TALL, tile % across * WIDE);
            let at = Tile { row, column, m: TALL.min(m - row), n: WIDE.min(n - column) };
            // SAFETY: the tile is within the target and no other thread has it; the path
            // has AVX2 only where the CPU was seen to have it.
            unsafe {
                match path {
                    #[cfg(target_arch = "x86_64")]
                    _ if path.has_avx2() => one_tile_avx2(a, b, target, &at, &mut work),
                    _ => one_tile(a, b, target, &at, &mut work),
                }
            }
        }
    });
}

/// A part of the target.
struct Tile {
    row: usize,
    column: usize,
    m: usize,
    n: usize,
}

/// The buffers of one thread. What sticks out of a tile is filled with zeros.
struct Workspace<T: Number> {
    /// A strip of `a`: [`MR`] rows, for each k.
    strip: Vec<[T::Sum; MR]>,
    /// The panels of `b`, one after the other: [`NR`] columns, for each k.
    panels: Vec<[T::Sum; NR]>,
    /// The sums of each strip with each panel.
    sums: Vec<[[T::Sum; NR]; MR]>,
}

impl<T: Number> Workspace<T> {
    fn new(m: usize, k: usize, n: usize) -> Self {
        let (deep, panels) = (k.min(DEEP), n.min(WIDE).div_ceil(NR));
        Workspace {
            strip: vec![[T::EMPTY; MR]; deep],
            panels: vec![[T::EMPTY; NR]; deep * panels],
            sums: vec![[[T::EMPTY; NR]; MR]; m.min(TALL).div_ceil(MR) * panels],
        }
    }
}

/// # Safety
/// As [`one_tile`], on a CPU with AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn one_tile_avx2<T: Number>(
    a: &View,
    b: &View,
    target: &View,
    at: &Tile,
    work: &mut Workspace<T>,
) {
    // SAFETY: the caller's promise.
    unsafe { one_tile(a, b, target, at, work) }
}

/// # Safety
/// The three views hold elements of type `T`, in shapes that fit; `at` is within the
/// target, and no other thread uses that part.
#[inline(always)]
unsafe fn one_tile<T: Number>(
    a: &View,
    b: &View,
    target: &View,
    at: &Tile,
    work: &mut Workspace<T>,
) {
    let k = a.shape[1];
    let panels = at.n.div_ceil(NR);
    work.sums.fill([[T::EMPTY; NR]; MR]);
    for start in (0..k).step_by(DEEP) {
        let deep = DEEP.min(k - start);
        for p in 0..panels {
            let columns = NR.min(at.n - p * NR);
            let panel = &mut work.panels[p * deep..][..deep];
            // SAFETY: rows `start..start + deep` and these columns are within `b`.
            unsafe { pack::<T, NR>(b, [start, at.column + p * NR], [0, 1], columns, panel) };
        }
        for s in 0..at.m.div_ceil(MR) {
            let rows = MR.min(at.m - s * MR);
            let strip = &mut work.strip[..deep];
            // SAFETY: these rows and columns `start..start + deep` are within `a`.
            unsafe { pack::<T, MR>(a, [at.row + s * MR, start], [1, 0], rows, strip) };
            for p in 0..panels {
                let panel = &work.panels[p * deep..][..deep];
                multiply::<T>(strip, panel, &mut work.sums[s * panels + p]);
            }
        }
    }
    for i in 0..at.m {
        for j in 0..at.n {
            let sum = work.sums[i / MR * panels + j / NR][i % MR][j % NR];
            // SAFETY: within the tile, which is this thread's.
            unsafe {
                element::<T>(target, at.row + i, at.column + j).write(T::from_sum(sum).to_raw());
            }
        }
    }
}

/// Where an element lies.
///
/// # Safety
/// The view is a matrix of elements of type `T`, and this is one.
#[inline(always)]
unsafe fn element<T: Number>(view: &View, row: usize, column: usize) -> *mut T::Raw {
    let offset = row as isize * view.strides[0] + column as isize * view.strides[1];
    // SAFETY: the offset of an element, says the caller.
    unsafe { view.data.offset(offset).cast() }
}

/// Packs a part of a matrix from `first` on: `used` of `N` neighbours along the axis
/// `along[1]` into each of `out`, which goes along the axis `along[0]`.
///
/// # Safety
/// The part is within the view, which holds elements of type `T`.
#[inline(always)]
unsafe fn pack<T: Number, const N: usize>(
    view: &View,
    first: [usize; 2],
    along: [usize; 2],
    used: usize,
    out: &mut [[T::Sum; N]],
) {
    let [step, across] = along.map(|axis| view.strides[axis]);
    // SAFETY: the offsets are of elements of that part, and raw ones need no alignment.
    unsafe {
        let data = element::<T>(view, first[0], first[1]);
        let read = |i: usize, j: usize| {
            T::from_raw(data.byte_offset(i as isize * step + j as isize * across).read()).to_sum()
        };
        for (i, out) in out.iter_mut().enumerate() {
            if used == N {
                *out = std::array::from_fn(|j| read(i, j));
            } else {
                *out = std::array::from_fn(|j| if j < used { read(i, j) } else { T::EMPTY });
            }
        }
    }
}

/// Adds the product of a strip and a panel to `sums`.
#[inline(always)]
fn multiply<T: Number>(
    strip: &[[T::Sum; MR]],
    panel: &[[T::Sum; NR]],
    sums: &mut [[T::Sum; NR]; MR],
) {
    let mut local = *sums;
    for (a, b) in strip.iter().zip(panel) {
        for (row, &a) in local.iter_mut().zip(a) {
            for (sum, &b) in row.iter_mut().zip(b) {
                *sum = T::mul_add(*sum, a, b);
            }
        }
    }
    *sums = local;
}
