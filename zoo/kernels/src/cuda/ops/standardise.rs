//! Scaled weight standardisation; see [`crate::standardise`].

use candle_core::Tensor;

use super::{Gpu, by_real, launch};
use crate::Result;
use crate::cuda::launch as grid;

/// What the sum of squares is divided by, and what is added to `var * n`.
pub(crate) type Terms = (f64, f64);

pub(crate) fn forward(
    op: &'static str,
    w: &Tensor,
    gain: Option<&Tensor>,
    (o, n): (usize, usize),
    (freedom, eps): Terms,
) -> Result<Tensor> {
    let gpu = Gpu::of(op, w)?;
    by_real!(op, w.dtype(), T => {
        let (at, gain) = (gpu.at::<T>("w", w, o * n)?, gpu.at_opt::<T>("gain", gain, o)?);
        let out = gpu.fresh::<T>(w.shape())?;
        let to = gpu.at::<T>("out", &out, o * n)?;
        launch!(gpu, STANDARDISE, T, 0, "forward", grid::blocks(op, o)?, [at, gain, n as u64, freedom, eps, to]);
        Ok(out)
    })
}

#[expect(clippy::too_many_arguments, reason = "the equation's operands")]
pub(crate) fn backward(
    op: &'static str,
    w: &Tensor,
    gain: Option<&Tensor>,
    (o, n): (usize, usize),
    (freedom, eps): Terms,
    dwhat: &Tensor,
    (into_w, acc_w): (&Tensor, bool),
    into_gain: Option<(&Tensor, bool)>,
) -> Result<()> {
    let gpu = Gpu::of(op, w)?;
    by_real!(op, w.dtype(), T => {
        let (w, g) = (gpu.at::<T>("w", w, o * n)?, gpu.at::<T>("dwhat", dwhat, o * n)?);
        let (gain, into) = (gpu.at_opt::<T>("gain", gain, o)?, gpu.at::<T>("into_w", into_w, o * n)?);
        let dgain = gpu.at_opt::<T>("into_gain", into_gain.map(|to| to.0), o)?;
        let on_top = into_gain.is_some_and(|to| to.1);
        launch!(
            gpu, STANDARDISE, T, 0, "backward", grid::blocks(op, o)?,
            [w, gain, g, n as u64, freedom, eps, into, i32::from(acc_w), dgain, i32::from(on_top)]
        );
        Ok(())
    })
}
