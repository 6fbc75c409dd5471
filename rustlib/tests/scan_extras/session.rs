//! Scanners that are saved and loaded, and files that nobody saved.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use gmemx::error::Result;
use gmemx::scan::matches::Which;
use gmemx::scan::session::{load, notes, save};
use gmemx::scan::test::{Against, Bounds, Kind, Test};
use gmemx::scan::{Options, Scanner, Source, ValueType};
use proptest::prelude::*;

use crate::memory::{Memory, Scratch, with_control};

const BASE: u64 = 0x40_0000;

fn options(alignment: u32) -> Options {
    let folder = std::env::temp_dir();
    Options { alignment, big_endian: false, history: 5, memory: 1 << 30, folder }
}

/// A region with noise, zeros and a pattern, one that was never touched, and a hole.
fn memory() -> Memory {
    let mut memory = Memory::new();
    let bytes = (0..300_000u32).map(|i| if i % 50_000 < 20_000 { (i / 4 % 7) as u8 } else { 0 });
    memory.region(BASE, 0x50_000, bytes.collect());
    memory.region(BASE + 0x50_000, 0x80_000, vec![0; 0x80_000]);
    memory.zero = vec![(BASE + 0x50_000, BASE + 0xD0_000)];
    memory
}

fn any() -> Test<'static> {
    Test { kind: Kind::Any, against: Against::Last, negate: false, bounds: &[] }
}

fn test(kind: Kind, against: Against<'_>) -> Test<'_> {
    Test { kind, against, negate: false, bounds: &[] }
}

fn first(scanner: &Scanner, memory: &Memory, test: &Test) {
    with_control(2, |control| scanner.first(&memory.ranges(), test, control)).unwrap();
}

fn next(scanner: &Scanner, test: &Test) {
    with_control(2, |control| scanner.next(test, control)).unwrap();
}

/// Addresses, and values of each kind.
type Seen = (Vec<u64>, [Vec<u8>; 3]);

/// Everything that can be seen of a scanner.
fn contents(scanner: &Scanner) -> (Vec<Seen>, usize, Vec<String>) {
    let found = scanner.found().unwrap();
    let each = found.matches.iter().map(|matches| {
        let count = matches.count();
        let mut addresses = vec![0; count as usize];
        matches.addresses(0, &mut addresses).unwrap();
        let values = [Which::Current, Which::Previous, Which::First].map(|which| {
            let mut values = vec![0; count as usize * matches.value_type.size()];
            scanner.values_of(matches, which, 0, &mut values).unwrap();
            values
        });
        (addresses, values)
    });
    (each.collect(), found.skipped.len(), scanner.checkpoints())
}

fn change(memory: &Memory, at: u64, bytes: &[u8]) {
    assert_eq!(memory.write(BASE + at, bytes, false).unwrap(), bytes.len());
}

/// A scanner that has been through a few scans, on its way collecting spans of all forms.
fn scanned(memory: &Arc<Memory>, types: &[ValueType], alignment: u32, rounds: u32) -> Scanner {
    let scanner = Scanner::new(memory.clone(), types, options(alignment)).unwrap();
    first(&scanner, memory, &any());
    for round in 0..rounds {
        for i in 0..40 {
            change(memory, u64::from(round) * 30_000 + i * 500, &[round as u8 + 1; 9]);
        }
        match round {
            0 => with_control(2, |c| scanner.save_checkpoint("start", c)).unwrap(),
            1 => next(&scanner, &test(Kind::Unchanged, Against::Last)),
            2 => next(&scanner, &test(Kind::Changed, Against::First)),
            _ => next(&scanner, &any()),
        }
    }
    scanner
}

fn reloaded(memory: &Arc<Memory>, path: &Path) -> Result<Scanner> {
    load(memory.clone(), path, options(0))
}

#[test]
fn what_is_loaded_is_what_was_saved() {
    use ValueType::*;
    for (types, alignment) in
        [(&[Int32][..], 0), (&[Float64, Uint8, Int16], 1), (&[Uint32], 64), (&[Int8, Int64], 4)]
    {
        for rounds in 0..5 {
            let memory = Arc::new(memory());
            let scanner = scanned(&memory, types, alignment, rounds);
            let file = Scratch::new(b"something that was there before");
            save(&scanner, &file.0, b"{\"labels\": []}").unwrap();
            assert_eq!(notes(&file.0).unwrap(), b"{\"labels\": []}");
            let loaded = reloaded(&memory, &file.0).unwrap();
            assert_eq!(loaded.options().alignment, alignment);
            assert!(contents(&loaded) == contents(&scanner), "{types:?} {rounds}");
            // And it goes on alike.
            change(&memory, 1000, &[77; 40]);
            for kind in [Kind::Unchanged, Kind::Increased] {
                let against =
                    if rounds > 0 { Against::Checkpoint("start") } else { Against::First };
                for scanner in [&scanner, &loaded] {
                    next(scanner, &test(kind, against));
                }
                assert!(contents(&loaded) == contents(&scanner), "{types:?} {rounds}");
            }
        }
    }
}

#[test]
fn values_that_types_share_are_saved_once() {
    let memory = Arc::new(memory());
    let types = [ValueType::Int32, ValueType::Float32, ValueType::Uint16, ValueType::Int8];
    let scanner = scanned(&memory, &types, 0, 0);
    let file = Scratch::new(b"");
    save(&scanner, &file.0, b"").unwrap();
    let size = fs::metadata(&file.0).unwrap().len();
    assert!(size < 400_000, "{size}");
}

#[test]
fn one_without_matches_and_one_that_narrows_to_nothing() {
    let memory = Arc::new(memory());
    let file = Scratch::new(b"");
    let scanner = Scanner::new(memory.clone(), &[ValueType::Int64], options(0)).unwrap();
    save(&scanner, &file.0, b"").unwrap();
    assert!(reloaded(&memory, &file.0).unwrap().found().is_err());
    let bounds = [Bounds { lo: 99, hi: 99, none: false }];
    let test = Test { kind: Kind::Within, bounds: &bounds, ..any() };
    first(&scanner, &memory, &test);
    save(&scanner, &file.0, b"").unwrap();
    assert_eq!(reloaded(&memory, &file.0).unwrap().count(0), 0);
}

#[test]
fn what_was_chosen_of_untouched_memory() {
    let memory = Arc::new(memory());
    let scanner = Scanner::new(memory.clone(), &[ValueType::Int32], options(0)).unwrap();
    first(&scanner, &memory, &any());
    let keep: Vec<u8> = (0..scanner.count(0)).map(|i| u8::from(i % 1000 == 999)).collect();
    scanner.retain(Some(0), &keep).unwrap();
    let file = Scratch::new(b"");
    save(&scanner, &file.0, b"").unwrap();
    let loaded = reloaded(&memory, &file.0).unwrap();
    assert!(contents(&loaded) == contents(&scanner));
    let chosen = contents(&scanner).0[0].0.clone();
    for scanner in [&scanner, &loaded] {
        next(scanner, &any());
        assert_eq!(contents(scanner).0[0].0, chosen);
    }
}

#[test]
fn files_that_nobody_saved() {
    let memory = Arc::new(memory());
    let refused = |bytes: &[u8]| {
        let file = Scratch::new(bytes);
        let text = reloaded(&memory, &file.0).err().expect("refused").to_string();
        assert!(text.contains(&file.0.display().to_string()) && !text.contains('\n'), "{text}");
        text
    };
    assert!(refused(b"").contains("is not a saved scan"));
    assert!(refused(b"a poem by somebody else").contains("is not a saved scan"));
    assert!(refused(b"gmemscan\x02\0\0\0abcdefgh").contains("version 2: wanted 1"));
    assert!(refused(b"gmemscan\x01\0\0\0\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFFx").contains("cut off"));
    assert!(refused(b"gmemscan\x01\0\0\0\0\0\0\0\0\0\0\0abcd").contains("damaged"));
    let folder = reloaded(&memory, &std::env::temp_dir()).err().expect("refused");
    assert!(folder.to_string().contains("is not a file"));
    let missing = reloaded(&memory, Path::new("/nowhere")).err().expect("refused");
    assert!(missing.to_string().contains("/nowhere"));
    let scanner = scanned(&memory, &[ValueType::Int32], 0, 0);
    let unwritable = save(&scanner, Path::new("/nowhere/at/all"), b"").unwrap_err();
    assert!(unwritable.to_string().contains("/nowhere/at/all cannot be saved"));
}

fn small() -> (Arc<Memory>, Vec<u8>) {
    let mut memory = Memory::new();
    memory.region(BASE, 0x2000, (0..0x2000u32).map(|i| (i / 8 % 3) as u8).collect());
    memory.region(BASE + 0x2000, 0x40_000, vec![0; 0x40_000]);
    memory.zero = vec![(BASE + 0x2000, BASE + 0x42_000)];
    let memory = Arc::new(memory);
    let types = [ValueType::Int32, ValueType::Uint8];
    let scanner = Scanner::new(memory.clone(), &types, options(0)).unwrap();
    let bounds = [Bounds { lo: 0, hi: 1, none: false }; 2];
    first(&scanner, &memory, &Test { kind: Kind::Within, bounds: &bounds, ..any() });
    with_control(1, |control| scanner.save_checkpoint("a", control)).unwrap();
    change(&memory, 64, &[9; 64]);
    next(&scanner, &test(Kind::Increased, Against::Last));
    let file = Scratch::new(b"");
    save(&scanner, &file.0, b"notes").unwrap();
    (memory, fs::read(&file.0).unwrap())
}

#[test]
fn every_truncation_is_refused() {
    let (memory, bytes) = small();
    let file = Scratch::new(&bytes);
    assert!(reloaded(&memory, &file.0).is_ok());
    let handle = fs::OpenOptions::new().write(true).open(&file.0).unwrap();
    for len in (0..bytes.len()).rev().filter(|len| *len < 300 || len % 7 == 0) {
        handle.set_len(len as u64).unwrap();
        assert!(reloaded(&memory, &file.0).is_err(), "{len}");
    }
    let file = Scratch::new(&[&bytes[..], b"x"].concat());
    assert!(reloaded(&memory, &file.0).is_err());
}

/// Bytes with the checksums that belong to them, so that what is behind these is reached.
fn resummed(mut bytes: Vec<u8>) -> Vec<u8> {
    let notes = 8 + 4 + 8 + 5;
    let sum = crc32c::crc32c(&bytes[..notes]);
    bytes[notes..notes + 4].copy_from_slice(&sum.to_le_bytes());
    let end = bytes.len() - 4;
    let sum = crc32c::crc32c(&bytes[..end]);
    bytes[end..].copy_from_slice(&sum.to_le_bytes());
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    /// One flipped bit is noticed by the checksum; and with the right one, whatever is
    /// loaded can be looked at and scanned on with.
    #[test]
    fn flipped_bits(
        from_end in 5usize..1200,
        flip in 1u8..,
        value in prop::sample::select(vec![0u8, 1, 2, 3, 4, 0x7F, 0xFF]),
    ) {
        thread_local! {
            static SMALL: (Arc<Memory>, Vec<u8>) = small();
        }
        let (memory, good) = SMALL.with(Clone::clone);
        let at = good.len().saturating_sub(from_end).max(30);
        let mut bytes = good.clone();
        bytes[at] ^= flip;
        let file = Scratch::new(&bytes);
        prop_assert!(reloaded(&memory, &file.0).is_err());
        for byte in [good[at] ^ flip, value] {
            let mut bytes = good.clone();
            bytes[at] = byte;
            let file = Scratch::new(&resummed(bytes));
            if let Ok(loaded) = reloaded(&memory, &file.0)
                && loaded.found().is_ok()
                && (0..loaded.layouts().len()).map(|i| loaded.count(i)).sum::<u64>() < 1 << 20
            {
                contents(&loaded);
                next(&loaded, &any());
                contents(&loaded);
                for name in loaded.checkpoints() {
                    next(&loaded, &test(Kind::Unchanged, Against::Checkpoint(&name)));
                }
            }
        }
    }
}
