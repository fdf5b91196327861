//! Rectified linear unit: what stands where a neuron would in a network without time.

use super::dense;
use super::fire::gated;
use crate::error::Result;
use crate::operations::{Each, Kind, Reads, Work};
use crate::pass::Pass;
use crate::saved::Saved;
use crate::value::Value;

/// `y = max(x, 0)`. Saves the sign, one bit each.
///
/// # Errors
/// When a kernel fails.
pub fn relu(pass: &Pass<'_>, place: &str, x: &Value) -> Result<Value> {
    let x = match x.folded() {
        Some(_) if x.shape().len() == 5 => x.clone(),
        _ => dense(pass, x)?,
    };
    let shape = x.shape().to_vec();
    let geometry = super::fire::geometry(&x, x.steps());
    let mut sign = None;
    let y = pass.passing_in(x.dtype(), &shape, || {
        let (y, positive) = kernels::lif::relu_forward(&geometry, &super::fire::read(&x)?)?;
        sign = Some(positive);
        Ok(y)
    })?;
    pass.count(Work::at(place, Kind::Rectifier, &[&x], &y, Reads::Rectified).compares(y.len()))?;
    let tape = pass.tape();
    if !tape.tracks(&x) {
        return Ok(y);
    }
    let sign = pass
        .session()
        .spikes(&shape, || sign.ok_or_else(|| crate::error::Error::Misuse("relu kept no signs".into())))?;
    pass.prepared(&sign);
    let kept = Saved::new(&sign);
    drop(sign);
    let (slot, counted) = (x.slot, pass.to_count(place, Kind::Rectifier, 0));
    Ok(tape.record("relu", y, move |backward, dy| {
        backward.pass().count_back_each(counted.as_deref(), dy.len(), dy.steps(), Each::COMPARED);
        let dx = gated(backward.pass(), dy, kept)?;
        backward.give(slot, dx)
    }))
}
