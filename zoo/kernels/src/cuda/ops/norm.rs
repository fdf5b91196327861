//! Sums over channels and the norms made of them; see [`crate::norm`] and [`crate::bias`].

use candle_core::Tensor;
use cudarc::driver::CudaSlice;

use super::{Gpu, Number, by_number, by_real, launch};
use crate::Result;
use crate::cuda::launch as grid;
use crate::norm::{Moments, NormShape};

/// The unfinished sums of channels: `[channels, splits, 2]`.
struct Parts {
    buffer: CudaSlice<f64>,
    splits: u64,
}

/// Sums `[a, a * b]` of each of `groups * c` channels, in parts.
fn sums<H: Number>(gpu: &Gpu, s: &NormShape, a: &Tensor, b: &Tensor) -> Result<Parts> {
    let (channels, splits) = (s.groups * s.c, grid::splits(s.groups * s.c, s.n * s.plane));
    let (a, b) = (gpu.at::<H>("a", a, s.len())?, gpu.at::<H>("b", b, s.len())?);
    let buffer = gpu.buffer::<f64>(channels * splits * 2)?;
    launch!(
        gpu,
        NORM,
        H,
        0,
        "sum_channels",
        grid::channels(gpu.op(), channels, s.n * s.plane)?,
        [a, b, s.n as u64, s.c as u64, s.plane as u64, gpu.of_buffer(&buffer)]
    );
    Ok(Parts { buffer, splits: splits as u64 })
}

pub(crate) fn moments(op: &'static str, s: &NormShape, x: &Tensor) -> Result<Moments> {
    let (gpu, channels) = (Gpu::of(op, x)?, s.groups * s.c);
    by_number!(op, x.dtype(), H, R => {
        let parts = sums::<H>(&gpu, s, x, x)?;
        let (mean, var) = (gpu.fresh::<R>((s.groups, s.c))?, gpu.fresh::<R>((s.groups, s.c))?);
        let to = [gpu.at::<R>("mean", &mean, channels)?, gpu.at::<R>("var", &var, channels)?];
        launch!(
            gpu, NORM, H, 0, "moments", grid::elements(op, channels)?,
            [gpu.of_buffer(&parts.buffer), parts.splits, (s.n * s.plane) as f64, to[0], to[1], channels as u64]
        );
        Ok(Moments { mean, var })
    })
}

pub(crate) fn fold(
    op: &'static str,
    m: &Moments,
    eps: f64,
    gain: f64,
    gamma: Option<&Tensor>,
    beta: Option<&Tensor>,
) -> Result<(Tensor, Tensor)> {
    let (groups, c) = m.mean.dims2()?;
    let (gpu, channels) = (Gpu::of(op, &m.mean)?, groups * c);
    by_real!(op, m.mean.dtype(), R => {
        let at = [gpu.at::<R>("mean", &m.mean, channels)?, gpu.at::<R>("var", &m.var, channels)?];
        let own = [gpu.at_opt::<R>("gamma", gamma, c)?, gpu.at_opt::<R>("beta", beta, c)?];
        let (scale, shift) = (gpu.fresh::<R>((groups, c))?, gpu.fresh::<R>((groups, c))?);
        let to = [gpu.at::<R>("scale", &scale, channels)?, gpu.at::<R>("shift", &shift, channels)?];
        launch!(
            gpu, NORM, R, 0, "fold", grid::elements(op, channels)?,
            [at[0], at[1], eps, gain, own[0], own[1], c as u64, to[0], to[1], channels as u64]
        );
        Ok((scale, shift))
    })
}

/// Turns `dx`, which holds the gradient of the output, into that of the input.
#[expect(clippy::too_many_arguments, reason = "the equation's operands")]
pub(crate) fn backward(
    op: &'static str,
    s: &NormShape,
    x: &Tensor,
    dx: Tensor,
    m: &Moments,
    eps: f64,
    gain: f64,
    gamma: Option<&Tensor>,
    dgamma: Option<(&Tensor, bool)>,
    dbeta: Option<(&Tensor, bool)>,
) -> Result<Tensor> {
    let (gpu, channels, len) = (Gpu::of(op, x)?, s.groups * s.c, s.len());
    by_number!(op, x.dtype(), H, R => {
        let parts = sums::<H>(&gpu, s, &dx, x)?;
        let at = [gpu.at::<R>("mean", &m.mean, channels)?, gpu.at::<R>("var", &m.var, channels)?];
        let gamma = gpu.at_opt::<R>("gamma", gamma, s.c)?;
        let (four, sums) = (gpu.buffer::<R>(channels * 4)?, gpu.buffer::<f64>(channels * 2)?);
        let (k, both) = (gpu.of_buffer(&four), gpu.of_buffer(&sums));
        launch!(
            gpu, NORM, H, 0, "bend", grid::elements(op, channels)?,
            [
                gpu.of_buffer(&parts.buffer), parts.splits, (s.n * s.plane) as f64, at[0], at[1], eps, gain, gamma,
                s.c as u64, k, both, channels as u64,
            ]
        );
        let (x, dy) = (gpu.at::<H>("x", x, len)?, gpu.at::<H>("dy", &dx, len)?);
        launch!(
            gpu, NORM, H, 0, "bend_apply", grid::elements(op, len)?,
            [x, dy, k, s.n as u64, s.c as u64, s.plane as u64, len as u64]
        );
        for (what, into, which, gain) in [("dgamma", dgamma, 1u64, gain), ("dbeta", dbeta, 0, 1.0)] {
            if let Some((into, accumulate)) = into {
                let into = gpu.at::<R>(what, into, s.c)?;
                launch!(
                    gpu, NORM, H, 0, "over_groups", grid::elements(op, s.c)?,
                    [both, s.groups as u64, 2u64, which, gain, into, i32::from(accumulate), s.c as u64]
                );
            }
        }
        Ok(dx)
    })
}

pub(crate) fn update_running(
    op: &'static str,
    running: &Tensor,
    batch: &Tensor,
    (group, c): (usize, usize),
    factor: f64,
    momentum: f64,
) -> Result<()> {
    let gpu = Gpu::of(op, running)?;
    by_real!(op, running.dtype(), R => {
        let into = gpu.at::<R>("running", running, c)?;
        let from = gpu.at::<R>("moments", batch, batch.elem_count())? + (group * c * size_of::<R>()) as u64;
        launch!(
            gpu, NORM, R, 0, "update_running", grid::elements(op, c)?,
            [into, from, factor, momentum, c as u64]
        );
        Ok(())
    })
}

/// `into[ch] (+)= sum over (n, p)` of `a` (without `b`) or of `a * b`; an `into` of one element takes the sum of all.
pub(crate) fn channel_sum(
    op: &'static str,
    a: &Tensor,
    b: Option<&Tensor>,
    (n, c, plane): (usize, usize, usize),
    into: &Tensor,
    accumulate: bool,
) -> Result<()> {
    let (gpu, s) = (Gpu::of(op, a)?, NormShape { groups: 1, n, c, plane });
    let which = u64::from(b.is_some());
    by_number!(op, a.dtype(), H, R => {
        let parts = sums::<H>(&gpu, &s, a, b.unwrap_or(a))?;
        let from = gpu.of_buffer(&parts.buffer);
        if b.is_some() && into.elem_count() == 1 {
            let into = gpu.at::<R>("into", into, 1)?;
            launch!(
                gpu, NORM, H, 0, "store_total", grid::elements(op, 1)?,
                [from, parts.splits, which, into, i32::from(accumulate), c as u64]
            );
        } else {
            let into = gpu.at::<R>("into", into, c)?;
            launch!(
                gpu, NORM, H, 0, "store_channels", grid::elements(op, c)?,
                [from, parts.splits, which, into, i32::from(accumulate), c as u64]
            );
        }
        Ok(())
    })
}
