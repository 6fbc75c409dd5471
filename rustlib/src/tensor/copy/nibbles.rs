//! `int4`, packed two to a byte in C order, the low nibble first.

use std::ops::Range;

use super::line::Line;
use super::{EVEN, fragments, share};
use crate::parallel;
use crate::tensor::dtype::{Class, DType};
use crate::tensor::nest::Nest;
use crate::tensor::view::View;

/// Elements unpacked at a time: even, so that each chunk but the last ends a byte.
const CHUNK: usize = 512;

/// Copies where source or target, or both, are `int4`.
pub fn copy(source: &View, target: &View, threads: usize) {
    let threads = parallel::worth(threads, source.len());
    if target.dtype != DType::Int4 {
        let nest = Nest::in_order([target]);
        let line = Line::new(DType::Int8, target.dtype);
        share(target.len(), EVEN, threads, |range| {
            unpack_range(source, target, &nest, line, range)
        });
    } else if source.dtype != DType::Int4 {
        let nest = Nest::in_order([source]);
        let line = Line::new(source.dtype, DType::Int8);
        share(source.len(), EVEN, threads, |range| pack_range(source, target, &nest, line, range));
    } else {
        let n = source.len();
        // SAFETY: `n` nibbles in both; the last byte of an odd number is half used.
        unsafe {
            target.data.copy_from_nonoverlapping(source.data, n.div_ceil(2));
            if n % 2 == 1 {
                *target.data.add(n / 2) &= 0x0f;
            }
        }
    }
}

fn unpack_range(source: &View, target: &View, nest: &Nest<1>, line: Line, range: Range<usize>) {
    let mut chunk = [0; CHUNK];
    fragments(nest, range, |[offset], first, n| {
        let mut done = 0;
        while done < n {
            let some = (n - done).min(CHUNK);
            // SAFETY: elements of both that the views hold.
            unsafe {
                unpack(source.data, first + done, &mut chunk[..some]);
                let at = target.data.offset(offset + done as isize * nest.step[0]);
                line.copy(chunk.as_ptr().cast(), 1, at, nest.step[0], some);
            }
            done += some;
        }
    });
}

/// `range` begins at an even element.
fn pack_range(source: &View, target: &View, nest: &Nest<1>, line: Line, range: Range<usize>) {
    let clamped = source.dtype.class() == Class::Float;
    let mut chunk = [0i8; CHUNK];
    let mut held = 0;
    let mut written = range.start;
    let mut flush = |chunk: &mut [i8]| {
        if clamped {
            // From a float the nearest of the type is taken, as for other integers.
            chunk.iter_mut().for_each(|value| *value = (*value).clamp(-8, 7));
        }
        // SAFETY: the elements from `written` on, which is even, are in this range.
        unsafe { pack(chunk, target.data.add(written / 2)) };
        written += chunk.len();
    };
    fragments(nest, range, |[offset], _, n| {
        let mut done = 0;
        while done < n {
            let some = (n - done).min(CHUNK - held);
            let free = &mut chunk[held..held + some];
            // SAFETY: elements that the source holds.
            unsafe {
                let at = source.data.offset(offset + done as isize * nest.step[0]);
                line.copy(at, nest.step[0], free.as_mut_ptr().cast(), 1, some);
            }
            done += some;
            held += some;
            if held == CHUNK {
                flush(&mut chunk);
                held = 0;
            }
        }
    });
    flush(&mut chunk[..held]);
}

/// The elements from number `first` on.
///
/// # Safety
/// `packed` holds all of them.
unsafe fn unpack(packed: *const u8, first: usize, mut out: &mut [i8]) {
    // SAFETY: byte `k / 2` holds element `k`, and is there for all that are asked for.
    unsafe {
        let mut packed = packed.add(first / 2);
        if first % 2 == 1
            && let [one, rest @ ..] = out
        {
            *one = *packed as i8 >> 4;
            packed = packed.add(1);
            out = rest;
        }
        let (pairs, last) = out.as_chunks_mut::<2>();
        for (i, pair) in pairs.iter_mut().enumerate() {
            let byte = *packed.add(i);
            *pair = [(byte << 4) as i8 >> 4, byte as i8 >> 4];
        }
        if let [last] = last {
            *last = (*packed.add(pairs.len()) << 4) as i8 >> 4;
        }
    }
}

/// The low nibbles of all values; a last one alone has a zero beside it.
///
/// # Safety
/// `packed` takes a byte for every two of them.
unsafe fn pack(values: &[i8], packed: *mut u8) {
    let pairs = values.len() / 2;
    // SAFETY: the caller gives that many bytes.
    unsafe {
        for i in 0..pairs {
            // Both as one number, which the compiler makes SIMD of.
            let pair = u16::from_le(values.as_ptr().add(2 * i).cast::<u16>().read_unaligned());
            packed.add(i).write(((pair & 0x0f) | (pair >> 4 & 0xf0)) as u8);
        }
        if let [last] = values[2 * pairs..] {
            packed.add(pairs).write(last as u8 & 0x0f);
        }
    }
}
