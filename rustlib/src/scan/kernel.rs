//! Which cells of some bytes pass a test, 64 at a time.

use super::matches::for_each_bit;
use super::test::{Bounds, Kind};
use super::types::Cell;
#[cfg(target_arch = "x86_64")]
use crate::cpu;

/// Cells looked at together: a bit of a word for each.
const GROUP: usize = 64;
/// Groups of one phase that are looked at together, where cells overlap.
const PHASE_GROUPS: usize = 16;

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
        let size = size_of::<T>();
        let (mut k, mut any) = (0, 0);
        if step == size && !self.swap {
            let groups = count / GROUP;
            any |= self.groups(old, new, &mut found[..groups]);
            k = groups * GROUP;
        } else if step < size && !self.swap {
            // Cells overlap: every `ratio`-th lies side by side with the next.
            let ratio = size / step;
            while k + GROUP * ratio <= count {
                let groups = ((count - k) / (GROUP * ratio)).min(PHASE_GROUPS);
                let words = &mut found[k / GROUP..k / GROUP + groups * ratio];
                words.fill(0);
                for phase in 0..ratio {
                    let mut some = [0; PHASE_GROUPS];
                    let from = (k + phase) * step;
                    any |= self.groups(&old[from..], &new[from..], &mut some[..groups]);
                    for_each_bit(&some[..groups], |i| {
                        let cell = i * ratio + phase;
                        words[cell / GROUP] |= 1 << (cell % GROUP);
                    });
                }
                k += groups * GROUP * ratio;
            }
        }
        while k < count {
            let len = (count - k).min(GROUP);
            let mut bits = [0];
            self.groups(
                &self.gather(&old[k * step..], step, len),
                &self.gather(&new[k * step..], step, len),
                &mut bits,
            );
            found[k / GROUP] = bits[0] & (u64::MAX >> (GROUP - len));
            any |= found[k / GROUP];
            k += len;
        }
        any != 0
    }

    /// `len` cells that are `step` bytes apart, side by side and in this machine's byte order.
    fn gather(&self, bytes: &[u8], step: usize, len: usize) -> [u8; GROUP * 8] {
        let size = size_of::<T>();
        let mut side_by_side = [0; GROUP * 8];
        for (j, cell) in side_by_side.chunks_exact_mut(size).take(len).enumerate() {
            cell.copy_from_slice(&bytes[j * step..j * step + size]);
            if self.swap {
                cell.reverse();
            }
        }
        side_by_side
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

    /// A word of `found` for each 64 cells that lie side by side, and all words or-ed.
    fn groups(&self, old: &[u8], new: &[u8], found: &mut [u64]) -> u64 {
        let len = found.len() * GROUP * size_of::<T>();
        assert!(old.len() >= len && new.len() >= len);
        #[cfg(target_arch = "x86_64")]
        if cpu::path().has_avx2() {
            // SAFETY: the CPU has AVX2, and the lengths were checked.
            return unsafe { self.groups_avx2(old.as_ptr(), new.as_ptr(), found) };
        }
        // SAFETY: the lengths were checked.
        unsafe { self.groups_by(old.as_ptr(), new.as_ptr(), found, pack) }
    }

    /// # Safety
    /// As `groups_by`; the CPU has AVX2.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    unsafe fn groups_avx2(&self, old: *const u8, new: *const u8, found: &mut [u64]) -> u64 {
        // SAFETY: the caller's.
        unsafe { self.groups_by(old, new, found, |flags| pack_avx2(flags)) }
    }

    /// # Safety
    /// `old` and `new` have 64 cells for each word of `found`.
    #[inline(always)]
    unsafe fn groups_by(
        &self,
        old: *const u8,
        new: *const u8,
        found: &mut [u64],
        pack: impl Fn(&[u8; GROUP]) -> u64 + Copy,
    ) -> u64 {
        let (lo, hi) = (self.lo, self.hi);
        let Bounds { lo: low, hi: high, .. } = self.bounds;
        let (low_percent, high_percent) = (f64::from_bits(low), f64::from_bits(high));
        let negated = if self.negate { u64::MAX } else { 0 };
        macro_rules! by {
            ($passes:expr) => {{
                // SAFETY: the caller's.
                let passes = |at: usize| unsafe {
                    $passes(
                        old.cast::<T>().add(at).read_unaligned(),
                        new.cast::<T>().add(at).read_unaligned(),
                    )
                };
                let (mut any, mut likely) = (0, false);
                for (i, word) in found.iter_mut().enumerate() {
                    let first = i * GROUP;
                    // Most groups have no match: to see that takes half of what bits take.
                    if !likely && !(0..GROUP).fold(false, |some, j| some | passes(first + j)) {
                        *word = negated;
                    } else {
                        let mut flags = [0u8; GROUP];
                        for (j, flag) in flags.iter_mut().enumerate() {
                            *flag = u8::from(passes(first + j));
                        }
                        let bits = pack(&flags);
                        likely = bits != 0;
                        *word = bits ^ negated;
                    }
                    any |= *word;
                }
                any
            }};
        }
        match self.kind {
            Kind::Any => 0,
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
