//! Bytes, files and core dumps; dumps that are torn, and dumps of which bits were flipped.

use std::fs;
use std::path::Path;

use gmemx::scan::image::{Bytes, Core, File};
use gmemx::scan::{Piece, Reason, RegionKind, Source, What};
use proptest::prelude::*;

use crate::memory::Scratch;

const PAGE: u64 = 4096;

// ---- bytes and files ---------------------------------------------------------------------

#[test]
fn bytes_lie_where_they_are_told_to() {
    let mut bytes: Vec<u8> = (0..100).collect();
    // SAFETY: the bytes outlive the source.
    let source = unsafe { Bytes::new(bytes.as_mut_ptr(), 100, 0x1000, true) }.unwrap();
    let regions = source.regions().unwrap();
    assert_eq!((regions[0].start, regions[0].end, regions[0].permissions), (0x1000, 0x1064, 3));
    assert_eq!(regions[0].kind, RegionKind::Image);
    let mut room = [0xEE; 10];
    assert_eq!(source.read(0x105E, &mut room).unwrap(), 6);
    assert_eq!(room, [94, 95, 96, 97, 98, 99, 0xEE, 0xEE, 0xEE, 0xEE]);
    for nothing in [0, 0xFFF, 0x1064, u64::MAX] {
        assert_eq!(source.read(nothing, &mut room).unwrap(), 0);
        assert_eq!(source.write(nothing, &room, false).unwrap(), 0);
        assert!(source.slice(nothing, 1).is_none());
    }
    assert_eq!(source.write(0x1062, &[1, 2, 3], false).unwrap(), 2);
    assert_eq!(source.slice(0x1061, 3).unwrap(), [97, 1, 2]);
    assert!(source.slice(0x1061, 4).is_none());
    // SAFETY: as above.
    let fixed = unsafe { Bytes::new(bytes.as_mut_ptr(), 100, 0, false) }.unwrap();
    assert!(fixed.write(0, &[1], true).unwrap_err().to_string().contains("only be read"));
    // SAFETY: refused.
    assert!(unsafe { Bytes::new(bytes.as_mut_ptr(), 100, u64::MAX - 98, false) }.is_err());
    // SAFETY: nothing is there to be touched.
    let empty = unsafe { Bytes::new(std::ptr::null_mut(), 0, 7, true) }.unwrap();
    assert!(empty.regions().unwrap().is_empty());
}

#[test]
fn a_file_that_shrinks_reads_short() {
    let scratch = Scratch::new(&[7; 10_000]);
    let source = File::open(&scratch.0, 1 << 40).unwrap();
    assert_eq!(source.regions().unwrap()[0].end, (1 << 40) + 10_000);
    let mut room = [0; 100];
    assert_eq!(source.read((1 << 40) + 9_950, &mut room).unwrap(), 50);
    fs::OpenOptions::new().write(true).open(&scratch.0).unwrap().set_len(10).unwrap();
    assert_eq!(source.read((1 << 40) + 5, &mut room).unwrap(), 5);
    assert_eq!(source.read((1 << 40) + 9_950, &mut room).unwrap(), 0);
    assert_eq!(source.read(5, &mut room).unwrap(), 0);
    assert_eq!(source.regions().unwrap()[0].end, (1 << 40) + 10);
    assert!(File::open(Path::new("/"), 0).unwrap_err_text().contains("is not a file"));
    assert!(File::open(Path::new("/nowhere"), 0).unwrap_err_text().contains("/nowhere"));
    assert!(File::open(&scratch.0, u64::MAX).is_err());
}

trait ErrText {
    fn unwrap_err_text(self) -> String;
}

impl<T> ErrText for gmemx::error::Result<T> {
    fn unwrap_err_text(self) -> String {
        self.err().expect("an error").to_string()
    }
}

// ---- dumps -------------------------------------------------------------------------------

struct Load {
    start: u64,
    memory: u64,
    flags: u32,
    bytes: Vec<u8>,
}

fn load(start: u64, memory: u64, flags: u32, bytes: Vec<u8>) -> Load {
    Load { start, memory, flags, bytes }
}

/// An ELF core dump, of 64 or 32 bits, with a note of mapped files.
fn dump(wide: bool, loads: &[Load], files: &[(u64, u64, u64, &str)]) -> Vec<u8> {
    let word = |value: u64| value.to_le_bytes()[..if wide { 8 } else { 4 }].to_vec();
    let short = |value: u16| value.to_le_bytes().to_vec();
    let int = |value: u32| value.to_le_bytes().to_vec();
    let mut list = [word(files.len() as u64), word(PAGE)].concat();
    for &(start, end, page, _) in files {
        list.extend([word(start), word(end), word(page)].concat());
    }
    for (.., name) in files {
        list.extend([name.as_bytes(), b"\0"].concat());
    }
    let other = [int(5), int(4), int(1), b"CORE\0\0\0\0abcd".to_vec()].concat();
    let mut note = [int(5), int(list.len() as u32), int(0x4649_4c45), b"CORE\0\0\0\0".to_vec()];
    note[3].extend(list);
    let mut note = [other, note.concat()].concat();
    note.resize(note.len().next_multiple_of(4), 0);

    let (header, entry) = if wide { (64, 56) } else { (52, 32) };
    let count = loads.len() + 1;
    let mut offset = (header + entry * count) as u64;
    let mut body = Vec::new();
    let mut table = Vec::new();
    let mut add = |kind: u32, flags: u32, start: u64, memory: u64, bytes: &[u8]| {
        let sizes = [word(bytes.len() as u64), word(memory)].concat();
        let places = [word(offset), word(start), word(0)].concat();
        table.extend(match wide {
            true => [int(kind), int(flags), places, sizes, word(1)].concat(),
            false => [int(kind), places, sizes, int(flags), word(1)].concat(),
        });
        offset += bytes.len() as u64;
        body.extend_from_slice(bytes);
    };
    add(4, 0, 0, 0, &note);
    for load in loads {
        add(1, load.flags, load.start, load.memory, &load.bytes);
    }
    let class = if wide { 2 } else { 1 };
    let machine = if wide { 62 } else { 3 };
    let mut bytes = [b"\x7fELF".to_vec(), vec![class, 1, 1, 0], vec![0; 8]].concat();
    bytes.extend([short(4), short(machine), int(1)].concat());
    bytes.extend([word(0), word(header as u64), word(0), int(0)].concat());
    let sizes = [header as u16, entry as u16, count as u16, 0, 0, 0];
    bytes.extend(sizes.map(short).concat());
    assert_eq!(bytes.len(), header);
    [bytes, table, body].concat()
}

fn sample(wide: bool) -> Vec<u8> {
    let loads = [
        load(0x40_0000, 2 * PAGE, 5, vec![1; 4096]),
        load(0x40_2000, PAGE, 6, (0..=255).cycle().take(4096).collect()),
        load(0x40_3000, 2 * PAGE, 6, vec![3; 8192]),
        load(0x7000_0000, PAGE, 4, Vec::new()),
    ];
    let files = [
        (0x40_0000, 0x40_2000, 0, "/bin/program"),
        (0x40_2000, 0x40_3000, 2, "/bin/program"),
        (0x7000_0000, 0x7000_1000, 0, "/dev/shm/thing"),
    ];
    dump(wide, &loads, &files)
}

#[test]
fn a_dump_has_its_segments_and_what_it_lacks() {
    for wide in [true, false] {
        let scratch = Scratch::new(&sample(wide));
        let core = Core::open(&scratch.0).unwrap();
        let regions = core.regions().unwrap();
        let seen: Vec<_> = regions.iter().map(|r| (r.start, r.permissions, r.kind)).collect();
        use RegionKind::{Anonymous, File, Shared};
        let wanted = [
            (0x40_0000, 5, File),
            (0x40_2000, 3, File),
            (0x40_3000, 3, Anonymous),
            (0x7000_0000, 1, Shared),
        ];
        assert_eq!(seen, wanted);
        assert_eq!((regions[1].offset, &*regions[1].name), (2 * PAGE, "/bin/program"));
        assert_eq!(regions[2].name, "");
        let mut room = vec![0xEE; 4 * 4096];
        // Up to what was not dumped; and across two segments.
        assert_eq!(core.read(0x40_0010, &mut room).unwrap(), 4096 - 16);
        assert_eq!(core.read(0x40_1000, &mut room).unwrap(), 0);
        assert_eq!(core.read(0x40_2001, &mut room).unwrap(), 3 * 4096 - 1);
        assert_eq!((room[0], room[4094], room[4095], room[12287]), (1, 255, 3, 0xEE));
        let mut pieces = Vec::new();
        for region in &regions {
            core.pieces(region, region.start, region.end, &mut pieces).unwrap();
        }
        let told: Vec<_> = pieces
            .iter()
            .map(|Piece { start, end, what }| (*start, *end, matches!(what, What::Read)))
            .collect();
        let wanted = [
            (0x40_0000, 0x40_1000, true),
            (0x40_1000, 0x40_2000, false),
            (0x40_2000, 0x40_3000, true),
            (0x40_3000, 0x40_5000, true),
            (0x7000_0000, 0x7000_1000, false),
        ];
        assert_eq!(told, wanted);
        assert!(matches!(pieces[1].what, What::Unread(Reason::NotDumped)));
        assert!(core.write(0x40_2000, &[1], true).is_err());
    }
}

#[test]
fn what_is_no_dump_is_refused_in_a_sentence() {
    let good = sample(true);
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    let overlapping = [load(0x1000, 0x2000, 6, Vec::new()), load(0x2000, 0x1000, 6, Vec::new())];
    let wraps = [load(u64::MAX - 5, 100, 6, Vec::new())];
    for (bytes, text) in [
        (Vec::new(), "shorter than an ELF header"),
        (b"a text that is not short".to_vec(), "does not begin as an ELF file"),
        (with(5, 2), "big-endian"),
        (with(4, 9), "makes no sense"),
        (with(16, 2), "a program or a library"),
        (good[..good.len() - 1].to_vec(), "cut off"),
        (dump(true, &overlapping, &[]), "two of its segments have address 0x2000"),
        (dump(true, &wraps, &[]), "beyond the last address"),
        (dump(true, &[load(0, 5, 6, vec![0; 6])], &[]), "6 bytes in 5"),
    ] {
        let scratch = Scratch::new(&bytes);
        let error = Core::open(&scratch.0).err().expect("refused").to_string();
        assert!(error.contains(text) && !error.contains('\n'), "{error}");
    }
}

#[test]
fn every_truncation_is_an_error() {
    for wide in [true, false] {
        let good = sample(wide);
        let scratch = Scratch::new(&good);
        let file = fs::OpenOptions::new().write(true).open(&scratch.0).unwrap();
        for len in (0..good.len()).rev().filter(|len| *len < 700 || len % 97 == 0) {
            file.set_len(len as u64).unwrap();
            assert!(Core::open(&scratch.0).is_err(), "{len}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    /// Whatever it says, it neither panics nor lies about its own regions.
    #[test]
    fn flipped_bits(
        wide: bool,
        flips in prop::collection::vec((0usize..600, any::<u8>()), 1..6),
    ) {
        let mut bytes = sample(wide);
        for (at, flip) in flips {
            bytes[at] ^= flip;
        }
        let scratch = Scratch::new(&bytes);
        if let Ok(core) = Core::open(&scratch.0) {
            let regions = core.regions().unwrap();
            assert!(regions.windows(2).all(|pair| pair[0].end <= pair[1].start));
            for region in regions {
                assert!(region.start < region.end);
                let mut room = [0; 64];
                let last = region.end - 1;
                for at in [region.start, last] {
                    let got = core.read(at, &mut room).unwrap();
                    assert!(got <= 64);
                }
                let mut pieces = Vec::new();
                core.pieces(&region, region.start, region.end, &mut pieces).unwrap();
                assert_eq!(pieces[0].start, region.start);
                assert_eq!(pieces.last().unwrap().end, region.end);
            }
        }
    }
}
