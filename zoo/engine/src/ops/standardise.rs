//! Scaled weight standardisation (normalisation-free networks of OTTT and SLTT, and T-RevSNN).

use kernels::standardise as kernel;
pub use kernels::standardise::{Epsilon, Standardisation, Variance};

use super::weight_gradient;
use crate::error::Result;
use crate::param::ParamId;
use crate::pass::Pass;
use crate::saved::CHEAP;
use crate::value::Value;

/// `gain * (w - mean) / sqrt(var * N + eps)` per output channel over its fan-in N; `how` says which variance and
/// where eps stands. A gain has one element an output channel, in any shape. Gradients flow through mean and variance.
/// Saves nothing but the parameters it reads; who saves the result computes it again.
///
/// # Errors
/// When a kernel fails.
pub fn standardise(
    pass: &Pass<'_>,
    weight: ParamId,
    gain: Option<ParamId>,
    how: Standardisation,
) -> Result<Value> {
    let w = pass.param(weight);
    let gain_value = gain.map(|id| pass.params().get(id).value());
    let y = pass.passing_in(w.dtype(), w.shape(), || {
        Ok(kernel::forward(w.tensor()?, gain_value.map(Value::tensor).transpose()?, how)?)
    })?;
    pass.prepared(&y);
    let y = pass.made(("", CHEAP), y, &[&w], move |pass, _| standardise(pass, weight, gain, how));
    let tape = pass.tape();
    if !tape.is_recording() {
        return Ok(y);
    }
    Ok(tape.record("standardise", y, move |backward, dy| {
        let pass = backward.pass();
        let w = pass.params().get(weight).value();
        let gain_value = gain.map(|id| pass.params().get(id).value());
        let into_gain = gain.map(|id| pass.params().accumulator(id)).transpose()?.flatten();
        weight_gradient(backward, pass.param(weight).slot, w.shape(), |into, add| {
            let gain_value = gain_value.map(Value::tensor).transpose()?;
            Ok(kernel::backward(w.tensor()?, gain_value, how, dy.tensor()?, into, add, into_gain)?)
        })
    }))
}
