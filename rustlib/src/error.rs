//! The one error type. Each variant becomes one `gmem_status` at the C boundary
//! (`ffi::status`) and one Python exception above it.

use std::io;

/// Why an operation was refused. The text is a whole sentence for a person.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("{0} must not be NULL")]
    NullArgument(&'static str),
    #[error("{0}")]
    InvalidArgument(String),
    #[error("{0}")]
    OutOfRange(String),
    #[error("{0}")]
    Overflow(String),
    /// Its text is static: there may be no memory to make one.
    #[error("{0}")]
    OutOfMemory(&'static str),
    #[error("{0}")]
    NotFound(String),
    #[error("{0}")]
    Timeout(String),
    #[error("{0}")]
    Unsupported(String),
    #[error("{0}")]
    AbiMismatch(String),
    #[error("{0}")]
    Device(String),
    /// The caller asked for it to end.
    #[error("cancelled: nothing was changed")]
    Cancelled,
    /// A plugin answered with an error, or was not called; the code is the plugin ABI's.
    #[error("{text}")]
    Plugin { code: u32, text: String },
    /// The operating system said no; missing files and refused permissions keep
    /// their own status, decided by `io::Error::kind`.
    #[error("{what}: {source}")]
    Io { what: String, source: io::Error },
}

pub type Result<T> = std::result::Result<T, Error>;
