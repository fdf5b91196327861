//! Any candle sub-graph as one op.
//!
//! A contributor can try a layer without writing its backward: the sub-graph is a [`region`](crate::region) that
//! keeps its inputs, is built again under candle's autograd when backward reaches it, and is dropped at once. It is
//! slower and hungrier than an op of its own; use it to prototype.

use std::rc::Rc;

use candle_core::{Tensor, Var};
use kernels::held;

use crate::error::{Error, Result};
use crate::ops::dense;
use crate::pass::Pass;
use crate::saved::Saved;
use crate::value::Value;

/// A candle function of several tensors.
pub type Graph = dyn Fn(&[Tensor]) -> candle_core::Result<Tensor>;

/// Applies `graph` to the inputs as one op with an output of the given shape.
///
/// # Errors
/// When the graph fails or gives another shape.
pub fn bridge(
    pass: &Pass<'_>,
    place: &str,
    shape: &[usize],
    graph: Rc<Graph>,
    inputs: &[&Value],
) -> Result<Value> {
    let inputs = inputs.iter().map(|input| dense(pass, input)).collect::<Result<Vec<_>>>()?;
    let y = pass.passing(shape, || {
        let tensors = inputs.iter().map(|input| wide(pass, input.tensor()?)).collect::<Result<Vec<_>>>()?;
        let y = graph(&tensors)?.detach();
        if y.dims() != shape {
            return Err(Error::shape(place, format!("{shape:?}"), y.dims()));
        }
        // A copy: the graph may return what it was given.
        Ok(held::cast(&y.contiguous()?, pass.session().dtype())?)
    })?;
    let tape = pass.tape();
    let slots: Vec<_> = inputs.iter().map(|input| input.slot.filter(|_| tape.tracks(input))).collect();
    if slots.iter().all(Option::is_none) {
        return Ok(y);
    }
    let kept: Vec<Saved> = inputs.iter().map(Saved::new).collect();
    drop(inputs);
    Ok(tape.record("bridge", y, move |backward, dy| {
        let pass = backward.pass();
        let kept = kept.iter().map(|kept| kept.get(pass)).collect::<Result<Vec<_>>>()?;
        let mut gradients = Vec::new();
        if !backward.pass().session().is_planned() {
            let vars = kept
                .iter()
                .map(|kept| Ok(Var::from_tensor(&wide(pass, kept.tensor()?)?)?))
                .collect::<Result<Vec<_>>>()?;
            let tensors: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
            // candle's backward takes no seed: the product with it, summed, has the gradient wanted.
            let seeded = (graph(&tensors)? * wide(pass, dy.tensor()?)?)?.sum_all()?;
            let mut store = seeded.backward()?;
            for var in &vars {
                gradients.push(store.remove(var).map(|gradient| gradient.detach()));
            }
        }
        for (index, (slot, kept)) in slots.into_iter().zip(kept).enumerate() {
            let shape = kept.shape().to_vec();
            let dtype = kept.dtype();
            let dx = backward.pass().gradient_in(dtype, &shape, || {
                match gradients.get_mut(index).and_then(Option::take) {
                    Some(gradient) => Ok(held::cast(&gradient.contiguous()?, dtype)?),
                    None => Ok(kept.tensor()?.zeros_like()?),
                }
            })?;
            backward.give(slot, dx)?;
        }
        Ok(())
    }))
}

/// candle's graphs compute in one type: that which is summed in.
fn wide(pass: &Pass<'_>, tensor: &Tensor) -> Result<Tensor> {
    Ok(tensor.to_dtype(pass.session().real())?)
}
