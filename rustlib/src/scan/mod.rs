//! Finding, watching and changing values in the memory of others.
//!
//! * [`source`]: what can be scanned; [`process`], [`image`] are such sources.
//! * [`region`], [`pages`], [`access`]: what Linux tells about a process.
//! * [`plan`]: from ranges to windows of memory, spread over threads.
//! * [`types`], [`test`], [`kernel`]: which cells of a window pass.
//! * [`matches`], [`arena`]: what was found, and the memory it is kept in.
//! * [`scanner`]: scan after scan. [`first`] looks at all cells of [`tasks`], [`next`] at
//!   those of matches, as [`reading`] reads them; [`checkpoints`] are values of a moment.
//! * [`edit`]: writing to what was found; [`freeze`]: writing it again and again.
//! * [`session`]: a scanner in a file.
//! * [`pattern`]: finding bytes; [`pointers`]: who points where.

pub mod access;
pub mod arena;
pub mod buffer;
pub mod checkpoints;
pub mod edit;
pub mod first;
pub mod freeze;
pub mod image;
pub mod kernel;
pub mod matches;
pub mod next;
pub mod pages;
pub mod pattern;
pub mod plan;
pub mod pointers;
pub mod process;
pub mod reading;
pub mod region;
pub mod scanner;
pub mod session;
pub mod source;
pub mod tasks;
pub mod test;
pub mod types;
mod windows;

pub use plan::Control;
pub use process::Process;
pub use region::{Region, RegionKind};
pub use scanner::{Options, Scanner};
pub use source::{Part, Piece, Reason, Skipped, Source, What};
pub use types::ValueType;
