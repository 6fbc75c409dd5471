//! Why a plugin refuses or fails.

use std::fmt;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What hosts tell errors apart by.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Code {
    InvalidState = 1,
    InitializationFailed = 2,
    ShutdownFailed = 3,
    ConfigError = 4,
    Serialization = 5,
    UnknownMessageType = 6,
    Handler = 7,
    Runtime = 8,
    Cancelled = 9,
    Timeout = 10,
    Internal = 11,
    Ffi = 12,
    TooManyRequests = 13,
}

/// A code and a text for people.
#[derive(Clone, Debug)]
pub struct Error {
    pub code: Code,
    pub text: String,
}

impl Error {
    pub fn new(code: Code, text: impl Into<String>) -> Error {
        Error { code, text: text.into() }
    }

    /// The handler could not do what it was asked to.
    pub fn handler(text: impl Into<String>) -> Error {
        Error::new(Code::Handler, text)
    }

    /// The configuration is bad.
    pub fn config(text: impl Into<String>) -> Error {
        Error::new(Code::ConfigError, text)
    }

    /// The request is not what it should be, or the response cannot be written.
    pub fn serialization(text: impl Into<String>) -> Error {
        Error::new(Code::Serialization, text)
    }

    /// Nothing answers to this tag or number.
    pub fn unknown(what: impl fmt::Display) -> Error {
        Error::new(Code::UnknownMessageType, what.to_string())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let before = match self.code {
            Code::InvalidState => "invalid lifecycle state: ",
            Code::InitializationFailed => "initialization failed: ",
            Code::ShutdownFailed => "shutdown failed: ",
            Code::ConfigError => "configuration error: ",
            Code::Serialization => "serialization error: ",
            Code::UnknownMessageType => "unknown message type: ",
            Code::Handler => "handler error: ",
            Code::Runtime => "runtime error: ",
            Code::Internal => "internal error: ",
            Code::Ffi => "FFI error: ",
            Code::Cancelled => return f.write_str("request cancelled"),
            Code::Timeout => return f.write_str("request timed out"),
            Code::TooManyRequests => {
                return f.write_str("too many concurrent requests (limit exceeded)");
            }
        };
        f.write_str(before)?;
        f.write_str(&self.text)
    }
}

/// So that `?` takes any error. An [`Error`] is none itself, or this would be ambiguous.
impl<E: std::error::Error> From<E> for Error {
    fn from(error: E) -> Error {
        Error::handler(error.to_string())
    }
}
