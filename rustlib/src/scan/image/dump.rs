//! ELF core dumps. A dump is a file like any other and may be torn or made up: everything
//! in it is checked when it is opened, and nothing of it is mapped.

use std::fs;
use std::path::Path;

use object::elf::{self, FileHeader32, FileHeader64};
use object::read::elf::{FileHeader, ProgramHeader};
use object::{LittleEndian, ReadCache, ReadRef};

use super::{end_of, open, read_at};
use crate::error::{Error, Result};
use crate::scan::region::{self, EXECUTE, READ, Region, RegionKind, WRITE};
use crate::scan::source::{Piece, Reason, Source, What};

/// Beyond this notes are not worth the memory: those of ten thousand threads take 30 MB.
const MOST_NOTES: u64 = 256 << 20;

/// The memory of a process as it was when it was dumped.
pub struct Core {
    file: fs::File,
    /// By address, without overlaps.
    segments: Vec<Segment>,
}

struct Segment {
    region: Region,
    /// Where in the dump its bytes begin, and how many of them it has.
    offset: u64,
    dumped: u64,
}

impl Segment {
    fn dumped_end(&self) -> u64 {
        self.region.start + self.dumped
    }
}

/// A mapping of a file, as the note of files has it.
struct Mapped {
    start: u64,
    end: u64,
    offset: u64,
    name: String,
}

impl Core {
    pub fn open(path: &Path) -> Result<Core> {
        let file = open(path)?;
        let segments = segments(&file).map_err(|what| {
            let path = path.display();
            Error::InvalidArgument(format!("{path} is not a core dump that can be read: {what}"))
        })?;
        Ok(Core { file, segments })
    }

    /// The segment that has `address`.
    fn segment(&self, address: u64) -> Option<&Segment> {
        let behind = self.segments.partition_point(|segment| segment.region.start <= address);
        let segment = &self.segments[behind.checked_sub(1)?];
        (address < segment.region.end).then_some(segment)
    }
}

impl Source for Core {
    fn regions(&self) -> Result<Vec<Region>> {
        Ok(self.segments.iter().map(|segment| segment.region.clone()).collect())
    }

    fn read(&self, address: u64, into: &mut [u8]) -> Result<usize> {
        let mut done = 0;
        while done < into.len() {
            let Some(at) = address.checked_add(done as u64) else { break };
            let Some(segment) = self.segment(at) else { break };
            let there = segment.dumped_end().saturating_sub(at).min((into.len() - done) as u64);
            let place = segment.offset + (at - segment.region.start);
            let got = read_at(&self.file, place, &mut into[done..done + there as usize]);
            done += got;
            if got == 0 {
                break;
            }
        }
        Ok(done)
    }

    fn pieces(&self, region: &Region, start: u64, end: u64, out: &mut Vec<Piece>) -> Result<()> {
        let dumped = self.segment(region.start).map_or(region.start, Segment::dumped_end);
        let dumped = dumped.clamp(start, end);
        let missing = What::Unread(Reason::NotDumped);
        let both = [(start, dumped, What::Read), (dumped, end, missing)];
        let there = both.into_iter().filter(|(start, end, _)| start < end);
        out.extend(there.map(|(start, end, what)| Piece { start, end, what }));
        Ok(())
    }
}

type Checked<T> = std::result::Result<T, String>;

fn segments(file: &fs::File) -> Checked<Vec<Segment>> {
    let data = &ReadCache::new(file);
    let ident = data.read_bytes_at(0, 16).map_err(|()| "it is shorter than an ELF header")?;
    if ident[..4] != elf::ELFMAG {
        return Err("it does not begin as an ELF file".into());
    }
    // The class, and the order of bytes.
    match (ident[4], ident[5]) {
        (2, 1) => segments_of::<FileHeader64<LittleEndian>>(data),
        (1, 1) => segments_of::<FileHeader32<LittleEndian>>(data),
        (1 | 2, 2) => Err("it is of a big-endian machine".into()),
        _ => Err("its ELF header makes no sense".into()),
    }
}

fn segments_of<Header: FileHeader<Endian = LittleEndian>>(
    data: &ReadCache<&fs::File>,
) -> Checked<Vec<Segment>> {
    let header = Header::parse(data).map_err(|error| error.to_string())?;
    let kind = header.e_type(LittleEndian);
    if kind != elf::ET_CORE {
        return Err("it is another kind of ELF file, such as a program or a library".into());
    }
    let headers = header.program_headers(LittleEndian, data).map_err(|error| error.to_string())?;
    let length = data.len().map_err(|()| "its length cannot be told")?;
    let mut mapped = Vec::new();
    let mut segments = Vec::new();
    for header in headers {
        let kind = header.p_type(LittleEndian);
        if kind == elf::PT_NOTE {
            notes(header, data, &mut mapped)?;
        } else if kind == elf::PT_LOAD {
            segments.extend(segment(header, length)?);
        }
    }
    segments.sort_by_key(|segment| segment.region.start);
    if let Some(pair) = segments.windows(2).find(|pair| pair[0].region.end > pair[1].region.start) {
        return Err(format!("two of its segments have address {:#x}", pair[1].region.start));
    }
    mapped.sort_by_key(|mapped| mapped.start);
    for segment in &mut segments {
        name(&mut segment.region, &mapped);
    }
    Ok(segments)
}

fn segment<Header: ProgramHeader<Endian = LittleEndian>>(
    header: &Header,
    length: u64,
) -> Checked<Option<Segment>> {
    let start: u64 = header.p_vaddr(LittleEndian).into();
    let offset: u64 = header.p_offset(LittleEndian).into();
    let size: u64 = header.p_memsz(LittleEndian).into();
    let dumped: u64 = header.p_filesz(LittleEndian).into();
    let end = end_of(start, size).map_err(|error| error.to_string())?;
    if dumped > size {
        return Err(format!("its segment at {start:#x} has {dumped} bytes in {size}"));
    }
    if dumped > 0 && offset.checked_add(dumped).is_none_or(|end| end > length) {
        return Err(format!(
            "it is cut off: its segment at {start:#x} has {dumped} bytes from byte {offset} on, \
             but the file ends at {length}"
        ));
    }
    let flags = header.p_flags(LittleEndian);
    let permissions = [(elf::PF_R, READ), (elf::PF_W, WRITE), (elf::PF_X, EXECUTE)]
        .into_iter()
        .fold(0, |all, (flag, bit)| all | if flags.contains(flag) { bit } else { 0 });
    let region = Region {
        start,
        end,
        permissions,
        kind: RegionKind::Anonymous,
        offset: 0,
        device: (0, 0),
        inode: 0,
        name: String::new(),
    };
    Ok((start < end).then_some(Segment { region, offset, dumped }))
}

fn notes<Header: ProgramHeader<Endian = LittleEndian>>(
    header: &Header,
    data: &ReadCache<&fs::File>,
    mapped: &mut Vec<Mapped>,
) -> Checked<()> {
    let size: u64 = header.p_filesz(LittleEndian).into();
    if size > MOST_NOTES {
        return Err(format!("its notes take {size} bytes"));
    }
    let notes = header.notes(LittleEndian, data).map_err(|error| error.to_string())?;
    let Some(mut notes) = notes else { return Ok(()) };
    while let Some(note) = notes.next().map_err(|error| error.to_string())? {
        if note.n_type(LittleEndian) == elf::NT_FILE && note.name() == b"CORE" {
            let word = if Header::Elf::is_type_64_sized() { 8 } else { 4 };
            files(note.desc(), word, mapped).ok_or("its note of mapped files makes no sense")?;
        }
    }
    Ok(())
}

/// The note of files: how many, the unit of offsets, a start, end and offset for each, then
/// the names, each with a NUL behind it.
fn files(note: &[u8], word: usize, mapped: &mut Vec<Mapped>) -> Option<()> {
    let number = |i: usize| {
        let mut bytes = [0; 8];
        bytes[..word].copy_from_slice(note.get(i * word..(i + 1) * word)?);
        Some(u64::from_le_bytes(bytes))
    };
    let (count, unit) = (usize::try_from(number(0)?).ok()?, number(1)?);
    let numbers = count.checked_mul(3)?.checked_add(2)?.checked_mul(word)?;
    let mut names = note.get(numbers..)?;
    for i in 0..count {
        let len = names.iter().position(|&byte| byte == 0)?;
        let name = String::from_utf8_lossy(&names[..len]).into_owned();
        names = &names[len + 1..];
        let [start, end, page] = [number(2 + 3 * i)?, number(3 + 3 * i)?, number(4 + 3 * i)?];
        mapped.push(Mapped { start, end, offset: page.checked_mul(unit)?, name });
    }
    Some(())
}

/// The name and the kind of a region that begins in one of the mappings.
fn name(region: &mut Region, mapped: &[Mapped]) {
    let behind = mapped.partition_point(|mapped| mapped.start <= region.start);
    let Some(mapped) = behind.checked_sub(1).map(|i| &mapped[i]) else { return };
    if region.start < mapped.end {
        // The note has no inode; any but 0 stands for a file.
        region.kind = region::kind(&mapped.name, 1);
        region.offset = mapped.offset.wrapping_add(region.start - mapped.start);
        region.name = mapped.name.clone();
    }
}
