//! Products with constants and with one factor a channel.

use kernels::elementwise;

use super::dense;
use crate::error::{Error, Result};
use crate::ledger::Category;
use crate::param::ParamId;
use crate::pass::{Mode, Pass};
use crate::value::{Saved, Value};

/// `factor * x`. Saves nothing.
///
/// # Errors
/// When a kernel fails.
pub fn scale(pass: &Pass<'_>, x: &Value, factor: f64) -> Result<Value> {
    let x = dense(pass, x)?;
    let y = pass.passing(x.shape(), || Ok(elementwise::scale(x.tensor()?, factor)?))?;
    let tape = pass.tape();
    if !tape.tracks(&x) {
        return Ok(y);
    }
    let slot = x.slot;
    Ok(tape.record("scale", y, move |backward, dy| {
        let dx = if dy.is_sole() {
            if let Ok(dy) = dy.tensor() {
                elementwise::scale_assign(dy, factor)?;
            }
            dy
        } else {
            backward.pass().gradient(dy.shape(), || Ok(elementwise::scale(dy.tensor()?, factor)?))?
        };
        backward.give(slot, dx)
    }))
}

/// Dropout with one mask for all time steps, drawn from the pass's key: kept values are divided by `1 - rate`.
/// Nothing happens in evaluation. Saves nothing: the mask is drawn again.
///
/// # Errors
/// When the rate is out of `[0, 1)`.
pub fn dropout(pass: &Pass<'_>, place: &str, x: &Value, rate: f64) -> Result<Value> {
    if !(0.0..1.0).contains(&rate) {
        return Err(Error::setting(format!("{place}: dropout rate"), "in [0, 1)", rate));
    }
    if rate == 0.0 || pass.mode() == Mode::Eval {
        return Ok(x.clone());
    }
    let x = dense(pass, x)?;
    let (steps, each) = (x.steps(), x.len() / x.steps());
    let key = pass.key().fork("dropout").fork(place);
    let (dtype, device) = (x.dtype(), pass.session().device().clone());
    let masked = move |x: &candle_core::Tensor| -> Result<candle_core::Tensor> {
        let mut stream = key.stream();
        let mask: Vec<f64> =
            (0..each).map(|_| if stream.chance(rate) { 0.0 } else { 1.0 / (1.0 - rate) }).collect();
        let mask = candle_core::Tensor::from_vec(mask, each, &device)?.to_dtype(dtype)?;
        Ok(elementwise::mask_mul(x, &mask, steps)?)
    };
    let y = pass.passing(x.shape(), || masked(x.tensor()?))?;
    let tape = pass.tape();
    if !tape.tracks(&x) {
        return Ok(y);
    }
    let slot = x.slot;
    Ok(tape.record("dropout", y, move |backward, dy| {
        let dx = backward.pass().gradient(dy.shape(), || masked(dy.tensor()?))?;
        backward.give(slot, dx)
    }))
}

/// Magnitudes of `alpha` below this are raised to it before it is used, in the parameter itself, with a gradient of 1:
/// the inversion divides by `alpha` (T-RevSNN's released code).
const SMALLEST_ALPHA: f64 = 1e-3;

/// `f + alpha * previous` with one `alpha` a channel: a value carried to the next step (T-RevSNN, section 4).
///
/// Saves the previous value, for the gradient of alpha.
///
/// # Errors
/// When the shapes differ.
pub fn carry_on(pass: &Pass<'_>, place: &str, f: &Value, previous: &Value, alpha: ParamId) -> Result<Value> {
    let (f, previous) = (dense(pass, f)?, dense(pass, previous)?);
    if f.shape() != previous.shape() {
        return Err(Error::shape(place, format!("{:?}", previous.shape()), f.shape()));
    }
    let (n, c, plane) = image_geometry(&f);
    let factor = pass.param(alpha);
    let y = pass.passing(f.shape(), || {
        elementwise::floor_magnitude(factor.tensor()?, SMALLEST_ALPHA)?;
        Ok(elementwise::mix(f.tensor()?, previous.tensor()?, factor.tensor()?, n, c, plane)?)
    })?;
    let tape = pass.tape();
    let f_slot = f.slot.filter(|_| tape.tracks(&f));
    let previous_slot = previous.slot.filter(|_| tape.tracks(&previous));
    // Where nothing before it is trained, its factor isn't either.
    if f_slot.is_none() && previous_slot.is_none() {
        return Ok(y);
    }
    let kept = Saved::new(&previous);
    Ok(tape.record("carry_on", y, move |backward, dy| {
        let pass = backward.pass();
        if let Some((into, add)) = pass.params().accumulator(alpha)? {
            elementwise::channel_dot(dy.tensor()?, kept.value().tensor()?, n, c, plane, into, add)?;
        }
        drop(kept);
        if previous_slot.is_some() {
            let factor = pass.param(alpha);
            let dprevious = pass.gradient(dy.shape(), || {
                Ok(elementwise::channel_scale(dy.tensor()?, n, c, plane, factor.tensor()?)?)
            })?;
            backward.give(previous_slot, dprevious)?;
        }
        backward.give(f_slot, dy)
    }))
}

/// `(carried - f) / alpha`: the previous value, back from the one it led to. Not recorded.
///
/// # Errors
/// When the shapes differ.
pub fn unmix(pass: &Pass<'_>, place: &str, carried: &Value, f: &Value, alpha: ParamId) -> Result<Value> {
    let f = dense(pass, f)?;
    if f.shape() != carried.shape() {
        return Err(Error::shape(place, format!("{:?}", carried.shape()), f.shape()));
    }
    let (n, c, plane) = image_geometry(&f);
    let factor = pass.param(alpha);
    pass.session().dense(Category::State, f.shape(), || {
        Ok(elementwise::unmix(carried.tensor()?, f.tensor()?, factor.tensor()?, n, c, plane)?)
    })
}

fn image_geometry(value: &Value) -> (usize, usize, usize) {
    (value.steps() * value.batch(), value.channels(), value.plane())
}
