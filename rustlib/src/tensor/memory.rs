//! Memory for elements: aligned to 64 bytes, refused by an error, zeroed by the
//! system where it is large.

use std::alloc::{Layout, alloc, alloc_zeroed, dealloc};
use std::ptr::NonNull;

use crate::error::{Error, Result};

/// A cache line, and what SIMD libraries and JAX ask of memory they share.
pub const ALIGNMENT: usize = 64;
/// From this size on, huge pages spare most page faults.
#[cfg(target_os = "linux")]
const HUGE: usize = 4 << 20;

/// What stands right before the memory given out.
#[derive(Clone, Copy)]
struct Header {
    /// Bytes from the allocation's start to the memory given out.
    offset: usize,
    /// Bytes of the whole allocation.
    size: usize,
}

/// Allocates `bytes` bytes. Not by an aligned allocation: a zeroed one of those is
/// cleared by hand, while an ordinary one comes cleared from the system.
pub fn allocate(bytes: usize, zeroed: bool) -> Result<NonNull<u8>> {
    const REFUSED: Error = Error::OutOfMemory("there is no memory for this tensor");
    let size = bytes.checked_add(size_of::<Header>() + ALIGNMENT).ok_or(REFUSED)?;
    let layout = Layout::from_size_align(size, align_of::<Header>()).map_err(|_| REFUSED)?;
    // SAFETY: the layout has a size above zero.
    let start = NonNull::new(unsafe { if zeroed { alloc_zeroed(layout) } else { alloc(layout) } });
    let start = start.ok_or(REFUSED)?;
    let earliest = start.addr().get() + size_of::<Header>();
    let offset = earliest.next_multiple_of(ALIGNMENT) - start.addr().get();
    // SAFETY: the size has room for a header, less than `ALIGNMENT` bytes of padding,
    // and `bytes`; the header's place is a multiple of its alignment before a multiple of 64.
    let memory = unsafe {
        let memory = start.add(offset);
        memory.cast::<Header>().sub(1).write(Header { offset, size });
        memory
    };
    #[cfg(target_os = "linux")]
    if bytes >= HUGE {
        use rustix::mm::{Advice, madvise};
        let page = rustix::param::page_size();
        let from = memory.addr().get().next_multiple_of(page) - memory.addr().get();
        // SAFETY: whole pages inside the allocation. A refusal costs speed only.
        let _ = unsafe {
            madvise(
                memory.add(from).as_ptr().cast(),
                (bytes - from) & !(page - 1),
                Advice::LinuxHugepage,
            )
        };
    }
    Ok(memory)
}

/// Frees what `allocate` gave.
///
/// # Safety
/// `memory` came from `allocate`, and is not used again.
pub unsafe fn free(memory: NonNull<u8>) {
    // SAFETY: the header `allocate` wrote, and the layout it allocated with.
    unsafe {
        let header = memory.cast::<Header>().sub(1).read();
        let layout = Layout::from_size_align_unchecked(header.size, align_of::<Header>());
        dealloc(memory.sub(header.offset).as_ptr(), layout);
    }
}
