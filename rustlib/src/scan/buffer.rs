//! Where the memory of another process is read to.

use crate::error::{Error, Result};

const PAGE: usize = 4096;

#[derive(Clone, Copy)]
#[repr(C, align(4096))]
struct Page([u8; PAGE]);

/// Memory that is used again and again. What is read to it has the same place in its page as
/// it has in the target: the kernel copies at less than a third of the speed to what lies some
/// bytes further on in its page, as what an allocator gives often does.
#[derive(Default)]
pub struct Buffer {
    pages: Vec<Page>,
}

impl Buffer {
    /// Room for `len` bytes from `address` on; what is in it is of no use.
    pub fn room(&mut self, address: u64, len: usize) -> Result<&mut [u8]> {
        const NO_ROOM: Error = Error::OutOfMemory("out of memory: no room to read memory to");
        let before = address as usize % PAGE;
        let pages = before.checked_add(len).ok_or(NO_ROOM)?.div_ceil(PAGE);
        if let more @ 1.. = pages.saturating_sub(self.pages.len()) {
            self.pages.try_reserve_exact(more).map_err(|_| NO_ROOM)?;
            self.pages.resize(pages, Page([0; PAGE]));
        }
        let all: *mut u8 = self.pages.as_mut_ptr().cast();
        // SAFETY: a page is its bytes, and these are within the pages there are.
        Ok(unsafe { std::slice::from_raw_parts_mut(all.add(before), len) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_has_the_place_in_its_page() {
        let mut buffer = Buffer::default();
        for (address, len) in [(0, 1), (4095, 2), (8192, 8192), (0x1234, 0), (u64::MAX, 10_000)] {
            let room = buffer.room(address, len).unwrap();
            room.fill(7);
            assert_eq!(room.len(), len);
            assert_eq!(room.as_ptr().addr() % PAGE, address as usize % PAGE);
        }
        assert!(buffer.room(1, usize::MAX).is_err());
        assert!(buffer.room(0, usize::MAX / 2).is_err());
    }
}
