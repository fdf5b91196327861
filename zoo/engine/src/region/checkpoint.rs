//! Keep the input, run forward again.

use std::rc::Rc;

use crate::error::Result;
use crate::model::Block;
use crate::pass::Pass;
use crate::tape::Tape;
use crate::unroll::Unroll;
use crate::value::{Saved, Value};

/// Runs a block of a time-free wiring with the tape off and keeps only its input (spikes as bits).
///
/// # Errors
/// When the block fails.
pub fn checkpoint(pass: &Pass<'_>, port: &mut dyn Unroll, block: &Rc<dyn Block>, x: &Value) -> Result<Value> {
    if !pass.tape().is_recording() {
        return block.forward(pass, port, x);
    }
    let off = Tape::off();
    let y = block.forward(&pass.on(&off), port, x)?;
    let x_slot = x.slot.filter(|_| pass.tape().tracks(x));
    let kept = Saved::new(x);
    let block = Rc::clone(block);
    Ok(pass.tape().record("checkpoint", y.detached(), move |backward, dy| {
        let (pass, port) = backward.rebuild();
        let tape = pass.session().tape();
        let inner = pass.on(&tape).rebuilding();
        let x = tape.leaf(kept.value());
        let y = block.forward(&inner, port, &x)?;
        let mut gradients = tape.backward(&inner, port, [(y, dy)])?;
        drop(kept);
        match gradients.take(&x) {
            Some(dx) => backward.give(x_slot, dx),
            None => Ok(()),
        }
    }))
}
