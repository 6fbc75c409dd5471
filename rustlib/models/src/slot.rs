//! Owners, readers, pins and what is handed on.

use crate::stage::{FIRST, Slot, in_every_order, in_most_orders, in_process};
use crate::word::{POOL, Word};

#[test]
fn a_slot_has_one_owner() {
    in_every_order(|| {
        let slot = Slot::new();
        let processes = [0, 1].map(|process| {
            in_process(&slot, move |slot| {
                let rounds = 0..2 - process;
                rounds.filter(|round| slot.tenancy(process, process * 10 + round)).count() as u32
            })
        });
        let taken: u32 = processes.into_iter().map(|process| process.join().unwrap()).sum();
        assert!(taken >= 1, "nobody got what was free");
        slot.assert_free_in(FIRST + taken);
    });
}

#[test]
fn a_handle_gets_its_tenancy_or_nothing() {
    in_most_orders(|| {
        let slot = Slot::held_by(0, 7);
        let handle = slot.word.load().generation();
        let owner = in_process(&slot, |slot| {
            slot.word.leave(0);
        });
        let reader = in_process(&slot, move |slot| {
            if let Ok((_, now)) = slot.word.join(1, Some(handle)) {
                assert_eq!(now.generation(), handle);
                assert_eq!(slot.read(), 7, "a stale handle reached the next tenant");
                slot.word.leave(1);
            }
        });
        let next = in_process(&slot, |slot| {
            slot.tenancy(2, 9);
        });
        for process in [owner, reader, next] {
            process.join().unwrap();
        }
        assert!(slot.word.join(1, Some(handle)).is_err(), "its tenancy is over");
        assert!(slot.word.load().is_free());
    });
}

#[test]
fn a_plain_index_gets_whoever_is_there_and_never_a_free_slot() {
    in_every_order(|| {
        let slot = Slot::held_by(0, 7);
        let owner = in_process(&slot, |slot| {
            slot.word.leave(0);
        });
        let reader = in_process(&slot, |slot| {
            if let Ok((before, now)) = slot.word.join(1, None) {
                assert!(before.holds(0));
                assert_eq!(now.generation(), FIRST);
                assert_eq!(slot.read(), 7);
                slot.word.leave(1);
            }
        });
        owner.join().unwrap();
        reader.join().unwrap();
        slot.assert_free_in(FIRST + 1);
    });
}

#[test]
fn one_of_all_that_release_frees_it() {
    in_most_orders(|| {
        let slot = Slot::held_by(0, 7);
        slot.word.join(1, None).unwrap();
        slot.word.join(2, None).unwrap();
        let processes = [0, 1, 2].map(|process| {
            in_process(&slot, move |slot| {
                assert_eq!(slot.read(), 7);
                u32::from(slot.word.leave(process))
            })
        });
        let freed: u32 = processes.into_iter().map(|process| process.join().unwrap()).sum();
        assert_eq!(freed, 1);
        assert!(!slot.word.leave(0), "released twice");
        slot.assert_free_in(FIRST + 1);
    });
}

#[test]
fn a_pin_stays_when_its_process_goes() {
    in_every_order(|| {
        let slot = Slot::held_by(0, 7);
        slot.word.join(1, None).unwrap();
        let forgetter = in_process(&slot, |slot| slot.pin(0));
        let releaser = in_process(&slot, |slot| {
            assert!(!slot.word.leave(1), "freed under a pin or a hold");
        });
        forgetter.join().unwrap();
        releaser.join().unwrap();
        let word = slot.word.load();
        assert_eq!((word.pins(), word.holders(), word.generation()), (1, 0, FIRST));
        assert_eq!(slot.read(), 7);
        assert_eq!(slot.unpin(), Some(true));
        assert_eq!(slot.unpin(), None, "counts do not go below zero");
        slot.assert_free_in(FIRST + 1);
    });
}

#[test]
fn pins_made_and_taken_away_at_once_are_all_counted() {
    in_most_orders(|| {
        let slot = Slot::held_by(0, 7);
        slot.word.join(1, None).unwrap();
        let forgetters = [0, 1].map(|process| in_process(&slot, move |slot| slot.pin(process)));
        let early = in_process(&slot, |slot| {
            slot.unpin();
        });
        for process in forgetters {
            process.join().unwrap();
        }
        early.join().unwrap();
        while slot.word.load().pins() > 0 {
            slot.unpin();
        }
        slot.assert_free_in(FIRST + 1);
    });
}

#[test]
fn what_is_handed_on_is_never_free_in_between() {
    in_most_orders(|| {
        let slot = Slot::held_by(0, 7);
        let sender = in_process(&slot, |slot| {
            // An orderly exit: the pool answers for it.
            let handed = |word: Word| word.holds(0).then(|| word.handed(0, POOL));
            assert!(slot.word.update(handed).is_ok());
        });
        let taker = in_process(&slot, |slot| assert!(!slot.tenancy(1, 9), "it was never free"));
        let receiver = in_process(&slot, |slot| {
            let claimed = |word: Word| word.holds(POOL).then(|| word.handed(POOL, 2));
            let got = slot.word.update(claimed).is_ok() || slot.word.join(2, Some(FIRST)).is_ok();
            assert!(got, "it was lost on its way");
            assert_eq!(slot.read(), 7);
        });
        for process in [sender, taker, receiver] {
            process.join().unwrap();
        }
        let word = slot.word.load();
        assert!(word.holds(2) && !word.holds(0) && word.generation() == FIRST);
    });
}

#[test]
fn nobody_joins_what_is_closed() {
    in_every_order(|| {
        let slot = Slot::held_by(0, 7);
        let evictor = in_process(&slot, |slot| {
            slot.word.leave(0);
            if slot.word.take_closed(0).is_none() {
                return false;
            }
            // Nobody has it, so its memory may go to another slot.
            slot.write(8);
            slot.word.leave(0);
            true
        });
        let joiner = in_process(&slot, |slot| {
            if let Ok((before, now)) = slot.word.join(1, None) {
                assert!(before.is_open() && now.is_open());
                assert_eq!(slot.read(), 7);
                slot.word.leave(1);
            }
        });
        let evicted = evictor.join().unwrap();
        joiner.join().unwrap();
        slot.assert_free_in(FIRST + 1 + u32::from(evicted));
    });
}

#[test]
fn who_opens_what_it_closed_lets_others_see_all_of_it() {
    in_every_order(|| {
        let slot = Slot::new();
        let opener = in_process(&slot, |slot| {
            slot.word.take_closed(2).expect("nobody else wants it");
            slot.write(7);
            assert!(slot.word.open().is_open());
        });
        let joiner = in_process(&slot, |slot| {
            slot.word.join(0, None).is_ok_and(|_| {
                assert_eq!(slot.read(), 7);
                true
            })
        });
        opener.join().unwrap();
        let joined = joiner.join().unwrap();
        let word = slot.word.load();
        assert!(word.holds(2) && word.holds(0) == joined && word.generation() == FIRST);
    });
}
