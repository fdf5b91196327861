//! Nearest-neighbour up-sampling.

use kernels::elementwise;

use super::dense;
use crate::error::{Error, Result};
use crate::operations::{Each, Kind};
use crate::pass::Pass;
use crate::saved::CHEAP;
use crate::value::Value;

/// `[T, B, C, H, W]` to `[T, B, C, factor * H, factor * W]`. Saves nothing.
///
/// # Errors
/// When the shape does not fit.
pub fn upsample(pass: &Pass<'_>, place: &str, x: &Value, factor: usize) -> Result<Value> {
    let x = dense(pass, x)?;
    let &[steps, batch, channels, h, w] = x.shape() else {
        return Err(Error::shape(place, "[T, B, C, H, W]", x.shape()));
    };
    if factor == 1 {
        return Ok(x);
    }
    let rows = steps * batch * channels;
    let y = pass.passing_in(x.dtype(), &[steps, batch, channels, factor * h, factor * w], || {
        Ok(elementwise::upsample_nearest(x.tensor()?, rows, h, w, factor)?)
    })?;
    pass.moved(&x, &y);
    let y = pass.made((place, CHEAP), y, &[&x], {
        let place = place.to_string();
        move |pass, inputs| upsample(pass, &place, &inputs[0], factor)
    });
    let tape = pass.tape();
    if !tape.tracks(&x) {
        return Ok(y);
    }
    let (slot, shape) = (x.slot, x.shape().to_vec());
    let (counted, kept) = (pass.to_count(place, Kind::Sum, 0), x.len());
    Ok(tape.record("upsample", y, move |backward, dy| {
        // The gradients of a value's copies are added.
        let added = dy.len() - kept;
        backward.pass().count_back_each(counted.as_deref(), added, dy.steps(), Each::SUMMED);
        let dx = backward.pass().gradient_in(dy.dtype(), &shape, || {
            Ok(elementwise::upsample_backward(dy.tensor()?, rows, h, w, factor)?)
        })?;
        backward.give(slot, dx)
    }))
}
