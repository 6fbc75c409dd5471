//! CUDA over the stand-in for its driver, which is `tests/cuda_standin`.
#![cfg(target_os = "linux")]

mod driver;
mod pool;
mod standin;
