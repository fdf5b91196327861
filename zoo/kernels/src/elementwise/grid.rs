//! Numbers on a fixed-point grid, and the mixing of temporally reversible networks.
//!
//! ```text
//! round(x) = the multiple of 2^-exponent nearest to x, ties to even
//! c = f + alpha[ch] * prev          mix       prev = (c - f) / alpha[ch]          unmix
//! ```
//!
//! While every value is a multiple of the grid and below 2^(24 - exponent), `f32` sums are exact, so what was
//! added can be taken away again to the bit.

use std::mem::MaybeUninit;

use candle_core::Tensor;

use super::BLOCK;
use crate::Result;
use crate::cuda::on_cuda;
use crate::dispatch::dispatch;
use crate::error::ensure;
use crate::real::Real;
use crate::simd::multiversion;
use crate::storage::{self, filled_chunks, read};

/// Rounds to multiples of `2^-exponent`, ties to even.
pub fn round_to_grid(x: &Tensor, exponent: i32) -> Result<Tensor> {
    const OP: &str = "elementwise::round_to_grid";
    on_cuda!(x => crate::cuda::ops::grid::round_to_grid(OP, x, exponent));
    dispatch!(OP, x, T => {
        let (shape, len) = (x.shape().clone(), x.elem_count());
        let x = read::<T>(OP, "x", x, len)?;
        let (x, up) = (&*x, <T as Real>::of(2f64.powi(exponent)));
        let down = <T as Real>::of(2f64.powi(-exponent));
        // SAFETY: `round_span` writes each element of its chunk.
        let out = unsafe { filled_chunks(len, BLOCK, |i, out| round_span(&x[i * BLOCK..], up, down, out)) };
        storage::tensor(out, shape)
    })
}

/// Computes `x + sign * round(f)` with `sign` +1 or -1.
pub fn add_rounded(x: &Tensor, f: &Tensor, exponent: i32, sign: i32) -> Result<Tensor> {
    const OP: &str = "elementwise::add_rounded";
    ensure(sign == 1 || sign == -1, OP, "the sign must be +1 or -1", || sign.to_string())?;
    on_cuda!(x => crate::cuda::ops::grid::add_rounded(OP, x, f, exponent, sign));
    dispatch!(OP, x, T => {
        let (shape, len) = (x.shape().clone(), x.elem_count());
        let (x, f) = (read::<T>(OP, "x", x, len)?, read::<T>(OP, "f", f, len)?);
        let (x, f, up) = (&*x, &*f, <T as Real>::of(2f64.powi(exponent)));
        let down = <T as Real>::of(f64::from(sign) * 2f64.powi(-exponent));
        // SAFETY: `add_rounded_span` writes each element of its chunk.
        let out = unsafe {
            filled_chunks(len, BLOCK, |i, out| add_rounded_span(&x[i * BLOCK..], &f[i * BLOCK..], up, down, out))
        };
        storage::tensor(out, shape)
    })
}

/// Computes `f + alpha[ch] * prev`, all `[n, ch, plane]`.
pub fn mix(f: &Tensor, prev: &Tensor, alpha: &Tensor, n: usize, ch: usize, plane: usize) -> Result<Tensor> {
    on_cuda!(f => crate::cuda::ops::grid::mix("elementwise::mix", f, prev, alpha, (n, ch, plane)));
    dispatch!("elementwise::mix", f, T => by_channel::<T>("elementwise::mix", f, prev, alpha, (n, ch, plane), mix_span))
}

/// Computes `(c - f) / alpha[ch]`, all `[n, ch, plane]`: what [`mix`] had as `prev`.
pub fn unmix(c: &Tensor, f: &Tensor, alpha: &Tensor, n: usize, ch: usize, plane: usize) -> Result<Tensor> {
    on_cuda!(c => crate::cuda::ops::grid::unmix("elementwise::unmix", c, f, alpha, (n, ch, plane)));
    dispatch!("elementwise::unmix", c, T => by_channel::<T>("elementwise::unmix", c, f, alpha, (n, ch, plane), unmix_span))
}

/// A kernel that writes each element of its last argument.
type ChannelSpan<T> = fn(&[T], &[T], T, &mut [MaybeUninit<T>]);

fn by_channel<T: Real>(
    op: &'static str,
    a: &Tensor,
    b: &Tensor,
    alpha: &Tensor,
    (n, ch, plane): (usize, usize, usize),
    f: ChannelSpan<T>,
) -> Result<Tensor> {
    let (shape, len) = (a.shape().clone(), n * ch * plane);
    let (a, b, alpha) =
        (read::<T>(op, "a", a, len)?, read::<T>(op, "b", b, len)?, read::<T>(op, "alpha", alpha, ch)?);
    let (a, b, alpha) = (&*a, &*b, &*alpha);
    let rows = (BLOCK / plane.max(1)).max(1);
    // SAFETY: rows cover the chunk, and `f` writes each element of its row.
    let out = unsafe {
        filled_chunks(len, rows * plane, |task, out| {
            for (k, out) in out.chunks_mut(plane).enumerate() {
                let row = task * rows + k;
                let at = row * plane..(row + 1) * plane;
                f(&a[at.clone()], &b[at], alpha[row % ch], out);
            }
        })
    };
    storage::tensor(out, shape)
}

multiversion! {
    fn round_span<T: Real>(x: &[T], up: T, down: T, out: &mut [MaybeUninit<T>]) {
        for (out, x) in out.iter_mut().zip(x) {
            out.write((*x * up).round_even() * down);
        }
    }
}

multiversion! {
    fn add_rounded_span<T: Real>(x: &[T], f: &[T], up: T, down: T, out: &mut [MaybeUninit<T>]) {
        for ((out, x), f) in out.iter_mut().zip(x).zip(f) {
            out.write(*x + (*f * up).round_even() * down);
        }
    }
}

multiversion! {
    fn mix_span<T: Real>(f: &[T], prev: &[T], alpha: T, out: &mut [MaybeUninit<T>]) {
        for ((out, f), prev) in out.iter_mut().zip(f).zip(prev) {
            out.write(*f + alpha * *prev);
        }
    }
}

multiversion! {
    fn unmix_span<T: Real>(c: &[T], f: &[T], alpha: T, out: &mut [MaybeUninit<T>]) {
        for ((out, c), f) in out.iter_mut().zip(c).zip(f) {
            out.write((*c - *f) / alpha);
        }
    }
}
