//! What a scan asks of each cell.

use crate::error::{Error, Result};

#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Everything: the first scan for an unknown value, and reading anew.
    Any = 0,
    /// `lo <= x <= hi`; NaN is within nothing.
    Within = 1,
    /// Other bits than before.
    Changed = 2,
    /// The same bits as before.
    Unchanged = 3,
    Increased = 4,
    Decreased = 5,
    /// Grown by an amount within `lo..hi`: unsigned 64-bit for integers, the bits of two
    /// doubles for floats.
    IncreasedBy = 6,
    DecreasedBy = 7,
    /// `(new - old) / |old| * 100` within `lo..hi`, the bits of two doubles; never where
    /// the old value is 0.
    Percent = 8,
}

impl Kind {
    pub fn from_code(code: i32) -> Result<Kind> {
        const ALL: [Kind; 9] = [
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
        usize::try_from(code).ok().and_then(|code| ALL.get(code)).copied().ok_or_else(|| {
            Error::InvalidArgument(format!("{code} is no gmem_scan_kind: wanted 0 to 8"))
        })
    }

    /// Whether it asks for a value from before.
    pub fn compares(self) -> bool {
        !matches!(self, Kind::Any | Kind::Within)
    }

    pub fn bounded(self) -> bool {
        matches!(self, Kind::Within | Kind::IncreasedBy | Kind::DecreasedBy | Kind::Percent)
    }
}

/// Which earlier value the new one is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Against<'a> {
    Last,
    First,
    Checkpoint(&'a str),
}

/// The bounds of one type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    pub lo: u64,
    pub hi: u64,
    /// No value of this type can be within.
    pub none: bool,
}

#[derive(Clone, Debug)]
pub struct Test<'a> {
    pub kind: Kind,
    pub against: Against<'a>,
    /// Whether it is turned round: what is not within, and so on.
    pub negate: bool,
    /// One for each type; empty where the kind needs none.
    pub bounds: &'a [Bounds],
}

impl Test<'_> {
    /// The bounds of type `i`.
    pub fn bounds_of(&self, i: usize) -> Bounds {
        self.bounds.get(i).copied().unwrap_or(Bounds { lo: 0, hi: 0, none: false })
    }
}
