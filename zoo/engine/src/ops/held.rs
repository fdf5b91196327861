//! From one number type to the other, where a run holds halves.

use candle_core::DType;
use kernels::held::cast;

use crate::error::Result;
use crate::pass::Pass;
use crate::saved::CHEAP;
use crate::tape::Slot;
use crate::value::Value;

/// A dense value or a weight in the run's number type: rounded where it is a stream or a master. Saves nothing; who saves the
/// result of a weight makes it again.
///
/// # Errors
/// When a kernel fails.
pub(super) fn held(pass: &Pass<'_>, x: &Value) -> Result<Value> {
    converted(pass, x, pass.session().dtype())
}

/// A dense value in the type that is summed in, as reversible streams are. Saves nothing.
///
/// # Errors
/// When a kernel fails.
pub(crate) fn real(pass: &Pass<'_>, x: &Value) -> Result<Value> {
    converted(pass, x, pass.session().real())
}

fn converted(pass: &Pass<'_>, x: &Value, dtype: DType) -> Result<Value> {
    if x.dtype() == dtype {
        return Ok(x.clone());
    }
    let y = pass.passing_in(dtype, x.shape(), || Ok(cast(x.tensor()?, dtype)?))?;
    let of_parameter = matches!(x.slot, Some(Slot::Parameter(_)));
    if of_parameter {
        pass.prepared(&y);
    } else {
        pass.moved(x, &y);
    }
    let mut y = pass.made(("", CHEAP), y, &[x], move |pass, inputs| converted(pass, &inputs[0], dtype));
    if of_parameter {
        // Its gradient is made in the accumulator's type and goes there as it is.
        y.slot = x.slot;
        return Ok(y);
    }
    let tape = pass.tape();
    if !tape.tracks(x) {
        return Ok(y);
    }
    let (slot, own) = (x.slot, x.dtype());
    Ok(tape.record("held", y, move |backward, dy| {
        let dx = typed(backward.pass(), dy, own)?;
        backward.give(slot, dx)
    }))
}

/// A gradient in the type of the value that it is of: itself, or a copy.
pub(crate) fn typed(pass: &Pass<'_>, gradient: Value, dtype: DType) -> Result<Value> {
    if gradient.dtype() == dtype {
        return Ok(gradient);
    }
    pass.gradient_in(dtype, gradient.shape(), || Ok(cast(gradient.tensor()?, dtype)?))
}
