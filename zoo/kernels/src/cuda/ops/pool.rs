//! Pools; see [`crate::pool`].

use candle_core::{DType, Tensor};
use cudarc::driver::DeviceRepr;

use super::tensor::dtype_of;
use super::{Gpu, by_number, launch};
use crate::bits::Bits;
use crate::cuda::launch as grid;
use crate::pool::{AdaptiveShape, PoolShape};
use crate::{Operand, Result};

/// `struct Pool` of `pool.cu`.
#[derive(Clone, Copy)]
#[repr(C)]
struct Sizes {
    h: u64,
    w: u64,
    kernel: u64,
    stride: u64,
    pad: u64,
    out_h: u64,
    out_w: u64,
}

// SAFETY: numbers in C's order, as the source declares them; passed by value.
unsafe impl DeviceRepr for Sizes {}

impl From<&PoolShape> for Sizes {
    fn from(s: &PoolShape) -> Self {
        let [h, w, kernel, stride, pad, out_h, out_w] =
            [s.h, s.w, s.kernel, s.stride, s.pad, s.out_h(), s.out_w()].map(|size| size as u64);
        Sizes { h, w, kernel, stride, pad, out_h, out_w }
    }
}

fn inputs(s: &PoolShape) -> usize {
    s.h * s.w
}

fn outputs(s: &PoolShape) -> usize {
    s.out_h() * s.out_w()
}

pub(crate) fn avg_forward(
    op: &'static str,
    s: &PoolShape,
    x: Operand,
    dtype: DType,
    count_pad: bool,
) -> Result<Tensor> {
    let (gpu, len) = (Gpu::of(op, x.tensor())?, s.n_c * outputs(s));
    by_number!(op, dtype_of(x, dtype), H => {
        let (x, y) = (gpu.values::<H>(x, s.n_c * inputs(s))?, gpu.fresh::<H>((s.n_c, outputs(s)))?);
        let to = gpu.at::<H>("y", &y, len)?;
        launch!(
            gpu, POOL, H, 0, "avg_forward", grid::elements(op, len)?,
            [Sizes::from(s), x.at, x.kind, x.plane, i32::from(count_pad), to, len as u64]
        );
        Ok(y)
    })
}

pub(crate) fn avg_backward(op: &'static str, s: &PoolShape, dy: &Tensor, count_pad: bool) -> Result<Tensor> {
    let (gpu, len) = (Gpu::of(op, dy)?, s.n_c * inputs(s));
    by_number!(op, dy.dtype(), H => {
        let (dy, dx) = (gpu.at::<H>("dy", dy, s.n_c * outputs(s))?, gpu.fresh::<H>((s.n_c, inputs(s)))?);
        let to = gpu.at::<H>("dx", &dx, len)?;
        launch!(
            gpu, POOL, H, 0, "avg_backward", grid::elements(op, len)?,
            [Sizes::from(s), dy, i32::from(count_pad), to, len as u64]
        );
        Ok(dx)
    })
}

pub(crate) fn max_forward(op: &'static str, s: &PoolShape, x: Operand, dtype: DType) -> Result<Tensor> {
    let (gpu, len) = (Gpu::of(op, x.tensor())?, s.n_c * outputs(s));
    by_number!(op, dtype_of(x, dtype), H => {
        let (x, y) = (gpu.values::<H>(x, s.n_c * inputs(s))?, gpu.fresh::<H>((s.n_c, outputs(s)))?);
        let to = gpu.at::<H>("y", &y, len)?;
        launch!(
            gpu, POOL, H, 0, "max_forward", grid::elements(op, len)?,
            [Sizes::from(s), x.at, x.kind, x.plane, to, len as u64]
        );
        Ok(y)
    })
}

pub(crate) fn max_bits(op: &'static str, s: &PoolShape, x: &Bits) -> Result<Bits> {
    let gpu = Gpu::of(op, x.tensor())?;
    let values = gpu.values::<f32>(Operand::Spikes(x), s.n_c * inputs(s))?;
    let y = gpu.fresh_bits(s.n_c, outputs(s))?;
    let to = gpu.bits(&y)?;
    launch!(
        gpu,
        POOL,
        f32,
        0,
        "max_bits",
        grid::elements(op, y.bytes())?,
        [Sizes::from(s), values.at, values.plane, s.n_c as u64, to]
    );
    Ok(y)
}

pub(crate) fn max_backward(op: &'static str, s: &PoolShape, x: Operand, dy: &Tensor) -> Result<Tensor> {
    let (gpu, len) = (Gpu::of(op, dy)?, s.n_c * inputs(s));
    by_number!(op, dy.dtype(), H => {
        let (x, dy) = (gpu.values::<H>(x, len)?, gpu.at::<H>("dy", dy, s.n_c * outputs(s))?);
        let dx = gpu.fresh::<H>((s.n_c, inputs(s)))?;
        let to = gpu.at::<H>("dx", &dx, len)?;
        launch!(
            gpu, POOL, H, 0, "max_backward", grid::elements(op, len)?,
            [Sizes::from(s), x.at, x.kind, x.plane, dy, to, len as u64]
        );
        Ok(dx)
    })
}

pub(crate) fn adaptive_forward(
    op: &'static str,
    s: &AdaptiveShape,
    x: Operand,
    dtype: DType,
) -> Result<Tensor> {
    let (inputs, outputs) = (s.plane[0] * s.plane[1], s.out[0] * s.out[1]);
    let (gpu, len) = (Gpu::of(op, x.tensor())?, s.rows * outputs);
    by_number!(op, dtype_of(x, dtype), H => {
        let (x, y) = (gpu.values::<H>(x, s.rows * inputs)?, gpu.fresh::<H>((s.rows, outputs))?);
        let to = gpu.at::<H>("y", &y, len)?;
        let [h, w, oh, ow] = [s.plane[0], s.plane[1], s.out[0], s.out[1]].map(|size| size as u64);
        launch!(
            gpu, POOL, H, 0, "adaptive_forward", grid::elements(op, len)?,
            [x.at, x.kind, x.plane, h, w, oh, ow, to, len as u64]
        );
        Ok(y)
    })
}

pub(crate) fn adaptive_backward(op: &'static str, s: &AdaptiveShape, dy: &Tensor) -> Result<Tensor> {
    let (inputs, outputs) = (s.plane[0] * s.plane[1], s.out[0] * s.out[1]);
    let (gpu, len) = (Gpu::of(op, dy)?, s.rows * inputs);
    by_number!(op, dy.dtype(), H => {
        let (dy, dx) = (gpu.at::<H>("dy", dy, s.rows * outputs)?, gpu.fresh::<H>((s.rows, inputs))?);
        let to = gpu.at::<H>("dx", &dx, len)?;
        let [h, w, oh, ow] = [s.plane[0], s.plane[1], s.out[0], s.out[1]].map(|size| size as u64);
        launch!(
            gpu, POOL, H, 0, "adaptive_backward", grid::elements(op, len)?,
            [dy, h, w, oh, ow, to, len as u64]
        );
        Ok(dx)
    })
}

pub(crate) fn global_avg_forward(
    op: &'static str,
    (rows, plane): (usize, usize),
    x: Operand,
    dtype: DType,
) -> Result<Tensor> {
    let gpu = Gpu::of(op, x.tensor())?;
    by_number!(op, dtype_of(x, dtype), H => {
        let (x, y) = (gpu.values::<H>(x, rows * plane)?, gpu.fresh::<H>(rows)?);
        let to = gpu.at::<H>("y", &y, rows)?;
        // One block a row, without a look at the length.
        if rows > 0 {
            launch!(
                gpu, POOL, H, 0, "global_avg_forward", grid::blocks(op, rows)?,
                [x.at, x.kind, x.plane, plane as u64, to]
            );
        }
        Ok(y)
    })
}

pub(crate) fn global_avg_backward(
    op: &'static str,
    rows: usize,
    plane: usize,
    dy: &Tensor,
) -> Result<Tensor> {
    let (gpu, len) = (Gpu::of(op, dy)?, rows * plane);
    by_number!(op, dy.dtype(), H, R => {
        let (dy, dx) = (gpu.at::<H>("dy", dy, rows)?, gpu.fresh::<H>((rows, plane))?);
        let to = gpu.at::<H>("dx", &dx, len)?;
        launch!(
            gpu, POOL, H, 0, "global_avg_backward", grid::elements(op, len)?,
            [dy, plane.max(1) as u64, 1.0 as R / plane as R, to, len as u64]
        );
        Ok(dx)
    })
}
