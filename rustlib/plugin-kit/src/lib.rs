//! Native plugins in a dozen lines, for gmemx and every other host of the same C ABI.
//!
//! ```standalone_crate
//! use gmemx_plugin::plugin;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Deserialize)]
//! struct Add {
//!     a: i64,
//!     b: i64,
//! }
//!
//! #[derive(Serialize)]
//! struct Sum {
//!     result: i64,
//! }
//!
//! plugin! {
//!     json "math.add" => |_, add: Add| Ok(Sum { result: add.a + add.b });
//!     raw 1 => |_, request| Ok(request.to_vec());
//! }
//! ```
//!
//! With `crate-type = ["cdylib"]` below `[lib]`, `cargo build --release` gives the library.
//!
//! A handler that panics answers with code 11, and the plugin takes no more calls; calls beyond
//! `max_concurrent_ops` are refused with code 13 and counted; what is logged goes to the host.
//!
//! A plugin with a state of its own names its type, which is a [`Plugin`]:
//!
//! ```standalone_crate
//! use gmemx_plugin::{Config, Level, Plugin, Result, log, plugin};
//! use std::sync::atomic::{AtomicU64, Ordering};
//!
//! struct Counter(AtomicU64);
//!
//! impl Plugin for Counter {
//!     fn start(config: &Config) -> Result<Counter> {
//!         let first = config.data["first"].as_u64().unwrap_or(0);
//!         log!(Level::Info, "counting from {first}");
//!         Ok(Counter(AtomicU64::new(first)))
//!     }
//! }
//!
//! plugin! {
//!     state Counter;
//!     json "next" => |counter, _: ()| Ok(counter.0.fetch_add(1, Ordering::Relaxed));
//! }
//! ```
//!
//! A request is deserialised into the type that the handler takes, `()` being `null`. What a
//! handler gives is serialised. Any error can be raised by `?`: it becomes a handler error, code 7,
//! with its own text; [`Error`] has the other codes.

mod abi;
mod config;
mod error;
mod host;
mod logging;
mod macros;

pub use abi::{Buffer, LogCallback, Response};
pub use config::Config;
pub use error::{Code, Error, Result};
pub use host::{Dispatch, Host, answer};
pub use logging::{Level, is_enabled, log_text};

/// What lives as long as an instance is active, and is shared by all calls.
pub trait Plugin: Send + Sync + Sized + 'static {
    /// Called once, before any call. An error: the plugin is not loaded.
    ///
    /// # Errors
    /// Whatever is wrong with the configuration or the world.
    fn start(config: &Config) -> Result<Self>;

    /// Called once, when the host has no call under way any more.
    ///
    /// # Errors
    /// What could not be put in order; the host is told that the end was not clean.
    fn stop(&self) -> Result<()> {
        Ok(())
    }
}

/// No state at all.
impl Plugin for () {
    fn start(_: &Config) -> Result<()> {
        Ok(())
    }
}
