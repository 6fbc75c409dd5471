//! What the tests compare with: formats by their definition, and tensors that know
//! where their elements are.

use gmemx::tensor::dtype::Class;
use gmemx::tensor::{DType, View};

pub const FLOATS: [DType; 6] = [
    DType::Float16,
    DType::Float32,
    DType::Float64,
    DType::Bfloat16,
    DType::Float8E4M3,
    DType::Float8E5M2,
];

/// Numbers without a pattern.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let x = (self.0 ^ (self.0 >> 31)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        x ^ (x >> 29)
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.next() >> 16) as usize % n
    }
}

/// A float format by its definition.
#[derive(Clone, Copy)]
pub struct Format {
    pub mantissa: u32,
    exponent: u32,
    pub infinities: bool,
}

pub fn format(dtype: DType) -> Format {
    let (exponent, mantissa, infinities) = match dtype {
        DType::Float16 => (5, 10, true),
        DType::Bfloat16 => (8, 7, true),
        DType::Float32 => (8, 23, true),
        DType::Float64 => (11, 52, true),
        DType::Float8E4M3 => (4, 3, false),
        DType::Float8E5M2 => (5, 2, true),
        _ => panic!("{} is no float", dtype.name()),
    };
    Format { mantissa, exponent, infinities }
}

impl Format {
    pub fn sign_bit(self) -> u64 {
        1 << (self.mantissa + self.exponent)
    }

    /// The first magnitude that is no finite number.
    pub fn special(self) -> u64 {
        if self.infinities {
            ((1 << self.exponent) - 1) << self.mantissa
        } else {
            self.sign_bit() - 1
        }
    }

    /// The value of a finite magnitude; goes on past the last one.
    pub fn magnitude(self, code: u64) -> f64 {
        let bias = (1 << (self.exponent - 1)) - 1;
        let exponent = (code >> self.mantissa) as i32;
        let fraction = code & ((1 << self.mantissa) - 1);
        let (whole, exponent) = if exponent == 0 { (0, 1) } else { (1, exponent) };
        let digits = (fraction | whole << self.mantissa) as f64;
        let power = exponent - bias - self.mantissa as i32;
        // In two steps: 2^-1074 is no quotient of a normal power.
        digits * 2f64.powi(power / 2) * 2f64.powi(power - power / 2)
    }

    pub fn value(self, code: u64) -> f64 {
        let magnitude = code & (self.sign_bit() - 1);
        let value = match magnitude.cmp(&self.special()) {
            std::cmp::Ordering::Less => self.magnitude(magnitude),
            std::cmp::Ordering::Equal if self.infinities => f64::INFINITY,
            _ => f64::NAN,
        };
        if code & self.sign_bit() != 0 { -value } else { value }
    }

    /// The code of the number nearest to `value`, of two the even one; None for NaN.
    pub fn nearest(self, value: f64) -> Option<u64> {
        if value.is_nan() {
            return None;
        }
        if self.mantissa == 52 {
            return Some(value.to_bits());
        }
        let sign = if value.is_sign_negative() { self.sign_bit() } else { 0 };
        let x = value.abs();
        // The last code that is not above.
        let (mut low, mut high) = (0, self.special());
        while high - low > 1 {
            let middle = (low + high) / 2;
            if self.magnitude(middle) <= x {
                low = middle;
            } else {
                high = middle;
            }
        }
        // One digit more than the format has, so exact.
        let half = self.magnitude(low) / 2.0 + self.magnitude(low + 1) / 2.0;
        let code = if x > half || (x == half && low & 1 == 1) { low + 1 } else { low };
        (self.infinities || code < self.special()).then_some(sign | code)
    }
}

/// Memory of a tensor in some layout, and the view of it.
pub struct Tensor {
    pub bytes: Vec<u8>,
    first: usize,
    pub dtype: DType,
    pub shape: Vec<usize>,
    strides: Vec<isize>,
}

impl Tensor {
    /// Gaps, negative strides, dimensions in any order and no alignment.
    pub fn new(dtype: DType, shape: &[usize], random: &mut Random) -> Tensor {
        let plain = random.below(3) == 0;
        let size = dtype.bits() / 8;
        let mut order: Vec<usize> = (0..shape.len()).rev().collect();
        if !plain && random.below(2) == 0 {
            for i in (1..order.len()).rev() {
                order.swap(i, random.below(i + 1));
            }
        }
        let gap = if plain { 0 } else { random.below(3) };
        let mut step = size + gap * (gap - gap / 2);
        let mut strides = vec![0; shape.len()];
        let mut first = random.below(8);
        for d in order {
            strides[d] = step as isize;
            if !plain && random.below(4) == 0 && shape[d] > 0 {
                first += step * (shape[d] - 1);
                strides[d] = -strides[d];
            }
            step = step * shape[d].max(1) + if plain { 0 } else { random.below(2) * 3 };
        }
        let bytes = (0..step + 64 + first).map(|_| random.next() as u8).collect();
        Tensor { bytes, first, dtype, shape: shape.to_vec(), strides }
    }

    /// As `new`, filled with codes, some of them special.
    pub fn random(dtype: DType, shape: &[usize], random: &mut Random) -> Tensor {
        let mut tensor = Tensor::new(dtype, shape, random);
        let dull = random.below(2) == 0;
        for i in 0..tensor.len() {
            let code = match dtype {
                DType::Bool => random.next() & 1,
                _ if dtype.class() != Class::Float => random.next(),
                _ => {
                    let format = format(dtype);
                    match random.below(if dull { 1 << 20 } else { 12 }) {
                        0 => format.special() - random.below(2) as u64,
                        1 => format.sign_bit(),
                        2 => format.special() | format.sign_bit(),
                        3 => format.special() + 1 - u64::from(!format.infinities),
                        4 => random.next(),
                        _ => {
                            let near = (random.below(1 << 16) as f64 - 32768.0) / 9973.0;
                            format.nearest(near).expect("a small number")
                        }
                    }
                }
            };
            tensor.set(i, code);
        }
        tensor
    }

    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    pub fn view(&mut self) -> View {
        View {
            // Of the whole, so that negative strides stay within it.
            data: self.bytes.as_mut_ptr().wrapping_add(self.first),
            dtype: self.dtype,
            shape: self.shape.as_slice().into(),
            strides: self.strides.as_slice().into(),
        }
    }

    pub fn place(&self, mut i: usize) -> usize {
        let mut place = self.first as isize;
        for (&extent, &stride) in self.shape.iter().zip(&self.strides).rev() {
            place += (i % extent) as isize * stride;
            i /= extent;
        }
        place as usize
    }

    /// Element `i` in C order.
    pub fn get(&self, i: usize) -> u64 {
        let (place, size) = (self.place(i), self.dtype.bits() / 8);
        let mut code = [0; 8];
        code[..size].copy_from_slice(&self.bytes[place..place + size]);
        u64::from_le_bytes(code)
    }

    pub fn set(&mut self, i: usize, code: u64) {
        let (place, size) = (self.place(i), self.dtype.bits() / 8);
        self.bytes[place..place + size].copy_from_slice(&code.to_le_bytes()[..size]);
    }

    /// Makes dimension `d` a repetition of its first index.
    pub fn repeat(&mut self, d: usize) {
        self.strides[d] = 0;
    }
}
