//! gmemx: memory of every kind behind one C ABI.
//!
//! The map of the crate, arrows pointing one way:
//!
//! * [`ffi`]: handles, status codes, the panic guard. No logic.
//! * [`generative`]: a virtual array of 2^64 cells that is computed, not stored.
//! * [`cpu`]: which instruction set the kernels use; [`parallel`]: how bulk work is split.
//! * [`error`]: the one error type.
//!
//! A kind never imports `ffi`, and kinds do not know each other.

pub mod cpu;
pub mod error;
pub mod ffi;
pub mod generative;
pub mod parallel;
