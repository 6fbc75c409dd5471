//! What the holders of a buffer tell each other about it. Writers have the pool's lock;
//! readers look twice at a number that is odd while somebody writes.

use std::hint;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU64, fence};

use rustix::io::Errno;

use super::attachment::Attachment;
use super::layout::{INDEX_BITS, MetaWords};
use super::segment::io_error;
use super::slots::index_of;
use crate::error::{Error, Result};

pub const DIMENSIONS: usize = 8;
/// How often a reader looks before it thinks that the writer was killed.
const PATIENCE: usize = 10_000;

/// What the holders of a buffer tell each other about its content. All of it is
/// theirs to give meaning to; a fresh buffer has `dtype` -1 and zeros.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    /// A `gmem_dtype`, or -1.
    pub dtype: i32,
    /// 0 to 8.
    pub ndim: i32,
    /// `ndim` extents.
    pub shape: [i64; 8],
    /// `ndim` distances in bytes.
    pub strides: [i64; 8],
    /// Nanoseconds since 1970.
    pub timestamp: i64,
    /// A counter of the producer's.
    pub sequence: u64,
    /// The process id of whoever acquired the buffer; it cannot be changed.
    pub producer: u32,
    /// UTF-8, filled up with NULs.
    pub content_type: [u8; 60],
}

impl Default for Meta {
    fn default() -> Meta {
        Meta {
            dtype: -1,
            ndim: 0,
            shape: [0; DIMENSIONS],
            strides: [0; DIMENSIONS],
            timestamp: 0,
            sequence: 0,
            producer: 0,
            content_type: [0; 60],
        }
    }
}

const WORDS: usize = 3 + 2 * DIMENSIONS + 8;

impl Meta {
    fn words(&self) -> [u64; WORDS] {
        let mut words = [0; WORDS];
        words[0] = u64::from(self.dtype as u32) | u64::from(self.ndim as u32) << 32;
        words[1] = self.timestamp as u64;
        words[2] = self.sequence;
        for i in 0..DIMENSIONS {
            words[3 + i] = self.shape[i] as u64;
            words[3 + DIMENSIONS + i] = self.strides[i] as u64;
        }
        for (i, chunk) in self.content_type.chunks(8).enumerate() {
            let mut bytes = [0; 8];
            bytes[..chunk.len()].copy_from_slice(chunk);
            words[3 + 2 * DIMENSIONS + i] = u64::from_le_bytes(bytes);
        }
        words
    }

    fn from_words(words: &[u64; WORDS]) -> Meta {
        let mut meta = Meta {
            dtype: words[0] as u32 as i32,
            ndim: ((words[0] >> 32) as u32 as i32).clamp(0, DIMENSIONS as i32),
            timestamp: words[1] as i64,
            sequence: words[2],
            ..Meta::default()
        };
        for i in 0..DIMENSIONS {
            meta.shape[i] = words[3 + i] as i64;
            meta.strides[i] = words[3 + DIMENSIONS + i] as i64;
        }
        for (i, chunk) in meta.content_type.chunks_mut(8).enumerate() {
            let bytes = words[3 + 2 * DIMENSIONS + i].to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
        meta
    }
}

/// The number before the words: which tenancy they are of, and how often they changed.
fn tag(handle: u64, changes: u64) -> u64 {
    handle >> INDEX_BITS << INDEX_BITS | changes & ((1 << INDEX_BITS) - 1)
}

fn is_of(tag: u64, handle: u64) -> bool {
    tag >> INDEX_BITS == handle >> INDEX_BITS
}

impl MetaWords {
    fn parts(&self) -> (&AtomicU64, &[AtomicU64; WORDS]) {
        let (tag, rest) = self.0.split_first().expect("there are 32 words");
        (tag, rest.first_chunk().expect("there are 31 words more"))
    }

    /// None while somebody writes.
    fn read(&self, handle: u64) -> Option<Meta> {
        let (tag, words) = self.parts();
        let before = tag.load(Acquire);
        if !is_of(before, handle) {
            return Some(Meta::default());
        }
        let seen = std::array::from_fn(|i| words[i].load(Relaxed));
        fence(Acquire);
        (before & 1 == 0 && tag.load(Relaxed) == before).then(|| Meta::from_words(&seen))
    }

    fn write(&self, handle: u64, meta: &Meta) {
        let (number, words) = self.parts();
        let before = number.load(Relaxed);
        let changes = if is_of(before, handle) { before } else { 0 };
        // One that is odd was left by a killed writer.
        let odd = changes | 1;
        number.store(tag(handle, odd), Relaxed);
        fence(Release);
        for (word, value) in words.iter().zip(meta.words()) {
            word.store(value, Relaxed);
        }
        number.store(tag(handle, odd + 1), Release);
    }
}

impl Attachment {
    pub fn meta(&self, handle: u64) -> Result<Meta> {
        let (index, slot) = self.own_slot(handle)?;
        let words = self.control.meta(index as usize);
        let read = || words.read(handle);
        let seen = (0..PATIENCE).find_map(|_| {
            let seen = read();
            if seen.is_none() {
                hint::spin_loop();
            }
            seen
        });
        let seen = match seen {
            Some(seen) => Some(seen),
            // With the lock nobody writes: what is odd now was left so.
            None => self.lock().map(|_locked| read())?,
        };
        let meta = seen.ok_or_else(|| {
            let text = format!("what is told of buffer {index} of {self} is torn: a process was killed while it changed that");
            io_error(text, Errno::IO)
        })?;
        Ok(Meta { producer: slot.producer.load(Relaxed), ..meta })
    }

    pub fn set_meta(&self, handle: u64, meta: &Meta) -> Result<()> {
        if !(0..=DIMENSIONS as i32).contains(&meta.ndim) {
            let text = format!("a buffer has 0 to {DIMENSIONS} dimensions, not {}", meta.ndim);
            return Err(Error::InvalidArgument(text));
        }
        let (_, slot) = self.own_slot(handle)?;
        let index = index_of(handle);
        self.check_writable(slot, slot.word.load(), index)?;
        let _locked = self.lock()?;
        // Another thread may have given it back meanwhile.
        self.own_slot(handle)?;
        self.control.meta(index as usize).write(handle, meta);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_keep_all_of_it() {
        let mut meta =
            Meta { dtype: 7, ndim: 8, timestamp: -5, sequence: u64::MAX, ..Meta::default() };
        meta.shape = [1, 2, 3, 4, 5, 6, 7, i64::MAX];
        meta.strides = [-8, 7, -6, 5, -4, 3, -2, i64::MIN];
        meta.content_type = std::array::from_fn(|i| i as u8 + 1);
        assert_eq!(Meta::from_words(&meta.words()), meta);

        let words = MetaWords(std::array::from_fn(|_| AtomicU64::new(0)));
        let handle = 3 << INDEX_BITS | 9;
        assert_eq!(words.read(handle), Some(Meta::default()));
        words.write(handle, &meta);
        assert_eq!(words.read(handle), Some(meta));
        assert_eq!(words.read(4 << INDEX_BITS | 9), Some(Meta::default()));
        words.0[0].fetch_or(1, Relaxed);
        assert_eq!(words.read(handle), None);
        words.write(handle, &meta);
        assert_eq!(words.read(handle), Some(meta));
    }
}
