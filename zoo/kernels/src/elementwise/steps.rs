//! Ops over the leading axis, time.

use candle_core::Tensor;

use super::BLOCK;
use crate::Result;
use crate::dispatch::dispatch;
use crate::real::Real;
use crate::simd::multiversion;
use crate::storage::{self, each_chunk, filled_chunks, read, write};

/// Sums `x` `[steps, n]` over its steps, in order, `[n]`.
pub fn sum_steps(x: &Tensor, steps: usize) -> Result<Tensor> {
    const OP: &str = "elementwise::sum_steps";
    let n = x.elem_count() / steps.max(1);
    dispatch!(OP, x, T => {
        let x = read::<T>(OP, "x", x, steps * n)?;
        let x = &*x;
        let mut out = x.get(..n).unwrap_or_default().to_vec();
        each_chunk(&mut out, BLOCK, |i, out| {
            for t in 1..steps {
                let at = t * n + i * BLOCK;
                add_to(out, &x[at..at + out.len()]);
            }
        });
        storage::tensor(out, n)
    })
}

/// Computes `x[t, i] * mask[i]`: a mask that is constant in time, in the shape of `x`.
pub fn mask_mul(x: &Tensor, mask: &Tensor, steps: usize) -> Result<Tensor> {
    const OP: &str = "elementwise::mask_mul";
    let (n, shape) = (mask.elem_count(), x.shape().clone());
    dispatch!(OP, x, T => {
        let (x, mask) = (read::<T>(OP, "x", x, steps * n)?, read::<T>(OP, "mask", mask, n)?);
        let (x, mask) = (&*x, &*mask);
        // SAFETY: `mask_span` writes each element of its chunk, one step of the tensor.
        let out = unsafe { filled_chunks(steps * n, n, |t, out| mask_span(&x[t * n..(t + 1) * n], mask, out)) };
        storage::tensor(out, shape)
    })
}

/// `x *= mask` at every step: `x` `[steps, ...]`, `mask` one step's elements.
pub fn mask_assign(x: &Tensor, mask: &Tensor, steps: usize) -> Result<()> {
    const OP: &str = "elementwise::mask_assign";
    let n = mask.elem_count();
    dispatch!(OP, x, T => {
        let mask = read::<T>(OP, "mask", mask, n)?;
        let mask = &*mask;
        write::<T, _>(OP, "x", x, steps * n, |x| each_chunk(x, n, |_, x| mask_where_it_lies(x, mask)))
    })
}

multiversion! {
    fn add_to<T: Real>(out: &mut [T], x: &[T]) {
        for (out, x) in out.iter_mut().zip(x) {
            *out += *x;
        }
    }
}

multiversion! {
    fn mask_where_it_lies<T: Real>(x: &mut [T], mask: &[T]) {
        for (x, mask) in x.iter_mut().zip(mask) {
            *x *= *mask;
        }
    }
}

multiversion! {
    fn mask_span<T: Real>(x: &[T], mask: &[T], out: &mut [std::mem::MaybeUninit<T>]) {
        for ((out, x), mask) in out.iter_mut().zip(x).zip(mask) {
            out.write(*x * *mask);
        }
    }
}
