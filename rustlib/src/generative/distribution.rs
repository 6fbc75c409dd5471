//! What an array's elements are distributed like: a pure function of each cell's uniform
//! value, so that a part of an array agrees with the whole, bit for bit.

use std::borrow::Cow;

use super::normal;
#[cfg(target_arch = "x86_64")]
use crate::cpu;
use crate::error::{Error, Result};

/// Integers up to this are all float64 numbers.
const EXACT: f64 = 9_007_199_254_740_992.0;
/// Values from which on the one chosen is searched for by halving.
const MANY: usize = 16;
/// Cells that are compared with one probability after the other.
const BLOCK: usize = 64;

/// Which distribution a [`Distribution`] is. The numbers are part of the C ABI and never
/// reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum DistributionKind {
    /// From `a` to `b`; both may occur.
    Uniform = 0,
    /// Normal, with mean `a` and standard deviation `b`.
    Normal = 1,
    /// The integers from `a` to `b`, the latter not among them.
    Integers = 2,
    /// 1 with probability `a`, otherwise 0.
    Bernoulli = 3,
    /// One of some values.
    Choice = 4,
}

impl DistributionKind {
    const ALL: [DistributionKind; 5] = [
        DistributionKind::Uniform,
        DistributionKind::Normal,
        DistributionKind::Integers,
        DistributionKind::Bernoulli,
        DistributionKind::Choice,
    ];

    /// The one of that number in the C ABI.
    pub fn from_code(code: i32) -> Result<DistributionKind> {
        Self::ALL
            .into_iter()
            .find(|kind| *kind as i32 == code)
            .ok_or_else(|| Error::InvalidArgument(format!("no distribution has the number {code}")))
    }
}

/// A distribution whose parameters make sense.
#[derive(Clone, Debug)]
pub enum Distribution<'a> {
    /// The uniform value itself.
    Unit,
    Uniform {
        low: f64,
        high: f64,
    },
    Normal {
        mean: f64,
        std: f64,
    },
    Integers {
        low: f64,
        count: f64,
    },
    Bernoulli {
        below: f64,
    },
    Choice {
        values: Cow<'a, [f64]>,
        cumulative: Cow<'a, [f64]>,
    },
}

impl<'a> Distribution<'a> {
    pub fn uniform(low: f64, high: f64) -> Result<Distribution<'a>> {
        if !(low <= high && (high - low).is_finite()) {
            return Err(Error::InvalidArgument(format!(
                "uniform from {low} to {high}: expected finite ends, the lower one first"
            )));
        }
        Ok(match (low, high) {
            (0.0, 1.0) => Distribution::Unit,
            _ => Distribution::Uniform { low, high },
        })
    }

    pub fn normal(mean: f64, std: f64) -> Result<Distribution<'a>> {
        if !(mean.is_finite() && std.is_finite() && std >= 0.0) {
            return Err(Error::InvalidArgument(format!(
                "normal with mean {mean} and standard deviation {std}: expected finite numbers, \
                 the deviation not negative"
            )));
        }
        Ok(Distribution::Normal { mean, std })
    }

    pub fn integers(low: f64, high: f64) -> Result<Distribution<'a>> {
        let whole = low.trunc() == low && high.trunc() == high;
        if !(whole && low < high && low >= -EXACT && high <= EXACT && high - low <= EXACT) {
            return Err(Error::InvalidArgument(format!(
                "integers from {low} to {high}: expected at least one and at most 2^53 of them, \
                 none beyond 2^53"
            )));
        }
        Ok(Distribution::Integers { low, count: high - low })
    }

    pub fn bernoulli(p: f64) -> Result<Distribution<'a>> {
        if !(0.0..=1.0).contains(&p) {
            return Err(Error::InvalidArgument(format!(
                "bernoulli with probability {p}: expected one from 0 to 1"
            )));
        }
        // A uniform value may be 1.0, and a certain event happens then too.
        Ok(Distribution::Bernoulli { below: if p == 1.0 { f64::INFINITY } else { p } })
    }

    /// Value i where the uniform value is below `cumulative[i]` and not below the one
    /// before; the last one from there on. Without them all are as likely.
    pub fn choice(values: &'a [f64], cumulative: &'a [f64]) -> Result<Distribution<'a>> {
        let rises = cumulative.windows(2).all(|pair| pair[0] <= pair[1]);
        let fits = cumulative.is_empty() || cumulative.len() == values.len();
        if values.is_empty() || !fits || !rises || cumulative.iter().any(|p| p.is_nan()) {
            return Err(Error::InvalidArgument(format!(
                "choice among {} values with {} cumulative probabilities: expected at least one \
                 value, and none or as many probabilities, which do not fall",
                values.len(),
                cumulative.len()
            )));
        }
        Ok(Distribution::Choice { values: values.into(), cumulative: cumulative.into() })
    }

    /// The same with values of its own.
    pub fn into_owned(self) -> Distribution<'static> {
        match self {
            Distribution::Unit => Distribution::Unit,
            Distribution::Uniform { low, high } => Distribution::Uniform { low, high },
            Distribution::Normal { mean, std } => Distribution::Normal { mean, std },
            Distribution::Integers { low, count } => Distribution::Integers { low, count },
            Distribution::Bernoulli { below } => Distribution::Bernoulli { below },
            Distribution::Choice { values, cumulative } => Distribution::Choice {
                values: values.into_owned().into(),
                cumulative: cumulative.into_owned().into(),
            },
        }
    }

    pub fn is_unit(&self) -> bool {
        matches!(self, Distribution::Unit)
    }

    /// Whether values rise with the cells: where these are apart by 2^-16, always, and where
    /// they are closer, but for rounding.
    pub fn rises(&self) -> bool {
        match self {
            Distribution::Unit
            | Distribution::Uniform { .. }
            | Distribution::Normal { .. }
            | Distribution::Integers { .. } => true,
            Distribution::Bernoulli { .. } | Distribution::Choice { .. } => false,
        }
    }

    /// No value is further from zero.
    pub fn reach(&self) -> f64 {
        match self {
            Distribution::Unit | Distribution::Bernoulli { .. } => 1.0,
            Distribution::Uniform { low, high } => low.abs().max(high.abs()),
            Distribution::Normal { .. } => f64::INFINITY,
            Distribution::Integers { low, count } => low.abs().max((low + count - 1.0).abs()),
            Distribution::Choice { values, .. } => {
                values.iter().fold(0.0, |most, value| most.max(value.abs()))
            }
        }
    }

    /// Replaces uniform values by values of this distribution.
    pub fn apply(&self, cells: &mut [f64]) {
        #[cfg(target_arch = "x86_64")]
        if cpu::path().has_avx2() {
            // SAFETY: the path has AVX2 only where the CPU was seen to have it.
            return unsafe { self.apply_avx2(cells) };
        }
        self.apply_body::<false>(cells);
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn apply_avx2(&self, cells: &mut [f64]) {
        self.apply_body::<true>(cells);
    }

    #[inline(always)]
    fn apply_body<const AVX2: bool>(&self, cells: &mut [f64]) {
        match *self {
            Distribution::Unit => {}
            Distribution::Uniform { low, high } => {
                let width = high - low;
                for cell in cells {
                    // Rounding may pass the end by a bit.
                    let value = low + width * *cell;
                    *cell = if value < high { value } else { high };
                }
            }
            Distribution::Normal { mean, std } => normal::apply::<AVX2>(cells, mean, std),
            Distribution::Integers { low, count } => {
                let last = count - 1.0;
                for cell in cells {
                    let number = (*cell * count).floor();
                    *cell = low + if number < last { number } else { last };
                }
            }
            Distribution::Bernoulli { below } => {
                for cell in cells {
                    *cell = if *cell < below { 1.0 } else { 0.0 };
                }
            }
            Distribution::Choice { ref values, ref cumulative } => {
                choose(values, cumulative, cells);
            }
        }
    }
}

#[inline(always)]
fn choose(values: &[f64], cumulative: &[f64], cells: &mut [f64]) {
    let last = values.len() - 1;
    if cumulative.is_empty() {
        let count = values.len() as f64;
        for cell in cells {
            *cell = values[((*cell * count) as usize).min(last)];
        }
    } else if values.len() < MANY {
        for block in cells.chunks_mut(BLOCK) {
            let mut passed = [0u64; BLOCK];
            for &p in cumulative {
                for (passed, &cell) in passed.iter_mut().zip(block.iter()) {
                    *passed += u64::from(p <= cell);
                }
            }
            for (cell, passed) in block.iter_mut().zip(passed) {
                *cell = values[(passed as usize).min(last)];
            }
        }
    } else {
        for cell in cells {
            *cell = values[cumulative.partition_point(|&p| p <= *cell).min(last)];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(distribution: &Distribution, cell: f64) -> f64 {
        let mut cells = [cell];
        distribution.apply(&mut cells);
        cells[0]
    }

    #[test]
    fn both_ends_stay_inside() {
        let below = 1.0f64.next_down();
        for (distribution, first, last) in [
            (Distribution::uniform(-0.1, 0.7), -0.1, 0.7),
            (Distribution::integers(-3.0, 4.0), -3.0, 3.0),
            (Distribution::integers(0.0, EXACT), 0.0, EXACT - 1.0),
            (Distribution::bernoulli(1.0), 1.0, 1.0),
            (Distribution::bernoulli(0.0), 0.0, 0.0),
            (Distribution::choice(&[5.0, 6.0, 7.0], &[]), 5.0, 7.0),
            (Distribution::choice(&[5.0, 6.0, 7.0], &[0.0, 1.0, f64::INFINITY]), 6.0, 7.0),
        ] {
            let distribution = distribution.expect("it makes sense");
            assert_eq!(one(&distribution, 0.0), first, "{distribution:?}");
            assert_eq!(one(&distribution, 1.0), last, "{distribution:?}");
            assert!(one(&distribution, below) <= last);
        }
    }

    #[test]
    fn many_values_are_found_as_few_are() {
        let values: Vec<f64> = (0..40).map(f64::from).collect();
        let cumulative: Vec<f64> = (1..=40).map(|i| (f64::from(i) / 40.0).powi(2)).collect();
        let distribution = Distribution::choice(&values, &cumulative).expect("it makes sense");
        for i in 0..=1000 {
            let cell = f64::from(i) / 1000.0;
            let wanted = cumulative.iter().filter(|&&p| p <= cell).count().min(39);
            assert_eq!(one(&distribution, cell), wanted as f64);
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let nan = f64::NAN;
        for refused in [
            Distribution::uniform(1.0, 0.0),
            Distribution::uniform(nan, 0.0),
            Distribution::uniform(-f64::MAX, f64::MAX),
            Distribution::normal(0.0, -1.0),
            Distribution::normal(nan, 1.0),
            Distribution::normal(0.0, f64::INFINITY),
            Distribution::integers(3.0, 3.0),
            Distribution::integers(0.5, 3.0),
            Distribution::integers(0.0, EXACT * 2.0),
            Distribution::bernoulli(1.5),
            Distribution::bernoulli(nan),
            Distribution::choice(&[], &[]),
            Distribution::choice(&[1.0, 2.0], &[0.5]),
            Distribution::choice(&[1.0, 2.0], &[0.5, 0.25]),
            Distribution::choice(&[1.0, 2.0], &[0.5, nan]),
        ] {
            assert!(refused.is_err(), "{refused:?}");
        }
    }
}
