//! Neurons over all steps; see [`crate::lif`].

use candle_core::Tensor;
use cudarc::driver::DeviceRepr;

use super::tensor::{Beside, narrower};
use super::{Gpu, Number, by_number, launch};
use crate::Result;
use crate::bits::Bits;
use crate::cuda::launch as grid;
use crate::error::ensure;
use crate::lif::{Cell, Current, Fired, LifShape, Reset, ResetGrad, Surrogate};
use crate::real::Real;

/// `struct Cell` of `lif.cu`.
#[derive(Clone, Copy)]
#[repr(C)]
struct Constants<T> {
    decay: T,
    gain: T,
    threshold: T,
    reset_to: T,
    first: T,
    second: T,
    reset: i32,
    detached: i32,
    strict: i32,
    time_gradient: i32,
    smooth: i32,
    surrogate: i32,
}

// SAFETY: numbers in C's order, as the source declares them; passed by value.
unsafe impl<T: Number> DeviceRepr for Constants<T> {}

/// `struct Input` of `lif.cu`.
#[derive(Clone, Copy)]
#[repr(C)]
struct Input {
    x: u64,
    scale: u64,
    shift: u64,
    v0: u64,
    rows: u64,
    plane: u64,
    channels: u64,
    constant: i32,
    affine_a_step: i32,
    wide: i32,
}

// SAFETY: as above.
unsafe impl DeviceRepr for Input {}

impl<T: Real> Constants<T> {
    /// The constants in `T`, each made from `f64` as on the CPU.
    fn new(cell: &Cell) -> Self {
        let of = <T as Real>::of;
        let (reset, reset_to) = match cell.reset {
            Reset::Soft => (0, 0.0),
            Reset::Hard(to) => (1, to),
            Reset::None => (2, 0.0),
        };
        let (surrogate, first, second) = match cell.surrogate {
            Surrogate::Rectangle { width, height, closed } => (i32::from(closed), width / 2.0, height),
            Surrogate::Triangle { alpha } => (2, alpha, 0.0),
            Surrogate::Sigmoid { alpha } => (3, alpha, 0.0),
            Surrogate::ArcTan { alpha } => (4, alpha / 2.0, std::f64::consts::FRAC_PI_2 * alpha),
            Surrogate::Window { low, high } => (5, low, high),
        };
        Constants {
            decay: of(cell.decay),
            gain: of(cell.input_gain),
            threshold: of(cell.threshold),
            reset_to: of(reset_to),
            first: of(first),
            second: of(second),
            reset,
            detached: i32::from(cell.reset_grad == ResetGrad::Detached),
            strict: i32::from(cell.strict),
            time_gradient: i32::from(cell.time_gradient),
            smooth: i32::from(cell.smooth),
            surrogate,
        }
    }
}

impl Input {
    fn new<H: Number>(gpu: &Gpu, s: &LifShape, i: &Current, v0: Option<&Tensor>) -> Result<Self> {
        let groups = i.affine_steps(s.channels);
        ensure(groups == 1 || groups == s.steps, gpu.op(), "the affine has one row, or one a step", || {
            format!("{groups} rows for {} steps", s.steps)
        })?;
        let frame = s.rows * s.plane;
        let Beside { at: x, wide } = gpu.beside::<H>("current", i.x, s.current_steps * frame)?;
        Ok(Input {
            x,
            scale: gpu.at_opt::<H::Real>("scale", i.affine.map(|a| a.0), groups * s.channels)?,
            shift: gpu.at_opt::<H::Real>("shift", i.affine.map(|a| a.1), groups * s.channels)?,
            v0: gpu.at_opt::<H::Real>("v0", v0, frame)?,
            wide,
            rows: s.rows as u64,
            plane: s.plane as u64,
            channels: s.channels as u64,
            constant: i32::from(s.current_steps == 1),
            affine_a_step: i32::from(groups == s.steps && groups > 1),
        })
    }
}

pub(crate) fn forward(
    op: &'static str,
    s: &LifShape,
    cell: &Cell,
    i: &Current,
    v0: Option<&Tensor>,
    keep_last: bool,
) -> Result<(Fired, Option<Tensor>)> {
    let (gpu, frame) = (Gpu::of(op, i.x)?, s.rows * s.plane);
    by_number!(op, i.x.dtype(), H, R => {
        let (k, input) = (Constants::<R>::new(cell), Input::new::<H>(&gpu, s, i, v0)?);
        let last = if keep_last { Some(gpu.fresh::<R>((s.rows, s.plane))?) } else { None };
        let to_last = gpu.at_opt::<R>("last", last.as_ref(), frame)?;
        if cell.smooth {
            let out = gpu.fresh::<H>((s.steps, s.rows, s.plane))?;
            let to = gpu.at::<H>("out", &out, s.steps * frame)?;
            launch!(gpu, LIF, H, s.steps, "forward_smooth", grid::elements(op, frame)?, [k, input, to, to_last]);
            return Ok((Fired::Smooth(out), last));
        }
        let spikes = gpu.fresh_bits(s.steps * s.rows, s.plane)?;
        let (to, bytes) = (gpu.bits(&spikes)?, Bits::bytes_for(s.rows, s.plane));
        launch!(gpu, LIF, H, s.steps, "forward", grid::elements(op, bytes)?, [k, input, to, to_last]);
        Ok((Fired::Spikes(spikes), last))
    })
}

/// The gradient of the current, and that of the first membrane; `in_place` puts the first where `ds` is. Where the current is a
/// stream, the gradient of the spikes may be a half.
#[expect(clippy::too_many_arguments, reason = "the equation's operands")]
pub(crate) fn backward(
    op: &'static str,
    s: &LifShape,
    cell: &Cell,
    i: &Current,
    v0: Option<&Tensor>,
    ds: &Tensor,
    dlast: Option<&Tensor>,
    (want_dv0, per_step, in_place): (bool, bool, bool),
) -> Result<(Tensor, Option<Tensor>)> {
    let (gpu, frame) = (Gpu::of(op, i.x)?, s.rows * s.plane);
    let steps = if per_step { s.steps } else { 1 };
    by_number!(op, narrower(i.x.dtype(), ds.dtype()), H, R => {
        let (k, input) = (Constants::<R>::new(cell), Input::new::<H>(&gpu, s, i, v0)?);
        let from = gpu.at::<H>("ds", ds, s.steps * frame)?;
        let end = gpu.at_opt::<R>("dlast", dlast, frame)?;
        let shape = (steps, s.rows, s.plane);
        let di = if in_place { ds.reshape(shape)? } else { gpu.fresh_beside::<H>(i.x.dtype(), shape)? };
        let dv0 = if want_dv0 { Some(gpu.fresh::<R>((s.rows, s.plane))?) } else { None };
        // Of the current's type, as the kernel is told of the current.
        let to = gpu.beside::<H>("di", &di, steps * frame)?.at;
        let to_dv0 = gpu.at_opt::<R>("dv0", dv0.as_ref(), frame)?;
        launch!(
            gpu, LIF, H, s.steps, "backward", grid::elements(op, frame)?,
            [k, input, from, end, i32::from(per_step), to, to_dv0]
        );
        Ok((di, dv0))
    })
}

pub(crate) fn relu_forward(op: &'static str, s: &LifShape, i: &Current) -> Result<(Tensor, Bits)> {
    let gpu = Gpu::of(op, i.x)?;
    by_number!(op, i.x.dtype(), H => {
        let input = Input::new::<H>(&gpu, s, i, None)?;
        let (y, sign) = (gpu.fresh::<H>((s.steps, s.rows, s.plane))?, gpu.fresh_bits(s.steps * s.rows, s.plane)?);
        let to = [gpu.at::<H>("y", &y, s.steps * s.rows * s.plane)?, gpu.bits(&sign)?];
        launch!(gpu, LIF, H, s.steps, "relu_forward", grid::elements(op, sign.bytes())?, [input, to[0], to[1]]);
        Ok((y, sign))
    })
}

pub(crate) fn window(op: &'static str, s: &LifShape, i: &Current, low: f64, high: f64) -> Result<Bits> {
    let gpu = Gpu::of(op, i.x)?;
    by_number!(op, i.x.dtype(), H, R => {
        let (input, open) = (Input::new::<H>(&gpu, s, i, None)?, gpu.fresh_bits(s.steps * s.rows, s.plane)?);
        let to = gpu.bits(&open)?;
        launch!(
            gpu, LIF, H, s.steps, "window", grid::elements(op, open.bytes())?,
            [input, low as R, high as R, to]
        );
        Ok(open)
    })
}

pub(crate) fn trace(op: &'static str, a: &Tensor, s: &Bits, decay: f64) -> Result<()> {
    let (gpu, len) = (Gpu::of(op, a)?, s.rows() * s.plane());
    by_number!(op, a.dtype(), H, R => {
        let (at, bits) = (gpu.at::<H>("a", a, len)?, gpu.bits(s)?);
        // The one kernel of its source that knows nothing of steps.
        launch!(
            gpu, LIF, H, 1, "trace", grid::elements(op, len)?,
            [at, bits, s.plane().max(1) as u64, decay as R, len as u64]
        );
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The source asserts the same of its side.
    #[test]
    fn structs_have_the_sizes_that_the_source_states() {
        assert_eq!(size_of::<Constants<f32>>(), 6 * 4 + 6 * 4);
        assert_eq!(size_of::<Constants<f64>>(), 6 * 8 + 6 * 4);
        assert_eq!(size_of::<Input>(), 9 * 8);
    }
}
