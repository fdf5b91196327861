//! Sums over channels and the norms made of them; see [`crate::norm`] and [`crate::bias`].

use candle_core::Tensor;
use cudarc::driver::CudaSlice;

use super::{Gpu, Number, by_number, launch};
use crate::Result;
use crate::cuda::launch as grid;
use crate::norm::{Moments, NormShape};

/// The unfinished sums of channels: `[channels, splits, 2]`.
struct Parts {
    buffer: CudaSlice<f64>,
    splits: u64,
}

/// Sums `[a, a * b]` of each of `groups * c` channels, in parts.
fn sums<T: Number>(gpu: &Gpu, s: &NormShape, a: &Tensor, b: &Tensor) -> Result<Parts> {
    let (channels, splits) = (s.groups * s.c, grid::splits(s.groups * s.c, s.n * s.plane));
    let (a, b) = (gpu.at::<T>("a", a, s.len())?, gpu.at::<T>("b", b, s.len())?);
    let buffer = gpu.buffer::<f64>(channels * splits * 2)?;
    launch!(
        gpu,
        NORM,
        T,
        0,
        "sum_channels",
        grid::channels(gpu.op(), channels, s.n * s.plane)?,
        [a, b, s.n as u64, s.c as u64, s.plane as u64, gpu.of_buffer(&buffer)]
    );
    Ok(Parts { buffer, splits: splits as u64 })
}

pub(crate) fn moments(op: &'static str, s: &NormShape, x: &Tensor) -> Result<Moments> {
    let (gpu, channels) = (Gpu::of(op, x)?, s.groups * s.c);
    by_number!(op, x.dtype(), T => {
        let parts = sums::<T>(&gpu, s, x, x)?;
        let (mean, var) = (gpu.fresh::<T>((s.groups, s.c))?, gpu.fresh::<T>((s.groups, s.c))?);
        let to = [gpu.at::<T>("mean", &mean, channels)?, gpu.at::<T>("var", &var, channels)?];
        launch!(
            gpu, NORM, T, 0, "moments", grid::elements(op, channels)?,
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
    by_number!(op, m.mean.dtype(), T => {
        let at = [gpu.at::<T>("mean", &m.mean, channels)?, gpu.at::<T>("var", &m.var, channels)?];
        let own = [gpu.at_opt::<T>("gamma", gamma, c)?, gpu.at_opt::<T>("beta", beta, c)?];
        let (scale, shift) = (gpu.fresh::<T>((groups, c))?, gpu.fresh::<T>((groups, c))?);
        let to = [gpu.at::<T>("scale", &scale, channels)?, gpu.at::<T>("shift", &shift, channels)?];
        launch!(
            gpu, NORM, T, 0, "fold", grid::elements(op, channels)?,
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
    by_number!(op, x.dtype(), T => {
        let parts = sums::<T>(&gpu, s, &dx, x)?;
        let at = [gpu.at::<T>("mean", &m.mean, channels)?, gpu.at::<T>("var", &m.var, channels)?];
        let gamma = gpu.at_opt::<T>("gamma", gamma, s.c)?;
        let (four, sums) = (gpu.buffer::<T>(channels * 4)?, gpu.buffer::<f64>(channels * 2)?);
        let (k, both) = (gpu.of_buffer(&four), gpu.of_buffer(&sums));
        launch!(
            gpu, NORM, T, 0, "bend", grid::elements(op, channels)?,
            [
                gpu.of_buffer(&parts.buffer), parts.splits, (s.n * s.plane) as f64, at[0], at[1], eps, gain, gamma,
                s.c as u64, k, both, channels as u64,
            ]
        );
        let (x, dy) = (gpu.at::<T>("x", x, len)?, gpu.at::<T>("dy", &dx, len)?);
        launch!(
            gpu, NORM, T, 0, "bend_apply", grid::elements(op, len)?,
            [x, dy, k, s.n as u64, s.c as u64, s.plane as u64, len as u64]
        );
        for (what, into, which, gain) in [("dgamma", dgamma, 1u64, gain), ("dbeta", dbeta, 0, 1.0)] {
            if let Some((into, accumulate)) = into {
                let into = gpu.at::<T>(what, into, s.c)?;
                launch!(
                    gpu, NORM, T, 0, "over_groups", grid::elements(op, s.c)?,
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
    by_number!(op, running.dtype(), T => {
        let into = gpu.at::<T>("running", running, c)?;
        let from = gpu.at::<T>("moments", batch, batch.elem_count())? + (group * c * size_of::<T>()) as u64;
        launch!(
            gpu, NORM, T, 0, "update_running", grid::elements(op, c)?,
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
    by_number!(op, a.dtype(), T => {
        let parts = sums::<T>(&gpu, &s, a, b.unwrap_or(a))?;
        let from = gpu.of_buffer(&parts.buffer);
        if b.is_some() && into.elem_count() == 1 {
            let into = gpu.at::<T>("into", into, 1)?;
            launch!(
                gpu, NORM, T, 0, "store_total", grid::elements(op, 1)?,
                [from, parts.splits, which, into, i32::from(accumulate), c as u64]
            );
        } else {
            let into = gpu.at::<T>("into", into, c)?;
            launch!(
                gpu, NORM, T, 0, "store_channels", grid::elements(op, c)?,
                [from, parts.splits, which, into, i32::from(accumulate), c as u64]
            );
        }
        Ok(())
    })
}
