//! Patterns against a search byte by byte.

use std::sync::atomic::AtomicU8;

use gmemx::cpu;
use gmemx::error::Error;
use gmemx::scan::image::Bytes;
use gmemx::scan::pattern::{Found, Pattern, find};
use gmemx::scan::{Control, Reason, Skipped, Source};
use proptest::prelude::*;

use crate::memory::{Memory, with_control};

const PAGE: u64 = 4096;

fn naive(
    memory: &Memory,
    ranges: &[(u64, u64)],
    (needle, mask): (&[u8], &[u8]),
    ignore_case: bool,
) -> Vec<u64> {
    let inside = |at: u64| ranges.iter().any(|&(start, end)| (start..end).contains(&at));
    let byte = |at: u64| inside(at).then(|| memory.byte(at)).flatten();
    let fits = |at: u64, i: usize| {
        byte(at + i as u64).is_some_and(|byte| {
            let same = byte & mask[i] == needle[i] & mask[i];
            same || ignore_case && mask[i] == 0xFF && byte.eq_ignore_ascii_case(&needle[i])
        })
    };
    let starts = ranges.iter().flat_map(|&(start, end)| start..end);
    let mut found: Vec<u64> = starts.filter(|&at| (0..needle.len()).all(|i| fits(at, i))).collect();
    found.sort_unstable();
    found
}

fn on_every_path(mut check: impl FnMut()) {
    for path in ["portable", "avx2"] {
        if cpu::select(path).is_ok() {
            check();
        }
    }
    cpu::select("auto").expect("auto is always there");
}

fn search(source: &dyn Source, ranges: &[(u64, u64)], pattern: &Pattern, limit: usize) -> Found {
    with_control(2, |control| find(source, ranges, pattern, 1, limit, control)).unwrap()
}

/// Regions that abut, with holes at their ends, of few different bytes.
fn layout() -> impl Strategy<Value = Memory> {
    // A gap, a size and a hole at the end, in pages.
    let region = (0u64..3, 1u64..4, 0u64..3, any::<u64>());
    prop::collection::vec(region, 1..5).prop_map(|regions| {
        let mut memory = Memory::new();
        let mut at = 0x7000_0000;
        for (gap, pages, hole, seed) in regions {
            let start = at + gap * PAGE;
            let size = pages * PAGE;
            let mut state = seed | 1;
            let bytes = (0..size).map(|_| {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                b"aAbB"[(state >> 61) as usize & 3]
            });
            let kept = size.saturating_sub(hole.saturating_sub(1) * PAGE) as usize;
            memory.region(start, size, bytes.take(kept).collect());
            at = start + size;
        }
        memory
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn as_byte_by_byte(
        memory in layout(),
        needle in prop::collection::vec(prop::sample::select(b"aAbB".to_vec()), 1..9),
        masks in prop::collection::vec(prop::sample::select(vec![0xFFu8, 0xFF, 0xF0, 0x0F, 0]), 9),
        ignore_case: bool,
        limit in 0usize..2000,
        shift in 0u32..5,
    ) {
        let mask = &masks[..needle.len()];
        prop_assume!(mask.iter().any(|&mask| mask != 0));
        let pattern = Pattern::new(&needle, Some(mask), ignore_case).unwrap();
        let ranges = memory.ranges();
        let mut wanted = naive(&memory, &ranges, (&needle, mask), ignore_case);
        wanted.retain(|address| address % (1 << shift) == 0);
        wanted.truncate(if limit == 0 { usize::MAX } else { limit });
        on_every_path(|| {
            let found = with_control(2, |control| {
                find(&memory, &ranges, &pattern, 1 << shift, limit, control)
            });
            assert_eq!(found.unwrap().addresses, wanted);
        });
    }
}

#[test]
fn across_windows_and_regions_once_each() {
    const MB: usize = 1 << 20;
    let needle: Vec<u8> = (1..=40).collect();
    let mut bytes = vec![0u8; 5 * MB];
    // Regions of 1.5 MiB and what remains; windows of 1 MiB begin anew behind a gap only.
    let places = [0, MB - 39, MB - 20, 3 * MB / 2 - 7, 2 * MB - 1 - 40, 3 * MB - 39, 5 * MB - 40];
    let mut wanted = Vec::new();
    for (i, &place) in places.iter().enumerate() {
        if i == 0 || place - places[i - 1] >= 40 {
            bytes[place..place + 40].copy_from_slice(&needle);
            wanted.push(0x10000 + place as u64);
        }
    }
    let mut memory = Memory::new();
    let second = bytes.split_off(3 * MB / 2);
    memory.region(0x10000, bytes.len() as u64, bytes.clone());
    memory.region(0x10000 + bytes.len() as u64, second.len() as u64, second);
    let pattern = Pattern::new(&needle, None, false).unwrap();
    on_every_path(|| {
        assert_eq!(search(&memory, &memory.ranges(), &pattern, 0).addresses, wanted);
        for limit in 1..wanted.len() {
            let found = search(&memory, &memory.ranges(), &pattern, limit);
            assert_eq!(found.addresses, wanted[..limit]);
        }
    });
    // A region that was not asked for lends no bytes.
    let alone = search(&memory, &memory.ranges()[..1], &pattern, 0).addresses;
    let inside = wanted.iter().filter(|&&at| at + 40 <= memory.regions[0].end);
    assert_eq!(alone, inside.copied().collect::<Vec<_>>());
}

#[test]
fn a_pattern_longer_than_a_window() {
    let bytes: Vec<u8> =
        (0..3_000_000u32).map(|i| (i.wrapping_mul(2654435761) >> 24) as u8).collect();
    let mut copy = bytes.clone();
    // SAFETY: the copy outlives the source.
    let source = unsafe { Bytes::new(copy.as_mut_ptr(), copy.len(), 5, true) }.unwrap();
    let pattern = Pattern::new(&bytes[700_000..2_900_000], None, false).unwrap();
    let found = search(&source, &[(5, 5 + 3_000_000)], &pattern, 0);
    assert_eq!(found.addresses, [700_005]);
}

#[test]
fn holes_are_told_and_untouched_memory_is_zero() {
    let mut memory = Memory::new();
    memory.region(PAGE, 4 * PAGE, vec![1; 2 * 4096]);
    memory.region(8 * PAGE, 2 * PAGE, vec![0; 2 * 4096]);
    memory.zero = vec![(8 * PAGE, 10 * PAGE)];
    let ranges = [(PAGE, 6 * PAGE), (8 * PAGE, 10 * PAGE)];
    let ones = Pattern::new(&[1; 4096], None, false).unwrap();
    let found = search(&memory, &ranges, &ones, 0);
    assert_eq!(found.addresses, (PAGE..=2 * PAGE).collect::<Vec<_>>());
    let reason = Reason::Unmapped;
    assert_eq!(found.skipped, [Skipped { start: 3 * PAGE, end: 6 * PAGE, reason }]);
    // With a limit, what lies behind it was not skipped.
    assert_eq!(search(&memory, &[(PAGE, 3 * PAGE), (20 * PAGE, 21 * PAGE)], &ones, 1).skipped, []);
    let zeros = Pattern::new(&[0; 4096], None, false).unwrap();
    let found = search(&memory, &ranges, &zeros, 0);
    assert_eq!(found.addresses, (8 * PAGE..=9 * PAGE).collect::<Vec<_>>());
}

#[test]
fn what_makes_no_sense_is_refused() {
    let message = |result: Result<Pattern, Error>| result.unwrap_err().to_string();
    assert!(message(Pattern::new(&[], None, false)).contains("0 bytes"));
    assert!(message(Pattern::new(&[1, 2], Some(&[0, 0]), false)).contains("no bit that is fixed"));
    assert!(message(Pattern::new(&[1, 2], Some(&[0]), false)).contains("mask of 1 bytes"));
    let memory = Memory::new();
    let pattern = Pattern::new(b"x", None, false).unwrap();
    for (alignment, ranges, text) in [
        (3, &[(0, 1)][..], "alignment of 3"),
        (0, &[(0, 1)], "alignment of 0"),
        (1, &[], "no regions"),
        (1, &[(0, 5), (4, 6)], "overlap"),
        (1, &[(5, 5)], "empty"),
    ] {
        let found = with_control(1, |c| find(&memory, ranges, &pattern, alignment, 0, c));
        assert!(found.unwrap_err().to_string().contains(text));
    }
}

#[test]
fn a_search_can_be_cancelled() {
    let mut bytes = vec![0u8; 8 << 20];
    // SAFETY: the bytes outlive the source.
    let source = unsafe { Bytes::new(bytes.as_mut_ptr(), bytes.len(), 0, false) }.unwrap();
    let pattern = Pattern::new(b"x", None, false).unwrap();
    let cancel = AtomicU8::new(1);
    let mut control = Control { threads: 2, tick: &mut |_, _| false, cancel: &cancel };
    let found = find(&source, &[(0, 8 << 20)], &pattern, 1, 0, &mut control);
    assert!(matches!(found, Err(Error::Cancelled)));
}
