//! The rectifier, for the ANN references: it takes the neuron's place and folds the norm in the same way.
//!
//! ```text
//! I = x * scale + shift     y = max(I, 0)     dI = dy where y > 0, else 0
//! ```
//!
//! The gradient is that of a [gate](super::gate).

use candle_core::Tensor;

use super::{Current, Input, LifShape};
use crate::bits::{Bits, pack_flags};
use crate::cuda::on_cuda;
use crate::dispatch::dispatch;
use crate::error::ensure;
use crate::real::Real;
use crate::simd::multiversion;
use crate::storage::{Disjoint, filled, read, read_opt};
use crate::tasks::each_task;
use crate::{Result, held};

/// Elements of one piece of work.
const BLOCK: usize = 1 << 14;

/// Computes `y` `[steps, rows, plane]` and where it is positive, which is all that the backward pass needs.
pub fn relu_forward(s: &LifShape, i: &Current) -> Result<(Tensor, Bits)> {
    const OP: &str = "lif::relu_forward";
    s.check(OP)?;
    ensure(s.current_steps == s.steps, OP, "the current has a frame for each step", || format!("{s:?}"))?;
    on_cuda!(i.x => crate::cuda::ops::lif::relu_forward(OP, s, i));
    dispatch!(OP, i.x, T => with_input!(OP, T, s, i, None, input => {
        let (rows, width) = (s.steps * s.rows, s.plane.div_ceil(8));
        let (per_task, len) = ((BLOCK / s.plane).max(1), rows * s.plane);
        let mut sign = Vec::new();
        // SAFETY: tasks are blocks of rows, disjoint in both buffers; they cover and fill them.
        let y = unsafe {
            filled(len, |y| {
                let y = Disjoint::new(y);
                sign = filled(rows * width, |sign| {
                    let sign = Disjoint::new(sign);
                    each_task(rows.div_ceil(per_task), len, |task| {
                        for r in task * per_task..rows.min((task + 1) * per_task) {
                            let (at, places) = (r * s.plane, r * s.plane..(r + 1) * s.plane);
                            let (t, row) = (r / s.rows, r % s.rows);
                            let (a, b) = input.affine_at(s, t, row).unwrap_or((T::ONE, T::ZERO));
                            let sign = sign.part(r * width..(r + 1) * width);
                            rectify(&input.x[at..at + s.plane], a, b, y.part(places), sign);
                        }
                    });
                });
            })
        };
        Ok((held::made(y, (s.steps, s.rows, s.plane), i.x.dtype())?, Bits::of_bytes(sign, rows, s.plane)?))
    }))
}

multiversion! {
    fn rectify<T: Real>(
        x: &[T], a: T, b: T, y: &mut [std::mem::MaybeUninit<T>], sign: &mut [std::mem::MaybeUninit<u8>],
    ) {
        let mut flags = [0u8; 512];
        for ((x, y), sign) in x.chunks(512).zip(y.chunks_mut(512)).zip(sign.chunks_mut(64)) {
            for ((x, y), flag) in x.iter().zip(y).zip(&mut flags) {
                let i = *x * a + b;
                let positive = i > T::ZERO;
                y.write(if positive { i } else { T::ZERO });
                *flag = positive as u8;
            }
            pack_flags(&flags[..x.len()], sign);
        }
    }
}
