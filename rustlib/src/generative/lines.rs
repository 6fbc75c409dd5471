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
