//! Some channels of a value.

use std::ops::Range;

use super::dense;
use crate::error::{Error, Result};
use crate::pass::Pass;
use crate::value::Value;

/// The channels `range` of `[T, B, C, ...]`. The gradient of the others is zero. Saves nothing.
///
/// # Errors
/// When there are no such channels.
pub fn channels(pass: &Pass<'_>, place: &str, x: &Value, range: Range<usize>) -> Result<Value> {
    if x.shape().len() < 3 || range.is_empty() || range.end > x.channels() {
        let expected = format!("[T, B, C, ...] with channels {} to {}", range.start, range.end);
        return Err(Error::shape(place, expected, x.shape()));
    }
    let x = dense(pass, x)?;
    if range.len() == x.channels() {
        return Ok(x);
    }
    let mut shape = x.shape().to_vec();
    shape[2] = range.len();
    // A copy: an op may overwrite what it holds alone.
    let y = pass.passing_in(x.dtype(), &shape, || {
        Ok(x.tensor()?.narrow(2, range.start, range.len())?.force_contiguous()?)
    })?;
    pass.moved(&x, &y);
    let tape = pass.tape();
    if !tape.tracks(&x) {
        return Ok(y);
    }
    let (slot, all, after) = (x.slot, x.shape().to_vec(), x.channels() - range.end);
    drop(x);
    Ok(tape.record("channels", y, move |backward, dy| {
        let dx = backward.pass().gradient_in(dy.dtype(), &all, || {
            Ok(dy.tensor()?.pad_with_zeros(2, range.start, after)?.contiguous()?)
        })?;
        drop(dy);
        backward.give(slot, dx)
    }))
}
