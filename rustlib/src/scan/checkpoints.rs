//! Values of an earlier moment, looked up by address.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::arena::Store;
use super::matches::{Matches, Span, Values};
use super::next::narrow;
use super::plan::Control;
use super::scanner::Found;
use super::types::{Cell, ValueType, with_cell};
use crate::error::{Error, Result};

/// Appends the value that each match of `span` had in `saved`, and clears the bits in
/// `there` of those that are not in it.
pub fn lookup(
    saved: &Matches,
    span: &Span,
    step: usize,
    size: usize,
    into: &mut Vec<u8>,
    there: &mut [u64],
) {
    let from = into.len();
    into.resize(from + span.cells.count() as usize * size, 0);
    let into = &mut into[from..];
    let mut known = vec![0u64; there.len()];
    let mut wanted = Vec::with_capacity(span.cells.count() as usize);
    span.cells.for_each(|k| wanted.push(span.base + k * step as u64));
    let (Some(&first), Some(&last)) = (wanted.first(), wanted.last()) else { return };
    let spans = &saved.spans;
    let begin = spans.partition_point(|other| end_of(other, step) <= first);
    for other in spans[begin..].iter().take_while(|other| other.base <= last) {
        let mut i = wanted.partition_point(|&address| address < other.base);
        let mut found = |i: usize, value: &[u8]| {
            known[i / 64] |= 1 << (i % 64);
            into[i * size..(i + 1) * size].copy_from_slice(value);
        };
        if let Values::Zero = other.current {
            let end = end_of(other, step);
            while i < wanted.len() && wanted[i] < end {
                found(i, &[0; 8][..size]);
                i += 1;
            }
            continue;
        }
        let mut number = 0;
        other.cells.for_each(|k| {
            let address = other.base + k * step as u64;
            while i < wanted.len() && wanted[i] < address {
                i += 1;
            }
            if i < wanted.len() && wanted[i] == address {
                let (bytes, at) = match &other.current {
                    Values::Whole(bytes) => (bytes.get(), k as usize * step),
                    Values::Packed(bytes) => (bytes.get(), number * size),
                    Values::Zero => (&[0; 8][..], 0),
                };
                found(i, &bytes[at..at + size]);
            }
            number += 1;
        });
    }
    there.iter_mut().zip(known).for_each(|(there, known)| *there &= known);
}

/// One behind the address of the last cell.
fn end_of(span: &Span, step: usize) -> u64 {
    span.base + span.cells.last() * step as u64 + 1
}

/// The matches that changed alike between three checkpoints, to `margin` percent.
pub fn alike(
    matches: &[Matches],
    saved: [&[Matches]; 3],
    (margin, swap): (f64, bool),
    store: &Arc<Store>,
    control: &mut Control,
) -> Result<Found> {
    let total: u64 = matches.iter().map(Matches::count).sum();
    let mut done = 0;
    let mut stopped = false;
    let mut all = Vec::with_capacity(matches.len());
    for (i, matches) in matches.iter().enumerate() {
        let (step, size) = (matches.step, matches.value_type.size());
        let mut values = [Vec::new(), Vec::new(), Vec::new()];
        all.push(narrow(matches, store, |span, chosen| {
            if stopped {
                return;
            }
            let count = span.cells.count() as usize;
            let mut there = vec![u64::MAX; count.div_ceil(64)];
            for (values, saved) in values.iter_mut().zip(saved) {
                values.clear();
                lookup(&saved[i], span, step, size, values, &mut there);
            }
            let [a, b, c] = &values;
            let cell = |values: &[u8], i: usize| {
                let mut bytes = [0; 8];
                bytes[..size].copy_from_slice(&values[i * size..(i + 1) * size]);
                if swap {
                    bytes[..size].reverse();
                }
                u64::from_le_bytes(bytes)
            };
            chosen.extend((0..count).filter(|&i| there[i / 64] >> (i % 64) & 1 != 0).filter_map(
                |i| {
                    let three = [cell(a, i), cell(b, i), cell(c, i)];
                    within_margin(matches.value_type, three, margin).then_some(i as u32)
                },
            ));
            done += count as u64;
            stopped = control.cancel.load(Ordering::Relaxed) != 0 || (control.tick)(done, total);
        })?);
        if stopped {
            return Err(Error::Cancelled);
        }
    }
    Ok(Found { matches: all, skipped: Vec::new() })
}

fn within_margin(value_type: ValueType, three: [u64; 3], margin: f64) -> bool {
    // Deltas of integers are exact: they fit in 65 bits.
    let (d1, d2, nearly_zero) = with_cell!(value_type, T => {
        let [a, b, c] = three.map(<T as Cell>::from_bits);
        let (d1, d2) = (b.minus(a), c.minus(b));
        (d1, d2, d1 == 0.0 && d2 == 0.0 || T::rounding(a, b, c) >= d1.abs().max(d2.abs()))
    });
    // NaN passes nothing.
    nearly_zero || (d1 - d2).abs() / d1.abs().max(d2.abs()) * 100.0 <= margin
}
