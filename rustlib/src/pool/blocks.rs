//! Where in the data segment buffers lie: sizes are rounded up to classes, so that a
//! freed block fits the next of its kind, and a map has one bit for each unit.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::layout::{PAGE_UNITS, UNIT};

/// Units of the blocks that are handed out as they come back: 64 bytes to 2 MiB, each at
/// most half as large again as the one before. From a page on, whole pages.
const UNITS: [u64; CLASSES - 1] = [
    1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072,
    4096, 6144, 8192, 12288, 16384, 24576, 32768,
];
pub const CLASSES: usize = 30;
/// The class of all larger blocks, of whatever size.
pub const LARGE: usize = CLASSES - 1;

/// The first class whose blocks have so many units. Two classes share an octave; the upper
/// bits of the largest number below `units` say which. 96, no whole pages, is left out.
#[inline]
fn class_of(units: u64) -> usize {
    if units <= 2 {
        return units as usize - 1;
    }
    let below = units - 1;
    let octave = below.ilog2();
    let half = (below << 1 >> octave & 1) as usize;
    let class = 2 * octave as usize + half;
    class - usize::from(class > 12)
}

/// What a buffer of some size needs.
#[derive(Clone, Copy)]
pub struct Need {
    pub class: usize,
    pub units: u64,
}

impl Need {
    #[inline]
    pub fn of(size: u64) -> Need {
        let units = size.div_ceil(UNIT);
        let class = class_of(units);
        match UNITS.get(class) {
            Some(&units) => Need { class, units },
            None => Need { class: LARGE, units: units.next_multiple_of(PAGE_UNITS) },
        }
    }

    /// The class of a block of so many units.
    pub fn of_block(units: u64) -> usize {
        UNITS.binary_search(&units).unwrap_or(LARGE)
    }

    /// Whether a block will do without too much of it going to waste.
    pub fn fits(self, units: u64) -> bool {
        units >= self.units && units - self.units <= self.units / 4
    }
}

/// The bits of the units in use. Its users have the pool's lock.
pub struct Map<'a>(pub &'a [AtomicU64]);

impl Map<'_> {
    /// Room for that many units in those words.
    pub fn find(&self, units: u64, words: Range<usize>) -> Option<u64> {
        if units < PAGE_UNITS {
            self.find_bits(units, words)
        } else {
            self.find_words(units, words)
        }
    }

    /// Small blocks do not cross pages.
    fn find_bits(&self, units: u64, words: Range<usize>) -> Option<u64> {
        for i in words {
            // Bit k of `runs` tells whether `length` free units begin there.
            let mut runs = !self.0[i].load(Relaxed);
            let mut length = 1;
            while length < units && runs != 0 {
                let more = length.min(units - length);
                runs &= runs >> more;
                length += more;
            }
            if runs != 0 {
                return Some(i as u64 * PAGE_UNITS + u64::from(runs.trailing_zeros()));
            }
        }
        None
    }

    fn find_words(&self, units: u64, words: Range<usize>) -> Option<u64> {
        let wanted = usize::try_from(units.div_ceil(PAGE_UNITS)).ok()?;
        let mut run = 0;
        for i in words {
            run = if self.0[i].load(Relaxed) == 0 { run + 1 } else { 0 };
            if run == wanted {
                return Some((i + 1 - wanted) as u64 * PAGE_UNITS);
            }
        }
        None
    }

    /// Marks units as used, or as free; those beyond the map do not matter.
    pub fn mark(&self, place: u64, units: u64, used: bool) {
        let end = place.saturating_add(units).min(self.0.len() as u64 * PAGE_UNITS);
        let mut at = place;
        while at < end {
            let bit = at % PAGE_UNITS;
            let count = (PAGE_UNITS - bit).min(end - at);
            let mask = if count == 64 { u64::MAX } else { ((1 << count) - 1) << bit };
            let word = &self.0[(at / PAGE_UNITS) as usize];
            let before = word.load(Relaxed);
            word.store(if used { before | mask } else { before & !mask }, Relaxed);
            at += count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_ascend_and_hold_what_they_are_for() {
        assert!(UNITS.windows(2).all(|pair| pair[0] < pair[1] && pair[1] <= pair[0] * 2));
        for size in (1..20_000).chain([1 << 20, (2 << 20) - 1, 2 << 20, (2 << 20) + 1, 100_000_000])
        {
            let need = Need::of(size);
            assert!(need.units * UNIT >= size);
            assert_eq!(Need::of_block(need.units), need.class, "{size}");
            assert_eq!(need.class, UNITS.partition_point(|&room| room < size.div_ceil(UNIT)));
            assert!(need.fits(need.units));
        }
        assert_eq!(Need::of(2 << 20).class, LARGE - 1);
        assert_eq!(Need::of((2 << 20) + 1).class, LARGE);
    }

    #[test]
    fn blocks_do_not_overlap() {
        let words: Vec<AtomicU64> = (0..64).map(|_| AtomicU64::new(0)).collect();
        let map = Map(&words);
        let mut owner = vec![0u32; 64 * 64];
        let mut blocks = Vec::new();
        let mut random = 1u64;
        for round in 1..4000u32 {
            random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let need = Need::of((random >> 33) % 20_000 + 1);
            match map.find(need.units, 0..64) {
                Some(place) => {
                    assert!(need.units < PAGE_UNITS || place.is_multiple_of(PAGE_UNITS));
                    assert!(
                        need.units > PAGE_UNITS
                            || place / PAGE_UNITS == (place + need.units - 1) / PAGE_UNITS
                    );
                    map.mark(place, need.units, true);
                    for unit in &mut owner[place as usize..(place + need.units) as usize] {
                        assert_eq!(*unit, 0);
                        *unit = round;
                    }
                    blocks.push((place, need.units));
                }
                None => {
                    let (place, units) = blocks.swap_remove((random >> 40) as usize % blocks.len());
                    map.mark(place, units, false);
                    owner[place as usize..(place + units) as usize].fill(0);
                }
            }
            let used = words.iter().map(|word| word.load(Relaxed).count_ones()).sum::<u32>();
            assert_eq!(used as usize, owner.iter().filter(|&&unit| unit != 0).count());
        }
    }
}
