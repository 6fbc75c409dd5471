//! What the models share: a slot with its buffer, and processes that use it. The buffer is a
//! cell of loom's, so two that use it at once, one of them writing, fail the model even
//! where no value shows it.

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

use crate::atomic::AtomicWord;
use crate::word::{SlotWord, Word};

/// Every interleaving of a few steps.
pub fn in_every_order(work: impl Fn() + Sync + Send + 'static) {
    loom::model(work);
}

/// Those in which threads lose the core twice where they might at any step, besides where
/// they wait or end: of three processes at once, all are too many.
pub fn in_most_orders(work: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(work);
}

/// The generation of a slot's first buffer.
pub const FIRST: u32 = 1;

pub struct Slot {
    pub word: SlotWord,
    content: UnsafeCell<u32>,
}

impl Slot {
    pub fn new() -> Arc<Slot> {
        // SAFETY: a SlotWord is a transparent AtomicWord.
        let word = unsafe { std::mem::transmute::<AtomicWord, SlotWord>(AtomicWord::new(0)) };
        assert_eq!(word.update(|_| Some(Word::FIRST)), Ok((Word::NEVER, Word::FIRST)));
        assert_eq!(word.load().generation(), FIRST);
        Arc::new(Slot { word, content: UnsafeCell::new(0) })
    }

    /// One that a process has, with what it wrote.
    pub fn held_by(process: u32, content: u32) -> Arc<Slot> {
        let slot = Slot::new();
        assert!(slot.word.take(process).is_some());
        slot.write(content);
        slot
    }

    pub fn write(&self, value: u32) {
        // SAFETY: loom fails the model where anyone else has the cell now.
        self.content.with_mut(|content| unsafe { *content = value });
    }

    pub fn read(&self) -> u32 {
        // SAFETY: loom fails the model where anyone writes the cell now.
        self.content.with(|content| unsafe { *content })
    }

    /// Takes it, has it to itself, and gives it back; whether there was anything to take.
    pub fn tenancy(&self, process: u32, value: u32) -> bool {
        let Some(word) = self.word.take(process) else {
            return false;
        };
        assert!(word.holds(process) && word.holders() == 1 && word.pins() == 0);
        self.write(value);
        assert_eq!(self.read(), value);
        assert!(self.word.leave(process), "somebody else had it too");
        true
    }

    pub fn pin(&self, process: u32) {
        let pinned =
            |word: Word| word.holds(process).then(|| word.pinned_for(process, word.pins() + 1));
        assert!(self.word.update(pinned).is_ok(), "a hold was lost");
    }

    /// Takes one pin away; whether there was one, and whether that freed it.
    pub fn unpin(&self) -> Option<bool> {
        let change = |word: Word| (word.pins() > 0).then(|| word.with_pins(word.pins() - 1));
        self.word.update(change).ok().map(|(_, now)| now.is_free())
    }

    pub fn assert_free_in(&self, generation: u32) {
        let word = self.word.load();
        assert!(word.is_free(), "a reference leaked");
        assert_eq!(word.generation(), generation);
    }
}

pub fn in_process<T: 'static>(
    slot: &Arc<Slot>,
    work: impl FnOnce(&Slot) -> T + 'static,
) -> thread::JoinHandle<T> {
    let slot = slot.clone();
    thread::spawn(move || work(&slot))
}
