//! One number a channel, and channels put together or apart; tensors are `[n, c, plane]`.

use std::mem::MaybeUninit;

use candle_core::Tensor;

use crate::bias::store;
use crate::bits::lend;
use crate::cuda::on_cuda;
use crate::dispatch::dispatch;
use crate::norm::{NormShape, affine, rows_per_task, sums::sums};
use crate::real::Real;
use crate::scratch::{self, Slot};
use crate::simd::multiversion;
use crate::storage::{distinct, filled, filled_chunks, read, write};
use crate::tasks;
use crate::{Operand, Result, held};

/// Computes `x * scale + shift + other`: a residual sum with the norm folded in.
///
/// `x` and `other` are `[groups * n, c, plane]`, `scale` and `shift` `[groups, c]` or `[1, c]`.
pub fn add_affine(
    s: &NormShape,
    x: &Tensor,
    scale: &Tensor,
    shift: &Tensor,
    other: Operand,
) -> Result<Tensor> {
    const OP: &str = "elementwise::add_affine";
    on_cuda!(x => crate::cuda::ops::channels::affine(OP, s, x, scale, shift, Some(other)));
    let dtype = held::wider(x.dtype(), other.dtype_or(x.dtype()));
    let (shape, own) = (x.shape().clone(), if scale.elem_count() == s.c { 1 } else { s.groups });
    dispatch!(OP, x, T => {
        let (scale, shift) = (read::<T>(OP, "scale", scale, own * s.c)?, read::<T>(OP, "shift", shift, own * s.c)?);
        let (x, other) = (read::<T>(OP, "x", x, s.len())?, lend::<T>(OP, other, s.len())?);
        let (x, scale, shift, other) = (&*x, &*scale, &*shift, other.source());
        let rows = rows_per_task(s);
        // SAFETY: rows cover the chunk and `affine_add_span` writes each element of its row.
        let y = unsafe {
            filled_chunks(s.len(), rows * s.plane, |task, out| {
                scratch::vector(Slot::Row, |kept| {
                    for (k, out) in out.chunks_mut(s.plane).enumerate() {
                        let row = task * rows + k;
                        let c = if own == 1 { 0 } else { row / (s.n * s.c) * s.c } + row % s.c;
                        let other = other.row(row, s.plane, kept);
                        affine_add_span(&x[row * s.plane..(row + 1) * s.plane], scale[c], shift[c], other, out);
                    }
                });
            })
        };
        held::made(y, shape, dtype)
    })
}

multiversion! {
    fn affine_add_span<T: Real>(x: &[T], a: T, b: T, other: &[T], out: &mut [MaybeUninit<T>]) {
        for ((out, x), other) in out.iter_mut().zip(x).zip(other) {
            out.write(*x * a + b + *other);
        }
    }
}

/// Computes `x[n, c, p] * alpha[c]`; an `alpha` of one element is the same for all channels.
pub fn channel_scale(x: &Tensor, n: usize, c: usize, plane: usize, alpha: &Tensor) -> Result<Tensor> {
    on_cuda!(x => crate::cuda::ops::channels::channel_scale("elementwise::channel_scale", x, (n, c, plane), alpha));
    let shape = match alpha.elem_count() {
        1 => NormShape { groups: 1, n, c: 1, plane: c * plane },
        _ => NormShape { groups: 1, n, c, plane },
    };
    affine(&shape, x, alpha, &alpha.zeros_like()?)
}

/// Computes `into[c] = sum over (n, p) of a * b`, over what it held or on top; an `into` of one element takes the
/// sum over the channels too.
pub fn channel_dot(
    a: &Tensor,
    b: &Tensor,
    n: usize,
    c: usize,
    plane: usize,
    into: &Tensor,
    accumulate: bool,
) -> Result<()> {
    const OP: &str = "elementwise::channel_dot";
    distinct(OP, ("into", into), &[("a", a), ("b", b)])?;
    on_cuda!(a => crate::cuda::ops::norm::channel_sum(OP, a, Some(b), (n, c, plane), into, accumulate));
    dispatch!(OP, a, T => {
        let (a, b) = (read::<T>(OP, "a", a, n * c * plane)?, read::<T>(OP, "b", b, n * c * plane)?);
        let dots: Vec<f64> = sums(1, n, c, plane, &a, &b).iter().map(|sum| sum[1]).collect();
        match into.elem_count() {
            1 => {
                let all = dots.iter().sum();
                write::<T, _>(OP, "into", into, 1, |into| store(into, &[all], accumulate))
            }
            _ => write::<T, _>(OP, "into", into, c, |into| store(into, &dots, accumulate)),
        }
    })
}

/// Parts `x` `[n, c, plane]` into its first channels and the rest.
pub fn split_channels(
    x: &Tensor,
    n: usize,
    c: usize,
    plane: usize,
    first: usize,
) -> Result<(Tensor, Tensor)> {
    const OP: &str = "elementwise::split_channels";
    crate::error::ensure(first <= c, OP, "no more channels than there are", || format!("{first} of {c}"))?;
    on_cuda!(x => crate::cuda::ops::channels::split(OP, x, (n, c, plane), first));
    let dtype = x.dtype();
    dispatch!(OP, x, T => {
        let x = read::<T>(OP, "x", x, n * c * plane)?;
        let (x, cut) = (&*x, first * plane);
        let part = |skip: usize, width: usize| {
            // SAFETY: each chunk is one image's part and is written whole.
            let values = unsafe {
                filled_chunks(n * width, width, |i, out| {
                    let start = i * c * plane + skip;
                    out.write_copy_of_slice(&x[start..start + width]);
                })
            };
            held::made(values, (n, width / plane.max(1), plane), dtype)
        };
        Ok((part(0, cut)?, part(cut, (c - first) * plane)?))
    })
}

/// Puts `a` `[n, ca, plane]` and `b` `[n, cb, plane]` together as `[n, ca + cb, plane]`.
pub fn concat_channels(
    a: &Tensor,
    ca: usize,
    b: &Tensor,
    cb: usize,
    n: usize,
    plane: usize,
) -> Result<Tensor> {
    const OP: &str = "elementwise::concat_channels";
    on_cuda!(a => crate::cuda::ops::channels::concat(OP, (a, ca), (b, cb), n, plane));
    let dtype = held::wider(a.dtype(), b.dtype());
    dispatch!(OP, a, T => {
        let (wa, wb) = (ca * plane, cb * plane);
        let (a, b) = (read::<T>(OP, "a", a, n * wa)?, read::<T>(OP, "b", b, n * wb)?);
        let (a, b) = (&*a, &*b);
        // SAFETY: each chunk is one image, and both its parts are written.
        let values = unsafe {
            filled(n * (wa + wb), |all| {
                tasks::each_chunk(all, wa + wb, |i, out| {
                    let (first, rest) = out.split_at_mut(wa);
                    first.write_copy_of_slice(&a[i * wa..(i + 1) * wa]);
                    rest.write_copy_of_slice(&b[i * wb..(i + 1) * wb]);
                });
            })
        };
        held::made(values, (n, ca + cb, plane), dtype)
    })
}
