//! Adaptive average pool.

use kernels::pool::{self as kernel, AdaptiveShape};

use super::reshape::readable;
use crate::error::{Error, Result};
use crate::operations::{Each, Kind, Reads, Work, binned};
use crate::pass::Pass;
use crate::saved::CHEAP;
use crate::value::Value;

/// `[T, B, C, H, W]` to `[T, B, C, out[0], out[1]]`: means over bins that cover the plane, up-sampling where there
/// are more bins than places (the read-out of SLTT's VGG). Saves nothing.
///
/// # Errors
/// When the shape does not fit.
pub fn adaptive_average(pass: &Pass<'_>, place: &str, x: &Value, out: [usize; 2]) -> Result<Value> {
    let x = readable(pass, x)?;
    let &[steps, batch, channels, h, w] = x.shape() else {
        return Err(Error::shape(place, "[T, B, C, H, W]", x.shape()));
    };
    if out.contains(&0) {
        return Err(Error::setting(format!("{place}: bins"), "positive", format!("{out:?}")));
    }
    let shape = AdaptiveShape { rows: steps * batch * channels, plane: [h, w], out };
    let dtype = x.dtype();
    let y = pass.passing(&[steps, batch, channels, out[0], out[1]], || {
        Ok(kernel::adaptive_avg_forward(&shape, x.operand()?, dtype)?)
    })?;
    let added = shape.rows * binned(h, out[0]) * binned(w, out[1]);
    pass.count(
        Work::at(place, Kind::Pool, &[&x], &y, Reads::Numbers).adds(added - y.len()).multiplies(y.len()),
    )?;
    let y = pass.made((place, CHEAP), y, &[&x], {
        let place = place.to_string();
        move |pass, inputs| adaptive_average(pass, &place, &inputs[0], out)
    });
    let tape = pass.tape();
    if !tape.tracks(&x) {
        return Ok(y);
    }
    let (slot, x_shape) = (x.slot, x.shape().to_vec());
    let (counted, overlaps) = (pass.to_count(place, Kind::Pool, 0), added.saturating_sub(x.len()));
    Ok(tape.record("adaptive_average", y, move |backward, dy| {
        backward.pass().count_back_each(counted.as_deref(), dy.len(), dy.steps(), Each::PRODUCT);
        backward.pass().count_back_each(counted.as_deref(), overlaps, dy.steps(), Each::SUMMED);
        let dx = backward
            .pass()
            .gradient(&x_shape, || Ok(kernel::adaptive_avg_backward(&shape, dy.tensor()?)?))?;
        backward.give(slot, dx)
    }))
}
