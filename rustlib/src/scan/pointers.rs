//! Who points where: all pointers of a target at one moment, and the ways that lead to an
//! address from a place that is still the same when the target is started again.

mod modules;
mod paths;

use std::sync::{Mutex, PoisonError};

use super::plan::{self, Control, Plan};
use super::region::{EXECUTE, READ, Region, RegionKind, WRITE};
use super::source::{Skipped, Source};
use super::windows::{self, Window};
use crate::error::{Error, Result};
use crate::parallel;

use modules::Modules;
pub use paths::{Path, Paths};

/// The size of a pointer, and what its place is a multiple of.
const POINTER: u64 = 8;
/// Pointers that a worker gathers before it puts them with those of others.
const BATCH: usize = 512;
/// Words looked at together.
const LINE: usize = 16;
/// Below this a list is not sorted in parts.
const WORTH_A_PART: usize = 1 << 15;

/// A pointer: what it points to in the high half, by which the map is sorted; below, turned
/// round, where it lies, so that of equal ones the lowest comes last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry(u128);

impl Entry {
    fn new(value: u64, location: u64) -> Entry {
        Entry(u128::from(value) << 64 | u128::from(!location))
    }

    fn value(self) -> u64 {
        (self.0 >> 64) as u64
    }

    fn location(self) -> u64 {
        !(self.0 as u64)
    }
}

/// The pointers of a target.
#[derive(Debug)]
pub struct Pointers {
    entries: Vec<Entry>,
    modules: Modules,
    pub skipped: Vec<Skipped>,
}

impl Pointers {
    /// Looks for pointers in `ranges`: values at multiples of 8 that lie in a region which
    /// the target can use in any way.
    pub fn new(
        source: &dyn Source,
        ranges: &[(u64, u64)],
        control: &mut Control,
    ) -> Result<Pointers> {
        let regions = source.regions()?;
        let targets = Targets::new(&regions);
        let Plan { runs, mut skipped } = Plan::within(source, &regions, &plan::ranges_of(ranges)?)?;
        let windows: Vec<Window> =
            runs.iter().flat_map(|run| windows::of(run, POINTER, plan::WINDOW as u64)).collect();
        let entries = Mutex::new(Vec::new());
        let results = plan::spread(
            windows.len(),
            control,
            |i| windows[i].len(),
            |i, buffer| {
                let window = &windows[i];
                let mut skipped = Vec::new();
                // Zero points to nothing.
                if !window.untouched(window.end) {
                    let mut refused = false;
                    window.read(source, 0, buffer, &mut skipped, |from, bytes| {
                        refused |=
                            targets.gather(window.start + from as u64, bytes, &entries).is_err();
                    })?;
                    if refused {
                        return Err(NO_ROOM);
                    }
                }
                Ok(skipped)
            },
        )?;
        skipped.extend(results.into_iter().flatten());
        let mut entries = entries.into_inner().unwrap_or_else(PoisonError::into_inner);
        entries.shrink_to_fit();
        sort(&mut entries, control.threads);
        let modules = Modules::new(source, &regions)?;
        Ok(Pointers { entries, modules, skipped: windows::merged(skipped) })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

const NO_ROOM: Error = Error::OutOfMemory("out of memory: no room for the pointers");

/// Where pointers may lead to, without gaps between what abuts.
struct Targets {
    spans: Vec<(u64, u64)>,
    lowest: u64,
    /// From the lowest to the end of the last.
    extent: u64,
}

impl Targets {
    fn new(regions: &[Region]) -> Targets {
        let usable = |region: &&Region| {
            // The kernel's own lie far away from all others, and hold nobody's data.
            region.permissions & (READ | WRITE | EXECUTE) != 0 && region.kind != RegionKind::Special
        };
        let mut spans: Vec<(u64, u64)> = Vec::new();
        for region in regions.iter().filter(usable) {
            match spans.last_mut() {
                Some((_, end)) if *end == region.start => *end = region.end,
                _ => spans.push((region.start, region.end)),
            }
        }
        let lowest = spans.first().map_or(0, |&(start, _)| start);
        let extent = spans.last().map_or(0, |&(_, end)| end - lowest);
        Targets { spans, lowest, extent }
    }

    fn has(&self, value: u64) -> bool {
        let behind = self.spans.partition_point(|&(start, _)| start <= value);
        behind > 0 && value < self.spans[behind - 1].1
    }

    /// Adds the pointers in `bytes`, which lie at `address`, to `entries`.
    fn gather(&self, address: u64, bytes: &[u8], entries: &Mutex<Vec<Entry>>) -> Result<()> {
        let first = address.next_multiple_of(POINTER);
        let bytes = bytes.get((first - address) as usize..).unwrap_or(&[]);
        let (lowest, extent) = (self.lowest, self.extent);
        let near = |value: u64| value.wrapping_sub(lowest) < extent;
        let mut batch = [Entry(0); BATCH];
        let mut count = 0;
        for (i, line) in bytes.chunks(LINE * POINTER as usize).enumerate() {
            let values = line.as_chunks::<8>().0.iter().map(|&bytes| u64::from_le_bytes(bytes));
            // Most of memory is no pointers, which is told without a branch for each.
            if !values.clone().fold(false, |any, value| any | near(value)) {
                continue;
            }
            if count + LINE > BATCH {
                append(entries, &batch[..count])?;
                count = 0;
            }
            for (j, value) in values.enumerate() {
                if near(value) && value != 0 && self.has(value) {
                    let location = first + (i * LINE + j) as u64 * POINTER;
                    batch[count] = Entry::new(value, location);
                    count += 1;
                }
            }
        }
        append(entries, &batch[..count])
    }
}

fn append(entries: &Mutex<Vec<Entry>>, batch: &[Entry]) -> Result<()> {
    let mut entries = entries.lock().unwrap_or_else(PoisonError::into_inner);
    entries.try_reserve(batch.len()).map_err(|_| NO_ROOM)?;
    entries.extend_from_slice(batch);
    Ok(())
}

/// Sorts in place: halves the list by its median, the halves again, and so on until there
/// are enough parts for all threads.
fn sort<T: Ord + Send>(list: &mut [T], threads: usize) {
    let threads = parallel::resolve(threads);
    let mut parts = vec![list];
    while threads > 1 && parts.len() < threads * 2 && parts[0].len() > WORTH_A_PART {
        let halved = on_each(parts, threads, |part: &mut [T]| {
            let middle = part.len() / 2;
            part.select_nth_unstable(middle);
            part.split_at_mut(middle)
        });
        parts = halved.into_iter().flat_map(|(low, high)| [low, high]).collect();
    }
    on_each(parts, threads, |part: &mut [T]| part.sort_unstable());
}

/// Does `work` for each of the items, in no order.
fn on_each<T: Send, R: Send>(
    items: Vec<T>,
    threads: usize,
    work: impl Fn(T) -> R + Sync,
) -> Vec<R> {
    let results = Mutex::new(Vec::with_capacity(items.len()));
    let threads = threads.min(items.len());
    let queue = Mutex::new(items);
    parallel::run(threads, |_| {
        loop {
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(item) = next else { return };
            let result = work(item);
            results.lock().unwrap_or_else(PoisonError::into_inner).push(result);
        }
    });
    results.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Reads the pointer at `base`, adds the first offset, reads the pointer there, and so on:
/// where the path ends that [`Pointers::paths`] gave as an offset into what begins at
/// `base` less that offset.
pub fn resolve(source: &dyn Source, base: u64, offsets: &[i64]) -> Result<u64> {
    let mut at = base;
    for (i, &offset) in offsets.iter().enumerate() {
        let mut bytes = [0; POINTER as usize];
        if source.read(at, &mut bytes)? < bytes.len() {
            return Err(Error::NotFound(format!(
                "there is no pointer at {at:#x}, which is step {} of {} from {base:#x}",
                i + 1,
                offsets.len()
            )));
        }
        at = u64::from_le_bytes(bytes).wrapping_add_signed(offset);
    }
    Ok(at)
}
