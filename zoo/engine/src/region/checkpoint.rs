//! Keep the input, run forward again.

use crate::error::Result;
use crate::model::Segment;
use crate::pass::Pass;
use crate::saved::Saved;
use crate::tape::Tape;
use crate::unroll::Unroll;
use crate::value::Value;

/// Segments one after another, each recorded or as the kind of region that it is.
///
/// # Errors
/// When a segment fails.
pub fn segments(pass: &Pass<'_>, port: &mut dyn Unroll, segments: &[Segment], x: &Value) -> Result<Value> {
    segments.iter().try_fold(x.clone(), |x, segment| match segment {
        Segment::Plain(block) => block.forward(pass, port, &x),
        Segment::Coupled(stage) => super::stage(pass, port, stage, &x),
    })
}

/// Runs segments of a time-free wiring with the tape off and keeps only their input (spikes as bits).
///
/// # Errors
/// When a segment fails.
pub(crate) fn checkpoint(
    pass: &Pass<'_>,
    port: &mut dyn Unroll,
    inside: &[Segment],
    x: &Value,
) -> Result<Value> {
    if !pass.tape().is_recording() {
        return segments(pass, port, inside, x);
    }
    let off = Tape::off();
    let y = segments(&pass.on(&off), port, inside, x)?;
    let x_slot = x.slot.filter(|_| pass.tape().tracks(x));
    let (kept, inside) = (Saved::new(x), inside.to_vec());
    Ok(pass.tape().record("checkpoint", y.detached(), move |backward, dy| {
        let (pass, port) = backward.rebuild();
        let tape = pass.session().tape();
        let inner = pass.on(&tape).rebuilding();
        let x = tape.leaf(&kept.get(pass)?);
        let y = segments(&inner, port, &inside, &x)?;
        let mut gradients = tape.backward(&inner, port, [(y, dy)])?;
        drop(kept);
        match gradients.take(&x) {
            Some(dx) => backward.give(x_slot, dx),
            None => Ok(()),
        }
    }))
}
