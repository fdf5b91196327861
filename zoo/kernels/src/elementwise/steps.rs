//! Ops over the leading axis, time.

use candle_core::Tensor;

use super::BLOCK;
use crate::Result;
use crate::cuda::on_cuda;
use crate::dispatch::dispatch;
use crate::real::Real;
use crate::simd::multiversion;
use crate::storage::{self, each_chunk, read};

/// Sums `x` `[steps, n]` over its steps, in order, `[n]`.
pub fn sum_steps(x: &Tensor, steps: usize) -> Result<Tensor> {
    const OP: &str = "elementwise::sum_steps";
    on_cuda!(x => crate::cuda::ops::elementwise::sum_steps(OP, x, steps));
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

multiversion! {
    fn add_to<T: Real>(out: &mut [T], x: &[T]) {
        for (out, x) in out.iter_mut().zip(x) {
            *out += *x;
        }
    }
}
