//! Rounding to a grid and the reversible mixing; see [`crate::elementwise`].

use candle_core::Tensor;

use super::{Gpu, by_number, launch};
use crate::Result;
use crate::cuda::launch as grid;

pub(crate) fn round_to_grid(op: &'static str, x: &Tensor, exponent: i32) -> Result<Tensor> {
    let (gpu, len) = (Gpu::of(op, x)?, x.elem_count());
    by_number!(op, x.dtype(), T => {
        let (at, out) = (gpu.at::<T>("x", x, len)?, gpu.fresh::<T>(x.shape())?);
        let (up, down, to) = (2f64.powi(exponent), 2f64.powi(-exponent), gpu.at::<T>("out", &out, len)?);
        launch!(
            gpu, GRID, T, 0, "round_to_grid", grid::elements(op, len)?,
            [at, up as T, down as T, to, len as u64]
        );
        Ok(out)
    })
}

pub(crate) fn add_rounded(
    op: &'static str,
    x: &Tensor,
    f: &Tensor,
    exponent: i32,
    sign: i32,
) -> Result<Tensor> {
    let (gpu, len) = (Gpu::of(op, x)?, x.elem_count());
    by_number!(op, x.dtype(), T => {
        let (at, f, out) = (gpu.at::<T>("x", x, len)?, gpu.at::<T>("f", f, len)?, gpu.fresh::<T>(x.shape())?);
        let (up, down) = (2f64.powi(exponent), f64::from(sign) * 2f64.powi(-exponent));
        let to = gpu.at::<T>("out", &out, len)?;
        launch!(
            gpu, GRID, T, 0, "add_rounded", grid::elements(op, len)?,
            [at, f, up as T, down as T, to, len as u64]
        );
        Ok(out)
    })
}

pub(crate) fn mix(
    op: &'static str,
    f: &Tensor,
    prev: &Tensor,
    alpha: &Tensor,
    (n, ch, plane): (usize, usize, usize),
) -> Result<Tensor> {
    let (gpu, len) = (Gpu::of(op, f)?, n * ch * plane);
    by_number!(op, f.dtype(), T => {
        let at = [gpu.at::<T>("a", f, len)?, gpu.at::<T>("b", prev, len)?, gpu.at::<T>("alpha", alpha, ch)?];
        let out = gpu.fresh::<T>(f.shape())?;
        let to = gpu.at::<T>("out", &out, len)?;
        launch!(
            gpu, GRID, T, 0, "mix", grid::elements(op, len)?,
            [at[0], at[1], at[2], ch as u64, plane as u64, to, len as u64]
        );
        Ok(out)
    })
}

pub(crate) fn unmix(
    op: &'static str,
    c: &Tensor,
    f: &Tensor,
    alpha: &Tensor,
    (n, ch, plane): (usize, usize, usize),
) -> Result<Tensor> {
    let (gpu, len) = (Gpu::of(op, c)?, n * ch * plane);
    by_number!(op, c.dtype(), T => {
        let at = [gpu.at::<T>("a", c, len)?, gpu.at::<T>("b", f, len)?, gpu.at::<T>("alpha", alpha, ch)?];
        let out = gpu.fresh::<T>(c.shape())?;
        let to = gpu.at::<T>("out", &out, len)?;
        launch!(
            gpu, GRID, T, 0, "unmix", grid::elements(op, len)?,
            [at[0], at[1], at[2], ch as u64, plane as u64, to, len as u64]
        );
        Ok(out)
    })
}
