//! Which cells of some bytes pass a test, 64 at a time.

use super::test::{Bounds, Kind};
use super::types::Cell;
use crate::cpu::{self, Path};

/// Cells looked at together: a bit of a word for each.
const GROUP: usize = 64;

/// A test of cells of one type, ready to run.
pub struct Judge<T> {
    kind: Kind,
    negate: bool,
    none: bool,
    lo: T,
    hi: T,
    bounds: Bounds,
    /// Whether cells are in the other byte order.
    swap: bool,
}

impl<T: Cell> Judge<T> {
    pub fn new(kind: Kind, bounds: Bounds, negate: bool, swap: bool) -> Judge<T> {
        let (lo, hi) = (T::from_bits(bounds.lo), T::from_bits(bounds.hi));
        let swap = swap && size_of::<T>() > 1;
        Judge { kind, negate, none: bounds.none, lo, hi, bounds, swap }
    }

    /// Sets the bits of `found` for those of the cells at `k * step`, k in `0..count`, that
    /// pass. `old` lies as `new` does; it is not looked at where the test asks for no
    /// earlier value. Both reach to the end of the last cell. Tells whether any passed.
    pub fn run(
        &self,
        old: &[u8],
        new: &[u8],
        count: usize,
        step: usize,
        found: &mut [u64],
    ) -> bool {
        assert!(count == 0 || (count - 1) * step + size_of::<T>() <= new.len());
        assert!(!self.kind.compares() || old.len() >= new.len());
        assert!(found.len() >= count.div_ceil(GROUP) && step > 0);
        if self.none || self.kind == Kind::Any {
            return self.all(count, found);
        }
        let old = if self.kind.compares() { old } else { new };
        #[cfg(target_arch = "x86_64")]
        if cpu::path() == Path::Avx2 {
            // SAFETY: the CPU has AVX2, and the lengths were checked.
            return unsafe { self.run_avx2(old.as_ptr(), new.as_ptr(), count, step, found) };
        }
        // SAFETY: the lengths were checked.
        unsafe { self.run_by(old.as_ptr(), new.as_ptr(), count, step, found, pack) }
    }

    /// Where no cell need be looked at.
    fn all(&self, count: usize, found: &mut [u64]) -> bool {
        let passes = (self.kind == Kind::Any && !self.none) != self.negate;
        found[..count.div_ceil(GROUP)].fill(if passes { u64::MAX } else { 0 });
        if passes && !count.is_multiple_of(GROUP) {
            found[count / GROUP] = u64::MAX >> (GROUP - count % GROUP);
        }
        passes && count > 0
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    unsafe fn run_avx2(
        &self,
        old: *const u8,
        new: *const u8,
        count: usize,
        step: usize,
        found: &mut [u64],
    ) -> bool {
        // SAFETY: the caller's.
        unsafe { self.run_by(old, new, count, step, found, |flags| pack_avx2(flags)) }
    }

    /// # Safety
    /// All cells of `old` and `new` can be read.
    #[inline(always)]
    unsafe fn run_by(
        &self,
        old: *const u8,
        new: *const u8,
        count: usize,
        step: usize,
        found: &mut [u64],
        pack: impl Fn(&[u8; GROUP]) -> u64 + Copy,
    ) -> bool {
        let (lo, hi) = (self.lo, self.hi);
        let Bounds { lo: low, hi: high, .. } = self.bounds;
        let (low_percent, high_percent) = (f64::from_bits(low), f64::from_bits(high));
        macro_rules! by {
            ($passes:expr) => {
                // SAFETY: the caller's.
                unsafe { self.groups(old, new, count, step, found, $passes, pack) }
            };
        }
        match self.kind {
            Kind::Any => self.all(count, found),
            Kind::Within if lo == hi => by!(|_, x: T| x == lo),
            Kind::Within => by!(|_, x: T| (x >= lo) & (x <= hi)),
            Kind::Changed => by!(|old: T, x: T| x.differs(old)),
            Kind::Unchanged => by!(|old: T, x: T| !x.differs(old)),
            Kind::Increased => by!(|old: T, x: T| x > old),
            Kind::Decreased => by!(|old: T, x: T| x < old),
            Kind::IncreasedBy => by!(|old: T, x: T| x.grown_within(old, low, high)),
            Kind::DecreasedBy => by!(|old: T, x: T| old.grown_within(x, low, high)),
            Kind::Percent => by!(|old: T, x: T| {
                let (old, x) = (old.to_f64(), x.to_f64());
                let percent = (x - old) / old.abs() * 100.0;
                (old != 0.0) & (percent >= low_percent) & (percent <= high_percent)
            }),
        }
    }

    /// # Safety
    /// As `run_by`.
    #[inline(always)]
    #[allow(clippy::too_many_arguments)]
    unsafe fn groups(
        &self,
        old: *const u8,
        new: *const u8,
        count: usize,
        step: usize,
        found: &mut [u64],
        passes: impl Fn(T, T) -> bool + Copy,
        pack: impl Fn(&[u8; GROUP]) -> u64 + Copy,
    ) -> bool {
        let size = size_of::<T>();
        let negated = if self.negate { u64::MAX } else { 0 };
        // SAFETY (of the four below): the caller's; `at` and what follows it lie inside.
        let direct = |at: usize| unsafe {
            let (old, new) = (old.add(at).cast::<T>(), new.add(at).cast::<T>());
            judge(pack, |j| passes(old.add(j).read_unaligned(), new.add(j).read_unaligned()))
        };
        // Cells that are `stride` bytes apart, or swapped, are laid side by side first.
        let gathered = |at: usize, stride: usize, len: usize| {
            let (mut before, mut after) = ([T::default(); GROUP], [T::default(); GROUP]);
            for j in 0..len {
                unsafe {
                    before[j] = old.add(at + j * stride).cast::<T>().read_unaligned();
                    after[j] = new.add(at + j * stride).cast::<T>().read_unaligned();
                }
            }
            if self.swap {
                for j in 0..GROUP {
                    before[j] = before[j].swapped();
                    after[j] = after[j].swapped();
                }
            }
            judge(pack, |j| passes(before[j], after[j]))
        };
        let (mut k, mut any) = (0, 0);
        if step == size && !self.swap {
            while k + GROUP <= count {
                let bits = direct(k * size) ^ negated;
                found[k / GROUP] = bits;
                any |= bits;
                k += GROUP;
            }
        } else if step < size {
            // Cells overlap: every `ratio`-th lies side by side with the next.
            let ratio = size / step;
            while k + GROUP * ratio <= count {
                let words = &mut found[k / GROUP..k / GROUP + ratio];
                words.fill(0);
                for phase in 0..ratio {
                    let at = (k + phase) * step;
                    let group = if self.swap { gathered(at, size, GROUP) } else { direct(at) };
                    let mut bits = group ^ negated;
                    any |= bits;
                    while bits != 0 {
                        let cell = bits.trailing_zeros() as usize * ratio + phase;
                        words[cell / GROUP] |= 1 << (cell % GROUP);
                        bits &= bits - 1;
                    }
                }
                k += GROUP * ratio;
            }
        }
        while k < count {
            let len = (count - k).min(GROUP);
            let bits = (gathered(k * step, step, len) ^ negated) & (u64::MAX >> (GROUP - len));
            found[k / GROUP] = bits;
            any |= bits;
            k += len;
        }
        any != 0
    }
}

#[inline(always)]
fn judge(pack: impl Fn(&[u8; GROUP]) -> u64, passes: impl Fn(usize) -> bool) -> u64 {
    let mut flags = [0u8; GROUP];
    for (j, flag) in flags.iter_mut().enumerate() {
        *flag = u8::from(passes(j));
    }
    pack(&flags)
}

/// The low bits of 64 bytes as a word.
pub fn pack(flags: &[u8; GROUP]) -> u64 {
    flags.as_chunks::<8>().0.iter().enumerate().fold(0, |word, (i, &eight)| {
        // The product moves the low bit of byte i to bit 56 + i.
        let bits = u64::from_le_bytes(eight).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        word | bits << (8 * i)
    })
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn pack_avx2(flags: &[u8; GROUP]) -> u64 {
    use std::arch::x86_64::{
        _mm256_cmpgt_epi8, _mm256_loadu_si256, _mm256_movemask_epi8, _mm256_setzero_si256,
    };
    let half = |at: usize| {
        // SAFETY: 32 of the 64 bytes.
        let bytes = unsafe { _mm256_loadu_si256(flags[at..at + 32].as_ptr().cast()) };
        _mm256_movemask_epi8(_mm256_cmpgt_epi8(bytes, _mm256_setzero_si256())) as u32
    };
    u64::from(half(0)) | u64::from(half(32)) << 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packing_puts_each_flag_at_its_bit() {
        for bit in 0..64 {
            let mut flags = [0; 64];
            flags[bit] = 1;
            flags[(bit * 7 + 3) % 64] = 1;
            let wanted = 1 << bit | 1 << ((bit * 7 + 3) % 64);
            assert_eq!(pack(&flags), wanted);
            #[cfg(target_arch = "x86_64")]
            if std::arch::is_x86_feature_detected!("avx2") {
                // SAFETY: the CPU has it.
                assert_eq!(unsafe { pack_avx2(&flags) }, wanted);
            }
        }
    }
}
