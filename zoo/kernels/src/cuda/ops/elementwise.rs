//! Sums, products and scalings; see [`crate::elementwise`].

use candle_core::{DType, Tensor};

use super::tensor::dtype_of;
use super::{Gpu, by_number, launch};
use crate::cuda::launch as grid;
use crate::real::Real;
use crate::{Operand, Result};

pub(crate) fn add(op: &'static str, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let (gpu, len) = (Gpu::of(op, a)?, a.elem_count());
    by_number!(op, a.dtype(), T => {
        let out = gpu.fresh::<T>(a.shape())?;
        let at = [gpu.at::<T>("a", a, len)?, gpu.at::<T>("b", b, len)?, gpu.at::<T>("out", &out, len)?];
        launch!(gpu, ELEMENTWISE, T, 0, "add", grid::elements(op, len)?, [at[0], at[1], at[2], len as u64]);
        Ok(out)
    })
}

pub(crate) fn mul(op: &'static str, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let (gpu, len) = (Gpu::of(op, a)?, a.elem_count());
    by_number!(op, a.dtype(), T => {
        let out = gpu.fresh::<T>(a.shape())?;
        let at = [gpu.at::<T>("a", a, len)?, gpu.at::<T>("b", b, len)?, gpu.at::<T>("out", &out, len)?];
        launch!(gpu, ELEMENTWISE, T, 0, "mul", grid::elements(op, len)?, [at[0], at[1], at[2], len as u64]);
        Ok(out)
    })
}

pub(crate) fn add_assign(op: &'static str, dst: &Tensor, src: &Tensor, factor: f64) -> Result<()> {
    let (gpu, len) = (Gpu::of(op, dst)?, dst.elem_count());
    by_number!(op, dst.dtype(), T => {
        let at = [gpu.at::<T>("dst", dst, len)?, gpu.at::<T>("src", src, len)?];
        launch!(
            gpu, ELEMENTWISE, T, 0, "add_assign", grid::elements(op, len)?,
            [at[0], at[1], factor as T, len as u64]
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
    by_number!(op, dtype_of(x, dtype), T => {
        let (x, out) = (gpu.values::<T>(x, len)?, gpu.fresh::<T>(shape)?);
        let to = gpu.at::<T>("out", &out, len)?;
        launch!(
            gpu, ELEMENTWISE, T, 0, "scale", grid::elements(op, len)?,
            [x.at, x.spikes, x.plane, factor as T, to, len as u64]
        );
        Ok(out)
    })
}

pub(crate) fn scale_assign(op: &'static str, x: &Tensor, factor: f64) -> Result<()> {
    let (gpu, len) = (Gpu::of(op, x)?, x.elem_count());
    by_number!(op, x.dtype(), T => {
        let at = gpu.at::<T>("x", x, len)?;
        launch!(
            gpu, ELEMENTWISE, T, 0, "scale", grid::elements(op, len)?,
            [at, 0i32, 1u64, factor as T, at, len as u64]
        );
        Ok(())
    })
}

/// Waits for the device: the answer is a number of the host.
pub(crate) fn max_abs(op: &'static str, x: &Tensor) -> Result<f64> {
    let (gpu, len) = (Gpu::of(op, x)?, x.elem_count());
    by_number!(op, x.dtype(), T => {
        let blocks = grid::parts(len);
        let (at, parts) = (gpu.at::<T>("x", x, len)?, gpu.buffer::<T>(blocks.blocks.0 as usize)?);
        launch!(gpu, ELEMENTWISE, T, 0, "max_abs", blocks, [at, gpu.of_buffer(&parts), len as u64]);
        let most = gpu.download(&parts)?;
        if most.iter().any(|most| most.is_nan()) {
            return Ok(f64::NAN);
        }
        Ok(most.iter().fold(0.0, |most: f64, now| most.max(now.wide())))
    })
}

pub(crate) fn all_finite(op: &'static str, x: &Tensor) -> Result<bool> {
    // The largest magnitude is infinite or NaN where an element is.
    Ok(max_abs(op, x)?.is_finite())
}

pub(crate) fn floor_magnitude(op: &'static str, x: &Tensor, floor: f64) -> Result<()> {
    let (gpu, len) = (Gpu::of(op, x)?, x.elem_count());
    by_number!(op, x.dtype(), T => {
        let at = gpu.at::<T>("x", x, len)?;
        launch!(
            gpu, ELEMENTWISE, T, 0, "floor_magnitude", grid::elements(op, len)?,
            [at, floor as T, len as u64]
        );
        Ok(())
    })
}

pub(crate) fn sum_steps(op: &'static str, x: &Tensor, steps: usize) -> Result<Tensor> {
    let (gpu, n) = (Gpu::of(op, x)?, x.elem_count() / steps.max(1));
    by_number!(op, x.dtype(), T => {
        let (at, out) = (gpu.at::<T>("x", x, steps * n)?, gpu.fresh::<T>(n)?);
        let to = gpu.at::<T>("out", &out, n)?;
        launch!(
            gpu, ELEMENTWISE, T, 0, "sum_steps", grid::elements(op, n)?,
            [at, steps as u64, to, n as u64]
        );
        Ok(out)
    })
}

/// Writes `src` over `dst`.
/// A copy in the type it has: no launch takes halves yet.
pub(crate) fn cast(op: &'static str, x: &Tensor, dtype: DType) -> Result<Tensor> {
    if x.dtype() != dtype {
        return Err(crate::Error::DType { op, what: "x", expected: dtype, got: x.dtype() });
    }
    Ok(x.copy()?)
}

pub(crate) fn copy(op: &'static str, dst: &Tensor, src: &Tensor) -> Result<()> {
    let (gpu, len) = (Gpu::of(op, dst)?, dst.elem_count());
    by_number!(op, dst.dtype(), T => {
        let (to, from) = (gpu.at::<T>("dst", dst, len)?, gpu.at::<T>("src", src, len)?);
        // A product with one gives every number back, a NaN's payload apart.
        launch!(
            gpu, ELEMENTWISE, T, 0, "scale", grid::elements(op, len)?,
            [from, 0i32, 1u64, 1.0 as T, to, len as u64]
        );
        Ok(())
    })
}
