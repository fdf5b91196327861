//! Sums.

use kernels::{elementwise, held};

use super::dense;
use super::held::typed;
use super::reshape::repeat_steps;
use crate::error::{Error, Result};
use crate::operations::{Kind, Reads, Work};
use crate::pass::Pass;
use crate::saved::CHEAP;
use crate::value::Value;

/// `a + b`. Saves nothing. A norm folded into either side is computed on the way, without a copy of its own. A side
/// that is constant in time is added to every step of the other.
///
/// # Errors
/// When the shapes differ otherwise.
pub fn add(pass: &Pass<'_>, place: &str, a: &Value, b: &Value) -> Result<Value> {
    match (a.steps(), b.steps()) {
        (1, steps) if steps > 1 => return add(pass, place, &repeat_steps(pass, a, steps)?, b),
        (steps, 1) if steps > 1 => return add(pass, place, a, &repeat_steps(pass, b, steps)?),
        _ => {}
    }
    if a.shape() != b.shape() {
        return Err(Error::shape(place, format!("{:?}", a.shape()), b.shape()));
    }
    let y = plus(pass, a, b)?;
    pass.count(Work::at(place, Kind::Sum, &[a, b], &y, Reads::Summed).adds(y.len()))?;
    let y = pass.made((place, CHEAP), y, &[a, b], {
        let place = place.to_string();
        move |pass, inputs| add(pass, &place, &inputs[0], &inputs[1])
    });
    let tape = pass.tape();
    let slots = [a, b].map(|side| side.slot.filter(|_| tape.tracks(side)));
    if slots == [None, None] {
        return Ok(y);
    }
    let dtypes = [a.dtype(), b.dtype()];
    Ok(tape.record("add", y, move |backward, dy| {
        let pass = backward.pass();
        if slots[0].is_some() && slots[1].is_some() {
            backward.give(slots[0], typed(pass, dy.clone(), dtypes[0])?)?;
        }
        let last = usize::from(slots[1].is_some());
        backward.give(slots[last], typed(pass, dy, dtypes[last])?)
    }))
}

/// The numbers of `a + b`, of one shape. Not recorded, and not counted.
///
/// # Errors
/// When a kernel fails.
pub(crate) fn plus(pass: &Pass<'_>, a: &Value, b: &Value) -> Result<Value> {
    let (folded, other) = match (a.folded(), b.folded()) {
        (Some(folded), _) => (Some(folded), b),
        (None, Some(folded)) => (Some(folded), a),
        (None, None) => (None, b),
    };
    let other = if other.is_spikes() { other.clone() } else { dense(pass, other)? };
    let dtype = held::wider(a.dtype(), b.dtype());
    match folded {
        Some(folded) => pass.passing_in(dtype, a.shape(), || {
            let (scale, shift) = folded
                .affine
                .as_ref()
                .ok_or_else(|| Error::Misuse("a planned norm holds no numbers".into()))?;
            let shape = folded.x.norm_shape(folded.groups);
            Ok(elementwise::add_affine(&shape, folded.x.tensor()?, scale, shift, other.operand()?)?)
        }),
        None => {
            let (a, other) = (dense(pass, a)?, dense(pass, &other)?);
            pass.passing_in(dtype, a.shape(), || Ok(elementwise::add(a.tensor()?, other.tensor()?)?))
        }
    }
}

/// `x + round(f)` on the grid `2^-exponent` (to even), or `x - round(f)`. The rounding's gradient is 1. Not recorded:
/// regions that round go backward themselves.
///
/// # Errors
/// When a kernel fails.
pub fn add_rounded(
    pass: &Pass<'_>,
    place: &str,
    [x, f]: [&Value; 2],
    exponent: i32,
    negate: bool,
) -> Result<Value> {
    let f = dense(pass, f)?;
    let sign = if negate { -1 } else { 1 };
    let y = pass.passing_in(x.dtype(), x.shape(), || {
        Ok(elementwise::add_rounded(x.tensor()?, f.tensor()?, exponent, sign)?)
    })?;
    pass.count(Work::at(place, Kind::Sum, &[x, &f], &y, Reads::Summed).adds(y.len()))?;
    Ok(y)
}

/// `into += from`, where it lies.
pub(crate) fn accumulate(into: &Value, from: &Value) -> Result<()> {
    if let (Ok(into), Ok(from)) = (into.tensor(), from.tensor()) {
        elementwise::add_assign(into, from, 1.0)?;
    }
    Ok(())
}

/// A new gradient `a + b`.
pub(crate) fn sum(pass: &Pass<'_>, a: &Value, b: &Value) -> Result<Value> {
    pass.gradient_in(a.dtype(), a.shape(), || Ok(elementwise::add(a.tensor()?, b.tensor()?)?))
}
