//! Threads of one process, which count their holds in private (`holds.rs`) and show the
//! others one for all. What `buffers.rs` does between two counts is here without the rest.

use loom::sync::Arc;

use crate::holds::{Count, Holds};
use crate::stage::{FIRST, Slot, in_every_order, in_most_orders, in_process};

const ME: u32 = 0;
const ONE: Count = Count { total: 1, refs: 0, sent: false };

fn acquire(holds: &Holds, slot: &Slot) -> bool {
    let none = holds.count(0);
    if none.total != 0 || !holds.enter(0, none) {
        return false;
    }
    let taken = slot.word.take(ME).is_some();
    holds.finish(0, if taken { ONE } else { none });
    taken
}

fn get(holds: &Holds, slot: &Slot, generation: u32) -> bool {
    loop {
        let count = holds.count(0);
        if count.total > 0 {
            if !holds.change(0, count, count.plus(1, 0)) {
                continue;
            }
            let fits = slot.word.peek().generation() == generation;
            if !fits {
                release(holds, slot);
            }
            return fits;
        }
        if !holds.enter(0, count) {
            continue;
        }
        let joined = slot.word.join(ME, Some(generation)).is_ok();
        holds.finish(0, if joined { count.plus(1, 0) } else { count });
        return joined;
    }
}

fn release(holds: &Holds, slot: &Slot) {
    loop {
        let count = holds.count(0);
        assert!(count.total > 0, "a thread's hold was lost");
        if count.total > 1 {
            if holds.change(0, count, count.plus(-1, 0)) {
                return;
            }
            continue;
        }
        if !holds.enter(0, count) {
            continue;
        }
        slot.word.leave(ME);
        holds.finish(0, Count::default());
        return;
    }
}

/// Gets, reads and releases; whether there was anything to get.
fn look(holds: &Holds, slot: &Slot, generation: u32) -> bool {
    let got = get(holds, slot, generation);
    if got {
        assert!(slot.word.load().holds(ME), "others do not see a thread's hold");
        assert_eq!(slot.read(), 7);
        release(holds, slot);
    }
    got
}

/// As `look`, where what a buffer has in it is noted by its first reader for the next ones.
fn look_at_noted(holds: &Holds, slot: &Slot, generation: u32) {
    let Some(noted) = holds.again(0) else { return };
    if noted.is(u64::from(generation)) {
        assert_eq!(noted.offset(), slot.read() as usize, "noted of another buffer");
        assert_eq!(slot.word.load().generation(), generation, "a stale handle was taken");
    } else if slot.word.peek().generation() == generation {
        holds.note(0, generation.into(), (slot.read() as usize, 1));
    }
    release(holds, slot);
}

fn no_holds() -> Arc<Holds> {
    Arc::new(Holds::new(1))
}

#[test]
fn threads_that_get_share_one_place_in_the_word() {
    in_every_order(|| {
        let (slot, holds) = (Slot::held_by(1, 7), no_holds());
        let readers = [0, 1].map(|_| {
            let holds = holds.clone();
            in_process(&slot, move |slot| look(&holds, slot, FIRST))
        });
        for reader in readers {
            assert!(reader.join().unwrap(), "what another process holds could not be got");
        }
        assert_eq!(holds.count(0), Count::default());
        assert!(slot.word.leave(1), "a reference leaked");
        slot.assert_free_in(FIRST + 1);
    });
}

#[test]
fn a_slot_has_one_owner_among_threads() {
    in_every_order(|| {
        let (slot, holds) = (Slot::new(), no_holds());
        let threads = [1, 2].map(|value| {
            let holds = holds.clone();
            in_process(&slot, move |slot| {
                let taken = acquire(&holds, slot);
                if taken {
                    slot.write(value);
                    assert_eq!(slot.read(), value);
                    release(&holds, slot);
                }
                u32::from(taken)
            })
        });
        let taken: u32 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        assert!(taken >= 1, "nobody got what was free");
        assert_eq!(holds.count(0), Count::default());
        slot.assert_free_in(FIRST + taken);
    });
}

/// A thread that begins with a buffer of 7, and beside it one that knows its handle.
fn owner_and_reader(owner: fn(&Holds, &Slot), reader: fn(&Holds, &Slot)) {
    let (slot, holds) = (Slot::new(), no_holds());
    assert!(acquire(&holds, &slot));
    slot.write(7);
    let threads = [owner, reader].map(|work| {
        let holds = holds.clone();
        in_process(&slot, move |slot| work(&holds, slot))
    });
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(holds.count(0), Count::default());
    assert!(slot.word.load().is_free());
}

#[test]
fn a_stale_handle_is_none_though_another_thread_has_the_next_buffer() {
    in_every_order(|| {
        let owner = |holds: &Holds, slot: &Slot| {
            release(holds, slot);
            // Another's buffer now, in the same slot of the same process.
            if acquire(holds, slot) {
                slot.write(8);
                release(holds, slot);
            }
        };
        owner_and_reader(owner, |holds, slot| {
            look(holds, slot, FIRST);
        });
    });
}

#[test]
fn what_is_noted_of_a_buffer_ends_with_it() {
    in_most_orders(|| {
        let owner = |holds: &Holds, slot: &Slot| {
            look_at_noted(holds, slot, FIRST);
            release(holds, slot);
            if acquire(holds, slot) {
                slot.write(8);
                look_at_noted(holds, slot, FIRST + 1);
                release(holds, slot);
            }
        };
        owner_and_reader(owner, |holds, slot| look_at_noted(holds, slot, FIRST));
    });
}
