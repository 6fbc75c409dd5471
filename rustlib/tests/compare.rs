//! Differences and checksums against naive models, on every CPU path.

use gmemx::cpu;
use gmemx::tensor::checksum::crc32c;
use gmemx::tensor::compare::{equal, first_difference};
use gmemx::tensor::{DType, View};
use proptest::prelude::*;

fn on_every_path(mut check: impl FnMut()) {
    for path in ["portable", "avx2"] {
        if cpu::select(path).is_ok() {
            check();
        }
    }
    cpu::select("auto").expect("auto is always there");
}

fn of<T>(dtype: DType, data: &[T]) -> View {
    View::contiguous(data.as_ptr().cast_mut().cast(), dtype, &[data.len()])
}

#[test]
fn values_not_bits() {
    on_every_path(|| {
        for n in [1usize, 100, 256, 300_000] {
            let a = vec![0.0f32; n];
            let mut b = vec![-0.0f32; n];
            assert!(equal(&of(DType::Float32, &a), &of(DType::Float32, &b), 2));
            b[n - 1] = f32::NAN;
            let b = of(DType::Float32, &b);
            assert_eq!(first_difference(&of(DType::Float32, &a), &b, 2), Some(n - 1));
            assert_eq!(first_difference(&b, &b, 2), Some(n - 1));
            let (a, b) = (vec![1u8; n], vec![2u8; n]);
            assert!(equal(&of(DType::Bool, &a), &of(DType::Bool, &b), 1));
            assert_eq!(first_difference(&of(DType::Uint8, &a), &of(DType::Uint8, &b), 2), Some(0));
        }
    });
}

#[test]
fn small_floats_as_half_has_them() {
    let all: Vec<u16> = (0..=u16::MAX).collect();
    on_every_path(|| {
        for other in [0u16, 0x8000, 0x3C00, 0x7C00, 0x7F80, 0xFF81, 0x7E00] {
            for (i, &bits) in all.iter().enumerate().step_by(7) {
                let a = of(DType::Float16, &all[i..=i]);
                let same = half::f16::from_bits(bits) == half::f16::from_bits(other);
                assert_eq!(equal(&a, &of(DType::Float16, &[other]), 1), same);
                let a = of(DType::Bfloat16, &all[i..=i]);
                let same = half::bf16::from_bits(bits) == half::bf16::from_bits(other);
                assert_eq!(equal(&a, &of(DType::Bfloat16, &[other]), 1), same);
            }
        }
    });
}

#[test]
fn types_are_compared_exactly() {
    let same = |a: &View, b: &View| {
        let result = equal(a, b, 1);
        assert_eq!(result, equal(b, a, 1));
        result
    };
    let limit = of(DType::Float64, &[18_446_744_073_709_551_616.0f64]);
    assert!(!same(&of(DType::Uint64, &[u64::MAX]), &limit));
    assert!(same(&of(DType::Uint64, &[1u64 << 63]), &of(DType::Float32, &[2f32.powi(63)])));
    assert!(!same(&of(DType::Int64, &[i64::MAX]), &of(DType::Float32, &[2f32.powi(63)])));
    assert!(same(&of(DType::Int64, &[i64::MIN]), &of(DType::Float64, &[-(2f64.powi(63))])));
    assert!(!same(&of(DType::Int64, &[-1i64]), &of(DType::Uint64, &[u64::MAX])));
    assert!(!same(&of(DType::Int32, &[0i32]), &of(DType::Float32, &[f32::NAN])));
    assert!(!same(&of(DType::Int32, &[1i32]), &of(DType::Float32, &[1.5f32])));
    assert!(!same(&of(DType::Float32, &[0.1f32]), &of(DType::Float64, &[0.1f64])));
    assert!(same(&of(DType::Bool, &[7u8]), &of(DType::Bfloat16, &[half::bf16::ONE])));
    assert!(same(&of(DType::Float8E4M3, &[0x38u8]), &of(DType::Float8E5M2, &[0x3Cu8])));
}

#[test]
fn the_known_checksum() {
    assert_eq!(crc32c(&of(DType::Uint8, b"123456789"), 1), 0xE306_9283);
    assert_eq!(crc32c(&of::<u8>(DType::Uint8, &[]), 2), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn one_changed_element(n in 1usize..400_000, at in any::<prop::sample::Index>(), step in 1usize..3) {
        let a = vec![3i16; n * step];
        let mut b = a.clone();
        let at = at.index(n);
        b[at * step] = 4;
        let (mut a, mut b) = (of(DType::Int16, &a), of(DType::Int16, &b));
        for view in [&mut a, &mut b] {
            view.shape[0] = n;
            view.strides[0] = 2 * step as isize;
        }
        on_every_path(|| {
            for threads in 1..4 {
                assert_eq!(first_difference(&a, &b, threads), Some(at));
            }
        });
        assert!(equal(&a, &a, 2));
    }

    #[test]
    fn checksums_of_strided_views(
        rows in 1usize..2000, columns in 1usize..2000, gap in 0usize..3, size in 0usize..4, turn in any::<bool>(),
    ) {
        let dtype = [DType::Uint8, DType::Float16, DType::Int32, DType::Float64][size];
        let size = dtype.bits() / 8;
        let pitch = (columns + gap) * size;
        let memory: Vec<u8> = (0..rows * pitch).map(|i| ((i * i) >> 7) as u8).collect();
        let mut view = View::contiguous(memory.as_ptr().cast_mut(), dtype, &[rows, columns]);
        view.strides[0] = pitch as isize;
        if turn {
            view.shape.swap(0, 1);
            view.strides.swap(0, 1);
        }
        let mut bytes = Vec::new();
        for i in 0..view.shape[0] {
            for j in 0..view.shape[1] {
                let at = i * view.strides[0] as usize + j * view.strides[1] as usize;
                bytes.extend_from_slice(&memory[at..at + size]);
            }
        }
        for threads in 1..4 {
            assert_eq!(crc32c(&view, threads), ::crc32c::crc32c(&bytes));
        }
    }
}
