//! Stochastic depth: a branch is left out for a part of the batch.

use candle_core::Tensor;
use kernels::elementwise;
use serde::{Deserialize, Serialize};

use super::{dense, repeat_steps};
use crate::error::{Error, Result};
use crate::operations::{Each, Kind, Reads, Work};
use crate::pass::{Mode, Pass};
use crate::value::Value;

/// What one draw of [`drop_path`] is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DropPer {
    /// A sample of the batch, the same at all T steps: what stochastic depth means (Huang et al., ECCV 2016).
    Sample,
    /// A time step, the same for the whole batch: what timm's drop-path does to a tensor `[T, B, ...]`, whose leading
    /// axis it takes for the batch. (Spikingformer's and the Spike-driven Transformer's code build such a layer with
    /// a rate of 0.2 and never call it.)
    Step,
}

/// Drop-path: a branch is dropped with probability `rate`, else divided by `1 - rate`. Nothing happens in evaluation.
///
/// Draws come from the pass's key and `place`, so a rebuilt forward and the backward see the same; nothing is saved.
/// A method that goes step by step sees the draws of one that takes all steps at once.
///
/// # Errors
/// When the rate is out of `[0, 1)`.
pub fn drop_path(pass: &Pass<'_>, place: &str, x: &Value, rate: f64, per: DropPer) -> Result<Value> {
    if !(0.0..1.0).contains(&rate) {
        return Err(Error::setting(format!("{place}: drop-path rate"), "in [0, 1)", rate));
    }
    if rate == 0.0 || pass.mode() == Mode::Eval {
        return Ok(x.clone());
    }
    let x = match (per, pass.step()) {
        // What was constant in time no longer is.
        (DropPer::Step, None) => repeat_steps(pass, x, pass.steps())?,
        _ => dense(pass, x)?,
    };
    let (steps, batch) = (x.steps(), x.batch());
    let first = pass.step().unwrap_or(0);
    let key = pass.key().fork("drop-path").fork(place);
    let (real, device) = (pass.session().real(), pass.session().device().clone());
    let masked = move |x: &Tensor| -> Result<Tensor> {
        let draws = match per {
            DropPer::Sample => batch,
            DropPer::Step => first + steps,
        };
        let mut stream = key.stream();
        let kept: Vec<f64> =
            (0..draws).map(|_| if stream.chance(rate) { 0.0 } else { 1.0 / (1.0 - rate) }).collect();
        let mask: Vec<f64> = (0..steps * batch)
            .map(|row| match per {
                DropPer::Sample => kept[row % batch],
                DropPer::Step => kept[first + row / batch],
            })
            .collect();
        let mask = Tensor::from_vec(mask, steps * batch, &device)?.to_dtype(real)?;
        let plane = x.elem_count() / (steps * batch).max(1);
        Ok(elementwise::channel_scale(x, 1, steps * batch, plane, &mask)?)
    };
    let y = pass.passing_in(x.dtype(), x.shape(), || masked(x.tensor()?))?;
    pass.count(Work::at(place, Kind::Scale, &[&x], &y, Reads::Numbers).multiplies(y.len()))?;
    let tape = pass.tape();
    if !tape.tracks(&x) {
        return Ok(y);
    }
    let (slot, counted) = (x.slot, pass.to_count(place, Kind::Scale, 0));
    Ok(tape.record("drop_path", y, move |backward, dy| {
        backward.pass().count_back_each(counted.as_deref(), dy.len(), dy.steps(), Each::PRODUCT);
        let dx = backward.pass().gradient_in(dy.dtype(), dy.shape(), || masked(dy.tensor()?))?;
        backward.give(slot, dx)
    }))
}
