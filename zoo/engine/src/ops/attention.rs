//! Spiking self-attention.

use kernels::attention::{self as kernel, AttentionShape};

use super::images;
use super::reshape::readable;
use crate::error::{Error, Result};
use crate::operations::{Kind, Reach, Reads, Work};
use crate::pass::Pass;
use crate::saved::Saved;
use crate::value::Value;

/// `scale * (q k^T) v` inside each head and without a softmax (Spikformer, Zhou et al. 2023), in the shape of `q`:
/// `[T, B, C, H, W]` or `[T, B, C, N]`, whose pixels are the tokens. Head `h` is channels `h*d .. (h+1)*d`.
///
/// Saves `q`, `k` and `v` (spikes as bits).
///
/// # Errors
/// When the shapes differ or the heads don't divide the channels.
pub fn attention(
    pass: &Pass<'_>,
    place: &str,
    [q, k, v]: [&Value; 3],
    heads: usize,
    scale: f64,
) -> Result<Value> {
    let shape = q.shape().to_vec();
    for other in [q, k, v] {
        if other.shape() != shape || shape.len() < 4 {
            return Err(Error::shape(place, format!("{shape:?}, as [T, B, C, tokens]"), other.shape()));
        }
    }
    let geometry = AttentionShape { images: images(q), channels: q.channels(), tokens: q.plane(), heads };
    if heads == 0 || !q.channels().is_multiple_of(heads) {
        let rule = format!("a divisor of its {} channels", q.channels());
        return Err(Error::setting(format!("{place}: heads"), rule, heads));
    }
    let session = pass.session();
    let bytes = kernels::threads::threads() * kernel::workspace_bytes(&geometry, session.dtype());
    session.ledger().workspace(bytes);
    let inputs = [readable(pass, q)?, readable(pass, k)?, readable(pass, v)?];
    let y = pass.passing(&shape, || {
        let [q, k, v] = &inputs;
        let dtype = session.dtype();
        Ok(kernel::forward(&geometry, q.operand()?, k.operand()?, v.operand()?, scale, dtype)?)
    })?;
    let [q, k, v] = inputs.each_ref();
    // Each spike of q meets a token of k, each one of v a weight of attention, as often as there are tokens.
    let (dense, tokens) = (2 * q.len() * q.plane(), q.plane() as u64);
    pass.count(
        Work::at(place, Kind::Product, &[q, k, v], &y, Reads::Products)
            .products(dense as u64, &[q, v], Reach::Each(tokens))
            .multiplies(y.len()),
    )?;
    let y = pass.made((place, geometry.products() as u64), y, &[&inputs[0], &inputs[1], &inputs[2]], {
        let place = place.to_string();
        move |pass, inputs| attention(pass, &place, [&inputs[0], &inputs[1], &inputs[2]], heads, scale)
    });
    let tape = pass.tape();
    let slots = inputs.each_ref().map(|x| x.slot.filter(|_| tape.tracks(x)));
    if slots == [None; 3] {
        return Ok(y);
    }
    let kept = inputs.map(|x| Saved::new(&x));
    // Scores again, and a gradient through both sides of both products.
    let counted = pass.to_count(place, Kind::Product, dense / 2 * 5);
    Ok(tape.record("attention", y, move |backward, dy| {
        let pass = backward.pass();
        pass.count_back(counted.as_deref(), Reads::Products, dy.steps());
        let mut gradients = [None, None, None];
        let [q, k, v] = [kept[0].get(pass)?, kept[1].get(pass)?, kept[2].get(pass)?];
        if !pass.session().is_planned() {
            let (q, k, v) = (q.operand()?, k.operand()?, v.operand()?);
            gradients = kernel::backward(&geometry, q, k, v, dy.tensor()?, scale)?.map(Some);
        }
        // All three exist at once, so all three are booked before one is handed on.
        let mut values = Vec::with_capacity(3);
        for gradient in gradients {
            values.push(pass.gradient(&shape, || {
                gradient.ok_or_else(|| Error::Misuse("the kernel gave no gradient".into()))
            })?);
        }
        drop((kept, q, k, v, dy));
        slots.into_iter().zip(values).try_for_each(|(slot, gradient)| backward.give(slot, gradient))
    }))
}
