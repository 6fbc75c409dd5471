//! Forks: a child gets a place of its own and holds what its parent holds. The place is
//! taken, and the holds are noted, before the fork: afterwards the parent may release
//! what the child has not noted yet.

use std::cell::RefCell;
use std::os::fd::{AsFd, OwnedFd};
use std::process;
use std::sync::atomic::Ordering::{Relaxed, Release};
use std::sync::{Arc, MutexGuard, Once, PoisonError, Weak};

use rustix::fs::OFlags;

use super::attachment::{Attachment, NOBODY, claim, now};
use super::holds::Count;
use super::liveness;
use super::registry::{self, Registry};
use super::segment;

/// One attachment while its process is being forked.
struct Twin {
    // Dropped before what it guards.
    local: MutexGuard<'static, ()>,
    attachment: Arc<Attachment>,
    /// The child's place, whose lock belongs to that opening.
    place: Option<(u32, OwnedFd)>,
}

/// Everything that stands still meanwhile.
struct Fork {
    twins: Vec<Twin>,
    _closing: MutexGuard<'static, ()>,
    _registry: Registry,
}

thread_local! {
    static FORK: RefCell<Option<Fork>> = const { RefCell::new(None) };
}

/// Sees to it that forks are noticed.
pub fn prepare_for_forks() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: three functions that live for ever, as the library does.
        unsafe { libc::pthread_atfork(Some(before), Some(in_parent), Some(in_child)) };
    });
}

extern "C" fn before() {
    let registry = registry::lock();
    let closing = registry::closing();
    let twins = registry.iter().filter_map(Weak::upgrade).map(twin).collect();
    let fork = Fork { twins, _closing: closing, _registry: registry };
    let _ = FORK.try_with(|cell| *cell.borrow_mut() = Some(fork));
}

fn twin(attachment: Arc<Attachment>) -> Twin {
    // The dead may have all the places. An error leaves the child without one.
    if attachment.control.processes().iter().all(|process| process.used.load(Relaxed) != 0) {
        let _ = attachment.reclaim();
    }
    let local = attachment.local.lock().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: the guard is dropped before the attachment, which the twin keeps.
    let local =
        unsafe { std::mem::transmute::<MutexGuard<'_, ()>, MutexGuard<'static, ()>>(local) };
    let place = place_for_child(&attachment);
    Twin { local, attachment, place }
}

fn place_for_child(attachment: &Attachment) -> Option<(u32, OwnedFd)> {
    let me = attachment.me().ok()?;
    let file = segment::reopen(attachment.file(), OFlags::RDWR).ok()?;
    let (child, left_behind) = claim(&attachment.control, file.as_fd()).ok()?;
    if left_behind {
        // This thread has `local`, so it may not lock the pool; a place whose former
        // process left something is for others to tidy up.
        let _ = liveness::give_up(file.as_fd(), child);
        return None;
    }
    for (index, slot) in attachment.control.slots().iter().enumerate() {
        let count = attachment.holds.count(index);
        if count.total > count.refs {
            let _ = slot.word.update(|word| word.holds(me).then(|| word.with(child)));
        }
    }
    Some((child, file))
}

extern "C" fn in_parent() {
    // The parent's copies of the child's openings are closed: if there is no child, its
    // places are dead ones.
    if let Ok(Some(fork)) = FORK.try_with(|cell| cell.borrow_mut().take()) {
        fork.end(|_, _| ());
    }
}

extern "C" fn in_child() {
    if let Ok(Some(fork)) = FORK.try_with(|cell| cell.borrow_mut().take()) {
        fork.end(|attachment, place| {
            let (child, file) = place.map_or((NOBODY, None), |(child, file)| (child, Some(file)));
            // SAFETY: a child begins with one thread.
            unsafe { attachment.move_to(child, file) };
            if child != NOBODY {
                settle_in(attachment, child);
            }
        });
    }
}

impl Fork {
    fn end(self, each: impl Fn(&Attachment, Option<(u32, OwnedFd)>)) {
        let Fork { twins, _closing: closing, _registry: registry } = self;
        let attachments: Vec<_> = twins
            .into_iter()
            .map(|Twin { local, attachment, place }| {
                each(&attachment, place);
                drop(local);
                attachment
            })
            .collect();
        // One that somebody was just closing ends here, which takes these locks.
        drop((closing, registry));
        drop(attachments);
    }
}

/// Makes what the child's memory says and what was noted for it agree.
fn settle_in(attachment: &Attachment, child: u32) {
    let process = &attachment.control.processes()[child as usize];
    process.pid.store(process::id(), Relaxed);
    process.since.store(now(), Release);
    for (index, slot) in (0..).zip(attachment.control.slots()) {
        let noted = slot.word.load().holds(child);
        let count = attachment.holds.settle_after_fork(index as usize);
        // References without a buffer, and what was sent, stay the parent's.
        let kept = count.total - count.refs;
        if noted && kept > 0 {
            attachment.holds.finish(index as usize, Count { total: kept, ..Count::default() });
            continue;
        }
        attachment.holds.finish(index as usize, Count::default());
        if noted && slot.word.leave(child) {
            attachment.freed(index, slot);
        }
    }
}
