//! Pointer maps and paths against a search that tries everything.

use std::sync::atomic::AtomicU8;

use gmemx::error::Error;
use gmemx::scan::pointers::{Pointers, resolve};
use gmemx::scan::{Control, RegionKind};
use proptest::prelude::*;

use crate::memory::{Memory, with_control};

const PAGE: u64 = 4096;
const HEAP: u64 = 0x5000_0000;
const LIBRARY: u64 = 0x7000_0000;

/// A library that takes three pages, of which the last is not in the file; behind it, in
/// the same region, is other memory. Before it a heap. `links` are pointers, from a word to
/// an address, both as offsets into heap and library put together.
fn target(links: &[(u64, u64)]) -> Memory {
    let mut heap = vec![0u8; 2 * 4096];
    let mut library = elf(3 * PAGE);
    library.resize(4 * 4096, 0);
    let at = |place: u64| if place < 2 * PAGE { HEAP + place } else { LIBRARY + place - 2 * PAGE };
    for &(from, to) in links {
        let bytes = at(to).to_le_bytes();
        let from = from as usize;
        match from.checked_sub(2 * 4096) {
            None => heap[from..from + 8].copy_from_slice(&bytes),
            Some(from) => library[from..from + 8].copy_from_slice(&bytes),
        }
    }
    let mut memory = Memory::new();
    memory.region(HEAP, 2 * PAGE, heap).kind = RegionKind::Heap;
    let bss = library.split_off(2 * 4096);
    let data = library.split_off(4096);
    memory.file(LIBRARY, PAGE, library, "/lib/thing.so");
    memory.file(LIBRARY + PAGE, PAGE, data, "/lib/thing.so");
    memory.region(LIBRARY + 2 * PAGE, 2 * PAGE, bss);
    memory
}

/// The headers of an ELF file that asks for `size` bytes of memory.
fn elf(size: u64) -> Vec<u8> {
    let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
    bytes.resize(16, 0);
    bytes.extend([3u16, 62].map(u16::to_le_bytes).concat());
    bytes.extend(1u32.to_le_bytes());
    bytes.extend([0u64, 64, 0].map(u64::to_le_bytes).concat());
    bytes.extend(0u32.to_le_bytes());
    bytes.extend([64u16, 56, 2, 0, 0, 0].map(u16::to_le_bytes).concat());
    // Linked to be at 0x3000, so that only the differences can tell.
    for (start, memory) in [(0x3000, 100), (0x3800, size - 0x800)] {
        bytes.extend([1u32, 4].map(u32::to_le_bytes).concat());
        bytes.extend([0, start, start, 50, memory, PAGE].map(u64::to_le_bytes).concat());
    }
    bytes
}

type Way = (u64, Vec<u32>);

/// All ways of just so many steps, by going through all words.
fn naive(
    memory: &Memory,
    target: u64,
    steps: u32,
    max_offset: u64,
    way: &[(u64, u64)],
) -> Vec<Way> {
    let mut ways = Vec::new();
    for region in &memory.regions {
        for location in (region.start..region.end).step_by(8) {
            let word: Option<Vec<u8>> = (0..8).map(|i| memory.byte(location + i)).collect();
            let value = u64::from_le_bytes(word.unwrap().try_into().unwrap());
            let inside = memory.regions.iter().any(|r| (r.start..r.end).contains(&value));
            let leads = inside && value <= target && target - value <= max_offset;
            if !leads || way.iter().any(|&(passed, _)| passed == location) {
                continue;
            }
            let way = [way, &[(location, target - value)]].concat();
            let in_module = (LIBRARY..LIBRARY + 3 * PAGE).contains(&location);
            if steps == 1 && in_module {
                let offsets = way.iter().rev().map(|&(_, offset)| offset as u32).collect();
                ways.push((location - LIBRARY, offsets));
            } else if steps > 1 && !in_module {
                ways.extend(naive(memory, location, steps - 1, max_offset, &way));
            }
        }
    }
    ways
}

fn map(memory: &Memory) -> Pointers {
    with_control(2, |control| Pointers::new(memory, &memory.ranges(), control)).unwrap()
}

fn ways(map: &Pointers, target: u64, depth: u32, max_offset: u32, limit: usize) -> Vec<Way> {
    let paths =
        with_control(2, |control| map.paths(target, depth, max_offset, limit, control)).unwrap();
    let each = (0..paths.len()).map(|i| paths.get(i).unwrap());
    each.map(|path| {
        assert_eq!(paths.modules()[path.module], "/lib/thing.so");
        (path.offset, path.offsets.to_vec())
    })
    .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn as_by_trying_everything(
        // Few places, so that they meet, and loops come about.
        links in prop::collection::vec((0u64..40, 0u64..320), 1..30),
        to in 0u64..200,
        depth in 1u32..6,
        max_offset in 0u32..40,
        limit in 0usize..30,
    ) {
        let links: Vec<(u64, u64)> = links
            .into_iter()
            // A third behind the heap: in each page of the library, and behind it.
            .map(|(from, to)| match from {
                ..28 => (from * 8, to),
                _ => (3 * PAGE - 48 + from % 5 * 3000, to),
            })
            .collect();
        let memory = target(&links);
        let map = map(&memory);
        let mut wanted = Vec::new();
        for steps in 1..=depth {
            wanted.extend(naive(&memory, HEAP + to, steps, max_offset.into(), &[]));
        }
        let all = ways(&map, HEAP + to, depth, max_offset, 0);
        // The shortest first, and in the order of the last offset; the rest is set below.
        let order = |way: &Way| (way.1.len(), way.1.last().copied());
        prop_assert!(all.windows(2).all(|pair| order(&pair[0]) <= order(&pair[1])));
        for (offset, offsets) in &all {
            let offsets: Vec<i64> = offsets.iter().map(|&offset| offset.into()).collect();
            prop_assert_eq!(resolve(&memory, LIBRARY + offset, &offsets).unwrap(), HEAP + to);
        }
        let mut sorted = all.clone();
        sorted.sort();
        wanted.sort();
        prop_assert_eq!(sorted, wanted);
        if limit > 0 {
            let first = &all[..limit.min(all.len())];
            prop_assert_eq!(ways(&map, HEAP + to, depth, max_offset, limit), first);
        }
    }
}

#[test]
fn a_tangle_does_not_explode() {
    // Each of 400 words of the heap points to the first, so there are 400 ^ 8 ways, but
    // one pointer in the module leads in: only at the end of them all.
    let mut links: Vec<(u64, u64)> = (0..400).map(|i| (i * 8, 0)).collect();
    links.push((2 * PAGE + 0x400, 399 * 8));
    let memory = target(&links);
    let map = map(&memory);
    assert_eq!(map.len(), 401);
    let found = ways(&map, HEAP, 8, 4096, 1000);
    assert_eq!(found.len(), 1000);
    // None but those through the last word; the shortest is of two steps.
    assert_eq!(found[0], (0x400, vec![0, 0]));
}

#[test]
fn pointers_across_windows_and_only_aligned_ones() {
    let mut memory = Memory::new();
    let size = 3u64 << 20;
    let mut bytes = vec![0u8; size as usize];
    let base = 0x1000u64;
    let places = [0, 8, (1 << 20) - 8, 1 << 20, (3 << 20) - 8, 1_000_004];
    for &place in &places {
        bytes[place..place + 8].copy_from_slice(&(base + place as u64).to_le_bytes());
    }
    memory.region(base, size, bytes);
    memory.file(0x4000_0000, PAGE, vec![0; 4096], "/lib/a");
    assert_eq!(map(&memory).len(), 5);
    // A range that begins anywhere.
    let part = [(base + 3, base + (1 << 20) + 3)];
    let some = with_control(2, |control| Pointers::new(&memory, &part, control)).unwrap();
    assert_eq!(some.len(), 2);
    // The same with memory that cannot be read, which is told.
    memory.contents.get_mut().unwrap()[0].truncate(2 << 20);
    let some = map(&memory);
    assert_eq!(some.len(), 4);
    assert_eq!((some.skipped[0].start, some.skipped[0].end), (base + (2 << 20), base + size));
}

#[test]
fn many_pointers_are_sorted_by_several_threads() {
    let mut memory = Memory::new();
    let count = 400_000u64;
    let value = |i: u64| 0x10_0000 + i.wrapping_mul(0x9E37_79B9_7F4A_7C15) % (count * 8);
    let bytes: Vec<u8> = (0..count).flat_map(|i| value(i).to_le_bytes()).collect();
    memory.region(0x10_0000, count * 8, bytes);
    memory.file(0x7000_0000, PAGE, vec![0; 4096], "/lib/thing.so");
    let file = 0x10_0000 + 8 * 1234u64;
    memory.contents.get_mut().unwrap()[1][..8].copy_from_slice(&file.to_le_bytes());
    for threads in [1, 2, 3] {
        let map = with_control(threads, |c| Pointers::new(&memory, &memory.ranges(), c)).unwrap();
        assert_eq!(map.len() as u64, count + 1);
        let paths = with_control(threads, |c| map.paths(value(1234) + 7, 2, 7, 0, c)).unwrap();
        assert!((0..paths.len()).any(|i| paths.get(i).unwrap().offsets == [0, 7]));
    }
}

#[test]
fn a_path_that_breaks_off_tells_where() {
    let memory = target(&[(2 * PAGE + 0x400, 8), (8, 0)]);
    assert_eq!(resolve(&memory, LIBRARY + 0x400, &[]).unwrap(), LIBRARY + 0x400);
    assert_eq!(resolve(&memory, LIBRARY + 0x400, &[0, 0x40]).unwrap(), HEAP + 0x40);
    let error = resolve(&memory, LIBRARY + 0x400, &[0, -1, 0]).unwrap_err();
    assert!(matches!(error, Error::NotFound(_)));
    assert!(error.to_string().contains("at 0x4fffffff, which is step 3 of 3 from 0x70000400"));
}

#[test]
fn bad_depths_and_cancelling() {
    let memory = target(&[(2 * PAGE + 0x400, 8)]);
    let map = map(&memory);
    for depth in [0, 33] {
        let refused = with_control(1, |c| map.paths(HEAP, depth, 8, 0, c).unwrap_err());
        assert!(refused.to_string().contains("wanted 1 to 32"));
    }
    let cancel = AtomicU8::new(1);
    let mut control = Control { threads: 1, tick: &mut |_, _| false, cancel: &cancel };
    assert!(matches!(map.paths(HEAP, 3, 8, 0, &mut control), Err(Error::Cancelled)));
}
