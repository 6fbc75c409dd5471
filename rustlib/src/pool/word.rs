//! The word of a slot, the only truth about its buffer: which processes hold it, how
//! often it is pinned, and its generation. Every change is one compare-and-swap, and
//! the one that takes the last reference away also begins the next generation; so
//! there is no instant at which a killed process leaves a slot half free, and none at
//! which a handle of one tenancy fits the next.

use super::atomic::{AtomicWord, Bits, GENERATION_BITS, LOW, PIN_BITS, PROCESSES};

/// The holder that stands for the pool itself: buffers whose sender has ended.
pub const POOL: u32 = PROCESSES;
pub const MAX_PINS: u32 = (1 << PIN_BITS) - 1;

/// Set while its one holder is changing the slot itself: nobody may join meanwhile.
const CLOSED: Bits = 1 << (PROCESSES + 1);
const PIN_SHIFT: u32 = PROCESSES + 2;
const GENERATION_SHIFT: u32 = PIN_SHIFT + PIN_BITS;
const HOLDERS: Bits = CLOSED - 1;
const REFERENCES: Bits = ((1 << GENERATION_SHIFT) - 1) & !CLOSED;

/// What a slot word says at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word(Bits);

impl Word {
    /// A slot that never had a buffer.
    pub const NEVER: Word = Word(0);
    /// A slot's first tenancy, before anyone has it.
    pub const FIRST: Word = Word(1 << GENERATION_SHIFT);

    pub fn is_free(self) -> bool {
        self.0 & REFERENCES == 0
    }

    /// Whether it has a buffer that others may join in holding.
    pub fn is_open(self) -> bool {
        !self.is_free() && self.0 & CLOSED == 0
    }

    pub fn opened(self) -> Word {
        Word(self.0 & !CLOSED)
    }

    /// The low bits of the generation: a `Slot` has the others.
    pub fn generation(self) -> u32 {
        (self.0 >> GENERATION_SHIFT) as u32
    }

    /// Whether the low bits begin anew with it, and the high ones count up.
    pub fn begins_round(self) -> bool {
        self.generation() == 1
    }

    pub fn pins(self) -> u32 {
        (self.0 >> PIN_SHIFT) as u32 & MAX_PINS
    }

    pub fn holds(self, process: u32) -> bool {
        self.0 >> process & 1 == 1
    }

    /// Processes that hold it; the pool, which holds it for one on its way, counts too.
    pub fn holders(self) -> u32 {
        (self.0 & HOLDERS).count_ones()
    }

    pub fn with(self, process: u32) -> Word {
        Word(self.0 | 1 << process)
    }

    pub fn without(self, process: u32) -> Word {
        Word(self.0 & !(1 << process)).ended_if_free()
    }

    /// One holder in another's place, without an instant between.
    pub fn handed(self, from: u32, to: u32) -> Word {
        self.with(to).without(from)
    }

    pub fn with_pins(self, pins: u32) -> Word {
        let cleared = self.0 & !(Bits::from(MAX_PINS) << PIN_SHIFT);
        Word(cleared | Bits::from(pins) << PIN_SHIFT).ended_if_free()
    }

    /// Pins for a process's hold: the buffer stays when the process goes.
    pub fn pinned_for(self, process: u32, pins: u32) -> Word {
        self.with_pins(pins).without(process)
    }

    fn ended_if_free(self) -> Word {
        if !self.is_free() {
            return self;
        }
        // What a killed holder had closed is open again with that.
        let next = (self.0 >> GENERATION_SHIFT).wrapping_add(1) & ((1 << GENERATION_BITS) - 1);
        // 0 is left out: it means that there never was one.
        Word(next.max(1) << GENERATION_SHIFT)
    }
}

#[repr(transparent)]
pub struct SlotWord(AtomicWord);

impl SlotWord {
    #[inline]
    pub fn load(&self) -> Word {
        Word(self.0.load())
    }

    /// The word, of whose two halves one may be older; its generation is right.
    #[inline]
    pub fn peek(&self) -> Word {
        Word(self.0.peek())
    }

    /// The word as far as its generation goes, which says nothing of who holds it.
    #[inline]
    pub fn peek_generation(&self) -> Word {
        Word(self.0.peek_high())
    }

    /// Changes the word as `change` says, which gives None where it must stay. What it
    /// was and what it became; or, as the error, what it is.
    #[inline(always)]
    pub fn update(&self, change: impl Fn(Word) -> Option<Word>) -> Result<(Word, Word), Word> {
        // Halves that do not belong together fail in the exchange, or are looked at again.
        let mut current = self.peek();
        let mut whole = false;
        loop {
            match change(current) {
                Some(new) => match self.0.compare_exchange(current.0, new.0) {
                    Ok(_) => return Ok((current, new)),
                    Err(now) => current = Word(now),
                },
                None if whole => return Err(current),
                None => current = self.load(),
            }
            whole = true;
        }
    }

    /// Takes a free slot for a process.
    #[inline(always)]
    pub fn take(&self, process: u32) -> Option<Word> {
        self.update(|word| word.is_free().then(|| word.with(process))).ok().map(|(_, now)| now)
    }

    /// Takes a free slot, and keeps all others out until [`SlotWord::open`] or `leave`.
    pub fn take_closed(&self, process: u32) -> Option<Word> {
        let close = |word: Word| Word(word.with(process).0 | CLOSED);
        let first = |word| if word == Word::NEVER { Word::FIRST } else { word };
        let taken = self.update(|word| word.is_free().then(|| close(first(word))));
        taken.ok().map(|(_, now)| now)
    }

    /// Lets others join in what [`SlotWord::take_closed`] took.
    pub fn open(&self) -> Word {
        self.update(|word| Some(word.opened())).map_or_else(|word| word, |(_, now)| now)
    }

    /// Adds a process to those that hold a buffer, of that generation if one is given.
    #[inline(always)]
    pub fn join(&self, process: u32, generation: Option<u32>) -> Result<(Word, Word), Word> {
        if let Some(joined) = self.join_others(process, generation) {
            return Ok(joined);
        }
        self.update(|word| {
            let fits = generation.is_none_or(|generation| generation == word.generation());
            (word.is_open() && fits).then(|| word.with(process))
        })
    }

    /// The same in half the time, where a process whose place is in the low half has it
    /// too. While that half is not 0 the buffer is not free, and whoever frees it exchanges
    /// both halves; so only which buffer it is must be looked at, afterwards.
    #[inline(always)]
    fn join_others(&self, process: u32, generation: Option<u32>) -> Option<(Word, Word)> {
        let before = self.peek();
        let fits = generation.is_none_or(|generation| generation == before.generation());
        let now = before.with(process);
        let is_low = before.0 & LOW != 0 && 1 << process & LOW != 0;
        if !fits || !is_low || !before.is_open() || before.holds(process) {
            return None;
        }
        if !self.0.compare_exchange_low(before.0, now.0) {
            return None;
        }
        // From here on the generation stands still, and what is open is not closed again. The
        // halves seen before may have been those of two moments.
        let after = self.peek();
        if after.generation() == before.generation() && after.is_open() {
            return Some((before, now));
        }
        self.leave(process);
        None
    }

    /// Takes a process away from those that hold it; true where that freed it.
    #[inline(always)]
    pub fn leave(&self, process: u32) -> bool {
        let before = self.peek();
        let now = Word(before.0 & !(1 << process));
        let is_low = now.0 & LOW != 0 && 1 << process & LOW != 0;
        if is_low && before.holds(process) && self.0.compare_exchange_low(before.0, now.0) {
            return false;
        }
        self.update(|word| word.holds(process).then(|| word.without(process)))
            .is_ok_and(|(_, now)| now.is_free())
    }
}
