//! The C boundary: handles, status codes, the panic guard. No logic lives here.
//!
//! Every function that can fail returns a [`status::Status`]; `out_*` arguments
//! come last and are written on success only. The doc comments of these files
//! are the C manual: cbindgen puts them into `gmemx.h`.

mod array;
mod context_store;
#[cfg(target_os = "linux")]
mod cuda;
mod folding;
mod generative;
mod guard;
mod plugin;
mod plugin_async;
mod plugin_calls;
mod plugin_logs;
mod plugin_minisign;
#[cfg(target_os = "linux")]
mod pool;
#[cfg(target_os = "linux")]
mod pool_buffers;
#[cfg(target_os = "linux")]
mod pool_survey;
mod runtime;
#[cfg(target_os = "linux")]
mod scan;
#[cfg(target_os = "linux")]
mod scan_control;
#[cfg(target_os = "linux")]
mod scan_find;
#[cfg(target_os = "linux")]
mod scan_freeze;
#[cfg(target_os = "linux")]
mod scan_image;
#[cfg(target_os = "linux")]
mod scan_pointers;
#[cfg(target_os = "linux")]
mod scan_session;
#[cfg(target_os = "linux")]
mod scan_source;
mod status;
mod tensor;
