//! Linear map of features.

use kernels::linear as kernel;

use super::held::rounded;
use super::reshape::readable;
use super::{images, weight_gradient};
use crate::error::{Error, Result};
use crate::operations::{Kind, Reach, Reads, Work};
use crate::param::ParamId;
use crate::pass::Pass;
use crate::saved::Saved;
use crate::value::Value;

/// `y = x weight^T + bias`: `[T, B, F]` to `[T, B, out]`. The weight gradient is evaluated at `weight_input` if given.
///
/// Saves the input (spikes as bits), or the weight input in its place.
///
/// # Errors
/// When the shape does not fit.
pub fn linear(
    pass: &Pass<'_>,
    place: &str,
    x: &Value,
    weight: &Value,
    bias: Option<ParamId>,
    weight_input: Option<&Value>,
) -> Result<Value> {
    let x = readable(pass, x)?;
    let (&[steps, batch, features], &[outputs, inputs]) = (x.shape(), weight.shape()) else {
        return Err(Error::shape(place, "[T, B, F]", x.shape()));
    };
    if features != inputs {
        return Err(Error::shape(place, format!("[T, B, {inputs}]"), x.shape()));
    }
    let rows = images(&x);
    let bias_value = bias.map(|id| pass.params().get(id).value());
    let taken = rounded(pass, weight)?;
    let y = pass.passing(&[steps, batch, outputs], || {
        let bias = bias_value.map(Value::tensor).transpose()?;
        Ok(kernel::forward(rows, x.operand()?, taken.tensor()?, bias)?)
    })?;
    drop(taken);
    let macs = y.len() * features;
    pass.count(
        Work::at(place, Kind::Linear, &[&x], &y, Reads::Weighted)
            .products(macs as u64, &[&x], Reach::Each(outputs as u64))
            .weights(weight.len() + bias_value.map_or(0, Value::len), bias.is_some()),
    )?;
    let y = pass.made((place, macs as u64), y, &[&x, weight], {
        let place = place.to_string();
        move |pass, inputs| linear(pass, &place, &inputs[0], &inputs[1], bias, None)
    });
    let tape = pass.tape();
    let (to_x, to_weight) = (tape.tracks(&x), tape.tracks(weight));
    if !to_x && !to_weight {
        return Ok(y);
    }
    let kept = to_weight.then(|| Saved::new(weight_input.unwrap_or(&x)));
    let x_slot = x.slot.filter(|_| to_x);
    let weight_slot = weight.slot;
    let weight_kept = to_x.then(|| Saved::new(weight));
    let counted = pass.to_count(place, Kind::Linear, macs);
    Ok(tape.record("linear", y, move |backward, dy| {
        let pass = backward.pass();
        let count = |reads| pass.count_back(counted.as_deref(), reads, dy.steps());
        if weight_kept.is_some() {
            count(Reads::Weighted);
        }
        if kept.is_some() {
            count(Reads::Numbers);
        }
        if let Some((into, add)) =
            bias.map(|id| backward.pass().params().accumulator(id)).transpose()?.flatten()
        {
            kernels::bias::gradient(dy.tensor()?, rows, outputs, 1, into, add)?;
        }
        if let Some(kept) = kept {
            let x = kept.get(backward.pass())?;
            weight_gradient(backward, weight_slot, &[outputs, inputs], |into, add| {
                Ok(kernel::backward_weight(rows, x.operand()?, dy.tensor()?, into, add)?)
            })?;
        }
        if let Some(weight) = weight_kept {
            let weight = rounded(backward.pass(), &weight.get(backward.pass())?)?;
            let dx = backward.pass().gradient(&[steps, batch, inputs], || {
                Ok(kernel::backward_input(dy.tensor()?, weight.tensor()?)?)
            })?;
            backward.give(x_slot, dx)?;
        }
        Ok(())
    }))
}
