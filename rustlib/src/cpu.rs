//! Which instruction set the kernels use.
//!
//! Detected once at run time, so one binary runs on every CPU of its
//! architecture. Every path gives the same bits; tests and benchmarks select
//! one by name to prove it.

use std::sync::atomic::{AtomicU8, Ordering};

use crate::error::{Error, Result};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Path {
    /// Plain Rust, whatever the compiler's baseline allows.
    Portable = 1,
    /// 256-bit integer SIMD (x86-64 only).
    Avx2 = 2,
    /// The same, and 512-bit SIMD of words (F and BW) where it is faster.
    Avx512 = 3,
}

const UNKNOWN: u8 = 0;
static CURRENT: AtomicU8 = AtomicU8::new(UNKNOWN);

impl Path {
    pub fn name(self) -> &'static str {
        match self {
            Path::Portable => "portable",
            Path::Avx2 => "avx2",
            Path::Avx512 => "avx512",
        }
    }

    /// Whether AVX2 may be used.
    pub fn has_avx2(self) -> bool {
        self >= Path::Avx2
    }
}

fn best() -> Path {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::is_x86_feature_detected;
        if is_x86_feature_detected!("avx2") {
            let wide = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw");
            return if wide { Path::Avx512 } else { Path::Avx2 };
        }
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
        tag if tag == Path::Avx512 as u8 => Path::Avx512,
        _ => Path::Portable,
    }
}

/// Runs a loop compiled for the path in use: plain Rust, inlined into a function that has the
/// path's instructions.
#[inline(always)]
pub fn dispatch<R>(body: impl FnOnce() -> R) -> R {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2")]
        fn with_avx2<R>(body: impl FnOnce() -> R) -> R {
            body()
        }
        if path().has_avx2() {
            // SAFETY: the path has it only where the CPU was seen to have AVX2.
            return unsafe { with_avx2(body) };
        }
    }
    body()
}

/// Selects a path for the whole process: `"portable"`, `"avx2"`, `"avx512"` or `"auto"`.
pub fn select(name: &str) -> Result<()> {
    CURRENT.store(choose(name, best())? as u8, Ordering::Relaxed);
    Ok(())
}

/// What a name means on a CPU whose best path is `best`.
fn choose(name: &str, best: Path) -> Result<Path> {
    match name {
        "auto" => Ok(best),
        "portable" => Ok(Path::Portable),
        "avx2" if best >= Path::Avx2 => Ok(Path::Avx2),
        "avx512" if best >= Path::Avx512 => Ok(Path::Avx512),
        "avx2" | "avx512" => Err(Error::Unsupported(format!(
            "CPU path '{name}' was asked for, but this CPU has no {}: take 'auto'",
            name.to_uppercase()
        ))),
        _ => Err(Error::InvalidArgument(format!(
            "unknown CPU path {name:?}: expected 'auto', 'portable', 'avx2' or 'avx512'"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_the_cpu_lacks_is_refused() {
        assert_eq!(choose("avx2", Path::Avx2).unwrap(), Path::Avx2);
        assert_eq!(choose("auto", Path::Portable).unwrap(), Path::Portable);
        assert_eq!(choose("portable", Path::Avx2).unwrap(), Path::Portable);
        assert_eq!(choose("avx2", Path::Avx512).unwrap(), Path::Avx2);
        assert_eq!(choose("auto", Path::Avx512).unwrap(), Path::Avx512);
        for (name, best, lacks) in
            [("avx2", Path::Portable, "AVX2"), ("avx512", Path::Avx2, "AVX512")]
        {
            let Err(Error::Unsupported(text)) = choose(name, best) else {
                panic!("{name} was selected where there is none");
            };
            assert!(text.contains(&format!("this CPU has no {lacks}")), "{text}");
        }
    }
}
