//! The control segment: what lies where in it, and that a file is one.
//!
//! Nothing in it is trusted after it was mapped. What never changes is covered by a
//! checksum and copied to private memory when a pool is opened; what changes is
//! checked wherever it is used as an index or an offset.

use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64};

use super::atomic::PROCESSES;
use super::word::SlotWord;
use crate::error::{Error, Result};

/// Buffers are placed at multiples of this many bytes.
pub const UNIT: u64 = 64;
pub const PAGE_BYTES: u64 = 4096;
/// Units of a page: as many as a word of the block map has bits.
pub const PAGE_UNITS: u64 = PAGE_BYTES / UNIT;
pub const MAX_CAPACITY: usize = 1 << INDEX_BITS;
/// The part of a handle that is the slot; the rest is the generation.
pub const INDEX_BITS: u32 = 20;
/// 64 TiB, more than any machine lends yet.
pub const MAX_BUDGET: u64 = 1 << 46;
/// Slots that are given memory together: a page of them.
pub const CHUNK: usize = 64;
pub const ARENAS: usize = 64;

const MAGIC: u64 = u64::from_le_bytes(*b"gmemxpoo");
const VERSION: u32 = 1;

/// What never changes.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Fixed {
    magic: u64,
    version: u32,
    pub capacity: u32,
    pub budget: u64,
    control_bytes: u64,
    pub id: [u8; 16],
    /// Nanoseconds since 1970.
    pub created: i64,
    pub mode: u32,
    check: u32,
    /// The inode of the data segment.
    pub data_inode: u64,
}

/// The first page.
#[repr(C)]
pub struct Header {
    pub fixed: Fixed,
    /// 1 once the last process has gone and the name with it.
    pub dead: AtomicU32,
    /// 1 once the name has been removed.
    pub unlinked: AtomicU32,
    _apart: [u64; 5],
    /// Who has the lock: process index + 1, 0 for nobody; the top bit where others wait.
    pub lock: AtomicU32,
    _apart_too: [u32; 15],
    /// 1 where somebody may be waiting for a buffer, and the futex they wait on.
    pub waiting: AtomicU32,
    pub wakes: AtomicU32,
    _apart_again: [u32; 14],
    /// Slots that have memory.
    pub slots_ready: AtomicU32,
    /// No slot below this one is without a block.
    pub unbound_from: AtomicU32,
    /// Words of the block map that have memory, and where to look for room next.
    pub map_ready: AtomicU64,
    pub search: AtomicU64,
    /// References taken back from dead processes.
    pub reclaimed: AtomicU64,
    /// Tickets that may be in use are below this one.
    pub tickets_used: AtomicU32,
    pub nonce: AtomicU32,
}

#[repr(C)]
pub struct Process {
    /// 1 while a process has this index, also after it was killed.
    pub used: AtomicU32,
    /// For display only, as is `since`: the lock is what tells life from death.
    pub pid: AtomicU32,
    pub since: AtomicI64,
    _spare: [u64; 2],
}

/// An allocation of device memory that its owner lends to the others.
#[repr(C)]
pub struct Arena {
    /// Process index + 1; 0 where there is none.
    pub owner: AtomicU32,
    /// Counts the arenas that this entry has described.
    pub epoch: AtomicU32,
    pub bytes: AtomicU64,
    pub device: [AtomicU64; 2],
    pub ipc: [AtomicU64; 8],
    /// Which processes have it open, one bit each.
    pub openers: [AtomicU64; 2],
    _spare: [u64; 2],
}

/// A buffer on its way from one process to another.
#[repr(C)]
pub struct Ticket {
    pub handle: AtomicU64,
    /// 0 where it is free; see `transit`.
    pub info: AtomicU64,
}

/// A slot, in one cache line.
#[repr(C, align(64))]
pub struct Slot {
    pub word: SlotWord,
    /// Where its memory begins, in units, plus 1; 0 where it has none.
    pub place: AtomicU64,
    pub units: AtomicU64,
    /// Bytes asked for.
    pub size: AtomicU64,
    /// Generation and process index of whoever sealed it; see `Attachment::seal`.
    pub sealed: AtomicU64,
    /// The high bits of the generation.
    pub generation_high: AtomicU32,
    /// 0 for memory of the CPU, else the arena's index + 1 and its epoch: see `cuda`.
    pub arena: AtomicU32,
    /// Process id, for display only.
    pub producer: AtomicU32,
    /// Of its block.
    pub class: AtomicU32,
}

/// What holders tell each other; see `meta`.
#[repr(C)]
pub struct MetaWords(pub [AtomicU64; 32]);

const _: () = {
    assert!(size_of::<Header>() <= PAGE_BYTES as usize);
    assert!(size_of::<Process>() * PROCESSES as usize <= PAGE_BYTES as usize);
    assert!(size_of::<Slot>() == 64 && size_of::<Slot>() * CHUNK == PAGE_BYTES as usize);
    assert!(size_of::<MetaWords>() == 256 && size_of::<Arena>() == 128);
};

/// Where the sections begin, which capacity and budget give.
#[derive(Clone, Copy)]
pub struct Layout {
    pub capacity: usize,
    pub budget: u64,
    pub tickets: usize,
    pub hint_words: usize,
    pub map_words: usize,
    pub processes_at: usize,
    pub arenas_at: usize,
    pub tickets_at: usize,
    pub hints_at: usize,
    /// Everything before has memory from the beginning.
    pub slots_at: usize,
    pub metas_at: usize,
    pub map_at: usize,
    pub bytes: usize,
}

impl Layout {
    pub fn new(capacity: usize, budget: u64) -> Layout {
        let page = PAGE_BYTES as usize;
        let pages = |bytes: usize| bytes.next_multiple_of(page);
        let tickets = capacity.max(256);
        let hint_words = capacity.div_ceil(64);
        let chunks = capacity.div_ceil(CHUNK);
        let map_words = (budget / PAGE_BYTES) as usize;
        let processes_at = page;
        let arenas_at = processes_at + page;
        let tickets_at = arenas_at + pages(ARENAS * size_of::<Arena>());
        let hints_at = tickets_at + pages(tickets * size_of::<Ticket>());
        let slots_at = hints_at + pages(super::blocks::CLASSES * hint_words * 8);
        let metas_at = slots_at + chunks * CHUNK * size_of::<Slot>();
        let map_at = metas_at + chunks * CHUNK * size_of::<MetaWords>();
        let bytes = map_at + pages(map_words * 8);
        Layout {
            capacity,
            budget,
            tickets,
            hint_words,
            map_words,
            processes_at,
            arenas_at,
            tickets_at,
            hints_at,
            slots_at,
            metas_at,
            map_at,
            bytes,
        }
    }
}

impl Fixed {
    pub fn new(
        capacity: usize,
        budget: u64,
        mode: u32,
        id: [u8; 16],
        created: i64,
        data_inode: u64,
    ) -> Fixed {
        let mut fixed = Fixed {
            magic: MAGIC,
            version: VERSION,
            capacity: capacity as u32,
            budget,
            control_bytes: Layout::new(capacity, budget).bytes as u64,
            id,
            created,
            mode,
            check: 0,
            data_inode,
        };
        fixed.check = fixed.checksum();
        fixed
    }

    fn checksum(&self) -> u32 {
        let words = [
            self.magic,
            u64::from(self.version),
            u64::from(self.capacity),
            self.budget,
            self.control_bytes,
            u64::from_le_bytes(self.id[..8].try_into().expect("eight of sixteen bytes")),
            u64::from_le_bytes(self.id[8..].try_into().expect("eight of sixteen bytes")),
            self.created as u64,
            u64::from(self.mode),
            self.data_inode,
        ];
        words.iter().fold(0, |crc, word| crc32c::crc32c_append(crc, &word.to_le_bytes()))
    }

    /// The layout, where this is the beginning of a control segment of that many bytes.
    pub fn validate(&self, name: &str, bytes: u64) -> Result<Layout> {
        let refuse = |why: String| Err(Error::InvalidArgument(format!("{name} is no pool: {why}")));
        if self.magic != MAGIC {
            return refuse("it does not begin like one".into());
        }
        if self.version != VERSION {
            return refuse(format!("its version is {}, not {VERSION}", self.version));
        }
        if self.check != self.checksum() {
            return refuse("its header is damaged".into());
        }
        let capacity = self.capacity as usize;
        let fits = (1..=MAX_CAPACITY).contains(&capacity)
            && self.budget.is_multiple_of(PAGE_BYTES)
            && (PAGE_BYTES..=MAX_BUDGET).contains(&self.budget);
        if !fits {
            return refuse("its header makes no sense".into());
        }
        let layout = Layout::new(capacity, self.budget);
        if layout.bytes as u64 != self.control_bytes || layout.bytes as u64 != bytes {
            return refuse(format!("it has {bytes} bytes, not {}", layout.bytes));
        }
        Ok(layout)
    }
}
