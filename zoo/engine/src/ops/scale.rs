//! Products with constants.

use kernels::elementwise;

use super::dense;
use crate::error::{Error, Result};
use crate::pass::{Mode, Pass};
use crate::value::Value;

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
