//! Results that are made in any order, streamed in whole lines of memory.
//!
//! A stream of less than a line costs as much as several whole ones. So what different parts
//! of a result have of one line waits in the near caches until all of it is made.

use super::array::Held;
use super::streaming;

/// Bytes of a line of memory.
pub const BYTES: usize = 64;

/// Elements that fill a line, in an array.
pub trait Line<T>: Copy + AsRef<[T]> + AsMut<[T]> {
    fn of(element: T) -> Self;
}

impl<T: Copy, const N: usize> Line<T> for [T; N]
where
    [T; N]: AsRef<[T]> + AsMut<[T]>,
{
    fn of(element: T) -> [T; N] {
        [element; N]
    }
}

/// A line that several parts share, and a bit for each element that is made and waits.
#[derive(Clone, Copy)]
struct Shared<L> {
    line: L,
    waiting: u64,
    /// Where in the result it begins: before it, wrapping, perhaps.
    at: usize,
}

/// Where results go.
pub struct Lines<'a, T: Held> {
    out: &'a mut [T],
    shared: Vec<Shared<T::Line>>,
}

impl<'a, T: Held> Lines<'a, T> {
    const LENGTH: usize = BYTES / size_of::<T>();

    pub fn new(out: &'a mut [T]) -> Lines<'a, T> {
        Lines { out, shared: Vec::new() }
    }

    /// Room for lines `0..count` that are shared; what waits has been written.
    pub fn share(&mut self, count: usize) {
        self.shared.clear();
        let empty = Shared { line: T::Line::of(T::from_cell(0.0)), waiting: 0, at: 0 };
        self.shared.resize(count, empty);
    }

    /// The result from a place on.
    pub fn part(&mut self, at: usize, count: usize) -> &mut [T] {
        &mut self.out[at..at + count]
    }

    /// A place in the result, counted within its line.
    fn within(&self, at: usize) -> usize {
        (self.out.as_ptr().addr() / size_of::<T>() + at) % Self::LENGTH
    }

    /// How many lines end in `count` elements from `at` on, if two parts meet in each.
    pub fn ends(&self, at: usize, count: usize) -> bool {
        self.within(at) + count >= Self::LENGTH
    }

    /// Streams what fills lines. What does not goes to the shared lines of these numbers, at
    /// the front and at the end; without one at the end it is left, and its length returned.
    pub fn put(&mut self, at: usize, made: &[T], before: usize, behind: Option<usize>) -> usize {
        let head = ((Self::LENGTH - self.within(at)) % Self::LENGTH).min(made.len());
        let body = (made.len() - head) / Self::LENGTH * Self::LENGTH;
        streaming::copy(&made[head..head + body], self.part(at + head, body));
        if head > 0 {
            self.wait(before, at, &made[..head]);
        }
        let tail = &made[head + body..];
        match behind {
            Some(line) if !tail.is_empty() => self.wait(line, at + head + body, tail),
            Some(_) => {}
            None => return tail.len(),
        }
        0
    }

    fn wait(&mut self, number: usize, at: usize, made: &[T]) {
        let from = self.within(at);
        let shared = &mut self.shared[number];
        shared.line.as_mut()[from..from + made.len()].copy_from_slice(made);
        shared.waiting |= (u64::MAX >> (64 - made.len())) << from;
        shared.at = at.wrapping_sub(from);
        if shared.waiting == u64::MAX >> (64 - Self::LENGTH) {
            shared.waiting = 0;
            let (line, at) = (shared.line, shared.at);
            streaming::copy(line.as_ref(), self.part(at, Self::LENGTH));
        }
    }

    /// Writes what still waits: the rest of its line is of others, or went its own way.
    pub fn end(&mut self) {
        for shared in self.shared.iter().filter(|shared| shared.waiting != 0) {
            for i in (0..Self::LENGTH).filter(|i| shared.waiting >> i & 1 == 1) {
                self.out[shared.at.wrapping_add(i)] = shared.line.as_ref()[i];
            }
        }
        streaming::end();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Parts that follow each other, made in any order, and each in two pieces where that can
    /// be: every element arrives where it belongs, and nothing else is touched.
    fn check<T: Held + PartialEq + std::fmt::Debug>(from: usize, counts: &[usize], order: usize) {
        let length = counts.iter().sum::<usize>();
        let wanted = (0..length).map(|i| T::from_cell((i % 90 + 1) as f64)).collect::<Vec<_>>();
        let mut out = vec![T::from_cell(0.0); from + length + 100];
        let mut lines = Lines::new(&mut out);
        let mut parts = Vec::new();
        let (mut at, mut line) = (from, 0);
        for &count in counts {
            let behind = line + usize::from(lines.ends(at, count));
            parts.push((at, count, line, behind));
            (at, line) = (at + count, behind);
        }
        lines.share(line + 1);
        parts.sort_by_key(|&(at, ..)| at.wrapping_mul(order | 1) % 1009);
        for (at, count, before, behind) in parts {
            let made = &wanted[at - from..][..count];
            let first = if count >= 2 * BYTES { count / 2 } else { 0 };
            let kept = match first {
                0 => 0,
                _ => lines.put(at, &made[..first], before, None),
            };
            let rest = first - kept;
            assert_eq!(lines.put(at + rest, &made[rest..], before, Some(behind)), 0);
        }
        lines.end();
        assert_eq!(&out[from..from + length], wanted);
        let zero = T::from_cell(0.0);
        assert!(out[..from].iter().chain(&out[from + length..]).all(|&element| element == zero));
    }

    proptest! {
        #[test]
        fn all_arrive_in_any_order(
            from in 0usize..64,
            counts in prop::collection::vec(prop_oneof![1usize..20, 1usize..400], 1..40),
            order in any::<usize>(),
        ) {
            check::<f64>(from, &counts, order);
            check::<f32>(from, &counts, order);
            check::<i16>(from, &counts, order);
            check::<u8>(from, &counts, order);
        }
    }
}
