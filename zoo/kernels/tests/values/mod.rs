//! Inputs and comparisons that the kernel tests share.
#![allow(dead_code, reason = "each test file uses its part")]

use candle_core::{DType, Device, Tensor};
use kernels::Bits;

/// Number `i` of stream `seed`, in (-1, 1).
pub(crate) fn value(seed: u64, i: usize) -> f64 {
    let mut z =
        (i as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(seed.wrapping_mul(0xD1B5_4A32_D192_ED03));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 52) as f64 - 1.0
}

pub(crate) fn tensor(seed: u64, shape: &[usize], dtype: DType) -> Tensor {
    let len = shape.iter().product();
    let values: Vec<f64> = (0..len).map(|i| value(seed, i)).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
}

/// Zeros and ones, f32, with ones at the given rate.
pub(crate) fn spikes(seed: u64, shape: &[usize], rate: f64) -> Tensor {
    let len = shape.iter().product();
    let values: Vec<f32> = (0..len).map(|i| ((value(seed, i) + 1.0) / 2.0 < rate) as u8 as f32).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

pub(crate) fn packed(x: &Tensor, rows: usize) -> Bits {
    Bits::pack(x, rows, x.elem_count() / rows).unwrap()
}

pub(crate) fn wide(x: &Tensor) -> Tensor {
    x.to_dtype(DType::F64).unwrap()
}

pub(crate) fn list(x: &Tensor) -> Vec<f64> {
    wide(x).flatten_all().unwrap().to_vec1().unwrap()
}

/// The bits of each number, for equality that knows no tolerance.
pub(crate) fn bits(x: &Tensor) -> Vec<u64> {
    list(x).iter().map(|x| x.to_bits()).collect()
}

/// `|a - b| <= tolerance * (1 + |b|)` everywhere.
pub(crate) fn assert_near(a: &Tensor, b: &Tensor, tolerance: f64, what: &str) {
    let (a, b) = (list(a), list(b));
    assert_eq!(a.len(), b.len(), "{what}: lengths");
    for (i, (a, b)) in a.iter().zip(&b).enumerate() {
        assert!((a - b).abs() <= tolerance * (1.0 + b.abs()), "{what}: element {i}: {a} against {b}");
    }
}

pub(crate) fn dot(a: &Tensor, b: &Tensor) -> f64 {
    list(a).iter().zip(list(b)).map(|(a, b)| a * b).sum()
}

/// The result of `f` in pools of one and of several threads, which must agree to the bit.
pub(crate) fn same_for_any_threads(what: &str, f: impl Fn() -> Vec<Tensor> + Sync) -> Vec<Tensor> {
    let run = |threads| kernels::threads::pool(threads, 0).unwrap().install(&f);
    let one = run(1);
    for threads in [2, 3] {
        for (i, (a, b)) in one.iter().zip(run(threads)).enumerate() {
            assert_eq!(bits(a), bits(&b), "{what}: result {i} differs with {threads} threads");
        }
    }
    one
}
