//! Killed processes, and those who take back what they held. Who is alive is a lock that
//! the system keeps: here a flag, which is taken like the lock, and falls with its process.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::stage::{FIRST, Slot, in_most_orders};

/// A process's place, as `attachment.rs` takes and leaves it.
struct Place {
    alive: AtomicBool,
    used: AtomicU32,
}

impl Place {
    fn of_a_live_one() -> Arc<Place> {
        Arc::new(Place { alive: AtomicBool::new(true), used: AtomicU32::new(1) })
    }

    fn take(&self) -> bool {
        self.alive.compare_exchange(false, true, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    fn give_up(&self) {
        self.alive.store(false, Ordering::SeqCst);
    }

    /// `reclaim`: how many references that gave back.
    fn reap(&self, slot: &Slot, process: u32) -> u32 {
        let mut count = 0;
        if self.used.load(Ordering::Acquire) == 1 && self.take() {
            if slot.word.load().holds(process) {
                slot.word.leave(process);
                count = 1;
            }
            self.used.store(0, Ordering::Release);
            self.give_up();
        }
        count
    }

    /// `claim`, for a process that finds the place free.
    fn claim(&self) -> bool {
        if self.used.load(Ordering::Acquire) != 0 || !self.take() {
            return false;
        }
        self.used.store(1, Ordering::Release);
        true
    }
}

fn spawn<T: 'static>(
    slot: &Arc<Slot>,
    place: &Arc<Place>,
    work: impl FnOnce(&Slot, &Place) -> T + 'static,
) -> loom::thread::JoinHandle<T> {
    let (slot, place) = (slot.clone(), place.clone());
    loom::thread::spawn(move || work(&slot, &place))
}

/// What the process 0 does before it is killed.
const LAST_STEPS: [fn(&Slot); 4] = [
    |_| {},
    |slot| {
        slot.word.take(0);
    },
    |slot| {
        slot.tenancy(0, 1);
    },
    |slot| {
        slot.word.take_closed(0);
    },
];

#[test]
fn what_the_killed_held_is_taken_back_once() {
    for last in LAST_STEPS {
        in_most_orders(move || {
            let (slot, place) = (Slot::new(), Place::of_a_live_one());
            let dying = spawn(&slot, &place, move |slot, place| {
                last(slot);
                place.give_up();
            });
            let reapers = [1, 2].map(|_| spawn(&slot, &place, |slot, place| place.reap(slot, 0)));
            dying.join().unwrap();
            let mut taken: u32 = reapers.into_iter().map(|reaper| reaper.join().unwrap()).sum();
            // Those who came while it lived saw nothing to do.
            taken += place.reap(&slot, 0);
            assert!(taken <= 1, "one reference was taken back twice");
            assert!(slot.word.load().is_free(), "a reference leaked");
        });
    }
}

#[test]
fn others_keep_what_the_killed_shared_with_them() {
    in_most_orders(|| {
        let (slot, place) = (Slot::held_by(0, 7), Place::of_a_live_one());
        let dying = spawn(&slot, &place, |_, place| place.give_up());
        let reaper = spawn(&slot, &place, |slot, place| place.reap(slot, 0));
        let getter = spawn(&slot, &place, |slot, _| {
            let got = slot.word.join(2, Some(FIRST)).is_ok();
            if got {
                assert_eq!(slot.read(), 7);
                assert_eq!(slot.word.load().generation(), FIRST, "freed under a reader");
            }
            got
        });
        dying.join().unwrap();
        reaper.join().unwrap();
        let got = getter.join().unwrap();
        place.reap(&slot, 0);
        assert_eq!(slot.word.load().holds(2), got);
        assert_eq!(slot.word.load().is_free(), !got, "a reference leaked, or a hold was lost");
    });
}

#[test]
fn a_new_process_in_a_dead_ones_place_keeps_what_it_takes() {
    in_most_orders(|| {
        let (slot, place) = (Slot::held_by(0, 7), Place::of_a_live_one());
        place.give_up();
        let reapers = [1, 2].map(|_| spawn(&slot, &place, |slot, place| place.reap(slot, 0)));
        let newcomer = spawn(&slot, &place, |slot, place| {
            if !place.claim() || slot.word.take(0).is_none() {
                return false;
            }
            slot.write(8);
            assert!(slot.word.load().holds(0), "the living one was reaped");
            true
        });
        for reaper in reapers {
            reaper.join().unwrap();
        }
        let has_it = newcomer.join().unwrap();
        assert_eq!(slot.word.load().holds(0), has_it);
    });
}
