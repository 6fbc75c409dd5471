//! Images, patterns, pointers, frozen values and sessions against naive models.

#![cfg(target_os = "linux")]

mod find;
mod freeze;
mod image;
mod memory;
mod pointers;
mod session;
