//! Rounding to a grid and the reversible mixing; see [`crate::elementwise`]. Branches may be halves, streams are none: an op is
//! compiled for the type of its branch.

use candle_core::Tensor;

use super::{Gpu, by_number, launch};
use crate::Result;
use crate::cuda::launch as grid;

pub(crate) fn round_to_grid(op: &'static str, x: &Tensor, exponent: i32) -> Result<Tensor> {
    let (gpu, len) = (Gpu::of(op, x)?, x.elem_count());
    by_number!(op, x.dtype(), H, R => {
        let (at, out) = (gpu.at::<H>("x", x, len)?, gpu.fresh::<R>(x.shape())?);
        let (up, down, to) = (2f64.powi(exponent), 2f64.powi(-exponent), gpu.at::<R>("out", &out, len)?);
        launch!(
            gpu, GRID, H, 0, "round_to_grid", grid::elements(op, len)?,
            [at, up as R, down as R, to, len as u64]
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
    by_number!(op, f.dtype(), H, R => {
        let (at, f, out) = (gpu.at::<R>("x", x, len)?, gpu.at::<H>("f", f, len)?, gpu.fresh::<R>(x.shape())?);
        let (up, down) = (2f64.powi(exponent), f64::from(sign) * 2f64.powi(-exponent));
        let to = gpu.at::<R>("out", &out, len)?;
        launch!(
            gpu, GRID, H, 0, "add_rounded", grid::elements(op, len)?,
            [at, f, up as R, down as R, to, len as u64]
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
    by_number!(op, f.dtype(), H, R => {
        let at = [gpu.at::<H>("a", f, len)?, gpu.at::<R>("b", prev, len)?, gpu.at::<R>("alpha", alpha, ch)?];
        let out = gpu.fresh::<R>(f.shape())?;
        let to = gpu.at::<R>("out", &out, len)?;
        launch!(
            gpu, GRID, H, 0, "mix", grid::elements(op, len)?,
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
    by_number!(op, f.dtype(), H, R => {
        let at = [gpu.at::<R>("a", c, len)?, gpu.at::<H>("b", f, len)?, gpu.at::<R>("alpha", alpha, ch)?];
        let out = gpu.fresh::<R>(c.shape())?;
        let to = gpu.at::<R>("out", &out, len)?;
        launch!(
            gpu, GRID, H, 0, "unmix", grid::elements(op, len)?,
            [at[0], at[1], at[2], ch as u64, plane as u64, to, len as u64]
        );
        Ok(out)
    })
}
