//! Products with a learned factor.

use kernels::elementwise;

use super::dense;
use super::reshape::readable;
use crate::error::{Error, Result};
use crate::operations::{Each, Kind, Reads, Work};
use crate::param::ParamId;
use crate::pass::Pass;
use crate::saved::{CHEAP, Saved};
use crate::value::Value;

/// `g * x` with `g` a parameter of one element (`[]`, the skip gain of normalisation-free ResNets) or of one a channel
/// (`[C]`, `[1, C, 1, 1]`).
///
/// Saves `x` (spikes as bits).
///
/// # Errors
/// When the parameter has another number of elements.
pub fn gain(pass: &Pass<'_>, place: &str, x: &Value, param: ParamId) -> Result<Value> {
    let x = readable(pass, x)?;
    let factor = pass.param(param);
    let (n, c, plane) = (x.steps() * x.batch(), x.channels(), x.plane());
    if x.shape().len() < 3 || (factor.len() != 1 && factor.len() != c) {
        let expected = format!("[T, B, {}, ...], one channel a factor", factor.len());
        return Err(Error::shape(place, expected, x.shape()));
    }
    let numbers = dense(pass, &x)?;
    let y = pass.passing(x.shape(), || {
        Ok(elementwise::channel_scale(numbers.tensor()?, n, c, plane, factor.tensor()?)?)
    })?;
    drop(numbers);
    pass.count(Work::at(place, Kind::Scale, &[&x], &y, Reads::Numbers).multiplies(y.len()))?;
    let y = pass.made((place, CHEAP), y, &[&x], {
        let place = place.to_string();
        move |pass, inputs| gain(pass, &place, &inputs[0], param)
    });
    let tape = pass.tape();
    if !tape.is_recording() {
        return Ok(y);
    }
    let slot = x.slot.filter(|_| tape.tracks(&x));
    let (kept, counted) = (Saved::new(&x), pass.to_count(place, Kind::Scale, 0));
    Ok(tape.record("gain", y, move |backward, dy| {
        let pass = backward.pass();
        // The gradient of the factor is a dot product, that of the input a product.
        let each = if slot.is_some() { Each::ADDED.and(Each::PRODUCT) } else { Each::ADDED };
        pass.count_back_each(counted.as_deref(), dy.len(), dy.steps(), each);
        let x = dense(pass, &kept.get(pass)?)?;
        if let Some((into, add)) = pass.params().accumulator(param)? {
            elementwise::channel_dot(dy.tensor()?, x.tensor()?, n, c, plane, into, add)?;
        }
        drop((x, kept));
        if slot.is_none() {
            return Ok(());
        }
        let factor = pass.param(param);
        let dx = pass.gradient(dy.shape(), || {
            Ok(elementwise::channel_scale(dy.tensor()?, n, c, plane, factor.tensor()?)?)
        })?;
        drop(dy);
        backward.give(slot, dx)
    }))
}
