//! Neurons over time.

use kernels::lif::{self, Cell, Current, Fired, LifShape};

use super::dense;
use super::held::typed;
use crate::error::{Error, Result};
use crate::ledger::Category;
use crate::neuron::Neuron;
use crate::operations::{Each, Kind, Reads, Work};
use crate::pass::Pass;
use crate::saved::Saved;
use crate::value::Value;

/// `steps` steps of a neuron layer: spikes `[steps, B, ...]` and, if asked for, the membrane after the last step
/// `[1, B, ...]`. The current is `[steps, B, ...]`, or `[1, B, ...]` when it is constant in time. `state` is the
/// membrane before the first step; zero if absent.
///
/// Without `time_gradient` no gradient flows from a step to the one before.
///
/// Saves the current (through a folded norm: the norm's own input) and the given state; the membrane is computed
/// again in backward and never stored. A quantiser saves one bit a value beside its spikes, unless its current is a
/// folded norm, whose input is saved already.
///
/// # Errors
/// When a shape does not fit.
pub fn fire(
    pass: &Pass<'_>,
    place: &str,
    neuron: &Neuron,
    current: &Value,
    steps: usize,
    state: Option<&Value>,
    (keep_last, time_gradient): (bool, bool),
) -> Result<(Value, Option<Value>)> {
    // The kernel folds a norm in per image channel; other ranks take the computed value.
    let current = match current.folded() {
        Some(_) if current.shape().len() == 5 => current.clone(),
        _ => dense(pass, current)?,
    };
    if current.steps() != 1 && current.steps() != steps {
        return Err(Error::shape(place, format!("[{steps} or 1, B, ...]"), current.shape()));
    }
    let shape = geometry(&current, steps);
    let cell = Cell { time_gradient, ..neuron.cell(pass.mode()) };
    let session = pass.session();
    let out: Vec<usize> = std::iter::once(steps).chain(current.shape()[1..].iter().copied()).collect();
    let one: Vec<usize> = std::iter::once(1).chain(current.shape()[1..].iter().copied()).collect();

    let mut last_tensor = None;
    let mut run = || -> Result<Fired> {
        let (fired, last) = lif::forward(&shape, &cell, &read(&current)?, tensor_of(state)?, keep_last)?;
        last_tensor = last;
        Ok(fired)
    };
    let spikes = if neuron.is_smooth() {
        pass.passing_in(current.dtype(), &out, || match run()? {
            Fired::Smooth(values) => Ok(values),
            Fired::Spikes(bits) => Ok(bits.unpack(current.dtype())?),
        })?
    } else {
        session.spikes(&out, || match run()? {
            Fired::Spikes(bits) => Ok(bits),
            Fired::Smooth(_) => {
                Err(Error::Misuse(format!("{place}: the kernel gave real values for spikes")))
            }
        })?
    };
    pass.count(Work::at(place, Kind::Neuron, &[&current], &spikes, Reads::Numbers).neurons(neuron))?;
    let last = if keep_last {
        Some(session.dense(Category::State, &one, || {
            last_tensor.ok_or_else(|| Error::Misuse(format!("{place}: the kernel kept no membrane")))
        })?)
    } else {
        None
    };

    let tape = pass.tape();
    let to_current = tape.tracks(&current);
    let to_state = state.is_some_and(|state| tape.tracks(state));
    if !to_current && !to_state {
        return Ok((spikes, last));
    }
    let current_slot = current.slot.filter(|_| to_current);
    if let Some((low, high)) = window(neuron, &cell)
        && current.folded().is_none()
    {
        let open = session.spikes(&out, || Ok(lif::window(&shape, &read(&current)?, low, high)?))?;
        pass.prepared(&open);
        let (kept, dtype) = (Saved::new(&open), current.dtype());
        let counted = pass.to_count(place, Kind::Neuron, 0);
        drop((current, open));
        let spikes = tape.record("fire", spikes, move |backward, ds| {
            backward.pass().count_back_each(counted.as_deref(), ds.len(), ds.steps(), slope(cell.surrogate));
            let dcurrent = typed(backward.pass(), gated(backward.pass(), ds, kept)?, dtype)?;
            backward.give(current_slot, dcurrent)
        });
        return Ok((spikes, last));
    }
    let state_slot = state.and_then(|state| state.slot).filter(|_| to_state);
    let (current_shape, dtype) = (current.shape().to_vec(), current.dtype());
    let kept = Saved::new(&current);
    let kept_state = state.map(Saved::new);
    let counted = pass.to_count(place, Kind::Neuron, 0);
    drop(current);
    let walk = move |backward: &mut crate::tape::Backward<'_>, ds: Option<Value>, dlast: Option<Value>| {
        let pass = backward.pass();
        // The kernel wants a gradient of the spikes; zeros stand in where only the membrane was read.
        let ds = match ds {
            Some(ds) => ds,
            None => pass.session().zeros(Category::ActivationGradients, &out)?,
        };
        pass.count_back_each(counted.as_deref(), ds.len(), steps, back(&cell));
        let own = ds.is_sole() && current_shape == out && ds.dtype() == dtype;
        let state = kept_state.as_ref().map(|kept| kept.get(pass)).transpose()?;
        let current = kept.get(pass)?;
        let mut dstate = None;
        let mut run = || -> Result<candle_core::Tensor> {
            let (state, dlast) = (tensor_of(state.as_ref())?, tensor_of(dlast.as_ref())?);
            let current = read(&current)?;
            let (di, dv) = lif::backward(&shape, &cell, &current, state, ds.tensor()?, dlast, to_state, own)?;
            dstate = dv;
            Ok(di)
        };
        let dcurrent = if own {
            if !pass.session().is_planned() {
                run()?;
            }
            ds.clone()
        } else {
            pass.gradient_in(dtype, &current_shape, run)?
        };
        if to_state {
            let one: Vec<usize> = std::iter::once(1).chain(current_shape[1..].iter().copied()).collect();
            let dstate = pass.gradient_in(pass.session().real(), &one, || {
                dstate.ok_or_else(|| Error::Misuse("the kernel gave no gradient of the membrane".into()))
            })?;
            backward.give(state_slot, dstate)?;
        }
        drop((kept, kept_state, current, state, ds));
        backward.give(current_slot, dcurrent)
    };
    match last {
        Some(last) => {
            let (spikes, last) = tape.record_pair("fire", (spikes, last), walk);
            Ok((spikes, Some(last)))
        }
        None => Ok((tape.record("fire", spikes, move |backward, ds| walk(backward, Some(ds), None)), None)),
    }
}

/// What the way back costs a neuron and step, as a dense machine computes it. With `u` the membrane before its reset, `v` that after
/// it, `h` the surrogate's slope at `u - threshold` and `g` the gradients:
///
/// ```text
/// u = decay v[t-1] + gain I, reset          again: it was not kept
/// g_u = g_s h + g_v dv/du                   dv/du: a mask or 1, and where gradient flows through the reset a product with h
/// g_I = gain g_u,   g_v[t-1] = decay g_u
/// ```
fn back(cell: &Cell) -> Each {
    let when = |holds: bool, each: Each| if holds { each } else { Each::default() };
    let leaks = cell.decay != 0.0 && cell.decay != 1.0;
    let (gains, time) = (cell.input_gain != 1.0, cell.time_gradient && cell.decay != 0.0);
    let through = cell.reset_grad == lif::ResetGrad::Through;
    let again = [
        when(leaks, Each::PRODUCT),
        when(gains, Each::PRODUCT),
        when(cell.decay != 0.0, Each::SUMMED),
        Each::COMPARED,
        when(cell.reset == lif::Reset::Soft, Each::SUMMED),
    ];
    let gradient = [
        slope(cell.surrogate),
        Each::PRODUCT,
        when(time, Each::SUMMED),
        when(time && through, Each::ADDED.and(Each::PRODUCT)),
        when(gains, Each::PRODUCT),
        when(time && leaks, Each::PRODUCT),
    ];
    again.into_iter().chain(gradient).fold(Each::default(), Each::and)
}

/// What a surrogate's slope costs; exponentials and divisions count as multiplications.
fn slope(surrogate: lif::Surrogate) -> Each {
    match surrogate {
        lif::Surrogate::Window { .. } => Each { multiplies: 0, adds: 0, compares: 2 },
        // The others are of x = u - threshold, which is a sum.
        lif::Surrogate::Rectangle { .. } => Each { multiplies: 0, adds: 1, compares: 1 },
        lif::Surrogate::Triangle { .. } => Each { multiplies: 1, adds: 2, compares: 1 },
        lif::Surrogate::Sigmoid { .. } => Each { multiplies: 5, adds: 3, compares: 0 },
        lif::Surrogate::ArcTan { .. } => Each { multiplies: 3, adds: 2, compares: 0 },
    }
}

/// Between which currents a neuron passes gradient as it is, where that is all that backward needs to know.
fn window(neuron: &Neuron, cell: &Cell) -> Option<(f64, f64)> {
    match cell.surrogate {
        lif::Surrogate::Window { low, high } if !neuron.has_state() && !neuron.is_smooth() => {
            Some((low, high))
        }
        _ => None,
    }
}

/// A gradient where a saved gate is open, in its own place where it may be overwritten.
pub(super) fn gated(pass: &Pass<'_>, gradient: Value, open: Saved) -> Result<Value> {
    let open = open.get(pass)?;
    let run = |reuse| -> Result<candle_core::Tensor> {
        let bits = open.bits().ok_or_else(|| Error::Misuse("a gate lost its bits".into()))?;
        Ok(lif::gate(gradient.tensor()?, bits, reuse)?)
    };
    if !gradient.is_sole() {
        return pass.gradient_in(gradient.dtype(), gradient.shape(), || run(false));
    }
    if !pass.session().is_planned() {
        run(true)?;
    }
    Ok(gradient)
}

pub(super) fn geometry(current: &Value, steps: usize) -> LifShape {
    let shape = current.shape();
    let (rows, plane, channels) = match *shape {
        [_, b, c, h, w] => (b * c, h * w, c),
        _ => (shape[1..shape.len() - 1].iter().product(), shape[shape.len() - 1], 1),
    };
    LifShape { steps, rows, plane, channels, current_steps: current.steps() }
}

pub(super) fn read(current: &Value) -> Result<Current<'_>> {
    Ok(match current.folded() {
        Some(folded) => {
            let affine = folded.affine.as_ref().map(|(scale, shift)| (scale, shift));
            Current { x: folded.x.tensor()?, affine }
        }
        None => Current { x: current.tensor()?, affine: None },
    })
}

fn tensor_of(value: Option<&Value>) -> Result<Option<&candle_core::Tensor>> {
    value.map(Value::tensor).transpose()
}
