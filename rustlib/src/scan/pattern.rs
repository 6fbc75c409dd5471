//! Finding bytes, of which some bits may be anything.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::buffer::Buffer;
use super::kernel;
use super::plan::{self, Control, Plan, WINDOW};
use super::source::{Skipped, Source};
use super::windows::{self, Window};
#[cfg(target_arch = "x86_64")]
use crate::cpu;
use crate::error::{Error, Result};

/// Positions of which it is asked first whether the pattern can be at any of them.
const BLOCK: usize = 128;
/// Positions of which each has a bit of a word.
const GROUP: usize = 64;
/// How many bytes of a pattern are weighed for a pair that is rare in memory.
const WEIGHED: usize = 1024;

/// Bytes to be found, and which of their bits count.
#[derive(Debug)]
pub struct Pattern {
    /// The bits that count; the others are 0.
    value: Vec<u8>,
    mask: Vec<u8>,
    /// Two bytes that are looked for before all are compared.
    pair: [Probe; 2],
}

/// A byte of a pattern.
#[derive(Clone, Copy, Debug)]
struct Probe {
    offset: usize,
    value: u8,
    mask: u8,
}

impl Pattern {
    /// `mask` has the bits of `needle` that count; None for all. With `ignore_case` an
    /// ASCII letter that counts as a whole stands for both its forms.
    pub fn new(needle: &[u8], mask: Option<&[u8]>, ignore_case: bool) -> Result<Pattern> {
        if let Some(mask) = mask
            && mask.len() != needle.len()
        {
            return Err(Error::InvalidArgument(format!(
                "a mask of {} bytes does not fit a pattern of {}",
                mask.len(),
                needle.len()
            )));
        }
        let mut mask = mask.map_or_else(|| vec![0xFF; needle.len()], <[u8]>::to_vec);
        if ignore_case {
            for (byte, mask) in needle.iter().zip(&mut mask) {
                if byte.is_ascii_alphabetic() && *mask == 0xFF {
                    *mask = !0x20;
                }
            }
        }
        let value: Vec<u8> = needle.iter().zip(&mask).map(|(byte, mask)| byte & mask).collect();
        let probe = |offset: usize| Probe { offset, value: value[offset], mask: mask[offset] };
        let mut probes: Vec<Probe> =
            (0..value.len()).filter(|&i| mask[i] != 0).take(WEIGHED).map(probe).collect();
        probes.sort_by_key(|probe| probe.weight());
        let Some(&first) = probes.first() else {
            return Err(Error::InvalidArgument(format!(
                "a pattern of {} bytes has no bit that is fixed, so it would be found everywhere",
                value.len()
            )));
        };
        let pair = [first, probes.get(1).copied().unwrap_or(first)];
        Ok(Pattern { value, mask, pair })
    }

    /// Whether it is found in memory that is zero.
    fn in_zeros(&self) -> bool {
        self.value.iter().all(|&byte| byte == 0)
    }

    fn is_at(&self, bytes: &[u8], at: usize) -> bool {
        let there = &bytes[at..at + self.value.len()];
        let wanted = self.value.iter().zip(&self.mask);
        there.iter().zip(wanted).all(|(byte, (value, mask))| byte & mask == *value)
    }

    /// Calls `found(i)` for each i below `count` where the pattern lies in `bytes`, in
    /// order, until that says false.
    fn each(&self, bytes: &[u8], count: usize, found: impl FnMut(usize) -> bool) {
        let count = count.min((bytes.len() + 1).saturating_sub(self.value.len()));
        #[cfg(target_arch = "x86_64")]
        if cpu::path().has_avx2() {
            let whole = self.pair.iter().all(|probe| probe.mask == 0xFF);
            // SAFETY (of both): the CPU has AVX2.
            return match whole {
                true => unsafe { self.each_avx2::<true>(bytes, count, found) },
                false => unsafe { self.each_avx2::<false>(bytes, count, found) },
            };
        }
        let [one, two] = self.pair;
        self.each_by(bytes, count, found, |block| {
            let first = &block[one.offset..one.offset + BLOCK];
            let second = &block[two.offset..two.offset + BLOCK];
            first.iter().zip(second).fold(false, |any, (a, b)| {
                any | (a & one.mask == one.value) & (b & two.mask == two.value)
            })
        });
    }

    /// `WHOLE` if all bits of the pair count.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn each_avx2<const WHOLE: bool>(
        &self,
        bytes: &[u8],
        count: usize,
        found: impl FnMut(usize) -> bool,
    ) {
        use std::arch::x86_64::*;
        let wanted = self.pair.map(|probe| _mm256_set1_epi8(probe.value as i8));
        let masks = self.pair.map(|probe| _mm256_set1_epi8(probe.mask as i8));
        let [one, two] = self.pair.map(|probe| probe.offset);
        self.each_by(bytes, count, found, |block| {
            assert!(block.len() >= BLOCK + one.max(two));
            let mut any = _mm256_setzero_si256();
            for i in (0..BLOCK).step_by(32) {
                // SAFETY: the block has `BLOCK` bytes from either offset on.
                let (mut first, mut second) = unsafe {
                    let first = block.as_ptr().add(one + i).cast();
                    let second = block.as_ptr().add(two + i).cast();
                    (_mm256_loadu_si256(first), _mm256_loadu_si256(second))
                };
                if !WHOLE {
                    first = _mm256_and_si256(first, masks[0]);
                    second = _mm256_and_si256(second, masks[1]);
                }
                let first = _mm256_cmpeq_epi8(first, wanted[0]);
                let second = _mm256_cmpeq_epi8(second, wanted[1]);
                any = _mm256_or_si256(any, _mm256_and_si256(first, second));
            }
            _mm256_movemask_epi8(any) != 0
        });
    }

    /// `any` tells whether both bytes of the pair are at any of the first `BLOCK` positions
    /// of what it is given, which goes on to the end of the pattern at the last of these.
    #[inline(always)]
    fn each_by(
        &self,
        bytes: &[u8],
        count: usize,
        mut found: impl FnMut(usize) -> bool,
        any: impl Fn(&[u8]) -> bool,
    ) {
        let beyond = self.value.len() - 1;
        let mut at = 0;
        while at + BLOCK <= count {
            let block = &bytes[at..at + BLOCK + beyond];
            if any(block) && !self.each_of(block, at, &mut found) {
                return;
            }
            at += BLOCK;
        }
        for position in at..count {
            if self.is_at(bytes, position) && !found(position) {
                return;
            }
        }
    }

    /// The positions of one block, which begins at `start`.
    #[inline(always)]
    fn each_of(&self, block: &[u8], start: usize, found: &mut impl FnMut(usize) -> bool) -> bool {
        for group in (0..BLOCK).step_by(GROUP) {
            let mut bits = self.hits(&block[group..]);
            while bits != 0 {
                let at = group + bits.trailing_zeros() as usize;
                if self.is_at(block, at) && !found(start + at) {
                    return false;
                }
                bits &= bits - 1;
            }
        }
        true
    }

    /// At which of the first 64 positions both bytes of the pair are.
    #[inline(always)]
    fn hits(&self, bytes: &[u8]) -> u64 {
        let [one, two] = self.pair;
        let first = &bytes[one.offset..one.offset + GROUP];
        let second = &bytes[two.offset..two.offset + GROUP];
        let mut flags = [0u8; GROUP];
        for (flag, (a, b)) in flags.iter_mut().zip(first.iter().zip(second)) {
            *flag = u8::from(a & one.mask == one.value) & u8::from(b & two.mask == two.value);
        }
        kernel::pack(&flags)
    }
}

impl Probe {
    /// How often such a byte is met in memory: a guess that need only be right in order.
    fn weight(&self) -> u32 {
        let one = |byte: u8| match byte {
            0 => 4000,
            0xFF => 800,
            1..=0x10 | 0x20 | 0x48 | 0x55 | 0x7F | 0x80 => 200,
            b'a'..=b'z' => 120,
            0x21..=0x7E => 60,
            _ => 30,
        };
        if self.mask == 0xFF {
            return one(self.value);
        }
        (0..=0xFF).filter(|byte| byte & self.mask == self.value).map(one).sum()
    }
}

/// Where a pattern was found.
#[derive(Debug, Default)]
pub struct Found {
    /// In order.
    pub addresses: Vec<u64>,
    pub skipped: Vec<Skipped>,
}

/// Finds all places in `ranges` that are multiples of `alignment`; with a `limit` that is
/// not 0 the lowest ones. What lies across two ranges that abut is found too.
pub fn find(
    source: &dyn Source,
    ranges: &[(u64, u64)],
    pattern: &Pattern,
    alignment: u32,
    limit: usize,
    control: &mut Control,
) -> Result<Found> {
    if !alignment.is_power_of_two() {
        return Err(Error::InvalidArgument(format!(
            "an alignment of {alignment} bytes: wanted a power of two"
        )));
    }
    let plan = Plan::new(source, &plan::ranges_of(ranges)?)?;
    let limit = if limit == 0 { usize::MAX } else { limit };
    // A long pattern is read anew in each window that it reaches into.
    let step = WINDOW.max(pattern.value.len().saturating_mul(4)) as u64;
    let windows: Vec<Window> = plan.runs.iter().flat_map(|run| windows::of(run, 1, step)).collect();
    let prefix = Prefix::new(limit);
    let results = plan::spread(
        windows.len(),
        control,
        |i| windows[i].len(),
        |i, buffer| {
            if prefix.is_enough_before(i) {
                return Ok(Found::default());
            }
            let found = look(source, &windows[i], pattern, alignment.into(), limit, buffer)?;
            prefix.add(i, found.addresses.len());
            Ok(found)
        },
    )?;
    // What lies behind the limit was not asked for, so it was not skipped either.
    let end = windows.get(prefix.last()).map_or(u64::MAX, |window| window.end);
    join(results, plan.skipped, limit, end)
}

fn look(
    source: &dyn Source,
    window: &Window,
    pattern: &Pattern,
    alignment: u64,
    limit: usize,
    buffer: &mut Buffer,
) -> Result<Found> {
    let mut found = Found::default();
    // A match that begins in this window may end in the next.
    let beyond = window.beyond(pattern.value.len() as u64 - 1);
    if window.untouched(window.end + beyond) && !pattern.in_zeros() {
        return Ok(found);
    }
    let Found { addresses, skipped } = &mut found;
    let mut refused = false;
    window.read(source, beyond, buffer, skipped, |from, bytes| {
        let start = window.start + from as u64;
        let count = window.end.saturating_sub(start) as usize;
        pattern.each(bytes, count, |i| {
            let address = start + i as u64;
            if address & (alignment - 1) == 0 && addresses.len() < limit {
                refused |= addresses.try_reserve(1).is_err();
                if refused {
                    return false;
                }
                addresses.push(address);
            }
            addresses.len() < limit
        });
    })?;
    if refused { Err(NO_ROOM) } else { Ok(found) }
}

const NO_ROOM: Error = Error::OutOfMemory("out of memory: no room for the addresses found");

/// How much was found in the windows before which there is no gap.
struct Prefix {
    limit: usize,
    /// The window in which the limit was reached.
    last: AtomicUsize,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    next: usize,
    found: usize,
    /// Windows that were done before one in front of them.
    ahead: BTreeMap<usize, usize>,
}

impl Prefix {
    fn new(limit: usize) -> Prefix {
        Prefix { limit, last: AtomicUsize::new(usize::MAX), counts: Mutex::default() }
    }

    fn last(&self) -> usize {
        self.last.load(Ordering::Relaxed)
    }

    fn is_enough_before(&self, window: usize) -> bool {
        window > self.last()
    }

    fn add(&self, window: usize, count: usize) {
        if self.limit == usize::MAX {
            return;
        }
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = &mut *counts;
        counts.ahead.insert(window, count);
        while counts.found < self.limit
            && let Some(count) = counts.ahead.remove(&counts.next)
        {
            counts.found = counts.found.saturating_add(count);
            if counts.found >= self.limit {
                self.last.store(counts.next, Ordering::Relaxed);
            }
            counts.next += 1;
        }
    }
}

fn join(results: Vec<Found>, mut skipped: Vec<Skipped>, limit: usize, end: u64) -> Result<Found> {
    let total: usize = results.iter().map(|found| found.addresses.len()).sum();
    let mut addresses = Vec::new();
    addresses.try_reserve_exact(total.min(limit)).map_err(|_| NO_ROOM)?;
    for found in results {
        let room = limit - addresses.len();
        addresses.extend(found.addresses.into_iter().take(room));
        skipped.extend(found.skipped);
    }
    skipped.retain(|skipped| skipped.start < end);
    Ok(Found { addresses, skipped: windows::merged(skipped) })
}
