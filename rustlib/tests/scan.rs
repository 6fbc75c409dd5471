//! Scans of a made-up address space against a plain model: every cell looked at one by one.
#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU8;
use std::sync::{Arc, Mutex};

use gmemx::cpu;
use gmemx::error::{Error, Result};
use gmemx::scan::matches::Which;
use gmemx::scan::region::{READ, Region, RegionKind};
use gmemx::scan::source::{Piece, Reason, Source, What};
use gmemx::scan::test::{Against, Bounds, Kind, Test};
use gmemx::scan::{Control, Options, Scanner, ValueType};
use proptest::prelude::*;

const PAGE: u64 = 4096;
const BASE: u64 = 0x7000_0000;

/// A page: nothing there, never touched, or its bytes.
#[derive(Clone, Debug, PartialEq)]
enum Page {
    Hole,
    Zero,
    Data(Vec<u8>),
}

#[derive(Clone)]
struct Space(Arc<Mutex<Vec<Page>>>);

impl Space {
    fn byte(pages: &[Page], address: u64) -> Option<u8> {
        let page = pages.get(usize::try_from(address.checked_sub(BASE)? / PAGE).ok()?)?;
        match page {
            Page::Hole => None,
            Page::Zero => Some(0),
            Page::Data(bytes) => Some(bytes[(address % PAGE) as usize]),
        }
    }

    fn end(&self) -> u64 {
        BASE + self.0.lock().unwrap().len() as u64 * PAGE
    }
}

impl Source for Space {
    fn regions(&self) -> Result<Vec<Region>> {
        let pages = self.0.lock().unwrap();
        let mut regions: Vec<Region> = Vec::new();
        for (i, _) in pages.iter().enumerate().filter(|(_, page)| **page != Page::Hole) {
            let start = BASE + i as u64 * PAGE;
            match regions.last_mut() {
                // Some neighbours are regions of their own.
                Some(last) if last.end == start && i % 9 != 0 => last.end += PAGE,
                _ => regions.push(Region {
                    start,
                    end: start + PAGE,
                    permissions: READ,
                    kind: RegionKind::Anonymous,
                    offset: 0,
                    device: (0, 0),
                    inode: 0,
                    name: String::new(),
                }),
            }
        }
        Ok(regions)
    }

    fn read(&self, address: u64, into: &mut [u8]) -> Result<usize> {
        let pages = self.0.lock().unwrap();
        for (i, byte) in into.iter_mut().enumerate() {
            match Space::byte(&pages, address + i as u64) {
                Some(value) => *byte = value,
                None => return Ok(i),
            }
        }
        Ok(into.len())
    }

    fn pieces(&self, _: &Region, start: u64, end: u64, out: &mut Vec<Piece>) -> Result<()> {
        let pages = self.0.lock().unwrap();
        let mut at = start;
        while at < end {
            let to = ((at / PAGE + 1) * PAGE).min(end);
            let what = match pages[((at - BASE) / PAGE) as usize] {
                Page::Zero => What::Zero,
                Page::Data(_) => What::Read,
                Page::Hole => What::Unread(Reason::Unmapped),
            };
            out.push(Piece { start: at, end: to, what });
            at = to;
        }
        Ok(())
    }
}

/// Runs of pages: long ones of zeros, and a few of data with few different values.
fn pages() -> impl Strategy<Value = Vec<Page>> {
    let run = prop_oneof![
        2 => Just((0usize, 0u8, 1usize)),
        2 => (1..40usize).prop_map(|n| (1, 0, n)),
        5 => (0..4u8, 1..20usize).prop_map(|(seed, n)| (2, seed, n)),
    ];
    proptest::collection::vec(run, 1..6).prop_map(|runs| {
        let mut state = 12345u64;
        let mut pages = Vec::new();
        for (sort, seed, n) in runs {
            for _ in 0..n {
                pages.push(match sort {
                    0 => Page::Hole,
                    1 => Page::Zero,
                    _ => Page::Data(data(&mut state, seed)),
                });
            }
        }
        pages
    })
}

fn data(state: &mut u64, seed: u8) -> Vec<u8> {
    (0..PAGE)
        .map(|_| {
            *state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let random = (*state >> 33) as u8;
            match seed {
                // Dense, sparse, very sparse matches of small values; noise.
                0 => random & 1,
                1 => u8::from(random > 250),
                2 => u8::from(*state >> 33 & 0xfff == 0),
                _ => random,
            }
        })
        .collect()
}

/// How memory changes between two scans.
fn change(pages: &mut [Page], how: u8) {
    let mut state = u64::from(how);
    for (i, page) in pages.iter_mut().enumerate() {
        match (i as u64 + u64::from(how)) % 11 {
            0 if how.is_multiple_of(2) => *page = Page::Hole,
            1 => *page = Page::Data(data(&mut state, how % 4)),
            2..=4 => {
                if let Page::Data(bytes) = page {
                    for byte in bytes.iter_mut().step_by(usize::from(how % 7) * 8 + 1) {
                        *byte = byte.wrapping_add(how % 3);
                    }
                }
            }
            _ => {}
        }
    }
}

/// What the model knows of a match: current, previous and first value.
type Model = BTreeMap<u64, [u64; 3]>;

fn bits_of(value_type: ValueType, bytes: &[u8], big: bool) -> u64 {
    let mut eight = [0; 8];
    eight[..bytes.len()].copy_from_slice(bytes);
    if big {
        eight[..bytes.len()].reverse();
    }
    let bits = u64::from_le_bytes(eight);
    match value_type {
        ValueType::Int8 => bits as i8 as u64,
        ValueType::Int16 => bits as i16 as u64,
        ValueType::Int32 => bits as i32 as u64,
        _ => bits,
    }
}

fn cell(space: &Space, value_type: ValueType, address: u64, big: bool) -> Option<u64> {
    let pages = space.0.lock().unwrap();
    let size = value_type.size() as u64;
    let bytes: Option<Vec<u8>> = (0..size).map(|i| Space::byte(&pages, address + i)).collect();
    Some(bits_of(value_type, &bytes?, big))
}

/// In the plainest way: through i128 for integers, f64 for floats.
fn passes(value_type: ValueType, kind: Kind, bounds: Bounds, old: u64, new: u64) -> bool {
    let exact = |bits: u64| match value_type {
        ValueType::Uint64 => i128::from(bits),
        _ => i128::from(bits as i64),
    };
    let real = |bits: u64| match value_type {
        ValueType::Float32 => f64::from(f32::from_bits(bits as u32)),
        ValueType::Float64 => f64::from_bits(bits),
        _ => exact(bits) as f64,
    };
    let float = matches!(value_type, ValueType::Float32 | ValueType::Float64);
    let (lo, hi) = (bounds.lo, bounds.hi);
    if bounds.none {
        return false;
    }
    match kind {
        Kind::Any => true,
        Kind::Within if float => real(new) >= real(lo) && real(new) <= real(hi),
        Kind::Within => (exact(lo)..=exact(hi)).contains(&exact(new)),
        Kind::Changed => old != new,
        Kind::Unchanged => old == new,
        Kind::Increased => real(new) > real(old) || (!float && exact(new) > exact(old)),
        Kind::Decreased => real(new) < real(old) || (!float && exact(new) < exact(old)),
        Kind::IncreasedBy | Kind::DecreasedBy if float => {
            let (from, to) = if kind == Kind::IncreasedBy { (old, new) } else { (new, old) };
            let (grown, lo, hi) = (real(to) - real(from), f64::from_bits(lo), f64::from_bits(hi));
            grown >= lo && grown <= hi
        }
        Kind::IncreasedBy => (i128::from(lo)..=i128::from(hi)).contains(&(exact(new) - exact(old))),
        Kind::DecreasedBy => (i128::from(lo)..=i128::from(hi)).contains(&(exact(old) - exact(new))),
        Kind::Percent => {
            let percent = (real(new) - real(old)) / real(old).abs() * 100.0;
            real(old) != 0.0 && percent >= f64::from_bits(lo) && percent <= f64::from_bits(hi)
        }
    }
}

fn found(scanner: &Scanner, i: usize) -> Model {
    let found = scanner.found().unwrap();
    let matches = &found.matches[i];
    let count = matches.count() as usize;
    let mut addresses = vec![0; count];
    matches.addresses(0, &mut addresses).unwrap();
    assert!(addresses.is_sorted_by(|a, b| a < b));
    let size = matches.value_type.size();
    let mut model: Model = addresses.iter().map(|&address| (address, [0; 3])).collect();
    for (j, which) in [Which::Current, Which::Previous, Which::First].into_iter().enumerate() {
        let mut bytes = vec![0; count * size];
        scanner.values_of(matches, which, 0, &mut bytes).unwrap();
        for (values, cell) in model.values_mut().zip(bytes.chunks(size)) {
            values[j] = bits_of(matches.value_type, cell, false);
        }
    }
    // A part in the middle is the same as the whole.
    let (from, n) = (count / 3, count / 2);
    let mut part = vec![0; n];
    matches.addresses(from as u64, &mut part).unwrap();
    assert_eq!(part, addresses[from..from + n]);
    model
}

fn scan(scanner: &Scanner, ranges: Option<&[(u64, u64)]>, test: &Test) -> Result<()> {
    let cancel = AtomicU8::new(0);
    let mut control = Control { threads: 2, tick: &mut |_, _| false, cancel: &cancel };
    match ranges {
        Some(ranges) => scanner.first(ranges, test, &mut control),
        None => scanner.next(test, &mut control),
    }
}

const TYPES: [ValueType; 10] = ValueType::ALL;

fn bounds(value_type: ValueType, kind: Kind, lo: u8) -> Bounds {
    let float = matches!(value_type, ValueType::Float32 | ValueType::Float64);
    let (lo, hi) = (u64::from(lo), u64::from(lo) + u64::from(lo % 3));
    let bits = |x: u64| match (kind, value_type) {
        (Kind::Percent, _) => (x as f64 * 50.0).to_bits(),
        (Kind::Within, ValueType::Float32) => (x as f32 * 1e-40).to_bits().into(),
        (Kind::Within, ValueType::Float64) => (x as f64 * 1e-310).to_bits(),
        (Kind::IncreasedBy | Kind::DecreasedBy, _) if float => (x as f64 * 1e-40).to_bits(),
        _ => x,
    };
    // Not lo == hi for amounts of floats, which also allows for rounding.
    let hi = if float && kind != Kind::Within { hi + 1 } else { hi };
    Bounds { lo: bits(lo), hi: bits(hi), none: false }
}

const KINDS: [Kind; 9] = [
    Kind::Any,
    Kind::Within,
    Kind::Changed,
    Kind::Unchanged,
    Kind::Increased,
    Kind::Decreased,
    Kind::IncreasedBy,
    Kind::DecreasedBy,
    Kind::Percent,
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn scans_agree_with_looking_at_every_cell(
        pages in pages(),
        types in proptest::sample::subsequence(&TYPES[..], 1..3),
        alignment in prop_oneof![3 => Just(0u32), 2 => Just(1), 1 => Just(2), 1 => Just(8), 1 => Just(64)],
        big_endian in any::<bool>(),
        portable in any::<bool>(),
        memory in prop_oneof![Just(0u64), Just(100_000)],
        begin in (0..2usize, 0..4u8, any::<bool>()),
        cut in (0..5000u64, 0..5000u64),
        steps in proptest::collection::vec((0..9usize, 0..3u8, 0..4u8, any::<bool>(), any::<u8>()), 0..5),
    ) {
        cpu::select(if portable { "portable" } else { "auto" }).unwrap();
        let space = Space(Arc::new(Mutex::new(pages)));
        let options = Options {
            alignment, big_endian, history: 20, memory, folder: std::env::temp_dir(),
        };
        let scanner = Scanner::new(Arc::new(space.clone()), &types, options).unwrap();
        let kind = KINDS[begin.0];
        let ranges = [(BASE + cut.0, (space.end() - cut.1.min(PAGE - 1)).max(BASE + cut.0 + 1))];
        let given: Vec<Bounds> = types.iter().map(|&t| bounds(t, kind, begin.1)).collect();
        let test = Test { kind, against: Against::Last, negate: begin.2 && kind != Kind::Any, bounds: &given };
        scan(&scanner, Some(&ranges), &test).unwrap();

        let step_of = |t: ValueType| if alignment == 0 { t.size() as u64 } else { alignment.into() };
        let mut models: Vec<Model> = types.iter().zip(&given).map(|(&t, &bounds)| {
            let step = step_of(t);
            let mut model = Model::new();
            let mut at = ranges[0].0.next_multiple_of(step);
            while at + t.size() as u64 <= ranges[0].1 {
                if let Some(new) = cell(&space, t, at, big_endian)
                    && passes(t, kind, bounds, 0, new) != test.negate
                {
                    model.insert(at, [new; 3]);
                }
                at += step;
            }
            model
        }).collect();
        for (i, model) in models.iter().enumerate() {
            prop_assert_eq!(&found(&scanner, i), model);
        }

        let cancel = AtomicU8::new(0);
        let mut control = Control { threads: 1, tick: &mut |_, _| false, cancel: &cancel };
        scanner.save_checkpoint("a", &mut control).unwrap();
        let checkpoint: Vec<Model> = models.clone();
        let mut past = vec![models.clone()];
        for (kind, against, lo, negate, how) in steps {
            change(&mut space.0.lock().unwrap(), how);
            let kind = KINDS[kind];
            let against = [Against::Last, Against::First, Against::Checkpoint("a")][usize::from(against)];
            let given: Vec<Bounds> = types.iter().map(|&t| bounds(t, kind, lo)).collect();
            let test = Test { kind, against, negate: negate && kind != Kind::Any, bounds: &given };
            scan(&scanner, None, &test).unwrap();
            for (i, &t) in types.iter().enumerate() {
                models[i] = models[i].iter().filter_map(|(&at, &[last, _, first])| {
                    let new = cell(&space, t, at, big_endian)?;
                    let old = match against {
                        Against::Last => last,
                        Against::First => first,
                        Against::Checkpoint(_) => checkpoint[i][&at][0],
                    };
                    let passed = passes(t, kind, given[i], old, new) != test.negate;
                    passed.then_some((at, [new, last, first]))
                }).collect();
                prop_assert_eq!(&found(&scanner, i), &models[i]);
            }
            past.push(models.clone());
        }
        // Every step can be taken back.
        past.pop();
        for models in past.into_iter().rev() {
            scanner.undo().unwrap();
            for (i, model) in models.iter().enumerate() {
                prop_assert_eq!(&found(&scanner, i), model);
            }
        }
        prop_assert!(scanner.undo().is_err());

        // By a mask, also where untouched memory is one long span.
        let count = scanner.count(0) as usize;
        let keep: Vec<u8> = (0..count).map(|i| u8::from(i % 3 == 1)).collect();
        let before = found(&scanner, 0);
        scanner.retain(Some(0), &keep).unwrap();
        let wanted: Model = before.into_iter().skip(1).step_by(3).collect();
        prop_assert_eq!(&found(&scanner, 0), &wanted);
        let any = Test { kind: Kind::Any, against: Against::Last, negate: false, bounds: &[] };
        scan(&scanner, None, &any).unwrap();
        let addresses = |model: &Model| model.keys().copied().collect::<Vec<_>>();
        let there = |at: &u64| cell(&space, types[0], *at, big_endian).is_some();
        let wanted: Vec<u64> = addresses(&wanted).into_iter().filter(there).collect();
        prop_assert_eq!(addresses(&found(&scanner, 0)), wanted);
        cpu::select("auto").unwrap();
    }
}

#[test]
fn a_terabyte_that_was_never_touched_takes_no_room() {
    struct Void;
    impl Source for Void {
        fn regions(&self) -> Result<Vec<Region>> {
            Ok(vec![Region {
                start: PAGE,
                end: 1 << 40,
                permissions: READ,
                kind: RegionKind::Anonymous,
                offset: 0,
                device: (0, 0),
                inode: 0,
                name: String::new(),
            }])
        }
        fn read(&self, _: u64, _: &mut [u8]) -> Result<usize> {
            panic!("nothing was to be read");
        }
        fn pieces(&self, _: &Region, start: u64, end: u64, out: &mut Vec<Piece>) -> Result<()> {
            out.push(Piece { start, end, what: What::Zero });
            Ok(())
        }
    }
    let options =
        Options { alignment: 0, big_endian: false, history: 3, memory: 1000, folder: "/".into() };
    let scanner = Scanner::new(Arc::new(Void), &[ValueType::Int32], options).unwrap();
    let any = Test { kind: Kind::Any, against: Against::Last, negate: false, bounds: &[] };
    scan(&scanner, Some(&[(PAGE, 1 << 40)]), &any).unwrap();
    assert_eq!(scanner.count(0), ((1 << 40) - PAGE) / 4);
    scan(&scanner, None, &Test { kind: Kind::Unchanged, ..any.clone() }).unwrap();
    assert_eq!(scanner.count(0), ((1 << 40) - PAGE) / 4);
    scan(&scanner, None, &Test { kind: Kind::Changed, ..any }).unwrap();
    assert_eq!(scanner.count(0), 0);
}

#[test]
fn a_cancelled_scan_changes_nothing() {
    let space = Space(Arc::new(Mutex::new(vec![Page::Data(vec![1; PAGE as usize]); 600])));
    let options =
        Options { alignment: 0, big_endian: false, history: 3, memory: 0, folder: "/tmp".into() };
    let scanner = Scanner::new(Arc::new(space.clone()), &[ValueType::Uint8], options).unwrap();
    let any = Test { kind: Kind::Any, against: Against::Last, negate: false, bounds: &[] };
    let ranges = [(BASE, space.end())];
    scan(&scanner, Some(&ranges), &any).unwrap();
    let count = scanner.count(0);
    let cancel = AtomicU8::new(1);
    let mut control = Control { threads: 2, tick: &mut |_, _| false, cancel: &cancel };
    let changed = Test { kind: Kind::Changed, ..any };
    assert!(matches!(scanner.next(&changed, &mut control), Err(Error::Cancelled)));
    let never = AtomicU8::new(0);
    let mut control = Control { threads: 2, tick: &mut |_, _| true, cancel: &never };
    assert!(matches!(scanner.next(&changed, &mut control), Err(Error::Cancelled)));
    assert_eq!((scanner.count(0), scanner.steps()), (count, 0));
}
