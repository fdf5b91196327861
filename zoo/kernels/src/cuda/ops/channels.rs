//! One number a channel or a row; see [`crate::elementwise`] and [`crate::norm::affine`].

use candle_core::{DType, Tensor};

use super::tensor::{Values, narrower};
use super::{Gpu, by_number, launch};
use crate::cuda::launch as grid;
use crate::norm::NormShape;
use crate::{Operand, Result, held};

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
    let beside = other.map_or(x.dtype(), |other| other.dtype_or(x.dtype()));
    by_number!(op, narrower(x.dtype(), beside), H, R => {
        let (from, scale) = (gpu.beside::<H>("x", x, len)?, gpu.at::<R>("scale", scale, own)?);
        let shift = gpu.at::<R>("shift", shift, own)?;
        let other = match other {
            Some(other) => gpu.values::<H>(other, len)?,
            None => Values { at: 0, kind: 0, plane: 1 },
        };
        let out = gpu.fresh_beside::<H>(held::wider(x.dtype(), beside), x.shape())?;
        let to = gpu.beside::<H>("out", &out, len)?;
        launch!(
            gpu, CHANNELS, H, 0, "affine", grid::elements(op, len)?,
            [
                from.at, from.wide, scale, shift, i32::from(one), other.at, other.kind, other.plane, s.n as u64,
                s.c as u64, s.plane as u64, to.at, to.wide, len as u64,
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
    by_number!(op, x.dtype(), H, R => {
        let (at, alpha) = (gpu.at::<H>("x", x, len)?, gpu.at::<R>("scale", alpha, own)?);
        let out = gpu.fresh::<H>(x.shape())?;
        let to = gpu.at::<H>("out", &out, len)?;
        launch!(
            gpu, CHANNELS, H, 0, "channel_scale", grid::elements(op, len)?,
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
    by_number!(op, x.dtype(), H => {
        let at = gpu.at::<H>("x", x, n * c * plane)?;
        let part = |skip: usize, channels: usize| -> Result<Tensor> {
            let (out, len) = (gpu.fresh::<H>((n, channels, plane))?, n * channels * plane);
            let to = gpu.at::<H>("out", &out, len)?;
            launch!(
                gpu, CHANNELS, H, 0, "take", grid::elements(op, len)?,
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
    by_number!(op, a.dtype(), H => {
        let out = gpu.fresh::<H>((n, c, plane))?;
        let to = gpu.at::<H>("out", &out, n * c * plane)?;
        for (what, part, channels, skip) in [("a", a, ca, 0), ("b", b, cb, ca)] {
            let len = n * channels * plane;
            let from = gpu.at::<H>(what, part, len)?;
            launch!(
                gpu, CHANNELS, H, 0, "put", grid::elements(op, len)?,
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
    by_number!(op, a.dtype_or(b.dtype_or(dtype)), H => {
        let (a, b) = (gpu.values::<H>(a, rows * plane)?, gpu.values::<H>(b, rows * plane)?);
        let out = gpu.fresh::<H>(rows)?;
        let to = gpu.at::<H>("out", &out, rows)?;
        // One block a row, without a look at the length.
        if rows > 0 {
            launch!(
                gpu, CHANNELS, H, 0, "row_dot", grid::blocks(op, rows)?,
                [a.at, a.kind, a.plane, b.at, b.kind, b.plane, plane as u64, to]
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
    by_number!(op, x.dtype_or(factor.dtype_or(dtype)), H => {
        let (x, f) = (gpu.values::<H>(x, len)?, gpu.values::<H>(factor, rows)?);
        let out = gpu.fresh::<H>((rows, plane))?;
        let to = gpu.at::<H>("out", &out, len)?;
        launch!(
            gpu, CHANNELS, H, 0, "row_scale", grid::elements(op, len)?,
            [x.at, x.kind, x.plane, f.at, f.kind, f.plane, plane.max(1) as u64, to, len as u64]
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
    by_number!(op, x.dtype(), H => {
        if backward {
            let (at, out) = (gpu.at::<H>("dy", x, large)?, gpu.fresh::<H>((rows, h, w))?);
            let to = gpu.at::<H>("dx", &out, small)?;
            launch!(
                gpu, CHANNELS, H, 0, "upsample_backward", grid::elements(op, small)?,
                [at, h as u64, w as u64, factor as u64, to, small as u64]
            );
            Ok(out)
        } else {
            let (at, out) = (gpu.at::<H>("x", x, small)?, gpu.fresh::<H>((rows, h * factor, w * factor))?);
            let to = gpu.at::<H>("out", &out, large)?;
            launch!(
                gpu, CHANNELS, H, 0, "upsample", grid::elements(op, large)?,
                [at, h as u64, w as u64, factor as u64, to, large as u64]
            );
            Ok(out)
        }
    })
}
