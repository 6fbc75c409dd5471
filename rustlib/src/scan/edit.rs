//! Values read and written at many addresses, and arithmetic on matches in place.

use super::scanner::{Scanner, swap};
use super::source::{Part, Source};
use super::types::{Cell, ValueType, with_cell};
use crate::error::{Error, Result};

/// Addresses that are read or written in one go.
const BATCH: usize = 4096;

/// Reads `size` bytes at each address; `there` tells where that was possible.
pub fn read_many(
    source: &dyn Source,
    addresses: &[u64],
    size: usize,
    into: &mut [u8],
    there: &mut [u8],
) -> Result<()> {
    let mut parts = Vec::with_capacity(addresses.len().min(BATCH));
    let batches = addresses.chunks(BATCH).zip(into.chunks_mut(BATCH * size));
    for ((addresses, into), there) in batches.zip(there.chunks_mut(BATCH)) {
        parts.clear();
        parts.extend(addresses.iter().enumerate().map(|(i, &address)| Part {
            address,
            offset: i * size,
            len: size,
            got: 0,
        }));
        source.read_parts(&mut parts, into)?;
        for (part, there) in parts.iter().zip(there) {
            *there = u8::from(part.got == size);
        }
    }
    Ok(())
}

/// Writes `bytes` and reads them back; gives how many were written.
pub fn write(source: &dyn Source, address: u64, bytes: &[u8], force: bool) -> Result<usize> {
    let mut before = vec![0; bytes.len()];
    let known = source.read(address, &mut before)?;
    let written = source.write(address, bytes, force)?;
    let mut after = vec![0; written];
    let read = source.read(address, &mut after)?;
    // The target may have written another value since; the old one means that ours was lost.
    if known >= written
        && read == written
        && after != bytes[..written]
        && after == before[..written]
    {
        return Err(Error::Io {
            what: format!("{written} bytes written at {address:#x} did not stay"),
            source: std::io::ErrorKind::Other.into(),
        });
    }
    Ok(written)
}

/// Writes `size` bytes at each address; `done` tells where that was possible.
pub fn write_many(
    source: &dyn Source,
    addresses: &[u64],
    size: usize,
    values: &[u8],
    force: bool,
    done: &mut [u8],
) -> Result<()> {
    for ((&address, value), done) in addresses.iter().zip(values.chunks_exact(size)).zip(done) {
        *done = u8::from(write(source, address, value, force)? == size);
    }
    Ok(())
}

/// What is done to each value.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edit {
    Set = 0,
    Add = 1,
    Subtract = 2,
    Multiply = 3,
    /// Integers are rounded towards zero.
    Divide = 4,
}

impl Edit {
    pub fn from_code(code: i32) -> Result<Edit> {
        const ALL: [Edit; 5] = [Edit::Set, Edit::Add, Edit::Subtract, Edit::Multiply, Edit::Divide];
        usize::try_from(code).ok().and_then(|code| ALL.get(code)).copied().ok_or_else(|| {
            Error::InvalidArgument(format!("{code} is no gmem_scan_edit: wanted 0 to 4"))
        })
    }
}

/// Arithmetic that says where a result does not fit.
trait Arithmetic: Cell {
    fn edited(self, edit: Edit, operand: Self) -> Option<Self>;
    fn is_zero(self) -> bool;
    fn shown(self) -> String;
}

macro_rules! integers {
    ($($T:ty),*) => {$(
        impl Arithmetic for $T {
            fn edited(self, edit: Edit, operand: $T) -> Option<$T> {
                match edit {
                    Edit::Set => Some(operand),
                    Edit::Add => self.checked_add(operand),
                    Edit::Subtract => self.checked_sub(operand),
                    Edit::Multiply => self.checked_mul(operand),
                    Edit::Divide => self.checked_div(operand),
                }
            }
            fn is_zero(self) -> bool {
                self == 0
            }
            fn shown(self) -> String {
                self.to_string()
            }
        }
    )*};
}
integers!(i8, u8, i16, u16, i32, u32, i64, u64);

macro_rules! floats {
    ($($T:ty),*) => {$(
        impl Arithmetic for $T {
            fn edited(self, edit: Edit, operand: $T) -> Option<$T> {
                let result = match edit {
                    Edit::Set => return Some(operand),
                    Edit::Add => self + operand,
                    Edit::Subtract => self - operand,
                    Edit::Multiply => self * operand,
                    Edit::Divide => self / operand,
                };
                (result.is_finite() || !self.is_finite() || !operand.is_finite()).then_some(result)
            }
            fn is_zero(self) -> bool {
                self == 0.0
            }
            fn shown(self) -> String {
                format!("{self:?}")
            }
        }
    )*};
}
floats!(f32, f64);

/// Changes `values`, all or none of them.
fn change(
    value_type: ValueType,
    edit: Edit,
    operand: u64,
    addresses: &[u64],
    values: &mut [u8],
) -> Result<()> {
    let size = value_type.size();
    with_cell!(value_type, T => {
        let operand = <T as Cell>::from_bits(operand);
        if edit == Edit::Divide && operand.is_zero() {
            return Err(Error::InvalidArgument("division by zero".into()));
        }
        for (cell, address) in values.chunks_exact_mut(size).zip(addresses) {
            let mut bits = [0; 8];
            bits[..size].copy_from_slice(cell);
            let old = <T as Cell>::from_bits(u64::from_le_bytes(bits));
            let new = old.edited(edit, operand).ok_or_else(|| {
                let (sign, name) = (sign_of(edit), value_type.name());
                let (old, operand) = (old.shown(), operand.shown());
                Error::Overflow(format!("{old} {sign} {operand} at {address:#x} does not fit in {name}"))
            })?;
            cell.copy_from_slice(&Cell::to_bits(new).to_le_bytes()[..size]);
        }
    });
    Ok(())
}

fn sign_of(edit: Edit) -> &'static str {
    match edit {
        Edit::Set => "=",
        Edit::Add => "+",
        Edit::Subtract => "-",
        Edit::Multiply => "*",
        Edit::Divide => "/",
    }
}

impl Scanner {
    /// Changes the values at `addresses`, or at all matches, by an operand for each type;
    /// gives how many were written. Nothing is, where a result would not fit.
    pub fn edit(
        &self,
        edit: Edit,
        operands: &[u64],
        addresses: Option<&[u64]>,
        force: bool,
    ) -> Result<u64> {
        let layouts = self.layouts();
        if operands.len() != layouts.len() {
            return Err(Error::InvalidArgument(format!(
                "{} operands for {} types",
                operands.len(),
                layouts.len()
            )));
        }
        let mut jobs = Vec::new();
        if let Some(addresses) = addresses {
            let [layout] = layouts else {
                return Err(Error::InvalidArgument(format!(
                    "a scanner of {} types does not tell the type at an address",
                    layouts.len()
                )));
            };
            jobs.push((layout.value_type, operands[0], addresses.to_vec()));
        } else {
            for (matches, &operand) in self.found()?.matches.iter().zip(operands) {
                let count = matches.count();
                let mut addresses = Vec::new();
                addresses.try_reserve_exact(count as usize).map_err(|_| {
                    Error::OutOfMemory("out of memory: no room for the addresses of all matches")
                })?;
                addresses.resize(count as usize, 0);
                matches.addresses(0, &mut addresses)?;
                jobs.push((matches.value_type, operand, addresses));
            }
        }
        let source = &**self.source();
        let mut ready = Vec::new();
        for (value_type, operand, addresses) in jobs {
            let size = value_type.size();
            let (mut values, mut there) =
                (vec![0; addresses.len() * size], vec![0; addresses.len()]);
            read_many(source, &addresses, size, &mut values, &mut there)?;
            if let Some(i) = there.iter().position(|&there| there == 0) {
                let address = addresses[i];
                return Err(Error::OutOfRange(format!("there is no memory at {address:#x}")));
            }
            if self.swapped() {
                swap(&mut values, size);
            }
            change(value_type, edit, operand, &addresses, &mut values)?;
            if self.swapped() {
                swap(&mut values, size);
            }
            ready.push((size, addresses, values, there));
        }
        let mut written = 0;
        for (size, addresses, values, mut done) in ready {
            write_many(source, &addresses, size, &values, force, &mut done)?;
            written += done.iter().filter(|&&done| done != 0).count() as u64;
        }
        Ok(written)
    }
}
