//! Batch normalisation, folded into whoever reads it.

use candle_core::Tensor;
use kernels::norm::{self, Moments};

use super::dense;
use crate::error::{Error, Result};
use crate::ledger::Category;
use crate::norm::{Norm, NormOver};
use crate::operations::{Each, Kind, Reads, Work};
use crate::pass::Pass;
use crate::saved::Saved;
use crate::value::{Folded, Value};

/// What the way back costs a value: `x^ = (x - mean) / deviation` is computed again, `dy` and `dy x^` are summed, and
/// `dx = factor (dy - mean(dy) - x^ mean(dy x^))`.
const BACK: Each = Each { multiplies: 4, adds: 5, compares: 0 };

/// Normalises with the statistics of the batch. The result is folded: its reader computes `x * scale + shift` as it
/// reads. `moved` gets the moments and how many values each spans, for the running statistics.
///
/// Saves the input once; a neuron that reads the result saves the same buffer. The moments are saved with it.
///
/// # Errors
/// When the shape does not fit.
pub fn normalise(
    pass: &Pass<'_>,
    place: &str,
    norm: &Norm,
    x: &Value,
    moved: impl FnOnce(&Moments, usize, usize) -> Result<()>,
) -> Result<Value> {
    let x = dense(pass, x)?;
    check(place, norm, &x)?;
    let groups = if norm.over == NormOver::Step { x.steps() } else { 1 };
    let shape = x.norm_shape(groups);
    let (gamma, beta) = (pass.param(norm.gamma), pass.param(norm.beta));
    let (affine, moments) = if pass.session().is_planned() {
        (None, None)
    } else {
        let moments = norm::moments(&shape, x.tensor()?)?;
        moved(&moments, groups, shape.n * shape.plane)?;
        let affine = norm::fold(&moments, norm.eps, norm.gain, Some(gamma.tensor()?), Some(beta.tensor()?))?;
        (Some(affine), Some(moments))
    };
    let ledger = pass.session().ledger();
    let y = pass.session().folded(Folded { x: x.detached(), affine, groups });
    count(pass, place, &x, &y)?;
    let tape = pass.tape();
    if !tape.is_recording() {
        return Ok(y);
    }
    let x_slot = x.slot.filter(|_| tape.tracks(&x));
    let kept = Saved::new(&x);
    // Backward reads the batch's moments again: they are kept as `x` is.
    let booked =
        Value::dense_of(ledger, Category::Saved, &[2, groups, norm.channels], pass.session().real(), None);
    let (eps, gain, gamma_id, beta_id) = (norm.eps, norm.gain, norm.gamma, norm.beta);
    let counted = pass.to_count(place, Kind::Norm, 0);
    drop(x);
    Ok(tape.record("normalise", y, move |backward, dy| {
        let pass = backward.pass();
        pass.count_back_each(counted.as_deref(), dy.len(), dy.steps(), BACK);
        let into_gamma = pass.params().accumulator(gamma_id)?;
        let into_beta = pass.params().accumulator(beta_id)?;
        let own = dy.is_sole();
        let x = kept.get(pass)?;
        let run = || -> Result<Option<Tensor>> {
            let Some(moments) = &moments else { return Ok(None) };
            let gamma = pass.params().get(gamma_id).value().tensor()?;
            let (x, dy) = (x.tensor()?, dy.tensor()?.clone());
            Ok(Some(norm::backward(
                &shape,
                x,
                dy,
                own,
                moments,
                eps,
                gain,
                Some(gamma),
                into_gamma,
                into_beta,
            )?))
        };
        let dx = if own {
            run()?;
            dy
        } else {
            pass.gradient_in(dy.dtype(), dy.shape(), || {
                run()?.ok_or_else(|| Error::Misuse("a planned norm ran".into()))
            })?
        };
        drop((kept, x, moments, booked));
        backward.give(x_slot, dx)
    }))
}

/// Normalises with running statistics, `[C]` each: an affine map, for evaluation.
///
/// # Errors
/// When the shape does not fit, or the tape records (evaluation has no backward).
pub fn normalise_running(
    pass: &Pass<'_>,
    place: &str,
    norm: &Norm,
    x: &Value,
    running: &Moments,
) -> Result<Value> {
    if pass.tape().is_recording() {
        return Err(Error::Misuse(format!(
            "{place}: running statistics were asked for while the tape records"
        )));
    }
    let x = dense(pass, x)?;
    check(place, norm, &x)?;
    let affine = if pass.session().is_planned() {
        None
    } else {
        let (gamma, beta) = (pass.param(norm.gamma), pass.param(norm.beta));
        Some(norm::fold(running, norm.eps, norm.gain, Some(gamma.tensor()?), Some(beta.tensor()?))?)
    };
    let y = pass.session().folded(Folded { x: x.detached(), affine, groups: 1 });
    count(pass, place, &x, &y)?;
    Ok(y)
}

/// One factor and one shift a value; the statistics of a batch are not counted, as a trained network has none.
fn count(pass: &Pass<'_>, place: &str, x: &Value, y: &Value) -> Result<()> {
    pass.count(Work::at(place, Kind::Norm, &[x], y, Reads::Normalised).multiplies(y.len()).adds(y.len()))
}

fn check(place: &str, norm: &Norm, x: &Value) -> Result<()> {
    if x.shape().len() < 3 || x.channels() != norm.channels {
        return Err(Error::shape(place, format!("[T, B, {}, ...]", norm.channels), x.shape()));
    }
    Ok(())
}
