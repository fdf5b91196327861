//! From one number type to the other, where a run holds halves.

use candle_core::DType;
use kernels::held::cast;

use crate::error::Result;
use crate::pass::Pass;
use crate::saved::CHEAP;
use crate::value::Value;

/// A dense value in the run's number type: rounded where it is a stream. Saves nothing.
///
/// # Errors
/// When a kernel fails.
pub(super) fn held(pass: &Pass<'_>, x: &Value) -> Result<Value> {
    converted(pass, x, pass.session().dtype())
}

/// A weight in the run's number type: a rounded copy on its way, which no one keeps. Backward makes it again from its master,
/// and the gradient, which is never a half, goes to the master.
///
/// # Errors
/// When a kernel fails.
pub(super) fn rounded(pass: &Pass<'_>, master: &Value) -> Result<Value> {
    let dtype = pass.session().dtype();
    if master.dtype() == dtype {
        return Ok(master.clone());
    }
    let copy = pass.passing_in(dtype, master.shape(), || Ok(cast(master.tensor()?, dtype)?))?;
    pass.prepared(&copy);
    Ok(copy)
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
    pass.moved(x, &y);
    let y = pass.made(("", CHEAP), y, &[x], move |pass, inputs| converted(pass, &inputs[0], dtype));
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
