//! Views, splits and joins.

use candle_core::Tensor;
use kernels::elementwise;
use kernels::norm;

use super::held::held;
use crate::error::{Error, Result};
use crate::pass::Pass;
use crate::saved::CHEAP;
use crate::tape::Slot;
use crate::value::Value;

/// The value with its numbers in a dense tensor: spikes unpacked, scaled ones multiplied, a folded norm computed. Gradients flow through.
///
/// # Errors
/// When a kernel fails.
pub fn dense(pass: &Pass<'_>, x: &Value) -> Result<Value> {
    if let Some(folded) = x.folded() {
        let mut y = pass.passing_in(x.dtype(), x.shape(), || {
            let (scale, shift) = folded
                .affine
                .as_ref()
                .ok_or_else(|| Error::Misuse("a planned norm holds no numbers".into()))?;
            Ok(norm::affine(&folded.x.norm_shape(folded.groups), folded.x.tensor()?, scale, shift)?)
        })?;
        pass.moved(x, &y);
        y = pass.made(("", CHEAP), y, &[x], |pass, inputs| dense(pass, &inputs[0]));
        y.slot = x.slot;
        return Ok(y);
    }
    if let Some(scaled) = x.scaled() {
        let mut y = pass.passing_in(x.dtype(), x.shape(), || {
            let bits = scaled.spikes.bits().ok_or_else(|| Error::Misuse("spikes without bits".into()))?;
            Ok(elementwise::scale_spikes(bits, scaled.factor, x.dtype())?)
        })?;
        pass.moved(x, &y);
        y = pass.made(("", CHEAP), y, &[x], |pass, inputs| dense(pass, &inputs[0]));
        y.slot = x.slot;
        return Ok(y);
    }
    if x.is_spikes() {
        let mut y = pass.passing_in(x.dtype(), x.shape(), || {
            let bits = x.bits().ok_or_else(|| Error::Misuse("spikes without bits".into()))?;
            Ok(bits.unpack(x.dtype())?)
        })?;
        pass.moved(x, &y);
        y = pass.made(("", CHEAP), y, &[x], |pass, inputs| dense(pass, &inputs[0]));
        y.slot = x.slot;
        return Ok(y);
    }
    Ok(x.clone())
}

/// The value as a kernel reads it: spikes as bits, everything else dense and in the run's number type.
pub(super) fn readable(pass: &Pass<'_>, x: &Value) -> Result<Value> {
    if x.is_spikes() { Ok(x.clone()) } else { held(pass, &dense(pass, x)?) }
}

/// The value as a kernel reads it whose result is multiplied afterwards: scaled spikes as bits and their factor, else as
/// [`readable`], and 1.
pub(super) fn factored(pass: &Pass<'_>, x: &Value) -> Result<(Value, f64)> {
    match x.scaled() {
        Some(scaled) => Ok((scaled.spikes.clone(), scaled.factor)),
        None => Ok((readable(pass, x)?, 1.0)),
    }
}

/// Where the gradient of what [`factored`] read of `x` goes.
pub(super) fn source_of(x: &Value, read: &Value) -> Option<Slot> {
    if x.scaled().is_some() { x.slot } else { read.slot }
}

/// `[T, B, C, H, W]` to `[T, B, C * H * W]`: a view, of spikes too.
///
/// # Errors
/// When there are fewer than three axes.
pub fn flatten(pass: &Pass<'_>, place: &str, x: &Value) -> Result<Value> {
    if x.shape().len() < 3 {
        return Err(Error::shape(place, "[T, B, ...]", x.shape()));
    }
    let shape = [x.steps(), x.batch(), x.shape()[2..].iter().product()];
    let x = readable(pass, x)?;
    let y = x.viewed(&shape)?.detached();
    let tape = pass.tape();
    if !tape.tracks(&x) {
        return Ok(y);
    }
    let (slot, before) = (x.slot, x.shape().to_vec());
    drop(x);
    Ok(tape.record("flatten", y, move |backward, dy| {
        let dx = dy.viewed(&before)?;
        drop(dy);
        backward.give(slot, dx)
    }))
}

/// The two halves of `[T, B, 2C, H, W]` on channels, not recorded: regions and stages go backward themselves.
///
/// # Errors
/// When the channel count is odd.
pub fn split_channels(pass: &Pass<'_>, place: &str, x: &Value) -> Result<(Value, Value)> {
    let x = dense(pass, x)?;
    if x.shape().len() < 3 || x.channels() % 2 != 0 {
        return Err(Error::shape(place, "[T, B, an even number, ...]", x.shape()));
    }
    let half = x.channels() / 2;
    let mut shape = x.shape().to_vec();
    shape[2] = half;
    let plane = x.plane();
    let mut second = None;
    let first = pass.passing_in(x.dtype(), &shape, || {
        let n = x.steps() * x.batch();
        let (a, b) = elementwise::split_channels(x.tensor()?, n, x.channels(), plane, half)?;
        second = Some(b);
        Ok(a)
    })?;
    let second = pass.passing_in(x.dtype(), &shape, || {
        second.ok_or_else(|| Error::Misuse("a split gave one half".into()))
    })?;
    pass.moved(&x, &first);
    pass.moved(&x, &second);
    Ok((first, second))
}

/// Joins two halves on channels, not recorded.
///
/// # Errors
/// When the shapes differ.
pub fn concat_channels(pass: &Pass<'_>, place: &str, a: &Value, b: &Value) -> Result<Value> {
    if a.shape() != b.shape() || a.shape().len() < 3 {
        return Err(Error::shape(place, format!("{:?}, channels third", a.shape()), b.shape()));
    }
    let mut shape = a.shape().to_vec();
    shape[2] *= 2;
    let plane = a.plane();
    let (n, c) = (a.steps() * a.batch(), a.channels());
    let y = pass.passing_in(a.dtype(), &shape, || {
        Ok(elementwise::concat_channels(a.tensor()?, c, b.tensor()?, c, n, plane)?)
    })?;
    pass.moved(a, &y);
    Ok(y)
}

/// A value beside itself on channels: `[T, B, C, ...]` to `[T, B, 2C, ...]`, the two halves of a reversible stream.
/// Saves nothing; the gradient is the sum of those of the halves.
///
/// # Errors
/// When there are fewer than three axes.
pub fn double_channels(pass: &Pass<'_>, place: &str, x: &Value) -> Result<Value> {
    let x = dense(pass, x)?;
    let y = concat_channels(pass, place, &x, &x)?;
    let tape = pass.tape();
    if !tape.tracks(&x) {
        return Ok(y);
    }
    let (slot, place) = (x.slot, place.to_string());
    drop(x);
    Ok(tape.record("double_channels", y, move |backward, dy| {
        let (first, second) = split_channels(backward.pass(), &place, &dy)?;
        drop(dy);
        backward.give(slot, first)?;
        backward.give(slot, second)
    }))
}

/// A value that is constant in time, written out for all T steps: `[1, B, ...]` to `[T, B, ...]`.
///
/// # Errors
/// When a kernel fails.
pub fn repeat_steps(pass: &Pass<'_>, x: &Value, steps: usize) -> Result<Value> {
    let x = dense(pass, x)?;
    if x.steps() == steps {
        return Ok(x);
    }
    let mut shape = x.shape().to_vec();
    shape[0] = steps;
    let y = pass.passing_in(x.dtype(), &shape, || Ok(elementwise::repeat_steps(x.tensor()?, steps)?))?;
    pass.moved(&x, &y);
    let y = pass.made(("", CHEAP), y, &[&x], move |pass, inputs| repeat_steps(pass, &inputs[0], steps));
    let tape = pass.tape();
    if !tape.tracks(&x) {
        return Ok(y);
    }
    let slot = x.slot;
    Ok(tape.record("repeat_steps", y, move |backward, dy| {
        let dx = sum_steps(backward.pass(), &dy)?;
        drop(dy);
        backward.give(slot, dx)
    }))
}

/// The sum over time of a gradient: `[T, B, ...]` to `[1, B, ...]`.
pub(crate) fn sum_steps(pass: &Pass<'_>, gradient: &Value) -> Result<Value> {
    let mut shape = gradient.shape().to_vec();
    let steps = std::mem::replace(&mut shape[0], 1);
    pass.gradient_in(gradient.dtype(), &shape, || Ok(elementwise::sum_steps(gradient.tensor()?, steps)?))
}

/// Joins one value a step to `[T, ...]`.
///
/// # Errors
/// When there is no value, or a kernel fails.
pub fn concat_steps(pass: &Pass<'_>, parts: &[Value]) -> Result<Value> {
    let Some(first) = parts.first() else {
        return Err(Error::Misuse("no steps to join".into()));
    };
    let mut shape = first.shape().to_vec();
    shape[0] = parts.len();
    let y = pass.passing_in(first.dtype(), &shape, || {
        let tensors = parts.iter().map(Value::tensor).collect::<Result<Vec<_>>>()?;
        Ok(Tensor::cat(&tensors, 0)?)
    })?;
    pass.moved(first, &y);
    let tape = pass.tape();
    let slots: Vec<_> = parts.iter().map(|part| part.slot.filter(|_| tape.tracks(part))).collect();
    if slots.iter().all(Option::is_none) {
        return Ok(y);
    }
    let one = first.shape().to_vec();
    Ok(tape.record("concat_steps", y, move |backward, dy| {
        for (step, slot) in slots.into_iter().enumerate() {
            let part = backward.pass().gradient_in(dy.dtype(), &one, || {
                Ok(elementwise::copied(&dy.tensor()?.narrow(0, step, 1)?)?)
            })?;
            backward.give(slot, part)?;
        }
        Ok(())
    }))
}
