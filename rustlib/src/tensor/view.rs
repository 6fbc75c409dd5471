//! A typed, n-dimensional window on memory that somebody else owns.

use smallvec::SmallVec;

use super::dtype::DType;
use crate::error::{Error, Result};

/// Extents of a few dimensions, on the stack.
pub type Shape = SmallVec<[usize; 4]>;
/// Distances in bytes between neighbours, one a dimension; may be negative or zero.
pub type Strides = SmallVec<[isize; 4]>;

/// A pointer, a dtype, a shape and byte strides. Whether its memory may be
/// written is the caller's to know.
#[derive(Clone, Debug)]
pub struct View {
    pub data: *mut u8,
    pub dtype: DType,
    pub shape: Shape,
    /// Not looked at for `int4`, which is always packed in C order.
    pub strides: Strides,
}

// SAFETY: a view is used only inside the call it was passed to, whose caller vouches
// for the memory; kernels give threads disjoint parts to write.
unsafe impl Send for View {}
// SAFETY: as above.
unsafe impl Sync for View {}

impl View {
    /// A view of memory in C order.
    pub fn contiguous(data: *mut u8, dtype: DType, shape: &[usize]) -> View {
        let mut strides = Strides::from_elem(0, shape.len());
        let mut step = (dtype.bits() / 8) as isize;
        for (stride, &extent) in strides.iter_mut().zip(shape).rev() {
            *stride = step;
            step *= extent.max(1) as isize;
        }
        View { data, dtype, shape: shape.into(), strides }
    }

    pub fn ndim(&self) -> usize {
        self.shape.len()
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    pub fn is_empty(&self) -> bool {
        self.shape.contains(&0)
    }

    pub fn itemsize(&self) -> usize {
        self.dtype.bits() / 8
    }

    /// Whether the elements lie in C order without gaps. Dimensions of one element
    /// are so at any stride.
    pub fn is_contiguous(&self) -> bool {
        let mut step = self.itemsize() as isize;
        for (&extent, &stride) in self.shape.iter().zip(&self.strides).rev() {
            if extent == 0 {
                return true;
            }
            if extent != 1 && stride != step {
                return false;
            }
            step *= extent as isize;
        }
        true
    }

    /// The same elements seen in a larger shape: missing dimensions are put in
    /// front, and those of one element repeated.
    pub fn broadcast_to(&self, shape: &[usize]) -> Result<View> {
        let refuse = || {
            Error::InvalidArgument(format!(
                "shape {} cannot be broadcast to shape {}",
                show(&self.shape),
                show(shape)
            ))
        };
        let missing = shape.len().checked_sub(self.ndim()).ok_or_else(refuse)?;
        let mut strides = Strides::from_elem(0, shape.len());
        for (i, (&extent, &stride)) in self.shape.iter().zip(&self.strides).enumerate() {
            if extent == shape[missing + i] {
                strides[missing + i] = stride;
            } else if extent != 1 {
                return Err(refuse());
            }
        }
        Ok(View { data: self.data, dtype: self.dtype, shape: shape.into(), strides })
    }
}

/// The shape two views broadcast to, as NumPy has it.
pub fn broadcast_shape(a: &[usize], b: &[usize]) -> Result<Shape> {
    let ndim = a.len().max(b.len());
    let extent =
        |shape: &[usize], i: usize| (i + shape.len()).checked_sub(ndim).map_or(1, |i| shape[i]);
    (0..ndim)
        .map(|i| match (extent(a, i), extent(b, i)) {
            (x, y) if x == y || y == 1 => Ok(x),
            (1, y) => Ok(y),
            _ => Err(Error::InvalidArgument(format!(
                "shapes {} and {} do not broadcast together",
                show(a),
                show(b)
            ))),
        })
        .collect()
}

/// A shape as Python writes it.
pub fn show(shape: &[usize]) -> String {
    match shape {
        [one] => format!("({one},)"),
        _ => {
            let parts: Vec<String> = shape.iter().map(usize::to_string).collect();
            format!("({})", parts.join(", "))
        }
    }
}
