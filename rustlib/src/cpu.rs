//! Which instruction set the kernels use.
//!
//! Detected once at run time, so one binary runs on every CPU of its
//! architecture. Every path gives the same bits; tests and benchmarks select
//! one by name to prove it.

use std::sync::atomic::{AtomicU8, Ordering};

use crate::error::{Error, Result};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Path {
    /// Plain Rust, whatever the compiler's baseline allows.
    Portable = 1,
    /// 256-bit integer SIMD (x86-64 only).
    Avx2 = 2,
}

const UNKNOWN: u8 = 0;
static CURRENT: AtomicU8 = AtomicU8::new(UNKNOWN);

impl Path {
    pub fn name(self) -> &'static str {
        match self {
            Path::Portable => "portable",
            Path::Avx2 => "avx2",
        }
    }
}

fn best() -> Path {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        return Path::Avx2;
    }
    Path::Portable
}

/// The path in use: the best this CPU has, unless [`select`] chose another.
#[inline]
pub fn path() -> Path {
    match CURRENT.load(Ordering::Relaxed) {
        UNKNOWN => {
            let found = best();
            CURRENT.store(found as u8, Ordering::Relaxed);
            found
        }
        tag if tag == Path::Avx2 as u8 => Path::Avx2,
        _ => Path::Portable,
    }
}

/// Selects a path for the whole process: `"portable"`, `"avx2"` or `"auto"`.
pub fn select(name: &str) -> Result<()> {
    let chosen = match name {
        "auto" => best(),
        "portable" => Path::Portable,
        "avx2" if best() == Path::Avx2 => Path::Avx2,
        "avx2" => {
            return Err(Error::Unsupported(
                "CPU path 'avx2' was asked for, but this CPU has no AVX2".into(),
            ));
        }
        _ => {
            return Err(Error::InvalidArgument(format!(
                "unknown CPU path {name:?}: expected 'auto', 'portable' or 'avx2'"
            )));
        }
    };
    CURRENT.store(chosen as u8, Ordering::Relaxed);
    Ok(())
}
