//! The atomics of shared pools in every interleaving that the memory model allows.
//!
//! `word.rs` and `holds.rs` are the files that ship, compiled here over loom's atomics. A
//! process is a thread: what two processes share is memory, and loom does not ask whose
//! it is. A killed process is a thread that ends anywhere between two of its steps.

#![cfg(test)]

mod atomic;
#[path = "../../src/pool/holds.rs"]
#[allow(dead_code)]
mod holds;
#[path = "../../src/pool/word.rs"]
#[allow(dead_code)]
mod word;

mod death;
mod slot;
mod stage;
mod threads;
