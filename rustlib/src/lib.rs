//! gmemx: memory of every kind behind one C ABI.
//!
//! The map of the crate, arrows pointing one way:
//!
//! * [`ffi`]: handles, status codes, the panic guard. No logic.
//! * [`generative`]: a virtual array of 2^64 cells that is computed, not stored.
//! * [`pool`]: buffers that processes share, and that no crash can leak.
//! * [`plugin`]: libraries that follow a plugin ABI, loaded and called.
//! * [`scan`]: finding, watching and changing values in the memory of other processes.
//! * [`tensor`]: a typed view over memory of any kind, and what is computed on it.
//! * [`cpu`]: which instruction set the kernels use; [`parallel`]: how bulk work is split.
//! * [`error`]: the one error type.
//!
//! A kind never imports `ffi`, and kinds know each other only through [`tensor::View`].

pub mod cpu;
pub mod error;
pub mod ffi;
pub mod generative;
pub mod parallel;
pub mod plugin;
#[cfg(target_os = "linux")]
pub mod pool;
#[cfg(target_os = "linux")]
pub mod scan;
pub mod tensor;
