//! Copies against a model that goes from index to index.

use gmemx::tensor::dtype::Class;
use gmemx::tensor::view::{Shape, Strides};
use gmemx::tensor::{DType, Scratch, View, copy};
use proptest::prelude::*;

/// What target memory holds beforehand: it must stay where no element lies.
const CANARY: u8 = 0xa5;

/// Memory and how a view of it lies in there.
#[derive(Clone, Debug)]
struct Array {
    dtype: DType,
    shape: Shape,
    strides: Strides,
    first: isize,
    memory: Vec<u8>,
}

/// How one dimension is laid out.
#[derive(Clone, Copy, Debug)]
struct Layout {
    /// Dimensions with higher ranks vary slower.
    rank: u32,
    gap: usize,
    reversed: bool,
    repeated: bool,
}

impl Array {
    fn new(
        dtype: DType,
        shape: &[usize],
        layouts: &[Layout],
        offset: usize,
        target: bool,
    ) -> Array {
        let size = (dtype.bits() / 8).max(1) as isize;
        let mut order: Vec<usize> = (0..shape.len()).collect();
        order.sort_by_key(|&d| layouts[d].rank);
        let mut strides = Strides::from_elem(0, shape.len());
        let (mut step, mut first) = (size, offset as isize);
        for d in order {
            let extent = shape[d].max(1) as isize;
            if layouts[d].repeated && !target {
                continue;
            }
            strides[d] = if layouts[d].reversed { -step } else { step };
            if layouts[d].reversed {
                first += step * (extent - 1);
            }
            step *= extent + layouts[d].gap as isize;
        }
        if dtype == DType::Int4 {
            // Packed, however the rest may lie.
            first = offset as isize;
            step = shape.iter().product::<usize>().div_ceil(2) as isize;
        }
        let bytes = offset + step as usize;
        let byte = |i: usize| if target { CANARY } else { (i * 151 + i / 256 * 83 + 17) as u8 };
        let memory = (0..bytes).map(byte).collect();
        Array { dtype, shape: shape.into(), strides, first, memory }
    }

    fn contiguous(dtype: DType, shape: &[usize], target: bool) -> Array {
        let ranks = 0..shape.len() as u32;
        let layout = |rank| Layout { rank, gap: 0, reversed: false, repeated: false };
        let layouts: Vec<Layout> = ranks.rev().map(layout).collect();
        Array::new(dtype, shape, &layouts, 0, target)
    }

    fn view(&mut self) -> View {
        View {
            data: self.memory.as_mut_ptr().wrapping_offset(self.first),
            dtype: self.dtype,
            shape: self.shape.clone(),
            strides: self.strides.clone(),
        }
    }

    /// Where element number `k` in C order begins.
    fn at(&self, k: usize) -> usize {
        let (mut rest, mut at) = (k, self.first);
        for d in (0..self.shape.len()).rev() {
            at += (rest % self.shape[d]) as isize * self.strides[d];
            rest /= self.shape[d];
        }
        at as usize
    }

    fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// The elements one after the other; of `int4` as `int8`.
    fn elements(&self) -> Vec<u8> {
        let size = self.dtype.bits() / 8;
        let mut bytes = Vec::with_capacity(self.len() * size.max(1));
        for k in 0..self.len() {
            if self.dtype == DType::Int4 {
                let byte = self.memory[self.first as usize + k / 2];
                let nibble = if k % 2 == 0 { byte << 4 } else { byte };
                bytes.push((nibble as i8 >> 4) as u8);
            } else {
                bytes.extend_from_slice(&self.memory[self.at(k)..][..size]);
            }
        }
        bytes
    }

    fn set_elements(&mut self, bytes: &[u8], clamped: bool) {
        let size = self.dtype.bits() / 8;
        for k in 0..self.len() {
            if self.dtype == DType::Int4 {
                let value = bytes[k] as i8;
                let nibble = if clamped { value.clamp(-8, 7) } else { value } as u8 & 0x0f;
                let byte = &mut self.memory[self.first as usize + k / 2];
                *byte = if k % 2 == 0 { nibble } else { *byte | nibble << 4 };
            } else {
                let at = self.at(k);
                self.memory[at..][..size].copy_from_slice(&bytes[k * size..][..size]);
            }
        }
    }
}

/// The elements of one type as those of another, converted in one piece; `int4` goes
/// by as `int8`.
fn converted(from: DType, to: DType, mut elements: Vec<u8>) -> Vec<u8> {
    let whole = |dtype| if dtype == DType::Int4 { DType::Int8 } else { dtype };
    let (from, to) = (whole(from), whole(to));
    let n = elements.len() / (from.bits() / 8);
    let mut bytes = vec![0; n * to.bits() / 8];
    let source = View::contiguous(elements.as_mut_ptr(), from, &[n]);
    copy(&source, &View::contiguous(bytes.as_mut_ptr(), to, &[n]), 1).unwrap();
    bytes
}

fn check(mut source: Array, mut target: Array, threads: usize) {
    let mut model = target.clone();
    let elements = converted(source.dtype, target.dtype, source.elements());
    model.set_elements(&elements, source.dtype.class() == Class::Float);
    copy(&source.view(), &target.view(), threads).unwrap();
    assert!(
        model.memory == target.memory,
        "{:?} {:?} {:?} to {:?} {:?}, {threads} threads",
        source.shape,
        source.dtype,
        source.strides,
        target.dtype,
        target.strides
    );
}

fn dtype() -> impl Strategy<Value = DType> {
    prop::sample::select(DType::ALL.to_vec())
}

fn layout() -> impl Strategy<Value = Layout> {
    (any::<u32>(), 0..3usize, any::<bool>(), prop::bool::weighted(0.2))
        .prop_map(|(rank, gap, reversed, repeated)| Layout { rank, gap, reversed, repeated })
}

fn extent() -> impl Strategy<Value = usize> {
    prop_oneof![12 => 1..12usize, 6 => 30..36usize, 1 => Just(0), 2 => 60..70usize]
}

/// Two types, the same one often.
fn dtypes() -> impl Strategy<Value = (DType, DType)> {
    prop_oneof![dtype().prop_map(|dtype| (dtype, dtype)), (dtype(), dtype())]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_layouts(
        (from, to) in dtypes(),
        dims in prop::collection::vec((extent(), layout(), layout()), 0..4),
        offsets in (0..9usize, 0..9usize),
    ) {
        let shape: Vec<usize> = dims.iter().map(|dim| dim.0).collect();
        prop_assume!(shape.iter().product::<usize>() < 20_000);
        let sources: Vec<Layout> = dims.iter().map(|dim| dim.1).collect();
        let targets: Vec<Layout> = dims.iter().map(|dim| dim.2).collect();
        let source = Array::new(from, &shape, &sources, offsets.0, false);
        let target = Array::new(to, &shape, &targets, offsets.1, true);
        check(source, target, 1);
    }
}

/// Large enough for several threads and for every way to cut a copy.
#[test]
fn large_ones_on_threads() {
    let types = [
        (DType::Uint16, DType::Uint16),
        (DType::Float16, DType::Float32),
        (DType::Int4, DType::Int16),
        (DType::Float32, DType::Int4),
        (DType::Int4, DType::Int4),
    ];
    let shapes: [&[usize]; 6] =
        [&[140_001], &[347, 389], &[3, 46_667], &[46_667, 3], &[5, 7, 61, 63], &[2, 1100, 2, 31]];
    let layout = |rank, reversed, repeated| Layout { rank, gap: 1, reversed, repeated };
    for (from, to) in types {
        for shape in shapes {
            let ranks = 0..shape.len() as u32;
            let same: Vec<Layout> = ranks.clone().rev().map(|r| layout(r, false, false)).collect();
            let turned: Vec<Layout> = ranks.clone().map(|r| layout(r, r == 1, false)).collect();
            let repeated: Vec<Layout> = ranks.rev().map(|r| layout(r, false, r == 0)).collect();
            for layouts in [same.clone(), turned, repeated] {
                let source = Array::new(from, shape, &layouts, 1, false);
                let target = Array::new(to, shape, &same, 3, true);
                check(source, target, 3);
                let source = Array::contiguous(from, shape, false);
                check(source, Array::new(to, shape, &layouts, 0, true), 2);
            }
        }
    }
}

#[test]
fn an_odd_number_of_nibbles_ends_with_zero() {
    for (n, last) in [(1, 0x01), (3, 0x03)] {
        let mut bytes: [i8; 3] = [1, 2, 3];
        let source = View::contiguous(bytes.as_mut_ptr().cast(), DType::Int8, &[n]);
        let mut packed = [0xffu8; 2];
        copy(&source, &View::contiguous(packed.as_mut_ptr(), DType::Int4, &[n]), 1).unwrap();
        assert_eq!(packed[n / 2], last);
        let mut garbage = [0xf1u8, 0xf3];
        let source = View::contiguous(garbage.as_mut_ptr(), DType::Int4, &[n]);
        copy(&source, &View::contiguous(packed.as_mut_ptr(), DType::Int4, &[n]), 1).unwrap();
        assert_eq!(packed[n / 2], garbage[n / 2] & 0x0f);
    }
}

#[test]
fn floats_are_clamped_to_nibbles_and_integers_wrap() {
    let mut floats = [7.9f32, 8.0, -8.9, 1e9, f32::NAN, f32::NEG_INFINITY, -0.5, 3.5];
    let mut packed = [0u8; 4];
    let source = View::contiguous(floats.as_mut_ptr().cast(), DType::Float32, &[8]);
    let target = View::contiguous(packed.as_mut_ptr(), DType::Int4, &[8]);
    copy(&source, &target, 1).unwrap();
    assert_eq!(packed, [0x77, 0x78, 0x80, 0x30]);
    let mut integers = [8u16, 0xfff7, 15, 16, 0x100, 0x7fff, 3, 200];
    let source = View::contiguous(integers.as_mut_ptr().cast(), DType::Uint16, &[8]);
    copy(&source, &target, 1).unwrap();
    assert_eq!(packed, [0x78, 0x0f, 0xf0, 0x83]);
}

#[test]
fn shapes_must_agree() {
    let mut a = Array::contiguous(DType::Int8, &[2, 3], false);
    let mut b = Array::contiguous(DType::Int8, &[3, 2], true);
    let refused = copy(&a.view(), &b.view(), 1).unwrap_err();
    assert_eq!(refused.to_string(), "shape (2, 3) cannot be copied into shape (3, 2)");
}

#[test]
fn scratch_is_aligned_and_refused_where_there_is_no_memory() {
    let scratch = Scratch::new(DType::Float32, &[3, 5]).unwrap();
    assert_eq!(scratch.view().data.align_offset(64), 0);
    assert!(scratch.view().is_contiguous());
    assert!(Scratch::new(DType::Int8, &[0, usize::MAX, usize::MAX]).is_ok());
    for shape in [&[usize::MAX, 2][..], &[usize::MAX], &[usize::MAX / 2 - 64]] {
        let refused = Scratch::new(DType::Int8, shape).unwrap_err();
        assert!(matches!(refused, gmemx::error::Error::OutOfMemory(_)));
    }
}
