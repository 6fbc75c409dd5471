//! Forked children: none of a plugin's threads is in them, and its locks may be held for ever.
//! So what was loaded before a fork is not touched in the child.

use std::cell::RefCell;
use std::sync::Once;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

use super::abi::code::INVALID_STATE;
use super::library::{self, Shelf};
use super::os;
use crate::error::Error;

/// How many forks lie between the first process and this one.
static GENERATION: AtomicU32 = AtomicU32::new(1);

thread_local! {
    /// Held during a fork, so that the child does not find it locked.
    static SHELF: RefCell<Option<Shelf>> = const { RefCell::new(None) };
}

/// Sees to it that forks are noticed.
pub fn prepare() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| os::on_fork(before, in_parent, in_child));
}

extern "C" fn before() {
    let _ = SHELF.try_with(|shelf| *shelf.borrow_mut() = Some(library::shelf()));
}

extern "C" fn in_parent() {
    let _ = SHELF.try_with(|shelf| shelf.borrow_mut().take());
}

extern "C" fn in_child() {
    GENERATION.fetch_add(1, Relaxed);
    if let Ok(Some(mut shelf)) = SHELF.try_with(|shelf| shelf.borrow_mut().take()) {
        // Idle libraries may have had threads.
        shelf.clear();
    }
}

/// What a plugin that is loaded now belongs to.
#[inline]
pub fn generation() -> u32 {
    GENERATION.load(Relaxed)
}

#[cold]
pub fn refused() -> Error {
    Error::Plugin {
        code: INVALID_STATE,
        text: "the plugin was loaded before this process was forked: load it again in the child"
            .into(),
    }
}
