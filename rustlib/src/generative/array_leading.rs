//! Sums of elements that follow from the leading bits of their cells, which are not made.
//!
//! Uniform elements are `low + width * u`, so their sums follow from those of u. Integers and
//! events are the number of steps that u has passed, mostly known from its leading word.

use super::array::{Array, round};
use super::distribution::Distribution;
use super::leading::Untouched;
use super::vrns16;
use super::vrns16::planes::RUN;
use crate::cpu;
use crate::tensor::DType;

/// Words that are looked at together: one of them in doubt, and all are looked at again.
const STEP: usize = 64;
/// More integers than this have too many words in doubt, and squares beyond 16 bits.
const MOST: f64 = 256.0;
/// Integers up to this are all float32 numbers.
const EXACT_SINGLE: f64 = 16_777_216.0;

/// The mean of elements, and the sum of their squared distances from it.
pub fn moments(array: &Array, part: &Untouched) -> Option<(f64, f64)> {
    let cells = part.cells() as f64;
    if let Some((low, width)) = stretch(array) {
        let (sum, squares) = part.moments();
        return Some((low + width * (0.5 + sum / cells), squares * width * width));
    }
    let steps = Steps::of(array)?;
    let (sum, squares) = steps.count(part);
    let about_mean = i128::from(squares) * part.cells() as i128 - i128::from(sum).pow(2);
    Some((steps.low + sum as f64 / cells, about_mean as f64 / cells))
}

/// The sum of elements.
pub fn sum(array: &Array, part: &Untouched) -> Option<f64> {
    let cells = part.cells() as f64;
    // By the mean, as neither `low` nor `width` times all cells need be a number.
    let uniform = stretch(array).map(|(low, width)| (low + width * (part.sum() / cells)) * cells);
    uniform.or_else(|| integers(array, part).map(|sum| sum as f64))
}

/// The sum of elements that are integers, without an error.
pub fn integers(array: &Array, part: &Untouched) -> Option<i128> {
    let steps = Steps::of(array)?;
    Some(steps.low as i128 * part.cells() as i128 + i128::from(steps.count(part).0))
}

/// `low` and `width` where elements are `low + width * u`.
fn stretch(array: &Array) -> Option<(f64, f64)> {
    match array.distribution {
        _ if array.dtype != DType::Float64 => None,
        Distribution::Unit => Some((0.0, 1.0)),
        Distribution::Uniform { low, high } => Some((low, high - low)),
        _ => None,
    }
}

/// Elements that are `low` and the number of steps that a cell has passed.
struct Steps<'a> {
    array: &'a Array<'a>,
    low: f64,
}

impl<'a> Steps<'a> {
    /// None where they are not, or too many.
    fn of(array: &'a Array<'a>) -> Option<Steps<'a>> {
        let (low, last) = match array.distribution {
            Distribution::Integers { low, count } if count <= MOST => (low, low + count - 1.0),
            Distribution::Bernoulli { .. } => (0.0, 1.0),
            _ => return None,
        };
        let mut ends = [low, last];
        round(array.dtype, &mut ends);
        let whole = array.dtype != DType::Float32 || array.distribution.reach() <= EXACT_SINGLE;
        (whole && ends == [low, last]).then_some(Steps { array, low })
    }

    /// The sum of the numbers of steps, and that of their squares.
    fn count(&self, part: &Untouched) -> (u64, u64) {
        let cells = part.cells() as u64;
        match self.array.distribution {
            Distribution::Integers { count, .. } => {
                let count = count as u16;
                self.count_by(part, move |word| {
                    let word = word as u16 ^ 0x8000;
                    let number = (u32::from(word) * u32::from(count)) >> 16;
                    // A word further on, `u * count` may have passed an integer.
                    let doubt = word.wrapping_mul(count).saturating_sub(u16::MAX - count);
                    (number as u16, doubt)
                })
            }
            Distribution::Bernoulli { below } => {
                // Rounded up, u may be where the next word begins.
                let doubt = (below * 65536.0).ceil() - 1.0;
                if doubt < 0.0 {
                    return (0, 0);
                }
                if doubt > 65535.0 {
                    return (cells, cells);
                }
                let doubt = (doubt as u16 ^ 0x8000) as i16;
                self.count_by(part, move |word| (u16::from(word < doubt), u16::from(word == doubt)))
            }
            _ => (0, 0),
        }
    }

    /// `number` gives the steps below all cells of a leading word, less than 256, and not zero
    /// where there may be more below some of them.
    #[inline(always)]
    fn count_by(&self, part: &Untouched, number: impl Fn(i16) -> (u16, u16) + Copy) -> (u64, u64) {
        let (mut sum, mut squares) = (0, 0);
        part.words(|x, words| {
            let (groups, _) = words.as_chunks::<STEP>();
            let mut doubts = [0; RUN / STEP];
            cpu::dispatch(|| {
                for (doubts, words) in doubts.iter_mut().zip(groups) {
                    let (mut few, mut few_squares) = (0u16, 0i32);
                    for &word in words {
                        let (number, doubt) = number(word);
                        few += number;
                        few_squares += i32::from(number as i16) * i32::from(number as i16);
                        *doubts |= doubt;
                    }
                    sum += u64::from(few);
                    squares += few_squares as u64;
                }
            });
            for (i, _) in doubts.iter().enumerate().filter(|(_, doubts)| **doubts != 0) {
                for (x, &word) in (x + (i * STEP) as u64..).zip(&groups[i]) {
                    let (number, doubt) = number(word);
                    if doubt != 0 {
                        let mut cell = [vrns16::value(0, x)];
                        self.array.distribution.apply(&mut cell);
                        let more = (cell[0] - self.low) as u64 - u64::from(number);
                        sum += more;
                        squares += more * (more + 2 * u64::from(number));
                    }
                }
            }
        });
        (sum, squares)
    }
}
