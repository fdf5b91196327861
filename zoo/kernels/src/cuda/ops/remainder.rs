//! Carried states on a grid; see [`crate::remainder`]. The code of what is lost is written on the host only.

use candle_core::Tensor;

use super::{Gpu, by_number, launch};
use crate::Result;
use crate::cuda::launch as grid;
use crate::remainder::Layout;

pub(crate) fn factors(op: &'static str, alpha: &Tensor) -> Result<Tensor> {
    let (gpu, len) = (Gpu::of(op, alpha)?, alpha.elem_count());
    by_number!(op, alpha.dtype(), T => {
        let (at, out) = (gpu.at::<T>("alpha", alpha, len)?, gpu.fresh::<T>(alpha.shape())?);
        let to = gpu.at::<T>("out", &out, len)?;
        launch!(gpu, REMAINDER, T, 0, "factors", grid::elements(op, len)?, [at, to, len as u64]);
        Ok(out)
    })
}

pub(crate) fn start(op: &'static str, f: &Tensor, bits: i32) -> Result<Tensor> {
    let (gpu, len) = (Gpu::of(op, f)?, f.elem_count());
    by_number!(op, f.dtype(), T => {
        let (at, out) = (gpu.at::<T>("f", f, len)?, gpu.fresh::<T>(f.shape())?);
        let (up, down, to) = (2f64.powi(bits), 2f64.powi(-bits), gpu.at::<T>("out", &out, len)?);
        launch!(
            gpu, REMAINDER, T, 0, "start", grid::elements(op, len)?,
            [at, up as T, down as T, to, len as u64]
        );
        Ok(out)
    })
}

pub(crate) fn carry(
    op: &'static str,
    s: &Layout,
    f: &Tensor,
    prev: &Tensor,
    alpha: &Tensor,
) -> Result<Tensor> {
    let (gpu, len) = (Gpu::of(op, f)?, s.n * s.ch * s.plane);
    by_number!(op, f.dtype(), T => {
        let at = [gpu.at::<T>("f", f, len)?, gpu.at::<T>("prev", prev, len)?, gpu.at::<T>("alpha", alpha, s.ch)?];
        let out = gpu.fresh::<T>(f.shape())?;
        let (up, down, to) = (2f64.powi(s.bits), 2f64.powi(-s.bits), gpu.at::<T>("out", &out, len)?);
        launch!(
            gpu, REMAINDER, T, 0, "carry", grid::elements(op, len)?,
            [at[0], at[1], at[2], s.ch as u64, s.plane.max(1) as u64, up as T, down as T, to, len as u64]
        );
        Ok(out)
    })
}
