//! Sums, products and scalings of whole tensors.

use std::mem::MaybeUninit;

use candle_core::{DType, Device, Tensor};

use super::BLOCK;
use crate::bits::{Bits, Source};
use crate::cuda::on_cuda;
use crate::dispatch::{dispatch, refusal};
use crate::real::Real;
use crate::simd::multiversion;
use crate::storage::{distinct, filled_chunks, read, write};
use crate::tasks::{each_chunk, map_tasks};
use crate::{Result, Scalar, held};

/// Computes `a + b`.
pub fn add(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    on_cuda!(a => crate::cuda::ops::elementwise::add("elementwise::add", a, b));
    dispatch!("elementwise::add", a, T => zip::<T>("elementwise::add", a, b, add_span))
}

/// Computes `a * b`, element by element.
pub fn mul(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    on_cuda!(a => crate::cuda::ops::elementwise::mul("elementwise::mul", a, b));
    dispatch!("elementwise::mul", a, T => zip::<T>("elementwise::mul", a, b, mul_span))
}

/// A kernel that writes each element of its last argument from those of the first two.
type Span<T> = fn(&[T], &[T], &mut [MaybeUninit<T>]);

fn zip<T: Real>(op: &'static str, a: &Tensor, b: &Tensor, f: Span<T>) -> Result<Tensor> {
    let (shape, len, dtype) = (a.shape().clone(), a.elem_count(), held::wider(a.dtype(), b.dtype()));
    let (a, b) = (read::<T>(op, "a", a, len)?, read::<T>(op, "b", b, len)?);
    let (a, b) = (&*a, &*b);
    // SAFETY: `f` writes each element of its chunk, as its type says.
    let out = unsafe {
        filled_chunks(len, BLOCK, |i, out| {
            let at = i * BLOCK..i * BLOCK + out.len();
            f(&a[at.clone()], &b[at], out);
        })
    };
    held::made(out, shape, dtype)
}

/// Adds in place: `dst += factor * src`.
pub fn add_assign(dst: &Tensor, src: &Tensor, factor: f64) -> Result<()> {
    const OP: &str = "elementwise::add_assign";
    distinct(OP, ("dst", dst), &[("src", src)])?;
    on_cuda!(dst => crate::cuda::ops::elementwise::add_assign(OP, dst, src, factor));
    dispatch!(OP, dst, T => {
        let src = read::<T>(OP, "src", src, dst.elem_count())?;
        let (src, factor) = (&*src, <T as Real>::of(factor));
        write::<T, _>(OP, "dst", dst, src.len(), |dst| {
            each_chunk(dst, BLOCK, |i, dst| add_scaled_span(dst, &src[i * BLOCK..], factor));
        })
    })
}

/// Computes `factor * x`.
pub fn scale(x: &Tensor, factor: f64) -> Result<Tensor> {
    const OP: &str = "elementwise::scale";
    on_cuda!(x => crate::cuda::ops::elementwise::scale(OP, crate::Operand::Dense(x), factor, x.dtype()));
    dispatch!(OP, x, T => {
        let (shape, dtype) = (x.shape().clone(), x.dtype());
        let (len, factor) = (x.elem_count(), <T as Real>::of(factor));
        let x = read::<T>(OP, "x", x, len)?;
        let x = &*x;
        // SAFETY: `scale_span` writes each element of its chunk.
        let out = unsafe { filled_chunks(len, BLOCK, |i, out| scale_span(&x[i * BLOCK..], factor, out)) };
        held::made(out, shape, dtype)
    })
}

/// Computes `factor * x` of spikes, `[rows, plane]`.
pub fn scale_spikes(x: &Bits, factor: f64, dtype: DType) -> Result<Tensor> {
    const OP: &str = "elementwise::scale_spikes";
    on_cuda!(x.tensor() => crate::cuda::ops::elementwise::scale(OP, crate::Operand::Spikes(x), factor, dtype));
    match held::real(dtype) {
        DType::F32 => scale_bits::<f32>(OP, x, factor, dtype),
        DType::F64 => scale_bits::<f64>(OP, x, factor, dtype),
        other => Err(refusal(OP, &Device::Cpu, other)),
    }
}

fn scale_bits<T: Real>(op: &'static str, x: &Bits, factor: f64, dtype: DType) -> Result<Tensor> {
    let (rows, plane, bytes) = (x.rows(), x.plane(), x.read(op)?);
    let (source, factor) = (Source::Spikes(&bytes, plane), T::of(factor));
    // SAFETY: pieces cover the chunk and `scale_span` writes each element of its piece.
    let out = unsafe {
        filled_chunks(rows * plane, BLOCK, |i, out| {
            let mut spikes = [T::ZERO; 512];
            for (k, out) in out.chunks_mut(512).enumerate() {
                let spikes = &mut spikes[..out.len()];
                source.expand(i * BLOCK + k * 512, spikes);
                scale_span(spikes, factor, out);
            }
        })
    };
    held::made(out, (rows, plane), dtype)
}

/// Multiplies in place: `x *= factor`.
pub fn scale_assign(x: &Tensor, factor: f64) -> Result<()> {
    const OP: &str = "elementwise::scale_assign";
    on_cuda!(x => crate::cuda::ops::elementwise::scale_assign(OP, x, factor));
    dispatch!(OP, x, T => {
        let factor = <T as Real>::of(factor);
        write::<T, _>(OP, "x", x, x.elem_count(), |x| {
            each_chunk(x, BLOCK, |_, x| x.iter_mut().for_each(|x| *x *= factor));
        })
    })
}

/// The largest absolute value; NaN when there is one.
pub fn max_abs(x: &Tensor) -> Result<Scalar> {
    const OP: &str = "elementwise::max_abs";
    on_cuda!(x => crate::cuda::ops::elementwise::max_abs(OP, x));
    dispatch!(OP, x, T => {
        let x = read::<T>(OP, "x", x, x.elem_count())?;
        let x = &*x;
        let most = map_tasks(x.len().div_ceil(BLOCK), x.len(), |i| {
            max_abs_span(&x[i * BLOCK..x.len().min((i + 1) * BLOCK)])
        });
        if most.iter().any(|m| m.is_nan()) {
            return Ok(Scalar::host(f64::NAN));
        }
        Ok(Scalar::host(most.iter().fold(0.0, |most: f64, m| most.max(m.wide()))))
    })
}

/// Whether no element is infinite or NaN. Waits for a device.
pub fn all_finite(x: &Tensor) -> Result<bool> {
    const OP: &str = "elementwise::all_finite";
    crate::scalar::waited(1);
    on_cuda!(x => crate::cuda::ops::elementwise::all_finite(OP, x));
    dispatch!(OP, x, T => {
        let x = read::<T>(OP, "x", x, x.elem_count())?;
        let x = &*x;
        let fine = map_tasks(x.len().div_ceil(BLOCK), x.len(), |i| {
            all_finite_span(&x[i * BLOCK..x.len().min((i + 1) * BLOCK)])
        });
        Ok(fine.into_iter().all(|fine| fine))
    })
}

multiversion! {
    fn add_span<T: Real>(a: &[T], b: &[T], out: &mut [MaybeUninit<T>]) {
        for ((out, a), b) in out.iter_mut().zip(a).zip(b) {
            out.write(*a + *b);
        }
    }
}

multiversion! {
    fn mul_span<T: Real>(a: &[T], b: &[T], out: &mut [MaybeUninit<T>]) {
        for ((out, a), b) in out.iter_mut().zip(a).zip(b) {
            out.write(*a * *b);
        }
    }
}

multiversion! {
    fn scale_span<T: Real>(x: &[T], factor: T, out: &mut [MaybeUninit<T>]) {
        for (out, x) in out.iter_mut().zip(x) {
            out.write(*x * factor);
        }
    }
}

multiversion! {
    fn add_scaled_span<T: Real>(dst: &mut [T], src: &[T], factor: T) {
        for (dst, src) in dst.iter_mut().zip(src) {
            *dst += factor * *src;
        }
    }
}

multiversion! {
    fn max_abs_span<T: Real>(x: &[T]) -> T {
        let mut lanes = [T::ZERO; 16];
        for block in x.chunks(16) {
            for (lane, x) in lanes.iter_mut().zip(block) {
                // Written so that a NaN wins and stays.
                *lane = if *lane >= x.abs() || lane.is_nan() { *lane } else { x.abs() };
            }
        }
        lanes.into_iter().fold(T::ZERO, |most, x| if most >= x || most.is_nan() { most } else { x })
    }
}

multiversion! {
    fn all_finite_span<T: Real>(x: &[T]) -> bool {
        // Zero times a number is zero; times infinity or NaN it is NaN. One sum, and no branch.
        let mut lanes = [T::ZERO; 16];
        for block in x.chunks(16) {
            for (lane, x) in lanes.iter_mut().zip(block) {
                *lane += *x * T::ZERO;
            }
        }
        lanes.iter().all(|lane| *lane == T::ZERO)
    }
}
