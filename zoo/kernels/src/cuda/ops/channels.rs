//! One number a channel or a row; see [`crate::elementwise`] and [`crate::norm::affine`].

use candle_core::{DType, Tensor};

use super::tensor::Values;
use super::{Gpu, by_number, launch};
use crate::cuda::launch as grid;
use crate::norm::NormShape;
use crate::{Operand, Result};

/// `x * scale + shift`, and `other` on top where there is one.
pub(crate) fn affine(
    op: &'static str,
    s: &NormShape,
    x: &Tensor,
    scale: &Tensor,
    shift: &Tensor,
    other: Option<Operand>,
) -> Result<Tensor> {
    let (gpu, len, one) = (Gpu::of(op, x)?, s.len(), scale.elem_count() == s.c);
    let own = if one { s.c } else { s.groups * s.c };
    by_number!(op, x.dtype(), T => {
        let at = [gpu.at::<T>("x", x, len)?, gpu.at::<T>("scale", scale, own)?, gpu.at::<T>("shift", shift, own)?];
        let other = match other {
            Some(other) => gpu.values::<T>(other, len)?,
            None => Values { at: 0, spikes: 0, plane: 1 },
        };
        let out = gpu.fresh::<T>(x.shape())?;
        let to = gpu.at::<T>("out", &out, len)?;
        launch!(
            gpu, CHANNELS, T, 0, "affine", grid::elements(op, len)?,
            [
                at[0], at[1], at[2], i32::from(one), other.at, other.spikes, other.plane, s.n as u64, s.c as u64,
                s.plane as u64, to, len as u64,
            ]
        );
        Ok(out)
    })
}

pub(crate) fn channel_scale(
    op: &'static str,
    x: &Tensor,
    (n, c, plane): (usize, usize, usize),
    alpha: &Tensor,
) -> Result<Tensor> {
    let (gpu, len) = (Gpu::of(op, x)?, n * c * plane);
    let own = if alpha.elem_count() == 1 { 1 } else { c };
    by_number!(op, x.dtype(), T => {
        let (at, alpha) = (gpu.at::<T>("x", x, len)?, gpu.at::<T>("scale", alpha, own)?);
        let out = gpu.fresh::<T>(x.shape())?;
        let to = gpu.at::<T>("out", &out, len)?;
        launch!(
            gpu, CHANNELS, T, 0, "channel_scale", grid::elements(op, len)?,
            [at, alpha, own as u64, plane.max(1) as u64, to, len as u64]
        );
        Ok(out)
    })
}

/// The first channels and the rest.
pub(crate) fn split(
    op: &'static str,
    x: &Tensor,
    (n, c, plane): (usize, usize, usize),
    first: usize,
) -> Result<(Tensor, Tensor)> {
    let gpu = Gpu::of(op, x)?;
    by_number!(op, x.dtype(), T => {
        let at = gpu.at::<T>("x", x, n * c * plane)?;
        let part = |skip: usize, channels: usize| -> Result<Tensor> {
            let (out, len) = (gpu.fresh::<T>((n, channels, plane))?, n * channels * plane);
            let to = gpu.at::<T>("out", &out, len)?;
            launch!(
                gpu, CHANNELS, T, 0, "take", grid::elements(op, len)?,
                [at, (c * plane) as u64, (skip * plane) as u64, (channels * plane).max(1) as u64, to, len as u64]
            );
            Ok(out)
        };
        Ok((part(0, first)?, part(first, c - first)?))
    })
}

pub(crate) fn concat(
    op: &'static str,
    (a, ca): (&Tensor, usize),
    (b, cb): (&Tensor, usize),
    n: usize,
    plane: usize,
) -> Result<Tensor> {
    let (gpu, c) = (Gpu::of(op, a)?, ca + cb);
    by_number!(op, a.dtype(), T => {
        let out = gpu.fresh::<T>((n, c, plane))?;
        let to = gpu.at::<T>("out", &out, n * c * plane)?;
        for (what, part, channels, skip) in [("a", a, ca, 0), ("b", b, cb, ca)] {
            let len = n * channels * plane;
            let from = gpu.at::<T>(what, part, len)?;
            launch!(
                gpu, CHANNELS, T, 0, "put", grid::elements(op, len)?,
                [from, (c * plane) as u64, (skip * plane) as u64, (channels * plane).max(1) as u64, to, len as u64]
            );
        }
        Ok(out)
    })
}

pub(crate) fn row_dot(
    op: &'static str,
    (rows, plane): (usize, usize),
    a: Operand,
    b: Operand,
    dtype: DType,
) -> Result<Tensor> {
    let gpu = Gpu::of(op, a.tensor())?;
    by_number!(op, a.dtype_or(b.dtype_or(dtype)), T => {
        let (a, b) = (gpu.values::<T>(a, rows * plane)?, gpu.values::<T>(b, rows * plane)?);
        let out = gpu.fresh::<T>(rows)?;
        let to = gpu.at::<T>("out", &out, rows)?;
        // One block a row, without a look at the length.
        if rows > 0 {
            launch!(
                gpu, CHANNELS, T, 0, "row_dot", grid::blocks(op, rows)?,
                [a.at, a.spikes, a.plane, b.at, b.spikes, b.plane, plane as u64, to]
            );
        }
        Ok(out)
    })
}

pub(crate) fn row_scale(
    op: &'static str,
    (rows, plane): (usize, usize),
    x: Operand,
    factor: Operand,
    dtype: DType,
) -> Result<Tensor> {
    let (gpu, len) = (Gpu::of(op, x.tensor())?, rows * plane);
    by_number!(op, x.dtype_or(factor.dtype_or(dtype)), T => {
        let (x, f) = (gpu.values::<T>(x, len)?, gpu.values::<T>(factor, rows)?);
        let out = gpu.fresh::<T>((rows, plane))?;
        let to = gpu.at::<T>("out", &out, len)?;
        launch!(
            gpu, CHANNELS, T, 0, "row_scale", grid::elements(op, len)?,
            [x.at, x.spikes, x.plane, f.at, f.spikes, f.plane, plane.max(1) as u64, to, len as u64]
        );
        Ok(out)
    })
}

/// Repeats each value, or with `backward` sums the gradients of its copies; `h` and `w` are those of the small plane.
pub(crate) fn upsample(
    op: &'static str,
    x: &Tensor,
    (rows, h, w): (usize, usize, usize),
    factor: usize,
    backward: bool,
) -> Result<Tensor> {
    let (gpu, small, large) = (Gpu::of(op, x)?, rows * h * w, rows * h * w * factor * factor);
    by_number!(op, x.dtype(), T => {
        if backward {
            let (at, out) = (gpu.at::<T>("dy", x, large)?, gpu.fresh::<T>((rows, h, w))?);
            let to = gpu.at::<T>("dx", &out, small)?;
            launch!(
                gpu, CHANNELS, T, 0, "upsample_backward", grid::elements(op, small)?,
                [at, h as u64, w as u64, factor as u64, to, small as u64]
            );
            Ok(out)
        } else {
            let (at, out) = (gpu.at::<T>("x", x, small)?, gpu.fresh::<T>((rows, h * factor, w * factor))?);
            let to = gpu.at::<T>("out", &out, large)?;
            launch!(
                gpu, CHANNELS, T, 0, "upsample", grid::elements(op, large)?,
                [at, h as u64, w as u64, factor as u64, to, large as u64]
            );
            Ok(out)
        }
    })
}
