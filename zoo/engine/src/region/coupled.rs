//! Coupled blocks, forward with everything kept or backward by inversion (S-RevSNN, section 3).
//!
//! ```text
//! y1 = x1 + F(x2)        x2 = y2 - G(y1)
//! y2 = x2 + G(y1)        x1 = y1 - F(x2)
//! ```

use std::rc::Rc;

use kernels::elementwise;

use super::{Grid, Regions};
use crate::error::{Error, Result};
use crate::ledger::Category;
use crate::model::{Block, Stage};
use crate::operations::{Kind, Reads, Work};
use crate::ops::{
    accumulate, add_rounded, concat_channels, dense, plus, real, repeat_steps, split_channels, sum_steps,
    typed,
};
use crate::pass::Pass;
use crate::saved::{CHEAP, Saved};
use crate::tape::{Backward, Tape};
use crate::unroll::Unroll;
use crate::value::Value;

/// Runs a stage: inverted in backward where the pass's regions say so, else with every activation kept.
///
/// # Errors
/// When a block fails or the stream leaves the grid's range.
pub fn stage(pass: &Pass<'_>, port: &mut dyn Unroll, stage: &Rc<Stage>, x: &Value) -> Result<Value> {
    match pass.regions() {
        Some(Regions { coupled: true, .. }) => coupled(pass, port, stage, x),
        _ => coupled_plain(pass, port, stage, x),
    }
}

/// Runs a stage with every activation kept: what backpropagation without reversibility does.
fn coupled_plain(pass: &Pass<'_>, port: &mut dyn Unroll, stage: &Stage, x: &Value) -> Result<Value> {
    let x = repeat_steps(pass, x, stream_steps(pass, x))?;
    let x_slot = x.slot.filter(|_| pass.tape().tracks(&x));
    let (mut first, mut second) = entry(pass, stage, &x)?;
    let dtype = x.dtype();
    drop(x);
    // Where nothing before the stage is trained, its two halves are constants.
    if x_slot.is_some() {
        (first, second) = pass.tape().record_pair("split", (first, second), move |backward, d1, d2| {
            let joined = join_gradients(backward.pass(), d1, d2)?;
            let joined = typed(backward.pass(), joined, dtype)?;
            backward.give(x_slot, joined)
        });
    }
    for block in &stage.blocks {
        first = plain_half(pass, port, stage, &*block.f, &first, &second)?;
        second = plain_half(pass, port, stage, &*block.g, &second, &first)?;
    }
    let y = concat_channels(pass, &stage.name, &first, &second)?;
    let tape = pass.tape();
    let slots = [&first, &second].map(|half| half.slot.filter(|_| tape.tracks(half)));
    if slots == [None, None] {
        return Ok(y);
    }
    let name = stage.name.clone();
    Ok(tape.record("concat", y, move |backward, dy| {
        let (d1, d2) = split_channels(backward.pass(), &name, &dy)?;
        drop(dy);
        backward.give(slots[0], d1)?;
        backward.give(slots[1], d2)
    }))
}

/// Runs a stage with the tape off and keeps only its output; backward inverts block by block.
fn coupled(pass: &Pass<'_>, port: &mut dyn Unroll, stage: &Rc<Stage>, x: &Value) -> Result<Value> {
    let tape = pass.tape();
    if !tape.is_recording() {
        return coupled_plain(pass, port, stage, x);
    }
    let off = Tape::off();
    let y = coupled_plain(&pass.on(&off), port, stage, x)?;
    let (constant, dtype) = (x.steps() != y.steps(), x.dtype());
    let x_slot = x.slot.filter(|_| tape.tracks(x));
    let kept = Saved::new(&y);
    let (stage, step) = (Rc::clone(stage), pass.step());
    Ok(tape.record("coupled", y, move |backward, dy| {
        let pass = backward.pass();
        let (mut y1, mut y2) = split_channels(pass, &stage.name, &kept.get(pass)?)?;
        drop(kept);
        let (mut d1, mut d2) = split_channels(pass, &stage.name, &dy)?;
        drop(dy);
        for block in stage.blocks.iter().rev() {
            y2 = invert_half(backward, (&stage, step), &*block.g, (&y1, &mut d1), (y2, &d2))?;
            y1 = invert_half(backward, (&stage, step), &*block.f, (&y2, &mut d2), (y1, &d1))?;
        }
        let joined = join_gradients(pass, Some(d1), Some(d2))?;
        // In the input's type before it is summed, as where everything is kept.
        let joined = typed(pass, joined, dtype)?;
        backward.give(x_slot, if constant { sum_steps(pass, &joined)? } else { joined })
    }))
}

/// `stream + round(branch(input))`, recorded.
fn plain_half(
    pass: &Pass<'_>,
    port: &mut dyn Unroll,
    stage: &Stage,
    branch: &dyn Block,
    stream: &Value,
    input: &Value,
) -> Result<Value> {
    let f = branch.forward(pass, port, input)?;
    let sum = combine(pass, (&stage.name, stage.grid), stream, &f, false)?;
    let sum = pass.made((&stage.name, CHEAP), sum, &[stream, &f], {
        let (name, grid) = (stage.name.clone(), stage.grid);
        move |pass, inputs| combine(pass, (&name, grid), &inputs[0], &inputs[1], false)
    });
    let tape = pass.tape();
    let [to_stream, to_branch] = [stream, &f].map(|side| side.slot.filter(|_| tape.tracks(side)));
    if to_stream.is_none() && to_branch.is_none() {
        return Ok(sum);
    }
    let dtype = f.dtype();
    Ok(tape.record("couple", sum, move |backward, dy| {
        // The rounding's gradient is 1.
        let through = typed(backward.pass(), dy.clone(), dtype)?;
        backward.give(to_branch, through)?;
        backward.give(to_stream, dy)
    }))
}

/// One half of a block backwards: rebuilds `branch(input)`, takes it from the stream, and sends the stream's gradient
/// through it. Returns the stream before the branch was added; `d_input` gains what flowed through the branch.
fn invert_half(
    backward: &mut Backward<'_>,
    (stage, step): (&Stage, Option<usize>),
    branch: &dyn Block,
    (input, d_input): (&Value, &mut Value),
    (stream, d_stream): (Value, &Value),
) -> Result<Value> {
    let (pass, port) = backward.rebuild();
    let tape = pass.session().tape();
    // At the step of the forward pass: a walk back over all steps is at none.
    let inner = pass.on(&tape).at_any(step).rebuilding();
    let leaf = tape.leaf(input);
    let f = branch.forward(&inner, port, &leaf)?;
    let before = combine(&inner.on(&Tape::off()), (&stage.name, stage.grid), &stream, &f, true)?;
    drop(stream);
    let through = typed(pass, d_stream.clone(), f.dtype())?;
    let mut gradients = tape.backward(&inner, port, [(f, through)])?;
    if let Some(through) = gradients.take(&leaf) {
        accumulate(d_input, &through)?;
    }
    Ok(before)
}

fn combine(
    pass: &Pass<'_>,
    (place, grid): (&str, Option<Grid>),
    stream: &Value,
    f: &Value,
    negate: bool,
) -> Result<Value> {
    match grid {
        Some(grid) => {
            let sum = add_rounded(pass, place, [stream, f], grid.bits, negate)?;
            grid.check(pass, place, &sum)?;
            Ok(sum)
        }
        None => {
            let sum = if negate { minus(pass, stream, f)? } else { plus(pass, stream, f)? };
            pass.count(Work::at(place, Kind::Sum, &[stream, f], &sum, Reads::Summed).adds(sum.len()))?;
            Ok(sum)
        }
    }
}

fn minus(pass: &Pass<'_>, stream: &Value, f: &Value) -> Result<Value> {
    let f = dense(pass, f)?;
    pass.passing_in(stream.dtype(), stream.shape(), || {
        let left = elementwise::copied(stream.tensor()?)?;
        elementwise::add_assign(&left, f.tensor()?, -1.0)?;
        Ok(left)
    })
}

fn entry(pass: &Pass<'_>, stage: &Stage, x: &Value) -> Result<(Value, Value)> {
    let (first, second) = split_channels(pass, &stage.name, x)?;
    let Some(grid) = stage.grid else { return Ok((real(pass, &first)?, real(pass, &second)?)) };
    let (first, second) = (grid.round(pass, &first)?, grid.round(pass, &second)?);
    grid.check(pass, &stage.name, &first)?;
    grid.check(pass, &stage.name, &second)?;
    Ok((first, second))
}

/// Length of the time axis inside a stage: streams differ from step to step even where the input does not.
fn stream_steps(pass: &Pass<'_>, x: &Value) -> usize {
    if pass.step().is_none() { pass.steps() } else { x.steps() }
}

fn join_gradients(pass: &Pass<'_>, first: Option<Value>, second: Option<Value>) -> Result<Value> {
    let zeros =
        |like: &Value| pass.session().zeros_in(like.dtype(), Category::ActivationGradients, like.shape());
    let (first, second) = match (first, second) {
        (Some(first), Some(second)) => (first, second),
        (Some(first), None) => {
            let second = zeros(&first)?;
            (first, second)
        }
        (None, Some(second)) => (zeros(&second)?, second),
        (None, None) => return Err(Error::Misuse("a stage went backward without a gradient".into())),
    };
    concat_channels(pass, "coupled gradient", &first, &second)
}
