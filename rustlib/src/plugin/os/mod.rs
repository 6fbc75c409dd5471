//! What plugins ask of the operating system, one file for each, with the same names in all.
//!
//! * `Loaded`, `open`, `copied`: a library, and loading a private copy of one.
//! * `Version`, `version_of`: what tells one version of a file from another, contents apart.
//! * `Alarm`: how threads wait for a word to change.
//! * `Flag`: what an event loop watches.
//! * `private`: folders of this user alone.
//! * `on_fork`: being told of forks, where there are any.
//! * `path_of`: a path as the C interface gives it.

#[cfg(not(target_os = "linux"))]
mod condition;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "macos")]
mod macos;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(target_os = "linux")]
pub use linux::{Alarm, Flag, copied};
#[cfg(target_os = "macos")]
pub use macos::{Flag, copied};
#[cfg(unix)]
pub use unix::{Loaded, Version, on_fork, open, path_of, private, version_of};
#[cfg(windows)]
pub use windows::{Flag, Loaded, Version, copied, on_fork, open, path_of, private, version_of};

#[cfg(not(target_os = "linux"))]
pub use condition::Alarm;
