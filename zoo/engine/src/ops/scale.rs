//! Products with constants.

use candle_core::{DType, Tensor};
use kernels::elementwise;
use keys::Key;

use super::dense;
use super::reshape::readable;
use crate::error::{Error, Result};
use crate::ledger::Category;
use crate::pass::{Mode, Pass};
use crate::saved::CHEAP;
use crate::value::Value;

/// `factor * x`. Saves nothing.
///
/// # Errors
/// When a kernel fails.
pub fn scale(pass: &Pass<'_>, place: &str, x: &Value, factor: f64) -> Result<Value> {
    let x = readable(pass, x)?;
    let numbers = dense(pass, &x)?;
    let y = pass.passing(numbers.shape(), || Ok(elementwise::scale(numbers.tensor()?, factor)?))?;
    drop(numbers);
    let y = pass.made((place, CHEAP), y, &[&x], {
        let place = place.to_string();
        move |pass, inputs| scale(pass, &place, &inputs[0], factor)
    });
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
    let x = readable(pass, x)?;
    let key = pass.key().fork("dropout").fork(place);
    let y = masked(pass, key, rate, dense(pass, &x)?, Category::Passing)?;
    let y = pass.made((place, CHEAP), y, &[&x], {
        let place = place.to_string();
        move |pass, inputs| dropout(pass, &place, &inputs[0], rate)
    });
    let tape = pass.tape();
    if !tape.tracks(&x) {
        return Ok(y);
    }
    let slot = x.slot;
    Ok(tape.record("dropout", y, move |backward, dy| {
        let dx = masked(backward.pass(), key, rate, dy, Category::ActivationGradients)?;
        backward.give(slot, dx)
    }))
}

/// `x` times its mask, in its own place where that may be overwritten.
fn masked(pass: &Pass<'_>, key: Key, rate: f64, x: Value, category: Category) -> Result<Value> {
    let session = pass.session();
    let (steps, each) = (x.steps(), x.len() / x.steps());
    let mask = pass.passing(&[each], || {
        let (mut stream, kept) = (key.stream(), 1.0 / (1.0 - rate));
        let draws = (0..each).map(|_| if stream.chance(rate) { 0.0 } else { kept });
        // In the type of the numbers from the start: a mask is as large as a step.
        let mask = match session.dtype() {
            DType::F32 => Tensor::from_iter(draws.map(|draw| draw as f32), session.device())?,
            _ => Tensor::from_iter(draws, session.device())?.to_dtype(session.dtype())?,
        };
        Ok(mask)
    })?;
    if !x.is_sole() {
        return session
            .dense(category, x.shape(), || Ok(elementwise::mask_mul(x.tensor()?, mask.tensor()?, steps)?));
    }
    if let (Ok(x), Ok(mask)) = (x.tensor(), mask.tensor()) {
        elementwise::mask_assign(x, mask, steps)?;
    }
    Ok(x.detached())
}
