//! Products with constants.

use kernels::elementwise;
use keys::Key;

use super::reshape::{factored, source_of};
use crate::error::{Error, Result};
use crate::ledger::Category;
use crate::operations::{Each, Kind, Reads, Work};
use crate::pass::{Mode, Pass};
use crate::saved::CHEAP;
use crate::value::Value;

/// `factor * x`; of spikes they stay spikes, and their reader multiplies. Saves nothing.
///
/// # Errors
/// When a kernel fails.
pub fn scale(pass: &Pass<'_>, place: &str, x: &Value, factor: f64) -> Result<Value> {
    let (read, already) = factored(pass, x)?;
    let source = source_of(x, &read);
    let y = if read.is_spikes() {
        pass.session().scaled(read, factor * already)
    } else {
        pass.passing(x.shape(), || Ok(elementwise::scale(read.tensor()?, factor)?))?
    };
    if y.scaled().is_some() {
        // Spikes of another height: their reader's weights take it on.
        pass.moved(x, &y);
    } else {
        pass.count(Work::at(place, Kind::Scale, &[x], &y, Reads::Numbers).multiplies(y.len()))?;
    }
    let y = pass.made((place, CHEAP), y, &[x], {
        let place = place.to_string();
        move |pass, inputs| scale(pass, &place, &inputs[0], factor)
    });
    let tape = pass.tape();
    let Some(slot) = source.filter(|slot| tape.tracks_slot(*slot)) else { return Ok(y) };
    let counted = pass.to_count(place, Kind::Scale, 0);
    Ok(tape.record("scale", y, move |backward, dy| {
        backward.pass().count_back_each(counted.as_deref(), dy.len(), dy.steps(), Each::PRODUCT);
        let dx = times(backward.pass(), dy, factor)?;
        backward.give(Some(slot), dx)
    }))
}

/// A gradient times `factor`, in its own place where that may be overwritten.
pub(super) fn times(pass: &Pass<'_>, dy: Value, factor: f64) -> Result<Value> {
    if !dy.is_sole() {
        return pass.gradient_in(dy.dtype(), dy.shape(), || Ok(elementwise::scale(dy.tensor()?, factor)?));
    }
    if let Ok(dy) = dy.tensor() {
        elementwise::scale_assign(dy, factor)?;
    }
    Ok(dy)
}

/// Dropout with one mask for all time steps, drawn from the pass's key: kept values are divided by `1 - rate`.
/// Spikes stay spikes, and their reader divides. Nothing happens in evaluation. Saves nothing: the mask is drawn again.
///
/// # Errors
/// When the rate is out of `[0, 1)`.
pub fn dropout(pass: &Pass<'_>, place: &str, x: &Value, rate: f64) -> Result<Value> {
    if !(0.0..1.0).contains(&rate) {
        return Err(Error::setting(format!("{place}: dropout rate"), "in [0, 1)", rate));
    }
    if rate == 0.0 || pass.mode() == Mode::Eval {
        return Ok(x.clone());
    }
    let (read, already) = factored(pass, x)?;
    let source = source_of(x, &read);
    let key = pass.key().fork("dropout").fork(place);
    let y = if read.is_spikes() {
        let steps = read.steps();
        let kept = pass.session().spikes(read.shape(), || match read.bits() {
            Some(bits) => Ok(elementwise::dropout_spikes(bits, steps, key, rate)?),
            None => Err(Error::Misuse(format!("{place}: spikes without bits"))),
        })?;
        pass.moved(x, &kept);
        pass.session().scaled(kept, already / (1.0 - rate))
    } else {
        masked(pass, key, rate, read, Category::Passing)?
    };
    if y.scaled().is_some() {
        pass.moved(x, &y);
    } else {
        pass.count(Work::at(place, Kind::Scale, &[x], &y, Reads::Numbers).multiplies(y.len()))?;
    }
    let y = pass.made((place, CHEAP), y, &[x], {
        let place = place.to_string();
        move |pass, inputs| dropout(pass, &place, &inputs[0], rate)
    });
    let tape = pass.tape();
    let Some(slot) = source.filter(|slot| tape.tracks_slot(*slot)) else { return Ok(y) };
    let counted = pass.to_count(place, Kind::Scale, 0);
    Ok(tape.record("dropout", y, move |backward, dy| {
        backward.pass().count_back_each(counted.as_deref(), dy.len(), dy.steps(), Each::PRODUCT);
        let dx = masked(backward.pass(), key, rate, dy, Category::ActivationGradients)?;
        backward.give(Some(slot), dx)
    }))
}

/// `x` times its mask, in its own place where that may be overwritten.
fn masked(pass: &Pass<'_>, key: Key, rate: f64, x: Value, category: Category) -> Result<Value> {
    let (session, steps) = (pass.session(), x.steps());
    if !x.is_sole() {
        let (each, dtype) = (x.len() / steps, session.dtype());
        return session.dense(category, x.shape(), || {
            Ok(elementwise::dropout(x.operand()?, steps, each, key, rate, dtype)?)
        });
    }
    if let Ok(x) = x.tensor() {
        elementwise::dropout_assign(x, steps, key, rate)?;
    }
    Ok(x.detached())
}
