//! Ops over the leading axis, time.

use candle_core::Tensor;

use super::BLOCK;
use crate::cuda::on_cuda;
use crate::dispatch::dispatch;
use crate::real::Real;
use crate::simd::multiversion;
use crate::storage::{Disjoint, filled, read};
use crate::tasks::{each_chunk, each_task};
use crate::{Result, held};

/// Sums `x` `[steps, n]` over its steps, in order, `[n]`.
pub fn sum_steps(x: &Tensor, steps: usize) -> Result<Tensor> {
    const OP: &str = "elementwise::sum_steps";
    on_cuda!(x => crate::cuda::ops::elementwise::sum_steps(OP, x, steps));
    let (n, dtype) = (x.elem_count() / steps.max(1), x.dtype());
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
        held::made(out, n, dtype)
    })
}

/// `steps` times `x`, one after the other: its shape with as many times its first length.
pub fn repeat_steps(x: &Tensor, steps: usize) -> Result<Tensor> {
    const OP: &str = "elementwise::repeat_steps";
    on_cuda!(x => Ok(Tensor::cat(&vec![x; steps], 0)?));
    let (n, dtype, mut shape) = (x.elem_count(), x.dtype(), x.dims().to_vec());
    if let Some(first) = shape.first_mut() {
        *first *= steps;
    }
    let blocks = n.div_ceil(BLOCK);
    dispatch!(OP, x, T => {
        let x = read::<T>(OP, "x", x, n)?;
        let x = &*x;
        // SAFETY: the blocks of all steps cover the buffer, and each is written whole.
        let out = unsafe {
            filled(steps * n, |out| {
                let out = Disjoint::new(out);
                each_task(steps * blocks, steps * n, |task| {
                    let (step, at) = (task / blocks, task % blocks * BLOCK);
                    let x = &x[at..n.min(at + BLOCK)];
                    out.part(step * n + at..step * n + at + x.len()).write_copy_of_slice(x);
                });
            })
        };
        held::made(out, shape, dtype)
    })
}

multiversion! {
    fn add_to<T: Real>(out: &mut [T], x: &[T]) {
        for (out, x) in out.iter_mut().zip(x) {
            *out += *x;
        }
    }
}
