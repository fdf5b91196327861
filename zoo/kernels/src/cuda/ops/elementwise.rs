//! Sums, products and scalings; see [`crate::elementwise`].

use candle_core::{DType, Tensor};

use super::tensor::{dtype_of, narrower};
use super::{Gpu, by_number, launch};
use crate::cuda::launch as grid;
use crate::{Operand, Result, Scalar, held};

pub(crate) fn add(op: &'static str, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let (gpu, len) = (Gpu::of(op, a)?, a.elem_count());
    by_number!(op, narrower(a.dtype(), b.dtype()), H => {
        let out = gpu.fresh_beside::<H>(held::wider(a.dtype(), b.dtype()), a.shape())?;
        let [a, b, to] =
            [gpu.beside::<H>("a", a, len)?, gpu.beside::<H>("b", b, len)?, gpu.beside::<H>("out", &out, len)?];
        launch!(
            gpu, ELEMENTWISE, H, 0, "add", grid::elements(op, len)?,
            [a.at, a.wide, b.at, b.wide, to.at, to.wide, len as u64]
        );
        Ok(out)
    })
}

pub(crate) fn mul(op: &'static str, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let (gpu, len) = (Gpu::of(op, a)?, a.elem_count());
    by_number!(op, a.dtype(), H => {
        let out = gpu.fresh::<H>(a.shape())?;
        let at = [gpu.at::<H>("a", a, len)?, gpu.at::<H>("b", b, len)?, gpu.at::<H>("out", &out, len)?];
        launch!(gpu, ELEMENTWISE, H, 0, "mul", grid::elements(op, len)?, [at[0], at[1], at[2], len as u64]);
        Ok(out)
    })
}

pub(crate) fn add_assign(op: &'static str, dst: &Tensor, src: &Tensor, factor: f64) -> Result<()> {
    let (gpu, len) = (Gpu::of(op, dst)?, dst.elem_count());
    by_number!(op, narrower(dst.dtype(), src.dtype()), H, R => {
        let (to, from) = (gpu.beside::<H>("dst", dst, len)?, gpu.beside::<H>("src", src, len)?);
        launch!(
            gpu, ELEMENTWISE, H, 0, "add_assign", grid::elements(op, len)?,
            [to.at, to.wide, from.at, from.wide, factor as R, len as u64]
        );
        Ok(())
    })
}

/// `factor * x`, of numbers or spikes, in a new tensor of `shape`.
pub(crate) fn scale(op: &'static str, x: Operand, factor: f64, dtype: DType) -> Result<Tensor> {
    let (gpu, shape) = match x {
        Operand::Dense(x) => (Gpu::of(op, x)?, x.shape().clone()),
        Operand::Spikes(x) => (Gpu::of(op, x.tensor())?, (x.rows(), x.plane()).into()),
    };
    let len = shape.elem_count();
    by_number!(op, dtype_of(x, dtype), H, R => {
        let (x, out) = (gpu.values::<H>(x, len)?, gpu.fresh::<H>(shape)?);
        let to = gpu.at::<H>("out", &out, len)?;
        launch!(
            gpu, ELEMENTWISE, H, 0, "scale", grid::elements(op, len)?,
            [x.at, x.kind, x.plane, factor as R, to, len as u64]
        );
        Ok(out)
    })
}

pub(crate) fn scale_assign(op: &'static str, x: &Tensor, factor: f64) -> Result<()> {
    let (gpu, len) = (Gpu::of(op, x)?, x.elem_count());
    by_number!(op, x.dtype(), H, R => {
        let at = gpu.at::<H>("x", x, len)?;
        launch!(
            gpu, ELEMENTWISE, H, 0, "scale", grid::elements(op, len)?,
            [at, 0i32, 1u64, factor as R, at, len as u64]
        );
        Ok(())
    })
}

pub(crate) fn max_abs(op: &'static str, x: &Tensor) -> Result<Scalar> {
    let (gpu, len) = (Gpu::of(op, x)?, x.elem_count());
    by_number!(op, x.dtype(), H, R => {
        let blocks = grid::parts(len);
        let (at, parts) = (gpu.at::<H>("x", x, len)?, gpu.buffer::<R>(blocks.blocks.0 as usize)?);
        launch!(gpu, ELEMENTWISE, H, 0, "max_abs", blocks, [at, gpu.of_buffer(&parts), len as u64]);
        let most = gpu.buffer::<f64>(1)?;
        launch!(
            gpu, ELEMENTWISE, H, 0, "largest", grid::blocks(op, 1)?,
            [gpu.of_buffer(&parts), parts.len() as u64, gpu.of_buffer(&most)]
        );
        Ok(Scalar::device(gpu.wrapped(most, 1)))
    })
}

/// Waits for the device: the answer is one of the host.
pub(crate) fn all_finite(op: &'static str, x: &Tensor) -> Result<bool> {
    // The largest magnitude is infinite or NaN where an element is.
    Ok(max_abs(op, x)?.read()?.is_finite())
}

pub(crate) fn floor_magnitude(op: &'static str, x: &Tensor, floor: f64) -> Result<()> {
    let (gpu, len) = (Gpu::of(op, x)?, x.elem_count());
    by_number!(op, x.dtype(), H, R => {
        let at = gpu.at::<H>("x", x, len)?;
        launch!(
            gpu, ELEMENTWISE, H, 0, "floor_magnitude", grid::elements(op, len)?,
            [at, floor as R, len as u64]
        );
        Ok(())
    })
}

pub(crate) fn sum_steps(op: &'static str, x: &Tensor, steps: usize) -> Result<Tensor> {
    let (gpu, n) = (Gpu::of(op, x)?, x.elem_count() / steps.max(1));
    by_number!(op, x.dtype(), H => {
        let (at, out) = (gpu.at::<H>("x", x, steps * n)?, gpu.fresh::<H>(n)?);
        let to = gpu.at::<H>("out", &out, n)?;
        launch!(
            gpu, ELEMENTWISE, H, 0, "sum_steps", grid::elements(op, n)?,
            [at, steps as u64, to, n as u64]
        );
        Ok(out)
    })
}

/// The values of `x` in a tensor of their own: a half widened, a number rounded.
pub(crate) fn cast(op: &'static str, x: &Tensor, dtype: DType) -> Result<Tensor> {
    let gpu = Gpu::of(op, x)?;
    let out = by_number!(op, narrower(x.dtype(), dtype), H => gpu.fresh_beside::<H>(dtype, x.shape()))?;
    copy(op, &out, x)?;
    Ok(out)
}

/// Writes `src` over `dst`.
pub(crate) fn copy(op: &'static str, dst: &Tensor, src: &Tensor) -> Result<()> {
    let (gpu, len) = (Gpu::of(op, dst)?, dst.elem_count());
    by_number!(op, narrower(dst.dtype(), src.dtype()), H => {
        let (to, from) = (gpu.beside::<H>("dst", dst, len)?, gpu.beside::<H>("src", src, len)?);
        launch!(
            gpu, ELEMENTWISE, H, 0, "convert", grid::elements(op, len)?,
            [from.at, from.wide, to.at, to.wide, len as u64]
        );
        Ok(())
    })
}
