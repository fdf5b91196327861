//! Gates: a derivative that is 1 where a bit is set and 0 elsewhere, so that a bit is all that is kept for it.
//!
//! ```text
//! I = x * scale + shift     open = low <= I <= high     dI = dy where open, else 0
//! ```
//!
//! The rectifier's gate is its sign, that of a neuron without a state the window of its surrogate.

use std::mem::MaybeUninit;
use std::ops::Range;

use candle_core::Tensor;

use super::{Current, Input, LifShape};
use crate::bits::{Bits, pack_flags};
use crate::cuda::on_cuda;
use crate::dispatch::dispatch;
use crate::error::ensure;
use crate::real::Real;
use crate::simd::multiversion;
use crate::storage::{self, Disjoint, filled, read, read_opt, write};
use crate::tasks::{each_chunk, each_task};
use crate::{Result, held};

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
        // SAFETY: tasks are blocks of rows; they cover the buffer, and `inside` writes each byte of its rows.
        let open = unsafe {
            filled(rows * width, |open| {
                let open = Disjoint::new(open);
                each_task(rows.div_ceil(per_task), rows * s.plane, |task| {
                    let rows = task * per_task..rows.min((task + 1) * per_task);
                    let open = open.part(rows.start * width..rows.end * width);
                    inside(s, &input, rows, (low, high), open);
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
        let (shape, dtype, bytes) = (dy.shape().clone(), dy.dtype(), open.read(OP)?);
        let (bytes, per_task) = (&*bytes, (BLOCK / plane.max(1)).max(1));
        let bytes_of = |task: usize| &bytes[task * per_task * width..rows.min((task + 1) * per_task) * width];
        if reuse_dy {
            write::<T, _>(OP, "dy", dy, rows * plane, |dy| {
                each_chunk(dy, per_task * plane, |task, dy| shut(dy, plane, bytes_of(task)));
            })?;
            return Ok(dy.clone());
        }
        let dy = read::<T>(OP, "dy", dy, rows * plane)?;
        let dy = &*dy;
        // SAFETY: `let_through` writes each element of its rows.
        let di = unsafe {
            storage::filled_chunks(rows * plane, per_task * plane, |task, out| {
                let first = task * per_task * plane;
                let_through(&dy[first..first + out.len()], plane, bytes_of(task), out);
            })
        };
        held::made(di, shape, dtype)
    })
}

/// Flags that are made before they are packed: those of several short rows, or of a part of a long one.
const FLAGS: usize = 512;

multiversion! {
    /// Writes where the window is open, for some of the `steps * rows` rows.
    fn inside<T: Real>(
        s: &LifShape,
        input: &Input<'_, T>,
        rows: Range<usize>,
        bounds: (T, T),
        open: &mut [MaybeUninit<u8>],
    ) {
        let width = s.plane.div_ceil(8);
        let all = input.x[rows.start * s.plane..rows.end * s.plane].chunks_exact(s.plane);
        let mut all = all.zip(input.affines_from(s, rows.start / s.rows, rows.start % s.rows));
        // What lies behind the end of a short row stays 0.
        let mut flags = [0u8; FLAGS];
        if 8 * width > FLAGS {
            for ((x, affine), open) in all.zip(open.chunks_mut(width)) {
                for (x, open) in x.chunks(FLAGS).zip(open.chunks_mut(FLAGS / 8)) {
                    flag(x, affine, bounds, &mut flags);
                    pack_flags(&flags[..x.len()], open);
                }
            }
            return;
        }
        for open in open.chunks_mut(FLAGS / 8 / width * width) {
            let flags = &mut flags[..8 * open.len()];
            for (flags, (x, affine)) in flags.chunks_exact_mut(8 * width).zip(&mut all) {
                flag(x, affine, bounds, flags);
            }
            pack_flags(flags, open);
        }
    }
}

/// Whether `low <= x * scale + shift <= high`, as 0 or 1.
#[inline(always)]
fn flag<T: Real>(x: &[T], (scale, shift): (T, T), (low, high): (T, T), flags: &mut [u8]) {
    for (x, flag) in x.iter().zip(flags) {
        let i = *x * scale + shift;
        *flag = ((i >= low) & (i <= high)) as u8;
    }
}

/// Values and bytes of the longest rows without padding: those of whole bytes are one long row of `bytes` in all.
#[inline(always)]
fn longest_rows(plane: usize, bytes: usize) -> (usize, usize) {
    if plane.is_multiple_of(8) { (8 * bytes, bytes) } else { (plane, plane.div_ceil(8)) }
}

multiversion! {
    fn let_through<T: Real>(dy: &[T], plane: usize, open: &[u8], out: &mut [MaybeUninit<T>]) {
        let (plane, width) = longest_rows(plane, open.len());
        for ((dy, open), out) in dy.chunks(plane).zip(open.chunks(width)).zip(out.chunks_mut(plane)) {
            let ((octets, tail), (out, out_tail)) = (dy.as_chunks::<8>(), out.as_chunks_mut::<8>());
            for ((dy, open), out) in octets.iter().zip(open).zip(out) {
                for ((dy, open), out) in dy.iter().zip(T::octet(*open)).zip(out) {
                    out.write(if *open != T::ZERO { *dy } else { T::ZERO });
                }
            }
            if let Some(open) = open.last() {
                for ((dy, open), out) in tail.iter().zip(T::octet(*open)).zip(out_tail) {
                    out.write(if *open != T::ZERO { *dy } else { T::ZERO });
                }
            }
        }
    }
}

multiversion! {
    fn shut<T: Real>(dy: &mut [T], plane: usize, open: &[u8]) {
        let (plane, width) = longest_rows(plane, open.len());
        for (dy, open) in dy.chunks_mut(plane).zip(open.chunks(width)) {
            let (octets, tail) = dy.as_chunks_mut::<8>();
            for (dy, open) in octets.iter_mut().zip(open) {
                for (dy, open) in dy.iter_mut().zip(T::octet(*open)) {
                    *dy = if *open != T::ZERO { *dy } else { T::ZERO };
                }
            }
            if let Some(open) = open.last() {
                for (dy, open) in tail.iter_mut().zip(T::octet(*open)) {
                    *dy = if *open != T::ZERO { *dy } else { T::ZERO };
                }
            }
        }
    }
}
