//! One step of a value over time.

use crate::error::Result;
use crate::ledger::Category;
use crate::pass::Pass;
use crate::value::Value;

/// Frame `step` of a dense value, `[T, B, ...]` to `[1, B, ...]`, without a copy; a value that is constant in time is
/// its own frame. Saves nothing; the gradient goes back into its frame.
///
/// # Errors
/// When there is no such step.
pub fn frame(pass: &Pass<'_>, x: &Value, step: usize) -> Result<Value> {
    if x.steps() == 1 {
        return Ok(x.clone());
    }
    let y = x.frame(step)?;
    let tape = pass.tape();
    if !tape.tracks(x) {
        return Ok(y);
    }
    let (slot, shape) = (x.slot, x.shape().to_vec());
    Ok(tape.record("frame", y, move |backward, dy| {
        let dx = backward.pass().session().zeros(Category::ActivationGradients, &shape)?;
        if let (Ok(into), Ok(from)) = (dx.tensor(), dy.tensor()) {
            kernels::elementwise::copy(&into.narrow(0, step, 1)?, from)?;
        }
        backward.give(slot, dx)
    }))
}
