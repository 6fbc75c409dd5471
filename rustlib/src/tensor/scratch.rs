//! Memory of our own for a moment.

use std::ptr::NonNull;

use super::dtype::DType;
use super::memory;
use super::view::View;
use crate::error::{Error, Result};

/// Memory for elements in C order, and a view of it. What it holds at first is
/// anything: it is to be written before it is read.
#[derive(Debug)]
pub struct Scratch {
    memory: NonNull<u8>,
    view: View,
}

impl Scratch {
    pub fn new(dtype: DType, shape: &[usize]) -> Result<Scratch> {
        const REFUSED: Error = Error::OutOfMemory("no memory for a temporary array");
        let elements = shape.iter().try_fold(1usize, |n, &extent| n.checked_mul(extent));
        let elements = if shape.contains(&0) { Some(0) } else { elements };
        let bytes = elements.and_then(|n| dtype.bytes(n)).ok_or(REFUSED)?;
        let memory = memory::allocate(bytes, false)?;
        Ok(Scratch { memory, view: View::contiguous(memory.as_ptr(), dtype, shape) })
    }

    pub fn view(&self) -> &View {
        &self.view
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // SAFETY: allocated in `new`, and freed only here.
        unsafe { memory::free(self.memory) };
    }
}
