//! Dropout with one mask for all steps of time.
//!
//! ```text
//! y[t, i] = x[t, i] * mask[i]     mask[i] = 0 where draw i is below the rate, else 1 / (1 - rate)
//! x, y [steps, n]
//! ```
//!
//! Draw `i` is the key's, whoever asks for it: the mask is drawn block by block where it is used and never stored, and
//! drawn again for the gradient. The operand may be spikes.

use std::mem::MaybeUninit;

use candle_core::{DType, Device, Tensor};
use keys::Key;

use crate::bits::{Bits, Source, lend, pack_row};
use crate::cuda::on_cuda;
use crate::dispatch::{dispatch, refusal};
use crate::error::ensure;
use crate::real::Real;
use crate::simd::multiversion;
use crate::storage::{Disjoint, filled, write};
use crate::tasks::each_task;
use crate::{Operand, Result, held};

/// Places of one piece of work.
const BLOCK: usize = 1 << 12;

/// Places whose mask is kept at a time.
const PIECE: usize = 512;

/// Blocks of random words that are drawn together, two places each.
const LANES: usize = 16;

/// Computes `x * mask`, `[steps * n]`; `dtype` is that of the result for spikes.
pub fn dropout(x: Operand, steps: usize, n: usize, key: Key, rate: f64, dtype: DType) -> Result<Tensor> {
    const OP: &str = "elementwise::dropout";
    on_cuda!(x.tensor() => crate::cuda::ops::dropout::dropout(OP, x, (steps, n), key, rate, dtype));
    let dtype = x.dtype_or(dtype);
    match held::real(dtype) {
        DType::F32 => apart::<f32>(OP, x, (steps, n), key, rate, dtype),
        DType::F64 => apart::<f64>(OP, x, (steps, n), key, rate, dtype),
        other => Err(refusal(OP, &Device::Cpu, other)),
    }
}

fn apart<T: Real>(
    op: &'static str,
    x: Operand,
    (steps, n): (usize, usize),
    key: Key,
    rate: f64,
    dtype: DType,
) -> Result<Tensor> {
    let x = lend::<T>(op, x, steps * n)?;
    let source = x.source();
    // SAFETY: pieces are disjoint and cover all places, and each is written at every step.
    let y = unsafe {
        filled(steps * n, |y| {
            let y = Disjoint::new(y);
            each_piece(n, steps, key, rate, |first, mask: &[T]| {
                let mut values = [T::ZERO; PIECE];
                for t in 0..steps {
                    let at = t * n + first..t * n + first + mask.len();
                    let x = match source {
                        Source::Dense(x) => &x[at.clone()],
                        Source::Spikes(..) => {
                            let values = &mut values[..mask.len()];
                            source.expand(at.start, values);
                            &*values
                        }
                    };
                    mask_span(x, mask, y.part(at));
                }
            });
        })
    };
    held::made(y, steps * n, dtype)
}

/// Computes the spikes that the mask keeps, the same at all steps: `x * mask` is them times `1 / (1 - rate)`.
pub fn dropout_spikes(x: &Bits, steps: usize, key: Key, rate: f64) -> Result<Bits> {
    const OP: &str = "elementwise::dropout_spikes";
    let (steps, plane, width) = (steps.max(1), x.plane(), x.plane().div_ceil(8));
    ensure(x.rows().is_multiple_of(steps), OP, "the steps must divide the rows", || {
        format!("{} rows, {steps} steps", x.rows())
    })?;
    let rows = x.rows() / steps;
    on_cuda!(x.tensor() => crate::cuda::ops::dropout::spikes(OP, x, steps, key, rate));
    let bytes = x.read(OP)?;
    let bytes = &*bytes;
    // Several rows, or a part of one that ends with a byte.
    let (rows_each, parts) = ((BLOCK / plane.max(1)).max(1), plane.div_ceil(BLOCK));
    // SAFETY: the tasks' bytes are disjoint and cover all rows, and each is written at every step.
    let kept = unsafe {
        filled(x.rows() * width, |y| {
            let y = Disjoint::new(y);
            each_task(rows.div_ceil(rows_each) * parts, rows * plane * steps, |task| {
                let (chunk, part) = (task / parts, task % parts);
                let columns = part * BLOCK..plane.min((part + 1) * BLOCK);
                let chunk = chunk * rows_each..rows.min((chunk + 1) * rows_each);
                let (first, many) = (chunk.start * plane + columns.start, chunk.len() * columns.len());
                let mut mask = [0.0_f32; BLOCK + PIECE];
                // Draws come in pairs.
                let skip = first % 2;
                for (i, mask) in mask.as_chunks_mut::<PIECE>().0.iter_mut().enumerate() {
                    if i * PIECE < skip + many {
                        draw(key, rate, first - skip + i * PIECE, mask);
                    }
                }
                let mut flags = [MaybeUninit::uninit(); BLOCK / 8];
                for (row, mask) in chunk.zip(mask[skip..skip + many].chunks(columns.len())) {
                    let flags = &mut flags[..columns.len().div_ceil(8)];
                    pack_row(mask, flags);
                    for t in 0..steps {
                        let at = (t * rows + row) * width + columns.start / 8;
                        let spikes = &bytes[at..at + flags.len()];
                        for ((y, x), flag) in y.part(at..at + flags.len()).iter_mut().zip(spikes).zip(&*flags)
                        {
                            // `pack_row` has written every byte.
                            y.write(x & flag.assume_init());
                        }
                    }
                }
            });
        })
    };
    Bits::of_bytes(kept, x.rows(), plane)
}

/// `x *= mask` where it lies.
pub fn dropout_assign(x: &Tensor, steps: usize, key: Key, rate: f64) -> Result<()> {
    const OP: &str = "elementwise::dropout_assign";
    let n = x.elem_count() / steps.max(1);
    on_cuda!(x => crate::cuda::ops::dropout::assign(OP, x, (steps, n), key, rate));
    dispatch!(OP, x, T => write::<T, _>(OP, "x", x, steps * n, |x| {
        let x = Disjoint::new(x);
        each_piece(n, steps, key, rate, |first, mask: &[T]| {
            for t in 0..steps {
                // SAFETY: pieces are disjoint.
                let x = unsafe { x.part(t * n + first..t * n + first + mask.len()) };
                mask_where_it_lies(x, mask);
            }
        });
    }))
}

/// Calls `f(first place, mask)` for pieces that cover `n` places.
fn each_piece<T: Real>(n: usize, steps: usize, key: Key, rate: f64, f: impl Fn(usize, &[T]) + Sync + Send) {
    each_task(n.div_ceil(BLOCK), n * steps, |task| {
        let mut mask = [T::ZERO; PIECE];
        for first in (task * BLOCK..n.min((task + 1) * BLOCK)).step_by(PIECE) {
            draw(key, rate, first, &mut mask);
            f(first, &mask[..PIECE.min(n - first)]);
        }
    });
}

multiversion! {
    /// Draws the mask of the places from `first` on, which is even.
    fn draw<T: Real>(key: Key, rate: f64, first: usize, mask: &mut [T; PIECE]) {
        let kept = T::of(1.0 / (1.0 - rate));
        for (i, mask) in mask.as_chunks_mut::<{ 2 * LANES }>().0.iter_mut().enumerate() {
            let [even, odd] = key.chances::<LANES>((first / 2 + i * LANES) as u64, rate);
            for (lane, pair) in mask.as_chunks_mut::<2>().0.iter_mut().enumerate() {
                pair[0] = if even[lane] != 0 { T::ZERO } else { kept };
                pair[1] = if odd[lane] != 0 { T::ZERO } else { kept };
            }
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
    fn mask_span<T: Real>(x: &[T], mask: &[T], out: &mut [MaybeUninit<T>]) {
        for ((out, x), mask) in out.iter_mut().zip(x).zip(mask) {
            out.write(*x * *mask);
        }
    }
}
