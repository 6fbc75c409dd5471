//! CRC-32C (Castagnoli) of a tensor's bytes, as they would lie in C order.

use std::ops::Range;
use std::sync::Mutex;

use super::element::{Element, with_element};
use super::nest::Nest;
use super::segments::{gather, segments};
use super::view::View;
use crate::parallel;

/// Bytes that a thread takes at a time.
const SHARE: usize = 4 << 20;
/// Bytes that are put in a row before they are summed up.
const BUFFER: usize = 16 << 10;

/// The CRC-32C of the elements' bytes in C order. Packed `int4` is passed as the
/// `uint8` it is packed into.
pub fn crc32c(view: &View, threads: usize) -> u32 {
    let nest = Nest::in_order([view]);
    let total = nest.rows * nest.len;
    let share = SHARE / view.itemsize();
    let shares = total.div_ceil(share);
    let threads = parallel::worth(threads, total);
    let of = |i: usize| {
        let range = i * share..((i + 1) * share).min(total);
        let bytes = range.len() * view.itemsize();
        (with_element!(view.dtype, T => part::<T>(view, &nest, range)), bytes)
    };
    if threads <= 1 {
        return with_element!(view.dtype, T => part::<T>(view, &nest, 0..total));
    }
    let sums: Vec<Mutex<(u32, usize)>> = (0..shares).map(|_| Mutex::default()).collect();
    parallel::share_out(threads, shares, |mine| {
        for i in mine {
            if let Ok(mut sum) = sums[i].lock() {
                *sum = of(i);
            }
        }
    });
    sums.into_iter()
        .flat_map(Mutex::into_inner)
        .fold(0, |before, (sum, bytes)| ::crc32c::crc32c_combine(before, sum, bytes))
}

/// The checksum of some elements.
fn part<T: Element>(view: &View, nest: &Nest<1>, range: Range<usize>) -> u32 {
    let size = size_of::<T::Raw>();
    let contiguous = nest.step[0] == size as isize;
    let mut buffer = [0; BUFFER];
    let (mut sum, mut filled) = (0, 0);
    segments(nest, range, |[offset], count| {
        let first = view.data.cast_const().wrapping_offset(offset);
        if contiguous && count * size >= BUFFER / 4 {
            sum = ::crc32c::crc32c_append(sum, &buffer[..filled]);
            filled = 0;
            // SAFETY: the caller of `crc32c` vouches for the elements, which lie in a
            // row here.
            let bytes = unsafe { std::slice::from_raw_parts(first, count * size) };
            sum = ::crc32c::crc32c_append(sum, bytes);
            return;
        }
        let mut done = 0;
        while done < count {
            if filled == BUFFER {
                sum = ::crc32c::crc32c_append(sum, &buffer);
                filled = 0;
            }
            let now = (count - done).min((BUFFER - filled) / size);
            let room = buffer[filled..filled + now * size].as_mut_ptr().cast::<T::Raw>();
            let from = first.wrapping_offset(done as isize * nest.step[0]);
            // SAFETY: as above for what is read; the room is as long, and `Raw` is an
            // array of bytes.
            unsafe { gather(from, nest.step[0], std::slice::from_raw_parts_mut(room, now)) };
            filled += now * size;
            done += now;
        }
    });
    ::crc32c::crc32c_append(sum, &buffer[..filled])
}
