//! Generative memory: 2^64 cells of f64, each a pure function of (seed, address)
//! until it is written, after which it lives in a sparse overlay.

mod array;
mod array_bins;
mod array_fold;
mod array_leading;
mod array_product;
mod array_sieve;
mod changes;
mod distribution;
mod leading;
mod lines;
mod normal;
mod overlay;
mod page;
pub mod philox;
pub mod reduce;
pub mod store;
mod streaming;
pub mod vrns16;

use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, Ordering};

pub use array::{Array, Held, Truth};
pub use array_fold::{ArrayFold, ArrayFolding};
pub use distribution::{Distribution, DistributionKind};
use overlay::Overlay;
pub use overlay::Snapshot;
pub use reduce::Folding;
use store::Store;
use vrns16::fmix64;

use crate::error::{Error, Result};
use crate::parallel;

/// Which function of (seed, address) a context computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generator {
    Vrns16,
    Philox,
}

impl Generator {
    pub const ALL: [Generator; 2] = [Generator::Vrns16, Generator::Philox];

    pub fn name(self) -> &'static str {
        self.c_name().to_str().expect("generator names are ASCII")
    }

    /// The name as a NUL-terminated string that lives for ever.
    pub fn c_name(self) -> &'static std::ffi::CStr {
        match self {
            Generator::Vrns16 => c"vrns16",
            Generator::Philox => c"philox",
        }
    }

    pub fn from_name(name: &str) -> Result<Generator> {
        Self::ALL.into_iter().find(|generator| generator.name() == name).ok_or_else(|| {
            let known = Self::ALL.map(|generator| format!("'{}'", generator.name())).join(" or ");
            Error::InvalidArgument(format!("unknown generator '{name}': expected {known}"))
        })
    }

    #[inline]
    fn value(self, seed: u64, address: u64) -> f64 {
        match self {
            Generator::Vrns16 => vrns16::value(seed, address),
            Generator::Philox => philox::value(seed, address),
        }
    }

    fn values(self, seed: u64, addresses: &[u64], out: &mut [f64]) {
        match self {
            Generator::Vrns16 => vrns16::values(seed, addresses, out),
            Generator::Philox => philox::values(seed, addresses, out),
        }
    }

    fn fill(self, seed: u64, start: u64, out: &mut [f64], threads: usize) {
        match self {
            Generator::Vrns16 => vrns16::fill(seed, start, out, threads),
            Generator::Philox => philox::fill(seed, start, out, threads),
        }
    }
}

/// A virtual array of 2^64 float64 cells. Every method may be called from any
/// thread; a read sees each cell before or after a concurrent write, never torn.
pub struct Context {
    seed: u64,
    generator: Generator,
    overlay: Overlay,
    /// The file that the overlay is kept in.
    store: Option<Box<Store>>,
    state: AtomicU8,
}

/// What may still be done with a context.
mod state {
    pub const WRITABLE: u8 = 0;
    pub const READ_ONLY: u8 = 1;
    pub const CLOSED: u8 = 2;
}

/// Steps up to which a strided read makes the cells between and drops them:
/// making one on its own costs about this many made in a row.
const DENSE_STEP: u64 = 8;
/// Cells or addresses a strided read keeps on the stack.
const BUFFER: usize = 1024;

#[cold]
fn closed() -> Error {
    Error::InvalidArgument("the context is closed".to_owned())
}

impl Context {
    pub fn new(seed: u64, generator: Generator) -> Context {
        Context::with_overlay(seed, generator, Overlay::default())
    }

    fn with_overlay(seed: u64, generator: Generator, overlay: Overlay) -> Context {
        let state = AtomicU8::new(state::WRITABLE);
        Context { seed, generator, overlay, store: None, state }
    }

    fn with_store(seed: u64, generator: Generator, overlay: Overlay, store: Store) -> Context {
        let state = if store.read_only() { state::READ_ONLY } else { state::WRITABLE };
        let state = AtomicU8::new(state);
        Context { seed, generator, overlay, store: Some(Box::new(store)), state }
    }

    /// Fails once it is closed.
    #[inline]
    pub fn check_readable(&self) -> Result<()> {
        if self.state.load(Ordering::Relaxed) < state::CLOSED { Ok(()) } else { Err(closed()) }
    }

    /// Fails once it is closed, and where its file was opened for reading.
    #[inline]
    pub fn check_writable(&self) -> Result<()> {
        match self.state.load(Ordering::Relaxed) {
            state::WRITABLE => Ok(()),
            state::READ_ONLY => Err(self.read_only()),
            _ => Err(closed()),
        }
    }

    #[cold]
    fn read_only(&self) -> Error {
        let path = self.store.as_ref().map(|store| store.path().display().to_string());
        let what = format!("{} cannot be changed", path.unwrap_or_default());
        let why = "it was opened for reading only";
        Error::Io { what, source: io::Error::new(io::ErrorKind::PermissionDenied, why) }
    }

    /// The file that the overlay is kept in.
    pub fn store(&self) -> Option<&Store> {
        self.store.as_deref()
    }

    pub fn is_read_only(&self) -> bool {
        self.store().is_some_and(Store::read_only)
    }

    pub fn is_closed(&self) -> bool {
        self.state.load(Ordering::Relaxed) == state::CLOSED
    }

    /// Whether something was written since the last flush, which only one with a file has.
    pub fn has_changes(&self) -> bool {
        // A flush says that it is under way before it takes the changes.
        self.overlay.has_changes() || self.store().is_some_and(Store::is_telling)
    }

    /// Puts everything written until now into the file; nothing without one.
    pub fn flush(&self) -> Result<()> {
        self.check_readable()?;
        self.store().map_or(Ok(()), |store| store.flush(&self.overlay))
    }

    /// Flushes and makes the file as small as it can be; returns the bytes that gave back.
    pub fn compact(&self) -> Result<u64> {
        self.check_writable()?;
        self.store().map_or(Ok(0), |store| store.compact(&self.overlay))
    }

    /// Takes what a file that is only read has by now; whether that is something new.
    pub fn refresh(&self) -> Result<bool> {
        self.check_readable()?;
        match self.store() {
            Some(store) if store.read_only() => store.refresh(&self.overlay),
            _ => Err(Error::InvalidArgument(
                "only a context that reads a file of another can be refreshed".to_owned(),
            )),
        }
    }

    /// Flushes and gives the file up, after which nothing more can be done with it. Where the
    /// flush fails, it stays open. Nothing the second time.
    pub fn close(&self) -> Result<()> {
        let before = self.state.swap(state::CLOSED, Ordering::AcqRel);
        if before == state::CLOSED {
            return Ok(());
        }
        let done = self.store().map_or(Ok(()), |store| store.close(&self.overlay));
        if done.is_err() {
            self.state.store(before, Ordering::Release);
        }
        done
    }

    pub fn seed(&self) -> u64 {
        self.seed
    }

    pub fn generator(&self) -> Generator {
        self.generator
    }

    /// The number of written cells.
    pub fn overlay_count(&self) -> usize {
        self.overlay.len()
    }

    #[inline]
    pub fn fetch(&self, address: u64) -> f64 {
        match self.overlay.get(address) {
            Some(value) => value,
            None => self.generator.value(self.seed, address),
        }
    }

    /// `out[j]` = the cell at `start + j`, wrapping past 2^64 - 1.
    pub fn read(&self, start: u64, out: &mut [f64], threads: usize) {
        self.generator.fill(self.seed, start, out, threads);
        if !self.overlay.is_empty() {
            parallel::for_each_piece(out, threads, |offset, piece| {
                self.overlay.lay_over(start.wrapping_add(offset as u64), piece);
            });
        }
    }

    /// As `read`, for one of the runs of a read of `whole` cells.
    fn read_part(&self, start: u64, out: &mut [f64], whole: usize) {
        match self.generator {
            Generator::Vrns16 => vrns16::fill_part(self.seed, start, out, 1, whole),
            Generator::Philox => philox::fill(self.seed, start, out, 1),
        }
        self.overlay.lay_over(start, out);
    }

    /// `out[j]` = the cell at `start + j * step`, wrapping; a backward step is
    /// its two's complement.
    pub fn read_strided(&self, start: u64, step: u64, out: &mut [f64], threads: usize) {
        if step == 1 {
            return self.read(start, out, threads);
        }
        parallel::for_each_piece(out, threads, |offset, piece| {
            let mut at = start.wrapping_add(step.wrapping_mul(offset as u64));
            let distance = step.min(step.wrapping_neg());
            let count = if distance <= DENSE_STEP { BUFFER / DENSE_STEP as usize } else { BUFFER };
            for part in piece.chunks_mut(count) {
                if (1..=DENSE_STEP).contains(&distance) {
                    self.read_thinned(at, step == distance, distance as usize, part);
                } else {
                    let mut addresses = [0; BUFFER];
                    let addresses = &mut addresses[..part.len()];
                    for (j, address) in addresses.iter_mut().enumerate() {
                        *address = at.wrapping_add(step.wrapping_mul(j as u64));
                    }
                    self.read_many_piece(addresses, part);
                }
                at = at.wrapping_add(step.wrapping_mul(part.len() as u64));
            }
        });
    }

    /// A strided read that makes every cell and keeps one in `distance`.
    fn read_thinned(&self, start: u64, forward: bool, distance: usize, out: &mut [f64]) {
        let mut cells = [0.0; BUFFER];
        let cells = &mut cells[..(out.len() - 1) * distance + 1];
        if forward {
            self.read(start, cells, 1);
            out.iter_mut().zip(cells.iter().step_by(distance)).for_each(|(out, cell)| *out = *cell);
        } else {
            self.read(start.wrapping_sub(cells.len() as u64 - 1), cells, 1);
            let backward = cells.iter().rev().step_by(distance);
            out.iter_mut().zip(backward).for_each(|(out, cell)| *out = *cell);
        }
    }

    /// `out[j]` = the cell at `addresses[j]`. The slices have the same length.
    pub fn read_many(&self, addresses: &[u64], out: &mut [f64], threads: usize) {
        parallel::for_each_piece(out, threads, |offset, piece| {
            self.read_many_piece(&addresses[offset..offset + piece.len()], piece);
        });
    }

    fn read_many_piece(&self, addresses: &[u64], out: &mut [f64]) {
        self.generator.values(self.seed, addresses, out);
        self.overlay.lay_over_many(addresses, out);
    }

    #[inline]
    pub fn write(&self, address: u64, value: f64) -> Result<()> {
        self.overlay.set(address, value)
    }

    /// Writes `values` from `start` on, wrapping past 2^64 - 1.
    pub fn write_range(&self, start: u64, values: &[f64]) -> Result<()> {
        self.overlay.set_range(start, values)
    }

    /// Writes `value` to `length` cells `step` apart from `start` on, wrapping.
    pub fn fill(&self, start: u64, step: u64, length: usize, value: f64) -> Result<()> {
        let values = [value; BUFFER];
        for done in (0..length).step_by(BUFFER) {
            let part = &values[..BUFFER.min(length - done)];
            self.write_strided(start.wrapping_add(step.wrapping_mul(done as u64)), step, part)?;
        }
        Ok(())
    }

    /// Writes `values` to cells `step` apart from `start` on, wrapping.
    pub fn write_strided(&self, start: u64, step: u64, values: &[f64]) -> Result<()> {
        if step == 1 {
            return self.write_range(start, values);
        }
        let mut at = start;
        for part in values.chunks(BUFFER) {
            let mut addresses = [0; BUFFER];
            for address in &mut addresses[..part.len()] {
                *address = at;
                at = at.wrapping_add(step);
            }
            self.overlay.set_many(&addresses[..part.len()], part, |_| true)?;
        }
        Ok(())
    }

    /// Writes `values[i]` at `addresses[i]`; where an address comes twice, the
    /// later one stays. The slices have the same length.
    pub fn write_many(&self, addresses: &[u64], values: &[f64], threads: usize) -> Result<()> {
        let threads = parallel::resolve(threads).min(addresses.len() / BUFFER).max(1);
        if threads == 1 {
            return self.overlay.set_many(addresses, values, |_| true);
        }
        // Every thread reads all addresses and writes its own pages, so a page's
        // writes keep their order and no two threads wait for one page.
        let result = Mutex::new(Ok(()));
        parallel::run(threads, |i| {
            let mine = |page| (fmix64(page) >> 32) as usize % threads == i;
            if let Err(error) = self.overlay.set_many(addresses, values, mine)
                && let Ok(mut result) = result.lock()
            {
                *result = Err(error);
            }
        });
        result.into_inner().unwrap_or(Ok(()))
    }

    pub fn is_written(&self, address: u64) -> bool {
        self.overlay.get(address).is_some()
    }

    /// Gives a cell its generated value back.
    pub fn erase(&self, address: u64) {
        self.overlay.erase(address);
    }

    /// Gives `length` cells from `start` on, wrapping, their generated values back.
    pub fn erase_range(&self, start: u64, length: u64) {
        self.overlay.erase_range(start, length);
    }

    /// Gives every cell its generated value back.
    pub fn clear(&self) {
        self.overlay.clear();
    }

    /// An independent context with the same seed, generator and overlay, and without a file.
    pub fn fork(&self) -> Result<Context> {
        let overlay = self.overlay.fork()?;
        Ok(Context::with_overlay(self.seed, self.generator, overlay))
    }

    /// Everything written at one moment, sorted by address.
    pub fn snapshot(&self) -> Result<Snapshot> {
        self.overlay.snapshot()
    }
}
