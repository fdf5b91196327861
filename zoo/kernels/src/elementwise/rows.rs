//! One number a row: sums of products over a row, and rows times their number. Operands may be spikes.
//!
//! These are the attention of the Spike-driven Transformer (Yao et al. 2023): a row is a channel of an image and its
//! values are the tokens.

use candle_core::{DType, Device, Tensor};

use super::BLOCK;
use crate::bits::{Bits, lend};
use crate::cuda::on_cuda;
use crate::dispatch::refusal;
use crate::error::ensure;
use crate::norm::sums::span;
use crate::real::Real;
use crate::scratch::{self, Slot};
use crate::simd::multiversion;
use crate::storage::{self, filled_chunks};
use crate::tasks::map_tasks;
use crate::{Operand, Result, held};

/// Runs `$body` in the type of the operands that have one, else in the one for spikes.
macro_rules! by_operands {
    ($op:expr, $a:expr, $b:expr, $spikes:expr, $T:ident => $body:expr) => {
        match held::real($a.dtype_or($b.dtype_or($spikes))) {
            DType::F32 => {
                type $T = f32;
                $body
            }
            DType::F64 => {
                type $T = f64;
                $body
            }
            other => Err(refusal($op, &Device::Cpu, other)),
        }
    };
}

/// Computes `y[r] = sum over p of a[r, p] * b[r, p]`, `[rows]`; `dtype` is that of the result for spikes.
pub fn row_dot(rows: usize, plane: usize, a: Operand, b: Operand, dtype: DType) -> Result<Tensor> {
    const OP: &str = "elementwise::row_dot";
    on_cuda!(a.tensor() => crate::cuda::ops::channels::row_dot(OP, (rows, plane), a, b, dtype));
    let dtype = a.dtype_or(b.dtype_or(dtype));
    let per_task = (BLOCK / plane.max(1)).max(1);
    let tasks = rows.div_ceil(per_task);
    by_operands!(OP, a, b, dtype, T => {
        let (a, b) = (lend::<T>(OP, a, rows * plane)?, lend::<T>(OP, b, rows * plane)?);
        let (a, b) = (a.source(), b.source());
        let sums = map_tasks(tasks, rows * plane, |task| {
            scratch::vector(Slot::Row, |kept_a| {
                scratch::vector(Slot::Other, |kept_b| {
                    let rows = task * per_task..rows.min((task + 1) * per_task);
                    rows.map(|r| <T as Real>::of(span(a.row(r, plane, kept_a), b.row(r, plane, kept_b))[1]))
                        .collect::<Vec<T>>()
                })
            })
        });
        held::made(sums.concat(), rows, dtype)
    })
}

/// Counts the places of each row at which both have a spike, `[rows]`: [`row_dot`] of spikes.
pub fn row_overlap(a: &Bits, b: &Bits, dtype: DType) -> Result<Tensor> {
    const OP: &str = "elementwise::row_overlap";
    same_rows(OP, a, b.rows(), b.plane())?;
    on_cuda!(a.tensor() => crate::cuda::ops::bits::row_overlap(OP, a, b, dtype));
    let (rows, width) = (a.rows(), a.plane().div_ceil(8));
    let (a, b) = (a.read(OP)?, b.read(OP)?);
    let (a, b, per_task) = (&*a, &*b, (BLOCK / width.max(1)).max(1));
    let counts = map_tasks(rows.div_ceil(per_task), a.len(), |task| {
        let rows = task * per_task..rows.min((task + 1) * per_task);
        rows.map(|r| shared_ones(&a[r * width..(r + 1) * width], &b[r * width..(r + 1) * width]) as f64)
            .collect::<Vec<f64>>()
    });
    Ok(storage::tensor(counts.concat(), rows)?.to_dtype(dtype)?)
}

/// Computes `x[r, p] * factor[r]`, `[rows, plane]`; `dtype` is that of the result for spikes.
pub fn row_scale(rows: usize, plane: usize, x: Operand, factor: Operand, dtype: DType) -> Result<Tensor> {
    const OP: &str = "elementwise::row_scale";
    on_cuda!(x.tensor() => crate::cuda::ops::channels::row_scale(OP, (rows, plane), x, factor, dtype));
    let dtype = x.dtype_or(factor.dtype_or(dtype));
    let per_task = (BLOCK / plane.max(1)).max(1);
    by_operands!(OP, x, factor, dtype, T => {
        let (x, factor) = (lend::<T>(OP, x, rows * plane)?, lend::<T>(OP, factor, rows)?);
        let (x, factor) = (x.source(), factor.source());
        // SAFETY: rows cover the chunk and `scale_row` writes each element of its row.
        let y = unsafe {
            filled_chunks(rows * plane, per_task * plane, |task, out| {
                scratch::vector(Slot::Row, |kept| {
                    let mut factors = [<T as Real>::ZERO; 1];
                    for (i, out) in out.chunks_mut(plane).enumerate() {
                        let r = task * per_task + i;
                        factor.expand(r, &mut factors);
                        scale_row(x.row(r, plane, kept), factors[0], out);
                    }
                });
            })
        };
        held::made(y, (rows, plane), dtype)
    })
}

/// Keeps the rows of `x` whose `mask` (one value a row) has a spike: [`row_scale`] of spikes, which are spikes.
pub fn row_mask(x: &Bits, mask: &Bits) -> Result<Bits> {
    const OP: &str = "elementwise::row_mask";
    same_rows(OP, mask, x.rows(), 1)?;
    on_cuda!(x.tensor() => crate::cuda::ops::bits::row_mask(OP, x, mask));
    let (rows, width, plane) = (x.rows(), x.plane().div_ceil(8), x.plane());
    let (x, mask) = (x.read(OP)?, mask.read(OP)?);
    let (x, mask, per_task) = (&*x, &*mask, (BLOCK / width.max(1)).max(1));
    // SAFETY: rows cover the chunk and each byte of a row is written.
    let bytes = unsafe {
        filled_chunks(rows * width, per_task * width, |task, out| {
            for (i, out) in out.chunks_mut(width).enumerate() {
                let r = task * per_task + i;
                // A row of one value is one byte, 0 or 1.
                let keep = 0u8.wrapping_sub(mask[r]);
                for (out, x) in out.iter_mut().zip(&x[r * width..(r + 1) * width]) {
                    out.write(x & keep);
                }
            }
        })
    };
    Bits::of_bytes(bytes, rows, plane)
}

fn same_rows(op: &'static str, a: &Bits, rows: usize, plane: usize) -> Result<()> {
    ensure(a.rows() == rows && a.plane() == plane, op, "the spikes must lie in matching rows", || {
        format!("{} rows of {} and {rows} rows of {plane}", a.rows(), a.plane())
    })
}

multiversion! {
    fn shared_ones(a: &[u8], b: &[u8]) -> u64 {
        let ((a, a_tail), (b, b_tail)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
        let word = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes);
        let words: u64 = a.iter().zip(b).map(|(a, b)| (word(a) & word(b)).count_ones() as u64).sum();
        words + a_tail.iter().zip(b_tail).map(|(a, b)| (a & b).count_ones() as u64).sum::<u64>()
    }
}

multiversion! {
    fn scale_row<T: Real>(x: &[T], factor: T, out: &mut [std::mem::MaybeUninit<T>]) {
        for (out, x) in out.iter_mut().zip(x) {
            out.write(*x * factor);
        }
    }
}
