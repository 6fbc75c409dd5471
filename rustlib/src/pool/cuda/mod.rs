//! Buffers on CUDA devices: the driver, and the memory of devices that pools share out.

pub mod arena;
mod driver;
mod symbols;

pub use driver::{Driver, HOST, driver};

use crate::error::Result;

/// Copies `n` bytes between devices, of which -1 is the CPU; done when it returns.
///
/// # Safety
/// `target` has room for `n` bytes and `source` has `n` bytes, each on its device.
pub unsafe fn copy(
    target: u64,
    target_device: i32,
    source: u64,
    source_device: i32,
    n: usize,
) -> Result<()> {
    // SAFETY: the caller's.
    unsafe { driver()?.copy(target, target_device, source, source_device, n) }
}
