//! Spike-driven attention: sums over tokens, and channels masked by them (Yao et al. 2023).

use kernels::elementwise;

use super::images;
use super::reshape::readable;
use crate::error::{Error, Result};
use crate::operations::{Kind, Reach, Reads, Work};
use crate::pass::Pass;
use crate::saved::Saved;
use crate::value::Value;

/// The sum over tokens of `k * v`: `[T, B, C, N]` to `[T, B, C, 1]`, or `[T, B, C, H, W]` to `[T, B, C, 1, 1]`.
///
/// Saves both (spikes as bits).
///
/// # Errors
/// When the shapes differ.
pub fn token_dot(pass: &Pass<'_>, place: &str, k: &Value, v: &Value) -> Result<Value> {
    if k.shape() != v.shape() || k.shape().len() < 4 {
        return Err(Error::shape(place, format!("{:?}, as [T, B, C, tokens]", k.shape()), v.shape()));
    }
    let inputs = [readable(pass, k)?, readable(pass, v)?];
    let (rows, plane, dtype) = (images(k) * k.channels(), k.plane(), pass.session().dtype());
    let y = pass.passing(&one_token(k), || {
        let [k, v] = &inputs;
        match (k.bits(), v.bits()) {
            (Some(k), Some(v)) => Ok(elementwise::row_overlap(k, v, dtype)?),
            _ => Ok(elementwise::row_dot(rows, plane, k.operand()?, v.operand()?, dtype)?),
        }
    })?;
    // A spike of k lets one value of v through.
    let [first, second] = inputs.each_ref();
    pass.count(Work::at(place, Kind::Product, &[first, second], &y, Reads::SpikeCounts).products(
        k.len() as u64,
        &[first],
        Reach::Each(1),
    ))?;
    let y = pass.made((place, k.len() as u64), y, &[&inputs[0], &inputs[1]], {
        let place = place.to_string();
        move |pass, inputs| token_dot(pass, &place, &inputs[0], &inputs[1])
    });
    let tape = pass.tape();
    let slots = inputs.each_ref().map(|x| x.slot.filter(|_| tape.tracks(x)));
    if slots == [None; 2] {
        return Ok(y);
    }
    let shape = k.shape().to_vec();
    let counted = pass.to_count(place, Kind::Product, k.len());
    // The gradient of each is made of the other.
    let [k, v] = inputs;
    let kept = [slots[0].map(|_| Saved::new(&v)), slots[1].map(|_| Saved::new(&k))];
    Ok(tape.record("token_dot", y, move |backward, dy| {
        for (slot, other) in slots.into_iter().zip(kept) {
            let Some(other) = other else { continue };
            backward.pass().count_back(counted.as_deref(), Reads::Products, dy.steps());
            let other = other.get(backward.pass())?;
            let gradient = backward.pass().gradient(&shape, || {
                let factor = kernels::Operand::Dense(dy.tensor()?);
                Ok(elementwise::row_scale(rows, plane, other.operand()?, factor, dtype)?)
            })?;
            backward.give(slot, gradient)?;
        }
        Ok(())
    }))
}

/// `q * s` with `s` one value a channel: `[T, B, C, N]` times `[T, B, C, 1]`, or the same of `[T, B, C, H, W]`. The
/// product of spikes is spikes.
///
/// Saves both (spikes as bits).
///
/// # Errors
/// When the shapes do not fit.
pub fn mask_channels(pass: &Pass<'_>, place: &str, q: &Value, s: &Value) -> Result<Value> {
    if q.shape().len() < 4 || s.shape() != one_token(q) {
        return Err(Error::shape(place, format!("{:?}", one_token(q)), s.shape()));
    }
    let (q, s) = (readable(pass, q)?, readable(pass, s)?);
    let (rows, plane, dtype) = (images(&q) * q.channels(), q.plane(), pass.session().dtype());
    let session = pass.session();
    let y = if q.is_spikes() && s.is_spikes() {
        session.spikes(q.shape(), || match (q.bits(), s.bits()) {
            (Some(q), Some(s)) => Ok(elementwise::row_mask(q, s)?),
            _ => Err(Error::Misuse(format!("{place}: spikes without bits"))),
        })?
    } else {
        pass.passing(q.shape(), || {
            Ok(elementwise::row_scale(rows, plane, q.operand()?, s.operand()?, dtype)?)
        })?
    };
    pass.count(Work::at(place, Kind::Product, &[&q, &s], &y, Reads::Products).products(
        q.len() as u64,
        &[&q],
        Reach::Each(1),
    ))?;
    let tape = pass.tape();
    let q_slot = q.slot.filter(|_| tape.tracks(&q));
    let s_slot = s.slot.filter(|_| tape.tracks(&s));
    if q_slot.is_none() && s_slot.is_none() {
        return Ok(y);
    }
    let kept_q = s_slot.map(|_| Saved::new(&q));
    let kept_s = q_slot.map(|_| Saved::new(&s));
    let (q_shape, s_shape) = (q.shape().to_vec(), s.shape().to_vec());
    let counted = pass.to_count(place, Kind::Product, q.len());
    drop((q, s));
    Ok(tape.record("mask_channels", y, move |backward, dy| {
        if let Some(q) = kept_q {
            backward.pass().count_back(counted.as_deref(), Reads::Products, dy.steps());
            let q = q.get(backward.pass())?;
            let ds = backward.pass().gradient(&s_shape, || {
                let dy = kernels::Operand::Dense(dy.tensor()?);
                Ok(elementwise::row_dot(rows, plane, dy, q.operand()?, dtype)?)
            })?;
            backward.give(s_slot, ds)?;
        }
        if let Some(s) = kept_s {
            backward.pass().count_back(counted.as_deref(), Reads::Products, dy.steps());
            let s = s.get(backward.pass())?;
            let dq = backward.pass().gradient(&q_shape, || {
                let dy = kernels::Operand::Dense(dy.tensor()?);
                Ok(elementwise::row_scale(rows, plane, dy, s.operand()?, dtype)?)
            })?;
            drop(dy);
            backward.give(q_slot, dq)?;
        }
        Ok(())
    }))
}

/// The shape with one token in place of all.
fn one_token(x: &Value) -> Vec<usize> {
    x.shape().iter().enumerate().map(|(axis, len)| if axis < 3 { *len } else { 1 }).collect()
}
