//! The control segment as it is mapped: its sections as slices of atomics.

use std::os::fd::AsFd;
use std::slice;
use std::sync::atomic::{AtomicU64, Ordering::Acquire};

use super::atomic::PROCESSES;
use super::layout::{
    ARENAS, Arena, CHUNK, Fixed, Header, Layout, MetaWords, PAGE_BYTES, Process, Slot, Ticket,
};
use super::segment::Mapping;
use crate::error::{Error, Result};

pub struct Control {
    map: Mapping,
    pub fixed: Fixed,
    pub layout: Layout,
}

impl Control {
    /// A mapped file, if it is the control segment of a pool.
    pub fn new(map: Mapping, name: &str) -> Result<Control> {
        if (map.bytes() as u64) < PAGE_BYTES {
            let bytes = map.bytes();
            let text = format!("{name} is no pool: it has {bytes} bytes only");
            return Err(Error::InvalidArgument(text));
        }
        // SAFETY: there is a page of it. What others may be changing meanwhile is read as
        // bytes of any value, and trusted only once its checksum is right.
        let fixed = unsafe { map.start().cast::<Fixed>().read_volatile() };
        let layout = fixed.validate(name, map.bytes() as u64)?;
        Ok(Control { map, fixed, layout })
    }

    /// Makes a mapped file of zeros the control segment of a new pool.
    pub fn create(map: Mapping, fixed: Fixed, name: &str) -> Result<Control> {
        // SAFETY: the mapping has a page at least, and nobody else has it yet.
        unsafe { map.start().cast::<Fixed>().write(fixed) };
        Control::new(map, name)
    }

    /// Lets go of the opening that it was mapped through.
    ///
    /// # Safety
    /// `file` is another opening of the same file.
    pub unsafe fn move_to(&self, file: impl AsFd) -> Result<()> {
        // SAFETY: control segments are mapped to be written; and the caller's.
        unsafe { self.map.move_to(file) }
    }

    /// # Safety
    /// `count` T lie in the segment from `at` on, and are made of atomics alone.
    unsafe fn section<T>(&self, at: usize, count: usize) -> &[T] {
        debug_assert!(at + count * size_of::<T>() <= self.map.bytes());
        // SAFETY: inside the mapping, which is as long as the layout says, and aligned,
        // since sections begin on pages.
        unsafe { slice::from_raw_parts(self.map.start().add(at).cast(), count) }
    }

    #[inline]
    pub fn header(&self) -> &Header {
        // SAFETY: the first page; what changes in it is atomic, what does not is not read
        // through this.
        unsafe { &*self.map.start().cast() }
    }

    pub fn processes(&self) -> &[Process] {
        // SAFETY: where the layout has it.
        unsafe { self.section(self.layout.processes_at, PROCESSES as usize) }
    }

    pub fn arenas(&self) -> &[Arena] {
        // SAFETY: where the layout has it.
        unsafe { self.section(self.layout.arenas_at, ARENAS) }
    }

    pub fn tickets(&self) -> &[Ticket] {
        // SAFETY: where the layout has it.
        unsafe { self.section(self.layout.tickets_at, self.layout.tickets) }
    }

    /// The slots of a class that may be free, one bit each.
    #[inline]
    pub fn hints(&self, class: usize) -> &[AtomicU64] {
        let words = self.layout.hint_words;
        // SAFETY: where the layout has it: `class` is below CLASSES.
        unsafe { self.section(self.layout.hints_at + class * words * 8, words) }
    }

    /// The slots that have memory.
    #[inline]
    pub fn slots(&self) -> &[Slot] {
        let ready = self.header().slots_ready.load(Acquire) as usize;
        // SAFETY: where the layout has it.
        unsafe { self.section(self.layout.slots_at, ready.min(self.layout.capacity)) }
    }

    pub fn meta(&self, index: usize) -> &MetaWords {
        let chunks = self.layout.capacity.div_ceil(CHUNK);
        // SAFETY: where the layout has it.
        unsafe { &self.section::<MetaWords>(self.layout.metas_at, chunks * CHUNK)[index] }
    }

    /// The words of the block map that have memory.
    pub fn block_map(&self) -> &[AtomicU64] {
        let ready = self.header().map_ready.load(Acquire).min(self.layout.map_words as u64);
        // SAFETY: where the layout has it.
        unsafe { self.section(self.layout.map_at, ready as usize) }
    }
}
