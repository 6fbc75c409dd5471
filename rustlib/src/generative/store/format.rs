//! What is in the file: a table of pages, and one row that says whose they are and what they
//! come to all together, so that a file is known to be whole whatever has become of it.

use redb::TableDefinition;

use super::super::Generator;
use super::super::vrns16::fmix64;

pub const PAGES: TableDefinition<u64, &[u8]> = TableDefinition::new("gmemx.pages");
pub const ABOUT: TableDefinition<&str, &[u8]> = TableDefinition::new("gmemx.about");
/// The only row of `ABOUT`.
pub const CONTEXT: &str = "context";
const VERSION: u32 = 1;

/// Who the cells belong to, and what all pages come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About {
    pub seed: u64,
    pub generator: Generator,
    /// How often the file was told of changes.
    pub flushes: u64,
    pub total: Total,
}

/// A sum over pages, to which they are added and from which they are taken in any order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Total {
    pub pages: u64,
    pub cells: u64,
    sum: u64,
}

impl Total {
    pub fn add(&mut self, page: u64, bytes: &[u8]) {
        self.pages = self.pages.wrapping_add(1);
        self.cells = self.cells.wrapping_add(cells_of(bytes));
        self.sum = self.sum.wrapping_add(mixed(page, bytes));
    }

    pub fn remove(&mut self, page: u64, bytes: &[u8]) {
        self.pages = self.pages.wrapping_sub(1);
        self.cells = self.cells.wrapping_sub(cells_of(bytes));
        self.sum = self.sum.wrapping_sub(mixed(page, bytes));
    }
}

fn cells_of(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |mask| u64::from(u64::from_le_bytes(*mask).count_ones()))
}

/// The page's own checksum is its last four bytes.
fn mixed(page: u64, bytes: &[u8]) -> u64 {
    let sum = bytes.last_chunk().map_or(0, |sum| u32::from_le_bytes(*sum));
    fmix64(fmix64(page) ^ u64::from(sum))
}

fn checksum(page: u64, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&page.to_le_bytes()), bytes)
}

/// A page as it is stored: which cells are written, their bits, and a checksum of both and of
/// the page's number.
pub fn encode(page: u64, written: u64, cells: &[u64], into: &mut Vec<u8>) {
    into.clear();
    into.extend(written.to_le_bytes());
    cells.iter().for_each(|cell| into.extend(cell.to_le_bytes()));
    let sum = checksum(page, into);
    into.extend(sum.to_le_bytes());
}

/// Which cells of a stored page are written, and their bits; None where it is damaged.
pub fn decode(page: u64, bytes: &[u8]) -> Option<(u64, impl Iterator<Item = u64>)> {
    let (body, sum) = bytes.split_last_chunk()?;
    let (written, cells) = body.split_first_chunk()?;
    let written = u64::from_le_bytes(*written);
    let (cells, rest) = cells.as_chunks::<8>();
    let whole = checksum(page, body) == u32::from_le_bytes(*sum)
        && page < 1 << 58
        && rest.is_empty()
        && written != 0
        && cells.len() == written.count_ones() as usize;
    whole.then(|| (written, cells.iter().map(|cell| u64::from_le_bytes(*cell))))
}

/// What is wrong with the row of `ABOUT`.
pub enum Unknown {
    Damaged,
    Version(u32),
    Generator(String),
}

impl About {
    pub fn to_bytes(self) -> Vec<u8> {
        let Total { pages, cells, sum } = self.total;
        let mut bytes = VERSION.to_le_bytes().to_vec();
        for number in [self.seed, self.flushes, pages, cells, sum] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(self.generator.name().as_bytes());
        let sum = crc32c::crc32c(&bytes);
        bytes.extend(sum.to_le_bytes());
        bytes
    }

    pub fn from_bytes(bytes: &[u8]) -> Result<About, Unknown> {
        let (body, sum) = bytes.split_last_chunk().ok_or(Unknown::Damaged)?;
        if crc32c::crc32c(body) != u32::from_le_bytes(*sum) {
            return Err(Unknown::Damaged);
        }
        let (version, rest) = body.split_first_chunk().ok_or(Unknown::Damaged)?;
        match u32::from_le_bytes(*version) {
            VERSION => {}
            other => return Err(Unknown::Version(other)),
        }
        let (numbers, name) = rest.split_at_checked(40).ok_or(Unknown::Damaged)?;
        let number = |i: usize| u64::from_le_bytes(numbers.as_chunks::<8>().0[i]);
        let name = String::from_utf8_lossy(name);
        let generator =
            Generator::from_name(&name).map_err(|_| Unknown::Generator(name.into_owned()))?;
        Ok(About {
            seed: number(0),
            generator,
            flushes: number(1),
            total: Total { pages: number(2), cells: number(3), sum: number(4) },
        })
    }
}
