//! From the ranges that are to be scanned to windows of memory, read piece by piece.

use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::buffer::Buffer;
use super::region::Region;
use super::source::{Piece, Reason, Skipped, Source, What};
use crate::error::{Error, Result};
use crate::parallel;

/// Bytes that are read and looked at together: they should stay in the cache.
pub const WINDOW: usize = 2 << 20;
/// How often a long operation looks up.
const TICK: Duration = Duration::from_millis(50);

/// How a long operation is spread, told to stop, and tells how far it is.
pub struct Control<'a> {
    /// 0 for every core.
    pub threads: usize,
    /// Given the bytes done and those in all, on the caller's thread; true stops.
    pub tick: &'a mut (dyn FnMut(u64, u64) -> bool + Send),
    /// Anything but 0 cancels.
    pub cancel: &'a AtomicU8,
}

/// Addresses without a hole between them.
#[derive(Debug)]
pub struct Run {
    pub start: u64,
    pub end: u64,
    pub pieces: Vec<Piece>,
}

/// What there is to read in some ranges, at this moment.
#[derive(Debug, Default)]
pub struct Plan {
    pub runs: Vec<Run>,
    pub skipped: Vec<Skipped>,
}

/// Ranges as a caller gives them, in order; they must not be empty nor overlap.
pub fn ranges_of(given: &[(u64, u64)]) -> Result<Vec<(u64, u64)>> {
    if given.is_empty() {
        return Err(Error::InvalidArgument("there are no regions to scan".into()));
    }
    let mut ranges = given.to_vec();
    ranges.sort_unstable();
    for &(start, end) in &ranges {
        if start >= end {
            return Err(Error::InvalidArgument(format!(
                "region {start:#x}-{end:#x} is empty: wanted start < end"
            )));
        }
    }
    for pair in ranges.windows(2) {
        let ((a, b), (c, d)) = (pair[0], pair[1]);
        if c < b {
            return Err(Error::InvalidArgument(format!(
                "regions {a:#x}-{b:#x} and {c:#x}-{d:#x} overlap"
            )));
        }
    }
    Ok(ranges)
}

impl Plan {
    /// `ranges` as `ranges_of` gives them.
    pub fn new(source: &dyn Source, ranges: &[(u64, u64)]) -> Result<Plan> {
        Plan::within(source, &source.regions()?, ranges)
    }

    /// As `new`, by a list of regions that was just made.
    pub fn within(source: &dyn Source, regions: &[Region], ranges: &[(u64, u64)]) -> Result<Plan> {
        let mut pieces = Vec::new();
        for &(start, end) in ranges {
            let mut at = start;
            let first = regions.partition_point(|region| region.end <= start);
            for region in regions[first..].iter().take_while(|region| region.start < end) {
                let (from, to) = (region.start.max(start), region.end.min(end));
                if from > at {
                    pieces.push(unmapped(at, from));
                }
                source.pieces(region, from, to, &mut pieces)?;
                at = to;
            }
            if at < end {
                pieces.push(unmapped(at, end));
            }
        }
        let mut plan = Plan::default();
        for piece in pieces {
            plan.add(piece);
        }
        Ok(plan)
    }

    fn add(&mut self, piece: Piece) {
        let Piece { start, end, ref what } = piece;
        if let What::Unread(reason) = *what {
            return skip(&mut self.skipped, start, end, reason);
        }
        match self.runs.last_mut() {
            Some(run) if run.end == start => {
                run.end = end;
                match (run.pieces.last_mut(), what) {
                    (Some(Piece { end: last, what: What::Zero, .. }), What::Zero)
                    | (Some(Piece { end: last, what: What::Read, .. }), What::Read) => *last = end,
                    _ => run.pieces.push(piece),
                }
            }
            _ => self.runs.push(Run { start, end, pieces: vec![piece] }),
        }
    }
}

fn unmapped(start: u64, end: u64) -> Piece {
    Piece { start, end, what: What::Unread(Reason::Unmapped) }
}

/// Notes a range that was left out, with the last one where they abut.
pub fn skip(skipped: &mut Vec<Skipped>, start: u64, end: u64, reason: Reason) {
    match skipped.last_mut() {
        Some(last) if last.end == start && last.reason == reason => last.end = end,
        _ => skipped.push(Skipped { start, end, reason }),
    }
}

impl Run {
    fn pieces_from(&self, address: u64) -> &[Piece] {
        &self.pieces[self.pieces.partition_point(|piece| piece.end <= address)..]
    }

    /// Whether any of it is read from a file instead of from the target.
    pub fn filed(&self, start: u64, end: u64) -> bool {
        let pieces = self.pieces_from(start).iter().take_while(|piece| piece.start < end);
        pieces.into_iter().any(|piece| matches!(piece.what, What::File(..)))
    }

    /// Reads `into.len()` bytes from `start` on, all inside the run. Calls `good(from, to)`
    /// for each stretch of `into` that could be read, which is all of it but where memory
    /// has gone since the plan was made.
    pub fn fill(
        &self,
        source: &dyn Source,
        start: u64,
        into: &mut [u8],
        skipped: &mut Vec<Skipped>,
        mut good: impl FnMut(usize, usize),
    ) -> Result<()> {
        let end = start + into.len() as u64;
        let mut stretch = 0;
        let mut lost = |from: u64, to: u64, reason| {
            let (from_index, to_index) = ((from - start) as usize, (to - start) as usize);
            if from_index > stretch {
                good(stretch, from_index);
            }
            stretch = to_index;
            skip(skipped, from, to, reason);
        };
        for piece in self.pieces_from(start).iter().take_while(|piece| piece.start < end) {
            let (from, to) = (piece.start.max(start), piece.end.min(end));
            let part = &mut into[(from - start) as usize..(to - start) as usize];
            match &piece.what {
                What::Zero => part.fill(0),
                What::Read => read_around(source, from, part, &mut lost)?,
                What::File(file, offset) => {
                    let got = read_file(file, offset + (from - piece.start), part);
                    // The rest of a file's last page is mapped, and zero.
                    let page = rustix::param::page_size() as u64;
                    let last = (from + got as u64).next_multiple_of(page).min(to);
                    part[got..(last - from) as usize].fill(0);
                    if last < to {
                        lost(last, to, Reason::Unmapped);
                    }
                }
                What::Unread(reason) => lost(from, to, *reason),
            }
        }
        if stretch < into.len() {
            good(stretch, into.len());
        }
        Ok(())
    }
}

fn read_file(file: &std::fs::File, offset: u64, into: &mut [u8]) -> usize {
    let mut got = 0;
    while got < into.len() {
        match file.read_at(&mut into[got..], offset + got as u64) {
            Ok(0) => break,
            Ok(more) => got += more,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    got
}

/// Reads what can be read of `into`, page by page behind a hole.
pub fn read_around(
    source: &dyn Source,
    start: u64,
    into: &mut [u8],
    lost: &mut impl FnMut(u64, u64, Reason),
) -> Result<()> {
    let page = rustix::param::page_size() as u64;
    let mut at = 0;
    while at < into.len() {
        at += source.read(start + at as u64, &mut into[at..])?;
        if at < into.len() {
            let hole = start + at as u64;
            let next = ((hole / page + 1).saturating_mul(page)).min(start + into.len() as u64);
            lost(hole, next, Reason::Unmapped);
            at = (next - start) as usize;
        }
    }
    Ok(())
}

/// Does `work(i)` for each of `count` tasks on several threads and gives the results in
/// order; `size(i)` is its part of the bytes in all.
pub fn spread<R: Send>(
    count: usize,
    control: &mut Control,
    size: impl Fn(usize) -> u64 + Sync,
    work: impl Fn(usize, &mut Buffer) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let total: u64 = (0..count).map(&size).sum();
    let (next, done) = (AtomicUsize::new(0), AtomicU64::new(0));
    let stop = AtomicBool::new(false);
    let failure = Mutex::new(None);
    let results = Mutex::new(Vec::new());
    let tick = Mutex::new(&mut *control.tick);
    let cancel = control.cancel;
    let fail = |error| {
        failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        stop.store(true, Ordering::Relaxed);
    };
    let threads = parallel::resolve(control.threads).min(count).max(1);
    parallel::run(threads, |worker| {
        let mut buffer = Buffer::default();
        let mut own = Vec::new();
        let mut looked = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            let i = next.fetch_add(1, Ordering::Relaxed);
            if i >= count {
                break;
            }
            match work(i, &mut buffer) {
                Ok(result) => own.push((i, result)),
                Err(error) => fail(error),
            }
            let done = done.fetch_add(size(i), Ordering::Relaxed) + size(i);
            let mut cancelled = cancel.load(Ordering::Relaxed) != 0;
            if worker == 0 && looked.elapsed() >= TICK {
                looked = Instant::now();
                cancelled |= tick.lock().unwrap_or_else(PoisonError::into_inner)(done, total);
            }
            if cancelled {
                fail(Error::Cancelled);
            }
        }
        results.lock().unwrap_or_else(PoisonError::into_inner).append(&mut own);
    });
    if let Some(error) = failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    if control.cancel.load(Ordering::Relaxed) != 0 || (control.tick)(total, total) {
        return Err(Error::Cancelled);
    }
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_unstable_by_key(|&(i, _)| i);
    Ok(results.into_iter().map(|(_, result)| result).collect())
}
