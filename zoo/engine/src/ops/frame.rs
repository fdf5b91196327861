//! One frame of a sequence.

use super::reshape::readable;
use crate::error::Result;
use crate::pass::Pass;
use crate::value::Value;

/// Frame `step` of `[T, B, ...]`, `[1, B, ...]`, without a copy; a value that is constant in time is its own frame.
/// The gradient goes into the frame's place, where that of other frames stands already. Saves nothing.
///
/// # Errors
/// When there is no such step.
pub fn frame(pass: &Pass<'_>, x: &Value, step: usize) -> Result<Value> {
    let x = readable(pass, x)?;
    let y = x.frame(step)?;
    if x.steps() == 1 || !pass.tape().tracks(&x) {
        return Ok(y);
    }
    let (slot, shape) = (x.slot, x.shape().to_vec());
    drop(x);
    Ok(pass.tape().record("frame", y, move |backward, dy| backward.give_frame(slot, &shape, step, &dy)))
}
