//! Neurons over all steps; see [`crate::lif`].

use candle_core::Tensor;
use cudarc::driver::DeviceRepr;

use super::{Gpu, Number, by_number, launch};
use crate::Result;
use crate::bits::Bits;
use crate::cuda::launch as grid;
use crate::error::ensure;
use crate::lif::{Cell, Current, Fired, LifShape, Reset, ResetGrad, Surrogate};

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
}

// SAFETY: as above.
unsafe impl DeviceRepr for Input {}

impl<T: Number> Constants<T> {
    /// The constants in `T`, each made from `f64` as on the CPU.
    fn new(cell: &Cell) -> Self {
        let of = <T as crate::real::Real>::of;
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
    fn new<T: Number>(gpu: &Gpu, s: &LifShape, i: &Current, v0: Option<&Tensor>) -> Result<Self> {
        let groups = i.affine_steps(s.channels);
        ensure(groups == 1 || groups == s.steps, gpu.op(), "the affine has one row, or one a step", || {
            format!("{groups} rows for {} steps", s.steps)
        })?;
        let frame = s.rows * s.plane;
        Ok(Input {
            x: gpu.at::<T>("current", i.x, s.current_steps * frame)?,
            scale: gpu.at_opt::<T>("scale", i.affine.map(|a| a.0), groups * s.channels)?,
            shift: gpu.at_opt::<T>("shift", i.affine.map(|a| a.1), groups * s.channels)?,
            v0: gpu.at_opt::<T>("v0", v0, frame)?,
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
    by_number!(op, i.x.dtype(), T => {
        let (k, input) = (Constants::<T>::new(cell), Input::new::<T>(&gpu, s, i, v0)?);
        let last = if keep_last { Some(gpu.fresh::<T>((s.rows, s.plane))?) } else { None };
        let to_last = gpu.at_opt::<T>("last", last.as_ref(), frame)?;
        if cell.smooth {
            let out = gpu.fresh::<T>((s.steps, s.rows, s.plane))?;
            let to = gpu.at::<T>("out", &out, s.steps * frame)?;
            launch!(gpu, LIF, T, s.steps, "forward_smooth", grid::elements(op, frame)?, [k, input, to, to_last]);
            return Ok((Fired::Smooth(out), last));
        }
        let spikes = gpu.fresh_bits(s.steps * s.rows, s.plane)?;
        let (to, bytes) = (gpu.bits(&spikes)?, Bits::bytes_for(s.rows, s.plane));
        launch!(gpu, LIF, T, s.steps, "forward", grid::elements(op, bytes)?, [k, input, to, to_last]);
        Ok((Fired::Spikes(spikes), last))
    })
}

/// The gradient of the current, and that of the first membrane; `in_place` puts the first where `ds` is.
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
    by_number!(op, i.x.dtype(), T => {
        let (k, input) = (Constants::<T>::new(cell), Input::new::<T>(&gpu, s, i, v0)?);
        let from = gpu.at::<T>("ds", ds, s.steps * frame)?;
        let end = gpu.at_opt::<T>("dlast", dlast, frame)?;
        let shape = (steps, s.rows, s.plane);
        let di = if in_place { ds.reshape(shape)? } else { gpu.fresh::<T>(shape)? };
        let dv0 = if want_dv0 { Some(gpu.fresh::<T>((s.rows, s.plane))?) } else { None };
        let (to, to_dv0) = (gpu.at::<T>("di", &di, steps * frame)?, gpu.at_opt::<T>("dv0", dv0.as_ref(), frame)?);
        launch!(
            gpu, LIF, T, s.steps, "backward", grid::elements(op, frame)?,
            [k, input, from, end, i32::from(per_step), to, to_dv0]
        );
        Ok((di, dv0))
    })
}

pub(crate) fn relu_forward(op: &'static str, s: &LifShape, i: &Current) -> Result<(Tensor, Bits)> {
    let gpu = Gpu::of(op, i.x)?;
    by_number!(op, i.x.dtype(), T => {
        let input = Input::new::<T>(&gpu, s, i, None)?;
        let (y, sign) = (gpu.fresh::<T>((s.steps, s.rows, s.plane))?, gpu.fresh_bits(s.steps * s.rows, s.plane)?);
        let to = [gpu.at::<T>("y", &y, s.steps * s.rows * s.plane)?, gpu.bits(&sign)?];
        launch!(gpu, LIF, T, s.steps, "relu_forward", grid::elements(op, sign.bytes())?, [input, to[0], to[1]]);
        Ok((y, sign))
    })
}

pub(crate) fn window(op: &'static str, s: &LifShape, i: &Current, low: f64, high: f64) -> Result<Bits> {
    let gpu = Gpu::of(op, i.x)?;
    by_number!(op, i.x.dtype(), T => {
        let (input, open) = (Input::new::<T>(&gpu, s, i, None)?, gpu.fresh_bits(s.steps * s.rows, s.plane)?);
        let to = gpu.bits(&open)?;
        launch!(
            gpu, LIF, T, s.steps, "window", grid::elements(op, open.bytes())?,
            [input, low as T, high as T, to]
        );
        Ok(open)
    })
}

pub(crate) fn trace(op: &'static str, a: &Tensor, s: &Bits, decay: f64) -> Result<()> {
    let (gpu, len) = (Gpu::of(op, a)?, s.rows() * s.plane());
    by_number!(op, a.dtype(), T => {
        let (at, bits) = (gpu.at::<T>("a", a, len)?, gpu.bits(s)?);
        // The one kernel of its source that knows nothing of steps.
        launch!(
            gpu, LIF, T, 1, "trace", grid::elements(op, len)?,
            [at, bits, s.plane().max(1) as u64, decay as T, len as u64]
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
        assert_eq!(size_of::<Input>(), 7 * 8 + 2 * 4);
    }
}
