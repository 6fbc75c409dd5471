//! Shared pools: named pools of buffers that several processes map at once.
//!
//! A pool is two segments of shared memory. In the control segment every slot has one
//! atomic word that says who holds its buffer (`word`); the data segment has the bytes.
//! Nothing in either is a pointer, and nothing there is trusted without a check. A
//! process that is killed is noticed by a lock that the system takes from it
//! (`liveness`), and what it held is taken back by whoever needs a buffer next.

mod acquire;
mod atomic;
mod attachment;
mod blocks;
mod buffers;
mod control;
pub mod cuda;
mod fast;
mod fork;
mod holds;
mod layout;
mod liveness;
mod lock;
mod memory;
mod meta;
mod references;
mod registry;
mod segment;
mod slots;
pub mod survey;
mod transit;
mod word;

use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;

use crate::error::{Error, Result};
use attachment::Attachment;
pub use meta::Meta;
use registry::Plan;
use survey::Survey;

/// A hold on a buffer; whoever has it owes one `release` or `forget`.
#[derive(Clone, Copy, Debug)]
pub struct Buffer {
    /// Slot and generation; never 0.
    pub handle: u64,
    pub data: *mut u8,
    pub size: usize,
    pub index: u32,
    /// -1 for memory of the CPU.
    pub device: i32,
    pub writable: bool,
}

/// An opened pool.
pub struct Pool {
    attachment: Arc<Attachment>,
    read_only: bool,
}

impl Pool {
    /// A new pool; a budget of 0 is all the shared memory that the system lends.
    pub fn create(name: &str, capacity: usize, budget: u64, mode: u32) -> Result<Pool> {
        let plan = Plan { capacity, budget, mode };
        Ok(Pool { attachment: registry::create(name, plan)?, read_only: false })
    }

    pub fn open(name: &str, read_only: bool) -> Result<Pool> {
        let attachment = registry::open(name)?;
        attachment.find_data(!read_only)?;
        Ok(Pool { attachment, read_only })
    }

    pub fn open_or_create(name: &str, capacity: usize, budget: u64, mode: u32) -> Result<Pool> {
        let plan = Plan { capacity, budget, mode };
        let attachment = registry::open_or_create(name, plan)?;
        attachment.find_data(true)?;
        Ok(Pool { attachment, read_only: false })
    }

    pub fn create_anonymous(capacity: usize, budget: u64) -> Result<Pool> {
        let plan = Plan { capacity, budget, mode: 0o600 };
        Ok(Pool { attachment: registry::create_anonymous(plan)?, read_only: false })
    }

    /// A pool by descriptors of its two segments, which stay the caller's.
    pub fn open_descriptors(control: i32, data: i32, read_only: bool) -> Result<Pool> {
        if control < 0 || data < 0 {
            let text = format!("a pool has two descriptors, and {control} and {data} are not");
            return Err(Error::InvalidArgument(text));
        }
        // SAFETY: borrowed for this call only; one that is not open gives an error.
        let (control, data) =
            unsafe { (BorrowedFd::borrow_raw(control), BorrowedFd::borrow_raw(data)) };
        let attachment = registry::open_descriptors(control, data, read_only)?;
        attachment.data(!read_only)?;
        Ok(Pool { attachment, read_only })
    }

    pub fn unlink(&self) -> Result<()> {
        self.attachment.unlink()
    }

    pub fn capacity(&self) -> usize {
        self.attachment.control.layout.capacity
    }

    pub fn budget(&self) -> u64 {
        self.attachment.control.layout.budget
    }

    pub fn id(&self) -> [u8; 16] {
        self.attachment.control.fixed.id
    }

    pub fn descriptors(&self) -> Result<(i32, i32)> {
        let (control, data) = self.attachment.descriptors()?;
        Ok((control.as_raw_fd(), data.as_raw_fd()))
    }

    #[inline]
    fn check_writes(&self, wanted: bool) -> Result<()> {
        if wanted && self.read_only { Err(self.no_writes()) } else { Ok(()) }
    }

    #[cold]
    #[inline(never)]
    fn no_writes(&self) -> Error {
        segment::io_error(format!("{} was opened to be read only", self.attachment), Errno::ACCESS)
    }

    /// What `acquire` gives most of the time; None where that takes more.
    #[inline(always)]
    pub fn acquire_plain(&self, size: usize) -> Option<Buffer> {
        if self.read_only { None } else { self.attachment.acquire_latest(size) }
    }

    /// What `get` gives a reader where this process holds the buffer already; where that gives
    /// nothing, what `get_first` is to be told.
    #[inline(always)]
    pub fn get_again(&self, handle: u64) -> std::result::Result<Buffer, bool> {
        self.attachment.get_again(handle)
    }

    /// What `get` mostly gives where it does not; whether a hold of the slot was `taken`.
    #[inline(always)]
    pub fn get_first(&self, handle: u64, writable: bool, taken: bool) -> Option<Buffer> {
        if writable && self.read_only {
            return None;
        }
        if taken || self.attachment.hold_again(handle) {
            return self.attachment.get_held(handle, writable);
        }
        self.attachment.get_first(handle, writable)
    }

    /// Whether `release` was of one hold of several, and is done.
    #[inline(always)]
    pub fn release_one(&self, handle: u64) -> bool {
        self.attachment.release_one(handle)
    }

    /// Whether it was of the last one, as simple as that mostly is, and is done.
    #[inline(always)]
    pub fn release_last(&self, handle: u64) -> bool {
        self.attachment.release_last(handle)
    }

    /// A buffer, waiting for one if need be: None waits for ever.
    pub fn acquire(&self, size: usize, timeout: Option<Duration>) -> Result<Buffer> {
        self.check_writes(true)?;
        self.attachment.acquire(size, timeout)
    }

    pub fn acquire_cuda(
        &self,
        size: usize,
        device: i32,
        timeout: Option<Duration>,
    ) -> Result<Buffer> {
        self.check_writes(true)?;
        self.attachment.acquire_cuda(size, device, timeout)
    }

    pub fn get(&self, handle: u64, writable: bool) -> Result<Buffer> {
        self.check_writes(writable)?;
        self.attachment.get(handle, writable)
    }

    pub fn get_index(&self, index: u32, writable: bool) -> Result<Buffer> {
        self.check_writes(writable)?;
        self.attachment.get_index(index, writable)
    }

    pub fn release(&self, handle: u64) -> Result<()> {
        self.attachment.release(handle)
    }

    /// Makes a hold a pin, which is nobody's.
    pub fn forget(&self, handle: u64) -> Result<()> {
        self.attachment.forget(handle)
    }

    fn preallocate_by(&self, out: &mut [u32], take: impl Fn() -> Result<u32>) -> Result<()> {
        self.check_writes(true)?;
        let mut taken = Vec::new();
        taken.try_reserve_exact(out.len()).map_err(|_| Error::OutOfMemory("out of memory"))?;
        for _ in 0..out.len() {
            match take() {
                Ok(index) => taken.push(index),
                Err(error) => {
                    for index in taken {
                        let _ = self.attachment.release_ref(index);
                    }
                    return Err(error);
                }
            }
        }
        out.copy_from_slice(&taken);
        Ok(())
    }

    /// As many buffers as `out` has room for indices, each with one reference.
    pub fn preallocate(&self, size: usize, out: &mut [u32]) -> Result<()> {
        self.preallocate_by(out, || self.attachment.acquire_ref(size))
    }

    pub fn preallocate_cuda(&self, size: usize, device: i32, out: &mut [u32]) -> Result<()> {
        self.preallocate_by(out, || self.attachment.acquire_cuda_ref(size, device))
    }

    pub fn add_ref(&self, index: u32) -> Result<u64> {
        self.attachment.add_ref(index)
    }

    pub fn release_ref(&self, index: u32) -> Result<u64> {
        self.attachment.release_ref(index)
    }

    pub fn ref_count(&self, index: u32) -> Result<u64> {
        self.attachment.ref_count(index)
    }

    pub fn set_ref_count(&self, index: u32, count: u64) -> Result<()> {
        self.attachment.set_ref_count(index, count)
    }

    /// A ticket by which another process can claim a buffer that this one holds.
    pub fn send(&self, handle: u64) -> Result<u64> {
        self.attachment.send(handle)
    }

    pub fn claim(&self, handle: u64, ticket: u64, writable: bool) -> Result<Buffer> {
        self.check_writes(writable)?;
        self.attachment.claim(handle, ticket, writable)
    }

    /// Makes the pool answerable for what this process has sent.
    pub fn settle(&self) -> Result<()> {
        self.attachment.settle()
    }

    pub fn seal(&self, handle: u64) -> Result<()> {
        self.check_writes(true)?;
        self.attachment.seal(handle)
    }

    pub fn is_sealed(&self, handle: u64) -> Result<bool> {
        self.attachment.is_sealed(handle)
    }

    pub fn meta(&self, handle: u64) -> Result<Meta> {
        self.attachment.meta(handle)
    }

    pub fn set_meta(&self, handle: u64, meta: &Meta) -> Result<()> {
        self.check_writes(true)?;
        self.attachment.set_meta(handle, meta)
    }

    pub fn reclaim(&self) -> Result<u64> {
        self.attachment.reclaim()
    }

    /// Gives the memory of free buffers back to the system.
    pub fn trim(&self) -> Result<u64> {
        self.check_writes(true)?;
        self.attachment.trim()
    }

    pub fn survey(&self) -> Result<Survey> {
        self.attachment.survey()
    }
}
