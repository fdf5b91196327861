//! Gates: a derivative that is 1 where a bit is set and 0 elsewhere, so that a bit is all that is kept for it.
//!
//! ```text
//! I = x * scale + shift     open = low <= I <= high     dI = dy where open, else 0
//! ```
//!
//! The rectifier's gate is its sign, that of a neuron without a state the window of its surrogate.

use candle_core::Tensor;

use super::{Current, Input, LifShape};
use crate::Result;
use crate::bits::{Bits, expand_span, pack_flags};
use crate::cuda::on_cuda;
use crate::dispatch::dispatch;
use crate::error::ensure;
use crate::real::Real;
use crate::simd::multiversion;
use crate::storage::{self, Disjoint, each_chunk, each_task, filled, read, read_opt, write};

/// Elements of one piece of work.
const BLOCK: usize = 1 << 14;

/// Where `low <= I <= high`, `steps * rows` rows.
pub fn window(s: &LifShape, i: &Current, low: f64, high: f64) -> Result<Bits> {
    const OP: &str = "lif::window";
    s.check(OP)?;
    ensure(s.current_steps == s.steps, OP, "the current has a frame for each step", || format!("{s:?}"))?;
    on_cuda!(i.x => crate::cuda::ops::lif::window(OP, s, i, low, high));
    dispatch!(OP, i.x, T => with_input!(OP, T, s, i, None, input => {
        let (rows, width) = (s.steps * s.rows, s.plane.div_ceil(8));
        let (per_task, low, high) = ((BLOCK / s.plane).max(1), <T as Real>::of(low), <T as Real>::of(high));
        // SAFETY: tasks are blocks of rows; they cover the buffer and fill it.
        let open = unsafe {
            filled(rows * width, |open| {
                let open = Disjoint::new(open);
                each_task(rows.div_ceil(per_task), rows * s.plane, |task| {
                    for r in task * per_task..rows.min((task + 1) * per_task) {
                        let x = &input.x[r * s.plane..(r + 1) * s.plane];
                        let affine = input.affine_at(s, r / s.rows, r % s.rows).unwrap_or((T::ONE, T::ZERO));
                        inside(x, affine, (low, high), open.part(r * width..(r + 1) * width));
                    }
                });
            })
        };
        Bits::of_bytes(open, rows, s.plane)
    }))
}

/// `dy` where the gate is open, else 0, in the shape of `dy`. With `reuse_dy` the result takes its place.
pub fn gate(dy: &Tensor, open: &Bits, reuse_dy: bool) -> Result<Tensor> {
    const OP: &str = "lif::gate";
    on_cuda!(dy => crate::cuda::ops::bits::gate(OP, dy, open, reuse_dy));
    let (plane, width, rows) = (open.plane(), open.plane().div_ceil(8), open.rows());
    dispatch!(OP, dy, T => {
        let (shape, bytes) = (dy.shape().clone(), open.read(OP)?);
        let (bytes, per_task) = (&*bytes, (BLOCK / plane.max(1)).max(1));
        let row_of = |r: usize| &bytes[r * width..(r + 1) * width];
        if reuse_dy {
            write::<T, _>(OP, "dy", dy, rows * plane, |dy| {
                each_chunk(dy, per_task * plane, |task, dy| {
                    for (k, dy) in dy.chunks_mut(plane).enumerate() {
                        shut(dy, row_of(task * per_task + k));
                    }
                });
            })?;
            return Ok(dy.clone());
        }
        let dy = read::<T>(OP, "dy", dy, rows * plane)?;
        let dy = &*dy;
        // SAFETY: `let_through` writes each element of its row.
        let di = unsafe {
            storage::filled_chunks(rows * plane, per_task * plane, |task, out| {
                for (k, out) in out.chunks_mut(plane).enumerate() {
                    let r = task * per_task + k;
                    let_through(&dy[r * plane..(r + 1) * plane], row_of(r), out);
                }
            })
        };
        storage::tensor(di, shape)
    })
}

multiversion! {
    fn inside<T: Real>(
        x: &[T], affine: (T, T), bounds: (T, T), open: &mut [std::mem::MaybeUninit<u8>],
    ) {
        let mut flags = [0u8; 512];
        for (x, open) in x.chunks(512).zip(open.chunks_mut(64)) {
            for (x, flag) in x.iter().zip(&mut flags) {
                let i = *x * affine.0 + affine.1;
                *flag = ((i >= bounds.0) & (i <= bounds.1)) as u8;
            }
            pack_flags(&flags[..x.len()], open);
        }
    }
}

multiversion! {
    fn let_through<T: Real>(dy: &[T], row: &[u8], out: &mut [std::mem::MaybeUninit<T>]) {
        let mut open = [T::ZERO; 512];
        for (k, (dy, out)) in dy.chunks(512).zip(out.chunks_mut(512)).enumerate() {
            expand_span(row, k * 512, &mut open[..dy.len()]);
            for ((dy, open), out) in dy.iter().zip(&open).zip(out) {
                out.write(if *open != T::ZERO { *dy } else { T::ZERO });
            }
        }
    }
}

multiversion! {
    fn shut<T: Real>(dy: &mut [T], row: &[u8]) {
        let mut open = [T::ZERO; 512];
        for (k, dy) in dy.chunks_mut(512).enumerate() {
            expand_span(row, k * 512, &mut open[..dy.len()]);
            for (dy, open) in dy.iter_mut().zip(&open) {
                *dy = if *open != T::ZERO { *dy } else { T::ZERO };
            }
        }
    }
}
